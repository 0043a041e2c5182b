package flow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// C16: the owner switches his account off, with a proof of a moment ago.
func TestDeactivate(t *testing.T) {
	t.Parallel()
	fresh := func(n byte) auth.Caller {
		c := me(n)
		c.AuthTime = now().Add(-10 * time.Minute)
		return c
	}
	change := func(f func(*auth.Caller)) auth.Caller {
		c := fresh(ann)
		f(&c)
		return c
	}
	verified := func(w *town) {
		w.d.people[id(ann)].User.Factors = []auth.Factor{{Status: auth.FactorVerified}}
	}
	for _, c := range []struct {
		name   string
		caller auth.Caller
		town   func(w *town)
		want   auth.Code
	}{
		{"with a fresh proof", fresh(ann), nil, ""},
		{"with a second factor", change(func(c *auth.Caller) { c.AAL = auth.AAL2 }), verified, ""},
		{"an older proof", change(func(c *auth.Caller) { c.AuthTime = now().Add(-10*time.Minute - time.Second) }), nil, auth.CodeReauthNeeded},
		{"a proof of unknown age", change(func(c *auth.Caller) { c.AuthTime = time.Time{} }), nil, auth.CodeReauthNeeded},
		{"without the second factor", fresh(ann), verified, auth.CodeInsufficientAAL},
		{"an application's token", change(func(c *auth.Caller) { c.FirstParty = false }), nil, auth.CodeNotFirstParty},
		{"a session that has ended", change(func(c *auth.Caller) { c.SessionID = id(240) }), nil, auth.CodeSessionNotFound},
		{"an address that is not proved", fresh(ann), func(w *town) { w.d.people[id(ann)].User.EmailConfirmedAt = time.Time{} }, auth.CodeEmailNotConfirmed},
		{"a number that is not proved", fresh(ann), func(w *town) {
			u := &w.d.people[id(ann)].User
			u.Email, u.Phone, u.EmailConfirmedAt = "", "919811112222", time.Time{}
		}, auth.CodePhoneNotConfirmed},
		{"nobody in particular", fresh(ann), func(w *town) {
			u := &w.d.people[id(ann)].User
			u.Email, u.EmailConfirmedAt, u.IsAnonymous = "", time.Time{}, true
		}, ""},
		{"off already", fresh(ann), func(w *town) { w.d.people[id(ann)].Profile.Active = false }, auth.CodeUserInactive},
		{"nobody", fresh(99), nil, auth.CodeTokenUserNotFound},
		{"the database is down", fresh(ann), func(w *town) { w.d.broken["UpdateProfile"] = errors.New("down") }, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.town != nil {
				c.town(w)
			}
			before := w.d.people[id(ann)].Profile.Active
			err := w.people().Deactivate(t.Context(), c.caller)
			if codeOf(err) != c.want {
				t.Errorf("%v", err)
			}
			if c.want != "" {
				if len(w.d.audit) > 0 || w.d.people[id(ann)].Profile.Active != before {
					t.Errorf("a refusal changed something: %+v", w.d.audit)
				}
				return
			}
			e := w.d.audit[0]
			if w.d.people[id(ann)].Profile.Active || w.d.session(id(ann), id(200+ann)) >= 0 || e.Action != "user_deactivated" || e.ActorID != id(ann) || e.Traits["by"] != "owner" {
				t.Errorf("%+v", e)
			}
			if w.d.session(id(bob), id(200+bob)) < 0 {
				t.Error("somebody else is signed out")
			}
		})
	}
}
