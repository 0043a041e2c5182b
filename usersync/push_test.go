package usersync_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// pushed is a service with the two routes of a front end (S3.4, S3.14).
type pushed struct {
	*cardeatest.Issuer
	store *moody
	count func(string) int
	http.Handler
}

func newPushed(t *testing.T, mode usersync.Mode) *pushed {
	t.Helper()
	iss := issuer(t)
	base, count := onSQLite(t)
	p := &pushed{Issuer: iss, store: &moody{Store: base}, count: count}
	v := iss.Verifier()
	users := newSyncer(t, iss, usersync.Config{Store: p.store, Mode: mode, WriteError: v.WriteError})
	mux := http.NewServeMux()
	guard := v.Require(cardea.Authenticated())
	mux.Handle("/api/auth/users/sync", guard(users.SyncHandler()))
	mux.Handle("/api/auth/verify", guard(users.VerifyHandler()))
	mux.Handle("/unguarded", users.SyncHandler())
	p.Handler = mux
	return p
}

func (p *pushed) post(path, body string, u cardeatest.User) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	return send(p, cardeatest.WithToken(r, p.Token(u)))
}

type pushAnswer struct {
	User        *usersync.View
	Created     bool
	Provisioned bool
	Ignored     []usersync.Ignored
}

func decode[T any](t *testing.T, rec *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	return v
}

