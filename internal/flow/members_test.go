package flow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/ratelimit"
	"github.com/google/go-cmp/cmp"
)

// invite is an invitation by e-mail.
func invite(email, r string) flow.Invitee { return flow.Invitee{Email: email, Role: r} }

func TestInvite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		bend  func(*town)
		actor flow.Actor
		in    flow.Invitee
		want  auth.Code
	}{
		{"an account", nil, by(helper), invite("Bob@X.org ", "viewer"), auth.CodeUserNotFound},
		{"role of the own level", nil, by(helper), invite(" C@X.org", "assistant"), ""},
		{"by an operator", nil, anOperator(), invite("c@x.org", "owner"), ""},
		{"by an operator, by id", nil, anOperator(), flow.Invitee{UserID: id(bob), Role: "viewer"}, ""},
		{"the owner another owner", nil, by(owner), invite("c@x.org", "owner"), ""},

		// Escalation: what one may not do oneself, one can't give.
		{"role above the own level", nil, by(helper), invite("c@x.org", "manager"), auth.CodeForbidden},
		{"owner's role by a manager", nil, by(manager), invite("c@x.org", "owner"), auth.CodeForbidden},
		{"same level, other permissions", nil, by(helper), invite("c@x.org", "biller"), auth.CodeForbidden},
		{"role of the application", nil, by(owner), invite("c@x.org", "admin"), auth.CodeValidation},
		{"unknown role", nil, by(owner), invite("c@x.org", "emperor"), auth.CodeValidation},
		{"role with NUL", nil, by(owner), invite("c@x.org", "own\x00er"), auth.CodeValidation},
		{"no role", nil, by(owner), invite("c@x.org", ""), auth.CodeValidation},
		{"oneself to a higher role", nil, by(helper), invite("i@x.org", "assistant"), auth.CodeMemberExists},
		{"somebody who is a member", nil, by(owner), invite("i@x.org", "viewer"), auth.CodeMemberExists},
		{"somebody who is suspended", func(w *town) { w.join(tenantA, bob, "viewer", auth.MemberSuspended) }, by(owner), invite("c@x.org", "viewer"), auth.CodeMemberExists},
		{"somebody with a better invitation", func(w *town) { w.join(tenantA, bob, "owner", auth.MemberInvited) }, by(helper), invite("c@x.org", "viewer"), auth.CodeForbidden},
		{"in place of an invitation", func(w *town) { w.join(tenantA, bob, "viewer", auth.MemberInvited) }, by(helper), invite("c@x.org", "assistant"), ""},
		{"joined at the same moment", func(w *town) {
			w.d.between = func() { w.join(tenantA, bob, "viewer", auth.MemberActive) }
		}, by(helper), invite("c@x.org", "viewer"), auth.CodeMemberExists},

		// An id says nothing of its owner, and the list of members would.
		{"by id, without the right to read people", nil, by(owner), flow.Invitee{UserID: id(bob), Role: "viewer"}, auth.CodeForbidden},
		{"by id and address", nil, anOperator(), flow.Invitee{UserID: id(bob), Email: "c@x.org", Role: "viewer"}, auth.CodeValidation},
		{"nobody", nil, by(owner), flow.Invitee{Role: "viewer"}, auth.CodeValidation},
		{"an id that nobody has", nil, anOperator(), flow.Invitee{UserID: id(99), Role: "viewer"}, auth.CodeUserNotFound},
		{"no address", nil, by(owner), invite("c@x.org\r\nBcc: b@x.org", "viewer"), auth.CodeValidation},
		{"no mail", func(w *town) { w.config.Mail = false }, by(owner), invite("c@x.org", "viewer"), auth.CodeNoMailer},
		{"look-up fails", func(w *town) {
			w.store.byEmail = func(string, string) (auth.User, error) { return auth.User{}, errors.New("boom") }
		}, by(owner), invite("c@x.org", "viewer"), auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.bend != nil {
				c.bend(w)
			}
			if c.name == "an account" {
				c.in.Email, c.want = " C@X.ORG", "" // every spelling is the same account
			}
			got, err := w.tenancy().Invite(t.Context(), c.actor, id(tenantA), c.in)
			if c.want != "" {
				wantCode(t, err, c.want)
				w.untouched(t)
				if len(w.post.notices) > 0 {
					t.Errorf("a message went out: %+v", w.post.notices)
				}
				return
			}
			want := auth.Membership{
				TenantID: id(tenantA), UserID: id(bob), Role: c.in.Role, State: auth.MemberInvited, InvitedBy: c.actor.Caller.UserID,
				CreatedAt: at(), UpdatedAt: at(),
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
			if diff := cmp.Diff(want, w.membership(tenantA, bob)); diff != "" {
				t.Errorf("stored:\n%s", diff)
			}
			w.audited(t, "member_invited", c.actor.Caller.UserID, id(bob).String())
			if c.in.Email != "" && (len(w.post.notices) != 1 || w.post.notices[0].Kind != flow.NoticeMemberInvited || w.post.notices[0].To != "c@x.org") {
				t.Errorf("messages %+v", w.post.notices)
			}
		})
	}
}

