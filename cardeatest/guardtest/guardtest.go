// Package guardtest is the truth table of a guard: who may pass, who may not, with which
// answer, and which hooks are called. net/http and every adapter to another framework run
// the same table, so that a route is guarded alike wherever it is mounted.
//
// An adapter offers routes ([Routes], [HTTPRoutes]), each with the guard that [Guard]
// builds, and a handler that answers what it saw ([See]). Adapters to HTTP frameworks call
// [RunHTTP], which has cases about path, query and body too, and wants refusals to equal
// those of net/http byte for byte; others call [Run].
package guardtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// Seen is what a handler behind a guard saw.
type Seen struct {
	Subject        string      // by the adapter's accessor; "" for an anonymous caller
	ContextSubject string      // by cardea.PrincipalFrom
	Failure        cardea.Code // by cardea.FailureFrom
	User           string      // by cardea.UserFrom
	// What a handler of an HTTP server reads, in the ways of its framework: the path
	// parameter "clinic", the parameter "clinic_id" of the query, and the body.
	Clinic, Query, Body string
}

// See notes what a handler sees: ctx is the context that it hands down to code that knows
// no framework, p and ok are what the adapter's accessor gave.
func See(ctx context.Context, p *cardea.Principal, ok bool) Seen {
	var s Seen
	if ok {
		s.Subject = p.Subject
	}
	if q, there := cardea.PrincipalFrom(ctx); there {
		s.ContextSubject = q.Subject
	}
	if failure, there := cardea.FailureFrom(ctx); there {
		s.Failure = failure.Code
	}
	s.User, _ = cardea.UserFrom[string](ctx)
	return s
}

// Read adds what the handler read from the request.
func (s Seen) Read(clinic, query string, body []byte) Seen {
	s.Clinic, s.Query, s.Body = clinic, query, string(body)
	return s
}

// JSON writes s as the body of an answer; [ParseSeen] reads it.
func (s Seen) JSON() string {
	b, err := json.Marshal(s)
	if err != nil { // strings always marshal
		return err.Error()
	}
	return string(b)
}

// ParseSeen reads what JSON wrote.
func ParseSeen(body string) (*Seen, error) {
	var s Seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return nil, fmt.Errorf("not what a handler saw: %w: %q", err, body)
	}
	return &s, nil
}

// Answer is what the caller got.
type Answer struct {
	Status     int // of HTTP; 200, or the one that belongs to the transport's own
	Code       cardea.Code
	Message    string
	Challenge  string        // WWW-Authenticate, "" when there is none
	RetryAfter time.Duration // 0 when there is none
	Seen       *Seen         // nil when the handler was not called
}

// Do sends one request to a route.
type Do func(t testing.TB, route Route, header http.Header) Answer

// Start makes a server whose routes are guarded by v. It ends it by t.Cleanup.
type Start func(t testing.TB, v *cardea.Verifier) Do

// Run runs the part of the table that is for every transport. Each case has a server of
// its own.
func Run(t *testing.T, start Start) {
	t.Helper()
	issuer := newIssuer(t)
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var h hooks
			v := issuer.verifier(t, c.down, h.install)
			got := start(t, v)(t, c.find(t), c.header(issuer, t))
			c.judge(t, got, h.list())
		})
	}
}

func (c *testCase) judge(t testing.TB, got Answer, calls []string) {
	t.Helper()
	for _, problem := range c.problems(c.answer(t), got, calls) {
		t.Error(problem)
	}
}

// problems compares what happened with what the case wants.
func (c *testCase) problems(want, got Answer, calls []string) []string {
	var list []string
	if fmt.Sprintf("%+v", got.flat()) != fmt.Sprintf("%+v", want.flat()) {
		list = append(list, fmt.Sprintf("answer:\n got %+v\nwant %+v", got.flat(), want.flat()))
	}
	if text := fmt.Sprintf("%+v", got.flat()); strings.Contains(text, secret) {
		list = append(list, "the answer tells a secret: "+text)
	}
	if got, want := strings.Join(calls, "; "), strings.Join(c.hooks(), "; "); got != want {
		list = append(list, fmt.Sprintf("hooks:\n got %s\nwant %s", got, want))
	}
	return list
}

// flat is an Answer without a pointer, for comparing and printing.
func (a Answer) flat() any {
	called, seen := a.Seen != nil, Seen{}
	if called {
		seen = *a.Seen
	}
	a.Seen = nil
	return struct {
		Answer
		Called bool
		Saw    Seen
	}{a, called, seen}
}

// hooks records the calls of OnAuthenticated and OnDenied.
type hooks struct {
	mu    sync.Mutex
	calls []string
}

func (h *hooks) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf(format, args...))
}

func (h *hooks) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

func (h *hooks) install(c *cardea.Config) {
	c.OnAuthenticated = func(ctx context.Context, p *cardea.Principal) {
		if q, ok := cardea.PrincipalFrom(ctx); !ok || q != p {
			h.add("authenticated without the principal in the context")
		}
		h.add("authenticated %s", p.Subject)
	}
	c.OnDenied = func(_ context.Context, d cardea.Denial) {
		who := "nobody"
		if d.Principal != nil {
			who = d.Principal.Subject
		}
		// The path's end is the same with every transport.
		name := d.Path[strings.LastIndex(d.Path, "/")+1:]
		h.add("denied %s at %s: %s, required %q, goes on %t, from somewhere %t",
			who, name, d.Err.Code, d.Err.Required, d.Anonymous, d.RemoteAddr != "")
		if d.Method == "" {
			h.add("denied without a method")
		}
	}
}
