package flow_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func (d *directory) CreateTenant(_ context.Context, row auth.Tenant, first *auth.Membership, audit auth.AuditEntry) error {
	for _, other := range d.tenants {
		if other.Slug == row.Slug {
			return auth.ErrSlugTaken
		}
	}
	if d.tenants[row.ID] = &row; first != nil {
		d.members = append(d.members, *first)
	}
	d.audit = append(d.audit, audit)
	return d.call("CreateTenant")
}

func (d *directory) TenantByID(_ context.Context, id auth.ID) (auth.Tenant, error) {
	if row, ok := d.tenants[id]; ok {
		return *row, d.call("TenantByID")
	}
	return auth.Tenant{}, auth.ErrNotFound
}

func (d *directory) TenantBySlug(_ context.Context, slug string) (auth.Tenant, error) {
	for _, row := range d.tenants {
		if row.Slug == slug {
			return *row, d.call("TenantBySlug")
		}
	}
	return auth.Tenant{}, errors.Join(auth.ErrNotFound, d.call("TenantBySlug"))
}

func (d *directory) UpdateTenant(ctx context.Context, id auth.ID, p auth.TenantPatch) (auth.Tenant, error) {
	row, ok := d.tenants[id]
	if !ok {
		return auth.Tenant{}, auth.ErrNotFound
	}
	if p.Slug != nil {
		if other, err := d.TenantBySlug(ctx, *p.Slug); err == nil && other.ID != id {
			return auth.Tenant{}, auth.ErrSlugTaken
		}
		row.Slug = *p.Slug
	}
	if p.Name != nil {
		row.Name = *p.Name
	}
	if p.Active != nil {
		row.Active = *p.Active
	}
	row.Settings, d.audit = d.merge(row.Settings, p.Settings), append(d.audit, p.Audit)
	return *row, d.call("UpdateTenant")
}

func (d *directory) ListTenants(context.Context, auth.ID, int) ([]auth.Tenant, error) {
	return nil, d.call("ListTenants")
}

func (d *directory) DeleteTenant(_ context.Context, id auth.ID, audit auth.AuditEntry) error {
	if _, ok := d.tenants[id]; !ok {
		return auth.ErrNotFound
	}
	delete(d.tenants, id)
	d.audit = append(d.audit, audit)
	return d.call("DeleteTenant")
}

func (d *directory) member(tenant, user auth.ID) int {
	return slices.IndexFunc(d.members, func(m auth.Membership) bool { return m.TenantID == tenant && m.UserID == user })
}

// lastOwner reports whether the tenant would lose its last active member of the role.
func (d *directory) lastOwner(owner string, before auth.Membership, after *auth.Membership) bool {
	if owner == "" || before.Role != owner || before.State != auth.MemberActive || after != nil && after.Role == owner && after.State == auth.MemberActive {
		return false
	}
	return !slices.ContainsFunc(d.members, func(m auth.Membership) bool {
		return m.TenantID == before.TenantID && m.UserID != before.UserID && m.Role == owner && m.State == auth.MemberActive
	})
}

func (d *directory) ChangeMembership(_ context.Context, c auth.MembershipChange) (auth.Membership, error) {
	d.race()
	if err := d.call("ChangeMembership"); err != nil {
		return auth.Membership{}, err
	}
	m := c.Membership
	if d.tenants[m.TenantID] == nil || d.people[m.UserID] == nil {
		return auth.Membership{}, auth.ErrNotFound
	}
	i, before := d.member(m.TenantID, m.UserID), auth.Membership{}
	if i >= 0 {
		before = d.members[i]
	}
	if !slices.Contains(c.From, before.State) || !c.Seen.IsZero() && !c.Seen.Equal(before.UpdatedAt) || d.lastOwner(c.LastOwner, before, &m) {
		return auth.Membership{}, auth.ErrConflict
	}
	if d.audit = append(d.audit, c.Audit); i >= 0 {
		d.members[i] = m
	} else {
		d.members = append(d.members, m)
	}
	return before, nil
}

func (d *directory) EndMembership(_ context.Context, tenant, user auth.ID, lastOwner string, audit auth.AuditEntry) error {
	i := d.member(tenant, user)
	if i < 0 {
		return auth.ErrNotFound
	}
	if d.lastOwner(lastOwner, d.members[i], nil) {
		return auth.ErrConflict
	}
	d.members, d.audit = slices.Delete(d.members, i, i+1), append(d.audit, audit)
	return d.call("EndMembership")
}

