package flow_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
)

// house is all use cases around people on one real database.
type house struct {
	whole

	t       *testing.T
	config  flow.Config
	post    *postbox
	people  *flow.People
	tenancy *flow.Tenancy
	clock   time.Time
}

// house begins with a server that wants no proof at registration.
func inHouse(t *testing.T) *house {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, post := messages(t)
	h := &house{t: t, post: post, clock: now()}
	c := &b.config
	c.Store, c.PeopleStore, c.TenantStore, c.Roles, c.Issuer = db, db, db, catalogue(t), tokens{}
	c.Identifiers = db
	c.Verification, c.MinAge, c.MailEvery = "none", 18, 0
	c.Now = func() time.Time { return h.clock }
	h.config = *c
	h.people, h.tenancy = flow.NewPeople(*c), flow.NewTenancy(*c)
	h.accounts, h.admin = flow.NewAccounts(*c), flow.NewAdmin(*c, validHash)
	p := &grant.Password{Store: db, Hasher: signIn{b.hasher}, EmailEnabled: true, PhoneEnabled: true}
	h.pipeline = grant.New(grant.Config{
		Store: db, Issuer: tokens{}, Audience: "authenticated", Grace: 10 * time.Second,
		Grants: map[string]grant.Grant{"password": p, "refresh_token": grant.Refresh{Tokens: tokens{}}},
		Now:    c.Now, Rand: b.config.Rand,
	})
	return h
}

// tick lets time pass, so that what follows is later.
func (h *house) tick() { h.clock = h.clock.Add(time.Second) }

func (h *house) register(email, r, slug string) auth.Caller {
	h.t.Helper()
	h.tick()
	got, err := h.people.Register(h.t.Context(), flow.Registration{Email: email, Password: "long enough", Role: r, TenantSlug: slug, FullName: "Person " + email})
	if err != nil || got.Session == nil {
		h.t.Fatalf("register %s: %+v, %v", email, got, err)
	}
	return of(*got.Session)
}

// clinic is a tenant with an owner.
func (h *house) clinic(slug string, owner auth.Caller) auth.Tenant {
	h.t.Helper()
	row, err := h.tenancy.Create(h.t.Context(), anOperator(), flow.NewTenant{Slug: slug, Name: "Clinic " + slug, Owner: owner.UserID})
	if err != nil {
		h.t.Fatal(err)
	}
	return row
}

func (h *house) ok(what string, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
}

func (h *house) is(what string, err error, want auth.Code) {
	h.t.Helper()
	if codeOf(err) != want {
		h.t.Errorf("%s: %v, want %q", what, err, want)
	}
}

func asks(c auth.Caller) flow.Actor { return flow.Actor{Caller: c, Reason: "because"} }

