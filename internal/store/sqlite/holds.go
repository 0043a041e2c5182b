package sqlite

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlHoldable = `SELECT deleted_at IS NULL, EXISTS (SELECT 1 FROM erasures e WHERE e.user_id = u.id) FROM users u WHERE u.id = ?`

	sqlInsertHold = `INSERT INTO legal_holds (id, user_id, reason, placed_by, placed_at) VALUES (?, ?, ?, ?, ?)`
	sqlDeleteHold = `DELETE FROM legal_holds WHERE id = ?2 AND user_id = ?1`
	sqlHoldsOf    = `SELECT id, user_id, reason, placed_by, placed_at FROM legal_holds WHERE user_id = ? ORDER BY placed_at, id`
)

// PlaceHold implements store.Privacy.
func (s *Store) PlaceHold(ctx context.Context, h auth.LegalHold, audit auth.AuditEntry) error {
	return s.write(ctx, "place hold", func(r runner) error {
		var there, erased bool
		if err := one(ctx, r, sqlHoldable, []any{h.UserID.String()}, &there, &erased); err != nil {
			return err
		}
		switch {
		case !there && erased:
			return auth.ErrConflict
		case !there:
			return auth.ErrNotFound
		}
		if _, err := exec(ctx, r, sqlInsertHold, h.ID.String(), h.UserID.String(), h.Reason, h.PlacedBy, at(h.PlacedAt)); err != nil {
			return err
		}
		return insertAudit(ctx, r, audit)
	})
}

// LiftHold implements store.Privacy.
func (s *Store) LiftHold(ctx context.Context, user, hold auth.ID, audit auth.AuditEntry) error {
	return s.write(ctx, "lift hold", func(r runner) error {
		if n, err := exec(ctx, r, sqlDeleteHold, user.String(), hold.String()); err != nil || n == 0 {
			return orNotFound(err)
		}
		return insertAudit(ctx, r, audit)
	})
}

// HoldsOf implements store.Privacy.
func (s *Store) HoldsOf(ctx context.Context, user auth.ID) (holds []auth.LegalHold, err error) {
	err = s.read("holds of a person", func(r runner) error {
		return each(ctx, r, sqlHoldsOf, []any{user.String()}, func(scan func(...any) error) error {
			var h auth.LegalHold
			err := scan((*uuid)(&h.ID), (*uuid)(&h.UserID), &h.Reason, &h.PlacedBy, (*micros)(&h.PlacedAt))
			holds = append(holds, h)
			return err
		})
	})
	return holds, err
}
