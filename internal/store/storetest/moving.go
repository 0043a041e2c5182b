package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func movingCases() []testCase {
	return []testCase{
		{"accounts with all that belongs to them", movingWhole},
		{"again changes nothing (A4.4)", movingAgain},
		{"what is in the way stays as it is", movingTaken},
		{"a deleted account stays deleted", movingDeleted},
		{"who was deleted here comes back by no import", movingTombs},
		{"what the database refuses stores nothing", movingRefused},
		{"a dry run tells and stores nothing", movingDry},
		{"progress", movingProgress},
		{"tenants", movingTenants},
		{"copies", movingCopies},
	}
}

// moved is the n-th account of another system.
func moved(n int) auth.MovedAccount {
	a := account(n)
	return auth.MovedAccount{ExternalID: fmt.Sprint("ext-", n), User: a.User}
}

// progress is what a batch at this position says.
func progress(name string, position int64) auth.MoveProgress {
	return auth.MoveProgress{
		Name: name, Source: "elsewhere", Digest: "d1", Position: position, After: fmt.Sprint("ext-", position),
		StartedAt: t0, UpdatedAt: after(time.Duration(position) * time.Second),
	}
}

func (e *env) move(list ...auth.MovedAccount) []auth.MoveOutcome {
	e.tb.Helper()
	got, err := e.MoveAccounts(e.ctx, auth.MoveBatch{Accounts: list, Progress: progress("import", 1)})
	e.ok("MoveAccounts", err)
	return got
}

func movingWhole(_ *testing.T, e *env) {
	e.tenant(1)
	a := moved(1)
	a.User.Phone, a.User.PhoneConfirmedAt, a.User.BannedUntil = "4930123456", t0, after(-time.Second)
	a.User.CreatedAt, a.User.UpdatedAt, a.User.LastSignInAt = after(-time.Hour), after(-time.Minute), after(-time.Second)
	a.User.AppMetadata = json.RawMessage(`{"provider":"email","providers":["email","google"],"roles":["nurse"]}`)
	a.User.UserMetadata = json.RawMessage(`{"n":12345678901234567890,"é":"\"\\"}`)
	second := emailIdentity(1)
	second.ID, second.Provider, second.ProviderID = identityID(101), "google", "g-1"
	a.User.Identities = append(a.User.Identities, second)
	a.Profile = &auth.Profile{
		UserID: userID(1), FullName: "Ada Ünï", BirthDate: "1980-02-29", ImageURL: "https://x.test/a.png", Language: "he",
		Preferences: json.RawMessage(`{"a":1}`), Notifications: json.RawMessage(`{}`), Privacy: json.RawMessage(`{}`),
		Flags: json.RawMessage(`{"onboarded":true}`), Extensions: map[string]json.RawMessage{"physician": json.RawMessage(`{"employee_id":7}`)},
		LastMethod: "google", LastMethodAt: t0, Active: false, UpdatedAt: t0,
	}
	a.Memberships = []auth.Membership{membership(1, 1, "nurse")}
	a.Tokens = []auth.OneTime{token(1, 1, auth.PurposeRecovery, emailOf(1))}
	a.Messages = []auth.Message{message(1)}
	sso, anonymous := moved(2), moved(3)
	sso.User.IsSSO, sso.User.Email = true, emailOf(1) // addresses of single sign-on may repeat
	sso.User.Identities = nil
	anonymous.User.IsAnonymous, anonymous.User.Email, anonymous.User.PasswordHash, anonymous.User.Identities = true, "", "", nil
	anonymous.User.EmailConfirmedAt = time.Time{}
	entry := audit(1, "users_imported", "team")
	got, err := e.MoveAccounts(e.ctx, auth.MoveBatch{
		Accounts: []auth.MovedAccount{a, sso, anonymous}, Progress: progress("import", 3), Audit: []auth.AuditEntry{entry},
	})
	e.ok("MoveAccounts", err)
	e.same("outcomes", []auth.MoveOutcome{auth.Moved, auth.Moved, auth.Moved}, got)
	e.wantAudit("one entry", append(tenantAudits(1), entry)...)

	p, err := e.PersonByID(e.ctx, userID(1))
	e.ok("PersonByID", err)
	e.same("account", a.User, p.User)
	e.same("profile", *a.Profile, p.Profile)
	e.same("single sign-on", sso.User, e.user(2))
	e.same("anonymous", anonymous.User, e.user(3))
	e.same("by role", []int{1}, e.people(auth.PersonQuery{Role: "nurse"}))
	e.same("memberships", a.Memberships[0], e.memberships(1)[0].Membership)
	e.claim("messages", after(time.Hour), 10, claimed(message(1), 1, after(time.Hour)))
	e.redeem("the link", byLink(1, auth.PurposeRecovery), auth.RedeemDone)
}

