package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func redeemCases() []testCase {
	return []testCase{
		{"the proof of a sign-up", redeemSignup},
		{"the sign-in of a proved account", redeemProved},
		{"a token of one purpose never works for another", redeemPurposes},
		{"expired, foreign, unknown", redeemRefused},
		{"the sixth wrong code burns it (A3.6)", redeemBurns},
		{"wrong codes count where they were meant", redeemCounts},
		{"banned: nothing changes", redeemBanned},
		{"two accounts that wait for one address", redeemTwins},
		{"PKCE: a code, or a session", redeemPKCE},
		{"the first proof by text message", redeemSMS},
	}
}

// unproved is the n-th sign-up that waits for the proof of its address.
func unproved(n int) auth.NewAccount {
	a := account(n)
	u := &a.User
	u.EmailConfirmedAt, u.LastSignInAt, u.ConfirmationSentAt = time.Time{}, time.Time{}, t0
	u.UserMetadata = json.RawMessage(fmt.Sprintf(`{"sub":%q,"email":%q,"email_verified":false,"phone_verified":false,"full_name":"Mallory"}`,
		u.ID, u.Email))
	u.Identities[0].Data = json.RawMessage(fmt.Sprintf(`{"sub":%q,"email":%q,"email_verified":false,"phone_verified":false}`, u.ID, u.Email))
	return a
}

