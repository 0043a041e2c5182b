package config

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/presets"
)

// TestPresets: each that ships loads without a problem, and what it sets is not the default
// by accident.
func TestPresets(t *testing.T) {
	t.Parallel()
	names := presets.Names()
	if len(names) != 5 {
		t.Fatalf("%v", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, r := mustLoad(t, Sources{Env: serveEnv(namePreset + "=" + name)})
			if e, _ := r.Entry(nameSurfaces); c.Preset != name || e.Source != "preset "+name {
				t.Errorf("preset %q, surfaces from %q", c.Preset, e.Source)
			}
			if c.JWT.TTL > 24*time.Hour || c.People.Roles != name {
				t.Errorf("TTL %s, roles %q", c.JWT.TTL, c.People.Roles)
			}
		})
	}
}

// TestPresetOrder: what is given wins over the preset, and the preset over the default.
func TestPresetOrder(t *testing.T) {
	t.Parallel()
	c, r := mustLoad(t, Sources{Env: serveEnv("CARDEA_PRESET=neonpro", "CARDEA_SESSION_ABSOLUTE=10d"), Flags: map[string]string{"preset": "dermadetect"}})
	if c.Session.Absolute != 10*day || c.Preset != "dermadetect" || c.People.DefaultRole != "patient" || c.People.TenantClaim != "tenant_id" {
		t.Errorf("%s, %q, %+v", c.Session.Absolute, c.Preset, c.People)
	}
	if e, _ := r.Entry("CARDEA_DEFAULT_ROLE"); e.Source != "preset dermadetect" {
		t.Errorf("source %q", e.Source)
	}
}

func TestPresetRefused(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"a/unknown.yaml": "settings:\n  CARDEA_NO_SUCH: x\n  CARDEA_JWT_TTL: 1h\n",
		"a/secret.yaml":  "settings:\n  CARDEA_ENCRYPTION_KEY: x\n",
		"a/member.yaml":  "setings:\n  CARDEA_JWT_TTL: 1h\n",
		"a/empty.yaml":   "about: x\n",
		"a/two.yaml":     "settings:\n  CARDEA_JWT_TTL: 1h\n---\nsettings: {}\n",
		"a/value.yaml":   "settings:\n  CARDEA_JWT_TTL: 48h\n",
		"a/good.yaml":    "settings:\n  CARDEA_JWT_TTL: 2h\n",
	}
	read := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	for _, c := range []struct{ name, want string }{
		{"nobody", "no such preset"}, {"../nobody", "can't be read"}, {"a/unknown.yaml", "CARDEA_NO_SUCH, which is no setting"},
		{"a/secret.yaml", "which is a secret"}, {"a/member.yaml", "is no preset"}, {"a/empty.yaml", "has no settings"},
		{"a/two.yaml", "more than one document"}, {"a/value.yaml", "longer than 24 hours"}, // X2: the cap stands behind no setting
	} {
		_, r, err := Load(Sources{Env: serveEnv("CARDEA_PRESET=" + c.name), ReadFile: read})
		if err == nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].String(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if c, _ := mustLoad(t, Sources{Env: serveEnv("CARDEA_PRESET=a/good.yaml"), ReadFile: read}); c.JWT.TTL != 2*time.Hour {
		t.Errorf("TTL %s", c.JWT.TTL)
	}
}

// TestLinkURL: links lead to the server where it has a page for them, else to the application.
func TestLinkURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ setting, want string }{
		{"CARDEA_PRESET=medmitra", "https://auth.example.com/auth/v1/verify"},
		{"CARDEA_PRESET=dermadetect", "https://app.example.com/auth/verify"},
		{"CARDEA_MAIL_LINK_URL=https://app.example.com/reset", "https://app.example.com/reset"},
	} {
		got, _ := mustLoad(t, Sources{Env: serveEnv(c.setting, "CARDEA_PUBLIC_URL=https://auth.example.com", "CARDEA_SITE_URL=https://app.example.com/")})
		if got.Mail.LinkURL != c.want {
			t.Errorf("%s: %q, want %q", c.setting, got.Mail.LinkURL, c.want)
		}
	}
	if _, _, err := Load(Sources{Env: serveEnv("CARDEA_MAIL_LINK_URL=http://app.example.com/reset")}); err == nil || !strings.Contains(err.Error(), "must be https outside loopback: the tokens of links") {
		t.Errorf("plain http: %v", err)
	}
}
