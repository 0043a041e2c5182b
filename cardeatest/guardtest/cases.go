package guardtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// testCase is one line of the table. Without code the caller passes.
type testCase struct {
	name      string
	route     string
	header    header
	down      bool        // the issuer can't be reached
	code      cardea.Code // why the caller was refused, or is anonymous behind an optional guard
	required  string      // the requirement that failed; the token was good
	challenge string      // WWW-Authenticate, where the code alone does not say it
	anonymous bool        // the caller passes without a Principal
	user      string      // what the service loaded
	sent      sent
}

// sent is the part of a request that only HTTP has.
type sent struct{ clinic, query, contentType, body string }

// header makes the headers of a case, by the tokens of an issuer.
type header func(*issuer, testing.TB) http.Header

// cases is the part of the table for every transport (A8.1: each variant of a guard
// refuses alike).
func cases() []testCase {
	return append(append(tokenCases(), requirementCases()...), serviceCases()...)
}

func pass(name, route string, h header) testCase {
	return testCase{name: name, route: route, header: h}
}

// refuse is about a route that asks for a token and no more.
func refuse(name string, h header, code cardea.Code) testCase {
	return testCase{name: name, route: "user", header: h, code: code}
}

// deny is about a good token that is not enough.
func deny(name, route string, h header, code cardea.Code, required string) testCase {
	return testCase{name: name, route: route, header: h, code: code, required: required}
}

func anonymous(name string, h header, code cardea.Code) testCase {
	return testCase{name: "optional, " + name, route: "optional", header: h, code: code, anonymous: true}
}

// withoutIssuer: the issuer is down.
func withoutIssuer(c testCase) testCase {
	c.down = true
	return c
}

func doctor() header { return token(nil) }

func expired() header {
	return token(map[string]any{"iat": now().Add(-time.Hour).Unix(), "exp": now().Add(-time.Second).Unix()})
}

func tokenCases() []testCase {
	return []testCase{
		// No usable header.
		refuse("no header", none, cardea.CodeHeaderMissing),
		refuse("another scheme", raw("Basic dXNlcjpwYXNz"), cardea.CodeSchemeInvalid),
		refuse("scheme without token", raw("Bearer"), cardea.CodeHeaderInvalid),
		refuse("token without scheme", raw("abc.def.ghi"), cardea.CodeHeaderInvalid),
		refuse("two tokens in one header", raw("Bearer a.b.c d.e.f"), cardea.CodeHeaderInvalid),
		refuse("two headers, both good", twice(doctor()), cardea.CodeHeaderInvalid),

		// Bad tokens.
		refuse("not a token", raw("Bearer abc"), cardea.CodeTokenStructure),
		refuse("too large", raw("Bearer "+strings.Repeat("a", 9000)), cardea.CodeTokenTooLarge),
		refuse("expired", expired(), cardea.CodeExpired),
		refuse("not valid yet", token(map[string]any{"nbf": now().Add(time.Hour).Unix()}), cardea.CodeNotYetValid),
		refuse("wrong audience", token(map[string]any{"aud": "somebody else"}), cardea.CodeAudienceInvalid),
		refuse("wrong issuer", token(map[string]any{"iss": "https://evil.example"}), cardea.CodeIssuerInvalid),
		refuse("no subject", token(map[string]any{"sub": nil}), cardea.CodeSubject),
		refuse("lives for ever", token(map[string]any{"exp": now().Add(9000 * time.Hour).Unix()}), cardea.CodeLifetime),
		refuse("forged signature", forged, cardea.CodeSignature),
		refuse("unsigned", unsigned, cardea.CodeAlgorithmNotAllowed),

		// Good ones.
		pass("valid", "user", doctor()),
		pass("valid, scheme in lower case", "user", lower(doctor())),
		pass("anonymous sign-in where a token is enough", "user", token(map[string]any{"is_anonymous": true})),

		anonymous("nobody", none, ""),
		pass("optional, somebody", "optional", doctor()),
		anonymous("expired", expired(), cardea.CodeExpired),
		anonymous("forged", forged, cardea.CodeSignature),
		anonymous("another scheme", raw("Basic dXNlcjpwYXNz"), cardea.CodeSchemeInvalid),

		// The issuer is down. What needs no key is decided all the same.
		withoutIssuer(refuse("issuer down", doctor(), cardea.CodeProviderUnreachable)),
		withoutIssuer(refuse("issuer down, no header", none, cardea.CodeHeaderMissing)),
		withoutIssuer(refuse("issuer down, expired", expired(), cardea.CodeExpired)),
		withoutIssuer(anonymous("issuer down", doctor(), cardea.CodeProviderUnreachable)),
	}
}

