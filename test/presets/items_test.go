package presets

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/scripttest"
)

// absent is a requirement that a later step brings. The request is one that its documented
// exchange begins with.
type absent struct {
	items, step string // "S2.37" or "S2.28-S2.32"; "step 5" or "later"
	about       string
	request     string // as in a script, $ACCESS is somebody's token; "" where there is nothing to ask
	works       int    // the status that it will answer
}

// stillMissing fails when something that is called missing begins to work: then it gets an
// exchange in a script and leaves the list.
func (s system) stillMissing(t *testing.T) {
	t.Helper()
	b := scripttest.Start(t, append(s.settings(), "CARDEA_EMAIL_AUTOCONFIRM=true")...)
	handler := s.handler(t, b)
	states, access := requirementStates(t), signUp(t, handler)
	for _, m := range s.missing {
		for _, item := range spread(t, m.items) {
			if states[item] == "done" {
				t.Errorf("%s (%s) is missing here and called done in docs/requirements.md", item, m.about)
			}
		}
		if m.step != "later" && !regexp.MustCompile(`^step \d+$`).MatchString(m.step) {
			t.Errorf("%s: step %q", m.items, m.step)
		}
		if m.request == "" {
			continue
		}
		w := scripttest.Ask(t, handler, strings.ReplaceAll(m.request, "$ACCESS", access)).Answer
		what, _, _ := strings.Cut(m.request, "\n")
		if w.Code == m.works {
			t.Errorf("%s: %s answers %d now: replay it in a script, and remove it from the list of what is missing", m.items, what, w.Code)
		}
		if w.Code >= http.StatusInternalServerError && w.Code != http.StatusNotImplemented {
			t.Errorf("%s: %s: %d %s", m.items, what, w.Code, w.Body)
		}
	}
}

// signUp gives the token of a new account, in the way that the preset has.
func signUp(t *testing.T, handler http.Handler) string {
	t.Helper()
	for _, path := range []string{"/auth/v1/signup", "/api/auth/register"} {
		w := scripttest.Ask(t, handler, "POST "+path+"\n\n"+`{"email":"ada@example.org","password":"correct horse battery"}`).Answer
		var tokens struct {
			Access string `json:"access_token"`
		}
		if w.Code < 300 && json.Unmarshal(w.Body.Bytes(), &tokens) == nil && tokens.Access != "" {
			return tokens.Access
		}
	}
	t.Fatal("nobody can sign up")
	return ""
}

// account: every requirement of the system is in a script, in the list of what is missing,
// or proved elsewhere; and what is listed exists.
func (s system) account(t *testing.T) {
	t.Helper()
	system := fmt.Sprintf("S%d.", s.number)
	states := requirementStates(t)
	where := map[string][]string{}
	files, err := filepath.Glob(s.scripts())
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts %s: %v", s.scripts(), err)
	}
	if _, err := os.Stat(s.relayScript()); err == nil {
		files = append(files, s.relayScript())
	}
	for _, file := range files {
		for _, item := range itemsIn(t, file) {
			where[item] = append(where[item], file)
		}
	}
	for _, m := range s.missing {
		for _, item := range spread(t, m.items) {
			where[item] = append(where[item], "missing")
		}
	}
	for items, proof := range s.proved {
		for _, item := range spread(t, items) {
			where[item] = append(where[item], proof)
		}
	}
	for item := range where {
		if _, known := states[item]; !known || !strings.HasPrefix(item, system) {
			t.Errorf("%s is no requirement of this system", item)
		}
	}
	for item := range states {
		if strings.HasPrefix(item, system) && len(where[item]) == 0 {
			t.Errorf("%s is neither replayed nor listed as missing nor proved elsewhere", item)
		}
	}
}

// itemsIn gives the numbers of requirements in the comments of a script.
func itemsIn(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var items []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			items = append(items, regexp.MustCompile(`\bS\d\.\d+\b`).FindAllString(line, -1)...)
		}
	}
	slices.Sort(items)
	return slices.Compact(items)
}

// spread reads "S1.1 S1.3-S1.5".
func spread(t *testing.T, text string) []string {
	t.Helper()
	var items []string
	for _, part := range strings.Fields(text) {
		first, last, _ := strings.Cut(part, "-")
		if last == "" {
			last = first
		}
		var system, from, other, to int
		if _, err := fmt.Sscanf(first+" "+last, "S%d.%d S%d.%d", &system, &from, &other, &to); err != nil || system != other || to < from {
			t.Fatalf("%q is no list of requirements: %v", text, err)
		}
		for n := from; n <= to; n++ {
			items = append(items, fmt.Sprintf("S%d.%d", system, n))
		}
	}
	return items
}

// requirementStates reads docs/requirements.md.
func requirementStates(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "requirements.md"))
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (S\d+\.\d+) \|(?:[^|\\]|\\\|)*\| ([^|]*) \|`).FindAllStringSubmatch(string(text), -1) {
		states[row[1]] = row[2]
	}
	if len(states) != 187 {
		t.Fatalf("%d requirements read, there are 187", len(states))
	}
	return states
}
