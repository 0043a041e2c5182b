package auth_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/auth"
)

func TestNormalizeEmail(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	labels := strings.Repeat("b.", 94) // 188 bytes
	for _, c := range []struct{ name, in, want string }{
		{"A1.1 as registered", "A@x.org", "a@x.org"},
		{"A1.1 other spelling", "a@X.org", "a@x.org"},
		{"A1.1 blanks around", " \tA@x.org\r\n", "a@x.org"},
		{"plus and dots are part of it", "A.b+C@x.org", "a.b+c@x.org"},
		{"signs that RFC 5322 allows", "o'neil!#$%&*/?^_`{|}~-@x.org", "o'neil!#$%&*/?^_`{|}~-@x.org"},
		{"host without a dot", "root@intranet", "root@intranet"},
		{"letters beyond ASCII", "Ärzte@münchen.example", "ärzte@münchen.example"},
		{"Kelvin sign is a k", "\u212aim@x.org", "kim@x.org"},
		{"local part of 64 bytes", long + "@x.org", long + "@x.org"},
		{"254 bytes", long + "@" + labels + "c", long + "@" + labels + "c"},

		{"empty", "", ""},
		{"no at sign", "x.org", ""},
		{"no local part", "@x.org", ""},
		{"no host", "a@", ""},
		{"two at signs", "a@b@x.org", ""},
		{"local part of 65 bytes", long + "a@x.org", ""},
		{"255 bytes", long + "@" + labels + "cd", ""},
		{"a megabyte", strings.Repeat("a", 1<<20) + "@x.org", ""},
		{"display name", "Ann <a@x.org>", ""},
		{"angle brackets", "<a@x.org>", ""},
		{"comment", "a(b)@x.org", ""},
		{"comment behind", "a@x.org (b)", ""},
		{"two addresses", "a@x.org,b@x.org", ""},
		{"two addresses with semicolon", "a@x.org;b@x.org", ""},
		{"group", "g:a@x.org;", ""},
		{"quoted local part", `"a"@x.org`, ""},
		{"quoted at sign", `"a@evil.example"@x.org`, ""},
		{"backslash", `a\b@x.org`, ""},
		{"blank inside", "a b@x.org", ""},
		{"dot first", ".a@x.org", ""},
		{"two dots", "a..b@x.org", ""},
		{"dot before the at sign", "a.@x.org", ""},
		{"header injection", "a@x.org\r\nBcc: b@evil.example", ""},
		{"header injection, line feed only", "a@x.org\nBcc:b@evil.example", ""},
		{"header injection in front of the at sign", "a\r\n@x.org", ""},
		{"encoded word", "=?utf-8?q?b=40evil.example?=@x.org", ""},
		{"NUL", "a\x00@x.org", ""},
		{"NUL in the host", "a@x.org\x00.evil.example", ""},
		{"tab inside", "a\t@x.org", ""},
		{"delete character", "a\x7f@x.org", ""},
		{"C1 control", "a\u0085b@x.org", ""},
		{"zero-width blank", "a\u200b@x.org", ""},
		{"zero-width joiner in the host", "a@x\u200d.org", ""},
		{"byte-order mark", "a\ufeffb@x.org", ""},
		{"soft hyphen", "a\u00adb@x.org", ""},
		{"direction override", "a\u202e@x.org", ""},
		{"no-break space", "a\u00a0b@x.org", ""},
		{"ideographic space", "a\u3000b@x.org", ""},
		{"private use", "a\ue000@x.org", ""},
		{"replacement character", "a\ufffd@x.org", ""},
		{"invalid UTF-8", "a\xff@x.org", ""},
		{"overlong at sign", "a\xc1\x80x.org", ""},
		{"full-width at sign", "a＠x.org", ""},
		{"address literal", "a@[127.0.0.1]", ""},
		{"port", "a@x.org:25", ""},
		{"path in the host", "a@evil.example/.x.org", ""},
		{"query in the host", "a@evil.example?x.org", ""},
		{"percent in the host", "a@evil.example%00.x.org", ""},
		{"trailing dot", "a@x.org.", ""},
		{"empty label", "a@x..org", ""},
		{"leading dot in the host", "a@.org", ""},
		{"hyphen first", "a@-x.org", ""},
		{"hyphen last", "a@x-.org", ""},
		{"label of 64 bytes", "a@" + long + ".org", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := auth.NormalizeEmail(c.in)
			if c.want == "" {
				if auth.CodeOf(err) != auth.CodeValidation || got != "" {
					t.Errorf("NormalizeEmail(%q) = %q, %v: want a validation error", c.in, got, err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("NormalizeEmail(%q) = %q, %v, want %q", c.in, got, err, c.want)
			}
		})
	}
}

// FuzzNormalizeEmail: what comes out is a fixed point that can stand in a mail header.
func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"A@x.org", "a@x.org\r\nBcc: b", "ä@münchen.example", `"a"@x`, "İ@x.org", "a@\u1e9e.org"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := auth.NormalizeEmail(s)
		if err != nil {
			return
		}
		if again, err := auth.NormalizeEmail(got); err != nil || again != got {
			t.Errorf("%q gives %q, and that %q, %v", s, got, again, err)
		}
		if strings.ContainsAny(got, "\x00\r\n\t <>,;:\"\\()[]") || strings.Count(got, "@") != 1 || !auth.CleanText(got) || len(got) > 254 {
			t.Errorf("%q gives %q", s, got)
		}
	})
}

