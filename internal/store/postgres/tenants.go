package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	tenantColumns = `t.id, t.slug, t.name, t.is_active, t.settings, t.created_at, t.updated_at`

	// createTenant inserts nothing when there is to be a member who does not exist.
	createTenant = `
WITH f AS (
	SELECT id FROM auth.users WHERE id = $12 AND deleted_at IS NULL
), u AS (
	INSERT INTO auth.tenants (id, slug, name, is_active, settings, created_at, updated_at)
	SELECT $5::uuid, $6, $7, $8, $9::jsonb, $10, $11 WHERE $12::uuid IS NULL OR EXISTS (SELECT FROM f)
	RETURNING id
), m AS (
	INSERT INTO auth.memberships (tenant_id, user_id, role, state, invited_by, created_at, updated_at, ends_at)
	SELECT u.id, f.id, $13, $14, $15, $16, $17, $18 FROM u, f
), ` + endAudit + `
SELECT count(*) FROM u`

	tenantByID   = "SELECT " + tenantColumns + " FROM auth.tenants t WHERE t.id = $1"
	tenantBySlug = "SELECT " + tenantColumns + " FROM auth.tenants t WHERE t.slug = $1"
	listTenants  = "SELECT " + tenantColumns + " FROM auth.tenants t WHERE t.id > $1 ORDER BY t.id LIMIT $2"

	updateTenant = `
WITH u AS (
	UPDATE auth.tenants t SET updated_at = $6, slug = coalesce($7::text, slug), name = coalesce($8::text, name),
		is_active = coalesce($9::boolean, is_active), settings = (settings || $10::jsonb) - $11::text[]
	WHERE t.id = $5
	RETURNING ` + tenantColumns + `
), ` + endAudit + `
SELECT ` + tenantColumns + ` FROM u t`

	deleteTenant = `
WITH u AS (
	DELETE FROM auth.tenants WHERE id = $5 RETURNING id
), ` + endAudit + `
SELECT count(*) FROM u`
)

// tenantTargets gives where tenantColumns go.
func tenantTargets(t *auth.Tenant) []any {
	return []any{
		(*[16]byte)(&t.ID), &t.Slug, &t.Name, &t.Active, (*[]byte)(&t.Settings), (*moment)(&t.CreatedAt), (*moment)(&t.UpdatedAt),
	}
}

// CreateTenant implements store.Tenants.
func (s *Store) CreateTenant(ctx context.Context, t auth.Tenant, first *auth.Membership, audit auth.AuditEntry) error {
	m := first
	if m == nil {
		m = &auth.Membership{}
	}
	args := append(auditArgs(audit), uuid(t.ID), t.Slug, t.Name, t.Active, document(t.Settings), timestamp(t.CreatedAt),
		timestamp(t.UpdatedAt), uuid(m.UserID), m.Role, m.State, uuid(m.InvitedBy), timestamp(m.CreatedAt), timestamp(m.UpdatedAt),
		timestamp(m.EndsAt))
	return s.one(ctx, "create tenant", createTenant, args...)
}

// one runs a statement that counts the rows it has changed: none is auth.ErrNotFound.
func (s *Store) one(ctx context.Context, what, sql string, args ...any) error {
	var found int64
	if err := s.pool.QueryRow(ctx, sql, args...).Scan(&found); err != nil {
		return storeError(what, err)
	}
	if found == 0 {
		return auth.ErrNotFound
	}
	return nil
}

// TenantByID implements store.Tenants.
func (s *Store) TenantByID(ctx context.Context, id auth.ID) (auth.Tenant, error) {
	return s.oneTenant(ctx, "tenant by id", tenantByID, uuid(id))
}

// TenantBySlug implements store.Tenants.
func (s *Store) TenantBySlug(ctx context.Context, slug string) (auth.Tenant, error) {
	return s.oneTenant(ctx, "tenant by slug", tenantBySlug, slug)
}

func (s *Store) oneTenant(ctx context.Context, what, sql string, args ...any) (auth.Tenant, error) {
	var t auth.Tenant
	if err := s.pool.QueryRow(ctx, sql, args...).Scan(tenantTargets(&t)...); err != nil {
		return auth.Tenant{}, storeError(what, err)
	}
	return t, nil
}

// UpdateTenant implements store.Tenants.
func (s *Store) UpdateTenant(ctx context.Context, id auth.ID, p auth.TenantPatch) (auth.Tenant, error) {
	set, remove, err := patchArgs(&p.Settings)
	if err != nil {
		return auth.Tenant{}, storeError("update tenant", err)
	}
	args := append(auditArgs(p.Audit), uuid(id), timestamp(p.At), p.Slug, p.Name, p.Active, set, remove)
	return s.oneTenant(ctx, "update tenant", updateTenant, args...)
}

// ListTenants implements store.Tenants.
func (s *Store) ListTenants(ctx context.Context, after auth.ID, limit int) ([]auth.Tenant, error) {
	return collect(ctx, s, "list tenants", listTenants, page(after, limit), func(row pgx.CollectableRow, t *auth.Tenant) error {
		return row.Scan(tenantTargets(t)...)
	})
}

// page gives the parameters of a list: the last id of the page before, and the number of rows.
func page(after auth.ID, limit int) []any {
	return []any{pgtype.UUID{Bytes: after, Valid: true}, int64(min(max(limit, 1), maxPage))}
}

// DeleteTenant implements store.Tenants. Memberships and relations go by foreign keys.
func (s *Store) DeleteTenant(ctx context.Context, id auth.ID, audit auth.AuditEntry) error {
	return unlocked(func() error { return s.deleteTenant(ctx, id, audit) })
}

func (s *Store) deleteTenant(ctx context.Context, id auth.ID, audit auth.AuditEntry) error {
	return s.one(ctx, "delete tenant", deleteTenant, append(auditArgs(audit), uuid(id))...)
}
