package cardea

import (
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestNewKeyDuringRefresh: a token with a key that is newer than the fetch under way is
// not refused by it. Without this, a rotation in the middle of a refresh is a 401.
func TestNewKeyDuringRefresh(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("old"))
	r.want(t, "old", "")
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		keys := []Key{ecKey("old"), ecKey("new")}
		once.Do(func() {
			keys = keys[:1] // read before the rotation, sent after it
			close(asked)
			<-release
		})
		_, _ = w.Write(jwksOf(keys...))
	})
	r.clock.Advance(50 * time.Minute)
	r.want(t, "old", "") // starts the refresh
	<-asked
	token := r.token("new")
	result := make(chan error, 1)
	go func() {
		_, err := r.Verify(t.Context(), token)
		result <- err
	}()
	for !r.waiting() {
		runtime.Gosched()
	}
	close(release)
	if err := <-result; err != nil {
		t.Error(err)
	}
	r.wantFetches(t, 3)
}

// waiting says whether a fetch is under way. The token of the test above may come before
// or after it has ended; both have to do.
func (r remoteFixture) waiting() bool {
	s, ok := r.issuers[testIssuer].keys.(*jwks)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flight != nil
}

// TestRotationUnderLoad: the issuer rotates every 10 minutes as Cardea does, with the next
// key in the set beforehand, while tokens of all live keys and forged kids pour in. No
// good token is refused.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("k0"), ecKey("k1"))
	for turn := range 20 {
		live := []string{fmt.Sprintf("k%d", turn), fmt.Sprintf("k%d", turn+1)}
		r.server.serve(ecKey(live[0]), ecKey(live[1]))
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 10 {
					if _, err := r.Verify(t.Context(), r.token(live[(g+i)%2])); err != nil {
						t.Errorf("turn %d: %v", turn, err)
					}
					if _, err := r.Verify(t.Context(), r.token(fmt.Sprintf("forged-%d-%d", g, i))); CodeOf(err) != CodeKeyNotFound {
						t.Errorf("forged: %v", err)
					}
				}
			})
		}
		wg.Wait()
		r.clock.Advance(10 * time.Minute)
	}
	if got := r.server.fetches.Load(); got > 3*20 {
		t.Errorf("%d fetches", got)
	}
}

// TestForgedKidsInParallel: 10,000 forged kids from many sides in one window make one
// fetch, and none of the good tokens between them is refused.
func TestForgedKidsInParallel(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("ec"))
	r.want(t, "ec", "")
	s, ok := r.issuers[testIssuer].keys.(*jwks)
	if !ok {
		t.Fatal("no key set")
	}
	good := r.token("ec")
	var wg sync.WaitGroup
	for g := range 10 {
		wg.Go(func() {
			for i := range 1000 {
				if keys, err := s.Keys(t.Context(), fmt.Sprintf("forged-%d-%d", g, i)); err != nil || len(keys) > 0 {
					t.Errorf("%v %v", keys, err)
				}
				if i%100 == 0 {
					wantNoError(t, r.Verifier, good)
				}
			}
		})
	}
	wg.Wait()
	r.wantFetches(t, 2)
}

// TestOutageOfTenMinutes: every token that can be verified here passes all the time, and
// the issuer is asked no more often than every 5 s.
func TestOutageOfTenMinutes(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("ec"))
	r.want(t, "ec", "")
	r.clock.Advance(55 * time.Minute)
	r.server.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for range 600 {
		r.clock.Advance(time.Second)
		r.want(t, "ec", "")
		r.settle()
	}
	if got := r.server.fetches.Load(); got > 1+remoteAttempts*(600/5+1) {
		t.Errorf("%d fetches", got)
	}
	r.server.serve(ecKey("ec"), ecKey("new"))
	r.clock.Advance(remoteBackoff)
	r.want(t, "ec", "")
	r.settle()
	r.want(t, "new", "")
}

// TestClockJumps: forwards and backwards, by seconds and by years, the keys are fetched
// anew rather than trusted, and good tokens go on.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{-time.Second, -time.Hour, -10 * 365 * 24 * time.Hour, time.Hour, 48 * time.Hour, 10 * 365 * 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, ecKey("old"))
			r.want(t, "old", "")
			r.clock.Advance(jump)
			r.server.serve(ecKey("new"))
			r.want(t, "old", CodeKeyNotFound) // withdrawn, and noticed
			r.want(t, "new", "")
			r.wantFetches(t, 2)
			r.want(t, "new", "")
			r.wantFetches(t, 2)
		})
	}
}