func movingAgain(_ *testing.T, e *env) {
	e.same("first", []auth.MoveOutcome{auth.Moved, auth.Moved}, e.move(moved(1), moved(2)))
	before := e.user(1)
	again := moved(1)
	again.User.ID, again.User.Identities, again.User.PasswordHash = userID(9), nil, "other"
	again.Tokens = []auth.OneTime{token(1, 9, auth.PurposeRecovery, emailOf(1))}
	again.Messages = []auth.Message{message(1)}
	e.same("again", []auth.MoveOutcome{auth.MovePresent, auth.Moved, auth.MovePresent}, e.move(again, moved(3), moved(2)))
	e.same("the account", before, e.user(1))
	_, err := e.UserByID(e.ctx, userID(9))
	e.is("UserByID", err, auth.ErrNotFound)
	e.claim("no message", after(time.Hour), 10)
	other, err := e.MoveAccounts(e.ctx, auth.MoveBatch{Accounts: []auth.MovedAccount{moved(1)}, Progress: auth.MoveProgress{
		Name: "other", Source: "third", Digest: "d", StartedAt: t0, UpdatedAt: t0,
	}})
	e.ok("MoveAccounts", err)
	e.same("another source", []auth.MoveOutcome{auth.MoveEmailTaken}, other)
}

func movingTaken(_ *testing.T, e *env) {
	one := account(1)
	one.User.Phone = "4930123456"
	e.create(one)
	before := e.user(1)
	byEmail, byPhone, byID, byIdentity, inNone := moved(2), moved(3), moved(4), moved(5), moved(6)
	byEmail.User.Email = emailOf(1)
	byPhone.User.Phone = "4930123456"
	byID.User.ID = userID(1)
	byIdentity.User.Identities[0].ProviderID = userID(1).String()
	e.create(account(8))
	e.further(1, 8, "second@example.com")
	e.claimed(after(100 * time.Hour)) // its own message
	further := moved(9)
	further.User.Email = "second@example.com"
	inNone.Memberships = []auth.Membership{membership(7, 6, "nurse")}
	for _, a := range []*auth.MovedAccount{&byEmail, &byPhone, &byID, &byIdentity, &inNone} {
		a.Tokens = []auth.OneTime{token(10, 1, auth.PurposeRecovery, emailOf(1))}
		a.Tokens[0].UserID = a.User.ID
		a.Messages = []auth.Message{message(1)}
		a.Profile = &auth.Profile{UserID: a.User.ID, FullName: "Mallory", UpdatedAt: t0}
	}
	e.same("outcomes", []auth.MoveOutcome{
		auth.MoveEmailTaken, auth.MovePhoneTaken, auth.MoveIDTaken, auth.MoveIdentityTaken, auth.MoveTenantMissing, auth.MoveEmailTaken, auth.Moved,
	}, e.move(byEmail, byPhone, byID, byIdentity, inNone, further, moved(7)))
	e.same("who was there", before, e.user(1))
	p, err := e.PersonByID(e.ctx, userID(1))
	e.ok("PersonByID", err)
	e.same("no profile", auth.Profile{Active: true}, p.Profile)
	e.same("accounts", []int{1, 7, 8}, e.people(auth.PersonQuery{}))
	e.claim("no message", after(time.Hour), 10)
	e.redeem("no token", byLink(10, auth.PurposeRecovery), auth.RedeemRefused)

	// What was left out can be moved when nothing is in the way any more.
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(1), audit(9, "user_deleted", "team")))
	byEmail.Tokens, byEmail.Messages = nil, nil
	e.same("later", []auth.MoveOutcome{auth.Moved}, e.move(byEmail))
}

