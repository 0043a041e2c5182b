package usersync_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// The issuer goes away while users come for the first time: nothing is lost, nothing is
// doubled, and the queue drains without a new sign-in. One of them has a row already that
// only the issuer can link: it must not get a second one meanwhile.
func TestIssuerDown(t *testing.T) {
	t.Parallel()
	for _, db := range databases(t) {
		t.Run(db.name, func(t *testing.T) {
			t.Parallel()
			iss := issuer(t)
			store, count := db.store(t)
			heard := &failures{}
			users := newSyncer(t, iss, usersync.Config{Store: store, Mode: usersync.BestEffort, OnFailure: heard.hear})
			if _, err := store.Sync(t.Context(), usersync.Request{
				Identity: usersync.Identity{Issuer: iss.URL(), Subject: "before", Email: "0@example.org", EmailVerified: true},
				NewID:    "01990000-0000-7000-8000-000000000001", At: at(0),
			}); err != nil {
				t.Fatal(err)
			}
			h := service(iss.Verifier(), users)
			cardeatest.AssertAllowed(t, send(h, iss.Request("GET", "/me", cardeatest.User{ID: "warm", Email: "warm@example.org"}))) // keys are known

			iss.Down()
			const people = 30
			requests := make([]*http.Request, people)
			var wg sync.WaitGroup
			for n := range requests {
				requests[n] = iss.Request("GET", "/me", cardeatest.User{ID: fmt.Sprint("u", n), Email: fmt.Sprint(n, "@example.org")})
				for range 3 {
					wg.Go(func() {
						if rec := send(h, requests[n]); rec.Code != 200 || rec.Header().Get("Provisioned") != "no" {
							t.Errorf("during the outage: %d %v", rec.Code, rec.Header())
						}
					})
				}
			}
			wg.Wait()
			users.Drain(t.Context())
			if users.Waiting() != people || count("users") != 2 || count("tasks") != people {
				t.Errorf("during the outage: %d wait, %d rows, %d tasks", users.Waiting(), count("users"), count("tasks"))
			}
			if heard.ops() == "" {
				t.Error("nobody heard of it")
			}
			iss.Up()
			iss.Clock().Advance(time.Minute)
			users.Drain(t.Context())
			users.Drain(t.Context())
			if users.Waiting() != 0 || count("users") != people+1 || count("profiles") != people+1 || count("tasks") != 0 {
				t.Errorf("afterwards: %d wait, %d rows, %d profiles, %d tasks", users.Waiting(), count("users"), count("profiles"), count("tasks"))
			}
			for n, r := range requests {
				rec := send(h, r)
				if rec.Code != 200 || rec.Header().Get("Provisioned") != "yes" {
					t.Errorf("user %d: %d %v", n, rec.Code, rec.Header())
				}
			}
			u, err := store.Find(t.Context(), iss.URL(), "u0")
			if err != nil || u.ID != "01990000-0000-7000-8000-000000000001" {
				t.Errorf("the row that was there: %+v, %v", u, err)
			}
			if n := count("users"); n != people+1 {
				t.Errorf("%d rows in the end", n)
			}
		})
	}
}

// An outage of the issuer with mode Required is 503, and does not make a row in the dark.
func TestIssuerDownRequired(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, count := onSQLite(t)
	h := service(iss.Verifier(), newSyncer(t, iss, usersync.Config{Store: store}))
	r := iss.Request("GET", "/me", cardeatest.User{ID: "u", Email: mail})
	cardeatest.AssertAllowed(t, send(h, iss.Request("GET", "/me", cardeatest.User{ID: "warm"})))
	iss.Down()
	cardeatest.AssertDenied(t, send(h, r), http.StatusServiceUnavailable, cardea.CodeProviderUnreachable)
	// Who is known already passes.
	iss.Clock().Advance(2 * time.Minute)
	cardeatest.AssertAllowed(t, send(h, iss.Request("GET", "/me", cardeatest.User{ID: "warm", Email: "late@example.org"})))
	if n := count("users"); n != 1 {
		t.Errorf("%d rows", n)
	}
	iss.Up()
	iss.Clock().Advance(time.Minute)
	cardeatest.AssertAllowed(t, send(h, r))
}