// TestLifeOfAClinic is A13.1 on a real database: two clinics, an invitation to a stranger,
// the switch without a password, and what closes a door at once.
func TestLifeOfAClinic(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	ctx := t.Context()
	boss := h.register("boss@x.org", "", "")
	a, b := h.clinic("clinic-a", boss), h.clinic("clinic-b", boss)
	_, err := h.tenancy.Create(ctx, anOperator(), flow.NewTenant{Slug: "clinic-a", Name: "Another"})
	h.is("the slug again", err, auth.CodeSlugExists)

	// An invitation reaches somebody without an account.
	invited, err := h.tenancy.Invite(ctx, asks(boss), a.ID, flow.Invitee{Email: "Doc@x.org", Role: "manager"})
	h.ok("invite", err)
	link := h.post.notices[len(h.post.notices)-1].Link
	in, err := h.accounts.Verify(ctx, flow.Verify{Type: "invite", TokenHash: link})
	h.ok("follow the link", err)
	doc := of(*in.SignedIn)
	if doc.UserID != invited.UserID || in.SignedIn.Session.TenantRole != "" {
		t.Errorf("signed in as %+v", in.SignedIn)
	}
	_, err = h.accounts.Verify(ctx, flow.Verify{Type: "invite", TokenHash: link})
	h.is("the link again", err, auth.CodeOTPExpired)
	_, err = h.tenancy.Get(ctx, asks(doc), a.ID)
	h.is("before the acceptance", err, auth.CodeTenantDenied)
	_, err = h.tenancy.Accept(ctx, doc, b.ID)
	h.is("accept what was not offered", err, auth.CodeTenantDenied)
	h.tick()
	_, err = h.tenancy.Accept(ctx, doc, a.ID)
	h.ok("accept", err)
	list, err := h.tenancy.Mine(ctx, doc)
	if err != nil || len(list) != 1 || list[0].Tenant.Slug != "clinic-a" || list[0].Role != "manager" || list[0].State != auth.MemberActive {
		t.Errorf("mine: %+v, %v", list, err)
	}

	// A is open, B is not, and the switch says so too.
	for _, c := range []struct {
		tenant auth.ID
		want   auth.Code
	}{{a.ID, ""}, {b.ID, auth.CodeTenantDenied}} {
		_, err := h.tenancy.Get(ctx, asks(doc), c.tenant)
		h.is("get", err, c.want)
		_, err = h.tenancy.Switch(ctx, doc, c.tenant)
		h.is("switch", err, c.want)
	}
	sw, err := h.tenancy.Switch(ctx, doc, a.ID)
	h.ok("switch", err)
	if sw.Session.TenantID != a.ID || sw.Session.TenantRole != "manager" || sw.Session.ID != doc.SessionID {
		t.Errorf("session %+v", sw.Session)
	}
	refreshed, err := h.refresh(t, sw.Tokens.RefreshToken)
	if err != nil || refreshed.Session.TenantRole != "manager" {
		t.Errorf("refreshed: %+v, %v", refreshed.Session, err)
	}

	// Suspended: at once, for the route and for the next token.
	h.tick()
	_, err = h.tenancy.ChangeMember(ctx, asks(boss), a.ID, doc.UserID, flow.MemberChange{State: ptr("suspended")})
	h.ok("suspend", err)
	_, err = h.tenancy.Get(ctx, asks(doc), a.ID)
	h.is("suspended", err, auth.CodeTenantDenied)
	_, err = h.tenancy.Switch(ctx, doc, a.ID)
	h.is("switch, suspended", err, auth.CodeTenantDenied)
	if refreshed, err = h.refresh(t, refreshed.Tokens.RefreshToken); err != nil || refreshed.Session.TenantRole != "" {
		t.Errorf("refreshed: %+v, %v", refreshed.Session, err)
	}
	h.tick()
	_, err = h.tenancy.ChangeMember(ctx, asks(boss), a.ID, doc.UserID, flow.MemberChange{State: ptr("active"), EndsAt: ptr(h.clock.Add(time.Hour))})
	h.ok("let in again, for an hour", err)
	_, err = h.tenancy.Get(ctx, asks(doc), a.ID)
	h.ok("open again", err)

	// The same for a tenant that is switched off, and for a membership whose time is over.
	_, err = h.tenancy.Update(ctx, anOperator(), a.ID, flow.TenantChange{Active: ptr(false)})
	h.ok("switch off", err)
	_, err = h.tenancy.Get(ctx, asks(boss), a.ID)
	h.is("tenant is off", err, auth.CodeTenantDenied)
	_, err = h.tenancy.Update(ctx, anOperator(), a.ID, flow.TenantChange{Active: ptr(true), Settings: members("beds", `3`)})
	h.ok("switch on", err)
	h.clock = h.clock.Add(2 * time.Hour)
	_, err = h.tenancy.Get(ctx, asks(doc), a.ID)
	h.is("time is over", err, auth.CodeTenantDenied)

	h.is("the last owner", h.tenancy.Remove(ctx, asks(boss), a.ID, boss.UserID), auth.CodeLastOwner)
	h.ok("remove", h.tenancy.Remove(ctx, asks(boss), a.ID, doc.UserID))
	h.is("remove again", h.tenancy.Remove(ctx, asks(boss), a.ID, doc.UserID), auth.CodeMemberNotFound)
	got, err := h.tenancy.Members(ctx, asks(boss), a.ID, auth.ID{}, 10)
	if err != nil || len(got) != 1 || got[0].Email != "boss@x.org" || got[0].FullName != "Person boss@x.org" {
		t.Errorf("members: %+v, %v", got, err)
	}
}

