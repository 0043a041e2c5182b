package verifier

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
)

// jwsGroup is a key with JWS that were made for it.
type jwsGroup struct {
	Comment string          `json:"comment"`
	Public  json.RawMessage `json:"public"`
	Private json.RawMessage `json:"private"`
	Tests   []struct {
		ID      int             `json:"tcId"`
		Comment string          `json:"comment"`
		JWS     json.RawMessage `json:"jws"`
		Result  string          `json:"result"`
	} `json:"tests"`
}

// wycheproofJWK is a key of any kind as the vectors write it.
type wycheproofJWK struct {
	Kty, Crv, Alg, Use, Kid, K, X, Y, D, N, E, P, Q string
}

// stricterOrLaxer lists the vectors where this package decides otherwise, each with the
// reason. The key is file/number.
func stricterOrLaxer() map[string]string {
	const (
		junk  = "labelled valid for decoders that skip characters outside of the alphabet; RFC 7515 §2 knows none, so the token is refused"
		lost  = "the padding that this vector is about is missing in the file: it is the same token as the valid vector 357"
		empty = "a JWS without payload is valid, but it is no JWT: the token is refused"
		roca  = "weak keys of one smart card vendor (CVE-2017-15361) are not searched for; who vouches for the key set is trusted to make good keys"
	)
	return map[string]string{
		"json_web_signature_test.json/259": empty,
		"json_web_signature_test.json/367": lost,
		"json_web_signature_test.json/370": lost,
		"json_web_signature_test.json/372": junk,
		"json_web_signature_test.json/373": junk,
		"json_web_key_test.json/4":         "two keys of one kid (RFC 7517 §4.5: SHOULD be distinct) are both tried, four at most: rotations at careless issuers must not lock users out",
		"json_web_key_test.json/7":         roca,
	}
}

// TestWycheproofJWS runs every JWS and JWK vector. Their payloads are words such as
// "foo", which no JWT verifier accepts, so each vector is decided in two steps that
// together are the whole path:
//
//   - as it is, through Verify: it is refused in any case; what Wycheproof calls valid
//     may fail at nothing but its payload, after all checks of structure and header;
//   - what got that far: its signature, with the key that its kid and alg choose, and
//     a proper JWT with the very same header and key through Verify.
func TestWycheproofJWS(t *testing.T) {
	t.Parallel()
	reasons := stricterOrLaxer()
	for name, least := range map[string]int{"json_web_signature_test.json": 400, "json_web_key_test.json": 26} {
		var file struct {
			Groups []jwsGroup `json:"testGroups"`
		}
		loadVectors(t, name, &file)
		run, accepted, foreign := 0, 0, 0
		for _, g := range file.Groups {
			bench := newJWSBench(t, &g)
			for _, v := range g.Tests {
				run++
				id := fmt.Sprintf("%s/%d", name, v.ID)
				token := string(v.JWS)
				var compact string
				if json.Unmarshal(v.JWS, &compact) == nil {
					token = compact
				}
				got := bench.decide(t, id, token)
				want := v.Result == "valid"
				if want && bench.foreign(token) {
					foreign++ // an algorithm that this package does not know: refused, whatever the vector says
					want = false
				}
				if got == want {
					if got {
						accepted++
					}
					continue
				}
				if reasons[id] == "" {
					t.Errorf("%s (%s, %s): accepted %v, want %v", id, g.Comment, v.Comment, got, want)
				}
				delete(reasons, id)
			}
		}
		if run < least || accepted == 0 {
			t.Errorf("%s: %d vectors, %d accepted: the test proves nothing", name, run, accepted)
		}
		t.Logf("%s: %d vectors, %d accepted, %d valid ones of algorithms we do not know", name, run, accepted, foreign)
	}
	for id, reason := range reasons {
		t.Errorf("%s is decided as Wycheproof wants it: remove it from the list (%s)", id, reason)
	}
}

// TestWycheproofJWE: an encrypted token is refused by its structure, in either
// serialisation, before anything in it is looked at.
func TestWycheproofJWE(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	run := 0
	for _, name := range []string{"json_web_encryption_test.json", "json_web_crypto_test.json"} {
		var file struct {
			Groups []struct {
				Tests []struct {
					ID  int             `json:"tcId"`
					JWE json.RawMessage `json:"jwe"`
				} `json:"tests"`
			} `json:"testGroups"`
		}
		loadVectors(t, name, &file)
		for _, g := range file.Groups {
			for _, tc := range g.Tests {
				if tc.JWE == nil {
					continue
				}
				run++
				token := string(tc.JWE)
				var compact string
				if json.Unmarshal(tc.JWE, &compact) == nil {
					token = compact
				}
				p, err := v.Verify(t.Context(), token)
				if code := cardea.CodeOf(err); p != nil || code == "" || cardea.NewError(code, nil).HTTPStatus() != 401 {
					t.Errorf("%s/%d: %v", name, tc.ID, err)
				}
			}
		}
	}
	if run < 50 {
		t.Errorf("only %d vectors: the test proves nothing", run)
	}
	t.Logf("%d vectors", run)
}