func TestNormalizePhone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"plus", "+49301234567", "49301234567"},
		{"bare", "49301234567", "49301234567"},
		{"blanks", " +49 30 123 45 67 ", "49301234567"},
		{"blank before the plus", " + 49301", "49301"},
		{"shortest", "12", "12"},
		{"longest", "123456789012345", "123456789012345"},
		{"empty", "", ""},
		{"only a plus", "+", ""},
		{"two pluses", "++4930", ""},
		{"one digit", "1", ""},
		{"16 digits", "1234567890123456", ""},
		{"leading zero", "0301234567", ""},
		{"international prefix", "0049301234567", ""},
		{"letters", "+1800FLOWERS", ""},
		{"hyphens", "+49-30-123", ""},
		{"parentheses", "+49(30)123", ""},
		{"plus inside", "49+30", ""},
		{"NUL", "4930\x00", ""},
		{"line end", "4930\n", ""},
		{"tab", "49\t30", ""},
		{"Arabic digits", "+٤٩٣٠", ""},
		{"full-width digits", "＋４９３０", ""},
		{"no-break space", "49\u00a030", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := auth.NormalizePhone(c.in)
			if c.want == "" {
				if auth.CodeOf(err) != auth.CodeValidation || got != "" {
					t.Errorf("NormalizePhone(%q) = %q, %v: want a validation error", c.in, got, err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("NormalizePhone(%q) = %q, %v, want %q", c.in, got, err, c.want)
			}
		})
	}
}

func TestCleanText(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"": true, "añb\n": true, "\u0001": true, "a\x00": false, "\xff": false, "\xed\xa0\x80": false} {
		if got := auth.CleanText(s); got != want {
			t.Errorf("CleanText(%q) = %v", s, got)
		}
	}
}

func TestCleanJSON(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		name, in string
		want     bool
	}{
		{"object", `{"a":[1,-2.5e3,true,null,"x"]}`, true},
		{"null", `null`, true},
		{"escapes", `"\n\"\\\/\b"`, true},
		{"letters beyond ASCII", `{"имя":"Ann"}`, true},
		{"escaped letter", `"\u00e9"`, true},
		{"surrogate pair", `"\ud83d\ude00"`, true},
		{"surrogate pair in capitals", `"\uD83D\uDE00"`, true},
		{"escaped backslash before u0000", `"\\u0000"`, true},
		{"bracket in a string", `"` + strings.Repeat("[", 500) + `"`, true},
		{"number in a string", `"1e200000"`, true},
		{"quote in a string", `{"a\"":"1\""}`, true},
		{"largest float", `1.7976931348623157e308`, true},
		{"tiny number", `1e-400`, true},
		{"100 levels", nested(100), true},
		{"many siblings", "[" + strings.Repeat("[],", 500) + "[]]", true},

		{"escaped NUL", `"\u0000"`, false},
		{"escaped NUL in a key", `{"\u0000":1}`, false},
		{"escaped NUL after a backslash", `"\\\u0000"`, false},
		{"bare NUL", "\"a\x00\"", false},
		{"high surrogate alone", `"\ud83d"`, false},
		{"high surrogate before a letter", `"\ud83dx"`, false},
		{"high surrogate before an escape", `"\ud83d\n"`, false},
		{"two high surrogates", `"\ud83d\ud83d"`, false},
		{"low surrogate alone", `"\ude00"`, false},
		{"surrogates the wrong way round", `"\ude00\ud83d"`, false},
		{"invalid UTF-8", "\"\xff\"", false},
		{"surrogate in UTF-8", "\"\xed\xa0\x80\"", false},
		{"escape cut off", `"\u00`, false},
		{"string that never ends", `"a`, false},
		{"number that jsonb can't hold", `{"a":1e200000}`, false},
		{"number that jsonb blows up", `[1e131000,1e131000]`, false},
		{"tiny number that jsonb can't hold", `1e-20000`, false},
		{"exponent in capitals", `1E+99999999999`, false},
		{"over the range of a float64", `1e400`, false},
		{"long number", strings.Repeat("9", 200), false},
		{"101 levels", nested(101), false},
		{"mixed levels", strings.Repeat(`{"a":[`, 60) + strings.Repeat("]}", 60), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := auth.CleanJSON(json.RawMessage(c.in)); got != c.want {
				t.Errorf("CleanJSON(%.60q) = %v, want %v", c.in, got, c.want)
			}
		})
	}
}

// FuzzCleanJSON: a document that is JSON and clean loses nothing on its way through Go's
// decoder, which silently replaces what is no character, and holds no NUL afterwards.
func FuzzCleanJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":"\ud83d\ude00"}`, `"\ud83d"`, `"\\u0000"`, `"\u0000"`, `"\\\u0000"`, `[1e308,-0.0]`, "\"\xff\"", `"\ufffd"`, `"a\"\u0000"`,
		`{"\"":"\\"}`, `[1,[2]]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) || !auth.CleanJSON(raw) {
			return
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		text := string(raw)
		if !utf8.ValidString(text) {
			t.Errorf("%q is no UTF-8", raw)
		}
		replaced := 0
		walkStrings(v, func(s string) {
			if strings.ContainsRune(s, 0) {
				t.Errorf("%q holds a NUL", raw)
			}
			replaced += strings.Count(s, "\ufffd")
		})
		if written := strings.Count(text, "\ufffd") + strings.Count(strings.ToLower(text), `\ufffd`); replaced > written {
			t.Errorf("%q lost %d characters", raw, replaced-written)
		}
		back, err := json.Marshal(v)
		if err != nil || !auth.CleanJSON(back) {
			t.Errorf("%q becomes %q, %v", raw, back, err)
		}
	})
}

func walkStrings(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, e := range v {
			walkStrings(e, f)
		}
	case map[string]any:
		for k, e := range v {
			f(k)
			walkStrings(e, f)
		}
	}
}
