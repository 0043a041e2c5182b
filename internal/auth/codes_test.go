package auth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/google/go-cmp/cmp"
)

// TestCodesIsComplete reads the package's source: a code that Codes forgets would have no
// test in any surface, and so perhaps no wire shape.
func TestCodesIsComplete(t *testing.T) {
	t.Parallel()
	declared := map[string]string{} // value -> name
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, spec := range g.Specs {
					collectCode(t, spec.(*ast.ValueSpec), declared)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(declared) < 30 {
		t.Fatalf("only %d codes found: the test proves nothing", len(declared))
	}
	listed := []string{}
	for _, c := range auth.Codes() {
		listed = append(listed, string(c))
	}
	slices.Sort(listed)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(declared)), listed); diff != "" {
		t.Errorf("declared (-) against Codes() (+):\n%s", diff)
	}
}

func collectCode(t *testing.T, spec *ast.ValueSpec, into map[string]string) {
	t.Helper()
	if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
		return
	}
	for i, name := range spec.Names {
		lit, ok := spec.Values[i].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s is not a literal", name.Name)
		}
		value, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := into[value]; twice {
			t.Errorf("%s and %s have the same value %q", other, name.Name, value)
		}
		if !strings.HasPrefix(name.Name, "Code") || value == "" {
			t.Errorf("%s = %q", name.Name, value)
		}
		into[value] = name.Name
	}
}
