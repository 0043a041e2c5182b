package cardea

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// refusal is one failure that a request to a real server gets.
type refusal struct {
	code      Code
	mount     func(t *testing.T, v *Verifier) http.Handler
	method    string
	target    string
	claims    map[string]any // nil: no Authorization header
	body      string
	status    int
	message   string
	challenge string
	retry     string
	details   string // JSON
}

// refusals has every code of the guards, and one of each kind of the others.
func refusals() []refusal {
	guarded := func(rule Requirement) func(*testing.T, *Verifier) http.Handler {
		return func(_ *testing.T, v *Verifier) http.Handler { return v.Require(rule)(http.HandlerFunc(whoami)) }
	}
	fresh := func(_ *testing.T, v *Verifier) http.Handler {
		return v.RequireFresh(time.Second)(http.HandlerFunc(whoami))
	}
	answers := func(err error) func(*testing.T, *Verifier) http.Handler {
		return func(_ *testing.T, v *Verifier) http.Handler {
			return v.Require(Authenticated())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { v.WriteError(w, r, err) }))
		}
	}
	asking := func(source ConsentSource) func(*testing.T, *Verifier) http.Handler {
		return func(t *testing.T, v *Verifier) http.Handler {
			c := testConfig(t)
			c.Consents, c.ErrorEncoder = source, v.encode
			v = mustVerifier(t, c)
			return v.Require(v.Consent("data", "ai"))(http.HandlerFunc(whoami))
		}
	}
	tickets := func(store TicketStore) func(t *testing.T, v *Verifier) http.Handler {
		return func(t *testing.T, v *Verifier) http.Handler {
			tickets := mustTickets(t, TicketConfig{Verifier: v, Store: store})
			mux := http.NewServeMux()
			mux.Handle("/ticket", tickets.Handler(Authenticated()))
			mux.Handle("/events", tickets.Require(Authenticated())(http.HandlerFunc(whoami)))
			return mux
		}
	}
	someone := map[string]any{}
	const invalidToken = `Bearer error="invalid_token"`
	return []refusal{
		{CodeHeaderMissing, guarded(Authenticated()), "GET", "/", nil, "", 401, "Authorization header is missing", "Bearer", "", ""},
		{CodeExpired, guarded(Authenticated()), "GET", "/", map[string]any{"exp": testNow().Unix()}, "", 401, "Token has expired", invalidToken, "", ""},
		{CodeRole, guarded(Role("admin")), "GET", "/", someone, "", 403, "Insufficient permissions", "", "", ""},
		{CodePermission, guarded(AnyPermission("a")), "GET", "/", someone, "", 403, "Insufficient permissions", "", "", ""},
		{
			CodeScope, guarded(Scope("a", "b")), "GET", "/", someone, "", 403, "The token lacks a scope that is needed here",
			`Bearer error="insufficient_scope", scope="a b"`, "", "",
		},
		{
			CodeFresh, fresh, "GET", "/", someone, "", 403, "More recent authentication is required",
			`Bearer error="insufficient_user_authentication", max_age="1"`, "", "",
		},
		{CodeTenantAbsent, guarded(Tenant(InQuery("c"))), "GET", "/", someone, "", 403, "The request does not say which tenant it is for", "", "", ""},
		{CodeTenant, guarded(Tenant(InQuery("c"))), "GET", "/?c=1", someone, "", 403, "Access to this tenant is denied", "", "", ""},
		{CodeOwner, guarded(Owner(InQuery("u"))), "GET", "/?u=1", someone, "", 403, "Access to another user's data is denied", "", "", ""},
		{CodeUserInactive, guarded(Active(loadUser)), "GET", "/", someone, "", 403, "User account is inactive", "", "", ""},
		{CodeConflictingIDs, guarded(Tenant(InQuery("c"))), "GET", "/?c=1&c=2", someone, "", 400, "The request names different ids in different places", "", "", ""},
		{CodeRequestInvalid, guarded(Owner(InQuery("u"))), "GET", "/?%zz", someone, "", 400, "The request is malformed", "", "", ""},
		{CodeBodyTooLarge, guarded(Owner(InBodyUpTo("u", 3))), "POST", "/", someone, "1234", 413, "The request body is too large", "", "", ""},
		{CodeMethod, tickets(nil), "GET", "/ticket", nil, "", 405, "Method is not allowed", "", "", ""},
		{
			CodeUserUnavailable, guarded(Active(loadUser)), "GET", "/", map[string]any{"sub": "u-broken"}, "", 503,
			"User data can't be read at the moment, try again", "", "5", `{"error_code":"AUTH_DB_UNAVAILABLE"}`,
		},
		{
			CodeConsent, asking(consentFunc(func(ConsentQuery) ([]string, error) { return []string{"data"}, nil })), "GET", "/", someone, "", 403,
			"Consent is needed for this", "", "", `{"purposes":["ai"]}`,
		},
		{
			CodeConsentUnavailable, asking(consentFunc(func(ConsentQuery) ([]string, error) { return nil, errors.New("pq: secret detail") })), "GET", "/", someone, "", 503,
			"Consents can't be read at the moment, try again", "", "5", "",
		},
		{CodeInternal, answers(errors.New("pq: secret detail")), "GET", "/", someone, "", 500, "Internal error", "", "", ""},
		{CodeTicketInvalid, tickets(nil), "GET", "/events?token=x", nil, "", 401, "Ticket is invalid, used or expired", invalidToken, "", ""},
		{CodeTokenInURL, tickets(nil), "GET", "/events?token=x.y.z", nil, "", 401, "Access tokens are not accepted in the URL", invalidToken, "", ""},
		{
			CodeTicketUnavailable, tickets(&faultyStore{put: errors.New("down")}), "POST", "/ticket", someone, `{"path":"/events"}`, 503,
			"No ticket can be handled at the moment, try again", "", "5", "",
		},
		// Errors of a service, which have no code of this package.
		{"ADMIN_REQUIRED", guarded(WithCode("ADMIN_REQUIRED", "Admins only", Role("admin"))), "GET", "/", someone, "", 403, "Admins only", "", "", ""},
		{"NOT_FOUND", answers(&Error{Status: 404, Message: "No such case"}), "GET", "/", someone, "", 404, "No such case", "", "", ""},
		{
			"VALIDATION_ERROR", answers(fmt.Errorf("wrapped: %w", &Error{Status: 422, Details: map[string]any{"field": "phone"}})),
			"GET", "/", someone, "", 422, "Unprocessable Entity", "", "", `{"field":"phone"}`,
		},
		{
			"RATE_LIMIT_EXCEEDED", answers(&Error{Status: 429, RetryAfter: 59*time.Second + 1}), "GET", "/", someone, "", 429, "Too many requests, try again later", "", "60", "",
		},
	}
}

