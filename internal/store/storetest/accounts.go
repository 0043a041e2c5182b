package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func accountCases() []testCase {
	return []testCase{
		{"every field comes back from every look-up", accountRoundTrip},
		{"an account without anything optional", accountMinimal},
		{"times keep microseconds", accountTimes},
		{"any text and any JSON comes back", accountText},
		{"a taken address is refused and leaves nothing", accountTaken},
		{"SSO accounts share addresses and are not found by them", accountSSO},
		{"look-ups of what does not exist", accountNotFound},
	}
}

// fullAccount has every field of a new account set.
func fullAccount(n int) auth.NewAccount {
	a := account(n)
	u := &a.User
	u.Aud, u.Role = "clinic", "nurse"
	u.Phone = "4915112345678"
	u.PhoneConfirmedAt = after(-time.Second)
	u.InvitedAt = after(1 * time.Microsecond)
	u.ConfirmationSentAt = after(2 * time.Microsecond)
	u.RecoverySentAt = after(3 * time.Microsecond)
	u.EmailChange, u.EmailChangeSentAt = "next@example.com", after(4*time.Microsecond)
	u.PhoneChange, u.PhoneChangeSentAt = "4915100000000", after(5*time.Microsecond)
	u.ReauthenticationSentAt = after(6 * time.Microsecond)
	u.LastSignInAt = after(7 * time.Microsecond)
	u.AppMetadata = json.RawMessage(`{"provider":"email","providers":["email","google"],"roles":{"a":[1,null,true]}}`)
	u.UserMetadata = json.RawMessage(`{"full_name":"Ada Lovelace","n":12345678901234567890,"deep":{"x":{"y":"z"}}}`)
	u.IsAnonymous = true
	u.BannedUntil = after(time.Hour)
	u.CreatedAt, u.UpdatedAt = after(8*time.Microsecond), after(9*time.Microsecond)
	u.Identities = append(u.Identities, auth.Identity{
		ID: identityID(n + 500), UserID: u.ID, Provider: "google", ProviderID: "108",
		Data:  json.RawMessage(`{"sub":"108","email":"Ada@Example.COM","nested":{"k":[1]}}`),
		Email: "ada@example.com", CreatedAt: after(time.Second), UpdatedAt: after(2 * time.Second),
	})
	return a
}

func accountRoundTrip(_ *testing.T, e *env) {
	e.create(account(2)) // somebody else, whose rows must not appear
	a := fullAccount(1)
	s := session(1, 1)
	s.AMR = []auth.AMR{{Method: "totp", At: after(time.Second)}, {Method: auth.MethodPassword, At: t0}}
	s.AAL = auth.AAL2
	s.NotAfter = after(24 * time.Hour)
	a.Session = &s
	second := audit(1001, "login", "account")
	a.Audit = append(a.Audit, second)
	want := e.create(a)

	got, err := e.UserByID(e.ctx, want.ID)
	e.ok("UserByID", err)
	e.same("UserByID", want, got)
	got, err = e.UserByEmail(e.ctx, want.Email, "clinic")
	e.ok("UserByEmail", err)
	e.same("UserByEmail", want, got)
	got, err = e.UserByPhone(e.ctx, want.Phone, "clinic")
	e.ok("UserByPhone", err)
	e.same("UserByPhone", want, got)
	with, err := e.UserWithSession(e.ctx, want.ID, s.ID, t0)
	e.ok("UserWithSession", err)
	e.same("UserWithSession", auth.UserSession{User: want, Session: true}, with)
	page, err := e.ListUsers(e.ctx, auth.UserQuery{Aud: "clinic", SortBy: "created_at", Page: 1, PerPage: 10})
	e.ok("ListUsers", err)
	e.same("ListUsers", auth.UserPage{Users: []auth.User{want}, Total: 1}, page)

	// The account is banned: the session was written with it, but can't be refreshed.
	r, err := e.RotateRefresh(e.ctx, auth.Rotation{SessionID: s.ID, At: after(time.Minute), Grace: time.Second})
	e.ok("RotateRefresh", err)
	e.same("outcome of a banned account", auth.Banned, r.Outcome)
	e.wantAudit("CreateAccount", account(1).Audit[0], account(2).Audit[0], second)
}

