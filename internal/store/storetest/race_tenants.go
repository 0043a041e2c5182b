package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func raceTenantCases() []testCase {
	return []testCase{
		{"one slug, many tenants", raceSlug},
		{"the last two owners leave at once", raceOwners},
		{"an invitation accepted and declined", raceInvitation},
		{"one agent for one customer", raceAgent},
		{"an agent assigned, and deleted", raceAgentDeleted},
		{"a relation ended many times", raceRelationEnd},
		{"a switch while the membership ends", raceSwitch},
		{"a switch beside refreshes", raceSwitchRefresh},
		{"members of a profile are all kept", raceProfile},
		{"a profile beside the deletion", raceProfileDelete},
		{"roles read by many, written by one", raceRoles},
		{"a tenant deleted while people join", raceTenantDelete},
	}
}

func raceSlug(_ *testing.T, e *env) {
	e.create(account(1))
	errs := together(racers, func(i int) error {
		t := tenant(i + 1)
		t.Slug = "wanted"
		first := membership(i+1, 1, "owner")
		return e.CreateTenant(e.ctx, t, &first, tenantAudit(i+1))
	})
	i := e.oneWins("CreateTenant", errs, auth.ErrSlugTaken)
	got, err := e.TenantBySlug(e.ctx, "wanted")
	e.ok("TenantBySlug", err)
	e.same("the winner", tenantID(i+1), got.ID)
	e.same("one membership", 1, len(e.memberships(1)))
	e.wantAudit("one tenant", append(tenantAudits(i+1), account(1).Audit...)...)

	for n := 1; n <= racers; n++ {
		if n != i+1 {
			e.tenant(n)
		}
	}
	e.oneWins("UpdateTenant", together(racers, func(k int) error {
		_, err := e.UpdateTenant(e.ctx, tenantID(k+1), auth.TenantPatch{At: t0, Slug: ptr("new"), Audit: audit(900+k, "x", "team")})
		return err
	}), auth.ErrSlugTaken)
}

// raceOwners: of n owners n-1 may go, in whichever of the ways.
func raceOwners(_ *testing.T, e *env) {
	for n := 1; n <= racers; n++ {
		e.create(account(n))
	}
	for round := 1; round <= 5; round++ {
		owners := 2 + (round-1)*3
		e.tenant(round)
		for n := 1; n <= owners; n++ {
			e.join(membership(round, n, "owner"))
		}
		left := 0
		for i, err := range together(owners, func(i int) error {
			entry := audit(10000*round+i, "x", "team")
			if i%2 == 0 {
				return e.EndMembership(e.ctx, tenantID(round), userID(i+1), "owner", entry)
			}
			m := membership(round, i+1, "nurse")
			if i%4 == 1 {
				m.Role, m.State = "owner", auth.MemberSuspended
			}
			_, err := e.ChangeMembership(e.ctx, auth.MembershipChange{
				Membership: m, From: []string{auth.MemberActive}, LastOwner: "owner", Audit: entry,
			})
			return err
		}) {
			switch {
			case err == nil:
				left++
			case !errors.Is(err, auth.ErrConflict):
				e.tb.Errorf("%d: %v", i, err)
			}
		}
		e.same("one stays", owners-1, left)
		e.same("the owner", 1, len(e.people(auth.PersonQuery{Tenant: tenantID(round), Role: "owner"})))
	}
}

func raceInvitation(_ *testing.T, e *env) {
	for n := 1; n <= 5; n++ {
		e.create(account(n))
		m := membership(1, n, "nurse")
		if n == 1 {
			e.tenant(1)
		}
		m.State = auth.MemberInvited
		e.join(m)
		errs := together(racers, func(i int) error {
			m := membership(1, n, "nurse")
			if i%2 == 1 { // declined
				m.State = auth.MemberSuspended
			}
			c := change(m, 10000*n+i)
			c.From = []string{auth.MemberInvited}
			_, err := e.ChangeMembership(e.ctx, c)
			return err
		})
		winner := e.oneWins("ChangeMembership", errs, auth.ErrConflict)
		got, err := e.MembershipIn(e.ctx, tenantID(1), userID(n))
		e.ok("MembershipIn", err)
		e.same("the winner's", []string{auth.MemberActive, auth.MemberSuspended}[winner%2], got.State)
	}
	// Inviting: one of many makes it.
	e.create(account(9))
	e.oneWins("invite", together(racers, func(i int) error {
		c := change(membership(1, 9, fmt.Sprint("role", i)), 90000+i)
		c.From = []string{""}
		_, err := e.ChangeMembership(e.ctx, c)
		return err
	}), auth.ErrConflict)
}

