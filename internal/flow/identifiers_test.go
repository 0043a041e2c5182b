package flow_test

import (
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// C1: who may not change the locks of an account, and what explicit answers tell.
func TestAddressesAreTheOwners(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	ada, bob := h.register("ada@example.org", "", ""), h.register("bob@example.org", "", "")
	ada.AuthTime, bob.AuthTime = h.clock, h.clock
	for _, c := range []struct {
		name string
		bend func(*auth.Caller)
		want auth.Code
	}{
		{"a token of an OAuth client", func(c *auth.Caller) { c.FirstParty = false }, auth.CodeNotFirstParty},
		{"a token without a session", func(c *auth.Caller) { c.SessionID = auth.ID{} }, auth.CodeNotFirstParty},
		{"a session that has ended", func(c *auth.Caller) { c.SessionID = bob.SessionID }, auth.CodeSessionNotFound},
		{"nobody says how old the proof is", func(c *auth.Caller) { c.AuthTime = h.clock.AddDate(0, 0, -1) }, auth.CodeReauthNeeded},
	} {
		t.Log(c.name)
		caller := ada
		c.bend(&caller)
		_, err := h.people.AddAddress(t.Context(), caller, "ada@hospital.example")
		wantCode(t, err, c.want)
		_, err = h.people.MakePrimary(t.Context(), caller, auth.ID{15: 1})
		wantCode(t, err, c.want)
		wantCode(t, h.people.RemoveAddress(t.Context(), caller, auth.ID{15: 1}), c.want)
		if c.want != auth.CodeReauthNeeded {
			_, err = h.people.Addresses(t.Context(), caller)
			wantCode(t, err, c.want)
		}
	}
	for name, do := range map[string]func() error{
		"proof":     func() error { _, err := h.people.ProveAddress(t.Context(), ada, auth.ID{15: 1}, "123456"); return err },
		"promotion": func() error { _, err := h.people.MakePrimary(t.Context(), ada, auth.ID{15: 1}); return err },
		"removal":   func() error { return h.people.RemoveAddress(t.Context(), ada, auth.ID{15: 1}) },
	} {
		wantCode(t, do(), auth.CodeBadID)
		t.Log(name)
	}
	explicit := h.config
	explicit.ExplicitAnswers = true
	_, err := flow.NewPeople(explicit).AddAddress(t.Context(), ada, "bob@example.org")
	wantCode(t, err, auth.CodeEmailExists)
	a, err := h.people.AddAddress(t.Context(), ada, "ada@hospital.example")
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.people.MakePrimary(t.Context(), ada, a.ID)
	wantCode(t, err, auth.CodeValidation)
	wantCode(t, h.people.RemoveAddress(t.Context(), bob, a.ID), auth.CodeBadID)
	h.ok("remove what waits", h.people.RemoveAddress(t.Context(), ada, a.ID))
}
