package mirror_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/server"
)

func start(t *testing.T, settings ...string) http.Handler {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{Env: append([]string{
		"DATABASE_URL=sqlite://" + filepath.Join(t.TempDir(), "cardea.db"), "CARDEA_MIGRATE_ON_START=true",
		"CARDEA_ENCRYPTION_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"CARDEA_PASSWORD_ALGORITHM=bcrypt", "CARDEA_PASSWORD_BCRYPT_COST=4", "CARDEA_EMAIL_AUTOCONFIRM=true",
	}, settings...)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(context.Background(), cfg, server.Options{Inbox: &notify.Inbox{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.Handler()
}

func post(h http.Handler, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
	return w
}

const route = "/api/v1/auth/identifier-status"

// TestIdentifierStatus is A3.4 over HTTP.
func TestIdentifierStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode, identifier, want string
	}{
		{"full", "A@x.org", `{"exists":true,"verified":true,"has_password":true,"channel":"email","next_step":"password"}`},
		{"full", "nobody@x.org", `{"exists":false,"verified":false,"has_password":false,"channel":"email","next_step":"otp"}`},
		{"full", "+49 12345", `{"exists":false,"verified":false,"has_password":false,"channel":"phone","next_step":"otp"}`},
		{"next_step_only", "a@x.org", `{"exists":true,"verified":true,"has_password":false,"channel":"email","next_step":"otp"}`},
		{"next_step_only", "nobody@x.org", `{"exists":true,"verified":true,"has_password":false,"channel":"email","next_step":"otp"}`},
	} {
		t.Run(c.mode+" "+c.identifier, func(t *testing.T) {
			t.Parallel()
			h := start(t, "CARDEA_IDENTIFIER_DISCOVERY="+c.mode)
			if w := post(h, "/auth/v1/signup", `{"email":"a@x.org","password":"correct horse battery"}`); w.Code != http.StatusOK {
				t.Fatal(w.Body)
			}
			w := post(h, route, `{"identifier":"`+c.identifier+`"}`)
			if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != c.want {
				t.Errorf("%d %s, want %s", w.Code, got, c.want)
			}
		})
	}
}

// TestErrors: every answer that is no success has the envelope of S2.15.
func TestErrors(t *testing.T) {
	t.Parallel()
	on, off := start(t, "CARDEA_IDENTIFIER_DISCOVERY=full"), start(t)
	limited := start(t, "CARDEA_IDENTIFIER_DISCOVERY=full")
	for range 5 {
		post(limited, route, `{"identifier":"a@x.org"}`)
	}
	for _, c := range []struct {
		name   string
		h      http.Handler
		path   string
		body   string
		status int
		code   string
	}{
		{"off", off, route, `{"identifier":"a@x.org"}`, 404, "FEATURE_DISABLED"},
		{"no route", on, "/api/v1/auth/login", `{}`, 404, "NOT_FOUND"}, // X1: not mounted is 404
		{"no JSON", on, route, `{"identifier"`, 400, "BAD_REQUEST"},
		{"another type", on, route, `{"identifier":5}`, 400, "BAD_REQUEST"},
		{"nothing", on, route, `{}`, 422, "VALIDATION_ERROR"},
		{"too long", on, route, `{"identifier":"` + strings.Repeat("a", 321) + `"}`, 422, "VALIDATION_ERROR"},
		{"too large", on, route, strings.Repeat(" ", 1<<20+1), 413, "REQUEST_TOO_LARGE"},
		{"too often", limited, route, `{"identifier":"a@x.org"}`, 429, "RATE_LIMIT_EXCEEDED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := post(c.h, c.path, c.body)
			var got struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != c.status || got.Error.Code != c.code || got.Error.Message == "" {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.code)
			}
			if (w.Header().Get("Retry-After") != "") != (c.status == http.StatusTooManyRequests) {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
		})
	}
}
