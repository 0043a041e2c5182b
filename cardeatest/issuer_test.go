package cardeatest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
)

func ada() cardeatest.User {
	return cardeatest.User{
		ID: "7d1f0f5a-0000-7000-8000-000000000001", Email: "ada@example.com", Phone: "+15550100",
		Roles: []string{"doctor"}, Permissions: []string{"patient:read"}, Scopes: []string{"cases:read", "cases:write"},
		Tenant: "clinic-1", TenantRole: "owner",
		Memberships: []cardea.Membership{{Tenant: "clinic-1", Role: "owner"}, {Tenant: "clinic-2"}},
		SessionID:   "session-1", ClientID: "client-1", AAL: "aal2", SignedInAgo: time.Minute,
		UserMetadata: map[string]any{"name": "Ada"}, Claims: map[string]any{"license": "active"},
	}
}

func adasToken(i *cardeatest.Issuer) string { return i.Token(ada()) }

// get asks a guarded handler.
func get(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// guarded is a service with one route.
func guarded(v *cardea.Verifier) http.Handler {
	return v.Require(cardea.Authenticated())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := cardea.PrincipalFrom(r.Context())
		_, _ = io.WriteString(w, p.Subject)
	}))
}

func TestPrincipalEqualsVerifiedToken(t *testing.T) {
	t.Parallel()
	users := map[string]cardeatest.User{
		"zero": {}, "full": ada(), "anonymous": {Anonymous: true}, "phone": {Phone: "+15550101"},
		"no role, no session": {Role: "-", SessionID: "-"},
		"service":             {Role: "service_role", Claims: map[string]any{"email": nil}},
		"methods":             {Methods: []string{"otp"}, Lifetime: time.Minute},
	}
	for name, u := range users {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			iss := cardeatest.New(t)
			want, err := iss.Verifier().Verify(t.Context(), iss.Token(u))
			if err != nil {
				t.Fatal(err)
			}
			got := iss.Principal(u)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(cardea.Principal{})); diff != "" {
				t.Errorf("Principal differs from the token's (-token +minted):\n%s", diff)
			}
			if diff := cmp.Diff(string(want.RawClaims()), string(got.RawClaims())); diff != "" {
				t.Errorf("claims (-token +minted):\n%s", diff)
			}
			fromContext, ok := cardea.PrincipalFrom(iss.Context(context.Background(), u))
			if !ok || fromContext.Subject != want.Subject {
				t.Errorf("Context holds %v", fromContext)
			}
		})
	}
}

