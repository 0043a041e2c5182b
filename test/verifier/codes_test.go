package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// produced is a guarded service and a request to it that must be refused with one code.
type produced struct {
	handler http.Handler
	method  string // default GET
	path    string // default /
	header  http.Header
	body    string
}

// bearing is the header of a request with a token.
func bearing(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func answering(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

// guardedBy is a service that trusts testConfig, with changes.
func guardedBy(t *testing.T, q cardea.Requirement, changes ...func(*cardea.Config)) http.Handler {
	t.Helper()
	c := testConfig(t)
	for _, f := range changes {
		f(&c)
	}
	return mustVerifier(t, c).Require(q)(answering("inside"))
}

// TestEveryCode produces every code of the package over real HTTP, and looks at all of
// the answer: S2.12, S2.13, S4.4, S4.15.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	cases := tokenCodes(t)
	for _, more := range []map[cardea.Code]produced{issuerCodes(t), guardCodes(t), ticketCodes(t)} {
		for code, p := range more {
			if _, twice := cases[code]; twice {
				t.Fatalf("%s twice", code)
			}
			cases[code] = p
		}
	}
	if len(cases) < 50 {
		t.Errorf("only %d codes", len(cases))
	}
	for _, code := range cardea.Codes() {
		p, ok := cases[code]
		if !ok {
			t.Errorf("%s: nothing produces it", code)
			continue
		}
		delete(cases, code)
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			wantAnswer(t, p, code)
		})
	}
	for code := range cases {
		t.Errorf("%s is not in Codes()", code)
	}
}

func wantAnswer(t *testing.T, p produced, code cardea.Code) {
	t.Helper()
	server := httptest.NewServer(p.handler)
	defer server.Close()
	method := p.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/"+strings.TrimPrefix(p.path, "/"), strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range p.header {
		req.Header[name] = values
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ Code, Detail string }
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatalf("%d %q: %v", resp.StatusCode, raw, err)
	}
	want := cardea.NewError(code, nil)
	if resp.StatusCode != want.HTTPStatus() || body.Code != string(code) || body.Detail != want.Message {
		t.Errorf("%d %s, want %d %s %q", resp.StatusCode, raw, want.HTTPStatus(), code, want.Message)
	}
	h := resp.Header
	if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", h)
	}
	if challenge := h.Get("WWW-Authenticate"); (want.HTTPStatus() == http.StatusUnauthorized && challenge == "") || (challenge != "" && !strings.HasPrefix(challenge, "Bearer")) {
		t.Errorf("WWW-Authenticate %q", challenge)
	}
	if got := h.Get("Retry-After"); got != "" != (want.RetryAfter > 0) || (got != "" && got != strconv.Itoa(int(want.RetryAfter/time.Second))) {
		t.Errorf("Retry-After %q, want %s", got, want.RetryAfter)
	}
	for _, secret := range []string{"a@example.com", "7d1f0f5a", "the database", "eyJ"} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the answer gives %q away: %s", secret, raw)
		}
	}
}

