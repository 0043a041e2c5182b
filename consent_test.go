package cardea

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type consentFunc func(q ConsentQuery) ([]string, error)

func (f consentFunc) GrantedConsents(_ context.Context, q ConsentQuery) ([]string, error) {
	return f(q)
}

func consentVerifier(t *testing.T, f consentFunc) *Verifier {
	t.Helper()
	c := testConfig(t)
	c.Consents = f
	return mustVerifier(t, c)
}

// A16.6, S4.51: what the guard asks, and that it asks at every request, also about a token
// that is remembered.
func TestConsentAsksEachTime(t *testing.T) {
	t.Parallel()
	var asked []ConsentQuery
	granted := []string{"ai"}
	v := consentVerifier(t, func(q ConsentQuery) ([]string, error) {
		asked = append(asked, q)
		return granted, nil
	})
	h := v.Require(AllOf("AI", v.Consent("ai")))(http.HandlerFunc(whoami))
	token := esToken(map[string]any{"tenant_id": "c1"})
	ask := func() int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for i, step := range []struct {
		granted []string
		want    int
	}{{[]string{"ai"}, 200}, {[]string{"ai", "x"}, 200}, {nil, 403}, {[]string{"AI", "ai ", "a"}, 403}, {[]string{"ai"}, 200}} {
		granted = step.granted
		if got := ask(); got != step.want {
			t.Errorf("request %d: %d, want %d", i, got, step.want)
		}
	}
	if len(asked) != 5 {
		t.Fatalf("asked %d times", len(asked))
	}
	q := asked[0]
	if q.Token != token || q.Principal.Tenant != "c1" || q.Principal.Subject == "" || !cmp.Equal(q.Purposes, []string{"ai"}) {
		t.Errorf("%+v", q)
	}
	// Without a request there is no token.
	if err := Check(t.Context(), &Principal{Subject: "u"}, v.Consent("ai")); err != nil || asked[5].Token != "" {
		t.Errorf("%v %+v", err, asked[5])
	}
	if err := Check(t.Context(), nil, v.Consent("ai")); CodeOf(err) != CodeHeaderMissing || len(asked) != 6 {
		t.Errorf("%v", err)
	}
}

// A16.6: what can't be found out opens nothing, and is not blamed on the caller.
func TestConsentFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want Code
	}{
		{"down", errors.New("connection refused"), CodeConsentUnavailable},
		{"timed out", context.DeadlineExceeded, CodeConsentUnavailable},
		{"the source's own refusal", NewError(CodeTokenRevoked, nil), CodeTokenRevoked},
	} {
		v := consentVerifier(t, func(ConsentQuery) ([]string, error) { return []string{"ai", "data"}, c.err })
		err := Check(t.Context(), &Principal{Subject: "u"}, v.Consent("ai", "data"))
		var e *Error
		if !errors.As(err, &e) || e.Code != c.want || e.Required != "consent to ai and data" || (e.HTTPStatus() == 503) != (e.RetryAfter > 0) {
			t.Errorf("%s: %+v", c.name, e)
		}
		if AnyOf("either", v.Consent("ai"), Role("admin")).(group).check(t.Context(), nil, &Principal{Subject: "u"}) == nil {
			t.Errorf("%s: the other way opened it", c.name)
		}
	}
}

