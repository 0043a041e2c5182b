package gotrue_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/server"
)

var update = flag.Bool("update", false, "write the golden answers anew; review the diff like code")

// The scripts in testdata are requests with golden answers. A script is a list of steps
// separated by lines of "---"; lines that begin with "#" are comments. A step is
//
//	set NAME=value            before the first request: a setting of the server
//	clock 11s                 lets the time pass
//	save NAME member.member   keeps a member of the answer as $NAME for later steps
//	mail NAME what address    waits for a message to the address that no earlier step has
//	                          read; keeps its code, token (of the link), link, or kind
//	METHOD /path
//	Header: value
//
//	body
//	=>
//	status, chosen headers, and the body, as -update writes them
//
// Clock and randomness are fixed, so ids and times are the same in every run. Signatures
// are not, so tokens are shown as <jwt> and <refresh>.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			runScript(t, f)
		})
	}
}

// countingRand gives the same bytes in every run: SHA-256 of a counter.
type countingRand struct {
	mu  sync.Mutex
	n   uint64
	buf []byte
}

func (c *countingRand) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := 0; n < len(p); {
		if len(c.buf) == 0 {
			c.n++
			sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, c.n))
			c.buf = sum[:]
		}
		k := copy(p[n:], c.buf)
		n, c.buf = n+k, c.buf[k:]
	}
	return len(p), nil
}

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// start runs a server on a fresh SQLite file with the given settings.
func start(tb testing.TB, settings ...string) (*server.Server, *clock) {
	tb.Helper()
	return startWith(tb, nil, settings...)
}

func startWith(tb testing.TB, inbox *notify.Inbox, settings ...string) (*server.Server, *clock) {
	tb.Helper()
	c := &clock{t: time.Date(2026, 3, 1, 8, 0, 0, 123456000, time.UTC)}
	env := append([]string{
		"DATABASE_URL=sqlite://" + filepath.Join(tb.TempDir(), "cardea.db"), "CARDEA_MIGRATE_ON_START=true",
		"CARDEA_ENCRYPTION_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "CARDEA_PUBLIC_URL=http://127.0.0.1:9999",
		"CARDEA_PASSWORD_ALGORITHM=bcrypt", "CARDEA_PASSWORD_BCRYPT_COST=4",
	}, settings...)
	cfg, _, err := config.Load(config.Sources{Env: env})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := server.Open(context.Background(), cfg, server.Options{Now: c.now, Rand: &countingRand{}, Version: "test", Inbox: inbox, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s, c
}

// startWithMail runs a server whose messages arrive in an inbox.
func startWithMail(tb testing.TB, settings ...string) (*server.Server, *clock) {
	tb.Helper()
	s, c := startWith(tb, &notify.Inbox{}, settings...)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }() // nobody calls; it runs the jobs
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return s, c
}

// unread waits for a message to an address that is not in read, and puts it there.
func unread(t *testing.T, s *server.Server, read map[auth.ID]bool, to, what string) string {
	t.Helper()
	for deadline := time.After(10 * time.Second); ; {
		changed := s.Inbox().Changed()
		m := slices.DeleteFunc(s.Inbox().Messages(to), func(m notify.Rendered) bool { return read[m.ID] })
		if len(m) > 0 {
			read[m[0].ID] = true
			switch what {
			case "code":
				return m[0].Code
			case "link":
				return m[0].Link
			case "kind":
				return string(m[0].Kind)
			case "token":
				u, err := url.Parse(m[0].Link)
				if err != nil {
					t.Fatal(err)
				}
				return u.Query().Get("token")
			}
			t.Fatalf("mail: no such part %q", what)
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no message to %s", to)
		}
	}
}

// step is one request of a script.
type step struct {
	comment, directives, request, answer string
}

func parseScript(text string) []step {
	var steps []step
	for _, block := range strings.Split(text, "\n---\n") {
		var s step
		head, answer, _ := strings.Cut(block+"\n", "\n=>\n")
		s.answer = strings.TrimSuffix(answer, "\n")
		for _, line := range strings.SplitAfter(strings.TrimLeft(head, "\n"), "\n") {
			switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
			case s.request == "" && strings.HasPrefix(line, "#"):
				s.comment += line
			case s.request == "" && (word == "set" || word == "clock" || word == "save" || word == "mail"):
				s.directives += line
			default:
				s.request += line
			}
		}
		steps = append(steps, s)
	}
	return steps
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	steps := parseScript(strings.TrimRight(string(text), "\n"))
	var settings []string
	for _, line := range strings.Split(steps[0].directives, "\n") {
		if s, ok := strings.CutPrefix(line, "set "); ok {
			settings = append(settings, s)
		}
	}
	begin := start
	if strings.Contains(string(text), "\nmail ") {
		begin = startWithMail
	}
	srv, c := begin(t, settings...)
	vars := map[string]string{}
	if vars["ANON_KEY"], err = srv.APIKeys().JWT("anon"); err != nil {
		t.Fatal(err)
	}
	if vars["SERVICE_KEY"], err = srv.APIKeys().JWT("service_role"); err != nil {
		t.Fatal(err)
	}
	var out []string
	read := map[auth.ID]bool{}
	for i, s := range steps {
		got := runStep(t, srv, c, &s, vars, read)
		if got != s.answer && !*update {
			t.Errorf("step %d: %s\ngot:\n%s\nwant:\n%s", i+1, strings.SplitN(s.request, "\n", 2)[0], got, s.answer)
		}
		out = append(out, s.comment+s.directives+strings.TrimRight(s.request, "\n")+"\n=>\n"+got)
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n---\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func runStep(t *testing.T, srv *server.Server, c *clock, s *step, vars map[string]string, read map[auth.ID]bool) string {
	t.Helper()
	saves := map[string]string{}
	for _, line := range strings.Split(s.directives, "\n") {
		switch f := strings.Fields(line); {
		case len(f) == 2 && f[0] == "clock":
			d, err := time.ParseDuration(f[1])
			if err != nil {
				t.Fatal(err)
			}
			c.add(d)
		case len(f) == 3 && f[0] == "save":
			saves[f[1]] = f[2]
		case len(f) == 4 && f[0] == "mail":
			vars[f[1]] = unread(t, srv, read, f[3], f[2])
		}
	}
	request := os.Expand(s.request, func(name string) string {
		v, ok := vars[name]
		if !ok {
			t.Fatalf("$%s is not known", name)
		}
		return v
	})
	w := httptest.NewRecorder()
	srv.Handler().ServeHTTP(w, parseRequest(t, request))
	for name, path := range saves {
		vars[name] = member(t, w.Body.Bytes(), path)
	}
	return render(w)
}

func parseRequest(t *testing.T, text string) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, path, ok := strings.Cut(lines[0], " ")
	if !ok {
		t.Fatalf("no request line in %q", text)
	}
	r := httptest.NewRequest(method, path, strings.NewReader(strings.TrimSpace(body)))
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func member(t *testing.T, body []byte, path string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("save %s: %v in %s", path, err, body)
	}
	for _, name := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok || m[name] == nil {
			t.Fatalf("save %s: not in %s", path, body)
		}
		v = m[name]
	}
	return fmt.Sprint(v)
}

