package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	erasureColumns = `id, user_id, actor_id, reason, steps, begun_at, finished_at`

	sqlErasureOf   = `SELECT ` + erasureColumns + ` FROM erasures WHERE user_id = ?`
	sqlErasureByID = `SELECT ` + erasureColumns + ` FROM erasures WHERE id = ?`
	sqlErasures    = `SELECT ` + erasureColumns + ` FROM erasures WHERE ?1 = 0 OR finished_at IS NULL ORDER BY begun_at DESC, id DESC LIMIT ?2`

	sqlInsertErasure = `INSERT INTO erasures (id, user_id, actor_id, reason, steps, begun_at, next_at, finished_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	// For an account that an operator has made anew under the id of one that was deleted with
	// its row: what became of that one must not stand for this one.
	sqlForgetErase   = `DELETE FROM erasures WHERE user_id = ?`
	sqlUpdateErasure = `UPDATE erasures SET steps = ?2, next_at = ?3, finished_at = ?4 WHERE id = ?1`

	sqlErasureDue = `SELECT 1 FROM erasures WHERE finished_at IS NULL AND next_at <= ?1 AND (leased_until IS NULL OR leased_until <= ?1) LIMIT 1`
	sqlClaimErase = `UPDATE erasures SET leased_until = ?2 WHERE id IN (
			SELECT id FROM erasures WHERE finished_at IS NULL AND next_at <= ?1 AND (leased_until IS NULL OR leased_until <= ?1)
			ORDER BY next_at, id LIMIT ?3)
		RETURNING ` + erasureColumns
	sqlReleaseErase = `UPDATE erasures SET leased_until = NULL WHERE id = ?`

	sqlErasable = `SELECT deleted_at IS NULL, EXISTS (SELECT 1 FROM sessions s WHERE s.id = ?2 AND s.user_id = u.id),
			EXISTS (SELECT 1 FROM legal_holds h WHERE h.user_id = u.id) FROM users u WHERE u.id = ?1`
	// What is left tells that there was an account, since when, and nothing of whose.
	sqlEraseUser = `UPDATE users SET deleted_at = coalesce(deleted_at, ?2), updated_at = ?2, email = NULL, phone = NULL,
			encrypted_password = NULL, raw_app_meta_data = '{}', raw_user_meta_data = '{}', email_confirmed_at = NULL,
			phone_confirmed_at = NULL, invited_at = NULL, confirmation_sent_at = NULL, recovery_sent_at = NULL, email_change = '',
			email_change_sent_at = NULL, phone_change = '', phone_change_sent_at = NULL, reauthentication_sent_at = NULL,
			last_sign_in_at = NULL, banned_until = NULL, confirmation_token = '', recovery_token = '', email_change_token_new = '',
			email_change_token_current = '', phone_change_token = '', reauthentication_token = '', email_change_confirm_status = 0,
			is_active = 0
		WHERE id = ?1`

	sqlSubjects   = `SELECT provider, provider_id FROM identities WHERE user_id = ?`
	sqlBury       = `INSERT INTO tombstones (subject, deleted_at) VALUES (?, ?) ON CONFLICT DO NOTHING`
	sqlTombstoned = `SELECT EXISTS (SELECT 1 FROM tombstones WHERE subject IN (SELECT value FROM json_each(?)))`
	sqlIsLiving   = `SELECT EXISTS (SELECT 1 FROM legal_holds h WHERE h.user_id = u.id) FROM users u WHERE id = ? AND deleted_at IS NULL`
)

// opensSomething are the tables that are emptied at once, each by the id of the account.
func opensSomething() []string {
	return []string{"sessions", "one_time_tokens", "flow_state", "mfa_factors", "identities", "user_identifiers", "external_subjects"}
}

// bury remembers the subjects of an account that is about to go.
func bury(ctx context.Context, r runner, user auth.ID, now time.Time) error {
	subjects := []string{user.String()}
	err := each(ctx, r, sqlSubjects, []any{user.String()}, func(scan func(...any) error) error {
		var provider, id string
		err := scan(&provider, &id)
		subjects = append(subjects, auth.TombstoneOf(provider, id))
		return err
	})
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		if _, err := exec(ctx, r, sqlBury, subject, at(now)); err != nil {
			return err
		}
	}
	return nil
}

// mayDelete refuses to delete an account under a legal hold, and buries it otherwise.
func mayDelete(ctx context.Context, r runner, user auth.ID, now time.Time) error {
	var held bool
	if err := one(ctx, r, sqlIsLiving, []any{user.String()}, &held); err != nil {
		return err
	}
	if held {
		return auth.ErrHeld
	}
	return bury(ctx, r, user, now)
}

// BeginErasure implements store.Privacy.
func (s *Store) BeginErasure(ctx context.Context, b auth.BeginErasure) (e auth.Erasure, begun bool, err error) {
	err = s.write(ctx, "begin erasure", func(r runner) error {
		user := b.Erasure.UserID.String()
		var there, session, held bool
		missing := one(ctx, r, sqlErasable, []any{user, b.RequireSession.String()}, &there, &session, &held)
		if missing != nil && !isNotFound(missing) {
			return missing
		}
		if !there {
			if e, err = findErasure(ctx, r, sqlErasureOf, b.Erasure.UserID); !isNotFound(err) {
				return err
			}
		}
		switch {
		case missing != nil:
			return auth.ErrNotFound
		case !b.RequireSession.IsZero() && (!there || !session):
			return auth.ErrNotFound
		case held:
			return auth.ErrHeld
		}
		if _, err := exec(ctx, r, sqlForgetErase, user); err != nil {
			return err
		}
		if err := bury(ctx, r, b.Erasure.UserID, b.Erasure.BegunAt); err != nil {
			return err
		}
		for _, table := range opensSomething() {
			if _, err := exec(ctx, r, `DELETE FROM `+table+` WHERE user_id = ?`, user); err != nil {
				return err
			}
		}
		if _, err := exec(ctx, r, sqlEraseUser, user, at(b.Erasure.BegunAt)); err != nil {
			return err
		}
		e, begun = b.Erasure, true
		steps, err := json.Marshal(e.Steps)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, r, sqlInsertErasure, e.ID.String(), user, idOrNull(e.ActorID), e.Reason, string(steps), at(e.BegunAt),
			at(e.NextAt()), at(e.FinishedAt)); err != nil {
			return err
		}
		return insertAudit(ctx, r, b.Audit)
	})
	if err != nil {
		return auth.Erasure{}, false, err
	}
	return e, begun, nil
}

func scanErasure(scan func(...any) error) (e auth.Erasure, err error) {
	var steps object
	if err := scan((*uuid)(&e.ID), (*uuid)(&e.UserID), (*uuid)(&e.ActorID), &e.Reason, &steps, (*micros)(&e.BegunAt), (*micros)(&e.FinishedAt)); err != nil {
		return auth.Erasure{}, err
	}
	if err := json.Unmarshal(steps, &e.Steps); err != nil {
		return auth.Erasure{}, fmt.Errorf("steps of an erasure: %w", err)
	}
	return e, nil
}

func findErasure(ctx context.Context, r runner, query string, id auth.ID) (auth.Erasure, error) {
	return scanErasure(func(dest ...any) error { return one(ctx, r, query, []any{id.String()}, dest...) })
}

// ErasureOf implements store.Privacy.
func (s *Store) ErasureOf(ctx context.Context, user auth.ID) (e auth.Erasure, err error) {
	err = s.read("erasure of a person", func(r runner) error {
		e, err = findErasure(ctx, r, sqlErasureOf, user)
		return err
	})
	return e, err
}

// ErasureByID implements store.Privacy.
func (s *Store) ErasureByID(ctx context.Context, id auth.ID) (e auth.Erasure, err error) {
	err = s.read("erasure by id", func(r runner) error {
		e, err = findErasure(ctx, r, sqlErasureByID, id)
		return err
	})
	return e, err
}

// Erasures implements store.Privacy.
func (s *Store) Erasures(ctx context.Context, q auth.ErasureQuery) (found []auth.Erasure, err error) {
	err = s.read("list erasures", func(r runner) error {
		found, err = collectErasures(ctx, r, sqlErasures, flag(q.Open), int64(min(max(q.Limit, 1), maxPage)))
		return err
	})
	return found, err
}

func collectErasures(ctx context.Context, r runner, query string, args ...any) (found []auth.Erasure, err error) {
	err = each(ctx, r, query, args, func(scan func(...any) error) error {
		e, err := scanErasure(scan)
		found = append(found, e)
		return err
	})
	return found, err
}

// ClaimErasures implements store.Privacy. Looking whether there is anything runs on the
// readers, so that idle jobs never take the write lock.
func (s *Store) ClaimErasures(ctx context.Context, now time.Time, lease time.Duration, limit int) (found []auth.Erasure, err error) {
	const op = "claim erasures"
	var due int
	err = s.read(op, func(r runner) error { return one(ctx, r, sqlErasureDue, []any{at(now)}, &due) })
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = s.write(ctx, op, func(r runner) error {
		found, err = collectErasures(ctx, r, sqlClaimErase, at(now), at(now.Add(lease)), int64(limit))
		return err
	})
	return found, err
}

// ReleaseErasure implements store.Privacy.
func (s *Store) ReleaseErasure(ctx context.Context, id auth.ID) error {
	return s.write(ctx, "release erasure", func(r runner) error {
		_, err := exec(ctx, r, sqlReleaseErase, id.String())
		return err
	})
}

// Tombstoned implements store.Privacy.
func (s *Store) Tombstoned(ctx context.Context, subjects []string) (yes bool, err error) {
	err = s.read("tombstoned", func(r runner) error {
		yes, err = buried(ctx, r, subjects)
		return err
	})
	return yes, err
}

func buried(ctx context.Context, r runner, subjects []string) (yes bool, err error) {
	given, err := list(subjects)
	if err != nil {
		return false, fmt.Errorf("tombstones: %w", err)
	}
	return yes, one(ctx, r, sqlTombstoned, []any{given}, &yes)
}
