package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func changeCases() []testCase {
	return []testCase{
		{"of the e-mail address, with one proof", changeEmail},
		{"of the e-mail address, with both proofs, in either order", changeBoth},
		{"the other half can't be got rid of", changeBurntHalf},
		{"proofs of one address do not count for the next", changeAgain},
		{"one after the other, for the same address", changeSeparately},
		{"to an address that somebody has got meanwhile", changeTaken},
		{"of the phone number", changePhone},
		{"a token proves the address that it was sent to, and no other", changeOther},
		{"its owner is told in the same step, or nothing happens", changeTold},
		{"an anonymous account becomes a permanent one", changeAnonymous},
	}
}

const nextEmail = "next@example.com"

var bothHalves = []auth.Purpose{auth.PurposeEmailCurrent, auth.PurposeEmailNew}

// change makes address wait on account 1, with tokens n for the present and n+1 for the new
// address.
func (e *env) change(n int, address string) {
	e.tb.Helper()
	u := e.user(1)
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
		UserID: userID(1), At: t0, EmailChange: &address,
		Tokens: []auth.OneTime{token(n, 1, auth.PurposeEmailCurrent, u.Email), token(n+1, 1, auth.PurposeEmailNew, address)},
	}))
}

func changeEmail(_ *testing.T, e *env) {
	want := e.create(account(1))
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
		UserID: userID(1), At: t0, EmailChange: ptr(nextEmail), Tokens: []auth.OneTime{token(1, 1, auth.PurposeEmailNew, nextEmail)},
	}))
	r := byLink(1, bothHalves...)
	res := e.redeem("the link", r, auth.RedeemDone)
	want.Email, want.EmailChangeSentAt = nextEmail, t0
	want.EmailConfirmedAt, want.LastSignInAt, want.UpdatedAt = r.At, r.At, r.At
	want.UserMetadata = verified(want, "email", nextEmail, "")
	want.Identities[0].Data, want.Identities[0].Email = verified(want, "email", nextEmail, ""), nextEmail
	want.Identities[0].LastSignInAt, want.Identities[0].UpdatedAt = r.At, r.At
	e.same("account", want, res.User)
	e.same("the address before", emailOf(1), res.Replaced)
	e.wantSession("change", res, 1, 1)
	_, err := e.UserByEmail(e.ctx, emailOf(1), "authenticated")
	e.is("the old address is free", err, auth.ErrNotFound)
}

func changeBoth(_ *testing.T, e *env) {
	e.create(account(1))
	at := emailOf(1)
	for n, next := range map[int]string{10: "a@example.com", 20: "b@example.com"} {
		e.change(n, next)
		first, second := byLink(n, bothHalves...), byCode(n+1, next, bothHalves...)
		if n == 20 {
			first, second = byLink(n+1, bothHalves...), byCode(n, at, bothHalves...)
		}
		before := e.user(1)
		before.UpdatedAt = first.At
		res := e.redeem("the first half", first, auth.RedeemHalf)
		e.same("the first half: account", before, res.User)
		e.same("as it is stored", before, e.user(1))
		e.same("no session", auth.Session{}, res.Session)
		e.redeem("the first half again", first, auth.RedeemRefused)
		second.At = second.At.Add(time.Minute)
		res = e.redeem("the second half", second, auth.RedeemDone)
		e.same("address", [3]string{next, "", at}, [3]string{res.User.Email, res.User.EmailChange, res.Replaced})
		at = next
	}
}

// Who has stolen a session asks for a change to his own mailbox and then makes the token of
// the owner's mailbox go away. His own half must not do the change alone.
func changeBurntHalf(_ *testing.T, e *env) {
	e.create(account(1))
	e.change(10, nextEmail)
	for range 6 {
		e.redeem("wrong code for the owner's address", byCode(99, emailOf(1), bothHalves...), auth.RedeemRefused)
	}
	e.redeem("the owner's link is burnt", byLink(10, bothHalves...), auth.RedeemRefused)
	e.redeem("the new half alone", byLink(11, bothHalves...), auth.RedeemRefused)

	// First his own half, then again: the proof of the first time must not count.
	e.change(20, nextEmail)
	e.redeem("the new half", byLink(21, bothHalves...), auth.RedeemHalf)
	e.change(30, nextEmail)
	for range 6 {
		e.redeem("wrong code for the owner's address", byCode(99, emailOf(1), bothHalves...), auth.RedeemRefused)
	}
	e.redeem("the new half again", byLink(31, bothHalves...), auth.RedeemRefused)

	// The owner's half has expired and has been cleaned away.
	owner, own := token(40, 1, auth.PurposeEmailCurrent, emailOf(1)), token(41, 1, auth.PurposeEmailNew, nextEmail)
	owner.ExpiresAt = after(time.Minute)
	e.issue(1, owner, own)
	e.redeem("while it is there", byLink(41, bothHalves...), auth.RedeemRefused)
	_, err := e.DeleteExpiredOneTimes(e.ctx, after(2*time.Minute), 10)
	e.ok("DeleteExpiredOneTimes", err)
	e.redeem("when it is gone", byLink(41, bothHalves...), auth.RedeemRefused)
	e.same("address", emailOf(1), e.user(1).Email)
	e.wantAlive("nobody signed in", 1, map[int]bool{11: false, 21: false, 31: false, 41: false})
}

