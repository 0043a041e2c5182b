package token

import (
	"crypto/sha256"
	"sync"
	"time"
)

// cacheFor is how long an answer about an API key is remembered: the longest time that a
// key stays good after its revocation.
const cacheFor = 3 * time.Second

// Bounds of the cache, in entries of about 150 bytes.
const (
	maxGood = 4096
	maxBad  = 1024
)

// cacheKey is the SHA-256 of a credential: the cache holds none itself.
type cacheKey = [sha256.Size]byte

// answer is a role, or why the credential is refused.
type answer struct {
	role string
	err  error
}

type cached struct {
	answer
	until time.Time
}

// roleCache remembers answers about API keys. Good and bad ones have room of their own, so
// that a flood of invented keys can't push out those in use.
type roleCache struct {
	mu     sync.RWMutex
	good   map[cacheKey]cached
	bad    map[cacheKey]cached
	clears uint64
}

func newRoleCache() *roleCache {
	return &roleCache{good: map[cacheKey]cached{}, bad: map[cacheKey]cached{}}
}

func (c *roleCache) get(key cacheKey, now time.Time) (answer, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.good[key]
	if !ok {
		found, ok = c.bad[key]
	}
	if !ok || !now.Before(found.until) {
		return answer{}, false
	}
	return found.answer, true
}

// put remembers an answer for [cacheFor] from asked, the moment before it was looked up,
// or until expires when that is set and sooner.
func (c *roleCache) put(key cacheKey, a answer, asked, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(key, a, asked, expires)
}

// putIf does so only if nothing was cleared since generation: an answer that the store
// gave before a revocation must not outlive it.
func (c *roleCache) putIf(generation uint64, key cacheKey, a answer, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clears == generation {
		c.store(key, a, asked, time.Time{})
	}
}

func (c *roleCache) store(key cacheKey, a answer, asked, expires time.Time) {
	until := asked.Add(cacheFor)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	room, limit := c.good, maxGood
	if a.err != nil {
		room, limit = c.bad, maxBad
	}
	if len(room) >= limit {
		makeRoom(room, limit, asked)
	}
	room[key] = cached{answer: a, until: until}
}

// makeRoom drops what has expired and, if that is too little, an eighth at random. It runs
// once per limit/8 insertions at most, so that its cost is spread.
func makeRoom(room map[cacheKey]cached, limit int, now time.Time) {
	for key, e := range room {
		if !now.Before(e.until) {
			delete(room, key)
		}
	}
	for key := range room {
		if len(room) <= limit-limit/8 {
			return
		}
		delete(room, key)
	}
}

func (c *roleCache) generation() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.clears
}

func (c *roleCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.good)
	clear(c.bad)
	c.clears++
}
