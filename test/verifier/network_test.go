package verifier

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// service is a guarded route behind a real listener, with a client of its own.
type service struct {
	*httptest.Server
	client *http.Client
}

// newService guards a route. before, if any, sees each request ahead of the guard.
func newService(t testing.TB, v *cardea.Verifier, before func()) *service {
	t.Helper()
	guarded := v.Require(cardea.Authenticated())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := cardea.PrincipalFrom(r.Context()); !ok || p.Subject == "" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	s := &service{Server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before != nil {
			before()
		}
		guarded.ServeHTTP(w, r)
	}))}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	s.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.Close()
	})
	return s
}

// get gives status, body and headers; status 0 when there was no answer.
func (s *service) get(t testing.TB, token string) (status int, body string, header http.Header) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/cases/1", nil)
	if err != nil {
		t.Error(err)
		return 0, "", nil
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.client.Do(req)
	if err != nil {
		t.Error(err)
		return 0, "", nil
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

// TestThousandFirstRequests: however many requests find a service without keys, the
// issuer is asked once, and all of them pass.
func TestThousandFirstRequests(t *testing.T) {
	t.Parallel()
	const n = 1000
	var arrived atomic.Int64
	all := make(chan struct{})
	r := newRemote(t, func(w http.ResponseWriter, req *http.Request) {
		select { // the answer waits until every request is inside
		case <-all:
		case <-req.Context().Done():
		}
		serving(jwksOf(ecKey("ec")))(w, req)
	}, func(c *cardea.Config) { c.CacheTTL = 0 })
	s := newService(t, r.Verifier, func() {
		if arrived.Add(1) == n {
			close(all)
		}
	})
	var passed atomic.Int64
	var group sync.WaitGroup
	for i := range n {
		token := mint(headerOf("ES256", "ec"), claimsAt(r.clock.Now(), object{"sub": "user-" + strconv.Itoa(i)}), testKeys().ec)
		group.Go(func() {
			if status, body, _ := s.get(t, token); status == http.StatusOK {
				passed.Add(1)
			} else {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	group.Wait()
	if passed.Load() != n {
		t.Errorf("%d of %d passed", passed.Load(), n)
	}
	r.wantFetches(t, 1)
}

// rotator is an issuer that changes its key. Old keys stay published, as long as tokens
// that they signed are in use.
type rotator struct {
	mu      sync.Mutex
	keys    []cardea.Key
	current *ecdsa.PrivateKey
	kid     string
	next    *ecdsa.PrivateKey
}

func (r *rotator) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	document := jwksOf(r.keys...)
	r.mu.Unlock()
	w.Header().Set("Cache-Control", "max-age=120")
	_, _ = w.Write(document)
}

// publish makes the next key and shows it.
func (r *rotator) publish(t testing.TB) {
	t.Helper()
	next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = next
	r.keys = append(r.keys, cardea.Key{ID: "key-" + strconv.Itoa(len(r.keys)), Algorithm: "ES256", Public: &next.PublicKey})
}

// use signs with the published key from now on.
func (r *rotator) use() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.kid = r.next, r.keys[len(r.keys)-1].ID
}

func (r *rotator) token(now time.Time) string {
	r.mu.Lock()
	key, kid := r.current, r.kid
	r.mu.Unlock()
	return mint(headerOf("ES256", kid), claimsAt(now), key)
}

// TestRotationUnderLoad: nobody is refused while the issuer changes its keys: neither when
// it uses a new one in the same moment as it publishes it, nor when forged kids use up
// every search for unknown ones and the new key was published a window before its use.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		flood bool
	}{{"used at once", false}, {"under forged kids", true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			const rotations, requests, workers = 20, 100, 8
			issuer := &rotator{}
			issuer.publish(t)
			issuer.use()
			r := newRemote(t, issuer.ServeHTTP)
			s := newService(t, r.Verifier, nil)
			stop, results := make(chan struct{}), make(chan string)
			var group sync.WaitGroup
			if tc.flood {
				group.Go(func() { forgeUntil(t, r, stop) })
			}
			for range workers {
				group.Go(func() {
					for {
						status, body, _ := s.get(t, issuer.token(r.clock.Now()))
						select {
						case results <- fmt.Sprint(status, " ", body):
						case <-stop:
							return
						}
					}
				})
			}
			for range rotations {
				issuer.publish(t)
				r.clock.Advance(31 * time.Second) // one window; also past max-age every fourth time
				issuer.use()
				for range requests {
					if got := <-results; got != "200 " {
						t.Error(got)
					}
				}
			}
			close(stop)
			group.Wait()
			t.Logf("%d requests, %d rotations, %d fetches", rotations*requests, rotations, r.server.fetches.Load())
			if n := r.server.fetches.Load(); n < rotations || n > 4*rotations {
				t.Errorf("%d fetches", n)
			}
		})
	}
}

// forgeUntil asks about ever new kids.
func forgeUntil(t testing.TB, r remote, stop <-chan struct{}) {
	payload, signature := b64(toJSON(claimsAt(r.clock.Now()))), b64(make([]byte, 64))
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		header := b64([]byte(`{"alg":"ES256","kid":"forged-` + strconv.Itoa(i) + `"}`))
		if _, err := r.Verify(t.Context(), header+"."+payload+"."+signature); cardea.CodeOf(err) != cardea.CodeKeyNotFound {
			t.Errorf("a forged kid: %v", err)
			return
		}
	}
}