// movingDeleted: who has left must not come back with the next import.
func movingDeleted(_ *testing.T, e *env) {
	e.move(moved(1), moved(2))
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(1), audit(1, "user_deleted", "team")))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(2), auth.SoftDelete{
		At: t0, Email: "gone", ProviderIDs: map[auth.ID]string{identityID(2): "gone"}, Audit: audit(2, "user_deleted", "team"),
	}))
	e.same("again", []auth.MoveOutcome{auth.MovePresent, auth.MovePresent}, e.move(moved(1), moved(2)))
	e.same("accounts", []int(nil), e.people(auth.PersonQuery{}))
}

// movingTombs: an account that was never moved, or under another name.
func movingTombs(_ *testing.T, e *env) {
	a := account(1)
	google := emailIdentity(1)
	google.ID, google.Provider, google.ProviderID = identityID(101), "google", "g-1"
	a.User.Identities = append(a.User.Identities, google)
	e.create(a)
	e.erase(erasure(1))
	sameID, sameIdentity := moved(1), moved(2)
	sameID.User.Email = emailOf(9)
	sameIdentity.User.Identities[0].Provider, sameIdentity.User.Identities[0].ProviderID = "google", "g-1"
	e.same("outcomes", []auth.MoveOutcome{auth.MoveDeleted, auth.MoveDeleted, auth.Moved}, e.move(sameID, sameIdentity, moved(3)))
	e.same("accounts", []int{3}, e.people(auth.PersonQuery{}))
}

func movingRefused(_ *testing.T, e *env) {
	bad := moved(2)
	bad.Profile = &auth.Profile{UserID: userID(2), BirthDate: "1980-02-31", UpdatedAt: t0}
	_, err := e.MoveAccounts(e.ctx, auth.MoveBatch{
		Accounts: []auth.MovedAccount{moved(1), bad}, Progress: progress("import", 2), Audit: []auth.AuditEntry{audit(1, "x", "team")},
	})
	e.is("MoveAccounts", err, auth.ErrUnstorable)
	e.same("accounts", []int(nil), e.people(auth.PersonQuery{}))
	e.wantAudit("nothing")
	p, err := e.StartImport(e.ctx, progress("import", 0), true)
	e.ok("StartImport", err)
	e.same("position", int64(0), p.Position)
}

func movingDry(_ *testing.T, e *env) {
	e.create(account(1))
	taken := moved(2)
	taken.User.Email = emailOf(1)
	b := auth.MoveBatch{Accounts: []auth.MovedAccount{taken, moved(3)}, Progress: progress("dry", 2), DryRun: true, Audit: []auth.AuditEntry{audit(7, "x", "team")}}
	for range 2 {
		got, err := e.MoveAccounts(e.ctx, b)
		e.ok("MoveAccounts", err)
		e.same("outcomes", []auth.MoveOutcome{auth.MoveEmailTaken, auth.Moved}, got)
	}
	e.same("accounts", []int{1}, e.people(auth.PersonQuery{}))
	e.wantAudit("nothing", account(1).Audit...)
	p, err := e.StartImport(e.ctx, progress("dry", 0), true)
	e.ok("StartImport", err)
	e.same("position", int64(0), p.Position)
}

