package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func erasureCases() []testCase {
	return []testCase{
		{"begins whole, once (A16.2)", erasureBegins},
		{"refused changes nothing", erasureRefused},
		{"of an account that was soft-deleted", erasureAfterSoft},
		{"steps are done, once each (X16)", erasureSteps},
		{"other choices of the plan (X16)", erasureChoices},
		{"failures, retries and the row that goes last", erasureFailures},
		{"claims and leases", erasureClaims},
		{"the audit log keeps what was done, not by whom (A16.5)", erasureAudit},
		{"personal data of one person (A16.4)", personalData},
		{"every table that knows people is known", personalTables},
		{"whatever a plan may choose can be done", everyAction},
	}
}

// erasure is the n-th job, of the user with number n.
func erasure(n int, steps ...auth.ErasureStep) auth.BeginErasure {
	entry := audit(700000+n, "user_erasure_begun", "team")
	entry.ActorUsername, entry.IP = "", ""
	if len(steps) == 0 {
		steps = []auth.ErasureStep{table("known_devices", auth.EraseDelete)}
	}
	return auth.BeginErasure{
		Erasure: auth.Erasure{ID: fixedID(kindErasure, n), UserID: userID(n), ActorID: userID(n), Reason: "asked for it", BegunAt: after(time.Hour), Steps: steps},
		Audit:   entry,
	}
}

func table(name, action string) auth.ErasureStep {
	return auth.ErasureStep{Kind: auth.StepTable, Name: name, Action: action}
}

func (e *env) erase(b auth.BeginErasure) auth.Erasure {
	e.tb.Helper()
	got, begun, err := e.BeginErasure(e.ctx, b)
	e.ok("BeginErasure", err)
	e.same("begun", true, begun)
	return got
}

// advance makes an attempt at a step, half an hour after the beginning of each.
func (e *env) advance(n, step int, outcome string) auth.Erasure {
	e.tb.Helper()
	got, err := e.AdvanceErasure(e.ctx, attempt(n, step, outcome))
	e.ok("AdvanceErasure", err)
	return got
}

func attempt(n, step int, outcome string) auth.ErasureAdvance {
	done := audit(710000+n, "user_erased", "team")
	done.ActorUsername, done.IP = "", ""
	return auth.ErasureAdvance{
		ID: fixedID(kindErasure, n), Step: step, At: after(2 * time.Hour), Outcome: outcome, Batch: 100, Error: "no answer",
		NotBefore: after(3 * time.Hour), Finished: done,
	}
}

func erasureBegins(_ *testing.T, e *env) {
	a := fullAccount(1)
	a.User.BannedUntil = time.Time{}
	e.create(a)
	e.create(account(2))
	e.sign(1, 1)
	e.sign(2, 2)
	b := erasure(1, table("profiles", auth.EraseDelete), table("relations", auth.EraseEnd))
	b.RequireSession = sessionID(1)
	e.same("the job", b.Erasure, e.erase(b))
	e.wantAudit("one entry", account(1).Audit[0], account(2).Audit[0], audit(100001, "login", "account"), audit(100002, "login", "account"), b.Audit)

	again := erasure(1)
	again.Erasure.ID, again.Audit = fixedID(kindErasure, 9), audit(720001, "x", "team")
	got, begun, err := e.BeginErasure(e.ctx, again)
	e.ok("again", err)
	e.same("again: begun", false, begun)
	e.same("again: the first job", b.Erasure, got)

	_, err = e.UserByID(e.ctx, userID(1))
	e.is("UserByID", err, auth.ErrNotFound)
	_, err = e.UserByEmail(e.ctx, a.User.Email, "clinic")
	e.is("UserByEmail", err, auth.ErrNotFound)
	_, err = e.RotateRefresh(e.ctx, auth.Rotation{SessionID: sessionID(1), At: t0})
	e.is("RotateRefresh", err, auth.ErrNotFound)
	e.is("StartSession", e.start(auth.SessionStart{Session: session(3, 1), Audit: audit(720002, "x", "user")}), auth.ErrNotFound)
	for subject, want := range map[string]bool{
		userID(1).String(): true, auth.TombstoneOf("google", "108"): true, userID(2).String(): false, auth.TombstoneOf("google", "109"): false,
	} {
		yes, err := e.Tombstoned(e.ctx, []string{"nobody", subject})
		e.ok("Tombstoned", err)
		e.same("Tombstoned "+subject, want, yes)
	}
	yes, err := e.Tombstoned(e.ctx, nil)
	e.ok("Tombstoned", err)
	e.same("of nobody", false, yes)

	// Address and provider's account are free for somebody who signs up anew; the id is not.
	fresh := fullAccount(3)
	fresh.User.Email, fresh.User.Phone = a.User.Email, a.User.Phone
	e.create(fresh)
	taken := account(4)
	taken.User.ID, taken.User.Identities = userID(1), nil
	e.is("the id", e.CreateAccount(e.ctx, taken), auth.ErrIDTaken)
	e.wantAlive("somebody else", 2, map[int]bool{2: true})
	e.same("somebody else", account(2).User, e.user(2))
}

