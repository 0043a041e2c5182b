package role_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/role"
)

// problems loads what is wrong and gives the sentences.
func problems(t *testing.T, doc string) []string {
	t.Helper()
	c, err := role.Load("roles.yaml", []byte(doc))
	if err == nil {
		return nil
	}
	if c != nil {
		t.Error("a catalogue beside an error")
	}
	var e *role.Error
	if !errors.As(err, &e) || len(e.Problems) == 0 {
		t.Fatalf("error %T: %v", err, err)
	}
	return strings.Split(err.Error(), "\n")
}

// TestLoadAllProblems: everything that is wrong is told at once, in the order of the lines.
func TestLoadAllProblems(t *testing.T) {
	t.Parallel()
	doc := `permission: {}
permissions:
  patient:read: See
  patient:read: Twice
  Patient:write:
  file:write: [no, text]
roles:
  a:
    inherits: [b, nobody]
    permissions: [patient:reed, "image:*", "*:read", true]
  b:
    inherits: a
    level: -1
    owner: true
    colour: red
  c:
    scope: everywhere
    owner: yes
    self_assignable: true
    approval: true
  c: {}
  service_role: {}
  "2c": {}
  d:
    scope: tenant
    owner: true
    permissions: [patient:read, "patient:*", patient:read]
`
	want := []string{
		`roles.yaml:1: unknown key "permission": a catalogue has description, permissions and roles`,
		`roles.yaml:4: permissions: "patient:read" stands twice, first in line 3`,
		`roles.yaml:5: permission "Patient:write": a name has up to 4 segments of a-z, 0-9, _, - and . between colons, 64 characters in all`,
		`roles.yaml:6: description: want text, found a list`,
		`roles.yaml:9: role a inherits "nobody", which is no role of this catalogue`,
		`roles.yaml:10: role a: permissions: want text, found "true"`,
		`roles.yaml:10: role a: permission "patient:reed" is not declared under permissions`,
		`roles.yaml:10: role a: "image:*" covers no permission of this catalogue`,
		`roles.yaml:10: role a: permission "*:read": want a permission, "*", or a permission followed by ":*"`,
		`roles.yaml:12: role a inherits itself: a -> b -> a`,
		`roles.yaml:13: role b: level: want a whole number from 0 to 1000, found "-1"`,
		`roles.yaml:14: role b: owner: its scope has to be tenant or both`,
		`roles.yaml:15: role b: unknown key "colour": a role has description, scope, level, owner, self_assignable, approval, inherits and permissions`,
		`roles.yaml:16: role c: self_assignable and approval: either anybody may take it, or somebody has to agree`,
		`roles.yaml:17: role c: scope "everywhere": want app, tenant or both`,
		`roles.yaml:18: role c: owner: want true or false, found "yes"`,
		`roles.yaml:21: roles: "c" stands twice, first in line 16`,
		`roles.yaml:22: role "service_role": the name of a database role, which a token's claim "role" may hold; choose another`,
		`roles.yaml:23: role "2c": a name begins with a-z, then a-z, 0-9, _ and -, 64 characters in all`,
		`roles.yaml:26: role d: owner: b is the owner already, and there can be one`,
		`roles.yaml:27: role d: permissions: "patient:read" stands twice`,
		`roles.yaml:27: role d: "patient:read" is covered by "patient:*" already: leave one out`,
	}
	if diff := cmp.Diff(want, problems(t, doc)); diff != "" {
		t.Error(diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, doc, want string }{
		{"empty", "", "roles.yaml: empty: a catalogue has permissions and roles"},
		{"comment", "# nothing\n", "roles.yaml: empty: a catalogue has permissions and roles"},
		{"null", "~\n", "roles.yaml: empty: a catalogue has permissions and roles"},
		{"text", "roles\n", `roles.yaml:1: "roles" where a catalogue has permissions and roles`},
		{"list", "- a\n- b\n", "roles.yaml:1: a list where a catalogue has permissions and roles"},
		{"no roles", "permissions: {a: }\n", "roles.yaml: no roles"},
		{"roles are a list", "roles: [a, b]\n", "roles.yaml:1: roles: want a mapping of names, found a list"},
		{"broken", "roles:\n  a: {\n", "not YAML"},
		{"tab", "roles:\n\ta: {}\n", "roles.yaml:2: not YAML: found character that cannot start any token"},
		{"two documents", "roles: {a: {}}\n---\nroles: {b: {}}\n", "roles.yaml:2: a second document: a catalogue is one"},
		{"broken second document", "roles: {a: {}}\n---\n{\n", "not YAML"},
		{"anchor", "roles:\n  a: &x {}\n", "roles.yaml:2: an anchor or alias: write it out, or use inherits"},
		{"alias", "roles:\n  a: &x {}\n  b: *x\n", "roles.yaml:2: an anchor or alias: write it out, or use inherits\nroles.yaml:3: an anchor or alias: write it out, or use inherits"},
		{"merge key", "roles:\n  a:\n    <<: {level: 3}\n", `roles.yaml:3: a name: want text, found "<<"`},
		{"role is true", "roles:\n  true: {}\n", `roles.yaml:2: a name: want text, found "true"`},
		{"role is a number", "roles:\n  12: {}\n", `roles.yaml:2: a name: want text, found "12"`},
		{"role is nothing", "roles:\n  ~: {}\n", "roles.yaml:2: a name: want text, found nothing"},
		{"upper case", "roles:\n  Admin: {}\n", `role "Admin": a name begins with a-z`},
		{"look-alike", "roles:\n  \u0430dmin: {}\n", "a name begins with a-z"},
		{"long name", "roles:\n  " + strings.Repeat("a", 65) + ": {}\n", "64 characters in all"},
		{"inherits itself", "roles:\n  a: {inherits: a}\n", "roles.yaml:2: role a inherits itself: a -> a"},
		{"five segments", "permissions:\n  a:b:c:d:e:\nroles: {a: {}}\n", "up to 4 segments"},
		{"empty segment", "permissions:\n  \"a::b\":\nroles: {a: {}}\n", "up to 4 segments"},
		{"declared wildcard", "permissions:\n  \"a:*\":\nroles: {a: {}}\n", "up to 4 segments"},
		{"octal level", "roles:\n  a: {level: 010}\n", `roles.yaml:2: role a: level: want a whole number from 0 to 1000, found "010"`},
		{"quoted level", "roles:\n  a: {level: \"5\"}\n", "role a: level"},
		{"high level", "roles:\n  a: {level: 1001}\n", "role a: level"},
		{"flag as text", "roles:\n  a: {self_assignable: \"true\"}\n", `role a: self_assignable: want true or false, found "true"`},
		{"permissions are a mapping", "roles:\n  a: {permissions: {x: y}}\n", "roles.yaml:2: role a: permissions: want a list of names, found a mapping"},
		{"not UTF-8", "roles:\n  a\xff: {}\n", "roles.yaml: not UTF-8"},
		{"too long", "#" + strings.Repeat("x", 1<<20), "roles.yaml: 1048577 bytes, more than 1048576"},
		{"database role", "roles:\n  authenticated: {}\n", "the name of a database role"},
		// A role that anybody may take when they register (X29).
		{"self-made operator", "roles:\n  a: {self_assignable: true, permissions: [role:assign]}\n", "roles.yaml:2: role a: self_assignable: anybody could take it, and it has role:assign"},
		{"self-made operator by inheritance", "roles:\n  a: {self_assignable: true, inherits: b}\n  b: {permissions: \"member:*\"}\n", "it has member:update"},
		{"self-made owner", "roles:\n  a: {self_assignable: true, scope: tenant, owner: true}\n", "roles.yaml:2: role a: self_assignable: anybody could become an owner"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(problems(t, c.doc), "\n")
			if got == "" || !strings.Contains(got, c.want) {
				t.Errorf("problems %q, want %q", got, c.want)
			}
		})
	}
}

