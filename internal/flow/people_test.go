package flow_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/google/go-cmp/cmp"
)

// TestListAndGet is S2.41: an administrator sees everybody, an agent his own, others
// themselves.
func TestListAndGet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		q     auth.PersonQuery
		want  auth.Code
		agent auth.ID
		limit int
	}{
		{"administrator", by(boss), auth.PersonQuery{Text: "ann", Limit: 1000}, "", auth.ID{}, 200},
		{"administrator, of an agent", by(boss), auth.PersonQuery{Agent: id(agent), Limit: 7}, "", id(agent), 7},
		{"operator", anOperator(), auth.PersonQuery{Limit: -1}, "", auth.ID{}, 50},
		{"agent", by(agent), auth.PersonQuery{}, "", id(agent), 50},
		{"agent, by name", by(agent), auth.PersonQuery{Agent: id(agent)}, "", id(agent), 50},
		{"agent, another's", by(agent), auth.PersonQuery{Agent: id(bob)}, auth.CodeForbidden, auth.ID{}, 0},
		{"agent, unassigned ones", by(agent), auth.PersonQuery{Unassigned: true}, auth.CodeForbidden, auth.ID{}, 0},
		{"agent, of a tenant", by(agent), auth.PersonQuery{Tenant: id(tenantA)}, auth.CodeForbidden, auth.ID{}, 0},
		{"anybody", by(ann), auth.PersonQuery{}, auth.CodeForbidden, auth.ID{}, 0},
		{"owner of a tenant", by(owner), auth.PersonQuery{Tenant: id(tenantA)}, auth.CodeForbidden, auth.ID{}, 0},
		{"NUL", by(boss), auth.PersonQuery{Text: "a\x00"}, auth.CodeValidation, auth.ID{}, 0},
		{"a novel", by(boss), auth.PersonQuery{Text: strings.Repeat("a", 201)}, auth.CodeValidation, auth.ID{}, 0},
		{"NUL in a role", by(boss), auth.PersonQuery{Role: "a\x00"}, auth.CodeValidation, auth.ID{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			_, err := w.people().List(t.Context(), c.actor, c.q)
			if codeOf(err) != c.want {
				t.Errorf("%v", err)
			}
			if c.want != "" {
				if len(w.d.queries) > 0 {
					t.Errorf("asked all the same: %+v", w.d.queries)
				}
				return
			}
			q := w.d.queries[0]
			if q.Agent != c.agent || q.Limit != c.limit || q.Aud != "authenticated" || !q.At.Equal(at()) {
				t.Errorf("%+v", q)
			}
		})
	}
	for _, c := range []struct {
		name  string
		actor flow.Actor
		of    byte
		want  auth.Code
	}{
		{"oneself", by(ann), ann, ""}, {"administrator", by(boss), ann, ""}, {"operator", anOperator(), ann, ""}, {"agent", by(agent), ann, ""},
		{"agent, another", by(agent), bob, auth.CodeForbidden}, {"agent, nobody", by(agent), 99, auth.CodeForbidden},
		{"agent, the zero id", by(agent), 0, auth.CodeForbidden},
		{"another", by(ann), bob, auth.CodeForbidden}, {"nobody", by(ann), 99, auth.CodeForbidden}, {"customer of the agent", by(ann), agent, auth.CodeForbidden},
		{"administrator, nobody", by(boss), 99, auth.CodeUserNotFound},
	} {
		t.Run("get/"+c.name, func(t *testing.T) {
			t.Parallel()
			got, err := inTown(t).people().Get(t.Context(), c.actor, id(c.of))
			if codeOf(err) != c.want || (got.User.ID == id(c.of)) != (c.want == "" || c.of == 0) {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}

// TestSetRoles is A12.6: through this door only, with actor and reason, and nobody higher
// than himself.
func TestSetRoles(t *testing.T) {
	t.Parallel()
	silent := by(boss)
	silent.Reason = " "
	talker := by(boss)
	talker.Reason = strings.Repeat("x", 501)
	nul := by(boss)
	nul.Reason = "a\x00"
	for _, c := range []struct {
		name  string
		actor flow.Actor
		of    byte
		roles []string
		want  auth.Code
	}{
		{"by an administrator", by(boss), ann, []string{"user", "agent", "agent"}, ""},
		{"administrator makes another", by(boss), ann, []string{"admin"}, ""},
		{"none", by(boss), ann, nil, ""},
		{"by an operator", anOperator(), boss, []string{"user"}, ""},
		{"by a clerk", by(clerk), ann, []string{"user", "patient"}, auth.CodeForbidden}, // a clerk has no records to read
		{"by a clerk, what he has", by(clerk), ann, []string{"user"}, ""},
		{"by a clerk, above him", by(clerk), ann, []string{"admin"}, auth.CodeForbidden},
		{"by a clerk, of an administrator", by(clerk), boss, []string{"user"}, auth.CodeForbidden},
		{"by an agent", by(agent), ann, []string{"user"}, auth.CodeForbidden},
		{"by a tenant's owner", by(owner), helper, []string{"user"}, auth.CodeForbidden},
		{"oneself", by(clerk), clerk, []string{"clerk", "user"}, auth.CodeForbidden},
		{"oneself, an administrator", by(boss), boss, []string{"user"}, auth.CodeForbidden},
		{"unknown role", by(boss), ann, []string{"emperor"}, auth.CodeValidation},
		{"tenant's role", by(boss), ann, []string{"owner"}, auth.CodeValidation},
		{"NUL", by(boss), ann, []string{"us\x00er"}, auth.CodeValidation},
		{"empty", by(boss), ann, []string{""}, auth.CodeValidation},
		{"no reason", silent, ann, []string{"user"}, auth.CodeValidation},
		{"too much of a reason", talker, ann, []string{"user"}, auth.CodeValidation},
		{"reason that can't be stored", nul, ann, []string{"user"}, auth.CodeValidation},
		{"nobody", by(boss), 99, []string{"user"}, auth.CodeUserNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			got, err := w.people().SetRoles(t.Context(), c.actor, id(c.of), c.roles)
			if c.want != "" {
				wantCode(t, err, c.want)
				w.untouched(t)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var app struct {
				Provider string   `json:"provider"`
				Roles    []string `json:"roles"`
			}
			want := slices.Compact(slices.Sorted(slices.Values(c.roles)))
			if err := json.Unmarshal(got.User.AppMetadata, &app); err != nil || !slices.Equal(app.Roles, want) || app.Roles == nil || app.Provider != "email" {
				t.Errorf("%s, %v", got.User.AppMetadata, err)
			}
			w.audited(t, "user_roles_changed", c.actor.Caller.UserID, id(c.of).String())
		})
	}
}

// TestRolesAtOnce: of two changes at once none brings back what the other took.
func TestRolesAtOnce(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	bobs := &w.d.people[id(bob)].User
	bobs.AppMetadata = json.RawMessage(`{"roles":["admin"],"pending_roles":["physician"]}`)
	w.d.between = func() { // somebody takes the administrator's role away
		bobs.AppMetadata, bobs.UpdatedAt = json.RawMessage(`{"roles":[],"pending_roles":["physician"]}`), at().Add(time.Microsecond)
	}
	got, err := w.people().ApproveRole(t.Context(), anOperator(), id(bob), "physician", true)
	if err != nil || string(got.User.AppMetadata) != `{"roles":["physician"]}` {
		t.Errorf("%s, %v", got.User.AppMetadata, err)
	}
	// One who is changed all the time is given up.
	w.store.update = func(auth.ID, auth.UserPatch) (auth.User, error) { return auth.User{}, auth.ErrNotFound }
	_, err = w.people().SetRoles(t.Context(), anOperator(), id(bob), []string{"user"})
	wantCode(t, err, auth.CodeConflict)
}

// TestApproveRole is the second half of A3.1: pending until somebody has agreed.
func TestApproveRole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		of    byte
		role  string
		yes   bool
		want  auth.Code
		after string
	}{
		{"yes", by(boss), bob, "physician", true, "", `{"roles":["user","physician"]}`},
		{"no", by(boss), bob, "physician", false, "", `{"roles":["user"]}`},
		{"yes, by an operator", anOperator(), bob, "physician", true, "", `{"roles":["user","physician"]}`},
		{"what was not asked for", by(boss), bob, "admin", true, auth.CodeConflict, ""},
		{"what nobody asked for", by(boss), ann, "physician", true, auth.CodeConflict, ""},
		{"above the actor", by(clerk), bob, "physician", true, auth.CodeForbidden, ""},
		{"without role:assign", by(agent), bob, "physician", true, auth.CodeForbidden, ""},
		{"oneself", by(bob), bob, "physician", true, auth.CodeForbidden, ""},
		{"unknown", by(boss), bob, "emperor", true, auth.CodeValidation, ""},
		{"tenant's", by(boss), bob, "owner", true, auth.CodeValidation, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.d.people[id(bob)].User.AppMetadata = json.RawMessage(`{"roles":["user"],"pending_roles":["physician"]}`)
			got, err := w.people().ApproveRole(t.Context(), c.actor, id(c.of), c.role, c.yes)
			if c.want != "" {
				wantCode(t, err, c.want)
				w.untouched(t)
				return
			}
			if err != nil || string(got.User.AppMetadata) != c.after {
				t.Errorf("%s, %v", got.User.AppMetadata, err)
			}
			// A physician has a physician's profile from then on, and not before.
			if _, has := w.d.people[id(bob)].Profile.Extensions["physician"]; has != c.yes {
				t.Errorf("extension: %v", has)
			}
			action := "user_role_refused"
			if c.yes {
				action = "user_role_approved"
			}
			w.audited(t, action, c.actor.Caller.UserID, id(bob).String())
		})
	}
}

