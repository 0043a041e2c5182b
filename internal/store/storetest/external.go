package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func externalCases() []testCase {
	return []testCase{
		{"made with the first request, and found with the next", externalMade},
		{"what the caller decides with", externalCandidates},
		{"linked, in place of the subject before", externalLinked},
		{"what changes of an account", externalChanged},
		{"a plan that can't be carried out changes nothing", externalRefused},
		{"A15.5: who has gone stays away", externalGone},
	}
}

func raceExternalCases() []testCase {
	return []testCase{
		{"A15.1 S2.31: one subject, many first requests", raceFirstRequest},
		{"many subjects with one address", raceOneAddress},
		{"a first request beside a sign-up", raceSignUpBeside},
	}
}

const vouching = "https://issuer.example/auth/v1"

// arriving is a request of a subject with the address of account n, which makes account n
// where nobody is found, and links who is.
func arriving(subject string, n int) auth.Provisioning {
	return auth.Provisioning{
		Issuer: vouching, Subject: subject, Email: emailOf(n), At: after(time.Minute),
		Decide: func(c auth.ExternalCandidates) (auth.ExternalPlan, error) {
			switch {
			case c.Subject != nil:
				return auth.ExternalPlan{EvidenceAt: after(time.Minute)}, nil
			case c.Email != nil:
				return auth.ExternalPlan{UserID: c.Email.Person.User.ID, Link: true, EvidenceAt: after(time.Minute)}, nil
			}
			a := account(n)
			a.Profile = &auth.ProfilePatch{At: t0, FullName: ptr("Ada")}
			return auth.ExternalPlan{Create: &a, EvidenceAt: after(time.Minute)}, nil
		},
	}
}

func (e *env) provision(p auth.Provisioning) auth.ExternalUser {
	e.tb.Helper()
	got, err := e.Provision(e.ctx, p)
	e.ok("Provision", err)
	again, err := e.ExternalUser(e.ctx, p.Issuer, p.Subject)
	if !errors.Is(err, auth.ErrNotFound) || got.Subject != "" {
		e.ok("ExternalUser", err)
		e.same("read again", again, got)
	}
	return got
}

func externalMade(_ *testing.T, e *env) {
	_, err := e.ExternalUser(e.ctx, vouching, "ada")
	e.is("nobody yet", err, auth.ErrNotFound)
	first := e.provision(arriving("ada", 1))
	e.same("account", account(1).User, first.Person.User)
	e.same("profile", "Ada", first.Person.Profile.FullName)
	e.same("what is known of the issuer", []any{vouching, "ada", after(time.Minute), time.Time{}},
		[]any{first.Issuer, first.Subject, first.EvidenceAt, first.SourceAt})
	e.same("and again", first, e.provision(arriving("ada", 2)))
	e.wantAudit("once", account(1).Audit...)
	_, err = e.ExternalUser(e.ctx, "https://other.example", "ada")
	e.is("a subject of another issuer", err, auth.ErrNotFound)
}

func externalCandidates(_ *testing.T, e *env) {
	e.create(account(1))
	a := account(2)
	a.User.Phone, a.User.PhoneConfirmedAt = "972501234567", t0
	e.create(a)
	e.further(1, 1, "further@example.com")
	e.provision(arriving("one", 1))
	for _, c := range []struct{ email, phone, subject string }{
		{emailOf(1), "972501234567", "one"}, {"further@example.com", "", "two"}, {"nobody@example.com", "1", "three"}, {"", "", "four"},
	} {
		p := auth.Provisioning{Issuer: vouching, Subject: c.subject, Email: c.email, Phone: c.phone, At: t0}
		p.Decide = func(got auth.ExternalCandidates) (auth.ExternalPlan, error) {
			e.same("subject", c.subject == "one", got.Subject != nil)
			e.same("e-mail", c.email == emailOf(1) || c.email == "further@example.com", got.Email != nil)
			e.same("phone", c.phone == "972501234567", got.Phone != nil)
			if got.Email != nil {
				e.same("whose", []any{userID(1), vouching, "one"}, []any{got.Email.Person.User.ID, got.Email.Issuer, got.Email.Subject})
			}
			if got.Phone != nil {
				e.same("whose", []any{userID(2), "", ""}, []any{got.Phone.Person.User.ID, got.Phone.Issuer, got.Phone.Subject})
			}
			return auth.ExternalPlan{}, nil
		}
		e.provision(p)
	}
	_, err := e.ExternalUser(e.ctx, vouching, "two")
	e.is("a plan of nothing leaves nothing", err, auth.ErrNotFound)
}

func externalLinked(_ *testing.T, e *env) {
	e.create(account(1))
	first := e.provision(arriving("before", 1))
	e.same("linked", userID(1), first.Person.User.ID)
	p := arriving("after", 1)
	p.At = after(time.Hour)
	e.same("linked again", userID(1), e.provision(p).Person.User.ID)
	_, err := e.ExternalUser(e.ctx, vouching, "before")
	e.is("the subject before", err, auth.ErrNotFound)
	other := arriving("elsewhere", 1)
	other.Issuer = "https://other.example"
	e.provision(other)
	_, err = e.ExternalUser(e.ctx, vouching, "after")
	e.ok("that of another issuer stays", err)
}

