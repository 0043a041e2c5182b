package auth

import (
	"encoding/json"
	"net/mail"
	"strconv"
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
// several spellings, or put a header into a mail. So would invisible characters, bytes that
// are no UTF-8 (ToLower and JSON decoders turn them all into U+FFFD), and encoded words
// (RFC 2047: "=?utf-8?q?…" is decoded by some mail servers). A host without a dot is
// allowed, as GoTrue allows it: intranets have them.
func NormalizeEmail(s string) (string, error) {
	if !utf8.ValidString(s) || strings.Contains(s, "=?") {
		return "", E(CodeValidation, msgBadEmail)
	}
	s = strings.ToLower(strings.TrimSpace(s))
	at := strings.LastIndexByte(s, '@')
	if at < 1 || len(s) > maxEmail || at > 64 {
		return "", E(CodeValidation, msgBadEmail)
	}
	for _, r := range s {
		if r <= ' ' || r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(`"(),:;<>[\]`, r) {
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

// plausibleHost wants non-empty labels of at most 63 bytes (RFC 1035 §2.3.4) that hold
// none of the signs which are right before the "@" only: they could end the host or begin
// a query wherever an address is put into a link.
func plausibleHost(host string) bool {
	if strings.ContainsAny(host, "!#$%&'*+/=?^`{|}~") {
		return false
	}
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

// Bounds of a JSON document. Each stops one that a database refuses or blows up.
const (
	maxJSONDepth    = 100 // SQLite's JSON functions stop at 1,000
	maxJSONNumber   = 64  // characters of one number
	maxJSONExponent = 3   // digits of its exponent
)

// CleanJSON reports whether a syntactically right JSON document can be stored as jsonb:
//
//   - like CleanText, and without an escaped NUL or an unpaired surrogate;
//   - without numbers of unusual length or exponent: jsonb keeps numbers in full decimal,
//     so that each 1e131000 of a small body would take 64 kB of the database, and one
//     digit more in the exponent is an error there; beyond the range of a float64, Go
//     programs fail on the whole document;
//   - not nested deeper than SQLite can read.
func CleanJSON(raw json.RawMessage) bool {
	if !utf8.Valid(raw) {
		return false
	}
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			n, ok := cleanString(raw[i:])
			if !ok {
				return false
			}
			i += n - 1
		case c == '[' || c == '{':
			if depth++; depth > maxJSONDepth {
				return false
			}
		case c == ']' || c == '}':
			depth--
		case c == '-' || c >= '0' && c <= '9':
			n, ok := cleanNumber(raw[i:])
			if !ok {
				return false
			}
			i += n - 1
		}
	}
	return true
}

// cleanString checks the escapes of the string that raw begins with, and gives its length
// with both quotes.
func cleanString(raw []byte) (int, bool) {
	for i := 1; i < len(raw); i++ {
		switch {
		case raw[i] == 0:
			return 0, false
		case raw[i] == '"':
			return i + 1, true
		case raw[i] != '\\':
			continue
		case i+1 < len(raw) && raw[i+1] != 'u':
			i++
			continue
		}
		unit, ok := hexUnit(raw, i+2)
		if !ok || unit == 0 || unit >= 0xdc00 && unit <= 0xdfff {
			return 0, false
		}
		i += 5
		if unit >= 0xd800 && unit <= 0xdbff {
			if i+2 >= len(raw) || raw[i+1] != '\\' || raw[i+2] != 'u' {
				return 0, false
			}
			low, ok := hexUnit(raw, i+3)
			if !ok || low < 0xdc00 || low > 0xdfff {
				return 0, false
			}
			i += 6
		}
	}
	return 0, false
}

// cleanNumber checks the number that raw begins with, and gives its length.
func cleanNumber(raw []byte) (int, bool) {
	n, exponent := 0, -1 // of which exponent digits; -1 before the e
	for n < len(raw) && (raw[n] == '-' || raw[n] == '+' || raw[n] == '.' || raw[n]|0x20 == 'e' || raw[n] >= '0' && raw[n] <= '9') {
		switch {
		case raw[n]|0x20 == 'e':
			exponent = 0
		case exponent >= 0 && raw[n] >= '0':
			exponent++
		}
		n++
	}
	if n > maxJSONNumber || exponent > maxJSONExponent {
		return 0, false
	}
	_, err := strconv.ParseFloat(string(raw[:n]), 64)
	return n, err == nil
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
