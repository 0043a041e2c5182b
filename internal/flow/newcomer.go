package flow

import (
	"encoding/json"

	"github.com/cardea-auth/cardea/internal/auth"
)

// The role of the configuration (CARDEA_DEFAULT_ROLE) is for everybody who gets an account
// and whom nobody gave another: by sign-up, by a code, by an invitation, by an operator. It
// is a role of the application, in app_metadata, where the person can't change it; the
// database role, the claim role of tokens, stays "authenticated". What the user metadata of a
// request says of roles means nothing (A12.6).

// newcomer is where the configuration puts somebody whom nobody put elsewhere. A role that
// the catalogue does not have, or that is one of tenants and there is no tenant, is none.
func (c *Config) newcomer() place {
	if c.DefaultRole == "" || c.Roles == nil {
		return place{}
	}
	r, known := c.Roles.Get().Role(c.DefaultRole)
	if !known {
		return place{}
	}
	at := place{role: r.Name, app: r.InApp(), waits: r.Approval}
	if r.InTenant() {
		at.tenant = c.SingleTenant
	}
	if !at.app && at.tenant.IsZero() {
		return place{}
	}
	return at
}

// appMetadata is what the server itself keeps of a new account. The account that is
// pretended for a taken address has the same, so that nobody can tell them apart.
func (c *Config) appMetadata(providers ...string) (json.RawMessage, error) {
	values := map[string]any{"provider": providers[0], "providers": providers}
	if at := c.newcomer(); at.app {
		values[at.member()] = []string{at.role}
	}
	return marshalAny(values)
}

// member is where app_metadata has the role.
func (p place) member() string {
	if p.waits {
		return pendingMember
	}
	return rolesMember
}

// welcome puts the rest on an account that appMetadata began: the place in the only tenant,
// if there is one, and the word of it in the audit log. Where somebody has said already what
// the person is in a tenant, that holds.
func (c *Config) welcome(account *auth.NewAccount, ip string) error {
	at := c.newcomer()
	if at.tenant.IsZero() || len(account.Memberships) > 0 {
		return nil
	}
	return c.place(account, at, ip)
}

// place writes a membership in the tenant and the word of the role.
func (c *Config) place(account *auth.NewAccount, at place, ip string) error {
	if at.role == "" {
		return nil
	}
	u := &account.User
	traits := map[string]any{"user_id": u.ID.String(), at.member(): []string{at.role}}
	if !at.tenant.IsZero() {
		m := auth.Membership{
			TenantID: at.tenant, UserID: u.ID, Role: at.role, State: auth.MemberActive, CreatedAt: u.CreatedAt, UpdatedAt: u.CreatedAt,
		}
		if at.waits {
			m.State = auth.MemberPending
		}
		account.Memberships = append(account.Memberships, m)
		traits["tenant_id"], traits["state"] = m.TenantID.String(), m.State
	}
	entry, err := c.auditUser("user_role_taken", "user", ip, u)
	if err != nil {
		return err
	}
	entry.Traits = traits
	account.Audit = append(account.Audit, entry)
	return nil
}

// namesRoles reports whether the operator says which roles the account has, or that it has
// none.
func (in *NewUser) namesRoles() bool {
	_, roles := in.AppMetadata[rolesMember]
	_, pending := in.AppMetadata[pendingMember]
	return roles || pending
}

// welcome is that of everybody, unless the operator says which roles there are.
func (a *Admin) welcome(in *NewUser, account *auth.NewAccount, ip string) error {
	if in.namesRoles() {
		return nil
	}
	return a.c.welcome(account, ip)
}

// metadata is what the server itself keeps of an account that an operator makes.
func (a *Admin) metadata(in *NewUser, providers []string) map[string]any {
	values := map[string]any{"provider": providers[0], "providers": providers}
	if at := a.c.newcomer(); at.app && !in.namesRoles() {
		values[at.member()] = []string{at.role}
	}
	return values
}