func TestFieldsOfUser(t *testing.T) {
	t.Parallel()
	clock := cardeatest.NewClock(t, time.Unix(1_800_000_000, 0))
	iss := cardeatest.New(t, cardeatest.Config{URL: "https://auth.test/auth/v1", Clock: clock})
	got := iss.Principal(ada())
	now := clock.Now()
	want := &cardea.Principal{
		Issuer: "https://auth.test/auth/v1", Subject: "7d1f0f5a-0000-7000-8000-000000000001", Audience: []string{"authenticated"},
		Email: "ada@example.com", Phone: "+15550100", Role: "authenticated", Roles: []string{"doctor"},
		Permissions: []string{"patient:read"}, Scopes: []string{"cases:read", "cases:write"},
		Tenant: "clinic-1", TenantRole: "owner",
		Memberships: []cardea.Membership{{Tenant: "clinic-1", Role: "owner"}, {Tenant: "clinic-2"}},
		SessionID:   "session-1", ClientID: "client-1", AAL: "aal2",
		AMR:          []cardea.AMR{{Method: "password", At: now.Add(-time.Minute)}, {Method: "totp", At: now.Add(-time.Minute)}},
		AppMetadata:  json.RawMessage(`{"provider":"email","providers":["email"],"roles":["doctor"]}`),
		UserMetadata: json.RawMessage(`{"name":"Ada"}`),
		AuthTime:     now.Add(-time.Minute), IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(cardea.Principal{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var license string
	if found, err := got.Claim("license", &license); err != nil || !found || license != "active" {
		t.Errorf("license %q, %v, %v", license, found, err)
	}
}

// S4.16, A8.8: no user and no token is the same in two Issuers, and none is accepted by
// the other.
func TestNothingIsConstant(t *testing.T) {
	t.Parallel()
	one, two := cardeatest.New(t), cardeatest.New(t)
	u := cardeatest.User{Email: "ada@example.com"}
	if one.URL() == two.URL() {
		t.Error("two issuers have one URL")
	}
	if one.Principal(u).Subject == two.Principal(u).Subject {
		t.Error("a user without ID has the same id at two issuers")
	}
	if first, again := one.Principal(u).Subject, one.Principal(u).Subject; first != again {
		t.Error("a user without ID has two ids at one issuer")
	}
	if one.Principal(u).Subject == one.Principal(cardeatest.User{Email: "bob@example.com"}).Subject {
		t.Error("two users have one id")
	}
	same := cardeatest.Config{URL: "https://same.test"}
	a, b := cardeatest.New(t, same), cardeatest.New(t, same)
	cardeatest.AssertAllowed(t, get(guarded(a.Verifier()), a.Request("GET", "/", u)))
	cardeatest.AssertDenied(t, get(guarded(b.Verifier()), a.Request("GET", "/", u)), 401, cardea.CodeKeyNotFound)
}

func TestTokenIsSignedOnce(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	first := iss.Token(ada())
	if iss.Token(ada()) != first {
		t.Error("the same user at the same time got another token")
	}
	iss.Clock().Advance(time.Second)
	second := iss.Token(ada())
	if second == first {
		t.Error("a second later the token is the same")
	}
	iss.Rotate()
	if iss.Token(ada()) == second {
		t.Error("a token of the old key after Rotate")
	}
	for n := range 10_001 { // the memory of tokens starts anew
		iss.Token(cardeatest.User{Claims: map[string]any{"n": n}})
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	h := guarded(iss.Verifier())
	list := iss.BadTokens(ada())
	if len(list) < 15 {
		t.Fatalf("only %d bad tokens", len(list))
	}
	for _, bad := range list {
		t.Run(bad.Name, func(t *testing.T) {
			t.Parallel()
			r := cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), bad.Token)
			cardeatest.AssertDenied(t, get(h, r), http.StatusUnauthorized, bad.Code)
		})
	}
}

func TestClockExpiresTokens(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	h := guarded(iss.Verifier())
	r := iss.Request("GET", "/", cardeatest.User{Lifetime: 10 * time.Minute})
	cardeatest.AssertAllowed(t, get(h, r))
	iss.Clock().Advance(10*time.Minute - time.Second)
	cardeatest.AssertAllowed(t, get(h, r))
	iss.Clock().Advance(time.Second)
	cardeatest.AssertDenied(t, get(h, r), http.StatusUnauthorized, cardea.CodeExpired)
	iss.Clock().Set(iss.Clock().Now().Add(-time.Minute))
	cardeatest.AssertAllowed(t, get(h, r))
}

// A8.2: keys that were fetched serve during an outage; without any, 503.
func TestOutage(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	warm, cold := guarded(iss.Verifier()), guarded(iss.Verifier())
	cardeatest.AssertAllowed(t, get(warm, iss.Request("GET", "/", ada())))
	for name, off := range map[string]func(){
		"down": iss.Down, "keys down": iss.KeysDown,
		"500": func() { iss.Fail(500) }, "429": func() { iss.Fail(429) },
	} {
		off()
		iss.Clock().Advance(time.Minute) // past the pause after a failed fetch
		cardeatest.AssertAllowed(t, get(warm, iss.Request("GET", "/", ada())))
		rec := get(cold, iss.Request("GET", "/", ada()))
		cardeatest.AssertDenied(t, rec, http.StatusServiceUnavailable, cardea.CodeProviderUnreachable)
		iss.Up()
		if t.Failed() {
			t.Fatalf("during %s", name)
		}
	}
	iss.Clock().Advance(time.Minute)
	cardeatest.AssertAllowed(t, get(cold, iss.Request("GET", "/", ada())))
}

// S2.7, A8.3: the issuer is asked about a token when its keys can't be had, and what it
// answers is told apart.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	const ok = ""
	for name, c := range map[string]struct {
		token  func(*cardeatest.Issuer) string
		health func(*cardeatest.Issuer)
		status int
		code   cardea.Code
	}{
		"yes":     {adasToken, (*cardeatest.Issuer).KeysDown, 200, ok},
		"unknown": {func(i *cardeatest.Issuer) string { return i.ForeignKey(ada()) }, (*cardeatest.Issuer).KeysDown, 401, cardea.CodeProviderError},
		"expired": {func(i *cardeatest.Issuer) string { return i.Expired(ada()) }, (*cardeatest.Issuer).Down, 401, cardea.CodeExpired},
		"down":    {adasToken, (*cardeatest.Issuer).Down, 503, cardea.CodeProviderUnreachable},
		"sick":    {adasToken, func(i *cardeatest.Issuer) { i.Fail(500) }, 503, cardea.CodeProviderUnreachable},
		"busy":    {adasToken, func(i *cardeatest.Issuer) { i.Fail(429) }, 503, cardea.CodeProviderUnreachable},
		"refuses": {adasToken, func(i *cardeatest.Issuer) { i.Fail(403) }, 401, cardea.CodeProviderError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			iss := cardeatest.New(t, cardeatest.Config{Verifier: cardea.Config{Issuers: []cardea.Issuer{{
				Kind: cardea.KindSupabase, Introspection: cardea.Introspection{Kind: cardea.IntrospectionSupabase},
			}}}})
			h := guarded(iss.Verifier())
			c.health(iss)
			rec := get(h, cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), c.token(iss)))
			if c.code == ok {
				cardeatest.AssertAllowed(t, rec)
				return
			}
			cardeatest.AssertDenied(t, rec, c.status, c.code)
		})
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	v := iss.Verifier()
	h := guarded(v)
	old := iss.Request("GET", "/", ada())
	cardeatest.AssertAllowed(t, get(h, old))
	iss.Rotate()
	cardeatest.AssertAllowed(t, get(h, old))
	cardeatest.AssertAllowed(t, get(h, iss.Request("GET", "/", ada())))
	if n := iss.Fetches(); n != 2 {
		t.Errorf("%d fetches of the key set, want 2", n)
	}
	iss.Retire()
	cardeatest.AssertDenied(t, get(guarded(iss.Verifier()), old), http.StatusUnauthorized, cardea.CodeKeyNotFound)
}