func erasureRefused(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.sign(1, 1)
	e.sign(2, 2)
	_, _, err := e.BeginErasure(e.ctx, erasure(9))
	e.is("of nobody", err, auth.ErrNotFound)
	b := erasure(1)
	b.RequireSession = sessionID(2)
	_, _, err = e.BeginErasure(e.ctx, b)
	e.is("with somebody else's session", err, auth.ErrNotFound)
	_, err = e.ErasureOf(e.ctx, userID(1))
	e.is("no job", err, auth.ErrNotFound)
	_, err = e.ErasureByID(e.ctx, fixedID(kindErasure, 1))
	e.is("no job", err, auth.ErrNotFound)
	_, err = e.AdvanceErasure(e.ctx, attempt(1, 0, auth.StepApply))
	e.is("no job", err, auth.ErrNotFound)
	_, err = e.RetryErasure(e.ctx, fixedID(kindErasure, 1), t0, audit(720003, "x", "team"))
	e.is("no job", err, auth.ErrNotFound)
	e.ok("no job to release", e.ReleaseErasure(e.ctx, fixedID(kindErasure, 1)))
	e.same("the account", account(1).User, e.user(1))
	e.wantAlive("the session", 1, map[int]bool{1: true})
	e.wantAudit("nothing", account(1).Audit[0], account(2).Audit[0], audit(100001, "login", "account"), audit(100002, "login", "account"))
}

func erasureAfterSoft(_ *testing.T, e *env) {
	e.create(account(1))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(1), auth.SoftDelete{
		At: t0, Email: "hash", ProviderIDs: map[auth.ID]string{identityID(1): "hash-1"}, Audit: audit(50, "user_deleted", "team"),
	}))
	yes, err := e.Tombstoned(e.ctx, []string{userID(1).String()})
	e.ok("Tombstoned", err)
	e.same("a soft deletion is remembered", true, yes)
	b := erasure(1)
	b.RequireSession = sessionID(1)
	_, _, err = e.BeginErasure(e.ctx, b)
	e.is("by himself", err, auth.ErrNotFound)
	e.erase(erasure(1, table("profiles", auth.EraseDelete)))
}

func erasureSteps(_ *testing.T, e *env) {
	for n := 1; n <= 3; n++ {
		e.create(account(n))
	}
	e.tenant(1, membership(1, 1, "nurse"), membership(1, 2, "nurse"))
	e.patch(1, auth.ProfilePatch{At: t0, FullName: ptr("Ada"), Audit: []auth.AuditEntry{audit(720010, "x", "user")}})
	e.relate(relation(1, auth.RelationCare, 1, 2, 1))
	e.relate(relation(2, auth.RelationCare, 2, 3, 1))
	e.relate(relation(3, auth.RelationAgent, 1, 3, 0))
	steps := auth.ErasurePlan(nil).Steps(after(time.Hour), []string{"app"})
	b := erasure(1, steps...)
	e.erase(b)
	var last auth.Erasure
	for i := range steps {
		outcome := auth.StepApply
		if steps[i].Kind == auth.StepCollector {
			outcome = auth.StepDone
		}
		last = e.advance(1, i, outcome)
		e.same("done "+steps[i].Name, after(2*time.Hour), last.Steps[i].DoneAt)
		once := e.advance(1, i, auth.StepFailed)
		e.same("a step stays done", last, once)
	}
	e.same("finished", after(2*time.Hour), last.FinishedAt)
	got, err := e.ErasureByID(e.ctx, b.Erasure.ID)
	e.ok("ErasureByID", err)
	e.same("stored", last, got)

	_, err = e.MembershipIn(e.ctx, tenantID(1), userID(1))
	e.is("the membership", err, auth.ErrNotFound)
	r, err := e.RelationByID(e.ctx, relationID(1))
	e.ok("the relation stays", err)
	e.same("and has ended", after(2*time.Hour), r.EndsAt)
	r, err = e.RelationByID(e.ctx, relationID(3))
	e.ok("the agent's too", err)
	e.same("and has ended", after(2*time.Hour), r.EndsAt)
	r, err = e.RelationByID(e.ctx, relationID(2))
	e.ok("somebody else's", err)
	e.same("goes on", time.Time{}, r.EndsAt)
	_, err = e.MembershipIn(e.ctx, tenantID(1), userID(2))
	e.ok("somebody else's membership", err)
	e.same("the customer has no agent", []int{2, 3}, e.people(auth.PersonQuery{Unassigned: true, At: after(3 * time.Hour)}))
}

