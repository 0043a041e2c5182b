package cardea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// keyServer is an issuer's JWKS address that tests break and repair.
type keyServer struct {
	*httptest.Server
	fetches atomic.Int64
	mu      sync.Mutex
	handler http.HandlerFunc
}

func newKeyServer(t testing.TB, keys ...Key) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.serve(keys...)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		s.mu.Lock()
		h := s.handler
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

func (s *keyServer) serve(keys ...Key) {
	s.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwksOf(keys...)) })
}

func (s *keyServer) status(code int) {
	s.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// remoteFixture is a Verifier with a key server, a clock and a record of its pauses.
type remoteFixture struct {
	*Verifier
	server *keyServer
	clock  *fakeClock
	pauses *atomic.Int64
}

func newRemote(t testing.TB, keys ...Key) remoteFixture {
	t.Helper()
	r := remoteFixture{server: newKeyServer(t, keys...), clock: newFakeClock(), pauses: &atomic.Int64{}}
	r.Verifier = mustVerifier(t, Config{
		Issuers: []Issuer{{URL: testIssuer, Audiences: []string{testAudience}, JWKSURL: r.server.URL + "/jwks.json"}},
		Now:     r.clock.Now, CacheTTL: -1, HTTPClient: r.server.Client(),
		Sleep: func(_ context.Context, d time.Duration) error {
			if d != 300*time.Millisecond {
				t.Errorf("pause of %s", d)
			}
			r.pauses.Add(1)
			return nil
		},
	})
	return r
}

// token is a good token at the clock's time.
func (r remoteFixture) token(kid string) string {
	now := r.clock.Now().Unix()
	return mint(map[string]any{"alg": "ES256", "kid": kid}, testClaims(map[string]any{"iat": now, "exp": now + 3600}), testKeys().ec)
}

func (r remoteFixture) want(t *testing.T, kid string, want Code) {
	t.Helper()
	if _, err := r.Verify(t.Context(), r.token(kid)); CodeOf(err) != want {
		t.Fatalf("kid %s: got %v, want %q", kid, err, want)
	}
}

func (r remoteFixture) wantFetches(t *testing.T, want int64) {
	t.Helper()
	if got := r.server.fetches.Load(); got != want {
		t.Fatalf("%d fetches, want %d", got, want)
	}
}

// settle waits for a fetch in the background.
func (r remoteFixture) settle() {
	s, ok := r.issuers[testIssuer].keys.(*jwks)
	if !ok {
		return
	}
	s.mu.Lock()
	f := s.flight
	s.mu.Unlock()
	if f != nil {
		<-f.done
	}
}

func ecKey(kid string) Key { return Key{ID: kid, Algorithm: "ES256", Public: &testKeys().ec.PublicKey} }

// TestFirstRequests: A8.4, 1,000 parallel first requests make one fetch.
func TestFirstRequests(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("ec"))
	token := r.token("ec")
	var wg sync.WaitGroup
	var failed atomic.Int64
	start := make(chan struct{})
	for range 1000 {
		wg.Go(func() {
			<-start
			if _, err := r.Verify(t.Context(), token); err != nil {
				failed.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d requests failed", failed.Load())
	}
	r.wantFetches(t, 1)
}

// TestForgedKids: A8.4, forged kids make one fetch a window, and good tokens go on.
func TestForgedKids(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("ec"))
	for i := range 1000 {
		r.want(t, fmt.Sprintf("forged-%d", i), CodeKeyNotFound)
	}
	if got := r.server.fetches.Load(); got > 2 {
		t.Fatalf("%d fetches from a cold start", got)
	}
	r.want(t, "ec", "")
	before := r.server.fetches.Load()
	r.clock.Advance(jwksWindow)
	for i := range 1000 {
		r.want(t, fmt.Sprintf("again-%d", i), CodeKeyNotFound)
	}
	r.wantFetches(t, before+1)
	// An HS256 token can't be in a public key set: no fetch at all.
	r.clock.Advance(jwksWindow)
	_, err := r.Verify(t.Context(), mint(map[string]any{"alg": "HS256", "kid": "x"}, testClaims(), testKeys().secret))
	if CodeOf(err) != CodeAlgorithmNotAllowed {
		t.Error(err)
	}
	r.wantFetches(t, before+1)
}

// TestRotation: a new kid is found at once, a withdrawn one is gone after the TTL.
func TestRotation(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("old"))
	r.want(t, "old", "")
	r.server.serve(ecKey("old"), ecKey("new"))
	r.want(t, "new", "")
	r.wantFetches(t, 2)
	r.server.serve(ecKey("new"))
	r.want(t, "old", "") // still fresh
	r.clock.Advance(time.Hour)
	r.want(t, "old", CodeKeyNotFound) // nobody asked since, but the TTL is over
	r.want(t, "new", "")
}

// TestBackgroundRefresh: in the last fifth of the TTL nobody waits.
func TestBackgroundRefresh(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("ec"))
	r.want(t, "ec", "")
	release := make(chan struct{})
	r.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(jwksOf(ecKey("ec")))
	})
	r.clock.Advance(50 * time.Minute)
	for range 10 {
		r.want(t, "ec", "") // would hang if it waited
	}
	close(release)
	r.settle()
	r.wantFetches(t, 2)
	r.clock.Advance(20 * time.Minute) // past the first TTL, within the second
	r.want(t, "ec", "")
	r.wantFetches(t, 2)
}

