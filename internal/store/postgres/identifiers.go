package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Changes of identifiers are rare, and transactions. Locks are taken in the order account,
// then addresses, as a trigger of auth.users does.
const (
	identifierColumns = `id, user_id, kind, value, verified_at, CASE WHEN verified_at IS NULL THEN expires_at END, created_at`

	identifiersOf = `SELECT ` + identifierColumns + ` FROM auth.user_identifiers WHERE user_id = $1 ORDER BY created_at, id`

	lockInSession = `
SELECT u.id FROM auth.users u WHERE u.id = $1 AND u.deleted_at IS NULL
	AND ($2::uuid IS NULL OR EXISTS (SELECT FROM auth.sessions s WHERE s.id = $2 AND s.user_id = u.id)) FOR NO KEY UPDATE OF u`

	othersOf = `
SELECT count(*) FILTER (WHERE NOT (kind = $2 AND value = $3)), coalesce(bool_or(sent_at > $4::timestamptz), false)
FROM auth.user_identifiers WHERE user_id = $1`

	propose = `
INSERT INTO auth.user_identifiers (id, user_id, kind, value, code_hash, expires_at, sent_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (user_id, kind, value) DO UPDATE SET code_hash = excluded.code_hash, expires_at = excluded.expires_at,
	sent_at = excluded.sent_at, attempts = 0 WHERE user_identifiers.verified_at IS NULL`

	// The addresses are locked in the order of their locks, each once.
	lockAddresses = `
SELECT pg_advisory_xact_lock(1667330657, n) FROM (
	SELECT DISTINCT auth.cardea_identifier_lock(a) AS n FROM unnest($1::text[]) AS a ORDER BY 1) AS locks`

	waiting = `
SELECT ` + identifierColumns + `, code_hash, attempts FROM auth.user_identifiers
WHERE id = $1 AND user_id = $2 AND verified_at IS NULL AND expires_at > $3`

	addressTaken = `
SELECT EXISTS (SELECT FROM auth.users WHERE email = $2 AND is_sso_user = false AND $1 = 'email' AND id <> $3)
	OR EXISTS (SELECT FROM auth.users WHERE phone = $2 AND $1 = 'phone' AND id <> $3)
	OR EXISTS (SELECT FROM auth.user_identifiers WHERE kind = $1 AND value = $2 AND verified_at IS NOT NULL AND user_id <> $3)`

	proved = `UPDATE auth.user_identifiers SET verified_at = $2, expires_at = NULL, code_hash = '' WHERE id = $1`

	wrongIdentifierCode = `
UPDATE auth.user_identifiers SET attempts = attempts + 1, code_hash = CASE WHEN attempts + 1 >= $2 THEN '' ELSE code_hash END WHERE id = $1`

	deleteIdentifier  = `DELETE FROM auth.user_identifiers WHERE id = $1 AND user_id = $2`
	deleteIdentifiers = `DELETE FROM auth.user_identifiers WHERE user_id = $1 AND ` + changed

	promotable = `SELECT kind, value FROM auth.user_identifiers WHERE id = $1 AND user_id = $2 AND verified_at IS NOT NULL`

	former = `
INSERT INTO auth.user_identifiers (id, user_id, kind, value, verified_at, sent_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $6)`

	deleteOldIdentifiers = `
DELETE FROM auth.user_identifiers WHERE id IN (
	SELECT id FROM auth.user_identifiers WHERE verified_at IS NULL AND expires_at < $1 ORDER BY expires_at LIMIT $2)`

	touchUser = `UPDATE auth.users SET updated_at = $2 WHERE id = $1`
)

func scanIdentifier(row pgx.Row, i *auth.Identifier, more ...any) error {
	return row.Scan(append([]any{
		(*[16]byte)(&i.ID), (*[16]byte)(&i.UserID), &i.Kind, &i.Value, (*moment)(&i.VerifiedAt), (*moment)(&i.ExpiresAt), (*moment)(&i.CreatedAt),
	}, more...)...)
}

// IdentifiersOf implements store.Identifiers.
func (s *Store) IdentifiersOf(ctx context.Context, user auth.ID) ([]auth.Identifier, error) {
	rows, err := s.pool.Query(ctx, identifiersOf, uuid(user))
	if err != nil {
		return nil, storeError("identifiers of a user", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i auth.Identifier, err error) {
		return i, scanIdentifier(row, &i)
	})
	if err != nil {
		return nil, storeError("identifiers of a user", err)
	}
	return list, nil
}

// owned runs f in a transaction that holds the account, with a living session of it.
func (s *Store) owned(ctx context.Context, what string, user, session auth.ID, f func(pgx.Tx) error) error {
	return unlocked(func() error {
		return s.tx(ctx, what, func(tx pgx.Tx) error {
			var id [16]byte
			if err := tx.QueryRow(ctx, lockInSession, uuid(user), uuid(session)).Scan(&id); err != nil {
				return err
			}
			return f(tx)
		})
	})
}

// noted marks the account as changed by the transaction, and writes what comes of it.
func noted(ctx context.Context, tx pgx.Tx, user auth.ID, at time.Time, messages []auth.Message, audit ...auth.AuditEntry) error {
	var b pgx.Batch
	key := uuid(user)
	b.Queue(touchUser, key, timestamp(at))
	if len(messages) > 0 {
		b.Queue(enqueueWith, append(messageArgs(messages), key)...)
	}
	b.Queue(auditChange, append([]any{key}, auditArgs(audit...)...)...)
	return tx.SendBatch(ctx, &b).Close()
}

