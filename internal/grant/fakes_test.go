package grant_test

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/ratelimit"
)

func now() time.Time { return time.Date(2026, 5, 6, 7, 8, 9, 123_456_789, time.UTC) }

// trail is what happened, in order.
type trail struct {
	mu    sync.Mutex
	steps []string
}

func (t *trail) add(step string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, step)
}

func (t *trail) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string{}, t.steps...)
}

func (t *trail) count(step string) int {
	n := 0
	for _, s := range t.all() {
		if s == step {
			n++
		}
	}
	return n
}

type fakeStore struct {
	*trail
	start  func(auth.SessionStart) error
	rotate func(auth.Rotation) (auth.RotationResult, error)
}

func (s *fakeStore) StartSession(_ context.Context, in auth.SessionStart) (auth.Session, error) {
	s.add("start")
	return in.Session, s.start(in)
}

func (s *fakeStore) RotateRefresh(_ context.Context, in auth.Rotation) (auth.RotationResult, error) {
	s.add("rotate")
	return s.rotate(in)
}

type fakeIssuer struct {
	*trail
	issue func(*auth.User, *auth.Session) (auth.Tokens, error)
}

func (i *fakeIssuer) Issue(_ context.Context, u *auth.User, s *auth.Session) (auth.Tokens, error) {
	i.add("issue")
	return i.issue(u, s)
}

type fakeFinder struct {
	*trail
	find func(provider, address, aud string) (auth.User, error)
}

func (f *fakeFinder) UserByEmail(_ context.Context, email, aud string) (auth.User, error) {
	f.add("find")
	return f.find("email", email, aud)
}

func (f *fakeFinder) UserByPhone(_ context.Context, phone, aud string) (auth.User, error) {
	f.add("find")
	return f.find("phone", phone, aud)
}

// fakeHasher knows "hash:" + password as the hash of a password.
type fakeHasher struct {
	*trail
	rehash  bool
	hash    func(password string) (string, error)
	err     error  // of Verify and VerifyNone
	onCheck func() // while a password is being checked
}

func (h *fakeHasher) Hash(_ context.Context, password string) (string, error) {
	h.add("hash")
	if h.hash != nil {
		return h.hash(password)
	}
	return "hash:" + password, nil
}

func (h *fakeHasher) Verify(_ context.Context, hash, password string) (ok, rehash bool, err error) {
	h.add("verify")
	if h.onCheck != nil {
		h.onCheck()
	}
	return h.err == nil && hash == "hash:"+password, h.rehash, h.err
}

func (h *fakeHasher) VerifyNone(context.Context, string) error {
	h.add("verify")
	if h.onCheck != nil {
		h.onCheck()
	}
	return h.err
}

type fakeParser func(token string) (auth.ID, int64, error)

func (f fakeParser) ParseRefresh(token string) (auth.ID, int64, error) { return f(token) }

// bench is one pipeline with everything that a test may bend.
type bench struct {
	*trail
	store   *fakeStore
	issuer  *fakeIssuer
	finder  *fakeFinder
	hasher  *fakeHasher
	grant   *grant.Password
	config  grant.Config
	users   map[string]auth.User // by provider/address
	started []auth.SessionStart
	rotated []auth.Rotation
}

// setup knows two accounts with the password "right", by address and by number, both
// confirmed; and one without a password.
func setup(t *testing.T) *bench {
	t.Helper()
	tr := &trail{}
	confirmed := now().Add(-time.Hour)
	b := &bench{trail: tr, users: map[string]auth.User{
		"email/a@x.org": {
			ID: auth.ID{1}, Aud: "authenticated", Email: "a@x.org", PasswordHash: "hash:right", EmailConfirmedAt: confirmed,
			Identities: []auth.Identity{{Provider: "google"}, {Provider: "email"}},
		},
		"phone/49301":      {ID: auth.ID{2}, Phone: "49301", PasswordHash: "hash:right", PhoneConfirmedAt: confirmed},
		"email/none@x.org": {ID: auth.ID{3}, Email: "none@x.org", EmailConfirmedAt: confirmed},
	}}
	b.store = &fakeStore{trail: tr, start: func(s auth.SessionStart) error { b.started = append(b.started, s); return nil }}
	b.store.rotate = func(r auth.Rotation) (auth.RotationResult, error) {
		b.rotated = append(b.rotated, r)
		return auth.RotationResult{}, auth.ErrNotFound
	}
	b.issuer = &fakeIssuer{tr, func(*auth.User, *auth.Session) (auth.Tokens, error) { return auth.Tokens{AccessToken: "signed"}, nil }}
	b.finder = &fakeFinder{tr, func(provider, address, _ string) (auth.User, error) {
		if u, ok := b.users[provider+"/"+address]; ok {
			return u, nil
		}
		return auth.User{}, auth.ErrNotFound
	}}
	b.hasher = &fakeHasher{trail: tr}
	b.grant = &grant.Password{Store: b.finder, Hasher: b.hasher, EmailEnabled: true, PhoneEnabled: true}
	parser := fakeParser(func(token string) (auth.ID, int64, error) {
		if token != "good" {
			return auth.ID{}, 0, auth.E(auth.CodeRefreshMalformed, "")
		}
		return auth.ID{7}, 41, nil
	})
	b.config = grant.Config{
		Store: b.store, Issuer: b.issuer, Audience: "authenticated",
		Grants: map[string]grant.Grant{"password": b.grant, "refresh_token": grant.Refresh{Tokens: parser}},
		Now:    now, Rand: rand.Reader,
	}
	return b
}

// limits turns the limits on: 3 failures an account, 100 calls an address.
func (b *bench) limits() {
	b.config.Limiter = ratelimit.NewMemory(0, now)
	b.config.PerAccount = ratelimit.Limit{Count: 3, Period: time.Hour}
	b.config.PerIP = ratelimit.Limit{Count: 100, Period: time.Hour}
}

func (b *bench) exchange(t *testing.T, r grant.Request) (auth.SignedIn, error) {
	t.Helper()
	return grant.New(b.config).Exchange(t.Context(), r)
}

func request(email, password string) grant.Request {
	return grant.Request{Meta: auth.Meta{IP: "192.0.2.1", UserAgent: "test"}, Grant: "password", Email: email, Password: password}
}
