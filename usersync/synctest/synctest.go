// Package synctest is the contract of usersync.Store as code: [Run] what each method does,
// [Race] what happens when several processes do it at once.
package synctest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/usersync"
)

// Database is an empty one, opened twice with a pool each, as by two processes.
type Database struct {
	A, B usersync.Store
	// Count gives the number of rows of a table: "users", "profiles", "conflicts".
	Count func(tb testing.TB, table string) int
}

const (
	issuer  = "https://issuer.test/auth/v1"
	other   = "https://other.test"
	mail    = "ada@example.org"
	number  = "919876543210"
	hooks   = usersync.ConsumerHook
	webhook = "webhook:crm"
)

func at(seconds int) time.Time { return time.Unix(1_800_000_000+int64(seconds), 123_456_000).UTC() }

// id makes an id of the form that every database takes.
func id(n int) string { return fmt.Sprintf("01990000-0000-7000-8000-%012d", n) }

// request is a first one of a subject, changed by the case.
func request(n int, subject string, change func(*usersync.Request)) usersync.Request {
	r := usersync.Request{
		Identity: usersync.Identity{Issuer: issuer, Subject: subject}, At: at(n),
		NewID: id(n), EventID: fmt.Sprint("event-", n),
	}
	if change != nil {
		change(&r)
	}
	return r
}

func proved(email, phone string) func(*usersync.Request) {
	return func(r *usersync.Request) {
		r.Identity.Email, r.Identity.EmailVerified = email, email != ""
		r.Identity.Phone, r.Identity.PhoneVerified = phone, phone != ""
	}
}

// must syncs and wants an action.
func must(t *testing.T, s usersync.Store, r usersync.Request, want usersync.Action) usersync.User {
	t.Helper()
	got, err := s.Sync(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got.Plan.Action != want {
		t.Fatalf("%s, want %s", got.Plan.Action, want)
	}
	return got.User
}

// same compares a row with what the database has, whole.
func same(t *testing.T, s usersync.Store, want usersync.User) {
	t.Helper()
	got, err := s.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("\nread:  %+v\nwrote: %+v", got, want)
	}
}

func counts(t *testing.T, db Database, table string, want int) {
	t.Helper()
	if n := db.Count(t, table); n != want {
		t.Errorf("%d rows in %s, want %d", n, table, want)
	}
}

