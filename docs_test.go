package cardea_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirementIDs gives every number that docs/requirements.md has to have a row for.
func requirementIDs() []string {
	var ids []string
	for system, n := range []int{30, 26, 59, 19, 53} {
		for i := range n {
			ids = append(ids, fmt.Sprintf("S%d.%d", system, i+1))
		}
	}
	for capability, n := range []int{5, 4, 6, 5, 5, 6, 5, 8, 5, 5, 6, 6, 3, 5, 6, 6, 6, 9, 3, 3, 6, 4, 4, 6, 5} {
		for i := range n {
			ids = append(ids, fmt.Sprintf("A%d.%d", capability+1, i+1))
		}
	}
	return ids
}

// TestRequirements keeps docs/requirements.md from lying: every number has one row, what is
// called done names tests, and every test that is named exists.
func TestRequirements(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	state := regexp.MustCompile(`^(done|partly: .+|not yet \((step \d+|later)\))$`)
	rows := map[string]int{}
	for _, line := range strings.Split(string(text), "\n") {
		cells := splitRow(line)
		if len(cells) == 0 || !regexp.MustCompile(`^[SA]\d+\.\d+$`).MatchString(cells[0]) {
			continue
		}
		id := cells[0]
		rows[id]++
		if len(cells) != 4 {
			t.Errorf("%s: %d cells, want id, about, state, tests: %q", id, len(cells), line)
			continue
		}
		if cells[1] == "" {
			t.Errorf("%s: no words on what it is about", id)
		}
		if !state.MatchString(cells[2]) {
			t.Errorf("%s: state %q: want done, partly: ..., not yet (step N) or not yet (later)", id, cells[2])
			continue
		}
		proofs := regexp.MustCompile("`[^`]+`").FindAllString(cells[3], -1)
		if claimed := !strings.HasPrefix(cells[2], "not yet"); claimed && len(proofs) == 0 {
			t.Errorf("%s is called %s and names no test", id, cells[2])
		}
		for _, proof := range proofs {
			if problem := checkProof(strings.Trim(proof, "`")); problem != "" {
				t.Errorf("%s: %s", id, problem)
			}
		}
	}
	want := requirementIDs()
	for _, id := range want {
		if rows[id] != 1 {
			t.Errorf("%s has %d rows, want one", id, rows[id])
		}
		delete(rows, id)
	}
	for id := range rows {
		t.Errorf("%s is no requirement", id)
	}
	if len(want) != 187+132 {
		t.Errorf("%d numbers, want 187 requirements and 132 acceptance tests", len(want))
	}
}

// splitRow gives the cells of a row of a Markdown table; nil for other lines.
func splitRow(line string) []string {
	line, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !ok {
		return nil
	}
	line = strings.ReplaceAll(strings.TrimSuffix(line, "|"), `\|`, "\x00")
	cells := strings.Split(line, "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
	}
	return cells
}

// checkProof says what is wrong with a proof of the form file#name; "" if nothing.
func checkProof(proof string) string {
	file, name, ok := strings.Cut(proof, "#")
	if !ok || name == "" {
		return fmt.Sprintf("%q is not of the form file#name", proof)
	}
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		return err.Error()
	}
	inTests := strings.HasPrefix(file, "test/") || strings.HasPrefix(file, "internal/store/storetest/") ||
		strings.HasPrefix(file, "usersync/synctest/") ||
		strings.Contains(file, "/testdata/") || strings.HasSuffix(file, "_test.go")
	if !inTests {
		return fmt.Sprintf("%s is not a test", file)
	}
	if strings.HasSuffix(file, ".go") {
		if !regexp.MustCompile(`(?m)^func (\([^)]+\) )?` + regexp.QuoteMeta(name) + `\(`).Match(text) {
			return fmt.Sprintf("%s has no function %s", file, name)
		}
		return ""
	}
	if !bytes.Contains(text, []byte(name)) {
		return fmt.Sprintf("%s does not contain %q", file, name)
	}
	return ""
}

// markdownFiles gives every Markdown file of the project.
func markdownFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(skipDirs(), d.Name()) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5 {
		t.Fatalf("only %d Markdown files: the test proves nothing", len(files))
	}
	return files
}

// TestLinks follows every relative link of the documentation.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code := regexp.MustCompile("(?ms)^```.*?^```$") // f[T](x) is no link
	followed := 0
	for _, file := range markdownFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") {
				continue // within the page, or somewhere else in the world
			}
			followed++
			if _, err := os.Stat(filepath.FromSlash(path.Join(path.Dir(file), target))); err != nil {
				t.Errorf("%s: link to %s: %v", file, m[1], err)
			}
		}
	}
	if followed == 0 {
		t.Error("no link was followed: the test proves nothing")
	}
}

// TestMap proves that the folders in AGENTS.md exist, or are marked as coming later.
func TestMap(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("AGENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	section, _, _ := strings.Cut(string(text), "## Commands")
	checked := 0
	for _, line := range strings.Split(section, "\n") {
		cells := splitRow(line)
		if len(cells) == 0 || strings.Contains(line, "*later*") {
			continue
		}
		for _, span := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[0], -1) {
			for _, name := range expandBraces(span[1]) {
				checked++
				if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
					t.Errorf("AGENTS.md names %s: %v", name, err)
				}
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d paths checked", checked)
	}
}

// expandBraces gives a/x/ and a/y/ for a/{x,y}/.
func expandBraces(s string) []string {
	before, rest, ok := strings.Cut(s, "{")
	if !ok {
		return []string{s}
	}
	choices, after, _ := strings.Cut(rest, "}")
	var all []string
	for _, choice := range strings.Split(choices, ",") {
		all = append(all, before+choice+after)
	}
	return all
}

// TestDependenciesAreExplained wants every direct dependency of go.mod in
// docs/design/dependencies.md.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/design/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := regexp.MustCompile(`(?m)^(?:require)?\s+([a-z0-9./_-]+\.[a-z]+/[^ ]+|[a-z0-9.-]+\.[a-z]+) v[^ ]+$`).FindAllStringSubmatch(string(mod), -1)
	for _, m := range direct {
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("docs/design/dependencies.md does not explain %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(string(mod), m[1]+" ") && !strings.HasPrefix(m[1], "github.com/golangci/") {
			t.Errorf("docs/design/dependencies.md explains %s, which go.mod does not have", m[1])
		}
	}
}
