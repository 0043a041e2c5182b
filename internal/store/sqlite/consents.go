package sqlite

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlGrantConsent = `INSERT INTO consents (user_id, tenant_id, purpose, version, granted_at, expires_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (user_id, coalesce(tenant_id, ''), purpose) DO UPDATE SET version = excluded.version,
			granted_at = excluded.granted_at, expires_at = excluded.expires_at, withdrawn_at = NULL
		RETURNING version`
	sqlWithdrawConsent = `UPDATE consents SET withdrawn_at = ?4
		WHERE user_id = ?1 AND coalesce(tenant_id, '') = coalesce(?2, '') AND purpose = ?3 AND withdrawn_at IS NULL
		RETURNING version`
	sqlInsertConsentEvent = `INSERT INTO consent_events (id, user_id, tenant_id, purpose, action, version, created_at, expires_at,
			ip_address, user_agent)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`
	// Deleted is what somebody said who was not the owner; forgetting leaves that it was said.
	sqlDeleteConsents      = `DELETE FROM consents WHERE user_id = ?`
	sqlDeleteConsentEvents = `DELETE FROM consent_events WHERE user_id = ?`
	sqlForgetConsents      = `UPDATE consent_events SET ip_address = '', user_agent = '' WHERE user_id = ?`
	sqlConsentsOf          = `SELECT c.tenant_id, c.purpose, c.version, c.granted_at, c.expires_at, c.withdrawn_at
		FROM consents c JOIN users u ON u.id = c.user_id AND u.deleted_at IS NULL
		WHERE c.user_id = ?1 AND coalesce(c.tenant_id, '') IN ('', ?2)
		ORDER BY c.purpose, c.tenant_id`
	sqlConsentHistory = `SELECT e.id, e.tenant_id, e.purpose, e.action, e.version, e.created_at, e.expires_at, e.ip_address, e.user_agent
		FROM consent_events e JOIN users u ON u.id = e.user_id AND u.deleted_at IS NULL
		WHERE e.user_id = ?1 AND (?2 IS NULL OR e.id < ?2) ORDER BY e.id DESC LIMIT ?3`
)

// ChangeConsents implements store.Consents.
func (s *Store) ChangeConsents(ctx context.Context, user auth.ID, changes []auth.ConsentChange) error {
	return s.write(ctx, "change consents", func(r runner) error {
		if err := userExists(ctx, r, user); err != nil {
			return err
		}
		for i := range changes {
			if err := changeConsent(ctx, r, user, &changes[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func changeConsent(ctx context.Context, r runner, user auth.ID, c *auth.ConsentChange) error {
	e := &c.Event
	if !e.TenantID.IsZero() {
		if err := tenantExists(ctx, r, e.TenantID); err != nil {
			return err
		}
	}
	text, args := sqlGrantConsent, []any{user.String(), idOrNull(e.TenantID), e.Purpose, e.Version, at(e.At), at(e.ExpiresAt)}
	if e.Action == auth.ConsentWithdraw {
		text, args = sqlWithdrawConsent, []any{user.String(), idOrNull(e.TenantID), e.Purpose, at(e.At)}
	}
	var version string
	if err := one(ctx, r, text, args, &version); err != nil {
		if isNotFound(err) && e.Action == auth.ConsentWithdraw {
			return nil // nothing to withdraw
		}
		return err
	}
	if _, err := exec(ctx, r, sqlInsertConsentEvent, e.ID.String(), user.String(), idOrNull(e.TenantID), e.Purpose, string(e.Action),
		version, at(e.At), at(e.ExpiresAt), e.IP, e.UserAgent); err != nil {
		return err
	}
	return insertAudit(ctx, r, c.Audit)
}

// ConsentsOf implements store.Consents.
func (s *Store) ConsentsOf(ctx context.Context, user, tenant auth.ID) ([]auth.Consent, error) {
	var list []auth.Consent
	err := s.read("consents", func(r runner) error {
		return each(ctx, r, sqlConsentsOf, []any{user.String(), idOrNull(tenant)}, func(scan func(...any) error) error {
			c := auth.Consent{UserID: user}
			err := scan((*uuid)(&c.TenantID), &c.Purpose, &c.Version, (*micros)(&c.GrantedAt), (*micros)(&c.ExpiresAt), (*micros)(&c.WithdrawnAt))
			list = append(list, c)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// ConsentHistory implements store.Consents.
func (s *Store) ConsentHistory(ctx context.Context, user, before auth.ID, limit int) ([]auth.ConsentEvent, error) {
	args := []any{user.String(), idOrNull(before), int64(min(max(limit, 1), maxPage))}
	var list []auth.ConsentEvent
	err := s.read("history of consents", func(r runner) error {
		return each(ctx, r, sqlConsentHistory, args, func(scan func(...any) error) error {
			e := auth.ConsentEvent{UserID: user}
			err := scan((*uuid)(&e.ID), (*uuid)(&e.TenantID), &e.Purpose, (*string)(&e.Action), &e.Version, (*micros)(&e.At),
				(*micros)(&e.ExpiresAt), &e.IP, &e.UserAgent)
			list = append(list, e)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
