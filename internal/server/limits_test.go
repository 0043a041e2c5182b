package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Limits of messages, over HTTP: GoTrue's codes and sentences, and when to come back. They
// hold for known and unknown addresses alike.
func TestMessageLimits(t *testing.T) {
	t.Parallel()
	const tooSoon = `^For security purposes, you can only request this after (\d+) seconds\.$`
	mail := func(i int) object { return object{"email": fmt.Sprintf("a%d@example.org", i)} }
	same := func(int) object { return object{"email": "a@example.org"} }
	for _, c := range []struct {
		name     string
		settings []string
		path     string
		body     func(i int) object
		allowed  int
		code     string
		sentence string
		most     int // seconds of Retry-After
	}{
		{"one mail a minute to one address, otp", []string{"CARDEA_MAIL_INTERVAL=1m"}, "/otp", same, 1, "over_email_send_rate_limit", tooSoon, 60},
		{"recover", []string{"CARDEA_MAIL_INTERVAL=1m"}, "/recover", same, 1, "over_email_send_rate_limit", tooSoon, 60},
		{"magiclink", []string{"CARDEA_MAIL_INTERVAL=90s"}, "/magiclink", same, 1, "over_email_send_rate_limit", tooSoon, 90},
		{
			"resend", []string{"CARDEA_MAIL_INTERVAL=1m"}, "/resend",
			func(int) object { return object{"type": "signup", "email": "a@example.org"} }, 1, "over_email_send_rate_limit", tooSoon, 60,
		},
		{
			"sign-up, in every spelling", []string{"CARDEA_MAIL_INTERVAL=1m"}, "/signup",
			func(i int) object {
				return object{"email": []string{"a@example.org", "A@Example.ORG"}[i%2], "password": "correct horse"}
			},
			1, "over_email_send_rate_limit", tooSoon, 60,
		},
		{
			"one text message a minute", []string{"CARDEA_SMS_INTERVAL=1m"}, "/otp",
			func(int) object { return object{"phone": "+49 170 1234567"} }, 1, "over_sms_send_rate_limit", tooSoon, 60,
		},
		{"mails of the server", []string{"CARDEA_RATE_LIMIT_MAILS=3"}, "/recover", mail, 3, "over_email_send_rate_limit", `^email rate limit exceeded$`, 3600},
		{
			"text messages of the server", []string{"CARDEA_RATE_LIMIT_TEXTS=3"}, "/otp",
			func(i int) object { return object{"phone": fmt.Sprintf("4917012345%02d", i)} }, 3, "over_sms_send_rate_limit", `^sms rate limit exceeded$`, 3600,
		},
		{"messages for one client", []string{"CARDEA_RATE_LIMIT_MESSAGES_PER_IP=3"}, "/recover", mail, 3, "over_request_rate_limit", `^Request rate limit reached$`, 300},
		{
			"tries at codes of one client", []string{"CARDEA_RATE_LIMIT_VERIFY_PER_IP=3"}, "/verify",
			func(i int) object {
				return object{"type": "email", "email": fmt.Sprintf("a%d@example.org", i), "token": "123456"}
			},
			3, "over_request_rate_limit", `^Request rate limit reached$`, 300,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, known := range []bool{false, true} {
				r := newMailRig(t, "sqlite", append([]string{"CARDEA_RATE_LIMIT_ENABLED=true"}, c.settings...)...)
				if known {
					r.made(t, "a@example.org")
					r.made(t, fmt.Sprintf("a%d@example.org", c.allowed))
				}
				for i := range c.allowed {
					if a := r.ask("POST", c.path, "", c.body(i)); a.Code == 429 || a.Code >= 500 {
						t.Fatalf("request %d: %d %s", i, a.Code, a.body)
					}
				}
				a := r.ask("POST", c.path, "", c.body(c.allowed))
				if a.Code != 429 || a.text(t, "error_code") != c.code || a.Header().Get("X-Sb-Error-Code") != c.code {
					t.Fatalf("known %v: %d %s", known, a.Code, a.body)
				}
				found := regexp.MustCompile(c.sentence).FindStringSubmatch(a.text(t, "msg"))
				if found == nil {
					t.Fatalf("known %v: %s", known, a.body)
				}
				after, err := strconv.Atoi(a.Header().Get("Retry-After"))
				if err != nil || after < 1 || after > c.most {
					t.Errorf("Retry-After %q", a.Header().Get("Retry-After"))
				}
				if len(found) > 1 && found[1] != strconv.Itoa(after) {
					t.Errorf("the sentence says %s seconds, the header %d", found[1], after)
				}
			}
		})
	}
}

