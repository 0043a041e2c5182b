package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
)

// service is the program with an issuer of the test in place of the project.
type service struct {
	*cardeatest.Issuer
	routes http.Handler
	log    strings.Builder
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	env := map[string]string{"SUPABASE_URL": "https://demo.supabase.co", "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x"}
	c := config(func(name string) string { return env[name] }, slog.New(slog.NewTextHandler(&s.log, nil)))
	s.Issuer = cardeatest.New(t, cardeatest.Config{Verifier: c})
	s.routes = routes(s.Verifier())
	return s
}

func (s *service) send(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	s.routes.ServeHTTP(rec, r)
	return rec
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	user := cardeatest.User{ID: "user-1", Email: "ada@example.com"}
	guest := cardeatest.User{Anonymous: true}
	moderator := cardeatest.User{Roles: []string{"moderator"}}
	// user_metadata is written by the user: it must give no role.
	impostor := cardeatest.User{UserMetadata: map[string]any{"roles": []string{"admin"}, "role": "admin"}}
	second := cardeatest.User{AAL: "aal2"}
	stale := cardeatest.User{SignedInAgo: time.Hour}
	for name, c := range map[string]struct {
		method, path string
		user         cardeatest.User
		status       int
		code         cardea.Code
	}{
		"me":                                    {"GET", "/me", user, 200, ""},
		"me, anonymous sign-in":                 {"GET", "/me", guest, 200, ""},
		"post":                                  {"POST", "/posts", user, 204, ""},
		"post, anonymous sign-in":               {"POST", "/posts", guest, 403, cardea.CodeAnonymousRefused},
		"delete post":                           {"DELETE", "/posts/7", moderator, 204, ""},
		"delete post without role":              {"DELETE", "/posts/7", user, 403, cardea.CodeRole},
		"delete post, own metadata":             {"DELETE", "/posts/7", impostor, 403, cardea.CodeRole},
		"billing":                               {"GET", "/billing", second, 204, ""},
		"billing without factor":                {"GET", "/billing", user, 403, cardea.CodeAAL},
		"delete account":                        {"DELETE", "/me", user, 204, ""},
		"delete account, signed in an hour ago": {"DELETE", "/me", stale, 403, cardea.CodeFresh},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			rec := s.send(s.Request(c.method, c.path, c.user))
			if c.code == "" {
				cardeatest.AssertAllowed(t, rec)
			} else {
				cardeatest.AssertDenied(t, rec, c.status, c.code)
			}
			if rec.Code != c.status {
				t.Errorf("status %d, want %d", rec.Code, c.status)
			}
		})
	}
}

// S2.1: there is nothing to sign in at.
func TestNoAuthServer(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, path := range []string{"/auth/login", "/auth/refresh", "/auth/logout", "/auth/register", "/api/v1/auth/login"} {
		if rec := s.send(s.Request("POST", path, cardeatest.User{})); rec.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, rec.Code)
		}
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, bad := range s.BadTokens(cardeatest.User{Roles: []string{"admin"}, AAL: "aal2"}) {
		for _, route := range []string{"GET /me", "POST /posts", "DELETE /posts/1", "GET /billing", "DELETE /me"} {
			method, path, _ := strings.Cut(route, " ")
			r := cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), method, path, nil), bad.Token)
			cardeatest.AssertDenied(t, s.send(r), http.StatusUnauthorized, bad.Code)
		}
		if t.Failed() {
			t.Fatal(bad.Name)
		}
	}
}

// S2.2, A8.2: keys in the cache outlive the project's outage, without them the answer is
// 503 and not 401, and public pages go on.
func TestOutage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	user := cardeatest.User{ID: "user-1"}
	s.Down()
	rec := s.send(s.Request("GET", "/me", user))
	cardeatest.AssertDenied(t, rec, http.StatusServiceUnavailable, cardea.CodeProviderUnreachable)
	want := `{"because":"AUTH_PROVIDER_UNREACHABLE","for":"everybody","posts":["hello"]}` + "\n"
	if diff := cmp.Diff(want, s.send(s.Request("GET", "/posts", user)).Body.String()); diff != "" {
		t.Error(diff)
	}
	s.Up()
	s.Clock().Advance(time.Minute)
	cardeatest.AssertAllowed(t, s.send(s.Request("GET", "/me", user)))
	s.Down()
	s.Clock().Advance(10 * time.Minute)
	cardeatest.AssertAllowed(t, s.send(s.Request("GET", "/me", user)))
	want = `{"for":"user-1","posts":["hello"]}` + "\n"
	if diff := cmp.Diff(want, s.send(s.Request("GET", "/posts", user)).Body.String()); diff != "" {
		t.Error(diff)
	}
}

// S2.7: no keys, but the project itself answers.
func TestFallback(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.KeysDown()
	cardeatest.AssertAllowed(t, s.send(s.Request("GET", "/me", cardeatest.User{})))
}

// S4.13: a denial is logged with what was asked for and what was there, and no token is.
func TestDenialIsLogged(t *testing.T) {
	t.Parallel()
	s := newService(t)
	r := s.Request("DELETE", "/posts/7", cardeatest.User{Roles: []string{"author"}})
	s.send(r)
	got := s.log.String()
	for _, part := range []string{"code=INSUFFICIENT_ROLE", `required="role moderator or admin"`, "author", "path=/posts/7", "level=WARN"} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in: %s", part, got)
		}
	}
	if strings.Contains(got, "eyJ") {
		t.Error("the log holds a token")
	}
}

// A project on its legacy secret, and a configuration with every mistake at once.
func TestConfig(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	env := map[string]string{"SUPABASE_URL": "https://demo.supabase.co", "SUPABASE_JWT_SECRET": strings.Repeat("s", 32)}
	if _, err := cardea.NewVerifier(config(func(name string) string { return env[name] }, log)); err != nil {
		t.Error(err)
	}
	env = map[string]string{"SUPABASE_URL": "http://demo.supabase.co", "SUPABASE_JWT_SECRET": "short"}
	_, err := cardea.NewVerifier(config(func(name string) string { return env[name] }, log))
	if err == nil || !strings.Contains(err.Error(), "HMACSecret") || !strings.Contains(err.Error(), "JWKSURL") {
		t.Errorf("error: %v", err)
	}
}
