package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
)

// market is the program with an issuer of the test and a table that can break.
type market struct {
	*cardeatest.Issuer
	*service
	table   *table
	handler http.Handler

	mu  sync.Mutex
	log strings.Builder
}

// Write takes the log; requests run in parallel.
func (m *market) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(b)
}

func (m *market) logged() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

type table struct {
	memoryUsers
	broken bool
	syncs  int
}

func (t *table) Sync(ctx context.Context, p *cardea.Principal) (User, error) {
	t.syncs++
	if t.broken {
		return User{}, errors.New("statement timeout")
	}
	return t.memoryUsers.Sync(ctx, p)
}

func newMarket(t *testing.T) *market {
	t.Helper()
	m := &market{table: &table{memoryUsers: memoryUsers{rows: map[string]User{
		"agent": {ID: 1, Subject: "agent", Role: "agent", Active: true},
		"admin": {ID: 2, Subject: "admin", Role: "admin", Active: true},
		"gone":  {ID: 3, Subject: "gone", Role: "user"},
	}}}}
	log := slog.New(slog.NewTextHandler(m, nil))
	env := map[string]string{"SUPABASE_URL": "https://ghar.supabase.co", "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x"}
	c, err := config(func(name string) string { return env[name] }, log)
	if err != nil {
		t.Fatal(err)
	}
	m.Issuer = cardeatest.New(t, cardeatest.Config{Verifier: c})
	m.service = &service{verifier: m.Verifier(), users: m.table, log: log, now: m.Clock().Now, snapshotTTL: 45 * time.Second}
	if m.tickets, err = cardea.NewTickets(cardea.TicketConfig{Verifier: m.verifier}); err != nil {
		t.Fatal(err)
	}
	m.handler = m.routes()
	return m
}

func (m *market) send(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	m.handler.ServeHTTP(rec, r)
	return rec
}

func user(id string) cardeatest.User { return cardeatest.User{ID: id, Phone: "+919876543210"} }

// A12.1, S2.13, S2.17 to S2.19: every role and guard of S2.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	old := user("new")
	old.SignedInAgo = time.Hour
	for name, c := range map[string]struct {
		route  string
		user   cardeatest.User
		status int
		code   cardea.Code
	}{
		"me":                      {"GET /api/v1/users/me", user("new"), 200, ""},
		"me, inactive":            {"GET /api/v1/users/me", user("gone"), 403, cardea.CodeUserInactive},
		"public":                  {"GET /api/v1/properties", user("gone"), 200, ""},
		"agent":                   {"GET /api/v1/agents/customers", user("agent"), 204, ""},
		"agent route, user":       {"GET /api/v1/agents/customers", user("new"), 403, "AGENT_REQUIRED"},
		"agent route, admin":      {"GET /api/v1/agents/customers", user("admin"), 403, "AGENT_REQUIRED"},
		"agent route, inactive":   {"GET /api/v1/agents/customers", user("gone"), 403, cardea.CodeUserInactive},
		"admin":                   {"GET /api/v1/users", user("admin"), 204, ""},
		"admin route, agent":      {"GET /api/v1/users", user("agent"), 403, "ADMIN_REQUIRED"},
		"own visits":              {"GET /api/v1/visits", user("new"), 204, ""},
		"own visits by id":        {"GET /api/v1/visits?user_id=new", user("new"), 204, ""},
		"somebody else's visits":  {"GET /api/v1/visits?user_id=agent", user("new"), 403, cardea.CodeOwner},
		"delete":                  {"DELETE /api/v1/users/me", user("agent"), 200, ""},
		"delete, an hour later":   {"DELETE /api/v1/users/me", old, 403, cardea.CodeFresh},
		"no ticket for inactives": {"POST /api/v1/events/ticket", user("gone"), 403, cardea.CodeUserInactive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMarket(t)
			method, path, _ := strings.Cut(c.route, " ")
			rec := m.send(m.Request(method, path, c.user))
			if rec.Code != c.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, c.status, rec.Body)
			}
			if c.code != "" {
				cardeatest.AssertDenied(t, rec, c.status, c.code)
			}
		})
	}
}

