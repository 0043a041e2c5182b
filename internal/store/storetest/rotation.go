package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func rotationCases() []testCase {
	return []testCase{
		{"current, again, parent, orphan (A7.1, A7.2)", rotationJourney},
		{"every decision", rotationTable},
		{"reuse ends the session and is written down (A7.2)", rotationReuse},
		{"limits and bans change nothing", rotationLimits},
		{"without a session", rotationMissing},
	}
}

const grace = 10 * time.Second

func rotation(n int, counter int64, at time.Time) auth.Rotation {
	return auth.Rotation{
		SessionID: sessionID(n), Counter: counter, At: at, Grace: grace, IP: "198.51.100.9", UserAgent: "rotator/2",
		ReuseAudit: auth.AuditEntry{
			ID: fixedID(kindAudit, 700+n), At: at, Action: "token_revoked", LogType: "token", IP: "198.51.100.9",
			Traits: map[string]any{"reason": "reuse"},
		},
	}
}

// rotationJourney is the life of one session with a client that loses answers.
func rotationJourney(_ *testing.T, e *env) {
	e.create(account(1))
	s := e.sign(1, 1)
	user := e.user(1)
	step := func(what string, counter int64, at time.Time, want auth.RotationOutcome) {
		e.tb.Helper()
		r, err := e.RotateRefresh(e.ctx, rotation(1, counter, at))
		e.ok(what, err)
		if want == auth.Rotated {
			s.Parent, s.Counter = counter, s.Counter+1
			s.RefreshedAt, s.UpdatedAt, s.IP, s.UserAgent = at, at, "198.51.100.9", "rotator/2"
		}
		e.same(what, auth.RotationResult{Outcome: want, Session: s, User: user}, r)
	}
	at := after(time.Hour)
	step("current 0", 0, at, auth.Rotated)
	step("parent at once", 0, at, auth.Replayed)
	step("parent in grace", 0, at.Add(grace-time.Microsecond), auth.Replayed)
	step("current 1", 1, at.Add(time.Minute), auth.Rotated)
	at = at.Add(time.Minute)
	step("parent when the grace ends", 1, at.Add(grace), auth.Rotated) // 2 is an orphan now, 3 is current
	step("parent in the new grace", 1, at.Add(grace+time.Second), auth.Replayed)
	step("current 3", 3, at.Add(time.Hour), auth.Rotated)
	e.same("counter and parent", [2]int64{4, 3}, [2]int64{s.Counter, s.Parent})
	e.wantAlive("all the time", 1, map[int]bool{1: true})

	r, err := e.RotateRefresh(e.ctx, rotation(1, 2, at.Add(time.Hour+time.Second)))
	e.ok("orphan", err)
	e.same("orphan", auth.Reused, r.Outcome)
	_, err = e.RotateRefresh(e.ctx, rotation(1, 4, at.Add(time.Hour+time.Second)))
	e.is("the newest token dies with it", err, auth.ErrNotFound)
}