// verified is what the metadata of a proved address says, besides more.
func verified(u auth.User, provider, address, more string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"sub":%q,%q:%q,%q:true%s}`, u.ID, provider, address, provider+"_verified", more))
}

// wantSession checks the session that a redemption started.
func (e *env) wantSession(what string, res auth.RedeemResult, n, owner int) {
	e.tb.Helper()
	want := session(n, owner)
	want.CreatedAt, want.UpdatedAt = after(2*time.Minute), after(2*time.Minute)
	e.same(what+": session", want, res.Session)
	e.wantAlive(what, owner, map[int]bool{n: true})
	e.same(what+": account as it is", e.user(owner), res.User)
	r := rotation(n, 0, after(time.Hour))
	got, err := e.RotateRefresh(e.ctx, r)
	e.ok(what, err)
	e.same(what+": the session can be refreshed", auth.Rotated, got.Outcome)
	e.same(what+": methods", want.AMR, got.Session.AMR)
}

func redeemSignup(_ *testing.T, e *env) {
	want := e.create(unproved(1))
	e.issue(1, token(1, 1, auth.PurposeSignup, emailOf(1)))
	r := byCode(1, emailOf(1), auth.PurposeSignup, auth.PurposeMagicLink)
	res := e.redeem("the code", r, auth.RedeemDone)
	want.EmailConfirmedAt, want.LastSignInAt, want.UpdatedAt = r.At, r.At, r.At
	want.UserMetadata = verified(want, "email", emailOf(1), `,"phone_verified":false,"full_name":"Mallory"`)
	want.Identities[0].Data = verified(want, "email", emailOf(1), `,"phone_verified":false`)
	want.Identities[0].LastSignInAt, want.Identities[0].UpdatedAt = r.At, r.At
	e.same("account", want, res.User)
	e.same("purpose", auth.PurposeSignup, res.Purpose)
	entry := r.Audit
	entry.ActorID, entry.ActorUsername = userID(1), emailOf(1)
	e.wantAudit("one sign-in", account(1).Audit[0], entry)
	e.wantSession("sign-up", res, 1, 1)

	e.redeem("the code again", byCode(1, emailOf(1), auth.PurposeSignup), auth.RedeemRefused)
	e.redeem("its link", byLink(1, auth.PurposeSignup), auth.RedeemRefused)
}

func redeemProved(_ *testing.T, e *env) {
	a := account(1)
	a.User.UserMetadata = json.RawMessage(`{"full_name":"Ada"}`)
	want := e.create(a)
	e.sign(50, 1)
	e.issue(1, token(1, 1, auth.PurposeMagicLink, emailOf(1)))
	r := byLink(1, auth.PurposeMagicLink)
	res := e.redeem("the link", r, auth.RedeemDone)
	want.RecoverySentAt, want.LastSignInAt, want.UpdatedAt = t0, r.At, r.At
	want.Identities[0].LastSignInAt = r.At
	e.same("nothing else changes", want, res.User)
	e.wantAlive("other sessions", 1, map[int]bool{50: true, 1: true})
	e.wantSession("sign-in", res, 1, 1)

	e.issue(1, token(2, 1, auth.PurposeRecovery, emailOf(1)))
	r = byLink(2, auth.PurposeRecovery)
	r.Session = nil
	before := e.user(1)
	res = e.redeem("without a session", r, auth.RedeemDone)
	e.same("no session", auth.Session{}, res.Session)
	e.same("no sign-in", before.LastSignInAt, res.User.LastSignInAt)
}

func redeemPurposes(_ *testing.T, e *env) {
	all := []auth.Purpose{
		auth.PurposeSignup, auth.PurposeInvite, auth.PurposeMagicLink, auth.PurposeRecovery, auth.PurposeEmailCurrent,
		auth.PurposeEmailNew, auth.PurposeSMS, auth.PurposePhoneChange, auth.PurposeReauthenticate,
	}
	for i, p := range all {
		n := i + 1
		a := account(n)
		a.User.Phone, a.User.PhoneConfirmedAt = fmt.Sprintf("4917%d", n), t0
		a.User.EmailChange, a.User.PhoneChange = fmt.Sprintf("next%d@example.com", n), fmt.Sprintf("4918%d", n)
		u := e.create(a)
		address := u.Email
		switch p {
		case auth.PurposeEmailNew:
			address = u.EmailChange
		case auth.PurposeSMS:
			address = u.Phone
		case auth.PurposePhoneChange:
			address = u.PhoneChange
		}
		e.issue(n, token(n, n, p, address))
		for _, other := range all {
			if other == p && p != auth.PurposeReauthenticate {
				continue
			}
			// A nonce is no way in, not even when it is asked for as one.
			e.redeem(fmt.Sprintf("link of %s as %s", p, other), byLink(n, other), auth.RedeemRefused)
			e.redeem(fmt.Sprintf("code of %s as %s", p, other), byCode(n, address, other), auth.RedeemRefused)
		}
		if p != auth.PurposeReauthenticate {
			e.redeem(string(p), byCode(n, address, p), auth.RedeemDone)
		}
	}
	e.redeem("no purpose", byLink(1), auth.RedeemRefused)
}

func redeemRefused(_ *testing.T, e *env) {
	want := e.create(account(1))
	e.create(account(2))
	e.issue(1, token(1, 1, auth.PurposeMagicLink, emailOf(1)))
	e.issue(2, token(2, 2, auth.PurposeMagicLink, emailOf(2)))
	link := byLink(1, auth.PurposeMagicLink)
	for name, change := range map[string]func(r *auth.Redeem){
		"expired":          func(r *auth.Redeem) { r.At = after(time.Hour) },
		"unknown":          func(r *auth.Redeem) { r.TokenHash = "link-9" },
		"truncated":        func(r *auth.Redeem) { r.TokenHash = "link-" },
		"a pattern":        func(r *auth.Redeem) { r.TokenHash = "link-%" },
		"the code as link": func(r *auth.Redeem) { r.TokenHash = "code-1" },
		"someone's code":   func(r *auth.Redeem) { *r = byCode(2, emailOf(1), auth.PurposeMagicLink) },
		"expired code":     func(r *auth.Redeem) { *r = byCode(1, emailOf(1), auth.PurposeMagicLink); r.At = after(time.Hour) },
		"no code":          func(r *auth.Redeem) { *r = byCode(1, emailOf(1), auth.PurposeMagicLink); r.CodeHashes = nil },
		"link as code": func(r *auth.Redeem) {
			*r = byCode(1, emailOf(1), auth.PurposeMagicLink)
			r.CodeHashes = []string{"link-1"}
		},
	} {
		r := link
		change(&r)
		e.redeem(name, r, auth.RedeemRefused)
	}
	want.RecoverySentAt = t0
	e.same("nothing has changed", want, e.user(1))
	e.wantAlive("nothing has changed", 1, map[int]bool{1: false, 2: false})
	e.wantAudit("nothing has changed", account(1).Audit[0], account(2).Audit[0])
	r := link
	r.At = after(time.Hour - time.Microsecond)
	e.redeem("the last moment", r, auth.RedeemDone)
}

func redeemBurns(_ *testing.T, e *env) {
	e.create(account(1))
	for round, wrong := range []int{5, 6} {
		n := round + 1
		e.issue(1, token(n, 1, auth.PurposeMagicLink, emailOf(1)))
		for range wrong {
			e.redeem("wrong", byCode(99, emailOf(1), auth.PurposeMagicLink), auth.RedeemRefused)
		}
		want := auth.RedeemDone
		if wrong == 6 {
			want = auth.RedeemRefused
		}
		e.redeem(fmt.Sprintf("right after %d wrong ones", wrong), byCode(n, emailOf(1), auth.PurposeMagicLink), want)
		e.redeem("nor its link", byLink(n, auth.PurposeMagicLink), auth.RedeemRefused)
	}
}

func redeemCounts(_ *testing.T, e *env) {
	for n := 1; n <= 2; n++ {
		e.create(account(n))
		e.issue(n, token(n, n, auth.PurposeMagicLink, emailOf(n)), token(10+n, n, auth.PurposeInvite, emailOf(n)))
	}
	for range 6 {
		e.redeem("somebody else's", byCode(99, emailOf(2), auth.PurposeMagicLink), auth.RedeemRefused)
		e.redeem("another purpose", byCode(99, emailOf(1), auth.PurposeInvite), auth.RedeemRefused)
		e.redeem("nobody's", byCode(99, "nobody@example.com", auth.PurposeMagicLink), auth.RedeemRefused)
		e.redeem("by link", byLink(99, auth.PurposeMagicLink), auth.RedeemRefused)
		late := byCode(99, emailOf(1), auth.PurposeMagicLink)
		late.At = after(time.Hour)
		e.redeem("expired", late, auth.RedeemRefused)
	}
	e.redeem("two are meant by one code", byCode(12, emailOf(2), auth.PurposeMagicLink, auth.PurposeInvite), auth.RedeemDone)
	e.redeem("the burnt one", byLink(2, auth.PurposeMagicLink), auth.RedeemRefused)
	e.redeem("untouched", byCode(1, emailOf(1), auth.PurposeMagicLink), auth.RedeemDone)
}

func redeemBanned(_ *testing.T, e *env) {
	e.create(unproved(1))
	e.issue(1, token(1, 1, auth.PurposeMagicLink, emailOf(1)))
	want := e.update(1, auth.UserPatch{At: t0, BannedUntil: ptr(after(10 * time.Minute))})
	for range 7 { // a right code is no wrong try
		res := e.redeem("banned", byCode(1, emailOf(1), auth.PurposeMagicLink), auth.RedeemBanned)
		e.same("no session", auth.Session{}, res.Session)
	}
	e.same("nothing has changed", want, e.user(1))
	e.wantAlive("banned", 1, map[int]bool{1: false})
	r := byCode(1, emailOf(1), auth.PurposeMagicLink)
	r.At = after(10 * time.Minute)
	e.redeem("when the ban is over", r, auth.RedeemDone)
}

func redeemTwins(_ *testing.T, e *env) {
	for n := 1; n <= 2; n++ {
		e.create(account(n))
		e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
			UserID: userID(n), At: t0, EmailChange: ptr("wanted@example.com"),
			Tokens: []auth.OneTime{token(n, n, auth.PurposeEmailNew, "wanted@example.com")},
		}))
	}
	for range 5 {
		e.redeem("wrong for both", byCode(99, "wanted@example.com", auth.PurposeEmailNew), auth.RedeemRefused)
	}
	res := e.redeem("one gets it", byCode(1, "wanted@example.com", auth.PurposeEmailNew), auth.RedeemDone)
	e.same("the account of the code", userID(1), res.User.ID)
	_, err := e.RedeemOneTime(e.ctx, byCode(2, "wanted@example.com", auth.PurposeEmailNew))
	e.is("the other comes too late", err, auth.ErrEmailTaken)
	e.same("and keeps its address", emailOf(2), e.user(2).Email)
	e.redeem("the sixth", byCode(99, "wanted@example.com", auth.PurposeEmailNew), auth.RedeemRefused)
	e.redeem("burnt", byLink(2, auth.PurposeEmailNew), auth.RedeemRefused)
}

func redeemPKCE(_ *testing.T, e *env) {
	e.create(account(1))
	issue := func(n int) {
		f, tok := flowState(n), token(n, 1, auth.PurposeMagicLink, emailOf(1))
		tok.FlowState = f.ID
		e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, Tokens: []auth.OneTime{tok}, FlowState: &f}))
	}
	issue(1)
	before := e.user(1)
	r := byLink(1, auth.PurposeMagicLink)
	r.AuthCodeHash = "auth-code-1"
	res := e.redeem("a link", r, auth.RedeemDone)
	want := flowState(1)
	want.UserID, want.CodeHash, want.CodeIssuedAt = userID(1), "auth-code-1", r.At
	e.same("flow", want, res.FlowState)
	e.same("no session", auth.Session{}, res.Session)
	e.wantAlive("no session", 1, map[int]bool{1: false})
	e.same("no sign-in yet", before.LastSignInAt, e.user(1).LastSignInAt)

	issue(2)
	res = e.redeem("a typed code", byCode(2, emailOf(1), auth.PurposeMagicLink), auth.RedeemDone)
	e.same("no flow", auth.FlowState{}, res.FlowState)
	e.wantSession("a typed code", res, 2, 1)

	issue(3)
	_, err := e.DeleteExpiredOneTimes(e.ctx, after(-time.Second), 10)
	e.ok("DeleteExpiredOneTimes", err)
	tok := token(4, 1, auth.PurposeMagicLink, emailOf(1))
	tok.FlowState = fixedID(kindFlow, 404)
	e.issue(1, tok)
	r = byLink(4, auth.PurposeMagicLink)
	r.AuthCodeHash = "auth-code-4"
	e.redeem("a link whose flow has gone is no session", r, auth.RedeemRefused)
	e.wantAlive("no session", 1, map[int]bool{4: false})
	r = byLink(1, auth.PurposeMagicLink)
	r.AuthCodeHash = "auth-code-again"
	e.redeem("the first link again", r, auth.RedeemRefused)
	got, _, err := e.TakeFlowState(e.ctx, "auth-code-1")
	e.ok("TakeFlowState", err)
	e.same("the first code stays", want, got)
}

func redeemSMS(_ *testing.T, e *env) {
	a := unproved(1)
	u := &a.User
	u.Email, u.Phone = "", "49170"
	u.UserMetadata = json.RawMessage(`{"full_name":"Ada"}`)
	u.Identities[0].Provider, u.Identities[0].Email = auth.ProviderPhone, ""
	u.Identities[0].Data = json.RawMessage(`{"phone":"49170"}`)
	u.AppMetadata = json.RawMessage(`{"provider":"phone","providers":["phone"]}`)
	want := e.create(a)
	e.issue(1, token(1, 1, auth.PurposeSMS, "49170"))
	r := byCode(1, "49170", auth.PurposeSMS)
	res := e.redeem("the first message of a sign-up", r, auth.RedeemDone)
	want.PhoneConfirmedAt, want.LastSignInAt, want.UpdatedAt = r.At, r.At, r.At
	want.UserMetadata = verified(want, "phone", "49170", `,"full_name":"Ada"`)
	want.Identities[0].Data = verified(want, "phone", "49170", "")
	want.Identities[0].LastSignInAt, want.Identities[0].UpdatedAt = r.At, r.At
	e.same("keeps its password", want, res.User)
	e.wantSession("sms", res, 1, 1)
}
