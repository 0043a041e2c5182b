package flow_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func (w *town) withApps() {
	w.config.Apps = []flow.App{{Name: "ghar360"}, {Name: "stays", Fields: []string{"phone", "shoe_size"}}, {Name: "estate", Fields: []string{}}}
}

// A16.1, S2.39, S3.5: the stages in their order, whatever is done beforehand.
func TestAuthStateStages(t *testing.T) {
	t.Parallel()
	whole := func(p *auth.Person) {
		p.Profile.FullName, p.Profile.BirthDate = "Ann Other", "1990-05-17"
		p.Profile.Flags = json.RawMessage(`{"ghar360_onboarding_completed":true}`)
	}
	open := func(stage, next string, missing ...string) flow.AuthState {
		return flow.AuthState{App: "ghar360", Stage: stage, Next: next, Missing: missing, Onboarded: true}
	}
	verify, active := open("identifier_verification", "verify_identifier"), open("active", "grant_access")
	password, onboard := open("password_setup", "set_password"), open("app_onboarding", "complete_onboarding")
	onboard.Onboarded = false
	for _, c := range []struct {
		name   string
		app    string
		change func(p *auth.Person)
		want   flow.AuthState
	}{
		{"all done", "", func(*auth.Person) {}, active},
		{"no proved address", "", func(p *auth.Person) { p.User.EmailConfirmedAt = time.Time{} }, verify},
		{"proof of an address that has gone", "", func(p *auth.Person) { p.User.Email = "" }, verify},
		{"a proved number will do", "", func(p *auth.Person) { p.User.Email, p.User.Phone, p.User.PhoneConfirmedAt = "", "919811112222", at() }, active},
		{"nothing at all", "", func(p *auth.Person) {
			*p = auth.Person{User: auth.User{ID: p.User.ID, IsAnonymous: true}, Profile: auth.Profile{Active: true}}
		},
			flow.AuthState{App: "ghar360", Stage: "identifier_verification", Next: "verify_identifier"}},
		{"no password", "", func(p *auth.Person) { p.User.PasswordHash = "" }, password},
		{"S3.5: another provider has the password", "", func(p *auth.Person) {
			p.User.PasswordHash, p.User.Identities = "", append(p.User.Identities, auth.Identity{Provider: "google"})
		}, active},
		{"S3.5: so does single sign-on", "", func(p *auth.Person) { p.User.PasswordHash, p.User.IsSSO = "", true }, active},
		{"no profile", "", func(p *auth.Person) { p.Profile.FullName, p.Profile.BirthDate = "", "" },
			open("profile_completion", "complete_profile", "full_name", "birth_date")},
		{"half a profile", "ghar360", func(p *auth.Person) { p.Profile.BirthDate = "" }, open("profile_completion", "complete_profile", "birth_date")},
		{"no onboarding", "", func(p *auth.Person) { p.Profile.Flags = nil }, onboard},
		{"B2.34: flags that can't be read", "", func(p *auth.Person) { p.Profile.Flags = json.RawMessage(`{"ghar360_onboarding_completed":tru`) }, onboard},
		{"B2.34: a flag that is no yes", "", func(p *auth.Person) { p.Profile.Flags = json.RawMessage(`{"ghar360_onboarding_completed":"true"}`) }, onboard},
		{"B2.34: flags that are none", "", func(p *auth.Person) { p.Profile.Flags = json.RawMessage(`true`) }, onboard},
		{"an application of its own", "stays", func(*auth.Person) {},
			flow.AuthState{App: "stays", Stage: "profile_completion", Next: "complete_profile", Missing: []string{"phone", "shoe_size"}}},
		{"the flag of another application", "estate", func(*auth.Person) {}, flow.AuthState{App: "estate", Stage: "app_onboarding", Next: "complete_onboarding"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.withApps()
			p := w.d.people[id(ann)]
			whole(p)
			c.change(p)
			got, err := w.people().AuthState(t.Context(), me(ann), c.app)
			if d := cmp.Diff(c.want, got); d != "" || err != nil {
				t.Errorf("%v %s", err, d)
			}
			if len(w.d.audit) > 0 {
				t.Errorf("asking wrote %v", w.d.audit)
			}
		})
	}
}

// A16.1, B2.34: what can't be read lets nobody in, and a refusal changes nothing.
func TestAuthStateRefuses(t *testing.T) {
	t.Parallel()
	down := errors.New("connection reset")
	for _, c := range []struct {
		name   string
		caller auth.Caller
		app    string
		change func(w *town)
		want   auth.Code
	}{
		{"an unknown application", me(ann), "casino", nil, auth.CodeAppUnknown},
		{"nobody's token", me(99), "", nil, auth.CodeTokenUserNotFound},
		{"another program's token", func() auth.Caller { c := me(ann); c.FirstParty = false; return c }(), "", nil, auth.CodeNotFirstParty},
		{"somebody switched off", me(ann), "", func(w *town) { w.d.people[id(ann)].Profile.Active = false }, auth.CodeUserInactive},
		{"sessions can't be read", me(ann), "", func(w *town) {
			w.store.withSession = func(_, _ auth.ID) (auth.UserSession, error) { return auth.UserSession{}, down }
		}, auth.CodeUnavailable},
		{"profiles can't be read or written", me(ann), "", func(w *town) {
			w.d.broken["PersonByID"], w.d.broken["UpdateProfile"] = down, down
		}, auth.CodeUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.withApps()
			if c.change != nil {
				c.change(w)
			}
			got, err := w.people().AuthState(t.Context(), c.caller, c.app)
			wantCode(t, err, c.want)
			if got.Stage != "" {
				t.Errorf("%+v", got)
			}
			got, err = w.people().Onboard(t.Context(), c.caller, c.app)
			wantCode(t, err, c.want)
			if got.Stage != "" || len(w.d.audit) > 0 || w.d.people[id(ann)].Profile.Flags != nil {
				t.Errorf("%+v, %v", got, w.d.audit)
			}
		})
	}
}

// S2.39: onboarding sets the flag of its application and leaves the others.
func TestOnboard(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.withApps()
	w.d.people[id(ann)].Profile.Flags = json.RawMessage(`{"stays_onboarding_completed":true,"x":false}`)
	for range 2 { // it may be said twice
		got, err := w.people().Onboard(t.Context(), me(ann), "estate")
		if d := cmp.Diff(flow.AuthState{App: "estate", Stage: "active", Next: "grant_access", Onboarded: true}, got); d != "" || err != nil {
			t.Errorf("%v %s", err, d)
		}
	}
	if got := string(w.d.people[id(ann)].Profile.Flags); got != `{"estate_onboarding_completed":true,"stays_onboarding_completed":true,"x":false}` {
		t.Errorf("%s", got)
	}
	if e := w.d.audit[0]; e.Action != "onboarding_completed" || e.ActorID != id(ann) || e.Traits["app"] != "estate" {
		t.Errorf("%+v", e)
	}
	none := inTown(t)
	_, err := none.people().Onboard(t.Context(), me(ann), "")
	wantCode(t, err, auth.CodeAppUnknown)
	got, err := none.people().AuthState(t.Context(), me(ann), "")
	if got.Stage != "profile_completion" || got.App != "" || got.Onboarded || err != nil {
		t.Errorf("%+v %v", got, err)
	}
}
