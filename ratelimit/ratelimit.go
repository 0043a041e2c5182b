// Package ratelimit decides how often something may happen, by the generic cell rate
// algorithm (GCRA, ITU-T I.371): one timestamp a key, exact, and without a window whose
// edge lets twice the rate pass.
//
// [Limit] is pure arithmetic. [Memory] keeps the timestamps of one process, bounded in
// number, so that a flood of distinct keys can't eat the memory. It does not share
// anything between processes: with n processes behind a balancer a client has up to n
// times the budget.
package ratelimit

import (
	"container/list"
	"hash/maphash"
	"sync"
	"time"
)

// Limit allows Count events a Period, all of them at once if they come at once. After
// that, one more every Period/Count.
type Limit struct {
	Count  int
	Period time.Duration
}

// Decision is the answer for one event.
type Decision struct {
	Allowed    bool
	Remaining  int           // events that would pass right now
	RetryAfter time.Duration // zero if allowed: else the wait after which exactly one event passes
	ResetAfter time.Duration // until the whole budget is there again
}

// interval is the time that one event costs.
func (l Limit) interval() time.Duration { return l.Period / time.Duration(l.Count) }

// Next takes one event at now from the budget whose theoretical arrival time is tat (zero
// for a fresh key), and gives the new one. A refused event costs nothing, so that hammering
// does not extend the wait.
func (l Limit) Next(tat, now time.Time) (time.Time, Decision) {
	if tat.Before(now) {
		tat = now
	}
	next := tat.Add(l.interval())
	if over := next.Sub(now) - l.Period; over > 0 {
		return tat, Decision{RetryAfter: over, ResetAfter: tat.Sub(now)}
	}
	left := int((l.Period - next.Sub(now)) / l.interval())
	return next, Decision{Allowed: true, Remaining: left, ResetAfter: next.Sub(now)}
}

// Refund gives one event back.
func (l Limit) Refund(tat, now time.Time) time.Time {
	tat = tat.Add(-l.interval())
	if tat.Before(now) {
		return time.Time{}
	}
	return tat
}

// shards keep goroutines of different keys from waiting for one lock.
const shards = 32

// Memory keeps budgets in this process.
type Memory struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu      sync.Mutex
	max     int
	entries map[string]*list.Element
	order   *list.List // least recently used in front
}

type entry struct {
	key string
	tat time.Time
}

// NewMemory makes a store of at most maxKeys keys (0: 100,000). When it is full the key
// that was used longest ago is forgotten, that is, gets its budget back. A nil now is
// time.Now.
func NewMemory(maxKeys int, now func() time.Time) *Memory {
	if maxKeys <= 0 {
		maxKeys = 100_000
	}
	if now == nil {
		now = time.Now
	}
	m := &Memory{now: now, seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i] = shard{max: max(1, maxKeys/shards), entries: map[string]*list.Element{}, order: list.New()}
	}
	return m
}

// Take asks for one event of key under l. A limit without a count allows everything.
func (m *Memory) Take(key string, l Limit) Decision {
	if l.Count <= 0 {
		return Decision{Allowed: true}
	}
	var d Decision
	m.update(key, func(tat, now time.Time) time.Time {
		tat, d = l.Next(tat, now)
		return tat
	})
	return d
}

// Refund gives back what Take took, for events that turned out not to count.
func (m *Memory) Refund(key string, l Limit) {
	if l.Count <= 0 {
		return
	}
	m.update(key, l.Refund)
}

// update applies f to the key's time while nobody else can.
func (m *Memory) update(key string, f func(tat, now time.Time) time.Time) {
	s := &m.shards[maphash.String(m.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	el := s.entries[key]
	if el == nil {
		if len(s.entries) >= s.max {
			oldest := s.order.Front()
			delete(s.entries, s.order.Remove(oldest).(*entry).key) //nolint:errcheck,forcetypeassert // only entries are put in
		}
		el = s.order.PushBack(&entry{key: key})
		s.entries[key] = el
	} else {
		s.order.MoveToBack(el)
	}
	e := el.Value.(*entry) //nolint:errcheck,forcetypeassert // only entries are put in
	e.tat = f(e.tat, now)
}

// Len is the number of keys held.
func (m *Memory) Len() int {
	n := 0
	for i := range m.shards {
		m.shards[i].mu.Lock()
		n += len(m.shards[i].entries)
		m.shards[i].mu.Unlock()
	}
	return n
}
