package storetest

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func cleanerCases() []testCase {
	return []testCase{
		{"removes what has ended, and nothing else", cleanerKinds},
		{"removes no more than asked", cleanerLimit},
	}
}

func cleanerKinds(_ *testing.T, e *env) {
	e.create(account(1))
	start := func(n int, change func(*auth.Session)) {
		s := session(n, 1)
		change(&s)
		e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(800+n, "login", "account")}))
	}
	start(1, func(*auth.Session) {})
	start(2, func(s *auth.Session) { s.NotAfter = after(time.Hour - time.Microsecond) })
	start(3, func(s *auth.Session) { s.NotAfter = after(time.Hour) })
	start(4, func(s *auth.Session) { s.CreatedAt = after(-time.Microsecond); s.RefreshedAt = after(time.Hour) })
	start(5, func(s *auth.Session) { s.RefreshedAt = after(time.Microsecond) })
	all := func(want ...int) map[int]bool {
		m := map[int]bool{1: false, 2: false, 3: false, 4: false, 5: false}
		for _, n := range want {
			m[n] = true
		}
		return m
	}
	clean := func(what string, want int64, ended, created, idle time.Time, alive map[int]bool) {
		e.tb.Helper()
		n, err := e.DeleteEndedSessions(e.ctx, ended, created, idle, 100)
		e.ok(what, err)
		e.same(what, want, n)
		e.wantAlive(what, 1, alive)
	}
	var never time.Time
	clean("nothing has ended", 0, t0, never, never, all(1, 2, 3, 4, 5))
	clean("not_after strictly before", 1, after(time.Hour), never, never, all(1, 3, 4, 5))
	clean("created strictly before", 1, t0, t0, never, all(1, 3, 5))
	clean("idle: a refresh counts", 2, t0, never, after(time.Microsecond), all(5))
	clean("everything", 1, after(24*time.Hour), after(24*time.Hour), after(24*time.Hour), all())
	clean("nothing is left", 0, after(24*time.Hour), after(24*time.Hour), after(24*time.Hour), all())
}

func cleanerLimit(_ *testing.T, e *env) {
	e.create(account(1))
	const sessions = 7
	for n := 1; n <= sessions; n++ {
		s := session(n, 1)
		s.NotAfter = t0
		e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(800+n, "login", "account")}))
	}
	for _, want := range []int64{3, 3, 1, 0} {
		n, err := e.DeleteEndedSessions(e.ctx, after(time.Second), time.Time{}, time.Time{}, 3)
		e.ok("DeleteEndedSessions", err)
		e.same("removed", want, n)
	}
}