// TestJunkKeySets: what a key set may hold besides the one good key.
func TestJunkKeySets(t *testing.T) {
	t.Parallel()
	good := jwkOf(ecKey("ec"))
	private := jwkOf(Key{ID: "leaked", Algorithm: "ES256", Public: &testKeys().ec.PublicKey})
	private["d"] = b64(make([]byte, 32))
	many := []any{good}
	for i := range 10_000 {
		many = append(many, jwkOf(ecKey(fmt.Sprintf("k%d", i))))
	}
	cases := []struct {
		name    string
		keys    []any
		content string
	}{
		{"wrong content type", []any{good}, "text/html; charset=iso-8859-1"},
		{"junk", []any{nil, 1, "x", []any{}, map[string]any{}, map[string]any{"kty": "oct", "kid": "oct", "k": b64(testKeys().secret)}, good}, ""},
		{"private key", []any{private, good}, ""},
		{"10,000 keys", many[:4000], ""}, // more do not fit into 1 MiB
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t)
			r.server.answer(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tc.content)
				_, _ = w.Write(toJSON(map[string]any{"keys": tc.keys}))
			})
			r.want(t, "ec", "")
			r.want(t, "leaked", CodeKeyNotFound) // known to everybody: proves nothing
			r.want(t, "oct", CodeKeyNotFound)
			r.want(t, "k3000", CodeKeyNotFound) // of more than 100 keys the rest is left out
		})
	}
	r := newRemote(t)
	r.server.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(toJSON(map[string]any{"keys": many})) })
	r.want(t, "ec", CodeProviderUnreachable)
	r.wantFetches(t, 1)
}

// TestShortLivedKeys: keys that are fresh for 30 s only are refreshed when they are due,
// also within the window of unknown kids.
func TestShortLivedKeys(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	serve := func(keys ...Key) {
		r.server.answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=0")
			_, _ = w.Write(jwksOf(keys...))
		})
	}
	serve(ecKey("old"))
	r.want(t, "old", "")
	r.want(t, "unknown", CodeKeyNotFound)
	r.wantFetches(t, 2)
	serve(ecKey("old"), ecKey("new"))
	r.clock.Advance(jwksMinTTL / 5 * 4)
	r.want(t, "new", "") // due anyway
	r.wantFetches(t, 3)
	r.want(t, "unknown", CodeKeyNotFound)
	r.wantFetches(t, 3)
}

// TestEvictIssuer: a key that was withdrawn at the issuer verifies nothing more, also when
// a fetch from before is under way; and an issuer that is down changes nothing.
func TestEvictIssuer(t *testing.T) {
	t.Parallel()
	r := newRemote(t, ecKey("leaked"), ecKey("good"))
	r.want(t, "leaked", "")
	r.server.serve(ecKey("good"))
	r.want(t, "leaked", "") // fresh for an hour
	r.EvictIssuer(testIssuer)
	r.want(t, "leaked", CodeKeyNotFound)
	r.want(t, "good", "")

	r.server.status(http.StatusInternalServerError)
	r.EvictIssuer(testIssuer)
	r.want(t, "good", "")
	r.settle()

	asked, release := make(chan struct{}), make(chan struct{})
	r.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		_, _ = w.Write(jwksOf(ecKey("good"), ecKey("leaked"))) // read before the withdrawal
	})
	r.clock.Advance(jwksWindow)
	waiting := make(chan error, 1)
	token := r.token("leaked")
	go func() {
		_, err := r.Verify(t.Context(), token)
		waiting <- err
	}()
	<-asked
	r.EvictIssuer(testIssuer)
	r.server.serve(ecKey("good"))
	r.want(t, "good", "")
	close(release)
	<-waiting // had asked before: either answer is right
	r.want(t, "leaked", CodeKeyNotFound)
	if n := r.EvictIssuer("https://unknown.test"); n != 0 {
		t.Error(n)
	}
}