// The process ends during the outage: what waited in the database is there for the next one,
// which asks with a key of its own, or waits for the user.
func TestRestartDuringAnOutage(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, count := onSQLite(t)
	first := newSyncer(t, iss, usersync.Config{Store: store, Mode: usersync.BestEffort})
	iss.Down()
	ada := cardeatest.User{ID: "ada", Email: mail}
	if got, err := first.Ensure(t.Context(), iss.Principal(ada), iss.Token(ada)); err != nil || got.Provisioned {
		t.Fatalf("%+v, %v", got, err)
	}
	iss.Up()

	keyless := newSyncer(t, iss, usersync.Config{Store: store, Mode: usersync.BestEffort})
	iss.Clock().Advance(time.Minute)
	keyless.Drain(t.Context())
	list, err := keyless.Backlog(t.Context())
	if err != nil || len(list) != 1 || list[0].Consumer != usersync.ConsumerWaiting || !strings.Contains(list[0].LastError, "without a token") {
		t.Errorf("backlog %+v, %v", list, err)
	}
	if count("users") != 0 {
		t.Error("a row without evidence")
	}

	admin := &adminEndpoint{}
	keyed := newSyncer(t, iss, usersync.Config{Store: store, Mode: usersync.BestEffort, Sources: map[string]usersync.Source{
		iss.URL(): usersync.SupabaseUser{URL: "https://project.test/auth/v1", ServiceKey: "service", Client: &http.Client{Transport: admin}},
	}})
	iss.Clock().Advance(2 * time.Hour)
	keyed.Drain(t.Context())
	u, err := store.Find(t.Context(), iss.URL(), "ada")
	if err != nil || u.Email != mail || count("tasks") != 0 || admin.path != "/auth/v1/admin/users/ada" {
		t.Errorf("%+v, %v, %d tasks, asked %s", u, err, count("tasks"), admin.path)
	}
}

type adminEndpoint struct{ path string }

func (a *adminEndpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	a.path = r.URL.Path
	if r.Header.Get("Authorization") != "Bearer service" || r.Header.Get("apikey") != "service" {
		return respond(http.StatusUnauthorized, nil), nil
	}
	return respond(http.StatusOK, map[string]any{"id": "ada", "email": mail, "email_confirmed_at": "2026-01-01T00:00:00Z"}), nil
}

// A token that expires while its user waits is not sent to the issuer any more, and the user
// is given up loudly; the next request provisions.
func TestTokenExpiresWhileWaiting(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	base, count := onSQLite(t)
	store, heard := &moody{Store: base}, &failures{}
	users := newSyncer(t, iss, usersync.Config{Store: store, Mode: usersync.BestEffort, OnFailure: heard.hear})
	h := service(iss.Verifier(), users)
	ada := cardeatest.User{ID: "ada", Email: mail}
	store.down.Store(true)
	cardeatest.AssertAllowed(t, send(h, iss.Request("GET", "/me", ada)))
	store.down.Store(false)
	iss.Clock().Advance(2 * time.Hour)
	users.Drain(t.Context())
	if users.Waiting() != 0 || count("users") != 0 || !strings.Contains(heard.ops(), "queue") {
		t.Errorf("%d wait, %d users, %s", users.Waiting(), count("users"), heard.ops())
	}
	if rec := send(h, iss.Request("GET", "/me", ada)); rec.Header().Get("Provisioned") != "yes" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

// Run ends with its context, and works at once when something changes.
func TestRun(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, _ := onSQLite(t)
	heard := make(chan string, 1)
	users := newSyncer(t, iss, usersync.Config{Store: store, Poll: time.Hour, Consumers: []usersync.Consumer{channel(heard)}})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		users.Run(ctx)
	}()
	ada := cardeatest.User{ID: "ada"}
	if _, err := users.Ensure(t.Context(), iss.Principal(ada), iss.Token(ada)); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; !strings.Contains(got, `"user.created"`) {
		t.Error(got)
	}
	stop()
	<-done
}

// channel is a consumer that a test listens to.
type channel chan string

func (channel) Name() string { return "channel" }

func (c channel) Deliver(_ context.Context, _ string, payload []byte) error {
	c <- string(payload)
	return nil
}

// A consumer that hangs holds nobody else up.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, _ := onSQLite(t)
	release, heard := make(chan struct{}), make(channel, 10)
	users := newSyncer(t, iss, usersync.Config{Store: store, Poll: time.Hour, Consumers: []usersync.Consumer{hangs(release), heard}})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		users.Run(ctx)
	}()
	for n := range 3 {
		u := cardeatest.User{ID: fmt.Sprint("u", n)}
		if _, err := users.Ensure(t.Context(), iss.Principal(u), iss.Token(u)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		<-heard
	}
	stop()
	close(release)
	<-done
}

// hangs is a consumer that does not answer until the test lets it.
type hangs chan struct{}

func (hangs) Name() string { return "hangs" }

func (h hangs) Deliver(context.Context, string, []byte) error {
	<-h
	return nil
}
