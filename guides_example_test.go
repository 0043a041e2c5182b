package cardea_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
)

// The functions here are shown in parts in docs/guides/verifier.md.

func fiveMinutes() (http.Handler, error) {
	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{{
		Kind: cardea.KindSupabase, URL: "https://demo.supabase.co",
	}}})
	if err != nil {
		return nil, err // every problem of the configuration at once
	}
	mux := http.NewServeMux()
	mux.Handle("GET /me", v.Require(cardea.Authenticated())(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, _ := cardea.PrincipalFrom(r.Context()) // there always is one behind Require
			fmt.Fprintln(w, p.Subject)
		})))
	return mux, nil
}

func severalIssuers() cardea.Config {
	return cardea.Config{Issuers: []cardea.Issuer{
		{URL: "https://id.example.org/auth/v1", Audiences: []string{"authenticated"}},
		{
			Kind: cardea.KindOIDC, URL: "https://login.example.com/realms/clinic", Audiences: []string{"clinic-api"},
			Claims: cardea.ClaimPaths{Roles: "realm_access.roles"},
		},
	}}
}

func revocation(c cardea.Config, issuer, subject string) (*cardea.Verifier, error) {
	denied := cardea.NewDenylist(cardea.DenylistConfig{})
	c.Revoked = denied.Check
	v, err := cardea.NewVerifier(c)
	if err != nil {
		return nil, err
	}
	denied.RevokeUser(issuer, subject, time.Time{}, "password changed")
	return v, nil
}

type guidePatient struct{ Consent bool }

func guards(v *cardea.Verifier, load func(context.Context, *cardea.Principal) (guidePatient, bool, error), h http.Handler) *http.ServeMux {
	clinic := cardea.Tenant(cardea.InPath("clinic"), cardea.InQuery("clinic_id"))
	consent := cardea.UserRule("consent", func(p guidePatient) bool { return p.Consent })

	mux := http.NewServeMux()
	mux.Handle("GET /feed", v.Optional()(h))
	mux.Handle("GET /clinics/{clinic}/cases", v.Require(cardea.Role("doctor", "nurse"), clinic)(h))
	mux.Handle("GET /cases", v.Require(cardea.Owner(cardea.InQuery("user_id")))(h))
	mux.Handle("POST /ai", v.Require(cardea.Active(load), cardea.AIAccess(consent))(h))
	mux.Handle("DELETE /account", v.RequireFresh(10*time.Minute, cardea.AAL("aal2"))(h))
	return mux
}

func streams(v *cardea.Verifier, mux *http.ServeMux, events http.Handler) error {
	tickets, err := cardea.NewTickets(cardea.TicketConfig{Verifier: v})
	if err != nil {
		return err
	}
	mux.Handle("POST /events/ticket", tickets.Handler(cardea.Authenticated()))
	mux.Handle("POST /events/renew", tickets.RenewHandler())
	mux.Handle("GET /events", tickets.Require(cardea.Authenticated())(events))
	return nil
}

// TestGuideCode runs what the guide shows.
func TestGuideCode(t *testing.T) {
	t.Parallel()
	if h, err := fiveMinutes(); err != nil || send(h, httptest.NewRequestWithContext(t.Context(), "GET", "/me", nil)) != 401 {
		t.Errorf("five minutes: %v", err)
	}
	if _, err := cardea.NewVerifier(severalIssuers()); err != nil {
		t.Error(err)
	}
	iss := cardeatest.New(t)
	u := cardeatest.User{ID: "ada", Roles: []string{"doctor"}, Permissions: []string{"ai_access"}, Tenant: "c1", AAL: "aal2"}
	v, err := revocation(iss.VerifierConfig(), iss.URL(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	load := func(_ context.Context, p *cardea.Principal) (guidePatient, bool, error) {
		return guidePatient{Consent: p.Subject == "ada"}, true, nil
	}
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux := guards(v, load, ok)
	if err := streams(v, mux, ok); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		route  string
		user   cardeatest.User
		status int
	}{
		{"GET /feed", u, 204},
		{"GET /clinics/c1/cases", u, 204},
		{"GET /clinics/c2/cases", u, 403},
		{"GET /clinics/c1/cases?clinic_id=c2", u, 400},
		{"GET /cases", u, 204},
		{"GET /cases?user_id=bob", u, 403},
		{"POST /ai", u, 204},
		{"POST /ai", cardeatest.User{ID: "eve", Permissions: []string{"ai_access"}}, 403},
		{"DELETE /account", u, 204},
		{"DELETE /account", cardeatest.User{ID: "ada", AAL: "aal2", SignedInAgo: time.Hour}, 403},
		{"GET /events", u, 204},
		{"GET /cases", cardeatest.User{ID: "bob"}, 401}, // revoked
	} {
		method, path, _ := strings.Cut(c.route, " ")
		if got := send(mux, iss.Request(method, path, c.user)); got != c.status {
			t.Errorf("%s of %s: %d, want %d", c.route, c.user.ID, got, c.status)
		}
	}
}

func send(h http.Handler, r *http.Request) int {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Code
}

// askForConsent is part of docs/guides/consents.md.
func askForConsent(config cardea.Config, mux *http.ServeMux, chat http.Handler) error {
	consents, err := cardea.NewConsentClient(cardea.ConsentClientConfig{URL: "https://auth.example.com"})
	if err != nil {
		return err
	}
	config.Consents = consents
	v, err := cardea.NewVerifier(config)
	if err != nil {
		return err
	}
	mux.Handle("POST /ai/chat", v.Require(cardea.AIAccess(v.Consent("ai_processing")))(chat))
	return nil
}

// The example of the guide starts, and guards.
func TestConsentExample(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	config := cardea.Config{Issuers: []cardea.Issuer{{URL: "https://auth.example.com/auth/v1", Audiences: []string{"authenticated"}}}}
	if err := askForConsent(config, mux, http.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/ai/chat", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("%d", w.Code)
	}
}
