package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func holdCases() []testCase {
	return []testCase{
		{"forbids every deletion until it is lifted (A16.5)", holdForbids},
		{"refused", holdRefused},
	}
}

func racePrivacyCases() []testCase {
	return []testCase{
		{"many deletions of one person are one (A16.2)", raceErasures},
		{"a hold beside a deletion", raceHold},
		{"one step by many", raceSteps},
		{"claims", raceClaims},
	}
}

func hold(n, user int) auth.LegalHold {
	return auth.LegalHold{ID: fixedID(kindHold, n), UserID: userID(user), Reason: "case 42", PlacedBy: "service_role", PlacedAt: after(time.Duration(n) * time.Second)}
}

func holdForbids(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.sign(1, 1)
	placed, second, lifted := audit(730001, "hold_placed", "team"), audit(730002, "hold_placed", "team"), audit(730003, "hold_lifted", "team")
	e.ok("PlaceHold", e.PlaceHold(e.ctx, hold(1, 1), placed))
	e.ok("PlaceHold", e.PlaceHold(e.ctx, hold(2, 1), second))
	list, err := e.HoldsOf(e.ctx, userID(1))
	e.ok("HoldsOf", err)
	e.same("HoldsOf", []auth.LegalHold{hold(1, 1), hold(2, 1)}, list)

	refused := audit(730009, "x", "team")
	forbidden := func(what string) {
		e.tb.Helper()
		_, _, err = e.BeginErasure(e.ctx, erasure(1))
		e.is(what+": BeginErasure", err, auth.ErrHeld)
		e.is(what+": DeleteUser", e.DeleteUser(e.ctx, userID(1), refused), auth.ErrHeld)
		e.is(what+": SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(1), auth.SoftDelete{At: t0, Audit: refused}), auth.ErrHeld)
		yes, err := e.Tombstoned(e.ctx, []string{userID(1).String()})
		e.ok("Tombstoned", err)
		e.same(what+": nobody is buried", false, yes)
		e.same(what+": the account", account(1).User, e.user(1))
		e.wantAlive(what, 1, map[int]bool{1: true})
	}
	forbidden("two holds")
	e.ok("LiftHold", e.LiftHold(e.ctx, userID(1), fixedID(kindHold, 1), lifted))
	forbidden("one hold")
	e.is("of somebody else", e.LiftHold(e.ctx, userID(2), fixedID(kindHold, 2), refused), auth.ErrNotFound)
	e.is("twice", e.LiftHold(e.ctx, userID(1), fixedID(kindHold, 1), refused), auth.ErrNotFound)
	again := audit(730004, "hold_lifted", "team")
	e.ok("LiftHold", e.LiftHold(e.ctx, userID(1), fixedID(kindHold, 2), again))
	e.wantAudit("holds", account(1).Audit[0], account(2).Audit[0], audit(100001, "login", "account"), placed, second, lifted, again)
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(1), audit(730005, "user_deleted", "team")))
	yes, err := e.Tombstoned(e.ctx, []string{userID(1).String()})
	e.ok("Tombstoned", err)
	e.same("a hard deletion is remembered", true, yes)
}

func holdRefused(_ *testing.T, e *env) {
	refused := audit(730010, "x", "team")
	e.is("of nobody", e.PlaceHold(e.ctx, hold(1, 9), refused), auth.ErrNotFound)
	e.create(account(1))
	e.erase(erasure(1))
	e.is("after the deletion has begun", e.PlaceHold(e.ctx, hold(1, 1), refused), auth.ErrConflict)
	e.create(account(2))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(2), auth.SoftDelete{At: t0, Audit: audit(730011, "user_deleted", "team")}))
	e.is("after a soft deletion", e.PlaceHold(e.ctx, hold(2, 2), refused), auth.ErrNotFound)
	list, err := e.HoldsOf(e.ctx, userID(1))
	e.ok("HoldsOf", err)
	e.same("none", []auth.LegalHold{}, list)
	e.wantAudit("refusals are nothing", account(1).Audit[0], account(2).Audit[0], erasure(1).Audit, audit(730011, "user_deleted", "team"))
}

func raceErasures(_ *testing.T, e *env) {
	e.create(account(1))
	e.sign(1, 1)
	begun := make([]bool, racers)
	for i, err := range together(racers, func(i int) (err error) {
		b := erasure(1, table("profiles", auth.EraseDelete))
		b.Erasure.ID, b.Audit.ID = fixedID(kindErasure, 100+i), fixedID(kindAudit, 740000+i)
		_, begun[i], err = e.BeginErasure(e.ctx, b)
		return err
	}) {
		if err != nil {
			e.tb.Errorf("%d: %v", i, err)
		}
	}
	n := 0
	for i, yes := range begun {
		if yes {
			n++
			first := erasure(1).Audit
			first.ID = fixedID(kindAudit, 740000+i)
			e.wantAudit("one entry", account(1).Audit[0], audit(100001, "login", "account"), first)
		}
	}
	e.same("begun", 1, n)
}

// raceHold: either the hold is there and the person too, or the deletion has begun and there
// is no hold.
func raceHold(_ *testing.T, e *env) {
	for n := 1; n <= racers; n++ {
		e.create(account(n))
		var placed, deleted error
		together(2, func(i int) error {
			if i == 0 {
				placed = e.PlaceHold(e.ctx, hold(n, n), audit(750000+n, "x", "team"))
				return placed
			}
			if n%2 == 0 {
				deleted = e.DeleteUser(e.ctx, userID(n), audit(760000+n, "x", "team"))
				return deleted
			}
			_, _, deleted = e.BeginErasure(e.ctx, erasure(n))
			return deleted
		})
		list, err := e.HoldsOf(e.ctx, userID(n))
		e.ok("HoldsOf", err)
		_, err = e.UserByID(e.ctx, userID(n))
		switch {
		case placed == nil && errors.Is(deleted, auth.ErrHeld) && len(list) == 1 && err == nil:
		case deleted == nil && (errors.Is(placed, auth.ErrConflict) || errors.Is(placed, auth.ErrNotFound)) && len(list) == 0 && errors.Is(err, auth.ErrNotFound):
		default:
			e.tb.Errorf("%d: placed %v, deleted %v, %d holds, account %v", n, placed, deleted, len(list), err)
		}
	}
}

func raceSteps(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.erase(erasure(1, table("profiles", auth.EraseDelete), table(auth.AuditTable, auth.EraseAnonymise), table("relations", auth.EraseEnd)))
	for i, err := range together(racers, func(i int) error {
		_, err := e.AdvanceErasure(e.ctx, attempt(1, i%3, auth.StepApply))
		return err
	}) {
		if err != nil {
			e.tb.Errorf("%d: %v", i, err)
		}
	}
	got, err := e.ErasureOf(e.ctx, userID(1))
	e.ok("ErasureOf", err)
	e.same("finished, whichever was last", true, !got.FinishedAt.IsZero())
}

func raceClaims(_ *testing.T, e *env) {
	for n := 1; n <= 5; n++ {
		e.create(account(n))
		e.erase(erasure(n, table("profiles", auth.EraseDelete)))
	}
	claimed := make([]int, racers)
	for i, err := range together(racers, func(i int) error {
		list, err := e.ClaimErasures(e.ctx, after(2*time.Hour), time.Minute, 2)
		claimed[i] = len(list)
		return err
	}) {
		if err != nil {
			e.tb.Errorf("%d: %v", i, err)
		}
	}
	total := 0
	for _, n := range claimed {
		total += n
	}
	e.same("each is claimed once", 5, total)
}