func rotationTable(_ *testing.T, e *env) {
	e.create(account(1))
	for i, c := range []struct {
		name                       string
		counter, parent, presented int64
		refreshed                  time.Time
		at                         time.Time
		want                       auth.RotationOutcome
		err                        error
		wantCounter, wantParent    int64
	}{
		{"first refresh", 0, -1, 0, time.Time{}, after(time.Hour), auth.Rotated, nil, 1, 0},
		{"first refresh in the moment of creation", 0, -1, 0, time.Time{}, t0, auth.Rotated, nil, 1, 0},
		{"current", 7, 6, 7, t0, after(time.Second), auth.Rotated, nil, 8, 7},
		{"parent in grace", 7, 6, 6, t0, after(grace - 1000), auth.Replayed, nil, 7, 6},
		{"parent when grace ends", 7, 6, 6, t0, after(grace), auth.Rotated, nil, 8, 6},
		{"parent of a session never refreshed", 7, 6, 6, time.Time{}, after(grace - 1000), auth.Replayed, nil, 7, 6},
		{"parent with orphans between, in grace", 9, 4, 4, t0, after(time.Second), auth.Replayed, nil, 9, 4},
		{"parent with orphans between, later", 9, 4, 4, t0, after(time.Hour), auth.Rotated, nil, 10, 4},
		{"orphan between", 9, 4, 6, t0, after(time.Second), auth.Reused, nil, 0, 0},
		{"grandparent", 7, 6, 5, t0, after(time.Second), auth.Reused, nil, 0, 0},
		{"the very first", 7, 6, 0, t0, after(time.Second), auth.Reused, nil, 0, 0},
		{"from the future", 7, 6, 8, t0, after(time.Second), 0, auth.ErrNotFound, 7, 6},
		{"from the far future", 7, 6, math.MaxInt64, t0, after(time.Second), 0, auth.ErrNotFound, 7, 6},
		{"the parent of the first is no token", 0, -1, -1, time.Time{}, after(time.Second), 0, auth.ErrNotFound, 0, -1},
		{"outdated when it began", 0, -1, auth.RefreshOutdated, time.Time{}, after(time.Second), auth.Reused, nil, 0, 0},
		{"outdated", 7, 6, auth.RefreshOutdated, t0, after(time.Second), auth.Reused, nil, 0, 0},
		{"no number at all", 7, 6, -3, t0, after(time.Second), 0, auth.ErrNotFound, 7, 6},
		{"a large counter", math.MaxInt32 + 5, 1, math.MaxInt32 + 5, t0, after(time.Second), auth.Rotated, nil, math.MaxInt32 + 6, math.MaxInt32 + 5},
	} {
		n := i + 1
		s := session(n, 1)
		s.Counter, s.Parent, s.RefreshedAt = c.counter, c.parent, c.refreshed
		e.ok(c.name, e.start(auth.SessionStart{Session: s, Audit: audit(800+n, "login", "account")}))

		r, err := e.RotateRefresh(e.ctx, rotation(n, c.presented, c.at))
		e.is(c.name, err, c.err)
		e.same(c.name+": outcome", c.want, r.Outcome)
		if c.want == auth.Reused {
			e.same(c.name+": nothing left to use", [2]any{int64(0), 0}, [2]any{r.Session.Counter, len(r.Session.AMR)})
			e.same(c.name+": whose", userID(1), r.User.ID)
			e.wantAlive(c.name, 1, map[int]bool{n: false})
			continue
		}
		e.wantAlive(c.name, 1, map[int]bool{n: true})
		if c.err == nil {
			e.same(c.name+": counter, parent", [2]int64{c.wantCounter, c.wantParent}, [2]int64{r.Session.Counter, r.Session.Parent})
			continue
		}
		// Nothing was changed: the current token still rotates.
		r, err = e.RotateRefresh(e.ctx, rotation(n, c.counter, c.at))
		e.ok(c.name, err)
		e.same(c.name+": counter, parent", [2]int64{c.counter + 1, c.counter}, [2]int64{r.Session.Counter, r.Session.Parent})
	}
}

func rotationReuse(_ *testing.T, e *env) {
	a := account(1)
	a.User.Phone = "4911111"
	e.create(a)
	e.create(account(2))
	for n, owner := range map[int]int{11: 1, 12: 1, 21: 2} {
		s := session(n, owner)
		s.Counter, s.Parent = 5, 4
		e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(800+n, "login", "account")}))
	}
	at := after(time.Hour)
	for n, owner := range map[int]int{11: 1, 21: 2} {
		before := e.user(owner)
		r, err := e.RotateRefresh(e.ctx, rotation(n, 1, at))
		e.ok("RotateRefresh", err)
		e.same("outcome", auth.Reused, r.Outcome)
		e.same("account in the answer", before, r.User)
		e.same("account", before, e.user(owner))
	}
	e.wantAlive("only that session ends", 1, map[int]bool{11: false, 12: true})
	e.wantAlive("only that session ends", 2, map[int]bool{21: false})

	byPhone, byEmail := rotation(11, 1, at).ReuseAudit, rotation(21, 1, at).ReuseAudit
	byPhone.ActorID, byPhone.ActorUsername = userID(1), "4911111" // the number goes before the address
	byEmail.ActorID, byEmail.ActorUsername = userID(2), emailOf(2)
	e.wantAudit("reuse", account(1).Audit[0], account(2).Audit[0], audit(811, "login", "account"),
		audit(812, "login", "account"), audit(821, "login", "account"), byPhone, byEmail)
}

