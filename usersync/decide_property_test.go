package usersync_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cardea-auth/cardea/usersync"
)

// The worlds of the properties are small, so that things meet.
var (
	someMails    = []string{"", "a@example.org", "A@Example.org", "b@example.org", "no address"}
	somePhones   = []string{"", "919876543210", "+91 98765 43210", "9876543210", "1"}
	someStatuses = []usersync.Status{
		usersync.StatusActive, usersync.StatusActive, usersync.StatusActive, usersync.StatusBanned,
		usersync.StatusDeactivated, usersync.StatusSuperseded, usersync.StatusDeleted,
	}
	someStandings = []usersync.Standing{usersync.StandingUnknown, usersync.StandingGood, usersync.StandingBanned, usersync.StandingDeleted}
)

func drawIdentity(t *rapid.T) usersync.Identity {
	pick := func(name string, list []string) string { return rapid.SampledFrom(list).Draw(t, name) }
	return usersync.Identity{
		Issuer: pick("issuer", []string{here, there}), Subject: pick("subject", []string{"1", "2", "3"}),
		Email: pick("email", someMails), Phone: pick("phone", somePhones),
		EmailVerified: rapid.Bool().Draw(t, "email proved"), PhoneVerified: rapid.Bool().Draw(t, "phone proved"),
		AuthProvider: pick("provider", []string{"", "email", "phone"}),
		Profile:      usersync.Profile{FirstName: pick("name", []string{"", "Ada", "Augusta"})},
		Standing:     rapid.SampledFrom(someStandings).Draw(t, "standing"), SourceAt: at(rapid.Int64Range(0, 3).Draw(t, "time")),
	}
}

func drawRules(t *rapid.T) usersync.Rules {
	return usersync.Rules{AcrossIssuers: rapid.Bool().Draw(t, "across"), NoEmailLink: rapid.Bool().Draw(t, "no e-mail"), NoPhoneLink: rapid.Bool().Draw(t, "no phone")}
}

// world is a table with the constraints of the stores.
type world struct{ rows []usersync.User }

// apply carries a plan out, as a store does, and gives the row.
func (w *world) apply(p usersync.Plan, now int64) usersync.User {
	if p.Release != "" {
		n := w.find(p.Release)
		w.rows[n].Subject = usersync.Released(w.rows[n].Subject, p.Release)
	}
	switch p.Action {
	case usersync.ActionRefuse, usersync.ActionNone:
		return w.rows[w.find(p.UserID)]
	case usersync.ActionCreate:
		w.rows = append(w.rows, usersync.User{ID: fmt.Sprint("u", len(w.rows))})
		p.UserID = w.rows[len(w.rows)-1].ID
	}
	n := w.find(p.UserID)
	w.rows[n] = p.Apply(w.rows[n], at(now))
	return w.rows[n]
}

func (w *world) find(id string) int {
	return slices.IndexFunc(w.rows, func(u usersync.User) bool { return u.ID == id })
}

// unique fails when two rows share what is unique, or hold an address without a proof.
func (w *world) unique(t *rapid.T) {
	seen := map[string]string{}
	for _, u := range w.rows {
		for _, key := range []string{"subject " + u.Issuer + " " + u.Subject, "email " + u.Email, "phone " + u.Phone} {
			if key == "email " || key == "phone " {
				continue
			}
			if other, twice := seen[key]; twice {
				t.Fatalf("%s is in %s and %s", key, other, u.ID)
			}
			seen[key] = u.ID
		}
		if (u.Email != "") != u.EmailVerified || (u.Phone != "") != u.PhoneVerified {
			t.Fatalf("an address without a proof: %+v", u)
		}
	}
}

