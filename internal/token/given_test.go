package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// jwkOf writes a key as an operator would give it; change may spoil it.
func jwkOf(t testing.TB, material any, kid string, ops []string, change ...func(map[string]any)) map[string]any {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKey{Key: material, KeyID: kid})
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	if ops != nil {
		members["key_ops"] = ops
	}
	for _, c := range change {
		c(members)
	}
	return members
}

func set(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	raw, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var (
	sign   = []string{"sign"}
	verify = []string{"verify"}
)

func TestGivenKeys(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	oct := []byte("an-octet-key-of-at-least-32-bytes!")
	for _, tc := range []struct {
		name      string
		keys      []byte
		algorithm string
		published []string
	}{
		{"EC signs, the legacy secret verifies", set(t, jwkOf(t, ecKey(t), "ec", []string{"sign", "verify"}), jwkOf(t, oct, "oct", verify)), token.ES256, []string{"ec"}},
		{"RSA signs, EC verifies", set(t, jwkOf(t, rsaKey(t), "rsa", sign), jwkOf(t, ecKey(t).Public(), "ec", verify)), token.RS256, []string{"rsa", "ec"}},
		{"Ed25519", set(t, jwkOf(t, edwards, "ed", sign)), token.EdDSA, []string{"ed"}},
		{"oct signs", set(t, jwkOf(t, oct, "oct", sign)), token.HS256, []string{}},
		{"object with keys", []byte(` {"keys":` + string(set(t, jwkOf(t, ecKey(t), "ec", sign))) + `}`), token.ES256, []string{"ec"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, func(c *token.Config) { c.GivenKeys = tc.keys })
			user, session := person()
			got, err := f.ring.Issue(t.Context(), user, session)
			if err != nil {
				t.Fatal(err)
			}
			tok, err := parse(t, f, got.AccessToken)
			if err != nil || tok.Method.Alg() != tc.algorithm {
				t.Errorf("token with %v: %v", tok.Header, err)
			}
			if diff := cmp.Diff(tc.published, publishedKids(t, f.ring)); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			if body, _ := f.ring.JWKS(); strings.Contains(string(body), `"d"`) || strings.Contains(string(body), `"k"`) {
				t.Errorf("a secret member is published: %s", body)
			}
			for _, use := range []auth.KeyUse{auth.KeyUseAccess, auth.KeyUseAPIKey} {
				if _, err := f.ring.Rotate(t.Context(), use); !errors.Is(err, token.ErrConfigured) {
					t.Errorf("rotate %s: %v", use, err)
				}
			}
			if err := f.ring.Revoke(t.Context(), kidOf(t, got.AccessToken)); !errors.Is(err, token.ErrConfigured) {
				t.Errorf("revoke: %v", err)
			}
		})
	}
}

// TestGivenKeysReplaceTheRing: access keys of the database are neither used nor believed.
func TestGivenKeysReplaceTheRing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	user, session := person()
	old, err := f.ring.Issue(t.Context(), user, session)
	if err != nil {
		t.Fatal(err)
	}
	anon, err := f.keys.JWT(auth.RoleAnon)
	if err != nil {
		t.Fatal(err)
	}
	f.config.GivenKeys = set(t, jwkOf(t, ecKey(t), "mine", sign))
	f.ring = f.open(t)
	f.keys = token.NewAPIKeys(f.ring, f.store)
	if _, err := parse(t, f, old.AccessToken); err == nil {
		t.Error("an access key of the database still verifies")
	}
	if role, ok, err := f.keys.Resolve(t.Context(), anon); err != nil || !ok || role != auth.RoleAnon {
		t.Errorf("an API key of before: %q, %v, %v", role, ok, err)
	}
	if _, _, err := f.ring.ParseRefresh(old.RefreshToken); err != nil {
		t.Errorf("a refresh token of before: %v", err)
	}
	if got := byUse(f.ring, auth.KeyUseAccess, auth.KeyCurrent); got.ID != "mine" || got.PublicJWK == nil {
		t.Errorf("listed: %+v", got)
	}
}

func TestGivenKeyWithoutKid(t *testing.T) {
	t.Parallel()
	k := ecKey(t)
	thumb, err := (&jose.JSONWebKey{Key: k.Public()}).Thumbprint(5) // crypto.SHA256
	if err != nil {
		t.Fatal(err)
	}
	f := setup(t, func(c *token.Config) { c.GivenKeys = set(t, jwkOf(t, k, "", sign)) })
	want := base64.RawURLEncoding.EncodeToString(thumb)
	if diff := cmp.Diff([]string{want}, publishedKids(t, f.ring)); diff != "" {
		t.Errorf("kid (-want +got):\n%s", diff)
	}
}

