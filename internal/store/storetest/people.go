package storetest

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func peopleCases() []testCase {
	return []testCase{
		{"no profile, then one", profileMade},
		{"nil fields stay, members are merged", profileMerged},
		{"a sign-up with profile and memberships", profileWithAccount},
		{"a refused sign-up leaves no profile to anybody", profileRefused},
		{"every way in that is written down (S2.27)", profileLastMethod},
		{"switched off and on (X35)", profileActive},
		{"switched off, and signed out everywhere", profileEndSessions},
		{"goes with the account", profileGone},
		{"the first proof drops what a stranger said", profileDropped},
		{"roles and the state they were read in", roleChange},
		{"sessions: listed, named, ended", ownSessions},
	}
}

// fullPatch sets everything.
func fullPatch() auth.ProfilePatch {
	set := func(member string) auth.MetadataPatch {
		return auth.MetadataPatch{Set: map[string]json.RawMessage{member: json.RawMessage(`12345678901234567890`)}}
	}
	entry := audit(70, "profile_changed", "user")
	return auth.ProfilePatch{
		At: after(time.Hour), FullName: ptr("Zoë Żółć"), BirthDate: ptr("1980-02-29"), ImageURL: ptr("https://x.example/ü?a=<b>&c"),
		Language: ptr("he"), Preferences: set("p"), Notifications: set("n"), Privacy: set("q"), Flags: set("f"),
		Extensions: map[string]auth.MetadataPatch{"physician": set("employee_id"), "staff": {}},
		LastMethod: ptr("phone_otp"), Active: ptr(true), Audit: []auth.AuditEntry{entry},
	}
}

// fullProfile is what fullPatch makes.
func fullProfile(n int) auth.Profile {
	doc := func(member string) json.RawMessage { return json.RawMessage(`{"` + member + `":12345678901234567890}`) }
	return auth.Profile{
		UserID: userID(n), FullName: "Zoë Żółć", BirthDate: "1980-02-29", ImageURL: "https://x.example/ü?a=<b>&c", Language: "he",
		Preferences: doc("p"), Notifications: doc("n"), Privacy: doc("q"), Flags: doc("f"),
		Extensions: map[string]json.RawMessage{"physician": doc("employee_id"), "staff": json.RawMessage(`{}`)},
		LastMethod: "phone_otp", LastMethodAt: after(time.Hour), Active: true, UpdatedAt: after(time.Hour),
	}
}

func (e *env) person(n int) auth.Person {
	e.tb.Helper()
	p, err := e.PersonByID(e.ctx, userID(n))
	e.ok("PersonByID", err)
	return p
}

func (e *env) patch(n int, p auth.ProfilePatch) auth.Person {
	e.tb.Helper()
	got, err := e.UpdateProfile(e.ctx, userID(n), p)
	e.ok("UpdateProfile", err)
	return got
}

func profileMade(_ *testing.T, e *env) {
	a := fullAccount(1)
	e.create(a)
	e.create(account(2))
	e.same("none", auth.Person{User: e.user(1), Profile: auth.Profile{Active: true}}, e.person(1))
	want := auth.Person{User: e.user(1), Profile: fullProfile(1)}
	e.same("UpdateProfile", want, e.patch(1, fullPatch()))
	e.same("PersonByID", want, e.person(1))
	e.same("somebody else", auth.Profile{Active: true}, e.person(2).Profile)
	e.wantAudit("one entry", append(slices.Concat(a.Audit, account(2).Audit), fullPatch().Audit...)...)

	empty := auth.Profile{UserID: userID(2), Active: true, UpdatedAt: t0, Preferences: json.RawMessage(`{}`), Privacy: json.RawMessage(`{}`),
		Notifications: json.RawMessage(`{}`), Flags: json.RawMessage(`{}`)}
	e.same("a patch of nothing makes one", empty, e.patch(2, auth.ProfilePatch{At: t0}).Profile)

	_, err := e.UpdateProfile(e.ctx, userID(9), fullPatch())
	e.is("of nobody", err, auth.ErrNotFound)
	_, err = e.PersonByID(e.ctx, userID(9))
	e.is("nobody", err, auth.ErrNotFound)
}

