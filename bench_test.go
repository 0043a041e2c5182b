package cardea

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func benchAlgorithms() []string { return []string{"ES256", "RS256", "EdDSA", "HS256"} }

// nothing is a response writer that costs nothing.
type nothing struct{ header http.Header }

func (n nothing) Header() http.Header         { return n.header }
func (n nothing) Write(b []byte) (int, error) { return len(b), nil }
func (n nothing) WriteHeader(int)             {}

// guarded gives the whole path: header → Principal in the context, read by a handler.
func guarded(b *testing.B, v *Verifier) http.Handler {
	b.Helper()
	return v.Require(Authenticated())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if p, ok := PrincipalFrom(r.Context()); !ok || p.Subject == "" {
			b.Error("no Principal")
		}
	}))
}

func request(token string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/cases/1", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func benchConfig(b *testing.B) Config {
	b.Helper()
	c := testConfig(b)
	c.Now = nil // the real clock costs something too
	return c
}

// freshToken is a good token of realistic size at the real time.
func freshToken(b *testing.B, v *Verifier, alg string, n int) string {
	b.Helper()
	now := v.now().Unix()
	claims := testClaims(map[string]any{"iat": now - 60, "exp": now + 3600, "sub": "7d1f0f5a-0000-7000-8000-" + strconv.Itoa(100_000_000_000+n)})
	switch alg {
	case "RS256":
		return mint(map[string]any{"alg": alg, "typ": "JWT", "kid": "rsa"}, claims, testKeys().rsa)
	case "EdDSA":
		return mint(map[string]any{"alg": alg, "typ": "JWT", "kid": "ed"}, claims, testKeys().ed)
	case "HS256":
		return mint(map[string]any{"alg": alg, "typ": "JWT"}, claims, testKeys().secret)
	}
	return mint(map[string]any{"alg": alg, "typ": "JWT", "kid": "ec"}, claims, testKeys().ec)
}

// BenchmarkMiddlewareCached: the goal is 1 µs and 4 allocations.
func BenchmarkMiddlewareCached(b *testing.B) {
	v := mustVerifier(b, benchConfig(b))
	h, r, w := guarded(b, v), request(freshToken(b, v, "ES256", 0)), nothing{http.Header{}}
	h.ServeHTTP(w, r)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// BenchmarkMiddlewareCachedParallel uses all cores and 4,000 tokens.
func BenchmarkMiddlewareCachedParallel(b *testing.B) {
	v := mustVerifier(b, benchConfig(b))
	h := guarded(b, v)
	requests := make([]*http.Request, 4000)
	for i := range requests {
		requests[i] = request(freshToken(b, v, "HS256", i))
		h.ServeHTTP(nothing{http.Header{}}, requests[i])
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := nothing{http.Header{}}
		for i := 0; pb.Next(); i++ {
			h.ServeHTTP(w, requests[i%len(requests)])
		}
	})
}

// BenchmarkMiddlewareDistinct goes through 10,000 different tokens: twice as many as the
// cache holds, so that most are verified anew, and with a cache for all of them.
func BenchmarkMiddlewareDistinct(b *testing.B) {
	for _, size := range []int{5000, 20_000} {
		b.Run("cache="+strconv.Itoa(size), func(b *testing.B) {
			c := benchConfig(b)
			c.CacheSize = size
			v := mustVerifier(b, c)
			h, w := guarded(b, v), nothing{http.Header{}}
			requests := make([]*http.Request, 10_000)
			for i := range requests {
				requests[i] = request(freshToken(b, v, "HS256", i))
				h.ServeHTTP(w, requests[i])
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				h.ServeHTTP(w, requests[i%len(requests)])
				i++
			}
		})
	}
}

// BenchmarkMiddlewareDenylist is BenchmarkMiddlewareCached with 10,000 revocations to
// look through.
func BenchmarkMiddlewareDenylist(b *testing.B) {
	c, list := benchConfig(b), NewDenylist(DenylistConfig{})
	c.Revoked = list.Check
	for i := range 10_000 {
		list.RevokeSession(testIssuer, strconv.Itoa(i), "bench")
	}
	v := mustVerifier(b, c)
	h, r, w := guarded(b, v), request(freshToken(b, v, "ES256", 0)), nothing{http.Header{}}
	h.ServeHTTP(w, r)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// BenchmarkFullCache says how much memory a full cache of the default size takes.
func BenchmarkFullCache(b *testing.B) {
	c := benchConfig(b)
	v := mustVerifier(b, c)
	tokens := make([]string, defaultCacheSize)
	for i := range tokens {
		tokens[i] = freshToken(b, v, "HS256", i)
	}
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		v := mustVerifier(b, c)
		for _, token := range tokens {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		held := v.cache.len() // also keeps the cache from being collected before
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(held), "B/token")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	}
}

// BenchmarkMiddlewareUncached: the goal for ES256 is 1.3 × BenchmarkRawVerify/ES256.
func BenchmarkMiddlewareUncached(b *testing.B) {
	c := benchConfig(b)
	c.CacheTTL = -1
	v := mustVerifier(b, c)
	for _, alg := range benchAlgorithms() {
		b.Run(alg, func(b *testing.B) {
			h, r, w := guarded(b, v), request(freshToken(b, v, alg, 0)), nothing{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkRawVerify is the signature alone: hash and key operation of a token that is
// taken apart already, which no verifier can do without.
func BenchmarkRawVerify(b *testing.B) {
	k := testKeys()
	public := map[string]Key{
		"ES256": {Algorithm: "ES256", Public: &k.ec.PublicKey}, "RS256": {Algorithm: "RS256", Public: &k.rsa.PublicKey},
		"EdDSA": {Algorithm: "EdDSA", Public: k.ed.Public()}, "HS256": {Algorithm: "HS256", Public: k.secret},
	}
	for _, alg := range benchAlgorithms() {
		token := freshToken(b, mustVerifier(b, benchConfig(b)), alg, 0)
		dot := strings.LastIndexByte(token, '.')
		sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
		if err != nil {
			b.Fatal(err)
		}
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := public[alg].verify(token[:dot], sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefused: a flood of forged tokens must be cheap to turn away.
func BenchmarkRefused(b *testing.B) {
	v := mustVerifier(b, testConfig(b))
	good := esToken()
	for name, token := range map[string]string{
		"junk":            "test-token",
		"unknown issuer":  esToken(map[string]any{"iss": "https://evil.test"}),
		"700 names":       rawES(`{"alg":"ES256","kid":"ec"}`, tinyNames(700)),
		"forged":          good[:len(good)-8] + "AAAAAAAA",
		"8 KiB of braces": rawES(`{"alg":"ES256","kid":"ec"}`, strings.Repeat("[", 5900)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// tinyNames is an object with n different short names.
func tinyNames(n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteString(`,"` + strconv.FormatInt(int64(i), 36) + `":1`)
	}
	return "{" + s.String()[1:] + "}"
}
