package notify

import (
	"fmt"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Preview renders a message with sample data, as `cardea mail preview` shows it. Channel ""
// is e-mail, locale "" the default language. A template that fails is an error here, and
// not replaced.
func (t *Templates) Preview(kind Kind, locale, channel string) (Rendered, error) {
	if !slices.Contains(Kinds(), kind) {
		return Rendered{}, fmt.Errorf("notify: there is no kind of message %q; there are %v", kind, Kinds())
	}
	if locale == "" {
		locale = t.locale
	}
	if channel == "" {
		channel = ChannelEmail
	}
	m := sample(kind, locale, channel)
	if t.siteURL != "" {
		m.Vars.SiteURL, m.Vars.RedirectTo = t.siteURL, t.siteURL
	}
	r, warning, err := t.render(m)
	if err == nil {
		err = warning
	}
	return r, err
}

// sample is a message as rich as its kind gets.
func sample(kind Kind, locale, channel string) Message {
	m := Message{
		ID: auth.ID{15: 1}, Channel: channel, Kind: kind, To: "ada@example.com", Locale: locale,
		CreatedAt: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		Vars: Vars{
			SiteURL: "https://app.example.com", RedirectTo: "https://app.example.com/welcome",
			Email: "ada@example.com", SendingTo: "ada@example.com", Phone: "4915112345678",
			Data: map[string]any{"full_name": "Ada Lovelace", "locale": locale},
		},
	}
	if channel != ChannelEmail {
		m.To, m.Vars.SendingTo = "4915112345678", "4915112345678"
	}
	v := &m.Vars
	if !kind.Notice() {
		v.Token = "482913"
		if channel == ChannelEmail && kind != KindReauthentication && kind != KindSMS && kind != KindPhoneChange {
			v.TokenHash = "5fbb1a6e0c37d9e2480a9c51f76b03de8842cc917ab6e05d13f4a2c9"
			v.ConfirmationURL = "https://auth.example.com/auth/v1/verify?token=" + v.TokenHash + "&type=" + sampleType(kind) +
				"&redirect_to=https%3A%2F%2Fapp.example.com%2Fwelcome"
		}
	}
	switch kind {
	case KindEmailChange, KindEmailChanged:
		v.OldEmail, v.NewEmail = "ada@example.com", "lovelace@example.org"
		if kind == KindEmailChanged {
			v.Email = v.NewEmail
		}
	case KindPhoneChange, KindPhoneChanged:
		v.OldPhone = "4915187654321"
	case KindIdentityLinked, KindIdentityUnlinked:
		v.Provider = "google"
	case KindFactorEnrolled, KindFactorUnenrolled:
		v.FactorType = "totp"
	case KindNewDevice:
		v.Device, v.IPAddress = "Firefox, Windows", "203.0.113.7"
	}
	return m
}

func sampleType(kind Kind) string {
	switch kind {
	case KindConfirmation:
		return "signup"
	case KindMagicLink:
		return "magiclink"
	}
	return string(kind)
}

// bare is a message with nothing that it could do without.
func bare(kind Kind, locale, channel string) Message {
	m := sample(kind, locale, channel)
	m.Vars.Data, m.Vars.RedirectTo, m.Vars.SiteURL, m.Vars.Phone, m.Vars.OldPhone, m.Vars.IPAddress = nil, "", "", "", "", ""
	if kind == KindEmailChange {
		m.Vars.Email, m.Vars.OldEmail = "", "" // of an account that was anonymous
	}
	return m
}