func TestAssignAgent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		bend            func(*town)
		actor           flow.Actor
		customer, agent byte
		want            auth.Code
		ended           bool
	}{
		{"first", nil, by(boss), bob, agent, "", false},
		{"the same again", nil, by(boss), ann, agent, "", false},
		{"another", nil, by(boss), ann, boss, "", true},
		{"none", nil, by(boss), ann, 0, "", true},
		{"none where there is none", nil, by(boss), bob, 0, "", false},
		{"by an operator", nil, anOperator(), bob, agent, "", false},
		{"by a clerk", nil, by(clerk), bob, agent, "", false},
		{"at the same moment as another", func(w *town) {
			w.d.between = func() {
				w.d.relations = append(w.d.relations, auth.Relation{ID: id(252), Kind: auth.RelationAgent, SubjectID: id(boss), ObjectID: id(bob), StartsAt: at()})
			}
		}, by(boss), bob, agent, "", false},
		{"oneself a customer", nil, by(agent), bob, agent, auth.CodeForbidden, false},
		{"a customer himself", nil, by(ann), ann, 0, auth.CodeForbidden, false},
		{"by a clerk, to an administrator", nil, by(clerk), boss, agent, auth.CodeForbidden, false},
		{"who is no agent", nil, by(boss), ann, bob, auth.CodeValidation, false},
		{"who is switched off", func(w *town) { w.d.people[id(agent)].Profile.Active = false }, by(boss), bob, agent, auth.CodeValidation, false},
		{"who is banned", func(w *town) { w.d.people[id(agent)].User.BannedUntil = at().Add(1) }, by(boss), bob, agent, auth.CodeValidation, false},
		{"to himself", nil, by(boss), agent, agent, auth.CodeValidation, false},
		{"nobody", nil, by(boss), bob, 99, auth.CodeUserNotFound, false},
		{"to nobody", nil, by(boss), 99, agent, auth.CodeUserNotFound, false},
		{"look-up fails", func(w *town) { w.d.broken["Relations"] = errors.New("boom") }, by(boss), bob, agent, auth.CodeInternal, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.bend != nil {
				c.bend(w)
			}
			err := w.people().AssignAgent(t.Context(), c.actor, id(c.customer), id(c.agent))
			if codeOf(err) != c.want {
				t.Fatalf("%v", err)
			}
			if c.want != "" {
				w.untouched(t)
				return
			}
			var holds []auth.ID
			for _, r := range w.d.relations {
				if r.ObjectID == id(c.customer) && r.EndsAt.IsZero() {
					holds = append(holds, r.SubjectID)
				}
			}
			var want []auth.ID
			if c.agent != 0 {
				want = []auth.ID{id(c.agent)}
			}
			if diff := cmp.Diff(want, holds); diff != "" {
				t.Error(diff)
			}
			if c.ended {
				w.audited(t, "relation_ended", c.actor.Caller.UserID, id(c.customer).String())
			}
		})
	}
}