// A15.3, B3.3: whatever a body says of who somebody is changes nothing and is reported; it
// fills what the profile lacks. S3.2, S3.4, S3.7, S3.8: user and profile in one call.
func TestPush(t *testing.T) {
	t.Parallel()
	p := newPushed(t, usersync.Required)
	ada := cardeatest.User{ID: "ada", Email: mail}
	rec := p.post("/api/auth/users/sync", `{"id":"eve","email":"eve@example.org","phone":"+15550100","role":"admin","email_verified":true,
		"first_name":"Ada","user_metadata":{"last_name":"King","first_name":"Augusta"},"is_active":true,"favourite":"red"}`, ada)
	got := decode[pushAnswer](t, rec)
	if rec.Code != 200 || !got.Created || !got.Provisioned || got.User == nil || got.User.Subject != "ada" || *got.User.Email != mail || got.User.Phone != nil {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if want := (usersync.Profile{FirstName: "Ada", LastName: "King"}); got.User.Profile != want {
		t.Errorf("profile %+v", got.User.Profile)
	}
	want := []usersync.Ignored{
		{Field: "email", Reason: "contradicts the token"}, {Field: "email_verified", Reason: "only the issuer says so"},
		{Field: "id", Reason: "contradicts the token"}, {Field: "is_active", Reason: "only the issuer says so"},
		{Field: "phone", Reason: "contradicts the token"}, {Field: "role", Reason: "only the issuer says so"},
	}
	if diff := cmp.Diff(want, got.Ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
	// At each start of the application: nothing that is there is replaced.
	rec = p.post("/api/auth/users/sync", `{"id":"ada","email":"ADA@example.org","first_name":"Eve","locale":"pt-BR"}`, ada)
	got = decode[pushAnswer](t, rec)
	if rec.Code != 200 || got.Created || len(got.Ignored) != 0 || got.User.Profile != (usersync.Profile{FirstName: "Ada", LastName: "King", Locale: "pt-BR"}) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for _, body := range []string{"", " \n", "{}", "null"} {
		if rec := p.post("/api/auth/users/sync", body, ada); rec.Code != 200 {
			t.Errorf("%q: %d %s", body, rec.Code, rec.Body)
		}
	}
	if p.count("users") != 1 || p.count("profiles") != 1 {
		t.Errorf("%d users, %d profiles", p.count("users"), p.count("profiles"))
	}
}

// Bodies and callers that are not good change nothing.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	p := newPushed(t, usersync.Required)
	ada := cardeatest.User{ID: "ada", Email: mail}
	for name, c := range map[string]struct {
		rec  *httptest.ResponseRecorder
		want string
	}{
		"not JSON":   {p.post("/api/auth/users/sync", "{", ada), `400 "INVALID_REQUEST"`},
		"a list":     {p.post("/api/auth/users/sync", "[]", ada), `400 "INVALID_REQUEST"`},
		"too long":   {p.post("/api/auth/users/sync", strings.Repeat(" ", 70_000), ada), `413 "REQUEST_BODY_TOO_LARGE"`},
		"GET":        {send(p, p.Request("GET", "/api/auth/users/sync", ada)), `405 "METHOD_NOT_ALLOWED"`},
		"no token":   {send(p, httptest.NewRequest("POST", "/api/auth/users/sync", nil)), `401 "AUTH_HEADER_MISSING"`},
		"no guard":   {p.post("/unguarded", "{}", ada), `401 "AUTH_HEADER_MISSING"`},
		"forged":     {send(p, cardeatest.WithToken(httptest.NewRequest("POST", "/api/auth/users/sync", nil), p.ForeignKey(ada))), `401 "TOKEN_INVALID"`},
		"verify":     {send(p, httptest.NewRequest("POST", "/api/auth/verify", nil)), `401 "AUTH_HEADER_MISSING"`},
		"verify GET": {send(p, p.Request("GET", "/api/auth/verify", ada)), `405 "METHOD_NOT_ALLOWED"`},
	} {
		status, code, _ := strings.Cut(c.want, " ")
		if got := http.StatusText(c.rec.Code); got == "" || !strings.Contains(c.rec.Body.String(), code) || status != strings.Fields(c.rec.Result().Status)[0] {
			t.Errorf("%s: %d %s, want %s", name, c.rec.Code, c.rec.Body, c.want)
		}
	}
	if n := p.count("users"); n != 0 {
		t.Errorf("%d users", n)
	}
}

// S3.14: who calls; the row is made if there is none.
func TestVerify(t *testing.T) {
	t.Parallel()
	p := newPushed(t, usersync.BestEffort)
	type answer struct {
		Valid, Provisioned bool
		User               map[string]any
	}
	ada := cardeatest.User{ID: "ada", Email: mail}
	rec := p.post("/api/auth/verify", "", ada)
	got := decode[answer](t, rec)
	if rec.Code != 200 || !got.Valid || !got.Provisioned || got.User["email"] != mail || got.User["id"] == "" || p.count("users") != 1 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	p.store.down.Store(true)
	rec = p.post("/api/auth/verify", "", cardeatest.User{ID: "bob", Email: "bob@example.org"})
	got = decode[answer](t, rec)
	if rec.Code != 200 || !got.Valid || got.Provisioned || got.User["subject"] != "bob" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// S3.9, X18: a sync that fails does not stop the sign-in, and says that it failed; where it
// is required it is 503.
func TestPushDuringAnOutage(t *testing.T) {
	t.Parallel()
	ada := cardeatest.User{ID: "ada", Email: mail}
	p := newPushed(t, usersync.BestEffort)
	p.store.down.Store(true)
	rec := p.post("/api/auth/users/sync", "{}", ada)
	if got := decode[pushAnswer](t, rec); rec.Code != 202 || got.Provisioned || got.User != nil {
		t.Errorf("best effort: %d %s", rec.Code, rec.Body)
	}
	p = newPushed(t, usersync.Required)
	p.store.down.Store(true)
	if rec := p.post("/api/auth/users/sync", "{}", ada); rec.Code != 503 || rec.Header().Get("Retry-After") != "5" ||
		!strings.Contains(rec.Body.String(), "AUTH_DB_UNAVAILABLE") {
		t.Errorf("required: %d %s", rec.Code, rec.Body)
	}
	// A row that is known, and a profile that can't be written.
	p.store.down.Store(false)
	if rec := p.post("/api/auth/users/sync", "{}", ada); rec.Code != 200 {
		t.Fatal(rec.Body)
	}
	p.store.down.Store(true)
	if rec := p.post("/api/auth/users/sync", `{"first_name":"Ada"}`, ada); rec.Code != 503 {
		t.Errorf("required, known: %d %s", rec.Code, rec.Body)
	}
}
