package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	identifierColumns = `id, user_id, kind, value, verified_at, CASE WHEN verified_at IS NULL THEN expires_at END, created_at`

	sqlIdentifiersOf = `SELECT ` + identifierColumns + ` FROM user_identifiers WHERE user_id = ? ORDER BY created_at, id`
	sqlOwner         = `SELECT 1 FROM users WHERE id = ? AND deleted_at IS NULL`
	sqlOthersOf      = `SELECT count(*) FILTER (WHERE NOT (kind = ?2 AND value = ?3)), coalesce(max(sent_at), 0)
		FROM user_identifiers WHERE user_id = ?1`
	sqlPropose = `INSERT INTO user_identifiers (id, user_id, kind, value, code_hash, expires_at, sent_at, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
		ON CONFLICT (user_id, kind, value) DO UPDATE SET code_hash = excluded.code_hash, expires_at = excluded.expires_at,
			sent_at = excluded.sent_at, attempts = 0 WHERE verified_at IS NULL`
	sqlWaiting = `SELECT ` + identifierColumns + `, code_hash, attempts FROM user_identifiers
		WHERE id = ?1 AND user_id = ?2 AND verified_at IS NULL AND expires_at > ?3`
	sqlAddressTaken = `SELECT EXISTS (SELECT 1 FROM users WHERE email = ?2 AND is_sso_user = 0 AND ?1 = 'email' AND id <> ?3)
		OR EXISTS (SELECT 1 FROM users WHERE phone = ?2 AND ?1 = 'phone' AND id <> ?3)
		OR EXISTS (SELECT 1 FROM user_identifiers WHERE kind = ?1 AND value = ?2 AND verified_at IS NOT NULL AND user_id <> ?3)`
	sqlProved    = `UPDATE user_identifiers SET verified_at = ?2, expires_at = NULL, code_hash = '' WHERE id = ?1`
	sqlWrongCode = `UPDATE user_identifiers SET attempts = attempts + 1,
		code_hash = CASE WHEN attempts + 1 >= ?2 THEN '' ELSE code_hash END WHERE id = ?1`
	sqlDeleteIdentifier  = `DELETE FROM user_identifiers WHERE id = ?1 AND user_id = ?2`
	sqlDeleteIdentifiers = `DELETE FROM user_identifiers WHERE user_id = ?`
	sqlPromotable        = `SELECT kind, value FROM user_identifiers WHERE id = ?1 AND user_id = ?2 AND verified_at IS NOT NULL`
	sqlFormer            = `INSERT INTO user_identifiers (id, user_id, kind, value, verified_at, sent_at, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)`
	sqlDeleteOldIdentifiers = `DELETE FROM user_identifiers WHERE id IN (
		SELECT id FROM user_identifiers WHERE verified_at IS NULL AND expires_at < ?1 ORDER BY expires_at LIMIT ?2)`
	sqlTouchUser = `UPDATE users SET updated_at = ?2 WHERE id = ?1`
)

func identifierDest(i *auth.Identifier) []any {
	return []any{
		(*uuid)(&i.ID), (*uuid)(&i.UserID), &i.Kind, &i.Value, (*micros)(&i.VerifiedAt), (*micros)(&i.ExpiresAt), (*micros)(&i.CreatedAt),
	}
}

