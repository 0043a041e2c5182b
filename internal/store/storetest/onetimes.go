package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func oneTimeCases() []testCase {
	return []testCase{
		{"issuing writes everything", issueAll},
		{"each purpose notes its own time", issueTimes},
		{"a new token replaces that of its slot only", issueReplaces},
		{"too soon, and nothing is written", issueTooSoon},
		{"not for a session that has ended, nor for nobody", issueRequires},
		{"a waiting address that somebody has is refused", issueTaken},
		{"with a new account, or not at all", createWithProof},
		{"a new password or address takes all tokens away", updateTakesTokens},
		{"a deleted account has no tokens", deleteTakesTokens},
		{"messages of a change, or not at all", updateMessages},
	}
}

// token is the n-th one-time token; it lives for an hour.
func token(n, owner int, p auth.Purpose, address string) auth.OneTime {
	return auth.OneTime{
		ID: fixedID(kindToken, n), UserID: userID(owner), Purpose: p, Address: address,
		TokenHash: fmt.Sprintf("link-%d", n), CodeHash: fmt.Sprintf("code-%d", n), CreatedAt: t0, ExpiresAt: after(time.Hour),
	}
}

func message(n int) auth.Message {
	return auth.Message{
		ID: fixedID(kindMessage, n), Channel: "email", Kind: "confirmation", Sealed: []byte{0, 0xff, '\'', byte(n)},
		CreatedAt: after(time.Duration(n) * time.Second), NotBefore: after(time.Duration(n) * time.Second),
	}
}

func flowState(n int) auth.FlowState {
	return auth.FlowState{
		ID: fixedID(kindFlow, n), Challenge: fmt.Sprintf("challenge-%d", n), ChallengeMethod: "s256", Method: auth.MethodOTP,
		CreatedAt: t0,
	}
}

// issue issues tokens for one account, a minute after t0.
func (e *env) issue(owner int, tokens ...auth.OneTime) {
	e.tb.Helper()
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(owner), At: t0, Tokens: tokens}))
}

// byLink presents the link of token n, by whatever purpose it has, two minutes after t0. The
// session that it starts has the number of the token.
func byLink(n int, purposes ...auth.Purpose) auth.Redeem {
	s := session(n, 0)
	s.UserID, s.CreatedAt, s.UpdatedAt = auth.ID{}, after(2*time.Minute), after(2*time.Minute)
	entry := audit(200000+n, "login", "account")
	entry.At, entry.ActorID, entry.ActorUsername = after(2*time.Minute), auth.ID{}, ""
	return auth.Redeem{
		At: after(2 * time.Minute), Purposes: purposes, TokenHash: fmt.Sprintf("link-%d", n), MaxAttempts: 6,
		Session: &s, Audit: entry,
	}
}

// byCode presents the code of token n together with the address.
func byCode(n int, address string, purposes ...auth.Purpose) auth.Redeem {
	r := byLink(n, purposes...)
	r.TokenHash, r.Address, r.CodeHashes = "", address, []string{"another key's", fmt.Sprintf("code-%d", n)}
	return r
}

// redeem redeems and checks the outcome.
func (e *env) redeem(what string, r auth.Redeem, want auth.RedeemOutcome) auth.RedeemResult {
	e.tb.Helper()
	res, err := e.RedeemOneTime(e.ctx, r)
	e.ok(what, err)
	if res.Outcome != want {
		e.tb.Fatalf("%s: outcome %d, want %d", what, res.Outcome, want)
	}
	if want == auth.RedeemRefused {
		e.same(what+": a refusal says nothing", auth.RedeemResult{}, res)
	}
	return res
}

func (e *env) queued() []auth.Message {
	e.tb.Helper()
	messages, err := e.ClaimMessages(e.ctx, after(24*time.Hour), time.Nanosecond, 1000)
	e.ok("ClaimMessages", err)
	return messages
}

func (e *env) wantQueued(what string, want ...auth.Message) {
	e.tb.Helper()
	got := e.queued()
	for i := range got {
		got[i].Attempts, got[i].NotBefore = 0, time.Time{}
	}
	for i := range want {
		want[i].NotBefore = time.Time{}
	}
	e.same(what+": messages", want, got)
}

