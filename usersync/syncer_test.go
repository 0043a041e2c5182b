package usersync_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// project is an issuer whose users may or may not have proved their addresses.
type project struct {
	confirmed atomic.Bool
	banned    atomic.Bool
	email     atomic.Value // another address, if set
	asked     atomic.Int32
}

// RoundTrip answers GET /user, for any token.
func (pr *project) RoundTrip(r *http.Request) (*http.Response, error) {
	pr.asked.Add(1)
	user := map[string]any{
		"id": strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "email": mail, "phone": phone,
		"user_metadata": map[string]any{"email_verified": true, "phone_verified": true, "full_name": "Ada King"},
		"app_metadata":  map[string]any{"provider": "email"},
	}
	if other, ok := pr.email.Load().(string); ok {
		user["email"] = other
		delete(user, "phone")
	}
	user["updated_at"] = "2026-01-02T03:04:05Z"
	if pr.banned.Load() {
		user["banned_until"] = "2099-01-01T00:00:00Z"
	}
	if pr.confirmed.Load() {
		user["email_confirmed_at"], user["phone_confirmed_at"] = "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"
	}
	rec := respond(http.StatusOK, user)
	return rec, nil
}

// A15.2, B2.9: whether the token was verified by the issuer's keys or by its answer, the
// row is the same; and what the user writes into user_metadata proves nothing.
func TestPathOfVerificationMakesNoDifference(t *testing.T) {
	t.Parallel()
	claims := map[string]any{"email_verified": true, "phone_verified": true}
	for _, confirmed := range []bool{true, false} {
		var rows []usersync.User
		for _, path := range []string{"keys", "introspection"} {
			iss := issuer(t)
			pr := &project{}
			pr.confirmed.Store(confirmed)
			store, _ := onSQLite(t)
			if _, err := store.Sync(t.Context(), usersync.Request{
				Identity: usersync.Identity{Issuer: iss.URL(), Subject: "old", Email: mail, EmailVerified: true},
				NewID:    "row", At: at(0),
			}); err != nil {
				t.Fatal(err)
			}
			v := iss.Verifier()
			if path == "introspection" {
				iss.KeysDown()
			}
			token := iss.Token(cardeatest.User{ID: "u1", Email: mail, Phone: phone, UserMetadata: claims})
			p, err := v.Verify(t.Context(), token)
			if err != nil || p.EmailVerified != (path == "introspection") {
				t.Fatalf("%s: %v, %v", path, p, err)
			}
			users := newSyncer(t, iss, usersync.Config{Store: store, Sources: map[string]usersync.Source{
				iss.URL(): usersync.SupabaseUser{URL: "https://project.test/auth/v1", Client: &http.Client{Transport: pr}},
			}})
			got, err := users.Ensure(t.Context(), p, "u1") // the project takes the id for a token
			if err != nil {
				t.Fatal(err)
			}
			u := got.User
			if linked := u.ID == "row"; linked != confirmed || (u.Email == mail) != confirmed || (u.Phone == phone) != confirmed {
				t.Errorf("%s, confirmed %v: %+v", path, confirmed, u)
			}
			u.ID, u.Issuer, u.Version = "", "", 0
			u.CreatedAt, u.UpdatedAt, u.EvidenceAt = time.Time{}, time.Time{}, time.Time{}
			rows = append(rows, u)
		}
		if diff := cmp.Diff(rows[0], rows[1]); diff != "" {
			t.Errorf("confirmed %v: keys and introspection differ:\n%s", confirmed, diff)
		}
	}
}

// The issuer is asked about somebody new, and about a known user only while the row lacks an
// address, and not often.
func TestAsksSeldom(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	pr := &project{}
	store, _ := onSQLite(t)
	users := newSyncer(t, iss, usersync.Config{Store: store, Sources: map[string]usersync.Source{
		iss.URL(): usersync.SupabaseUser{URL: "https://project.test", Client: &http.Client{Transport: pr}},
	}})
	p := &cardea.Principal{Issuer: iss.URL(), Subject: "u1", Email: mail, Phone: phone}
	step := func(wait time.Duration, asked int32, email string) {
		t.Helper()
		iss.Clock().Advance(wait)
		got, err := users.Ensure(t.Context(), p, "u1")
		if err != nil || got.User.Email != email || pr.asked.Load() != asked {
			t.Errorf("%+v, %v; asked %d times, want %d", got.User, err, pr.asked.Load(), asked)
		}
	}
	step(0, 1, "")
	step(0, 1, "")
	step(2*time.Minute, 1, "")
	pr.confirmed.Store(true)
	step(7*time.Minute, 1, "")
	step(2*time.Minute, 2, mail) // confirmed meanwhile
	step(time.Hour, 2, mail)     // complete
}

