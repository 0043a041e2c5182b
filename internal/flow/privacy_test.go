package flow_test

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
)

func (h *house) privacy(t *testing.T) *flow.Privacy {
	t.Helper()
	db, ok := h.config.PeopleStore.(*sqlite.Store)
	if !ok {
		t.Fatal("no store")
	}
	c := h.config
	c.Holds = db
	return flow.NewPrivacy(c, flow.PrivacyConfig{
		Erasures: db, Exports: db, Issuer: "https://auth.example/auth/v1", Sign: func([]byte) (string, error) { return "a..b", nil },
	})
}

// Design section 6b, X17: a token of an OAuth client, one without a session, one of a session
// that has ended, and people where operators are asked: none deletes, exports or holds.
func TestPrivacyRefuses(t *testing.T) {
	t.Parallel()
	h := inHouse(t)
	p := h.privacy(t)
	ada := h.register("ada@example.org", "", "")
	ada.AuthTime = h.clock
	client, bare, ended := ada, ada, ada
	client.FirstParty, bare.SessionID, ended.SessionID = false, auth.ID{}, auth.ID{7}
	for name, c := range map[string]struct {
		who  auth.Caller
		code auth.Code
	}{
		"an OAuth client": {client, auth.CodeNotFirstParty}, "no session": {bare, auth.CodeNotFirstParty}, "an ended session": {ended, auth.CodeSessionNotFound},
	} {
		_, err := p.EraseMe(t.Context(), c.who, "")
		_, other := p.ExportMe(t.Context(), c.who, "")
		if auth.CodeOf(err) != c.code || auth.CodeOf(other) != c.code {
			t.Errorf("%s: %v, %v", name, err, other)
		}
	}
	person := flow.Actor{Caller: ada, Reason: "I say so"}
	silent, garbled := anOperator(), anOperator()
	silent.Reason, garbled.Reason = " ", "nul\x00"
	for _, a := range []flow.Actor{person, silent, garbled} {
		_, erase := p.Erase(t.Context(), a, ada.UserID)
		_, export := p.Export(t.Context(), a, ada.UserID)
		_, hold := p.PlaceHold(t.Context(), a, ada.UserID)
		lift := p.LiftHold(t.Context(), a, ada.UserID, auth.ID{1})
		for _, err := range []error{erase, export, hold, lift} {
			if code := auth.CodeOf(err); code != auth.CodeNotAdmin && code != auth.CodeValidation {
				t.Errorf("%+v: %v", a, err)
			}
		}
	}
	_, list := p.Erasures(t.Context(), person, auth.ErasureQuery{Limit: 1})
	_, one := p.ErasureOf(t.Context(), person, ada.UserID)
	_, holds := p.Holds(t.Context(), person, ada.UserID)
	_, retry := p.RetryErasure(t.Context(), person, auth.ID{1})
	for _, err := range []error{list, one, holds, retry} {
		if auth.CodeOf(err) != auth.CodeNotAdmin {
			t.Error(err)
		}
	}
	if _, err := p.EraseMe(t.Context(), ada, ""); err != nil {
		t.Errorf("nothing was changed, and she may: %v", err)
	}
	h.clock = h.clock.Add(100 * time.Hour)
	if _, err := p.EraseMe(t.Context(), ada, ""); err != nil {
		t.Errorf("asked again: %v", err)
	}
	if _, err := p.ExportMe(t.Context(), ada, ""); auth.CodeOf(err) != auth.CodeTokenUserNotFound {
		t.Errorf("an export of somebody who has gone: %v", err)
	}
}
