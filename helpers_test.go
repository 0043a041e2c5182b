package cardea

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	testIssuer   = "https://auth.test/auth/v1"
	testAudience = "authenticated"
)

// testNow is the fixed clock of the tests.
func testNow() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

// testKeys are made once: an RSA key takes a while. They are never modified.
type testKeySet struct {
	ec, ec2 *ecdsa.PrivateKey
	rsa     *rsa.PrivateKey
	ed      ed25519.PrivateKey
	secret  []byte
}

var testKeys = sync.OnceValue(func() *testKeySet {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	k := &testKeySet{secret: []byte("a secret for tests that is long enough, really")}
	var err error
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.ec2, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

func (k *testKeySet) public() []Key {
	return []Key{
		{ID: "ec", Algorithm: "ES256", Public: &k.ec.PublicKey},
		{ID: "rsa", Algorithm: "RS256", Public: &k.rsa.PublicKey},
		{ID: "ed", Algorithm: "EdDSA", Public: k.ed.Public()},
	}
}

func mustStatic(t testing.TB, keys ...Key) KeySource {
	t.Helper()
	s, err := StaticKeys(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testConfig trusts the three public test keys and the secret.
func testConfig(t testing.TB) Config {
	t.Helper()
	return Config{
		Issuers: []Issuer{{
			URL: testIssuer, Audiences: []string{testAudience, "other-accepted"},
			Keys: mustStatic(t, testKeys().public()...), HMACSecret: testKeys().secret,
		}},
		Now: testNow,
	}
}

func mustVerifier(t testing.TB, c Config) *Verifier {
	t.Helper()
	v, err := NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testClaims are those of a good token.
func testClaims(changes ...map[string]any) map[string]any {
	now := testNow().Unix()
	c := map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "7d1f0f5a-0000-7000-8000-000000000001",
		"iat": now - 60, "exp": now + 3600, "role": "authenticated", "email": "a@example.com", "phone": "",
		"session_id": "s-1", "aal": "aal1", "is_anonymous": false,
		"amr":           []any{map[string]any{"method": "password", "timestamp": now - 60}},
		"app_metadata":  map[string]any{"provider": "email", "roles": []any{"doctor"}},
		"user_metadata": map[string]any{"name": "Ada"},
	}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	for k, v := range c {
		if v == absent {
			delete(c, k)
		}
	}
	return c
}

// absent removes a claim or header member in a table of changes.
const absent = "\x00absent"

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// sign signs header.payload with the algorithm of the key's own kind.
func sign(signed string, key any) []byte {
	var m jwt.SigningMethod
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		m = jwt.SigningMethodES256
	case *rsa.PrivateKey:
		m = jwt.SigningMethodRS256
	case ed25519.PrivateKey:
		m = jwt.SigningMethodEdDSA
		key = crypto.Signer(k)
	case []byte:
		m = jwt.SigningMethodHS256
	default:
		panic(fmt.Sprintf("no key: %T", key))
	}
	sig, err := m.Sign(signed, key)
	if err != nil {
		panic(err)
	}
	return sig
}

// mintWith signs with exactly that algorithm.
func mintWith(alg string, header, claims map[string]any, key any) string {
	signed := b64(toJSON(header)) + "." + b64(toJSON(claims))
	sig, err := jwt.GetSigningMethod(alg).Sign(signed, key)
	if err != nil {
		panic(err)
	}
	return signed + "." + b64(sig)
}

// noSleep does not wait.
func noSleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// mintRaw makes a token of exactly these bytes.
func mintRaw(header, payload []byte, key any) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(sign(signed, key))
}

// mint makes a token of a header and claims.
func mint(header, claims map[string]any, key any) string {
	return mintRaw(toJSON(header), toJSON(claims), key)
}

// esToken is a good ES256 token with changed claims.
func esToken(changes ...map[string]any) string {
	return mint(map[string]any{"alg": "ES256", "typ": "JWT", "kid": "ec"}, testClaims(changes...), testKeys().ec)
}

func hsToken(changes ...map[string]any) string {
	return mint(map[string]any{"alg": "HS256", "typ": "JWT"}, testClaims(changes...), testKeys().secret)
}

// jwkOf writes a public key as a JWK.
func jwkOf(k Key) map[string]any {
	jwk := map[string]any{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
	switch p := k.Public.(type) {
	case *ecdsa.PublicKey:
		raw, err := p.Bytes()
		if err != nil {
			panic(err)
		}
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", b64(raw[1:33]), b64(raw[33:])
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(p.N.Bytes()), b64(big.NewInt(int64(p.E)).Bytes())
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64(p)
	}
	return jwk
}

func jwksOf(keys ...Key) []byte {
	list := []any{}
	for _, k := range keys {
		list = append(list, jwkOf(k))
	}
	return toJSON(map[string]any{"keys": list})
}

// fakeClock is a clock that tests move.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFakeClock() *fakeClock { return &fakeClock{now: testNow()} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
