package sqlite

import (
	"context"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	membershipColumns = `ms.tenant_id, ms.user_id, ms.role, ms.state, ms.invited_by, ms.created_at, ms.updated_at, ms.ends_at`

	sqlMembership      = `SELECT ` + membershipColumns + ` FROM memberships ms WHERE ms.tenant_id = ?1 AND ms.user_id = ?2`
	sqlWriteMembership = `INSERT INTO memberships (tenant_id, user_id, role, state, invited_by, created_at, updated_at, ends_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
		ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role, state = excluded.state,
			invited_by = coalesce(excluded.invited_by, invited_by), updated_at = excluded.updated_at, ends_at = excluded.ends_at`
	sqlDeleteMembership = `DELETE FROM memberships WHERE tenant_id = ? AND user_id = ?`
	sqlOtherOwner       = `SELECT 1 FROM memberships WHERE tenant_id = ?1 AND role = ?3 AND user_id <> ?2
			AND state = 'active' AND ends_at IS NULL LIMIT 1`

	selectMemberOf = `SELECT ` + membershipColumns + `, ` + tenantColumns + ` FROM memberships ms
		JOIN tenants t ON t.id = ms.tenant_id JOIN users u ON u.id = ms.user_id AND u.deleted_at IS NULL `
	sqlMembershipsOf = selectMemberOf + `WHERE ms.user_id = ? ORDER BY t.name, t.id`
	sqlMembershipIn  = selectMemberOf + `WHERE ms.tenant_id = ? AND ms.user_id = ?`
	sqlMembersOf     = `SELECT ` + membershipColumns + `, u.email, u.phone, p.full_name FROM memberships ms
		CROSS JOIN users u LEFT JOIN profiles p ON p.user_id = u.id
		WHERE ms.tenant_id = ?3 AND ms.user_id > ?1 AND u.id = ms.user_id AND u.deleted_at IS NULL ORDER BY ms.user_id LIMIT ?2`

	sqlSwitchTenant = `UPDATE sessions SET tenant_id = ?2, updated_at = ?3 WHERE id = ?1`
	sqlSwitched     = `SELECT ` + userColumns + `, ` + sessionColumns + `, ` + tenantRole + `
		FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.id = ?1 AND s.user_id = ?3 AND u.deleted_at IS NULL AND (s.not_after IS NULL OR s.not_after > ?2)
			AND (u.banned_until IS NULL OR u.banned_until <= ?2)`
)

// membershipDest gives where the membershipColumns go.
func membershipDest(m *auth.Membership) []any {
	return []any{
		(*uuid)(&m.TenantID), (*uuid)(&m.UserID), &m.Role, &m.State, (*uuid)(&m.InvitedBy), (*micros)(&m.CreatedAt),
		(*micros)(&m.UpdatedAt), (*micros)(&m.EndsAt),
	}
}

// writeMembership inserts or replaces; when it was made, and by whose invitation, stays.
func writeMembership(ctx context.Context, r runner, m *auth.Membership) error {
	_, err := exec(ctx, r, sqlWriteMembership, m.TenantID.String(), m.UserID.String(), m.Role, m.State, idOrNull(m.InvitedBy),
		at(m.CreatedAt), at(m.UpdatedAt), at(m.EndsAt))
	return err
}

// ChangeMembership implements store.Tenants.
func (s *Store) ChangeMembership(ctx context.Context, c auth.MembershipChange) (auth.Membership, error) {
	var before auth.Membership
	err := s.write(ctx, "change membership", func(r runner) error {
		m := &c.Membership
		if err := tenantExists(ctx, r, m.TenantID); err != nil {
			return err
		}
		if err := userExists(ctx, r, m.UserID); err != nil {
			return err
		}
		err := one(ctx, r, sqlMembership, []any{m.TenantID.String(), m.UserID.String()}, membershipDest(&before)...)
		if err != nil && !isNotFound(err) {
			return err
		}
		if !slices.Contains(c.From, before.State) || !c.Seen.IsZero() && !c.Seen.Equal(before.UpdatedAt) { // "" when there is none
			return auth.ErrConflict
		}
		if !owns(m, c.LastOwner) {
			if err := notLast(ctx, r, &before, c.LastOwner); err != nil {
				return err
			}
		}
		if err := writeMembership(ctx, r, m); err != nil {
			return err
		}
		return insertAudit(ctx, r, c.Audit)
	})
	if err != nil {
		return auth.Membership{}, err
	}
	return before, nil
}

