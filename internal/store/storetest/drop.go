package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Somebody makes an account for an address that is not his, puts whatever he likes on it,
// and waits for the owner. What the owner's first proof leaves of that is the subject here.
func dropCases() []testCase {
	var cases []testCase
	for _, p := range []auth.Purpose{auth.PurposeMagicLink, auth.PurposeRecovery, auth.PurposeInvite} {
		cases = append(cases, testCase{
			"the first proof, by " + string(p) + ", leaves nothing of a stranger",
			func(_ *testing.T, e *env) { dropAll(e, p) },
		})
	}
	return append(cases,
		testCase{"the first proof by text message, of an account that was used", dropPhone},
		testCase{"what an invitation made is kept", dropNotInvited},
		testCase{"an account with one proved address has an owner", dropNotOwned},
		testCase{"metadata that is no object", dropOddMetadata},
		testCase{"the profile, and the role that was asked for", dropProfile},
	)
}

// prepared is an unproved account with everything that a stranger can put on it.
func prepared(n int) auth.NewAccount {
	a := unproved(n)
	u := &a.User
	u.Phone, u.IsAnonymous = fmt.Sprintf("4917%d", n), false
	u.EmailChange, u.PhoneChange = "mallory@example.com", "49666"
	u.InvitedAt = after(time.Second) // an invitation, but of an account that was there
	u.AppMetadata = json.RawMessage(`{"provider":"email","providers":["email","google","phone"],"roles":["nurse"]}`)
	google, phone := emailIdentity(n), emailIdentity(n)
	google.ID, google.Provider, google.ProviderID = identityID(n+500), "google", fmt.Sprintf("108-%d", n)
	phone.ID, phone.Provider, phone.Email = identityID(n+600), auth.ProviderPhone, ""
	phone.Data = json.RawMessage(`{"phone":"` + u.Phone + `"}`)
	google.CreatedAt, phone.CreatedAt = after(time.Second), after(2*time.Second)
	u.Identities = append(u.Identities, google, phone)
	return a
}

func (e *env) addFactor(n, owner int) {
	e.tb.Helper()
	if f, ok := e.Store.(FactorMaker); ok {
		e.ok("AddFactor", f.AddFactor(e.ctx, auth.Factor{
			ID: fixedID(kindFactor, n), UserID: userID(owner), Type: "totp", Status: auth.FactorVerified, CreatedAt: t0, UpdatedAt: t0,
		}))
	}
}

func dropAll(e *env, p auth.Purpose) {
	e.create(prepared(1))
	e.create(prepared(2))
	for n := 1; n <= 2; n++ {
		e.addFactor(n, n)
		e.sign(50+n, n)
	}
	other := e.user(2)
	e.issue(1, token(1, 1, p, emailOf(1)))
	e.issue(1, token(2, 1, auth.PurposeReauthenticate, emailOf(1)), token(3, 1, auth.PurposePhoneChange, "49666"))
	e.issue(1, token(4, 1, auth.PurposeEmailNew, "mallory@example.com"))
	before := e.user(1)
	r := byLink(1, p)
	res := e.redeem(string(p), r, auth.RedeemDone)

	want := before
	want.PasswordHash, want.Phone, want.EmailChange, want.PhoneChange, want.Factors = "", "", "", "", nil
	want.UserMetadata = verified(want, "email", emailOf(1), "")
	want.AppMetadata = json.RawMessage(`{"provider":"email","providers":["email"],"roles":["nurse"]}`)
	want.Identities = want.Identities[:1]
	want.Identities[0].Data = verified(want, "email", emailOf(1), `,"phone_verified":false`)
	want.Identities[0].LastSignInAt, want.Identities[0].UpdatedAt = r.At, r.At
	want.EmailConfirmedAt, want.LastSignInAt, want.UpdatedAt = r.At, r.At, r.At
	e.same("account", want, res.User)
	e.wantAlive("sessions", 1, map[int]bool{51: false, 1: true})
	for n, purpose := range map[int]auth.Purpose{3: auth.PurposePhoneChange, 4: auth.PurposeEmailNew} {
		e.redeem("tokens", byLink(n, purpose), auth.RedeemRefused)
	}
	ok, err := e.CheckNonce(e.ctx, userID(1), []string{"code-2"}, t0, 6)
	e.ok("CheckNonce", err)
	e.same("nonce", false, ok)
	e.wantSession(string(p), res, 1, 1)

	e.same("somebody else", other, e.user(2))
	e.wantAlive("somebody else", 2, map[int]bool{52: true})
}

