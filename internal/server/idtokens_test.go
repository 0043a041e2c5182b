package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/cardeatest"
)

// withGoogle is a server with a provider that stands for Google, and the token of somebody.
func withGoogle(t *testing.T, kind string) (r *rig, google *cardeatest.Issuer, token string) {
	t.Helper()
	google = cardeatest.New(t, cardeatest.Config{Serve: true, Audiences: []string{"web-client"}})
	r = newRig(t, kind, Options{GoogleURL: google.URL()}, "GOOGLE_WEB_CLIENT_ID=web-client", "CARDEA_SURFACES=supabase,mirror,admin", "CARDEA_EMAIL_AUTOCONFIRM=true")
	return r, google, signedUp(t, r, "ada@example.org")
}

func signedUp(t *testing.T, r *rig, email string) string {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/auth/v1/signup", strings.NewReader(`{"email":"`+email+`","password":"correct horse battery"}`))
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return into[struct {
		Access string `json:"access_token"`
	}](t, w, http.StatusOK).Access
}

func (r *rig) link(token, idToken string) *httptest.ResponseRecorder {
	return r.as(token, http.MethodPost, "/api/v1/auth/link-identity", fmt.Sprintf(`{"provider":"google","id_token":%q}`, idToken))
}

func (r *rig) providers(t *testing.T, token string) []string {
	t.Helper()
	list := into[struct{ Identities []struct{ Provider string } }](t, r.as(token, http.MethodGet, "/api/v1/users/me/identities", ""), http.StatusOK)
	var names []string
	for _, i := range list.Identities {
		names = append(names, i.Provider)
	}
	return names
}

type mirrored struct{ Error struct{ Code string } }

// S2.36: an ID token of the provider really adds the identity; what is not good, or somebody
// else's, adds nothing.
func TestLinkIdentity(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r, google, token := withGoogle(t, kind)
			ada := cardeatest.User{ID: "google-1", Email: "ada@gmail.example"}
			bad := map[string]string{
				"none": "", "nonsense": "x.y.z", "expired": google.Expired(ada), "of another application": google.WrongAudience(ada),
				"of another issuer": google.WrongIssuer(ada), "of a foreign key": google.ForeignKey(ada), "tampered": google.Tampered(ada),
				"without a signature": google.AlgNone(ada), "signed with a public key": google.AlgConfusion(ada),
				"of a sign-in some time ago": google.Token(cardeatest.User{ID: "google-1", Claims: map[string]any{"iat": r.now().Add(-11 * time.Minute).Unix()}}),
				"too long":                   strings.Repeat("x", 17<<10),
			}
			for name, idToken := range bad {
				if w := r.link(token, idToken); into[mirrored](t, w, http.StatusBadRequest).Error.Code != "ID_TOKEN_INVALID" {
					t.Errorf("%s: %s", name, w.Body)
				}
			}
			if d := cmp.Diff([]string{"email"}, r.providers(t, token)); d != "" {
				t.Fatal(d)
			}
			for range 2 { // the second time it is there
				if w := r.link(token, google.IDToken(ada)); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"linked":true}` {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
			}
			if d := cmp.Diff([]string{"email", "google"}, r.providers(t, token)); d != "" {
				t.Error(d)
			}
			other := signedUp(t, r, "grace@example.org")
			for name, w := range map[string]*httptest.ResponseRecorder{
				"somebody else's":                  r.link(other, google.IDToken(ada)),
				"a second account at the provider": r.link(token, google.IDToken(cardeatest.User{ID: "google-2"})),
			} {
				if into[mirrored](t, w, http.StatusBadRequest).Error.Code != "IDENTITY_EXISTS" {
					t.Errorf("%s: %s", name, w.Body)
				}
			}
			if d := cmp.Diff([]string{"email"}, r.providers(t, other)); d != "" {
				t.Error(d)
			}
		})
	}
}

// Of two accounts at the provider at once one is linked, and is not replaced by the other.
func TestLinkIdentityOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r, google, token := withGoogle(t, kind)
			linked := make([]bool, 16)
			var wg sync.WaitGroup
			for i := range linked {
				idToken := google.IDToken(cardeatest.User{ID: fmt.Sprint("google-", i)})
				wg.Go(func() { linked[i] = r.link(token, idToken).Code == http.StatusOK })
			}
			wg.Wait()
			n := 0
			for _, ok := range linked {
				if ok {
					n++
				}
			}
			if d := cmp.Diff([]string{"email", "google"}, r.providers(t, token)); d != "" || n != 1 {
				t.Errorf("%d were told that it is linked: %s", n, d)
			}
		})
	}
}

func TestLinkIdentityRefuses(t *testing.T) {
	t.Parallel()
	r, google, token := withGoogle(t, "sqlite")
	idToken := google.IDToken(cardeatest.User{ID: "google-1"})
	w := r.as(token, http.MethodPost, "/api/v1/auth/link-identity", `{"provider":"unheard-of","id_token":"x"}`)
	if into[mirrored](t, w, http.StatusNotFound).Error.Code != "FEATURE_DISABLED" {
		t.Error(w.Body)
	}
	if w := r.as(token, http.MethodPost, "/api/v1/auth/link-identity", `{"provider":1,"id_token":[]}`); w.Code != http.StatusUnprocessableEntity && w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	google.Down()
	if w := r.link(token, idToken); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "30" {
		t.Errorf("the provider is down: %d %v %s", w.Code, w.Header(), w.Body)
	}
	google.Up()
	r.forward(6 * time.Second)
	google.KeysDown() // its description, and no keys
	if w := r.link(token, idToken); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "30" {
		t.Errorf("no keys: %d %s", w.Code, w.Body)
	}
	google.Up()
	if w := r.link(r.service, idToken); w.Code != http.StatusUnauthorized {
		t.Errorf("a key for a person: %d %s", w.Code, w.Body)
	}
	r.forward(16 * time.Minute) // a way in needs a fresh proof
	if w := r.link(token, idToken); into[mirrored](t, w, http.StatusForbidden).Error.Code != "REAUTHENTICATION_REQUIRED" {
		t.Error(w.Body)
	}
	if d := cmp.Diff([]string{"email"}, r.providers(t, token)); d != "" {
		t.Error(d)
	}
}