// tokenCodes are those of the header and of a token that is refused for what is in it.
func tokenCodes(t *testing.T) map[cardea.Code]produced {
	h := guardedBy(t, cardea.Authenticated(), func(c *cardea.Config) {
		c.Issuers[0].RequiredClaims, c.Issuers[0].UserRoles = []string{"email"}, []string{"authenticated"}
	})
	now := testNow().Unix()
	cases := map[cardea.Code]produced{
		cardea.CodeHeaderMissing: {handler: h},
		cardea.CodeHeaderInvalid: {handler: h, header: http.Header{"Authorization": {"Bearer a b"}}},
		cardea.CodeSchemeInvalid: {handler: h, header: http.Header{"Authorization": {"Basic YTpi"}}},
	}
	for code, token := range map[cardea.Code]string{
		cardea.CodeTokenTooLarge: strings.Repeat("a", 9000), cardea.CodeTokenStructure: "test-token", cardea.CodeBase64: "a=.b.c",
		cardea.CodeTokenHeader: mintRaw([]byte("[]"), []byte("{}"), testKeys().ec), cardea.CodeHeaderUnsupported: esWith(object{"jku": "https://evil.test"}),
		cardea.CodeTokenPayload: mintRaw(toJSON(esHeader()), []byte("[]"), testKeys().ec), cardea.CodeTokenType: esWith(object{"typ": "logout+jwt"}),
		cardea.CodeAlgorithmUnsupported: esWith(object{"alg": "ES512"}), cardea.CodeAlgorithmNotAllowed: esWith(object{"alg": "none"}),
		cardea.CodeIssuerMissing: esToken(object{"iss": absent}), cardea.CodeIssuerInvalid: esToken(object{"iss": "https://evil.test"}),
		cardea.CodeKeyIDMissing: esWith(object{"kid": absent}), cardea.CodeKeyIDInvalid: esWith(object{"kid": "../../etc/passwd"}),
		cardea.CodeKeyNotFound: esWith(object{"kid": "forged"}), cardea.CodeKeyMismatch: esWith(object{"kid": "rsa"}),
		cardea.CodeSignature:       mint(esHeader(), testClaims(), testKeys().ec2),
		cardea.CodeAudienceMissing: esToken(object{"aud": absent}), cardea.CodeAudienceInvalid: esToken(object{"aud": "another"}),
		cardea.CodeExpirationMissing: esToken(object{"exp": absent}), cardea.CodeExpired: esToken(object{"exp": now}),
		cardea.CodeNotYetValid: esToken(object{"nbf": now + 3600}), cardea.CodeIssuedAtMissing: esToken(object{"iat": absent}),
		cardea.CodeLifetime: esToken(object{"exp": now + 30*24*3600}), cardea.CodeSubject: esToken(object{"sub": ""}),
		cardea.CodeClaim: esToken(object{"email": 1}), cardea.CodeClaimMissing: esToken(object{"email": absent}),
		cardea.CodeUserRole: esToken(object{"role": "superuser"}),
	} {
		cases[code] = produced{handler: h, header: bearing(token)}
	}
	return cases
}

// issuerCodes are those of what was revoked, of issuers that were asked, and of Config.
func issuerCodes(t *testing.T) map[cardea.Code]produced {
	list := cardea.NewDenylist(cardea.DenylistConfig{Now: testNow})
	list.RevokeSession(testIssuer, "signed-out", "the user left")
	list.RevokeUser(testIssuer, "banned", testNow(), "the user was banned")
	revoked := guardedBy(t, cardea.Authenticated(), func(c *cardea.Config) { c.Revoked = list.Check })
	asking := func(h http.HandlerFunc) http.Handler {
		issuer := newKeyServer(t, h)
		return guardedBy(t, cardea.Authenticated(), func(c *cardea.Config) {
			c.HTTPClient, c.Sleep = issuer.Client(), func(context.Context, time.Duration) error { return nil }
			c.Issuers = []cardea.Issuer{{
				URL: testIssuer, Audiences: []string{testAudience}, Algorithms: []string{"HS256"},
				Introspection: cardea.Introspection{Kind: cardea.IntrospectionSupabase, URL: issuer.URL + "/user"},
			}}
		})
	}
	unknownSecret := bearing(mint(headerOf("HS256", ""), testClaims(), []byte("a secret that this service does not know, of 32 bytes or more")))
	return map[cardea.Code]produced{
		cardea.CodeTokenRevoked:        {handler: revoked, header: bearing(esToken(object{"session_id": "signed-out"}))},
		cardea.CodeUserTokensRevoked:   {handler: revoked, header: bearing(esToken(object{"sub": "banned"}))},
		cardea.CodeTokenInvalid:        {handler: asking(serving([]byte(`{"id":"another user"}`))), header: unknownSecret},
		cardea.CodeProviderError:       {handler: asking(failing(http.StatusForbidden)), header: unknownSecret},
		cardea.CodeProviderUnreachable: {handler: asking(failing(http.StatusBadGateway)), header: unknownSecret},
		cardea.CodeRateLimited: {handler: guardedBy(t, cardea.Authenticated(), func(c *cardea.Config) {
			c.Admit = func(*http.Request) error { return errors.New("too many") }
		}), header: bearing(esToken())},
		cardea.CodeHTTPSRequired: {handler: guardedBy(t, cardea.Authenticated(), func(c *cardea.Config) { c.RequireHTTPS = true }), header: bearing(esToken())},
	}
}

