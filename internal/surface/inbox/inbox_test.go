package inbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/surface/inbox"
)

var sentAt = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func id(n byte) auth.ID { return auth.ID{0: 1, 15: n} }

func mailTo(n byte, to string) notify.Rendered {
	return notify.Rendered{
		ID: id(n), Channel: "email", Kind: "recovery", To: to, Locale: "en", Subject: "Reset", Text: "Code 123456",
		HTML: `<html><HEAD lang="en"><title>x</title></HEAD><body><a href="https://x.example/?a=1">go</a></body></html>`,
		Code: "123456", Link: "https://x.example/?a=1", CreatedAt: sentAt,
	}
}

type bundle struct {
	t        *testing.T
	messages *notify.Inbox
	handler  http.Handler
}

func setup(t *testing.T, done <-chan struct{}) *bundle {
	t.Helper()
	b := &bundle{t: t, messages: &notify.Inbox{}}
	var err error
	if b.handler, err = inbox.New(inbox.Config{Messages: b.messages, Done: done}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) send(m notify.Rendered) {
	b.t.Helper()
	if err := b.messages.Send(b.t.Context(), m); err != nil {
		b.t.Fatal(err)
	}
}

// do asks as a program on this machine does; change makes something else of it.
func (b *bundle) do(method, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, "http://localhost:8080"+path, nil)
	r.RemoteAddr = "127.0.0.1:40000"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func ids(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var list []struct{ ID auth.ID }
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	for _, m := range list {
		s.WriteByte('0' + m.ID[15])
	}
	return s.String()
}

func TestAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.send(mailTo(1, "ada@example.com"))
	b.send(notify.Rendered{ID: id(2), Channel: "sms", Kind: "sms", To: "4915112345678", Text: "123456 is your code", Code: "123456", CreatedAt: sentAt})
	b.send(mailTo(3, "ada@example.com"))
	for path, want := range map[string]string{
		"/inbox/api/messages":                                            "321",
		"/inbox/messages":                                                "321",
		"/inbox/api/messages?to=ADA%40example.com":                       "31",
		"/inbox/api/messages?to=+4915112345678":                          "2",
		"/inbox/api/messages?to=%2B4915112345678":                        "2",
		"/inbox/api/messages?to=nobody":                                  "",
		"/inbox/api/messages?channel=sms":                                "2",
		"/inbox/api/messages?kind=recovery&kind=invite":                  "31",
		"/inbox/api/messages?after=" + id(2).String():                    "3",
		"/inbox/api/messages?after=" + id(3).String() + "&to=":           "",
		"/inbox/api/messages?after=" + id(9).String() + "&wait=0":        "321",
		"/inbox/api/messages?to=ada@example.com&wait=10":                 "31",
		"/inbox/api/messages?to=nobody@example.com&wait=0.001":           "",
		"/inbox/api/messages?channel=&kind=&to=&wait=&after=&unknown=x!": "321",
	} {
		if got := ids(t, b.do("GET", path, nil)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	w := b.do("GET", "/inbox/api/messages/"+id(1).String(), nil)
	want := `{"id":"` + id(1).String() + `","channel":"email","kind":"recovery","to":"ada@example.com","locale":"en","subject":"Reset","text":"Code 123456",` +
		`"html":"\u003chtml\u003e\u003cHEAD lang=\"en\"\u003e\u003ctitle\u003ex\u003c/title\u003e\u003c/HEAD\u003e\u003cbody\u003e\u003ca href=\"https://x.example/?a=1\"\u003ego\u003c/a\u003e\u003c/body\u003e\u003c/html\u003e",` +
		`"code":"123456","link":"https://x.example/?a=1","created_at":"2026-03-01T08:00:00Z"}`
	if diff := cmp.Diff(want, w.Body.String()); diff != "" || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", w.Header(), diff)
	}
	if w := b.do("DELETE", "/inbox/api/messages/"+id(1).String(), nil); w.Code != http.StatusNoContent {
		t.Errorf("delete: %d", w.Code)
	}
	if got := ids(t, b.do("GET", "/inbox/api/messages", nil)); got != "32" {
		t.Errorf("after the deletion: %s", got)
	}
	if w := b.do("DELETE", "/inbox/api/messages", nil); w.Code != http.StatusNoContent || len(b.messages.Messages("")) != 0 {
		t.Errorf("delete all: %d", w.Code)
	}
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/inbox/api/messages/" + id(1).String(), 404},
		{"DELETE", "/inbox/api/messages/" + id(1).String(), 404},
		{"GET", "/inbox/api/messages/x", 404},
		{"GET", "/inbox/api/messages/" + id(1).String() + "/html", 404},
		{"GET", "/inbox/api/messages?after=x", 400},
		{"GET", "/inbox/api/messages?wait=-1", 400},
		{"GET", "/inbox/api/messages?wait=NaN", 400},
		{"GET", "/inbox/api/messages?wait=soon", 400},
		{"POST", "/inbox/api/messages", 404},
		{"GET", "/inbox/nothing", 404},
		{"GET", "/inbox/../../etc/passwd", 307},
		{"GET", "/elsewhere", 404},
	} {
		if w := b.do(tt.method, tt.path, nil); w.Code != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, w.Code, tt.status)
		}
	}
}

