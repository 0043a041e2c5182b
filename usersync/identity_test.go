package usersync_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/usersync"
)

func TestNormalizeEmail(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ada@example.org": "ada@example.org", " Ada@Example.ORG ": "ada@example.org", `"a b"@example.org`: "",
		"": "", "ada": "", "@example.org": "", "ada@": "", "a\x00@example.org": "", "a@example.org\nb": "", "a\xff@example.org": "",
		"a@example.org,b@example.org": "", "<ada@example.org>": "", strings.Repeat("a", 250) + "@b.cd": "",
		"\u212a@example.org": "\u212a@example.org", // the Kelvin sign is not k
		"\u00c9@example.org": "\u00c9@example.org", // nor is another case guessed
	} {
		if got := usersync.NormalizeEmail(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNormalizePhone(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"919876543210": "919876543210", "+91 98765-43210": "919876543210", "+1 (555) 010-0123": "15550100123",
		"": "", "+": "", "0091 98765 43210": "", "123456": "", "1234567890123456": "", "+91x": "", "٩١٩٨٧٦٥٤٣٢١٠": "", "91+98765432": "",
	} {
		if got := usersync.NormalizePhone(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestProved(t *testing.T) {
	t.Parallel()
	got := usersync.Identity{
		Issuer: here, Subject: "1", Email: "Ada@Example.org", EmailVerified: true, Phone: "919876543210", AuthProvider: "em\nail",
		Providers: []usersync.Provider{{Name: "email"}, {Name: "email"}, {}, {Name: "google", ID: "1"}},
		Profile: usersync.Profile{
			FirstName: "Ada\x00", LastName: strings.Repeat("x", 201), FullName: " Ada King ", AvatarURL: "https://u:p@example.org/a.png", Locale: "en",
		},
	}.Proved()
	want := usersync.Identity{
		Issuer: here, Subject: "1", Email: "ada@example.org", EmailVerified: true,
		Providers: []usersync.Provider{{Name: "email"}, {Name: "google", ID: "1"}},
		Profile:   usersync.Profile{FullName: "Ada King", Locale: "en"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]usersync.Identity{
		"no subject": {Issuer: here}, "no issuer": {Subject: "1"}, "NUL": {Issuer: here, Subject: "1\x00"},
		"long": {Issuer: here, Subject: strings.Repeat("x", 256)},
	} {
		if id.Valid() {
			t.Errorf("%s: valid", name)
		}
	}
	if !who(nil).Valid() {
		t.Error("a good one is not valid")
	}
}

// What the normalisers give, they give again, and it can be stored.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"ada@example.org", "+91 98765 43210", "A@B", "", "\x00", "\u212a@x.y", "0091", "a@b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, normal := range []func(string) string{usersync.NormalizeEmail, usersync.NormalizePhone} {
			once := normal(s)
			if normal(once) != once {
				t.Errorf("%q, then %q", once, normal(once))
			}
			if strings.ContainsAny(once, "\x00\r\n ") {
				t.Errorf("%q", once)
			}
		}
	})
}