func requirementCases() []testCase {
	withoutScope := deny("scope, not granted", "client", token(map[string]any{"scope": "notes"}), cardea.CodeScope, "scope notes:read")
	withoutScope.challenge = `Bearer error="insufficient_scope", scope="notes:read"`
	stale := deny("proof too old", "fresh", token(map[string]any{"auth_time": now().Add(-time.Hour).Unix()}), cardea.CodeFresh, "authentication at most 15m0s ago")
	stale.challenge = `Bearer error="insufficient_user_authentication", max_age="900"`
	return []testCase{
		deny("account needed", "account", token(map[string]any{"is_anonymous": true}), cardea.CodeAnonymousRefused, "not anonymous"),
		pass("role", "doctor", doctor()),
		pass("second of two roles", "doctor", token(roles("nurse"))),
		deny("another role", "doctor", token(roles("patient")), cardea.CodeRole, "role doctor or nurse"),
		{name: "no role, bad token", route: "doctor", header: forged, code: cardea.CodeSignature},
		deny("role without second factor", "careful", doctor(), cardea.CodeAAL, "aal2"),
		deny("second factor without role", "careful", token(map[string]any{"aal": "aal2", "app_metadata": nil}), cardea.CodeRole, "role doctor"),
		pass("role and second factor", "careful", token(map[string]any{"aal": "aal2"})),

		pass("fresh proof", "fresh", doctor()),
		stale,
		pass("one permission of two", "read", doctor()),
		pass("a wildcard above the permission", "read", token(map[string]any{"permissions": []string{"patient:*"}})),
		deny("neither permission", "read", token(map[string]any{"permissions": []string{"patients:*"}}), cardea.CodePermission, "permission patient:read or patient:write"),
		deny("one permission where two are needed", "write", doctor(), cardea.CodePermission, "permission patient:read and patient:write"),
		pass("both permissions", "write", token(map[string]any{"permissions": []string{"patient:read", "patient:write"}})),
		pass("scope", "client", token(map[string]any{"scope": "profile notes:read"})),
		withoutScope,
		pass("second of two ways", "either", token(map[string]any{"scope": "notes:read", "app_metadata": nil})),
		deny("neither way", "either", token(map[string]any{"app_metadata": nil}), cardea.CodeRole, "doctor or client: role doctor"),

		pass("tenant in a header", "tenant", with("X-Clinic-Id", "c1")),
		deny("another tenant in a header", "tenant", with("X-Clinic-Id", "c2"), cardea.CodeTenant, `tenant "c2"`),
		deny("no tenant", "tenant", doctor(), cardea.CodeTenantAbsent, "tenant in header X-Clinic-Id"),
		deny("two tenants", "tenant", with("X-Clinic-Id", "c1", "c2"), cardea.CodeConflictingIDs, "tenant in header X-Clinic-Id"),
		withoutIssuer(testCase{name: "issuer down, role needed", route: "doctor", header: doctor(), code: cardea.CodeProviderUnreachable}),
	}
}

// serviceCases are about what a service says itself.
func serviceCases() []testCase {
	email := func(user string) header { return token(map[string]any{"email": user + "@example.com"}) }
	return []testCase{
		{name: "user of the service", route: "active", header: email("ada"), user: "ada"},
		deny("inactive user of the service", "active", email("gone"), cardea.CodeUserInactive, "active user"),
		deny("user against a rule", "active", email("retired"), cardea.CodeForbidden, "not retired"),
		deny("database down", "active", email("unlucky"), cardea.CodeUserUnavailable, "active user"),
		pass("consent", "consent", doctor()),
		deny("consent to one of two", "consent", email("half"), cardea.CodeConsent, "consent to data and ai"),
		deny("no consent", "consent", email("silent"), cardea.CodeConsent, "consent to data and ai"),
		deny("consents can't be read", "consent", email("unlucky"), cardea.CodeConsentUnavailable, "consent to data and ai"),
		deny("the session has ended, say the consents", "consent", email("ended"), cardea.CodeTokenRevoked, "consent to data and ai"),
		deny("code of the service", "renamed", token(roles("patient")), codeOffDuty, "role doctor"),
		deny("requirement of the service", "duty", doctor(), codeOffDuty, "on duty"),
		deny("requirement that fails for its own reasons", "broken", doctor(), cardea.CodeForbidden, "a lookup"),
	}
}

