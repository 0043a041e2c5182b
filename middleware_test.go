package cardea

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// whoami answers who the handler sees.
func whoami(w http.ResponseWriter, r *http.Request) {
	if p, ok := PrincipalFrom(r.Context()); ok {
		_, _ = w.Write([]byte("user " + p.Subject))
		return
	}
	if e, ok := FailureFrom(r.Context()); ok {
		_, _ = w.Write([]byte("anonymous because " + e.Code))
		return
	}
	_, _ = w.Write([]byte("anonymous"))
}

// call sends a request through a real server.
func call(t *testing.T, h http.Handler, authorization ...string) (status int, header http.Header, body string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/cases/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(authorization) > 0 {
		req.Header["Authorization"] = authorization
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return resp.StatusCode, resp.Header, b.String()
		}
	}
}

// TestHeaderTable: A8.7 over HTTP, each 401 with WWW-Authenticate and never 500, on
// both middlewares.
func TestHeaderTable(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	good := hsToken()
	cases := []struct {
		name      string
		header    []string
		want      Code
		challenge string
	}{
		{"missing", nil, CodeHeaderMissing, "Bearer"},
		{"empty", []string{""}, CodeHeaderInvalid, "Bearer"},
		{"Bearer", []string{"Bearer"}, CodeHeaderInvalid, "Bearer"},
		{"Bearer and a blank", []string{"Bearer "}, CodeHeaderInvalid, "Bearer"},
		{"Bearer a b", []string{"Bearer a b"}, CodeHeaderInvalid, "Bearer"},
		{"Bearer good extra", []string{"Bearer " + good + " x"}, CodeHeaderInvalid, "Bearer"},
		{"two tokens in one", []string{"Bearer " + good + ",Bearer x"}, CodeHeaderInvalid, "Bearer"},
		{"tab", []string{"Bearer\t" + good}, CodeHeaderInvalid, "Bearer"},
		{"Basic x", []string{"Basic x"}, CodeSchemeInvalid, "Bearer"},
		{"scheme with a colon", []string{"Bearer: " + good}, CodeSchemeInvalid, "Bearer"},
		{"token alone", []string{good}, CodeHeaderInvalid, "Bearer"},
		{"twice", []string{"Bearer " + good, "Bearer " + good}, CodeHeaderInvalid, "Bearer"},
		{"twice, one empty", []string{"Bearer " + good, ""}, CodeHeaderInvalid, "Bearer"},
		{"junk", []string{"Bearer test-token"}, CodeTokenStructure, `Bearer error="invalid_token"`},
		{"forged", []string{"Bearer " + good[:len(good)-4] + "AAAA"}, CodeSignature, `Bearer error="invalid_token"`}, // A8.1
		{"quoted", []string{`Bearer "` + good + `"`}, CodeBase64, `Bearer error="invalid_token"`},
		{"Bearer", []string{"Bearer " + good}, "", ""},
		{"bearer", []string{"bearer " + good}, "", ""},
		{"BEARER", []string{"BEARER " + good}, "", ""},
		{"two blanks", []string{"Bearer  " + good}, "", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			status, header, body := call(t, v.Require(Authenticated())(http.HandlerFunc(whoami)), tc.header...)
			_, _, optional := call(t, v.Optional()(http.HandlerFunc(whoami)), tc.header...)
			if tc.want == "" {
				if status != 200 || !strings.HasPrefix(body, "user ") || optional != body {
					t.Fatalf("%d %s, optional %s", status, body, optional)
				}
				return
			}
			var answer struct {
				Detail string
				Code   Code
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatal(err, body)
			}
			got := []any{status, header.Get("WWW-Authenticate"), answer.Code, answer.Detail, header.Get("Content-Type"), header.Get("Cache-Control")}
			want := []any{401, tc.challenge, tc.want, NewError(tc.want, nil).Message, "application/json", "no-store"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			wantOptional := "anonymous because " + string(tc.want)
			if tc.want == CodeHeaderMissing {
				wantOptional = "anonymous"
			}
			if optional != wantOptional {
				t.Errorf("optional: %s", optional)
			}
		})
	}
}

// TestOutageAnswer: A8.2, S2.11. The promised Retry-After is on the wire.
func TestOutageAnswer(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.server.status(500)
	status, header, body := call(t, r.Require(Authenticated())(http.HandlerFunc(whoami)), "Bearer "+r.token("ec"))
	if status != 503 || header.Get("Retry-After") != "5" || header.Get("WWW-Authenticate") != "" ||
		!strings.Contains(body, `"code":"AUTH_PROVIDER_UNREACHABLE"`) {
		t.Errorf("%d %v %s", status, header, body)
	}
	if _, _, body := call(t, r.Optional()(http.HandlerFunc(whoami)), "Bearer "+r.token("ec")); body != "anonymous because AUTH_PROVIDER_UNREACHABLE" {
		t.Error(body)
	}
}

// failing is a requirement of a service.
type failing struct{ err error }

func (f failing) Check(context.Context, *Principal) error { return f.err }
func (f failing) String() string                          { return "a rule of ours" }