// TestIssuerDown: A8.2, A8.3. Known keys go on, bounded; what only the issuer knows is 503.
func TestIssuerDown(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("ec"))
	r.want(t, "ec", "")
	r.server.status(http.StatusInternalServerError)

	r.want(t, "unknown", CodeProviderUnreachable)
	r.wantFetches(t, 1+remoteAttempts)
	if r.pauses.Load() != 2 {
		t.Errorf("%d pauses, want 2", r.pauses.Load())
	}
	r.want(t, "unknown-2", CodeProviderUnreachable) // within the window: no further fetch
	r.wantFetches(t, 1+remoteAttempts)
	r.want(t, "ec", "")

	expired := mint(map[string]any{"alg": "ES256", "kid": "unknown-3"}, testClaims(map[string]any{"exp": testNow().Unix() - 1}), testKeys().ec)
	if _, err := r.Verify(t.Context(), expired); CodeOf(err) != CodeExpired {
		t.Errorf("expired token of an unknown kid: %v", err)
	}

	for range 24 { // 24 h of outage
		r.clock.Advance(time.Hour)
		r.want(t, "ec", "")
		r.settle()
	}
	r.clock.Advance(time.Hour + time.Second)
	r.want(t, "ec", CodeProviderUnreachable)
	before := r.server.fetches.Load()
	r.want(t, "ec", CodeProviderUnreachable) // rests between tries
	r.wantFetches(t, before)
	r.clock.Advance(remoteBackoff)
	r.server.serve(ecKey("ec"))
	r.want(t, "ec", "")
	r.want(t, "unknown", CodeKeyNotFound)
}

// TestOutageDoesNotBlock: with old keys at hand nobody waits for an issuer that hangs.
func TestOutageDoesNotBlock(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("ec"))
	r.want(t, "ec", "")
	r.server.status(http.StatusBadGateway)
	r.clock.Advance(time.Hour)
	r.want(t, "ec", "") // notices the outage
	r.settle()
	hang := make(chan struct{})
	r.server.answer(func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	r.clock.Advance(time.Minute)
	for range 10 {
		r.want(t, "ec", "")
	}
}