func roles(names ...string) map[string]any {
	return map[string]any{"app_metadata": map[string]any{"roles": names}}
}

func none(*issuer, testing.TB) http.Header { return http.Header{} }

func raw(value string) header {
	return func(*issuer, testing.TB) http.Header { return http.Header{"Authorization": {value}} }
}

func token(changes map[string]any) header {
	return func(i *issuer, t testing.TB) http.Header {
		return http.Header{"Authorization": {"Bearer " + i.token(t, changes)}}
	}
}

// with is a doctor's request with a further header.
func with(name string, values ...string) header {
	return func(i *issuer, t testing.TB) http.Header {
		h := doctor()(i, t)
		h[name] = values
		return h
	}
}

// forged is signed by somebody else in the issuer's name.
func forged(i *issuer, t testing.TB) http.Header {
	return http.Header{"Authorization": {"Bearer " + sign(t, i.forger, map[string]any{"alg": "ES256", "kid": keyID}, nil)}}
}

// unsigned says that it needs no signature (RFC 8725 §2.1).
func unsigned(i *issuer, t testing.TB) http.Header {
	return http.Header{"Authorization": {"Bearer " + sign(t, i.forger, map[string]any{"alg": "none", "kid": keyID}, nil)}}
}

func twice(of header) header {
	return func(i *issuer, t testing.TB) http.Header {
		h := of(i, t)
		h.Add("Authorization", h.Get("Authorization"))
		return h
	}
}

func lower(of header) header {
	return func(i *issuer, t testing.TB) http.Header {
		h := of(i, t)
		h.Set("Authorization", "bearer"+strings.TrimPrefix(h.Get("Authorization"), "Bearer"))
		return h
	}
}

// find gives the route of the case.
func (c *testCase) find(t testing.TB) Route {
	t.Helper()
	for _, r := range HTTPRoutes() {
		if r.Name == c.route {
			return r
		}
	}
	t.Fatalf("no route is called %q", c.route)
	return Route{}
}

// answer is what the case wants. Status and text are the ones of the code: which they are
// is tested in package cardea, and that 503 comes with Retry-After here.
func (c *testCase) answer(t testing.TB) Answer {
	t.Helper()
	query, err := url.ParseQuery(c.sent.query)
	if err != nil {
		t.Fatal(err)
	}
	seen := Seen{User: c.user, Clinic: c.sent.clinic, Query: query.Get("clinic_id"), Body: c.sent.body}
	switch {
	case c.anonymous:
		seen.Failure = c.code
		return Answer{Status: http.StatusOK, Seen: &seen}
	case c.code == "":
		seen.Subject, seen.ContextSubject = subject, subject
		return Answer{Status: http.StatusOK, Seen: &seen}
	}
	e := cardea.NewError(c.code, nil)
	a := Answer{Status: e.HTTPStatus(), Code: e.Code, Message: e.Message, Challenge: e.Challenge()}
	if c.challenge != "" {
		a.Challenge = c.challenge
	}
	if c.code == codeOffDuty {
		a.Message = "Off duty"
	}
	if a.Status == http.StatusServiceUnavailable {
		a.RetryAfter = 5 * time.Second
	}
	return a
}

// hooks are the calls that the case wants, in the words of the recorder.
func (c *testCase) hooks() []string {
	switch {
	case c.code != "":
		who := "nobody"
		if c.required != "" {
			who = subject
		}
		return []string{fmt.Sprintf("denied %s at %s: %s, required %q, goes on %t, from somewhere true",
			who, c.route, c.code, c.required, c.anonymous)}
	case c.anonymous:
		return nil
	}
	return []string{"authenticated " + subject}
}
