package password_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/password"
)

// TestPolicy proves texts and reasons of gotrue.md 6.3.
func TestPolicy(t *testing.T) {
	t.Parallel()
	classes := []string{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"}
	weak := func(message string, reasons ...string) *auth.Error {
		return &auth.Error{Code: auth.CodeWeakPassword, Message: message, Reasons: reasons}
	}
	const characters = "Password should contain at least one character of each: " +
		"abcdefghijklmnopqrstuvwxyz, ABCDEFGHIJKLMNOPQRSTUVWXYZ, 0123456789."
	for _, tc := range []struct {
		name   string
		policy password.Policy
		text   string
		want   *auth.Error
	}{
		{"eight", password.Policy{}, "12345678", nil},
		{"seven", password.Policy{}, "1234567", weak("Password should be at least 8 characters.", "length")},
		{"empty", password.Policy{}, "", weak("Password should be at least 8 characters.", "length")},
		{"six as GoTrue", password.Policy{MinLength: 6}, "123456", nil},
		{"the floor is six", password.Policy{MinLength: 1}, "12345", weak("Password should be at least 6 characters.", "length")},
		{"spaces count", password.Policy{}, "        ", nil},
		{"code points, not bytes", password.Policy{}, "ééééééé", weak("Password should be at least 8 characters.", "length")},
		{"eight emoji", password.Policy{}, "🔑🔑🔑🔑🔑🔑🔑🔑", nil},
		{"combining accents are no characters of their own", password.Policy{}, strings.Repeat("e\u0301", 4), weak("Password should be at least 8 characters.", "length")},
		{"128", password.Policy{}, strings.Repeat("é", 128), nil},
		{"129", password.Policy{}, strings.Repeat("x", 129), auth.E(auth.CodeValidation, "Password cannot be longer than 128 characters")},
		{"own maximum", password.Policy{MaxLength: 20}, strings.Repeat("x", 21), auth.E(auth.CodeValidation, "Password cannot be longer than 20 characters")},
		{"NUL", password.Policy{}, "1234\x005678", auth.E(auth.CodeValidation, "Password contains characters that can't be used (NUL or invalid UTF-8)")},
		{"bad UTF-8", password.Policy{}, "1234\xff5678", auth.E(auth.CodeValidation, "Password contains characters that can't be used (NUL or invalid UTF-8)")},
		{"all classes", password.Policy{RequiredCharacters: classes}, "abcDEF123", nil},
		{"no digit", password.Policy{RequiredCharacters: classes}, "abcdefGH", weak(characters, "characters")},
		{"short and no digit", password.Policy{RequiredCharacters: classes}, "abcGH",
			weak("Password should be at least 8 characters. "+characters, "length", "characters")},
		{"empty set asks for nothing", password.Policy{RequiredCharacters: []string{""}}, "12345678", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.policy.Check(tc.text)); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPolicyAgreesWithHash: what the default policy accepts, the default algorithm hashes.
func TestPolicyAgreesWithHash(t *testing.T) {
	t.Parallel()
	h := newHasher(t, quick())
	for _, text := range []string{"12345678", strings.Repeat("🔑", 128), strings.Repeat("e\u0301", 128)} {
		if err := (password.Policy{}).Check(text); err != nil {
			t.Errorf("Check: %v", err)
		}
		if _, err := h.Hash(t.Context(), text); err != nil {
			t.Errorf("Hash: %v", err)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add("correct horse")
	f.Add("caf\u00e9\x00")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, text string) {
		err := (password.Policy{}).Check(text)
		good := utf8.ValidString(text) && !strings.ContainsRune(text, 0)
		switch {
		case err == nil && (!good || len(text) < 8):
			t.Fatalf("%q is accepted", text)
		case err != nil && err.Message == "":
			t.Fatalf("%q: no message", text)
		case err != nil && (err.Code == auth.CodeWeakPassword) != (len(err.Reasons) > 0):
			t.Fatalf("%q: %v with reasons %q", text, err, err.Reasons)
		}
	})
}