// TestOwnersLeaveAtOnce: of two owners who leave at the same moment one stays.
func TestOwnersLeaveAtOnce(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	one, two := h.register("one@x.org", "", ""), h.register("two@x.org", "", "")
	a := h.clinic("clinic-a", one)
	_, err := h.tenancy.Invite(t.Context(), anOperator(), a.ID, flow.Invitee{UserID: two.UserID, Role: "owner"})
	h.ok("invite", err)
	_, err = h.tenancy.Accept(t.Context(), two, a.ID)
	h.ok("accept", err)
	var wg sync.WaitGroup
	codes := make([]auth.Code, 16)
	for i := range codes {
		wg.Go(func() {
			who := []auth.Caller{one, two}[i%2]
			codes[i] = codeOf(h.tenancy.Remove(t.Context(), asks(who), a.ID, who.UserID))
		})
	}
	wg.Wait()
	done := 0
	for _, c := range codes {
		if c == "" {
			done++
		}
	}
	list, err := h.tenancy.Members(t.Context(), anOperator(), a.ID, auth.ID{}, 10)
	if done != 1 || err != nil || len(list) != 1 || list[0].Role != "owner" {
		t.Errorf("%q, %+v, %v", codes, list, err)
	}
}

// TestPhysician is A3.1 on a real database: asked for, approved, seen in the next look.
func TestPhysician(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	ctx := t.Context()
	owner := h.register("owner@x.org", "", "")
	a := h.clinic("clinic-a", owner)
	_, err := h.people.Register(ctx, flow.Registration{Email: "evil@x.org", Password: "long enough", Role: "admin"})
	h.is("admin", err, auth.CodeRoleNotAllowed)
	_, err = h.password(t, "evil@x.org", "long enough")
	h.is("no account", err, auth.CodeInvalidCredentials)

	doc := h.register("doc@x.org", "physician", "clinic-a")
	patient, err := h.people.Register(ctx, flow.Registration{Email: "pat@x.org", Password: "long enough", Role: "patient", TenantSlug: "clinic-a"})
	h.ok("patient", err)
	if s := patient.Session.Session; s.TenantID != a.ID || s.TenantRole != "patient" {
		t.Errorf("the patient's session: %+v", s)
	}
	e, err := h.tenancy.Explain(ctx, asks(doc), doc.UserID, auth.ID{}, "record:write")
	if err != nil || e.Allowed {
		t.Errorf("before the approval: %+v, %v", e, err)
	}
	_, err = h.tenancy.Get(ctx, asks(doc), a.ID)
	h.is("before the approval", err, auth.CodeTenantDenied)
	_, err = h.tenancy.Accept(ctx, doc, a.ID)
	h.is("nobody approves himself", err, auth.CodeTenantDenied)

	h.tick()
	got, err := h.people.ApproveRole(ctx, anOperator(), doc.UserID, "physician", true)
	if err != nil || !strings.Contains(string(got.User.AppMetadata), `"roles":["physician"]`) || got.Profile.Extensions["physician"] == nil {
		t.Errorf("%s, %+v, %v", got.User.AppMetadata, got.Profile, err)
	}
	_, err = h.people.ApproveRole(ctx, anOperator(), doc.UserID, "physician", true)
	h.is("twice", err, auth.CodeConflict)
	e, err = h.tenancy.Explain(ctx, asks(doc), doc.UserID, auth.ID{}, "record:write")
	if err != nil || !e.Allowed {
		t.Errorf("after the approval: %+v, %v", e, err)
	}
	h.tick()
	_, err = h.tenancy.ChangeMember(ctx, asks(owner), a.ID, doc.UserID, flow.MemberChange{State: ptr("active")})
	h.ok("the owner lets him in", err)

	// Who cares for whom.
	_, err = h.tenancy.Relate(ctx, asks(of(*patient.Session)), flow.NewRelation{Kind: "patient", SubjectID: patient.User.ID, TenantID: a.ID})
	h.ok("patient", err)
	in := flow.NewRelation{Kind: "care", SubjectID: doc.UserID, ObjectID: patient.User.ID, TenantID: a.ID}
	r, err := h.tenancy.Relate(ctx, asks(owner), in)
	h.ok("care", err)
	_, err = h.tenancy.Relate(ctx, asks(owner), in)
	h.is("care twice", err, auth.CodeRelationExists)
	list, err := h.tenancy.Relations(ctx, asks(doc), auth.RelationQuery{Kind: "care", Subject: doc.UserID})
	if err != nil || len(list) != 1 || list[0].ID != r.ID {
		t.Errorf("%+v, %v", list, err)
	}
	h.tick()
	h.ok("the patient ends it", h.tenancy.Unrelate(ctx, asks(of(*patient.Session)), r.ID))
	list, err = h.tenancy.Relations(ctx, asks(doc), auth.RelationQuery{Kind: "care", Subject: doc.UserID})
	if err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	h.is("again", h.tenancy.Unrelate(ctx, asks(owner), r.ID), auth.CodeRelationNotFound)
}