// TestGuardTruthTable is the truth table of the guards.
func TestGuardTruthTable(t *testing.T) {
	t.Parallel()
	user := &Principal{Subject: "u", Role: "authenticated", Roles: []string{"doctor"}, AAL: "aal1"}
	second := &Principal{Subject: "u", AAL: "aal2"}
	guest := &Principal{Subject: "g", Role: "authenticated", Anonymous: true}
	cases := []struct {
		name     string
		p        *Principal
		rule     Requirement
		want     Code
		required string
		actual   string
	}{
		{"nobody", nil, Authenticated(), CodeHeaderMissing, "", ""},
		{"user", user, Authenticated(), "", "", ""},
		{"guest is authenticated", guest, Authenticated(), "", "", ""},
		{"guest is no account", guest, NotAnonymous(), CodeAnonymousRefused, "not anonymous", "anonymous"},
		{"user has an account", user, NotAnonymous(), "", "", ""},
		{"database role", user, Role("authenticated"), "", "", ""},
		{"application role", user, Role("doctor"), "", "", ""},
		{"one of two roles", user, Role("nurse", "doctor"), "", "", ""},
		{"another role", user, Role("nurse", "admin"), CodeRole, "role nurse or admin", "authenticated doctor"},
		{"role in capitals", user, Role("Doctor"), CodeRole, "role Doctor", "authenticated doctor"},
		{"aal1 has aal1", user, AAL("aal1"), "", "", ""},
		{"aal1 is not aal2", user, AAL("aal2"), CodeAAL, "aal2", "aal1"},
		{"aal2 has aal1", second, AAL("aal1"), "", "", ""},
		{"aal2 is not aal3", second, AAL("aal3"), CodeAAL, "aal3", "aal2"},
		{"no level", guest, AAL("aal1"), CodeAAL, "aal1", ""},
		{"own rule, plain error", user, failing{errors.New("database down")}, CodeForbidden, "a rule of ours", ""},
		{"own rule, own code", user, failing{&Error{Code: "USER_INACTIVE"}}, "USER_INACTIVE", "a rule of ours", ""},
		{"own rule, wrong nil", user, failing{(*Error)(nil)}, CodeForbidden, "a rule of ours", ""},
		{"own rule, unreachable", user, failing{NewError(CodeProviderUnreachable, nil)}, CodeProviderUnreachable, "a rule of ours", ""},
		{"own rule passes", user, failing{}, "", "", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := Check(t.Context(), tc.p, tc.rule)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff([]any{tc.want, tc.required, tc.actual}, []any{e.Code, e.Required, e.Actual}); diff != "" || e.Message == "" || e.Error() == "" {
				t.Errorf("%s %v", diff, e)
			}
		})
	}
	if got := AAL("aal2").String(); got != "aal2" {
		t.Error(got)
	}
	if err := Role("x").Check(t.Context(), nil); CodeOf(err) != CodeHeaderMissing {
		t.Errorf("requirement without a Principal: %v", err)
	}
	if err := Check(t.Context(), user, Authenticated(), Role("doctor"), AAL("aal2"), Role("nurse")); CodeOf(err) != CodeAAL {
		t.Errorf("the first that fails counts: %v", err)
	}
}

// TestForbiddenAnswer: 403 without a challenge, and nothing of the cause is shown.
func TestForbiddenAnswer(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	guard := v.Require(Authenticated(), failing{errors.New("secret detail")})
	status, header, body := call(t, guard(http.HandlerFunc(whoami)), "Bearer "+hsToken())
	if status != 403 || header.Get("WWW-Authenticate") != "" || body != `{"detail":"Insufficient permissions","code":"FORBIDDEN"}`+"\n" {
		t.Errorf("%d %v %s", status, header, body)
	}
}

