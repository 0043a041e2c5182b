package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	// sessionColumns are what sessionDest reads, of the table sessions under the name s.
	sessionColumns = `s.id, s.user_id, s.aal, s.user_agent, s.ip, s.created_at, s.updated_at, s.refreshed_at, s.not_after,
			coalesce(s.refresh_token_counter, 0), s.refresh_token_parent,
			(SELECT json_group_array(json_object('method', a.authentication_method, 'at', a.created_at)
				ORDER BY a.created_at DESC, a.authentication_method) FROM mfa_amr_claims a WHERE a.session_id = s.id),
			s.name, s.tenant_id`
	// tenantRole is the role of the account u in the tenant of its session s at the moment
	// ?2; NULL when the membership opens nothing.
	tenantRole = `(SELECT ms.role FROM memberships ms JOIN tenants t ON t.id = ms.tenant_id
			WHERE ms.tenant_id = s.tenant_id AND ms.user_id = u.id AND ` + openMembership + `)`

	sqlSessionForRotation = `SELECT ` + userColumns + `, ` + sessionColumns + `, ` + tenantRole + `, u.is_active
		FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.id = ?1 AND u.deleted_at IS NULL`
	sqlRotate = `UPDATE sessions SET refresh_token_counter = ?2, refresh_token_parent = ?3,
			refreshed_at = ?4, updated_at = ?4, user_agent = coalesce(?5, user_agent), ip = coalesce(?6, ip)
		WHERE id = ?1`
)

// RotateRefresh implements store.Sessions. It decides and writes under the write lock,
// so that of many callers with one token exactly one rotates.
func (s *Store) RotateRefresh(ctx context.Context, rot auth.Rotation) (auth.RotationResult, error) {
	if rot.Counter < 0 && rot.Counter != auth.RefreshOutdated {
		// No token has a negative number. -1 must not pass for the parent of the first one.
		return auth.RotationResult{}, auth.ErrNotFound
	}
	var res auth.RotationResult
	var active bool
	err := s.write(ctx, "rotate refresh token", func(r runner) error {
		dest := append(userDest(&res.User), sessionDest(&res.Session)...)
		dest = append(dest, &tenantRoleOf{&res.Session.TenantID, &res.Session.TenantRole}, &active)
		if err := one(ctx, r, sqlSessionForRotation, []any{rot.SessionID.String(), at(rot.At)}, dest...); err != nil {
			return err
		}
		if res.Outcome = decide(&rot, &res.Session, &res.User, active); res.Outcome == auth.RotationUnknown {
			return auth.ErrNotFound
		}
		switch res.Outcome {
		case auth.Rotated:
			return rotate(ctx, r, &rot, &res.Session)
		case auth.Reused:
			return endReused(ctx, r, &rot, &res)
		default:
			return nil
		}
	})
	if err != nil {
		return auth.RotationResult{}, err
	}
	return res, nil
}

// decide says what a rotation of s leads to, in this order: the ban (or the switch), the limits of the
// session, then what the presented number is. RotationUnknown stands for a number that
// this database never gave.
func decide(r *auth.Rotation, s *auth.Session, u *auth.User, switchedOn bool) auth.RotationOutcome {
	active := s.RefreshedAt
	if active.IsZero() {
		active = s.CreatedAt
	}
	switch {
	case u.BannedAt(r.At), !switchedOn:
		return auth.Banned
	case !s.NotAfter.IsZero() && !s.NotAfter.After(r.At),
		!r.CreatedAfter.IsZero() && !s.CreatedAt.After(r.CreatedAfter),
		!r.ActiveAfter.IsZero() && !active.After(r.ActiveAfter):
		return auth.Expired
	case r.Counter == s.Counter:
		return auth.Rotated
	case r.Counter == s.Parent && active.After(r.At.Add(-r.Grace)):
		return auth.Replayed
	case r.Counter == s.Parent:
		return auth.Rotated
	case r.Counter > s.Counter:
		return auth.RotationUnknown
	default:
		return auth.Reused
	}
}

func rotate(ctx context.Context, r runner, rot *auth.Rotation, s *auth.Session) error {
	s.Counter, s.Parent = s.Counter+1, rot.Counter
	s.RefreshedAt, s.UpdatedAt = auth.Truncate(rot.At), auth.Truncate(rot.At)
	set(&s.UserAgent, given(rot.UserAgent))
	set(&s.IP, given(rot.IP))
	_, err := exec(ctx, r, sqlRotate, s.ID.String(), s.Counter, s.Parent, at(rot.At), str(rot.UserAgent), str(rot.IP))
	return err
}

// given is nil for the empty text: what is unknown now doesn't replace what was known.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// endReused deletes the session: with it the newest token dies too, as nobody can tell
// the owner's from the thief's (RFC 9700 §4.14.2).
func endReused(ctx context.Context, r runner, rot *auth.Rotation, res *auth.RotationResult) error {
	if _, err := exec(ctx, r, sqlDeleteSession, res.User.ID.String(), res.Session.ID.String()); err != nil {
		return err
	}
	res.Session.Counter, res.Session.Parent, res.Session.AMR = 0, 0, nil
	res.Session.TenantID, res.Session.TenantRole = auth.ID{}, ""
	entry := rot.ReuseAudit
	entry.ActorID, entry.ActorUsername = res.User.ID, res.User.Phone
	if entry.ActorUsername == "" {
		entry.ActorUsername = res.User.Email
	}
	return insertAudit(ctx, r, entry)
}

// sessionDest gives where the columns of a session go, after those of its user.
func sessionDest(s *auth.Session) []any {
	return []any{
		(*uuid)(&s.ID), (*uuid)(&s.UserID), (*nullText)(&s.AAL), (*nullText)(&s.UserAgent), (*nullText)(&s.IP),
		(*micros)(&s.CreatedAt), (*micros)(&s.UpdatedAt), (*micros)(&s.RefreshedAt), (*micros)(&s.NotAfter),
		&s.Counter, &s.Parent, (*amr)(s), (*nullText)(&s.Name), (*uuid)(&s.TenantID),
	}
}

// amr reads the authentication methods of a session.
type amr auth.Session

// Scan implements sql.Scanner.
func (d *amr) Scan(src any) error {
	var rows []struct {
		Method string `json:"method"`
		At     micros `json:"at"`
	}
	if err := scanRows(src, &rows); err != nil {
		return fmt.Errorf("authentication methods: %w", err)
	}
	d.AMR = nil
	for _, r := range rows {
		d.AMR = append(d.AMR, auth.AMR{Method: r.Method, At: time.Time(r.At)})
	}
	return nil
}