// S2.12, S2.15, B2.1: one envelope, and the code reaches the client.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	expired := m.Expired(user("new"))
	for name, c := range map[string]struct {
		header string
		want   string
	}{
		"missing": {"", `{"error":{"code":"AUTH_HEADER_MISSING","message":"Authorization header is missing"}}`},
		"scheme":  {"Basic x", `{"error":{"code":"INVALID_AUTH_SCHEME","message":"Authorization scheme must be Bearer"}}`},
		"words":   {"Bearer a b", `{"error":{"code":"INVALID_AUTH_HEADER","message":"Authorization header must be one scheme and one token"}}`},
		"expired": {"Bearer " + expired, `{"error":{"code":"TOKEN_INVALID","message":"Token has expired","details":{"error_code":"TOKEN_EXPIRED"}}}`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/users/me", nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		rec := m.send(r)
		cardeatest.AssertDenied(t, rec, http.StatusUnauthorized, "")
		if diff := cmp.Diff(c.want+"\n", rec.Body.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	for _, bad := range m.BadTokens(user("admin")) {
		r := cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/users", nil), bad.Token)
		cardeatest.AssertDenied(t, m.send(r), http.StatusUnauthorized, cardea.CodeTokenInvalid)
		r = cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/properties", nil), bad.Token)
		if body := m.send(r).Body.String(); !strings.Contains(body, `"picked_for":"everybody"`) {
			t.Errorf("%s: %s", bad.Name, body)
		}
	}
	if m.table.syncs != 0 {
		t.Errorf("%d rows were asked for with bad tokens", m.table.syncs)
	}
}

// S2.11, S2.18, B2.2: an outage is 503 with Retry-After where a user is needed, and
// nothing at all where none is.
func TestOutage(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.Down()
	rec := m.send(m.Request("GET", "/api/v1/users/me", user("new")))
	cardeatest.AssertDenied(t, rec, http.StatusServiceUnavailable, cardea.CodeProviderUnreachable)
	if got := rec.Header().Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After %q", got)
	}
	cardeatest.AssertAllowed(t, m.send(m.Request("GET", "/api/v1/properties", user("new"))))
	// B2.4: what is wrong in any case is 401 during an outage too.
	r := cardeatest.WithToken(m.Request("GET", "/api/v1/users/me", user("new")), m.Expired(user("new")))
	cardeatest.AssertDenied(t, m.send(r), http.StatusUnauthorized, cardea.CodeTokenInvalid)
}

// S2.14: the local table is down.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.table.broken = true
	rec := m.send(m.Request("GET", "/api/v1/users/me", user("new")))
	cardeatest.AssertDenied(t, rec, http.StatusServiceUnavailable, cardea.CodeUserUnavailable)
	if body := rec.Body.String(); !strings.Contains(body, `"details":{"error_code":"AUTH_DB_UNAVAILABLE"}`) || strings.Contains(body, "statement") {
		t.Error(body)
	}
}

// S2.21: the row is remembered for 45 s, and a change is seen at once.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	get := func() { cardeatest.AssertAllowed(t, m.send(m.Request("GET", "/api/v1/users/me", user("new")))) }
	get()
	get()
	if m.table.syncs != 1 {
		t.Errorf("%d syncs, want 1", m.table.syncs)
	}
	m.Clock().Advance(46 * time.Second)
	get()
	if m.table.syncs != 2 {
		t.Errorf("%d syncs, want 2", m.table.syncs)
	}
	for n := range maxSnapshots + 5 {
		p := *m.Principal(user("new"))
		p.Subject = "user-" + slog.IntValue(n).String()
		if _, _, err := m.load(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.snapshots); n > maxSnapshots {
		t.Errorf("%d snapshots", n)
	}
}