func issueAll(_ *testing.T, e *env) {
	want := e.create(account(1))
	at := after(time.Minute)
	entry := audit(5, "user_recovery_requested", "user")
	entry.At = at
	f := flowState(1)
	tok := token(1, 1, auth.PurposeRecovery, emailOf(1))
	tok.FlowState = f.ID
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
		UserID: userID(1), At: at, Tokens: []auth.OneTime{tok}, FlowState: &f, Messages: []auth.Message{message(1), message(2)},
		EmailChange: ptr("next@example.com"), PhoneChange: ptr("49170"), Invited: true, Audit: []auth.AuditEntry{entry},
	}))
	want.RecoverySentAt, want.InvitedAt, want.UpdatedAt = at, at, at
	want.EmailChange, want.PhoneChange = "next@example.com", "49170"
	e.same("account", want, e.user(1))
	e.wantQueued("IssueOneTime", message(1), message(2))
	e.wantAudit("IssueOneTime", account(1).Audit[0], entry)

	r := byLink(1, auth.PurposeRecovery)
	r.AuthCodeHash = "auth-code"
	res := e.redeem("by link", r, auth.RedeemDone)
	f.UserID, f.CodeHash, f.CodeIssuedAt = userID(1), "auth-code", r.At
	e.same("flow", f, res.FlowState)

	e.ok("clearing", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: at, EmailChange: ptr(""), PhoneChange: ptr("")}))
	u := e.user(1)
	e.same("nothing waits", [2]string{}, [2]string{u.EmailChange, u.PhoneChange})
}

func issueTimes(_ *testing.T, e *env) {
	want := e.create(account(1))
	for i, c := range []struct {
		purpose auth.Purpose
		sent    *time.Time
	}{
		{auth.PurposeSignup, &want.ConfirmationSentAt},
		{auth.PurposeInvite, &want.ConfirmationSentAt},
		{auth.PurposeSMS, &want.ConfirmationSentAt},
		{auth.PurposeMagicLink, &want.RecoverySentAt},
		{auth.PurposeRecovery, &want.RecoverySentAt},
		{auth.PurposeEmailCurrent, &want.EmailChangeSentAt},
		{auth.PurposeEmailNew, &want.EmailChangeSentAt},
		{auth.PurposePhoneChange, &want.PhoneChangeSentAt},
		{auth.PurposeReauthenticate, &want.ReauthenticationSentAt},
	} {
		at := after(time.Duration(i+1) * time.Minute)
		e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
			UserID: userID(1), At: at, NotSince: *c.sent, Tokens: []auth.OneTime{token(i+1, 1, c.purpose, "x")},
		}))
		*c.sent, want.UpdatedAt = at, at
		e.same(string(c.purpose), want, e.user(1))
		e.is(string(c.purpose)+" again", e.IssueOneTime(e.ctx, auth.IssueOneTime{
			UserID: userID(1), At: at, NotSince: at.Add(-time.Microsecond), Tokens: []auth.OneTime{token(100+i, 1, c.purpose, "x")},
		}), auth.ErrTooSoon)
	}
}

func issueReplaces(_ *testing.T, e *env) {
	e.create(account(1))
	e.issue(1, token(1, 1, auth.PurposeMagicLink, emailOf(1)), token(2, 1, auth.PurposeSignup, emailOf(1)))
	for range 5 { // the tries of the old token are not those of the new one
		e.redeem("wrong", byCode(99, emailOf(1), auth.PurposeMagicLink), auth.RedeemRefused)
	}
	e.issue(1, token(3, 1, auth.PurposeRecovery, emailOf(1))) // the same slot, another purpose
	both := []auth.Purpose{auth.PurposeMagicLink, auth.PurposeRecovery, auth.PurposeSignup}
	e.redeem("the old link", byLink(1, both...), auth.RedeemRefused)
	e.redeem("the old code", byCode(1, emailOf(1), both...), auth.RedeemRefused)
	e.redeem("the new code", byCode(3, emailOf(1), auth.PurposeRecovery), auth.RedeemDone)
	e.redeem("success takes the other slots away", byLink(2, both...), auth.RedeemRefused)

	e.issue(1, token(4, 1, auth.PurposeMagicLink, emailOf(1)))
	e.issue(1, token(5, 1, auth.PurposeSignup, emailOf(1)))
	e.redeem("another slot stays", byLink(4, both...), auth.RedeemDone)

	bare := token(6, 1, auth.PurposeSignup, emailOf(1))
	bare.TokenHash = ""
	e.issue(1, bare)
	r := byLink(6, both...)
	for _, hash := range []string{"code-6", bare.ID.String(), "no link " + bare.ID.String()[:4]} {
		r.TokenHash = hash
		e.redeem("a token without a link has none", r, auth.RedeemRefused)
	}
	r.TokenHash = ""
	e.redeem("neither link nor address", r, auth.RedeemRefused)
	bare = token(7, 1, auth.PurposeSignup, emailOf(1))
	bare.CodeHash = ""
	e.issue(1, bare)
	r = byCode(7, emailOf(1), both...)
	r.CodeHashes = []string{""}
	e.redeem("a token without a code has none", r, auth.RedeemRefused)
	e.redeem("but its link", byLink(7, both...), auth.RedeemDone)
}