// IdentifiersOf implements store.Identifiers.
func (s *Store) IdentifiersOf(ctx context.Context, user auth.ID) ([]auth.Identifier, error) {
	var found []auth.Identifier
	err := s.read("identifiers of a user", func(r runner) error {
		return each(ctx, r, sqlIdentifiersOf, []any{user.String()}, func(scan func(...any) error) error {
			var i auth.Identifier
			err := scan(identifierDest(&i)...)
			found = append(found, i)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// owned runs f as one write for an account with a living session.
func (s *Store) owned(ctx context.Context, op string, user, session auth.ID, f func(r runner) error) error {
	return s.write(ctx, op, func(r runner) error {
		var exists int
		if err := one(ctx, r, sqlOwner, []any{user.String()}, &exists); err != nil {
			return err
		}
		if !session.IsZero() {
			if err := hasSession(ctx, r, session, user); err != nil {
				return err
			}
		}
		return f(r)
	})
}

// noted writes what comes of a change of identifiers.
func noted(ctx context.Context, r runner, user auth.ID, now time.Time, messages []auth.Message, audit auth.AuditEntry) error {
	if _, err := exec(ctx, r, sqlTouchUser, user.String(), at(now)); err != nil {
		return err
	}
	if err := insertMessages(ctx, r, messages); err != nil {
		return err
	}
	return insertAudit(ctx, r, audit)
}

// ProposeIdentifier implements store.Identifiers.
func (s *Store) ProposeIdentifier(ctx context.Context, p auth.IdentifierProposal) error {
	i := &p.Identifier
	return s.owned(ctx, "propose identifier", i.UserID, p.RequireSession, func(r runner) error {
		var (
			others int
			sent   micros
		)
		if err := one(ctx, r, sqlOthersOf, []any{i.UserID.String(), i.Kind, i.Value}, &others, &sent); err != nil {
			return err
		}
		switch {
		case !p.NotSince.IsZero() && time.Time(sent).After(p.NotSince):
			return auth.ErrTooSoon
		case others >= p.Max:
			return auth.ErrConflict
		}
		if _, err := exec(ctx, r, sqlPropose, i.ID.String(), i.UserID.String(), i.Kind, i.Value, p.CodeHash, at(i.ExpiresAt),
			at(i.CreatedAt)); err != nil {
			return err
		}
		return noted(ctx, r, i.UserID, i.CreatedAt, p.Messages, p.Audit)
	})
}

// ProveIdentifier implements store.Identifiers. The write lock of the file is what the
// locks of addresses are on PostgreSQL.
func (s *Store) ProveIdentifier(ctx context.Context, p auth.IdentifierProof) (auth.Identifier, error) {
	var (
		i       auth.Identifier
		outcome error // of what is committed all the same
	)
	err := s.owned(ctx, "prove identifier", p.UserID, p.RequireSession, func(r runner) error {
		var (
			hash     string
			attempts int
			taken    bool
		)
		if err := one(ctx, r, sqlWaiting, []any{p.ID.String(), p.UserID.String(), at(p.At)},
			append(identifierDest(&i), &hash, &attempts)...); err != nil {
			return err
		}
		if hash == "" || !slices.Contains(p.CodeHashes, hash) {
			outcome = auth.ErrNotFound
			_, err := exec(ctx, r, sqlWrongCode, p.ID.String(), p.MaxAttempts)
			return err
		}
		if err := one(ctx, r, sqlAddressTaken, []any{i.Kind, i.Value, p.UserID.String()}, &taken); err != nil {
			return err
		}
		if taken {
			outcome = auth.TakenError(i.Kind)
			_, err := exec(ctx, r, sqlDeleteIdentifier, p.ID.String(), p.UserID.String())
			return err
		}
		if _, err := exec(ctx, r, sqlProved, p.ID.String(), at(p.At)); err != nil {
			return err
		}
		i.VerifiedAt, i.ExpiresAt = p.At, time.Time{}
		return noted(ctx, r, p.UserID, p.At, p.Messages, p.Audit)
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
	var after auth.User
	err := s.owned(ctx, "promote identifier", p.UserID, p.Patch.RequireSession, func(r runner) error {
		var kind, value string
		if err := one(ctx, r, sqlPromotable, []any{p.ID.String(), p.UserID.String()}, &kind, &value); err != nil {
			return err
		}
		var u auth.User
		if err := one(ctx, r, sqlUserByID, []any{p.UserID.String()}, userDest(&u)...); err != nil {
			return err
		}
		if !p.Patch.Gives(kind, value) || !p.Patch.RequireUpdatedAt.IsZero() && !p.Patch.RequireUpdatedAt.Equal(u.UpdatedAt) {
			return auth.ErrNotFound
		}
		if err := applyPatch(ctx, r, &u, &p.Patch); err != nil {
			return err
		}
		if f := &p.Former; f.Value != "" {
			if _, err := exec(ctx, r, sqlFormer, f.ID.String(), p.UserID.String(), f.Kind, f.Value, at(f.VerifiedAt), at(f.CreatedAt)); err != nil {
				return err
			}
		}
		if _, err := exec(ctx, r, sqlDeleteTokens, p.UserID.String()); err != nil {
			return err
		}
		if err := insertMessages(ctx, r, p.Patch.Messages); err != nil {
			return err
		}
		if err := insertAudit(ctx, r, p.Patch.Audit...); err != nil {
			return err
		}
		return one(ctx, r, sqlUserByID, []any{p.UserID.String()}, userDest(&after)...)
	})
	return after, err
}

// RemoveIdentifier implements store.Identifiers.
func (s *Store) RemoveIdentifier(ctx context.Context, rm auth.IdentifierRemoval) error {
	return s.owned(ctx, "remove identifier", rm.UserID, rm.RequireSession, func(r runner) error {
		n, err := exec(ctx, r, sqlDeleteIdentifier, rm.ID.String(), rm.UserID.String())
		if err != nil || n == 0 {
			return orNotFound(err)
		}
		if _, err := exec(ctx, r, sqlDeleteTokens, rm.UserID.String()); err != nil {
			return err
		}
		return noted(ctx, r, rm.UserID, rm.At, rm.Messages, rm.Audit)
	})
}
