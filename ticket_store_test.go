package cardea

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// faultyStore does what it is told.
type faultyStore struct {
	put  error
	take func(id string) ([]byte, bool, error)

	mu   sync.Mutex
	last StoredTicket // of the tests that put one
}

func (f *faultyStore) Put(_ context.Context, t StoredTicket) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = t
	return f.put
}

func (f *faultyStore) Take(_ context.Context, id string) ([]byte, bool, error) {
	return f.take(id)
}

// TestTicketStores: what a store may do to us, and what it gets to see.
func TestTicketStores(t *testing.T) {
	t.Parallel()
	token := hsToken(map[string]any{"sub": "u-secret"})
	down := errors.New("valkey: connection refused")
	for name, tc := range map[string]struct {
		put    error
		take   func(last *StoredTicket) ([]byte, bool, error)
		status int
		code   Code
	}{
		"honest":          {nil, func(l *StoredTicket) ([]byte, bool, error) { return l.Sealed, true, nil }, 200, ""},
		"lost":            {nil, func(*StoredTicket) ([]byte, bool, error) { return nil, false, nil }, 401, CodeTicketInvalid},
		"down":            {nil, func(*StoredTicket) ([]byte, bool, error) { return nil, false, down }, 503, CodeTicketUnavailable},
		"full":            {down, nil, 503, CodeTicketUnavailable},
		"changed":         {nil, func(l *StoredTicket) ([]byte, bool, error) { return append([]byte{1}, l.Sealed[1:]...), true, nil }, 401, CodeTicketInvalid},
		"plain text":      {nil, func(*StoredTicket) ([]byte, bool, error) { return []byte(`{"t":"x"}`), true, nil }, 401, CodeTicketInvalid},
		"nothing at all":  {nil, func(*StoredTicket) ([]byte, bool, error) { return nil, true, nil }, 401, CodeTicketInvalid},
		"never forgets":   {nil, func(l *StoredTicket) ([]byte, bool, error) { return l.Sealed, true, nil }, 401, CodeTicketInvalid},
		"never forgets 2": {nil, func(l *StoredTicket) ([]byte, bool, error) { return l.Sealed, true, nil }, 401, CodeTicketInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &faultyStore{put: tc.put}
			store.take = func(string) ([]byte, bool, error) { return tc.take(&store.last) }
			s := newTicketServer(t, func(_ *Config, c *TicketConfig) { c.Store = store })
			if tc.put != nil {
				status, h, body := s.do("POST", "/ticket", token, `{"path":"/events"}`)
				if status != tc.status || h.Get("Retry-After") != "5" || !strings.Contains(body, string(tc.code)) {
					t.Errorf("%d %s", status, body)
				}
				return
			}
			ticket := s.ticket(token, "/events")
			stored := fmt.Sprintf("%+v", store.last)
			if strings.Contains(stored, ticket) || strings.Contains(stored, "u-secret") || bytes.Contains(store.last.Sealed, []byte(token[:10])) {
				t.Errorf("the store sees a secret: %s", stored)
			}
			if strings.HasPrefix(name, "never forgets") {
				s.clock.Advance(time.Minute)
			}
			status, _, body := s.do("GET", "/events?token="+ticket, "", "")
			if status != tc.status || !strings.Contains(body, string(tc.code)) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// TestMemoryTickets: bounded, per user too, and nothing expired comes out.
func TestMemoryTickets(t *testing.T) {
	t.Parallel()
	clock := newFakeClock()
	m := NewMemoryTickets(20, clock.Now)
	put := func(id, owner string) error {
		return m.Put(t.Context(), StoredTicket{ID: id, Owner: owner, Sealed: []byte(id), ExpiresAt: clock.Now().Add(30 * time.Second)})
	}
	take := func(id string) bool {
		sealed, found, err := m.Take(t.Context(), id)
		if err != nil || (found && string(sealed) != id) {
			t.Error(string(sealed), err)
		}
		return found
	}
	for i := range 30 { // one user can't fill it
		if err := put(fmt.Sprint("a", i), "alice"); err != nil {
			t.Fatal(err)
		}
	}
	if m.Len() != 16 || take("a13") || !take("a14") || take("a14") || !take("a29") {
		t.Errorf("%d tickets", m.Len())
	}
	var errs []bool
	for i := range 7 {
		errs = append(errs, put(fmt.Sprint("b", i), fmt.Sprint("bob", i)) == nil)
	}
	if diff := cmp.Diff([]bool{true, true, true, true, true, true, false}, errs); diff != "" {
		t.Error(diff)
	}
	if err := put("a28", "carol"); !errors.Is(err, errTicketsFull) {
		t.Error(err)
	}
	clock.Advance(30 * time.Second)
	if take("b1") {
		t.Error("expired")
	}
	if err := put("c", "carol"); err != nil || m.Len() != 1 {
		t.Error(err, m.Len())
	}
	if err := put("c", "carol"); err != nil || m.Len() != 1 || !take("c") || m.Len() != 0 || len(m.owners) != 0 {
		t.Error("the same id again", err, m.Len())
	}
	if real := NewMemoryTickets(0, nil); real.limit != 1 || real.now == nil {
		t.Error("defaults")
	}
}