func issueTooSoon(_ *testing.T, e *env) {
	e.create(account(1))
	issue := func(n int, at, notSince time.Time, p auth.Purpose) error {
		return e.IssueOneTime(e.ctx, auth.IssueOneTime{
			UserID: userID(1), At: at, NotSince: notSince, Tokens: []auth.OneTime{token(n, 1, p, emailOf(1))},
			Messages: []auth.Message{message(n)}, Audit: []auth.AuditEntry{audit(n+50, "x", "user")}, FlowState: ptr(flowState(n)),
			EmailChange: ptr(fmt.Sprintf("next%d@example.com", n)),
		})
	}
	e.ok("first", issue(1, t0, after(-time.Minute), auth.PurposeMagicLink))
	want := e.user(1)
	e.is("second", issue(2, after(59*time.Second), after(-time.Second), auth.PurposeRecovery), auth.ErrTooSoon)
	e.same("nothing has changed", want, e.user(1))
	e.wantAudit("one entry", account(1).Audit[0], audit(51, "x", "user"))
	e.redeem("no second token", byLink(2, auth.PurposeRecovery), auth.RedeemRefused)
	e.ok("another slot", issue(3, after(59*time.Second), after(-time.Second), auth.PurposeSignup))
	e.ok("exactly then", issue(4, after(time.Minute), t0, auth.PurposeRecovery))
	e.ok("no limit", issue(5, after(time.Minute), time.Time{}, auth.PurposeRecovery))
	e.wantQueued("too soon", message(1), message(3), message(4), message(5))
}

func issueRequires(_ *testing.T, e *env) {
	for n := 1; n <= 3; n++ {
		e.create(account(n))
	}
	e.sign(1, 1)
	e.sign(2, 2)
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(3), auth.SoftDelete{At: t0, Audit: audit(90, "user_deleted", "team")}))
	want := e.user(1)
	for _, c := range []struct {
		name           string
		owner, session int
		err            error
	}{
		{"its own session", 1, 1, nil},
		{"somebody else's session", 1, 2, auth.ErrNotFound},
		{"no such session", 1, 3, auth.ErrNotFound},
		{"no such account", 9, 0, auth.ErrNotFound},
		{"deleted account", 3, 0, auth.ErrNotFound},
	} {
		i := auth.IssueOneTime{
			UserID: userID(c.owner), At: t0, Tokens: []auth.OneTime{token(c.session+10*c.owner, c.owner, auth.PurposeEmailNew, "x")},
			EmailChange: ptr("x"), Messages: []auth.Message{message(c.session + 10*c.owner)},
		}
		if c.session != 0 {
			i.RequireSession = sessionID(c.session)
		}
		if err := e.IssueOneTime(e.ctx, i); !errors.Is(err, c.err) {
			e.tb.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
	want.EmailChange, want.EmailChangeSentAt, want.UpdatedAt = "x", t0, t0
	e.same("only the first counts", want, e.user(1))
	e.wantQueued("only the first counts", message(11))
}

func issueTaken(_ *testing.T, e *env) {
	a := account(1)
	a.User.Phone = "49171"
	want := e.create(a)
	b := account(2)
	b.User.Phone = "49172"
	e.create(b)
	e.is("e-mail", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, EmailChange: ptr(emailOf(2)), PhoneChange: ptr("1")}), auth.ErrEmailTaken)
	e.ok("allowed to wait", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, EmailChange: ptr(emailOf(2)), AllowTaken: true}))
	e.same("waits", emailOf(2), e.user(1).EmailChange)
	e.ok("not any more", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, EmailChange: ptr("")}))
	e.is("phone", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, EmailChange: ptr("x"), PhoneChange: ptr("49172")}), auth.ErrPhoneTaken)
	e.same("unchanged", want, e.user(1))
	e.ok("its own", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, EmailChange: ptr(emailOf(1)), PhoneChange: ptr("49171")}))
	e.ok("waiting at somebody else's", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(2), At: t0, EmailChange: ptr("x"), PhoneChange: ptr("1")}))
	e.ok("takes nothing", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, EmailChange: ptr("x"), PhoneChange: ptr("1")}))
}

