package cardeatest_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
)

// S4.16, A8.8: a program that is no test can't make itself an issuer, whatever it hands
// to the constructors.
func TestUnusableInPrograms(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	const program = `package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/cardeatest"
)

type pretend struct{ testing.TB }

func (pretend) Helper() {}

func try(name string, f func()) {
	defer func() { fmt.Println(name, recover()) }()
	f()
	fmt.Println(name, "WORKED")
}

func main() {
	try("New", func() { cardeatest.New(pretend{}) })
	try("NewClock", func() { cardeatest.NewClock(pretend{}, time.Time{}) })
	try("AssertDenied", func() { cardeatest.AssertDenied(pretend{}, nil, 0, "") })
	try("AssertAllowed", func() { cardeatest.AssertAllowed(pretend{}, nil) })
	try("Issuer", func() { new(cardeatest.Issuer).Token(cardeatest.User{}) })
}
`
	_, here, _, _ := runtime.Caller(0)
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", file)
	cmd.Dir = filepath.Dir(here)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := `New cardeatest: only in tests
NewClock cardeatest: only in tests
AssertDenied cardeatest: only in tests
AssertAllowed cardeatest: only in tests
Issuer cardeatest: Issuer not made by New
`
	if string(out) != want {
		t.Errorf("got:\n%s\nwant:\n%s", out, want)
	}
}

func TestNeedsTB(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(){
		"New":       func() { cardeatest.New(nil) },
		"NewClock":  func() { cardeatest.NewClock(nil, time.Time{}) },
		"zero":      func() { new(cardeatest.Issuer).Token(cardeatest.User{}) },
		"nil":       func() { (*cardeatest.Issuer)(nil).Principal(cardeatest.User{}) },
		"zero keys": func() { (&cardeatest.Issuer{}).JWKSURL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if message := fmt.Sprint(recover()); !strings.HasPrefix(message, "cardeatest: ") {
					t.Errorf("panic: %s", message)
				}
			}()
			f()
		})
	}
}

// recorder is a testing.TB that notes what would have failed.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper()        {}
func (r *recorder) Error(a ...any) { r.said = append(r.said, fmt.Sprint(a...)) }
func (r *recorder) Errorf(format string, a ...any) {
	r.said = append(r.said, fmt.Sprintf(format, a...))
}
func (r *recorder) Fatal(a ...any) { r.Error(a...); panic(r) }
func (r *recorder) Fatalf(format string, a ...any) {
	r.Errorf(format, a...)
	panic(r)
}

// fatal says what stops the test.
func fatal(t *testing.T, f func(tb testing.TB)) (message string) {
	t.Helper()
	r := &recorder{TB: t}
	defer func() {
		if v := recover(); v != nil && v != any(r) {
			panic(v)
		}
		message = strings.Join(r.said, "; ")
	}()
	f(r)
	return ""
}

func TestMistakesStopTheTest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		f    func(tb testing.TB)
		want string
	}{
		"two configs":   {func(tb testing.TB) { cardeatest.New(tb, cardeatest.Config{}, cardeatest.Config{}) }, "more than one Config"},
		"serve and URL": {func(tb testing.TB) { cardeatest.New(tb, cardeatest.Config{Serve: true, URL: "https://a.test"}) }, "exclude each other"},
		"wrong config": {func(tb testing.TB) {
			cardeatest.New(tb, cardeatest.Config{Verifier: cardea.Config{CacheSize: -1}})
		}, "CacheSize"},
		"refused user":   {func(tb testing.TB) { cardeatest.New(tb).Principal(cardeatest.User{Lifetime: -time.Second}) }, "TOKEN_EXPIRED"},
		"no JSON":        {func(tb testing.TB) { cardeatest.New(tb).Token(cardeatest.User{Claims: map[string]any{"f": func() {}}}) }, "unsupported type"},
		"wrong verifier": {func(tb testing.TB) { cardeatest.New(tb, cardeatest.Config{URL: "http://plain.test"}).Verifier() }, "JWKSURL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fatal(t, c.f); !strings.Contains(got, c.want) {
				t.Errorf("failed with %q, want %q", got, c.want)
			}
		})
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string, header ...string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		for n := 0; n < len(header); n += 2 {
			rec.Header().Set(header[n], header[n+1])
		}
		rec.WriteHeader(status)
		_, _ = rec.WriteString(body)
		return rec
	}
	const noStore = "no-store"
	for name, c := range map[string]struct {
		rec    *httptest.ResponseRecorder
		status int
		code   cardea.Code
		want   string // what the test is told, "" when it passes
	}{
		"detail":          {answer(403, `{"detail":"x","code":"C"}`, "Cache-Control", noStore), 403, "C", ""},
		"envelope":        {answer(403, `{"error":{"code":"C"}}`, "Cache-Control", noStore), 403, "C", ""},
		"no code wanted":  {answer(403, `{"error":{"message":"x","status":403}}`, "Cache-Control", noStore), 403, "", ""},
		"no code there":   {answer(403, `{"error":"x"}`, "Cache-Control", noStore), 403, "C", `code ""`},
		"no JSON":         {answer(403, `<html>`, "Cache-Control", noStore), 403, "C", `code ""`},
		"number":          {answer(403, `{"code":403}`, "Cache-Control", noStore), 403, "C", `code ""`},
		"another code":    {answer(403, `{"code":"D"}`, "Cache-Control", noStore), 403, "C", `code "D"`},
		"another status":  {answer(200, strings.Repeat("x", 400)), 403, "C", "status 200"},
		"401":             {answer(401, `{}`, "Cache-Control", noStore, "WWW-Authenticate", "Bearer"), 401, "", ""},
		"no challenge":    {answer(401, `{}`, "Cache-Control", noStore), 401, "", "WWW-Authenticate"},
		"503":             {answer(503, `{}`, "Cache-Control", noStore, "Retry-After", "5"), 503, "", ""},
		"no Retry-After":  {answer(503, `{}`, "Cache-Control", noStore), 503, "", "Retry-After"},
		"may be cached":   {answer(403, `{}`), 403, "", "no-store"},
		"allowed":         {answer(204, ``), 0, "", ""},
		"allowed refused": {answer(401, `{}`), 0, "", "status 401"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			if c.status == 0 {
				cardeatest.AssertAllowed(r, c.rec)
			} else {
				cardeatest.AssertDenied(r, c.rec, c.status, c.code)
			}
			got := strings.Join(r.said, "; ")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("said %q, want %q", got, c.want)
			}
		})
	}
}