// TestInviteStranger: an address that nobody has gets an account with the invitation in one
// step, and the answer is the same as for one that somebody has.
func TestInviteStranger(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	got, err := w.tenancy().Invite(t.Context(), by(helper), id(tenantA), flow.Invitee{Email: "New@x.org", Role: "viewer", RedirectTo: "https://app.x.org"})
	if err != nil {
		t.Fatal(err)
	}
	a := w.store.created[0]
	want := auth.Membership{
		TenantID: id(tenantA), UserID: a.User.ID, Role: "viewer", State: auth.MemberInvited, InvitedBy: id(helper), CreatedAt: at(), UpdatedAt: at(),
	}
	if diff := cmp.Diff([]auth.Membership{want}, a.Memberships); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer:\n%s", diff)
	}
	u := a.User
	if u.Email != "new@x.org" || u.PasswordHash != "" || !u.ConfirmedAt().IsZero() || !u.InvitedAt.Equal(u.CreatedAt) || a.Session != nil {
		t.Errorf("account %+v", u)
	}
	if len(a.Tokens) != 1 || a.Tokens[0].Purpose != auth.PurposeInvite || a.Tokens[0].Address != "new@x.org" || len(a.Messages) != 1 {
		t.Errorf("%+v", a)
	}
	if n := w.post.notices[0]; n.Kind != "invite" || n.RedirectTo != "https://app.x.org" {
		t.Errorf("%+v", n)
	}
	w.audited(t, "member_invited", id(helper), u.ID.String())
}

// TestInviteUnproved: an account that nobody has proved gets the invitation's own token.
// What somebody else may have put on it falls when it is used (auth.Redeem.Plan).
func TestInviteUnproved(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.d.people[id(bob)].User.EmailConfirmedAt = time.Time{}
	issued := w.issues()
	if _, err := w.tenancy().Invite(t.Context(), by(helper), id(tenantA), invite("c@x.org", "viewer")); err != nil {
		t.Fatal(err)
	}
	if len(*issued) != 1 || (*issued)[0].Tokens[0].Purpose != auth.PurposeInvite || w.post.notices[0].Kind != "invite" {
		t.Errorf("%+v, %+v", *issued, w.post.notices)
	}
}

