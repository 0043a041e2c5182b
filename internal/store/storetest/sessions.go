package storetest

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func sessionCases() []testCase {
	return []testCase{
		{"start", sessionStart},
		{"start keeps every field", sessionFields},
		{"rehash only what was verified", sessionRehash},
		{"a ban wins over a proof", sessionBan},
		{"X35 an account that is switched off begins no session", sessionInactive},
		{"start without an account", sessionNoAccount},
		{"end", sessionEnd},
		{"end without a session", sessionEndRefused},
	}
}

func sessionStart(_ *testing.T, e *env) {
	e.create(account(2))
	a := account(1)
	google := emailIdentity(1)
	google.ID, google.Provider, google.ProviderID = identityID(40), "google", "77"
	a.User.Identities = append(a.User.Identities, google)
	want := e.create(a)

	s := session(1, 1)
	s.CreatedAt = after(time.Minute)
	entry := audit(500, "login", "account")
	entry.At = s.CreatedAt
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: entry, Identity: "google"}))
	want.LastSignInAt = s.CreatedAt
	want.Identities[1].LastSignInAt = s.CreatedAt
	e.same("after a sign-in with google", want, e.user(1))

	s = session(2, 1)
	s.CreatedAt = after(2 * time.Minute)
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(501, "login", "account")}))
	want.LastSignInAt = s.CreatedAt
	e.same("after a sign-in without identity", want, e.user(1))

	e.wantAlive("both", 1, map[int]bool{1: true, 2: true})
	e.wantAlive("somebody else", 2, map[int]bool{1: false, 2: false})
	e.same("somebody else", account(2).User, e.user(2))
	e.wantAudit("StartSession", account(1).Audit[0], account(2).Audit[0], audit(501, "login", "account"), entry)
}

func sessionFields(_ *testing.T, e *env) {
	user := e.create(account(1))
	s := session(1, 1)
	s.AAL = auth.AAL2
	s.AMR = []auth.AMR{
		{Method: "totp", At: after(3 * time.Microsecond)},
		{Method: "otp", At: after(2 * time.Microsecond)},
		{Method: auth.MethodPassword, At: after(time.Microsecond)},
	}
	s.UserAgent, s.IP = "Mozilla/5.0 (é)", "2001:db8::7"
	s.UpdatedAt, s.RefreshedAt, s.NotAfter = after(4*time.Microsecond), after(5*time.Microsecond), after(time.Hour)
	s.Counter, s.Parent = 41, 39
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(500, "login", "account")}))
	user.LastSignInAt = s.CreatedAt

	// The parent within the grace time shows the session as it is and changes nothing.
	r, err := e.RotateRefresh(e.ctx, auth.Rotation{
		SessionID: s.ID, Counter: 39, At: after(time.Second), Grace: time.Minute, IP: "198.51.100.1", UserAgent: "other",
	})
	e.ok("RotateRefresh", err)
	e.same("session", auth.RotationResult{Outcome: auth.Replayed, Session: s, User: user}, r)
}

func sessionRehash(_ *testing.T, e *env) {
	want := e.create(account(1))
	s := session(1, 1)
	e.ok("StartSession", e.start(auth.SessionStart{
		Session: s, Rehash: "$better$", RehashFrom: want.PasswordHash, Audit: audit(500, "login", "account"),
	}))
	want.PasswordHash = "$better$"
	e.same("rehashed", want, e.user(1))

	s = session(2, 1) // the password was changed between the look-up and now
	e.ok("StartSession", e.start(auth.SessionStart{
		Session: s, Rehash: "$undo$", RehashFrom: "$hash$1", Audit: audit(501, "login", "account"),
	}))
	e.same("not undone", want, e.user(1))
	e.wantAlive("sessions", 1, map[int]bool{1: true, 2: true})
}

func sessionBan(_ *testing.T, e *env) {
	for i, c := range []struct {
		name  string
		until time.Time
		ok    bool
	}{
		{"not banned", time.Time{}, true},
		{"banned", after(time.Microsecond), false},
		{"the ban ends now", t0, true},
		{"the ban has ended", after(-time.Hour), true},
	} {
		n := i + 1
		a := account(n)
		a.User.BannedUntil = c.until
		a.User.LastSignInAt = after(-time.Hour)
		want := e.create(a)
		err := e.start(auth.SessionStart{
			Session: session(n, n), Rehash: "$new$", RehashFrom: want.PasswordHash, Identity: auth.ProviderEmail,
			Audit: audit(500+n, "login", "account"),
		})
		if c.ok {
			e.ok(c.name, err)
			want.LastSignInAt, want.Identities[0].LastSignInAt, want.PasswordHash = t0, t0, "$new$"
		} else {
			e.is(c.name, err, auth.ErrNotFound)
		}
		e.wantAlive(c.name, n, map[int]bool{n: c.ok})
		e.same(c.name, want, e.user(n))
	}
	e.wantAudit("no entry for the refused one", account(1).Audit[0], account(2).Audit[0], account(3).Audit[0], account(4).Audit[0],
		audit(501, "login", "account"), audit(503, "login", "account"), audit(504, "login", "account"))
}

