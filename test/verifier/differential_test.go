package verifier

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/cardea-auth/cardea"
)

// joseVerify decides with go-jose: parser, keys, signature and claims are all of other
// hands than golang-jwt's, which package cardea uses.
func joseVerify(token string) (josejwt.Claims, error) {
	parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA, jose.HS256})
	if err != nil {
		return josejwt.Claims{}, err
	}
	key := keyFor(parsed.Headers[0].Algorithm, parsed.Headers[0].KeyID)
	if key == nil {
		return josejwt.Claims{}, errors.New("no key")
	}
	var claims josejwt.Claims
	if err := parsed.Claims(key, &claims); err != nil {
		return josejwt.Claims{}, err
	}
	// The leeway of go-jose holds for exp too; ours does not.
	if claims.Expiry == nil || !claims.Expiry.Time().After(testNow()) {
		return josejwt.Claims{}, josejwt.ErrExpired
	}
	return claims, claims.ValidateWithLeeway(josejwt.Expected{
		Issuer: testIssuer, AnyAudience: josejwt.Audience{testAudience}, Time: testNow(),
	}, 30*time.Second)
}

// stricter are the codes with which a token may be refused that go-jose accepts, each
// with the reason. None of them is about keys and signatures: there the two agree.
func stricter() map[cardea.Code]string {
	return map[cardea.Code]string{
		cardea.CodeBase64:            "line breaks and stray bits, which the decoder of the standard library skips (RFC 7515 §2, RFC 4648 §3.5)",
		cardea.CodeTokenHeader:       "two members of one name: go-jose takes the last",
		cardea.CodeHeaderUnsupported: "jku, jwk, x5c, b64 and lists that go-jose ignores or checks later",
		cardea.CodeKeyIDInvalid:      "a kid of odd characters",
		cardea.CodeTokenPayload:      "two members of one name (RFC 7519 §4)",
		cardea.CodeTokenType:         "typ, or the shape of an ID token",
		cardea.CodeIssuedAtMissing:   "no iat",
		cardea.CodeLifetime:          "more than 24 h",
		cardea.CodeSubject:           "no sub",
		cardea.CodeClaim:             "claims that josejwt.Claims does not have",
	}
}

// tally counts how the two decided.
type tally struct {
	both, neither int
	stricter      map[cardea.Code]int
}

func (n *tally) decide(t *testing.T, v *cardea.Verifier, token string) {
	t.Helper()
	p, err := v.Verify(t.Context(), token)
	theirs, theirErr := joseVerify(token)
	switch {
	case err == nil && theirErr != nil:
		t.Errorf("go-jose refuses what we accept: %v\n%s", theirErr, token)
	case err == nil:
		n.both++
		if theirs.Subject != p.Subject || theirs.Issuer != p.Issuer || !slices.Equal([]string(theirs.Audience), p.Audience) ||
			theirs.Expiry.Time().Unix() != p.ExpiresAt.Unix() || theirs.IssuedAt.Time().Unix() != p.IssuedAt.Unix() || theirs.ID != p.TokenID {
			t.Errorf("two readings of one token:\n%+v\n%+v", theirs, p)
		}
	case theirErr == nil:
		code := cardea.CodeOf(err)
		n.stricter[code]++
		if stricter()[code] == "" {
			t.Errorf("go-jose accepts what we refuse with %s\n%s", code, token)
		}
	default:
		n.neither++
	}
}

func newTally() *tally { return &tally{stricter: map[cardea.Code]int{}} }

// TestAgainstGoJOSEBytes changes, leaves out and doubles each byte of a good token.
func TestAgainstGoJOSEBytes(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	for _, alg := range []string{"ES256", "RS256", "EdDSA", "HS256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			key, kid := testKeys().signer(alg)
			good := mint(headerOf(alg, kid), claimsAt(testNow(), object{"user_metadata": absent, "amr": absent, "app_metadata": absent}), key)
			n := newTally()
			n.decide(t, v, good)
			if n.both != 1 {
				t.Fatal("the token that is to be broken is refused")
			}
			for i := range good {
				for _, with := range []string{"", good[i:i+1] + good[i:i+1], "A", "=", ".", "\n", string("AB"[i%2]) + good[i:i+1]} {
					n.decide(t, v, good[:i]+with+good[i+1:])
				}
				n.decide(t, v, good[:i])
			}
			if n.neither < 5*len(good) {
				t.Errorf("only %d of %d×8 broken tokens are refused by both", n.neither, len(good))
			}
			t.Logf("accepted %d, refused by both %d, by us alone %v", n.both, n.neither, n.stricter)
		})
	}
}

// TestAgainstGoJOSE signs tokens with all kinds of members, good and bad, and adds the
// attacks of TestRFC8725.
func TestAgainstGoJOSE(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	now := testNow().Unix()
	headers := map[string][]any{
		"typ": {"at+jwt", "JWT", absent, "logout+jwt", 1}, "kid": {"ec", "rsa", absent, "x", "", 7}, "alg": {"ES256", "RS256", "none", "HS256", absent},
		"crit": {[]any{"exp"}, []any{}}, "jku": {"https://evil.test"}, "b64": {true, false}, "x": {1, "y", nil, []any{}}, "jwk": {jwkOf(ecKey("ec")), "x"},
	}
	claims := map[string][]any{
		"iss": {testIssuer, otherIssuer, absent, nil, "", 1}, "sub": {"u", "", nil, absent, 1, "a\x00"},
		"aud": {testAudience, []any{"x", testAudience}, []any{}, "x", absent, nil, 1},
		"exp": {now + 1, now, now - 1, float64(now) + 0.5, now + 7200, 1e300, "x", absent, nil, now + 90000, -1},
		"iat": {now, now + 29, now + 31, absent, nil, "x", now - 90000}, "nbf": {now, now + 29, now + 31, nil, "x"},
		"nonce": {"n", nil}, "jti": {"j", 1, nil}, "role": {"admin", 1, nil}, "is_anonymous": {true, "true"},
	}
	r := rand.New(rand.NewPCG(8725, 7519)) // the same tokens every time
	pick := func(from map[string][]any, times int) object {
		o := object{}
		names := slices.Sorted(maps.Keys(from))
		for range times {
			name := names[r.IntN(len(names))]
			o[name] = from[name][r.IntN(len(from[name]))]
		}
		return o
	}
	n := newTally()
	for range 6000 {
		alg := []string{"ES256", "RS256", "EdDSA", "HS256"}[r.IntN(4)]
		if alg == "RS256" && r.IntN(10) > 0 {
			alg = "HS256" // signing with RSA takes long
		}
		key, kid := testKeys().signer(alg)
		n.decide(t, v, mint(change(headerOf(alg, kid), pick(headers, r.IntN(2))), testClaims(pick(claims, r.IntN(3))), key))
	}
	if n.both < 500 || n.neither < 500 {
		t.Errorf("%+v: the tokens are too much alike", n)
	}
	for _, list := range [][]attack{
		algorithmAttacks(t), signatureAttacks(), encryptionAttacks(t), encodingAttacks(), substitutionAttacks(),
		confusionAttacks(), lookupAttacks(), formatAttacks(t), valueAttacks(),
	} {
		for _, a := range list {
			n.decide(t, v, a.token)
		}
	}
	for code := range stricter() {
		if n.stricter[code] == 0 {
			t.Errorf("go-jose refuses whatever we refuse with %s: remove it from the list", code)
		}
	}
	t.Logf("accepted %d, refused by both %d, by us alone %v", n.both, n.neither, n.stricter)
}
