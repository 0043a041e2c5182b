package usersync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/cardea-auth/cardea"
)

// The figures of the queue.
const (
	leaseFor    = 90 * time.Second
	leaseMost   = 5 // leaseMost times deliverFor is less than leaseFor
	deliverFor  = 15 * time.Second
	firstRetry  = 2 * time.Second
	longestWait = time.Hour
	waitForUser = time.Hour // who can't be asked about without a token
)

// Consumer gets every change of every user: at least once, in no order, with a stable id.
// Deliver has 15 s. An error means: again later, after 2 s, 4 s, 8 s and so on up to an hour,
// for as long as it takes. Each process calls it from one goroutine.
type Consumer interface {
	// Name tells this consumer's tasks from those of others, also after a restart.
	Name() string
	// Deliver passes an [Event] on, as JSON.
	Deliver(ctx context.Context, id string, payload []byte) error
}

// Run works until ctx ends: it provisions the users who waited, calls OnCreated where that
// failed, and delivers to the consumers, to each by itself, so that a slow one holds nobody
// up. Run it once in each process; a process that is killed leaves its work to the others,
// after 90 s.
func (s *Syncer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for n, chore := range s.chores() {
		wg.Go(func() {
			t := time.NewTicker(s.c.Poll)
			defer t.Stop()
			for {
				chore(ctx)
				select {
				case <-ctx.Done():
					return
				case <-t.C:
				case <-s.wake[n]:
				}
			}
		})
	}
	wg.Wait()
}

// Drain does once what Run does again and again: everything that is due.
func (s *Syncer) Drain(ctx context.Context) {
	var wg sync.WaitGroup
	for _, chore := range s.chores() {
		wg.Go(func() { chore(ctx) })
	}
	wg.Wait()
}

// chores are what can be done side by side: users and their hooks, and each consumer.
func (s *Syncer) chores() []func(context.Context) {
	list := []func(context.Context){func(ctx context.Context) {
		s.drainMemory(ctx)
		s.work(ctx, ConsumerWaiting, s.doWaiting)
		if s.c.OnCreated != nil {
			s.work(ctx, ConsumerHook, s.doHook)
		}
	}}
	for _, c := range s.c.Consumers {
		list = append(list, func(ctx context.Context) {
			s.work(ctx, c.Name(), func(ctx context.Context, t Task) Outcome { return s.deliver(ctx, c, t) })
		})
	}
	return list
}

// doHook calls OnCreated for somebody whose creator did not get it done.
func (s *Syncer) doHook(ctx context.Context, t Task) Outcome {
	var e Event
	if err := json.Unmarshal(t.Payload, &e); err != nil {
		return s.again(t, err)
	}
	u, err := s.c.Store.Get(ctx, e.Data.User.ID)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return s.again(t, err)
	}
	if err != nil || u.Status == StatusDeleted {
		return Outcome{Done: true} // gone before anybody could be told
	}
	return s.callHook(ctx, t, u)
}

// work does the tasks of one consumer that are due, until all of a batch fail: then it is
// down, and its other tasks need not try each for itself.
func (s *Syncer) work(ctx context.Context, consumer string, do func(context.Context, Task) Outcome) {
	for ctx.Err() == nil {
		now := s.now()
		list, err := s.c.Store.Lease(ctx, consumer, now, now.Add(leaseFor), leaseMost)
		if err != nil {
			s.c.OnFailure(ctx, Failure{Op: "queue", Consumer: consumer, Err: err})
			return
		}
		done := 0
		for _, t := range list {
			o := do(ctx, t)
			s.settle(ctx, t, o)
			if o.Done {
				done++
			}
		}
		if len(list) < leaseMost || done == 0 {
			return
		}
	}
}

// settle also works when ctx has ended meanwhile: what is done should not be done again.
func (s *Syncer) settle(ctx context.Context, t Task, o Outcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.c.Timeout)
	defer cancel()
	if err := s.c.Store.Settle(ctx, t, o); err != nil {
		s.c.OnFailure(ctx, Failure{Op: "settle", Consumer: t.Consumer, Attempts: t.Attempts, Err: err})
	}
}

// again gives the outcome of a failure: twice the wait of the last one, and up to a quarter
// more, so that not everything comes back at one moment.
func (s *Syncer) again(t Task, err error) Outcome {
	wait := firstRetry << min(max(t.Attempts-1, 0), 20)
	wait = min(wait, longestWait)
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.ID)) // never fails
	wait += wait / 4 * time.Duration(h.Sum32()%100) / 100
	return Outcome{Due: s.now().Add(wait), Reason: err.Error()}
}

func (s *Syncer) deliver(ctx context.Context, c Consumer, t Task) Outcome {
	err := guarded(ctx, deliverFor, func(ctx context.Context) error { return c.Deliver(ctx, t.ID, t.Payload) })
	if err == nil {
		return Outcome{Done: true}
	}
	s.c.OnFailure(ctx, Failure{Op: "deliver", Consumer: t.Consumer, Attempts: t.Attempts, Err: err})
	return s.again(t, err)
}

