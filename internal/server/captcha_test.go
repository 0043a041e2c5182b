package server

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/notify"
)

// judge is a captcha provider that knows one person.
func judge(tb testing.TB) (url string, asked func() []string) {
	tb.Helper()
	var mu sync.Mutex
	var list []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, r.FormValue("secret")+" "+r.FormValue("response")+" "+r.FormValue("remoteip"))
		w.Header().Set("Content-Type", "application/json")
		switch r.FormValue("response") {
		case "person":
			_, _ = w.Write([]byte(`{"success":true}`))
		case "down":
			w.WriteHeader(http.StatusBadGateway)
		default:
			_, _ = w.Write([]byte(`{"success":false,"error-codes":["invalid-input-response"]}`))
		}
	}))
	tb.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string{}, list...)
	}
}

// Whatever a program could use to flood people or to guess is asked for a captcha, and
// nothing happens without one; operators are not asked.
func TestCaptcha(t *testing.T) {
	t.Parallel()
	for _, provider := range []string{"hcaptcha", "turnstile"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			url, asked := judge(t)
			r := newRig(t, "sqlite", Options{Inbox: &notify.Inbox{}, CaptchaURL: url}, proof(
				"CARDEA_CAPTCHA_ENABLED=true", "CARDEA_CAPTCHA_PROVIDER="+provider, "CARDEA_CAPTCHA_SECRET=s3cret",
				"CARDEA_ANONYMOUS_ENABLED=true", "CARDEA_RATE_LIMIT_ENABLED=true")...)
			r.made(t, "known@example.org")
			for _, c := range []struct {
				name, path string
				body       object
			}{
				{"sign-up", "/signup", object{"email": "a@example.org", "password": "correct horse"}},
				{"anonymous sign-up", "/signup", object{}},
				{"sign-in", "/token?grant_type=password", object{"email": "known@example.org", "password": "correct horse"}},
				{"otp by mail", "/otp", object{"email": "known@example.org"}},
				{"otp by text message", "/otp", object{"phone": "491701234567"}},
				{"magic link", "/magiclink", object{"email": "known@example.org"}},
				{"recover", "/recover", object{"email": "known@example.org"}},
				{"resend", "/resend", object{"type": "signup", "email": "known@example.org"}},
			} {
				before := r.users(t)
				try := func(security any) reply {
					body := object{}
					for name, v := range c.body {
						body[name] = v
					}
					if security != nil {
						body["gotrue_meta_security"] = security
					}
					return r.ask("POST", c.path, "", body)
				}
				for name, refused := range map[string]struct {
					security any
					status   int
					code     string
					sentence string
				}{
					"without":          {nil, 400, "captcha_failed", "captcha protection: request disallowed (no captcha_token found in request)"},
					"empty":            {object{"captcha_token": " "}, 400, "captcha_failed", "captcha protection: request disallowed (no captcha_token found in request)"},
					"of another type":  {object{"captcha_token": 7}, 400, "captcha_failed", "captcha protection: request disallowed (no captcha_token found in request)"},
					"of a program":     {object{"captcha_token": "program"}, 400, "captcha_failed", "captcha protection: request disallowed (invalid-input-response)"},
					"provider is down": {object{"captcha_token": "down"}, 503, "unexpected_failure", "The service is not available right now, please try again"},
				} {
					if a := try(refused.security); a.Code != refused.status || a.text(t, "error_code") != refused.code || a.text(t, "msg") != refused.sentence {
						t.Errorf("%s, %s: %d %s", c.name, name, a.Code, a.body)
					}
				}
				if after := r.users(t); after != before {
					t.Errorf("%s: made an account", c.name)
				}
				if a := try(object{"captcha_token": "person"}); a.Code != 200 {
					t.Errorf("%s: %d %s", c.name, a.Code, a.body)
				}
			}
			for _, question := range asked() {
				if question != "s3cret person 192.0.2.1" && question != "s3cret program 192.0.2.1" && question != "s3cret down 192.0.2.1" {
					t.Errorf("asked %q", question)
				}
			}
			r.withoutCaptcha(t, asked)
		})
	}
}

// withoutCaptcha shows who is not asked: operators, and whoever has proved more than a
// captcha does.
func (r *rig) withoutCaptcha(t *testing.T, asked func() []string) {
	before := asked()
	secret, _, err := r.APIKeys().Create(t.Context(), "operator", "secret")
	if err != nil {
		t.Fatal(err)
	}
	publishable, _, err := r.APIKeys().Create(t.Context(), "page", "publishable")
	if err != nil {
		t.Fatal(err)
	}
	anon, err := r.APIKeys().JWT("anon")
	if err != nil {
		t.Fatal(err)
	}
	sign := func(key string) reply {
		return r.ask("POST", "/token?grant_type=password", key, object{"email": "known@example.org", "password": "correct horse"})
	}
	for _, key := range []string{r.service, secret} {
		session := r.must(t, "POST", "/token?grant_type=password", key, object{"email": "known@example.org", "password": "correct horse"})
		r.must(t, "POST", "/recover", key, object{"email": "stranger@example.org"})
		r.must(t, "POST", "/token?grant_type=refresh_token", "", object{"refresh_token": session.text(t, "refresh_token")})
		r.must(t, "GET", "/reauthenticate", session.text(t, "access_token"), nil)
		if a := sign(session.text(t, "access_token")); a.text(t, "error_code") != "captcha_failed" {
			t.Errorf("a person's token: %d %s", a.Code, a.body)
		}
	}
	for _, key := range []string{anon, publishable, "sb_secret_nonsense", "nonsense"} {
		if a := sign(key); a.Code != 400 || a.text(t, "error_code") != "captcha_failed" {
			t.Errorf("%.20s: %d %s", key, a.Code, a.body)
		}
	}
	if diff := cmp.Diff(before, asked()); diff != "" {
		t.Errorf("the provider was asked:\n%s", diff)
	}
}