// jwsBench verifies with the keys of one group.
type jwsBench struct {
	verifier *cardea.Verifier
	keys     []cardea.Key
	signers  map[string]any // by kid
}

func newJWSBench(t *testing.T, g *jwsGroup) *jwsBench {
	t.Helper()
	public, private := readKeys(t, g.Public), readKeys(t, g.Private)
	if len(public) == 0 {
		public = private // symmetric keys
	}
	b := &jwsBench{signers: map[string]any{}}
	symmetric := true
	for _, k := range public {
		symmetric = symmetric && k.Kty == "oct"
	}
	if symmetric {
		// A declared secret. This package takes none out of a key document.
		for _, k := range public {
			key := cardea.Key{ID: k.Kid, Algorithm: k.Alg, Public: k.secret(t)}
			if _, err := cardea.StaticKeys(key); err != nil {
				continue
			}
			b.keys = append(b.keys, key)
			b.signers[k.Kid] = k.secret(t)
			if k.Alg == "HS512" {
				b.signers[k.Kid] = secret512(k.secret(t))
			}
		}
	} else {
		document := g.Public
		if document == nil {
			document = g.Private
		}
		if !strings.Contains(string(document), `"keys"`) {
			document = []byte(`{"keys":[` + string(document) + `]}`)
		}
		keys, err := cardea.ParseJWKS(document)
		if err != nil {
			t.Fatal(err)
		}
		b.keys = keys
		for _, k := range private {
			if signer := k.signer(t); signer != nil {
				b.signers[k.Kid] = signer
			}
		}
	}
	b.verifier = mustVerifier(t, cardea.Config{Now: testNow, CacheTTL: -1, MaxTokenSize: 64 << 10, Issuers: []cardea.Issuer{{
		URL: testIssuer, Audiences: []string{testAudience}, Keys: mustStatic(t, b.keys...),
		Algorithms: known(),
	}}})
	return b
}

// foreign says whether a header names an algorithm that is none of ours.
func (b *jwsBench) foreign(token string) bool {
	h, ok := readHeader(token)
	return ok && !slices.Contains(known(), h.Alg)
}

// known are the algorithms of package cardea.
func known() []string { return []string{"ES256", "RS256", "EdDSA", "HS256", "HS512"} }

type jwsHeader struct{ Alg, Kid string }

func readHeader(token string) (h jwsHeader, ok bool) {
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	return h, err == nil && json.Unmarshal(raw, &h) == nil
}

// decide says whether the vector is accepted.
func (b *jwsBench) decide(t *testing.T, id, token string) bool {
	t.Helper()
	p, err := b.verifier.Verify(t.Context(), token)
	switch {
	case p != nil || err == nil:
		t.Fatalf("%s: a token without claims was accepted", id)
	case cardea.CodeOf(err) != cardea.CodeTokenPayload:
		return false // structure, encoding or header
	}
	parts := strings.Split(token, ".")
	header, ok := readHeader(token)
	sig, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if !ok || err != nil {
		t.Fatalf("%s: got past the header: %v", id, err)
	}
	signed := parts[0] + "." + parts[1]
	good := false
	var signer any
	for _, k := range b.keys {
		if k.ID == header.Kid && k.Algorithm == header.Alg {
			signer = b.signers[k.ID]
			good = good || verifySignature(k, signed, sig) == nil
		}
	}
	if signer == nil {
		signer = []byte("whatever: no key is chosen, so no signature helps")
	}
	// The same header and key with claims: the public function agrees with what was
	// chosen above.
	carried := parts[0] + "." + b64(toJSON(testClaims()))
	_, err = b.verifier.Verify(t.Context(), carried+"."+b64(sign(carried, signer)))
	if good && err != nil {
		t.Errorf("%s: the header or the key is refused: %v", id, err)
	}
	if _, err = b.verifier.Verify(t.Context(), carried+"."+parts[2]); err == nil {
		t.Errorf("%s: the signature of another payload was accepted", id)
	}
	return good
}

func readKeys(t *testing.T, raw json.RawMessage) []wycheproofJWK {
	t.Helper()
	if raw == nil {
		return nil
	}
	var set struct{ Keys []wycheproofJWK }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		set.Keys = make([]wycheproofJWK, 1)
		if err := json.Unmarshal(raw, &set.Keys[0]); err != nil {
			t.Fatal(err)
		}
	}
	return set.Keys
}

func (k *wycheproofJWK) secret(t *testing.T) []byte { return decodeB64(t, k.K) }

func decodeB64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signer gives a private key that this package has an algorithm for; nil for others.
func (k *wycheproofJWK) signer(t *testing.T) any {
	t.Helper()
	number := func(s string) *big.Int { return new(big.Int).SetBytes(decodeB64(t, s)) }
	switch {
	case k.Kty == "EC" && k.Crv == "P-256":
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), decodeB64(t, k.D))
		if err != nil {
			return nil
		}
		return key
	case k.Kty == "RSA" && k.P != "" && k.N != "":
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}, D: number(k.D),
			Primes: []*big.Int{number(k.P), number(k.Q)},
		}
		if key.Validate() != nil {
			return nil
		}
		key.Precompute()
		return key
	}
	return nil
}
