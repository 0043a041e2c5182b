package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

// A21.3: headers of a client change nothing unless the peer is a trusted proxy.
func TestClientIP(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tc := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"direct", "203.0.113.9:5", nil, "203.0.113.9"},
		{"direct, header forged", "203.0.113.9:5", []string{"198.51.100.1"}, "203.0.113.9"},
		{"one proxy", "10.1.2.3:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"client forges a hop", "10.1.2.3:5", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"client forges a header line", "10.1.2.3:5", []string{"1.1.1.1", "198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.1.2.3:5", []string{"198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"all hops are proxies", "10.1.2.3:5", []string{"10.4.4.4, 10.9.9.9"}, "10.4.4.4"},
		{"no header", "10.1.2.3:5", nil, "10.1.2.3"},
		{"junk stops the walk", "10.1.2.3:5", []string{"198.51.100.1, evil"}, "10.1.2.3"},
		{"junk behind a proxy", "10.1.2.3:5", []string{"198.51.100.1, x, 10.9.9.9"}, "10.9.9.9"},
		{"IPv6", "[fd00::1]:5", []string{"2001:db8::5"}, "2001:db8::5"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"IPv6 zone", "[fe80::1%eth0]:5", nil, "fe80::1"},
		{"unix socket", "@", []string{"1.1.1.1"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tc.peer
			r.Header.Set("X-Real-Ip", "9.9.9.9")
			for _, f := range tc.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if got := (web.ClientIP{Trusted: proxies}).From(r); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func serve(t *testing.T, c web.Config, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	web.Stack(c, h).ServeHTTP(w, r)
	return w
}

func TestCORS(t *testing.T) {
	t.Parallel()
	list := web.CORS{Origins: []string{"https://app.example"}, Headers: []string{"apikey", "Authorization"}, Expose: []string{"Link"}}
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	get := func(c web.CORS, method, origin string) http.Header {
		r := httptest.NewRequest(method, "/", nil)
		r.Header.Set("Origin", origin)
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", "POST")
		}
		return serve(t, web.Config{CORS: c}, ok, r).Header()
	}
	h := get(list, http.MethodOptions, "https://app.example")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Headers": "apikey, Authorization", "Access-Control-Max-Age": "86400",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("preflight of a listed origin: %s = %q, want %q", name, got, want)
		}
	}
	for _, origin := range []string{"https://app.example.evil", "https://evil", "null", "http://app.example", "https://APP.example"} {
		for _, method := range []string{http.MethodOptions, http.MethodGet} { // A23.2
			for name := range get(list, method, origin) {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s from %s got %s", method, origin, name)
				}
			}
		}
	}
	// S0.20: every origin in development, but never with credentials (A23.2, B0.9).
	h = get(web.CORS{Origins: []string{"*"}}, http.MethodGet, "https://anything.example")
	if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("any origin: %v", h)
	}
}

func TestErrorsNeverShowTheirCause(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := web.Config{Log: slog.New(slog.NewJSONHandler(&log, nil)), Timeout: time.Minute, MaxBody: 10}
	write := func(w http.ResponseWriter, _ *http.Request, e *auth.Error) {
		_ = web.WriteJSON(w, http.StatusInternalServerError, e.Code)
	}
	h := web.Handle(func(http.ResponseWriter, *http.Request) error { return errors.New("password=hunter2") }, write)
	w := serve(t, c, h, httptest.NewRequest(http.MethodGet, "/x?token=secret", nil))
	if strings.Contains(w.Body.String(), "hunter2") || w.Body.String() != `"internal"` {
		t.Errorf("answered %s", w.Body)
	}
	if !strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), "secret") {
		t.Errorf("the log line must have the cause and not the query: %s", &log)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines for one request", n)
	}
}

func TestPanicIsAnAnswerAndALogLine(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := serve(t, web.Config{Log: slog.New(slog.NewJSONHandler(&log, nil))},
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }), httptest.NewRequest(http.MethodGet, "/", nil))
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusInternalServerError {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "boom") || !strings.Contains(log.String(), "boom") {
		t.Errorf("answer %s, log %s", w.Body, &log)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	read := web.Handle(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := web.ReadObject(r)
		return err
	}, func(w http.ResponseWriter, _ *http.Request, e *auth.Error) { _, _ = io.WriteString(w, string(e.Code)) })
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"a":"`+strings.Repeat("x", 100)+`"}`))
	if w := serve(t, web.Config{MaxBody: 10}, read, r); w.Body.String() != string(auth.CodeBodyTooLarge) {
		t.Errorf("a body over the limit: %s", w.Body)
	}
	slow := web.Handle(func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return context.Cause(r.Context())
	}, func(w http.ResponseWriter, _ *http.Request, e *auth.Error) { _, _ = io.WriteString(w, string(e.Code)) })
	if w := serve(t, web.Config{Timeout: time.Millisecond}, slow, httptest.NewRequest(http.MethodGet, "/", nil)); w.Body.String() != string(auth.CodeRequestTimeout) {
		t.Errorf("a request over its time: %s", w.Body)
	}
}

// A23.4, S4.45: headers of every answer.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	h := serve(t, web.Config{HSTS: true}, ok, httptest.NewRequest(http.MethodGet, "/", nil)).Header()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
	} {
		if h.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, h.Get(name), want)
		}
	}
	if h.Get("X-Request-Id") == "" {
		t.Error("no request id")
	}
}
