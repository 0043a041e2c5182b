package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// relayed is a server that takes the tokens of a Supabase project.
func relayed(t *testing.T, kind string, settings ...string) (*rig, *cardeatest.Issuer) {
	t.Helper()
	project := cardeatest.New(t, cardeatest.Config{Serve: true})
	r := newRig(t, kind, Options{}, append([]string{
		"CARDEA_MODE=relay", "SUPABASE_URL=" + strings.TrimSuffix(project.URL(), "/auth/v1"), "CARDEA_SURFACES=rest,mirror,admin,supabase",
		"CARDEA_DEFAULT_ROLE=user",
	}, settings...)...)
	return r, project
}

// as sends a request with a token.
func (r *rig) as(token, method, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w
}

func into[T any](t *testing.T, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != status {
		t.Fatalf("%d, want %d: %s", w.Code, status, w.Body)
	}
	return v
}

type relayUser struct {
	ID            string   `json:"id"`
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Roles         []string `json:"roles"`
	FullName      string   `json:"full_name"`
}

// A15.1, S2.31: 20 parallel first requests of a new subject make one account and one
// profile, and all answer 200. Its id is the subject's.
func TestRelayFirstRequests(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r, project := relayed(t, kind)
			ada := cardeatest.User{ID: "6f9f4e0a-3f6a-4a39-9a1d-0c5f6f1f2a3b", Email: "ada@example.org", UserMetadata: map[string]any{"full_name": "Ada Lovelace", "roles": []string{"admin"}}}
			token := project.Token(ada)
			answers := make([]*httptest.ResponseRecorder, 20)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() { answers[i] = r.as(token, http.MethodGet, "/api/users/me", "") })
			}
			wg.Wait()
			want := relayUser{ID: ada.ID, Email: ada.Email, EmailVerified: true, Roles: []string{"user"}, FullName: "Ada Lovelace"}
			for _, w := range answers {
				if d := cmp.Diff(want, into[relayUser](t, w, http.StatusOK)); d != "" {
					t.Error(d)
				}
			}
			page := into[struct{ Users []relayUser }](t, r.as(r.service, http.MethodGet, "/admin/v1/users", ""), http.StatusOK)
			if len(page.Users) != 1 {
				t.Errorf("%d accounts", len(page.Users))
			}
		})
	}
}

// A15.5: whom an operator has banned or deleted does not come in with a token that is still
// good, and no account comes about.
func TestRelayKeepsOut(t *testing.T) {
	t.Parallel()
	r, project := relayed(t, "sqlite")
	for i, shut := range []func(id string) *httptest.ResponseRecorder{
		func(id string) *httptest.ResponseRecorder { return r.operate("PUT", "/users/"+id+"/ban", "{}") },
		func(id string) *httptest.ResponseRecorder { return r.operate("DELETE", "/users/"+id, "") },
		func(id string) *httptest.ResponseRecorder { return r.operate("DELETE", "/users/"+id+"?soft=true", "") },
	} {
		u := cardeatest.User{Email: fmt.Sprintf("user%d@example.org", i)}
		token := project.Token(u)
		me := into[relayUser](t, r.as(token, http.MethodGet, "/api/users/me", ""), http.StatusOK)
		if w := shut(me.ID); w.Code >= 300 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for range 2 {
			if w := r.as(token, http.MethodGet, "/api/v1/users/me", ""); w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden {
				t.Errorf("case %d: %d %s", i, w.Code, w.Body)
			}
			r.syncer.Forget(project.URL(), "") // and nothing is remembered
			r.forward(2 * time.Minute)
		}
		// The same address at the issuer again, under another subject: a ban holds.
		again := u
		again.ID = fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", i+1)
		w := r.as(project.Token(again), http.MethodGet, "/api/users/me", "")
		if i == 0 && w.Code < 400 {
			t.Errorf("a new subject undoes the ban: %d %s", w.Code, w.Body)
		}
	}
}

