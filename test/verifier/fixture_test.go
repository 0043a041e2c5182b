package verifier

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
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cardea-auth/cardea"
)

const (
	testIssuer   = "https://auth.test/auth/v1"
	testAudience = "authenticated"
)

// testNow is the fixed clock of the tests that have one.
func testNow() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

// keySet is the issuer's keys. They are never modified.
type keySet struct {
	ec, ec2 *ecdsa.PrivateKey // ec2 is the next key in rotations, and a stranger's elsewhere
	rsa     *rsa.PrivateKey
	ed      ed25519.PrivateKey
	secret  []byte
}

// testKeys are made once: an RSA key takes a while.
var testKeys = sync.OnceValue(func() *keySet {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	k := &keySet{secret: []byte("a secret for tests that is long enough, really")}
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

// public gives the keys that everybody may know.
func (k *keySet) public() []cardea.Key {
	return []cardea.Key{
		{ID: "ec", Algorithm: "ES256", Public: &k.ec.PublicKey},
		{ID: "rsa", Algorithm: "RS256", Public: &k.rsa.PublicKey},
		{ID: "ed", Algorithm: "EdDSA", Public: k.ed.Public()},
	}
}

// signer gives the private key that belongs to an algorithm, and its kid.
func (k *keySet) signer(alg string) (key any, kid string) {
	switch alg {
	case "RS256":
		return k.rsa, "rsa"
	case "EdDSA":
		return k.ed, "ed"
	case "HS256":
		return k.secret, ""
	}
	return k.ec, "ec"
}

func mustStatic(t testing.TB, keys ...cardea.Key) cardea.KeySource {
	t.Helper()
	s, err := cardea.StaticKeys(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustVerifier(t testing.TB, c cardea.Config) *cardea.Verifier {
	t.Helper()
	v, err := cardea.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testConfig trusts the public test keys and the secret; the cache is off, so that each
// call decides anew.
func testConfig(t testing.TB) cardea.Config {
	t.Helper()
	return cardea.Config{
		Issuers: []cardea.Issuer{{
			URL: testIssuer, Audiences: []string{testAudience},
			Keys: mustStatic(t, testKeys().public()...), HMACSecret: testKeys().secret,
		}},
		Now: testNow, CacheTTL: -1,
	}
}

// absent removes a member in a list of changes.
const absent = "\x00absent"

type object = map[string]any

func change(m object, changes ...object) object {
	for _, c := range changes {
		maps.Copy(m, c)
	}
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == absent })
	return m
}

// claimsAt are those of a good access token of realistic size.
func claimsAt(now time.Time, changes ...object) object {
	at := now.Unix()
	return change(object{
		"iss": testIssuer, "aud": testAudience, "sub": "7d1f0f5a-0000-7000-8000-000000000001",
		"iat": at - 60, "exp": at + 3600, "role": "authenticated", "email": "a@example.com", "phone": "",
		"session_id": "s-1", "aal": "aal1", "is_anonymous": false,
		"amr":           []any{object{"method": "password", "timestamp": at - 60}},
		"app_metadata":  object{"provider": "email", "roles": []any{"doctor"}},
		"user_metadata": object{"name": "Ada"},
	}, changes...)
}

func testClaims(changes ...object) object { return claimsAt(testNow(), changes...) }

func esHeader(changes ...object) object {
	return change(object{"alg": "ES256", "typ": "JWT", "kid": "ec"}, changes...)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// secret512 is a secret for HS512.
type secret512 []byte

// sign signs by the algorithm of the key's own kind, whatever a header says.
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
	case secret512:
		m, key = jwt.SigningMethodHS512, []byte(k)
	default:
		panic(fmt.Sprintf("no key: %T", key))
	}
	sig, err := m.Sign(signed, key)
	if err != nil {
		panic(err)
	}
	return sig
}

// mintRaw makes a token of exactly these bytes.
func mintRaw(header, payload []byte, key any) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(sign(signed, key))
}

func mint(header, claims object, key any) string { return mintRaw(toJSON(header), toJSON(claims), key) }

// esToken is a good ES256 token with changed claims.
func esToken(changes ...object) string {
	return mint(esHeader(), testClaims(changes...), testKeys().ec)
}

// jwkOf writes a public key as a JWK.
func jwkOf(k cardea.Key) object {
	jwk := object{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
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

func jwksOf(keys ...cardea.Key) []byte {
	list := []any{}
	for _, k := range keys {
		list = append(list, jwkOf(k))
	}
	return toJSON(object{"keys": list})
}

func ecKey(kid string) cardea.Key {
	return cardea.Key{ID: kid, Algorithm: "ES256", Public: &testKeys().ec.PublicKey}
}

// clock is one that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return testNow().Add(time.Duration(c.offset.Load())) }
func (c *clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

// keyServer is an issuer's JWKS address that tests break and repair.
type keyServer struct {
	*httptest.Server
	fetches atomic.Int64
	handler atomic.Pointer[http.HandlerFunc]
}

func newKeyServer(t testing.TB, h http.HandlerFunc) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.answer(h)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		(*s.handler.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) answer(h http.HandlerFunc) { s.handler.Store(&h) }

// serving answers with a document of keys.
func serving(document []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) }
}

func failing(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// remote is a verifier whose keys come from a key server, with a clock of its own. Its
// pauses between two tries take no time.
type remote struct {
	*cardea.Verifier
	server *keyServer
	clock  *clock
}

func newRemote(t testing.TB, h http.HandlerFunc, changes ...func(*cardea.Config)) remote {
	t.Helper()
	r := remote{server: newKeyServer(t, h), clock: &clock{}}
	c := cardea.Config{
		Issuers: []cardea.Issuer{{URL: testIssuer, Audiences: []string{testAudience}, JWKSURL: r.server.URL + "/jwks.json"}},
		Now:     r.clock.Now, CacheTTL: -1, HTTPClient: r.server.Client(),
		Sleep: func(context.Context, time.Duration) error { return nil },
	}
	for _, f := range changes {
		f(&c)
	}
	r.Verifier = mustVerifier(t, c)
	return r
}

// token is a good one at the clock's time, with a lifetime of an hour.
func (r remote) token(kid string, key *ecdsa.PrivateKey) string {
	now := r.clock.Now()
	return mint(object{"alg": "ES256", "kid": kid}, claimsAt(now, object{"iat": now.Unix()}), key)
}

// want fails the test unless a fresh token of that kid gives the code.
func (r remote) want(t testing.TB, kid string, want cardea.Code) {
	t.Helper()
	if _, err := r.Verify(t.Context(), r.token(kid, testKeys().ec)); cardea.CodeOf(err) != want {
		t.Fatalf("kid %s: got %v, want %q", kid, err, want)
	}
}

func (r remote) wantFetches(t testing.TB, want int64) {
	t.Helper()
	if got := r.server.fetches.Load(); got != want {
		t.Fatalf("%d fetches, want %d", got, want)
	}
}
