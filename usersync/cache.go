package usersync

import (
	"sync"
	"sync/atomic"
	"time"
)

type userKey struct{ issuer, subject string }

// cache keeps active rows, so that the steady state costs no statement.
type cache struct {
	ttl  time.Duration // not positive: nothing is kept
	size int
	// generation grows with each forget: a row that was read before is not put afterwards.
	generation *atomic.Uint64

	mu   *sync.RWMutex
	rows map[userKey]cached
}

type cached struct {
	user        User
	from, until time.Time
}

func newCache(ttl time.Duration, size int) cache {
	return cache{ttl: ttl, size: size, generation: &atomic.Uint64{}, mu: &sync.RWMutex{}, rows: map[userKey]cached{}}
}

func (c *cache) get(key userKey, now time.Time) (User, bool) {
	c.mu.RLock()
	found, ok := c.rows[key]
	c.mu.RUnlock()
	// A clock that was set back ends it too.
	if !ok || !now.Before(found.until) || now.Before(found.from) {
		return User{}, false
	}
	return found.user, true
}

func (c *cache) put(generation uint64, u User, now time.Time) {
	if c.ttl <= 0 || u.Status != StatusActive {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation.Load() != generation {
		return
	}
	key := userKey{u.Issuer, u.Subject}
	if _, there := c.rows[key]; !there && len(c.rows) >= c.size {
		c.shrink(now)
	}
	c.rows[key] = cached{u, now, now.Add(c.ttl)}
}

// shrink drops what is old, and if that is not enough, a tenth of the rest.
func (c *cache) shrink(now time.Time) {
	for key, one := range c.rows {
		if !now.Before(one.until) {
			delete(c.rows, key)
		}
	}
	for key := range c.rows {
		if len(c.rows) <= c.size-c.size/10-1 {
			return
		}
		delete(c.rows, key)
	}
}

func (c *cache) forget(key userKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation.Add(1)
	delete(c.rows, key)
}

// forgetRow drops a row under whatever subject. A new row has only one.
func (c *cache) forgetRow(u User) {
	c.forget(userKey{u.Issuer, u.Subject})
	if u.Version == 1 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, one := range c.rows {
		if one.user.ID == u.ID {
			delete(c.rows, key)
		}
	}
}
