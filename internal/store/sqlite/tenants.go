package sqlite

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	tenantColumns = `t.id, t.slug, t.name, t.is_active, t.settings, t.created_at, t.updated_at`

	sqlInsertTenant = `INSERT INTO tenants (id, slug, name, is_active, settings, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	sqlTenantByID   = `SELECT ` + tenantColumns + ` FROM tenants t WHERE t.id = ?`
	sqlTenantBySlug = `SELECT ` + tenantColumns + ` FROM tenants t WHERE t.slug = ?`
	sqlListTenants  = `SELECT ` + tenantColumns + ` FROM tenants t WHERE t.id > ? ORDER BY t.id LIMIT ?`
	sqlUpdateTenant = `UPDATE tenants SET slug = ?2, name = ?3, is_active = ?4, settings = ?5, updated_at = ?6 WHERE id = ?1`
	sqlDeleteTenant = `DELETE FROM tenants WHERE id = ?`

	sqlUserExists   = `SELECT 1 FROM users WHERE id = ? AND deleted_at IS NULL`
	sqlTenantExists = `SELECT 1 FROM tenants WHERE id = ?`
)

// tenantDest gives where the tenantColumns go.
func tenantDest(t *auth.Tenant) []any {
	return []any{
		(*uuid)(&t.ID), &t.Slug, &t.Name, (*truth)(&t.Active), (*object)(&t.Settings), (*micros)(&t.CreatedAt), (*micros)(&t.UpdatedAt),
	}
}

// userExists and tenantExists answer auth.ErrNotFound when there is none.
func userExists(ctx context.Context, r runner, id auth.ID) error {
	var exists int
	return one(ctx, r, sqlUserExists, []any{id.String()}, &exists)
}

func tenantExists(ctx context.Context, r runner, id auth.ID) error {
	var exists int
	return one(ctx, r, sqlTenantExists, []any{id.String()}, &exists)
}

// CreateTenant implements store.Tenants.
func (s *Store) CreateTenant(ctx context.Context, t auth.Tenant, first *auth.Membership, audit auth.AuditEntry) error {
	return s.write(ctx, "create tenant", func(r runner) error {
		if _, err := exec(ctx, r, sqlInsertTenant, t.ID.String(), t.Slug, t.Name, flag(t.Active), doc(t.Settings), at(t.CreatedAt),
			at(t.UpdatedAt)); err != nil {
			return err
		}
		if first != nil {
			m := *first
			m.TenantID = t.ID
			if err := userExists(ctx, r, m.UserID); err != nil {
				return err
			}
			if err := writeMembership(ctx, r, &m); err != nil {
				return err
			}
		}
		return insertAudit(ctx, r, audit)
	})
}

// TenantByID implements store.Tenants.
func (s *Store) TenantByID(ctx context.Context, id auth.ID) (auth.Tenant, error) {
	return s.findTenant(ctx, "tenant by id", sqlTenantByID, id.String())
}

// TenantBySlug implements store.Tenants.
func (s *Store) TenantBySlug(ctx context.Context, slug string) (auth.Tenant, error) {
	return s.findTenant(ctx, "tenant by slug", sqlTenantBySlug, slug)
}

func (s *Store) findTenant(ctx context.Context, op, query string, arg string) (auth.Tenant, error) {
	var t auth.Tenant
	err := s.read(op, func(r runner) error { return one(ctx, r, query, []any{arg}, tenantDest(&t)...) })
	if err != nil {
		return auth.Tenant{}, err
	}
	return t, nil
}

// UpdateTenant implements store.Tenants.
func (s *Store) UpdateTenant(ctx context.Context, id auth.ID, p auth.TenantPatch) (auth.Tenant, error) {
	var t auth.Tenant
	err := s.write(ctx, "update tenant", func(r runner) (err error) {
		if err = one(ctx, r, sqlTenantByID, []any{id.String()}, tenantDest(&t)...); err != nil {
			return err
		}
		set(&t.Slug, p.Slug)
		set(&t.Name, p.Name)
		set(&t.Active, p.Active)
		if t.Settings, err = patchObject(t.Settings, p.Settings); err != nil {
			return err
		}
		t.UpdatedAt = auth.Truncate(p.At)
		if _, err = exec(ctx, r, sqlUpdateTenant, id.String(), t.Slug, t.Name, flag(t.Active), doc(t.Settings), at(t.UpdatedAt)); err != nil {
			return err
		}
		return insertAudit(ctx, r, p.Audit)
	})
	if err != nil {
		return auth.Tenant{}, err
	}
	return t, nil
}

// ListTenants implements store.Tenants.
func (s *Store) ListTenants(ctx context.Context, after auth.ID, limit int) ([]auth.Tenant, error) {
	var tenants []auth.Tenant
	err := s.read("list tenants", func(r runner) error {
		return each(ctx, r, sqlListTenants, page(after, limit), func(scan func(...any) error) error {
			var t auth.Tenant
			err := scan(tenantDest(&t)...)
			tenants = append(tenants, t)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return tenants, nil
}

// page gives the parameters of a list: the last id of the page before, and the number of rows.
func page(after auth.ID, limit int) []any {
	return []any{after.String(), int64(min(max(limit, 1), maxPage))}
}

// DeleteTenant implements store.Tenants. Memberships and relations go by foreign keys.
func (s *Store) DeleteTenant(ctx context.Context, id auth.ID, audit auth.AuditEntry) error {
	return s.write(ctx, "delete tenant", func(r runner) error {
		if n, err := exec(ctx, r, sqlDeleteTenant, id.String()); err != nil || n == 0 {
			return orNotFound(err)
		}
		return insertAudit(ctx, r, audit)
	})
}
