package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Door finds the tenant whose name is in an address, before anything else is done with the
// request. CodeTenantNotFound when there is none, CodeTenantDenied when it is switched off:
// unlike [Tenancy.BySlug] it tells the two apart, for the people of a tenant who have its
// address and want to know why nothing works.
func (t *Tenancy) Door(ctx context.Context, slug string) (auth.Tenant, error) {
	if _, err := ReadSlug(slug); err != nil {
		return auth.Tenant{}, auth.E(auth.CodeTenantNotFound, "")
	}
	row, err := t.c.TenantStore.TenantBySlug(ctx, slug)
	switch {
	case errors.Is(err, auth.ErrNotFound), err == nil && !t.c.SingleTenant.IsZero() && row.ID != t.c.SingleTenant:
		return auth.Tenant{}, auth.E(auth.CodeTenantNotFound, "")
	case err != nil:
		return auth.Tenant{}, fmt.Errorf("flow: find tenant: %w", err)
	case !row.Active:
		return auth.Tenant{}, auth.E(auth.CodeTenantDenied, "This tenant is not active")
	}
	return row, nil
}

// Staff lets those through who work for a tenant, and gives their role. What it verifies:
//
//   - the token is first-party, account and session are alive, the account is neither banned
//     nor switched off;
//   - the tenant is the active one of the session, is active itself, and the membership in it
//     is open at this moment;
//   - the role is one of tenants in the catalogue of now, and not one that anybody may take
//     at registration: a clinic's patients are members, and no staff.
func (t *Tenancy) Staff(ctx context.Context, c auth.Caller, tenant auth.ID) (string, error) {
	us, err := t.c.caller(ctx, c)
	switch {
	case err != nil:
		return "", err
	case us.Inactive:
		return "", auth.E(auth.CodeUserInactive, "")
	case tenant.IsZero() || us.TenantID != tenant: // the store gives none whose membership is not open
		return "", auth.E(auth.CodeTenantDenied, "")
	}
	if r, ok := t.c.Roles.Get().Role(us.TenantRole); !ok || !r.InTenant() || r.SelfAssignable {
		return "", auth.E(auth.CodeForbidden, "This is for the staff of the tenant")
	}
	return us.TenantRole, nil
}
