package flow_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/google/go-cmp/cmp"
)

func now() time.Time { return time.Date(2026, 5, 6, 7, 8, 9, 123_456_789, time.UTC) }

func at() time.Time { return auth.Truncate(now()) }

// fakeStore does what its fields say and keeps what it was given. A method whose field is
// nil fails the test: nobody should have called it.
type fakeStore struct {
	t     *testing.T
	mu    sync.Mutex
	steps []string

	byID        func(auth.ID) (auth.User, error)
	byEmail     func(email, aud string) (auth.User, error)
	byPhone     func(phone, aud string) (auth.User, error)
	withSession func(id, session auth.ID) (auth.UserSession, error)
	create      func(auth.NewAccount) error
	update      func(auth.ID, auth.UserPatch) (auth.User, error)
	end         func(auth.EndSessions) (int64, error)
	list        func(auth.UserQuery) (auth.UserPage, error)
	del         func(auth.ID, auth.AuditEntry) error
	softDelete  func(auth.ID, auth.SoftDelete) error

	issue  func(auth.IssueOneTime) error
	redeem func(auth.Redeem) (auth.RedeemResult, error)
	nonce  func(user auth.ID, hashes []string) (bool, error)
	queue  func([]auth.Message) error

	created []auth.NewAccount
	patches []auth.UserPatch
}

var errUnexpected = errors.New("unexpected call of the store")

func (s *fakeStore) step(name string, expected bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, name)
	if !expected {
		s.t.Errorf("unexpected call of %s", name)
	}
	return expected
}

func (s *fakeStore) UserByID(_ context.Context, id auth.ID) (auth.User, error) {
	if !s.step("UserByID", s.byID != nil) {
		return auth.User{}, errUnexpected
	}
	return s.byID(id)
}

func (s *fakeStore) UserByEmail(_ context.Context, email, aud string) (auth.User, error) {
	if !s.step("UserByEmail", s.byEmail != nil) {
		return auth.User{}, errUnexpected
	}
	return s.byEmail(email, aud)
}

func (s *fakeStore) UserByPhone(_ context.Context, phone, aud string) (auth.User, error) {
	if !s.step("UserByPhone", s.byPhone != nil) {
		return auth.User{}, errUnexpected
	}
	return s.byPhone(phone, aud)
}

func (s *fakeStore) UserWithSession(_ context.Context, id, session auth.ID, _ time.Time) (auth.UserSession, error) {
	if !s.step("UserWithSession", s.withSession != nil) {
		return auth.UserSession{}, errUnexpected
	}
	return s.withSession(id, session)
}

func (s *fakeStore) CreateAccount(_ context.Context, a auth.NewAccount) error {
	if !s.step("CreateAccount", s.create != nil) {
		return errUnexpected
	}
	s.created = append(s.created, a)
	return s.create(a)
}

func (s *fakeStore) UpdateUser(_ context.Context, id auth.ID, p auth.UserPatch) (auth.User, error) {
	if !s.step("UpdateUser", s.update != nil) {
		return auth.User{}, errUnexpected
	}
	s.patches = append(s.patches, p)
	return s.update(id, p)
}

func (s *fakeStore) EndSessions(_ context.Context, e auth.EndSessions) (int64, error) {
	if !s.step("EndSessions", s.end != nil) {
		return 0, errUnexpected
	}
	return s.end(e)
}

func (s *fakeStore) ListUsers(_ context.Context, q auth.UserQuery) (auth.UserPage, error) {
	if !s.step("ListUsers", s.list != nil) {
		return auth.UserPage{}, errUnexpected
	}
	return s.list(q)
}

func (s *fakeStore) DeleteUser(_ context.Context, id auth.ID, audit auth.AuditEntry) error {
	if !s.step("DeleteUser", s.del != nil) {
		return errUnexpected
	}
	return s.del(id, audit)
}

func (s *fakeStore) SoftDeleteUser(_ context.Context, id auth.ID, d auth.SoftDelete) error {
	if !s.step("SoftDeleteUser", s.softDelete != nil) {
		return errUnexpected
	}
	return s.softDelete(id, d)
}

func (s *fakeStore) IssueOneTime(_ context.Context, i auth.IssueOneTime) error {
	if !s.step("IssueOneTime", s.issue != nil) {
		return errUnexpected
	}
	return s.issue(i)
}

func (s *fakeStore) RedeemOneTime(_ context.Context, r auth.Redeem) (auth.RedeemResult, error) {
	if !s.step("RedeemOneTime", s.redeem != nil) {
		return auth.RedeemResult{}, errUnexpected
	}
	return s.redeem(r)
}

