package cardea_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The budgets of the house.
const (
	maxFile     = 400 // lines of code that ships; more needs a line in longFiles
	maxFileEver = 600 // tests too
	maxFunc     = 100 // lines of code that ships
	maxTestFunc = 150
)

// longFiles lists the files between maxFile and maxFileEver, with a reason.
func longFiles() map[string]string {
	return map[string]string{}
}

// source is one parsed Go file.
type source struct {
	pkg   string // folder inside the repository
	path  string // path inside the repository
	test  bool
	text  []byte
	file  *ast.File
	fset  *token.FileSet
	names map[string]string // import name -> import path
}

func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

// parseAll reads every Go file of the main module, those of other platforms included.
func parseAll(t *testing.T) []source {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	for _, p := range listPackages(t) {
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
			full := filepath.Join(p.Dir, name)
			text, err := os.ReadFile(full)
			if err != nil {
				t.Fatal(err)
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, full, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Errorf("%v", err)
				continue
			}
			rel, err := filepath.Rel(root, full)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, source{
				pkg: p.rel(), path: filepath.ToSlash(rel), test: strings.HasSuffix(name, "_test.go"),
				text: text, file: file, fset: fset, names: importNames(file),
			})
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d files parsed: the rules would hold of nothing", len(all))
	}
	return all
}

func importNames(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range file.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := importPath[strings.LastIndex(importPath, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = importPath
	}
	return names
}

// TestPackageComments wants one package comment in exactly one file of each package:
// it is the map of the package.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	comments := map[string][]string{}
	for _, s := range parseAll(t) {
		if s.test {
			continue
		}
		if _, ok := comments[s.pkg]; !ok {
			comments[s.pkg] = nil
		}
		if s.file.Doc == nil {
			continue
		}
		comments[s.pkg] = append(comments[s.pkg], s.path)
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(s.file.Doc.Text(), want) {
			t.Errorf("%s: the package comment has to begin with %q", s.path, want)
		}
	}
	for pkg, in := range comments {
		if len(in) != 1 {
			t.Errorf("package %q has %d package comments, want one: %q", pkg, len(in), in)
		}
	}
}

// TestNoInit refuses init functions and dot imports: wiring is explicit.
func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, s := range parseAll(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: init function", s.path, s.line(f.Pos()))
			}
		}
		if from, ok := s.names["."]; ok {
			t.Errorf("%s: dot import of %s", s.path, from)
		}
	}
}

// TestSizes keeps files and functions readable in one sitting.
func TestSizes(t *testing.T) {
	t.Parallel()
	reasons := longFiles()
	for _, s := range parseAll(t) {
		if ast.IsGenerated(s.file) {
			continue
		}
		lines := bytes.Count(s.text, []byte("\n"))
		reason, excused := reasons[s.path]
		switch {
		case lines > maxFileEver:
			t.Errorf("%s: %d lines, more than %d: split it by concern", s.path, lines, maxFileEver)
		case lines > maxFile && !excused && !s.test:
			t.Errorf("%s: %d lines, more than %d: split it by concern, or give a reason in longFiles()", s.path, lines, maxFile)
		case lines <= maxFile && excused:
			t.Errorf("%s has %d lines now: remove it from longFiles() (%s)", s.path, lines, reason)
		}
		delete(reasons, s.path)
		limit := maxFunc
		if s.test {
			limit = maxTestFunc
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > limit {
				t.Errorf("%s:%d: %s has %d lines, more than %d: split it by step", s.path, s.line(f.Pos()), f.Name.Name, n, limit)
			}
		}
	}
	for name := range reasons {
		t.Errorf("longFiles() names %s, which does not exist", name)
	}
}

// A call that ties code to the world outside, with the packages that may make it. Test
// files may too, unless inTests says otherwise.
type worldly struct {
	pkg     string // import path
	names   string // pattern of the functions
	may     []string
	inTests bool // refused in tests as well
	instead string
}

// worldlyCalls lists what would make a test depend on the machine or on luck. Only calls
// are refused: `if cfg.Now == nil { cfg.Now = time.Now }` is how the clock enters.
func worldlyCalls() []worldly {
	assembly := []string{"cmd/", "test/", "examples/", "internal/pgtest"}
	return []worldly{
		{"time", "Now|Since|Until", assembly, false, "the injected Now"},
		{"time", "Sleep", []string{"test/load/"}, true, "testing/synctest, or a channel"},
		{"time", "Tick", nil, true, "time.NewTicker, which can be stopped"},
		{"crypto/rand", "Read|Int|Prime|Text", assembly, false, "the injected Rand"},
		{"os", "Getenv|LookupEnv|Environ|ExpandEnv", slices.Concat(assembly, []string{"internal/config", "internal/store/storetest"}), false, "internal/config"},
		{"os", "Exit", []string{"cmd/", "test/", "examples/"}, false, "an error"},
		{"fmt", "Print|Printf|Println", []string{"test/"}, false, "slog, or the writer that was handed in"},
		{"net/http", "Get|Post|PostForm|Head|Handle|HandleFunc|ListenAndServe|ListenAndServeTLS", nil, false, "a client or server with time limits"},
		{"log/slog", "Debug|Info|Warn|Error|Log|Default|SetDefault", nil, false, "the injected logger"},
		{"runtime", "GC|SetFinalizer", []string{"test/"}, false, "an explicit Close"},
	}
}

// TestNoWorldlyCalls proves that clock, randomness and environment enter at one place
// (rule 8 of the house) and that no test waits for the wall clock.
func TestNoWorldlyCalls(t *testing.T) {
	t.Parallel()
	rules := worldlyCalls()
	calls := 0
	for _, s := range parseAll(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			calls++
			for _, r := range rules {
				if s.names[x.Name] != r.pkg || !slices.Contains(strings.Split(r.names, "|"), sel.Sel.Name) || s.test && !r.inTests {
					continue
				}
				if !slices.ContainsFunc(r.may, func(entry string) bool { return matches(entry, s.pkg) }) {
					t.Errorf("%s:%d: %s.%s: use %s", s.path, s.line(call.Pos()), x.Name, sel.Sel.Name, r.instead)
				}
			}
			return true
		})
	}
	if calls == 0 {
		t.Error("no call was seen: the test proves nothing")
	}
}

// skipDirs are folders that are not the project's own text.
func skipDirs() []string {
	return []string{".git", "node_modules", "bin", ".cardea", "dist"}
}

// TestText refuses marks of unfinished work and paths of one person's machine, in every
// file of the repository and not only in Go.
func TestText(t *testing.T) {
	t.Parallel()
	// Put together here so that this file does not find itself.
	unfinished := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	machine := regexp.MustCompile(`(^|[^A-Za-z0-9_.:/-])/(wo` + `rk|ho` + `me|Us` + `ers|ro` + `ot)/[A-Za-z0-9_.]+`)
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(skipDirs(), d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, "-lock.json") || name == "go.sum" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return nil // not text
		}
		files++
		for i, line := range strings.Split(string(text), "\n") {
			if unfinished.MatchString(line) {
				t.Errorf("%s:%d: mark of unfinished work: do it, or open an issue and say to the user what is missing", name, i+1)
			}
			if m := machine.FindString(line); m != "" {
				t.Errorf("%s:%d: path of one machine: %s", name, i+1, m)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d files read: the test proves nothing", files)
	}
}
