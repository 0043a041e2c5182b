package hook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
)

// TestAnswers: what the application may answer with, how often it is asked, and how long
// that may take. The clock is the bubble's.
func TestAnswers(t *testing.T) {
	t.Parallel()
	type answers func(n int, r sent) (*http.Response, error)
	always := func(status int, kind, body string, headers ...string) answers {
		return func(int, sent) (*http.Response, error) { return answer(status, kind, body, headers...), nil }
	}
	then := func(first answers, times int, rest answers) answers {
		return func(n int, r sent) (*http.Response, error) {
			if n <= times {
				return first(n, r)
			}
			return rest(n, r)
		}
	}
	unreachable := func(int, sent) (*http.Response, error) { return nil, errors.New("connection refused") }
	silent := func(int, sent) (*http.Response, error) { return nil, nil } //nolint:nilnil // silence
	fine := always(200, jsonType, `{}`)
	const (
		timeout = "Failed to reach hook within maximum time of 5.000000 seconds"
		retries = "Failed to reach hook after maximum retries"
		size    = "Payload size exceeded size limit of 204800 bytes"
	)
	for _, tc := range []struct {
		name    string
		answers answers
		want    outcome
		tries   int
		took    time.Duration
	}{
		{"200", fine, outcome{}, 1, 0},
		{"202", always(202, jsonType, `{}`), outcome{}, 1, 0},
		{"204", always(204, "", ``), outcome{}, 1, 0},
		{"200 with a charset", always(200, "Application/JSON; charset=utf-8", `{}`), outcome{}, 1, 0},
		{"200 without a body", always(200, jsonType, ``), outcome{}, 1, 0},
		{"exactly as long as allowed", always(200, jsonType, `{}`+strings.Repeat(" ", 200<<10-2)), outcome{}, 1, 0},

		{"a byte longer", always(200, jsonType, `{}`+strings.Repeat(" ", 200<<10-1)), outcome{auth.CodeHookAnswerTooLarge, size, nil}, 1, 0},
		{"10 MB", always(200, jsonType, strings.Repeat("x", 10<<20)), outcome{auth.CodeHookAnswerTooLarge, size, nil}, 1, 0},
		{"no type", always(200, "", `{}`), outcome{auth.CodeHookContentType, "Invalid Content-Type: Missing Content-Type header", nil}, 1, 0},
		{"text", always(200, "text/plain; charset=utf-8", `{}`), outcome{auth.CodeHookContentType, "Invalid JSON response. Received content-type: text/plain", nil}, 1, 0},
		{"a type that is none", always(200, "; /", `{}`), outcome{auth.CodeHookContentType, "Invalid Content-Type header", nil}, 1, 0},
		{"garbage", always(200, jsonType, "\x00\xff<html>"), outcome{auth.CodeInternal, "Error unmarshaling hook output", nil}, 1, 0},

		{"400", always(400, jsonType, `{}`), outcome{auth.CodeInternal, "Invalid payload sent to hook", nil}, 1, 0},
		{"401", always(401, jsonType, `{}`), outcome{auth.CodeInternal, "Hook requires authorization token", nil}, 1, 0},
		{"403 even with an error object", always(403, jsonType, `{"error":{"http_code":403,"message":"no"}}`),
			outcome{auth.CodeInternal, "Unexpected status code returned from hook: 403", nil}, 1, 0},
		{"a redirect is not followed", always(307, "", ``, "Location", "https://evil.example/"),
			outcome{auth.CodeInternal, "Unexpected status code returned from hook: 307", nil}, 1, 0},
		{"500", always(500, jsonType, `{}`, "Retry-After", "1"), outcome{auth.CodeInternal, "Unexpected status code returned from hook: 500", nil}, 1, 0},
		{"503 for good", always(503, jsonType, `{}`), outcome{auth.CodeInternal, "Service currently unavailable due to hook", nil}, 1, 0},
		{"429 for good", always(429, jsonType, `{}`), outcome{auth.CodeInternal, "Service currently unavailable due to hook", nil}, 1, 0},

		{"429 once", then(always(429, "", ``, "Retry-After", "true"), 1, fine), outcome{}, 2, 2 * time.Second},
		{"503 twice", then(always(503, "", ``, "Retry-After", "1"), 2, fine), outcome{}, 3, 2 * time.Second},
		{"at once", then(always(503, "", ``, "Retry-After", "0"), 2, fine), outcome{}, 3, 0},
		{"an hour is too long to wait", then(always(503, "", ``, "Retry-After", "3600"), 1, fine), outcome{}, 2, 2 * time.Second},
		{"a negative time", then(always(503, "", ``, "Retry-After", "-5"), 1, fine), outcome{}, 2, 2 * time.Second},
		{"503 always", always(503, "", ``, "Retry-After", "1"), outcome{auth.CodeHookTimeoutAfterRetry, retries, nil}, 3, 2 * time.Second},
		{"unreachable once", then(unreachable, 1, fine), outcome{}, 2, 2 * time.Second},
		{"unreachable", unreachable, outcome{auth.CodeHookTimeoutAfterRetry, retries, nil}, 3, 4 * time.Second},
		{"silence", silent, outcome{auth.CodeHookTimeout, timeout, nil}, 1, 5 * time.Second},
		{"unreachable, then silence", then(unreachable, 1, silent), outcome{auth.CodeHookTimeout, timeout, nil}, 2, 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &application{answer: tc.answers}
				c := everywhere(a)
				var observed []error
				c.Observe = func(_ hook.Name, _ time.Duration, err error) { observed = append(observed, err) }
				h := newHooks(t, c)
				began := time.Now()
				err := h.BeforeUserCreated(t.Context(), &user, "")
				if diff := cmp.Diff(tc.want, outcomeOf(err)); diff != "" || (err == nil) != (tc.want == outcome{}) {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				if took := time.Since(began); took != tc.took || len(a.sent) != tc.tries {
					t.Errorf("%d tries in %v, want %d in %v", len(a.sent), took, tc.tries, tc.took)
				}
				for _, r := range a.sent {
					if r.Header.Get("webhook-id") != a.sent[0].Header.Get("webhook-id") {
						t.Error("two tries have two ids: a receiver would count both")
					}
					if err := secrets(t, key(1)).Verify(r.Header, r.Body, r.At); err != nil {
						t.Errorf("a later try is signed for an earlier time: %v", err)
					}
				}
				if len(observed) != 1 || !errors.Is(observed[0], err) {
					t.Errorf("observed %v", observed)
				}
			})
		})
	}
}

