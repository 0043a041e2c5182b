package flow_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/ratelimit"
)

const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B

// TestSendOTPKnown: whose address is proved gets a magic link, who has not proved it the
// sign-up's message, and a number gets a code. Only hashes reach the store.
func TestSendOTPKnown(t *testing.T) {
	t.Parallel()
	proved, unproved, phone := account(), account(), account()
	unproved.EmailConfirmedAt, unproved.PasswordHash = time.Time{}, ""
	claimed := account()
	claimed.EmailConfirmedAt = time.Time{}
	phone.Phone = "491701234567"
	for _, c := range []struct {
		name    string
		user    auth.User
		in      flow.OTP
		purpose auth.Purpose
		channel string
		life    time.Duration
	}{
		{"magic link", proved, flow.OTP{Email: " A@x.org "}, auth.PurposeMagicLink, "email", time.Hour},
		{"sign-up again", unproved, flow.OTP{Email: "a@x.org"}, auth.PurposeSignup, "email", time.Hour},
		{"somebody's password is on it", claimed, flow.OTP{Email: "a@x.org"}, auth.PurposeClaim, "email", time.Hour},
		{"text message", phone, flow.OTP{Phone: "+49 170 1234567"}, auth.PurposeSMS, "sms", 5 * time.Minute},
		{"WhatsApp", phone, flow.OTP{Phone: "491701234567", Channel: "whatsapp"}, auth.PurposeSMS, "whatsapp", 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, post := messages(t)
			b.knows(c.user)
			got := b.issues()
			id, err := b.accounts().SendOTP(t.Context(), c.in)
			if err != nil || len(*got) != 1 || len(post.notices) != 1 {
				t.Fatalf("%v, %d issued, %d notices", err, len(*got), len(post.notices))
			}
			issue, n := (*got)[0], post.notices[0]
			tok := issue.Tokens[0]
			if tok.Purpose != c.purpose || n.Purpose != c.purpose || n.Channel != c.channel || tok.ExpiresAt.Sub(tok.CreatedAt) != c.life {
				t.Errorf("token %+v, notice %+v", tok, n)
			}
			if id != issue.Messages[0].ID {
				t.Errorf("answered %s, sent %s", id, issue.Messages[0].ID)
			}
			if len(n.Code) != 6 || strings.Trim(n.Code, "0123456789") != "" || tok.CodeHash != (codes{}).CodeHashes(c.purpose, tok.Address, n.Code)[0] {
				t.Errorf("code %q, hash %q", n.Code, tok.CodeHash)
			}
			if c.channel == "email" && (len(n.Link) != 56 || strings.Contains(tok.TokenHash, n.Link)) || c.channel != "email" && n.Link != "" {
				t.Errorf("link %q, hash %q", n.Link, tok.TokenHash)
			}
		})
	}
}

