package server

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// badHook is an application that is no help.
type badHook struct {
	name   string
	answer func(w http.ResponseWriter, r *http.Request, body string)
	status int    // what a caller gets whom the hook lets wait
	code   string // GoTrue's
	kept   string // in the outbox, where it was to take a message
}

func badHooks() []badHook {
	return []badHook{
		{"never answers", func(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() }, 422, "hook_timeout", "maximum time"},
		{
			"answers drop by drop",
			func(w http.ResponseWriter, r *http.Request, _ string) {
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						_, _ = io.WriteString(w, " ")
						_ = http.NewResponseController(w).Flush()
					case <-r.Context().Done():
						return
					}
				}
			}, 422, "hook_timeout", "maximum time",
		},
		{"garbage", say("<html>"), 500, "unexpected_failure", "unmarshaling"},
		{"half a document", say(`{"a":`), 500, "unexpected_failure", "unmarshaling"},
		{"two documents", say(`{}{}`), 500, "unexpected_failure", "unmarshaling"},
		{"an error without a message", say(`{"error":{"http_code":403}}`), 500, "unexpected_failure", "unmarshaling"},
		{"a list", say(`[]`), 500, "unexpected_failure", "unmarshaling"},
		{"10 MB", func(w http.ResponseWriter, _ *http.Request, _ string) {
			_, _ = io.Copy(w, io.LimitReader(endless('x'), 10<<20))
		}, 422, "hook_payload_over_size_limit", "size limit"},
		{"10 MB of JSON", func(w http.ResponseWriter, _ *http.Request, _ string) {
			_, _ = io.WriteString(w, `{"a":"`)
			_, _ = io.Copy(w, io.LimitReader(endless('x'), 10<<20))
			_, _ = io.WriteString(w, `"}`)
		}, 422, "hook_payload_over_size_limit", "size limit"},
		{"another type", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "{}")
		}, 400, "hook_payload_invalid_content_type", "content_type"},
		{"fails", func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(500) }, 500, "unexpected_failure", "500"},
		{"sends elsewhere", func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, 500, "unexpected_failure", "307"},
		{"hangs up", func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }, 422, "hook_timeout_after_retry", "retries"},
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// Hooks that time out, answer garbage or 10 MB: where a hook is asked, it fails closed, with
// GoTrue's code and without a row; where it takes a message, the person's request is not
// held up, the message stays in the outbox, and its error names neither code nor key.
func TestBadHooks(t *testing.T) {
	t.Parallel()
	for _, bad := range badHooks() {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			app := newApplication(t, bad.answer)
			asks := newMailRig(t, "sqlite", app.settings("BEFORE_USER_CREATED")...)
			sends := newRig(t, "sqlite", Options{}, proof(app.settings("SEND_EMAIL")...)...)
			began := time.Now()
			sends.must(t, "POST", "/signup", "", object{"email": "a@example.org", "password": "correct horse"})
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("the hook held the request up for %v", d)
			}
			a := asks.ask("POST", "/signup", "", object{"email": "a@example.org", "password": "correct horse"})
			if a.Code != bad.status || a.text(t, "error_code") != bad.code {
				t.Errorf("%d %s", a.Code, a.body)
			}
			if n := asks.users(t); n != 0 {
				t.Errorf("%d accounts", n)
			}
			sends.failed(t, bad.kept)
			for _, m := range sends.queue(t) {
				if !m.DeadAt.IsZero() || strings.Contains(m.LastError, "key=") || len(m.LastError) > 400 {
					t.Errorf("%+v", m)
				}
			}
		})
	}
}

// A hook that nobody listens at is tried three times, and a refusal that is final ends a
// message at once.
func TestHookThatIsNotThere(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	r := newMailRig(t, "sqlite", hookAt("BEFORE_USER_CREATED", "http://"+ln.Addr().String()+"/")...)
	a := r.ask("POST", "/otp", "", object{"email": "a@example.org"})
	if a.Code != 422 || a.text(t, "error_code") != "hook_timeout_after_retry" || r.users(t) != 0 {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestHookRefusesAMessage(t *testing.T) {
	t.Parallel()
	app := newApplication(t, say(`{"error":{"http_code":400,"message":"No such template for a@example.org"}}`))
	r := newRig(t, "sqlite", Options{}, proof(app.settings("SEND_EMAIL")...)...)
	r.must(t, "POST", "/otp", "", object{"email": "a@example.org"})
	r.until(t, "a dead message", func(rows []auth.Message) bool {
		return len(rows) == 1 && !rows[0].DeadAt.IsZero() && rows[0].Attempts == 1
	})
	dead, err := r.DeadMessages(t.Context(), 10)
	if err != nil || len(dead) != 1 || !strings.Contains(dead[0].LastError, "No such template") || strings.Contains(dead[0].LastError, "a@example.org") {
		t.Errorf("%+v, %v", dead, err)
	}
	app.answer = say(`{}`)
	if err := r.RetryMessage(t.Context(), dead[0].ID); err != nil {
		t.Fatal(err)
	}
	if r.empty(t); app.wait(t, 1).id != app.wait(t, 0).id {
		t.Error("the message came back with another id")
	}
}
