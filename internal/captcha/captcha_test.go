package captcha_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/captcha"
)

// provider answers in place of the network.
type provider func(r *http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (p provider) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p(r)
	if res == nil && err == nil { // silence
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return res, err
}

func saying(status int, body string) provider {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://evil.example"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func verifier(t testing.TB, p http.RoundTripper) *captcha.Verifier {
	t.Helper()
	v, err := captcha.New(captcha.Config{Provider: captcha.Turnstile, Secret: "geheim", Transport: p})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestCheck: only a clear yes is one, and the sentences are GoTrue's (gotrue.md 6.2).
func TestCheck(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Code    auth.Code
		Message string
	}
	no := func(why string) outcome {
		return outcome{auth.CodeCaptchaFailed, "captcha protection: request disallowed (" + why + ")"}
	}
	down := outcome{auth.CodeUnavailable, "captcha verification process failed"}
	silent := provider(func(*http.Request) (*http.Response, error) { return nil, nil }) //nolint:nilnil // silence
	refusing := provider(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })
	for _, tc := range []struct {
		name, token string
		provider    provider
		want        outcome
		took        time.Duration
	}{
		{"a person", "tok", saying(200, `{"success": true, "challenge_ts": "2026-03-01T00:00:00Z", "hostname": "app.example"}`), outcome{}, 0},
		{"a program", "tok", saying(200, `{"success": false, "error-codes": ["timeout-or-duplicate"]}`), no("timeout-or-duplicate"), 0},
		{"two codes", "tok", saying(200, `{"success": false, "error-codes": ["a", "b_2"]}`), no("a, b_2"), 0},
		{"a no with a status", "tok", saying(400, `{"success": false, "error-codes": ["bad-request"]}`), no("bad-request"), 0},
		{"a no without codes", "tok", saying(200, `{"success": false}`), no(""), 0},
		{"codes that are none", "tok", saying(200, `{"success": false, "error-codes": ["<script>", "a b", "ok", "`+strings.Repeat("x", 65)+`"]}`), no("ok"), 0},
		{"a thousand codes", "tok", saying(200, `{"success": false, "error-codes": [`+strings.Repeat(`"a",`, 999)+`"a"]}`), no("a, a, a, a, a, a, a, a"), 0},

		{"no token", "", refusing, no("no captcha_token found in request"), 0},
		{"spaces", " \n", refusing, no("no captcha_token found in request"), 0},
		{"a token too long for any provider", strings.Repeat("x", 8<<10+1), refusing, no("invalid-input-response"), 0},

		{"unreachable", "tok", refusing, down, 0},
		{"silence", "tok", silent, down, 10 * time.Second},
		{"500", "tok", saying(500, `{"success": true}`), down, 0},
		{"yes with status 400", "tok", saying(400, `{"success": true}`), down, 0},
		{"a redirect", "tok", saying(307, `{"success": true}`), down, 0},
		{"204", "tok", saying(204, ``), down, 0},
		{"no body", "tok", saying(200, ``), down, 0},
		{"no success", "tok", saying(200, `{}`), down, 0},
		{"null", "tok", saying(200, `null`), down, 0},
		{"success is a word", "tok", saying(200, `{"success": "true"}`), down, 0},
		{"success is a number", "tok", saying(200, `{"success": 1}`), down, 0},
		{"two values", "tok", saying(200, `{"success": true}{}`), down, 0},
		{"HTML", "tok", saying(200, `<html>`), down, 0},
		{"10 MB", "tok", saying(200, `{"success": true}`+strings.Repeat(" ", 10<<20)), down, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := verifier(t, tc.provider).Check(t.Context(), tc.token, "203.0.113.7")
				var got outcome
				var e *auth.Error
				if errors.As(err, &e) {
					got = outcome{e.Code, e.Message}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" || (err == nil) != (tc.want == outcome{}) {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				if took := time.Since(began); took != tc.took {
					t.Errorf("it took %v, want %v", took, tc.took)
				}
				if err != nil && strings.Contains(err.Error(), "geheim") {
					t.Errorf("the error shows the secret: %v", err)
				}
			})
		})
	}
}

