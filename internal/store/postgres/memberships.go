package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

// A change of a membership is a batch like an update: it locks the account, then the tenant
// if the tenant's other members matter, and decides with a snapshot taken after the wait.
// So of two owners who leave at once the second one sees that the first has left.
const (
	lockTenant = `SELECT FROM auth.tenants WHERE id = $1 FOR NO KEY UPDATE`

	membershipColumns = `ms.tenant_id, ms.user_id, ms.role, ms.state, ms.invited_by, ms.created_at, ms.updated_at, ms.ends_at`

	// noOtherOwner holds when nobody but $2 is an active member of the tenant $1 with the
	// role $3 and without an end.
	noOtherOwner = `NOT EXISTS (SELECT FROM auth.memberships x WHERE x.tenant_id = $1 AND x.role = $3 AND x.user_id <> $2
		AND x.state = 'active' AND x.ends_at IS NULL)`

	isOwner = `ms.role = $3 AND ms.state = 'active' AND ms.ends_at IS NULL`

	// Reasons are 0 for none, 1 for no tenant or account, 2 for another state (or another
	// moment than $15) than expected, 3 for the last owner.
	changeMembership = `
WITH b AS (
	SELECT ` + membershipColumns + `, ` + isOwner + ` AS owner FROM auth.memberships ms WHERE ms.tenant_id = $1 AND ms.user_id = $2
), why AS (
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM auth.tenants WHERE id = $1)
			OR NOT EXISTS (SELECT FROM auth.users WHERE id = $2 AND deleted_at IS NULL) THEN 1
		WHEN NOT coalesce((SELECT b.state FROM b), '') = ANY ($4::text[]) THEN 2
		WHEN $15::timestamptz IS NOT NULL AND (SELECT b.updated_at FROM b) IS DISTINCT FROM $15 THEN 2
		WHEN $3::text <> '' AND (SELECT b.owner FROM b)
			AND NOT ($5::text = $3 AND $6::text = 'active' AND $10::timestamptz IS NULL) AND ` + noOtherOwner + ` THEN 3
		ELSE 0 END AS reason
), w AS (
	INSERT INTO auth.memberships AS m (tenant_id, user_id, role, state, invited_by, created_at, updated_at, ends_at)
	SELECT $1, $2, $5, $6, $7::uuid, $8::timestamptz, $9::timestamptz, $10 FROM why WHERE why.reason = 0
	ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role, state = excluded.state,
		invited_by = coalesce(excluded.invited_by, m.invited_by), updated_at = excluded.updated_at, ends_at = excluded.ends_at
	RETURNING m.user_id AS id
), u AS (
	SELECT id FROM w
), ` + memberAudit + `
SELECT why.reason, ` + membershipColumns + ` FROM why LEFT JOIN b ms ON true`

	endMembership = `
WITH b AS (
	SELECT ` + isOwner + ` AND $3::text <> '' AND ` + noOtherOwner + ` AS last FROM auth.memberships ms
	WHERE ms.tenant_id = $1 AND ms.user_id = $2
), u AS (
	DELETE FROM auth.memberships ms USING b WHERE ms.tenant_id = $1 AND ms.user_id = $2 AND NOT b.last
	RETURNING ms.user_id AS id
), ` + endMemberAudit + `
SELECT last FROM b`

	memberAudit = `a AS (
	INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
	SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
	FROM u, unnest($11::uuid[], $12::timestamptz[], $13::text[], $14::text[]) AS e (id, at, payload, ip)
)`
	endMemberAudit = `a AS (
	INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
	SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
	FROM u, unnest($4::uuid[], $5::timestamptz[], $6::text[], $7::text[]) AS e (id, at, payload, ip)
)`
)

// membershipTargets gives where membershipColumns go; NULL everywhere is the zero value.
func membershipTargets(m *auth.Membership) []any {
	return []any{
		(*reference)(&m.TenantID), (*reference)(&m.UserID), (*text)(&m.Role), (*text)(&m.State), (*reference)(&m.InvitedBy),
		(*moment)(&m.CreatedAt), (*moment)(&m.UpdatedAt), (*moment)(&m.EndsAt),
	}
}

// lockMember begins a change of a membership.
func lockMember(b *pgx.Batch, tenant, user auth.ID, lastOwner string) {
	b.Queue(lockUser, uuid(user))
	if lastOwner != "" {
		b.Queue(lockTenant, uuid(tenant))
	}
}

// ChangeMembership implements store.Tenants.
func (s *Store) ChangeMembership(ctx context.Context, c auth.MembershipChange) (auth.Membership, error) {
	var (
		b      pgx.Batch
		before auth.Membership
		reason int
		m      = &c.Membership
		from   = c.From
	)
	if from == nil {
		from = []string{} // which nothing is in
	}
	lockMember(&b, m.TenantID, m.UserID, c.LastOwner)
	args := append([]any{
		uuid(m.TenantID), uuid(m.UserID), c.LastOwner, from, m.Role, m.State, uuid(m.InvitedBy),
		timestamp(m.CreatedAt), timestamp(m.UpdatedAt), timestamp(m.EndsAt),
	}, append(auditArgs(c.Audit), timestamp(c.Seen))...)
	b.Queue(changeMembership, args...).QueryRow(func(row pgx.Row) error {
		return row.Scan(append([]any{&reason}, membershipTargets(&before)...)...)
	})
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return auth.Membership{}, storeError("change membership", err)
	}
	switch reason {
	case 0:
		return before, nil
	case 1:
		return auth.Membership{}, auth.ErrNotFound
	case 2, 3:
		return auth.Membership{}, auth.ErrConflict
	}
	return auth.Membership{}, fmt.Errorf("postgres: change membership: unknown reason %d", reason)
}