func TestGivenKeysRefused(t *testing.T) {
	t.Parallel()
	ec, other := ecKey(t), ecKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skipf("this Go makes no weak keys: %v", err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	foreign := func(m map[string]any) { // the public half of another key
		p := jwkOf(t, other.Public(), "", nil)
		m["x"], m["y"] = p["x"], p["y"]
	}
	for _, tc := range []struct {
		name string
		keys []byte
		want []string
	}{
		{"not JSON", []byte("secret-looking-text"), []string{"not a JSON array"}},
		{"empty set", []byte(`{"keys":[]}`), []string{"empty"}},
		{"no sign key", set(t, jwkOf(t, ec, "a", verify)), []string{"no key is to sign"}},
		{"no key_ops", set(t, jwkOf(t, ec, "a", nil)), []string{"no key is to sign"}},
		{"two sign keys", set(t, jwkOf(t, ec, "a", sign), jwkOf(t, other, "b", sign)), []string{"2 keys are to sign"}},
		{"private part missing", set(t, jwkOf(t, ec.Public(), "a", sign)), []string{`key 1: kid "a" is to sign, but its private part is missing`}},
		{"weak RSA", set(t, jwkOf(t, weak, "a", sign)), []string{"RSA key of 1024 bits"}},
		{"weak RSA that verifies", set(t, jwkOf(t, ec, "a", sign), jwkOf(t, weak.Public(), "b", verify)), []string{"key 2", "1024 bits"}},
		{"unknown alg", set(t, jwkOf(t, ec, "a", sign, put("alg", "ES999"))), []string{`alg "ES999"`}},
		{"RS512", set(t, jwkOf(t, rsaKey(t), "a", sign, put("alg", "RS512"))), []string{`alg "RS512"`, "RS256"}},
		{"P-384", set(t, jwkOf(t, p384, "a", sign)), []string{`crv "P-384"`}},
		{"short oct", set(t, jwkOf(t, []byte("short"), "a", sign)), []string{"secret of 5 bytes"}},
		{"oct without kid", set(t, jwkOf(t, []byte(strings.Repeat("k", 40)), "", sign)), []string{"needs a kid"}},
		{"same kid twice", set(t, jwkOf(t, ec, "a", sign), jwkOf(t, other, "a", verify)), []string{`kid "a" is there twice`}},
		{"kid too long", set(t, jwkOf(t, ec, strings.Repeat("k", 129), sign)), []string{"129 bytes"}},
		{"for encryption", set(t, jwkOf(t, ec, "a", sign, put("use", "enc"))), []string{`use "enc"`}},
		{"public part of another key", set(t, jwkOf(t, ec, "a", sign, foreign)), []string{`kid "a"`}},
		{"Ed25519 with a foreign public part", set(t, jwkOf(t, edwards, "a", sign, put("x", base64.RawURLEncoding.EncodeToString(make([]byte, 32))))), []string{`kid "a"`}},
		{"point off the curve", set(t, jwkOf(t, ec, "a", sign, put("y", "AAAA"))), []string{`kid "a": a member`}},
		{"no object", []byte(`[42]`), []string{"key 1: not a JWK object"}},
		{"all problems at once", set(t, jwkOf(t, p384, "a", sign), jwkOf(t, weak, "b", sign), jwkOf(t, ec, "c", sign)), []string{"key 1", "key 2", "3 keys are to sign"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := token.Open(t.Context(), token.Config{
				Store: &memory{}, Box: newBox(t, 1), Issuer: "https://auth.example", GivenKeys: tc.keys,
			})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret-looking-text") {
				t.Errorf("key material in %q", err)
			}
		})
	}
}

func FuzzGivenKeys(f *testing.F) {
	f.Add(set(f, jwkOf(f, ecKey(f), "a", sign)))
	f.Add(set(f, jwkOf(f, []byte(strings.Repeat("k", 40)), "b", sign)))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","key_ops":["sign"]}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := token.Config{Store: &memory{}, Box: newBox(t, 1), Issuer: "https://auth.example", GivenKeys: text}
		ring, err := token.Open(t.Context(), c)
		if err != nil || len(text) == 0 {
			return
		}
		// Whatever is accepted signs with a key that we verify with, and publishes no secret.
		user, session := person()
		got, err := ring.Issue(t.Context(), user, session)
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := ring.Keys(t.Context(), kidOf(t, got.AccessToken)); err != nil || len(keys) != 1 {
			t.Fatalf("Keys = %v, %v", keys, err)
		}
		var published struct{ Keys []map[string]any }
		body, _ := ring.JWKS()
		if err := json.Unmarshal(body, &published); err != nil {
			t.Fatal(err)
		}
		for _, k := range published.Keys {
			for member := range k {
				if !slices.Contains([]string{"alg", "crv", "e", "key_ops", "kid", "kty", "n", "use", "x", "y"}, member) {
					t.Fatalf("member %q is published", member)
				}
			}
		}
	})
}
