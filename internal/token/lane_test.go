package token_test

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// hs256 signs claims as somebody who knows the shared secret.
func hs256(t testing.TB, secret []byte, header, claims map[string]any) string {
	t.Helper()
	tok := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(claims))
	for k, v := range header {
		tok.Header[k] = v
	}
	text, err := tok.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestTokensStayInTheirLane is the abuse that one key for everything would allow: an API
// key that lives for years as a session, a session as an API key.
func TestTokensStayInTheirLane(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *token.Config) { c.Secret = secretBytes() })
	user, session := person()
	user.Role = auth.RoleServiceRole
	got, err := f.ring.Issue(t.Context(), user, session)
	if err != nil {
		t.Fatal(err)
	}
	if role, ok, err := f.keys.Resolve(t.Context(), got.AccessToken); ok || role != "" || err != nil {
		t.Errorf("a session as API key: %q, %v, %v", role, ok, err)
	}
	service, err := f.keys.JWT(auth.RoleServiceRole)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := f.ring.Keys(t.Context(), kidOf(t, service)); err != nil || len(keys) != 0 {
		t.Errorf("an API-key key verifies sessions: %v, %v", keys, err)
	}
	if _, err := parse(t, f, service); err == nil {
		t.Error("an API key as session")
	}
	t.Run("subject under an API-key key", func(t *testing.T) {
		t.Parallel()
		for _, sub := range []string{user.ID.String(), ""} {
			text, err := token.SignAsAPIKey(f.ring, map[string]any{"role": "service_role", "sub": sub})
			if err != nil {
				t.Fatal(err)
			}
			if role, ok, err := f.keys.Resolve(t.Context(), text); ok || role != "" || auth.CodeOf(err) != auth.CodeBadJWT {
				t.Errorf("Resolve = %q, %v, %v", role, ok, err)
			}
		}
	})
	t.Run("other role under an API-key key", func(t *testing.T) {
		t.Parallel()
		text, err := token.SignAsAPIKey(f.ring, map[string]any{"role": "postgres"})
		if err != nil {
			t.Fatal(err)
		}
		if role, ok, err := f.keys.Resolve(t.Context(), text); ok || role != "" || auth.CodeOf(err) != auth.CodeBadJWT {
			t.Errorf("Resolve = %q, %v, %v", role, ok, err)
		}
	})
	t.Run("session under a key that signs both", func(t *testing.T) {
		t.Parallel()
		shared := setup(t, func(c *token.Config) { c.GivenKeys = set(t, jwkOf(t, ecKey(t), "k", sign)) })
		user, session := person()
		user.Role = auth.RoleServiceRole
		got, err := shared.ring.Issue(t.Context(), user, session)
		if err != nil {
			t.Fatal(err)
		}
		if role, ok, err := shared.keys.Resolve(t.Context(), got.AccessToken); ok || err != nil || role != "" {
			t.Errorf("with a subject it is a session's: %q, %v, %v", role, ok, err)
		}
	})
	t.Run("kid of an API-key key, other signature", func(t *testing.T) {
		t.Parallel()
		forged := hs256(t, secretBytes(), map[string]any{"kid": kidOf(t, service)}, map[string]any{"role": "service_role"})
		if _, ok, err := f.keys.Resolve(t.Context(), forged); ok || auth.CodeOf(err) != auth.CodeBadJWT {
			t.Errorf("Resolve = %v, %v", ok, err)
		}
	})
	t.Run("refresh master as JWT key", func(t *testing.T) {
		t.Parallel()
		kid := byUse(f.ring, auth.KeyUseRefresh, auth.KeyCurrent).ID
		if keys, err := f.ring.Keys(t.Context(), kid); err != nil || len(keys) != 0 {
			t.Errorf("Keys = %v, %v", keys, err)
		}
	})
}

