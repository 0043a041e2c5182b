package cardea

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestIssuerKinds: which iss is expected and where the keys are.
func TestIssuerKinds(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name           string
		issuer         Issuer
		iss, url, keys string // keys is the discovery issuer, "" when url is that of the keys
		audience       string
	}{
		{"cardea", Issuer{URL: "https://auth.test/auth/v1", Audiences: []string{"a"}}, "https://auth.test/auth/v1", "https://auth.test/auth/v1/.well-known/jwks.json", "", "a"},
		{"given keys", Issuer{URL: "name", Audiences: []string{"a"}, JWKSURL: "https://keys.test/k"}, "name", "https://keys.test/k", "", "a"},
		{"supabase project", Issuer{Kind: KindSupabase, URL: "https://p.supabase.co"}, "https://p.supabase.co/auth/v1", "https://p.supabase.co/auth/v1/.well-known/jwks.json", "", "authenticated"},
		{"supabase project with a slash", Issuer{Kind: KindSupabase, URL: "https://p.supabase.co/"}, "https://p.supabase.co/auth/v1", "https://p.supabase.co/auth/v1/.well-known/jwks.json", "", "authenticated"},
		{"supabase issuer", Issuer{Kind: KindSupabase, URL: "https://p.supabase.co/auth/v1", Audiences: []string{"k"}}, "https://p.supabase.co/auth/v1", "https://p.supabase.co/auth/v1/.well-known/jwks.json", "", "k"},
		{"supabase behind a path", Issuer{Kind: KindSupabase, URL: "https://x.test/sb/auth/v1/"}, "https://x.test/sb/auth/v1", "https://x.test/sb/auth/v1/.well-known/jwks.json", "", "authenticated"},
		{"oidc", Issuer{Kind: KindOIDC, URL: "https://accounts.test/", Audiences: []string{"a"}}, "https://accounts.test/", "https://accounts.test/.well-known/openid-configuration", "https://accounts.test/", "a"},
		{"oidc with given keys", Issuer{Kind: KindOIDC, URL: "https://accounts.test", Audiences: []string{"a"}, JWKSURL: "https://keys.test/k"}, "https://accounts.test", "https://keys.test/k", "", "a"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := mustVerifier(t, Config{Issuers: []Issuer{tc.issuer}})
			got := v.issuers[tc.iss]
			if got == nil {
				t.Fatalf("no issuer %s in %v", tc.iss, v.issuers)
			}
			s, ok := got.keys.(*jwks)
			if !ok || s.url != tc.url || s.issuer != tc.keys || got.audiences[0] != tc.audience || len(got.audiences) != 1 {
				t.Errorf("url %s, issuer %s, audiences %v", s.url, s.issuer, got.audiences)
			}
		})
	}
}

