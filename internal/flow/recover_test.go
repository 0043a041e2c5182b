package flow_test

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// TestRecover: a known address gets a link, an unknown one the same answer.
func TestRecover(t *testing.T) {
	t.Parallel()
	b, post := messages(t)
	b.knows(account())
	got := b.issues()
	a := b.accounts()
	if err := a.Recover(t.Context(), flow.Recovery{Email: "A@X.org", RedirectTo: "https://app.example/reset"}); err != nil {
		t.Fatal(err)
	}
	tok := (*got)[0].Tokens[0]
	if tok.Purpose != auth.PurposeRecovery || tok.ExpiresAt.Sub(tok.CreatedAt) != time.Hour || post.notices[0].RedirectTo != "https://app.example/reset" {
		t.Errorf("%+v, %+v", tok, post.notices[0])
	}
	if err := a.Recover(t.Context(), flow.Recovery{Email: "nobody@x.org"}); err != nil || post.decoys != 1 {
		t.Errorf("unknown: %v, %d decoys", err, post.decoys)
	}
	for _, race := range []error{auth.ErrTooSoon, auth.ErrNotFound} {
		b.store.issue = func(auth.IssueOneTime) error { return race }
		if err := a.Recover(t.Context(), flow.Recovery{Email: "a@x.org"}); err != nil {
			t.Errorf("%v shows: %v", race, err)
		}
	}
}

func TestRecoverRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  func(*flow.Config)
		in   flow.Recovery
		want auth.Code
	}{
		{"nothing", nil, flow.Recovery{}, auth.CodeValidation},
		{"no address", nil, flow.Recovery{Email: "a@@x"}, auth.CodeValidation},
		{"off", func(c *flow.Config) { c.EmailEnabled = false }, flow.Recovery{Email: "a@x.org"}, auth.CodeRecoverDisabled},
		{"no mail", func(c *flow.Config) { c.Mail = false }, flow.Recovery{Email: "a@x.org"}, auth.CodeNoMailer},
		{"challenge", nil, flow.Recovery{Email: "a@x.org", PKCE: flow.PKCE{Method: "s256"}}, auth.CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			if c.set != nil {
				c.set(&b.config)
			}
			wantCode(t, b.accounts().Recover(t.Context(), c.in), c.want)
			b.steps(t)
		})
	}
}

// TestResend: what waits is sent again; what doesn't, isn't, and the answer is the same.
func TestResend(t *testing.T) {
	t.Parallel()
	proved := account()
	proved.Phone, proved.PhoneConfirmedAt = "4912345", at()
	unproved := account()
	unproved.EmailConfirmedAt, unproved.Phone = time.Time{}, "4912345"
	changing := proved
	changing.EmailChange, changing.PhoneChange = "new@x.org", "4999999"
	for _, c := range []struct {
		name string
		user auth.User
		in   flow.Resend
		want []auth.Purpose // nil: nothing is sent
	}{
		{"sign-up", unproved, flow.Resend{Type: "signup", Email: "a@x.org"}, []auth.Purpose{auth.PurposeSignup}},
		{"sign-up, proved", proved, flow.Resend{Type: "signup", Email: "a@x.org"}, nil},
		{"sign-up, unknown", proved, flow.Resend{Type: "signup", Email: "nobody@x.org"}, nil},
		{"sms", unproved, flow.Resend{Type: "sms", Phone: "+4912345"}, []auth.Purpose{auth.PurposeSMS}},
		{"sms, proved", proved, flow.Resend{Type: "sms", Phone: "4912345"}, nil},
		{"e-mail change", changing, flow.Resend{Type: "email_change", Email: "a@x.org"}, []auth.Purpose{auth.PurposeEmailCurrent, auth.PurposeEmailNew}},
		{"e-mail change, none", proved, flow.Resend{Type: "email_change", Email: "a@x.org"}, nil},
		{"phone change", changing, flow.Resend{Type: "phone_change", Phone: "4912345"}, []auth.Purpose{auth.PurposePhoneChange}},
		{"phone change, none", proved, flow.Resend{Type: "phone_change", Phone: "4912345"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, post := messages(t)
			b.knows(c.user)
			got := b.issues()
			if _, err := b.accounts().Resend(t.Context(), c.in); err != nil {
				t.Fatal(err)
			}
			var purposes []auth.Purpose
			for _, i := range *got {
				for _, tok := range i.Tokens {
					purposes = append(purposes, tok.Purpose)
				}
			}
			if len(purposes) != len(c.want) || len(post.notices) != len(c.want) || (len(c.want) == 0) != (post.decoys == 1) {
				t.Fatalf("sent %v, %d notices, %d decoys; want %v", purposes, len(post.notices), post.decoys, c.want)
			}
			for i := range c.want {
				if purposes[i] != c.want[i] {
					t.Errorf("sent %v, want %v", purposes, c.want)
				}
			}
		})
	}
	for _, c := range []struct {
		name string
		in   flow.Resend
	}{
		{"no type", flow.Resend{Email: "a@x.org"}},
		{"unknown type", flow.Resend{Type: "recovery", Email: "a@x.org"}},
		{"number for mail", flow.Resend{Type: "signup", Phone: "4912345"}},
		{"mail for a number", flow.Resend{Type: "sms", Email: "a@x.org"}},
		{"both", flow.Resend{Type: "signup", Email: "a@x.org", Phone: "4912345"}},
		{"number with PKCE", flow.Resend{Type: "sms", Phone: "4912345", PKCE: flow.PKCE{Challenge: challenge, Method: "s256"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			_, err := b.accounts().Resend(t.Context(), c.in)
			wantCode(t, err, auth.CodeValidation)
			b.steps(t)
		})
	}
}

// TestReauthenticate sends a nonce to a proved address only.
func TestReauthenticate(t *testing.T) {
	t.Parallel()
	withPhone := account()
	withPhone.Email, withPhone.Phone, withPhone.PhoneConfirmedAt = "", "4912345", at()
	unproved, unprovedPhone, neither := account(), withPhone, account()
	unproved.EmailConfirmedAt, unprovedPhone.PhoneConfirmedAt, neither.Email = time.Time{}, time.Time{}, ""
	for _, c := range []struct {
		name  string
		user  auth.User
		phone string
		want  auth.Code
	}{
		{"e-mail", account(), "", ""},
		{"phone", withPhone, "4912345", ""},
		{"e-mail not proved", unproved, "", auth.CodeReauthNoEmail},
		{"phone not proved", unprovedPhone, "", auth.CodeReauthNoPhone},
		{"neither", neither, "", auth.CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, post := messages(t)
			b.has(c.user)
			got := b.issues()
			phone, id, err := b.accounts().Reauthenticate(t.Context(), caller())
			if codeOf(err) != c.want {
				t.Fatalf("%v, want %s", err, c.want)
			}
			if c.want == "" && (phone != c.phone || id.IsZero() || (*got)[0].Tokens[0].Purpose != auth.PurposeReauthenticate || len(post.notices) != 1) {
				t.Errorf("phone %q, id %s, %+v", phone, id, *got)
			}
		})
	}
	b, _ := messages(t)
	c := caller()
	c.FirstParty = false
	_, _, err := b.accounts().Reauthenticate(t.Context(), c)
	wantCode(t, err, auth.CodeNotFirstParty)
}

