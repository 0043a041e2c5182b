package role_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/role"
)

const clinic = `
permissions:
  patient:read:
  patient:read:basic:
  patient:read-all:
  patient:write:
  patients:read:
  billing:read:
roles:
  reader: {scope: tenant, level: 1, permissions: [patient:read]}
  basic: {scope: tenant, level: 2, permissions: [patient:read:basic]}
  nurse: {scope: tenant, level: 3, inherits: [reader, basic]}
  doctor: {scope: both, level: 5, inherits: nurse, permissions: ["patient:*"]}
  biller: {scope: app, level: 2, permissions: [billing:read]}
  chief: {scope: both, level: 9, permissions: ["*"]}
  guest: {}
`

func load(t testing.TB, doc string) *role.Catalogue {
	t.Helper()
	c, err := role.Load("test.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHas is the table of what roles may, with what they must not.
func TestHas(t *testing.T) {
	t.Parallel()
	c := load(t, clinic)
	for _, test := range []struct {
		name       string
		roles      []string
		permission string
		want       bool
	}{
		{"own", []string{"reader"}, "patient:read", true},
		{"another's", []string{"reader"}, "patient:write", false},
		{"inherited", []string{"nurse"}, "patient:read", true},
		{"inherited twice", []string{"doctor"}, "patient:read:basic", true},
		{"wildcard", []string{"doctor"}, "patient:write", true},
		{"wildcard, longer word", []string{"doctor"}, "patients:read", false},
		{"above one's own", []string{"basic"}, "patient:read", false},
		{"below one's own", []string{"reader"}, "patient:read:basic", false},
		{"everything", []string{"chief"}, "billing:read", true},
		{"everything, of the server's", []string{"chief"}, role.MemberRemove, true},
		{"second of two", []string{"guest", "biller"}, "billing:read", true},
		{"no role", nil, "patient:read", false},
		{"X5 unknown role", []string{"superadmin"}, "patient:read", false},
		{"X5 unknown role beside a known one", []string{"superadmin", "reader"}, "patient:read", true},
		{"role in other letters", []string{"Chief"}, "patient:read", false},
		{"empty role", []string{""}, "patient:read", false},
		{"unknown permission", []string{"chief"}, "patient:reed", false},
		{"asking for a wildcard", []string{"chief"}, "patient:*", false},
		{"asking for everything", []string{"chief"}, "*", false},
		{"asking for nothing", []string{"chief"}, "", false},
		{"role as a permission", []string{"chief"}, "chief", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := c.Has(test.roles, test.permission); got != test.want {
				t.Errorf("Has(%q, %q) = %t", test.roles, test.permission, got)
			}
			if got := c.Explain(test.roles, test.permission); got.Allowed != test.want || len(got.Because) == 0 {
				t.Errorf("Explain(%q, %q) = %+v", test.roles, test.permission, got)
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	c := load(t, clinic)
	for _, test := range []struct {
		name         string
		roles        []string
		want, expand []string
	}{
		{"none", nil, []string{}, []string{}},
		{"unknown (X5)", []string{"superadmin", "Reader", ""}, []string{}, []string{}},
		{"no permissions", []string{"guest"}, []string{}, []string{}},
		{"inherited", []string{"nurse"}, []string{"patient:read", "patient:read:basic"}, []string{"patient:read", "patient:read:basic"}},
		{"wildcard covers what is inherited", []string{"doctor"}, []string{"patient:*"},
			[]string{"patient:read", "patient:read-all", "patient:read:basic", "patient:write"}},
		{"two", []string{"doctor", "biller", "doctor"}, []string{"billing:read", "patient:*"},
			[]string{"billing:read", "patient:read", "patient:read-all", "patient:read:basic", "patient:write"}},
		{"everything beside something", []string{"reader", "chief"}, []string{"*"}, everything(c)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, c.Permissions(test.roles...)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.expand, c.Expand(test.roles...)); diff != "" {
				t.Error(diff)
			}
		})
	}
	// What is handed out can be scribbled on.
	c.Permissions("chief")[0] = "nothing"
	if !c.Has([]string{"chief"}, "patient:read") || c.Permissions("chief")[0] != "*" {
		t.Error("the catalogue was changed from outside")
	}
}

// everything is every permission that a catalogue knows.
func everything(c *role.Catalogue) []string {
	var names []string
	for _, p := range slices.Concat(c.Declared(), role.Builtin()) {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestHasBelowAndLevel(t *testing.T) {
	t.Parallel()
	c := load(t, clinic)
	for _, test := range []struct {
		role, prefix string
		want         bool
	}{
		{"reader", "patient:read", true},
		{"basic", "patient:read", true},
		{"basic", "patient", true},
		{"basic", "patient:write", false},
		{"basic", "patient:rea", false},
		{"basic", "", false},
		{"guest", "patient", false},
		{"chief", "patient:read", true},
		{"chief", "nothing", false},
		{"doctor", "patients", false},
	} {
		if got := c.HasBelow([]string{test.role}, test.prefix); got != test.want {
			t.Errorf("HasBelow(%q, %q) = %t", test.role, test.prefix, got)
		}
	}
	if got := c.Level("basic", "nurse", "nobody"); got != 3 {
		t.Errorf("level %d, want the highest", got)
	}
	if c.Level("guest") != 0 || c.Level("nobody") != -1 || c.Level() != -1 {
		t.Error("an unknown role must not stand on the level of a known one")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	c := load(t, clinic)
	for _, test := range []struct {
		name       string
		roles      []string
		permission string
		want       role.Explanation
	}{
		{"own", []string{"reader"}, "patient:read", role.Explanation{Allowed: true, Because: []string{"role reader has patient:read"}}},
		{"nearest line", []string{"doctor"}, "patient:read:basic", role.Explanation{Allowed: true,
			Because: []string{"role doctor has patient:*, which covers patient:read:basic"}}},
		{"inherited", []string{"nurse", "guest"}, "patient:read:basic", role.Explanation{Allowed: true,
			Because: []string{"role nurse inherits basic, which has patient:read:basic"}}},
		{"two ways", []string{"chief", "reader"}, "patient:read", role.Explanation{Allowed: true,
			Because: []string{"role chief has *, which covers patient:read", "role reader has patient:read"}}},
		{"denied", []string{"guest", "reader"}, "billing:read", role.Explanation{Because: []string{
			"role guest does not have billing:read", "role reader does not have billing:read", "billing:read comes with: biller, chief"}}},
		{"unknown role", []string{"root"}, "billing:read", role.Explanation{Because: []string{
			`the catalogue has no role "root", so it gives nothing`, "billing:read comes with: biller, chief"}}},
		{"no roles", nil, "billing:read", role.Explanation{Because: []string{"there are no roles", "billing:read comes with: biller, chief"}}},
		{"unknown permission", []string{"chief"}, "billing:reed", role.Explanation{
			Because: []string{`the catalogue has no permission "billing:reed", so nobody has it`}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, c.Explain(test.roles, test.permission)); diff != "" {
				t.Error(diff)
			}
		})
	}
	lonely := load(t, "permissions: {a: }\nroles: {x: {}}\n")
	want := role.Explanation{Because: []string{"role x does not have a", "no role has a"}}
	if diff := cmp.Diff(want, lonely.Explain([]string{"x"}, "a")); diff != "" {
		t.Error(diff)
	}
}

// TestZeroCatalogue: without a catalogue everything is denied, and nothing breaks.
func TestZeroCatalogue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*role.Catalogue{"zero": {}, "live without one": role.NewLive(nil).Get()} {
		if c.Has([]string{"admin"}, role.UserRead) || c.HasBelow([]string{"admin"}, "user") || c.Known(role.UserRead) ||
			c.Level("admin") != -1 || c.Owner() != "" || len(c.Roles())+len(c.Permissions("admin"))+len(c.Expand("admin")) != 0 ||
			c.Explain([]string{"admin"}, role.UserRead).Allowed {
			t.Errorf("%s: something is allowed", name)
		}
		if _, ok := c.Role("admin"); ok {
			t.Errorf("%s: has a role", name)
		}
	}
}

// TestMatches is the table of wildcards.
func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, permission string
		want                bool
	}{
		{"patient:read", "patient:read", true},
		{"patient:*", "patient:read", true},
		{"patient:*", "patient:read:basic", true},
		{"patient:read:*", "patient:read:basic", true},
		{"patient:read:*", "patient:read", false},
		{"patient:*", "patient", false},
		{"patient:*", "patients:read", false},
		{"pat*", "patient:read", false},
		{"*", "patient:read", true},
		{"*", "*", false},
		{"*", "patient:*", false},
		{"patient:*", "patient:*", false},
		{"*", "", false},
		{"", "", false},
		{":*", ":read", false},
		{"*", "Patient:read", false},
	} {
		if got := role.Matches(test.pattern, test.permission); got != test.want {
			t.Errorf("Matches(%q, %q) = %t", test.pattern, test.permission, got)
		}
	}
}
