package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// startSession: the UPDATE waits for whoever is changing the account and then looks at
// the newest row, so a ban or a deletion that was first wins, and the session is not
// even inserted. xmax tells a device that was inserted from one that was there; one that
// was seen today is neither, and costs no write.
const startSession = `
WITH u AS (
	UPDATE auth.users SET last_sign_in_at = $2,
		encrypted_password = CASE WHEN $20::text <> '' AND encrypted_password = $21::text THEN $20::text ELSE encrypted_password END
	WHERE id = $14 AND deleted_at IS NULL AND is_active AND (banned_until IS NULL OR banned_until <= $2)
	RETURNING id
), i AS (
	UPDATE auth.identities SET last_sign_in_at = $2
	FROM u WHERE identities.user_id = u.id AND provider = $19
), k AS (
	INSERT INTO auth.known_devices AS k (user_id, device, first_seen_at, last_seen_at)
	SELECT id, $22, $2, $2 FROM u WHERE $22::text <> ''
	ON CONFLICT (user_id, device) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at
		WHERE k.last_seen_at < EXCLUDED.last_seen_at - interval '1 day'
	RETURNING xmax = 0 AS added
), o AS (
	INSERT INTO auth.outbox (id, channel, kind, sealed, created_at, not_before)
	SELECT $23::uuid, $24, $25, $26::bytea, $2, $2 FROM k
	WHERE added AND $23 IS NOT NULL AND EXISTS (SELECT FROM auth.known_devices e WHERE e.user_id = $14)
),` + sessionTenant + `,` + insertSession + `,` + insertAudit + `
SELECT (SELECT count(*) FROM u), (SELECT w.tenant_id FROM w), (SELECT w.role FROM w)`

// StartSession implements store.Sessions.
func (s *Store) StartSession(ctx context.Context, st auth.SessionStart) (auth.Session, error) {
	args := append(append(sessionArgs(&st.Session), uuid(st.Session.UserID)), auditArgs(st.Audit)...)
	args = append(args, st.Identity, st.Rehash, st.RehashFrom, st.Device)
	if n := st.NewDevice; n != nil {
		args = append(args, uuid(n.ID), n.Channel, n.Kind, n.Sealed)
	} else {
		args = append(args, nil, "", "", []byte{})
	}
	var found int64
	started := st.Session
	row := s.pool.QueryRow(ctx, startSession, args...)
	if err := row.Scan(&found, (*reference)(&started.TenantID), (*text)(&started.TenantRole)); err != nil {
		return auth.Session{}, storeError("start session", err)
	}
	if found == 0 {
		return auth.Session{}, auth.ErrNotFound
	}
	return started, nil
}

const (
	// endOne ends one session. Only that row is locked: of two calls one finds it gone.
	endOne = `
WITH u AS (
	DELETE FROM auth.sessions s USING auth.users owner
	WHERE s.id = $5 AND s.user_id = $6 AND owner.id = s.user_id AND owner.deleted_at IS NULL
	RETURNING s.id
), ` + endAudit + `
SELECT 1, count(*) FROM u`

	// endMany locks the account before the caller's session, and that before the others:
	// two devices that sign out everywhere at once would wait for each other otherwise.
	endMany = `
WITH owner AS (
	SELECT id FROM auth.users WHERE id = $6 AND deleted_at IS NULL FOR NO KEY UPDATE
), u AS (
	SELECT s.id, s.user_id FROM auth.sessions s JOIN owner ON owner.id = s.user_id WHERE s.id = $5 FOR UPDATE OF s
), d AS (
	DELETE FROM auth.sessions s USING u WHERE s.user_id = u.user_id AND ($7::boolean OR s.id <> u.id)
	RETURNING s.id
), ` + endAudit + `
SELECT (SELECT count(*) FROM u), (SELECT count(*) FROM d)`

	endAudit = `a AS (
	INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
	SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
	FROM u, unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS e (id, at, payload, ip)
)`
)

// EndSessions implements store.Sessions.
func (s *Store) EndSessions(ctx context.Context, e auth.EndSessions) (int64, error) {
	args := append(auditArgs(e.Audit), uuid(e.SessionID), uuid(e.UserID))
	sql := endMany
	switch e.Which {
	case auth.RevokeOne:
		sql = endOne
	case auth.RevokeOthers, auth.RevokeAll:
		args = append(args, e.Which == auth.RevokeAll)
	default:
		return 0, errors.New("postgres: end sessions: nothing to end")
	}
	var own, ended int64
	if err := s.pool.QueryRow(ctx, sql, args...).Scan(&own, &ended); err != nil {
		return 0, storeError("end sessions", err)
	}
	if own == 0 || e.Which == auth.RevokeOne && ended == 0 {
		return 0, auth.ErrNotFound
	}
	return ended, nil
}

const deleteOldDevices = `
DELETE FROM auth.known_devices WHERE ctid IN (
	SELECT ctid FROM auth.known_devices WHERE last_seen_at < $1 ORDER BY last_seen_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// DeleteOldDevices implements store.Cleaner.
func (s *Store) DeleteOldDevices(ctx context.Context, before time.Time, limit int) (int64, error) {
	tag, err := s.pool.Exec(ctx, deleteOldDevices, timestamp(before), int64(limit))
	if err != nil {
		return 0, storeError("delete old devices", err)
	}
	return tag.RowsAffected(), nil
}

// DeleteEndedSessions implements store.Cleaner. A session that somebody is using right
// now is left for the next time.
func (s *Store) DeleteEndedSessions(ctx context.Context, endedBefore, createdBefore, idleBefore time.Time, limit int) (int64, error) {
	args := []any{int64(limit)}
	var ended []string
	for _, c := range []struct {
		before    time.Time
		condition string
	}{
		{endedBefore, "not_after < $%d"},
		{createdBefore, "created_at < $%d"},
		{idleBefore, "coalesce(refreshed_at AT TIME ZONE 'utc', created_at) < $%d"},
	} {
		if !c.before.IsZero() { // left out, an index can serve the others
			args = append(args, timestamp(c.before))
			ended = append(ended, fmt.Sprintf(c.condition, len(args)))
		}
	}
	if len(ended) == 0 || limit <= 0 {
		return 0, nil
	}
	tag, err := s.pool.Exec(ctx, `DELETE FROM auth.sessions WHERE id = ANY (ARRAY(
		SELECT id FROM auth.sessions WHERE `+strings.Join(ended, " OR ")+` LIMIT $1 FOR UPDATE SKIP LOCKED))`, args...)
	if err != nil {
		return 0, storeError("delete ended sessions", err)
	}
	return tag.RowsAffected(), nil
}
