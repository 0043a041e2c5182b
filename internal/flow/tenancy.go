package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// TenantStore is what Tenancy needs of a database besides Store.
type TenantStore interface {
	tenantRows
	membershipRows
	relationRows
}

type tenantRows interface {
	CreateTenant(ctx context.Context, t auth.Tenant, first *auth.Membership, audit auth.AuditEntry) error
	TenantByID(ctx context.Context, id auth.ID) (auth.Tenant, error)
	TenantBySlug(ctx context.Context, slug string) (auth.Tenant, error)
	UpdateTenant(ctx context.Context, id auth.ID, p auth.TenantPatch) (auth.Tenant, error)
	ListTenants(ctx context.Context, after auth.ID, limit int) ([]auth.Tenant, error)
	DeleteTenant(ctx context.Context, id auth.ID, audit auth.AuditEntry) error
}

type membershipRows interface {
	ChangeMembership(ctx context.Context, c auth.MembershipChange) (before auth.Membership, err error)
	EndMembership(ctx context.Context, tenant, user auth.ID, lastOwner string, audit auth.AuditEntry) error
	MembershipsOf(ctx context.Context, user auth.ID) ([]auth.MemberOf, error)
	MembersOf(ctx context.Context, tenant, after auth.ID, limit int) ([]auth.Member, error)
	MembershipIn(ctx context.Context, tenant, user auth.ID) (auth.MemberOf, error)
	SwitchTenant(ctx context.Context, s auth.SwitchTenant) (auth.SwitchResult, error)
}

type relationRows interface {
	AddRelation(ctx context.Context, r auth.Relation, audit auth.AuditEntry) error
	EndRelation(ctx context.Context, id auth.ID, at time.Time, audit auth.AuditEntry) error
	RelationByID(ctx context.Context, id auth.ID) (auth.Relation, error)
	Relations(ctx context.Context, q auth.RelationQuery) ([]auth.Relation, error)
}

// Tenancy are the use cases around tenants: who belongs to which, as what, and who cares
// there for whom.
//
// What somebody may do in a tenant comes from his membership, read at that moment: not from
// the token, which may be older, and not from a role of the application, which opens no
// tenant. Whatever can't be looked up is refused. A stranger learns nothing of a tenant, not
// even that it exists.
type Tenancy struct{ c Config }

// NewTenancy makes Tenancy. All that NewAccounts needs is needed, and PeopleStore,
// TenantStore and Roles.
func NewTenancy(c Config) *Tenancy { return &Tenancy{c} }

// NewTenant is a tenant to be made.
type NewTenant struct {
	Slug     string // see [ReadSlug]
	Name     string // 2 to 100 characters
	Settings map[string]json.RawMessage
	Owner    auth.ID // zero: the caller; an operator's tenant then has no member yet
}

// TenantChange changes a tenant. Nil fields stay; null in Settings deletes a member.
type TenantChange struct {
	Slug, Name *string
	Active     *bool // operators only
	Settings   map[string]json.RawMessage
}

// inTenant finds out who acts in a tenant, and with which permission. What it verifies, for
// everybody but operators: the membership is there and active and has not ended, the tenant
// is active, and the role has the permission.
func (t *Tenancy) inTenant(ctx context.Context, a Actor, tenant auth.ID, permission string) (standing, auth.Tenant, error) {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return s, auth.Tenant{}, err
	}
	row, err := t.enter(ctx, &s, tenant, permission)
	return s, row, err
}

// enter is inTenant for an actor who is known already.
func (t *Tenancy) enter(ctx context.Context, s *standing, tenant auth.ID, permission string) (auth.Tenant, error) {
	if s.operator {
		return t.byID(ctx, tenant)
	}
	m, err := t.c.TenantStore.MembershipIn(ctx, tenant, s.user.ID)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.Tenant{}, auth.E(auth.CodeTenantDenied, "")
	case err != nil:
		return auth.Tenant{}, fmt.Errorf("flow: read membership: %w", err)
	case !m.Tenant.Active || !m.OpenAt(t.c.now()):
		return auth.Tenant{}, auth.E(auth.CodeTenantDenied, "")
	}
	if s.member = m.Membership; !s.mayHere(permission) {
		return auth.Tenant{}, forbidden(permission)
	}
	return m.Tenant, nil
}

// mayHere reports whether the actor has a permission in the tenant that was asked for.
func (s *standing) mayHere(permission string) bool {
	return s.operator || s.catalogue.Has(tenantRoles(s.catalogue, s.member.Role), permission)
}

// tenantRoles is the role of a membership as far as it counts: the catalogue may have
// changed since it was given.
func tenantRoles(c *role.Catalogue, name string) []string {
	if r, ok := c.Role(name); !ok || !r.InTenant() {
		return nil
	}
	return []string{name}
}

