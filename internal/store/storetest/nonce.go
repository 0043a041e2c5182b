package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func nonceCases() []testCase {
	return []testCase{
		{"right once", nonceOnce},
		{"the sixth wrong one burns it", nonceBurns},
	}
}

func (e *env) nonce(what string, owner int, at time.Time, want bool, hashes ...string) {
	e.tb.Helper()
	ok, err := e.CheckNonce(e.ctx, userID(owner), hashes, at, 6)
	e.ok(what, err)
	e.same(what, want, ok)
}

func nonceOnce(_ *testing.T, e *env) {
	for n := 1; n <= 2; n++ {
		e.create(account(n))
		e.issue(n, token(n, n, auth.PurposeReauthenticate, emailOf(n)), token(10+n, n, auth.PurposeRecovery, emailOf(n)))
	}
	e.nonce("of another account", 1, t0, false, "code-2")
	e.nonce("of another purpose", 1, t0, false, "code-11")
	e.nonce("expired", 1, after(time.Hour), false, "code-1")
	e.nonce("nothing", 1, t0, false)
	e.nonce("no such account", 9, t0, false, "code-1")
	e.nonce("right, by the older of two keys", 1, after(time.Hour-time.Microsecond), true, "other", "code-1")
	e.nonce("again", 1, t0, false, "code-1")
	e.redeem("other tokens stay", byLink(11, auth.PurposeRecovery), auth.RedeemDone)
	e.nonce("somebody else's", 2, t0, true, "code-2")

	bare := token(3, 1, auth.PurposeReauthenticate, emailOf(1))
	bare.CodeHash = ""
	e.issue(1, bare)
	e.nonce("empty", 1, t0, false, "")
}

func nonceBurns(_ *testing.T, e *env) {
	e.create(account(1))
	for n, wrong := range []int{5, 6} {
		e.issue(1, token(n, 1, auth.PurposeReauthenticate, emailOf(1)))
		for range wrong {
			e.nonce("expired ones do not count", 1, after(time.Hour), false, "wrong")
			e.nonce("wrong", 1, t0, false, "wrong")
		}
		e.nonce(fmt.Sprintf("right after %d wrong ones", wrong), 1, t0, wrong < 6, fmt.Sprintf("code-%d", n))
	}
}

func flowStateCases() []testCase {
	return []testCase{
		{"its code is good once", flowTake},
		{"the cleaner removes what has expired, and nothing else", cleanOneTimes},
		{"the cleaner removes no more than asked", cleanOneTimesLimit},
	}
}

func flowTake(_ *testing.T, e *env) {
	e.create(account(1))
	f := flowState(1)
	f.ChallengeMethod, f.Challenge = "plain", "x'y"
	tok := token(1, 1, auth.PurposeMagicLink, emailOf(1))
	tok.FlowState = f.ID
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, Tokens: []auth.OneTime{tok}, FlowState: &f}))
	none := func(what, hash string) {
		e.tb.Helper()
		_, _, err := e.TakeFlowState(e.ctx, hash)
		e.is(what, err, auth.ErrNotFound)
	}
	none("before it has a code", "")
	none("by its challenge", "x'y")
	r := byLink(1, auth.PurposeMagicLink)
	r.AuthCodeHash = "auth-code"
	e.redeem("link", r, auth.RedeemDone)
	none("another", "auth-cod")
	none("nothing", "")
	got, _, err := e.TakeFlowState(e.ctx, "auth-code")
	e.ok("TakeFlowState", err)
	f.UserID, f.CodeHash, f.CodeIssuedAt = userID(1), "auth-code", r.At
	e.same("flow", f, got)
	none("again", "auth-code")
}

func cleanOneTimes(_ *testing.T, e *env) {
	e.create(account(1))
	old, long, young := flowState(1), flowState(2), flowState(3)
	young.CreatedAt = after(30 * time.Minute)
	link, lasting := token(1, 1, auth.PurposeMagicLink, emailOf(1)), token(2, 1, auth.PurposeSignup, emailOf(1))
	link.FlowState, lasting.FlowState, lasting.ExpiresAt = old.ID, long.ID, after(24*time.Hour)
	for _, i := range []auth.IssueOneTime{
		{Tokens: []auth.OneTime{link}, FlowState: &old}, {Tokens: []auth.OneTime{lasting}, FlowState: &long}, {FlowState: &young},
	} {
		i.UserID, i.At = userID(1), t0
		e.ok("IssueOneTime", e.IssueOneTime(e.ctx, i))
	}
	clean := func(what string, before time.Time, want int64) {
		e.tb.Helper()
		n, err := e.DeleteExpiredOneTimes(e.ctx, before, 100)
		e.ok(what, err)
		e.same(what, want, n)
	}
	clean("nothing is old", t0, 0)
	clean("flows of live links stay", after(30*time.Minute), 0)
	clean("not before it has expired", after(time.Hour), 1) // young
	clean("the link and its flow", after(time.Hour+time.Microsecond), 2)
	r := byLink(2, auth.PurposeSignup)
	r.At, r.AuthCodeHash = after(23*time.Hour), "auth-code"
	e.redeem("the link that lasts", r, auth.RedeemDone)
	clean("a code that was just given stays", after(23*time.Hour), 0)
	_, _, err := e.TakeFlowState(e.ctx, "auth-code")
	e.ok("TakeFlowState", err)
	clean("nothing is left", after(48*time.Hour), 0)
}

func cleanOneTimesLimit(_ *testing.T, e *env) {
	const accounts = 7
	for n := 1; n <= accounts; n++ {
		e.create(account(n))
		e.issue(n, token(n, n, auth.PurposeMagicLink, emailOf(n)))
	}
	for _, want := range []int64{3, 3, 1, 0} {
		n, err := e.DeleteExpiredOneTimes(e.ctx, after(2*time.Hour), 3)
		e.ok("DeleteExpiredOneTimes", err)
		e.same("removed", want, n)
	}
	n, err := e.DeleteExpiredOneTimes(e.ctx, after(2*time.Hour), 0)
	e.ok("DeleteExpiredOneTimes", err)
	e.same("nothing asked for", int64(0), n)
}
