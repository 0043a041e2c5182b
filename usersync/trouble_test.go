package usersync_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// A15.4, S2.14, X18: the database is down.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	for _, mode := range []usersync.Mode{usersync.Required, usersync.BestEffort} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			iss := issuer(t)
			base, count := onSQLite(t)
			store, heard := &moody{Store: base}, &failures{}
			users := newSyncer(t, iss, usersync.Config{Store: store, Mode: mode, OnFailure: heard.hear})
			h := service(iss.Verifier(), users)
			r := iss.Request("GET", "/me", cardeatest.User{Email: mail})
			store.down.Store(true)
			rec := send(h, r)
			if mode == usersync.Required {
				body := `{"error":{"code":"AUTH_DB_UNAVAILABLE","message":"User data can't be read at the moment, try again","details":{"error_code":"AUTH_DB_UNAVAILABLE"}}}`
				if rec.Code != 503 || rec.Header().Get("Retry-After") != "5" || strings.TrimSpace(rec.Body.String()) != body {
					t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
				}
			} else if rec.Code != 200 || rec.Header().Get("Provisioned") != "no" || users.Waiting() != 1 {
				t.Errorf("%d %v %s, %d wait", rec.Code, rec.Header(), rec.Body, users.Waiting())
			}
			users.Drain(t.Context()) // still down
			if heard.ops() == "" {
				t.Error("nobody heard of it")
			}
			store.down.Store(false)
			users.Drain(t.Context())
			if want := int(mode); count("users") != want || count("profiles") != want || users.Waiting() != 0 {
				t.Errorf("%d users, %d profiles, %d wait; want %d rows without a new request", count("users"), count("profiles"), users.Waiting(), want)
			}
			rec = send(h, r)
			if rec.Code != 200 || rec.Header().Get("Provisioned") != "yes" || count("users") != 1 {
				t.Errorf("afterwards: %d %v", rec.Code, rec.Header())
			}
		})
	}
}

// The queue in memory has an end, and whoever finds no room is provisioned later.
func TestMemoryQueueIsBounded(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	base, count := onSQLite(t)
	store, heard := &moody{Store: base}, &failures{}
	users := newSyncer(t, iss, usersync.Config{Store: store, Mode: usersync.BestEffort, MemoryQueue: 2, OnFailure: heard.hear})
	h := service(iss.Verifier(), users)
	store.down.Store(true)
	for n := range 5 {
		for range 2 {
			if rec := send(h, iss.Request("GET", "/me", cardeatest.User{ID: fmt.Sprint("u", n)})); rec.Code != 200 {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		}
	}
	if users.Waiting() != 2 || !strings.Contains(heard.ops(), "queue") {
		t.Errorf("%d wait; %s", users.Waiting(), heard.ops())
	}
	if n := store.calls.Load(); n != 1 {
		t.Errorf("%d requests waited for a database that had just failed", n)
	}
	store.down.Store(false)
	users.Drain(t.Context())
	if n := count("users"); n != 2 {
		t.Errorf("%d users", n)
	}
}

// A15.6, B3.6: a hook that fails or panics blocks nobody; it is seen in the queue and by
// OnFailure, and is called again until it succeeds.
func TestHookFails(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, count := onSQLite(t)
	heard := &failures{}
	var calls atomic.Int32
	users := newSyncer(t, iss, usersync.Config{Store: store, OnFailure: heard.hear, OnCreated: func(_ context.Context, u usersync.User) error {
		switch calls.Add(1) {
		case 1:
			return errors.New("no free plan for " + u.ID)
		case 2:
			panic("a bug")
		}
		return nil
	}})
	h := service(iss.Verifier(), users)
	r := iss.Request("GET", "/me", cardeatest.User{Email: mail})
	if rec := send(h, r); rec.Code != 200 || rec.Header().Get("Provisioned") != "yes" {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	list, err := users.Backlog(t.Context())
	if err != nil || len(list) != 1 || list[0].Consumer != usersync.ConsumerHook || !strings.Contains(list[0].LastError, "no free plan") {
		t.Errorf("backlog %+v, %v", list, err)
	}
	users.Drain(t.Context())
	if calls.Load() != 1 {
		t.Error("called again at once")
	}
	iss.Clock().Advance(time.Minute)
	users.Drain(t.Context())
	iss.Clock().Advance(time.Hour)
	users.Drain(t.Context())
	iss.Clock().Advance(time.Hour)
	users.Drain(t.Context())
	if calls.Load() != 3 || count("tasks") != 0 || heard.ops() != "hook hook" || count("users") != 1 {
		t.Errorf("%d calls, %d tasks, %s", calls.Load(), count("tasks"), heard.ops())
	}
}

// A process that ends inside the hook leaves it to another.
func TestHookOfADeadProcess(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, count := onSQLite(t)
	if _, err := store.Sync(t.Context(), usersync.Request{
		Identity: usersync.Identity{Issuer: iss.URL(), Subject: "1"}, NewID: "1", EventID: "e1",
		At: iss.Clock().Now(), Consumers: []string{usersync.ConsumerHook},
	}); err != nil {
		t.Fatal(err)
	}
	var called []string
	users := newSyncer(t, iss, usersync.Config{Store: store, OnCreated: func(_ context.Context, u usersync.User) error {
		called = append(called, u.ID)
		return nil
	}})
	users.Drain(t.Context())
	iss.Clock().Advance(31 * time.Second)
	users.Drain(t.Context())
	users.Drain(t.Context())
	if len(called) != 1 || called[0] != "1" || count("tasks") != 0 {
		t.Errorf("called for %v, %d tasks", called, count("tasks"))
	}
}
