package usersync

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Identity is what an issuer says about one of its users at one moment. It is made of
// verified claims, of the issuer's own answer, or of a signed webhook, never of what a
// client sent.
type Identity struct {
	// Issuer and Subject name the user; both are needed. They are compared exactly.
	Issuer, Subject string

	// Email and Phone count only with the flag beside them, which says that the issuer
	// vouches for a proof. user_metadata is no proof: the user writes it.
	Email, Phone                 string
	EmailVerified, PhoneVerified bool

	// AuthProvider is how the account was made: "email", "phone", "google". Providers are
	// the ways to sign in that the issuer has linked to the account.
	AuthProvider string
	Providers    []Provider

	// Profile decides nothing: the user may have written it.
	Profile Profile

	// Standing is what the issuer says of the account itself, and SourceAt when it was so.
	// A token says nothing of it: it was made before.
	Standing Standing
	SourceAt time.Time
}

// Provider is one way to sign in at the issuer.
type Provider struct {
	Name string `json:"provider"`
	ID   string `json:"identity_id"` // the user's id there; may be empty
}

// Profile is what people tell about themselves. The zero value of a field means that it is
// not known.
type Profile struct {
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	FullName  string `json:"full_name"`
	AvatarURL string `json:"avatar_url"`
	Locale    string `json:"locale"`
}

// Standing is the state of an account at its issuer.
type Standing string

// The standings.
const (
	StandingUnknown Standing = ""        // nothing was said
	StandingGood    Standing = "good"    // it exists and may sign in
	StandingBanned  Standing = "banned"  // it exists and may not sign in
	StandingDeleted Standing = "deleted" // it is gone
)

// The longest values, in bytes. What is longer is no address and no name.
const (
	maxEmail   = 254 // RFC 5321 §4.5.3.1.3
	minDigits  = 7   // E.164, country code included
	maxDigits  = 15
	maxText    = 200
	maxURL     = 2048
	maxSubject = 255
	maxLinked  = 20 // providers of one account
)

// NormalizeEmail gives the one spelling in which addresses are compared and stored, or ""
// for what is none. Only A to Z are folded: folding all of Unicode would make different
// addresses equal, such as one with the Kelvin sign and one with a k, and whoever proves
// the first would get the row of the second.
func NormalizeEmail(s string) string {
	s = strings.TrimSpace(s)
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || len(s) > maxEmail || !plain(s) || strings.ContainsAny(s, " <>,;") {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// NormalizePhone gives the digits of an E.164 number, country code first and without "+",
// or "" for what is none. Issuers keep numbers in that form; a number without its country
// code is not guessed at, and numbers are compared whole: the last ten digits belong to
// somebody in every country.
func NormalizePhone(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "+")
	var digits strings.Builder
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case strings.ContainsRune(" -()", r):
		default:
			return ""
		}
	}
	d := digits.String()
	if len(d) < minDigits || len(d) > maxDigits || d[0] == '0' {
		return ""
	}
	return d
}

// plain says whether text can be stored and logged: UTF-8 without control characters. A NUL
// breaks databases, a line break breaks logs.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// Valid says whether the identity names a user at all.
func (id Identity) Valid() bool {
	return id.Issuer != "" && id.Subject != "" && plain(id.Issuer) && plain(id.Subject) && len(id.Subject) <= maxSubject
}

// Proved gives the identity with normalised addresses, and without those that nobody
// vouches for. Decide works on what it gives; so must the look-ups of its candidates.
func (id Identity) Proved() Identity {
	id.Email, id.Phone = NormalizeEmail(id.Email), NormalizePhone(id.Phone)
	if !id.EmailVerified {
		id.Email = ""
	}
	if !id.PhoneVerified {
		id.Phone = ""
	}
	id.EmailVerified, id.PhoneVerified = id.Email != "", id.Phone != ""
	id.AuthProvider = text(id.AuthProvider)
	id.Providers = cleanProviders(id.Providers)
	id.Profile = id.Profile.clean()
	return id
}

func cleanProviders(list []Provider) []Provider {
	var out []Provider
	for _, p := range list {
		p.Name, p.ID = text(p.Name), text(p.ID)
		if p.Name != "" && !slices.Contains(out, p) && len(out) < maxLinked {
			out = append(out, p)
		}
	}
	return out
}

// clean drops what can't be stored or shown.
func (p Profile) clean() Profile {
	return Profile{
		FirstName: text(p.FirstName), LastName: text(p.LastName), FullName: text(p.FullName),
		AvatarURL: webURL(p.AvatarURL), Locale: text(p.Locale),
	}
}

// fill gives the fields that p lacks and from has.
func (p Profile) fill(from Profile) Profile {
	missing := func(have, offered string) string {
		if have != "" {
			return ""
		}
		return offered
	}
	return Profile{
		FirstName: missing(p.FirstName, from.FirstName), LastName: missing(p.LastName, from.LastName),
		FullName: missing(p.FullName, from.FullName), AvatarURL: missing(p.AvatarURL, from.AvatarURL),
		Locale: missing(p.Locale, from.Locale),
	}
}

// with gives p with the fields that set has.
func (p Profile) with(set Profile) Profile {
	choose := func(have, set string) string {
		if set != "" {
			return set
		}
		return have
	}
	return Profile{
		FirstName: choose(p.FirstName, set.FirstName), LastName: choose(p.LastName, set.LastName),
		FullName: choose(p.FullName, set.FullName), AvatarURL: choose(p.AvatarURL, set.AvatarURL),
		Locale: choose(p.Locale, set.Locale),
	}
}

// text is one line of at most maxText bytes; anything else is nothing.
func text(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxText || !plain(s) {
		return ""
	}
	return s
}

// webURL refuses script schemes: pages show it.
func webURL(s string) string {
	s = strings.TrimSpace(s)
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || !plain(s) || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return s
}
