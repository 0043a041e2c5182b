package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// consentSettings are a server that asks for consent and takes notices.
func consentSettings() []string {
	return []string{"CARDEA_CONSENTS=neonpro", "CARDEA_SURFACES=supabase,rest,mirror,admin", "CARDEA_WEBHOOK_SECRET=a secret of the project", "CARDEA_WEBHOOK_UNDATED=true"}
}

// through lets a service ask the server without a network. While down is true nobody answers.
type through struct {
	handler http.Handler
	down    bool
}

func (w *through) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.down {
		return nil, http.ErrServerClosed
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// A16.6: a guarded route of a service, on both databases, with the caller's token and with a key.
func TestConsentGuard(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		for _, mode := range []string{"with the caller's token", "with a key"} {
			t.Run(kind+"/"+mode, func(t *testing.T) {
				t.Parallel()
				s := open(t, load(t, databaseURL(t, kind), consentSettings()...))
				a := call(s, "POST", "/auth/v1/signup", "", credentials("a@example.org"))
				wire := &through{handler: s.Handler()}
				config := cardea.ConsentClientConfig{URL: "http://127.0.0.1:9999", HTTPClient: &http.Client{Transport: wire}}
				if mode == "with a key" {
					key, err := s.APIKeys().JWT("service_role")
					if err != nil {
						t.Fatal(err)
					}
					config.Key = key
				}
				consents, err := cardea.NewConsentClient(config)
				if err != nil {
					t.Fatal(err)
				}
				v, err := cardea.NewVerifier(cardea.Config{
					Issuers:    []cardea.Issuer{{Kind: cardea.KindSupabase, URL: "http://127.0.0.1:9999"}},
					HTTPClient: &http.Client{Transport: &through{handler: s.Handler()}}, Consents: consents,
				})
				if err != nil {
					t.Fatal(err)
				}
				route := v.Require(v.Consent("ai_processing"))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
				ask := func(want int) http.Header {
					t.Helper()
					r := httptest.NewRequest(http.MethodPost, "/ai", nil)
					r.Header.Set("Authorization", "Bearer "+a.Access)
					w := httptest.NewRecorder()
					route.ServeHTTP(w, r)
					if w.Code != want {
						t.Errorf("%d %s, want %d", w.Code, w.Body, want)
					}
					return w.Header()
				}
				say := func(method, body string) {
					t.Helper()
					if got := call(s, method, "/api/users/me/consents/ai_processing", a.Access, body); got.Status != 200 {
						t.Fatalf("%+v", got)
					}
				}
				ask(403)
				say("PUT", `{"version":"1.0"}`)
				ask(204)
				say("DELETE", "")
				ask(403)
				say("PUT", `{"version":"1.0"}`)
				ask(204)
				wire.down = true
				if h := ask(503); h.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
				wire.down = false
				ask(204)
				if got := call(s, "POST", "/auth/v1/logout", a.Access, ""); got.Status != 204 {
					t.Fatalf("%+v", got)
				}
				if mode == "with a key" { // the service knows nothing of sessions
					ask(204)
				} else {
					ask(401)
				}
			})
		}
	}
}

func notice(s *Server, body string) int {
	m := hmac.New(sha256.New, []byte("a secret of the project"))
	m.Write([]byte(body))
	r := httptest.NewRequest("POST", "/api/v1/webhooks/auth/password-changed", strings.NewReader(body))
	r.Header.Set("X-Supabase-Signature", hex.EncodeToString(m.Sum(nil)))
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code
}

// A20.2: one notice that 20 deliveries bring at once counts once, on both databases.
func TestNoticeOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := open(t, load(t, databaseURL(t, kind), consentSettings()...))
			a := call(s, "POST", "/auth/v1/signup", "", credentials("a@example.org"))
			var (
				wg    sync.WaitGroup
				mu    sync.Mutex
				codes = map[int]int{}
			)
			for range 20 {
				wg.Go(func() {
					code := notice(s, fmt.Sprintf(`{"user_id":%q}`, a.User.ID))
					mu.Lock()
					defer mu.Unlock()
					codes[code]++
				})
			}
			wg.Wait()
			if codes[200] != 1 || codes[409] != 19 {
				t.Errorf("%v", codes)
			}
			if got := call(s, "GET", "/auth/v1/user", a.Access, ""); got.Status == 200 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The round trips of the gate, of consents and of a notice on PostgreSQL.
func TestStatementBudgetOfConsents(t *testing.T) {
	t.Parallel()
	var count counter
	cfg := load(t, databaseURL(t, "postgres"), consentSettings()...)
	st, err := postgres.Open(t.Context(), postgres.Config{URL: cfg.DatabaseURL, Tracer: &count})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	s, err := assemble(t.Context(), cfg, Options{}, st)
	if err != nil {
		t.Fatal(err)
	}
	a := call(s, "POST", "/auth/v1/signup", "", credentials("a@example.org"))
	for _, c := range []struct {
		name, method, path, body string
		most                     int64
	}{
		{"what is left to do", "GET", "/api/users/me/auth-state", "", 2},
		{"what have I agreed to", "GET", "/api/users/me/consents", "", 2},
		{"agree", "PUT", "/api/users/me/consents/ai_processing", `{"version":"1.0"}`, 3},
		{"four at once", "PUT", "/api/users/me/consents", `{"data_processing":true,"communication":true,"analytics":true,"third_party":false,"version":"1.0"}`, 4},
		{"take it back", "DELETE", "/api/users/me/consents/ai_processing", "", 3},
		{"the history", "GET", "/api/users/me/consent-history", "", 2},
	} {
		before := count.n.Load()
		got := call(s, c.method, c.path, a.Access, c.body)
		n := count.n.Load() - before
		t.Logf("%-24s %d round trips", c.name, n)
		if got.Status != 200 || n > c.most {
			t.Errorf("%s: %d with %d round trips, at most %d", c.name, got.Status, n, c.most)
		}
	}
	before := count.n.Load()
	if code := notice(s, fmt.Sprintf(`{"user_id":%q}`, a.User.ID)); code != 200 || count.n.Load()-before > 1 {
		t.Errorf("a notice: %d with %d round trips", code, count.n.Load()-before)
	}
}

// BenchmarkConsents measures whole requests through the handler, without the network.
func BenchmarkConsents(b *testing.B) {
	for _, kind := range kinds() {
		s := open(b, load(b, databaseURL(b, kind), consentSettings()...))
		a := call(s, "POST", "/auth/v1/signup", "", credentials("bench@example.org"))
		for _, c := range []struct{ name, method, path, body string }{
			{"list", "GET", "/api/users/me/consents", ""},
			{"grant", "PUT", "/api/users/me/consents/ai_processing", `{"version":"1.0"}`},
			{"auth-state", "GET", "/api/users/me/auth-state", ""},
		} {
			b.Run(kind+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if got := call(s, c.method, c.path, a.Access, c.body); got.Status != 200 {
						b.Fatalf("%+v", got)
					}
				}
			})
		}
	}
}
