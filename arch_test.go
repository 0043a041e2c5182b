// The tests in this file keep the rules of the house (docs/design/0001-architecture.md)
// true: who may import whom, which dependency belongs to which package. The rules about
// source text are in arch_source_test.go. A rule is changed here, with a reason, or kept.
package cardea_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cardea-auth/cardea"

// listed is what `go list` says about one package of the main module.
type listed struct {
	Dir            string
	ImportPath     string
	Name           string
	GoFiles        []string
	CgoFiles       []string
	IgnoredGoFiles []string
	TestGoFiles    []string
	XTestGoFiles   []string
	Imports        []string
}

// rel gives the folder inside the repository; "" is the root package.
func (p *listed) rel() string { return relative(p.ImportPath) }

func relative(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func isOurs(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// listPackages asks the go command for every package of the main module. Packages that do
// not compile are listed too: their imports are judged all the same.
func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=Dir,ImportPath,Name,GoFiles,CgoFiles,"+
		"IgnoredGoFiles,TestGoFiles,XTestGoFiles,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("only %d packages listed: the rules would hold of nothing", len(all))
	}
	return all
}

// A layer says which packages of ours a package may import. Entries that end in "/" are
// meant with everything below them.
type layer struct {
	of  string
	may []string
}

// leaves know one thing each. They import the domain, never one another: what two of
// them share belongs into the domain or is handed in by the assembly.
func leaves() []string {
	return []string{
		"internal/token", "internal/password", "internal/factor/", "internal/idp/",
		"internal/notify/", "internal/tenant", "internal/web", "internal/seal", "internal/redirect",
		"internal/hook", "internal/captcha", "internal/role", "internal/phone", "internal/moving", "internal/consent",
	}
}

// layers is the map of the house, from the bottom up. The first entry that matches counts.
func layers() []layer {
	domain := []string{"internal/auth"}
	public := []string{"", "ratelimit", "usersync"} // "" is the root package
	knowledge := slices.Concat(domain, leaves(), public)
	useCases := slices.Concat(knowledge, []string{"internal/grant", "internal/flow"})
	list := []layer{
		{of: "", may: []string{}},
		{of: "ratelimit", may: []string{}},
		{of: "admin", may: []string{}},
		// The rules and the work; each store beside it knows one database.
		{of: "usersync", may: []string{""}},
		{of: "usersync/", may: []string{"", "usersync"}},
		{of: "cardeatest/", may: []string{"", "cardeatest"}},
		{of: "internal/auth", may: []string{}},
		{of: "internal/pgtest", may: []string{}},
		{of: "internal/gotruetest", may: []string{}},
		// Data that ships with the server: bundles of settings, catalogues of roles.
		{of: "presets", may: []string{}},
		{of: "internal/store", may: domain},
		{of: "internal/store/", may: slices.Concat(domain, []string{"internal/store"})},
		{of: "internal/job", may: domain},
		// The key ring seals what it stores, and verifies with the package that we ship.
		{of: "internal/token", may: slices.Concat(domain, []string{"internal/seal", ""})},
		// Who makes a request is found out with the verifier that we ship.
		{of: "internal/web", may: slices.Concat(domain, []string{""})},
		// Operations are described by their types; requests and failures are those of web.
		{of: "internal/openapi", may: slices.Concat(domain, []string{"internal/web", ""})},
		{of: "internal/openapi/openapitest", may: []string{"internal/scripttest"}},
		{of: "internal/config", may: slices.Concat(domain, []string{"internal/token", "internal/password", "internal/seal", "presets"})},
		// Each way of delivery is a package of its own and implements what notify asks for.
		{of: "internal/notify", may: domain},
		{of: "internal/notify/", may: slices.Concat(domain, []string{"internal/notify"})},
		// A grant proves who someone is; a flow may end in a session and therefore use it.
		{of: "internal/grant", may: knowledge},
		{of: "internal/flow", may: slices.Concat(knowledge, []string{"internal/grant"})},
		// Surfaces translate. None knows another, none knows a store.
		{of: "internal/surface/", may: slices.Concat(useCases, []string{"internal/openapi"})},
		{of: "internal/server", may: slices.Concat(useCases, []string{
			"internal/config", "internal/job", "internal/surface/",
			"internal/store", "internal/store/sqlite", "internal/store/postgres", "presets",
		})},
		// Scripts of requests run against a whole server.
		{of: "internal/scripttest", may: slices.Concat(domain, []string{"internal/config", "internal/notify", "internal/server"})},
		{of: "cmd/", may: slices.Concat(public, []string{"admin", "internal/", "presets"})},
		// Programs that measure or attack a running server may use what an operator has.
		{of: "test/", may: slices.Concat(public, []string{"internal/"})},
		// Programs that show what a service writes: it has the public packages only.
		{of: "examples/", may: slices.Concat(public, []string{"usersync/"})},
	}
	for _, leaf := range leaves() {
		list = append(list, layer{of: leaf, may: domain})
	}
	return list
}

