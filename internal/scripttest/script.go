// Package scripttest runs request scripts with golden answers against a whole server on a
// fresh SQLite file, with fixed clock and randomness, so that ids and times are the same in
// every run. Tests of surfaces use it, and nothing else.
package scripttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Config says what scripts there are and how their answers look.
type Config struct {
	Files    string   // pattern, such as "testdata/*.txt"
	Update   bool     // write the answers anew; review the diff like code
	Settings []string // of every server, before those of the script
	Headers  []string // of answers that are shown, those that clients depend on
	// Handler is what the requests of a script go to; nil: the server, whole.
	Handler func(t *testing.T, b *Bench) http.Handler
	// Check looks at every exchange; nil: nobody does.
	Check func(t *testing.T, x Exchange)
}

// Exchange is a request and its answer.
type Exchange struct {
	Request *http.Request // its body has been read
	Body    []byte        // of the request
	Answer  *httptest.ResponseRecorder
}

// Run runs the scripts, each as a subtest with a server of its own. A script is a list of
// steps separated by lines of "---"; lines that begin with "#" are comments. A step is
//
//	set NAME=value            before the first request: a setting of the server
//	clock 11s                 lets the time pass
//	repeat 11                 sends the request so often; the last answer counts
//	save NAME member.0.member keeps a member of the answer as $NAME for later steps;
//	                          Location.NAME is a parameter of the address that it redirects to
//	quiet                     shows the status alone: the answer is another script's business
//	mail NAME what address    waits for a message to the address that no earlier step has
//	                          read; keeps its code, token (of the link), link, or kind
//	METHOD /path
//	Header: value
//
//	body
//	=>
//	status, chosen headers, and the body, as Update writes them
//
// $ANON_KEY and $SERVICE_KEY are API keys. Signatures are not fixed, so tokens are shown as
// <jwt> and <refresh>, and detached signatures as <signature>.
func Run(t *testing.T, c Config) {
	t.Helper()
	files, err := filepath.Glob(c.Files)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			c.run(t, f)
		})
	}
}

// step is one request of a script.
type step struct {
	comment, directives, request, answer string
}

func parse(text string) []step {
	var steps []step
	for _, block := range strings.Split(text, "\n---\n") {
		var s step
		head, answer, _ := strings.Cut(block+"\n", "\n=>\n")
		s.answer = strings.TrimSuffix(answer, "\n")
		for _, line := range strings.SplitAfter(strings.TrimLeft(head, "\n"), "\n") {
			switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
			case s.request == "" && strings.HasPrefix(line, "#"):
				s.comment += line
			case s.request == "" && (word == "set" || word == "clock" || word == "repeat" || word == "save" || word == "mail" || word == "quiet"):
				s.directives += line
			default:
				s.request += line
			}
		}
		steps = append(steps, s)
	}
	return steps
}

func (c *Config) run(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	steps := parse(strings.TrimRight(string(text), "\n"))
	settings := append([]string{}, c.Settings...)
	for _, line := range strings.Split(steps[0].directives, "\n") {
		if s, ok := strings.CutPrefix(line, "set "); ok {
			settings = append(settings, s)
		}
	}
	begin := Start
	if strings.Contains(string(text), "\nmail ") {
		begin = StartWithMail
	}
	b := begin(t, settings...)
	handler := b.Server.Handler()
	if c.Handler != nil {
		handler = c.Handler(t, b)
	}
	vars := map[string]string{}
	for name, role := range map[string]string{"ANON_KEY": "anon", "SERVICE_KEY": "service_role"} {
		if vars[name], err = b.Server.APIKeys().JWT(role); err != nil {
			t.Fatal(err)
		}
	}
	var out []string
	for i, s := range steps {
		got := c.step(t, b, handler, &s, vars)
		if got != s.answer && !c.Update {
			t.Errorf("step %d: %s\ngot:\n%s\nwant:\n%s", i+1, strings.SplitN(s.request, "\n", 2)[0], got, s.answer)
		}
		out = append(out, s.comment+s.directives+strings.TrimRight(s.request, "\n")+"\n=>\n"+got)
	}
	if c.Update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n---\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *Config) step(t *testing.T, b *Bench, handler http.Handler, s *step, vars map[string]string) string {
	t.Helper()
	saves, times, quiet := map[string]string{}, 1, false
	for _, line := range strings.Split(s.directives, "\n") {
		switch f := strings.Fields(line); {
		case len(f) == 2 && f[0] == "clock":
			d, err := time.ParseDuration(f[1])
			if err != nil {
				t.Fatal(err)
			}
			b.Clock.Add(d)
		case len(f) == 2 && f[0] == "repeat":
			if _, err := fmt.Sscan(f[1], &times); err != nil || times < 1 {
				t.Fatalf("repeat %s: no number of times", f[1])
			}
		case len(f) == 1 && f[0] == "quiet":
			quiet = true
		case len(f) == 3 && f[0] == "save":
			saves[f[1]] = f[2]
		case len(f) == 4 && f[0] == "mail":
			vars[f[1]] = b.Unread(t, f[3], f[2])
		}
	}
	request := os.Expand(s.request, func(name string) string {
		v, ok := vars[name]
		if !ok {
			t.Fatalf("$%s is not known", name)
		}
		return v
	})
	var x Exchange
	for range times {
		x = Ask(t, handler, request)
		if c.Check != nil {
			c.Check(t, x)
		}
	}
	w := x.Answer
	for name, path := range saves {
		if parameter, ok := strings.CutPrefix(path, "Location."); ok {
			vars[name] = inLocation(t, w, parameter)
			continue
		}
		vars[name] = member(t, w.Body.Bytes(), path)
	}
	if quiet {
		return strconv.Itoa(w.Code)
	}
	return c.render(w)
}