func accountMinimal(_ *testing.T, e *env) {
	u := auth.User{
		ID: userID(1), Aud: "authenticated", Role: auth.RoleAuthenticated, IsAnonymous: true,
		CreatedAt: t0, UpdatedAt: t0,
	}
	e.create(auth.NewAccount{User: u})
	u2 := u
	u2.ID = userID(2) // no address twice is no collision
	e.create(auth.NewAccount{User: u2})

	u.AppMetadata, u.UserMetadata = json.RawMessage(`{}`), json.RawMessage(`{}`)
	e.same("without metadata it is an empty object", u, e.user(1))
	_, err := e.UserByEmail(e.ctx, "", "authenticated")
	e.is("UserByEmail of nothing", err, auth.ErrNotFound)
	_, err = e.UserByPhone(e.ctx, "", "authenticated")
	e.is("UserByPhone of nothing", err, auth.ErrNotFound)
	e.wantAudit("no entries were given")
}

func accountTimes(_ *testing.T, e *env) {
	for n, at := range []time.Time{
		time.Date(2026, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(2026, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Date(1970, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC),
	} {
		a := account(n + 1)
		a.User.CreatedAt, a.User.UpdatedAt, a.User.LastSignInAt = at, at, at
		a.User.Identities[0].CreatedAt = at
		e.create(a)
		e.same(at.String(), a.User, e.user(n+1))
	}
	// A time zone does not survive, the moment does.
	a := account(10)
	a.User.CreatedAt = t0.In(time.FixedZone("", 5*3600+1800))
	e.create(a)
	a.User.CreatedAt = t0
	e.same("other zone", a.User, e.user(10))
}

func accountText(_ *testing.T, e *env) {
	nasty := "Robert'); DROP TABLE users;-- \" \\ % _ \u202e é 🙂 \U0010ffff \t\r\n $1 ?1 :a @b"
	doc, err := json.Marshal(map[string]any{
		"full_name": nasty, nasty: nasty, "": "", "<b>&": "</b>", "z": nil,
		"big": json.RawMessage("123456789012345678901234567890"), "fraction": json.RawMessage("0.1234567890123456789"),
	})
	e.ok("Marshal", err)

	a := account(1)
	a.User.Email = "o'hara+%_\\é@example.com"
	a.User.PasswordHash = nasty
	a.User.UserMetadata, a.User.AppMetadata = doc, doc
	a.User.Identities[0].Data = doc
	a.User.Identities[0].Email = ""
	a.User.Identities[0].ProviderID = nasty
	s := session(1, 1)
	s.UserAgent = nasty
	a.Session = &s
	want := e.create(a)
	got, err := e.UserByEmail(e.ctx, want.Email, want.Aud)
	e.ok("UserByEmail", err)
	e.same("UserByEmail", want, got)

	r, err := e.RotateRefresh(e.ctx, auth.Rotation{
		SessionID: s.ID, At: after(time.Minute), Grace: time.Second, UserAgent: nasty + "2", IP: "2001:db8::1",
	})
	e.ok("RotateRefresh", err)
	e.same("user agent", nasty+"2", r.Session.UserAgent)
	e.same("address", "2001:db8::1", r.Session.IP)
}

func accountTaken(t *testing.T, e *env) {
	first := account(1)
	first.User.Phone = "4911111"
	first.User.Identities[0].Provider, first.User.Identities[0].ProviderID = "google", "77"
	want := e.create(first)

	for _, c := range []struct {
		name   string
		change func(*auth.User)
		err    error
	}{
		{"e-mail", func(u *auth.User) { u.Email = first.User.Email }, auth.ErrEmailTaken},
		{"e-mail for another audience", func(u *auth.User) { u.Email, u.Aud = first.User.Email, "other" }, auth.ErrEmailTaken},
		{"phone", func(u *auth.User) { u.Phone = first.User.Phone }, auth.ErrPhoneTaken},
		{"id", func(u *auth.User) { u.ID = first.User.ID; u.Identities = nil }, auth.ErrIDTaken},
		{"identity at a provider", func(u *auth.User) {
			u.Identities[0].Provider, u.Identities[0].ProviderID = "google", "77"
		}, auth.ErrIDTaken},
	} {
		a := account(2)
		c.change(&a.User)
		s := session(2, 2)
		s.UserID = a.User.ID
		a.Session = &s
		e.is(c.name, e.CreateAccount(e.ctx, a), c.err)
		if _, err := e.UserByID(e.ctx, userID(2)); err == nil {
			t.Errorf("%s: the refused account exists", c.name)
		}
		if e.alive(2, 1) {
			t.Errorf("%s: the refused session exists", c.name)
		}
		e.same(c.name+": the first account", want, e.user(1))
	}
	e.create(account(2)) // and nothing of the tries is in the way
	e.wantAudit("refused accounts", first.Audit[0], account(2).Audit[0])
}

func accountSSO(_ *testing.T, e *env) {
	sso := account(1)
	sso.User.Email, sso.User.IsSSO = "same@example.com", true
	e.create(sso)
	_, err := e.UserByEmail(e.ctx, "same@example.com", "authenticated")
	e.is("an SSO account is not found by address", err, auth.ErrNotFound)

	other := account(2)
	other.User.Email, other.User.IsSSO = "same@example.com", true
	e.create(other)
	normal := account(3)
	normal.User.Email = "same@example.com"
	e.create(normal)
	got, err := e.UserByEmail(e.ctx, "same@example.com", "authenticated")
	e.ok("UserByEmail", err)
	e.same("the account that is not managed by SSO", normal.User, got)
	e.same("SSO account by id", sso.User, e.user(1))
}

func accountNotFound(_ *testing.T, e *env) {
	a := account(1)
	a.User.Phone = "4911111"
	e.create(a)
	e.create(account(2))
	e.sign(2, 2)

	_, err := e.UserByEmail(e.ctx, "nobody@example.com", "authenticated")
	e.is("UserByEmail", err, auth.ErrNotFound)
	_, err = e.UserByEmail(e.ctx, a.User.Email, "other")
	e.is("UserByEmail, other audience", err, auth.ErrNotFound)
	_, err = e.UserByEmail(e.ctx, "user_@example.com", "authenticated")
	e.is("UserByEmail knows no wildcards", err, auth.ErrNotFound)
	_, err = e.UserByPhone(e.ctx, "4922222", "authenticated")
	e.is("UserByPhone", err, auth.ErrNotFound)
	_, err = e.UserByPhone(e.ctx, "4911111", "other")
	e.is("UserByPhone, other audience", err, auth.ErrNotFound)
	_, err = e.UserByID(e.ctx, userID(9))
	e.is("UserByID", err, auth.ErrNotFound)
	_, err = e.UserByID(e.ctx, auth.ID{})
	e.is("UserByID of none", err, auth.ErrNotFound)
	_, err = e.UserWithSession(e.ctx, userID(9), sessionID(2), t0)
	e.is("UserWithSession", err, auth.ErrNotFound)

	for what, id := range map[string]auth.ID{
		"no session": {}, "unknown session": sessionID(9), "somebody else's session": sessionID(2),
	} {
		got, err := e.UserWithSession(e.ctx, userID(1), id, t0)
		e.ok(what, err)
		e.same(what, auth.UserSession{User: e.user(1)}, got)
	}
}