// TestFetchFailures: every way in which the first fetch fails is a 503, and only what
// may pass by itself is tried again.
func TestFetchFailures(t *testing.T) {
	t.Parallel()
	other := newKeyServer(t, ecKey("ec"))
	cases := []struct {
		name    string
		handler http.HandlerFunc
		fetches int64
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 3},
		{"429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, 3},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 1},
		{"403", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, 1},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 1},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, 1},
		{"no keys member", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"Keys":[]}`)) }, 1},
		{"keys twice", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[],"keys":[]}`)) }, 1},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", remoteMaxBody) + `]}`))
		}, 1},
		{"connection cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 3},
		{"body cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":[`))
		}, 3},
		{"redirect to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/jwks.json", http.StatusFound)
		}, 1},
		{"redirect in circles", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusFound)
		}, 4},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t)
			r.server.answer(tc.handler)
			r.want(t, "ec", CodeProviderUnreachable)
			r.wantFetches(t, tc.fetches)
			r.want(t, "ec", CodeProviderUnreachable)
			r.wantFetches(t, tc.fetches) // remembered
			r.server.serve(ecKey("ec"))
			r.clock.Advance(remoteBackoff)
			r.want(t, "ec", "")
		})
	}
	if other.fetches.Load() != 0 {
		t.Error("another host was asked for keys")
	}
}

func TestRedirectWithinHost(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.server.answer(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/moved" {
			http.Redirect(w, req, "/moved", http.StatusMovedPermanently)
			return
		}
		_, _ = w.Write(jwksOf(ecKey("ec")))
	})
	r.want(t, "ec", "")
}

// TestNoServer: DNS or connection failures, with the request's own deadline.
func TestNoServer(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.server.Close()
	r.want(t, "ec", CodeProviderUnreachable)
	if r.pauses.Load() != 2 {
		t.Errorf("%d pauses", r.pauses.Load())
	}
}

// TestCancelledRequest: one caller who leaves does not end the fetch of the others.
func TestCancelledRequest(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	asked, release := make(chan struct{}), make(chan struct{})
	r.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		_, _ = w.Write(jwksOf(ecKey("ec")))
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := r.Verify(ctx, r.token("ec"))
		result <- err
	}()
	<-asked
	cancel()
	if err := <-result; CodeOf(err) != CodeProviderUnreachable || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	r.want(t, "ec", "")
	r.wantFetches(t, 1)
}

// TestSleepCancelled: a Sleep that ends early ends the tries.
func TestSleepCancelled(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t)
	server.status(500)
	v := mustVerifier(t, Config{Now: testNow, Issuers: []Issuer{{URL: server.URL, Audiences: []string{"a"}}},
		Sleep: func(context.Context, time.Duration) error { return context.Canceled }})
	_, err := v.Verify(t.Context(), esToken(map[string]any{"iss": server.URL, "aud": "a"}))
	if CodeOf(err) != CodeProviderUnreachable || server.fetches.Load() != 1 {
		t.Errorf("%v after %d fetches", err, server.fetches.Load())
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	if err := pause(t.Context(), time.Nanosecond); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestEmptySet: an issuer without public keys (S2.4) is not asked again and again.
func TestEmptySet(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	for range 10 {
		r.want(t, "ec", CodeKeyNotFound)
	}
	r.wantFetches(t, 2)
}

// TestClockSetBack: the verifier recovers when the clock jumps an hour back.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("ec"))
	r.want(t, "unknown", CodeKeyNotFound)
	r.want(t, "unknown", CodeKeyNotFound) // uses the window
	r.clock.Advance(-time.Hour)
	r.server.serve(ecKey("ec"), ecKey("new"))
	r.want(t, "new", "")
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, control, age string
		limit, want        time.Duration
	}{
		{"none", "", "", time.Hour, time.Hour},
		{"shorter", "public, max-age=600", "", time.Hour, 10 * time.Minute},
		{"quoted", `max-age="600"`, "", time.Hour, 10 * time.Minute},
		{"capitals", "Public,MAX-AGE=600", "", time.Hour, 10 * time.Minute},
		{"longer", "max-age=86400", "", time.Hour, time.Hour},
		{"zero", "max-age=0", "", time.Hour, jwksMinTTL},
		{"aged", "max-age=600", "300", time.Hour, 5 * time.Minute},
		{"older than its age", "max-age=600", "900", time.Hour, jwksMinTTL},
		{"no-store", "no-store", "", time.Hour, jwksMinTTL},
		{"no-cache and max-age", "no-cache, max-age=600", "", time.Hour, jwksMinTTL},
		{"junk", "max-age=abc", "x", time.Hour, time.Hour},
		{"overflow", "max-age=99999999999999999999", "", time.Hour, time.Hour},
		{"limit below the minimum", "max-age=0", "", time.Second, time.Second},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if tc.control != "" {
				h.Set("Cache-Control", tc.control)
			}
			h.Set("Age", tc.age)
			if got := freshness(h, tc.limit); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