// TestLoadCycles: each cycle is told once, with its way around.
func TestLoadCycles(t *testing.T) {
	t.Parallel()
	got := problems(t, `roles:
  a: {inherits: b}
  b: {inherits: c}
  c: {inherits: [a, d]}
  d: {inherits: e}
  e: {inherits: d}
  f: {inherits: [a, d]}
`)
	want := []string{
		"roles.yaml:4: role a inherits itself: a -> b -> c -> a",
		"roles.yaml:6: role d inherits itself: d -> e -> d",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestLoadLimits: a file that is too big is refused, and quickly.
func TestLoadLimits(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	many.WriteString("roles:\n")
	for i := range 1001 {
		fmt.Fprintf(&many, "  r%d: {}\n", i)
	}
	if got := problems(t, many.String()); len(got) != 1 || got[0] != "roles.yaml:1002: more than 1000 roles" {
		t.Errorf("1,001 roles: %q", got)
	}
	many.Reset()
	many.WriteString("permissions:\n")
	for i := range 5001 {
		fmt.Fprintf(&many, "  p%d:\n", i)
	}
	many.WriteString("roles: {a: {}}\n")
	if got := problems(t, many.String()); len(got) != 1 || got[0] != "roles.yaml:5002: more than 5000 permissions" {
		t.Errorf("5,001 permissions: %q", got)
	}
	deep := "roles: " + strings.Repeat("[", 20_000)
	if got := problems(t, deep); len(got) == 0 {
		t.Error("20,000 brackets are a catalogue")
	}
}

func TestLoadKeepsOrderAndWords(t *testing.T) {
	t.Parallel()
	c, err := role.Load("x", []byte(`
description: A test
permissions:
  b:two: Second
  a:one:
roles:
  zed:
    description: Last in the alphabet
    scope: both
    level: 7
    owner: true
    inherits: [able]
    permissions: ["b:*"]
  able: {permissions: a:one, approval: true}
  nobody:
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []role.Role{
		{
			Name: "zed", Description: "Last in the alphabet", Scope: role.ScopeBoth, Level: 7, Owner: true,
			Inherits: []string{"able"}, Permissions: []string{"b:*"},
		},
		{Name: "able", Scope: role.ScopeApp, Approval: true, Inherits: []string{}, Permissions: []string{"a:one"}},
		{Name: "nobody", Scope: role.ScopeApp, Inherits: []string{}, Permissions: []string{}},
	}
	if diff := cmp.Diff(want, c.Roles()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]role.Permission{{Name: "a:one"}, {Name: "b:two", Description: "Second"}}, c.Declared()); diff != "" {
		t.Error(diff)
	}
	if c.Owner() != "zed" || c.Name() != "x" {
		t.Errorf("owner %q, name %q", c.Owner(), c.Name())
	}
	// What is handed out can be scribbled on.
	c.Roles()[0].Permissions[0] = "*"
	r, _ := c.Role("zed")
	r.Inherits[0] = "zed"
	c.Declared()[0].Name = "x"
	if got := c.Permissions("zed"); !cmp.Equal(got, []string{"a:one", "b:*"}) {
		t.Errorf("after scribbling: %q", got)
	}
}
