// Package storetest is the contract of store.Store as code. Every implementation runs
// it, so that a rule that is written in store.go is proved once, and on every database:
//
//	func TestStore(t *testing.T) { storetest.Run(t, open) }
//	func TestRace(t *testing.T)  { storetest.Race(t, open) }
//	func BenchmarkStore(b *testing.B) { storetest.Bench(b, open) }
//
// What the interface can't show (the audit log) is checked as well when the store that
// the Factory gives implements [Auditor]; a test wraps its store for that.
package storetest

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store"
)

// Factory gives a store on a database of its own: migrated, empty, and closed by a
// cleanup of tb. It fails tb when it can't.
type Factory func(tb testing.TB) store.Store

// AuditRow is one stored audit entry.
type AuditRow struct {
	ID      auth.ID
	At      time.Time
	Payload json.RawMessage
	IP      string
}

// Auditor is what a store under test may implement to have its audit log checked too.
type Auditor interface {
	// AuditRows gives every entry, oldest first, then by id.
	AuditRows(ctx context.Context) ([]AuditRow, error)
}

// FactorMaker is what a store under test may implement to have it checked what becomes of
// second factors.
type FactorMaker interface {
	AddFactor(ctx context.Context, f auth.Factor) error
}

// testCase is one rule of the contract. It gets a store that nobody else uses.
type testCase struct {
	name string
	run  func(t *testing.T, e *env)
}

// Run proves every method: what it does, each documented error, and that a refused call
// changes nothing.
func Run(t *testing.T, f Factory) {
	t.Helper()
	runGroups(t, f, map[string][]testCase{
		"accounts":  accountCases(),
		"update":    updateCases(),
		"list":      listCases(),
		"delete":    deleteCases(),
		"sessions":  sessionCases(),
		"rotation":  rotationCases(),
		"cleaner":   cleanerCases(),
		"onetimes":  oneTimeCases(),
		"devices":   deviceCases(),
		"nonce":     nonceCases(),
		"people":    peopleCases(),
		"lists":     peopleListCases(),
		"tenants":   tenantCases(),
		"members":   memberCases(),
		"tenancy":   sessionTenantCases(),
		"relations": relationCases(),
		"flows":     flowStateCases(),
		"redeem":    redeemCases(),
		"drop":      dropCases(),
		"changes":   changeCases(),
		"outbox":    outboxCases(),
		"keys":      keyCases(),
		"apikeys":   apiKeyCases(),
		"audit":     auditCases(),
		"moving":    movingCases(),
		"store":     storeCases(),

		"identifiers": identifierCases(),
		"external":    externalCases(),
		"notices":     noticeCases(),
		"erasure":     erasureCases(),
		"holds":       holdCases(),
		"consents":    consentCases(),
	})
}

// Race proves that each method is one atomic intention when many callers try at once.
func Race(t *testing.T, f Factory) {
	t.Helper()
	runGroups(t, f, map[string][]testCase{
		"race":                        raceCases(),
		"race of tokens and messages": raceOneTimeCases(),
		"race of tenants":             raceTenantCases(),
		"race of identifiers":         raceIdentifierCases(),
		"race of consents":            raceConsentCases(),
		"race of deletions":           racePrivacyCases(),
		"race of imports":             raceMovingCases(),
		"race of external users":      raceExternalCases(),
	})
}

func runGroups(t *testing.T, f Factory, groups map[string][]testCase) {
	t.Helper()
	if len(groups) == 0 {
		t.Fatal("storetest: no groups")
	}
	for name, cases := range groups {
		if len(cases) == 0 {
			t.Fatalf("storetest: group %q has no cases", name)
		}
		for _, c := range cases {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, newEnv(t, f))
			})
		}
	}
}

// env is one store with helpers that fail the test.
type env struct {
	store.Store
	tb  testing.TB
	ctx context.Context //nolint:containedctx // lives as long as one test

	fresh int // ids given by freshID
}

func newEnv(tb testing.TB, f Factory) *env {
	tb.Helper()
	return &env{Store: f(tb), tb: tb, ctx: tb.Context()}
}

// t0 is the suite's clock. Its microseconds are not a multiple of anything, so that a
// store which keeps less is found out.
var t0 = time.Date(2026, 3, 4, 5, 6, 7, 123457000, time.UTC)

// after gives t0 plus d.
func after(d time.Duration) time.Time { return t0.Add(d) }

// Kinds of ids, so that the id of a user is never by accident that of its session.
const (
	kindUser = iota + 1
	kindIdentity
	kindSession
	kindAudit
	kindKey
	kindToken
	kindFlow
	kindMessage
	kindFactor
	kindTenant
	kindRelation
	kindErasure
	kindHold
)

// fixedID gives the n-th id of a kind, in the form of a version 7 UUID.
func fixedID(kind, n int) auth.ID {
	id := auth.ID{0x01, 0x9c, 0xaa, 0xbb, 0, 0, 0x70, byte(kind), 0x80}
	id[12], id[13], id[14], id[15] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return id
}

func userID(n int) auth.ID     { return fixedID(kindUser, n) }
func identityID(n int) auth.ID { return fixedID(kindIdentity, n) }
func sessionID(n int) auth.ID  { return fixedID(kindSession, n) }

func emailOf(n int) string { return fmt.Sprintf("user%d@example.com", n) }

