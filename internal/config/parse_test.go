package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "3600": time.Hour, "10s": 10 * time.Second, "1h30m": 90 * time.Minute, "30d": 30 * day, "1.5h": 90 * time.Minute,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1", "1 h", "1d2h", "36501d", "9223372036854775807", "1e3", "+5", "h", "0x10", "١٠"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q: accepted as %v", text, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", time.Hour: "1h", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", 48 * time.Hour: "2d", 25 * time.Hour: "25h"} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"0", "3600", "1h30m", "30d", "-1h", "99999999999999999999", "1.5h", "100h", "µs", "36500d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDuration(s)
		if err != nil {
			return
		}
		if d < 0 || d > maxDuration {
			t.Fatalf("%q: %v is out of range", s, d)
		}
		if again, err := parseDuration(formatDuration(d)); err != nil || again != d {
			t.Fatalf("%q: %v shown as %s, read back as %v, %v", s, d, formatDuration(d), again, err)
		}
	})
}

func FuzzParseLists(f *testing.F) {
	for _, s := range []string{"", "a,b", " a , ,b,", "abc:0123", `a\:b:c\\`, `\`, ":::", "ü:é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list := parseList(s)
		for _, item := range list {
			if item == "" || item != strings.TrimSpace(item) || strings.Contains(item, ",") {
				t.Fatalf("%q: item %q", s, item)
			}
		}
		if again := parseList(strings.Join(list, ",")); !slices.Equal(again, list) {
			t.Fatalf("%q: %q became %q", s, list, again)
		}
		sets := parseCharacterSets(s)
		if slices.Contains(sets, "") {
			t.Fatalf("%q: an empty set, which no password could meet", s)
		}
		if again := parseCharacterSets(formatCharacterSets(sets)); !slices.Equal(again, sets) {
			t.Fatalf("%q: %q became %q", s, sets, again)
		}
	})
}

// FuzzAddresses: whatever is accepted is a fixed point, and no error repeats the text.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"https://a.example/", "http://[::1]:80/auth/v1", "https://u:password@h", "javascript:x", "127.0.0.1:80",
		":0", "postgres://u:p@h/d", "sqlite:///x", "https://a/auth/v1/auth/v1", "http://x//", "https://a.example/%2e%2e/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, parse := range map[string]func(string) (string, error){"listen": parseListen, "site": parseSiteURL, "database": parseDatabaseURL} {
			if got, err := parse(s); err == nil {
				if again, err := parse(got); err != nil || again != got {
					t.Fatalf("%s: %q became %q, then %q, %v", name, s, got, again, err)
				}
			}
		}
		if got, err := parsePublicURL(s); err == nil && (strings.HasSuffix(got, "/") || strings.ContainsAny(got, "?#@\x00") && !strings.Contains(s, "/")) {
			t.Fatalf("%q became %q", s, got)
		}
		if redacted := redactDatabaseURL("postgres://u:hunter2@" + s); strings.Contains(redacted, "hunter2") {
			t.Fatalf("%q shown as %q", s, redacted)
		}
		corsOrigins(s, parseList(s)) // must not panic
	})
}