// hook calls OnCreated for a user who was just created. Its failure is seen in the queue and
// by OnFailure, and by nobody else (B3.6).
func (s *Syncer) hook(ctx context.Context, t Task, u User) { s.settle(ctx, t, s.callHook(ctx, t, u)) }

func (s *Syncer) callHook(ctx context.Context, t Task, u User) Outcome {
	err := guarded(ctx, deliverFor, func(ctx context.Context) error { return s.c.OnCreated(ctx, u) })
	if err == nil {
		return Outcome{Done: true}
	}
	s.c.OnFailure(ctx, Failure{Op: "hook", Issuer: u.Issuer, Subject: u.Subject, Consumer: ConsumerHook, Attempts: t.Attempts, Err: err})
	return s.again(t, err)
}

// guarded calls foreign code with a time limit; a panic is an error.
func guarded(ctx context.Context, most time.Duration, f func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("usersync: panic: %v", r)
		}
	}()
	return f(ctx)
}

// waitingUser is the payload of a task of ConsumerWaiting: no token, no address.
type waitingUser struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// later remembers a user whom BestEffort let pass: in memory with the token, and, if only
// the issuer is down, in the database, which survives the process.
func (s *Syncer) later(ctx context.Context, p *cardea.Principal, token string, cause error) {
	if !s.memory.add(p, token) {
		s.c.OnFailure(ctx, Failure{Op: "queue", Issuer: p.Issuer, Subject: p.Subject, GivenUp: true, Err: errFull})
	}
	if cardea.CodeOf(cause) != cardea.CodeProviderUnreachable {
		return
	}
	payload, err := json.Marshal(waitingUser{p.Issuer, p.Subject})
	if err == nil {
		now := s.now()
		err = s.c.Store.Enqueue(ctx, Task{
			ID: WaitingID(p.Issuer, p.Subject), Consumer: ConsumerWaiting, Payload: payload, DueAt: now, CreatedAt: now,
		})
	}
	if err != nil {
		s.c.OnFailure(ctx, Failure{Op: "queue", Issuer: p.Issuer, Subject: p.Subject, Err: err})
	}
}

var errFull = errors.New("usersync: too many users wait")

// doWaiting provisions somebody who waits in the database. Nobody has a token any more, so
// it takes a source that can do without, or the user's next request.
func (s *Syncer) doWaiting(ctx context.Context, t Task) Outcome {
	var w waitingUser
	if err := json.Unmarshal(t.Payload, &w); err != nil {
		return s.again(t, err)
	}
	_, err := s.join(ctx, &cardea.Principal{Issuer: w.Issuer, Subject: w.Subject}, "")
	switch {
	case err == nil || !outage(err):
		return Outcome{Done: true} // provisioned, or refused for good
	case errors.Is(err, ErrNoEvidence):
		return Outcome{Due: s.now().Add(waitForUser), Reason: err.Error()}
	}
	return s.again(t, err)
}

// drainMemory provisions those who wait in memory.
func (s *Syncer) drainMemory(ctx context.Context) {
	for _, w := range s.memory.all() {
		_, err := s.join(ctx, w.principal, w.token)
		switch {
		case err == nil:
		case cardea.CodeOf(err) == cardea.CodeUserUnavailable:
			return // the database is still down, for all of them
		case outage(err) && !errors.Is(err, ErrNoEvidence):
			continue // of one issuer; the others may be well
		default:
			s.c.OnFailure(ctx, Failure{Op: "queue", Issuer: w.principal.Issuer, Subject: w.principal.Subject, GivenUp: true, Err: err})
		}
		s.memory.remove(w)
	}
}

// memory is the queue for while the database is down. It is bounded: tokens cost nothing to
// make for whoever has an issuer of his own among those that are trusted.
type memory struct {
	most int

	mu    sync.Mutex
	users map[userKey]*waiter
}

type waiter struct {
	principal *cardea.Principal
	token     string
}

// add keeps the newest token of a user. False when there is no room.
func (m *memory) add(p *cardea.Principal, token string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := userKey{p.Issuer, p.Subject}
	if _, there := m.users[key]; !there && len(m.users) >= m.most {
		return false
	}
	if m.users == nil {
		m.users = map[userKey]*waiter{}
	}
	m.users[key] = &waiter{p, token}
	return true
}

func (m *memory) all() []*waiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*waiter, 0, len(m.users))
	for _, w := range m.users {
		list = append(list, w)
	}
	return list
}

// remove drops w, unless a newer request took its place.
func (m *memory) remove(w *waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := userKey{w.principal.Issuer, w.principal.Subject}
	if m.users[key] == w {
		delete(m.users, key)
	}
}

// Waiting says how many users wait in memory.
func (s *Syncer) Waiting() int {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	return len(s.memory.users)
}

// Backlog tells what waits in the database: deliveries, hooks, users.
func (s *Syncer) Backlog(ctx context.Context) ([]Backlog, error) { return s.c.Store.Backlog(ctx) }