func matches(entry, rel string) bool {
	if strings.HasSuffix(entry, "/") {
		return strings.HasPrefix(rel+"/", entry)
	}
	return rel == entry
}

func layerOf(rel string) (layer, bool) {
	for _, l := range layers() {
		if matches(l.of, rel) {
			return l, true
		}
	}
	return layer{}, false
}

// testSupport is imported by tests only.
func testSupport(rel string) bool {
	return rel == "internal/pgtest" || rel == "internal/gotruetest" || rel == "internal/store/storetest" || rel == "internal/scripttest" ||
		rel == "internal/openapi/openapitest" || rel == "usersync/synctest" || matches("cardeatest/", rel)
}

// TestImportsRunDownwards proves rule 1 of the house. Imports of test files are free:
// a test may put a surface on a real store.
func TestImportsRunDownwards(t *testing.T) {
	t.Parallel()
	edges := 0
	for _, p := range listPackages(t) {
		l, known := layerOf(p.rel())
		if !known {
			t.Errorf("package %q has no layer: add it to layers(), with what it may import", p.rel())
			continue
		}
		for _, imported := range p.Imports {
			if !isOurs(imported) {
				continue
			}
			edges++
			to := relative(imported)
			if !slices.ContainsFunc(l.may, func(entry string) bool { return matches(entry, to) }) {
				t.Errorf("%q imports %q, which its layer does not allow (%q)", p.rel(), to, l.may)
			}
			if testSupport(to) && !testSupport(p.rel()) && !strings.HasPrefix(p.rel(), "test/") {
				t.Errorf("%q imports %q, which is for tests only", p.rel(), to)
			}
		}
	}
	if edges == 0 {
		t.Error("no import among our packages was seen: the test proves nothing")
	}
}

// owners names, for every module that our code may import, the packages that may do so.
// Whatever is not listed is a new dependency and needs a line here and in
// docs/design/dependencies.md. Test files may use all of them.
func owners() map[string][]string {
	tests := []string{"internal/store/storetest", "internal/pgtest", "internal/openapi/openapitest", "test/"}
	return map[string][]string{
		"github.com/golang-jwt/jwt/v5":    {"", "internal/token"},
		"github.com/go-jose/go-jose/v4":   {"internal/token"},
		"github.com/coreos/go-oidc/v3":    {"internal/idp/oidc"},
		"github.com/jackc/pgx/v5":         {"internal/store/postgres", "usersync/postgres", "internal/pgtest", "internal/gotruetest", "test/"},
		"modernc.org/sqlite":              {"internal/store/sqlite", "usersync/sqlite", "test/"},
		"github.com/pressly/goose/v3":     {"internal/store/sqlite", "internal/store/postgres"},
		"github.com/alecthomas/kong":      {"cmd/"},
		"golang.org/x/crypto":             {"internal/password"},
		"github.com/wneessen/go-mail":     {"internal/notify/smtp"},
		"golang.org/x/sync":               {"internal/"},
		"golang.org/x/text":               {"internal/"},
		"golang.org/x/sys":                {"cmd/", "test/"},
		"github.com/nyaruka/phonenumbers": {"internal/phone"},
		"gopkg.in/yaml.v3":                {"internal/config", "internal/role", "internal/consent"},
		"github.com/google/go-cmp":        tests,
		"github.com/getkin/kin-openapi":   tests,
		"pgregory.net/rapid":              tests,
		"github.com/rogpeppe/go-internal": tests,
		"github.com/emersion/go-smtp":     tests,
		"github.com/emersion/go-sasl":     tests,
		"database/sql":                    {"internal/store/", "usersync/sqlite", "internal/pgtest", "test/"},
		"os/exec":                         {"internal/pgtest", "cmd/", "test/"},
		"unsafe":                          {},
		"C":                               {},
		"math/rand":                       {"test/"},
		"math/rand/v2":                    {"test/"},
		"net/http/pprof":                  {"cmd/"}, // registers itself on the default mux
		"expvar":                          {},       // the same, without being asked
		"log":                             {},       // log/slog only
	}
}

