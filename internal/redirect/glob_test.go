package redirect

import (
	"regexp"
	"strings"
	"testing"
)

func matchAny(alternatives [][]token, text string) bool {
	for _, a := range alternatives {
		if match(a, text) {
			return true
		}
	}
	return false
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, text string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"abc", "abc", true},
		{"abc", "abcd", false},
		{"*", "", true},
		{"*", "a", true},
		{"*", "a.b", false},
		{"**", "a.b/c", true},
		{"***", "a.b/c", true},
		{"*.b", "a.b", true},
		{"a*c*e", "abcde", true},
		{"a*c*e", "ab.cde", false},
		{"**b*d", "b/bcd", true},
		{"**/x/*", "a/x/b/x/c", true},
		{"**/x/*", "a/x/b/x/c/d", false},
		{"?at", "cat", true},
		{"?at", ".at", false},
		{"?", "я", true},
		{"?", "", false},
		{"[a-cx]", "b", true},
		{"[a-cx]", "x", true},
		{"[a-cx]", "d", false},
		{"[!a-c]", "d", true},
		{"[!a-c]", "a", false},
		{"[!a-c]", "/", false},
		{"[./]", ".", false},
		{"[a-]", "-", true},
		{"[-a]", "-", true},
		{`[\]]`, "]", true},
		{`[\\]`, `\`, true},
		{"[!!]", "!", false},
		{"{a,b}", "b", true},
		{"{a,b}", "a,b", false},
		{"{a,{b,c}d}e", "cde", true},
		{"{a,}b", "b", true},
		{"{*.x,y}", "z.x", true},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`\{a\}`, "{a}", true},
		{"a,b", "a,b", true},
	} {
		t.Run(c.glob+" "+c.text, func(t *testing.T) {
			t.Parallel()
			alternatives, err := parseGlob(c.glob)
			if err != nil {
				t.Fatal(err)
			}
			if got := matchAny(alternatives, c.text); got != c.want {
				t.Errorf("%q matches %q: %v, want %v", c.glob, c.text, got, c.want)
			}
		})
	}
}

// TestHostileGlobs has patterns on which a matcher that backtracks takes longer than the
// universe has been there.
func TestHostileGlobs(t *testing.T) {
	t.Parallel()
	for _, glob := range []string{
		strings.Repeat("a*", 250) + "b", strings.Repeat("**a", 170) + "b", strings.Repeat("*", 511) + "b",
		strings.Repeat("{*,**}a", 7) + "b", strings.Repeat("?*", 250) + "b", strings.Repeat("[!x]**", 80) + "b",
	} {
		t.Run(glob[:8], func(t *testing.T) {
			t.Parallel()
			alternatives, err := parseGlob(glob)
			if err != nil {
				t.Fatal(err)
			}
			if matchAny(alternatives, strings.Repeat("a", maxURL)) {
				t.Error("matches a text without its last letter")
			}
		})
	}
}

// FuzzGlob holds the matcher against the regular expressions of the standard library.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{
		{"https://*.b.example/**", "https://a.b.example/c"}, {"{a,b*}[!c-e]?", "bxyz"}, {`\[::1\]:*`, "[::1]:80"},
		{"**a*.b**", "xa.b.a.b"}, {"*[a.]*b", "xa.b"}, {"{{,a},b}", "a"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, glob, text string) {
		if len(text) > 300 {
			return
		}
		alternatives, err := parseGlob(glob)
		if err != nil || len(alternatives) > 8 {
			return
		}
		text = strings.ToValidUTF8(text, "")
		for _, a := range alternatives {
			if got, want := match(a, text), asRegexp(a).MatchString(text); got != want {
				t.Errorf("%q matches %q: %v, want %v", glob, text, got, want)
			}
		}
	})
}

func asRegexp(glob []token) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A(?s:`)
	for _, t := range glob {
		switch t.kind {
		case literal:
			b.WriteString(regexp.QuoteMeta(string(t.r)))
		case anyOne:
			b.WriteString(`[^./]`)
		case star:
			b.WriteString(`[^./]*`)
		case doubleStar:
			b.WriteString(`.*`)
		case class:
			b.WriteString(classRegexp(t))
		}
	}
	b.WriteString(`)\z`)
	return regexp.MustCompile(b.String())
}

// classRegexp writes a class without "." and "/".
func classRegexp(t token) string {
	in := func(r rune) bool { return t.accepts(r) }
	var b strings.Builder
	b.WriteByte('[')
	if t.negate {
		b.WriteString(`^./`)
		for i := 0; i < len(t.ranges); i += 2 {
			b.WriteString(quoteRune(t.ranges[i]) + "-" + quoteRune(t.ranges[i+1]))
		}
		return b.String() + "]"
	}
	empty := true
	for i := 0; i < len(t.ranges); i += 2 {
		for r := t.ranges[i]; r <= t.ranges[i+1] && r < t.ranges[i]+2000; r++ {
			if in(r) {
				b.WriteString(quoteRune(r))
				empty = false
			}
		}
		if t.ranges[i+1] >= t.ranges[i]+2000 {
			b.WriteString(quoteRune(t.ranges[i]+2000) + "-" + quoteRune(t.ranges[i+1]))
			empty = false
		}
	}
	if empty {
		return `[^\x{0}-\x{10ffff}]`
	}
	return b.String() + "]"
}

func quoteRune(r rune) string { return `\x{` + hex(r) + `}` }

func hex(r rune) string {
	const digits = "0123456789abcdef"
	s := ""
	for ; r > 0; r >>= 4 {
		s = string(digits[r&15]) + s
	}
	return "0" + s
}
