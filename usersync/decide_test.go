package usersync_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/usersync"
)

const (
	here  = "https://issuer.test/auth/v1"
	there = "https://other.test"
	mail  = "ada@example.org"
	phone = "919876543210"
)

func at(seconds int64) time.Time { return time.Unix(1_800_000_000+seconds, 0).UTC() }

// who is what an issuer says, changed by the case.
func who(change func(*usersync.Identity)) usersync.Identity {
	id := usersync.Identity{Issuer: here, Subject: "new"}
	if change != nil {
		change(&id)
	}
	return id
}

func proved(email, phone string) func(*usersync.Identity) {
	return func(id *usersync.Identity) {
		id.Email, id.EmailVerified = email, email != ""
		id.Phone, id.PhoneVerified = phone, phone != ""
	}
}

// row is an active row with proved addresses, changed by the case.
func row(id, subject, email, phone string, changes ...func(*usersync.User)) usersync.User {
	u := usersync.User{
		ID: id, Issuer: here, Subject: subject, Status: usersync.StatusActive, Version: 1,
		Email: email, EmailVerified: email != "", Phone: phone, PhoneVerified: phone != "",
	}
	for _, change := range changes {
		change(&u)
	}
	return u
}

func status(s usersync.Status) func(*usersync.User) { return func(u *usersync.User) { u.Status = s } }

// lookup gives the candidates among rows, as a store does.
func lookup(id usersync.Identity, rows []usersync.User) usersync.Candidates {
	p := id.Proved()
	var c usersync.Candidates
	for n := range rows {
		u := &rows[n]
		if u.Issuer == p.Issuer && u.Subject == p.Subject {
			c.Subject = u
		}
		if p.Email != "" && u.Email == p.Email {
			c.Email = u
		}
		if p.Phone != "" && u.Phone == p.Phone {
			c.Phone = u
		}
	}
	return c
}

type decided struct {
	name  string
	rules usersync.Rules
	id    usersync.Identity
	rows  []usersync.User
	want  usersync.Plan
}

