package flow_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestVerifyAsks: what the store is asked for each form of a request.
func TestVerifyAsks(t *testing.T) {
	t.Parallel()
	email, mixed := "a@x.org", " A@X.org"
	for _, c := range []struct {
		name     string
		in       flow.Verify
		purposes []auth.Purpose
		address  string
		hash     string
		codes    int
	}{
		{"code", flow.Verify{Type: "signup", Code: "123456", Email: mixed}, []auth.Purpose{auth.PurposeSignup, auth.PurposeClaim}, email, "", 4},
		{"code with blanks", flow.Verify{Type: "recovery", Code: " 123-456\u00a0", Email: email}, []auth.Purpose{auth.PurposeRecovery}, email, "", 2},
		{"any mail", flow.Verify{Type: "email", Code: "1234567890", Email: email},
			[]auth.Purpose{auth.PurposeSignup, auth.PurposeClaim, auth.PurposeInvite, auth.PurposeMagicLink, auth.PurposeRecovery}, email, "", 10},
		{"text message", flow.Verify{Type: "sms", Code: "123456", Phone: "+49 12345"}, []auth.Purpose{auth.PurposeSMS}, "4912345", "", 2},
		{"number", flow.Verify{Type: "phone_change", Code: "123456", Phone: "4912345"}, []auth.Purpose{auth.PurposePhoneChange}, "4912345", "", 2},
		{"link", flow.Verify{Type: "magiclink", TokenHash: "abc"}, []auth.Purpose{auth.PurposeMagicLink, auth.PurposeClaim}, "", sha("abc"), 0},
		{"change", flow.Verify{Type: "email_change", TokenHash: "pkce_abc"}, []auth.Purpose{auth.PurposeEmailCurrent, auth.PurposeEmailNew}, "", sha("pkce_abc"), 0},
		{"invitation", flow.Verify{Type: "invite", TokenHash: "abc"}, []auth.Purpose{auth.PurposeInvite}, "", sha("abc"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			var asked auth.Redeem
			b.store.redeem = func(r auth.Redeem) (auth.RedeemResult, error) {
				asked = r
				s := *r.Session
				s.UserID = account().ID
				return auth.RedeemResult{Outcome: auth.RedeemDone, User: account(), Session: s}, nil
			}
			v, err := b.accounts().Verify(t.Context(), c.in)
			if err != nil || v.SignedIn == nil || v.SignedIn.Session.ID != asked.Session.ID || v.AuthCode != "" {
				t.Fatalf("%+v, %v", v, err)
			}
			if !slices.Equal(asked.Purposes, c.purposes) || asked.Address != c.address || asked.TokenHash != c.hash || len(asked.CodeHashes) != c.codes || asked.MaxAttempts != 6 {
				t.Errorf("%+v", asked)
			}
		})
	}
}

// TestVerifyRefuses without asking the store.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	email := "a@x.org"
	for _, c := range []struct {
		name string
		in   flow.Verify
		want auth.Code
	}{
		{"no type", flow.Verify{Code: "123456", Email: email}, auth.CodeValidation},
		{"unknown type", flow.Verify{Type: "reauthentication", Code: "123456", Email: email}, auth.CodeValidation},
		{"hash and code", flow.Verify{Type: "signup", Code: "123456", TokenHash: "x"}, auth.CodeValidation},
		{"hash and address", flow.Verify{Type: "signup", Email: email, TokenHash: "x"}, auth.CodeValidation},
		{"neither", flow.Verify{Type: "signup", Email: email}, auth.CodeValidation},
		{"both addresses", flow.Verify{Type: "signup", Email: email, Phone: "4912345", Code: "123456"}, auth.CodeValidation},
		{"no address", flow.Verify{Type: "signup", Code: "123456"}, auth.CodeValidation},
		{"phone for mail", flow.Verify{Type: "signup", Phone: "4912345", Code: "123456"}, auth.CodeValidation},
		{"mail for phone", flow.Verify{Type: "sms", Email: email, Code: "123456"}, auth.CodeValidation},
		{"letters", flow.Verify{Type: "signup", Email: email, Code: "12345a"}, auth.CodeOTPExpired},
		{"too short", flow.Verify{Type: "signup", Email: email, Code: "12345"}, auth.CodeOTPExpired},
		{"too long", flow.Verify{Type: "signup", Email: email, Code: "12345678901"}, auth.CodeOTPExpired},
		{"Arabic digits", flow.Verify{Type: "signup", Email: email, Code: "١٢٣٤٥٦"}, auth.CodeOTPExpired},
		{"wide digits", flow.Verify{Type: "signup", Email: email, Code: "１２３４５６"}, auth.CodeOTPExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			_, err := b.accounts().Verify(t.Context(), c.in)
			wantCode(t, err, c.want)
			b.steps(t)
		})
	}
}

