package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Deletion is rare, and has much to do: it is a transaction of some statements, which locks
// the account first, as every change of one does. Whoever waited sees what the other has
// done: each statement has a snapshot of its own.
const (
	erasureColumns = `e.id, e.user_id, e.actor_id, e.reason, e.steps, e.begun_at, e.finished_at`

	erasureOf   = `SELECT ` + erasureColumns + ` FROM auth.erasures e WHERE e.user_id = $1`
	erasureByID = `SELECT ` + erasureColumns + ` FROM auth.erasures e WHERE e.id = $1`
	lockErasure = erasureByID + ` FOR UPDATE`
	erasures    = `SELECT ` + erasureColumns + ` FROM auth.erasures e WHERE NOT $1::boolean OR e.finished_at IS NULL ORDER BY e.begun_at DESC, e.id DESC LIMIT $2`

	insertErasure = `
INSERT INTO auth.erasures (id, user_id, actor_id, reason, steps, begun_at, next_at, finished_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	// forgetErasure is for an account that an operator has made anew under the id of one that
	// was deleted with its row: what became of that one must not stand for this one.
	forgetErasure = `DELETE FROM auth.erasures WHERE user_id = $1`
	updateErasure = `UPDATE auth.erasures SET steps = $2, next_at = $3, finished_at = $4 WHERE id = $1`

	claimErasures = `
WITH c AS (
	SELECT id FROM auth.erasures WHERE finished_at IS NULL AND next_at <= $1 AND (leased_until IS NULL OR leased_until <= $1)
	ORDER BY next_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE auth.erasures e SET leased_until = $2 FROM c WHERE e.id = c.id
RETURNING ` + erasureColumns
	releaseErasure = `UPDATE auth.erasures SET leased_until = NULL WHERE id = $1`

	erasable = `SELECT deleted_at IS NULL, EXISTS (SELECT FROM auth.sessions s WHERE s.id = $2 AND s.user_id = u.id),
	EXISTS (SELECT FROM auth.legal_holds h WHERE h.user_id = u.id) FROM auth.users u WHERE u.id = $1`

	// What is left tells that there was an account, since when, and nothing of whose.
	eraseUser = `
UPDATE auth.users SET deleted_at = coalesce(deleted_at, $2), updated_at = $2, email = NULL, phone = NULL, encrypted_password = '',
	raw_app_meta_data = '{}', raw_user_meta_data = '{}', email_confirmed_at = NULL, phone_confirmed_at = NULL, invited_at = NULL,
	confirmation_sent_at = NULL, recovery_sent_at = NULL, email_change = '', email_change_sent_at = NULL, phone_change = '',
	phone_change_sent_at = NULL, reauthentication_sent_at = NULL, last_sign_in_at = NULL, banned_until = NULL,
	confirmation_token = '', recovery_token = '', email_change_token_new = '', email_change_token_current = '',
	phone_change_token = '', reauthentication_token = '', email_change_confirm_status = 0, is_active = false
WHERE id = $1`

	// bury remembers the subjects of an account that is about to go, in the words of
	// auth.TombstoneOf.
	bury = `
INSERT INTO auth.tombstones (subject, deleted_at)
SELECT $1::uuid::text, $2::timestamptz
UNION SELECT encode(sha256(convert_to(i.provider || E'\n' || i.provider_id, 'UTF8')), 'hex'), $2 FROM auth.identities i WHERE i.user_id = $1
ON CONFLICT DO NOTHING`

	// buryLiving is bury for a batch that deletes the account if it may.
	buryLiving = `
INSERT INTO auth.tombstones (subject, deleted_at)
SELECT s.subject, $2::timestamptz FROM auth.users u CROSS JOIN LATERAL (
	SELECT u.id::text AS subject
	UNION SELECT encode(sha256(convert_to(i.provider || E'\n' || i.provider_id, 'UTF8')), 'hex') FROM auth.identities i WHERE i.user_id = u.id) s
WHERE u.id = $1 AND u.deleted_at IS NULL AND NOT EXISTS (SELECT FROM auth.legal_holds h WHERE h.user_id = u.id)
ON CONFLICT DO NOTHING`

	tombstoned = `SELECT EXISTS (SELECT FROM auth.tombstones WHERE subject = ANY ($1::text[]))`
)

// opensSomething are the tables that are emptied at once, each by the id of the account.
func opensSomething() []string {
	return []string{"sessions", "one_time_tokens", "flow_state", "mfa_factors", "identities", "user_identifiers", "external_subjects"}
}

// BeginErasure implements store.Privacy.
func (s *Store) BeginErasure(ctx context.Context, b auth.BeginErasure) (e auth.Erasure, begun bool, err error) {
	err = unlocked(func() error {
		return s.tx(ctx, "begin erasure", func(tx pgx.Tx) error {
			e, begun, err = beginErasure(ctx, tx, &b)
			return err
		})
	})
	return e, begun, err
}

func beginErasure(ctx context.Context, tx pgx.Tx, b *auth.BeginErasure) (auth.Erasure, bool, error) {
	user := uuid(b.Erasure.UserID)
	if _, err := tx.Exec(ctx, lockOwner, user); err != nil {
		return auth.Erasure{}, false, err
	}
	var there, session, held bool
	missing := tx.QueryRow(ctx, erasable, user, uuid(b.RequireSession)).Scan(&there, &session, &held)
	if missing != nil && !isNoRows(missing) {
		return auth.Erasure{}, false, missing
	}
	if !there {
		old, err := scanErasure(tx.QueryRow(ctx, erasureOf, user))
		if err == nil || !isNoRows(err) {
			return old, false, err
		}
	}
	switch {
	case missing != nil:
		return auth.Erasure{}, false, auth.ErrNotFound
	case !b.RequireSession.IsZero() && (!there || !session):
		return auth.Erasure{}, false, auth.ErrNotFound
	case held:
		return auth.Erasure{}, false, auth.ErrHeld
	}
	at := timestamp(b.Erasure.BegunAt)
	if _, err := tx.Exec(ctx, forgetErasure, user); err != nil {
		return auth.Erasure{}, false, err
	}
	if _, err := tx.Exec(ctx, bury, user, at); err != nil {
		return auth.Erasure{}, false, err
	}
	for _, table := range opensSomething() {
		if _, err := tx.Exec(ctx, `DELETE FROM auth.`+table+` WHERE user_id = $1`, user); err != nil {
			return auth.Erasure{}, false, err
		}
	}
	if _, err := tx.Exec(ctx, eraseUser, user, at); err != nil {
		return auth.Erasure{}, false, err
	}
	e := b.Erasure
	steps, err := json.Marshal(e.Steps)
	if err != nil {
		return auth.Erasure{}, false, err
	}
	if _, err := tx.Exec(ctx, insertErasure, uuid(e.ID), user, uuid(e.ActorID), e.Reason, steps, at, timestamp(e.NextAt()), timestamp(e.FinishedAt)); err != nil {
		return auth.Erasure{}, false, err
	}
	_, err = tx.Exec(ctx, writeAudit, auditArgs(b.Audit)...)
	return e, true, err
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

func scanErasure(row pgx.Row) (auth.Erasure, error) {
	var (
		e     auth.Erasure
		steps []byte
	)
	if err := row.Scan((*[16]byte)(&e.ID), (*[16]byte)(&e.UserID), (*reference)(&e.ActorID), &e.Reason, &steps,
		(*moment)(&e.BegunAt), (*moment)(&e.FinishedAt)); err != nil {
		return auth.Erasure{}, err
	}
	if err := json.Unmarshal(steps, &e.Steps); err != nil {
		return auth.Erasure{}, fmt.Errorf("steps of an erasure: %w", err)
	}
	return e, nil
}

// ErasureOf implements store.Privacy.
func (s *Store) ErasureOf(ctx context.Context, user auth.ID) (auth.Erasure, error) {
	return s.findErasure(ctx, erasureOf, user)
}

// ErasureByID implements store.Privacy.
func (s *Store) ErasureByID(ctx context.Context, id auth.ID) (auth.Erasure, error) {
	return s.findErasure(ctx, erasureByID, id)
}

func (s *Store) findErasure(ctx context.Context, query string, id auth.ID) (auth.Erasure, error) {
	e, err := scanErasure(s.pool.QueryRow(ctx, query, uuid(id)))
	if err != nil {
		return auth.Erasure{}, storeError("find erasure", err)
	}
	return e, nil
}

// Erasures implements store.Privacy.
func (s *Store) Erasures(ctx context.Context, q auth.ErasureQuery) ([]auth.Erasure, error) {
	return s.collectErasures(ctx, "list erasures", erasures, q.Open, int64(min(max(q.Limit, 1), maxPage)))
}

func (s *Store) collectErasures(ctx context.Context, what, query string, args ...any) ([]auth.Erasure, error) {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, storeError(what, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (auth.Erasure, error) { return scanErasure(row) })
	if err != nil {
		return nil, storeError(what, err)
	}
	return list, nil
}

// ClaimErasures implements store.Privacy.
func (s *Store) ClaimErasures(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]auth.Erasure, error) {
	return s.collectErasures(ctx, "claim erasures", claimErasures, timestamp(now), timestamp(now.Add(lease)), int64(limit))
}

// ReleaseErasure implements store.Privacy.
func (s *Store) ReleaseErasure(ctx context.Context, id auth.ID) error {
	if _, err := s.pool.Exec(ctx, releaseErasure, uuid(id)); err != nil {
		return storeError("release erasure", err)
	}
	return nil
}

// Tombstoned implements store.Privacy.
func (s *Store) Tombstoned(ctx context.Context, subjects []string) (bool, error) {
	var yes bool
	if err := s.pool.QueryRow(ctx, tombstoned, subjects).Scan(&yes); err != nil {
		return false, storeError("tombstoned", err)
	}
	return yes, nil
}