// Run tests every method. open gives a database of its own to each case.
func Run(t *testing.T, open func(testing.TB) Database) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"S3.8 S3.15 S3.16 user and profile are made together", created},
		{"S2.28 S2.29 an active row is kept up to date", kept},
		{"S2.28 S2.29 a proved address links", linked},
		{"S2.29 a value that another row owns", contested},
		{"S2.30 a superseded row gives its subject up", superseded},
		{"A15.5 a tombstone", tombstone},
		{"A15.5 a ban", banned},
		{"what the service changes", edited},
		{"a message is carried out once", once},
		{"S3.11 tasks of a change", tasksOfChange},
		{"leases", leases},
		{"who waits no longer", waiting},
		{"odd values", odd},
		{"unknown users", unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

func created(t *testing.T, db Database) {
	full := func(r *usersync.Request) {
		proved("Ada@Example.org", "+91 98765 43210")(r)
		r.Identity.AuthProvider, r.Identity.Providers = "google", []usersync.Provider{{Name: "google", ID: "g1"}, {Name: "email"}}
		r.Identity.Profile = usersync.Profile{FirstName: "Ada", LastName: "King", FullName: "Ada King", AvatarURL: "https://x.test/a.png", Locale: "en"}
		r.Identity.Standing, r.Identity.SourceAt = usersync.StandingGood, at(0)
		r.Asked = true
	}
	got := must(t, db.A, request(1, "s1", full), usersync.ActionCreate)
	want := usersync.User{
		ID: id(1), Issuer: issuer, Subject: "s1", Status: usersync.StatusActive, Version: 1,
		Email: mail, EmailVerified: true, Phone: number, PhoneVerified: true,
		AuthProvider: "google", Providers: []usersync.Provider{{Name: "google", ID: "g1"}, {Name: "email"}},
		Profile:  usersync.Profile{FirstName: "Ada", LastName: "King", FullName: "Ada King", AvatarURL: "https://x.test/a.png", Locale: "en"},
		SourceAt: at(0), EvidenceAt: at(1), CreatedAt: at(1), UpdatedAt: at(1),
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("\ngot:  %+v\nwant: %+v", got, want)
	}
	same(t, db.B, want)
	found, err := db.B.Find(t.Context(), issuer, "s1")
	if err != nil || found.ID != want.ID {
		t.Errorf("found %v, %v", found.ID, err)
	}
	must(t, db.A, request(2, "s1", full), usersync.ActionNone)
	must(t, db.A, request(3, "s2", nil), usersync.ActionCreate)
	must(t, db.A, request(4, "s1", func(r *usersync.Request) { r.Identity.Issuer = other }), usersync.ActionCreate)
	counts(t, db, "users", 3)
	counts(t, db, "profiles", 3)
}

func kept(t *testing.T, db Database) {
	must(t, db.A, request(1, "s1", nil), usersync.ActionCreate)
	u := must(t, db.A, request(2, "s1", func(r *usersync.Request) {
		proved(mail, "")(r)
		r.Identity.Profile.FirstName, r.Asked = "Ada", true
	}), usersync.ActionUpdate)
	if u.Email != mail || !u.EmailVerified || u.Profile.FirstName != "Ada" || u.Version != 2 || !u.CreatedAt.Equal(at(1)) {
		t.Errorf("%+v", u)
	}
	same(t, db.B, u)
	u = must(t, db.A, request(3, "s1", func(r *usersync.Request) {
		proved("new@example.org", "")(r)
		r.Identity.Profile.FirstName, r.Asked = "Augusta", true
	}), usersync.ActionUpdate)
	if u.Email != mail || !u.EmailStale || u.Profile.FirstName != "Ada" || !u.EvidenceAt.Equal(at(3)) {
		t.Errorf("%+v", u)
	}
	same(t, db.B, u)
	counts(t, db, "conflicts", 1)
	must(t, db.A, request(4, "s1", func(r *usersync.Request) {
		proved("new@example.org", "")(r)
		r.Asked = true
	}), usersync.ActionNone)
	counts(t, db, "conflicts", 1) // the same one, once more
	if again, err := db.B.Get(t.Context(), u.ID); err != nil || !again.EvidenceAt.Equal(at(4)) || again.Version != u.Version {
		t.Errorf("%+v, %v", again, err)
	}
	// The next owner of the mailbox does not get the row.
	if other := must(t, db.A, request(5, "s5", proved(mail, "")), usersync.ActionCreate); other.Email != "" {
		t.Errorf("%+v", other)
	}
}

func linked(t *testing.T, db Database) {
	old := must(t, db.A, request(1, "old", proved(mail, "")), usersync.ActionCreate)
	if u := must(t, db.A, request(2, "s2", func(r *usersync.Request) { r.Identity.Email = mail }), usersync.ActionCreate); u.Email != "" {
		t.Errorf("an address without a proof was stored: %+v", u)
	}
	u := must(t, db.A, request(3, "new", proved(mail, number)), usersync.ActionRepoint)
	if u.ID != old.ID || u.Subject != "new" || u.Phone != number || u.Version != 2 {
		t.Errorf("%+v", u)
	}
	same(t, db.B, u)
	if _, err := db.A.Find(t.Context(), issuer, "old"); !errors.Is(err, usersync.ErrNoUser) {
		t.Errorf("the old subject: %v", err)
	}
	if u := must(t, db.A, request(4, "newer", proved("", number)), usersync.ActionRepoint); u.ID != old.ID {
		t.Errorf("by phone: %+v", u)
	}
	counts(t, db, "users", 2)
	counts(t, db, "profiles", 2)
}

func contested(t *testing.T, db Database) {
	first := must(t, db.A, request(1, "s1", proved("", number)), usersync.ActionCreate)
	u := must(t, db.A, request(2, "s2", func(r *usersync.Request) {
		proved(mail, number)(r)
		r.Rules.NoPhoneLink = true
	}), usersync.ActionCreate)
	if u.Phone != "" || u.PhoneVerified || u.Email != mail {
		t.Errorf("%+v", u)
	}
	same(t, db.A, first)
	same(t, db.A, u)
	counts(t, db, "conflicts", 1)
}

func superseded(t *testing.T, db Database) {
	old := must(t, db.A, request(1, "s1", proved(mail, number)), usersync.ActionCreate)
	closed, err := db.A.Edit(t.Context(), usersync.Edit{ID: old.ID, At: at(2), Status: usersync.StatusSuperseded})
	if err != nil || closed.Email != "" || closed.Phone != "" || closed.Subject != "s1" {
		t.Fatalf("%+v, %v", closed, err)
	}
	same(t, db.B, closed)
	heir := must(t, db.A, request(3, "s3", proved("", number)), usersync.ActionCreate)
	u := must(t, db.A, request(4, "s1", proved("", number)), usersync.ActionMove)
	if u.ID != heir.ID || u.Subject != "s1" {
		t.Errorf("%+v", u)
	}
	same(t, db.B, u)
	if left, err := db.A.Get(t.Context(), old.ID); err != nil || left.Subject != usersync.Released("s1", old.ID) {
		t.Errorf("%+v, %v", left, err)
	}
	if again := must(t, db.A, request(5, "s1", proved("", number)), usersync.ActionNone); again.ID != heir.ID {
		t.Errorf("%+v", again)
	}
	counts(t, db, "users", 2)
}

func tombstone(t *testing.T, db Database) {
	u := must(t, db.A, request(1, "s1", func(r *usersync.Request) {
		proved(mail, number)(r)
		r.Identity.Profile.FirstName = "Ada"
	}), usersync.ActionCreate)
	gone := func(r *usersync.Request) { r.Identity.Standing = usersync.StandingDeleted }
	if u.Email != mail {
		t.Fatalf("%+v", u)
	}
	u = must(t, db.A, request(2, "s1", gone), usersync.ActionUpdate)
	if u.Status != usersync.StatusDeleted || u.Email != "" || u.Profile != (usersync.Profile{}) {
		t.Errorf("%+v", u)
	}
	same(t, db.B, u)
	counts(t, db, "profiles", 0)
	refused := must(t, db.A, request(3, "s1", proved(mail, number)), usersync.ActionRefuse)
	if refused.ID != u.ID {
		t.Errorf("refused by %+v", refused)
	}
	must(t, db.A, request(4, "never", gone), usersync.ActionCreate)
	must(t, db.A, request(5, "never", proved(mail, "")), usersync.ActionRefuse)
	counts(t, db, "users", 2)
	counts(t, db, "profiles", 0)
	must(t, db.A, request(6, "s6", proved(mail, number)), usersync.ActionCreate) // the addresses are free
}

func banned(t *testing.T, db Database) {
	standing := func(s usersync.Standing, when int) func(*usersync.Request) {
		return func(r *usersync.Request) { r.Identity.Standing, r.Identity.SourceAt = s, at(when) }
	}
	must(t, db.A, request(1, "s1", proved(mail, "")), usersync.ActionCreate)
	must(t, db.A, request(2, "s1", standing(usersync.StandingBanned, 2)), usersync.ActionUpdate)
	must(t, db.B, request(3, "s1", nil), usersync.ActionRefuse)
	must(t, db.B, request(4, "another", proved(mail, "")), usersync.ActionRefuse)
	u := must(t, db.A, request(5, "s1", standing(usersync.StandingGood, 5)), usersync.ActionUpdate)
	if u.Status != usersync.StatusActive || u.Email != mail {
		t.Errorf("%+v", u)
	}
	same(t, db.B, u)
	counts(t, db, "users", 1)
}

func edited(t *testing.T, db Database) {
	u := must(t, db.A, request(1, "s1", func(r *usersync.Request) { r.Identity.Profile.FirstName = "Ada" }), usersync.ActionCreate)
	edit := func(n int, e usersync.Edit) (usersync.User, error) {
		e.ID, e.At, e.EventID = u.ID, at(n), fmt.Sprint("edit-", n)
		return db.A.Edit(t.Context(), e)
	}
	for n, c := range []struct {
		edit usersync.Edit
		want usersync.Status
		err  error
	}{
		{usersync.Edit{Profile: usersync.Profile{FirstName: "Augusta", LastName: "King"}}, usersync.StatusActive, nil},
		{usersync.Edit{Fill: usersync.Profile{FirstName: "Ada", Locale: "en"}}, usersync.StatusActive, nil},
		{usersync.Edit{Status: usersync.StatusBanned}, "", usersync.ErrFinal},
		{usersync.Edit{Status: usersync.StatusDeactivated}, usersync.StatusDeactivated, nil},
		{usersync.Edit{Status: usersync.StatusSuperseded}, "", usersync.ErrFinal},
		{usersync.Edit{Status: usersync.StatusActive}, usersync.StatusActive, nil},
		{usersync.Edit{Status: usersync.StatusDeleted}, usersync.StatusDeleted, nil},
		{usersync.Edit{Status: usersync.StatusDeleted}, usersync.StatusDeleted, nil},
		{usersync.Edit{Status: usersync.StatusActive}, "", usersync.ErrFinal},
		{usersync.Edit{Profile: usersync.Profile{FirstName: "Ada"}}, "", usersync.ErrFinal},
	} {
		got, err := edit(n+2, c.edit)
		if !errors.Is(err, c.err) || got.Status != c.want {
			t.Fatalf("edit %d: %s, %v, want %s, %v", n, got.Status, err, c.want, c.err)
		}
		if err == nil {
			same(t, db.B, got)
		}
		if n == 1 && (got.Profile != usersync.Profile{FirstName: "Augusta", LastName: "King", Locale: "en"}) {
			t.Errorf("%+v", got.Profile)
		}
	}
}

func once(t *testing.T, db Database) {
	message := func(name string, n int) usersync.Request {
		return request(n, fmt.Sprint("s", n), func(r *usersync.Request) { r.Once = usersync.Once{ID: name, Until: at(n + 300)} })
	}
	must(t, db.A, message("m1", 1), usersync.ActionCreate)
	if _, err := db.B.Sync(t.Context(), message("m1", 2)); !errors.Is(err, usersync.ErrReplayed) {
		t.Errorf("again: %v", err)
	}
	must(t, db.A, message("m1", 400), usersync.ActionCreate) // long forgotten
	// What failed may come again: the row can't be made with an id that is taken.
	failing := message("m2", 401)
	failing.NewID = id(1)
	if _, err := db.A.Sync(t.Context(), failing); err == nil {
		t.Fatal("two rows with one id")
	}
	must(t, db.A, message("m2", 402), usersync.ActionCreate)
	counts(t, db, "users", 3)
}

func unknown(t *testing.T, db Database) {
	if _, err := db.A.Find(t.Context(), issuer, "s1"); !errors.Is(err, usersync.ErrNoUser) {
		t.Errorf("Find: %v", err)
	}
	if _, err := db.A.Get(t.Context(), id(1)); !errors.Is(err, usersync.ErrNoUser) {
		t.Errorf("Get: %v", err)
	}
	if _, err := db.A.Edit(t.Context(), usersync.Edit{ID: id(1), At: at(1)}); !errors.Is(err, usersync.ErrNoUser) {
		t.Errorf("Edit: %v", err)
	}
	if list, err := db.A.Backlog(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("Backlog: %v, %v", list, err)
	}
}

func odd(t *testing.T, db Database) {
	names := []string{`'; DROP TABLE users; --`, `"quoted"`, "日本語", "🩺", `back\slash`, "$1 ? @users"}
	for n, name := range names {
		u := must(t, db.A, request(n+1, name, func(r *usersync.Request) {
			r.Identity.Profile.FullName, r.Identity.Providers = name, []usersync.Provider{{Name: name, ID: name}}
		}), usersync.ActionCreate)
		same(t, db.B, u)
		if found, err := db.B.Find(t.Context(), issuer, name); err != nil || found.ID != u.ID {
			t.Errorf("%q: %v, %v", name, found.ID, err)
		}
	}
	counts(t, db, "users", len(names))
}

// together runs f n times at once, half of them on each store.
func together(db Database, n int, f func(n int, s usersync.Store)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		s := db.A
		if i%2 == 1 {
			s = db.B
		}
		wg.Go(func() {
			<-start
			f(i, s)
		})
	}
	close(start)
	wg.Wait()
}