func changeAgain(_ *testing.T, e *env) {
	e.create(account(1))
	e.change(10, nextEmail)
	e.redeem("the owner agrees to the first", byLink(10, bothHalves...), auth.RedeemHalf)
	e.change(20, "other@example.com")
	e.redeem("the link of the first address", byLink(11, bothHalves...), auth.RedeemRefused)
	e.redeem("the new half of the second", byLink(21, bothHalves...), auth.RedeemHalf)
	e.same("address", emailOf(1), e.user(1).Email)

	// Only the waiting address changes, and the tokens of the one before it go.
	e.change(30, nextEmail)
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, EmailChange: ptr("third@example.com")}))
	e.redeem("current", byLink(30, bothHalves...), auth.RedeemRefused)
	e.redeem("new", byLink(31, bothHalves...), auth.RedeemRefused)
}

// An operator makes the two links in two steps.
func changeSeparately(_ *testing.T, e *env) {
	e.create(account(1))
	for n, p := range bothHalves {
		address := map[auth.Purpose]string{auth.PurposeEmailCurrent: emailOf(1), auth.PurposeEmailNew: nextEmail}[p]
		e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
			UserID: userID(1), At: t0, EmailChange: ptr(nextEmail), Tokens: []auth.OneTime{token(n+1, 1, p, address)},
		}))
	}
	e.redeem("new", byLink(2, bothHalves...), auth.RedeemHalf)
	res := e.redeem("current", byLink(1, bothHalves...), auth.RedeemDone)
	e.same("address", nextEmail, res.User.Email)
}

func changeTaken(_ *testing.T, e *env) {
	e.create(account(1))
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
		UserID: userID(1), At: t0, EmailChange: ptr(nextEmail), PhoneChange: ptr("49170"),
		Tokens: []auth.OneTime{token(1, 1, auth.PurposeEmailNew, nextEmail), token(2, 1, auth.PurposePhoneChange, "49170")},
	}))
	want := e.user(1)
	b := account(2)
	b.User.Email, b.User.Phone = nextEmail, "49170"
	e.create(b)
	for range 2 {
		_, err := e.RedeemOneTime(e.ctx, byLink(1, bothHalves...))
		e.is("e-mail", err, auth.ErrEmailTaken)
		_, err = e.RedeemOneTime(e.ctx, byLink(2, auth.PurposePhoneChange))
		e.is("phone", err, auth.ErrPhoneTaken)
	}
	e.same("nothing has changed", want, e.user(1))
	e.wantAlive("no session", 1, map[int]bool{1: false, 2: false})
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(2), audit(80, "user_deleted", "team")))
	e.redeem("when it is free again", byLink(1, bothHalves...), auth.RedeemDone)
}

func changePhone(_ *testing.T, e *env) {
	a := account(1)
	a.User.Phone, a.User.PhoneConfirmedAt = "49169", t0
	want := e.create(a)
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
		UserID: userID(1), At: t0, PhoneChange: ptr("49170"), Tokens: []auth.OneTime{token(1, 1, auth.PurposePhoneChange, "49170")},
	}))
	r := byCode(1, "49170", auth.PurposePhoneChange)
	res := e.redeem("the code", r, auth.RedeemDone)
	want.Phone, want.PhoneChangeSentAt = "49170", t0
	want.PhoneConfirmedAt, want.LastSignInAt, want.UpdatedAt = r.At, r.At, r.At
	want.UserMetadata = verified(want, "phone", "49170", "")
	want.AppMetadata = json.RawMessage(`{"provider":"email","providers":["email","phone"]}`)
	want.Identities = append(want.Identities, auth.Identity{
		ID: token(1, 1, "", "").ID, UserID: userID(1), Provider: auth.ProviderPhone, ProviderID: userID(1).String(),
		Data: verified(want, "phone", "49170", ""), LastSignInAt: r.At, CreatedAt: r.At, UpdatedAt: r.At,
	})
	e.same("account", want, res.User)
	e.same("the number before", "49169", res.Replaced)
	e.wantSession("change", res, 1, 1)
}

