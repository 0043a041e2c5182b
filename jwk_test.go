package cardea

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseJWKS: good keys survive among junk; what proves nothing is left out.
func TestParseJWKS(t *testing.T) {
	t.Parallel()
	keys := testKeys().public()
	change := func(i int, changes map[string]any) any {
		jwk := jwkOf(keys[i])
		maps.Copy(jwk, changes)
		for k, v := range jwk {
			if v == absent {
				delete(jwk, k)
			}
		}
		return jwk
	}
	even := new(big.Int).Lsh(big.NewInt(3), 2048)
	cases := []struct {
		name string
		jwk  any
		good bool
	}{
		{"EC", change(0, nil), true},
		{"RSA", change(1, nil), true},
		{"Ed25519", change(2, nil), true},
		{"Ed25519 by its new name", change(2, map[string]any{"alg": "Ed25519"}), true},
		{"without alg, use and kid", change(0, map[string]any{"alg": absent, "use": absent, "kid": absent}), true},
		{"key_ops verify", change(0, map[string]any{"key_ops": []string{"verify"}}), true},
		{"unknown members", change(0, map[string]any{"ext": true, "x5t": "abc"}), true},
		{"private EC", change(0, map[string]any{"d": "AAAA"}), false},
		{"private RSA", change(1, map[string]any{"p": "AAAA"}), false},
		{"symmetric", map[string]any{"kty": "oct", "k": b64(testKeys().secret), "alg": "HS256"}, false},
		{"symmetric inside EC", change(0, map[string]any{"k": "AAAA"}), false},
		{"for encryption", change(1, map[string]any{"use": "enc"}), false},
		{"key_ops encrypt", change(1, map[string]any{"key_ops": []string{"encrypt"}}), false},
		{"key_ops no list", change(1, map[string]any{"key_ops": "verify"}), false},
		{"EC called RS256", change(0, map[string]any{"alg": "RS256"}), false},
		{"EC called HS256", change(0, map[string]any{"alg": "HS256"}), false},
		{"RSA called PS256", change(1, map[string]any{"alg": "PS256"}), false},
		{"alg a number", change(1, map[string]any{"alg": 1}), false},
		{"P-384", change(0, map[string]any{"crv": "P-384"}), false},
		{"secp256k1", change(0, map[string]any{"crv": "secp256k1"}), false},
		{"not on the curve", change(0, map[string]any{"y": b64(make([]byte, 32))}), false},
		{"short x", change(0, map[string]any{"x": b64(make([]byte, 31))}), false},
		{"long y", change(0, map[string]any{"y": b64(make([]byte, 33))}), false},
		{"x padded", change(0, map[string]any{"x": b64(make([]byte, 32)) + "="}), false},
		{"RSA 1024", change(1, map[string]any{"n": b64(new(big.Int).Lsh(big.NewInt(1), 1023).SetBit(new(big.Int).Lsh(big.NewInt(1), 1023), 0, 1).Bytes())}), false},
		{"RSA 16384", change(1, map[string]any{"n": b64(new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), 16383), 0, 1).Bytes())}), false},
		{"RSA even modulus", change(1, map[string]any{"n": b64(even.Bytes())}), false},
		{"RSA exponent 1", change(1, map[string]any{"e": "AQ"}), false},
		{"RSA exponent even", change(1, map[string]any{"e": "AQAA"}), false},
		{"RSA exponent huge", change(1, map[string]any{"e": b64([]byte{1, 0, 0, 0, 1})}), false},
		{"RSA exponent over 31 bits", change(1, map[string]any{"e": b64([]byte{255, 255, 255, 255})}), false},
		{"RSA without exponent", change(1, map[string]any{"e": absent}), false},
		{"X25519", change(2, map[string]any{"crv": "X25519"}), false},
		{"Ed25519 short", change(2, map[string]any{"x": "AAAA"}), false},
		{"x a number", change(0, map[string]any{"x": 1}), false},
		{"kid a number", change(0, map[string]any{"kid": 1}), false},
		{"kid too long", change(0, map[string]any{"kid": strings.Repeat("k", 200)}), false},
		{"kty unknown", map[string]any{"kty": "AKP"}, false},
		{"kty a number", map[string]any{"kty": 1}, false},
		{"a string", "EC", false},
		{"null", nil, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			want := keys[:1:1]
			got, err := ParseJWKS(toJSON(map[string]any{"keys": []any{tc.jwk, jwkOf(keys[0])}}))
			if err != nil {
				t.Fatal(err)
			}
			if tc.good != (len(got) == 2) || !got[len(got)-1].Public.(*ecdsa.PublicKey).Equal(want[0].Public) {
				t.Errorf("got %d keys", len(got))
			}
		})
	}
	got, err := ParseJWKS(jwksOf(keys...))
	if diff := cmp.Diff(keys, got, cmp.Comparer(func(a, b *ecdsa.PublicKey) bool { return a.Equal(b) }),
		cmp.Comparer(func(a, b *rsa.PublicKey) bool { return a.Equal(b) }),
		cmp.Comparer(func(a, b ed25519.PublicKey) bool { return a.Equal(b) })); err != nil || diff != "" {
		t.Errorf("round trip: %v %s", err, diff)
	}
}

func TestParseJWKSDocument(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{``, `null`, `[]`, `{}`, `{"keys":{}}`, `{"keys":null}`, `{"keys":[]} x`, `{"keys":[],"keys":[]}`, "{\"keys\":[\"\xff\"]}"} {
		if keys, err := ParseJWKS([]byte(doc)); err == nil || keys != nil {
			t.Errorf("%q: %v, %v", doc, keys, err)
		}
	}
	many := make([]Key, 10_000)
	for i := range many {
		many[i] = testKeys().public()[2]
	}
	keys, err := ParseJWKS(jwksOf(many...))
	if err != nil || len(keys) != maxKeysInSet {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestStaticKeysRefuses(t *testing.T) {
	t.Parallel()
	ec := testKeys().public()[0].Public
	for name, k := range map[string]Key{
		"nothing":        {},
		"none":           {Algorithm: "none"},
		"EC as RS256":    {Algorithm: "RS256", Public: ec},
		"EC as HS256":    {Algorithm: "HS256", Public: ec},
		"EC as EdDSA":    {Algorithm: "EdDSA", Public: ec},
		"nil EC":         {Algorithm: "ES256", Public: (*ecdsa.PublicKey)(nil)},
		"EC without all": {Algorithm: "ES256", Public: &ecdsa.PublicKey{Curve: elliptic.P384()}},
		"nil RSA":        {Algorithm: "RS256", Public: (*rsa.PublicKey)(nil)},
		"empty RSA":      {Algorithm: "RS256", Public: &rsa.PublicKey{}},
		"short Ed25519":  {Algorithm: "EdDSA", Public: ed25519.PublicKey{1}},
		"short secret":   {Algorithm: "HS256", Public: make([]byte, 31)},
		"a private key":  {Algorithm: "ES256", Public: testKeys().ec},
	} {
		if _, err := StaticKeys(k); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
}

// FuzzParseJWKS: whatever a key set holds, no key comes out that could not verify.
func FuzzParseJWKS(f *testing.F) {
	f.Add(jwksOf(testKeys().public()...))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"oct","k":"AAAA"},null,1]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := ParseJWKS(document)
		if err != nil && keys != nil {
			t.Fatal("keys and an error")
		}
		for _, k := range keys {
			if err := k.check(); err != nil || k.Algorithm == "HS256" {
				t.Fatalf("%+v: %v", k, err)
			}
		}
	})
}