func TestReset(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	h := guarded(iss.Verifier())
	start, token := iss.Clock().Now(), iss.Token(ada())
	iss.Rotate()
	iss.Clock().Advance(time.Hour)
	cardeatest.AssertAllowed(t, get(h, iss.Request("GET", "/", ada())))
	iss.Down()
	iss.Reset()
	if got := iss.Clock().Now(); !got.Equal(start) {
		t.Errorf("clock at %s, want %s", got, start)
	}
	if n := iss.Fetches(); n != 0 {
		t.Errorf("%d fetches after Reset", n)
	}
	cardeatest.AssertAllowed(t, get(h, iss.Request("GET", "/", ada())))
	cardeatest.AssertAllowed(t, get(h, cardeatest.WithToken(iss.Request("GET", "/", ada()), token)))
	cardeatest.AssertAllowed(t, get(guarded(iss.Verifier()), iss.Request("GET", "/", ada())))
}

func TestSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		iss := cardeatest.New(t)
		iss.Slow(3 * time.Second)
		begin := time.Now()
		cardeatest.AssertAllowed(t, get(guarded(iss.Verifier()), iss.Request("GET", "/", ada())))
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %s, want 3 s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := iss.Keys(ctx, ""); cardea.CodeOf(err) != cardea.CodeProviderUnreachable {
			t.Errorf("Keys with an impatient caller: %v", err)
		}
		iss.Slow(0)
		if _, err := iss.Keys(t.Context(), ""); err != nil {
			t.Error(err)
		}
	})
}