// The address that waits is replaced without a new token. Who has the number of before must
// not prove the new one.
func changeOther(_ *testing.T, e *env) {
	e.create(account(1))
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
		UserID: userID(1), At: t0, PhoneChange: ptr("49170"), EmailChange: ptr(nextEmail), Tokens: []auth.OneTime{
			token(1, 1, auth.PurposePhoneChange, "49170"), token(2, 1, auth.PurposeSMS, "49170"),
			token(3, 1, auth.PurposeEmailNew, "other@example.com"), token(4, 1, auth.PurposeRecovery, "other@example.com"),
		},
	}))
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, PhoneChange: ptr("49171")}))
	want := e.user(1)
	for n, p := range map[int]auth.Purpose{
		1: auth.PurposePhoneChange, 2: auth.PurposeSMS, 3: auth.PurposeEmailNew, 4: auth.PurposeRecovery,
	} {
		e.redeem("link for "+string(p), byLink(n, p), auth.RedeemRefused)
		e.redeem("code for "+string(p), byCode(n, map[bool]string{true: "49170", false: "other@example.com"}[n < 3], p), auth.RedeemRefused)
	}
	e.same("nothing has changed", want, e.user(1))
}

func changeTold(_ *testing.T, e *env) {
	want := e.create(account(1))
	e.create(account(2))
	e.change(10, nextEmail)
	told := func(r auth.Redeem, n int, err error) auth.Redeem {
		r.Tell = func(u *auth.User, provider, replacement string) ([]auth.Message, error) {
			e.same("who is told what", [3]string{emailOf(1), auth.ProviderEmail, nextEmail},
				[3]string{u.Email, provider, replacement})
			return []auth.Message{message(n)}, err
		}
		return r
	}
	e.redeem("half a change is none", told(byLink(10, bothHalves...), 1, nil), auth.RedeemHalf)
	_, err := e.RedeemOneTime(e.ctx, told(byLink(11, bothHalves...), 2, errNo))
	e.is("a notice that can't be made", err, errNo)
	e.update(2, auth.UserPatch{At: t0, Email: ptr(nextEmail)})
	_, err = e.RedeemOneTime(e.ctx, told(byLink(11, bothHalves...), 3, nil))
	e.is("a taken address", err, auth.ErrEmailTaken)
	e.same("nothing has changed", want.Email, e.user(1).Email)
	e.wantQueued("nobody is told")
	e.update(2, auth.UserPatch{At: t0, Email: ptr(emailOf(2))})
	e.redeem("done", told(byLink(11, bothHalves...), 4, nil), auth.RedeemDone)
	e.wantQueued("the owner is told", message(4))
}

func changeAnonymous(_ *testing.T, e *env) {
	e.create(auth.NewAccount{User: auth.User{
		ID: userID(1), Aud: "authenticated", Role: auth.RoleAuthenticated, IsAnonymous: true,
		UserMetadata: json.RawMessage(`{"cart":[1]}`), CreatedAt: t0, UpdatedAt: t0,
	}})
	e.sign(50, 1)
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
		UserID: userID(1), At: t0, EmailChange: ptr(nextEmail), Tokens: []auth.OneTime{token(1, 1, auth.PurposeEmailNew, nextEmail)},
	}))
	res := e.redeem("the link", byLink(1, bothHalves...), auth.RedeemDone)
	u := res.User
	e.same("permanent", false, u.IsAnonymous)
	e.same("address", nextEmail, u.Email)
	e.same("metadata is kept", verified(u, "email", nextEmail, `,"cart":[1]`), u.UserMetadata)
	e.same("providers", json.RawMessage(`{"provider":"email","providers":["email"]}`), u.AppMetadata)
	e.same("identities", 1, len(u.Identities))
	e.wantAlive("the session goes on", 1, map[int]bool{50: true, 1: true})
}
