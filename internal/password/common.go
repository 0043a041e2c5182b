package password

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the list
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// commonList is 42,692 passwords that people choose most, of six characters or more, lower
// case, sorted by bytes, one a line. Source: passwords.json of the npm package
// @zxcvbn-ts/language-common 4.1.3 (MIT, common.LICENSE.txt); docs/passwords.md tells how
// it was made.
//
//go:embed common.txt.gz
var commonList []byte

// Common is a list of passwords that are guessed first. Its zero value is the embedded one,
// unpacked when first asked. It is safe for concurrent use.
type Common struct {
	once  sync.Once
	lines string
	err   error
}

// Contains reports whether a password is on the list, or is a word of the list in thin
// disguise: other case, digits and signs for letters ("p4$$w0rd"), up to five digits or
// signs before or after it ("Dragon2024!").
func (c *Common) Contains(password string) (bool, error) {
	c.once.Do(func() { c.lines, c.err = unpack(commonList) })
	if c.err != nil {
		return false, c.err
	}
	p := strings.ToLower(password)
	bare := undecorated(p)
	for _, guess := range []string{p, unleet(p), bare, unleet(bare), undecorated(unleet(p))} {
		if len(guess) > 0 && hasLine(c.lines, guess) {
			return true, nil
		}
	}
	return false, nil
}

func unpack(zipped []byte) (string, error) {
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return "", fmt.Errorf("password: common list: %w", err)
	}
	var b strings.Builder
	if _, err := io.Copy(&b, z); err != nil { //nolint:gosec // G110: embedded, and a test knows its size
		return "", fmt.Errorf("password: common list: %w", err)
	}
	return b.String(), nil
}

// hasLine looks a word up in sorted lines, each of which ends in a line feed.
func hasLine(lines, word string) bool {
	if strings.Contains(word, "\n") {
		return false
	}
	for lo, hi := 0, len(lines); lo < hi; { // both at the start of a line, or at the end
		start := lo + strings.LastIndexByte(lines[lo:(lo+hi)/2], '\n') + 1
		end := start + strings.IndexByte(lines[start:], '\n')
		switch strings.Compare(lines[start:end], word) {
		case 0:
			return true
		case -1:
			lo = end + 1
		default:
			hi = start
		}
	}
	return false
}

// maxDecoration is how many digits and signs before and after a common word still leave it
// a common one: a year and a sign, tried by every cracking rule set.
const maxDecoration = 5

// undecorated takes digits and signs off both ends; "" when there is nothing to take, or
// so much that it counts as something of its own.
func undecorated(p string) string {
	notLetter := func(r rune) bool { return !unicode.IsLetter(r) }
	head := strings.TrimLeftFunc(p, notLetter)
	word := strings.TrimRightFunc(head, notLetter)
	before, after := utf8.RuneCountInString(p)-utf8.RuneCountInString(head), utf8.RuneCountInString(head)-utf8.RuneCountInString(word)
	if before+after == 0 || before > maxDecoration || after > maxDecoration {
		return ""
	}
	return word
}

// unleet puts letters where digits and signs are used for them.
func unleet(p string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '0':
			return 'o'
		case '1', '!', '|':
			return 'i'
		case '3':
			return 'e'
		case '4', '@':
			return 'a'
		case '5', '$':
			return 's'
		case '7', '+':
			return 't'
		}
		return r
	}, p)
}
