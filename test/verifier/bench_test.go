package verifier

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// tokenNow is a good token of realistic size (some 750 bytes) at the real time.
func tokenNow(alg string, user int) string {
	key, kid := testKeys().signer(alg)
	now := time.Now()
	return mint(headerOf(alg, kid), claimsAt(now, object{"sub": "7d1f0f5a-0000-7000-8000-" + strconv.Itoa(100_000_000_000+user)}), key)
}

// nothing is a response writer that costs nothing.
type nothing struct {
	header http.Header
	status int
}

func (n *nothing) Header() http.Header         { return n.header }
func (n *nothing) Write(b []byte) (int, error) { return len(b), nil }
func (n *nothing) WriteHeader(status int)      { n.status = status }

func requestWith(b testing.TB, token string) *http.Request {
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/cases/1", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// serve sends requests out of the list, in random order, from as many goroutines as there
// are processors (-cpu), through the middleware to a handler.
func serve(b *testing.B, middleware func(http.Handler) http.Handler, requests []*http.Request) {
	b.Helper()
	var failed, goroutines atomic.Int64
	h := middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := &nothing{header: http.Header{}}
		random := rand.New(rand.NewPCG(uint64(goroutines.Add(1)), 0))
		for pb.Next() {
			h.ServeHTTP(w, requests[random.IntN(len(requests))])
			if w.status != http.StatusNoContent {
				failed.Add(1)
			}
		}
	})
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d requests were refused", n)
	}
}

// BenchmarkUncached is the whole way from the header to claims in the context, with
// everything verified anew; raw is the signature alone. The goal is 1.3 × raw for ES256.
func BenchmarkUncached(b *testing.B) {
	for _, alg := range benchAlgorithms() {
		b.Run(alg, func(b *testing.B) {
			token := tokenNow(alg, 0)
			b.Run("raw", func(b *testing.B) {
				verify := rawVerify(b, alg, token)
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						verify()
					}
				})
			})
			comparePeers(b, alg, []*http.Request{requestWith(b, token)})
		})
	}
}

// BenchmarkUncachedUsers is the same with 10,000 tokens in random order.
func BenchmarkUncachedUsers(b *testing.B) { comparePeers(b, "ES256", requestsWith(b, manyTokens())) }

func comparePeers(b *testing.B, alg string, requests []*http.Request) {
	b.Helper()
	for _, p := range peers() {
		if middleware := p.make(b, alg); middleware != nil {
			b.Run(p.name, func(b *testing.B) { serve(b, middleware, requests) })
		}
	}
}

// manyTokens are 10,000 ES256 tokens of as many users, made once and never changed.
var manyTokens = sync.OnceValue(func() []string {
	tokens := make([]string, 10_000)
	for i := range tokens {
		tokens[i] = tokenNow("ES256", i)
	}
	return tokens
})

func requestsWith(b testing.TB, tokens []string) []*http.Request {
	list := make([]*http.Request, len(tokens))
	for i, token := range tokens {
		list[i] = requestWith(b, token)
	}
	return list
}

// BenchmarkCached is the same way for tokens that were seen before: one, 10,000 that the
// cache has room for, and 10,000 of which a cache of the default size (5,000) keeps less
// than half, in random order: no real service is used so evenly.
// The goal is 1 µs and 4 allocations.
func BenchmarkCached(b *testing.B) {
	for _, bc := range []struct {
		name         string
		tokens, size int
	}{{"1 token", 1, 0}, {"10000 tokens, room for all", 10_000, 20_000}, {"10000 tokens, default size", 10_000, 0}} {
		b.Run(bc.name, func(b *testing.B) {
			c := testConfig(b)
			c.Now, c.CacheTTL, c.CacheSize = nil, time.Hour, bc.size
			v := mustVerifier(b, c)
			requests := requestsWith(b, manyTokens()[:bc.tokens])
			guard := v.Require(cardea.Authenticated())
			h := guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			for _, r := range requests {
				h.ServeHTTP(&nothing{header: http.Header{}}, r)
			}
			serve(b, guard, requests)
		})
	}
}

// BenchmarkFullCache is the memory that a full cache of the default size holds, each
// token of another user.
func BenchmarkFullCache(b *testing.B) {
	const size = 5000
	tokens := manyTokens()
	var bytes, entries int
	for b.Loop() {
		c := testConfig(b)
		c.Now, c.CacheTTL = nil, time.Hour
		v := mustVerifier(b, c)
		before := heap()
		for _, token := range tokens {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
		bytes = heap() - before
		entries = v.Evict(func(*cardea.Principal) bool { return true })
	}
	if entries > size || entries < size/2 {
		b.Fatalf("%d entries", entries)
	}
	b.ReportMetric(float64(bytes)/float64(entries), "B/entry")
	b.ReportMetric(float64(bytes)/(1<<20), "MiB")
	b.ReportMetric(float64(entries), "entries")
}

// heap gives the bytes that are in use after a collection.
func heap() int {
	runtime.GC()
	runtime.GC() // finalisers of the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// BenchmarkForgedKids is what one token with a kid that nobody knows costs, while the
// window for asking about such kids is used up.
func BenchmarkForgedKids(b *testing.B) {
	r := newRemote(b, serving(jwksOf(ecKey("ec"))))
	tokens := make([]string, 1000)
	for i := range tokens {
		tokens[i] = unsigned(headerOf("ES256", "forged-"+strconv.Itoa(i)), make([]byte, 64))
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := r.Verify(b.Context(), tokens[i%len(tokens)]); cardea.CodeOf(err) != cardea.CodeKeyNotFound {
				b.Fatal(err)
			}
		}
	})
	if n := r.server.fetches.Load(); n > 2 {
		b.Fatalf("%d fetches", n)
	}
}
