package usersync_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// receiver is somebody else's service: it checks signatures by the standard.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	keys   []string
	ids    []string // of every try
	events map[string]usersync.Event
	bad    int
}

func newReceiver(t *testing.T, keys ...string) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusNoContent, keys: keys, events: map[string]usersync.Event{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(req.Body)
	stamp := req.Header.Get("webhook-timestamp")
	var seconds int64
	_ = json.Unmarshal([]byte(stamp), &seconds)
	want := signed(req.Header.Get("webhook-id"), time.Unix(seconds, 0), string(body), r.keys...)
	given := strings.Fields(req.Header.Get("webhook-signature"))
	if !slices.ContainsFunc(strings.Fields(want.Header.Get("webhook-signature")), func(s string) bool { return slices.Contains(given, s) }) {
		r.bad++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.ids = append(r.ids, req.Header.Get("webhook-id"))
	if r.status < 300 {
		var e usersync.Event
		if json.Unmarshal(body, &e) != nil || e.ID != req.Header.Get("webhook-id") {
			r.bad++
		}
		r.events[e.ID] = e
	}
	if r.status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(r.status)
}

func (r *receiver) says(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) got() (types []string, tries int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		types = append(types, string(e.Type))
	}
	slices.Sort(types)
	return types, len(r.ids)
}

