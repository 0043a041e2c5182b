package cardea_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
)

// goBlock is a block of Go in a guide, with the line before it.
type goBlock struct {
	guide  string
	line   int
	source string // where it is from: "" when the guide does not say
	whole  bool   // it is the whole file, not a part of it
	text   string
}

// goBlocks gives the blocks of Go of every guide. A block says where it is from in a
// comment just above it, which readers do not see:
//
//	<!-- whole: ../../examples/guards/supabase/main.go -->
//	<!-- part of: ../../cardeatest/example_test.go -->
func goBlocks(t *testing.T) []goBlock {
	t.Helper()
	guides, err := filepath.Glob("docs/guides/*.md")
	if err != nil || len(guides) == 0 {
		t.Fatalf("no guides (%v)", err)
	}
	origin := regexp.MustCompile(`^<!-- (whole|part of): (\S+) -->$`)
	var all []goBlock
	for _, guide := range guides {
		lines := strings.Split(readText(t, guide), "\n")
		for n := 0; n < len(lines); n++ {
			if strings.TrimSpace(lines[n]) != "```go" {
				continue
			}
			b := goBlock{guide: guide, line: n + 1}
			if m := origin.FindStringSubmatch(lines[max(n-1, 0)]); m != nil {
				b.whole, b.source = m[1] == "whole", path.Join(path.Dir(filepath.ToSlash(guide)), m[2])
			}
			end := n + 1 + slices.Index(lines[n+1:], "```")
			b.text = strings.Join(lines[n+1:end], "\n")
			all = append(all, b)
			n = end
		}
	}
	return all
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestGuidesShowRealCode: every block of Go in a guide is a file, or a part of a file,
// that is compiled and tested.
func TestGuidesShowRealCode(t *testing.T) {
	t.Parallel()
	whole := map[string]bool{}
	for _, b := range goBlocks(t) {
		where := fmt.Sprintf("%s:%d", b.guide, b.line)
		if b.source == "" {
			t.Errorf("%s: a block of Go that does not say which file it is from", where)
			continue
		}
		file := strings.TrimSpace(readText(t, b.source))
		switch {
		case b.whole && file != strings.TrimSpace(b.text):
			t.Errorf("%s: differs from %s", where, b.source)
		case !b.whole && !strings.Contains(flat(file), flat(b.text)):
			t.Errorf("%s: is no part of %s", where, b.source)
		}
		whole[b.source] = whole[b.source] || b.whole
	}
	programs, err := filepath.Glob("examples/guards/*/main.go")
	if err != nil || len(programs) < 3 {
		t.Fatalf("%d programs (%v), want one for each system", len(programs), err)
	}
	for _, program := range programs {
		if !whole[filepath.ToSlash(program)] {
			t.Errorf("no guide shows the whole of %s", program)
		}
	}
}

// flat takes the indentation away, so that a part reads well on its own.
func flat(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for n, line := range lines {
		lines[n] = strings.TrimSpace(line)
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}

const verifierGuide = "docs/guides/verifier.md"

// TestGuideNamesEveryCode: the table of codes has a row for each, and what it says of
// status, severity and message is what the code says (S4.4).
func TestGuideNamesEveryCode(t *testing.T) {
	t.Parallel()
	rows := map[string]int{}
	for _, line := range strings.Split(readText(t, verifierGuide), "\n") {
		cells := splitRow(line)
		if len(cells) != 5 || !regexp.MustCompile("^`[A-Z0-9_]+`$").MatchString(cells[1]) {
			continue
		}
		code := cardea.Code(strings.Trim(cells[1], "`"))
		rows[string(code)]++
		e := cardea.NewError(code, nil)
		want := []string{fmt.Sprint(e.HTTPStatus()), string(e.Severity()), e.Message}
		if got := cells[2:]; !slices.Equal(got, want) {
			t.Errorf("%s: the guide says %q, the code %q", code, got, want)
		}
	}
	for _, code := range cardea.Codes() {
		if rows[string(code)] != 1 {
			t.Errorf("%s has %d rows, want one", code, rows[string(code)])
		}
		delete(rows, string(code))
	}
	for code := range rows {
		t.Errorf("%s is no code", code)
	}
}

// TestGuideKeepsTheOrder: the guide names the codes of a token in the order in which
// [cardea.Verifier.Verify] says that it checks.
func TestGuideKeepsTheOrder(t *testing.T) {
	t.Parallel()
	code := regexp.MustCompile(`\b[A-Z]+(_[A-Z0-9]+)+\b`)
	comment, _, ok := strings.Cut(readText(t, "verifier.go"), "\nfunc (v *Verifier) Verify(")
	if !ok {
		t.Fatal("Verify is not in verifier.go")
	}
	var want []string
	list := comment[strings.LastIndex(comment, "//  1. "):]
	for _, line := range strings.Split(list, "\n") {
		if line == "//" {
			break
		}
		want = append(want, code.FindAllString(line, -1)...)
	}
	var got []string
	step := regexp.MustCompile(`^\d+$`)
	for _, line := range strings.Split(readText(t, verifierGuide), "\n") {
		if cells := splitRow(line); len(cells) == 3 && step.MatchString(cells[0]) {
			got = append(got, code.FindAllString(cells[2], -1)...)
		}
	}
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("the guide's order:\n%q\nthat of Verify:\n%q", got, want)
	}
}