// The steady state costs no statement; what this process changes shows at once.
func TestCache(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	base, _ := onSQLite(t)
	store := &moody{Store: base}
	users := newSyncer(t, iss, usersync.Config{Store: store})
	p, token := iss.Principal(cardeatest.User{Email: mail}), iss.Token(cardeatest.User{Email: mail})
	ensure := func() (usersync.Provision, error) { return users.Ensure(t.Context(), p, token) }
	first, err := ensure()
	if err != nil || !first.Created {
		t.Fatal(first, err)
	}
	before := store.calls.Load()
	for range 100 {
		if got, err := ensure(); err != nil || got.Created || got.User.ID != first.User.ID {
			t.Fatal(got, err)
		}
	}
	if n := store.calls.Load() - before; n != 0 {
		t.Errorf("%d statements in the steady state", n)
	}
	iss.Clock().Advance(61 * time.Second)
	if _, err := ensure(); err != nil || store.calls.Load()-before != 1 {
		t.Errorf("after a minute: %d statements, %v", store.calls.Load()-before, err)
	}
	if _, err := users.UpdateProfile(t.Context(), first.User.ID, usersync.Profile{FirstName: "Ada"}); err != nil {
		t.Fatal(err)
	}
	if got, err := ensure(); err != nil || got.User.Profile.FirstName != "Ada" {
		t.Errorf("an old row: %+v, %v", got.User, err)
	}
	if _, err := users.Deactivate(t.Context(), first.User.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := ensure(); cardea.CodeOf(err) != cardea.CodeUserInactive {
		t.Errorf("deactivated: %v", err)
	}
	if _, err := users.Reactivate(t.Context(), first.User.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := ensure(); err != nil {
		t.Error(err)
	}
	users.Forget(p.Issuer, p.Subject)
	before = store.calls.Load()
	if _, err := ensure(); err != nil || store.calls.Load() == before {
		t.Errorf("Forget: %v", err)
	}
}

// The subject that a row had before opens it no more, also in the cache.
func TestOldSubject(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, count := onSQLite(t)
	refused := &refusing{Source: asks(iss)[iss.URL()]}
	users := newSyncer(t, iss, usersync.Config{Store: store, Sources: map[string]usersync.Source{iss.URL(): refused}})
	ensure := func(id string) (usersync.Provision, error) {
		u := cardeatest.User{ID: id, Email: mail}
		return users.Ensure(t.Context(), iss.Principal(u), iss.Token(u))
	}
	old, err := ensure("old")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ensure("new"); err != nil || got.User.ID != old.User.ID || got.Created {
		t.Fatalf("%+v, %v", got, err)
	}
	refused.subject.Store("old") // it is gone at the issuer
	if got, err := ensure("old"); cardea.CodeOf(err) != cardea.CodeProviderError {
		t.Errorf("the old subject: %+v, %v", got, err)
	}
	if n := count("users"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// refusing is an issuer that knows one subject no more.
type refusing struct {
	usersync.Source
	subject atomic.Value
}

func (r *refusing) Ask(ctx context.Context, p *cardea.Principal, token string) (usersync.Identity, error) {
	if r.subject.Load() == p.Subject {
		return usersync.Identity{}, cardea.NewError(cardea.CodeProviderError, errors.New("gone"))
	}
	return r.Source.Ask(ctx, p, token)
}

// A15.5, X35: a subject that was shut out and still has a good token gets 403 and no new row,
// whatever else it brings.
func TestShutOut(t *testing.T) {
	t.Parallel()
	for name, shut := range map[string]func(*usersync.Syncer, context.Context, string) (usersync.User, error){
		"deleted": (*usersync.Syncer).Delete, "deactivated": (*usersync.Syncer).Deactivate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			iss := issuer(t)
			store, count := onSQLite(t)
			users := newSyncer(t, iss, usersync.Config{Store: store})
			h := service(iss.Verifier(), users)
			ada := cardeatest.User{ID: "ada", Email: mail}
			rec := send(h, iss.Request("GET", "/me", ada))
			cardeatest.AssertAllowed(t, rec)
			if _, err := shut(users, t.Context(), rec.Body.String()); err != nil {
				t.Fatal(err)
			}
			for _, u := range []cardeatest.User{ada, {ID: "ada", Email: "other@example.org"}, {ID: "ada", Phone: phone}} {
				rec := send(h, iss.Request("GET", "/me", u))
				if rec.Code != http.StatusForbidden || !strings.Contains(rec.Body.String(), `"USER_INACTIVE"`) {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
			}
			if n := count("users"); n != 1 {
				t.Errorf("%d rows", n)
			}
			rec = send(h, iss.Request("GET", "/me", cardeatest.User{ID: "another", Email: mail}))
			if want := map[string]int{"deleted": 200, "deactivated": 403}[name]; rec.Code != want {
				t.Errorf("a new subject with the address: %d, want %d", rec.Code, want)
			}
		})
	}
}

// S2.18: pages for everybody never refuse.
func TestOptional(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	base, _ := onSQLite(t)
	store := &moody{Store: base}
	users := newSyncer(t, iss, usersync.Config{Store: store, CacheTTL: -1})
	h := iss.Verifier().Optional()(users.Optional(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, known := cardea.PrincipalFrom(r.Context())
		fmt.Fprint(w, known, " ", known && p.Provisioned)
	})))
	want := func(what string, r *http.Request, want string) {
		t.Helper()
		if rec := send(h, r); rec.Code != 200 || rec.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", what, rec.Code, rec.Body, want)
		}
	}
	ada := iss.Request("GET", "/", cardeatest.User{ID: "ada"})
	anonymous := ada.Clone(t.Context())
	anonymous.Header.Del("Authorization")
	want("nobody", anonymous, "false false")
	want("a user", ada, "true true")
	store.down.Store(true)
	want("an outage", ada, "true false")
	store.down.Store(false)
	u, err := store.Find(t.Context(), iss.URL(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Deactivate(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	want("shut out", ada, "false false")
}

// Every problem is in one error.
func TestNewListsProblems(t *testing.T) {
	t.Parallel()
	_, err := usersync.New(usersync.Config{
		Mode: 7, CacheSize: -1, Sources: map[string]usersync.Source{"": nil}, Consumers: []usersync.Consumer{nil, named("hook:created")},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Store", "Mode", "CacheSize", "Sources", "one is nil", "hook:created"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: nothing of %s", err, want)
		}
	}
}

type named string

func (n named) Name() string                                { return string(n) }
func (named) Deliver(context.Context, string, []byte) error { return nil }

// The guard without a request, as other transports use it, and without anybody.
func TestCheck(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	store, _ := onSQLite(t)
	q := newSyncer(t, iss, usersync.Config{Store: store}).Require()
	if err := q.Check(t.Context(), nil); cardea.CodeOf(err) != cardea.CodeHeaderMissing {
		t.Error(err)
	}
	// Somebody new can't be asked about without a token.
	if err := q.Check(t.Context(), iss.Principal(cardeatest.User{ID: "1"})); cardea.CodeOf(err) != cardea.CodeProviderUnreachable {
		t.Error(err)
	}
	if _, err := json.Marshal(q.String()); err != nil || q.String() == "" {
		t.Error(q.String())
	}
}

// Account takeover by an address that has another owner by now: Ada changes her address at
// the issuer; later somebody else gets the old mailbox and signs up with it.
func TestMailboxWithANewOwner(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	pr := &project{}
	pr.confirmed.Store(true)
	store, count := onSQLite(t)
	users := newSyncer(t, iss, usersync.Config{Store: store, Sources: map[string]usersync.Source{
		iss.URL(): usersync.SupabaseUser{URL: "https://project.test", Client: &http.Client{Transport: pr}},
	}})
	ensure := func(id, email string) usersync.User {
		t.Helper()
		iss.Clock().Advance(11 * time.Minute)
		got, err := users.Ensure(t.Context(), &cardea.Principal{Issuer: iss.URL(), Subject: id, Email: email}, id)
		if err != nil {
			t.Fatal(err)
		}
		return got.User
	}
	ada := ensure("ada", mail)
	pr.email.Store("ada@new.example")
	if u := ensure("ada", "ada@new.example"); u.ID != ada.ID || u.Email != mail || !u.EmailStale {
		t.Errorf("Ada: %+v", u)
	}
	asked := pr.asked.Load()
	if ensure("ada", "ada@new.example"); pr.asked.Load() != asked {
		t.Error("asked again about what is known")
	}
	pr.email.Store(mail)
	if u := ensure("bob", mail); u.ID == ada.ID || u.Email != "" {
		t.Errorf("the new owner of the mailbox: %+v", u)
	}
	if n := count("users"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// A ban ends by the clock, without any news: the issuer is asked, and not with every request
// of somebody who is banned.
func TestBanIsOver(t *testing.T) {
	t.Parallel()
	iss := issuer(t)
	pr := &project{}
	pr.confirmed.Store(true)
	pr.banned.Store(true)
	store, _ := onSQLite(t)
	users := newSyncer(t, iss, usersync.Config{Store: store, Sources: map[string]usersync.Source{
		iss.URL(): usersync.SupabaseUser{URL: "https://project.test", Client: &http.Client{Transport: pr}},
	}})
	ensure := func() error {
		_, err := users.Ensure(t.Context(), &cardea.Principal{Issuer: iss.URL(), Subject: "ada", Email: mail}, "ada")
		return err
	}
	for range 20 {
		if err := ensure(); cardea.CodeOf(err) != cardea.CodeUserInactive {
			t.Fatal(err)
		}
	}
	if n := pr.asked.Load(); n > 2 {
		t.Errorf("asked %d times", n)
	}
	pr.banned.Store(false)
	iss.Clock().Advance(11 * time.Minute)
	if err := ensure(); err != nil {
		t.Error(err)
	}
}

// A15.6, B3.6: a trigger that somebody put on the table and that raises stops nobody, is
// heard of, and what it kept out comes in when it is gone, without a new request.
func TestRaisingTrigger(t *testing.T) {
	t.Parallel()
	for _, db := range databases(t) {
		t.Run(db.name, func(t *testing.T) {
			t.Parallel()
			iss := issuer(t)
			store, run, stop, err := openStore(t.Context(), db.dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			heard := &failures{}
			users := newSyncer(t, iss, usersync.Config{Store: store, Mode: usersync.BestEffort, OnFailure: heard.hear})
			h := service(iss.Verifier(), users)
			count := func() int { return run("SELECT count(*) FROM " + db.table + "users") }
			on, off := []string{
				`CREATE TRIGGER handle_new_user AFTER INSERT ON usersync_users BEGIN SELECT RAISE(ABORT, 'no subscription'); END`,
			}, `DROP TRIGGER handle_new_user`
			if db.name == "postgres" {
				on, off = []string{
					`CREATE FUNCTION handle_new_user() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no subscription'; END $$`,
					`CREATE TRIGGER handle_new_user AFTER INSERT ON usersync.users FOR EACH ROW EXECUTE FUNCTION handle_new_user()`,
				}, `DROP TRIGGER handle_new_user ON usersync.users`
			}
			for _, statement := range on {
				run(statement)
			}
			ada := iss.Request("GET", "/me", cardeatest.User{ID: "ada", Email: mail})
			if rec := send(h, ada); rec.Code != http.StatusOK || rec.Header().Get("Provisioned") != "no" {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
			if heard.ops() != "sync" || !strings.Contains(heard.list[0].Err.Error(), "no subscription") || count() != 0 || users.Waiting() != 1 {
				t.Errorf("heard %q, %d rows, %d wait", heard.ops(), count(), users.Waiting())
			}
			run(off)
			users.Drain(t.Context())
			if count() != 1 || users.Waiting() != 0 {
				t.Errorf("afterwards: %d rows, %d wait", count(), users.Waiting())
			}
		})
	}
}
