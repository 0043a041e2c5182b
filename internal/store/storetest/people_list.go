package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func peopleListCases() []testCase {
	return []testCase{
		{"pages in the order of the ids", peoplePages},
		{"whole rows", peopleWhole},
		{"each filter alone, and together", peopleFilters},
		{"text", peopleText},
		{"roles of any shape", peopleRoles},
	}
}

// people gives the numbers of the accounts that are listed.
func (e *env) people(q auth.PersonQuery) []int {
	e.tb.Helper()
	if q.At.IsZero() {
		q.At = t0
	}
	if q.Limit == 0 {
		q.Limit = 1000
	}
	list, err := e.ListPeople(e.ctx, q)
	e.ok("ListPeople", err)
	numbers := []int{}
	for i := range list {
		id := list[i].User.ID
		numbers = append(numbers, int(id[13])<<16|int(id[14])<<8|int(id[15]))
	}
	return numbers
}

func peoplePages(_ *testing.T, e *env) {
	for _, n := range []int{5, 3, 300, 1, 4, 2} {
		e.create(account(n))
	}
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(4), auth.SoftDelete{At: t0, Audit: audit(50, "user_deleted", "team")}))
	e.same("all", []int{1, 2, 3, 5, 300}, e.people(auth.PersonQuery{}))
	e.same("first page", []int{1, 2}, e.people(auth.PersonQuery{Limit: 2}))
	e.same("second page", []int{3, 5}, e.people(auth.PersonQuery{Limit: 2, After: userID(2)}))
	e.same("last page", []int{300}, e.people(auth.PersonQuery{Limit: 2, After: userID(5)}))
	e.same("after one who has gone", []int{5, 300}, e.people(auth.PersonQuery{After: userID(4)}))
	e.same("beyond", []int{}, e.people(auth.PersonQuery{After: userID(300)}))
	e.same("a limit out of range", []int{1}, e.people(auth.PersonQuery{Limit: -1}))
}

func peopleWhole(_ *testing.T, e *env) {
	a := fullAccount(1)
	e.create(a)
	e.create(account(2))
	e.patch(1, fullPatch())
	e.patch(2, auth.ProfilePatch{At: t0, Active: ptr(false)})
	list, err := e.ListPeople(e.ctx, auth.PersonQuery{At: t0, Limit: 10})
	e.ok("ListPeople", err)
	want := []auth.Person{e.person(1), e.person(2)}
	for i := range want {
		want[i].User.Identities, want[i].User.Factors = nil, nil
	}
	e.same("rows", want, list)
}

// The properties of the n-th account of peopleFilters are the bits of n.
const (
	isActive = 1 << iota
	isVerified
	isNurse
	isAssigned
	isMember
	isElsewhere
	allBits
)

// withBits gives the account of these properties.
func withBits(n int) auth.NewAccount {
	a := account(n)
	if n&isVerified != 0 {
		a.User.Phone, a.User.PhoneConfirmedAt = fmt.Sprint(49000+n), t0
	}
	a.User.AppMetadata = json.RawMessage(`{"roles":["patient"]}`)
	if n&isNurse != 0 {
		a.User.AppMetadata = json.RawMessage(`{"roles":["patient","nurse"]}`)
	}
	if n&isElsewhere != 0 {
		a.User.Aud = "elsewhere"
	}
	if n&isMember != 0 {
		a.Memberships = []auth.Membership{membership(1, n, "patient"), membership(2, n, "nurse")}
		if n&isNurse != 0 {
			a.Memberships[0].Role = "nurse"
		}
		a.Memberships[1].State = auth.MemberInvited // counts for nothing
	}
	switch { // some have no profile
	case n&isActive == 0:
		a.Profile = &auth.ProfilePatch{At: t0, Active: ptr(false)}
	case n&isVerified == 0:
		a.Profile = &auth.ProfilePatch{At: t0, Active: ptr(true)}
	}
	return a
}

