package cardea

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// countingSource counts how often a token was really verified.
type countingSource struct {
	mu    sync.Mutex
	calls int
	keys  []Key
	hook  func()
}

func (s *countingSource) Keys(context.Context, string) ([]Key, error) {
	s.mu.Lock()
	s.calls++
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	return s.keys, nil
}

func (s *countingSource) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func cached(t *testing.T, change func(*Config)) (*Verifier, *countingSource, *fakeClock) {
	t.Helper()
	source, clock := &countingSource{keys: []Key{ecKey("ec")}}, newFakeClock()
	c := Config{Now: clock.Now, Issuers: []Issuer{{URL: testIssuer, Audiences: []string{testAudience}, Keys: source}}}
	if change != nil {
		change(&c)
	}
	return mustVerifier(t, c), source, clock
}

func wantCode(t *testing.T, v *Verifier, token string, want Code) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); CodeOf(err) != want {
		t.Fatalf("got %v, want %q", err, want)
	}
}

// TestCacheTime: S2.6 and A8.5, 60 s and never past exp.
func TestCacheTime(t *testing.T) {
	t.Parallel()
	v, source, clock := cached(t, nil)
	now := testNow().Unix()
	long, short := esToken(), esToken(map[string]any{"exp": now + 10})
	wantCode(t, v, long, "")
	clock.Advance(59 * time.Second)
	wantCode(t, v, long, "")
	if source.count() != 1 {
		t.Fatalf("verified %d times", source.count())
	}
	clock.Advance(time.Second)
	wantCode(t, v, long, "")
	if source.count() != 2 {
		t.Fatalf("verified %d times after 60 s", source.count())
	}
	clock.Advance(-60 * time.Second)
	wantCode(t, v, short, "")
	clock.Advance(9 * time.Second)
	wantCode(t, v, short, "")
	clock.Advance(time.Second)
	wantCode(t, v, short, CodeExpired)
	clock.Advance(time.Second)
	wantCode(t, v, short, CodeExpired) // exp + 1 s
}

// TestCacheClockSetBack: an entry from the future is not used.
func TestCacheClockSetBack(t *testing.T) {
	t.Parallel()
	v, _, clock := cached(t, nil)
	token := esToken()
	wantCode(t, v, token, "")
	clock.Advance(-time.Hour)
	wantCode(t, v, token, CodeNotYetValid)
}

// TestCacheKeepsTheSamePrincipal: a hit costs no parsing.
func TestCacheKeepsTheSamePrincipal(t *testing.T) {
	t.Parallel()
	v, _, _ := cached(t, nil)
	a, _ := v.Verify(t.Context(), esToken())
	token := esToken()
	b, _ := v.Verify(t.Context(), token)
	c, err := v.Verify(t.Context(), token)
	if a == b || b != c || err != nil {
		t.Error("tokens are mixed up")
	}
	if _, err := v.Verify(t.Context(), token+"A"); err == nil {
		t.Error("a longer token hits")
	}
}

func TestCacheOff(t *testing.T) {
	t.Parallel()
	v, source, _ := cached(t, func(c *Config) { c.CacheTTL = -1 })
	token := esToken()
	wantCode(t, v, token, "")
	wantCode(t, v, token, "")
	if source.count() != 2 || v.EvictUser(testIssuer, "x") != 0 {
		t.Error("something is cached")
	}
}

