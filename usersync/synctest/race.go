package synctest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cardea-auth/cardea/usersync"
)

// parallel is how many calls race.
const parallel = 20

// Race lets two stores on one database do the same at once.
func Race(t *testing.T, open func(testing.TB) Database) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"A15.1 S2.31 first requests of one subject", raceSubject},
		{"S2.31 two addresses, many subjects", raceAddresses},
		{"one message", raceOnce},
		{"leases", raceLeases},
		{"deletion and a request", raceDeletion},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

func raceSubject(t *testing.T, db Database) {
	ids := make([]string, parallel)
	var creations atomic.Int32
	together(db, parallel, func(n int, s usersync.Store) {
		got, err := s.Sync(t.Context(), request(n+1, "s1", func(r *usersync.Request) {
			proved(mail, number)(r)
			r.Consumers = []string{webhook}
		}))
		if err != nil {
			t.Error(err)
			return
		}
		ids[n] = got.User.ID
		if got.Plan.Action == usersync.ActionCreate {
			creations.Add(1)
		}
	})
	for _, one := range ids {
		if one != ids[0] {
			t.Errorf("two rows: %s, %s", one, ids[0])
		}
	}
	if n := creations.Load(); n != 1 {
		t.Errorf("created %d times", n)
	}
	counts(t, db, "users", 1)
	counts(t, db, "profiles", 1)
	if list := lease(t, db.A, webhook, 100, 100); len(list) != 1 {
		t.Errorf("%d events", len(list))
	}
}

// Subjects with one e-mail, one phone or both, crossed: whoever comes first, each address
// ends in one row and nobody gets an error.
func raceAddresses(t *testing.T, db Database) {
	together(db, parallel, func(n int, s usersync.Store) {
		addresses := proved(mail, "")
		switch n % 3 {
		case 1:
			addresses = proved("", number)
		case 2:
			addresses = proved(mail, number)
		}
		if _, err := s.Sync(t.Context(), request(n+1, fmt.Sprint("s", n), addresses)); err != nil {
			t.Error(err)
		}
	})
	if n := db.Count(t, "users"); n != 1 && n != 2 {
		t.Errorf("%d rows for two addresses", n)
	}
	counts(t, db, "profiles", db.Count(t, "users"))
}

func raceOnce(t *testing.T, db Database) {
	var done, replayed atomic.Int32
	together(db, parallel, func(n int, s usersync.Store) {
		_, err := s.Sync(t.Context(), request(n+1, fmt.Sprint("s", n), func(r *usersync.Request) {
			r.Once = usersync.Once{ID: "m1", Until: at(300)}
		}))
		switch {
		case err == nil:
			done.Add(1)
		case errors.Is(err, usersync.ErrReplayed):
			replayed.Add(1)
		default:
			t.Error(err)
		}
	})
	if done.Load() != 1 || replayed.Load() != parallel-1 {
		t.Errorf("%d done, %d replayed", done.Load(), replayed.Load())
	}
	counts(t, db, "users", 1)
}

func raceLeases(t *testing.T, db Database) {
	const tasks = 50
	for n := range tasks {
		task := usersync.Task{ID: fmt.Sprint(n), Consumer: webhook, Payload: []byte("{}"), DueAt: at(1), CreatedAt: at(1)}
		if err := db.A.Enqueue(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	got := map[string]int{}
	together(db, 8, func(_ int, s usersync.Store) {
		for range tasks {
			list, err := s.Lease(t.Context(), webhook, at(2), at(32), 3)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			for _, task := range list {
				got[task.ID]++
			}
			mu.Unlock()
		}
	})
	if len(got) != tasks {
		t.Errorf("%d of %d tasks were given out", len(got), tasks)
	}
	for name, n := range got {
		if n != 1 {
			t.Errorf("task %s was given out %d times", name, n)
		}
	}
}

// A deletion between requests of the same subject: afterwards there is a tombstone,
// whatever came last.
func raceDeletion(t *testing.T, db Database) {
	together(db, parallel, func(n int, s usersync.Store) {
		_, err := s.Sync(t.Context(), request(n+1, "s1", func(r *usersync.Request) {
			proved(mail, "")(r)
			if n == parallel/2 {
				r.Identity.Standing = usersync.StandingDeleted
			}
		}))
		if err != nil {
			t.Error(err)
		}
	})
	u, err := db.A.Find(t.Context(), issuer, "s1")
	if err != nil || u.Status != usersync.StatusDeleted || u.Email != "" {
		t.Errorf("%+v, %v", u, err)
	}
	counts(t, db, "users", 1)
	counts(t, db, "profiles", 0)
}