// withAgent assigns account n as its bits say: for good, for an hour, or in the past.
func (e *env) withAgent(n, agent int) {
	e.tb.Helper()
	r := relation(n, auth.RelationAgent, agent, n, 0)
	switch {
	case n&isAssigned != 0 && n&isVerified != 0:
		r.EndsAt = after(time.Hour)
	case n&isAssigned != 0:
	case n&isNurse != 0:
		r.StartsAt, r.EndsAt = after(-time.Hour), t0
	default:
		return
	}
	e.relate(r)
}

func peopleFilters(_ *testing.T, e *env) {
	e.create(account(allBits)) // the agent
	e.create(account(allBits + 1))
	e.tenant(1)
	e.tenant(2)
	for n := range allBits {
		e.create(withBits(n))
		e.withAgent(n, allBits)
	}
	want := func(yes, no int) []int {
		list := []int{}
		for n := range allBits {
			if n&yes == yes && n&no == 0 {
				list = append(list, n)
			}
		}
		return list
	}
	agent, clinic := userID(allBits), tenantID(1)
	for i, c := range []struct {
		q       auth.PersonQuery
		yes, no int
	}{
		{auth.PersonQuery{Aud: "elsewhere"}, isElsewhere, 0},
		{auth.PersonQuery{Aud: "elsewhere", Active: ptr(true)}, isElsewhere | isActive, 0},
		{auth.PersonQuery{Active: ptr(false)}, 0, isActive},
		{auth.PersonQuery{Active: ptr(false), Aud: "authenticated"}, 0, isActive | isElsewhere},
		{auth.PersonQuery{PhoneVerified: ptr(true)}, isVerified, 0},
		{auth.PersonQuery{PhoneVerified: ptr(true), Active: ptr(true)}, isVerified | isActive, 0},
		{auth.PersonQuery{Agent: agent}, isAssigned, 0},
		{auth.PersonQuery{Agent: agent, Role: "nurse"}, isAssigned | isNurse, 0},
		{auth.PersonQuery{Agent: agent, Tenant: clinic}, isAssigned | isMember, 0},
		{auth.PersonQuery{Agent: agent, Tenant: clinic, Role: "nurse"}, isAssigned | isMember | isNurse, 0},
		{auth.PersonQuery{Agent: agent, Active: ptr(false), PhoneVerified: ptr(false), Aud: "elsewhere"}, isAssigned | isElsewhere, isActive | isVerified},
		{auth.PersonQuery{Agent: userID(allBits + 1)}, allBits, 0},
		{auth.PersonQuery{Tenant: clinic}, isMember, 0},
		{auth.PersonQuery{Tenant: clinic, Role: "nurse"}, isMember | isNurse, 0},
		{auth.PersonQuery{Tenant: clinic, Role: "owner"}, allBits, 0},
		{auth.PersonQuery{Tenant: tenantID(2)}, allBits, 0},
		{auth.PersonQuery{Tenant: clinic, Unassigned: true}, isMember, isAssigned},
		{auth.PersonQuery{Tenant: clinic, Active: ptr(true), PhoneVerified: ptr(true)}, isMember | isActive | isVerified, 0},
		{auth.PersonQuery{Role: "nurse"}, isNurse, 0},
		{auth.PersonQuery{Role: "patient", Unassigned: true}, 0, isAssigned},
		{auth.PersonQuery{Role: "nurse", Active: ptr(false)}, isNurse, isActive},
		{auth.PersonQuery{Role: "nurse", Active: ptr(true), PhoneVerified: ptr(false)}, isNurse | isActive, isVerified},
		{auth.PersonQuery{Role: "owner"}, allBits, 0},
		{auth.PersonQuery{Text: "USERX", Role: "nurse", Active: ptr(true), Aud: "elsewhere", PhoneVerified: ptr(true)}, allBits, 0},
	} {
		e.same(fmt.Sprintf("case %d", i), want(c.yes, c.no), e.people(c.q))
	}
	// The agents themselves are active and have neither agent nor number.
	for what, c := range map[string]struct {
		q       auth.PersonQuery
		yes, no int
	}{
		"unassigned": {auth.PersonQuery{Unassigned: true}, 0, isAssigned}, "not verified": {auth.PersonQuery{PhoneVerified: ptr(false)}, 0, isVerified},
		"active": {auth.PersonQuery{Active: ptr(true)}, isActive, 0},
	} {
		e.same(what, append(want(c.yes, c.no), allBits, allBits+1), e.people(c.q))
	}
	over := append(want(0, isAssigned), want(isAssigned|isVerified, 0)...)
	slices.Sort(over)
	e.same("when fixed terms are over", over, e.people(auth.PersonQuery{Unassigned: true, Role: "patient", At: after(time.Hour)}))
	e.same("a page of a filter", want(isMember, 0)[3:5], e.people(auth.PersonQuery{Tenant: clinic, After: userID(want(isMember, 0)[2]), Limit: 2}))
}