func dropPhone(_ *testing.T, e *env) {
	a := prepared(1)
	a.User.LastSignInAt = after(time.Second)
	e.create(a)
	e.addFactor(1, 1)
	e.sign(51, 1)
	e.issue(1, token(1, 1, auth.PurposeSMS, "49171"))
	want := e.user(1)
	r := byCode(1, "49171", auth.PurposeSMS)
	res := e.redeem("sms", r, auth.RedeemDone)
	want.PasswordHash, want.Email, want.EmailChange, want.PhoneChange, want.Factors = "", "", "", "", nil
	want.UserMetadata = verified(want, "phone", "49171", "")
	want.AppMetadata = json.RawMessage(`{"provider":"phone","providers":["phone"],"roles":["nurse"]}`)
	want.Identities = want.Identities[2:]
	want.Identities[0].Data = verified(want, "phone", "49171", "")
	want.Identities[0].LastSignInAt, want.Identities[0].UpdatedAt = r.At, r.At
	want.PhoneConfirmedAt, want.LastSignInAt, want.UpdatedAt = r.At, r.At, r.At
	e.same("account", want, res.User)
	e.wantAlive("sessions", 1, map[int]bool{51: false, 1: true})
}

func dropNotInvited(_ *testing.T, e *env) {
	a := unproved(1)
	a.User.InvitedAt, a.User.PasswordHash = a.User.CreatedAt, ""
	a.User.UserMetadata = json.RawMessage(`{"full_name":"Ada"}`)
	a.User.Identities = nil // as an operator may have made it
	a.User.AppMetadata = json.RawMessage(`{}`)
	want := e.create(a)
	e.issue(1, token(1, 1, auth.PurposeInvite, emailOf(1)))
	r := byLink(1, auth.PurposeInvite)
	res := e.redeem("invitation", r, auth.RedeemDone)
	want.EmailConfirmedAt, want.LastSignInAt, want.UpdatedAt = r.At, r.At, r.At
	want.UserMetadata = verified(want, "email", emailOf(1), `,"full_name":"Ada"`)
	want.AppMetadata = json.RawMessage(`{"provider":"email","providers":["email"]}`)
	want.Identities = []auth.Identity{{
		ID: token(1, 1, "", "").ID, UserID: userID(1), Provider: auth.ProviderEmail, ProviderID: userID(1).String(),
		Data: verified(want, "email", emailOf(1), ""), Email: emailOf(1), LastSignInAt: r.At, CreatedAt: r.At, UpdatedAt: r.At,
	}}
	e.same("account, with the identity that was missing", want, res.User)
}

// An operator puts a number on the account of somebody who has proved the e-mail address.
// Who has the telephone signs in, but neither loses the owner anything, nor does the second
// factor go.
func dropNotOwned(_ *testing.T, e *env) {
	a := prepared(1)
	a.User.EmailConfirmedAt = t0
	e.create(a)
	e.addFactor(1, 1)
	e.sign(51, 1)
	e.issue(1, token(1, 1, auth.PurposeSMS, "49171"))
	want := e.user(1)
	r := byCode(1, "49171", auth.PurposeSMS)
	res := e.redeem("sms", r, auth.RedeemDone)
	want.PhoneConfirmedAt, want.LastSignInAt, want.UpdatedAt = r.At, r.At, r.At
	want.UserMetadata = json.RawMessage(fmt.Sprintf(
		`{"sub":%q,"email":%q,"phone":"49171","email_verified":false,"phone_verified":true,"full_name":"Mallory"}`, want.ID, want.Email))
	want.Identities[2].Data = verified(want, "phone", "49171", "")
	want.Identities[2].LastSignInAt, want.Identities[2].UpdatedAt = r.At, r.At
	e.same("account", want, res.User)
	e.wantAlive("sessions", 1, map[int]bool{51: true, 1: true})
}

func dropOddMetadata(_ *testing.T, e *env) {
	a := unproved(1)
	a.User.UserMetadata, a.User.AppMetadata = json.RawMessage(`null`), json.RawMessage(`null`)
	a.User.Identities = nil
	want := e.create(a)
	e.issue(1, token(1, 1, auth.PurposeMagicLink, emailOf(1)))
	res := e.redeem("link", byLink(1, auth.PurposeMagicLink), auth.RedeemDone)
	e.same("user metadata", verified(want, "email", emailOf(1), ""), res.User.UserMetadata)
	e.same("app metadata", json.RawMessage(`{"provider":"email","providers":["email"]}`), res.User.AppMetadata)
}