func check(t *testing.T, cases []decided) {
	t.Helper()
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := usersync.Decide(c.rules, c.id, lookup(c.id, c.rows))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func create(change func(*usersync.Changes)) usersync.Plan {
	p := usersync.Plan{Action: usersync.ActionCreate, Set: usersync.Changes{Issuer: here, Subject: "new", Status: usersync.StatusActive}}
	if change != nil {
		change(&p.Set)
	}
	return p
}

// taken adds what a newcomer can't have.
func taken(p usersync.Plan, list ...usersync.Conflict) usersync.Plan {
	p.Conflicts = list
	return p
}

// stale adds that the row's own address has another owner by now.
func stale(p usersync.Plan) usersync.Plan {
	p.Set.EmailAge = usersync.AgeStale
	return p
}

// S2.32, A15.2: who is linked to a row, and who is not (S2.28, B2.9, B2.11, B2.12).
func TestLinking(t *testing.T) {
	t.Parallel()
	unprovedMail := who(func(id *usersync.Identity) { id.Email = mail })
	unprovedPhone := who(func(id *usersync.Identity) { id.Phone = phone })
	repoint := func(to string, conflicts ...usersync.Conflict) usersync.Plan {
		return usersync.Plan{Action: usersync.ActionRepoint, UserID: to,
			Set: usersync.Changes{Issuer: here, Subject: "new"}, Conflicts: conflicts}
	}
	foreign := func(u *usersync.User) { u.Issuer = there }
	nobodys := func(u *usersync.User) { u.Issuer, u.Subject = "", "" }
	doubtful := func(u *usersync.User) { u.EmailVerified, u.PhoneVerified = false, false }
	emailIs := func(kind usersync.ConflictKind, with string) usersync.Conflict {
		return usersync.Conflict{Field: "email", Kind: kind, With: with}
	}
	check(t, []decided{
		{"nobody is there", usersync.Rules{}, who(proved(mail, phone)), nil, create(func(s *usersync.Changes) {
			s.Email, s.EmailVerified, s.Phone, s.PhoneVerified = mail, true, phone, true
		})},
		{"unverified e-mail never links", usersync.Rules{}, unprovedMail, []usersync.User{row("a", "old", mail, "")}, create(nil)},
		{"unverified e-mail is not stored", usersync.Rules{}, unprovedMail, nil, create(nil)},
		{"verified e-mail links", usersync.Rules{}, who(proved(mail, "")), []usersync.User{row("a", "old", mail, "")}, repoint("a")},
		{"verified e-mail links in any case", usersync.Rules{}, who(proved("ADA@Example.org", "")), []usersync.User{row("a", "old", mail, "")}, repoint("a")},
		{"verified phone links", usersync.Rules{}, who(proved("", "+91 98765-43210")), []usersync.User{row("a", "old", "", phone)}, repoint("a")},
		{"B2.11 unverified phone never links", usersync.Rules{}, unprovedPhone, []usersync.User{row("a", "old", "", phone)}, create(nil)},
		{"B2.12 an address that somebody wrote down is not linked", usersync.Rules{}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", doubtful)}, taken(create(nil), emailIs(usersync.ConflictUnproved, "a"))},
		{"another issuer's row is not linked", usersync.Rules{}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", foreign)}, taken(create(nil), emailIs(usersync.ConflictForeign, "a"))},
		{"another issuer's row is linked by rule", usersync.Rules{AcrossIssuers: true}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", foreign)}, repoint("a")},
		{"an imported row without subject is linked", usersync.Rules{}, who(proved(mail, "")), []usersync.User{row("a", "", mail, "", nobodys)}, repoint("a")},
		{"no link by e-mail by rule", usersync.Rules{NoEmailLink: true}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "")}, taken(create(nil), emailIs(usersync.ConflictTaken, "a"))},
		{"no link by phone by rule", usersync.Rules{NoPhoneLink: true}, who(proved("", phone)), []usersync.User{row("a", "old", "", phone)},
			taken(create(nil), usersync.Conflict{Field: "phone", Kind: usersync.ConflictTaken, With: "a"})},
		{"e-mail goes before phone", usersync.Rules{}, who(proved(mail, phone)),
			[]usersync.User{row("a", "old", mail, ""), row("b", "older", "", phone)},
			repoint("a", usersync.Conflict{Field: "phone", Kind: usersync.ConflictTaken, With: "b"})},
		{"the row keeps its own e-mail, but is not found by it any more", usersync.Rules{}, who(proved("new@example.org", phone)),
			[]usersync.User{row("a", "old", mail, phone)}, stale(repoint("a", emailIs(usersync.ConflictDiffers, "")))},
		{"a mailbox that has another owner by now links nobody", usersync.Rules{}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", func(u *usersync.User) { u.EmailStale = true })},
			taken(create(nil), emailIs(usersync.ConflictStale, "a"))},
		{"nor does such a number", usersync.Rules{}, who(proved("", phone)),
			[]usersync.User{row("a", "old", "", phone, func(u *usersync.User) { u.PhoneStale = true })},
			taken(create(nil), usersync.Conflict{Field: "phone", Kind: usersync.ConflictStale, With: "a"})},
		{"a tombstone is not linked", usersync.Rules{}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", status(usersync.StatusDeleted))}, taken(create(nil), emailIs(usersync.ConflictTaken, "a"))},
	})
}

// B2.11: numbers are compared whole.
func TestNumbersOfTwoCountries(t *testing.T) {
	t.Parallel()
	rows := []usersync.User{row("a", "old", "", "919876543210")}
	for _, other := range []string{"+19876543210", "9876543210", "0091 9876543210", "449876543210"} {
		if p := usersync.Decide(usersync.Rules{}, who(proved("", other)), usersync.Candidates{Phone: &rows[0]}); p.Action != usersync.ActionCreate {
			t.Errorf("%s: %s", other, p.Action)
		}
	}
}

// S2.29, S2.32: values are filled in and never replaced; flags only rise.
func TestKnownUser(t *testing.T) {
	t.Parallel()
	known := func(change func(*usersync.Identity)) usersync.Identity {
		id := who(change)
		id.Subject = "old"
		return id
	}
	update := func(s usersync.Changes, conflicts ...usersync.Conflict) usersync.Plan {
		return usersync.Plan{Action: usersync.ActionUpdate, UserID: "a", Set: s, Conflicts: conflicts}
	}
	nothing := func(conflicts ...usersync.Conflict) usersync.Plan {
		return usersync.Plan{Action: usersync.ActionNone, UserID: "a", Conflicts: conflicts}
	}
	check(t, []decided{
		{"nothing new", usersync.Rules{}, known(proved(mail, phone)), []usersync.User{row("a", "old", mail, phone)}, nothing()},
		{"phone is filled in", usersync.Rules{}, known(proved(mail, phone)), []usersync.User{row("a", "old", mail, "")},
			update(usersync.Changes{Phone: phone, PhoneVerified: true})},
		{"phone back-fill conflict is skipped", usersync.Rules{}, known(proved(mail, phone)),
			[]usersync.User{row("a", "old", mail, ""), row("b", "other", "", phone)},
			nothing(usersync.Conflict{Field: "phone", Kind: usersync.ConflictTaken, With: "b"})},
		{"an unconfirmed e-mail is not filled in", usersync.Rules{}, known(func(id *usersync.Identity) { id.Email = mail }),
			[]usersync.User{row("a", "old", "", phone)}, nothing()},
		{"another e-mail replaces nothing", usersync.Rules{}, known(proved("new@example.org", "")), []usersync.User{row("a", "old", mail, "")},
			update(usersync.Changes{EmailAge: usersync.AgeStale}, usersync.Conflict{Field: "email", Kind: usersync.ConflictDiffers})},
		{"and again", usersync.Rules{}, known(proved("new@example.org", "")),
			[]usersync.User{row("a", "old", mail, "", func(u *usersync.User) { u.EmailStale = true })},
			nothing(usersync.Conflict{Field: "email", Kind: usersync.ConflictDiffers})},
		{"the first one is back", usersync.Rules{}, known(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", func(u *usersync.User) { u.EmailStale = true })},
			update(usersync.Changes{EmailAge: usersync.AgeCurrent})},
		{"flags rise", usersync.Rules{}, known(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", func(u *usersync.User) { u.EmailVerified = false })}, update(usersync.Changes{EmailVerified: true})},
		{"the proof of another address lifts no flag", usersync.Rules{}, known(proved("new@example.org", "")),
			[]usersync.User{row("a", "old", mail, "", func(u *usersync.User) { u.EmailVerified = false })},
			nothing(usersync.Conflict{Field: "email", Kind: usersync.ConflictDiffers})},
		{"flags never fall", usersync.Rules{}, known(func(id *usersync.Identity) { id.Email, id.Phone = mail, phone }),
			[]usersync.User{row("a", "old", mail, phone)}, nothing()},
		{"names are filled in one by one", usersync.Rules{}, known(func(id *usersync.Identity) {
			id.Profile = usersync.Profile{FirstName: "Augusta", LastName: " King ", AvatarURL: "javascript:alert(1)"}
		}), []usersync.User{row("a", "old", "", "", func(u *usersync.User) { u.Profile.FirstName = "Ada" })},
			update(usersync.Changes{Profile: usersync.Profile{LastName: "King"}})},
		{"providers are added", usersync.Rules{}, known(func(id *usersync.Identity) {
			id.AuthProvider, id.Providers = "email", []usersync.Provider{{Name: "google", ID: "g1"}}
		}), []usersync.User{row("a", "old", "", "", func(u *usersync.User) {
			u.AuthProvider, u.Providers = "phone", []usersync.Provider{{Name: "phone"}}
		})}, update(usersync.Changes{Providers: []usersync.Provider{{Name: "phone"}, {Name: "google", ID: "g1"}}})},
	})
}

// S2.30, X35, A15.5, B2.13, B2.16: rows that are not active.
func TestInactiveRows(t *testing.T) {
	t.Parallel()
	old := who(func(id *usersync.Identity) { id.Subject = "old" })
	oldWith := func(email, phone string) usersync.Identity {
		id := who(proved(email, phone))
		id.Subject = "old"
		return id
	}
	refused := func(by string, why usersync.Status) usersync.Plan {
		return usersync.Plan{Action: usersync.ActionRefuse, UserID: by, Reason: why}
	}
	gone := status(usersync.StatusSuperseded)
	move := func(to string) usersync.Plan {
		return usersync.Plan{Action: usersync.ActionMove, UserID: to, Release: "s", Set: usersync.Changes{Issuer: here, Subject: "old"}}
	}
	fresh := create(func(s *usersync.Changes) { s.Subject = "old" })
	fresh.Release = "s"
	off := status(usersync.StatusDeactivated)
	check(t, []decided{
		{"A15.5 deleted", usersync.Rules{}, old, []usersync.User{row("a", "old", "", "", status(usersync.StatusDeleted))}, refused("a", usersync.StatusDeleted)},
		{"A15.5 banned", usersync.Rules{}, old, []usersync.User{row("a", "old", "", "", status(usersync.StatusBanned))}, refused("a", usersync.StatusBanned)},
		{"X35 deactivated", usersync.Rules{}, old, []usersync.User{row("a", "old", "", "", off)}, refused("a", usersync.StatusDeactivated)},
		{"B2.16 deactivated, comes with another phone", usersync.Rules{}, oldWith("", phone),
			[]usersync.User{row("a", "old", "", "", off), row("b", "other", "", phone)}, refused("a", usersync.StatusDeactivated)},
		{"B2.16 a new subject with the banned e-mail", usersync.Rules{}, who(proved(mail, "")), []usersync.User{row("a", "old", mail, "", off)},
			refused("a", usersync.StatusDeactivated)},
		{"B2.16 also where e-mail links nobody", usersync.Rules{NoEmailLink: true}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", status(usersync.StatusBanned))}, refused("a", usersync.StatusBanned)},
		{"B2.16 one address of an active row, one of a banned", usersync.Rules{}, who(proved(mail, phone)),
			[]usersync.User{row("a", "old", mail, ""), row("b", "other", "", phone, off)}, refused("b", usersync.StatusDeactivated)},
		{"nor by an address that has another owner by now", usersync.Rules{}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", off, func(u *usersync.User) { u.EmailStale = true })},
			taken(create(nil), usersync.Conflict{Field: "email", Kind: usersync.ConflictStale, With: "a"})},
		{"one who is banned locks nobody out by writing an address down", usersync.Rules{}, who(proved(mail, "")),
			[]usersync.User{row("a", "old", mail, "", off, func(u *usersync.User) { u.EmailVerified = false })},
			taken(create(nil), usersync.Conflict{Field: "email", Kind: usersync.ConflictUnproved, With: "a"})},
		{"superseded: the id moves to the row with the phone", usersync.Rules{}, oldWith("", phone),
			[]usersync.User{row("s", "old", "", "", gone), row("b", "other", "", phone)}, move("b")},
		{"superseded: phone goes before e-mail", usersync.Rules{}, oldWith(mail, phone),
			[]usersync.User{row("s", "old", "", "", gone), row("b", "other", "", phone), row("c", "third", mail, "")},
			taken(move("b"), usersync.Conflict{Field: "email", Kind: usersync.ConflictTaken, With: "c"})},
		{"superseded: no row to move to", usersync.Rules{}, old, []usersync.User{row("s", "old", "", "", gone)}, fresh},
		{"superseded: an unproved phone moves nothing", usersync.Rules{}, who(func(id *usersync.Identity) { id.Subject, id.Phone = "old", phone }),
			[]usersync.User{row("s", "old", "", "", gone), row("b", "other", "", phone)}, fresh},
		{"superseded: a banned row with the phone refuses", usersync.Rules{}, oldWith("", phone),
			[]usersync.User{row("s", "old", "", "", gone), row("b", "other", "", phone, off)}, refused("b", usersync.StatusDeactivated)},
	})
}

// A15.5: what the issuer says of the account, in whatever order the news arrives.
func TestStanding(t *testing.T) {
	t.Parallel()
	news := func(s usersync.Standing, when int64) usersync.Identity {
		return who(func(id *usersync.Identity) { id.Subject, id.Standing, id.SourceAt = "old", s, at(when) })
	}
	heard := func(when int64) func(*usersync.User) { return func(u *usersync.User) { u.SourceAt = at(when) } }
	to := func(s usersync.Status, when int64) usersync.Plan {
		return usersync.Plan{Action: usersync.ActionUpdate, UserID: "a", Set: usersync.Changes{Status: s, SourceAt: at(when)}}
	}
	stays := usersync.Plan{Action: usersync.ActionNone, UserID: "a"}
	banned, off := status(usersync.StatusBanned), status(usersync.StatusDeactivated)
	tombstone := create(func(s *usersync.Changes) { s.Subject, s.Status, s.SourceAt = "old", usersync.StatusDeleted, at(5) })
	check(t, []decided{
		{"banned", usersync.Rules{}, news(usersync.StandingBanned, 5), []usersync.User{row("a", "old", mail, "")}, to(usersync.StatusBanned, 5)},
		{"the news of a ban is older", usersync.Rules{}, news(usersync.StandingBanned, 5), []usersync.User{row("a", "old", mail, "", heard(6))}, stays},
		{"a ban ends", usersync.Rules{}, news(usersync.StandingGood, 6), []usersync.User{row("a", "old", mail, "", banned, heard(5))}, to(usersync.StatusActive, 6)},
		{"a ban is over, and nothing else changed", usersync.Rules{}, news(usersync.StandingGood, 5), []usersync.User{row("a", "old", mail, "", banned, heard(5))},
			usersync.Plan{Action: usersync.ActionUpdate, UserID: "a", Set: usersync.Changes{Status: usersync.StatusActive}}},
		{"older news ends no ban", usersync.Rules{}, news(usersync.StandingGood, 4), []usersync.User{row("a", "old", mail, "", banned, heard(5))},
			usersync.Plan{Action: usersync.ActionRefuse, UserID: "a", Reason: usersync.StatusBanned}},
		{"the issuer does not undo what the service decided", usersync.Rules{}, news(usersync.StandingGood, 6), []usersync.User{row("a", "old", mail, "", off)},
			usersync.Plan{Action: usersync.ActionRefuse, UserID: "a", Reason: usersync.StatusDeactivated}},
		{"nor does it replace it by a ban", usersync.Rules{}, news(usersync.StandingBanned, 6), []usersync.User{row("a", "old", mail, "", off)}, stays},
		{"good news are remembered", usersync.Rules{}, news(usersync.StandingGood, 6), []usersync.User{row("a", "old", mail, "")}, to("", 6)},
		{"deleted, though the news are old", usersync.Rules{}, news(usersync.StandingDeleted, 5), []usersync.User{row("a", "old", mail, "", heard(6))}, to(usersync.StatusDeleted, 5)},
		{"deleted again", usersync.Rules{}, news(usersync.StandingDeleted, 5), []usersync.User{row("a", "old", "", "", status(usersync.StatusDeleted))}, stays},
		{"deleted before it ever came", usersync.Rules{}, news(usersync.StandingDeleted, 5), nil, tombstone},
	})
}

// Deletion leaves nothing personal, and the tombstone refuses.
func TestForgotten(t *testing.T) {
	t.Parallel()
	u := row("a", "old", mail, phone, func(u *usersync.User) {
		u.Profile, u.AuthProvider, u.Providers = usersync.Profile{FirstName: "Ada"}, "google", []usersync.Provider{{Name: "google", ID: "1"}}
		u.CreatedAt, u.EvidenceAt = at(1), at(1)
	})
	id := who(func(id *usersync.Identity) { id.Subject, id.Standing = "old", usersync.StandingDeleted })
	got := usersync.Decide(usersync.Rules{}, id, usersync.Candidates{Subject: &u}).Apply(u, at(9))
	want := usersync.User{ID: "a", Issuer: here, Subject: "old", Status: usersync.StatusDeleted, Version: 2, CreatedAt: at(1), UpdatedAt: at(9)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