// TestAgents is A12.5 and S2.41 on a real database, with sixteen who assign at once.
func TestAgents(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	ctx := t.Context()
	customer, stranger := h.register("customer@x.org", "user", ""), h.register("stranger@x.org", "user", "")
	agents := []auth.Caller{h.register("one@x.org", "", ""), h.register("two@x.org", "", "")}
	for _, a := range agents {
		_, err := h.people.SetRoles(ctx, anOperator(), a.UserID, []string{"agent"})
		h.ok("roles", err)
	}
	h.tick()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			err := h.people.AssignAgent(ctx, anOperator(), customer.UserID, agents[i%2].UserID)
			if c := codeOf(err); c != "" && c != auth.CodeConflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := h.tenancy.Relations(ctx, asks(customer), auth.RelationQuery{Kind: "agent", Object: customer.UserID})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d agents, %v", len(list), err)
	}
	mine, others := agents[0], agents[1]
	if list[0].SubjectID != mine.UserID {
		mine, others = others, mine
	}
	for _, c := range []struct {
		who  auth.Caller
		n    int
		want auth.Code
	}{{mine, 1, ""}, {others, 0, auth.CodeForbidden}} {
		page, err := h.people.List(ctx, asks(c.who), auth.PersonQuery{})
		if err != nil || len(page) != c.n {
			t.Errorf("%d people, %v", len(page), err)
		}
		_, err = h.people.Get(ctx, asks(c.who), customer.UserID)
		h.is("get", err, c.want)
		_, err = h.people.Change(ctx, asks(c.who), customer.UserID, flow.ProfileChange{FullName: ptr("New Name"), Privacy: members("a", `1`)})
		h.is("the five fields", err, c.want)
		_, err = h.people.Change(ctx, asks(c.who), customer.UserID, flow.ProfileChange{Phone: ptr("49301")})
		h.is("another field", err, auth.CodeForbidden)
		_, err = h.people.Change(ctx, asks(c.who), stranger.UserID, flow.ProfileChange{FullName: ptr("New Name")})
		h.is("another person", err, auth.CodeForbidden)
	}
	if got, err := h.people.Me(ctx, customer); err != nil || got.Profile.FullName != "New Name" {
		t.Errorf("%+v, %v", got.Profile, err)
	}
	h.tick()
	h.ok("take away", h.people.AssignAgent(ctx, anOperator(), customer.UserID, auth.ID{}))
	_, err = h.people.Get(ctx, asks(mine), customer.UserID)
	h.is("no longer", err, auth.CodeForbidden)
}