func TestEvict(t *testing.T) {
	t.Parallel()
	v, source, _ := cached(t, nil)
	var tokens []string
	for i := range 4 {
		tokens = append(tokens, esToken(map[string]any{"sub": "user-" + strconv.Itoa(i/2), "session_id": "session-" + strconv.Itoa(i), "tenant_id": "t" + strconv.Itoa(i), "memberships": []any{"t" + strconv.Itoa(i/2*2)}}))
		wantCode(t, v, tokens[i], "")
	}
	wantCode(t, v, esToken(map[string]any{"session_id": absent}), "")
	if n := v.EvictSession(testIssuer, "session-3"); n != 1 {
		t.Errorf("session: %d", n)
	}
	if n := v.EvictSession(testIssuer, ""); n != 0 {
		t.Errorf("no session: %d", n)
	}
	if n := v.EvictSession("https://other", "session-0"); n != 0 {
		t.Errorf("other issuer: %d", n)
	}
	if n := v.EvictUser(testIssuer, "user-0"); n != 2 {
		t.Errorf("user: %d", n)
	}
	before := source.count()
	for _, token := range tokens {
		wantCode(t, v, token, "")
	}
	if source.count() != before+3 {
		t.Errorf("%d verifications", source.count()-before)
	}
	if n := v.EvictTenant(testIssuer, "") + v.EvictTenant(testIssuer, "t9") + v.EvictTenant("https://other", "t1") + v.EvictIssuer("https://other"); n != 0 {
		t.Errorf("nobody's tenant or issuer: %d", n)
	}
	if n := v.EvictTenant(testIssuer, "t0"); n != 2 {
		t.Errorf("tenant: %d", n)
	}
	for _, token := range tokens {
		wantCode(t, v, token, "")
	}
	if n := v.EvictIssuer(testIssuer); n != 5 || v.cache.len() != 0 {
		t.Errorf("issuer: %d", n)
	}
	for _, token := range append(tokens, esToken()) {
		wantCode(t, v, token, "")
	}
	if n := v.Evict(func(*Principal) bool { return true }); n != 5 || v.cache.len() != 0 {
		t.Errorf("all: %d", n)
	}
}

// TestEvictWhileVerifying: a verification that began before an eviction caches nothing.
func TestEvictWhileVerifying(t *testing.T) {
	t.Parallel()
	v, source, _ := cached(t, nil)
	source.hook = func() { v.EvictUser(testIssuer, "x") }
	wantCode(t, v, esToken(), "")
	if v.cache.len() != 0 {
		t.Error("cached in spite of the eviction")
	}
}

// TestCacheBound: A8.5, never more than the configured number, and the newest stay.
func TestCacheBound(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 10, 255, 256, 300, 5000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			c := newTokenCache(size, time.Minute)
			now := testNow()
			var last cacheKey
			for i := range 3 * size {
				now = now.Add(time.Microsecond)
				last = sha256.Sum256([]byte(strconv.Itoa(i)))
				c.put(0, &last, &Principal{ExpiresAt: now.Add(time.Hour)}, now)
				if i%(size/8+1) == 0 && c.len() > size {
					t.Fatalf("%d entries", c.len())
				}
			}
			if c.get(&last, now) == nil || c.len() > size {
				t.Errorf("the newest is gone, or %d > %d", c.len(), size)
			}
			if size >= 256 && c.len() < size*8/10 {
				t.Errorf("only %d of %d used", c.len(), size)
			}
			// What is out of its time goes first, all of it.
			now = now.Add(time.Hour)
			for i := range size {
				k := sha256.Sum256([]byte("new" + strconv.Itoa(i)))
				c.put(0, &k, &Principal{ExpiresAt: now.Add(time.Hour)}, now)
			}
			if c.len() > size {
				t.Errorf("%d entries", c.len())
			}
		})
	}
}

// TestCacheSameInstant: many entries of one instant still make room.
func TestCacheSameInstant(t *testing.T) {
	t.Parallel()
	c := newTokenCache(20, time.Minute)
	now := testNow()
	for i := range 1000 {
		k := sha256.Sum256([]byte(strconv.Itoa(i)))
		c.put(0, &k, &Principal{ExpiresAt: now.Add(time.Hour)}, now)
		if n := c.len(); n > 20 || n < min(i, 17) {
			t.Fatalf("%d entries", n)
		}
	}
}

// TestCacheParallel is for the race detector.
func TestCacheParallel(t *testing.T) {
	t.Parallel()
	v, _, _ := cached(t, func(c *Config) { c.CacheSize = 8 })
	var tokens []string
	for i := range 16 {
		tokens = append(tokens, esToken(map[string]any{"sub": strconv.Itoa(i)}))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 64 {
				n := (g + i) % len(tokens)
				p, err := v.Verify(t.Context(), tokens[n])
				if err != nil || p.Subject != strconv.Itoa(n) {
					t.Errorf("%v %v", p, err)
				}
				if i%16 == 0 {
					v.EvictUser(testIssuer, strconv.Itoa(n))
				}
			}
		})
	}
	wg.Wait()
}