// X35: an account that is switched off begins no session, and one that is on again does.
func sessionInactive(_ *testing.T, e *env) {
	e.create(account(1))
	for i, active := range []bool{false, true} {
		if _, err := e.UpdateProfile(e.ctx, userID(1), auth.ProfilePatch{At: t0, Active: &active}); err != nil {
			e.ok("UpdateProfile", err)
		}
		err := e.start(auth.SessionStart{Session: session(1+i, 1), Audit: audit(501+i, "login", "account")})
		if active {
			e.ok("switched on", err)
		} else {
			e.is("switched off", err, auth.ErrNotFound)
		}
	}
	e.wantAlive("sessions", 1, map[int]bool{1: false, 2: true})
	off := false
	_, err := e.UpdateProfile(e.ctx, userID(1), auth.ProfilePatch{At: t0, Active: &off})
	e.ok("UpdateProfile", err)
	res, err := e.RotateRefresh(e.ctx, rotation(2, 0, after(time.Minute)))
	e.ok("RotateRefresh", err)
	e.same("a session of before", auth.Banned, res.Outcome)
}

func sessionNoAccount(_ *testing.T, e *env) {
	err := e.start(auth.SessionStart{Session: session(1, 1), Audit: audit(500, "login", "account")})
	e.is("StartSession", err, auth.ErrNotFound)
	e.wantAudit("nothing happened")
	e.create(account(1))
	e.wantAlive("afterwards", 1, map[int]bool{1: false})
}

func sessionEnd(_ *testing.T, e *env) {
	e.create(account(99))
	e.sign(99, 99)
	for i, c := range []struct {
		name  string
		which auth.Revocation
		ended int64
		want  [3]bool
	}{
		{"one", auth.RevokeOne, 1, [3]bool{true, false, true}},
		{"others", auth.RevokeOthers, 2, [3]bool{false, true, false}},
		{"all", auth.RevokeAll, 3, [3]bool{}},
	} {
		n := i + 1
		e.create(account(n))
		alive := map[int]bool{}
		for k := range 3 {
			e.sign(n*10+k, n)
			alive[n*10+k] = c.want[k]
		}
		before := e.user(n)
		ended, err := e.EndSessions(e.ctx, auth.EndSessions{
			UserID: userID(n), SessionID: sessionID(n*10 + 1), Which: c.which, Audit: audit(600+n, "logout", "account"),
		})
		e.ok(c.name, err)
		e.same(c.name+": number", c.ended, ended)
		e.wantAlive(c.name, n, alive)
		e.same(c.name+": the account", before, e.user(n))
	}
	e.wantAlive("somebody else", 99, map[int]bool{99: true})

	e.create(account(50)) // the only session has no others
	e.sign(50, 50)
	ended, err := e.EndSessions(e.ctx, auth.EndSessions{
		UserID: userID(50), SessionID: sessionID(50), Which: auth.RevokeOthers, Audit: audit(650, "logout", "account"),
	})
	e.ok("no others", err)
	e.same("no others", int64(0), ended)
	e.wantAlive("no others", 50, map[int]bool{50: true})
}

func sessionEndRefused(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.sign(1, 1)
	e.sign(2, 2)
	for _, which := range []auth.Revocation{auth.RevokeOne, auth.RevokeOthers, auth.RevokeAll} {
		for what, id := range map[string]auth.ID{
			"unknown session": sessionID(9), "no session": {}, "somebody else's session": sessionID(2),
		} {
			ended, err := e.EndSessions(e.ctx, auth.EndSessions{
				UserID: userID(1), SessionID: id, Which: which, Audit: audit(600, "logout", "account"),
			})
			e.is(what, err, auth.ErrNotFound)
			e.same(what, int64(0), ended)
			e.wantAlive(what, 1, map[int]bool{1: true})
			e.wantAlive(what, 2, map[int]bool{2: true})
		}
	}
	e.wantAudit("refused", account(1).Audit[0], account(2).Audit[0],
		audit(100001, "login", "account"), audit(100002, "login", "account"))
}