func TestSetActive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		of    byte
		want  auth.Code
	}{
		{"administrator", by(boss), ann, ""}, {"clerk", by(clerk), ann, ""}, {"operator", anOperator(), boss, ""},
		{"clerk, an administrator", by(clerk), boss, auth.CodeForbidden}, {"agent", by(agent), ann, auth.CodeForbidden},
		{"oneself", by(boss), boss, auth.CodeForbidden}, {"anybody", by(ann), bob, auth.CodeForbidden}, {"nobody", by(boss), 99, auth.CodeUserNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			got, err := w.people().SetActive(t.Context(), c.actor, id(c.of), false)
			if codeOf(err) != c.want {
				t.Fatalf("%v", err)
			}
			if c.want != "" {
				w.untouched(t)
				return
			}
			if got.Profile.Active {
				t.Error("still active")
			}
			w.audited(t, "user_deactivated", c.actor.Caller.UserID, id(c.of).String())
			if got, err := w.people().SetActive(t.Context(), c.actor, id(c.of), true); err != nil || !got.Profile.Active {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.d.sessions = append(w.d.sessions, auth.Session{ID: id(240), UserID: id(ann)})
	p := w.people()
	if list, err := p.Sessions(t.Context(), me(ann)); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := p.NameSession(t.Context(), me(ann), id(240), " <b>My</b> phone "); err != nil || w.d.sessions[w.d.session(id(ann), id(240))].Name != "My phone" {
		t.Errorf("%v, %+v", err, w.d.sessions)
	}
	for _, bad := range []string{strings.Repeat("x", 65), "a\x00", "a\nb", "a\xff"} {
		wantCode(t, p.NameSession(t.Context(), me(ann), id(240), bad), auth.CodeValidation)
	}
	// Another one's session is one that does not exist.
	wantCode(t, p.NameSession(t.Context(), me(bob), id(240), "mine"), auth.CodeSessionUnknown)
	wantCode(t, p.EndSession(t.Context(), me(bob), id(240)), auth.CodeSessionUnknown)
	w.untouched(t)
	if err := p.EndSession(t.Context(), me(ann), id(240)); err != nil || w.d.session(id(ann), id(240)) >= 0 {
		t.Errorf("%v", err)
	}
	if e := w.d.audit[0]; e.Action != "logout" || e.ActorID != id(ann) || e.Traits["session_id"] != id(240).String() {
		t.Errorf("%+v", e)
	}
	wantCode(t, p.EndSession(t.Context(), me(ann), id(240)), auth.CodeSessionUnknown)
	third := me(ann)
	third.FirstParty = false
	_, err := p.Sessions(t.Context(), third)
	wantCode(t, err, auth.CodeNotFirstParty)
	wantCode(t, p.EndSession(t.Context(), third, id(200+ann)), auth.CodeNotFirstParty)
}

// TestChangePassword is S1.15: the old one has to be known, whatever the session began with.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		bend          func(*town, *auth.Caller)
		current, next string
		want          auth.Code
	}{
		{"right", nil, "old password", "new password", ""},
		{"right, an old session, where nonces are asked for", func(w *town, _ *auth.Caller) { w.config.ReauthPassword = true }, "old password", "new password", ""},
		{"wrong", nil, "guess", "new password", auth.CodeCurrentInvalid},
		{"none", nil, "", "new password", auth.CodeCurrentNeeded},
		{"none, in a session that began with a code", func(_ *town, c *auth.Caller) { c.Methods = []string{auth.MethodOTP} }, "", "new password", auth.CodeCurrentNeeded},
		{"the same again", nil, "old password", "old password", auth.CodeSamePassword},
		{"weak", nil, "old password", "short", auth.CodeWeakPassword},
		{"the first one", func(w *town, _ *auth.Caller) { w.d.people[id(ann)].User.PasswordHash = "" }, "", "new password", ""},
		{"the first one, where nonces are asked for", func(w *town, _ *auth.Caller) {
			w.d.people[id(ann)].User.PasswordHash, w.config.ReauthPassword = "", true
		}, "", "new password", auth.CodeReauthNeeded},
		{"token of an OAuth client", func(_ *town, c *auth.Caller) { c.FirstParty = false }, "old password", "new password", auth.CodeNotFirstParty},
		{"second factor not proved", func(w *town, _ *auth.Caller) {
			w.d.people[id(ann)].User.Factors = []auth.Factor{{Status: auth.FactorVerified}}
		}, "old password", "new password", auth.CodeInsufficientAAL},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, who := inTown(t), me(ann)
			if c.bend != nil {
				c.bend(w, &who)
			}
			err := w.people().ChangePassword(t.Context(), who, c.current, c.next)
			if codeOf(err) != c.want {
				t.Fatalf("%v", err)
			}
			if c.want != "" {
				w.untouched(t)
				return
			}
			p := w.store.patches[0]
			if *p.PasswordHash != "hash:new password" || p.Revoke != auth.RevokeOthers || p.RevokeWith != who.SessionID || p.RequireSession != who.SessionID {
				t.Errorf("%+v", p)
			}
		})
	}
}

