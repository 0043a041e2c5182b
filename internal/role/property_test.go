package role_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cardea-auth/cardea/internal/role"
)

// plan is a catalogue before it is written down. Role i inherits only from those before it,
// so there is no cycle.
type plan struct {
	permissions []string
	has         [][]string
	inherits    [][]int
}

func (p plan) yaml() string {
	var b strings.Builder
	b.WriteString("permissions:\n")
	for _, name := range p.permissions {
		fmt.Fprintf(&b, "  %q:\n", name)
	}
	b.WriteString("roles:\n")
	for i := range p.has {
		fmt.Fprintf(&b, "  r%d:\n    permissions: [%s]\n    inherits: [", i, quoted(p.has[i]))
		for _, parent := range p.inherits[i] {
			fmt.Fprintf(&b, "r%d, ", parent)
		}
		b.WriteString("]\n")
	}
	return b.String()
}

func quoted(names []string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%q, ", name)
	}
	return b.String()
}

func planned() *rapid.Generator[plan] {
	return rapid.Custom(func(t *rapid.T) plan {
		var p plan
		for _, a := range []string{"a", "b", "ab"} {
			for _, b := range []string{"", ":x", ":y", ":x:1", ":x-1"} {
				p.permissions = append(p.permissions, a+b)
			}
		}
		p.permissions = rapid.SliceOfNDistinct(rapid.SampledFrom(p.permissions), 1, len(p.permissions), rapid.ID).Draw(t, "permissions")
		roles := rapid.IntRange(1, 6).Draw(t, "roles")
		for i := range roles {
			var lines []string
			for _, line := range rapid.SliceOfNDistinct(rapid.SampledFrom(append(patterns(p.permissions), p.permissions...)), 0, 5, rapid.ID).Draw(t, "lines") {
				if !slices.ContainsFunc(lines, func(l string) bool { return overlap(l, line) }) {
					lines = append(lines, line)
				}
			}
			p.has = append(p.has, lines)
			var parents []int
			if i > 0 {
				parents = rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, i, rapid.ID).Draw(t, "inherits")
			}
			p.inherits = append(p.inherits, parents)
		}
		return p
	})
}

// patterns are the wildcards that cover at least one of the permissions.
func patterns(permissions []string) []string {
	list := []string{"*"}
	for _, p := range permissions {
		for i, c := range p {
			if c == ':' && !slices.Contains(list, p[:i]+":*") {
				list = append(list, p[:i]+":*")
			}
		}
	}
	return list
}

// overlap reports whether one line covers the other, which the loader refuses.
func overlap(a, b string) bool {
	star := func(wide, narrow string) bool {
		return wide == "*" || strings.HasSuffix(wide, ":*") && strings.HasPrefix(narrow, strings.TrimSuffix(wide, "*"))
	}
	return a == b || star(a, b) || star(b, a)
}

// TestPropertyAgree: Has, Permissions, Expand, HasBelow and Explain are five ways to ask
// one thing, and a plain walk over the plan is the sixth.
func TestPropertyAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := planned().Draw(t, "plan")
		c, err := role.Load("plan", []byte(p.yaml()))
		if err != nil {
			t.Fatalf("%v\n%s", err, p.yaml())
		}
		var roles []string
		var places []int
		for _, i := range rapid.SliceOf(rapid.IntRange(0, len(p.has))).Draw(t, "ask for") {
			roles = append(roles, fmt.Sprintf("r%d", i)) // one beyond the last is unknown
			places = append(places, i)
		}
		have, expanded := c.Permissions(roles...), c.Expand(roles...)
		if !slices.IsSorted(have) || !slices.IsSorted(expanded) {
			t.Fatalf("not sorted: %q, %q", have, expanded)
		}
		for _, permission := range everything(c) {
			want := slices.ContainsFunc(places, func(i int) bool { return p.covers(i, permission) })
			byPattern := slices.ContainsFunc(have, func(pattern string) bool { return role.Matches(pattern, permission) })
			if c.Has(roles, permission) != want || byPattern != want || slices.Contains(expanded, permission) != want ||
				c.Explain(roles, permission).Allowed != want {
				t.Fatalf("%q, %q: want %t; Has %t, Permissions %q, Expand %q, Explain %+v\n%s", roles, permission, want,
					c.Has(roles, permission), have, expanded, c.Explain(roles, permission), p.yaml())
			}
			if want && !c.HasBelow(roles, permission) {
				t.Fatalf("HasBelow(%q, %q) is false", roles, permission)
			}
		}
		for i, a := range have { // nothing is said twice
			for j, b := range have {
				if i != j && overlap(a, b) {
					t.Fatalf("%q and %q in %q", a, b, have)
				}
			}
		}
	})
}

// covers walks the plan.
func (p plan) covers(i int, permission string) bool {
	if i >= len(p.has) {
		return false
	}
	for _, line := range p.has[i] {
		if line == permission || line == "*" || strings.HasSuffix(line, ":*") && strings.HasPrefix(permission, strings.TrimSuffix(line, "*")) {
			return true
		}
	}
	return slices.ContainsFunc(p.inherits[i], func(parent int) bool { return p.covers(parent, permission) })
}

// TestPropertyMonotone: who inherits, or has one more role, never loses anything.
func TestPropertyMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := planned().Draw(t, "plan")
		before, err := role.Load("plan", []byte(p.yaml()))
		if err != nil {
			t.Fatal(err)
		}
		heir := rapid.IntRange(0, len(p.has)-1).Draw(t, "heir")
		if heir > 0 {
			parent := rapid.IntRange(0, heir-1).Draw(t, "parent")
			if !slices.Contains(p.inherits[heir], parent) {
				p.inherits[heir] = append(p.inherits[heir], parent)
			}
		}
		after, err := role.Load("plan", []byte(p.yaml()))
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.has {
			name := fmt.Sprintf("r%d", i)
			for _, permission := range before.Expand(name) {
				if !after.Has([]string{name}, permission) {
					t.Fatalf("%s lost %s by an inheritance of r%d", name, permission, heir)
				}
				if !before.Has([]string{"r0", name, "nobody"}, permission) {
					t.Fatalf("%s lost %s in company", name, permission)
				}
			}
			for _, parent := range p.inherits[i] {
				for _, permission := range after.Expand(fmt.Sprintf("r%d", parent)) {
					if !after.Has([]string{name}, permission) {
						t.Fatalf("%s does not have %s of r%d, which it inherits", name, permission, parent)
					}
				}
			}
		}
	})
}
