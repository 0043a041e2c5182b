package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

// A change of consents is a batch under the locks of the account and of its tenants: of two who
// speak for the same person at once the second sees what the first has said, and what exists
// at the beginning exists at the end.
const (
	keepTenants = `SELECT FROM auth.tenants WHERE id = ANY ($1::uuid[]) ORDER BY id FOR KEY SHARE`

	// consentable counts the account and the tenants that exist.
	consentable = `
SELECT (SELECT count(*) FROM auth.users WHERE id = $1 AND deleted_at IS NULL)
	+ (SELECT count(*) FROM auth.tenants WHERE id = ANY ($2::uuid[]))`

	// consentsAllowed holds when consentable gave all that there has to be.
	consentsAllowed = `(SELECT count(*) FROM auth.users WHERE id = $5 AND deleted_at IS NULL)
		+ (SELECT count(*) FROM auth.tenants WHERE id = ANY ($14::uuid[])) = 1 + cardinality($14::uuid[])`

	grantConsent = `
WITH w AS (
	INSERT INTO auth.consents AS c (user_id, tenant_id, purpose, version, granted_at, expires_at)
	SELECT $5, $6, $7, $8, $9, $10 WHERE ` + consentsAllowed + `
	ON CONFLICT (user_id, tenant_id, purpose) DO UPDATE SET version = EXCLUDED.version, granted_at = EXCLUDED.granted_at,
		expires_at = EXCLUDED.expires_at, withdrawn_at = NULL
	RETURNING c.version
), ` + insertConsentEvent

	withdrawConsent = `
WITH w AS (
	UPDATE auth.consents c SET withdrawn_at = $9
	WHERE c.user_id = $5 AND c.tenant_id IS NOT DISTINCT FROM $6::uuid AND c.purpose = $7 AND c.withdrawn_at IS NULL
		AND ` + consentsAllowed + `
	RETURNING c.version, $8::text
), ` + insertConsentEvent

	insertConsentEvent = `u AS (
	INSERT INTO auth.consent_events (id, user_id, tenant_id, purpose, action, version, created_at, expires_at, ip_address, user_agent)
	SELECT $11::uuid, $5::uuid, $6::uuid, $7::text, $15::text, w.version, $9::timestamptz, $10::timestamptz, $12::text, $13::text FROM w
	RETURNING id
), ` + endAudit + `
SELECT count(*) FROM u`

	// deleteConsents is for what somebody said who was not the owner; forgetConsents leaves that
	// it was said.
	deleteConsents = `
WITH gone AS (DELETE FROM auth.consents WHERE user_id = $1 AND ` + changed + `)
DELETE FROM auth.consent_events WHERE user_id = $1 AND ` + changed
	anonymiseConsents = `UPDATE auth.consent_events SET ip_address = '', user_agent = '' WHERE user_id = $1`
	forgetConsents    = anonymiseConsents + ` AND ` + changed

	consentsOf = `
SELECT c.tenant_id, c.purpose, c.version, c.granted_at, c.expires_at, c.withdrawn_at
FROM auth.consents c JOIN auth.users u ON u.id = c.user_id AND u.deleted_at IS NULL
WHERE c.user_id = $1 AND (c.tenant_id IS NULL OR c.tenant_id = $2)
ORDER BY c.purpose, c.tenant_id NULLS FIRST`

	consentHistory = `
SELECT e.id, e.tenant_id, e.purpose, e.action, e.version, e.created_at, e.expires_at, e.ip_address, e.user_agent
FROM auth.consent_events e JOIN auth.users u ON u.id = e.user_id AND u.deleted_at IS NULL
WHERE e.user_id = $1 AND ($2::uuid IS NULL OR e.id < $2) ORDER BY e.id DESC LIMIT $3`
)

// ChangeConsents implements store.Consents.
func (s *Store) ChangeConsents(ctx context.Context, user auth.ID, changes []auth.ConsentChange) error {
	return unlocked(func() error { return s.changeConsents(ctx, user, changes) })
}

func (s *Store) changeConsents(ctx context.Context, user auth.ID, changes []auth.ConsentChange) error {
	var (
		b      pgx.Batch
		exists int
	)
	var tenants []auth.ID
	seen := map[auth.ID]bool{{}: true}
	for i := range changes {
		if t := changes[i].Event.TenantID; !seen[t] {
			seen[t] = true
			tenants = append(tenants, t)
		}
	}
	b.Queue(lockUser, uuid(user))
	b.Queue(keepTenants, ids(tenants...))
	b.Queue(consentable, uuid(user), ids(tenants...)).QueryRow(func(row pgx.Row) error { return row.Scan(&exists) })
	for i := range changes {
		e := &changes[i].Event
		sql := grantConsent
		if e.Action == auth.ConsentWithdraw {
			sql = withdrawConsent
		}
		b.Queue(sql, append(auditArgs(changes[i].Audit), uuid(user), uuid(e.TenantID), e.Purpose, e.Version, timestamp(e.At),
			timestamp(e.ExpiresAt), uuid(e.ID), e.IP, e.UserAgent, ids(tenants...), string(e.Action))...)
	}
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return storeError("change consents", err)
	}
	if exists != 1+len(tenants) {
		return auth.ErrNotFound
	}
	return nil
}

// ConsentsOf implements store.Consents.
func (s *Store) ConsentsOf(ctx context.Context, user, tenant auth.ID) ([]auth.Consent, error) {
	return collect(ctx, s, "consents", consentsOf, []any{uuid(user), uuid(tenant)}, func(row pgx.CollectableRow, c *auth.Consent) error {
		c.UserID = user
		return row.Scan((*reference)(&c.TenantID), &c.Purpose, &c.Version, (*moment)(&c.GrantedAt), (*moment)(&c.ExpiresAt), (*moment)(&c.WithdrawnAt))
	})
}

// ConsentHistory implements store.Consents.
func (s *Store) ConsentHistory(ctx context.Context, user, before auth.ID, limit int) ([]auth.ConsentEvent, error) {
	args := []any{uuid(user), uuid(before), int64(min(max(limit, 1), maxPage))}
	return collect(ctx, s, "history of consents", consentHistory, args, func(row pgx.CollectableRow, e *auth.ConsentEvent) error {
		e.UserID = user
		return row.Scan((*[16]byte)(&e.ID), (*reference)(&e.TenantID), &e.Purpose, (*string)(&e.Action), &e.Version, (*moment)(&e.At),
			(*moment)(&e.ExpiresAt), &e.IP, &e.UserAgent)
	})
}