func (t *Tenancy) byID(ctx context.Context, id auth.ID) (auth.Tenant, error) {
	row, err := t.c.TenantStore.TenantByID(ctx, id)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.Tenant{}, auth.E(auth.CodeTenantNotFound, "")
	}
	if err != nil {
		return auth.Tenant{}, fmt.Errorf("flow: read tenant: %w", err)
	}
	return row, nil
}

// Create makes a tenant. A person needs tenant:create, and becomes the owner.
func (t *Tenancy) Create(ctx context.Context, a Actor, in NewTenant) (auth.Tenant, error) {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return auth.Tenant{}, err
	}
	if !s.may(role.TenantCreate) || !s.operator && !t.c.SingleTenant.IsZero() {
		return auth.Tenant{}, forbidden(role.TenantCreate)
	}
	switch {
	case s.operator:
	case in.Owner.IsZero():
		in.Owner = s.user.ID
	case in.Owner != s.user.ID:
		return auth.Tenant{}, auth.E(auth.CodeForbidden, "You can make a tenant for yourself only")
	}
	row, err := t.newTenant(&in)
	if err != nil {
		return auth.Tenant{}, err
	}
	var first *auth.Membership
	if !in.Owner.IsZero() {
		owner := s.catalogue.Owner()
		if owner == "" {
			return auth.Tenant{}, auth.E(auth.CodeValidation, "The catalogue of roles has no owner's role")
		}
		if _, err := t.c.person(ctx, in.Owner, auth.CodeUserNotFound); err != nil {
			return auth.Tenant{}, err
		}
		first = &auth.Membership{
			TenantID: row.ID, UserID: in.Owner, Role: owner, State: auth.MemberActive, InvitedBy: s.user.ID,
			CreatedAt: row.CreatedAt, UpdatedAt: row.CreatedAt,
		}
	}
	traits := map[string]any{"tenant_id": row.ID.String(), "slug": row.Slug}
	if first != nil {
		traits["user_id"] = in.Owner.String()
	}
	entry, err := t.c.auditBy(&s, "tenant_created", "team", traits)
	if err != nil {
		return auth.Tenant{}, err
	}
	switch err := t.c.TenantStore.CreateTenant(ctx, row, first, entry); {
	case errors.Is(err, auth.ErrSlugTaken):
		return auth.Tenant{}, auth.E(auth.CodeSlugExists, "")
	case err != nil:
		return auth.Tenant{}, fmt.Errorf("flow: create tenant: %w", err)
	}
	return row, nil
}

// newTenant checks the fields of a tenant and makes its row.
func (t *Tenancy) newTenant(in *NewTenant) (auth.Tenant, error) {
	now := t.c.now()
	id, err := auth.NewID(now, t.c.Rand)
	if err != nil {
		return auth.Tenant{}, err
	}
	row := auth.Tenant{ID: id, Active: true, CreatedAt: now, UpdatedAt: now}
	if row.Slug, err = ReadSlug(in.Slug); err != nil {
		return auth.Tenant{}, err
	}
	if row.Name, err = readName(in.Name); err != nil {
		return auth.Tenant{}, err
	}
	if err := checkMembers("settings", in.Settings); err != nil {
		return auth.Tenant{}, err
	}
	row.Settings, err = marshalObject(in.Settings)
	return row, err
}

// Get gives a tenant to its members with tenant:read.
func (t *Tenancy) Get(ctx context.Context, a Actor, id auth.ID) (auth.Tenant, error) {
	_, row, err := t.inTenant(ctx, a, id, role.TenantRead)
	return row, err
}

// BySlug finds a tenant for everybody: who knows the name may know that it exists. Callers
// show nothing of it but slug and name. One that is not active is not found.
func (t *Tenancy) BySlug(ctx context.Context, slug string) (auth.Tenant, error) {
	return t.c.tenantBySlug(ctx, slug)
}

func (c *Config) tenantBySlug(ctx context.Context, slug string) (auth.Tenant, error) {
	if _, err := ReadSlug(slug); err != nil {
		return auth.Tenant{}, auth.E(auth.CodeTenantNotFound, "")
	}
	row, err := c.TenantStore.TenantBySlug(ctx, slug)
	if errors.Is(err, auth.ErrNotFound) || err == nil && !row.Active {
		return auth.Tenant{}, auth.E(auth.CodeTenantNotFound, "")
	}
	if err != nil {
		return auth.Tenant{}, fmt.Errorf("flow: find tenant: %w", err)
	}
	return row, nil
}