func (f refusal) send(t *testing.T, encode ErrorEncoder) (int, http.Header, string) {
	t.Helper()
	c := testConfig(t)
	c.ErrorEncoder = encode
	server := httptest.NewServer(f.mount(t, mustVerifier(t, c)))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), f.method, server.URL+f.target, strings.NewReader(f.body))
	if err != nil {
		t.Fatal(err)
	}
	if f.claims != nil {
		r.Header.Set("Authorization", "Bearer "+hsToken(f.claims))
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// TestEncoders: S0.17, S2.11 to S2.15, S4.15, B2.1, B2.2. Every code of the guards over
// HTTP in every shape: status, headers and the exact body.
func TestEncoders(t *testing.T) {
	t.Parallel()
	details := func(f refusal) string {
		if f.details == "" {
			return ""
		}
		return `,"details":` + f.details
	}
	shapes := []struct {
		name        string
		encode      ErrorEncoder
		contentType string
		body        func(refusal) string
	}{
		{"default", nil, "application/json", func(f refusal) string {
			return fmt.Sprintf(`{"detail":"%s","code":"%s"}`, f.message, f.code)
		}},
		{"detail", EncodeDetail, "application/json", func(f refusal) string {
			return fmt.Sprintf(`{"detail":"%s","code":"%s"}`, f.message, f.code)
		}},
		{
			"fixed detail", EncodeFixedDetail("Invalid authentication credentials", "Insufficient permissions to access this resource"),
			"application/json", func(f refusal) string {
				switch f.status {
				case 401:
					return `{"detail":"Invalid authentication credentials"}`
				case 403:
					return `{"detail":"Insufficient permissions to access this resource"}`
				}
				return fmt.Sprintf(`{"detail":"%s"}`, f.message)
			},
		},
		{"envelope", EncodeEnvelope, "application/json", func(f refusal) string {
			if f.status == 401 && f.code != CodeHeaderMissing {
				return fmt.Sprintf(`{"error":{"code":"TOKEN_INVALID","message":"%s","details":{"error_code":"%s"}}}`, f.message, f.code)
			}
			return fmt.Sprintf(`{"error":{"code":"%s","message":"%s"%s}}`, f.code, f.message, details(f))
		}},
		{"message and status", EncodeMessageStatus, "application/json", func(f refusal) string {
			return fmt.Sprintf(`{"error":{"message":"%s","status":%d}}`, f.message, f.status)
		}},
		{"problem", EncodeProblem, "application/problem+json", func(f refusal) string {
			return fmt.Sprintf(`{"type":"about:blank","title":"%s","status":%d,"detail":"%s","code":"%s"%s}`,
				http.StatusText(f.status), f.status, f.message, f.code, details(f))
		}},
	}
	covered := map[Code]bool{}
	for _, f := range refusals() {
		covered[f.code] = true
		for _, s := range shapes {
			t.Run(s.name+" "+string(f.code)+" "+f.target, func(t *testing.T) {
				t.Parallel()
				status, h, body := f.send(t, s.encode)
				got := []any{status, h.Get("Content-Type"), h.Get("WWW-Authenticate"), h.Get("Retry-After"), h.Get("Cache-Control"), h.Get("X-Content-Type-Options"), body}
				want := []any{f.status, s.contentType, f.challenge, f.retry, "no-store", "nosniff", s.body(f) + "\n"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	for _, code := range guardCodes() {
		if !covered[code] {
			t.Errorf("nothing makes %s over HTTP", code)
		}
	}
}

// TestEnvelopeCodes: S2.12. Clients of the envelope know five codes of 401.
func TestEnvelopeCodes(t *testing.T) {
	t.Parallel()
	known := map[Code]bool{
		CodeHeaderMissing: true, CodeHeaderInvalid: true, CodeSchemeInvalid: true, "TOKEN_INVALID": true, "AUTHENTICATION_FAILED": true,
	}
	for _, code := range Codes() {
		e := NewError(code, nil)
		w := httptest.NewRecorder()
		EncodeEnvelope(w, nil, e)
		if got := envelopeCode(e); e.HTTPStatus() == 401 && !known[got] || e.HTTPStatus() != 401 && got != code {
			t.Errorf("%s becomes %s", code, got)
		}
		if !strings.Contains(w.Body.String(), string(code)) {
			t.Errorf("%s is not told: %s", code, w.Body)
		}
	}
	shared := &Error{Code: CodeExpired, Details: map[string]any{"a": 1}}
	EncodeEnvelope(httptest.NewRecorder(), nil, shared)
	if len(shared.Details) != 1 {
		t.Error("the encoder changed the error", shared.Details)
	}
}

// TestEncodersWithOddDetails: what is no JSON is left out, and text of a service can't
// break out of the document.
func TestEncodersWithOddDetails(t *testing.T) {
	t.Parallel()
	e := &Error{Code: "X", Message: "a\"b</script>\x00", Details: map[string]any{"f": func() {}}}
	for name, want := range map[string]struct {
		encode ErrorEncoder
		body   string
	}{
		"detail":   {EncodeDetail, `{"detail":"a\"b\u003c/script\u003e\u0000","code":"X"}`},
		"envelope": {EncodeEnvelope, `{"error":{"code":"X","message":"a\"b\u003c/script\u003e\u0000"}}`},
		"problem":  {EncodeProblem, `{"type":"about:blank","title":"Forbidden","status":403,"detail":"a\"b\u003c/script\u003e\u0000","code":"X"}`},
	} {
		w := httptest.NewRecorder()
		want.encode(w, nil, e)
		if got := strings.TrimSpace(w.Body.String()); got != want.body || w.Code != 403 {
			t.Errorf("%s: %d %s", name, w.Code, got)
		}
	}
	w := httptest.NewRecorder()
	writeJSON(w, 500, "application/json", func() {})
	if w.Body.String() != "{}\n" {
		t.Error(w.Body)
	}
}

// TestWriteError: a handler's own refusals are reported, its other errors are not, and
// shared errors stay as they are.
func TestWriteError(t *testing.T) {
	t.Parallel()
	var denials []Denial
	c := testConfig(t)
	c.OnDenied = func(_ context.Context, d Denial) { denials = append(denials, d) }
	v := mustVerifier(t, c)
	p := &Principal{Subject: "u-1"}
	r := httptest.NewRequestWithContext(WithPrincipal(t.Context(), p), http.MethodGet, "/cases/7", nil)
	shared := &Error{Status: 404}
	cases := []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"refusal", NewError(CodeOwner, nil), 403, "OWNER_MISMATCH"},
		{"shared", shared, 404, "NOT_FOUND"},
		{"teapot", &Error{Status: 418}, 418, "REQUEST_FAILED"},
		{"bad request", &Error{Status: 400}, 400, "BAD_REQUEST"},
		{"unauthorized", &Error{Status: 401}, 401, "UNAUTHORIZED"},
		{"conflict", &Error{Status: 409}, 409, "CONFLICT"},
		{"bad gateway", &Error{Status: 502}, 502, "EXTERNAL_SERVICE_ERROR"},
		{"unavailable", &Error{Status: 503}, 503, "SERVICE_UNAVAILABLE"},
		{"internal", &Error{Status: 500}, 500, "INTERNAL_ERROR"},
		{"timeout", &Error{Status: 504}, 504, "EXTERNAL_SERVICE_ERROR"},
		{"nothing said", &Error{}, 403, "FORBIDDEN"},
		{"impossible status", &Error{Code: "X", Status: 200}, 403, "X"},
		{"status of an own code only", &Error{Code: CodeOwner, Status: 200}, 403, "OWNER_MISMATCH"},
		{"nil error", nil, 500, "INTERNAL_ERROR"},
		{"nil *Error", (*Error)(nil), 500, "INTERNAL_ERROR"},
		{"plain", errors.New("x"), 500, "INTERNAL_ERROR"},
	}
	for _, tc := range cases {
		w := httptest.NewRecorder()
		v.WriteError(w, r, tc.err)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), `"code":"`+tc.code+`"`) {
			t.Errorf("%s: %d %s", tc.name, w.Code, w.Body)
		}
	}
	if shared.Code != "" || shared.Message != "" {
		t.Error("a shared error was changed")
	}
	if len(denials) != 5 || denials[0].Principal != p || denials[0].Err.Code != CodeOwner {
		t.Errorf("%d denials: %+v", len(denials), denials)
	}
}
