package password

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// minWord is the length, in code points, from which on a word about the person or the
// service counts: shorter ones turn up in good passwords by chance.
const minWord = 4

// minDigits is the same for a run of digits, such as a phone number.
const minDigits = 6

// maxWords bounds the words of one check; what a person put into a profile must not decide
// how much work it is.
const maxWords = 64

// maxText bounds one text that words are taken from, in bytes.
const maxText = 1024

// contextWords takes the words out of addresses, numbers and names: whole, before the @, and
// each part between signs, lower case.
func contextWords(texts ...string) []string {
	var words []string
	seen := map[string]bool{}
	add := func(w string) {
		least := minWord
		if strings.IndexFunc(w, unicode.IsLetter) < 0 {
			least = minDigits
		}
		if len(words) < maxWords && !seen[w] && utf8.RuneCountInString(w) >= least {
			seen[w] = true
			words = append(words, w)
		}
	}
	for _, text := range texts {
		if len(text) > maxText {
			continue
		}
		text = strings.ToLower(strings.TrimSpace(text))
		add(text)
		if local, domain, ok := cutLast(text, "@"); ok {
			add(local)
			name, _, _ := strings.Cut(domain, ".")
			add(name)
			text = local
		}
		for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			add(part)
			add(strings.TrimRightFunc(part, unicode.IsDigit)) // maria of maria84
		}
	}
	return words
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// minBesides is how many code points a password must have besides words that are known of
// its owner: as many as the shortest password that any policy allows.
const minBesides = minLengthAllowed

// madeOf reports whether a password is one of the words, a part of one, or has too little
// besides them. A long password may well contain a name.
func madeOf(password string, words []string) bool {
	p := strings.ToLower(password)
	rest, plain := p, unleet(p)
	for _, w := range words {
		if strings.Contains(w, p) || strings.Contains(w, plain) {
			return true
		}
		rest, plain = strings.ReplaceAll(rest, w, ""), strings.ReplaceAll(plain, w, "")
	}
	least := min(minBesides, utf8.RuneCountInString(p))
	return utf8.RuneCountInString(rest) < least || utf8.RuneCountInString(plain) < least
}
