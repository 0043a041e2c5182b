package verifier

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// TestNothingIsFetched: no URL out of a token is asked for anything (§2.9, §3.10).
func TestNothingIsFetched(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = w.Write(jwksOf(stranger()))
	}))
	t.Cleanup(evil.Close)
	r := newRemote(t, serving(jwksOf(ecKey("ec"))))
	r.want(t, "ec", "")
	now := r.clock.Now()
	for name, token := range map[string]string{
		"jku":                     mint(esHeader(object{"jku": evil.URL}), claimsAt(now), testKeys().ec2),
		"x5u":                     mint(esHeader(object{"x5u": evil.URL}), claimsAt(now), testKeys().ec2),
		"iss":                     mint(esHeader(), claimsAt(now, object{"iss": evil.URL}), testKeys().ec2),
		"kid":                     mint(esHeader(object{"kid": evil.URL}), claimsAt(now), testKeys().ec2),
		"_claims":                 mint(esHeader(), claimsAt(now, object{"_claim_sources": object{"a": object{"endpoint": evil.URL}}}), testKeys().ec2),
		"jku beside the good key": mint(esHeader(object{"jku": evil.URL}), claimsAt(now), testKeys().ec),
	} {
		if p, err := r.Verify(t.Context(), token); p != nil || err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests to an address out of a token", hits.Load())
	}
}

// TestWeakKeys: keys that are too weak, broken or published with their private half
// verify nothing, wherever they come from (§2.2, §3.4, §3.5; A6.5).
func TestWeakKeys(t *testing.T) {
	t.Parallel()
	weak := map[string]cardea.Key{
		"no secret":              {Algorithm: "HS256", Public: []byte{}},
		"a password":             {Algorithm: "HS256", Public: []byte("correct horse battery staple")},
		"31 bytes":               {Algorithm: "HS256", Public: make([]byte, 31)},
		"a string as secret":     {Algorithm: "HS256", Public: strings.Repeat("s", 40)},
		"RSA of 1024 bits":       {Algorithm: "RS256", Public: weak1024()},
		"a public key as secret": {Algorithm: "HS256", Public: &testKeys().rsa.PublicKey},
		"an EC key for RS256":    {Algorithm: "RS256", Public: &testKeys().ec.PublicKey},
		"another curve":          {Algorithm: "ES256", Public: otherCurve()},
		"half an Ed25519 key":    {Algorithm: "EdDSA", Public: edPublic()[:16]},
		"no algorithm":           {Public: &testKeys().ec.PublicKey},
		"none":                   {Algorithm: "none", Public: []byte(strings.Repeat("s", 40))},
		"a private key":          {Algorithm: "ES256", Public: testKeys().ec},
	}
	for name, k := range weak {
		if _, err := cardea.StaticKeys(k); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, secret := range [][]byte{{}, []byte("secret"), make([]byte, 31)} {
		c := testConfig(t)
		c.Issuers[0].HMACSecret = secret
		if _, err := cardea.NewVerifier(c); err == nil && len(secret) > 0 {
			t.Errorf("a secret of %d bytes is accepted", len(secret))
		}
	}
	good := jwkOf(ecKey("ec"))
	for name, jwk := range map[string]object{
		"a secret":                  {"kty": "oct", "k": b64(testKeys().secret), "alg": "HS256", "kid": "ec"},
		"with its private half":     change(jwkOf(ecKey("ec")), object{"d": b64(make([]byte, 32))}),
		"for encryption":            change(jwkOf(ecKey("ec")), object{"use": "enc"}),
		"not for verifying":         change(jwkOf(ecKey("ec")), object{"key_ops": []any{"sign"}}),
		"of another algorithm":      change(jwkOf(ecKey("ec")), object{"alg": "HS256"}),
		"off the curve":             change(jwkOf(ecKey("ec")), object{"y": b64(bytes.Repeat([]byte{1}, 32))}),
		"the point at infinity":     change(jwkOf(ecKey("ec")), object{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}),
		"a short coordinate":        change(jwkOf(ecKey("ec")), object{"x": b64(make([]byte, 31))}),
		"another curve":             change(jwkOf(ecKey("ec")), object{"crv": "P-384"}),
		"RSA of 1024 bits":          jwkOf(cardea.Key{ID: "ec", Algorithm: "RS256", Public: weak1024()}),
		"RSA with exponent 1":       {"kty": "RSA", "n": b64(testKeys().rsa.N.Bytes()), "e": "AQ", "kid": "ec"},
		"RSA with an even exponent": {"kty": "RSA", "n": b64(testKeys().rsa.N.Bytes()), "e": "Ag", "kid": "ec"},
		"RSA of 16384 bits":         {"kty": "RSA", "n": b64(bytes.Repeat([]byte{255}, 2048)), "e": "AQAB", "kid": "ec"},
	} {
		keys, err := cardea.ParseJWKS(toJSON(object{"keys": []any{jwk}}))
		if err != nil || len(keys) != 0 {
			t.Errorf("%s: %v, %d keys", name, err, len(keys))
		}
	}
	if keys, err := cardea.ParseJWKS(toJSON(object{"keys": []any{good}})); err != nil || len(keys) != 1 {
		t.Errorf("the key that the bad ones are made of: %v, %d keys", err, len(keys))
	}
}

// TestAttacksAreCheap: what an attacker can send costs little (§2.10, §2.12), whatever fills the
// largest token. BenchmarkRefused in package cardea has the figures.
func TestAttacksAreCheap(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	names := strings.Builder{}
	for i := range 860 {
		names.WriteString(`,"` + strconv.FormatInt(int64(i), 36) + `":1`)
	}
	for name, token := range map[string]string{
		"names":  mintRaw(toJSON(esHeader()), []byte("{"+names.String()[1:]+"}"), testKeys().ec),
		"depth":  mintRaw(toJSON(esHeader()), []byte(strings.Repeat("[", 5900)), testKeys().ec),
		"depth2": mintRaw(toJSON(esHeader()), []byte(`{"a":`+strings.Repeat("[", 2900)+strings.Repeat("]", 2900)+"}"), testKeys().ec),
		"zeros":  mintRaw(toJSON(esHeader()), []byte(`{"exp":`+strings.Repeat("9", 5000)+"}"), testKeys().ec),
		"escape": mintRaw(toJSON(esHeader()), []byte(`{"iss":"`+strings.Repeat(`\u0061`, 900)+`"}`), testKeys().ec),
		"dots":   strings.Repeat(".", 8192),
	} {
		if len(token) > 8192 {
			t.Fatalf("%s: not the attack that it should be: %d bytes", name, len(token))
		}
		// Much more than it takes, for slow machines; quadratic time is longer. On a busy
		// one somebody else's time counts too, hence the best of several.
		const limit, times = 20 * time.Millisecond, 5
		best := time.Duration(math.MaxInt64)
		for try := 0; try < 20 && best > limit; try++ {
			start := time.Now()
			for range times {
				if _, err := v.Verify(t.Context(), token); err == nil {
					t.Fatalf("%s: accepted", name)
				}
			}
			best = min(best, time.Since(start)/times)
		}
		if best > limit {
			t.Errorf("%s: %s each", name, best)
		}
	}
}

// weak1024 is a modulus that only has the size of one.
func weak1024() *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), 1023)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
}

func otherCurve() *ecdsa.PublicKey {
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &k.PublicKey
}
