package usersync_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/scripttest"
	"github.com/cardea-auth/cardea/usersync"
)

// inProcess reaches a server without sockets.
type inProcess struct{ server http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.server.ServeHTTP(w, r)
	return w.Result(), nil
}

// Our own server as the issuer: somebody signs up, proves the address by the code of the
// mail, and comes to a service that keeps rows of its own (S3.1, S3.10).
func TestCardeaAsIssuer(t *testing.T) {
	t.Parallel()
	b := scripttest.StartWithMail(t)
	post := func(path, body string) map[string]any {
		t.Helper()
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		rec := send(b.Server.Handler(), r)
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
		}
		return decode[map[string]any](t, rec)
	}
	post("/auth/v1/signup", `{"email":"Ada@example.org","password":"correct horse battery","data":{"full_name":"Ada King"}}`)
	code := b.Unread(t, mail, "code")
	token, ok := post("/auth/v1/verify", `{"type":"signup","email":"ada@example.org","token":"`+code+`"}`)["access_token"].(string)
	if !ok {
		t.Fatal("no token")
	}
	const issuer = "http://127.0.0.1:9999/auth/v1"
	client := &http.Client{Transport: inProcess{b.Server.Handler()}}
	v, err := cardea.NewVerifier(cardea.Config{
		Issuers: []cardea.Issuer{{URL: issuer, Audiences: []string{"authenticated"}}}, HTTPClient: client, Now: b.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	store, count := onSQLite(t)
	users, err := usersync.New(usersync.Config{
		Store: store, Now: b.Clock.Now, OnFailure: report(t),
		Sources: map[string]usersync.Source{issuer: usersync.SupabaseUser{URL: issuer, Client: client, Now: b.Clock.Now}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/me", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	rec := send(service(v, users), r)
	if rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	u, err := store.Get(t.Context(), rec.Body.String())
	if err != nil || u.Email != mail || !u.EmailVerified || u.Profile.FullName != "Ada King" || u.AuthProvider != "email" || len(u.Providers) != 1 || u.Providers[0].ID == "" {
		t.Errorf("%+v, %v", u, err)
	}
	if count("users") != 1 || count("profiles") != 1 {
		t.Errorf("%d users, %d profiles", count("users"), count("profiles"))
	}
}

// What our server's hooks sign this package takes, and what its feed signs our hooks take.
func TestSignaturesOfHooks(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	keys, err := hook.ParseSecrets("v1," + secret(0))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/hooks/users", strings.NewReader(adaCreated))
	keys.Sign(r.Header, "m1", h.Clock().Now(), []byte(adaCreated))
	if rec := send(h, r); rec.Code != http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	var verified error
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		verified = keys.Verify(r.Header, body, h.Clock().Now())
	}))
	t.Cleanup(srv.Close)
	if err := endpoint(t, h.Issuer, "crm", srv.URL, secret(0)).Deliver(t.Context(), "e1", []byte("{}")); err != nil || verified != nil {
		t.Error(err, verified)
	}
}

// The example of the Standard Webhooks specification, so that both sides are not wrong in
// the same way.
func TestStandardWebhooksVector(t *testing.T) {
	t.Parallel()
	// From the reference libraries of standard-webhooks/standard-webhooks.
	const (
		key  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		id   = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		body = `{"test": 2432232314}`
		want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
		when = 1614265330
	)
	var got http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
	t.Cleanup(srv.Close)
	e, err := usersync.NewEndpoint(usersync.EndpointConfig{Name: "x", URL: srv.URL, Secrets: []string{key}, Now: unix(when)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Deliver(t.Context(), id, []byte(body)); err != nil || got.Get("webhook-signature") != want {
		t.Errorf("%v, %q, want %q", err, got.Get("webhook-signature"), want)
	}
}