func (s *fakeStore) CheckNonce(_ context.Context, user auth.ID, hashes []string, _ time.Time, _ int) (bool, error) {
	if !s.step("CheckNonce", s.nonce != nil) {
		return false, errUnexpected
	}
	return s.nonce(user, hashes)
}

func (s *fakeStore) Enqueue(_ context.Context, m []auth.Message) error {
	if !s.step("Enqueue", s.queue != nil) {
		return errUnexpected
	}
	return s.queue(m)
}

// fakeHasher knows "hash:" + password as the hash of a password.
type fakeHasher struct {
	store *fakeStore // whose steps it joins
	err   error
}

func (h *fakeHasher) Hash(_ context.Context, password string) (string, error) {
	h.store.step("hash", true)
	return "hash:" + password, h.err
}

func (h *fakeHasher) Verify(_ context.Context, hash, password string) (ok, rehash bool, err error) {
	h.store.step("verify", true)
	return hash == "hash:"+password, false, h.err
}

func (h *fakeHasher) VerifyNone(context.Context, string) error {
	h.store.step("verify", true)
	return h.err
}

// policy refuses passwords under six bytes.
type policy struct{}

func (policy) CheckNew(_ context.Context, password string, _ ...string) *auth.Error {
	if len(password) < 6 {
		return &auth.Error{Code: auth.CodeWeakPassword, Reasons: []string{"length"}}
	}
	return nil
}

type issuer func(*auth.User, *auth.Session) (auth.Tokens, error)

func (f issuer) Issue(_ context.Context, u *auth.User, s *auth.Session) (auth.Tokens, error) {
	return f(u, s)
}

func sign(u *auth.User, s *auth.Session) (auth.Tokens, error) {
	return auth.Tokens{AccessToken: u.ID.String() + " " + s.ID.String()}, nil
}

type bench struct {
	store  *fakeStore
	hasher *fakeHasher
	config flow.Config
}

func setup(t *testing.T) *bench {
	t.Helper()
	s := &fakeStore{t: t}
	h := &fakeHasher{store: s}
	return &bench{s, h, flow.Config{
		Store: s, Hasher: h, Policy: policy{}, Issuer: issuer(sign), Audience: "authenticated",
		EmailEnabled: true, PhoneEnabled: true, AnonymousEnabled: true, EmailAutoconfirm: true, PhoneAutoconfirm: true,
		Now: now, Rand: rand.Reader,
	}}
}

func (b *bench) accounts() *flow.Accounts { return flow.NewAccounts(b.config) }

// validHash is what the password package would say.
func validHash(hash string) error {
	if !strings.HasPrefix(hash, "$2") {
		return errors.New("unknown form")
	}
	return nil
}

func (b *bench) admin() *flow.Admin { return flow.NewAdmin(b.config, validHash) }

// has answers every read with one account.
func (b *bench) has(u auth.User) {
	b.store.byID = func(id auth.ID) (auth.User, error) {
		if id != u.ID {
			return auth.User{}, auth.ErrNotFound
		}
		return u, nil
	}
	b.store.withSession = func(id, session auth.ID) (auth.UserSession, error) {
		if id != u.ID {
			return auth.UserSession{}, auth.ErrNotFound
		}
		return auth.UserSession{User: u, Session: session == caller().SessionID}, nil
	}
	b.store.update = func(auth.ID, auth.UserPatch) (auth.User, error) { return u, nil }
}

func (b *bench) steps(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, b.store.steps...)); diff != "" {
		t.Errorf("steps:\n%s", diff)
	}
}

func caller() auth.Caller {
	return auth.Caller{
		Meta:   auth.Meta{IP: "192.0.2.1", UserAgent: "test"},
		UserID: auth.ID{1}, SessionID: auth.ID{2}, Audience: "authenticated", AAL: auth.AAL1, FirstParty: true,
	}
}

func account() auth.User {
	return auth.User{
		ID: auth.ID{1}, Aud: "authenticated", Role: "authenticated", Email: "a@x.org", PasswordHash: "hash:old password",
		EmailConfirmedAt: at().Add(-time.Hour),
		Identities:       []auth.Identity{{ID: auth.ID{3}, UserID: auth.ID{1}, Provider: "email", ProviderID: auth.ID{1}.String()}},
	}
}

func ptr[T any](v T) *T { return &v }

// object reads metadata.
func object(t *testing.T, raw json.RawMessage) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

func members(pairs ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return m
}

func wantCode(t *testing.T, err error, want auth.Code) {
	t.Helper()
	if err == nil || auth.CodeOf(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}
