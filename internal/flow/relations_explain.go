package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// Explain answers whether somebody may do something at this moment, and why: in a tenant, or
// with the zero tenant in the whole application. Everybody may ask about himself, members
// with member:read about their tenant's, those with user:read about everybody, operators too.
func (t *Tenancy) Explain(ctx context.Context, a Actor, user, tenant auth.ID, permission string) (role.Explanation, error) {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return role.Explanation{}, err
	}
	if permission == "" || len(permission) > 64 || !auth.CleanText(permission) {
		return role.Explanation{}, auth.E(auth.CodeValidation, "permission must have 1 to 64 characters")
	}
	if user != s.user.ID && !s.may(role.UserRead) {
		if tenant.IsZero() {
			return role.Explanation{}, forbidden(role.UserRead)
		}
		if _, err := t.enter(ctx, &s, tenant, role.MemberRead); err != nil {
			return role.Explanation{}, err
		}
		if _, err := t.membership(ctx, tenant, user, auth.CodeMemberNotFound); err != nil {
			return role.Explanation{}, err
		}
	}
	person, err := t.c.person(ctx, user, auth.CodeUserNotFound)
	if err != nil {
		return role.Explanation{}, err
	}
	roles, closed := countingRoles(s.catalogue, &person.User), []string(nil)
	if !tenant.IsZero() {
		if roles, closed, err = t.rolesIn(ctx, s.catalogue, tenant, user); err != nil {
			return role.Explanation{}, err
		}
	}
	if person.User.BannedAt(t.c.now()) {
		closed = append(closed, "the account is banned")
	}
	if !person.Profile.Active {
		closed = append(closed, "the account is switched off")
	}
	e := s.catalogue.Explain(roles, permission)
	if len(closed) > 0 {
		// What closes everything comes first; what the role would give is still worth knowing.
		e = role.Explanation{Because: slices.Concat(closed, e.Because)}
	}
	return e, nil
}

// rolesIn gives the role of somebody in a tenant, and what stands in its way.
func (t *Tenancy) rolesIn(ctx context.Context, c *role.Catalogue, tenant, user auth.ID) (roles, closed []string, err error) {
	m, err := t.c.TenantStore.MembershipIn(ctx, tenant, user)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, []string{"there is no membership in this tenant"}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("flow: read membership: %w", err)
	}
	switch {
	case m.State != auth.MemberActive:
		closed = append(closed, "the membership is "+m.State)
	case !m.OpenAt(t.c.now()):
		closed = append(closed, "the membership has ended")
	}
	if !m.Tenant.Active {
		closed = append(closed, "the tenant is not active")
	}
	if r, ok := c.Role(m.Role); ok && !r.InTenant() {
		closed = append(closed, "role "+m.Role+" is none of tenants")
	}
	return []string{m.Role}, closed, nil
}
