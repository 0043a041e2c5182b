package cardea_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// mutableVars lists package-level variables that the check below takes for state, with
// the reason why they are none. The key is folder.name.
func mutableVars() map[string]string {
	return map[string]string{
		"internal/pgtest.shared": "the one PostgreSQL of a test process, started when first asked for",
	}
}

// TestNoMutableState refuses package-level variables that can change after start-up.
// Errors, compiled patterns, embedded files and tables that nothing writes to are constants
// that Go has no word for.
func TestNoMutableState(t *testing.T) {
	t.Parallel()
	reasons := mutableVars()
	byPkg := map[string][]source{}
	for _, s := range parseAll(t) {
		if !s.test {
			byPkg[s.pkg] = append(byPkg[s.pkg], s)
		}
	}
	seen := 0
	for pkg, files := range byPkg {
		written := writtenNames(files)
		for _, s := range files {
			for _, v := range packageVars(s.file) {
				seen++
				problem := v.problem(written)
				if problem == "" {
					continue
				}
				key := pkg + "." + v.name
				if _, ok := reasons[key]; ok {
					delete(reasons, key)
					continue
				}
				t.Errorf("%s:%d: variable %s %s", s.path, s.line(v.pos), v.name, problem)
			}
		}
	}
	for key, reason := range reasons {
		t.Errorf("mutableVars() names %s (%s), which the check no longer objects to", key, reason)
	}
	if seen == 0 {
		t.Error("no package-level variable was seen: the test proves nothing")
	}
}

// packageVar is one name of a var declaration outside functions.
type packageVar struct {
	name  string
	pos   token.Pos
	typ   ast.Expr
	value ast.Expr
	embed bool
}

func packageVars(file *ast.File) []packageVar {
	var vars []packageVar
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, spec := range decl.Specs {
			vs, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			embed := isEmbed(decl.Doc) || isEmbed(vs.Doc)
			for i, name := range vs.Names {
				if name.Name == "_" {
					continue
				}
				v := packageVar{name: name.Name, pos: name.Pos(), typ: vs.Type, embed: embed}
				if i < len(vs.Values) {
					v.value = vs.Values[i]
				} else if len(vs.Values) == 1 {
					v.value = vs.Values[0]
				}
				vars = append(vars, v)
			}
		}
	}
	return vars
}

func isEmbed(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// pure lists functions whose result may stand at package level: it never changes.
func pure() []string {
	return []string{
		"errors.New", "fmt.Errorf", "auth.E", "regexp.MustCompile", "template.Must", "strings.NewReplacer",
		"netip.MustParsePrefix", "netip.MustParseAddr", "netip.AddrFrom4", "sha256.Sum256", "reflect.TypeFor",
		"slog.LevelVar", "byte", "string", "len", "RawEncoding.WithPadding", "time.Duration", "time.Date",
		"RawURLEncoding.Strict", "StdEncoding.Strict", "URLEncoding.Strict", "RawStdEncoding.Strict",
	}
}

func (v *packageVar) problem(written map[string]bool) string {
	switch {
	case v.embed:
		return ""
	case written[v.name]:
		return "is written to"
	case v.value == nil:
		return "has no value: it is there to be changed"
	case ast.IsExported(v.name) && !isErrorName(v.name):
		return "is exported: every importer could change it"
	}
	problem := ""
	ast.Inspect(v.value, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // runs later, on its own variables
		case *ast.CallExpr:
			if name := calledName(n.Fun); !slices.Contains(pure(), name) {
				problem = "is made by " + name + ", which is not known to be a constant"
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && (x.Name == "sync" || x.Name == "atomic") {
				problem = "is a lock, which guards state"
			}
		}
		return true
	})
	return problem
}

func isErrorName(name string) bool { return strings.HasPrefix(name, "Err") }

func calledName(fun ast.Expr) string {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		switch x := f.X.(type) {
		case *ast.Ident:
			return x.Name + "." + f.Sel.Name
		case *ast.SelectorExpr:
			return x.Sel.Name + "." + f.Sel.Name
		default:
			return f.Sel.Name
		}
	case *ast.ArrayType:
		return "byte" // a conversion such as []byte("...")
	default:
		return "a function value"
	}
}

// writtenNames gives the names that some function of the package assigns to, through, or
// takes the address of. A local variable of the same name counts too: rename it, or the
// reader is misled as well.
func writtenNames(files []source) map[string]bool {
	written := map[string]bool{}
	mark := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				written[x.Name] = true
				return
			default:
				return
			}
		}
	}
	for _, s := range files {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					if n.Tok != token.DEFINE {
						for _, left := range n.Lhs {
							mark(left)
						}
					}
				case *ast.IncDecStmt:
					mark(n.X)
				case *ast.UnaryExpr:
					if n.Op == token.AND {
						mark(n.X)
					}
				case *ast.CallExpr:
					if name := calledName(n.Fun); (name == "delete" || name == "clear" || name == "copy") && len(n.Args) > 0 {
						mark(n.Args[0])
					}
				}
				return true
			})
		}
	}
	return written
}