// A test that asks before the mail is sent gets it as soon as it is.
func TestWait(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	got := make(chan string)
	go func() { got <- ids(t, b.do("GET", "/inbox/api/messages?to=ada@example.com&wait=10", nil)) }()
	b.send(mailTo(1, "eve@example.com"))
	b.send(mailTo(2, "ada@example.com"))
	if s := <-got; s != "2" {
		t.Errorf("%q", s)
	}
	done := make(chan struct{})
	close(done)
	if s := ids(t, setup(t, done).do("GET", "/inbox/api/messages?wait=10", nil)); s != "" {
		t.Errorf("after the stop: %q", s)
	}
}

// The inbox is for this machine and this origin. Each case is an attack.
func TestGuard(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.send(mailTo(1, "ada@example.com"))
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	remote := func(a string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = a } }
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"a program", nil, 200},
		{"127.0.0.1", host("127.0.0.1:8080"), 200},
		{"IPv6", func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:8080", "[::1]:4000" }, 200},
		{"IPv6 without port", host("[::1]"), 200},
		{"name without port", host("LOCALHOST"), 200},
		{"this page", header("Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8080"), 200},
		{"address bar", header("Sec-Fetch-Site", "none"), 200},
		{"a link elsewhere opens the page", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 200},
		{"DNS rebinding", host("evil.example"), 403},
		{"DNS rebinding with a port", host("evil.example:8080"), 403},
		{"a name that looks like it", host("localhost.evil.example"), 403},
		{"an address that looks like it", host("127.0.0.1.nip.example"), 403},
		{"no name", host(""), 403},
		{"another machine", remote("192.0.2.7:4000"), 403},
		{"another machine, IPv6", remote("[2001:db8::7]:4000"), 403},
		{"no address", remote(""), 403},
		{"fetch of a page elsewhere", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty"), 403},
		{"the app on another port", header("Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Origin", "http://localhost:3000"), 403},
		{"origin alone", header("Origin", "http://localhost:3000"), 403},
		{"a sandboxed frame", header("Origin", "null"), 403},
		{"a frame elsewhere", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"), 403},
		{"an extension", header("Origin", "chrome-extension://localhost:8080"), 403},
	}
	for _, tt := range tests {
		for _, path := range []string{"/inbox", "/inbox/", "/inbox/api/messages", "/inbox/api/messages/" + id(1).String() + "/html"} {
			w := b.do("GET", path, tt.change)
			if w.Code != tt.status || tt.status == 403 && strings.Contains(w.Body.String(), "123456") {
				t.Errorf("%s: %s: %d, want %d", tt.name, path, w.Code, tt.status)
			}
		}
	}
	// A form elsewhere can open a page, and nothing more.
	if w := b.do("DELETE", "/inbox/api/messages", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")); w.Code != 403 {
		t.Errorf("deletion from elsewhere: %d", w.Code)
	}
	// Nor does a plumbing that allows every origin, as that of dev does, help.
	w := httptest.NewRecorder()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost:8080/inbox/api/messages", nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Origin", "http://localhost:3000")
	b.handler.ServeHTTP(w, r)
	if w.Code != 403 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.send(mailTo(1, "ada@example.com"))
	w := b.do("GET", "/inbox", nil)
	page := w.Body.String()
	if w.Code != 200 || !strings.Contains(page, `src="/inbox/app.js"`) || strings.Contains(page, "://") || strings.Contains(page, "<style") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("%d %v\n%s", w.Code, w.Header(), page)
	}
	for path, contentType := range map[string]string{"/inbox/app.js": "text/javascript; charset=utf-8", "/inbox/app.css": "text/css; charset=utf-8"} {
		if w := b.do("GET", path, nil); w.Code != 200 || w.Header().Get("Content-Type") != contentType || w.Body.Len() < 1000 || strings.Contains(w.Body.String(), "innerHTML") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	w = b.do("GET", "/inbox/api/messages/"+id(1).String()+"/html", nil)
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';") || strings.Contains(policy, "allow-scripts") || strings.Contains(policy, "script-src") {
		t.Errorf("the frame's policy: %s", policy)
	}
	if !strings.HasPrefix(w.Body.String(), `<html><HEAD lang="en"><base target="_blank"><title>`) || w.Header().Get("X-Frame-Options") != "SAMEORIGIN" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	bare := mailTo(2, "x@example.com")
	bare.HTML = "<p>hi</p>"
	b.send(bare)
	if w := b.do("GET", "/inbox/api/messages/"+id(2).String()+"/html", nil); w.Body.String() != `<base target="_blank"><p>hi</p>` {
		t.Errorf("%s", w.Body)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	b := setup(t, done)
	srv := httptest.NewServer(b.handler)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/inbox/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func() string {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "event: ") {
				return lines.Text()
			}
		}
		return ""
	}
	if res.Header.Get("Content-Type") != "text/event-stream" || next() != "event: change" {
		t.Fatalf("%v", res.Header)
	}
	b.send(mailTo(1, "ada@example.com"))
	if next() != "event: change" {
		t.Error("nobody tells of the message")
	}
	close(done)
	if rest, err := io.ReadAll(res.Body); err != nil || next() != "" {
		t.Errorf("%v %s", err, rest)
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	h, err := inbox.New(inbox.Config{Messages: &notify.Inbox{}, Prefix: "/dev/inbox/"})
	if err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{"/dev/inbox": 200, "/dev/inbox/": 200, "/dev/inbox/messages": 200, "/inbox": 404} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1"+path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != status {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