func movingProgress(_ *testing.T, e *env) {
	start := func(what string, p auth.MoveProgress, resume bool, want auth.MoveProgress) {
		e.tb.Helper()
		got, err := e.StartImport(e.ctx, p, resume)
		e.ok(what, err)
		e.same(what, want, got)
	}
	fresh := auth.MoveProgress{Name: "a", Source: "elsewhere", Digest: "d1", StartedAt: t0, UpdatedAt: t0}
	start("first", fresh, false, fresh)
	p := progress("a", 3)
	p.Refused = 1
	_, err := e.MoveAccounts(e.ctx, auth.MoveBatch{Accounts: []auth.MovedAccount{moved(1), moved(2)}, Progress: p})
	e.ok("MoveAccounts", err)
	taken := moved(4)
	taken.User.Email = emailOf(1)
	p = progress("a", 5)
	p.FinishedAt = after(time.Minute)
	_, err = e.MoveAccounts(e.ctx, auth.MoveBatch{Accounts: []auth.MovedAccount{moved(1), taken}, Progress: p})
	e.ok("MoveAccounts", err)
	_, err = e.MoveAccounts(e.ctx, auth.MoveBatch{Progress: progress("b", 9)})
	e.ok("another import, without accounts", err)

	want := auth.MoveProgress{
		Name: "a", Source: "elsewhere", Digest: "d1", Position: 5, After: "ext-5", Moved: 2, Present: 1, Taken: 1, Refused: 1,
		StartedAt: t0, UpdatedAt: after(5 * time.Second), FinishedAt: after(time.Minute),
	}
	later := fresh
	later.StartedAt, later.UpdatedAt = after(time.Hour), after(time.Hour)
	start("resumed", later, true, want)

	// Somebody who reads the same file a second time does not take the first one back.
	_, err = e.MoveAccounts(e.ctx, auth.MoveBatch{Progress: progress("a", 2)})
	e.ok("MoveAccounts", err)
	want.UpdatedAt, want.FinishedAt = after(2*time.Second), time.Time{}
	start("the furthest counts", later, true, want)

	other := later
	other.Digest = "d2"
	start("another file", other, true, other)
	start("anew", other, false, other)
	other.Source = "third"
	start("another source", other, true, other)
}

func movingTenants(_ *testing.T, e *env) {
	m := auth.TenantMove{Source: "elsewhere", ExternalID: "7", Tenant: tenant(1), Audit: tenantAudit(1)}
	for i := range 3 {
		again := m
		if i > 0 {
			again.Tenant, again.Audit = tenant(1+i), tenantAudit(1+i)
		}
		got, made, err := e.MoveTenant(e.ctx, again)
		e.ok("MoveTenant", err)
		e.same("tenant", tenant(1), got)
		e.same("made", i == 0, made)
	}
	m.ExternalID, m.Tenant.ID, m.Audit = "8", tenantID(8), tenantAudit(8)
	_, _, err := e.MoveTenant(e.ctx, m)
	e.is("a slug that is somebody's", err, auth.ErrSlugTaken)
	e.wantAudit("one tenant", tenantAudits(1)...)
	e.ok("DeleteTenant", e.DeleteTenant(e.ctx, tenantID(1), audit(1, "tenant_deleted", "team")))
	m.ExternalID = "7"
	_, _, err = e.MoveTenant(e.ctx, m)
	e.is("a deleted one", err, auth.ErrNotFound)
}

func movingCopies(_ *testing.T, e *env) {
	e.tenant(1)
	for n := 1; n <= 5; n++ {
		e.create(account(n))
	}
	e.join(membership(1, 2, "nurse"))
	name := "Ada"
	person, err := e.UpdateProfile(e.ctx, userID(2), auth.ProfilePatch{At: t0, FullName: &name})
	e.ok("UpdateProfile", err)
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(3), auth.SoftDelete{At: t0, Audit: audit(9, "user_deleted", "team")}))
	got, err := e.CopyAccounts(e.ctx, auth.ID{}, 3)
	e.ok("CopyAccounts", err)
	e.same("first page", []auth.AccountCopy{
		{Person: auth.Person{User: e.user(1), Profile: auth.Profile{Active: true}}},
		{Person: person, Memberships: e.memberships(2)},
		{Person: auth.Person{User: e.user(4), Profile: auth.Profile{Active: true}}},
	}, got)
	got, err = e.CopyAccounts(e.ctx, userID(4), 3)
	e.ok("CopyAccounts", err)
	e.same("second page", 1, len(got))
	got, err = e.CopyAccounts(e.ctx, userID(5), 3)
	e.ok("CopyAccounts", err)
	e.same("end", 0, len(got))
}