// TestIssuerProblems: the configuration errors of the newer fields.
func TestIssuerProblems(t *testing.T) {
	t.Parallel()
	secret := make([]byte, 32)
	rfc := Introspection{Kind: IntrospectionRFC7662, URL: "https://auth.test/introspect", ClientID: "c", ClientSecret: "s"}
	with := func(change func(*Introspection)) func(*Issuer) {
		return func(i *Issuer) {
			i.Introspection = rfc
			change(&i.Introspection)
		}
	}
	cases := []struct {
		name   string
		change func(*Issuer)
		want   string // "" for a good one
	}{
		{"kind", func(i *Issuer) { i.Kind = 7 }, "Kind: 7 is unknown"},
		{"negative kind", func(i *Issuer) { i.Kind = -1 }, "Kind: -1 is unknown"},
		{"API key for OIDC", func(i *Issuer) { i.Kind, i.APIKey = KindOIDC, "k" }, "APIKey: not for KindOIDC"},
		{"API key with a line break", func(i *Issuer) { i.APIKey = "key\n" }, "APIKey: has characters"},
		{"leeway", func(i *Issuer) { i.Leeway = time.Hour }, "Leeway"},
		{"lifetime", func(i *Issuer) { i.MaxLifetime = -1 }, "MaxLifetime"},
		{"required claim", func(i *Issuer) { i.RequiredClaims = []string{""} }, "RequiredClaims"},
		{"user role", func(i *Issuer) { i.UserRoles = []string{"a", ""} }, "UserRoles"},
		{"roles of the user's own", func(i *Issuer) { i.Claims.Roles = "user_metadata.roles" }, "written by the user"},
		{"permissions are the user's own", func(i *Issuer) { i.Claims.Permissions = "user_metadata" }, "written by the user"},
		{"a name like it", func(i *Issuer) { i.Claims.Roles = "user_metadata_roles" }, ""},
		{"empty name in a path", func(i *Issuer) { i.Claims.Tenant = "a..b" }, "empty name"},
		{"oidc over http", func(i *Issuer) { i.Kind, i.URL = KindOIDC, "http://auth.test" }, "http is allowed"},
		{"oidc with no URL", func(i *Issuer) { i.Kind, i.URL = KindOIDC, "auth" }, "not an absolute https URL"},
		{"HS512 with a short secret", func(i *Issuer) { i.Algorithms, i.HMACSecret = []string{"HS512"}, secret }, "too few for HS512"},
		{"HS512 without secret", func(i *Issuer) { i.Algorithms = []string{"ES256", "HS512"} }, "HS512 needs HMACSecret"},
		{"HS256 with introspection", func(i *Issuer) { i.Algorithms, i.Introspection = []string{"HS256"}, rfc }, ""},
		{"introspection without kind", with(func(in *Introspection) { in.Kind = IntrospectionOff }), "Kind is missing"},
		{"introspection kind", with(func(in *Introspection) { in.Kind = 9 }), "Introspection.Kind: 9 is unknown"},
		{"introspection over http", with(func(in *Introspection) { in.URL = "http://auth.test" }), "http is allowed"},
		{"introspection with no URL", with(func(in *Introspection) { in.URL = "" }), "Introspection.URL"},
		{"introspection without secret", with(func(in *Introspection) { in.ClientSecret = "" }), "are needed"},
		{"Supabase with client", with(func(in *Introspection) { in.Kind = IntrospectionSupabase }), "are for IntrospectionRFC7662"},
		{"Supabase", func(i *Issuer) { i.Introspection.Kind = IntrospectionSupabase }, ""},
		{"RFC 7662", with(func(*Introspection) {}), ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			i := Issuer{URL: "https://auth.test", Audiences: []string{"a"}}
			tc.change(&i)
			v, err := NewVerifier(Config{Issuers: []Issuer{i}})
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || v != nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	_, err := NewVerifier(Config{TrustForwardedProto: true, Issuers: []Issuer{
		{Kind: KindSupabase, URL: "https://p.supabase.co"}, {URL: "https://p.supabase.co/auth/v1", Audiences: []string{"a"}}}})
	for _, want := range []string{"TrustForwardedProto", "configured twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// TestHS512: S4.2, a secret for HS512, and for both.
func TestHS512(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("s", 64))
	token := func(alg string, kid any) string {
		header := map[string]any{"alg": alg}
		if kid != absent {
			header["kid"] = kid
		}
		return mintWith(alg, header, testClaims(), secret)
	}
	hs := func(algorithms ...string) *Verifier {
		return mustVerifier(t, Config{Now: testNow, Issuers: []Issuer{{
			URL: testIssuer, Audiences: []string{testAudience}, HMACSecret: secret, HMACKeyID: "jwt-secret", Algorithms: algorithms}}})
	}
	one, both := hs("HS512"), hs("HS512", "HS256")
	wantCode(t, one, token("HS512", absent), "")
	wantCode(t, one, token("HS512", "jwt-secret"), "")
	wantCode(t, one, token("HS512", "other"), CodeKeyNotFound)
	wantCode(t, one, token("HS256", absent), CodeAlgorithmNotAllowed)
	wantCode(t, one, token("HS384", absent), CodeAlgorithmUnsupported)
	wantCode(t, both, token("HS512", absent), "")
	wantCode(t, both, token("HS256", absent), "")
	long := token("HS512", absent)
	wantCode(t, one, long[:strings.LastIndexByte(long, '.')]+"."+b64(make([]byte, 64)), CodeSignature)
	if _, err := StaticKeys(Key{Algorithm: "HS512", Public: secret[:63]}); err == nil {
		t.Error("a short secret for HS512")
	}
	source := mustVerifier(t, Config{Now: testNow, Issuers: []Issuer{{URL: testIssuer, Audiences: []string{testAudience},
		Algorithms: []string{"HS512"}, Keys: mustStatic(t, Key{ID: "k", Algorithm: "HS512", Public: secret})}}})
	wantCode(t, source, token("HS512", "k"), "")
	if err := (Key{Algorithm: "x"}).verify("a", nil); err == nil {
		t.Error("an unknown algorithm verifies")
	}
}

// TestAPIKey: S2.4, Supabase's gateway gets its header, nobody else does.
func TestAPIKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "sb_publishable_x"} {
		server := newKeyServer(t)
		var got []string
		server.answer(func(w http.ResponseWriter, r *http.Request) {
			got = append(r.Header["Apikey"], r.URL.Path)
			_, _ = w.Write(jwksOf(ecKey("ec")))
		})
		v := mustVerifier(t, Config{Now: testNow, Issuers: []Issuer{{Kind: KindSupabase, URL: server.URL, APIKey: key}}})
		wantCode(t, v, esToken(map[string]any{"iss": server.URL + "/auth/v1"}), "")
		want := strings.TrimPrefix(key+" /auth/v1/.well-known/jwks.json", " ")
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