// TestSendOTPUnknown: a stranger becomes an account without a password, or, where nobody may
// sign up, nothing happens that could be seen.
func TestSendOTPUnknown(t *testing.T) {
	t.Parallel()
	t.Run("new account", func(t *testing.T) {
		t.Parallel()
		b, post := messages(t)
		b.knows(account())
		b.store.create = func(auth.NewAccount) error { return nil }
		id, err := b.accounts().SendOTP(t.Context(), flow.OTP{Email: "new@x.org", CreateUser: true, PKCE: flow.PKCE{Challenge: challenge, Method: "S256"}})
		if err != nil || len(b.store.created) != 1 {
			t.Fatal(err)
		}
		a := b.store.created[0]
		if a.User.PasswordHash != "" || !a.User.EmailConfirmedAt.IsZero() || a.Session != nil || a.Tokens[0].Purpose != auth.PurposeSignup {
			t.Errorf("%+v", a)
		}
		if a.FlowState == nil || a.Tokens[0].FlowState != a.FlowState.ID || !strings.HasPrefix(post.notices[0].Link, "pkce_") || id != a.Messages[0].ID {
			t.Errorf("PKCE: %+v, link %q", a.FlowState, post.notices[0].Link)
		}
	})
	t.Run("with addresses taken as proved it is a magic link", func(t *testing.T) {
		t.Parallel()
		b, post := messages(t)
		b.config.EmailAutoconfirm = true
		b.knows(account())
		b.store.create = func(auth.NewAccount) error { return nil }
		if _, err := b.accounts().SendOTP(t.Context(), flow.OTP{Email: "new@x.org", CreateUser: true}); err != nil || post.notices[0].Kind != "magic_link" {
			t.Error(err, post.notices)
		}
	})
	t.Run("lost race", func(t *testing.T) {
		t.Parallel()
		b, _ := messages(t)
		b.knows(account())
		b.store.create = func(auth.NewAccount) error { return auth.ErrEmailTaken }
		if _, err := b.accounts().SendOTP(t.Context(), flow.OTP{Email: "new@x.org", CreateUser: true}); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		name string
		set  func(*flow.Config)
		in   flow.OTP
	}{
		{"not to be made", func(*flow.Config) {}, flow.OTP{Email: "new@x.org"}},
		{"sign-ups off", func(c *flow.Config) { c.SignupDisabled = true }, flow.OTP{Email: "new@x.org", CreateUser: true}},
		{"number", func(*flow.Config) {}, flow.OTP{Phone: "4912345"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, post := messages(t)
			c.set(&b.config)
			b.knows(account())
			id, err := b.accounts().SendOTP(t.Context(), c.in)
			if err != nil || id.IsZero() || post.decoys != 1 || len(post.notices) != 0 {
				t.Errorf("%v, id %s, %d decoys, %d notices", err, id, post.decoys, len(post.notices))
			}
		})
	}
	t.Run("explicit", func(t *testing.T) { // X28
		t.Parallel()
		b, _ := messages(t)
		b.config.ExplicitAnswers = true
		b.knows(account())
		_, err := b.accounts().SendOTP(t.Context(), flow.OTP{Email: "new@x.org"})
		wantCode(t, err, auth.CodeOTPDisabled)
		b.config.SignupDisabled = true
		_, err = b.accounts().SendOTP(t.Context(), flow.OTP{Email: "new@x.org", CreateUser: true})
		wantCode(t, err, auth.CodeSignupDisabled)
	})
}

// TestSendOTPRefuses: what is refused is refused before any account is looked at.
func TestSendOTPRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  func(*flow.Config)
		in   flow.OTP
		want auth.Code
	}{
		{"both", nil, flow.OTP{Email: "a@x.org", Phone: "4912345"}, auth.CodeValidation},
		{"neither", nil, flow.OTP{}, auth.CodeValidation},
		{"no address", nil, flow.OTP{Email: "a@x.org\r\nBcc: b@x.org"}, auth.CodeValidation},
		{"channel with an address", nil, flow.OTP{Email: "a@x.org", Channel: "whatsapp"}, auth.CodeValidation},
		{"unknown channel", nil, flow.OTP{Phone: "4912345", Channel: "pigeon"}, auth.CodeValidation},
		{"number with PKCE", nil, flow.OTP{Phone: "4912345", PKCE: flow.PKCE{Challenge: challenge, Method: "s256"}}, auth.CodeValidation},
		{"half a challenge", nil, flow.OTP{Email: "a@x.org", PKCE: flow.PKCE{Challenge: challenge}}, auth.CodeValidation},
		{"short challenge", nil, flow.OTP{Email: "a@x.org", PKCE: flow.PKCE{Challenge: "abc", Method: "s256"}}, auth.CodeValidation},
		{"odd challenge", nil, flow.OTP{Email: "a@x.org", PKCE: flow.PKCE{Challenge: strings.Repeat("ä", 43), Method: "s256"}}, auth.CodeValidation},
		{"plain", nil, flow.OTP{Email: "a@x.org", PKCE: flow.PKCE{Challenge: challenge, Method: "plain"}}, auth.CodeValidation},
		{"e-mail off", func(c *flow.Config) { c.EmailEnabled = false }, flow.OTP{Email: "a@x.org"}, auth.CodeEmailLoginDisabled},
		{"links off", func(c *flow.Config) { c.MagicLinks = false }, flow.OTP{Email: "a@x.org"}, auth.CodeMagicLinkDisabled},
		{"phone off", func(c *flow.Config) { c.PhoneEnabled = false }, flow.OTP{Phone: "4912345"}, auth.CodePhoneUnsupported},
		{"nothing to send with", func(c *flow.Config) { c.Mail = false }, flow.OTP{Email: "a@x.org"}, auth.CodeNoMailer},
		{"no person", func(c *flow.Config) { c.Human = &human{} }, flow.OTP{Email: "a@x.org"}, auth.CodeCaptchaFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			if c.set != nil {
				c.set(&b.config)
			}
			_, err := b.accounts().SendOTP(t.Context(), c.in)
			wantCode(t, err, c.want)
			b.steps(t)
		})
	}
}