func erasureChoices(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.tenant(1, membership(1, 1, "nurse"))
	e.relate(relation(1, auth.RelationCare, 1, 2, 1))
	e.erase(erasure(1, table("memberships", auth.EraseEnd), table("relations", auth.EraseDelete), table("users", auth.EraseDelete)))
	e.advance(1, 0, auth.StepApply)
	_, err := e.MembershipIn(e.ctx, tenantID(1), userID(1))
	e.is("whose membership stays is nobody", err, auth.ErrNotFound)
	e.advance(1, 1, auth.StepApply)
	_, err = e.RelationByID(e.ctx, relationID(1))
	e.is("the relation", err, auth.ErrNotFound)
	e.advance(1, 2, auth.StepApply)
	taken := account(3)
	taken.User.ID, taken.User.Identities = userID(1), nil
	e.ok("the row is gone, only the tombstone knows", e.CreateAccount(e.ctx, taken))
	yes, err := e.Tombstoned(e.ctx, []string{userID(1).String()})
	e.ok("Tombstoned", err)
	e.same("Tombstoned", true, yes)

	// What became of the first account of this id says nothing of the second.
	e.ok("a hold", e.PlaceHold(e.ctx, hold(1, 1), audit(730020, "x", "team")))
	e.ok("lifted", e.LiftHold(e.ctx, userID(1), fixedID(kindHold, 1), audit(730021, "x", "team")))
	anew := erasure(1)
	anew.Erasure.ID, anew.Audit.ID = fixedID(kindErasure, 8), fixedID(kindAudit, 730022)
	e.same("a deletion of its own", anew.Erasure, e.erase(anew))

	e.erase(erasure(2, table("nothing", auth.EraseDelete), table("profiles", auth.EraseAnonymise), auth.ErasureStep{Kind: auth.StepCollector, Name: "app"}))
	for step := range 4 {
		_, err := e.AdvanceErasure(e.ctx, attempt(2, step, auth.StepApply))
		if err == nil {
			e.tb.Errorf("step %d, which can't be, was done", step)
		}
	}
}

func erasureFailures(_ *testing.T, e *env) {
	e.create(account(1))
	e.erase(erasure(1, auth.ErasureStep{Kind: auth.StepCollector, Name: "app"}, table("profiles", auth.EraseDelete), table("users", auth.EraseDelete)))
	got := e.advance(1, 0, auth.StepFailed)
	e.same("noted", auth.ErasureStep{Kind: auth.StepCollector, Name: "app", Attempts: 1, Error: "no answer", NotBefore: after(3 * time.Hour)}, got.Steps[0])
	e.same("the others go on, the account's row does not", []int{1}, got.Due(after(2*time.Hour)))
	got = e.advance(1, 1, auth.StepApply)
	e.same("nothing is due", []int(nil), got.Due(after(2*time.Hour)))
	e.same("until the retry", after(3*time.Hour), got.NextAt())
	e.same("open", []int{1}, e.erasures(true))

	entry := audit(720020, "erasure_retried", "team")
	got, err := e.RetryErasure(e.ctx, fixedID(kindErasure, 1), after(2*time.Hour), entry)
	e.ok("RetryErasure", err)
	e.same("due at once", []int{0}, got.Due(after(2*time.Hour)))
	e.advance(1, 0, auth.StepDone)
	e.advance(1, 2, auth.StepApply)
	e.same("none is open", []int{}, e.erasures(true))
	e.same("it is remembered", []int{1}, e.erasures(false))
	_, err = e.RetryErasure(e.ctx, fixedID(kindErasure, 1), t0, audit(720021, "x", "team"))
	e.is("a finished one", err, auth.ErrNotFound)
	finished := attempt(1, 0, "").Finished
	e.wantAudit("entries", account(1).Audit[0], erasure(1).Audit, entry, finished)
}

