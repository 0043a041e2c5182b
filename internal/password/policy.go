// Package password hashes and checks passwords, and says which new ones are good enough.
//
// New hashes are argon2id by default (OWASP's 19 MiB, t=2, p=1; RFC 9106), bcrypt by
// choice. Hashes of other systems (bcrypt, argon2i, scrypt, Firebase's scrypt, PBKDF2) are
// verified as they are and renewed at the next sign-in.
//
// What it does not check yet: whether a password is common or has leaked.
package password

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/cardea-auth/cardea/internal/auth"
)

// The lengths of new passwords, in code points. NIST SP 800-63B §5.1.1.2: at least eight,
// no composition rules, and long ones welcome.
const (
	minLength        = 8
	minLengthAllowed = 6
	maxLength        = 128
)

// Policy says which new passwords are good enough. The zero value asks for 8 to 128 code
// points and nothing else.
type Policy struct {
	MinLength          int      // 0: 8; never less than 6
	MaxLength          int      // 0: 128
	RequiredCharacters []string // at least one character of each set
}

// Check says what is wrong with a new password; nil if nothing is. CodeWeakPassword has the
// reasons "length" and "characters", CodeValidation is for one that can't be used at all.
func (p Policy) Check(password string) *auth.Error {
	if !auth.CleanText(password) {
		return auth.E(auth.CodeValidation, "Password contains characters that can't be used (NUL or invalid UTF-8)")
	}
	least, most := max(p.MinLength, minLengthAllowed), p.MaxLength
	if p.MinLength == 0 {
		least = minLength
	}
	if most == 0 {
		most = maxLength
	}
	text := norm.NFC.String(password)
	n := utf8.RuneCountInString(text)
	if n > most {
		return auth.E(auth.CodeValidation, fmt.Sprintf("Password cannot be longer than %d characters", most))
	}
	var reasons, messages []string
	if n < least {
		reasons = append(reasons, "length")
		messages = append(messages, fmt.Sprintf("Password should be at least %d characters.", least))
	}
	for _, set := range p.RequiredCharacters {
		if set != "" && !strings.ContainsAny(text, set) {
			reasons = append(reasons, "characters")
			messages = append(messages, fmt.Sprintf("Password should contain at least one character of each: %s.",
				strings.Join(p.RequiredCharacters, ", ")))
			break
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return &auth.Error{Code: auth.CodeWeakPassword, Message: strings.Join(messages, " "), Reasons: reasons}
}