func createWithProof(_ *testing.T, e *env) {
	f := flowState(1)
	a := unproved(1)
	tok := token(1, 1, auth.PurposeSignup, emailOf(1))
	tok.FlowState = f.ID
	a.Tokens, a.FlowState, a.Messages = []auth.OneTime{tok}, &f, []auth.Message{message(1)}
	want := e.create(a)
	e.same("account", want, e.user(1))

	second := unproved(2)
	second.User.Email = emailOf(1)
	second.Tokens, second.FlowState = []auth.OneTime{token(2, 2, auth.PurposeSignup, emailOf(1))}, ptr(flowState(2))
	second.Messages = []auth.Message{message(2)}
	e.is("a taken address", e.CreateAccount(e.ctx, second), auth.ErrEmailTaken)
	e.wantQueued("one sign-up", message(1))
	e.redeem("no token of the second", byLink(2, auth.PurposeSignup), auth.RedeemRefused)
	r := byLink(1, auth.PurposeSignup)
	r.AuthCodeHash = "auth-code"
	e.redeem("the token of the first", r, auth.RedeemDone)
	got, _, err := e.TakeFlowState(e.ctx, "auth-code")
	e.ok("TakeFlowState", err)
	f.UserID, f.CodeHash, f.CodeIssuedAt = userID(1), "auth-code", r.At
	e.same("flow", f, got)
}

func updateTakesTokens(_ *testing.T, e *env) {
	e.create(account(1))
	for i, c := range []struct {
		name  string
		patch auth.UserPatch
		want  auth.RedeemOutcome
	}{
		{"password", auth.UserPatch{PasswordHash: ptr("$new$")}, auth.RedeemRefused},
		{"phone", auth.UserPatch{Phone: ptr("49170")}, auth.RedeemRefused},
		{"e-mail, and back", auth.UserPatch{Email: ptr(emailOf(1))}, auth.RedeemRefused},
		{"metadata", auth.UserPatch{UserMetadata: auth.MetadataPatch{Set: map[string]json.RawMessage{"a": json.RawMessage(`1`)}}}, auth.RedeemDone},
	} {
		e.issue(1, token(i+1, 1, auth.PurposeRecovery, emailOf(1)))
		c.patch.At = t0
		e.update(1, c.patch)
		e.redeem(c.name, byLink(i+1, auth.PurposeRecovery), c.want)
	}
}

func deleteTakesTokens(_ *testing.T, e *env) {
	for n := 1; n <= 2; n++ {
		e.create(account(n))
		e.issue(n, token(n, n, auth.PurposeMagicLink, emailOf(n)), token(10+n, n, auth.PurposeReauthenticate, emailOf(n)))
	}
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(1), audit(60, "user_deleted", "team")))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(2), auth.SoftDelete{At: t0, Audit: audit(61, "user_deleted", "team")}))
	for n := 1; n <= 2; n++ {
		e.redeem("link", byLink(n, auth.PurposeMagicLink), auth.RedeemRefused)
		e.redeem("code", byCode(n, emailOf(n), auth.PurposeMagicLink), auth.RedeemRefused)
		ok, err := e.CheckNonce(e.ctx, userID(n), []string{fmt.Sprintf("code-%d", 10+n)}, t0, 6)
		e.ok("CheckNonce", err)
		e.same("nonce", false, ok)
	}
	n, err := e.DeleteExpiredOneTimes(e.ctx, after(24*time.Hour), 10)
	e.ok("DeleteExpiredOneTimes", err)
	e.same("nothing is left to clean", int64(0), n)
}

func updateMessages(_ *testing.T, e *env) {
	e.create(account(1))
	e.sign(1, 1)
	e.update(1, auth.UserPatch{At: t0, PasswordHash: ptr("x"), RequireSession: sessionID(1), Messages: []auth.Message{message(1)}})
	_, err := e.UpdateUser(e.ctx, userID(1), auth.UserPatch{At: t0, PasswordHash: ptr("y"), RequireSession: sessionID(2), Messages: []auth.Message{message(2)}})
	e.is("refused", err, auth.ErrNotFound)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err = e.UpdateUser(ctx, userID(1), auth.UserPatch{At: t0, PasswordHash: ptr("y"), Messages: []auth.Message{message(3)}})
	e.is("cancelled", err, context.Canceled)
	e.is("cancelled", e.Enqueue(ctx, []auth.Message{message(4)}), context.Canceled)
	e.wantQueued("one change", message(1))
}
