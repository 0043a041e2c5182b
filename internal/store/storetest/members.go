package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func memberCases() []testCase {
	return []testCase{
		{"a life: invited, accepted, changed, ended", memberLife},
		{"only from the states that were meant", memberFrom},
		{"only as it was seen", memberSeen},
		{"the last owner stays", memberLastOwner},
		{"of nobody, nowhere", memberNotFound},
		{"lists: 500 tenants of one, members in pages", memberLists},
	}
}

func memberLife(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	m := membership(1, 1, "physician")
	m.State, m.InvitedBy, m.EndsAt = auth.MemberInvited, userID(7), after(time.Hour)
	before, err := e.ChangeMembership(e.ctx, change(m, 1))
	e.ok("invite", err)
	e.same("there was none", auth.Membership{}, before)
	invited := m

	m.State, m.Role, m.EndsAt, m.UpdatedAt = auth.MemberActive, "owner", time.Time{}, after(time.Minute)
	sent := m
	sent.InvitedBy, sent.CreatedAt = auth.ID{}, after(time.Minute) // by whom and when it was made stays
	before, err = e.ChangeMembership(e.ctx, change(sent, 2))
	e.ok("accept", err)
	e.same("it was", invited, before)
	got, err := e.MembershipIn(e.ctx, tenantID(1), userID(1))
	e.ok("MembershipIn", err)
	e.same("it is", auth.MemberOf{Membership: m, Tenant: tenant(1)}, got)

	if _, err := e.ChangeMembership(e.ctx, change(auth.Membership{
		TenantID: m.TenantID, UserID: m.UserID, Role: "owner", State: "emperor", CreatedAt: t0, UpdatedAt: t0,
	}, 3)); err == nil {
		e.tb.Error("the database took a state that there is not")
	}
	e.ok("EndMembership", e.EndMembership(e.ctx, tenantID(1), userID(1), "", audit(60, "member_removed", "team")))
	e.is("twice", e.EndMembership(e.ctx, tenantID(1), userID(1), "", audit(61, "member_removed", "team")), auth.ErrNotFound)
	_, err = e.MembershipIn(e.ctx, tenantID(1), userID(1))
	e.is("MembershipIn", err, auth.ErrNotFound)
	e.wantAudit("a life", slices.Concat(tenantAudits(1), account(1).Audit,
		[]auth.AuditEntry{change(m, 1).Audit, change(m, 2).Audit, audit(60, "member_removed", "team")})...)
}

func memberFrom(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	states := []string{"", auth.MemberInvited, auth.MemberPending, auth.MemberActive, auth.MemberSuspended}
	n := 0
	for _, present := range states {
		for _, from := range states {
			n++
			if err := e.EndMembership(e.ctx, tenantID(1), userID(1), "", audit(1000+n, "x", "team")); present != "" || n > 1 {
				_ = err // there may be none
			}
			m := membership(1, 1, "patient")
			if m.State = present; present != "" {
				c := change(m, 0)
				c.Audit.ID = e.freshID()
				_, err := e.ChangeMembership(e.ctx, c)
				e.ok("prepare", err)
			}
			to := membership(1, 1, "owner")
			c := change(to, 2000+n)
			c.From = []string{from}
			_, err := e.ChangeMembership(e.ctx, c)
			want := error(nil)
			if from != present {
				want = auth.ErrConflict
			}
			e.is(fmt.Sprintf("%q from %q", present, from), err, want)
			got, err := e.MembershipIn(e.ctx, tenantID(1), userID(1))
			switch {
			case from == present:
				e.ok("MembershipIn", err)
				e.same("changed", "owner", got.Role)
			case present != "":
				e.ok("MembershipIn", err)
				e.same("as it was", [2]string{"patient", present}, [2]string{got.Role, got.State})
			default:
				e.is("none", err, auth.ErrNotFound)
			}
		}
	}
	c := change(membership(1, 1, "owner"), 9)
	c.From = nil
	_, err := e.ChangeMembership(e.ctx, c)
	e.is("from nothing at all", err, auth.ErrConflict)
}