// TestForgottenPassword is S1.15 and S1.16 on a real database: once, and everybody is out.
func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	ctx := t.Context()
	ann := h.register("ann@x.org", "user", "")
	h.ok("recover", h.accounts.Recover(ctx, flow.Recovery{Email: "Ann@x.org"}))
	link := h.post.notices[len(h.post.notices)-1].Link
	h.is("weak", h.people.ResetPassword(ctx, link, "short", auth.Meta{}), auth.CodeWeakPassword)
	h.tick()
	var wg sync.WaitGroup
	codes := make([]auth.Code, 16)
	for i := range codes {
		wg.Go(func() { codes[i] = codeOf(h.people.ResetPassword(ctx, link, "brand new word", auth.Meta{})) })
	}
	wg.Wait()
	done := 0
	for _, c := range codes {
		switch c {
		case "":
			done++
		case auth.CodeOTPExpired:
		default:
			t.Errorf("%s", c)
		}
	}
	if done != 1 {
		t.Errorf("%d resets with one link", done)
	}
	_, err := h.people.Me(ctx, ann)
	h.is("the session before", err, auth.CodeSessionNotFound)
	_, err = h.password(t, "ann@x.org", "long enough")
	h.is("the old password", err, auth.CodeInvalidCredentials)
	in, err := h.password(t, "ann@x.org", "brand new word")
	h.ok("the new password", err)
	if n := h.post.notices[len(h.post.notices)-1]; n.Kind != flow.NoticePasswordChanged {
		t.Errorf("the owner hears of it: %+v", n)
	}

	// And by knowing the old one; the other sessions end.
	me, err := h.password(t, "ann@x.org", "brand new word")
	h.ok("another session", err)
	h.is("wrong", h.people.ChangePassword(ctx, of(me), "guess", "another word"), auth.CodeCurrentInvalid)
	h.tick()
	h.ok("right", h.people.ChangePassword(ctx, of(me), "brand new word", "another word"))
	_, err = h.people.Me(ctx, of(in))
	h.is("the other session", err, auth.CodeSessionNotFound)
	h.ok("name", h.people.NameSession(ctx, of(me), me.Session.ID, "My phone"))
	list, err := h.people.Sessions(ctx, of(me))
	if err != nil || len(list) != 1 || list[0].Name != "My phone" {
		t.Errorf("%+v, %v", list, err)
	}
	h.ok("end", h.people.EndSession(ctx, of(me), me.Session.ID))
	_, err = h.people.Me(ctx, of(me))
	h.is("ended", err, auth.CodeSessionNotFound)
}

// TestWaitingAddress is A1.4 on a real database: the old address signs in until the new one
// is proved, and typing it takes it from nobody.
func TestWaitingAddress(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	h.config.BothAddresses = false
	h.people, h.accounts = flow.NewPeople(h.config), flow.NewAccounts(h.config)
	ctx := t.Context()
	ann := h.register("ann@x.org", "user", "")
	got, err := h.people.UpdateMe(ctx, ann, flow.ProfileChange{Email: ptr("New@x.org"), FullName: ptr("Ann <b>Lee</b>"), BirthDate: ptr("1990-01-02")})
	if err != nil || got.User.Email != "ann@x.org" || got.User.EmailChange != "new@x.org" || got.Profile.FullName != "Ann Lee" || got.Profile.BirthDate != "1990-01-02" {
		t.Fatalf("%+v, %v", got, err)
	}
	link := h.post.notices[len(h.post.notices)-1].Link
	_, err = h.password(t, "ann@x.org", "long enough")
	h.ok("the old one signs in", err)
	_, err = h.password(t, "new@x.org", "long enough")
	h.is("the new one does not", err, auth.CodeInvalidCredentials)
	rightful := h.register("new@x.org", "user", "") // its owner is not kept out
	_, err = h.accounts.Verify(ctx, flow.Verify{Type: "email_change", TokenHash: link})
	h.is("taken by now", err, auth.CodeEmailExists)
	got, err = h.people.Me(ctx, rightful)
	if err != nil || got.User.Email != "new@x.org" {
		t.Errorf("%+v, %v", got.User, err)
	}
	// Neutral: it waits for a proof that never comes, and nobody is told here whose it is.
	got, err = h.people.UpdateMe(ctx, rightful, flow.ProfileChange{Email: ptr("ann@x.org")})
	if err != nil || got.User.Email != "new@x.org" || got.User.EmailChange != "ann@x.org" {
		t.Errorf("%+v, %v", got.User, err)
	}
	if n := h.post.notices[len(h.post.notices)-1]; n.Kind != flow.NoticeAccountExists || n.To != "ann@x.org" {
		t.Errorf("%+v", n)
	}
}

// TestRegisterAllSpellings is A1.1 for registrations: one account, whatever its spelling.
func TestRegisterAllSpellings(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	h.register("A@x.org", "patient", "")
	_, err := h.people.Register(t.Context(), flow.Registration{Email: " a@X.ORG", Password: "other password", Role: "patient"})
	h.is("again", err, auth.CodeUserAlreadyExists)
	for _, s := range []string{"A@x.org", "a@X.org"} {
		_, err := h.password(t, s, "long enough")
		h.ok(s, err)
	}
}
