package role_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/role"
)

// large has 200 roles, each of which inherits the one before the last, and 400 permissions.
func large(b *testing.B) (*role.Catalogue, []string) {
	b.Helper()
	var doc strings.Builder
	doc.WriteString("permissions:\n")
	for i := range 200 {
		fmt.Fprintf(&doc, "  area%d:read:\n  area%d:write:\n", i, i)
	}
	doc.WriteString("roles:\n")
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("role%d", i)
		fmt.Fprintf(&doc, "  role%d:\n    permissions: [\"area%d:read\"]\n", i, i)
		if i > 1 {
			fmt.Fprintf(&doc, "    inherits: role%d\n", i-2)
		}
	}
	return load(b, doc.String()), names
}

// BenchmarkHas asks for one of 400 permissions: with one role, as with a membership, and
// with 200 none of which has it, the dearest case there is.
func BenchmarkHas(b *testing.B) {
	c, names := large(b)
	b.Run("1role", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !c.Has(names[199:], "area7:read") {
				b.Fatal("denied")
			}
		}
	})
	b.Run("200roles", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if c.Has(names, "area7:write") {
				b.Fatal("allowed")
			}
		}
	})
}

// BenchmarkPermissions adds up what a token says: of one role, and of 200.
func BenchmarkPermissions(b *testing.B) {
	c, names := large(b)
	for _, n := range []int{1, 200} {
		b.Run(fmt.Sprintf("%droles", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(c.Permissions(names[:n]...)) != n {
					b.Fatal("not all")
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	var doc strings.Builder
	doc.WriteString("permissions: {a: }\nroles:\n")
	for i := range 200 {
		fmt.Fprintf(&doc, "  role%d: {permissions: a}\n", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := role.Load("bench", []byte(doc.String())); err != nil {
			b.Fatal(err)
		}
	}
}