// EndMembership implements store.Tenants.
func (s *Store) EndMembership(ctx context.Context, tenant, user auth.ID, lastOwner string, audit auth.AuditEntry) error {
	var (
		b    pgx.Batch
		last bool
	)
	lockMember(&b, tenant, user, lastOwner)
	args := append([]any{uuid(tenant), uuid(user), lastOwner}, auditArgs(audit)...)
	b.Queue(endMembership, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&last) })
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return storeError("end membership", err)
	}
	if last {
		return auth.ErrConflict
	}
	return nil
}

const (
	selectMemberOf = "SELECT " + membershipColumns + ", " + tenantColumns + ` FROM auth.memberships ms
	JOIN auth.tenants t ON t.id = ms.tenant_id JOIN auth.users u ON u.id = ms.user_id AND u.deleted_at IS NULL `
	membershipsOf = selectMemberOf + `WHERE ms.user_id = $1 ORDER BY t.name COLLATE "C", t.id`
	membershipIn  = selectMemberOf + `WHERE ms.tenant_id = $1 AND ms.user_id = $2`

	membersOf = "SELECT " + membershipColumns + `, u.email, u.phone, p.full_name
FROM (SELECT * FROM auth.memberships WHERE tenant_id = $3 AND user_id > $1 ORDER BY user_id LIMIT $2) ms
JOIN auth.users u ON u.id = ms.user_id AND u.deleted_at IS NULL LEFT JOIN auth.profiles p ON p.user_id = u.id ORDER BY ms.user_id`
)

func scanMemberOf(row pgx.CollectableRow, m *auth.MemberOf) error {
	return row.Scan(append(membershipTargets(&m.Membership), tenantTargets(&m.Tenant)...)...)
}

// MembershipsOf implements store.Tenants.
func (s *Store) MembershipsOf(ctx context.Context, user auth.ID) ([]auth.MemberOf, error) {
	return collect(ctx, s, "memberships of a user", membershipsOf, []any{uuid(user)}, scanMemberOf)
}

// MembershipIn implements store.Tenants.
func (s *Store) MembershipIn(ctx context.Context, tenant, user auth.ID) (auth.MemberOf, error) {
	var m auth.MemberOf
	row := s.pool.QueryRow(ctx, membershipIn, uuid(tenant), uuid(user))
	if err := row.Scan(append(membershipTargets(&m.Membership), tenantTargets(&m.Tenant)...)...); err != nil {
		return auth.MemberOf{}, storeError("membership", err)
	}
	return m, nil
}

// MembersOf implements store.Tenants.
func (s *Store) MembersOf(ctx context.Context, tenant, after auth.ID, limit int) ([]auth.Member, error) {
	args := append(page(after, limit), uuid(tenant))
	return collect(ctx, s, "members of a tenant", membersOf, args, func(row pgx.CollectableRow, m *auth.Member) error {
		return row.Scan(append(membershipTargets(&m.Membership), (*text)(&m.Email), (*text)(&m.Phone), (*text)(&m.FullName))...)
	})
}

// Switching locks the session first, so that the membership is looked at after the wait:
// one that has ended meanwhile is not given any more. What it was is read once.
const (
	lockSession = `SELECT FROM auth.sessions WHERE id = $1 AND user_id = $2 FOR NO KEY UPDATE`

	switchTenant = `
WITH w AS (
	SELECT ms.role FROM auth.memberships ms JOIN auth.tenants t ON t.id = ms.tenant_id AND t.is_active
	WHERE ms.tenant_id = $4 AND ms.user_id = $2 AND ms.state = 'active' AND (ms.ends_at IS NULL OR ms.ends_at > $3)
), s AS (
	UPDATE auth.sessions s SET tenant_id = $4, updated_at = $3
	FROM auth.users o
	WHERE s.id = $1 AND s.user_id = $2 AND o.id = s.user_id AND o.deleted_at IS NULL
		AND (s.not_after IS NULL OR s.not_after > $3) AND (o.banned_until IS NULL OR o.banned_until <= $3)
		AND ($4::uuid IS NULL OR EXISTS (SELECT FROM w))
	RETURNING s.*
), a AS (
	INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
	SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
	FROM s, unnest($5::uuid[], $6::timestamptz[], $7::text[], $8::text[]) AS e (id, at, payload, ip)
)
` + selectUser + "," + sessionColumns + `, (SELECT w.role FROM w)
FROM s JOIN auth.users u ON u.id = s.user_id`
)

// SwitchTenant implements store.Tenants.
func (s *Store) SwitchTenant(ctx context.Context, w auth.SwitchTenant) (auth.SwitchResult, error) {
	var (
		b  pgx.Batch
		r  auth.SwitchResult
		se = &r.Session
	)
	b.Queue(lockSession, uuid(w.SessionID), uuid(w.UserID))
	args := append([]any{uuid(w.SessionID), uuid(w.UserID), timestamp(w.At), uuid(w.TenantID)}, auditArgs(w.Audit)...)
	b.Queue(switchTenant, args...).QueryRow(func(row pgx.Row) error {
		return scanUser(row, &r.User, append(sessionTargets(se), &tenantRoleOf{&se.TenantID, &se.TenantRole})...)
	})
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return auth.SwitchResult{}, storeError("switch tenant", err)
	}
	se.UserID = r.User.ID
	return r, nil
}