func TestKeySource(t *testing.T) {
	t.Parallel()
	iss, other := cardeatest.New(t), cardeatest.New(t)
	v, err := cardea.NewVerifier(cardea.Config{
		Issuers: []cardea.Issuer{iss.Trust(), other.Trust()}, Now: iss.Clock().Now, CacheTTL: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := guarded(v)
	cardeatest.AssertAllowed(t, get(h, iss.Request("GET", "/", ada())))
	cardeatest.AssertAllowed(t, get(h, other.Request("GET", "/", ada())))
	cardeatest.AssertDenied(t, get(h, cardeatest.WithToken(iss.Request("GET", "/", ada()), iss.UnknownKey(ada()))), 401, cardea.CodeKeyNotFound)
	for name, c := range map[string]struct {
		off    func()
		status int
		code   cardea.Code
	}{
		"down":      {iss.Down, 503, cardea.CodeProviderUnreachable},
		"keys down": {iss.KeysDown, 503, cardea.CodeProviderUnreachable},
		"500":       {func() { iss.Fail(500) }, 503, cardea.CodeProviderUnreachable},
		"429":       {func() { iss.Fail(429) }, 503, cardea.CodeProviderUnreachable},
		"403":       {func() { iss.Fail(403) }, 401, cardea.CodeProviderError},
	} {
		iss.Up()
		c.off()
		cardeatest.AssertDenied(t, get(h, iss.Request("GET", "/", ada())), c.status, c.code)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// A service that finds the keys by itself, over sockets.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	served := cardeatest.New(t, cardeatest.Config{Serve: true, Audiences: []string{"clinic-api", "other"}})
	onDemand := cardeatest.New(t)
	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{
		{URL: served.URL(), Audiences: []string{"clinic-api"}},
		{URL: onDemand.URL(), JWKSURL: onDemand.JWKSURL(), Audiences: []string{"authenticated"}},
	}, Sleep: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	h := guarded(v)
	served.Down()
	cardeatest.AssertDenied(t, get(h, served.Request("GET", "/", ada())), 503, cardea.CodeProviderUnreachable)
	cardeatest.AssertAllowed(t, get(h, onDemand.Request("GET", "/", ada())))
	if first, again := onDemand.JWKSURL(), onDemand.JWKSURL(); first != again {
		t.Error("two servers for one issuer")
	}
	if served.Fetches() == 0 || onDemand.Fetches() != 1 {
		t.Errorf("fetches: %d, %d", served.Fetches(), onDemand.Fetches())
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t, cardeatest.Config{Serve: true})
	for name, c := range map[string]struct {
		method, path, token string
		status              int
		contains            string
	}{
		"discovery":      {"GET", "/.well-known/openid-configuration", "", 200, `"jwks_uri":"` + iss.JWKSURL() + `"`},
		"keys":           {"GET", "/.well-known/jwks.json", "", 200, `"crv":"P-256"`},
		"user":           {"GET", "/user", iss.Token(ada()), 200, `"email":"ada@example.com"`},
		"phone":          {"GET", "/user", iss.Token(cardeatest.User{Phone: "+15550101"}), 200, `"phone_confirmed_at"`},
		"user expired":   {"GET", "/user", iss.Expired(ada()), 403, `"bad_jwt"`},
		"user, nobody":   {"GET", "/user", "", 401, `"bad_jwt"`},
		"unknown":        {"GET", "/token", "", 404, "not found"},
		"another method": {"POST", "/user", iss.Token(ada()), 405, "GET only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), c.method, iss.URL()+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.token != "" {
				cardeatest.WithToken(r, c.token)
			}
			client := &http.Client{}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || !strings.Contains(string(body), c.contains) {
				t.Errorf("%d %s, want %d with %s", resp.StatusCode, body, c.status, c.contains)
			}
		})
	}
}

// The transport reaches this issuer only, unless the service brought one of its own.
func TestNoNetwork(t *testing.T) {
	t.Parallel()
	ask := func(c cardea.Config) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://elsewhere.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.HTTPClient.Do(r)
	}
	if resp, err := ask(cardeatest.New(t).VerifierConfig()); err == nil {
		resp.Body.Close()
		t.Error("a host that is not the issuer answered")
	}
	other := roundTripper(func(*http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		rec.WriteHeader(http.StatusTeapot)
		return rec.Result(), nil
	})
	iss := cardeatest.New(t, cardeatest.Config{Verifier: cardea.Config{HTTPClient: &http.Client{Transport: other}}})
	resp, err := ask(iss.VerifierConfig())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot {
		t.Errorf("status %d", resp.StatusCode)
	}
	cardeatest.AssertAllowed(t, get(guarded(iss.Verifier()), iss.Request("GET", "/", ada())))
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestParallelUse(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	h := guarded(iss.Verifier())
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			u := cardeatest.User{Claims: map[string]any{"n": n % 4}}
			cardeatest.AssertAllowed(t, get(h, iss.Request("GET", "/", u)))
			iss.Principal(u)
			if n%4 == 0 {
				iss.Slow(0)
				iss.Clock().Advance(time.Millisecond)
			}
		})
	}
	wg.Wait()
}