func raceAgent(_ *testing.T, e *env) {
	for n := 1; n <= racers; n++ {
		e.create(account(n))
	}
	for customer := 100; customer < 105; customer++ {
		e.create(account(customer))
		errs := together(racers, func(i int) error {
			r := relation(customer*racers+i, auth.RelationAgent, i+1, customer, 0)
			if i%2 == 0 { // for some time; no index would refuse it
				r.EndsAt = after(time.Hour)
			}
			return e.AddRelation(e.ctx, r, relationAudit(customer*racers+i))
		})
		winner := e.oneWins("AddRelation", errs, auth.ErrConflict)
		list, err := e.Relations(e.ctx, auth.RelationQuery{Object: userID(customer), At: t0, Limit: 10})
		e.ok("Relations", err)
		e.same("one agent", 1, len(list))
		e.same("the winner", userID(winner+1), list[0].SubjectID)
		if slices.Contains(e.people(auth.PersonQuery{Unassigned: true}), customer) {
			e.tb.Errorf("customer %d counts as unassigned", customer)
		}
	}
}

// raceAgentDeleted: nobody waits for each other in a circle, and no customer is forgotten.
func raceAgentDeleted(_ *testing.T, e *env) {
	const customers = 8
	for round := range 5 {
		agent := round*100 + 50 // between its customers: half have smaller ids
		e.create(account(agent))
		for c := range customers {
			e.create(account(agent - customers/2 + c + c/(customers/2)))
		}
		id := func(c int) int { return agent - customers/2 + c + c/(customers/2) }
		for i, err := range together(racers, func(i int) error {
			c := i % customers
			switch {
			case i == racers-1:
				return e.DeleteUser(e.ctx, userID(agent), audit(10000*(round+1)+i, "user_deleted", "team"))
			case i >= customers:
				_ = e.EndRelation(e.ctx, relationID(round*100+c), after(time.Hour), audit(10000*(round+1)+i, "x", "team"))
				return nil
			}
			return e.AddRelation(e.ctx, relation(round*100+c, auth.RelationAgent, agent, id(c), 0), relationAudit(round*100+c))
		}) {
			if err != nil && (i == racers-1 || !errors.Is(err, auth.ErrNotFound)) {
				e.tb.Errorf("round %d, %d: %v", round, i, err)
			}
		}
		unassigned := e.people(auth.PersonQuery{Unassigned: true, At: after(2 * time.Hour)})
		for c := range customers {
			if !slices.Contains(unassigned, id(c)) {
				e.tb.Errorf("round %d: customer %d is forgotten", round, c)
			}
		}
	}
}

func raceRelationEnd(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.tenant(1)
	e.relate(relation(1, auth.RelationCare, 1, 2, 1))
	e.oneWins("EndRelation", together(racers, func(i int) error {
		return e.EndRelation(e.ctx, relationID(1), after(time.Second), audit(900+i, "x", "team"))
	}), auth.ErrNotFound)
}

// raceSwitch: a switch that succeeds was there before the end, and after the end nothing is
// left of it.
func raceSwitch(_ *testing.T, e *env) {
	e.create(account(1))
	for round := 1; round <= 5; round++ {
		e.tenant(round, membership(round, 1, "nurse"))
		for n := range racers {
			e.sign(round*100+n, 1)
			e.switchTo(round*100+n, 1, 0, t0)
		}
		for i, err := range together(racers, func(i int) error {
			if i == racers/2 {
				return e.EndMembership(e.ctx, tenantID(round), userID(1), "", audit(900+round, "x", "team"))
			}
			r, err := e.SwitchTenant(e.ctx, auth.SwitchTenant{
				SessionID: sessionID(round*100 + i), UserID: userID(1), TenantID: tenantID(round), At: t0, Audit: audit(10000*round+i, "x", "account"),
			})
			if err == nil && r.Session.TenantRole != "nurse" {
				return fmt.Errorf("switched into %v as %q", r.Session.TenantID, r.Session.TenantRole)
			}
			return err
		}) {
			if err != nil && (i == racers/2 || !errors.Is(err, auth.ErrNotFound)) {
				e.tb.Errorf("round %d, %d: %v", round, i, err)
			}
		}
		for n := range racers {
			e.wantTenant("after the end", round*100+n, 1, t0, 0, "")
		}
	}
}

func raceSwitchRefresh(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1, membership(1, 1, "nurse"))
	e.tenant(2, membership(2, 1, "doctor"))
	e.sign(1, 1)
	for i, err := range together(racers*2, func(i int) error {
		if i%2 == 0 {
			_, err := e.RotateRefresh(e.ctx, rotation(1, 0, after(time.Second)))
			return err
		}
		_, err := e.SwitchTenant(e.ctx, auth.SwitchTenant{
			SessionID: sessionID(1), UserID: userID(1), TenantID: tenantID(1 + i/2%2), At: after(time.Second), Audit: audit(900+i, "x", "account"),
		})
		return err
	}) {
		e.ok(fmt.Sprint(i), err)
	}
	r, err := e.RotateRefresh(e.ctx, rotation(1, 0, after(2*time.Second)))
	e.ok("RotateRefresh", err)
	e.same("refreshed once", [2]int64{1, 0}, [2]int64{r.Session.Counter, r.Session.Parent})
	e.same("in one of the two", true, !r.Session.TenantID.IsZero())
}

