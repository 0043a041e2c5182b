package flow

import (
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Bounds of names of people and tenants, in characters.
const (
	minName = 2
	maxName = 100
)

// readName takes markup and superfluous space out of a name. What remains is text: pages
// still have to escape it, but one that forgets to shows no script of a stranger's.
func readName(s string) (string, error) {
	if !auth.CleanText(s) || len(s) > 4*maxName*4 {
		return "", badName()
	}
	s = strings.Join(strings.Fields(stripMarkup(norm.NFC.String(s))), " ")
	for _, r := range s {
		// Letters that turn the direction of what follows let a name read as another one.
		if unicode.IsControl(r) || r == utf8.RuneError || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return "", badName()
		}
	}
	if n := utf8.RuneCountInString(s); n < minName || n > maxName || !hasLetter(s) {
		return "", badName()
	}
	return s, nil
}

func badName() error {
	return auth.E(auth.CodeValidation, "A name must have 2 to 100 characters besides markup, and no control characters")
}

func hasLetter(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
}

// stripMarkup takes tags out. Angle brackets that belong to none go too: what is left of a
// tag within a tag must not be one.
func stripMarkup(s string) string {
	var b strings.Builder
	for s != "" {
		from := strings.IndexAny(s, "<>")
		if from < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:from])
		rest := s[from+1:]
		if to := strings.IndexByte(rest, '>'); s[from] == '<' && to >= 0 && rest != "" && opensTag(rest[0]) {
			rest = rest[to+1:]
		}
		s = rest
	}
	return b.String()
}

// opensTag reports whether a "<" before this byte begins a tag, a comment or a declaration.
func opensTag(c byte) bool {
	return c == '/' || c == '!' || c == '?' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// readBirthDate takes a day that somebody of a configured age may have been born on.
func (c *Config) readBirthDate(s string) (string, error) {
	oldest := c.MaxAge
	if oldest == 0 {
		oldest = 120
	}
	born, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return "", auth.E(auth.CodeValidation, "birth date must be a day as YYYY-MM-DD")
	}
	today := c.now()
	if years := age(born, today); born.After(today) || years < c.MinAge || years > oldest {
		return "", auth.E(auth.CodeValidation, "birth date is outside of the ages that are allowed")
	}
	return s, nil
}

// maxURL is the longest address of a picture, in bytes.
const maxURL = 2048

// readImageURL takes an absolute address that a browser fetches a picture from. Other
// schemes run scripts (javascript:) or hold the picture itself (data:); a user name in front
// of the host makes an address look like another one's.
func readImageURL(s string) (string, error) {
	bad := auth.E(auth.CodeValidation, "image URL must be an absolute http or https URL of at most 2048 bytes")
	if len(s) > maxURL || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune(`"<>\^{|}`+"`", r)
	}) {
		return "", bad
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", bad
	}
	return u.String(), nil
}

// readLanguage gives the canonical form of a language tag.
func readLanguage(s string) (string, error) {
	bad := auth.E(auth.CodeValidation, "language must be a BCP 47 tag such as en or pt-BR")
	if len(s) > 35 { // RFC 5646 §4.4.1
		return "", bad
	}
	tag, err := language.Parse(s)
	if err != nil || tag == language.Und {
		return "", bad
	}
	return tag.String(), nil
}

// printableName cuts a name that a caller sent to what may stand in a sentence.
func printableName(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 32 {
		return string(r[:32])
	}
	return s
}

// age gives the full years between two days.
func age(born, today time.Time) int {
	years := today.Year() - born.Year()
	if today.Month() < born.Month() || today.Month() == born.Month() && today.Day() < born.Day() {
		years--
	}
	return years
}