// guardCodes are those of a known caller who may not do this, and of requests that a guard
// can't judge.
func guardCodes(t *testing.T) map[cardea.Code]produced {
	type user struct{}
	good := bearing(esToken())
	form := http.Header{"Authorization": good["Authorization"], "Content-Type": {"application/json"}}
	inactive := func(context.Context, *cardea.Principal) (user, bool, error) { return user{}, false, nil }
	down := func(context.Context, *cardea.Principal) (user, bool, error) {
		return user{}, false, errors.New("the database is away")
	}
	clock := mustVerifier(t, testConfig(t))
	broken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clock.WriteError(w, r, errors.New("the database is away"))
	})
	tenant := guardedBy(t, cardea.Tenant(cardea.InQuery("clinic_id"), cardea.InBodyUpTo("clinic_id", 100)))
	member := bearing(esToken(object{"tenant_id": "clinic-1"}))
	memberForm := http.Header{"Authorization": member["Authorization"], "Content-Type": {"application/json"}}
	return map[cardea.Code]produced{
		cardea.CodeForbidden:          {handler: guardedBy(t, cardea.UserRule("a rule", func(user) bool { return false })), header: good},
		cardea.CodeRole:               {handler: guardedBy(t, cardea.Role("admin")), header: good},
		cardea.CodeAAL:                {handler: guardedBy(t, cardea.AAL("aal2")), header: good},
		cardea.CodeAnonymousRefused:   {handler: guardedBy(t, cardea.NotAnonymous()), header: bearing(esToken(object{"is_anonymous": true}))},
		cardea.CodePermission:         {handler: guardedBy(t, cardea.AllPermissions("patient:read")), header: good},
		cardea.CodeScope:              {handler: guardedBy(t, cardea.Scope("cases.read")), header: good},
		cardea.CodeFresh:              {handler: guardedBy(t, clock.Fresh(time.Second)), header: good},
		cardea.CodeTenantAbsent:       {handler: tenant, header: member},
		cardea.CodeTenant:             {handler: tenant, path: "?clinic_id=clinic-2", header: member},
		cardea.CodeConflictingIDs:     {handler: tenant, method: http.MethodPost, path: "?clinic_id=clinic-1", header: memberForm, body: `{"clinic_id":"clinic-2"}`},
		cardea.CodeRequestInvalid:     {handler: tenant, method: http.MethodPost, header: memberForm, body: `{"clinic_id":"clinic-1","Clinic_ID":"clinic-2"}`},
		cardea.CodeBodyTooLarge:       {handler: tenant, method: http.MethodPost, header: memberForm, body: `{"pad":"` + strings.Repeat("a", 100) + `"}`},
		cardea.CodeOwner:              {handler: guardedBy(t, cardea.Owner(cardea.InBody("user_id"))), method: http.MethodPost, header: form, body: `{"user_id":"somebody else"}`},
		cardea.CodeUserInactive:       {handler: guardedBy(t, cardea.Active(inactive)), header: good},
		cardea.CodeUserUnavailable:    {handler: guardedBy(t, cardea.Active(down)), header: good},
		cardea.CodeConsent:            {handler: consenting(t, nil), header: good},
		cardea.CodeConsentUnavailable: {handler: consenting(t, errors.New("the database is away")), header: good},
		cardea.CodeInternal:           {handler: broken},
	}
}

// consents are none, or an error.
type consents struct{ err error }

func (c consents) GrantedConsents(context.Context, cardea.ConsentQuery) ([]string, error) {
	return nil, c.err
}

func consenting(t *testing.T, err error) http.Handler {
	config := testConfig(t)
	config.Consents = consents{err}
	v := mustVerifier(t, config)
	return v.Require(v.Consent("ai"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called without consent") }))
}

// fullTickets is a store that takes nothing.
type fullTickets struct{ cardea.TicketStore }

func (fullTickets) Put(context.Context, cardea.StoredTicket) error {
	return errors.New("the database is away")
}

// ticketCodes are those of [cardea.Tickets].
func ticketCodes(t *testing.T) map[cardea.Code]produced {
	v := mustVerifier(t, testConfig(t))
	tickets := func(store cardea.TicketStore) *cardea.Tickets {
		made, err := cardea.NewTickets(cardea.TicketConfig{Verifier: v, Store: store, Recheck: -1})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	stream := tickets(nil).Require(cardea.Authenticated())(answering("inside"))
	return map[cardea.Code]produced{
		cardea.CodeMethod:        {handler: tickets(nil).Handler(cardea.Authenticated()), header: bearing(esToken())},
		cardea.CodeTicketInvalid: {handler: stream, path: "?token=" + b64(slices.Repeat([]byte{7}, 32))},
		cardea.CodeTokenInURL:    {handler: stream, path: "?token=" + esToken()},
		cardea.CodeTicketUnavailable: {
			handler: tickets(fullTickets{}).Handler(cardea.Authenticated()), method: http.MethodPost, header: bearing(esToken()), body: `{"path":"/events"}`,
		},
	}
}
