package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// S2.39: the registry of applications is a setting.
func TestParseApps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []App
		bad        string
	}{
		{"none", "", nil, ""},
		{"names", "ghar360, stays", []App{{Name: "ghar360"}, {Name: "stays"}}, ""},
		{"with fields", "stays:full_name+phone,estate:none", []App{{"stays", []string{"full_name", "phone"}}, {"estate", []string{}}}, ""},
		{"capitals", "Stays", nil, "no name"},
		{"a path", "../x", nil, "no name"},
		{"twice", "stays,stays:phone", nil, "twice"},
		{"an unknown field", "stays:shoe_size", nil, "none of"},
		{"a field twice", "stays:phone+phone", nil, "twice"},
		{"an empty field", "stays:", nil, "none of"},
		{"too many", strings.Repeat("a,", 1) + manyApps(), nil, "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseApps(c.text)
			if c.bad != "" {
				if err == nil || !strings.Contains(err.Error(), c.bad) {
					t.Errorf("%v", err)
				}
				return
			}
			if d := cmp.Diff(c.want, got); d != "" || err != nil {
				t.Errorf("%v %s", err, d)
			}
		})
	}
}

func manyApps() string {
	var names []string
	for i := range maxApps {
		names = append(names, "a"+strings.Repeat("x", i%30)+string(rune('a'+i/30)))
	}
	return strings.Join(names, ",")
}

func FuzzParseApps(f *testing.F) {
	for _, s := range []string{"", "ghar360,stays:full_name+phone", "a:none", "a:,b", "a:b:c", ",,", "a:none+phone"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		apps, err := parseApps(s)
		if err != nil {
			if apps != nil {
				t.Errorf("%v beside an error", apps)
			}
			return
		}
		again, err := parseApps(formatApps(apps))
		if d := cmp.Diff(apps, again); d != "" || err != nil {
			t.Errorf("%v %s", err, d)
		}
	})
}