// TestRequest: what the providers get.
func TestRequest(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		captcha.HCaptcha: "https://api.hcaptcha.com/siteverify", captcha.Turnstile: "https://challenges.cloudflare.com/turnstile/v0/siteverify",
	} {
		var form url.Values
		p := provider(func(r *http.Request) (*http.Response, error) {
			if r.URL.String() != want || r.Method != http.MethodPost {
				t.Errorf("%s %s, want POST %s", r.Method, r.URL, want)
			}
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			form = r.PostForm
			return saying(200, `{"success": true}`)(r)
		})
		v, err := captcha.New(captcha.Config{Provider: name, Secret: " geheim\n", Transport: p})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Check(t.Context(), " tok&secret=other ", "203.0.113.7"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(url.Values{"secret": {"geheim"}, "response": {"tok&secret=other"}, "remoteip": {"203.0.113.7"}}, form); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := v.Check(t.Context(), "tok", ""); err != nil || form.Has("remoteip") {
			t.Errorf("%s: %v, form %v", name, err, form)
		}
	}
}

// TestOverHTTP uses the real transport; a redirect does not get the secret.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	var stolen atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"success": %v}`, r.FormValue("response") == "person")
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/stolen", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/stolen", func(w http.ResponseWriter, _ *http.Request) { stolen.Store(true); fmt.Fprint(w, `{"success": true}`) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	at := func(path string) *captcha.Verifier {
		v, err := captcha.New(captcha.Config{Provider: captcha.HCaptcha, Secret: "s", URL: srv.URL + path})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if err := at("/good").Check(t.Context(), "person", ""); err != nil {
		t.Error(err)
	}
	if err := at("/good").Check(t.Context(), "program", ""); auth.CodeOf(err) != auth.CodeCaptchaFailed {
		t.Error(err)
	}
	if err := at("/away").Check(t.Context(), "person", ""); auth.CodeOf(err) != auth.CodeUnavailable || stolen.Load() {
		t.Errorf("%v, stolen %v", err, stolen.Load())
	}
}

// TestCallerGone: who waits no longer gets the context's error.
func TestCallerGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := verifier(t, saying(200, `{"success": true}`)).Check(ctx, "tok", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]captcha.Config{
		"nothing": {}, "no secret": {Provider: captcha.HCaptcha, Secret: " "}, "unknown": {Provider: "recaptcha", Secret: "s"},
		"case": {Provider: "Turnstile", Secret: "s"}, "negative": {Provider: captcha.HCaptcha, Secret: "s", Timeout: -1},
		"no address": {Provider: captcha.HCaptcha, Secret: "s", URL: "example.org"}, "file": {Provider: captcha.HCaptcha, Secret: "s", URL: "file:///x"},
	} {
		if v, err := captcha.New(c); v != nil || err == nil {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	if _, err := captcha.New(captcha.Config{Timeout: -1}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not every problem is listed: %v", err)
	}
	if got := fmt.Sprintf("%v %+v %#v", captcha.Config{Secret: "geheim"}, &captcha.Config{Secret: "geheim"}, captcha.Config{Secret: "geheim"}); strings.Contains(got, "geheim") {
		t.Errorf("shown: %s", got)
	}
	if err := (*captcha.Verifier)(nil).Check(t.Context(), "", ""); err != nil {
		t.Errorf("not configured: %v", err)
	}
}

// FuzzAnswer: nothing but success: true is a yes.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"success": true}`)
	f.Add(`{"success": false, "error-codes": ["x"]}`)
	f.Add(`{"SUCCESS": true, "error-codes": null}`)
	f.Fuzz(func(t *testing.T, body string) {
		err := verifier(t, saying(200, body)).Check(t.Context(), "tok", "")
		if err == nil && !strings.Contains(body, "true") {
			t.Fatalf("%q is a yes", body)
		}
		if code := auth.CodeOf(err); err != nil && code != auth.CodeCaptchaFailed && code != auth.CodeUnavailable {
			t.Fatalf("%q: %v", body, err)
		}
	})
}
