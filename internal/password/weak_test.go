package password_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/password"
)

// TestCommon: the embedded list is whole, and knows what cracking rules try first.
func TestCommon(t *testing.T) {
	t.Parallel()
	list := new(password.Common)
	for _, tc := range []struct {
		text string
		want bool
	}{
		{"password", true}, {"PassWord", true}, {"123456", true}, {"qwertyuiop", true},
		{"p4$$w0rd", true}, {"P@ssw0rd!", true}, {"Dragon2024!", true}, {"1qaz2wsx", true}, {"!!monkey!!", true},
		{"", false}, {"\n", false}, {"password\nqwerty", false}, {"123456\n", false}, {"\n123456", false},
		{"dragon837491", false}, // six random digits are something of its own
		{"correct horse battery staple", false}, {"v4xq-77mn-zz1k", false}, {"пароль-длинный", false},
		{"!!!!", false}, {"2024", false}, {strings.Repeat("x", 4096), false},
	} {
		got, err := list.Contains(tc.text)
		if err != nil || got != tc.want {
			t.Errorf("Contains(%q) = %v, %v, want %v", tc.text, got, err, tc.want)
		}
	}
}

func TestCheckNew(t *testing.T) {
	t.Parallel()
	const guessable = "Password is known to be weak and easy to guess, please choose a different one."
	const about = "Password should not be made of your name, your address or the name of this service."
	weak := func(message string, reasons ...string) *auth.Error {
		return &auth.Error{Code: auth.CodeWeakPassword, Message: message, Reasons: reasons}
	}
	policy := password.Policy{Common: new(password.Common), Words: []string{"MedMitra"}}
	owner := []string{"maria.silva84@clinic.example", "919876543210", "Māria Gonçalves", ""}
	for _, tc := range []struct {
		name, text string
		want       *auth.Error
	}{
		{"good", "tall ships at noon", nil},
		{"common", "Password123", weak(guessable, "common")},
		{"common and short", "qwerty", weak("Password should be at least 8 characters. "+guessable, "length", "common")},
		{"own address", "maria.silva84@clinic.example", weak(about, "context")},
		{"own local part", "maria.silva84", weak(about, "context")},
		{"own name with a year", "Silva2024!", weak(about, "context")},
		{"own name in other letters", "m4r1a.51lva", weak(about, "context")},
		{"name with accents", "gonçalves99", weak(about, "context")},
		{"own number", "919876543210", weak(about, "context")},
		{"own number as dialled at home", "9876543210", weak(about, "context")},
		{"the service", "medmitra!!", weak(about, "context")},
		{"its own domain", "clinic-20-x", weak(about, "context")},
		{"a name in a long password", "silva likes rowing at night", nil},
		{"empty", "", weak("Password should be at least 8 characters.", "length")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, policy.CheckNew(t.Context(), tc.text, owner...)); diff != "" {
				t.Errorf("CheckNew (-want +got):\n%s", diff)
			}
		})
	}
}

// TestContextIsBounded: what a person writes into a profile neither costs much nor makes
// every password a bad one.
func TestContextIsBounded(t *testing.T) {
	t.Parallel()
	var p password.Policy
	huge := []string{strings.Repeat("ab ", 1<<20), strings.Repeat("a", 1<<20) + "@x", "@", "@@", "a@b@c", "\xff\xfe", "x y z"}
	if err := p.CheckNew(t.Context(), "tall ships at noon", huge...); err != nil {
		t.Errorf("CheckNew: %v", err)
	}
}

func FuzzCheckNew(f *testing.F) {
	f.Add("Silva2024!", "maria.silva@clinic.example")
	f.Add("p@ssw0rd", "")
	f.Add("a\x00", "\xff@")
	f.Add("İstanbul1", "ISTANBUL")
	policy := password.Policy{Common: new(password.Common), Words: []string{"Cardea"}}
	f.Fuzz(func(t *testing.T, text, about string) {
		err := policy.CheckNew(t.Context(), text, about)
		alone := (password.Policy{}).Check(text)
		switch {
		case err == nil && alone != nil:
			t.Fatalf("%q: more checks accept what fewer refuse (%v)", text, alone)
		case err != nil && err.Message == "":
			t.Fatalf("%q: no message in %v", text, err)
		case err != nil && (err.Code == auth.CodeWeakPassword) != (len(err.Reasons) > 0):
			t.Fatalf("%q: %v with reasons %q", text, err, err.Reasons)
		}
	})
}

// leakService answers like Have I Been Pwned about a few passwords.
type leakService struct {
	mu       sync.Mutex
	requests []*http.Request
	answer   func(prefix string) (int, string)
}

func hashOf(text string) string {
	return fmt.Sprintf("%X", sha1.Sum([]byte(text)))
}

// RoundTrip implements http.RoundTripper.
func (s *leakService) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, body := s.answer(strings.TrimPrefix(r.URL.Path, "/range/"))
	if status == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: r}, nil
}

// knowing answers with the given passwords and padding.
func knowing(leaked ...string) func(string) (int, string) {
	return func(prefix string) (int, string) {
		body := "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n" + strings.Repeat("A", 35) + ":0\r\n"
		for _, p := range leaked {
			if h := hashOf(p); h[:5] == prefix {
				body += h[5:] + ":52\r\n"
			}
		}
		return http.StatusOK, body
	}
}