var (
	jwtPattern        = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)
	refreshPattern    = regexp.MustCompile(`("refresh_token": ")[^"]+`)
	refreshInFragment = regexp.MustCompile(`(refresh_token=)[\w-]+`)
	hashPattern       = regexp.MustCompile(`("(?:kid|x|y)": ")[^"]+`)
)

// shownHeaders are the headers that clients depend on.
var shownHeaders = []string{
	"Allow", "Location", "Link", "X-Total-Count", "X-Sb-Error-Code", "X-Supabase-Api-Version", "Retry-After", "Www-Authenticate",
	"Sb-Auth-Refresh-Token-Counter", "Sb-Auth-Refresh-Token-Rotated", "Sb-Auth-Refresh-Token-Reuse",
}

func render(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintln(&b, w.Code)
	for _, name := range shownHeaders {
		if v := w.Header().Get(name); v != "" {
			v = refreshInFragment.ReplaceAllString(jwtPattern.ReplaceAllString(v, "<jwt>"), "${1}<refresh>")
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		// How a page looks is the browser suite's business.
		fmt.Fprintf(&b, "\n%s\n", regexp.MustCompile(`<title>.*</title>`).FindString(w.Body.String()))
	} else if body, _ := io.ReadAll(w.Body); len(body) > 0 {
		var pretty bytes.Buffer
		if json.Indent(&pretty, body, "", "  ") != nil {
			pretty.Reset()
			pretty.Write(body)
		}
		s := jwtPattern.ReplaceAllString(pretty.String(), "<jwt>")
		s = refreshPattern.ReplaceAllString(s, "${1}<refresh>")
		fmt.Fprintf(&b, "\n%s\n", hashPattern.ReplaceAllString(s, "${1}<random>"))
	}
	return strings.TrimRight(b.String(), "\n")
}

// A5.2: a return from an external sign-in that nobody began ends on our own page, whatever
// the request says.
func TestCallbackGoesToTheSiteOnly(t *testing.T) {
	t.Parallel()
	s, _ := start(t, "CARDEA_SITE_URL=https://app.example/start", "CARDEA_REDIRECT_URLS=https://other.example/**")
	r := httptest.NewRequest(http.MethodGet, "/auth/v1/callback?state=x&code=y&redirect_to=https://evil.example", nil)
	r.Header.Set("Referer", "https://evil.example")
	r.Header.Set("X-Forwarded-Host", "evil.example")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "https://app.example/start?error=invalid_request&error_code=bad_oauth_state") || strings.Contains(to, "evil") {
		t.Errorf("%d to %s", w.Code, to)
	}
}