// Ask sends a request as a script has it: method and path, headers, an empty line, the body.
func Ask(t *testing.T, handler http.Handler, request string) Exchange {
	t.Helper()
	r, body := parseRequest(t, request)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return Exchange{r, body, w}
}

func parseRequest(t *testing.T, text string) (*http.Request, []byte) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, path, ok := strings.Cut(lines[0], " ")
	if !ok {
		t.Fatalf("no request line in %q", text)
	}
	body = strings.TrimSpace(body)
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ": ")
		r.Header.Add(name, value)
	}
	return r, []byte(body)
}

// inLocation finds a parameter in the query or the fragment of a redirect's target.
func inLocation(t *testing.T, w *httptest.ResponseRecorder, name string) string {
	t.Helper()
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	fragment, err := url.ParseQuery(u.Fragment)
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range []url.Values{u.Query(), fragment} {
		if v := values.Get(name); v != "" {
			return v
		}
	}
	t.Fatalf("save: no %s in Location %q", name, u)
	return ""
}

// member finds a member of a JSON document; numbers are places in lists.
func member(t *testing.T, body []byte, path string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("save %s: %v in %s", path, err, body)
	}
	for _, name := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i < 0 || i >= len(at) {
				t.Fatalf("save %s: no such place in %s", path, body)
			}
			v = at[i]
		default:
			v = nil
		}
		if v == nil {
			t.Fatalf("save %s: not in %s", path, body)
		}
	}
	return fmt.Sprint(v)
}

var (
	jwtPattern        = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)
	detachedPattern   = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+`)
	refreshPattern    = regexp.MustCompile(`("refresh_token": ")[^"]+`)
	refreshInFragment = regexp.MustCompile(`(refresh_token=)[\w-]+`)
	randomPattern     = regexp.MustCompile(`("(?:kid|x|y|request_id)": ")[^"]+`)
	titlePattern      = regexp.MustCompile(`<title>.*</title>`)
)

// render shows an answer as scripts have it.
func (c *Config) render(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintln(&b, w.Code)
	for _, name := range c.Headers {
		if v := w.Header().Get(name); v != "" {
			v = refreshInFragment.ReplaceAllString(jwtPattern.ReplaceAllString(v, "<jwt>"), "${1}<refresh>")
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		// How a page looks is the browser suite's business.
		fmt.Fprintf(&b, "\n%s\n", titlePattern.FindString(w.Body.String()))
	} else if body, _ := io.ReadAll(bytes.NewReader(w.Body.Bytes())); len(body) > 0 {
		var pretty bytes.Buffer
		if json.Indent(&pretty, body, "", "  ") != nil {
			pretty.Reset()
			pretty.Write(body)
		}
		s := detachedPattern.ReplaceAllString(jwtPattern.ReplaceAllString(pretty.String(), "<jwt>"), "<signature>")
		s = refreshPattern.ReplaceAllString(s, "${1}<refresh>")
		fmt.Fprintf(&b, "\n%s\n", randomPattern.ReplaceAllString(s, "${1}<random>"))
	}
	return strings.TrimRight(b.String(), "\n")
}