func peopleText(_ *testing.T, e *env) {
	for n := 1; n <= 5; n++ {
		a := account(n)
		a.User.Email, a.User.Identities = "", nil
		switch n {
		case 1:
			a.User.Email = "100%_sure@example.com"
		case 2:
			a.User.Phone = "4915112345"
		case 3:
			a.Profile = &auth.ProfilePatch{At: t0, FullName: ptr("Grace Hopper [a-z]*")}
		case 4:
			a.User.UserMetadata = json.RawMessage(`{"full_name":"Ada \\ Lovelace"}`)
		case 5:
			a.User.UserMetadata = json.RawMessage(`{"full_name":["Ada"]}`)
		}
		e.create(a)
	}
	for text, want := range map[string][]int{
		"EXAMPLE": {1}, "%": {1}, "_": {1}, "0%_s": {1}, "15112": {2}, "hopper": {3}, "[A-Z]*": {3}, "ada": {4}, `\`: {4}, "x%e": {},
		"' or 1=1": {}, "*": {3}, "": {1, 2, 3, 4, 5}, "\u2603": {},
	} {
		e.same(fmt.Sprintf("text %q", text), want, e.people(auth.PersonQuery{Text: text}))
	}
}

func peopleRoles(_ *testing.T, e *env) {
	long := make([]byte, 300)
	for i := range long {
		long[i] = 'r'
	}
	for n, doc := range map[int]string{
		1: `{"roles":["a","b","a","é"]}`, 2: `{"roles":"a"}`, 3: `{"roles":[1,null,["a"],{"a":1},"b"]}`, 4: `{"roles":[]}`, 5: `{}`,
		6: `{"roles":null}`, 7: `{"roles":["` + string(long) + `","a"]}`,
	} {
		a := account(n)
		a.User.AppMetadata = json.RawMessage(doc)
		e.create(a)
	}
	check := func(what string, want map[string][]int) {
		e.tb.Helper()
		for role, numbers := range want {
			e.same(what+": "+role, numbers, e.people(auth.PersonQuery{Role: role}))
		}
	}
	check("made", map[string][]int{"a": {1, 7}, "b": {1, 3}, "é": {1}, "1": {}, "A": {}})
	for n, doc := range map[int]string{1: `["c"]`, 2: `["a"]`, 3: `"b"`} {
		_, err := e.UpdateUser(e.ctx, userID(n), auth.UserPatch{At: t0, AppMetadata: auth.MetadataPatch{
			Set: map[string]json.RawMessage{"roles": json.RawMessage(doc)},
		}})
		e.ok("UpdateUser", err)
	}
	_, err := e.UpdateUser(e.ctx, userID(7), auth.UserPatch{At: t0, AppMetadata: auth.MetadataPatch{Delete: []string{"roles"}}})
	e.ok("UpdateUser", err)
	check("changed", map[string][]int{"a": {2}, "b": {}, "c": {1}, "é": {}})
	_, err = e.UpdateUser(e.ctx, userID(1), auth.UserPatch{At: after(time.Hour), Role: ptr("x")})
	e.ok("UpdateUser", err)
	check("something else changed", map[string][]int{"c": {1}})
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(1), auth.SoftDelete{At: t0, Audit: audit(50, "user_deleted", "team")}))
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(2), audit(51, "user_deleted", "team")))
	check("gone", map[string][]int{"a": {}, "c": {}})
}
