package cardea

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestVerifyFailures: A6.2, A8.1, A8.6, A8.8 and S4.4, each failure with its own code.
func TestVerifyFailures(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	cases := map[string][]failureCase{
		"structure": structureCases(), "header": headerCases(), "payload": payloadCases(), "signature": signatureCases(),
	}
	for group, list := range cases {
		for _, tc := range list {
			t.Run(group+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				for range 2 { // a failure is never cached as a success
					p, err := v.Verify(t.Context(), tc.token)
					if p != nil || CodeOf(err) != tc.want {
						t.Fatalf("got %v, %v; want %s", p, err, tc.want)
					}
				}
			})
		}
	}
}

// TestEveryCodeHasACase keeps the tables complete.
func TestEveryCodeHasACase(t *testing.T) {
	t.Parallel()
	elsewhere := map[Code]string{
		CodeHeaderMissing: "TestHeaderTable", CodeHeaderInvalid: "TestHeaderTable", CodeSchemeInvalid: "TestHeaderTable",
		CodeProviderUnreachable: "TestIssuerDown", CodeProviderError: "TestKeySourceErrors",
		CodeForbidden: "TestGuardTruthTable", CodeRole: "TestGuardTruthTable", CodeAAL: "TestGuardTruthTable", CodeAnonymousRefused: "TestGuardTruthTable",
		CodeRateLimited: "TestAdmit", CodeHTTPSRequired: "TestRequireHTTPS", CodeTokenInvalid: "TestIntrospection",
		CodeTokenRevoked: "TestDenylist", CodeUserTokensRevoked: "TestDenylist",
	}
	for _, c := range guardCodes() {
		elsewhere[c] = "the tests of the guards"
	}
	seen := map[Code]bool{}
	for _, list := range [][]failureCase{structureCases(), headerCases(), payloadCases(), signatureCases()} {
		for _, tc := range list {
			seen[tc.want] = true
		}
	}
	for _, tc := range policyCases() {
		seen[tc.want] = true
	}
	statuses := []int{400, 401, 403, 405, 413, 429, 500, 503}
	for _, c := range Codes() {
		if !seen[c] && elsewhere[c] == "" {
			t.Errorf("no test makes %s", c)
		}
		e := NewError(c, nil)
		if e.Message == "" || e.Severity() == "" || !slices.Contains(statuses, e.HTTPStatus()) {
			t.Errorf("%s: incomplete: %d %q %q", c, e.HTTPStatus(), e.Severity(), e.Message)
		}
	}
	if got := NewError(CodeExpired, nil).Message; got != "Token has expired" { // S4.3
		t.Errorf("message of an expired token: %q", got)
	}
}

// TestAlgorithmConfusion signs tokens with what an attacker has, the public key, in
// every spelling, and with each key under each other's name (RFC 8725 §2.1).
func TestAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	keys := testKeys()
	c := testConfig(t)
	c.Issuers = append(c.Issuers, Issuer{URL: "https://second.test", Audiences: []string{testAudience}, Keys: mustStatic(t, keys.public()[0])})
	v := mustVerifier(t, c)
	spellings := map[string][]byte{}
	for _, k := range keys.public() {
		der, err := x509.MarshalPKIXPublicKey(k.Public)
		if err != nil {
			t.Fatal(err)
		}
		spellings[k.ID+" DER"] = der
		spellings[k.ID+" PEM"] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		spellings[k.ID+" PEM without its last line break"] = []byte(strings.TrimSpace(string(spellings[k.ID+" PEM"])))
		spellings[k.ID+" JWK"] = toJSON(jwkOf(k))
	}
	spellings["rsa modulus"] = keys.rsa.N.Bytes()
	spellings["ed bytes"] = keys.ed[32:]
	for name, secret := range spellings {
		for _, kid := range []any{"ec", "rsa", "ed", absent} {
			for _, alg := range []string{"HS256", "hs256", "HS384", "HS512", "none"} {
				for _, iss := range []string{testIssuer, "https://second.test"} {
					header := map[string]any{"alg": alg, "typ": "JWT", "kid": kid}
					if kid == absent {
						delete(header, "kid")
					}
					token := mint(header, testClaims(map[string]any{"iss": iss}), secret)
					if p, err := v.Verify(t.Context(), token); p != nil || err == nil {
						t.Fatalf("accepted: alg %s kid %v iss %s signed with %s", alg, kid, iss, name)
					}
				}
			}
		}
	}
	// Every key under every other name and kid.
	signers := map[string]any{"ec": keys.ec, "rsa": keys.rsa, "ed": keys.ed, "secret": keys.secret}
	right := map[string]string{"ec": "ES256", "rsa": "RS256", "ed": "EdDSA", "secret": "HS256"}
	for name, key := range signers {
		for _, alg := range []string{"ES256", "RS256", "EdDSA", "HS256", "PS256", "ES384"} {
			for _, kid := range []string{"ec", "rsa", "ed", ""} {
				header := map[string]any{"alg": alg}
				if kid != "" {
					header["kid"] = kid
				}
				honest := right[name] == alg && (name == kid || name == "secret" && kid == "")
				_, err := v.Verify(t.Context(), mint(header, testClaims(), key))
				if (err == nil) != honest {
					t.Errorf("signed with %s, alg %s, kid %q: %v", name, alg, kid, err)
				}
			}
		}
	}
	// HS256 at an issuer that never declared a secret, with the secret of another one.
	_, err := v.Verify(t.Context(), hsToken(map[string]any{"iss": "https://second.test"}))
	if CodeOf(err) != CodeAlgorithmNotAllowed {
		t.Errorf("secret of another issuer: %v", err)
	}
}

