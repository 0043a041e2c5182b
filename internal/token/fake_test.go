package token_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/seal"
	"github.com/cardea-auth/cardea/internal/token"
)

// memory is a store of keys that keeps the rules of store.Keys and store.APIKeys.
type memory struct {
	mu      sync.Mutex
	keys    []auth.SigningKey
	apiKeys []auth.APIKey

	reads   atomic.Int64 // of SigningKeys
	lookups atomic.Int64 // of APIKeyByHash
	fail    atomic.Pointer[error]
	before  func() // called at the start of SigningKeys and APIKeyByHash
}

func (m *memory) failing() error {
	if err := m.fail.Load(); err != nil {
		return *err
	}
	return nil
}

func (m *memory) setFail(err error) {
	if err == nil {
		m.fail.Store(nil)
		return
	}
	m.fail.Store(&err)
}

func (m *memory) SigningKeys(ctx context.Context) ([]auth.SigningKey, error) {
	m.reads.Add(1)
	if m.before != nil {
		m.before()
	}
	if err := errors.Join(m.failing(), ctx.Err()); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.keys), nil
}

func (m *memory) find(use auth.KeyUse, status auth.KeyStatus) *auth.SigningKey {
	for i := range m.keys {
		if m.keys[i].Use == use && m.keys[i].Status == status {
			return &m.keys[i]
		}
	}
	return nil
}

func (m *memory) InstallKeys(_ context.Context, use auth.KeyUse, keys []auth.SigningKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.find(use, auth.KeyCurrent) != nil {
		return auth.ErrConflict
	}
	m.keys = append(m.keys, keys...)
	return nil
}

func (m *memory) RotateKeys(_ context.Context, expect string, next auth.SigningKey, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	current, standby := m.find(next.Use, auth.KeyCurrent), m.find(next.Use, auth.KeyStandby)
	if current == nil || standby == nil || current.ID != expect {
		return auth.ErrConflict
	}
	current.Status, current.RetiredAt = auth.KeyPrevious, at
	standby.Status, standby.ActivatedAt = auth.KeyCurrent, at
	m.keys = append(m.keys, next)
	return nil
}

func (m *memory) RevokeKey(_ context.Context, kid string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.keys {
		k := &m.keys[i]
		if k.ID != kid {
			continue
		}
		if k.Status == auth.KeyCurrent || k.Status == auth.KeyStandby {
			return auth.ErrConflict
		}
		k.Status, k.RevokedAt = auth.KeyRevoked, at
		return nil
	}
	return auth.ErrNotFound
}

func (m *memory) ReplaceSealed(_ context.Context, sealed map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for kid := range sealed {
		if !slices.ContainsFunc(m.keys, func(k auth.SigningKey) bool { return k.ID == kid }) {
			return auth.ErrNotFound
		}
	}
	for i := range m.keys {
		if s, ok := sealed[m.keys[i].ID]; ok {
			m.keys[i].Sealed = s
		}
	}
	return nil
}

func (m *memory) CreateAPIKey(_ context.Context, k auth.APIKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apiKeys = append([]auth.APIKey{k}, m.apiKeys...)
	return nil
}

func (m *memory) APIKeyByHash(_ context.Context, hash []byte) (auth.APIKey, error) {
	m.lookups.Add(1)
	if m.before != nil {
		m.before()
	}
	if err := m.failing(); err != nil {
		return auth.APIKey{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.apiKeys {
		if bytes.Equal(k.Hash, hash) {
			return k, nil
		}
	}
	return auth.APIKey{}, auth.ErrNotFound
}

func (m *memory) ListAPIKeys(context.Context) ([]auth.APIKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.apiKeys), nil
}

func (m *memory) RevokeAPIKey(_ context.Context, id auth.ID, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.apiKeys {
		if m.apiKeys[i].ID == id {
			if m.apiKeys[i].RevokedAt.IsZero() {
				m.apiKeys[i].RevokedAt = at
			}
			return nil
		}
	}
	return auth.ErrNotFound
}

// clock is a time that tests move by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newBox(t testing.TB, first byte) *seal.Box {
	t.Helper()
	key := make([]byte, seal.KeySize)
	for i := range key {
		key[i] = first + byte(i)
	}
	box, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// fixture is one node with a store and a clock of its own.
type fixture struct {
	ring   *token.Ring
	keys   *token.APIKeys
	store  *memory
	clock  *clock
	config token.Config
}

func setup(t testing.TB, change ...func(*token.Config)) *fixture {
	t.Helper()
	f := &fixture{store: &memory{}, clock: newClock()}
	f.config = token.Config{
		Store: f.store, Box: newBox(t, 1), Issuer: "https://auth.example/auth/v1", Now: f.clock.now,
	}
	for _, c := range change {
		c(&f.config)
	}
	f.ring = f.open(t)
	f.keys = token.NewAPIKeys(f.ring, f.store)
	return f
}

// open starts another node on the same store.
func (f *fixture) open(t testing.TB) *token.Ring {
	t.Helper()
	ring, err := token.Open(t.Context(), f.config)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func secretBytes() []byte { return []byte("super-secret-jwt-token-with-at-least-32-characters") }

func person() (*auth.User, *auth.Session) {
	id := auth.ID{0x01, 0x8f, 1, 2, 3, 4, 0x70, 5, 0x80, 6, 7, 8, 9, 10, 11, 12}
	session := auth.ID{0x01, 0x8f, 9, 9, 9, 9, 0x70, 9, 0x80, 9, 9, 9, 9, 9, 9, 9}
	at := time.Date(2027, 3, 1, 7, 59, 0, 0, time.UTC)
	return &auth.User{
			ID: id, Aud: "authenticated", Role: "authenticated", Email: "asha@example.com",
			AppMetadata:  json.RawMessage(`{"provider":"email","providers":["email"]}`),
			UserMetadata: json.RawMessage(`{"name":"Asha & <b>"}`),
		}, &auth.Session{
			ID: session, UserID: id, AAL: auth.AAL1, Counter: 7, Parent: 6,
			AMR: []auth.AMR{{Method: "totp", At: at.Add(time.Minute)}, {Method: auth.MethodPassword, At: at}},
		}
}

// part decodes one part of a token, without any check.
func part(t testing.TB, jwt string, i int) string {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a compact JWS", jwt)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func kidOf(t testing.TB, jwt string) string {
	t.Helper()
	var header struct {
		Kid string `json:"kid"`
	}
	if err := json.Unmarshal([]byte(part(t, jwt, 0)), &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

// publishedKids gives the kids of the key set.
func publishedKids(t testing.TB, ring *token.Ring) []string {
	t.Helper()
	body, _ := ring.JWKS()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	kids := []string{}
	for _, k := range set.Keys {
		kids = append(kids, k.Kid)
	}
	return kids
}

func byUse(ring *token.Ring, use auth.KeyUse, status auth.KeyStatus) auth.SigningKey {
	for _, k := range ring.List() {
		if k.Use == use && k.Status == status {
			return k
		}
	}
	return auth.SigningKey{}
}

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// waitFor lets the fake clock of a synctest bubble run.
func waitFor(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