// A15.5, B2.13: a token that is still good does not bring a deleted user back.
func TestDeletedStaysDeleted(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	token := m.Token(user("new"))
	send := func(method, path string) *httptest.ResponseRecorder {
		return m.send(cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), method, path, nil), token))
	}
	cardeatest.AssertAllowed(t, send("DELETE", "/api/v1/users/me"))
	cardeatest.AssertDenied(t, send("GET", "/api/v1/users/me"), http.StatusForbidden, cardea.CodeUserInactive)
	m.Clock().Advance(time.Minute)
	cardeatest.AssertDenied(t, send("GET", "/api/v1/users/me"), http.StatusForbidden, cardea.CodeUserInactive)
	if n := len(m.table.rows); n != 4 {
		t.Errorf("%d rows, want 4", n)
	}
	if err := m.table.Deactivate(t.Context(), "nobody"); err == nil {
		t.Error("somebody unknown was deactivated")
	}
}

// B2.9: an address that the issuer does not vouch for is not stored.
func TestUnverifiedIsNotStored(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	u := user("new")
	u.Email, u.Claims = "victim@example.com", map[string]any{"email_verified": false}
	body := m.send(m.Request("GET", "/api/v1/users/me", u)).Body.String()
	if strings.Contains(body, "victim") || strings.Contains(body, "phone") {
		t.Error(body)
	}
	u.ID, u.Claims = "newer", map[string]any{"email_verified": true, "phone_number_verified": true}
	body = m.send(m.Request("GET", "/api/v1/users/me", u)).Body.String()
	if !strings.Contains(body, "victim@example.com") || !strings.Contains(body, u.Phone) {
		t.Error(body)
	}
}

// S2.16: the log has the user whom the guards let pass.
func TestTag(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.send(m.Request("GET", "/api/v1/users/me", user("new")))
	m.send(m.Request("GET", "/api/v1/users", user("agent")))
	got := m.logged()
	for _, part := range []string{"path=/api/v1/users/me user=new", `code=ADMIN_REQUIRED required="role admin"`} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in %s", part, got)
		}
	}
}

// S2.20, B2.33, A25.3: a stream by ticket, over real HTTP; no token in a URL.
func TestEvents(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	server := httptest.NewServer(m.handler)
	defer server.Close()
	do := func(method, path, body string, signedIn bool) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if signedIn {
			m.WithUser(r, user("new"))
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	var answer struct{ Ticket string }
	if err := json.NewDecoder(do("POST", "/api/v1/events/ticket", `{"path":"/api/v1/events"}`, true).Body).Decode(&answer); err != nil || answer.Ticket == "" {
		t.Fatal(err)
	}
	stream := do("GET", "/api/v1/events?token="+answer.Ticket, "", false)
	line, err := bufio.NewReader(stream.Body).ReadString('\n')
	if err != nil || line != "data: hello\n" {
		t.Errorf("%d %q %v", stream.StatusCode, line, err)
	}
	stream.Body.Close()
	for name, c := range map[string]struct{ token, code string }{
		"again":        {answer.Ticket, "INVALID_TICKET"},
		"access token": {m.Token(user("new")), "TOKEN_IN_URL"},
	} {
		resp := do("GET", "/api/v1/events?token="+c.token, "", false)
		var refusal struct {
			Error struct{ Details map[string]string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&refusal); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusUnauthorized || refusal.Error.Details["error_code"] != c.code {
			t.Errorf("%s: %d %v", name, resp.StatusCode, refusal)
		}
	}
	if strings.Contains(m.logged(), "eyJ") || strings.Contains(m.logged(), answer.Ticket) {
		t.Error("the log holds a secret")
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	good := "https://ghar.supabase.co"
	for name, env := range map[string]map[string]string{
		"SUPABASE_URL":                {},
		"JWKS_TTL_SECONDS":            {"SUPABASE_URL": good, "JWKS_TTL_SECONDS": "an hour"},
		"AUTH_USER_CACHE_TTL_SECONDS": {"SUPABASE_URL": good, "AUTH_USER_CACHE_TTL_SECONDS": "-1"},
	} {
		err := run(func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
		want := name
		if name == "SUPABASE_URL" {
			want = "URL"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
