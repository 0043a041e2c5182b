package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlInsertSession = `INSERT INTO sessions (id, user_id, aal, user_agent, ip, created_at, updated_at, refreshed_at, not_after,
			refresh_token_counter, refresh_token_parent, name, tenant_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlInsertAMR = `INSERT INTO mfa_amr_claims (session_id, authentication_method, created_at, updated_at)
		VALUES (?1, ?2, ?3, ?3)`
	// One statement finds the account, checks the ban and notes the sign-in.
	sqlSignIn = `UPDATE users SET last_sign_in_at = ?2,
			encrypted_password = CASE WHEN ?3 <> '' AND encrypted_password = ?4 THEN ?3 ELSE encrypted_password END
		WHERE id = ?1 AND deleted_at IS NULL AND is_active = 1 AND (banned_until IS NULL OR banned_until <= ?2)`
	sqlIdentitySignIn = `UPDATE identities SET last_sign_in_at = ?3 WHERE user_id = ?1 AND provider = ?2`

	// openMembership holds for a membership ms in a tenant t at the moment ?2.
	openMembership = `t.is_active = 1 AND ms.state = 'active' AND (ms.ends_at IS NULL OR ms.ends_at > ?2)`

	sqlLastTenant = `SELECT ms.tenant_id, ms.role FROM memberships ms JOIN tenants t ON t.id = ms.tenant_id
		WHERE ms.user_id = ?1 AND ` + openMembership + ` AND ms.tenant_id = (
			SELECT s.tenant_id FROM sessions s WHERE s.user_id = ?1 ORDER BY s.created_at DESC, s.id DESC LIMIT 1)`
	sqlOnlyTenant = `SELECT max(tenant_id), max(role) FROM (
			SELECT ms.tenant_id, ms.role FROM memberships ms JOIN tenants t ON t.id = ms.tenant_id
			WHERE ms.user_id = ?1 AND ` + openMembership + ` LIMIT 2)
		HAVING count(*) = 1`

	sqlDevices   = `SELECT count(*) FROM (SELECT 1 FROM known_devices WHERE user_id = ? LIMIT 1)`
	sqlAddDevice = `INSERT INTO known_devices (user_id, device, first_seen_at, last_seen_at) VALUES (?1, ?2, ?3, ?3)
		ON CONFLICT (user_id, device) DO NOTHING`
	sqlSeeDevice = `UPDATE known_devices SET last_seen_at = ?3 WHERE user_id = ?1 AND device = ?2 AND last_seen_at < ?4`

	// Devices that have not been seen for long.
	sqlDeleteDevices = `DELETE FROM known_devices WHERE (user_id, device) IN (
			SELECT user_id, device FROM known_devices WHERE last_seen_at < ?1 ORDER BY last_seen_at LIMIT ?2)`

	sqlDeleteSession       = `DELETE FROM sessions WHERE id = ?2 AND user_id = ?1`
	sqlDeleteOtherSessions = `DELETE FROM sessions WHERE user_id = ?1 AND id <> ?2`
	sqlDeleteSessions      = `DELETE FROM sessions WHERE user_id = ?1`

	// The conditions on a session that has ended; ?1 to ?3 may be NULL, which is never true.
	sqlEnded = `(not_after < ?1 OR created_at < ?2 OR coalesce(refreshed_at, created_at) < ?3)`
	// not_after alone has an index.
	sqlFindEnded         = `SELECT id FROM sessions WHERE ` + sqlEnded + ` LIMIT ?4`
	sqlFindPastNotAfter  = `SELECT id FROM sessions WHERE not_after < ?1 AND not_after IS NOT NULL LIMIT ?2`
	sqlDeleteEndedByList = `DELETE FROM sessions WHERE ` + sqlEnded + ` AND id IN (SELECT value FROM json_each(?4))`
)

// insertSession puts the session into its tenant, see store.People, and says so in s. The
// memberships of the account have been written before.
func insertSession(ctx context.Context, r runner, s *auth.Session) error {
	if err := findTenant(ctx, r, s); err != nil {
		return err
	}
	if _, err := exec(ctx, r, sqlInsertSession, s.ID.String(), s.UserID.String(), str(s.AAL), str(s.UserAgent), str(s.IP),
		at(s.CreatedAt), at(s.UpdatedAt), at(s.RefreshedAt), at(s.NotAfter), s.Counter, s.Parent, str(s.Name), idOrNull(s.TenantID)); err != nil {
		return err
	}
	for _, a := range s.AMR {
		if _, err := exec(ctx, r, sqlInsertAMR, s.ID.String(), a.Method, at(a.At)); err != nil {
			return err
		}
	}
	return nil
}

// StartSession implements store.Sessions.
func (s *Store) StartSession(ctx context.Context, st auth.SessionStart) (auth.Session, error) {
	err := s.write(ctx, "start session", func(r runner) error {
		user, now := st.Session.UserID.String(), at(st.Session.CreatedAt)
		if n, err := exec(ctx, r, sqlSignIn, user, now, st.Rehash, st.RehashFrom); err != nil || n == 0 {
			return orNotFound(err)
		}
		if st.Identity != "" {
			if _, err := exec(ctx, r, sqlIdentitySignIn, user, st.Identity, now); err != nil {
				return err
			}
		}
		if err := insertSession(ctx, r, &st.Session); err != nil {
			return err
		}
		if err := noteDevice(ctx, r, &st, now); err != nil {
			return err
		}
		return insertAudit(ctx, r, st.Audit)
	})
	if err != nil {
		return auth.Session{}, err
	}
	return st.Session, nil
}

// findTenant looks for the tenant that a new session begins in.
func findTenant(ctx context.Context, r runner, s *auth.Session) error {
	s.TenantID, s.TenantRole = auth.ID{}, ""
	user, now := s.UserID.String(), at(s.CreatedAt)
	dest := []any{(*uuid)(&s.TenantID), &s.TenantRole}
	if err := one(ctx, r, sqlLastTenant, []any{user, now}, dest...); !isNotFound(err) {
		return err
	}
	// The only one, and no row when there are two.
	if err := one(ctx, r, sqlOnlyTenant, []any{user, now}, dest...); !isNotFound(err) {
		return err
	}
	return nil
}

// noteDevice remembers what a sign-in came from. A device that was seen today costs no write.
func noteDevice(ctx context.Context, r runner, st *auth.SessionStart, now any) error {
	if st.Device == "" {
		return nil
	}
	user := st.Session.UserID.String()
	var others int
	if err := one(ctx, r, sqlDevices, []any{user}, &others); err != nil {
		return err
	}
	added, err := exec(ctx, r, sqlAddDevice, user, st.Device, now)
	if err != nil {
		return err
	}
	if added == 0 {
		_, err := exec(ctx, r, sqlSeeDevice, user, st.Device, now, at(st.Session.CreatedAt.Add(-24*time.Hour)))
		return err
	}
	if others > 0 && st.NewDevice != nil {
		return insertMessages(ctx, r, []auth.Message{*st.NewDevice})
	}
	return nil
}

// DeleteOldDevices implements store.Cleaner.
func (s *Store) DeleteOldDevices(ctx context.Context, before time.Time, limit int) (int64, error) {
	var n int64
	err := s.write(ctx, "delete old devices", func(r runner) (err error) {
		n, err = exec(ctx, r, sqlDeleteDevices, at(before), int64(limit))
		return err
	})
	return n, err
}

// EndSessions implements store.Sessions.
func (s *Store) EndSessions(ctx context.Context, e auth.EndSessions) (int64, error) {
	if e.Which == auth.RevokeNone {
		return 0, errors.New("sqlite: end sessions: of which nothing is to end")
	}
	var ended int64
	err := s.write(ctx, "end sessions", func(r runner) (err error) {
		if err = hasSession(ctx, r, e.SessionID, e.UserID); err != nil {
			return err
		}
		if ended, err = revoke(ctx, r, e.UserID, e.Which, e.SessionID); err != nil {
			return err
		}
		return insertAudit(ctx, r, e.Audit)
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}

// revoke ends sessions of one user; the answer is their number.
func revoke(ctx context.Context, r runner, user auth.ID, which auth.Revocation, with auth.ID) (int64, error) {
	switch which {
	case auth.RevokeNone:
		return 0, nil
	case auth.RevokeOne:
		return exec(ctx, r, sqlDeleteSession, user.String(), with.String())
	case auth.RevokeOthers:
		return exec(ctx, r, sqlDeleteOtherSessions, user.String(), with.String())
	case auth.RevokeAll:
		return exec(ctx, r, sqlDeleteSessions, user.String())
	default: // fail closed: an unknown revocation must not leave sessions alive unnoticed
		return 0, fmt.Errorf("unknown revocation %d", which)
	}
}

// DeleteEndedSessions implements store.Cleaner. The search may have to look at every
// session, so it runs on the readers; only what it found is looked at again, and
// deleted, under the write lock. A session that was refreshed in between stays.
func (s *Store) DeleteEndedSessions(ctx context.Context, ended, created, idle time.Time, limit int) (int64, error) {
	if limit <= 0 {
		return 0, nil
	}
	query, args := sqlFindEnded, []any{at(ended), at(created), at(idle), int64(limit)}
	if created.IsZero() && idle.IsZero() {
		query, args = sqlFindPastNotAfter, []any{at(ended), int64(limit)}
	}
	const op = "delete ended sessions"
	var found []string
	err := s.read(op, func(r runner) error {
		return each(ctx, r, query, args, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			found = append(found, id)
			return err
		})
	})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	list, err := json.Marshal(found)
	if err != nil {
		return 0, wrap(op, err)
	}
	var deleted int64
	err = s.write(ctx, op, func(r runner) (err error) {
		deleted, err = exec(ctx, r, sqlDeleteEndedByList, at(ended), at(created), at(idle), string(list))
		return err
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// orNotFound is for statements that change one row: without an error, none matched.
func orNotFound(err error) error {
	if err != nil {
		return err
	}
	return auth.ErrNotFound
}

func isNotFound(err error) bool { return errors.Is(err, auth.ErrNotFound) }
