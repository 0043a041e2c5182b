package flow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// TestIdentifierStatus is S2.34 and A3.4: the six cases of the full mode, and in the mode
// next_step_only one answer for everybody, without a look at any account.
func TestIdentifierStatus(t *testing.T) {
	t.Parallel()
	with := func(change func(*auth.User)) auth.User {
		u := account()
		u.Phone, u.PhoneConfirmedAt = "4912345", at()
		change(&u)
		return u
	}
	for _, c := range []struct {
		name       string
		user       auth.User
		identifier string
		want       flow.IdentifierStatus
	}{
		{"unknown address", account(), "nobody@x.org", flow.IdentifierStatus{Channel: "email", NextStep: "otp"}},
		{"unknown number", account(), "+49 99999", flow.IdentifierStatus{Channel: "phone", NextStep: "otp"}},
		{"all", account(), "A@x.org", flow.IdentifierStatus{Exists: true, Verified: true, HasPassword: true, Channel: "email", NextStep: "password"}},
		{"not verified", with(func(u *auth.User) { u.EmailConfirmedAt = time.Time{} }), "a@x.org",
			flow.IdentifierStatus{Exists: true, HasPassword: true, Channel: "email", NextStep: "otp"}},
		{"no password", with(func(u *auth.User) { u.PasswordHash = "" }), "a@x.org",
			flow.IdentifierStatus{Exists: true, Verified: true, Channel: "email", NextStep: "otp"}},
		{"number", with(func(*auth.User) {}), "4912345", flow.IdentifierStatus{Exists: true, Verified: true, HasPassword: true, Channel: "phone", NextStep: "password"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			b.config.Discovery = flow.DiscoveryFull
			b.knows(c.user)
			if got, err := b.accounts().IdentifierStatus(t.Context(), c.identifier, auth.Meta{}); err != nil || got != c.want {
				t.Errorf("%+v, %v, want %+v", got, err, c.want)
			}
		})
	}
	t.Run("next_step_only", func(t *testing.T) {
		t.Parallel()
		b, _ := messages(t)
		b.config.Discovery = flow.DiscoveryNextStep
		known, err1 := b.accounts().IdentifierStatus(t.Context(), "a@x.org", auth.Meta{})
		unknown, err2 := b.accounts().IdentifierStatus(t.Context(), "nobody@x.org", auth.Meta{})
		if err1 != nil || err2 != nil || known != unknown || known.NextStep != "otp" {
			t.Errorf("%+v, %+v, %v, %v", known, unknown, err1, err2)
		}
		b.config.Mail = false
		if s, err := b.accounts().IdentifierStatus(t.Context(), "a@x.org", auth.Meta{}); err != nil || s.NextStep != "password" {
			t.Errorf("without mail: %+v, %v", s, err)
		}
		b.steps(t)
	})
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		b, _ := messages(t)
		_, err := b.accounts().IdentifierStatus(t.Context(), "a@x.org", auth.Meta{})
		wantCode(t, err, auth.CodeFeatureDisabled)
	})
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		b, _ := messages(t)
		b.config.Discovery = flow.DiscoveryFull
		b.store.byEmail = func(string, string) (auth.User, error) { return auth.User{}, errUnexpected }
		_, err := b.accounts().IdentifierStatus(t.Context(), "a@x.org", auth.Meta{})
		var e *auth.Error
		if !errors.As(err, &e) || e.Code != auth.CodeUnavailable || e.RetryAfter != 30*time.Second {
			t.Errorf("%v", err)
		}
	})
}

// TestIdentifierLimits is A21.1 for this route: the sixth question about one person in an
// hour, and the eleventh in a minute, are refused.
func TestIdentifierLimits(t *testing.T) {
	t.Parallel()
	b, _ := messages(t)
	limited(b)
	b.config.Discovery = flow.DiscoveryNextStep
	a := b.accounts()
	for i := range 6 {
		_, err := a.IdentifierStatus(t.Context(), "A@x.org", auth.Meta{IP: "192.0.2." + string(rune('1'+i))})
		if want := i == 5; (err != nil) != want {
			t.Errorf("question %d about one person: %v", i+1, err)
		}
	}
	for i := range 11 {
		_, err := a.IdentifierStatus(t.Context(), string(rune('b'+i))+"@x.org", auth.Meta{IP: "198.51.100.1"})
		if want := i == 10; (err != nil) != want {
			t.Errorf("question %d of one address: %v", i+1, err)
		}
	}
	for _, bad := range []string{"", " ", "@", "a@x.org\x00", "12a", string(make([]byte, 321))} {
		_, err := a.IdentifierStatus(t.Context(), bad, auth.Meta{})
		wantCode(t, err, auth.CodeValidation)
	}
}