// TestLegacyAPIKeys: the keys of an existing Supabase project, made with its JWT secret.
func TestLegacyAPIKeys(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *token.Config) { c.Secret = secretBytes() })
	now := f.clock.now().Unix()
	for _, tc := range []struct {
		name   string
		secret []byte
		header map[string]any
		claims map[string]any
		role   string // "" for none
		err    string // "" for none
	}{
		{"Supabase's demo key", nil, nil, map[string]any{"iss": "supabase-demo", "role": "anon", "exp": now + 1}, "anon", ""},
		{"without exp and aud", nil, nil, map[string]any{"role": "service_role"}, "service_role", ""},
		{"supabase_admin", nil, nil, map[string]any{"role": "supabase_admin", "aud": []string{"x"}}, "supabase_admin", ""},
		{"expired", nil, nil, map[string]any{"role": "anon", "exp": now}, "", "token is expired"},
		{"not yet", nil, nil, map[string]any{"role": "anon", "nbf": now + 60}, "", "not valid yet"},
		{"exp of another type", nil, nil, map[string]any{"role": "anon", "exp": "never"}, "", "invalid"},
		{"another secret", []byte("another-secret-with-at-least-32-characters"), nil, map[string]any{"role": "service_role"}, "", "signature is invalid"},
		{"critical header", nil, map[string]any{"crit": []string{"b64"}}, map[string]any{"role": "anon"}, "", "critical"},
		{"with a subject", nil, nil, map[string]any{"role": "service_role", "sub": "018f0102-0304-7005-8006-0708090a0b0c"}, "", ""},
		{"with an empty subject", nil, nil, map[string]any{"role": "service_role", "sub": ""}, "", ""},
		{"another role", nil, nil, map[string]any{"role": "authenticated"}, "", ""},
		{"role in other letters", nil, nil, map[string]any{"Role": "service_role"}, "", ""},
		{"role of another type", nil, nil, map[string]any{"role": []string{"service_role"}}, "", ""},
		{"unknown kid", nil, map[string]any{"kid": "nobody"}, map[string]any{"role": "service_role"}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			secret := tc.secret
			if secret == nil {
				secret = secretBytes()
			}
			role, ok, err := f.keys.Resolve(t.Context(), hs256(t, secret, tc.header, tc.claims))
			if role != tc.role || ok != (tc.role != "") || (err != nil) != (tc.err != "") {
				t.Fatalf("Resolve = %q, %v, %v", role, ok, err)
			}
			if err != nil && (auth.CodeOf(err) != auth.CodeBadJWT || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
		})
	}
	t.Run("alg none", func(t *testing.T) {
		t.Parallel()
		none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"role": "service_role"}).SignedString(jwt.UnsafeAllowNoneSignatureType)
		if err != nil {
			t.Fatal(err)
		}
		if role, ok, err := f.keys.Resolve(t.Context(), none); ok || err == nil {
			t.Errorf("Resolve = %q, %v, %v", role, ok, err)
		}
	})
	t.Run("without a secret there are none", func(t *testing.T) {
		t.Parallel()
		text := hs256(t, secretBytes(), nil, map[string]any{"role": "service_role"})
		if role, ok, err := setup(t).keys.Resolve(t.Context(), text); ok || role != "" || err != nil {
			t.Errorf("Resolve = %q, %v, %v", role, ok, err)
		}
	})
}

// TestSessionsPassByAtOnce: the short cut for sessions is taken for ours and only for
// tokens with a subject, also where one key signs everything.
func TestSessionsPassByAtOnce(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"https://a.example", "https://auth.example/auth/v1?a=<&>", "é"} {
		f := setup(t, func(c *token.Config) {
			c.Issuer, c.Algorithm, c.Secret = issuer, token.HS256, secretBytes()
		})
		user, session := person()
		got, err := f.ring.Issue(t.Context(), user, session)
		if err != nil {
			t.Fatal(err)
		}
		anon, err := f.keys.JWT(auth.RoleAnon)
		if err != nil {
			t.Fatal(err)
		}
		if !token.Personal(f.ring, got.AccessToken) || token.Personal(f.ring, anon) {
			t.Errorf("%s: session %v, API key %v", issuer, token.Personal(f.ring, got.AccessToken), token.Personal(f.ring, anon))
		}
		for i := range len(anon) { // cut anywhere
			if token.Personal(f.ring, anon[:i]) {
				t.Errorf("%q is taken for a session", anon[:i])
			}
		}
	}
}