// TestSendOTPLimits: one message in a while to an address, whoever asks and whether it has an
// account or not; a budget for an address of the network, and one for the server.
func TestSendOTPLimits(t *testing.T) {
	t.Parallel()
	for _, email := range []string{"a@x.org", "nobody@x.org"} {
		t.Run(email, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			limited(b)
			b.knows(account())
			b.issues()
			a := b.accounts()
			if _, err := a.SendOTP(t.Context(), flow.OTP{Email: email, Meta: auth.Meta{IP: "192.0.2.1"}}); err != nil {
				t.Fatal(err)
			}
			for _, spelling := range []string{email, strings.ToUpper(email), " " + email} {
				_, err := a.SendOTP(t.Context(), flow.OTP{Email: spelling, Meta: auth.Meta{IP: "192.0.2.2"}})
				wantCode(t, err, auth.CodeMailTooSoon)
				if err == nil || err.Error() == "" || !strings.Contains(err.Error(), "only request this after 60 seconds") {
					t.Errorf("%v", err)
				}
			}
		})
	}
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		b, _ := messages(t)
		limited(b)
		b.config.MailPerServer = ratelimit.Limit{Count: 2, Period: time.Hour}
		b.config.TextPerServer = ratelimit.Limit{Count: 1, Period: time.Hour}
		b.knows(account())
		a := b.accounts()
		var codes []auth.Code
		for _, email := range []string{"1@x.org", "2@x.org", "3@x.org"} {
			_, err := a.SendOTP(t.Context(), flow.OTP{Email: email})
			codes = append(codes, codeOf(err))
		}
		for _, phone := range []string{"4911111", "4922222"} {
			_, err := a.SendOTP(t.Context(), flow.OTP{Phone: phone})
			codes = append(codes, codeOf(err))
		}
		if want := []auth.Code{"", "", auth.CodeMailLimit, "", auth.CodeSMSLimit}; !slices.Equal(codes, want) {
			t.Errorf("%v, want %v", codes, want)
		}
	})
}

// TestHuman: an operator's request and a right answer pass.
func TestHuman(t *testing.T) {
	t.Parallel()
	b, _ := messages(t)
	h := &human{}
	b.config.Human = h
	b.knows(account())
	b.issues()
	a := b.accounts()
	for _, m := range []auth.Meta{{Captcha: "person"}, {Operator: true}} {
		if _, err := a.SendOTP(t.Context(), flow.OTP{Email: "a@x.org", Meta: m}); err != nil {
			t.Error(err)
		}
	}
	if err := a.Recover(t.Context(), flow.Recovery{Email: "a@x.org"}); codeOf(err) != auth.CodeCaptchaFailed {
		t.Errorf("recover: %v", err)
	}
	if _, err := a.Resend(t.Context(), flow.Resend{Type: "signup", Email: "a@x.org"}); codeOf(err) != auth.CodeCaptchaFailed {
		t.Errorf("resend: %v", err)
	}
	if _, err := a.SignUp(t.Context(), flow.SignUp{Email: "b@x.org", Password: "long enough"}); codeOf(err) != auth.CodeCaptchaFailed {
		t.Errorf("sign-up: %v", err)
	}
	if _, err := a.SignUp(t.Context(), flow.SignUp{}); codeOf(err) != auth.CodeCaptchaFailed {
		t.Errorf("anonymous: %v", err)
	}
	if len(h.seen) != 5 {
		t.Errorf("asked %d times", len(h.seen))
	}
}
