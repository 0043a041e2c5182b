package presets

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/role"
	"github.com/cardea-auth/cardea/internal/scripttest"
	"github.com/cardea-auth/cardea/presets"
)

const day = 24 * time.Hour

func load(t *testing.T, settings ...string) (config.Config, error) {
	t.Helper()
	c, _, err := config.Load(config.Sources{Env: append([]string{
		"DATABASE_URL=sqlite:///cardea.db", "CARDEA_ENCRYPTION_KEY=" + strings.Repeat("0123456789abcdef", 4),
	}, settings...)})
	return c, err
}

// knobs is a row of the table of requirements: what a preset means for a system.
type knobs struct {
	Surfaces         []string
	Algorithm        string
	Token, API       time.Duration // X2
	Sliding, Longest time.Duration // X3
	Roles            []string
	Default          string
	TenantClaim      string // X6, X15
	Verification     string // X27
	Disclosure       string // X28
	Discovery        string // X30
	Region           string // X13, X14
	Phone, Proof     bool
}

// X1, X2, X3, X5, X13, X27, X28, X30: each preset has the values of its system.
func TestKnobs(t *testing.T) {
	t.Parallel()
	want := map[string]knobs{
		"medmitra": {
			Surfaces: []string{"supabase", "admin"}, Algorithm: "ES256", Token: time.Hour, API: 30 * time.Minute, Sliding: 30 * day, Longest: 90 * day,
			Roles: []string{"doctor"}, Default: "doctor", TenantClaim: "tenant_id", Disclosure: "neutral", Discovery: "off", Proof: true,
		},
		"dermadetect": {
			Surfaces: []string{"rest", "legacy", "admin"}, Algorithm: "ES256", Token: 30 * time.Minute, API: 30 * time.Minute, Sliding: 30 * day, Longest: 90 * day,
			Roles: []string{"admin", "patient", "physician"}, Default: "patient", TenantClaim: "tenant_id", Verification: "none", Disclosure: "explicit", Discovery: "off", Proof: true,
		},
		"ghar360": {
			Surfaces: []string{"supabase", "mirror", "admin"}, Algorithm: "ES256", Token: time.Hour, API: time.Hour, Sliding: 30 * day, Longest: 90 * day,
			Roles: []string{"admin", "agent", "user"}, Default: "user", TenantClaim: "tenant_id", Disclosure: "explicit", Discovery: "full", Region: "IN", Phone: true, Proof: true,
		},
		"medhastra": {
			Surfaces: []string{"supabase", "admin"}, Algorithm: "ES256", Token: time.Hour, API: 30 * time.Minute, Sliding: 30 * day, Longest: 90 * day,
			Roles: []string{"admin", "user"}, Default: "user", TenantClaim: "tenant_id", Verification: "before_login", Disclosure: "neutral", Discovery: "off", Proof: true,
		},
		"neonpro": {
			Surfaces: []string{"supabase", "rest", "admin"}, Algorithm: "ES256", Token: time.Hour, API: time.Hour, Sliding: 7 * day, Longest: 30 * day,
			Roles: []string{"admin", "healthcare_professional", "nurse", "patient", "staff"}, Default: "patient", TenantClaim: "clinic_id", Disclosure: "neutral", Discovery: "off", Proof: true,
		},
	}
	if got := presets.Names(); len(got) != len(want) {
		t.Fatalf("presets %q, %d rows", got, len(want))
	}
	for _, name := range presets.Names() {
		c, err := load(t, "CARDEA_PRESET="+name)
		if err != nil {
			t.Fatal(err)
		}
		got := knobs{
			Surfaces: c.Surfaces, Algorithm: c.JWT.Algorithm, Token: c.JWT.TTL, API: c.People.TokenTTL, Sliding: c.Session.Inactivity, Longest: c.Session.MaxAge(),
			Roles: roleNames(t, c.People.Roles), Default: c.People.DefaultRole, TenantClaim: c.People.TenantClaim, Verification: c.People.Verification,
			Disclosure: c.Proof.Disclosure, Discovery: c.Proof.Discovery, Region: c.People.PhoneRegion, Phone: c.PhoneEnabled, Proof: !c.EmailAutoconfirm,
		}
		if d := cmp.Diff(want[name], got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func roleNames(t *testing.T, catalogue string) []string {
	t.Helper()
	doc, ok := presets.RoleCatalogue(catalogue)
	if !ok {
		t.Fatalf("no catalogue %q", catalogue)
	}
	c, err := role.Load(catalogue, doc)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range c.Roles() {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return names
}

// X2, S3.17: the seven days of S3's local tokens are refused at the start, with the reason,
// and a preset is no way around it.
func TestLongTokensAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range presets.Names() {
		_, err := load(t, "CARDEA_PRESET="+name, "CARDEA_JWT_TTL=168h")
		if err == nil || !strings.Contains(err.Error(), "7d is longer than 24 hours: a stolen token works until it expires") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a preset opens against good custom is one setting each, and can be closed.
func TestPresetsCanBeTightened(t *testing.T) {
	t.Parallel()
	c, err := load(t, "CARDEA_PRESET=dermadetect", "CARDEA_VERIFICATION=before_login", "CARDEA_DISCLOSURE=neutral")
	if err != nil || c.People.Verification != "before_login" || c.Proof.Disclosure != "neutral" || c.JWT.TTL != 30*time.Minute {
		t.Errorf("%+v, %v", c.People, err)
	}
	c, err = load(t, "CARDEA_PRESET=ghar360", "CARDEA_IDENTIFIER_DISCOVERY=next_step_only", "CARDEA_SURFACES=mirror,admin")
	if err != nil || c.Proof.Discovery != "next_step_only" || slices.Contains(c.Surfaces, "supabase") {
		t.Errorf("%+v, %v", c.Proof, err)
	}
}

// X1: everything can be mounted at once. The one address that two systems want differently,
// /api/v1/auth/login, is then the older gateway's, which asks for its tenant.
func TestEverySurfaceTogether(t *testing.T) {
	t.Parallel()
	b := scripttest.Start(t, "CARDEA_SURFACES=supabase,rest,mirror,legacy,admin")
	for request, want := range map[string]int{
		"GET /auth/v1/health":                        200,
		"GET /api/auth/me":                           401,
		"GET /api/v1/users/me":                       401,
		"GET /api/v1/auth/config":                    200,
		"POST /api/v1/auth/login\n\n{}":              400,
		"POST /he/clinic/api/auth/login\n\n{}":       404,
		"GET /admin/v1/users":                        401,
		"GET /docs":                                  200,
		"POST /api/v1/auth/register\n\n{}":           400,
		"POST /api/v1/auth/refresh\n\n{}":            404,
		"POST /api/v1/auth/login\nX-Tenant: x\n\n{}": 404,
	} {
		if x := scripttest.Ask(t, b.Server.Handler(), request); x.Answer.Code != want {
			t.Errorf("%s: %d, want %d: %s", request, x.Answer.Code, want, x.Answer.Body)
		}
	}
}
