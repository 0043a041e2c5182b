package role_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cardea-auth/cardea/internal/role"
	"github.com/cardea-auth/cardea/presets"
)

// FuzzLoad: whatever the document is, the answer is a whole catalogue or a list of problems
// with lines that exist, and a catalogue that was taken never contradicts itself.
func FuzzLoad(f *testing.F) {
	for _, name := range presets.RoleCatalogues() {
		doc, _ := presets.RoleCatalogue(name)
		f.Add(doc)
	}
	for _, seed := range []string{
		"", "~", "roles: {a: {inherits: [b]}, b: {inherits: [a]}}", "roles:\n  a: &x {}\n  b: *x\n", "? [a, b]\n: c\n",
		"permissions: {a: }\nroles: {x: {permissions: [a, '*'], level: 010}}", "roles: {a: {}}\n---\n{", "%YAML 1.2\n---\nroles: {a: }",
		"roles: !!map {a: !!str }", "roles: {a: {description: \"\\0\"}}", "{{{", "\xef\xbb\xbfroles: {a: }", "roles: {a: {owner: true, scope: both, self_assignable: true}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := role.Load("fuzz.yaml", doc)
		if err != nil {
			checkProblems(t, c, err, doc)
			return
		}
		owners := 0
		for _, r := range c.Roles() {
			if r.Owner {
				owners++
			}
			if r.SelfAssignable && (r.Approval || r.Owner || c.Has([]string{r.Name}, role.RoleAssign)) {
				t.Errorf("role %q may be taken by anybody: %+v", r.Name, r)
			}
			have := c.Permissions(r.Name)
			for _, p := range c.Expand(r.Name) {
				matches := slices.ContainsFunc(have, func(pattern string) bool { return role.Matches(pattern, p) })
				if !c.Has([]string{r.Name}, p) || !c.Known(p) || !matches || !c.Explain([]string{r.Name}, p).Allowed {
					t.Errorf("role %q and %q: the answers differ", r.Name, p)
				}
			}
		}
		if owners > 1 || (owners == 1) != (c.Owner() != "") || len(c.Roles()) == 0 {
			t.Errorf("%d owners, %q; %d roles", owners, c.Owner(), len(c.Roles()))
		}
	})
}

func checkProblems(t *testing.T, c *role.Catalogue, err error, doc []byte) {
	t.Helper()
	var e *role.Error
	if c != nil || !errors.As(err, &e) || len(e.Problems) == 0 {
		t.Fatalf("catalogue %v beside %T: %v", c, err, err)
	}
	// YAML takes more for the end of a line than we count here.
	lines := len(doc) + 2
	for _, p := range e.Problems {
		if p.File != "fuzz.yaml" || p.Line < 0 || p.Line > lines || p.Text == "" {
			t.Errorf("problem %+v", p)
		}
	}
}
