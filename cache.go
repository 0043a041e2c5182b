package cardea

import (
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// tokenCache remembers tokens that were verified: SHA-256 of the token → Principal. The
// token itself is not kept, so a memory dump holds nothing that could be replayed, and
// the hash needs no constant-time comparison: who can make a colliding hash can forge
// signatures too.
type tokenCache struct {
	shards     []cacheShard
	perShard   int
	ttl        time.Duration
	generation atomic.Uint64 // counts evictions, see put
}

type cacheKey = [sha256.Size]byte

type cacheShard struct {
	mu      sync.RWMutex
	entries map[cacheKey]cacheEntry
	_       [32]byte // keeps the locks of neighbours out of one cache line
}

type cacheEntry struct {
	principal   *Principal
	from, until int64 // Unix nanoseconds
}

const cacheShards = 16

// newTokenCache never holds more than size entries.
func newTokenCache(size int, ttl time.Duration) *tokenCache {
	n := cacheShards
	if size < 16*cacheShards {
		n = 1 // shards of a handful of entries would overflow long before size
	}
	c := &tokenCache{shards: make([]cacheShard, n), perShard: size / n, ttl: ttl}
	for i := range c.shards {
		c.shards[i].entries = make(map[cacheKey]cacheEntry)
	}
	return c
}

func (c *tokenCache) shard(key *cacheKey) *cacheShard {
	return &c.shards[int(key[0])%len(c.shards)]
}

// get gives the Principal if the entry is in its time at now. The expiry of the token is
// part of that time, so no hit outlives it; and an entry from the future means that the
// clock was set back, so its time can't be trusted.
func (c *tokenCache) get(key *cacheKey, now time.Time) *Principal {
	s := c.shard(key)
	s.mu.RLock()
	e, ok := s.entries[*key]
	s.mu.RUnlock()
	if !ok {
		return nil
	}
	if t := now.UnixNano(); t < e.from || t >= e.until {
		return nil
	}
	return e.principal
}

// put stores a Principal, unless something was evicted since the caller read
// generation: the verification could have begun before the eviction that was meant
// for this very token.
func (c *tokenCache) put(generation uint64, key *cacheKey, p *Principal, now time.Time) {
	until := now.Add(c.ttl)
	if p.ExpiresAt.Before(until) {
		until = p.ExpiresAt
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.generation.Load() != generation {
		return
	}
	if _, replaced := s.entries[*key]; !replaced && len(s.entries) >= c.perShard {
		s.shrink(now.UnixNano())
	}
	s.entries[*key] = cacheEntry{principal: p, from: now.UnixNano(), until: until.UnixNano()}
}

// shrink drops what is out of its time; if nothing is, the oldest tenth.
func (s *cacheShard) shrink(now int64) {
	before := len(s.entries)
	for k, e := range s.entries {
		if now < e.from || now >= e.until {
			delete(s.entries, k)
		}
	}
	if len(s.entries) < before {
		return
	}
	ages := make([]int64, 0, before)
	for _, e := range s.entries {
		ages = append(ages, e.from)
	}
	slices.Sort(ages)
	n := before/10 + 1
	limit := ages[min(n, before)-1]
	for k, e := range s.entries {
		if e.from <= limit && n > 0 {
			delete(s.entries, k)
			n--
		}
	}
}

// evict drops every entry whose Principal matches and says how many.
func (c *tokenCache) evict(match func(*Principal) bool) int {
	c.generation.Add(1) // before the scan: a put that comes after it sees the change
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for k, e := range s.entries {
			if match(e.principal) {
				delete(s.entries, k)
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

func (c *tokenCache) len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += len(s.entries)
		s.mu.RUnlock()
	}
	return n
}