func rotationLimits(_ *testing.T, e *env) {
	e.create(account(1))
	banned := account(2)
	e.create(banned)
	at := after(time.Hour)
	for i, c := range []struct {
		name   string
		change func(*auth.Session, *auth.Rotation)
		want   auth.RotationOutcome
	}{
		{"not_after now", func(s *auth.Session, _ *auth.Rotation) { s.NotAfter = at }, auth.Expired},
		{"not_after past", func(s *auth.Session, _ *auth.Rotation) { s.NotAfter = after(0) }, auth.Expired},
		{"not_after to come", func(s *auth.Session, _ *auth.Rotation) { s.NotAfter = at.Add(time.Microsecond) }, auth.Rotated},
		{"time box reached", func(_ *auth.Session, r *auth.Rotation) { r.CreatedAfter = t0 }, auth.Expired},
		{"time box not reached", func(_ *auth.Session, r *auth.Rotation) { r.CreatedAfter = after(-time.Microsecond) }, auth.Rotated},
		{"idle since creation", func(_ *auth.Session, r *auth.Rotation) { r.ActiveAfter = t0 }, auth.Expired},
		{"not idle since creation", func(_ *auth.Session, r *auth.Rotation) { r.ActiveAfter = after(-time.Microsecond) }, auth.Rotated},
		{"idle since refresh", func(s *auth.Session, r *auth.Rotation) {
			s.RefreshedAt, r.ActiveAfter = after(time.Minute), after(time.Minute)
		}, auth.Expired},
		{"refreshed since", func(s *auth.Session, r *auth.Rotation) {
			s.RefreshedAt, r.ActiveAfter = after(time.Minute), after(time.Minute-time.Microsecond)
		}, auth.Rotated},
		{"a copied token of an expired session", func(s *auth.Session, r *auth.Rotation) { s.NotAfter, r.Counter = at, 1 }, auth.Expired},
	} {
		n := i + 1
		s, r := session(n, 1), rotation(n, 5, at)
		s.Counter, s.Parent = 5, 4
		c.change(&s, &r)
		e.ok(c.name, e.start(auth.SessionStart{Session: s, Audit: audit(800+n, "login", "account")}))
		got, err := e.RotateRefresh(e.ctx, r)
		e.ok(c.name, err)
		e.same(c.name, c.want, got.Outcome)
		e.wantAlive(c.name, 1, map[int]bool{n: true})
		if c.want == auth.Expired { // before that moment the session is what it was
			got, err = e.RotateRefresh(e.ctx, rotation(n, 4, t0.Add(-time.Microsecond)))
			e.ok(c.name, err)
			e.same(c.name+": unchanged", [2]any{auth.Replayed, s}, [2]any{got.Outcome, got.Session})
		}
	}

	// A ban goes before everything else that is wrong, and does not end the session.
	s := session(50, 2)
	s.Counter, s.Parent, s.NotAfter = 5, 4, at
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(850, "login", "account")}))
	e.update(2, auth.UserPatch{At: t0, BannedUntil: ptr(at.Add(time.Microsecond))})
	for _, counter := range []int64{5, 4, 1} {
		r, err := e.RotateRefresh(e.ctx, rotation(50, counter, at))
		e.ok("banned", err)
		e.same("banned", auth.Banned, r.Outcome)
	}
	e.update(2, auth.UserPatch{At: t0, BannedUntil: ptr(at)})
	r, err := e.RotateRefresh(e.ctx, rotation(50, 5, at))
	e.ok("the ban ends now", err)
	e.same("the ban ends now", auth.Expired, r.Outcome)
	e.wantAlive("banned", 2, map[int]bool{50: true})
}

func rotationMissing(_ *testing.T, e *env) {
	e.create(account(1))
	e.sign(1, 1)
	_, err := e.RotateRefresh(e.ctx, rotation(9, 0, t0))
	e.is("unknown session", err, auth.ErrNotFound)
	_, err = e.RotateRefresh(e.ctx, auth.Rotation{At: t0})
	e.is("no session", err, auth.ErrNotFound)
	e.wantAudit("nothing happened", account(1).Audit[0], audit(100001, "login", "account"))
}