func newLeaks(t *testing.T, c password.LeaksConfig) *password.Leaks {
	t.Helper()
	l, err := password.NewLeaks(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLeaks: what leaves the house is five digits and nothing else, and answers are kept.
func TestLeaks(t *testing.T) {
	t.Parallel()
	const leaked, good = "tr0ub4dor&3 leaked", "tall ships at noon"
	s := &leakService{answer: knowing(leaked)}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := newLeaks(t, password.LeaksConfig{Transport: s, Now: func() time.Time { return now }})
	policy := password.Policy{Leaks: l}
	for range 3 {
		want := &auth.Error{
			Code: auth.CodeWeakPassword, Reasons: []string{"pwned"},
			Message: "Password is known to be weak and easy to guess, please choose a different one.",
		}
		if diff := cmp.Diff(want, policy.CheckNew(t.Context(), leaked)); diff != "" {
			t.Errorf("leaked (-want +got):\n%s", diff)
		}
		if err := policy.CheckNew(t.Context(), good); err != nil {
			t.Errorf("good: %v", err)
		}
	}
	if err := policy.Check(leaked); err != nil {
		t.Errorf("Check asks nobody, but says %v", err)
	}
	if err := policy.CheckNew(t.Context(), "short"); err == nil || len(s.requests) != 2 {
		t.Errorf("%d requests, want 2: answers are kept, and a password that is refused anyway is not sent", len(s.requests))
	}
	r := s.requests[0]
	if want := "https://api.pwnedpasswords.com/range/" + hashOf(leaked)[:5]; r.URL.String() != want || r.Method != http.MethodGet {
		t.Errorf("%s %s, want GET %s", r.Method, r.URL, want)
	}
	if r.Header.Get("Add-Padding") != "true" {
		t.Error("without padding the length of the answer tells the prefix")
	}
	now = now.Add(7 * time.Hour)
	if err := policy.CheckNew(t.Context(), good); err != nil || len(s.requests) != 3 {
		t.Errorf("after the life of an answer: %v, %d requests, want 3", err, len(s.requests))
	}
}

// TestLeaksFail: every failure is counted and lets the password through, unless told
// otherwise; no error text holds the prefix.
func TestLeaksFail(t *testing.T) {
	t.Parallel()
	const text = "tall ships at noon"
	prefix := hashOf(text)[:5]
	for _, tc := range []struct {
		name   string
		answer func(string) (int, string)
	}{
		{"down", func(string) (int, string) { return 503, "" }},
		{"redirect", func(string) (int, string) { return 302, "" }},
		{"an HTML page", func(string) (int, string) { return 200, "<html>Sign in to the network</html>" }},
		{"nothing", func(string) (int, string) { return 200, "" }},
		{"only padding", func(string) (int, string) { return 200, strings.Repeat("A", 35) + ":0\r\n" }},
		{"half a line", func(string) (int, string) { return 200, strings.Repeat("A", 35) + ":3\r\nABC" }},
		{"a negative count", func(string) (int, string) { return 200, strings.Repeat("A", 35) + ":-1" }},
		{"not hexadecimal", func(string) (int, string) { return 200, strings.Repeat("A", 34) + "G:1" }},
		{"10 MB of good lines", func(string) (int, string) {
			return 200, strings.Repeat(strings.Repeat("A", 35)+":1\r\n", 10<<20/39)
		}},
		{"10 MB without a line", func(string) (int, string) { return 200, strings.Repeat("A", 10<<20) }},
		{"silence", func(string) (int, string) { return 0, "" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &leakService{answer: tc.answer}
				l := newLeaks(t, password.LeaksConfig{Transport: s})
				began := time.Now()
				for range 3 {
					if err := (password.Policy{Leaks: l}).CheckNew(t.Context(), text); err != nil {
						t.Errorf("fails open, but: %v", err)
					}
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("three passwords waited %v for one outage", took)
				}
				if l.Failures() != 3 || l.Asked() != 1 {
					t.Errorf("%d failures of %d requests, want 3 of 1", l.Failures(), l.Asked())
				}
				if _, err := l.Contains(t.Context(), text); err == nil || strings.Contains(err.Error(), prefix) {
					t.Errorf("error %v, want one that does not hold the prefix", err)
				}
				closed := newLeaks(t, password.LeaksConfig{Transport: s, FailClosed: true})
				if err := (password.Policy{Leaks: closed}).CheckNew(t.Context(), text); err == nil || err.Code != auth.CodeUnavailable {
					t.Errorf("fails closed, but: %v", err)
				}
				s.answer = knowing(text)
				<-time.After(11 * time.Second) // the clock of the bubble
				if leaked, err := l.Contains(t.Context(), text); err != nil || !leaked {
					t.Errorf("after the rest: %v, %v", leaked, err)
				}
			})
		})
	}
}

// TestLeaksCallerGone: a caller that goes away is no outage of the service.
func TestLeaksCallerGone(t *testing.T) {
	t.Parallel()
	s := &leakService{answer: knowing("x")}
	l := newLeaks(t, password.LeaksConfig{Transport: s})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Contains(gone, "tall ships at noon"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := l.Contains(t.Context(), "tall ships at noon"); err != nil {
		t.Errorf("the next caller: %v", err)
	}
}

// TestLeaksOverHTTP uses the real transport.
func TestLeaksOverHTTP(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, body := knowing("hunter2 hunter2")(strings.TrimPrefix(r.URL.Path, "/range/"))
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	l := newLeaks(t, password.LeaksConfig{URL: srv.URL + "/"})
	if leaked, err := l.Contains(t.Context(), "hunter2 hunter2"); err != nil || !leaked {
		t.Errorf("Contains = %v, %v", leaked, err)
	}
}

func TestLeaksConfig(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"http://example.org", "ftp://example.org", "example.org", "https://", "https://u:p@example.org", "https://example.org?x", "://"} {
		if _, err := password.NewLeaks(password.LeaksConfig{URL: u}); err == nil {
			t.Errorf("%q is accepted", u)
		}
	}
}