// S2.29, A15.2: whatever comes in whatever order, values stay, flags only rise, a proved
// address has one row, and nobody comes back who was shut out.
func TestPropertiesOfDecide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{}
		rules := drawRules(t)
		for step := range rapid.IntRange(1, 12).Draw(t, "steps") {
			id := drawIdentity(t)
			before := slices.Clone(w.rows)
			plan := usersync.Decide(rules, id, lookup(id, w.rows))
			after := w.apply(plan, int64(step))
			w.unique(t)
			for _, old := range before {
				keeps(t, old, w.rows[w.find(old.ID)])
			}
			if plan.Action != usersync.ActionRefuse && (after.Issuer != id.Issuer || after.Subject != id.Subject) {
				t.Fatalf("%s gave the row of %s %s", plan.Action, after.Issuer, after.Subject)
			}
			proof := id.Proved()
			linked := plan.Action == usersync.ActionRepoint || plan.Action == usersync.ActionMove
			if was := before[max(0, slices.IndexFunc(before, func(u usersync.User) bool { return u.ID == after.ID })):]; linked && len(was) > 0 {
				found := was[0]
				byEmail := proof.Email != "" && proof.Email == found.Email && !found.EmailStale
				byPhone := proof.Phone != "" && proof.Phone == found.Phone && !found.PhoneStale
				if !byEmail && !byPhone {
					t.Fatalf("linked by an address that has another owner by now: %+v by %+v", found, id)
				}
			}
			if linked && (proof.Email == "" || proof.Email != after.Email) && (proof.Phone == "" || proof.Phone != after.Phone) {
				t.Fatalf("linked without a proof: %+v by %+v", after, id)
			}
			settles(t, rules, id, w)
			if rapid.Bool().Draw(t, "the service shuts somebody out") {
				n := rapid.IntRange(0, len(w.rows)-1).Draw(t, "whom")
				if w.rows[n].Status == usersync.StatusActive {
					w.rows[n].Status = rapid.SampledFrom([]usersync.Status{usersync.StatusDeactivated, usersync.StatusSuperseded}).Draw(t, "how")
				}
				if w.rows[n].Status == usersync.StatusSuperseded { // it gives its addresses up
					w.rows[n].Email, w.rows[n].EmailVerified, w.rows[n].Phone, w.rows[n].PhoneVerified = "", false, "", false
				}
			}
		}
	})
}

// keeps: what a row had it has, unless it was deleted.
func keeps(t *rapid.T, old, now usersync.User) {
	if now.Status == usersync.StatusDeleted {
		if now.Email+now.Phone+now.Profile.FirstName != "" {
			t.Fatalf("a tombstone with something personal: %+v", now)
		}
		return
	}
	if old.Email != "" && now.Email != old.Email || old.Phone != "" && now.Phone != old.Phone ||
		old.Profile.FirstName != "" && now.Profile.FirstName != old.Profile.FirstName {
		t.Fatalf("a value was replaced: %+v, then %+v", old, now)
	}
	if old.EmailVerified && !now.EmailVerified || old.PhoneVerified && !now.PhoneVerified {
		t.Fatalf("a flag fell: %+v, then %+v", old, now)
	}
	if (old.Status == usersync.StatusDeactivated || old.Status == usersync.StatusDeleted) && now.Status == usersync.StatusActive {
		t.Fatalf("shut out, and back: %+v, then %+v", old, now)
	}
	if old.Status == usersync.StatusBanned && now.Status == usersync.StatusActive && now.SourceAt.Before(old.SourceAt) {
		t.Fatalf("a ban ended by older news: %+v, then %+v", old, now)
	}
}

// settles: the same user again changes nothing.
func settles(t *rapid.T, rules usersync.Rules, id usersync.Identity, w *world) {
	p := usersync.Decide(rules, id, lookup(id, w.rows))
	if p.Action != usersync.ActionNone && p.Action != usersync.ActionRefuse {
		t.Fatalf("the same again: %s, %+v", p.Action, p.Set)
	}
}

// Addresses that nobody proved make no difference at all, whichever path of verification
// left the flags out (A15.2, B2.9).
func TestUnprovedAddressesDoNotCount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u := row("a", "1", "a@example.org", "919876543210", status(rapid.SampledFrom(someStatuses).Draw(t, "status")))
		id := drawIdentity(t)
		id.EmailVerified, id.PhoneVerified = false, false
		without := id
		without.Email, without.Phone = "", ""
		c := usersync.Candidates{Email: &u, Phone: &u}
		if u.Issuer == id.Issuer && u.Subject == id.Subject {
			c.Subject = &u
		}
		if diff := cmp.Diff(usersync.Decide(usersync.Rules{}, without, c), usersync.Decide(usersync.Rules{}, id, c)); diff != "" {
			t.Fatal(diff)
		}
	})
}