// TestRegistrationPanics: A12.3, a guard that guards nothing does not start.
func TestRegistrationPanics(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	for name, f := range map[string]func(){
		"nil requirement":        func() { v.Require(nil) },
		"second nil requirement": func() { v.Require(Authenticated(), nil) },
		"nil handler":            func() { v.Require(Authenticated())(nil) },
		"optional nil handler":   func() { v.Optional()(nil) },
		"empty role":             func() { Role("") },
		"second empty role":      func() { Role("a", "") },
		"unknown level":          func() { AAL("2") },
		"empty level":            func() { AAL("") },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "cardea: ") {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}

// TestHooks: S4.13, A12.4. Every refusal is reported with required and actual.
func TestHooks(t *testing.T) {
	t.Parallel()
	type event struct {
		Code             Code
		User             string
		Anonymous        bool
		Required, Actual string
		Method, Path     string
	}
	var denials []event
	var users []string
	c := testConfig(t)
	c.OnDenied = func(_ context.Context, d Denial) {
		e := event{d.Err.Code, "", d.Anonymous, d.Err.Required, d.Err.Actual, d.Method, d.Path}
		if d.Principal != nil {
			e.User = d.Principal.Subject
		}
		if d.RemoteAddr == "" {
			t.Error("no address")
		}
		denials = append(denials, e)
	}
	c.OnAuthenticated = func(ctx context.Context, p *Principal) {
		if seen, ok := PrincipalFrom(ctx); !ok || seen != p {
			t.Error("the context has no Principal yet")
		}
		users = append(users, p.Subject)
	}
	v := mustVerifier(t, c)
	good := "Bearer " + hsToken(map[string]any{"sub": "u-1"})
	h := http.HandlerFunc(whoami)
	call(t, v.Require(Authenticated())(h), good)
	call(t, v.Require(Role("admin"))(h), good)
	call(t, v.Require(Authenticated())(h))
	call(t, v.Optional()(h))
	call(t, v.Optional()(h), good)
	call(t, v.Optional()(h), "Bearer x")
	want := []event{
		{CodeRole, "u-1", false, "role admin", "authenticated doctor", "GET", "/cases/1"},
		{Code: CodeHeaderMissing, Method: "GET", Path: "/cases/1"},
		{Code: CodeTokenStructure, Anonymous: true, Method: "GET", Path: "/cases/1"},
	}
	if diff := cmp.Diff(want, denials); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"u-1", "u-1"}, users); diff != "" {
		t.Error(diff)
	}
}

// TestNestedMiddleware: the inner one decides, whatever the outer one found.
func TestNestedMiddleware(t *testing.T) {
	t.Parallel()
	outer := mustVerifier(t, testConfig(t))
	inner := mustVerifier(t, Config{Issuers: []Issuer{{URL: "https://other.test", Audiences: []string{"x"}, HMACSecret: testKeys().secret, Algorithms: []string{"HS256"}}}})
	h := http.HandlerFunc(whoami)
	if _, _, body := call(t, outer.Require(Authenticated())(inner.Optional()(h)), "Bearer "+hsToken()); body != "anonymous because INVALID_ISSUER" {
		t.Error(body)
	}
	quiet := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e, ok := FailureFrom(r.Context()); ok {
			t.Errorf("a failure beside a Principal: %v", e)
		}
		whoami(w, r)
	})
	if _, _, body := call(t, inner.Optional()(outer.Optional()(quiet)), "Bearer "+hsToken()); !strings.HasPrefix(body, "user ") {
		t.Error(body)
	}
}

// TestOwnEncoder: the headers are there whatever an encoder does, and an encoder that
// writes nothing does not turn a refusal into 200.
func TestOwnEncoder(t *testing.T) {
	t.Parallel()
	for name, encode := range map[string]ErrorEncoder{
		"envelope": func(w http.ResponseWriter, _ *http.Request, e *Error) {
			w.WriteHeader(e.HTTPStatus())
			_, _ = w.Write([]byte(`{"error":{}}`))
		},
		"flushes": func(w http.ResponseWriter, _ *http.Request, e *Error) {
			w.WriteHeader(e.HTTPStatus())
			_ = http.NewResponseController(w).Flush()
		},
		"nothing": func(http.ResponseWriter, *http.Request, *Error) {},
	} {
		c := testConfig(t)
		c.ErrorEncoder = encode
		v := mustVerifier(t, c)
		status, header, _ := call(t, v.Require(Authenticated())(http.HandlerFunc(whoami)))
		if status != 401 || header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %d %v", name, status, header)
		}
	}
}

func TestVerifyRequest(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if p, err := v.VerifyRequest(r); p != nil || CodeOf(err) != CodeHeaderMissing {
		t.Error(p, err)
	}
	if token, err := BearerToken(r.Header); token != "" || CodeOf(err) != CodeHeaderMissing {
		t.Error(token, err)
	}
	r.Header.Set("Authorization", "Bearer "+hsToken())
	if p, err := v.VerifyRequest(r); err != nil || p.Subject == "" {
		t.Error(p, err)
	}
	if token, err := BearerToken(r.Header); token != hsToken() || err != nil {
		t.Error(token, err)
	}
}

// TestAuthorize: A8.1. The guard without an answer, for other transports.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	var denied []Code
	c := testConfig(t)
	c.OnDenied = func(_ context.Context, d Denial) { denied = append(denied, d.Err.Code) }
	v := mustVerifier(t, c)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if got, err := v.Authorize(r, Authenticated()); got != nil || CodeOf(err) != CodeHeaderMissing {
		t.Error(got, err)
	}
	r.Header.Set("Authorization", "Bearer "+hsToken())
	if got, err := v.Authorize(r, Authenticated(), Role("admin")); got != nil || CodeOf(err) != CodeRole {
		t.Error(got, err)
	}
	got, err := v.Authorize(r, Authenticated(), Role("doctor"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := PrincipalFrom(got.Context()); !ok {
		t.Error("no Principal")
	}
	if _, ok := PrincipalFrom(r.Context()); ok {
		t.Error("the caller's own request was changed")
	}
	if diff := cmp.Diff([]Code{CodeHeaderMissing, CodeRole}, denied); diff != "" {
		t.Error(diff)
	}
}