func externalChanged(_ *testing.T, e *env) {
	e.create(account(1))
	p := arriving("ada", 1)
	p.Decide = func(c auth.ExternalCandidates) (auth.ExternalPlan, error) {
		at := after(time.Hour)
		return auth.ExternalPlan{
			UserID: c.Email.Person.User.ID, Link: true, SourceAt: at, Audit: []auth.AuditEntry{audit(50, "identity_linked", "team")},
			Patch: &auth.UserPatch{At: at, Phone: ptr("972501234567"), PhoneConfirmedAt: &at, Identities: []auth.Identity{{
				ID: fixedID(kindIdentity, 77), UserID: userID(1), Provider: "issuer", ProviderID: "ada", Data: []byte(`{"sub":"ada"}`), CreatedAt: at, UpdatedAt: at,
			}}},
			Profile: &auth.ProfilePatch{At: at, FullName: ptr("Ada")},
		}, nil
	}
	got := e.provision(p)
	u := got.Person.User
	e.same("account", []any{"972501234567", after(time.Hour), 2, "Ada", after(time.Hour)},
		[]any{u.Phone, u.PhoneConfirmedAt, len(u.Identities), got.Person.Profile.FullName, got.SourceAt})
	e.wantAudit("written down", account(1).Audit[0], audit(50, "identity_linked", "team"))
}

func externalRefused(_ *testing.T, e *env) {
	e.create(account(1))
	before := e.user(1)
	boom := errors.New("boom")
	p := arriving("ada", 1)
	p.Decide = func(auth.ExternalCandidates) (auth.ExternalPlan, error) { return auth.ExternalPlan{}, boom }
	_, err := e.Provision(e.ctx, p)
	e.is("the caller's error", err, boom)
	for n, want := range map[int]error{1: auth.ErrIDTaken, 2: auth.ErrEmailTaken} {
		p.Decide = func(auth.ExternalCandidates) (auth.ExternalPlan, error) {
			a := account(n)
			if a.User.Email = emailOf(1); n == 1 {
				a.User.Email = "other@example.com"
			}
			return auth.ExternalPlan{Create: &a}, nil
		}
		_, err := e.Provision(e.ctx, p)
		e.is("taken", err, want)
	}
	e.same("account", before, e.user(1))
	_, err = e.ExternalUser(e.ctx, vouching, "ada")
	e.is("nobody", err, auth.ErrNotFound)
}

func externalGone(_ *testing.T, e *env) {
	e.provision(arriving("one", 1))
	e.provision(arriving("two", 2))
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(1), audit(60, "x", "team")))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(2), auth.SoftDelete{At: after(time.Hour), Audit: audit(61, "x", "team")}))
	for _, c := range []struct {
		subject, tombstone string
		gone               bool
	}{{"one", userID(1).String(), true}, {"two", "none", true}, {"three", "none", false}} {
		p := arriving(c.subject, 3)
		p.Tombstones = []string{"nobody", c.tombstone}
		p.Decide = func(got auth.ExternalCandidates) (auth.ExternalPlan, error) {
			e.same(c.subject, c.gone, got.Subject != nil && got.Subject.Gone && got.Subject.Person.User.ID.IsZero())
			return auth.ExternalPlan{}, nil
		}
		e.provision(p)
	}
}

func raceFirstRequest(_ *testing.T, e *env) {
	for round := 1; round <= 3; round++ {
		made := make(chan int, racers)
		for _, err := range together(racers, func(i int) error {
			n := 100*round + i
			p := arriving(fmt.Sprint("subject ", round), n)
			p.Email = ""
			got, err := e.Provision(e.ctx, p)
			if got.Person.User.ID == userID(n) {
				made <- n
			}
			return err
		}) {
			e.ok("Provision", err)
		}
		e.same("accounts", 1, len(made))
	}
}

// raceOneAddress: whoever comes later is told to ask again, and then finds the account.
func raceOneAddress(_ *testing.T, e *env) {
	owners := make(chan auth.ID, racers)
	for _, err := range together(racers, func(i int) error {
		for {
			p := arriving(fmt.Sprint("subject ", i), 1)
			decide := p.Decide
			p.Decide = func(c auth.ExternalCandidates) (auth.ExternalPlan, error) {
				plan, err := decide(c)
				if plan.Create != nil {
					plan.Create.User.ID, plan.Create.User.Identities = userID(100+i), nil
					plan.Create.Audit = nil
				}
				return plan, err
			}
			got, err := e.Provision(e.ctx, p)
			if errors.Is(err, auth.ErrEmailTaken) {
				continue
			}
			owners <- got.Person.User.ID
			return err
		}
	}) {
		e.ok("Provision", err)
	}
	first := <-owners
	for range racers - 1 {
		e.same("one account", first, <-owners)
	}
}

func raceSignUpBeside(_ *testing.T, e *env) {
	for round := 1; round <= 4; round++ {
		won := 0
		for i, err := range together(racers, func(i int) error {
			n := 100*round + i + 1
			if i%2 == 0 {
				a := account(n)
				a.User.Email = emailOf(100 * round)
				return e.CreateAccount(e.ctx, a)
			}
			p := arriving(fmt.Sprint("subject ", n), 100*round)
			p.Decide = func(auth.ExternalCandidates) (auth.ExternalPlan, error) {
				a := account(n)
				a.User.Email = emailOf(100 * round)
				return auth.ExternalPlan{Create: &a}, nil
			}
			_, err := e.Provision(e.ctx, p)
			return err
		}) {
			if err == nil {
				won++
				continue
			}
			e.is(fmt.Sprint("loser ", i), err, auth.ErrEmailTaken)
		}
		e.same("winners", 1, won)
	}
}