func (e *env) erasures(open bool) []int {
	e.tb.Helper()
	list, err := e.Erasures(e.ctx, auth.ErasureQuery{Open: open, Limit: 100})
	e.ok("Erasures", err)
	numbers := []int{}
	for i := range list {
		numbers = append(numbers, int(list[i].ID[15]))
	}
	return numbers
}

func erasureClaims(_ *testing.T, e *env) {
	for n := 1; n <= 3; n++ {
		e.create(account(n))
		e.erase(erasure(n, table("profiles", auth.EraseDelete)))
	}
	claim := func(at time.Time, limit int) []int {
		e.tb.Helper()
		list, err := e.ClaimErasures(e.ctx, at, time.Minute, limit)
		e.ok("ClaimErasures", err)
		numbers := []int{}
		for i := range list {
			numbers = append(numbers, int(list[i].ID[15]))
		}
		slices.Sort(numbers)
		return numbers
	}
	e.same("before they are due", []int{}, claim(t0, 10))
	now := after(2 * time.Hour)
	e.same("some", 2, len(claim(now, 2)))
	e.same("the other", 1, len(claim(now, 10)))
	e.same("all are taken", []int{}, claim(now, 10))
	e.ok("ReleaseErasure", e.ReleaseErasure(e.ctx, fixedID(kindErasure, 2)))
	e.same("a released one", []int{2}, claim(now, 10))
	e.advance(3, 0, auth.StepApply)
	e.same("after the lease, those that are open", []int{1, 2}, claim(now.Add(time.Minute), 10))
}

func erasureAudit(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	own := audit(1, "user_signedup", "team")
	own.Traits = map[string]any{"provider": "email", "user_email": emailOf(1), "session_id": sessionID(1).String(), "n": float64(12345678)}
	others := auth.AuditEntry{
		ID: fixedID(kindAudit, 2), At: t0, Action: "user_modified", LogType: "user", ActorID: userID(2), ActorUsername: emailOf(2), IP: "192.0.2.9",
		Traits: map[string]any{"user_id": userID(1).String(), "reason": "asked by user1@example.com on +49 151 1234567"},
	}
	stranger := others
	stranger.Traits = map[string]any{"user_id": userID(2).String(), "reason": "of user1@example.com"}
	own.ID, others.ID, stranger.ID = fixedID(kindAudit, 11), fixedID(kindAudit, 12), fixedID(kindAudit, 13)
	e.ok("WriteAudit", e.WriteAudit(e.ctx, own, others, stranger))
	b := erasure(1, table(auth.AuditTable, auth.EraseAnonymise))
	e.erase(b)
	a := attempt(1, 0, auth.StepApply)
	a.Batch = 2 // six entries: three parts, and a look at the end
	for range 3 {
		got, err := e.AdvanceErasure(e.ctx, a)
		e.ok("AdvanceErasure", err)
		if got.Steps[0].Done() || got.Steps[0].Cursor == "" {
			e.tb.Fatalf("too early: %+v", got.Steps[0])
		}
	}
	got, err := e.AdvanceErasure(e.ctx, a)
	e.ok("AdvanceErasure", err)
	e.same("done", true, got.Steps[0].Done() && !got.FinishedAt.IsZero())

	first := account(1).Audit[0]
	second := account(2).Audit[0] // of the first user too, by the suite's doing
	for _, entry := range []*auth.AuditEntry{&first, &second, &own, &b.Audit} {
		if entry.ActorUsername != "" {
			entry.ActorUsername = auth.Erased
		}
		entry.IP = ""
	}
	own.Traits["user_email"] = auth.Erased
	others.Traits = map[string]any{"user_id": userID(1).String(), "reason": "asked by [erased] on [erased]"}
	e.wantAudit("A16.5", first, second, own, others, stranger, b.Audit, a.Finished)
}
