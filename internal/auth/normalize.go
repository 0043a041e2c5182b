package auth

import (
	"encoding/json"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Messages that Supabase's clients match on.
const (
	msgBadEmail = "Unable to validate email address: invalid format"
	msgBadPhone = "Invalid phone number format (E.164 required)"
)

// maxEmail is the longest address that SMTP can carry in a path (RFC 5321 §4.5.3.1.3,
// less the angle brackets); it also fits GoTrue's varchar(255) column.
const maxEmail = 254

// NormalizeEmail trims and lower-cases an address and refuses what is not one: display
// names, comments, control characters and quoted local parts would give one mailbox
// several spellings, or put a header into a mail. A host without a dot is allowed, as
// GoTrue allows it: intranets have them.
func NormalizeEmail(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	at := strings.LastIndexByte(s, '@')
	if at < 1 || len(s) > maxEmail || at > 64 || !utf8.ValidString(s) {
		return "", E(CodeValidation, msgBadEmail)
	}
	for _, r := range s {
		if r <= ' ' || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`"(),:;<>[\]`, r) {
			return "", E(CodeValidation, msgBadEmail)
		}
	}
	host := s[at+1:]
	addr, err := mail.ParseAddress(s)
	if err != nil || addr.Address != s || addr.Name != "" || !plausibleHost(host) {
		return "", E(CodeValidation, msgBadEmail)
	}
	return s, nil
}

// plausibleHost wants non-empty labels of at most 63 bytes (RFC 1035 §2.3.4).
func plausibleHost(host string) bool {
	for l := range strings.SplitSeq(host, ".") {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	return true
}

// NormalizePhone gives E.164 digits without the leading "+". Spaces are dropped, as
// GoTrue does; anything else that is not a digit is refused.
func NormalizePhone(s string) (string, error) {
	s = strings.TrimPrefix(strings.ReplaceAll(s, " ", ""), "+")
	if len(s) < 2 || len(s) > 15 || s[0] == '0' {
		return "", E(CodeValidation, msgBadPhone)
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return "", E(CodeValidation, msgBadPhone)
		}
	}
	return s, nil
}

// CleanText reports whether s can be stored: valid UTF-8 without NUL, which PostgreSQL
// refuses in text and in jsonb. Checking first makes it a 400 instead of a 500.
func CleanText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// CleanJSON reports whether a JSON document can be stored as jsonb: like CleanText, and
// without an escaped NUL or an unpaired surrogate, which jsonb refuses too.
func CleanJSON(raw json.RawMessage) bool {
	if !utf8.Valid(raw) {
		return false
	}
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if raw[i+1] != 'u' {
			i++
			continue
		}
		unit, ok := hexUnit(raw, i+2)
		if !ok || unit == 0 || unit >= 0xdc00 && unit <= 0xdfff {
			return false
		}
		i += 5
		if unit >= 0xd800 && unit <= 0xdbff {
			if i+2 >= len(raw) || raw[i+1] != '\\' || raw[i+2] != 'u' {
				return false
			}
			low, ok := hexUnit(raw, i+3)
			if !ok || low < 0xdc00 || low > 0xdfff {
				return false
			}
			i += 6
		}
	}
	return true
}

// hexUnit reads the four hex digits of a \u escape.
func hexUnit(raw []byte, at int) (uint32, bool) {
	if at+4 > len(raw) {
		return 0, false
	}
	var v uint32
	for _, c := range raw[at : at+4] {
		v <<= 4
		switch {
		case c >= '0' && c <= '9':
			v |= uint32(c - '0')
		case c >= 'a' && c <= 'f':
			v |= uint32(c-'a') + 10
		case c >= 'A' && c <= 'F':
			v |= uint32(c-'A') + 10
		default:
			return 0, false
		}
	}
	return v, true
}