func profileMerged(_ *testing.T, e *env) {
	e.create(account(1))
	e.patch(1, fullPatch())
	want := fullProfile(1)
	want.UpdatedAt = after(2 * time.Hour)
	e.same("nothing but the time", want, e.patch(1, auth.ProfilePatch{At: after(2 * time.Hour)}).Profile)

	one := map[string]json.RawMessage{"x": json.RawMessage(`{"deep":[1,null]}`)}
	want.FullName, want.BirthDate, want.Language = "", "", "en"
	want.Preferences = json.RawMessage(`{"p":12345678901234567890,"x":{"deep":[1,null]}}`)
	want.Notifications, want.Flags = json.RawMessage(`{}`), json.RawMessage(`{"x":{"deep":[1,null]}}`)
	want.Extensions = map[string]json.RawMessage{
		"physician": json.RawMessage(`{"x":{"deep":[1,null]}}`), "staff": json.RawMessage(`{}`), "agent": json.RawMessage(`{"x":{"deep":[1,null]}}`),
	}
	want.LastMethod, want.LastMethodAt = "", time.Time{}
	got := e.patch(1, auth.ProfilePatch{
		At: after(2 * time.Hour), FullName: ptr(""), BirthDate: ptr(""), Language: ptr("en"), LastMethod: ptr(""),
		Preferences: auth.MetadataPatch{Set: one}, Notifications: auth.MetadataPatch{Delete: []string{"n", "none"}},
		Flags: auth.MetadataPatch{Set: one, Delete: []string{"f"}},
		Extensions: map[string]auth.MetadataPatch{
			"physician": {Set: one, Delete: []string{"employee_id"}}, "agent": {Set: one},
		},
	})
	e.same("merged", want, got.Profile)
	e.same("stored", want, e.person(1).Profile)
}

func profileWithAccount(_ *testing.T, e *env) {
	e.tenant(1)
	e.tenant(2)
	a := account(1)
	s := session(1, 1)
	a.Session, a.Profile = &s, ptr(fullPatch())
	a.Memberships = []auth.Membership{membership(1, 1, "patient"), membership(2, 1, "owner")}
	a.Memberships[1].State, a.Memberships[1].InvitedBy = auth.MemberInvited, userID(7)
	e.create(a)
	e.same("person", auth.Person{User: a.User, Profile: fullProfile(1)}, e.person(1))
	e.same("memberships", []auth.MemberOf{
		{Membership: a.Memberships[0], Tenant: tenant(1)}, {Membership: a.Memberships[1], Tenant: tenant(2)},
	}, e.memberships(1))
	e.same("the session is in the only open one", [2]any{tenantID(1), "patient"}, [2]any{s.TenantID, s.TenantRole})
	e.wantTenant("stored", 1, 1, t0, 1, "patient")
	e.wantAudit("the profile's entry too", slices.Concat(tenantAudits(1, 2), a.Audit, fullPatch().Audit)...)

	// Together with what proves the address.
	b := unproved(3)
	b.Profile = &auth.ProfilePatch{At: t0, FullName: ptr("Mallory")}
	b.Tokens = []auth.OneTime{token(3, 3, auth.PurposeSignup, emailOf(3))}
	b.Memberships = []auth.Membership{membership(1, 3, "patient")}
	e.create(b)
	e.same("name", "Mallory", e.person(3).Profile.FullName)
	e.same("membership", 1, len(e.memberships(3)))

	c := account(4)
	c.Memberships = []auth.Membership{membership(9, 4, "patient")}
	e.is("a tenant that does not exist", e.CreateAccount(e.ctx, c), auth.ErrNotFound)
	_, err := e.UserByID(e.ctx, userID(4))
	e.is("nothing is left", err, auth.ErrNotFound)
}

func profileRefused(_ *testing.T, e *env) {
	e.tenant(1)
	e.create(account(1))
	for what, change := range map[string]func(a *auth.NewAccount){
		"e-mail": func(a *auth.NewAccount) { a.User.Email = emailOf(1) },
		"id":     func(a *auth.NewAccount) { a.User.ID, a.User.Identities = userID(1), nil },
	} {
		a := account(2)
		change(&a)
		a.Profile = ptr(fullPatch())
		a.Memberships = []auth.Membership{membership(1, 2, "owner")}
		if err := e.CreateAccount(e.ctx, a); err == nil {
			e.tb.Errorf("%s: taken twice", what)
		}
		e.same(what+": the other's profile", auth.Profile{Active: true}, e.person(1).Profile)
		e.same(what+": the other's memberships", 0, len(e.memberships(1)))
		members, err := e.MembersOf(e.ctx, tenantID(1), auth.ID{}, 10)
		e.ok("MembersOf", err)
		e.same(what+": members", 0, len(members))
	}
	e.wantAudit("refused", slices.Concat(tenantAudits(1), account(1).Audit)...)
}