func (d *directory) MembershipsOf(_ context.Context, user auth.ID) ([]auth.MemberOf, error) {
	var list []auth.MemberOf
	for _, m := range d.members {
		if m.UserID == user {
			list = append(list, auth.MemberOf{Membership: m, Tenant: *d.tenants[m.TenantID]})
		}
	}
	return list, d.call("MembershipsOf")
}

func (d *directory) MembersOf(_ context.Context, tenant, _ auth.ID, _ int) ([]auth.Member, error) {
	var list []auth.Member
	for _, m := range d.members {
		if p := d.people[m.UserID]; m.TenantID == tenant {
			list = append(list, auth.Member{Membership: m, Email: p.User.Email, Phone: p.User.Phone, FullName: p.Profile.FullName})
		}
	}
	return list, d.call("MembersOf")
}

func (d *directory) MembershipIn(_ context.Context, tenant, user auth.ID) (auth.MemberOf, error) {
	if err := d.call("MembershipIn"); err != nil {
		return auth.MemberOf{}, err
	}
	i := d.member(tenant, user)
	if i < 0 {
		return auth.MemberOf{}, auth.ErrNotFound
	}
	return auth.MemberOf{Membership: d.members[i], Tenant: *d.tenants[tenant]}, nil
}

func (d *directory) SwitchTenant(_ context.Context, s auth.SwitchTenant) (auth.SwitchResult, error) {
	i, r := d.session(s.UserID, s.SessionID), auth.SwitchResult{}
	if i < 0 {
		return r, auth.ErrNotFound
	}
	r.User, r.Session = d.people[s.UserID].User, d.sessions[i]
	r.Session.TenantID = s.TenantID
	if !s.TenantID.IsZero() {
		m := d.member(s.TenantID, s.UserID)
		if m < 0 || !d.members[m].OpenAt(s.At) || !d.tenants[s.TenantID].Active {
			return auth.SwitchResult{}, auth.ErrNotFound
		}
		r.Session.TenantRole = d.members[m].Role
	}
	d.audit = append(d.audit, s.Audit)
	return r, d.call("SwitchTenant")
}

func (d *directory) AddRelation(_ context.Context, r auth.Relation, audit auth.AuditEntry) error {
	d.race()
	for _, o := range d.relations {
		if o.Kind == r.Kind && o.ObjectID == r.ObjectID && o.TenantID == r.TenantID && (o.SubjectID == r.SubjectID || r.Kind == auth.RelationAgent) &&
			(o.EndsAt.IsZero() || o.EndsAt.After(r.StartsAt)) {
			return auth.ErrConflict
		}
	}
	d.relations, d.audit = append(d.relations, r), append(d.audit, audit)
	return d.call("AddRelation")
}

func (d *directory) EndRelation(_ context.Context, id auth.ID, at time.Time, audit auth.AuditEntry) error {
	for i := range d.relations {
		if r := &d.relations[i]; r.ID == id && (r.EndsAt.IsZero() || r.EndsAt.After(at)) {
			r.EndsAt, d.audit = at, append(d.audit, audit)
			return d.call("EndRelation")
		}
	}
	return auth.ErrNotFound
}

func (d *directory) RelationByID(_ context.Context, id auth.ID) (auth.Relation, error) {
	for _, r := range d.relations {
		if r.ID == id {
			return r, d.call("RelationByID")
		}
	}
	return auth.Relation{}, auth.ErrNotFound
}

func (d *directory) Relations(_ context.Context, q auth.RelationQuery) ([]auth.Relation, error) {
	if err := d.call("Relations"); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(d.relations), func(r auth.Relation) bool {
		return q.Kind != "" && r.Kind != q.Kind || !q.Subject.IsZero() && r.SubjectID != q.Subject || !q.Object.IsZero() && r.ObjectID != q.Object ||
			!q.Tenant.IsZero() && r.TenantID != q.Tenant || r.StartsAt.After(q.At) || !r.EndsAt.IsZero() && !r.EndsAt.After(q.At)
	}), nil
}
