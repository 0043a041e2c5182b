package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func tenantID(n int) auth.ID   { return fixedID(kindTenant, n) }
func relationID(n int) auth.ID { return fixedID(kindRelation, n) }

// tenant is the n-th clinic.
func tenant(n int) auth.Tenant {
	return auth.Tenant{
		ID: tenantID(n), Slug: fmt.Sprintf("clinic-%d", n), Name: fmt.Sprintf("Clinic %05d", n), Active: true,
		Settings: json.RawMessage(`{"beds":12345678901234567890}`), CreatedAt: t0, UpdatedAt: t0,
	}
}

func tenantAudit(n int) auth.AuditEntry { return audit(300000+n, "tenant_created", "team") }

func tenantAudits(numbers ...int) []auth.AuditEntry {
	var list []auth.AuditEntry
	for _, n := range numbers {
		list = append(list, tenantAudit(n))
	}
	return list
}

// tenant makes the n-th tenant, with these members.
func (e *env) tenant(n int, members ...auth.Membership) {
	e.tb.Helper()
	e.ok("CreateTenant", e.CreateTenant(e.ctx, tenant(n), nil, tenantAudit(n)))
	for _, m := range members {
		e.join(m)
	}
}

// membership is an open one without an end.
func membership(in, user int, role string) auth.Membership {
	return auth.Membership{TenantID: tenantID(in), UserID: userID(user), Role: role, State: auth.MemberActive, CreatedAt: t0, UpdatedAt: t0}
}

// change is a change with its own audit entry, from any state and from none.
func change(m auth.Membership, n int) auth.MembershipChange {
	return auth.MembershipChange{
		Membership: m, From: []string{"", auth.MemberActive, auth.MemberInvited, auth.MemberPending, auth.MemberSuspended},
		Audit: audit(400000+n, "member_changed", "team"),
	}
}

// join writes a membership, whatever there was; its audit entry has the number of both ids.
func (e *env) join(m auth.Membership) {
	e.tb.Helper()
	_, err := e.ChangeMembership(e.ctx, change(m, int(m.TenantID[15])<<16|int(m.UserID[14])<<8|int(m.UserID[15])|1<<24))
	if err != nil {
		// The second time the entry is there already.
		c := change(m, 0)
		c.Audit.ID = e.freshID()
		_, err = e.ChangeMembership(e.ctx, c)
	}
	e.ok("ChangeMembership", err)
}

// freshID gives an id for an audit entry that no other has.
func (e *env) freshID() auth.ID {
	e.fresh++
	return fixedID(kindAudit, 1<<29+e.fresh)
}

func (e *env) memberships(n int) []auth.MemberOf {
	e.tb.Helper()
	list, err := e.MembershipsOf(e.ctx, userID(n))
	e.ok("MembershipsOf", err)
	return list
}

func tenantCases() []testCase {
	return []testCase{
		{"made, found, listed", tenantMade},
		{"with its first member, or not at all", tenantFirst},
		{"slug and id are taken once", tenantTaken},
		{"changed", tenantChanged},
		{"deleted with all that hangs on it", tenantDeleted},
	}
}

func tenantMade(_ *testing.T, e *env) {
	for _, n := range []int{3, 1, 2} {
		e.tenant(n)
	}
	bare := auth.Tenant{ID: tenantID(4), Slug: "ü-4", Name: "", CreatedAt: t0, UpdatedAt: after(time.Microsecond)}
	e.ok("CreateTenant", e.CreateTenant(e.ctx, bare, nil, tenantAudit(4)))
	bare.Settings = json.RawMessage(`{}`)
	for n, want := range map[int]auth.Tenant{1: tenant(1), 4: bare} {
		got, err := e.TenantByID(e.ctx, tenantID(n))
		e.ok("TenantByID", err)
		e.same("TenantByID", want, got)
		got, err = e.TenantBySlug(e.ctx, want.Slug)
		e.ok("TenantBySlug", err)
		e.same("TenantBySlug", want, got)
	}
	for what, slug := range map[string]string{"another": "clinic", "part": "clinic-", "case": "CLINIC-1", "none": "", "pattern": "clinic-%"} {
		_, err := e.TenantBySlug(e.ctx, slug)
		e.is(what, err, auth.ErrNotFound)
	}
	_, err := e.TenantByID(e.ctx, auth.ID{})
	e.is("no id", err, auth.ErrNotFound)

	page := func(after auth.ID, limit int) []auth.Tenant {
		e.tb.Helper()
		list, err := e.ListTenants(e.ctx, after, limit)
		e.ok("ListTenants", err)
		return list
	}
	e.same("first page", []auth.Tenant{tenant(1), tenant(2)}, page(auth.ID{}, 2))
	e.same("second page", []auth.Tenant{tenant(3), bare}, page(tenantID(2), 2))
	e.same("beyond", 0, len(page(tenantID(4), 2)))
	e.same("a limit out of range", 1, len(page(auth.ID{}, -1)))
	e.same("one far out", 4, len(page(auth.ID{}, 1<<40)))
	e.wantAudit("made", tenantAudits(1, 2, 3, 4)...)
}