// A12.3: a guard that nobody can answer does not start.
func TestConsentPanics(t *testing.T) {
	t.Parallel()
	v := consentVerifier(t, func(ConsentQuery) ([]string, error) { return nil, nil })
	for name, f := range map[string]func(){
		"without a source":   func() { mustVerifier(t, testConfig(t)).Consent("ai") },
		"of no verifier":     func() { (*Verifier)(nil).Consent("ai") },
		"without a purpose":  func() { v.Consent("") },
		"one of two missing": func() { v.Consent("ai", "") },
	} {
		func() {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "cardea: ") {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// wireFunc answers requests without a network.
type wireFunc func(*http.Request) (*http.Response, error)

func (f wireFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A16.6: the client of a Cardea server, with each kind of answer.
func TestConsentClient(t *testing.T) {
	t.Parallel()
	const list = `{"consents":[{"purpose":"a","status":"granted"},{"purpose":"b","status":"withdrawn"},{"purpose":"c","status":"granted","tenant_id":"t1"},{"purpose":"d","status":"granted","tenant_id":"t2"},{"purpose":"e","status":"Granted"}]}`
	const issuer = "https://auth.example.com/auth/v1"
	someone := Principal{Issuer: issuer, Subject: "019ca869-507b-7433-8c63-482deacec8d6", Tenant: "t1"}
	with := func(change func(*Principal)) Principal {
		p := someone
		change(&p)
		return p
	}
	for _, c := range []struct {
		name, key string
		p         Principal
		token     string
		status    int
		body      string
		err       error
		asked     string // the address, "" for nobody
		sent      string // the credential
		want      []string
		code      Code
		bad       bool
	}{
		{name: "with the caller's token", p: someone, token: "tok", status: 200, body: list, asked: "/api/users/me/consents?tenant_id=t1", sent: "tok", want: []string{"a", "c"}},
		{name: "with a key", key: "sb_secret_1", p: someone, token: "tok", status: 200, body: list,
			asked: "/admin/v1/users/019ca869-507b-7433-8c63-482deacec8d6/consents?tenant_id=t1", sent: "sb_secret_1", want: []string{"a", "c"}},
		{name: "without a tenant", p: with(func(p *Principal) { p.Tenant = "" }), token: "tok", status: 200, body: list, asked: "/api/users/me/consents", sent: "tok", want: []string{"a"}},
		{name: "a tenant with odd characters", p: with(func(p *Principal) { p.Tenant = "a&b" }), token: "tok", status: 200, body: list, asked: "/api/users/me/consents?tenant_id=a%26b", sent: "tok", want: []string{"a"}},
		{name: "another issuer's user", key: "k", p: with(func(p *Principal) { p.Issuer = "https://evil.example" }), status: 200, body: list},
		{name: "a subject that is a path", key: "k", p: with(func(p *Principal) { p.Subject = "../tenants" }), status: 200, body: list},
		{name: "neither key nor token", p: someone, bad: true},
		{name: "nobody there", key: "k", p: someone, status: 404, asked: "*", sent: "k"},
		{name: "a key that is refused", key: "k", p: someone, status: 403, asked: "*", sent: "k", bad: true},
		{name: "a key that is unknown", key: "k", p: someone, status: 401, asked: "*", sent: "k", bad: true},
		{name: "an account that is banned", p: someone, token: "tok", status: 403, asked: "*", sent: "tok"},
		{name: "a session that has ended", p: someone, token: "tok", status: 401, asked: "*", sent: "tok", code: CodeTokenRevoked, bad: true},
		{name: "no such route", p: someone, token: "tok", status: 404, asked: "*", sent: "tok", bad: true},
		{name: "a redirect", p: someone, token: "tok", status: 302, asked: "*", sent: "tok", bad: true},
		{name: "too many requests", p: someone, token: "tok", status: 429, asked: "*", sent: "tok", bad: true},
		{name: "the server fails", p: someone, token: "tok", status: 500, asked: "*", sent: "tok", bad: true},
		{name: "nobody answers", p: someone, token: "tok", err: errors.New("connection refused"), asked: "*", sent: "tok", bad: true},
		{name: "a page of somebody else", p: someone, token: "tok", status: 200, body: "<html>", asked: "*", sent: "tok", bad: true},
		{name: "another document", p: someone, token: "tok", status: 200, body: "{}", asked: "*", sent: "tok", bad: true},
		{name: "nothing agreed to", p: someone, token: "tok", status: 200, body: `{"consents":[]}`, asked: "*", sent: "tok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			client, err := NewConsentClient(ConsentClientConfig{
				URL: "https://auth.example.com/", Key: c.key,
				HTTPClient: &http.Client{Transport: wireFunc(func(r *http.Request) (*http.Response, error) {
					asked++
					if got := r.URL.RequestURI(); c.asked != "*" && got != c.asked || r.Header.Get("Authorization") != "Bearer "+c.sent || r.Method != http.MethodGet {
						t.Errorf("%s %s %v", r.Method, got, r.Header)
					}
					if c.err != nil {
						return nil, c.err
					}
					return &http.Response{StatusCode: c.status, Header: http.Header{"Location": {"https://evil.example/"}}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
				})},
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := client.GrantedConsents(t.Context(), ConsentQuery{&c.p, []string{"a"}, c.token})
			if d := cmp.Diff(c.want, got); d != "" || (err != nil) != c.bad || CodeOf(err) != c.code {
				t.Errorf("%v %s", err, d)
			}
			if (asked == 1) != (c.asked != "") {
				t.Errorf("asked %d times", asked)
			}
			if err != nil && (strings.Contains(err.Error(), "tok") && c.code == "" && strings.Contains(err.Error(), "Bearer") || strings.Contains(err.Error(), "sb_secret")) {
				t.Errorf("the error shows a credential: %v", err)
			}
		})
	}
}

func TestNewConsentClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]ConsentClientConfig{
		"no URL": {}, "plain http": {URL: "http://auth.example.com"}, "a query": {URL: "https://auth.example.com?x=1"},
		"a user": {URL: "https://u:p@auth.example.com"}, "a key of two lines": {URL: "https://auth.example.com", Key: "a\nb"},
		"no time": {URL: "https://auth.example.com", Timeout: -1}, "too much time": {URL: "https://auth.example.com", Timeout: time.Minute},
	} {
		if got, err := NewConsentClient(c); err == nil || got != nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := NewConsentClient(ConsentClientConfig{URL: "http://auth", InsecureHTTP: true}); err != nil {
		t.Error(err)
	}
}

// A server that never answers ends at the timeout.
func TestConsentClientTimeout(t *testing.T) {
	t.Parallel()
	client, err := NewConsentClient(ConsentClientConfig{
		URL: "https://auth.example.com", Timeout: time.Millisecond,
		HTTPClient: &http.Client{Transport: wireFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := Principal{Issuer: "https://auth.example.com/auth/v1", Subject: "u"}
	if got, err := client.GrantedConsents(t.Context(), ConsentQuery{&p, []string{"a"}, "tok"}); !errors.Is(err, context.DeadlineExceeded) || got != nil {
		t.Errorf("%v %v", got, err)
	}
}

func FuzzReadConsents(f *testing.F) {
	for _, s := range []string{`{"consents":[{"purpose":"a","status":"granted"}]}`, `{"consents":null}`, `{}`, `[]`, `{"consents":[{"purpose":"a","status":"granted","tenant_id":"t2"}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		granted, err := readConsents(body, ConsentQuery{Principal: &Principal{Tenant: "t1"}})
		if err != nil && granted != nil || len(granted) > 0 && !strings.Contains(strings.ToLower(string(body)), "granted") && !strings.Contains(string(body), `\u`) {
			t.Errorf("%v %v", granted, err)
		}
	})
}