// same fails the test unless got is exactly want. JSON documents are compared by value,
// since jsonb keeps no spelling; times must be equal and in UTC.
func (e *env) same(what string, want, got any) {
	e.tb.Helper()
	if d := cmp.Diff(want, got, compareOptions()...); d != "" {
		e.tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func compareOptions() []cmp.Option {
	return []cmp.Option{
		cmp.FilterPath(func(p cmp.Path) bool { return !isJSON(p) }, cmpopts.EquateEmpty()),
		cmp.FilterPath(isJSON, cmp.Comparer(func(a, b []byte) bool { return sameJSON(a, b) })),
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }),
	}
}

// isJSON tells documents from other bytes, which have to be the same.
func isJSON(p cmp.Path) bool {
	return p.Last().Type() == reflect.TypeFor[json.RawMessage]() || p.Last().String() == ".PublicJWK"
}

func sameJSON(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	x, errX := decodeJSON(a)
	y, errY := decodeJSON(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// decodeJSON keeps numbers as they are written: a store must not round an id of 20 digits.
func decodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// ok fails the test at once when err is not nil.
func (e *env) ok(what string, err error) {
	e.tb.Helper()
	if err != nil {
		e.tb.Fatalf("%s: %v", what, err)
	}
}

// is fails the test unless err is target.
func (e *env) is(what string, err, target error) {
	e.tb.Helper()
	if !errors.Is(err, target) {
		e.tb.Errorf("%s: error %v, want %v", what, err, target)
	}
}

// account is the n-th ordinary sign-up: e-mail and password, confirmed, with one identity.
func account(n int) auth.NewAccount {
	id := userID(n)
	return auth.NewAccount{
		User: auth.User{
			ID: id, Aud: "authenticated", Role: auth.RoleAuthenticated,
			Email: emailOf(n), PasswordHash: fmt.Sprintf("$hash$%d", n),
			EmailConfirmedAt: t0, LastSignInAt: t0, CreatedAt: t0, UpdatedAt: t0,
			AppMetadata:  json.RawMessage(`{"provider":"email","providers":["email"]}`),
			UserMetadata: json.RawMessage(`{}`),
			Identities:   []auth.Identity{emailIdentity(n)},
		},
		Audit: []auth.AuditEntry{audit(n, "user_signedup", "team")},
	}
}

func emailIdentity(n int) auth.Identity {
	return auth.Identity{
		ID: identityID(n), UserID: userID(n), Provider: auth.ProviderEmail, ProviderID: userID(n).String(),
		Data:  json.RawMessage(fmt.Sprintf(`{"sub":%q,"email":%q}`, userID(n), emailOf(n))),
		Email: emailOf(n), LastSignInAt: t0, CreatedAt: t0, UpdatedAt: t0,
	}
}

// session is the n-th session, of the user with number owner.
func session(n, owner int) auth.Session {
	return auth.Session{
		ID: sessionID(n), UserID: userID(owner), AAL: auth.AAL1,
		AMR:       []auth.AMR{{Method: auth.MethodPassword, At: t0}},
		UserAgent: "storetest/1", IP: "192.0.2.7",
		CreatedAt: t0, UpdatedAt: t0, Counter: 0, Parent: -1,
	}
}

func audit(n int, action, logType string) auth.AuditEntry {
	return auth.AuditEntry{
		ID: fixedID(kindAudit, n), At: t0, Action: action, LogType: logType,
		ActorID: userID(1), ActorUsername: emailOf(1), IP: "192.0.2.7",
		Traits: map[string]any{"n": float64(n)},
	}
}

// start starts a session and leaves aside what it is given.
func (e *env) start(s auth.SessionStart) error {
	_, err := e.StartSession(e.ctx, s)
	return err
}

// sign starts session n for the user owner, with its own audit entry.
func (e *env) sign(n, owner int) auth.Session {
	e.tb.Helper()
	s := session(n, owner)
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(100000+n, "login", "account")}))
	return s
}

// create makes the account and gives its user.
func (e *env) create(a auth.NewAccount) auth.User {
	e.tb.Helper()
	e.ok("CreateAccount", e.CreateAccount(e.ctx, a))
	return a.User
}

func (e *env) user(n int) auth.User {
	e.tb.Helper()
	u, err := e.UserByID(e.ctx, userID(n))
	e.ok("UserByID", err)
	return u
}

// alive reports whether session n is alive and belongs to the user owner.
func (e *env) alive(n, owner int) bool {
	e.tb.Helper()
	r, err := e.UserWithSession(e.ctx, userID(owner), sessionID(n), t0)
	e.ok("UserWithSession", err)
	return r.Session
}

// wantAlive checks which of the sessions of one user are alive.
func (e *env) wantAlive(what string, owner int, want map[int]bool) {
	e.tb.Helper()
	got := make(map[int]bool, len(want))
	for n := range want {
		got[n] = e.alive(n, owner)
	}
	e.same(what+": sessions alive", want, got)
}

// wantAudit checks the whole audit log where the store can show it. The order in which the
// entries are given is free.
func (e *env) wantAudit(what string, want ...auth.AuditEntry) {
	e.tb.Helper()
	a, ok := e.Store.(Auditor)
	if !ok {
		return
	}
	rows, err := a.AuditRows(e.ctx)
	e.ok("AuditRows", err)
	wantRows := make([]AuditRow, len(want))
	for i := range want {
		wantRows[i] = AuditRow{ID: want[i].ID, At: want[i].At, Payload: want[i].Payload(), IP: want[i].IP}
	}
	slices.SortFunc(wantRows, func(a, b AuditRow) int { return stdcmp.Or(a.At.Compare(b.At), slices.Compare(a.ID[:], b.ID[:])) })
	e.same(what+": audit log", wantRows, rows)
}

func ptr[T any](v T) *T { return &v }