// operate asks as an operator with a reason.
func (r *rig) operate(method, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "/admin/v1"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+r.service)
	req.Header.Set("X-Reason", "because")
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w
}

// S2.28, S2.32, B2.9: a proved address links, and one that nobody proved does not.
func TestRelayLinks(t *testing.T) {
	t.Parallel()
	r, project := relayed(t, "sqlite")
	make := func(email string, proved bool) string {
		u, err := r.Admin().Create(context.Background(), flow.NewUser{Email: email, EmailConfirm: proved}, auth.Meta{})
		if err != nil {
			t.Fatal(err)
		}
		return u.ID.String()
	}
	proved, waiting := make("proved@example.org", true), make("waiting@example.org", false)
	me := into[relayUser](t, r.as(project.Token(cardeatest.User{Email: "proved@example.org"}), http.MethodGet, "/api/users/me", ""), http.StatusOK)
	if me.ID != proved {
		t.Errorf("%+v, want %s", me, proved)
	}
	me = into[relayUser](t, r.as(project.Token(cardeatest.User{Email: "waiting@example.org"}), http.MethodGet, "/api/users/me", ""), http.StatusOK)
	if me.ID == waiting || me.Email != "" {
		t.Errorf("an unproved account was linked, or its address taken: %+v", me)
	}
	// A token of the same id as an account of ours opens nothing of it.
	stranger := cardeatest.User{ID: proved, Email: "mallory@example.org"}
	me = into[relayUser](t, r.as(project.Token(stranger), http.MethodGet, "/api/users/me", ""), http.StatusOK)
	if me.ID == proved || me.Email != "mallory@example.org" {
		t.Errorf("%+v", me)
	}
}

// Where sign-ups count as proved at once, whoever knows an address can have an account under
// it, and must not share what its owner does here after a sign-in elsewhere.
func TestTrustedIssuerBesideUnprovedAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, setting string
		linked        bool
	}{
		{"addresses are proved", "CARDEA_EMAIL_AUTOCONFIRM=false", true},
		{"addresses count as proved", "CARDEA_EMAIL_AUTOCONFIRM=true", false},
		{"registrations ask for no proof", "CARDEA_VERIFICATION=none", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			project := cardeatest.New(t, cardeatest.Config{Serve: true})
			r := newRig(t, "sqlite", Options{}, "CARDEA_TRUSTED_ISSUER="+project.URL(), "CARDEA_TRUSTED_KIND=supabase",
				"CARDEA_SURFACES=rest,admin", "CARDEA_EMAIL_AUTOCONFIRM=false", c.setting)
			u, err := r.Admin().Create(context.Background(), flow.NewUser{Email: "ada@example.org", EmailConfirm: true}, auth.Meta{})
			if err != nil {
				t.Fatal(err)
			}
			me := into[relayUser](t, r.as(project.Token(cardeatest.User{Email: "ada@example.org"}), http.MethodGet, "/api/users/me", ""), http.StatusOK)
			if (me.ID == u.ID.String()) != c.linked || (me.Email != "") != c.linked {
				t.Errorf("%+v beside %s", me, u.ID)
			}
		})
	}
}