func profileLastMethod(_ *testing.T, e *env) {
	e.create(account(1))
	for i, m := range auth.LastMethods() {
		at := after(time.Duration(i) * time.Minute)
		got := e.patch(1, auth.ProfilePatch{At: at, LastMethod: &m}).Profile
		e.same(m, [2]any{m, at}, [2]any{got.LastMethod, got.LastMethodAt})
	}
	before := e.person(1)
	entry := audit(9, "refused", "user")
	if _, err := e.UpdateProfile(e.ctx, userID(1), auth.ProfilePatch{
		At: t0, LastMethod: ptr("fax"), FullName: ptr("x"), Active: ptr(false), Audit: []auth.AuditEntry{entry},
	}); err == nil {
		e.tb.Error("A1.3: the database took 'fax'")
	}
	e.same("after the refusal", before, e.person(1))
	e.wantAudit("after the refusal", account(1).Audit...)
}

func profileActive(_ *testing.T, e *env) {
	e.create(account(1))
	e.sign(1, 1)
	for _, active := range []bool{false, false, true} {
		e.same("UpdateProfile", active, e.patch(1, auth.ProfilePatch{At: t0, Active: &active}).Profile.Active)
		e.same("PersonByID", active, e.person(1).Profile.Active)
		r, err := e.UserWithSession(e.ctx, userID(1), sessionID(1), t0)
		e.ok("UserWithSession", err)
		e.same("UserWithSession", [2]bool{true, !active}, [2]bool{r.Session, r.Inactive})
		err = e.start(auth.SessionStart{Session: session(2, 1), Audit: audit(500, "login", "account")})
		if active {
			e.ok("sign-in", err)
		} else {
			e.is("sign-in", err, auth.ErrNotFound)
		}
	}
	e.same("another patch leaves it", true, e.patch(1, auth.ProfilePatch{At: t0}).Profile.Active)
}

// profileEndSessions: what switches an account off ends its sessions in the same step.
func profileEndSessions(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.sign(1, 1)
	e.sign(2, 1)
	e.sign(3, 2)
	_, err := e.UpdateProfile(e.ctx, userID(9), auth.ProfilePatch{At: t0, Active: ptr(false), EndSessions: true, Audit: []auth.AuditEntry{audit(501, "x", "user")}})
	e.is("nobody", err, auth.ErrNotFound)
	e.same("off", false, e.patch(1, auth.ProfilePatch{At: t0, Active: ptr(false), EndSessions: true}).Profile.Active)
	e.wantAlive("his", 1, map[int]bool{1: false, 2: false})
	e.wantAlive("somebody else's", 2, map[int]bool{3: true})
	e.is("sign-in", e.start(auth.SessionStart{Session: session(4, 1), Audit: audit(500, "login", "account")}), auth.ErrNotFound)
}

func profileGone(_ *testing.T, e *env) {
	e.tenant(1)
	for n := 1; n <= 4; n++ {
		e.create(account(n))
		e.patch(n, fullPatchWithout())
		e.join(membership(1, n, "patient"))
	}
	e.relate(relation(1, auth.RelationAgent, 1, 3, 0))
	e.relate(relation(2, auth.RelationCare, 4, 1, 1))
	e.relate(relation(3, auth.RelationAgent, 2, 4, 0))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(1), auth.SoftDelete{At: t0, Audit: audit(50, "user_deleted", "team")}))
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(2), audit(51, "user_deleted", "team")))
	for n := 1; n <= 2; n++ {
		_, err := e.PersonByID(e.ctx, userID(n))
		e.is("PersonByID", err, auth.ErrNotFound)
		_, err = e.UpdateProfile(e.ctx, userID(n), fullPatchWithout())
		e.is("UpdateProfile", err, auth.ErrNotFound)
		e.same("memberships", 0, len(e.memberships(n)))
		_, err = e.MembershipIn(e.ctx, tenantID(1), userID(n))
		e.is("MembershipIn", err, auth.ErrNotFound)
		_, err = e.RelationByID(e.ctx, relationID(n))
		e.is("RelationByID", err, auth.ErrNotFound)
	}
	members, err := e.MembersOf(e.ctx, tenantID(1), auth.ID{}, 10)
	e.ok("MembersOf", err)
	e.same("members", 2, len(members))
	// The customers of agents who have gone are to be assigned anew.
	e.same("unassigned", []int{3, 4}, e.people(auth.PersonQuery{Unassigned: true}))
}

