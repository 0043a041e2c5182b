package cardea

import (
	"strings"
	"testing"
	"time"
)

// TestConfigProblems: each problem is named, and all at once.
func TestConfigProblems(t *testing.T) {
	t.Parallel()
	secret := make([]byte, 32)
	good := func(change func(*Issuer)) Config {
		i := Issuer{URL: "https://auth.test", Audiences: []string{"a"}}
		change(&i)
		return Config{Issuers: []Issuer{i}}
	}
	cases := []struct {
		name string
		c    Config
		want string // "" for a good one
	}{
		{"smallest", good(func(*Issuer) {}), ""},
		{"nothing", Config{}, "Issuers: at least one"},
		{"no URL", good(func(i *Issuer) { i.URL = "" }), "URL is empty"},
		{"blank in URL", good(func(i *Issuer) { i.URL += " " }), "blanks around"},
		{"no audience", good(func(i *Issuer) { i.Audiences = nil }), "Audiences: at least one"},
		{"empty audience", good(func(i *Issuer) { i.Audiences = []string{"a", ""} }), "Audiences: one is empty"},
		{"http", good(func(i *Issuer) { i.URL = "http://auth.test" }), "http is allowed to loopback"},
		{"http by choice", good(func(i *Issuer) { i.URL, i.InsecureHTTP = "http://auth.test", true }), ""},
		{"http to localhost", good(func(i *Issuer) { i.URL = "http://localhost:9999" }), ""},
		{"http to 127.0.0.1", good(func(i *Issuer) { i.URL = "http://127.0.0.1:9999" }), ""},
		{"http to ::1", good(func(i *Issuer) { i.URL = "http://[::1]:9999" }), ""},
		{"http to a name like localhost", good(func(i *Issuer) { i.URL = "http://localhost.evil.test" }), "http is allowed"},
		{"http to a number like loopback", good(func(i *Issuer) { i.URL = "http://127.0.0.1.evil.test" }), "http is allowed"},
		{"ftp", good(func(i *Issuer) { i.JWKSURL = "ftp://auth.test/x" }), "not an absolute https URL"},
		{"relative", good(func(i *Issuer) { i.JWKSURL = "/jwks.json" }), "not an absolute https URL"},
		{"password in URL", good(func(i *Issuer) { i.JWKSURL = "https://u:p@auth.test/x" }), "no user"},
		{"no URL at all", good(func(i *Issuer) { i.JWKSURL = "https://%zz" }), "not a URL"},
		{"name that is no URL, with a secret", good(func(i *Issuer) { i.URL, i.HMACSecret, i.Algorithms = "supabase", secret, []string{"HS256"} }), ""},
		{"name that is no URL", good(func(i *Issuer) { i.URL = "supabase" }), "not an absolute https URL"},
		{"keys and URL", good(func(i *Issuer) { i.Keys, i.JWKSURL = mustStatic(t), "https://x.test" }), "exclude each other"},
		{"short secret", good(func(i *Issuer) { i.HMACSecret = make([]byte, 31) }), "31 bytes are too few"},
		{"empty secret", good(func(i *Issuer) { i.HMACSecret = []byte{} }), "0 bytes are too few"},
		{"kid without secret", good(func(i *Issuer) { i.HMACKeyID = "x" }), "HMACKeyID"},
		{"bad kid", good(func(i *Issuer) { i.HMACSecret, i.HMACKeyID = secret, "../x" }), "HMACKeyID"},
		{"HS256 without secret", good(func(i *Issuer) { i.Algorithms = []string{"HS256"} }), "HS256 needs HMACSecret or Keys"},
		{"none", good(func(i *Issuer) { i.Algorithms = []string{"none"} }), `"none" is not one of`},
		{"lower case", good(func(i *Issuer) { i.Algorithms = []string{"es256"} }), `"es256" is not one of`},
		{"URL that nobody uses", good(func(i *Issuer) { i.HMACSecret, i.Algorithms, i.JWKSURL = secret, []string{"HS256"}, "https://x.test" }), "JWKSURL: not used"},
		{"twice", Config{Issuers: []Issuer{{URL: "https://a.test", Audiences: []string{"a"}}, {URL: "https://a.test", Audiences: []string{"a"}}}}, "configured twice"},
		{"leeway", Config{Leeway: time.Hour}, "Leeway"},
		{"lifetime", Config{MaxLifetime: -1}, "MaxLifetime"},
		{"token size", Config{MaxTokenSize: 1 << 20}, "MaxTokenSize"},
		{"cache size", Config{CacheSize: -1}, "CacheSize"},
		{"key TTL", Config{JWKSTTL: -1}, "JWKSTTL"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v, err := NewVerifier(tc.c)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || v != nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	_, err := NewVerifier(Config{Leeway: time.Hour, CacheSize: -1, Issuers: []Issuer{{URL: "http://x.test", HMACSecret: []byte("short")}}})
	for _, want := range []string{"Leeway", "CacheSize", "Audiences", "5 bytes", "http is allowed"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Error("the secret is in the error")
	}
}

// TestDerivedURL: URL + /.well-known/jwks.json, with no slash too many.
func TestDerivedURL(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"https://p.supabase.co/auth/v1", "https://p.supabase.co/auth/v1/"} {
		v := mustVerifier(t, Config{Issuers: []Issuer{{URL: u, Audiences: []string{"a"}}}})
		s, ok := v.issuers[u].keys.(*jwks)
		if !ok || s.url != "https://p.supabase.co/auth/v1/.well-known/jwks.json" {
			t.Errorf("%s: %v", u, s)
		}
	}
}

// TestConfigIsCopied: later changes of the caller's slices do not change what is trusted.
func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	secret := append([]byte(nil), c.Issuers[0].HMACSecret...)
	c.Issuers[0].HMACSecret = secret
	v := mustVerifier(t, c)
	clear(secret)
	c.Issuers[0].Audiences[0] = "changed"
	wantCode(t, v, hsToken(), "")
}

// TestSecretBesideKeySet: a project in the middle of its move from the shared secret to
// public keys. HS256 tokens never cause a fetch.
func TestSecretBesideKeySet(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t, ecKey("ec"))
	v := mustVerifier(t, Config{Now: testNow, Issuers: []Issuer{{
		URL: testIssuer, Audiences: []string{testAudience}, JWKSURL: server.URL, HMACSecret: testKeys().secret}}})
	wantCode(t, v, hsToken(), "")
	wantCode(t, v, mint(map[string]any{"alg": "HS256", "kid": "forged"}, testClaims(), testKeys().secret), CodeKeyNotFound)
	if server.fetches.Load() != 0 {
		t.Error("fetched keys for HS256")
	}
	wantCode(t, v, esToken(), "")
}