// TestInviteRace: two invite one stranger at once; the second finds the first one's account.
func TestInviteRace(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.store.create = func(auth.NewAccount) error {
		u := account()
		u.ID, u.Email, u.EmailConfirmedAt = id(50), "new@x.org", time.Time{}
		w.d.people[u.ID] = &auth.Person{User: u}
		return auth.ErrEmailTaken
	}
	got, err := w.tenancy().Invite(t.Context(), by(helper), id(tenantA), invite("new@x.org", "viewer"))
	if err != nil || got.UserID != id(50) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestInviteLimits(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	limited(w.bench)
	w.config.MailPerIP = ratelimit.Limit{Count: 2, Period: time.Hour}
	v := w.tenancy()
	if _, err := v.Invite(t.Context(), by(helper), id(tenantA), invite("new@x.org", "viewer")); err != nil {
		t.Fatal(err)
	}
	_, err := v.Invite(t.Context(), by(helper), id(tenantA), invite("new@x.org", "viewer"))
	wantCode(t, err, auth.CodeMailTooSoon)
	_, err = v.Invite(t.Context(), by(helper), id(tenantA), invite("other@x.org", "viewer"))
	wantCode(t, err, auth.CodeRateLimited)
}

// TestMembersShowsNoStranger: an invitation is no way to somebody's name and number.
func TestMembersShowsNoStranger(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.d.people[id(bob)].User.Phone, w.d.people[id(bob)].Profile.FullName = "49301", "Bob Secret"
	w.join(tenantA, bob, "viewer", auth.MemberInvited)
	for _, c := range []struct {
		actor       flow.Actor
		phone, name string
	}{{by(owner), "", ""}, {anOperator(), "49301", "Bob Secret"}} {
		list, err := w.tenancy().Members(t.Context(), c.actor, id(tenantA), auth.ID{}, 0)
		if err != nil || len(list) != 4 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, m := range list {
			if m.UserID == id(bob) && (m.Email != "c@x.org" || m.Phone != c.phone || m.FullName != c.name) {
				t.Errorf("%+v", m)
			}
		}
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		state string
		bend  func(*town, *auth.Membership)
		want  auth.Code
	}{
		{"invited", auth.MemberInvited, nil, ""},
		{"accepted before", auth.MemberActive, nil, ""},
		{"suspended", auth.MemberSuspended, nil, auth.CodeTenantDenied},
		{"pending", auth.MemberPending, nil, auth.CodeTenantDenied}, // nobody approves himself
		{"not invited", "", nil, auth.CodeTenantDenied},
		{"inactive tenant", auth.MemberInvited, func(w *town, _ *auth.Membership) { w.d.tenants[id(tenantA)].Active = false }, auth.CodeTenantDenied},
		{"too late", auth.MemberInvited, func(_ *town, m *auth.Membership) { m.EndsAt = at() }, auth.CodeTenantDenied},
		{"inactive account", auth.MemberInvited, func(w *town, _ *auth.Membership) { w.d.people[id(bob)].Profile.Active = false }, auth.CodeUserInactive},
		{"taken back at the same moment", auth.MemberInvited, func(w *town, _ *auth.Membership) {
			w.d.between = func() { w.d.members = w.d.members[:len(w.d.members)-1] }
		}, auth.CodeConflict},
		// The role must not come back that was taken from the invitation a moment ago.
		{"made smaller at the same moment", auth.MemberInvited, func(w *town, m *auth.Membership) {
			w.d.between = func() { m.Role, m.UpdatedAt = "viewer", at().Add(time.Microsecond) }
		}, auth.CodeConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.state != "" {
				w.join(tenantA, bob, "manager", c.state)
			}
			if c.bend != nil {
				c.bend(w, &w.d.members[len(w.d.members)-1])
			}
			got, err := w.tenancy().Accept(t.Context(), me(bob), id(tenantA))
			if c.want != "" {
				wantCode(t, err, c.want)
				if w.membership(tenantA, bob).State == auth.MemberActive {
					t.Error("is a member all the same")
				}
				return
			}
			if err != nil || got.State != auth.MemberActive || got.Role != "manager" || w.membership(tenantA, bob) != got {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestChangeMember(t *testing.T) {
	t.Parallel()
	later := at().Add(time.Hour)
	for _, c := range []struct {
		name        string
		actor       flow.Actor
		user        byte
		role, state string // of the member before
		in          flow.MemberChange
		want        auth.Code
		wantRole    string
		wantState   string
	}{
		{"role", by(manager), bob, "viewer", auth.MemberActive, flow.MemberChange{Role: ptr("assistant")}, "", "assistant", auth.MemberActive},
		{"suspend", by(manager), bob, "viewer", auth.MemberActive, flow.MemberChange{State: ptr("suspended")}, "", "viewer", auth.MemberSuspended},
		{"let in again", by(manager), bob, "viewer", auth.MemberSuspended, flow.MemberChange{State: ptr("active")}, "", "viewer", auth.MemberActive},
		{"approve", by(manager), bob, "viewer", auth.MemberPending, flow.MemberChange{State: ptr("active")}, "", "viewer", auth.MemberActive},
		{"end", by(manager), bob, "viewer", auth.MemberActive, flow.MemberChange{EndsAt: &later}, "", "viewer", auth.MemberActive},
		{"role of an invitation", by(manager), bob, "assistant", auth.MemberInvited, flow.MemberChange{Role: ptr("viewer")}, "", "viewer", auth.MemberInvited},
		{"nothing", by(manager), bob, "viewer", auth.MemberActive, flow.MemberChange{}, "", "viewer", auth.MemberActive},
		{"operator lets in without consent", anOperator(), bob, "viewer", auth.MemberInvited, flow.MemberChange{State: ptr("active")}, "", "viewer", auth.MemberActive},
		{"another owner steps down", by(owner), bob, "owner", auth.MemberActive, flow.MemberChange{Role: ptr("viewer")}, "", "viewer", auth.MemberActive},

		{"raise above oneself", by(manager), bob, "viewer", auth.MemberActive, flow.MemberChange{Role: ptr("owner")}, auth.CodeForbidden, "", ""},
		{"give what one has not", by(manager), bob, "viewer", auth.MemberActive, flow.MemberChange{Role: ptr("biller")}, auth.CodeForbidden, "", ""},
		{"approve what one has not", by(manager), bob, "owner", auth.MemberPending, flow.MemberChange{State: ptr("active")}, auth.CodeForbidden, "", ""},
		{"lower an owner", by(manager), owner, "", "", flow.MemberChange{Role: ptr("viewer")}, auth.CodeForbidden, "", ""},
		{"suspend an owner", by(manager), owner, "", "", flow.MemberChange{State: ptr("suspended")}, auth.CodeForbidden, "", ""},
		{"raise oneself", by(manager), manager, "", "", flow.MemberChange{Role: ptr("owner")}, auth.CodeForbidden, "", ""},
		{"extend one's own time", by(manager), manager, "", "", flow.MemberChange{EndsAt: &time.Time{}}, auth.CodeForbidden, "", ""},
		{"without member:update", by(helper), bob, "viewer", auth.MemberActive, flow.MemberChange{Role: ptr("viewer")}, auth.CodeForbidden, "", ""},
		{"make somebody a member who has not accepted", by(owner), bob, "viewer", auth.MemberInvited, flow.MemberChange{State: ptr("active")}, auth.CodeForbidden, "", ""},
		{"to invited", by(owner), bob, "viewer", auth.MemberActive, flow.MemberChange{State: ptr("invited")}, auth.CodeValidation, "", ""},
		{"to nonsense", by(owner), bob, "viewer", auth.MemberActive, flow.MemberChange{State: ptr("ACTIVE")}, auth.CodeValidation, "", ""},
		{"unknown role", by(owner), bob, "viewer", auth.MemberActive, flow.MemberChange{Role: ptr("emperor")}, auth.CodeValidation, "", ""},
		{"empty role", by(owner), bob, "viewer", auth.MemberActive, flow.MemberChange{Role: ptr("")}, auth.CodeValidation, "", ""},
		{"ends in the past", by(owner), bob, "viewer", auth.MemberActive, flow.MemberChange{EndsAt: ptr(at())}, auth.CodeValidation, "", ""},
		{"ends in another era", by(owner), bob, "viewer", auth.MemberActive, flow.MemberChange{EndsAt: ptr(time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC))}, auth.CodeValidation, "", ""},
		{"owner with an end", by(owner), bob, "owner", auth.MemberActive, flow.MemberChange{EndsAt: &later}, auth.CodeValidation, "", ""},
		{"no member", by(owner), ann, "", "", flow.MemberChange{Role: ptr("viewer")}, auth.CodeMemberNotFound, "", ""},
		{"member of another tenant", by(owner), other, "", "", flow.MemberChange{Role: ptr("viewer")}, auth.CodeMemberNotFound, "", ""},
		{"the last owner, by an operator", anOperator(), owner, "", "", flow.MemberChange{Role: ptr("viewer")}, auth.CodeLastOwner, "", ""},
		{"the last owner suspended, by an operator", anOperator(), owner, "", "", flow.MemberChange{State: ptr("suspended")}, auth.CodeLastOwner, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.role != "" {
				w.join(tenantA, c.user, c.role, c.state)
			}
			before := w.membership(tenantA, c.user)
			got, err := w.tenancy().ChangeMember(t.Context(), c.actor, id(tenantA), id(c.user), c.in)
			if c.want != "" {
				wantCode(t, err, c.want)
				w.untouched(t)
				if after := w.membership(tenantA, c.user); after != before {
					t.Errorf("became %+v", after)
				}
				return
			}
			if err != nil || got.Role != c.wantRole || got.State != c.wantState || w.membership(tenantA, c.user) != got {
				t.Errorf("%+v, %v", got, err)
			}
			if c.in.EndsAt != nil && !got.EndsAt.Equal(later) {
				t.Errorf("ends %v", got.EndsAt)
			}
			if c.name == "nothing" {
				w.untouched(t)
				return
			}
			w.audited(t, "member_modified", c.actor.Caller.UserID, id(c.user).String())
		})
	}
}

// TestChangeMemberRace: a member who has been raised meanwhile is not lowered by somebody
// who may no longer.
func TestChangeMemberRace(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.join(tenantA, bob, "viewer", auth.MemberActive)
	w.d.between = func() {
		m := &w.d.members[w.d.member(id(tenantA), id(bob))]
		m.Role, m.UpdatedAt = "owner", at().Add(time.Microsecond)
	}
	_, err := w.tenancy().ChangeMember(t.Context(), by(manager), id(tenantA), id(bob), flow.MemberChange{State: ptr("suspended")})
	wantCode(t, err, auth.CodeConflict)
	if got := w.membership(tenantA, bob); got.Role != "owner" || got.State != auth.MemberActive {
		t.Errorf("%+v", got)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		actor  flow.Actor
		user   byte
		bend   func(*town)
		want   auth.Code
		action string
	}{
		{"a member", by(manager), helper, nil, "", "member_removed"},
		{"by an operator", anOperator(), manager, nil, "", "member_removed"},
		{"oneself", by(helper), helper, nil, "", "member_left"},
		{"oneself, suspended", by(bob), bob, func(w *town) { w.join(tenantA, bob, "viewer", auth.MemberSuspended) }, "", "member_left"},
		{"an invitation to oneself", by(bob), bob, func(w *town) { w.join(tenantA, bob, "viewer", auth.MemberInvited) }, "", "member_left"},
		{"one of two owners leaves", by(owner), owner, func(w *town) { w.join(tenantA, bob, "owner", auth.MemberActive) }, "", "member_left"},
		{"the last owner leaves", by(owner), owner, nil, auth.CodeLastOwner, ""},
		{"the last owner, with an invited one", by(owner), owner, func(w *town) { w.join(tenantA, bob, "owner", auth.MemberInvited) }, auth.CodeLastOwner, ""},
		{"the last owner, by an operator", anOperator(), owner, nil, auth.CodeLastOwner, ""},
		{"an owner by a manager", by(manager), owner, func(w *town) { w.join(tenantA, bob, "owner", auth.MemberActive) }, auth.CodeForbidden, ""},
		{"without member:remove", by(helper), manager, nil, auth.CodeForbidden, ""},
		{"no member", by(owner), ann, nil, auth.CodeMemberNotFound, ""},
		{"oneself, no member", by(ann), ann, nil, auth.CodeTenantDenied, ""},
		{"somebody, by a stranger", by(other), helper, nil, auth.CodeTenantDenied, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.bend != nil {
				c.bend(w)
			}
			before := w.membership(tenantA, c.user)
			err := w.tenancy().Remove(t.Context(), c.actor, id(tenantA), id(c.user))
			if c.want != "" {
				wantCode(t, err, c.want)
				w.untouched(t)
				if after := w.membership(tenantA, c.user); after != before {
					t.Errorf("became %+v", after)
				}
				return
			}
			if err != nil || w.membership(tenantA, c.user) != (auth.Membership{}) {
				t.Errorf("%v", err)
			}
			w.audited(t, c.action, c.actor.Caller.UserID, id(c.user).String())
		})
	}
}