// fullPatchWithout is fullPatch without its audit entry.
func fullPatchWithout() auth.ProfilePatch {
	p := fullPatch()
	p.Audit = nil
	return p
}

func profileDropped(_ *testing.T, e *env) {
	e.create(unproved(1))
	e.patch(1, fullPatchWithout())
	e.issue(1, token(1, 1, auth.PurposeMagicLink, emailOf(1)))
	res, err := e.RedeemOneTime(e.ctx, byLink(1, auth.PurposeMagicLink))
	e.ok("RedeemOneTime", err)
	e.same("outcome", auth.RedeemDone, res.Outcome)
	e.same("profile", auth.Profile{Active: true}, e.person(1).Profile)
}

// roleChange: whoever read the roles before somebody else changed them changes nothing.
func roleChange(_ *testing.T, e *env) {
	a := account(1)
	a.User.AppMetadata = json.RawMessage(`{"roles":["patient"]}`)
	e.create(a)
	change := func(role string, since, at time.Time) error {
		_, err := e.UpdateUser(e.ctx, userID(1), auth.UserPatch{
			At: at, RequireUpdatedAt: since,
			AppMetadata: auth.MetadataPatch{Set: map[string]json.RawMessage{"roles": json.RawMessage(`["` + role + `"]`)}},
		})
		return err
	}
	e.is("read long ago", change("admin", after(-time.Hour), after(time.Hour)), auth.ErrNotFound)
	e.ok("read just now", change("physician", t0, after(time.Hour)))
	e.is("read before that", change("admin", t0, after(2*time.Hour)), auth.ErrNotFound)
	e.same("roles", json.RawMessage(`{"roles":["physician"]}`), e.user(1).AppMetadata)
}

func ownSessions(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.sign(9, 2)
	want := map[int]auth.Session{}
	for n := 1; n <= 3; n++ {
		s := session(n, 1)
		s.CreatedAt = after(time.Duration(n) * time.Minute)
		s.AMR = []auth.AMR{{Method: "totp", At: after(time.Second)}, {Method: auth.MethodPassword, At: t0}}
		if n == 3 {
			s.Name, s.IP, s.UserAgent, s.NotAfter = "Téléphone", "", "", after(time.Hour)
		}
		want[n] = s
		e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(800+n, "login", "account")}))
	}
	listed := func(what string, numbers ...int) {
		e.tb.Helper()
		var list []auth.Session
		for _, n := range numbers {
			list = append(list, want[n])
		}
		got, err := e.SessionsOf(e.ctx, userID(1))
		e.ok(what, err)
		e.same(what, list, got)
	}
	listed("newest first", 3, 2, 1)

	e.ok("NameSession", e.NameSession(e.ctx, userID(1), sessionID(2), "Laptop 💻"))
	e.ok("NameSession", e.NameSession(e.ctx, userID(1), sessionID(3), ""))
	s2, s3 := want[2], want[3]
	s2.Name, s3.Name = "Laptop 💻", ""
	want[2], want[3] = s2, s3
	listed("named", 3, 2, 1)
	r, err := e.RotateRefresh(e.ctx, rotation(2, 0, after(time.Hour)))
	e.ok("RotateRefresh", err)
	e.same("a refresh keeps the name", "Laptop 💻", r.Session.Name)
	want[2] = r.Session
	for what, id := range map[string]auth.ID{"somebody else's": sessionID(9), "unknown": sessionID(77), "none": {}} {
		e.is(what, e.NameSession(e.ctx, userID(1), id, "x"), auth.ErrNotFound)
		e.is(what, e.EndSession(e.ctx, userID(1), id, audit(700, "logout", "account")), auth.ErrNotFound)
	}
	e.ok("EndSession", e.EndSession(e.ctx, userID(1), sessionID(1), audit(701, "logout", "account")))
	e.is("twice", e.EndSession(e.ctx, userID(1), sessionID(1), audit(702, "logout", "account")), auth.ErrNotFound)
	listed("one ended", 3, 2)
	e.wantAlive("somebody else", 2, map[int]bool{9: true})
	none, err := e.SessionsOf(e.ctx, userID(77))
	e.ok("of nobody", err)
	e.same("of nobody", 0, len(none))
	e.same("numbers", []int{1, 2, 3}, slices.Sorted(maps.Keys(want)))
}