// The limit by address is over when its time is; the code of the second message works and
// the first one's does not any more.
func TestMessageLimitEnds(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t, kind, "CARDEA_RATE_LIMIT_ENABLED=true", "CARDEA_MAIL_INTERVAL=1m")
			r.made(t, "a@example.org")
			ask := func() reply { return r.ask("POST", "/otp", "", object{"email": "a@example.org"}) }
			if a := ask(); a.Code != 200 {
				t.Fatalf("%d %s", a.Code, a.body)
			}
			first := r.mail(t, "a@example.org")
			if a := ask(); a.Code != 429 {
				t.Fatalf("%d %s", a.Code, a.body)
			}
			r.forward(61e9)
			if a := ask(); a.Code != 200 {
				t.Fatalf("%d %s", a.Code, a.body)
			}
			second := r.mail(t, "a@example.org")
			if a := r.verify(linkToken(t, first), "magiclink"); a.Code != 403 || a.text(t, "error_code") != "otp_expired" {
				t.Errorf("the first link: %d %s", a.Code, a.body)
			}
			if a := r.ask("POST", "/verify", "", object{"type": "email", "email": "a@example.org", "token": second.Code}); a.Code != 200 {
				t.Errorf("the second code: %d %s", a.Code, a.body)
			}
		})
	}
}

// S2.55, A21.1: every request of an address to /api/v1 counts, whatever it asks. The next one
// passes after exactly the time that the refusal names; other addresses and the routes that
// say whether the server is well are not concerned.
func TestMirrorLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, "sqlite", Options{}, "CARDEA_SURFACES=mirror,rest", "CARDEA_RATE_LIMIT_ENABLED=true", "CARDEA_RATE_LIMIT_MIRROR_PER_IP=3", "CARDEA_TRUSTED_PROXIES=192.0.2.1")
	ask := func(path, from string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, path, nil) // of 192.0.2.1
		req.Header.Set("X-Forwarded-For", from)
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, req)
		return w
	}
	for i, path := range []string{"/api/v1/auth/config", "/api/v1/users/me", "/api/v1/nothing"} {
		if w := ask(path, "198.51.100.1"); w.Code != []int{200, 401, 404}[i] {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	refused := func(w *httptest.ResponseRecorder) {
		t.Helper()
		h := w.Header()
		if w.Code != 429 || h.Get("Retry-After") != "60" || h.Get("X-RateLimit-Limit") != "3" || h.Get("X-RateLimit-Period") != "60" ||
			!strings.Contains(w.Body.String(), `"RATE_LIMIT_EXCEEDED"`) {
			t.Errorf("%d %v %s", w.Code, h, w.Body)
		}
	}
	refused(ask("/api/v1/auth/config", "198.51.100.1"))
	for _, w := range []*httptest.ResponseRecorder{ask("/api/v1/auth/config", "198.51.100.2"), ask("/healthy", "198.51.100.1"), ask("/healthz", "198.51.100.1")} {
		if w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	r.forward(time.Minute)
	for range 3 {
		if w := ask("/api/v1/auth/config", "198.51.100.1"); w.Code != 200 {
			t.Errorf("a minute later: %d %s", w.Code, w.Body)
		}
	}
	refused(ask("/api/v1/auth/config", "198.51.100.1"))
}
