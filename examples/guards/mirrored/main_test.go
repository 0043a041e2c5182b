package main

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
	"github.com/cardea-auth/cardea/usersync/sqlite"
)

// mirror is the program against an issuer of the test, over real HTTP.
func mirror(t *testing.T) (*cardeatest.Issuer, *service, http.Handler) {
	t.Helper()
	iss := cardeatest.New(t, cardeatest.Config{Serve: true})
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32)))
	settings := map[string]string{
		"SUPABASE_URL": strings.TrimSuffix(iss.URL(), "/auth/v1"), "SUPABASE_HOOK_SECRETS": "v1," + secret + "|" + secret,
		"CRM_WEBHOOK_URL": "https://crm.test/users", "CRM_WEBHOOK_SECRET": secret,
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "mirrored.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := newService(func(name string) string { return settings[name] }, store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return iss, s, s.routes()
}

func send(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// C15: push, lazy and the way out, as the clients of the program see them.
func TestMirrored(t *testing.T) {
	t.Parallel()
	iss, _, h := mirror(t)
	ada := cardeatest.User{ID: "ada", Email: "ada@example.org"}
	post := iss.Request("POST", "/api/auth/users/sync", ada)
	rec := send(h, post)
	var pushed struct {
		Created bool
		User    usersync.View
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &pushed); err != nil || rec.Code != 200 || !pushed.Created || *pushed.User.Email != "ada@example.org" {
		t.Fatalf("push: %d %s", rec.Code, rec.Body)
	}
	rec = send(h, iss.Request("GET", "/api/me", ada))
	var seen usersync.View
	if err := json.Unmarshal(rec.Body.Bytes(), &seen); err != nil || seen.ID != pushed.User.ID {
		t.Errorf("lazy: %d %s", rec.Code, rec.Body)
	}
	if rec := send(h, iss.Request("POST", "/api/auth/verify", ada)); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"valid":true`) {
		t.Errorf("verify: %d %s", rec.Code, rec.Body)
	}
	if rec := send(h, iss.Request("DELETE", "/api/me", ada)); rec.Code != 204 {
		t.Errorf("delete: %d %s", rec.Code, rec.Body)
	}
	for _, r := range []*http.Request{iss.Request("GET", "/api/me", ada), iss.Request("POST", "/api/auth/users/sync", ada)} {
		if rec := send(h, r); rec.Code != 403 || !strings.Contains(rec.Body.String(), "USER_INACTIVE") {
			t.Errorf("afterwards: %d %s", rec.Code, rec.Body)
		}
	}
}

// An outage of the issuer: the request goes on without a row.
func TestOutage(t *testing.T) {
	t.Parallel()
	iss, s, h := mirror(t)
	if rec := send(h, iss.Request("GET", "/api/me", cardeatest.User{ID: "warm"})); rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	iss.Fail(http.StatusBadGateway)
	ada := cardeatest.User{ID: "ada"}
	if rec := send(h, iss.Request("GET", "/api/me", ada)); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := send(h, iss.Request("DELETE", "/api/me", ada)); rec.Code != 503 || rec.Header().Get("Retry-After") != "5" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if n := s.users.Waiting(); n != 1 {
		t.Errorf("%d wait", n)
	}
}

// Nothing comes in by the webhook without a signature, and no setting is optional.
func TestWebhookAndSettings(t *testing.T) {
	t.Parallel()
	_, _, h := mirror(t)
	if rec := send(h, httptest.NewRequest("POST", "/hooks/users", strings.NewReader("{"))); rec.Code != 401 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if err := run(t.Context(), func(name string) string {
		return map[string]string{"DATABASE_PATH": filepath.Join(t.TempDir(), "x.db"), "SUPABASE_URL": "https://x.test"}[name]
	}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no settings, and no error")
	}
}
