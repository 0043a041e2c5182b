package cardeatest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// Config says what an [Issuer] is like. The zero value is right for most tests.
type Config struct {
	// URL is the issuer's name (iss); default a random one under .test, which no
	// network knows. With Serve it must be empty.
	URL string
	// Audiences are what the service accepts, and the first is what tokens are made
	// for; default "authenticated".
	Audiences []string
	// Clock is shared by tokens and Verifier; default a new one that shows the present.
	Clock *Clock
	// Serve starts an HTTP server on a loopback address and makes it the issuer's URL,
	// for services that find keys by themselves. It ends with the test.
	Serve bool
	// Verifier is how the service configures its own: encoder, hooks, cache, claims.
	// Issuers, HTTPClient, Now and Sleep are filled in where they are empty. The first
	// of Issuers, if any, is taken as a pattern: its empty URL, Audiences and keys are
	// filled in.
	Verifier cardea.Config
}

// Issuer makes tokens and publishes the keys for them. Make one with [New]. It is a
// [cardea.KeySource] too.
type Issuer struct {
	tb        testing.TB
	config    Config
	url       string
	clock     *Clock
	secret    []byte            // of this Issuer; see Principal
	seed      []byte            // of the ids of users without one
	initial   *signingKey       // what Reset goes back to
	foreign   *ecdsa.PrivateKey // published nowhere
	trusted   *cardea.Verifier  // of Principal and the endpoint /user; never handed out
	transport *transport

	mu        sync.Mutex
	keys      []*signingKey     // published, the current one first
	tokens    map[string]string // payload → token of the current key
	state     state
	fetches   int
	server    *httptest.Server
	verifiers []*cardea.Verifier
}

// state is what the test says about the issuer's health.
type state struct {
	down     bool // nothing answers
	keysDown bool // the key set does not
	status   int  // answer everything with it, if not 0
	slow     time.Duration
}

type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

func (k *signingKey) public() cardea.Key {
	return cardea.Key{ID: k.id, Algorithm: "ES256", Public: &k.private.PublicKey}
}

// New makes an Issuer with a random key, for as long as the test runs. It panics outside
// of tests, and fails the test when the configuration is wrong. More than one Config is
// a mistake.
func New(tb testing.TB, config ...Config) *Issuer {
	onlyInTests(tb)
	tb.Helper()
	i := &Issuer{tb: tb, tokens: map[string]string{}}
	switch len(config) {
	case 0:
	case 1:
		i.config = config[0]
	default:
		tb.Fatal("cardeatest: New with more than one Config")
	}
	if i.config.Serve && i.config.URL != "" {
		tb.Fatal("cardeatest: Serve and URL exclude each other: the server's address is the URL")
	}
	i.secret, i.seed = random(tb), random(tb)
	i.initial, i.foreign = newKey(tb), newKey(tb).private
	i.keys = []*signingKey{i.initial}
	if i.clock = i.config.Clock; i.clock == nil {
		i.clock = NewClock(tb, time.Time{})
	}
	if len(i.config.Audiences) == 0 {
		i.config.Audiences = []string{"authenticated"}
	}
	i.url = i.config.URL
	switch {
	case i.config.Serve:
		i.url = i.serve() + basePath
	case i.url == "":
		i.url = "https://issuer-" + hex.EncodeToString(i.seed[:6]) + ".test" + basePath
	}
	i.transport = &transport{issuer: i, next: i.config.Verifier.HTTPClient}
	i.trusted = i.ownVerifier()
	return i
}

// ownVerifier knows the published keys without any outage, and the secret that signs
// what Principal makes. It reads claims as the service's own does, and asks nobody: what
// the service does about revoked tokens is for the service's own Verifier.
func (i *Issuer) ownVerifier() *cardea.Verifier {
	c := i.VerifierConfig()
	c.CacheTTL, c.Revoked, c.OnAuthenticated, c.OnDenied = -1, nil, nil, nil
	c.Admit, c.RequireHTTPS, c.TrustForwardedProto = nil, false, false
	entry := &c.Issuers[0]
	entry.JWKSURL, entry.Keys, entry.Algorithms = "", published{i}, nil
	entry.HMACSecret, entry.HMACKeyID, entry.Introspection = i.secret, "", cardea.Introspection{}
	c.Issuers = c.Issuers[:1]
	v, err := cardea.NewVerifier(c)
	if err != nil {
		i.tb.Fatalf("cardeatest: %v", err)
	}
	return v
}

// must stops the use of an Issuer that no test made.
func (i *Issuer) must() {
	if i == nil || i.tb == nil {
		panic("cardeatest: Issuer not made by New")
	}
}

func random(tb testing.TB) []byte {
	tb.Helper()
	b := make([]byte, 32)
	if _, err := io.ReadFull(rand.Reader, b); err != nil {
		tb.Fatalf("cardeatest: %v", err)
	}
	return b
}

func newKey(tb testing.TB) *signingKey {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("cardeatest: %v", err)
	}
	return &signingKey{id: "test-" + hex.EncodeToString(random(tb)[:6]), private: private}
}

// URL is the issuer's name: the claim iss, and URL of [cardea.Issuer].
func (i *Issuer) URL() string {
	i.must()
	return i.url
}

// JWKSURL gives the address of the key set over HTTP, on a loopback address. The server
// is started by the first call, unless Config.Serve did, and ends with the test.
func (i *Issuer) JWKSURL() string {
	i.must()
	return i.serve() + basePath + pathJWKS
}

// Clock is the clock of the tokens and of the Verifier.
func (i *Issuer) Clock() *Clock {
	i.must()
	return i.clock
}