// S3.4, B3.3, A15.3: the pushed body fills the profile and nothing else. S3.14: who calls.
func TestRelaySync(t *testing.T) {
	t.Parallel()
	r, project := relayed(t, "sqlite")
	token := project.Token(cardeatest.User{ID: "6f9f4e0a-3f6a-4a39-9a1d-0c5f6f1f2a3b", Email: "ada@example.org"})
	type answer struct {
		User struct {
			ID, Email string
			Profile   struct {
				First string `json:"first_name"`
			}
		}
		Created, Provisioned, Valid bool
		Ignored                     []struct{ Field string }
	}
	got := into[answer](t, r.as(token, http.MethodPost, "/api/auth/users/sync", `{"id":"someone","email":"eve@example.org","first_name":"Ada","role":"admin"}`), http.StatusOK)
	if !got.Created || !got.Provisioned || got.User.Email != "ada@example.org" || got.User.Profile.First != "Ada" || len(got.Ignored) != 3 {
		t.Errorf("%+v", got)
	}
	got = into[answer](t, r.as(token, http.MethodPost, "/api/auth/verify", ""), http.StatusOK)
	if !got.Valid || got.User.Email != "ada@example.org" {
		t.Errorf("%+v", got)
	}
	me := into[relayUser](t, r.as(token, http.MethodGet, "/api/users/me", ""), http.StatusOK)
	if me.Email != "ada@example.org" || me.Roles[0] != "user" {
		t.Errorf("%+v", me)
	}
	for _, path := range []string{"/api/auth/users/sync", "/api/auth/verify"} {
		for body, status := range map[string]int{"[": http.StatusBadRequest, "null": http.StatusOK} {
			if path == "/api/auth/verify" {
				status = http.StatusOK // it reads none
			}
			if w := r.as(token, http.MethodPost, path, body); w.Code != status {
				t.Errorf("%s %q: %d %s", path, body, w.Code, w.Body)
			}
		}
		if w := r.as("junk", http.MethodPost, path, "{}"); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if w := r.as(r.service, http.MethodPost, path, "{}"); w.Code != http.StatusUnauthorized {
			t.Errorf("%s with an API key: %d", path, w.Code)
		}
	}
}

// Routes of credentials are 404 with a code, and nothing of the issuer's is managed here.
func TestRelayHasNoCredentials(t *testing.T) {
	t.Parallel()
	r, project := relayed(t, "sqlite", "CARDEA_DEFAULT_ROLE=")
	token := project.Token(cardeatest.User{Email: "ada@example.org", Role: "service_role"})
	for _, path := range []string{
		"POST /auth/v1/token?grant_type=password", "POST /auth/v1/signup", "GET /auth/v1/user", "POST /api/auth/register", "POST /api/auth/login",
		"POST /api/auth/refresh", "POST /api/auth/logout", "POST /api/auth/request-reset", "POST /api/auth/change-password", "GET /api/auth/sessions",
		"POST /api/users/me/identifiers",
	} {
		method, target, _ := strings.Cut(path, " ")
		w := r.as(token, method, target, "{}")
		if w.Code != http.StatusNotFound || !strings.Contains(strings.ToLower(w.Body.String()), "feature_disabled") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := r.as(token, http.MethodPatch, "/api/users/me", `{"email":"eve@example.org"}`); w.Code != http.StatusForbidden {
		t.Errorf("an address of the issuer's is changed here: %d %s", w.Code, w.Body)
	}
	if w := r.as(token, http.MethodGet, "/admin/v1/users", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("another issuer's operator is ours: %d %s", w.Code, w.Body)
	}
	if w := r.as(cardeatest.New(t).Token(cardeatest.User{}), http.MethodGet, "/api/users/me", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("a stranger's token: %d %s", w.Code, w.Body)
	}
}

// X18, A15.4, S2.14, S3.9: somebody new while the issuer does not answer.
func TestRelayOutage(t *testing.T) {
	t.Parallel()
	for mode, status := range map[string]int{"required": http.StatusServiceUnavailable, "best_effort": http.StatusAccepted} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r, project := relayed(t, "sqlite", "CARDEA_PROVISIONING="+mode)
			if w := r.as(project.Token(cardeatest.User{Email: "ada@example.org"}), http.MethodGet, "/api/users/me", ""); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body) // and the keys are known now
			}
			project.Fail(http.StatusBadGateway)
			token := project.Token(cardeatest.User{Email: "bob@example.org"})
			w := r.as(token, http.MethodPost, "/api/auth/users/sync", "{}")
			if w.Code != status || status == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "5" {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			if w := r.as(token, http.MethodGet, "/api/v1/users/me", ""); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			project.Up()
			r.forward(2 * time.Minute)
			if w := r.as(token, http.MethodPost, "/api/auth/users/sync", "{}"); w.Code != http.StatusOK {
				t.Errorf("after the outage: %d %s", w.Code, w.Body)
			}
		})
	}
}