func endpoint(t *testing.T, iss *cardeatest.Issuer, name, url string, keys ...string) *usersync.Endpoint {
	t.Helper()
	e, err := usersync.NewEndpoint(usersync.EndpointConfig{Name: name, URL: url, Secrets: keys, Now: iss.Clock().Now})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// S3.11: every change reaches every consumer, signed, at least once and with one id; one that
// is down holds nobody up and loses nothing.
func TestFeed(t *testing.T) {
	t.Parallel()
	for _, db := range databases(t) {
		t.Run(db.name, func(t *testing.T) {
			t.Parallel()
			iss := issuer(t)
			store, count := db.store(t)
			heard := &failures{}
			crm, billing := newReceiver(t, secret(0)), newReceiver(t, secret(2))
			users := newSyncer(t, iss, usersync.Config{Store: store, OnFailure: heard.hear, Consumers: []usersync.Consumer{
				endpoint(t, iss, "crm", crm.URL, secret(0)),
				endpoint(t, iss, "billing", billing.URL, secret(1), secret(2)), // in the middle of a rotation
			}})
			ensure := func(u cardeatest.User) usersync.User {
				t.Helper()
				got, err := users.Ensure(t.Context(), iss.Principal(u), iss.Token(u))
				if err != nil {
					t.Fatal(err)
				}
				return got.User
			}
			crm.says(http.StatusServiceUnavailable)
			u := ensure(cardeatest.User{ID: "one", Email: mail})
			ensure(cardeatest.User{ID: "two", Email: mail})
			if _, err := users.UpdateProfile(t.Context(), u.ID, usersync.Profile{FirstName: "Ada"}); err != nil {
				t.Fatal(err)
			}
			all := []string{"user.created", "user.linked", "user.updated"}
			users.Drain(t.Context())
			if got, tries := billing.got(); !slices.Equal(got, all) || tries != 3 {
				t.Errorf("billing got %v in %d tries", got, tries)
			}
			if got, tries := crm.got(); got != nil || tries != 3 || count("tasks") != 3 {
				t.Errorf("crm got %v in %d tries; %d tasks", got, tries, count("tasks"))
			}
			for _, status := range []int{http.StatusFound, http.StatusInternalServerError, http.StatusNoContent, http.StatusNoContent} {
				crm.says(status)
				iss.Clock().Advance(time.Hour)
				users.Drain(t.Context())
			}
			if got, tries := crm.got(); !slices.Equal(got, all) || tries != 12 || crm.bad+billing.bad != 0 {
				t.Errorf("crm got %v in %d tries; %d bad", got, tries, crm.bad+billing.bad)
			}
			if _, tries := billing.got(); tries != 3 || count("tasks") != 0 {
				t.Errorf("billing was told %d times, %d tasks", tries, count("tasks"))
			}
			if _, err := users.Delete(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
			users.Drain(t.Context())
			for _, e := range crm.events {
				if e.Type == usersync.EventDeleted && (e.Data.User.Email != nil || e.Data.User.Status != usersync.StatusDeleted) {
					t.Errorf("a deletion that tells who it was: %+v", e)
				}
			}
			if got, _ := crm.got(); !slices.Contains(got, "user.deleted") || len(got) != 4 {
				t.Errorf("crm got %v", got)
			}
		})
	}
}

// Two processes deliver: each event once. One that dies leaves its lease behind, and the
// other takes over, with the same id.
func TestFeedOfTwoProcesses(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, count := onSQLite(t)
	crm := newReceiver(t, secret(0))
	node := func() *usersync.Syncer {
		return newSyncer(t, iss, usersync.Config{Store: store, Consumers: []usersync.Consumer{endpoint(t, iss, "crm", crm.URL, secret(0))}})
	}
	a, b := node(), node()
	for n := range 20 {
		u := cardeatest.User{ID: strings.Repeat("x", n+1)}
		if _, err := a.Ensure(t.Context(), iss.Principal(u), iss.Token(u)); err != nil {
			t.Fatal(err)
		}
	}
	now := iss.Clock().Now()
	dead, err := store.Lease(t.Context(), "webhook:crm", now, now.Add(90*time.Second), 3)
	if err != nil || len(dead) != 3 {
		t.Fatal(dead, err)
	}
	var wg sync.WaitGroup
	for _, s := range []*usersync.Syncer{a, b, a, b} {
		wg.Go(func() { s.Drain(t.Context()) })
	}
	wg.Wait()
	if got, tries := crm.got(); len(got) != 17 || tries != 17 {
		t.Errorf("%d events in %d tries", len(got), tries)
	}
	iss.Clock().Advance(2 * time.Minute)
	b.Drain(t.Context())
	if got, tries := crm.got(); len(got) != 20 || tries != 20 || count("tasks") != 0 {
		t.Errorf("%d events in %d tries", len(got), tries)
	}
}

// The payload, as others have to read it.
func TestEventAsJSON(t *testing.T) {
	t.Parallel()
	heard := make(channel, 1)
	iss := cardeatest.New(t, cardeatest.Config{URL: "https://issuer.test/auth/v1", Clock: cardeatest.NewClock(t, at(0))})
	store, _ := onSQLite(t)
	users := newSyncer(t, iss, usersync.Config{Store: store, Consumers: []usersync.Consumer{heard}, Rand: zeroes{}, Sources: map[string]usersync.Source{iss.URL(): vouch{mail}}})
	if _, err := users.Ensure(t.Context(), iss.Principal(cardeatest.User{ID: "ada"}), ""); err != nil {
		t.Fatal(err)
	}
	users.Drain(t.Context())
	want := `{"id":"01a3185c-5000-7000-8000-000000000000","type":"user.created","timestamp":"2027-01-15T08:00:00Z","data":{"user":{` +
		`"id":"01a3185c-5000-7000-8000-000000000000","issuer":"https://issuer.test/auth/v1","subject":"ada","status":"active",` +
		`"email":"ada@example.org","phone":null,"email_verified":true,"phone_verified":false,"is_verified":true,"auth_provider":"",` +
		`"identities":[],"profile":{"first_name":"","last_name":"","full_name":"","avatar_url":"","locale":""},"version":1,` +
		`"created_at":"2027-01-15T08:00:00Z","updated_at":"2027-01-15T08:00:00Z"}}}`
	if diff := cmp.Diff(want, <-heard); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Where events may go.
func TestEndpointConfig(t *testing.T) {
	t.Parallel()
	good := usersync.EndpointConfig{Name: "crm", URL: "https://crm.test/hook", Secrets: []string{secret(0)}}
	if _, err := usersync.NewEndpoint(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*usersync.EndpointConfig){
		"no name":   func(c *usersync.EndpointConfig) { c.Name = "" },
		"no secret": func(c *usersync.EndpointConfig) { c.Secrets = nil },
		"http":      func(c *usersync.EndpointConfig) { c.URL = "http://crm.test/hook" },
		"no URL":    func(c *usersync.EndpointConfig) { c.URL = "" },
		"password":  func(c *usersync.EndpointConfig) { c.URL = "https://u:p@crm.test" },
		"file":      func(c *usersync.EndpointConfig) { c.URL = "file:///etc/passwd" },
	} {
		c := good
		change(&c)
		if _, err := usersync.NewEndpoint(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A consumer that panics or does not end is a failure like others.
func TestConsumerPanics(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, count := onSQLite(t)
	heard := &failures{}
	users := newSyncer(t, iss, usersync.Config{Store: store, OnFailure: heard.hear, Consumers: []usersync.Consumer{panics{}}})
	if _, err := users.Ensure(t.Context(), iss.Principal(cardeatest.User{ID: "1"}), iss.Token(cardeatest.User{ID: "1"})); err != nil {
		t.Fatal(err)
	}
	users.Drain(t.Context())
	if heard.ops() != "deliver" || count("tasks") != 1 {
		t.Errorf("%s, %d tasks", heard.ops(), count("tasks"))
	}
	if err := heard.list[0].Err; !strings.Contains(err.Error(), "panic") {
		t.Error(err)
	}
}

type panics struct{}

func (panics) Name() string                                  { return "panics" }
func (panics) Deliver(context.Context, string, []byte) error { panic("a bug") }