// TestOutage: for ten minutes the issuer is gone, in one of several ways. Whoever can be
// verified with the keys that are there passes at every second; whoever can't is told to
// come back, not that his token is bad; and the issuer is not hammered.
func TestOutage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		begin func(*keyServer)
	}{
		{"500", func(s *keyServer) { s.answer(failing(http.StatusInternalServerError)) }},
		{"429", func(s *keyServer) { s.answer(failing(http.StatusTooManyRequests)) }},
		{"404", func(s *keyServer) { s.answer(failing(http.StatusNotFound)) }},
		{"a page in place of keys", func(s *keyServer) { s.answer(serving([]byte("<html>maintenance</html>"))) }},
		{"broken connections", func(s *keyServer) {
			s.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				serving(jwksOf(ecKey("ec")))(w, req)
			})
			s := newService(t, r.Verifier, nil)
			old := r.token("ec", testKeys().ec)
			want := func(token string, status int, code cardea.Code) http.Header {
				t.Helper()
				got, body, header := s.get(t, token)
				if got != status || (code != "" && !containsCode(body, code)) {
					t.Fatalf("at %s: %d %s, want %d %s", r.clock.Now(), got, body, status, code)
				}
				return header
			}
			want(old, http.StatusOK, "")
			tc.begin(r.server)
			before := r.server.fetches.Load()
			for second := range 600 {
				r.clock.Advance(time.Second)
				want(old, http.StatusOK, "")
				if second%10 != 0 {
					continue
				}
				want(r.token("ec", testKeys().ec), http.StatusOK, "")
				if second > 60 {
					header := want(r.token("next", testKeys().ec2), http.StatusServiceUnavailable, cardea.CodeProviderUnreachable)
					if header.Get("Retry-After") != "5" {
						t.Fatalf("Retry-After %q", header.Get("Retry-After"))
					}
				}
				expired := mint(esHeader(), claimsAt(r.clock.Now(), object{"exp": r.clock.Now().Unix() - 1}), testKeys().ec)
				want(expired, http.StatusUnauthorized, cardea.CodeExpired)
			}
			// A fetch every 5 s at most, of three tries at most.
			if n := r.server.fetches.Load() - before; n < 1 || n > 3*(600/5+1) {
				t.Errorf("%d requests to an issuer that is down", n)
			}
			r.server.answer(serving(jwksOf(ecKey("ec"), cardea.Key{ID: "next", Algorithm: "ES256", Public: &testKeys().ec2.PublicKey})))
			// The client comes back as it was told. A fetch that began before the issuer
			// was well again may still fail its first try.
			status := 0
			for tries := 0; tries < 2 && status != http.StatusOK; tries++ {
				r.clock.Advance(31 * time.Second)
				status, _, _ = s.get(t, r.token("next", testKeys().ec2))
			}
			if status != http.StatusOK {
				t.Errorf("the issuer is back, and its new key: %d", status)
			}
			want(old, http.StatusOK, "")
		})
	}
}

func containsCode(body string, code cardea.Code) bool {
	return strings.Contains(body, `"code":"`+string(code)+`"`)
}