// TestEveryHookFails: no failure of a hook is taken for its yes.
func TestEveryHookFails(t *testing.T) {
	t.Parallel()
	a := &application{answer: func(int, sent) (*http.Response, error) { return answer(500, jsonType, `{"decision":"continue"}`), nil }}
	h := newHooks(t, everywhere(a))
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"before": func() error { return h.BeforeUserCreated(ctx, &user, "") },
		"after":  func() error { return h.AfterUserCreated(ctx, hook.Event{}, &user) },
		"email":  func() error { return h.SendEmail(ctx, hook.Event{}, &user, hook.EmailData{}) },
		"sms":    func() error { return h.SendSMS(ctx, hook.Event{}, &user, hook.SMSData{}) },
		"token": func() error {
			_, err := h.CustomizeAccessToken(ctx, ids[1], "", []byte(claimsLike(t, nil)))
			return err
		},
		"password": func() error { _, err := h.PasswordVerification(ctx, ids[1], true, ""); return err },
		"mfa":      func() error { _, err := h.MFAVerification(ctx, hook.MFAAttempt{}, ""); return err },
	} {
		if err := call(); auth.CodeOf(err) != auth.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCallerGone: who waits no longer gets the context's error, not a verdict on the hook.
func TestCallerGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &application{answer: func(int, sent) (*http.Response, error) { return nil, nil }} //nolint:nilnil // silence
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := newHooks(t, everywhere(a)).BeforeUserCreated(ctx, &user, "")
		if !errors.Is(err, context.DeadlineExceeded) || auth.CodeOf(err) == auth.CodeHookTimeout {
			t.Errorf("error %v", err)
		}
	})
}

// TestStableID: a message that a job delivers again is the same message.
func TestStableID(t *testing.T) {
	t.Parallel()
	a := saying(`{}`)
	h := newHooks(t, everywhere(a))
	e := hook.Event{ID: ids[0], At: at}
	for range 2 {
		if err := h.SendEmail(t.Context(), e, &user, hook.EmailData{Token: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	if string(a.sent[0].Body) != string(a.sent[1].Body) || a.sent[0].Header.Get("webhook-id") != ids[0].String() {
		t.Errorf("first %s\nthen  %s", a.sent[0].Body, a.sent[1].Body)
	}
}

// TestErrorsHideTheAddress: the query of a URI may hold a key.
func TestErrorsHideTheAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &application{answer: func(int, sent) (*http.Response, error) { return nil, errors.New("connection refused") }}
		c := everywhere(a)
		c.SendSMS.URI = "https://app.example/hook?key=geheim"
		err := newHooks(t, c).SendSMS(t.Context(), hook.Event{}, &user, hook.SMSData{OTP: "424242"})
		if err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "424242") {
			t.Errorf("error %v", err)
		}
	})
}

// TestOverHTTP uses the real transport: an answer that never ends is cut off, a redirect is
// not followed, and nothing needs the application to be honest.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = secrets(t, key(1)).Verify(r.Header, body, time.Now())
		}
		w.Header().Set("Content-Type", jsonType)
		if err != nil || r.Method != http.MethodPost {
			_, _ = io.WriteString(w, `{"error":{"http_code":401,"message":"bad signature"}}`)
			return
		}
		_, _ = io.WriteString(w, `{}`)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		for range 10 << 20 / 4096 {
			if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/stolen", http.StatusPermanentRedirect)
	})
	mux.HandleFunc("/stolen", func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	for path, want := range map[string]auth.Code{"/good": "", "/endless": auth.CodeHookAnswerTooLarge, "/away": auth.CodeInternal} {
		c := everywhere(nil)
		c.Transport = nil
		c.BeforeUserCreated = hook.Endpoint{Enabled: true, URI: srv.URL + path, Secrets: key(1)}
		if err := newHooks(t, c).BeforeUserCreated(t.Context(), &user, ""); err == nil != (want == "") || err != nil && auth.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if followed.Load() {
		t.Error("the redirect was followed")
	}
}

// TestIsPermanent tells a delivery job when to give up.
func TestIsPermanent(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{400: true, 403: true, 408: false, 422: true, 429: false, 500: false, 503: false} {
		if got := (&hook.Refusal{Status: status}).IsPermanent(); got != want {
			t.Errorf("%d: %v", status, got)
		}
	}
}