// TestPasswordChangeAsksAgain: with the setting on, an old session needs a nonce, and the
// current password is asked for unless the session began with a code.
func TestPasswordChangeAsksAgain(t *testing.T) {
	t.Parallel()
	fresh, old, code := caller(), caller(), caller()
	fresh.AuthTime, old.AuthTime, code.AuthTime = now().Add(-time.Hour), now().Add(-25*time.Hour), now()
	code.Methods = []string{auth.MethodOTP}
	change := func(nonce, current string) flow.Update {
		return flow.Update{Password: ptr("new password"), Nonce: nonce, CurrentPassword: current}
	}
	for _, c := range []struct {
		name    string
		reauth  bool
		current bool
		caller  auth.Caller
		in      flow.Update
		want    auth.Code
	}{
		{"fresh session", true, false, fresh, change("", ""), ""},
		{"old session", true, false, old, change("", ""), auth.CodeReauthNeeded},
		{"session of unknown age", true, false, caller(), change("", ""), auth.CodeReauthNeeded},
		{"nonce", true, false, old, change("123 456", ""), ""},
		{"wrong nonce", true, false, old, change("654321", ""), auth.CodeReauthInvalid},
		{"no nonce at all", true, false, old, change("hello", ""), auth.CodeReauthInvalid},
		{"current password", false, true, fresh, change("", "old password"), ""},
		{"without it", false, true, fresh, change("", ""), auth.CodeCurrentNeeded},
		{"wrong", false, true, fresh, change("", "other"), auth.CodeCurrentInvalid},
		{"session of a code", false, true, code, change("", ""), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, post := messages(t)
			b.config.ReauthPassword, b.config.CurrentPassword = c.reauth, c.current
			b.has(account())
			b.store.nonce = func(_ auth.ID, hashes []string) (bool, error) {
				return hashes[0] == (codes{}).CodeHashes(auth.PurposeReauthenticate, "a@x.org", "123456")[0], nil
			}
			_, err := b.accounts().Update(t.Context(), c.caller, c.in)
			if codeOf(err) != c.want {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if c.want != "" {
				if len(b.store.patches) != 0 {
					t.Error("a refused change was written")
				}
				return
			}
			if p := b.store.patches[0]; len(p.Messages) != 1 || p.Revoke != auth.RevokeOthers || post.notices[0].Kind != flow.NoticePasswordChanged {
				t.Errorf("%+v, %+v", p, post.notices)
			}
		})
	}
}