func memberLastOwner(_ *testing.T, e *env) {
	for n := 1; n <= 4; n++ {
		e.create(account(n))
	}
	with := func(m auth.Membership, edit func(*auth.Membership)) auth.Membership { edit(&m); return m }
	owner := func(n int) auth.Membership { return membership(1, n, "owner") }
	e.tenant(2, membership(2, 2, "owner"))
	e.tenant(1, owner(1), membership(1, 2, "nurse"),
		with(owner(3), func(m *auth.Membership) { m.State = auth.MemberSuspended }),
		with(owner(4), func(m *auth.Membership) { m.EndsAt = after(1000 * time.Hour) }))
	try := func(what string, m auth.Membership, want error) {
		e.tb.Helper()
		c := change(m, 0)
		c.LastOwner, c.Audit.ID = "owner", e.freshID()
		_, err := e.ChangeMembership(e.ctx, c)
		e.is(what, err, want)
	}
	end := func(what string, n int, role string, want error) {
		e.tb.Helper()
		entry := audit(0, "member_removed", "team")
		entry.ID = e.freshID()
		e.is(what, e.EndMembership(e.ctx, tenantID(1), userID(n), role, entry), want)
	}
	try("another role", membership(1, 1, "nurse"), auth.ErrConflict)
	try("suspended", with(owner(1), func(m *auth.Membership) { m.State = auth.MemberSuspended }), auth.ErrConflict)
	try("until tomorrow", with(owner(1), func(m *auth.Membership) { m.EndsAt = after(24 * time.Hour) }), auth.ErrConflict)
	end("left", 1, "owner", auth.ErrConflict)
	try("the same again", owner(1), nil)
	try("somebody else's", membership(1, 2, "doctor"), nil)
	end("one with an end", 4, "owner", nil)
	end("a suspended one", 3, "owner", nil)
	end("whoever does not look", 1, "", nil)
	e.join(owner(1))
	try("a second owner", owner(2), nil)
	end("then the first may go", 1, "owner", nil)
	try("and the second not", membership(1, 2, "nurse"), auth.ErrConflict)
	got, err := e.MembershipIn(e.ctx, tenantID(1), userID(2))
	e.ok("MembershipIn", err)
	e.same("the last owner", "owner", got.Role)
	e.join(membership(1, 2, "nurse"))
	try("a tenant without an owner is not left by anybody", membership(1, 2, "doctor"), nil)
}

func memberNotFound(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	for what, m := range map[string]auth.Membership{
		"no tenant": membership(9, 1, "owner"), "nobody": membership(1, 9, "owner"), "zero": {Role: "owner", State: auth.MemberActive, CreatedAt: t0, UpdatedAt: t0},
	} {
		for _, last := range []string{"", "owner"} {
			c := change(m, 1)
			c.LastOwner = last
			_, err := e.ChangeMembership(e.ctx, c)
			e.is(what, err, auth.ErrNotFound)
			e.is(what+": end", e.EndMembership(e.ctx, m.TenantID, m.UserID, last, audit(60, "x", "team")), auth.ErrNotFound)
		}
		_, err := e.MembershipIn(e.ctx, m.TenantID, m.UserID)
		e.is(what+": MembershipIn", err, auth.ErrNotFound)
	}
	e.same("memberships of nobody", 0, len(e.memberships(9)))
	e.wantAudit("nothing happened", append(tenantAudits(1), account(1).Audit...)...)
}

func memberLists(_ *testing.T, e *env) {
	const tenants = 500
	a := account(1)
	var want []auth.MemberOf
	for n := 1; n <= tenants; n++ {
		t := tenant(n)
		t.Name = fmt.Sprintf("Clinic %05d", tenants-n) // in another order than the ids
		t.Active = n%7 != 0
		e.ok("CreateTenant", e.CreateTenant(e.ctx, t, nil, tenantAudit(n)))
		m := membership(n, 1, fmt.Sprint("role", n%5))
		a.Memberships = append(a.Memberships, m)
		want = append(want, auth.MemberOf{Membership: m, Tenant: t})
	}
	e.create(a)
	slices.Reverse(want)
	e.same("500 tenants, by name", want, e.memberships(1))

	b := account(2)
	b.User.Phone, b.Memberships = "4915112345", []auth.Membership{membership(1, 2, "nurse")}
	b.Memberships[0].State, b.Profile = auth.MemberInvited, ptr(fullPatch())
	e.create(b)
	c := account(3)
	c.User.Email, c.User.Identities, c.Memberships = "", nil, []auth.Membership{membership(1, 3, "nurse")}
	e.create(c)
	members := []auth.Member{
		{Membership: a.Memberships[0], Email: emailOf(1)},
		{Membership: b.Memberships[0], Email: emailOf(2), Phone: "4915112345", FullName: "Zoë Żółć"},
		{Membership: c.Memberships[0]},
	}
	page := func(after auth.ID, limit int) []auth.Member {
		list, err := e.MembersOf(e.ctx, tenantID(1), after, limit)
		e.ok("MembersOf", err)
		return list
	}
	e.same("all", members, page(auth.ID{}, 10))
	e.same("first page", members[:2], page(auth.ID{}, 2))
	e.same("second page", members[2:], page(userID(2), 2))
	none, err := e.MembersOf(e.ctx, tenantID(9999), auth.ID{}, 10)
	e.ok("MembersOf", err)
	e.same("of no tenant", 0, len(none))
}