// owns reports whether the tenant has an owner in m: one without an end.
func owns(m *auth.Membership, owner string) bool {
	return owner != "" && m.Role == owner && m.State == auth.MemberActive && m.EndsAt.IsZero()
}

// notLast answers auth.ErrConflict when m is the last owner.
func notLast(ctx context.Context, r runner, m *auth.Membership, owner string) error {
	if !owns(m, owner) {
		return nil
	}
	var exists int
	err := one(ctx, r, sqlOtherOwner, []any{m.TenantID.String(), m.UserID.String(), owner}, &exists)
	if isNotFound(err) {
		return auth.ErrConflict
	}
	return err
}

// EndMembership implements store.Tenants.
func (s *Store) EndMembership(ctx context.Context, tenant, user auth.ID, lastOwner string, audit auth.AuditEntry) error {
	return s.write(ctx, "end membership", func(r runner) error {
		var m auth.Membership
		key := []any{tenant.String(), user.String()}
		if err := one(ctx, r, sqlMembership, key, membershipDest(&m)...); err != nil {
			return err
		}
		if err := notLast(ctx, r, &m, lastOwner); err != nil {
			return err
		}
		if _, err := exec(ctx, r, sqlDeleteMembership, key...); err != nil {
			return err
		}
		return insertAudit(ctx, r, audit)
	})
}

func memberOfDest(m *auth.MemberOf) []any {
	return append(membershipDest(&m.Membership), tenantDest(&m.Tenant)...)
}

// MembershipsOf implements store.Tenants.
func (s *Store) MembershipsOf(ctx context.Context, user auth.ID) ([]auth.MemberOf, error) {
	var list []auth.MemberOf
	err := s.read("memberships of a user", func(r runner) error {
		return each(ctx, r, sqlMembershipsOf, []any{user.String()}, func(scan func(...any) error) error {
			var m auth.MemberOf
			err := scan(memberOfDest(&m)...)
			list = append(list, m)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// MembershipIn implements store.Tenants.
func (s *Store) MembershipIn(ctx context.Context, tenant, user auth.ID) (auth.MemberOf, error) {
	var m auth.MemberOf
	err := s.read("membership", func(r runner) error {
		return one(ctx, r, sqlMembershipIn, []any{tenant.String(), user.String()}, memberOfDest(&m)...)
	})
	if err != nil {
		return auth.MemberOf{}, err
	}
	return m, nil
}

// MembersOf implements store.Tenants.
func (s *Store) MembersOf(ctx context.Context, tenant, after auth.ID, limit int) ([]auth.Member, error) {
	var list []auth.Member
	err := s.read("members of a tenant", func(r runner) error {
		return each(ctx, r, sqlMembersOf, append(page(after, limit), tenant.String()), func(scan func(...any) error) error {
			var m auth.Member
			err := scan(append(membershipDest(&m.Membership), (*nullText)(&m.Email), (*nullText)(&m.Phone), (*nullText)(&m.FullName))...)
			list = append(list, m)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// SwitchTenant implements store.Tenants.
func (s *Store) SwitchTenant(ctx context.Context, w auth.SwitchTenant) (auth.SwitchResult, error) {
	var res auth.SwitchResult
	err := s.write(ctx, "switch tenant", func(r runner) error {
		if _, err := exec(ctx, r, sqlSwitchTenant, w.SessionID.String(), idOrNull(w.TenantID), at(w.At)); err != nil {
			return err
		}
		// What is not allowed is found now, and undone.
		se := &res.Session
		dest := append(userDest(&res.User), sessionDest(se)...)
		dest = append(dest, &tenantRoleOf{&se.TenantID, &se.TenantRole})
		if err := one(ctx, r, sqlSwitched, []any{w.SessionID.String(), at(w.At), w.UserID.String()}, dest...); err != nil {
			return err
		}
		if se.TenantID != w.TenantID {
			return auth.ErrNotFound
		}
		return insertAudit(ctx, r, w.Audit)
	})
	if err != nil {
		return auth.SwitchResult{}, err
	}
	return res, nil
}
