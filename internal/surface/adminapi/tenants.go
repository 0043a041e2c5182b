package adminapi

import (
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func tenantRoutes() []route {
	return []route{
		{"GET", "/tenants", false, 200, listTenants},
		{"POST", "/tenants", false, created, createTenant},
		{"GET", "/tenants/{tenant}", false, 200, getTenant},
		{"PATCH", "/tenants/{tenant}", false, 200, changeTenant},
		{"DELETE", "/tenants/{tenant}", true, 204, deleteTenant},
		{"GET", "/tenants/{tenant}/members", false, 200, listMembers},
		{"POST", "/tenants/{tenant}/members", false, created, addMember},
		{"PATCH", "/tenants/{tenant}/members/{user}", false, 200, changeMember},
		{"DELETE", "/tenants/{tenant}/members/{user}", false, 204, removeMember},
		{"GET", "/relations", false, 200, listRelations},
		{"POST", "/relations", false, created, addRelation},
		{"DELETE", "/relations/{id}", false, 204, endRelation},
	}
}

func listTenants(s *surface, c *call) (any, error) {
	q := c.query()
	limit, after := q.limit(maxPage), q.id("after")
	if err := q.done(); err != nil {
		return nil, err
	}
	list, err := s.c.Tenancy.List(c.r.Context(), c.actor, after, limit+1)
	if err != nil {
		return nil, err
	}
	list, next := cut(list, limit, func(t *auth.Tenant) auth.ID { return t.ID })
	return struct {
		Tenants []tenantView `json:"tenants"`
		Next    string       `json:"next"`
	}{views(list, viewTenant), next}, nil
}

func createTenant(s *surface, c *call) (any, error) {
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	in := flow.NewTenant{Slug: b.text("slug"), Name: b.text("name"), Settings: b.object("settings"), Owner: b.id("owner_id")}
	if err := b.done(); err != nil {
		return nil, err
	}
	t, err := s.c.Tenancy.Create(c.r.Context(), c.actor, in)
	if err != nil {
		return nil, err
	}
	return viewTenant(&t), nil
}

func getTenant(s *surface, c *call) (any, error) {
	name, err := c.text("tenant")
	if err != nil {
		return nil, auth.E(auth.CodeTenantNotFound, "")
	}
	var t auth.Tenant
	if id, bad := auth.ParseID(name); bad == nil {
		t, err = s.c.Tenancy.Get(c.r.Context(), c.actor, id)
	} else {
		t, err = s.c.Tenancy.BySlug(c.r.Context(), name)
	}
	if err != nil {
		return nil, err
	}
	return viewTenant(&t), nil
}

func changeTenant(s *surface, c *call) (any, error) {
	id, err := c.id("tenant")
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	in := flow.TenantChange{Slug: b.opt("slug"), Name: b.opt("name"), Active: b.optFlag("is_active"), Settings: b.object("settings")}
	if err := b.done(); err != nil {
		return nil, err
	}
	t, err := s.c.Tenancy.Update(c.r.Context(), c.actor, id, in)
	if err != nil {
		return nil, err
	}
	return viewTenant(&t), nil
}

func deleteTenant(s *surface, c *call) (any, error) {
	id, err := c.id("tenant")
	if err != nil {
		return nil, err
	}
	return nil, s.c.Tenancy.Delete(c.r.Context(), c.actor, id)
}

func listMembers(s *surface, c *call) (any, error) {
	id, err := c.id("tenant")
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit, after := q.limit(maxPage), q.id("after")
	if err := q.done(); err != nil {
		return nil, err
	}
	list, err := s.c.Tenancy.Members(c.r.Context(), c.actor, id, after, limit+1)
	if err != nil {
		return nil, err
	}
	list, next := cut(list, limit, func(m *auth.Member) auth.ID { return m.UserID })
	return struct {
		Members []memberView `json:"members"`
		Next    string       `json:"next"`
	}{views(list, func(m *auth.Member) memberView {
		v := viewMembership(&m.Membership)
		v.Email, v.Phone, v.FullName = m.Email, m.Phone, m.FullName
		return v
	}), next}, nil
}

// addMember invites, and with "accepted" opens the membership at once: an operator who takes
// somebody in by an employment contract needs no click.
func addMember(s *surface, c *call) (any, error) {
	id, err := c.id("tenant")
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	in := flow.Invitee{Email: b.text("email"), UserID: b.id("user_id"), Role: b.text("role"), RedirectTo: b.text("redirect_to")}
	accepted := b.flag("accepted")
	if err := b.done(); err != nil {
		return nil, err
	}
	if in.RedirectTo == "" {
		in.RedirectTo = s.c.Redirects.Choose()
	} else if !s.c.Redirects.Allowed(in.RedirectTo) {
		return nil, invalid("redirect_to is not among the addresses that this server may lead to")
	}
	m, err := s.c.Tenancy.Invite(c.r.Context(), c.actor, id, in)
	if err != nil {
		return nil, err
	}
	if accepted && m.State != auth.MemberActive {
		state := auth.MemberActive
		if m, err = s.c.Tenancy.ChangeMember(c.r.Context(), c.actor, id, m.UserID, flow.MemberChange{State: &state}); err != nil {
			return nil, err
		}
	}
	return viewMembership(&m), nil
}

// member reads the two ids of a membership.
func (c *call) member() (tenant, user auth.ID, err error) {
	if tenant, err = c.id("tenant"); err == nil {
		user, err = c.id("user")
	}
	return tenant, user, err
}

func changeMember(s *surface, c *call) (any, error) {
	tenant, user, err := c.member()
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	in := flow.MemberChange{Role: b.opt("role"), State: b.opt("state"), EndsAt: b.at("ends_at")}
	if err := b.done(); err != nil {
		return nil, err
	}
	m, err := s.c.Tenancy.ChangeMember(c.r.Context(), c.actor, tenant, user, in)
	if err != nil {
		return nil, err
	}
	return viewMembership(&m), nil
}

func removeMember(s *surface, c *call) (any, error) {
	tenant, user, err := c.member()
	if err != nil {
		return nil, err
	}
	return nil, s.c.Tenancy.Remove(c.r.Context(), c.actor, tenant, user)
}

func listRelations(s *surface, c *call) (any, error) {
	q := c.query()
	in := auth.RelationQuery{
		Kind: q.text("kind"), Subject: q.id("subject_id"), Object: q.id("object_id"), Tenant: q.id("tenant_id"), Limit: q.limit(maxPage),
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	list, err := s.c.Tenancy.Relations(c.r.Context(), c.actor, in)
	if err != nil {
		return nil, err
	}
	return map[string]any{"relations": views(list, viewRelation)}, nil
}

func addRelation(s *surface, c *call) (any, error) {
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	in := flow.NewRelation{
		Kind: b.text("kind"), SubjectID: b.id("subject_id"), ObjectID: b.id("object_id"), TenantID: b.id("tenant_id"),
		StartsAt: moment(b.at("starts_at")), EndsAt: moment(b.at("ends_at")),
	}
	if err := b.done(); err != nil {
		return nil, err
	}
	r, err := s.c.Tenancy.Relate(c.r.Context(), c.actor, in)
	if err != nil {
		return nil, err
	}
	return viewRelation(&r), nil
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func endRelation(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	return nil, s.c.Tenancy.Unrelate(c.r.Context(), c.actor, id)
}
