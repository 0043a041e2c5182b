package consent_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/consent"
)

const doc = `
description: A clinic
version: "3"
purposes:
  data_processing: {title: Data, required: true, expires: 365d}
  record_sharing:
    title: Records
    text: |
      Your records are
      shown to the clinic.
    scope: tenant
    version: "2"
    accepts: ["1"]
`

func TestLoad(t *testing.T) {
	t.Parallel()
	c, err := consent.Load("x.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	want := []consent.Purpose{
		{Name: "data_processing", Title: "Data", Version: "3", Required: true, Expires: 365 * 24 * time.Hour, Scope: "app"},
		{Name: "record_sharing", Title: "Records", Text: "Your records are\nshown to the clinic.\n", Version: "2", Accepts: []string{"1"}, Scope: "tenant"},
	}
	if d := cmp.Diff(want, c.Purposes()); d != "" || c.Description() != "A clinic" {
		t.Error(d)
	}
	if _, ok := c.Purpose("Data_processing"); ok {
		t.Error("names match exactly")
	}
	if len(consent.Empty().Purposes()) != 0 {
		t.Error("the empty catalogue has purposes")
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	one := func(line string) string { return "version: \"1\"\npurposes:\n  a: {title: A" + line + "}\n" }
	for _, c := range []struct{ name, doc, want string }{
		{"nothing", "", "empty"},
		{"no purposes", "version: \"1\"\n", "empty"},
		{"not YAML", "a: [", "not YAML"},
		{"not UTF-8", "version: \xff", "UTF-8"},
		{"a list", "- a\n", "no catalogue"},
		{"an unknown key", one(", expire: 3d"), "expire"},
		{"two documents", one("") + "---\n" + one(""), "more than one"},
		{"a name twice", "version: \"1\"\npurposes:\n  a: {title: A}\n  a: {title: B}\n", "already defined"},
		{"an alias", "version: \"1\"\npurposes:\n  a: &x {title: A}\n  b: *x\n", "alias"},
		{"a bad name", "version: \"1\"\npurposes:\n  A b: {title: A}\n", "a name has"},
		{"no title", "version: \"1\"\npurposes:\n  a: {required: true}\n", "title"},
		{"no version", "purposes:\n  a: {title: A}\n", "no version"},
		{"a version with a blank", one(", version: \"1 2\""), "printable"},
		{"an accepted one that is none", one(", accepts: [\"\"]"), "printable"},
		{"an unknown scope", one(", scope: clinic"), "scope"},
		{"hours", one(", expires: 24h"), "days"},
		{"no days", one(", expires: 0d"), "days"},
		{"a century and more", one(", expires: 36501d"), "days"},
		{"a long title", strings.Replace(one(""), "title: A", "title: "+strings.Repeat("a", 201), 1), "title"},
		{"too much", strings.Repeat("#", 256<<10+1), "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := consent.Load("x.yaml", []byte(c.doc))
			if got != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "x.yaml: ") {
				t.Errorf("%v", err)
			}
		})
	}
	_, err := consent.Load("x.yaml", []byte("purposes:\n  a: {title: A}\n  b: {title: B}\n"))
	if err == nil || strings.Count(err.Error(), "no version") != 2 {
		t.Errorf("not every problem is listed: %v", err)
	}
}

// C16, S4.50: what has become of a consent.
func TestStatus(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	p := consent.Purpose{Version: "3", Accepts: []string{"2"}, Expires: time.Hour}
	for _, c := range []struct {
		name string
		c    *auth.Consent
		want consent.Status
	}{
		{"nothing was said", nil, consent.StatusNone},
		{"nothing was granted", &auth.Consent{Version: "3"}, consent.StatusNone},
		{"granted", &auth.Consent{Version: "3", GrantedAt: now}, consent.StatusGranted},
		{"granted, for a while", &auth.Consent{Version: "3", GrantedAt: now, ExpiresAt: now.Add(time.Microsecond)}, consent.StatusGranted},
		{"expired now", &auth.Consent{Version: "3", GrantedAt: now, ExpiresAt: now}, consent.StatusExpired},
		{"expired and withdrawn", &auth.Consent{Version: "3", GrantedAt: now, ExpiresAt: now, WithdrawnAt: now}, consent.StatusWithdrawn},
		{"withdrawn", &auth.Consent{Version: "3", GrantedAt: now, WithdrawnAt: now}, consent.StatusWithdrawn},
		{"an older text that still holds", &auth.Consent{Version: "2", GrantedAt: now}, consent.StatusGranted},
		{"an older text", &auth.Consent{Version: "1", GrantedAt: now}, consent.StatusOutdated},
	} {
		if got := p.Status(c.c, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if !p.ExpiresAt(now).Equal(now.Add(time.Hour)) || !(&consent.Purpose{}).ExpiresAt(now).IsZero() {
		t.Error("ExpiresAt")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(doc))
	shipped, err := os.ReadFile("../../presets/consents/neonpro.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shipped)
	for _, s := range []string{"", "purposes:", "purposes: {a: {title: b, version: '1'}}", "a: &a [*a]", "version: 1\npurposes: {a: {title: 7}}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := consent.Load("x", doc)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v beside %v", c, err)
		}
		if err != nil {
			return
		}
		for _, p := range c.Purposes() {
			if p.Version == "" || p.Title == "" || p.Scope != consent.ScopeApp && p.Scope != consent.ScopeTenant || p.Expires < 0 {
				t.Errorf("%+v", p)
			}
			if p.Status(&auth.Consent{Version: p.Version, GrantedAt: time.Unix(1, 0)}, time.Unix(2, 0)) != consent.StatusGranted {
				t.Errorf("%+v is never granted", p)
			}
		}
	})
}