// sourceFunc is a KeySource out of a function.
type sourceFunc func(ctx context.Context, kid string) ([]Key, error)

func (f sourceFunc) Keys(ctx context.Context, kid string) ([]Key, error) { return f(ctx, kid) }

// TestKeySourceErrors: a key source with a bug opens nothing.
func TestKeySourceErrors(t *testing.T) {
	t.Parallel()
	keys := testKeys()
	p384 := keys.ec.PublicKey
	p384.Curve = elliptic.P384()
	cases := []struct {
		name   string
		source sourceFunc
		token  string
		want   Code
	}{
		{"plain error", func(context.Context, string) ([]Key, error) { return nil, errors.New("x") }, esToken(), CodeProviderUnreachable},
		{"unreachable", func(context.Context, string) ([]Key, error) { return nil, NewError(CodeProviderUnreachable, nil) }, esToken(), CodeProviderUnreachable},
		{"provider error", func(context.Context, string) ([]Key, error) { return nil, NewError(CodeProviderError, nil) }, esToken(), CodeProviderError},
		{"a code that is not its business", func(context.Context, string) ([]Key, error) { return nil, NewError(CodeRole, nil) }, esToken(), CodeProviderUnreachable},
		{"nil *Error", func(context.Context, string) ([]Key, error) { return nil, (*Error)(nil) }, esToken(), CodeProviderUnreachable},
		{"unreachable, but the token is expired anyway", // A8.2
			func(context.Context, string) ([]Key, error) { return nil, NewError(CodeProviderUnreachable, nil) },
			esToken(map[string]any{"exp": testNow().Unix() - 1}), CodeExpired},
		{"public key called HS256", func(context.Context, string) ([]Key, error) {
			return []Key{{ID: "ec", Algorithm: "HS256", Public: &keys.ec.PublicKey}}, nil
		}, mint(map[string]any{"alg": "HS256", "kid": "ec"}, testClaims(), keys.secret), CodeKeyMismatch},
		{"short secret", func(context.Context, string) ([]Key, error) {
			return []Key{{ID: "ec", Algorithm: "HS256", Public: []byte("short")}}, nil
		}, mint(map[string]any{"alg": "HS256", "kid": "ec"}, testClaims(), []byte("short")), CodeKeyMismatch},
		{"wrong curve", func(context.Context, string) ([]Key, error) {
			return []Key{{ID: "ec", Algorithm: "ES256", Public: &p384}}, nil
		}, esToken(), CodeKeyMismatch},
		{"nil key", func(context.Context, string) ([]Key, error) { return []Key{{ID: "ec", Algorithm: "ES256"}}, nil }, esToken(), CodeKeyMismatch},
		{"two keys with one kid: the second one fits", func(context.Context, string) ([]Key, error) {
			return []Key{{ID: "ec", Algorithm: "ES256", Public: &keys.ec2.PublicKey}, {ID: "ec", Algorithm: "ES256", Public: &keys.ec.PublicKey}}, nil
		}, esToken(), ""},
		{"the fifth key of one kid is not tried", func(context.Context, string) ([]Key, error) {
			wrong := Key{ID: "ec", Algorithm: "ES256", Public: &keys.ec2.PublicKey}
			return []Key{wrong, wrong, wrong, wrong, {ID: "ec", Algorithm: "ES256", Public: &keys.ec.PublicKey}}, nil
		}, esToken(), CodeSignature},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := mustVerifier(t, Config{Now: testNow, Issuers: []Issuer{{
				URL: testIssuer, Audiences: []string{testAudience}, Keys: tc.source, Algorithms: []string{"ES256", "HS256"}}}})
			if _, err := v.Verify(t.Context(), tc.token); CodeOf(err) != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// TestVerifyGood: what must pass, with each algorithm.
func TestVerifyGood(t *testing.T) {
	t.Parallel()
	keys := testKeys()
	single := mustVerifier(t, Config{Now: testNow, Issuers: []Issuer{{URL: testIssuer, Audiences: []string{testAudience}, Keys: mustStatic(t, keys.public()[0])}}})
	all := mustVerifier(t, testConfig(t))
	withKid := testConfig(t)
	withKid.Issuers[0].HMACKeyID = "legacy"
	legacy := mustVerifier(t, withKid)
	now := testNow().Unix()
	cases := []struct {
		name  string
		v     *Verifier
		token string
	}{
		{"ES256", all, esToken()},
		{"RS256", all, mint(map[string]any{"alg": "RS256", "kid": "rsa"}, testClaims(), keys.rsa)},
		{"EdDSA", all, mint(map[string]any{"alg": "EdDSA", "kid": "ed"}, testClaims(), keys.ed)},
		{"HS256 without kid", all, hsToken()},
		{"HS256 with its kid", legacy, mint(map[string]any{"alg": "HS256", "kid": "legacy"}, testClaims(), keys.secret)},
		{"no kid, one key", single, withHeader(map[string]any{"kid": absent})},
		{"typ absent", all, withHeader(map[string]any{"typ": absent})},
		{"typ at+jwt", all, withHeader(map[string]any{"typ": "at+jwt"})},
		{"typ application/at+jwt", all, withHeader(map[string]any{"typ": "application/at+JWT"})},
		{"typ jwt", all, withHeader(map[string]any{"typ": "jwt"})},
		{"unknown header members", all, withHeader(map[string]any{"x5t": "abc", "ver": 1, "ok": true})},
		{"aud list", all, esToken(map[string]any{"aud": []string{"x", "other-accepted"}})},
		{"role null", all, esToken(map[string]any{"role": nil})},
		{"nonce null", all, esToken(map[string]any{"nonce": nil})},
		{"token_use access", all, esToken(map[string]any{"token_use": "access", "typ": "Bearer"})},
		{"fractions of seconds", all, esToken(map[string]any{"exp": float64(now) + 60.5, "iat": float64(now) - 1.25, "nbf": now})},
		{"names beside the registered ones in capitals", all, esToken(map[string]any{"Sub": "x", "EXP": 1})},
		{"long", all, esToken(map[string]any{"extra": strings.Repeat("x", 4000)})},
		{"many names", all, rawES(`{"alg":"ES256","kid":"ec"}`, `{`+strings.Replace(manyNamesJSON(40), `"n0"`, `"x"`, 1)+`,`+string(toJSON(testClaims()))[1:])},
		{"blanks in the JSON", all, rawES(" {\n\"alg\" : \"ES256\" ,\t\"kid\": \"ec\"\r\n} ", " "+strings.ReplaceAll(string(toJSON(testClaims())), `,"`, " ,\n \"")+" ")},
		{"escapes in the JSON", all, rawES(`{"\u0061lg":"\u0045S256","kid":"ec"}`, strings.Replace(string(toJSON(testClaims())), `"sub":"`, `"\u0073ub":"\u0061`, 1))},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := tc.v.Verify(t.Context(), tc.token); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPrincipal compares the whole Principal.
func TestPrincipal(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	now := testNow()
	token := esToken(map[string]any{
		"client_id": "app", "aal": "aal2", "phone": "+491701", "tenant_id": "t-1", "nothing": nil,
		"amr":          []any{map[string]any{"method": "totp", "timestamp": now.Unix()}, "password"},
		"app_metadata": map[string]any{"roles": []any{"doctor", "service_role", "supabase_admin", "", "admin"}},
	})
	got, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := &Principal{
		Issuer: testIssuer, Subject: "7d1f0f5a-0000-7000-8000-000000000001", Audience: []string{testAudience},
		Email: "a@example.com", Phone: "+491701", Role: "authenticated", Roles: []string{"doctor", "admin"},
		SessionID: "s-1", ClientID: "app", AAL: "aal2", Tenant: "t-1", AuthTime: now.Add(-time.Minute),
		AMR:         []AMR{{Method: "totp", At: now}, {Method: "password"}},
		AppMetadata: json.RawMessage(`{"roles":["doctor","service_role","supabase_admin","","admin"]}`), UserMetadata: json.RawMessage(`{"name":"Ada"}`),
		IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Principal{})); diff != "" {
		t.Error(diff)
	}
	var tenant string
	if found, err := got.Claim("tenant_id", &tenant); !found || err != nil || tenant != "t-1" {
		t.Errorf("Claim: %v %v %q", found, err, tenant)
	}
	for _, name := range []string{"Tenant_ID", "nothing", "missing"} {
		if found, err := got.Claim(name, &tenant); found || err != nil {
			t.Errorf("Claim %s: %v %v", name, found, err)
		}
	}
	if found, err := (&Principal{claims: []byte("x")}).Claim("sub", &tenant); found || err == nil {
		t.Errorf("Claim of what is no object: %v %v", found, err)
	}
	if found, err := (&Principal{}).Claim("sub", &tenant); found || err != nil {
		t.Errorf("Claim without a token: %v %v", found, err)
	}
	var claims map[string]any
	if err := json.Unmarshal(got.RawClaims(), &claims); err != nil || claims["sub"] != got.Subject {
		t.Errorf("RawClaims: %v %v", claims, err)
	}
	if strings.Contains(string(got.RawClaims()), token[strings.LastIndexByte(token, '.'):]) {
		t.Error("the signature is kept")
	}
}

// TestClock: A8.6 and the edges of every time check.
func TestClock(t *testing.T) {
	t.Parallel()
	now := testNow()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	cases := []struct {
		name          string
		leeway        time.Duration
		iat, nbf, exp time.Duration
		want          Code
	}{
		{"in the middle", 0, -time.Minute, -time.Minute, time.Hour, ""},
		{"last second", 0, -time.Hour, -time.Hour, time.Second, ""},
		{"exp now", 0, -time.Hour, -time.Hour, 0, CodeExpired},
		{"exp a second ago, leeway does not help", 0, -time.Hour, -time.Hour, -time.Second, CodeExpired},
		{"nbf at the leeway", 0, 0, 30 * time.Second, time.Hour, ""},
		{"nbf beyond the leeway", 0, 0, 31 * time.Second, time.Hour, CodeNotYetValid},
		{"iat at the leeway", 0, 30 * time.Second, 0, time.Hour, ""},
		{"iat beyond the leeway", 0, 31 * time.Second, 0, time.Hour, CodeNotYetValid},
		{"no leeway, now", -1, 0, 0, time.Hour, ""},
		{"no leeway, iat in a second", -1, time.Second, 0, time.Hour, CodeNotYetValid},
		{"no leeway, nbf in a second", -1, 0, time.Second, time.Hour, CodeNotYetValid},
		{"lifetime of exactly 24 h", 0, -time.Hour, -time.Hour, 23 * time.Hour, ""},
		{"lifetime of a second more", 0, -time.Hour, -time.Hour, 23*time.Hour + time.Second, CodeLifetime},
		{"a year, in its last hour", 0, -364 * 24 * time.Hour, 0, time.Hour, CodeLifetime},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := testConfig(t)
			c.Leeway = tc.leeway
			v := mustVerifier(t, c)
			_, err := v.Verify(t.Context(), esToken(map[string]any{"iat": at(tc.iat), "nbf": at(tc.nbf), "exp": at(tc.exp)}))
			if CodeOf(err) != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestErrorValue(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := error(NewError(CodeExpired, cause))
	if !errors.Is(err, &Error{Code: CodeExpired}) || errors.Is(err, &Error{Code: CodeRole}) || !errors.Is(err, cause) {
		t.Error("errors.Is")
	}
	if got := err.Error(); got != "cardea: TOKEN_EXPIRED: Token has expired: cause" {
		t.Error(got)
	}
	if CodeOf(cause) != "" || CodeOf(nil) != "" {
		t.Error("CodeOf of a foreign error")
	}
	if !errors.Is(permanent{cause}, cause) {
		t.Error("the cause of a permanent error")
	}
	if e := NewError("OWN_CODE", nil); e.HTTPStatus() != 403 || e.Severity() != SeverityMedium {
		t.Error("a code of somebody else")
	}
}