// ProposeIdentifier implements store.Identifiers.
func (s *Store) ProposeIdentifier(ctx context.Context, p auth.IdentifierProposal) error {
	i := &p.Identifier
	return s.owned(ctx, "propose identifier", i.UserID, p.RequireSession, func(tx pgx.Tx) error {
		var (
			others int
			soon   bool
		)
		err := tx.QueryRow(ctx, othersOf, uuid(i.UserID), i.Kind, i.Value, timestamp(p.NotSince)).Scan(&others, &soon)
		switch {
		case err != nil:
			return err
		case soon && !p.NotSince.IsZero():
			return auth.ErrTooSoon
		case others >= p.Max:
			return auth.ErrConflict
		}
		if _, err := tx.Exec(ctx, propose, uuid(i.ID), uuid(i.UserID), i.Kind, i.Value, p.CodeHash, timestamp(i.ExpiresAt),
			timestamp(i.CreatedAt)); err != nil {
			return err
		}
		return noted(ctx, tx, i.UserID, i.CreatedAt, p.Messages, p.Audit)
	})
}

// ProveIdentifier implements store.Identifiers.
func (s *Store) ProveIdentifier(ctx context.Context, p auth.IdentifierProof) (auth.Identifier, error) {
	var (
		i       auth.Identifier
		outcome error // of what is committed all the same
	)
	err := s.owned(ctx, "prove identifier", p.UserID, p.RequireSession, func(tx pgx.Tx) error {
		var (
			hash     string
			attempts int
		)
		if err := scanIdentifier(tx.QueryRow(ctx, waiting, uuid(p.ID), uuid(p.UserID), timestamp(p.At)), &i, &hash, &attempts); err != nil {
			return err
		}
		if hash == "" || !slices.Contains(p.CodeHashes, hash) {
			outcome = auth.ErrNotFound
			_, err := tx.Exec(ctx, wrongIdentifierCode, uuid(p.ID), p.MaxAttempts)
			return err
		}
		if _, err := tx.Exec(ctx, lockAddresses, []string{i.Value}); err != nil {
			return err
		}
		// A statement of its own, whose snapshot is from after the wait.
		var taken bool
		if err := tx.QueryRow(ctx, addressTaken, i.Kind, i.Value, uuid(p.UserID)).Scan(&taken); err != nil {
			return err
		}
		if taken {
			outcome = auth.TakenError(i.Kind)
			_, err := tx.Exec(ctx, deleteIdentifier, uuid(p.ID), uuid(p.UserID))
			return err
		}
		outcome = nil
		if _, err := tx.Exec(ctx, proved, uuid(p.ID), timestamp(p.At)); err != nil {
			return err
		}
		i.VerifiedAt, i.ExpiresAt = p.At, time.Time{}
		return noted(ctx, tx, p.UserID, p.At, p.Messages, p.Audit)
	})
	if err == nil {
		err = outcome
	}
	if err != nil {
		return auth.Identifier{}, err
	}
	return i, nil
}

// PromoteIdentifier implements store.Identifiers.
func (s *Store) PromoteIdentifier(ctx context.Context, p auth.IdentifierPromotion) (auth.User, error) {
	var u auth.User
	err := s.owned(ctx, "promote identifier", p.UserID, p.Patch.RequireSession, func(tx pgx.Tx) error {
		var kind, value string
		if err := tx.QueryRow(ctx, promotable, uuid(p.ID), uuid(p.UserID)).Scan(&kind, &value); err != nil {
			return err
		}
		if !p.Patch.Gives(kind, value) {
			return auth.ErrNotFound
		}
		addresses := []string{value}
		if p.Former.Value != "" { // nobody takes it between the two statements that move it
			addresses = append(addresses, p.Former.Value)
		}
		if _, err := tx.Exec(ctx, lockAddresses, addresses); err != nil {
			return err
		}
		return promote(ctx, tx, &p, &u)
	})
	return u, err
}

// promote writes the promotion under the locks of account and addresses.
func promote(ctx context.Context, tx pgx.Tx, p *auth.IdentifierPromotion, u *auth.User) error {
	var b pgx.Batch
	key := uuid(p.UserID)
	found, err := queuePatch(&b, p.UserID, &p.Patch)
	if err != nil {
		return err
	}
	if f := &p.Former; f.Value != "" {
		b.Queue(former, uuid(f.ID), key, f.Kind, f.Value, timestamp(f.VerifiedAt), timestamp(f.CreatedAt))
	}
	b.Queue(deleteTokens, key)
	if len(p.Patch.Messages) > 0 {
		b.Queue(enqueueWith, append(messageArgs(p.Patch.Messages), key)...)
	}
	b.Queue(auditChange, append([]any{key}, auditArgs(p.Patch.Audit...)...)...)
	b.Queue(userByID, key).QueryRow(func(row pgx.Row) error { return scanUser(row, u) })
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if !*found { // the account is another one than the caller saw: nothing of it happens
		return auth.ErrNotFound
	}
	return nil
}

// RemoveIdentifier implements store.Identifiers.
func (s *Store) RemoveIdentifier(ctx context.Context, r auth.IdentifierRemoval) error {
	return s.owned(ctx, "remove identifier", r.UserID, r.RequireSession, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, deleteIdentifier, uuid(r.ID), uuid(r.UserID))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return auth.ErrNotFound
		}
		if err := noted(ctx, tx, r.UserID, r.At, r.Messages, r.Audit); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, deleteTokens, uuid(r.UserID))
		return err
	})
}