// TestVerifyOutcomes: what each answer of the store becomes.
func TestVerifyOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		res  auth.RedeemResult
		err  error
		want auth.Code
	}{
		{"refused", auth.RedeemResult{}, nil, auth.CodeOTPExpired},
		{"banned", auth.RedeemResult{Outcome: auth.RedeemBanned}, nil, auth.CodeTokenUserBanned},
		{"address gone", auth.RedeemResult{}, auth.ErrEmailTaken, auth.CodeEmailExists},
		{"number gone", auth.RedeemResult{}, auth.ErrPhoneTaken, auth.CodePhoneExists},
		{"database", auth.RedeemResult{}, errUnexpected, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			b.store.redeem = func(auth.Redeem) (auth.RedeemResult, error) { return c.res, c.err }
			v, err := b.accounts().Verify(t.Context(), flow.Verify{Type: "signup", TokenHash: "x"})
			if v.SignedIn != nil || v.AuthCode != "" {
				t.Errorf("%+v", v)
			}
			wantCode(t, err, c.want)
		})
	}
	t.Run("first half of a change", func(t *testing.T) {
		t.Parallel()
		b, _ := messages(t)
		b.store.redeem = func(auth.Redeem) (auth.RedeemResult, error) {
			return auth.RedeemResult{Outcome: auth.RedeemHalf}, nil
		}
		if v, err := b.accounts().Verify(t.Context(), flow.Verify{Type: "email_change", TokenHash: "x"}); err != nil || !v.Half || v.SignedIn != nil {
			t.Errorf("%+v, %v", v, err)
		}
	})
	t.Run("PKCE", func(t *testing.T) {
		t.Parallel()
		b, _ := messages(t)
		var stored string
		b.store.redeem = func(r auth.Redeem) (auth.RedeemResult, error) {
			stored = r.AuthCodeHash
			return auth.RedeemResult{Outcome: auth.RedeemDone, User: account(), FlowState: auth.FlowState{ID: auth.ID{9}}}, nil
		}
		v, err := b.accounts().Verify(t.Context(), flow.Verify{Type: "magiclink", TokenHash: "pkce_x", Link: true})
		if err != nil || v.SignedIn != nil || sha(v.AuthCode) != stored {
			t.Errorf("%+v, %v, stored %q", v, err, stored)
		}
		_, _ = b.accounts().Verify(t.Context(), flow.Verify{Type: "magiclink", TokenHash: "pkce_x"})
		if stored != "" {
			t.Error("a client that presents the token itself was to get a code")
		}
	})
}

// TestVerifyLimit: guesses of one address of the network are counted.
func TestVerifyLimit(t *testing.T) {
	t.Parallel()
	b, _ := messages(t)
	limited(b)
	b.config.VerifyPerIP.Count = 3
	b.store.redeem = func(auth.Redeem) (auth.RedeemResult, error) { return auth.RedeemResult{}, nil }
	a := b.accounts()
	var got []string
	for range 4 {
		_, err := a.Verify(t.Context(), flow.Verify{Type: "signup", Email: "a@x.org", Code: "123456", Meta: auth.Meta{IP: "192.0.2.1"}})
		got = append(got, string(codeOf(err)))
	}
	if want := "otp_expired otp_expired otp_expired rate_limited"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}