func tenantFirst(_ *testing.T, e *env) {
	e.create(account(1))
	first := membership(1, 1, "owner")
	first.InvitedBy, first.EndsAt = userID(7), after(time.Hour)
	e.ok("CreateTenant", e.CreateTenant(e.ctx, tenant(1), &first, tenantAudit(1)))
	got, err := e.MembershipIn(e.ctx, tenantID(1), userID(1))
	e.ok("MembershipIn", err)
	e.same("the first member", auth.MemberOf{Membership: first, Tenant: tenant(1)}, got)

	nobody := membership(2, 9, "owner")
	e.is("of nobody", e.CreateTenant(e.ctx, tenant(2), &nobody, tenantAudit(2)), auth.ErrNotFound)
	_, err = e.TenantByID(e.ctx, tenantID(2))
	e.is("nothing is left", err, auth.ErrNotFound)
	e.wantAudit("first members", append(tenantAudits(1), account(1).Audit...)...)
}

func tenantTaken(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	e.tenant(2)
	owner := membership(3, 1, "owner")
	other := tenant(3)
	other.Slug = "clinic-1"
	e.is("slug", e.CreateTenant(e.ctx, other, &owner, tenantAudit(3)), auth.ErrSlugTaken)
	other = tenant(3)
	other.ID = tenantID(1)
	e.is("id", e.CreateTenant(e.ctx, other, &owner, tenantAudit(3)), auth.ErrIDTaken)
	_, err := e.UpdateTenant(e.ctx, tenantID(2), auth.TenantPatch{At: after(time.Hour), Name: ptr("x"), Slug: ptr("clinic-1"), Audit: tenantAudit(3)})
	e.is("by a change", err, auth.ErrSlugTaken)
	got, err := e.TenantByID(e.ctx, tenantID(2))
	e.ok("TenantByID", err)
	e.same("unchanged", tenant(2), got)
	e.same("no membership", 0, len(e.memberships(1)))
	for _, slug := range []string{"", "Clinic-9"} {
		other = tenant(9)
		other.Slug = slug
		if err := e.CreateTenant(e.ctx, other, nil, tenantAudit(9)); err == nil {
			e.tb.Errorf("the database took the slug %q", slug)
		}
	}
	e.wantAudit("refused", append(tenantAudits(1, 2), account(1).Audit...)...)
}

func tenantChanged(_ *testing.T, e *env) {
	e.tenant(1)
	e.tenant(2)
	want := tenant(1)
	want.UpdatedAt = after(time.Hour)
	entry := audit(1, "tenant_changed", "team")
	got, err := e.UpdateTenant(e.ctx, tenantID(1), auth.TenantPatch{At: after(time.Hour), Audit: entry})
	e.ok("UpdateTenant", err)
	e.same("nothing but the time", want, got)

	want.Slug, want.Name, want.Active, want.UpdatedAt = "new", "Ny klinikk", false, after(2*time.Hour)
	want.Settings = json.RawMessage(`{"a":{"b":"<é>"}}`)
	entry.ID = fixedID(kindAudit, 2)
	got, err = e.UpdateTenant(e.ctx, tenantID(1), auth.TenantPatch{
		At: after(2 * time.Hour), Slug: ptr("new"), Name: ptr("Ny klinikk"), Active: ptr(false), Audit: entry,
		Settings: auth.MetadataPatch{Set: map[string]json.RawMessage{"a": json.RawMessage(`{"b":"<é>"}`)}, Delete: []string{"beds", "none"}},
	})
	e.ok("UpdateTenant", err)
	e.same("everything", want, got)
	got, err = e.TenantBySlug(e.ctx, "new")
	e.ok("TenantBySlug", err)
	e.same("stored", want, got)
	_, err = e.TenantBySlug(e.ctx, "clinic-1")
	e.is("the old slug", err, auth.ErrNotFound)
	other, err := e.TenantByID(e.ctx, tenantID(2))
	e.ok("TenantByID", err)
	e.same("another", tenant(2), other)
	_, err = e.UpdateTenant(e.ctx, tenantID(9), auth.TenantPatch{At: t0, Audit: audit(3, "x", "team")})
	e.is("unknown", err, auth.ErrNotFound)
	e.wantAudit("changes", append(tenantAudits(1, 2), audit(1, "tenant_changed", "team"), entry)...)
}

func tenantDeleted(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.tenant(1, membership(1, 1, "owner"), membership(1, 2, "patient"))
	e.tenant(2, membership(2, 1, "owner"))
	e.sign(1, 2)
	e.relate(relation(1, auth.RelationCare, 1, 2, 1))
	e.relate(relation(2, auth.RelationPatient, 2, 0, 1))
	e.relate(relation(3, auth.RelationCare, 1, 2, 2))
	e.wantTenant("before", 1, 2, t0, 1, "patient")
	e.ok("DeleteTenant", e.DeleteTenant(e.ctx, tenantID(1), audit(60, "tenant_deleted", "team")))
	e.is("twice", e.DeleteTenant(e.ctx, tenantID(1), audit(61, "tenant_deleted", "team")), auth.ErrNotFound)
	_, err := e.TenantByID(e.ctx, tenantID(1))
	e.is("TenantByID", err, auth.ErrNotFound)
	e.same("memberships", []auth.MemberOf{{Membership: membership(2, 1, "owner"), Tenant: tenant(2)}}, e.memberships(1))
	e.wantTenant("the session of a member", 1, 2, t0, 0, "")
	for n, want := range map[int]error{1: auth.ErrNotFound, 2: auth.ErrNotFound, 3: nil} {
		_, err := e.RelationByID(e.ctx, relationID(n))
		e.is(fmt.Sprint("relation ", n), err, want)
	}
	again := tenant(9)
	again.Slug = "clinic-1"
	e.ok("the slug is free", e.CreateTenant(e.ctx, again, nil, tenantAudit(9)))
}
