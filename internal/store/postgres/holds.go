package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	holdable = `SELECT u.deleted_at IS NULL, EXISTS (SELECT FROM auth.erasures e WHERE e.user_id = u.id) FROM auth.users u WHERE u.id = $1`

	insertHold = `INSERT INTO auth.legal_holds (id, user_id, reason, placed_by, placed_at) VALUES ($1, $2, $3, $4, $5)`
	deleteHold = `DELETE FROM auth.legal_holds WHERE id = $2 AND user_id = $1`
	holdsOf    = `SELECT id, user_id, reason, placed_by, placed_at FROM auth.legal_holds WHERE user_id = $1 ORDER BY placed_at, id`
	isHeld     = `SELECT EXISTS (SELECT FROM auth.legal_holds WHERE user_id = $1)`
)

// PlaceHold implements store.Privacy. It locks the account like a deletion: whoever comes
// second sees what the first has done.
func (s *Store) PlaceHold(ctx context.Context, h auth.LegalHold, audit auth.AuditEntry) error {
	return unlocked(func() error {
		return s.tx(ctx, "place hold", func(tx pgx.Tx) error {
			user := uuid(h.UserID)
			if _, err := tx.Exec(ctx, lockOwner, user); err != nil {
				return err
			}
			var there, erased bool
			if err := tx.QueryRow(ctx, holdable, user).Scan(&there, &erased); err != nil {
				return err
			}
			switch {
			case !there && erased:
				return auth.ErrConflict
			case !there:
				return auth.ErrNotFound
			}
			if _, err := tx.Exec(ctx, insertHold, uuid(h.ID), user, h.Reason, h.PlacedBy, timestamp(h.PlacedAt)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, writeAudit, auditArgs(audit)...)
			return err
		})
	})
}

// LiftHold implements store.Privacy.
func (s *Store) LiftHold(ctx context.Context, user, hold auth.ID, audit auth.AuditEntry) error {
	return s.tx(ctx, "lift hold", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, deleteHold, uuid(user), uuid(hold))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return auth.ErrNotFound
		}
		_, err = tx.Exec(ctx, writeAudit, auditArgs(audit)...)
		return err
	})
}

// HoldsOf implements store.Privacy.
func (s *Store) HoldsOf(ctx context.Context, user auth.ID) ([]auth.LegalHold, error) {
	rows, err := s.pool.Query(ctx, holdsOf, uuid(user))
	if err != nil {
		return nil, storeError("holds of a person", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h auth.LegalHold, err error) {
		return h, row.Scan((*[16]byte)(&h.ID), (*[16]byte)(&h.UserID), &h.Reason, &h.PlacedBy, (*moment)(&h.PlacedAt))
	})
	if err != nil {
		return nil, storeError("holds of a person", err)
	}
	return list, nil
}