// Trust gives an entry for Config.Issuers that trusts this Issuer without HTTP, with the
// Issuer itself as source of keys. Services that trust several issuers need it; the
// others use [Issuer.Verifier].
func (i *Issuer) Trust() cardea.Issuer {
	i.must()
	entry := i.pattern()
	entry.JWKSURL, entry.Keys = "", i
	return entry
}

// VerifierConfig gives the configuration that [Issuer.Verifier] uses, to be changed: the
// service's own (Config.Verifier) with this Issuer, its clock, a transport that reaches
// it without sockets, and no waiting between two tries.
func (i *Issuer) VerifierConfig() cardea.Config {
	i.must()
	c := i.config.Verifier
	entry := i.pattern()
	c.Issuers = append([]cardea.Issuer{entry}, c.Issuers[min(1, len(c.Issuers)):]...)
	c.HTTPClient = &http.Client{Transport: i.transport}
	if c.Now == nil {
		c.Now = i.clock.Now
	}
	if c.Sleep == nil {
		c.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	}
	return c
}

// pattern is the service's own entry for an issuer, with what makes it this Issuer.
func (i *Issuer) pattern() cardea.Issuer {
	var entry cardea.Issuer
	if len(i.config.Verifier.Issuers) > 0 {
		entry = i.config.Verifier.Issuers[0]
	}
	entry.URL = i.url
	if len(entry.Audiences) == 0 {
		entry.Audiences = i.config.Audiences
	}
	if entry.Keys == nil && entry.JWKSURL == "" {
		entry.JWKSURL = i.url + pathJWKS
	}
	return entry
}

// Verifier makes a Verifier that trusts this Issuer and shares its clock. Every call
// makes a new one, with empty caches.
func (i *Issuer) Verifier() *cardea.Verifier {
	i.must()
	i.tb.Helper()
	v, err := cardea.NewVerifier(i.VerifierConfig())
	if err != nil {
		i.tb.Fatalf("cardeatest: %v", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.verifiers = append(i.verifiers, v)
	return v
}

// Keys implements [cardea.KeySource]. It has no memory: while the issuer is down, it
// gives no keys at all. A Verifier of [Issuer.Verifier] remembers keys, as in production.
func (i *Issuer) Keys(ctx context.Context, kid string) ([]cardea.Key, error) {
	i.must()
	s := i.health()
	if err := s.wait(ctx); err != nil {
		return nil, cardea.NewError(cardea.CodeProviderUnreachable, err)
	}
	switch {
	case s.down || s.keysDown || s.status >= http.StatusInternalServerError || s.status == http.StatusTooManyRequests:
		return nil, cardea.NewError(cardea.CodeProviderUnreachable, errDown)
	case s.status != 0:
		return nil, cardea.NewError(cardea.CodeProviderError, errDown)
	}
	return published{i}.Keys(ctx, kid)
}

// published is the key source without any outage.
type published struct{ issuer *Issuer }

func (p published) Keys(_ context.Context, kid string) ([]cardea.Key, error) {
	p.issuer.mu.Lock()
	defer p.issuer.mu.Unlock()
	var found []cardea.Key
	for _, k := range p.issuer.keys {
		if kid == "" || kid == k.id {
			found = append(found, k.public())
		}
	}
	return found, nil
}

var errDown = errors.New("cardeatest: the test has switched the issuer off")

// Down takes the issuer away: connections break, as with a host that is gone. Keys that
// a Verifier has fetched already go on to work.
func (i *Issuer) Down() { i.change(func(s *state) { s.down = true }) }

// KeysDown takes only the key set away, so that other endpoints have to do.
func (i *Issuer) KeysDown() { i.change(func(s *state) { s.keysDown = true }) }

// Fail lets the issuer answer every request with that status, such as 500 or 429.
func (i *Issuer) Fail(status int) { i.change(func(s *state) { s.status = status }) }

// Slow lets every answer of the issuer take d longer; 0 ends it. It is real time, not
// that of the Clock; in a bubble of testing/synctest it costs nothing.
func (i *Issuer) Slow(d time.Duration) { i.change(func(s *state) { s.slow = d }) }

// Up ends Down, KeysDown, Fail and Slow.
func (i *Issuer) Up() { i.change(func(s *state) { *s = state{} }) }

func (i *Issuer) change(f func(*state)) {
	i.must()
	i.mu.Lock()
	defer i.mu.Unlock()
	f(&i.state)
}

func (i *Issuer) health() state {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.state
}

func (s state) wait(ctx context.Context) error {
	if s.slow <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(s.slow)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Rotate makes a new key for all tokens from now on. The old ones stay published until
// [Issuer.Retire], so that their tokens stay good.
func (i *Issuer) Rotate() {
	i.must()
	k := newKey(i.tb)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append([]*signingKey{k}, i.keys...)
	clear(i.tokens)
}

// Retire publishes the current key only. A Verifier learns of it when its keys have
// become old, which is at the latest after Config.JWKSTTL.
func (i *Issuer) Retire() {
	i.must()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[:1:1]
}

// Fetches says how often the key set was asked for, by HTTP or without; failures count.
func (i *Issuer) Fetches() int {
	i.must()
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Reset makes the Issuer as [New] left it, for suites that share one: up, with its first
// key, its clock back at the start, no fetches counted. Verifiers of [Issuer.Verifier]
// forget every token; they keep the keys that they have fetched.
func (i *Issuer) Reset() {
	i.must()
	i.clock.Reset()
	i.mu.Lock()
	verifiers := i.verifiers
	i.state, i.fetches = state{}, 0
	i.keys = []*signingKey{i.initial}
	clear(i.tokens)
	i.mu.Unlock()
	for _, v := range verifiers {
		v.Evict(func(*cardea.Principal) bool { return true })
	}
}

// host is the part of the URL that the transport without sockets answers for.
func (i *Issuer) host() string {
	_, rest, _ := strings.Cut(i.url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