// Update changes a tenant, for its members with tenant:update. Whether it is active is the
// operators' to say.
func (t *Tenancy) Update(ctx context.Context, a Actor, id auth.ID, in TenantChange) (auth.Tenant, error) {
	s, before, err := t.inTenant(ctx, a, id, role.TenantUpdate)
	if err != nil {
		return auth.Tenant{}, err
	}
	if in.Active != nil && !s.operator {
		return auth.Tenant{}, auth.E(auth.CodeForbidden, "Only an operator can switch a tenant off or on")
	}
	patch := auth.TenantPatch{Active: in.Active}
	traits := map[string]any{"tenant_id": id.String()}
	if in.Slug != nil {
		slug, err := ReadSlug(*in.Slug)
		if err != nil {
			return auth.Tenant{}, err
		}
		patch.Slug, traits["slug"], traits["slug_before"] = &slug, slug, before.Slug
	}
	if in.Name != nil {
		name, err := readName(*in.Name)
		if err != nil {
			return auth.Tenant{}, err
		}
		patch.Name, traits["name"] = &name, name
	}
	if in.Active != nil {
		traits["active"] = *in.Active
	}
	if err := checkMembers("settings", in.Settings); err != nil {
		return auth.Tenant{}, err
	}
	if patch.Settings = metadataPatch(in.Settings); !patch.Settings.IsZero() {
		traits["settings"] = true
	}
	if len(traits) == 1 {
		return before, nil
	}
	if patch.Audit, err = t.c.auditBy(&s, "tenant_modified", "team", traits); err != nil {
		return auth.Tenant{}, err
	}
	patch.At = patch.Audit.At
	row, err := t.c.TenantStore.UpdateTenant(ctx, id, patch)
	switch {
	case errors.Is(err, auth.ErrSlugTaken):
		return auth.Tenant{}, auth.E(auth.CodeSlugExists, "")
	case errors.Is(err, auth.ErrNotFound):
		return auth.Tenant{}, auth.E(auth.CodeTenantNotFound, "")
	case err != nil:
		return auth.Tenant{}, fmt.Errorf("flow: update tenant: %w", err)
	}
	return row, nil
}

// Delete removes a tenant with its memberships and relations; for operators.
func (t *Tenancy) Delete(ctx context.Context, a Actor, id auth.ID) error {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return err
	}
	if !s.operator {
		return auth.E(auth.CodeForbidden, "Only an operator can delete a tenant")
	}
	entry, err := t.c.auditBy(&s, "tenant_deleted", "team", map[string]any{"tenant_id": id.String()})
	if err != nil {
		return err
	}
	err = t.c.TenantStore.DeleteTenant(ctx, id, entry)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeTenantNotFound, "")
	}
	if err != nil {
		return fmt.Errorf("flow: delete tenant: %w", err)
	}
	return nil
}

// List gives all tenants in the order of their ids, to operators. Everybody else has Mine.
func (t *Tenancy) List(ctx context.Context, a Actor, after auth.ID, limit int) ([]auth.Tenant, error) {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return nil, err
	}
	if !s.operator {
		return nil, auth.E(auth.CodeForbidden, "Only an operator can list all tenants")
	}
	list, err := t.c.TenantStore.ListTenants(ctx, after, pageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("flow: list tenants: %w", err)
	}
	return list, nil
}

// Mine lists the caller's memberships in every state: an invitation has to be seen to be
// accepted. Of a tenant that is not open to him he gets id, slug and name only.
func (t *Tenancy) Mine(ctx context.Context, c auth.Caller) ([]auth.MemberOf, error) {
	if _, err := t.c.activeCaller(ctx, c); err != nil {
		return nil, err
	}
	list, err := t.c.TenantStore.MembershipsOf(ctx, c.UserID)
	if err != nil {
		return nil, fmt.Errorf("flow: list memberships: %w", err)
	}
	now := t.c.now()
	for i := range list {
		if m := &list[i]; !m.OpenAt(now) || !m.Tenant.Active {
			m.Tenant.Settings = json.RawMessage(`{}`)
		}
	}
	return list, nil
}

// Switch makes a tenant the active one of the caller's session and gives tokens that say so;
// no password is needed. The zero tenant leaves all of them.
func (t *Tenancy) Switch(ctx context.Context, c auth.Caller, tenant auth.ID) (auth.SignedIn, error) {
	u, err := t.c.activeCaller(ctx, c)
	if err != nil {
		return auth.SignedIn{}, err
	}
	s := standing{user: u, meta: c.Meta}
	entry, err := t.c.auditBy(&s, "tenant_switched", "account", map[string]any{"user_id": u.ID.String(), "tenant_id": tenant.String()})
	if err != nil {
		return auth.SignedIn{}, err
	}
	res, err := t.c.TenantStore.SwitchTenant(ctx, auth.SwitchTenant{
		SessionID: c.SessionID, UserID: c.UserID, TenantID: tenant, At: entry.At, Audit: entry,
	})
	if errors.Is(err, auth.ErrNotFound) {
		return auth.SignedIn{}, auth.E(auth.CodeTenantDenied, "")
	}
	if err != nil {
		return auth.SignedIn{}, fmt.Errorf("flow: switch tenant: %w", err)
	}
	tokens, err := t.c.Issuer.Issue(ctx, &res.User, &res.Session)
	if err != nil {
		return auth.SignedIn{}, fmt.Errorf("flow: issue tokens: %w", err)
	}
	return auth.SignedIn{User: res.User, Session: res.Session, Tokens: tokens, Refreshed: true}, nil
}