// TestResetPassword is S1.16: once, and everybody is signed out.
func TestResetPassword(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		name        string
		token, next string
		outcome     auth.RedeemOutcome
		err         error
		want        auth.Code
		asked       bool
	}{
		{"right", token, "new password", auth.RedeemDone, nil, "", true},
		{"unknown, used or expired", token, "new password", auth.RedeemRefused, nil, auth.CodeOTPExpired, true},
		{"banned", token, "new password", auth.RedeemBanned, nil, auth.CodeTokenUserBanned, true},
		{"database", token, "new password", 0, errors.New("boom"), auth.CodeInternal, true},
		{"weak password, and the token stays", token, "short", auth.RedeemDone, nil, auth.CodeWeakPassword, false},
		{"no token", "", "new password", auth.RedeemDone, nil, auth.CodeValidation, false},
		{"no password", token, "", auth.RedeemDone, nil, auth.CodeValidation, false},
		{"no token of ours", strings.Repeat("x", 201), "new password", auth.RedeemDone, nil, auth.CodeValidation, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			var got []auth.Redeem
			w.store.redeem = func(r auth.Redeem) (auth.RedeemResult, error) {
				got = append(got, r)
				return auth.RedeemResult{Outcome: c.outcome}, c.err
			}
			err := w.people().ResetPassword(t.Context(), c.token, c.next, caller().Meta)
			if codeOf(err) != c.want || (len(got) > 0) != c.asked {
				t.Fatalf("%v, %+v", err, got)
			}
			if !c.asked {
				return
			}
			r := got[0]
			if r.PasswordHash != "hash:new password" || r.Session != nil || r.AuthCodeHash != "" || r.TokenHash == token || r.TokenHash == "" ||
				!slices.Equal(r.Purposes, []auth.Purpose{auth.PurposeRecovery}) || r.Audit.Action != "user_updated_password" {
				t.Errorf("%+v", r)
			}
			u := account()
			if m, err := r.TellPassword(&u); err != nil || len(m) != 1 || w.post.notices[0].Kind != flow.NoticePasswordChanged {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func TestResetPasswordLimit(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	limited(w.bench)
	w.config.VerifyPerIP.Count = 1
	w.store.redeem = func(auth.Redeem) (auth.RedeemResult, error) { return auth.RedeemResult{}, nil }
	p := w.people()
	wantCode(t, p.ResetPassword(t.Context(), "token", "new password", caller().Meta), auth.CodeOTPExpired)
	wantCode(t, p.ResetPassword(t.Context(), "token", "new password", caller().Meta), auth.CodeRateLimited)
}
