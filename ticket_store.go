package cardea

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// TicketStore keeps tickets between the request that gets one and the request that uses
// it. It sees no secret: ID is a hash, Sealed is encrypted with what only the client has.
type TicketStore interface {
	// Put keeps a ticket until ExpiresAt. It may refuse when it holds too many, and it may
	// forget older ones of the same Owner.
	Put(ctx context.Context, t StoredTicket) error
	// Take gives Sealed of the ticket and removes it, in one atomic step: of any number
	// of calls at the same time one finds it. A ticket that expired need not be found.
	Take(ctx context.Context, id string) (sealed []byte, found bool, err error)
}

// StoredTicket is a ticket in a store.
type StoredTicket struct {
	ID        string // 43 characters of base64url
	Owner     string // the same for all tickets of a user, of the same kind
	Sealed    []byte // about the size of the access token
	ExpiresAt time.Time
}

const (
	defaultMemoryTickets = 10_000
	maxTicketsPerOwner   = 16
)

var errTicketsFull = errors.New("the store of tickets is full")

// MemoryTickets is a TicketStore in the memory of one process. A user has at most 16
// tickets, of which a further one replaces the oldest, so that no single user fills it.
type MemoryTickets struct {
	limit int
	now   func() time.Time

	mu     sync.Mutex
	byID   map[string]*list.Element
	order  *list.List          // of StoredTicket, oldest first
	owners map[string][]string // ids, oldest first
}

// NewMemoryTickets makes a store for that many tickets, at least 1. now is the clock, nil
// means time.Now.
func NewMemoryTickets(limit int, now func() time.Time) *MemoryTickets {
	if now == nil {
		now = time.Now
	}
	return &MemoryTickets{
		limit: max(limit, 1), now: now,
		byID: map[string]*list.Element{}, order: list.New(), owners: map[string][]string{},
	}
}

// Put implements TicketStore. It refuses when the store is full.
func (m *MemoryTickets) Put(_ context.Context, t StoredTicket) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for oldest := m.order.Front(); oldest != nil; oldest = m.order.Front() {
		if stored, ok := oldest.Value.(StoredTicket); ok && m.now().Before(stored.ExpiresAt) {
			break
		}
		m.remove(oldest)
	}
	if mine := m.owners[t.Owner]; len(mine) >= maxTicketsPerOwner {
		m.remove(m.byID[mine[0]])
	}
	if m.order.Len() >= m.limit {
		return errTicketsFull
	}
	if same, ok := m.byID[t.ID]; ok {
		m.remove(same)
	}
	m.byID[t.ID] = m.order.PushBack(t)
	m.owners[t.Owner] = append(m.owners[t.Owner], t.ID)
	return nil
}

// Take implements TicketStore. Its error is always nil.
func (m *MemoryTickets) Take(_ context.Context, id string) (sealed []byte, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byID[id]
	if !ok {
		return nil, false, nil
	}
	t := m.remove(e)
	if !m.now().Before(t.ExpiresAt) {
		return nil, false, nil
	}
	return t.Sealed, true, nil
}

// Len says how many tickets there are; some may have expired.
func (m *MemoryTickets) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order.Len()
}

func (m *MemoryTickets) remove(e *list.Element) StoredTicket {
	t, _ := m.order.Remove(e).(StoredTicket)
	delete(m.byID, t.ID)
	rest := slices.DeleteFunc(m.owners[t.Owner], func(id string) bool { return id == t.ID })
	if len(rest) == 0 {
		delete(m.owners, t.Owner)
	} else {
		m.owners[t.Owner] = rest
	}
	return t
}