func moduleOf(importPath string, all map[string][]string) (string, bool) {
	for p := importPath; p != "." && p != "/"; p = path.Dir(p) {
		if _, ok := all[p]; ok && (p == importPath || !isStandard(p)) {
			return p, true
		}
	}
	return "", false
}

// TestDependenciesHaveAnOwner keeps a dependency replaceable: it is named in the packages
// that exist to hide it, and nowhere else.
func TestDependenciesHaveAnOwner(t *testing.T) {
	t.Parallel()
	all := owners()
	seen := 0
	for _, p := range listPackages(t) {
		for _, imported := range p.Imports {
			if isOurs(imported) {
				continue
			}
			dependency, ok := moduleOf(imported, all)
			if !ok {
				if !isStandard(imported) {
					t.Errorf("%q imports %q, which has no owner", p.rel(), imported)
				}
				continue
			}
			seen++
			if !slices.ContainsFunc(all[dependency], func(entry string) bool { return matches(entry, p.rel()) }) {
				t.Errorf("%q imports %q, which belongs to %q", p.rel(), imported, all[dependency])
			}
		}
	}
	if seen == 0 {
		t.Error("no import with an owner was seen: the test proves nothing")
	}
}

// TestNarrowPackages proves what a reader of go.mod relies on: a service that imports the
// root package gets the standard library and golang-jwt, and the domain does no I/O.
func TestNarrowPackages(t *testing.T) {
	t.Parallel()
	const jwt = "github.com/golang-jwt/jwt/v5"
	checked := 0
	for _, p := range listPackages(t) {
		for _, imported := range p.Imports {
			switch rel := p.rel(); {
			case rel == "":
				if !isStandard(imported) && imported != jwt {
					t.Errorf("the public package imports %q", imported)
				}
			case rel == "internal/auth":
				if !isStandard(imported) || slices.Contains([]string{"net/http", "os", "database/sql", "net"}, imported) {
					t.Errorf("the domain imports %q", imported)
				}
			case rel == "internal/flow" || rel == "internal/grant" || strings.HasPrefix(rel, "internal/store"):
				if imported == "net/http" {
					t.Errorf("%q imports net/http: wire shapes belong to surfaces", rel)
				}
			default:
				continue
			}
			checked++
		}
	}
	if checked == 0 {
		t.Error("nothing was checked")
	}
}

// TestPackageNames refuses names that say nothing: they attract everything and import
// everything. Nor may a package hide one of the standard library that we use all the time.
func TestPackageNames(t *testing.T) {
	t.Parallel()
	refused := []string{
		"util", "utils", "common", "helper", "helpers", "types", "models", "base", "misc", "shared",
		"http", "errors", "log", "context", "time", "json", "url", "strings", "net", "sql", "rand",
	}
	for _, p := range listPackages(t) {
		last := path.Base(p.ImportPath)
		if slices.Contains(refused, p.Name) || slices.Contains(refused, last) {
			t.Errorf("package %q (%s): name it for what it gives", p.Name, p.rel())
		}
		if p.Name != "main" && p.rel() != "" && p.Name != last {
			t.Errorf("package %q is in a folder called %q", p.Name, last)
		}
		if len(p.CgoFiles) > 0 {
			t.Errorf("package %q needs cgo", p.rel())
		}
	}
}

// untested lists packages without test files of their own.
func untested() map[string]string {
	return map[string]string{
		"internal/store":               "interfaces only; storetest is their test",
		"internal/store/storetest":     "is the test of both stores",
		"internal/openapi/openapitest": "is the test of the surfaces that have a document",
		"usersync/synctest":            "is the test of both stores",
	}
}

// TestEveryPackageHasTests fails on a package without tests, and on a reason that has
// become stale.
func TestEveryPackageHasTests(t *testing.T) {
	t.Parallel()
	reasons := untested()
	for _, p := range listPackages(t) {
		tests := len(p.TestGoFiles) + len(p.XTestGoFiles)
		reason, excused := reasons[p.rel()]
		switch {
		case tests == 0 && !excused:
			t.Errorf("package %q has no tests", p.rel())
		case tests > 0 && excused:
			t.Errorf("package %q has tests now: remove it from untested() (%s)", p.rel(), reason)
		}
	}
}