func raceProfile(_ *testing.T, e *env) {
	e.create(account(1))
	want := map[string]any{}
	for i, err := range together(racers*2, func(i int) error {
		set := auth.MetadataPatch{Set: map[string]json.RawMessage{fmt.Sprintf("k%d", i): json.RawMessage(fmt.Sprint(i))}}
		_, err := e.UpdateProfile(e.ctx, userID(1), auth.ProfilePatch{
			At: t0, Preferences: set, Flags: set, Extensions: map[string]auth.MetadataPatch{"staff": set, fmt.Sprintf("x%d", i): {}},
		})
		return err
	}) {
		e.ok(fmt.Sprintf("UpdateProfile %d", i), err)
		want[fmt.Sprintf("k%d", i)] = i
	}
	doc, err := json.Marshal(want)
	e.ok("Marshal", err)
	p := e.person(1).Profile
	e.same("preferences", json.RawMessage(doc), p.Preferences)
	e.same("flags", json.RawMessage(doc), p.Flags)
	e.same("one extension", json.RawMessage(doc), p.Extensions["staff"])
	e.same("extensions", racers*2+1, len(p.Extensions))
}

func raceProfileDelete(_ *testing.T, e *env) {
	for n := 1; n <= 5; n++ {
		e.create(account(n))
		for i, err := range together(racers, func(i int) error {
			if i == racers/2 && n%2 == 0 {
				return e.DeleteUser(e.ctx, userID(n), audit(1000*n, "user_deleted", "team"))
			}
			if i == racers/2 {
				return e.SoftDeleteUser(e.ctx, userID(n), auth.SoftDelete{At: t0, Audit: audit(1000*n, "user_deleted", "team")})
			}
			_, err := e.UpdateProfile(e.ctx, userID(n), auth.ProfilePatch{At: t0, FullName: ptr("x")})
			return err
		}) {
			if err != nil && (i == racers/2 || !errors.Is(err, auth.ErrNotFound)) {
				e.tb.Errorf("%d, %d: %v", n, i, err)
			}
		}
		_, err := e.PersonByID(e.ctx, userID(n))
		e.is("PersonByID", err, auth.ErrNotFound)
	}
}

func raceRoles(_ *testing.T, e *env) {
	e.create(account(1))
	winner := e.oneWins("UpdateUser", together(racers, func(i int) error {
		_, err := e.UpdateUser(e.ctx, userID(1), auth.UserPatch{
			At: after(time.Duration(i+1) * time.Second), RequireUpdatedAt: t0,
			AppMetadata: auth.MetadataPatch{Set: map[string]json.RawMessage{"roles": json.RawMessage(fmt.Sprintf(`["r%d"]`, i))}},
		})
		return err
	}), auth.ErrNotFound)
	for i := range racers {
		want := []int{}
		if i == winner {
			want = []int{1}
		}
		e.same(fmt.Sprint("role ", i), want, e.people(auth.PersonQuery{Role: fmt.Sprint("r", i)}))
	}
}

func raceTenantDelete(_ *testing.T, e *env) {
	for n := 1; n <= racers; n++ {
		e.create(account(n))
	}
	for round := 1; round <= 5; round++ {
		e.tenant(round)
		for i, err := range together(racers, func(i int) error {
			switch {
			case i == racers/2:
				return e.DeleteTenant(e.ctx, tenantID(round), audit(900+round, "tenant_deleted", "team"))
			case i%3 == 0:
				return e.AddRelation(e.ctx, relation(round*100+i, auth.RelationPatient, i+1, 0, round), relationAudit(round*100+i))
			case i%3 == 1:
				a := account(round*1000 + i)
				a.Memberships = []auth.Membership{membership(round, round*1000+i, "patient")}
				return e.CreateAccount(e.ctx, a)
			}
			_, err := e.ChangeMembership(e.ctx, change(membership(round, i+1, "nurse"), round*100+i))
			return err
		}) {
			if err != nil && (i == racers/2 || !errors.Is(err, auth.ErrNotFound)) {
				e.tb.Errorf("round %d, %d: %v", round, i, err)
			}
		}
		list, err := e.MembersOf(e.ctx, tenantID(round), auth.ID{}, 100)
		e.ok("MembersOf", err)
		e.same("members", 0, len(list))
		e.same("relations", []int{}, e.relations(auth.RelationQuery{Tenant: tenantID(round)}))
	}
}
