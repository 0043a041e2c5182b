package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func noticeCases() []testCase {
	return []testCase{
		{"A20.2 a notice ends every session, once", noticeOnce},
		{"S2.42 a notice about nobody", noticeNobody},
		{"forgets notices that nobody can repeat", noticesForgotten},
	}
}

// notice is the n-th notice, about the user with number of.
func notice(n, of int) auth.SignedNotice {
	return auth.SignedNotice{
		Digest: [32]byte{byte(n >> 8), byte(n), 31: 7}, At: t0, Until: after(5 * time.Minute), UserID: userID(of),
		Audit: audit(100700+n, "sessions_revoked", "account"),
	}
}

func noticeOnce(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.sign(1, 1)
	e.sign(2, 1)
	e.sign(3, 2)
	ended, err := e.PasswordChanged(e.ctx, notice(1, 1))
	e.ok("PasswordChanged", err)
	e.same("ended", int64(2), ended)
	e.wantAlive("his", 1, map[int]bool{1: false, 2: false})
	e.wantAlive("somebody else's", 2, map[int]bool{3: true})

	e.sign(4, 1)
	again := notice(1, 1)
	again.At, again.Until, again.Audit = after(5*time.Minute-time.Microsecond), after(time.Hour), audit(100750, "x", "x")
	_, err = e.PasswordChanged(e.ctx, again)
	e.is("sent again", err, auth.ErrConflict)
	e.wantAlive("after it was sent again", 1, map[int]bool{4: true})

	ended, err = e.PasswordChanged(e.ctx, notice(2, 1))
	e.ok("another one", err)
	e.same("ended", int64(1), ended)

	again.At, again.Until = after(5*time.Minute), after(10*time.Minute)
	ended, err = e.PasswordChanged(e.ctx, again)
	e.ok("when it is no longer remembered", err)
	e.same("ended", int64(0), ended)
	again.At = after(6 * time.Minute)
	_, err = e.PasswordChanged(e.ctx, again)
	e.is("and sent again", err, auth.ErrConflict)
	e.wantAudit("notices", account(1).Audit[0], account(2).Audit[0], audit(100001, "login", "account"), audit(100002, "login", "account"),
		audit(100003, "login", "account"), audit(100004, "login", "account"), audit(100701, "sessions_revoked", "account"),
		audit(100702, "sessions_revoked", "account"), audit(100750, "x", "x"))
}

func noticeNobody(_ *testing.T, e *env) {
	ended, err := e.PasswordChanged(e.ctx, notice(1, 99))
	e.ok("PasswordChanged", err)
	e.same("ended", int64(0), ended)
	_, err = e.PasswordChanged(e.ctx, notice(1, 99))
	e.is("sent again", err, auth.ErrConflict)
	e.wantAudit("kept all the same", audit(100701, "sessions_revoked", "account"))
}

func noticesForgotten(_ *testing.T, e *env) {
	for n := 1; n <= 4; n++ {
		one := notice(n, 1)
		one.Until = after(time.Duration(n) * time.Minute)
		_, err := e.PasswordChanged(e.ctx, one)
		e.ok("PasswordChanged", err)
	}
	for _, c := range []struct {
		before time.Time
		limit  int
		want   int64
	}{{after(time.Minute), 10, 0}, {after(4 * time.Minute), 0, 0}, {after(4 * time.Minute), 2, 2}, {after(4 * time.Minute), 2, 1}, {after(4 * time.Minute), 2, 0}} {
		n, err := e.DeleteOldWebhooks(e.ctx, c.before, c.limit)
		e.ok("DeleteOldWebhooks", err)
		e.same("forgotten", c.want, n)
	}
	_, err := e.PasswordChanged(e.ctx, notice(4, 1))
	e.is("the one that is left", err, auth.ErrConflict)
}

func raceConsentCases() []testCase {
	return []testCase{
		{"A20.2 one notice, sent by many at once", raceNotice},
		{"a notice beside sign-ins", raceNoticeSignIns},
		{"an account switched off beside sign-ins", raceSwitchedOff},
		{"a consent withdrawn many times", raceWithdraw},
		{"consents given and withdrawn at once", raceConsents},
		{"consents beside the deletion", raceConsentDelete},
	}
}

func raceNotice(_ *testing.T, e *env) {
	e.create(account(1))
	for n := 1; n <= 4; n++ {
		e.sign(n, 1)
	}
	counts := make([]int64, racers)
	e.oneWins("PasswordChanged", together(racers, func(i int) error {
		one := notice(1, 1)
		one.Audit = audit(100700+i, "sessions_revoked", "account")
		var err error
		counts[i], err = e.PasswordChanged(e.ctx, one)
		return err
	}), auth.ErrConflict)
	var sum int64
	for _, n := range counts {
		sum += n
	}
	e.same("ended, in all", int64(4), sum)
}

// raceNoticeSignIns: a session that began before the notice is dead, whoever was quicker; and
// two databases of locks do not wait for each other.
func raceNoticeSignIns(_ *testing.T, e *env) {
	e.create(account(1))
	for i, err := range together(racers, func(i int) error {
		if i%2 == 0 {
			return e.start(auth.SessionStart{Session: session(i+1, 1), Audit: audit(800+i, "login", "account")})
		}
		one := notice(i, 1)
		one.Audit.ID = fixedID(kindAudit, 100900+i)
		_, err := e.PasswordChanged(e.ctx, one)
		return err
	}) {
		if err != nil {
			e.tb.Errorf("%d: %v", i, err)
		}
	}
	_, err := e.PasswordChanged(e.ctx, notice(50, 1))
	e.ok("PasswordChanged", err)
	left, err := e.SessionsOf(e.ctx, userID(1))
	e.ok("SessionsOf", err)
	e.same("left", 0, len(left))
}

// raceSwitchedOff: no session survives the switch, whichever was quicker.
func raceSwitchedOff(_ *testing.T, e *env) {
	e.create(account(1))
	for i, err := range together(racers, func(i int) error {
		if i == racers/2 {
			_, err := e.UpdateProfile(e.ctx, userID(1), auth.ProfilePatch{At: t0, Active: ptr(false), EndSessions: true})
			return err
		}
		if err := e.start(auth.SessionStart{Session: session(i+1, 1), Audit: audit(100800+i, "login", "account")}); err != nil && !errors.Is(err, auth.ErrNotFound) {
			return err
		}
		return nil
	}) {
		if err != nil {
			e.tb.Errorf("%d: %v", i, err)
		}
	}
	left, err := e.SessionsOf(e.ctx, userID(1))
	e.ok("SessionsOf", err)
	e.same("left", 0, len(left))
}
