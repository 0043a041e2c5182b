// Package phone reads telephone numbers as people write them and gives each one spelling:
// the digits of E.164 without the "+", which is how the stores keep them. One number must be
// one account, and two numbers never the same.
//
//	9876543210, 91 98765-43210, 0091 98765 43210, (+91) 98765 43210  ->  919876543210
//
// What a number may consist of comes from libphonenumber's metadata (nyaruka/phonenumbers).
// Whether the number exists, and whose it is, only a code that is sent there can tell.
package phone

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/cardea-auth/cardea/internal/auth"
)

// message tells people what to do. It does not repeat what they typed: it goes into answers
// and logs.
const message = "Invalid phone number: write it with its country code, as in +91 98765 43210"

const (
	maxInput  = 64 // bytes; the longest number has 15 digits
	maxDigits = 15 // E.164
	// bare is how many digits make a number without a country code, at most. Whatever is
	// longer has its country code in front, with or without "+".
	bare = 10
	// suffix is how many digits at the end people know a number by.
	suffix = 10
)

// Reader reads numbers for one application.
type Reader struct {
	// Region is where a number without a country code is at home: an ISO 3166 code such as
	// "IN", or a calling code such as "+91". "" for nowhere: such numbers are refused.
	Region string
	// Trunk reads a leading 0 (the trunk prefix of most countries) as people write it at home:
	// 030 123456 in Germany. Without it such a number is refused.
	Trunk bool
}

// Check reports what is wrong with the settings.
func (r Reader) Check() error {
	_, _, err := region(r.Region)
	return err
}

// Canonical gives the digits of E.164 without the "+". In this order:
//
//   - spaces, dashes and parentheses are dropped; any other character that is no ASCII digit
//     is refused, letters, extensions and digits of other scripts too;
//   - a leading "00" stands for "+";
//   - without either, up to 10 digits are a number of the region, 11 to 15 have their
//     country code in front;
//   - a number does not begin with 0, but for [Reader.Trunk];
//   - the country code must exist, and the number have a length that the country knows.
//
// A trunk prefix behind a country code, as in +44 (0)20 7946 0958, is dropped. The error is
// an [*auth.Error] with auth.CodeValidation, unless Region is wrong.
func (r Reader) Canonical(input string) (string, error) {
	home, code, err := region(r.Region)
	if err != nil {
		return "", err
	}
	digits, international, ok := strip(input)
	if !ok {
		return "", auth.E(auth.CodeValidation, message)
	}
	if r.Trunk && !international && home != "" && strings.HasPrefix(digits, "0") {
		if n, err := phonenumbers.Parse(digits, home); err == nil {
			return canonical(n)
		}
		return "", auth.E(auth.CodeValidation, message)
	}
	if digits == "" || digits[0] == '0' {
		return "", auth.E(auth.CodeValidation, message)
	}
	if !international && len(digits) <= bare {
		if code == 0 {
			return "", auth.E(auth.CodeValidation, message)
		}
		digits = strconv.Itoa(code) + digits
	}
	n, err := parse(digits)
	if err != nil {
		return "", auth.E(auth.CodeValidation, message)
	}
	return canonical(n)
}

// Canonical is [Reader.Canonical] for a region and no trunk prefix.
func Canonical(input, region string) (string, error) { return Reader{Region: region}.Canonical(input) }

// SuffixKey is what two spellings of nearly the same number share: the calling code and the
// last ten digits of the rest, "91:9876543210". It may only suggest whom somebody means, who
// then proves the number by a code that is sent there: numbers with one key can belong to
// two people, so it must never link accounts or sign anybody in. Numbers of two calling codes
// never share one. It is "" for what is no canonical number.
func SuffixKey(number string) string {
	n, err := parse(number)
	if err != nil {
		return ""
	}
	if same, err := canonical(n); err != nil || same != number {
		return ""
	}
	rest := phonenumbers.GetNationalSignificantNumber(n)
	return strconv.Itoa(int(n.GetCountryCode())) + ":" + rest[max(0, len(rest)-suffix):]
}

// strip drops what people put between digits, and says whether a country code comes first.
func strip(input string) (digits string, international, ok bool) {
	if len(input) > maxInput {
		return "", false, false
	}
	var b strings.Builder
	for _, c := range input {
		switch {
		case strings.ContainsRune(" -()\u00a0\u202f\u2010\u2011\u2012\u2013", c): // no-break spaces and typographic dashes come with pasting
		case c == '+' && b.Len() == 0 && !international:
			international = true
		case c >= '0' && c <= '9':
			b.WriteRune(c)
		default:
			return "", false, false
		}
	}
	digits = b.String()
	if rest, found := strings.CutPrefix(digits, "00"); found && !international {
		return rest, true, true
	}
	return digits, international, true
}

// parse reads digits with a country code in front. The region is said to be unknown: with
// one, the library takes "+" and an unknown country code for a number of that region.
func parse(digits string) (*phonenumbers.PhoneNumber, error) {
	if len(digits) > maxDigits+2 { // a trunk prefix may still go
		return nil, phonenumbers.ErrNumTooLong
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return nil, phonenumbers.ErrNotANumber
		}
	}
	return phonenumbers.Parse("+"+digits, phonenumbers.UNKNOWN_REGION)
}

// canonical gives the one spelling of a number that is possible. Read again it must stay
// the same: else the same person would be stored under two numbers.
func canonical(n *phonenumbers.PhoneNumber) (string, error) {
	digits := strings.TrimPrefix(phonenumbers.Format(n, phonenumbers.E164), "+")
	again, err := parse(digits)
	if err != nil || len(digits) > maxDigits || phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE ||
		phonenumbers.IsPossibleNumberWithReason(again) != phonenumbers.IS_POSSIBLE ||
		phonenumbers.Format(again, phonenumbers.E164) != "+"+digits {
		return "", auth.E(auth.CodeValidation, message)
	}
	return digits, nil
}

// region finds a region by its own name or by its calling code.
func region(name string) (home string, code int, err error) {
	if name == "" {
		return "", 0, nil
	}
	digits := strings.TrimPrefix(name, "+")
	if code, err = strconv.Atoi(digits); err == nil && strconv.Itoa(code) == digits {
		home = phonenumbers.GetRegionCodeForCountryCode(code)
	} else {
		home = strings.ToUpper(name)
		code = phonenumbers.GetCountryCodeForRegion(home)
	}
	if code == 0 || home == phonenumbers.UNKNOWN_REGION {
		return "", 0, fmt.Errorf("phone: %q is no region: want a code such as IN or +91", name)
	}
	return home, code, nil
}
