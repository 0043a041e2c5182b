// Package password hashes and checks passwords, and says which new ones are good enough.
//
// New hashes are argon2id by default (OWASP's 19 MiB, t=2, p=1; RFC 9106), bcrypt by
// choice. Hashes of other systems (bcrypt, argon2i, scrypt, Firebase's scrypt, PBKDF2) are
// verified as they are and renewed at the next sign-in.
//
// A [Policy] looks at length, required characters, a list of common passwords ([Common]),
// words that are known of the owner, and, where an operator wants it, at a service that
// knows leaked passwords ([Leaks]). It does not measure strength, and does not know
// yesterday's password of the same person.
package password

import (
	"context"
	"fmt"
	"slices"
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

// Reasons of a refusal (Error.Reasons). The first three are GoTrue's, which clients know;
// the others are ours.
const (
	ReasonLength     = "length"
	ReasonCharacters = "characters"
	ReasonPwned      = "pwned"   // the leak service knows it
	ReasonCommon     = "common"  // on the list of common passwords, or a disguise of one on it
	ReasonContext    = "context" // made of what is known of the owner
)

// guessable is GoTrue's sentence for a password that is among the first to be tried.
const guessable = "Password is known to be weak and easy to guess, please choose a different one."

// Policy says which new passwords are good enough. The zero value asks for 8 to 128 code
// points and nothing else. It is safe for concurrent use.
type Policy struct {
	MinLength          int      // 0: 8; never less than 6
	MaxLength          int      // 0: 128
	RequiredCharacters []string // at least one character of each set
	Common             *Common  // nil: not looked up
	Words              []string // names of the service; they count like words about the owner
	Leaks              *Leaks   // nil: nobody is asked
}

// Check says what is wrong with a password of which nothing else is known; nil if nothing
// is. It asks nobody. CodeWeakPassword has the Reason constants as reasons, CodeValidation
// is for a password that can't be used at all.
func (p Policy) Check(password string) *auth.Error {
	reasons, messages, err := p.local(password, nil)
	if err != nil {
		return err
	}
	return weak(reasons, messages)
}

// CheckNew is Check for a new password. about is what is known of its owner: e-mail
// address, phone number, names; unknown ones may be "". A password that is otherwise good
// is looked up at Leaks; when that fails, the password counts as good, or with
// Leaks.FailClosed the answer is CodeUnavailable.
func (p Policy) CheckNew(ctx context.Context, password string, about ...string) *auth.Error {
	reasons, messages, err := p.local(password, about)
	if err != nil {
		return err
	}
	if len(reasons) > 0 || p.Leaks == nil {
		return weak(reasons, messages)
	}
	leaked, failure := p.Leaks.Contains(ctx, password)
	switch {
	case failure != nil && p.Leaks.c.FailClosed:
		return &auth.Error{Code: auth.CodeUnavailable, Cause: failure, RetryAfter: restAfterFailure}
	case leaked:
		return weak([]string{ReasonPwned}, []string{guessable})
	}
	return nil
}

func weak(reasons, messages []string) *auth.Error {
	if len(reasons) == 0 {
		return nil
	}
	return &auth.Error{Code: auth.CodeWeakPassword, Message: strings.Join(messages, " "), Reasons: reasons}
}

// local makes every check that needs nobody else.
func (p Policy) local(password string, about []string) (reasons, messages []string, err *auth.Error) {
	if !auth.CleanText(password) {
		return nil, nil, auth.E(auth.CodeValidation, "Password contains characters that can't be used (NUL or invalid UTF-8)")
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
		return nil, nil, auth.E(auth.CodeValidation, fmt.Sprintf("Password cannot be longer than %d characters", most))
	}
	complain := func(reason, message string) {
		reasons, messages = append(reasons, reason), append(messages, message)
	}
	if n < least {
		complain(ReasonLength, fmt.Sprintf("Password should be at least %d characters.", least))
	}
	for _, set := range p.RequiredCharacters {
		if set != "" && !strings.ContainsAny(text, set) {
			complain(ReasonCharacters, fmt.Sprintf("Password should contain at least one character of each: %s.",
				strings.Join(p.RequiredCharacters, ", ")))
			break
		}
	}
	if text == "" {
		return reasons, messages, nil
	}
	if p.Common != nil {
		switch common, failure := p.Common.Contains(text); {
		case failure != nil:
			return nil, nil, auth.Wrap(auth.CodeInternal, failure)
		case common:
			complain(ReasonCommon, guessable)
		}
	}
	if madeOf(text, contextWords(slices.Concat(about, p.Words)...)) {
		complain(ReasonContext, "Password should not be made of your name, your address or the name of this service.")
	}
	return reasons, messages, nil
}
