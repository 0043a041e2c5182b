package verifier

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	jwtmiddleware "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/jwks"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"

	"github.com/cardea-auth/cardea"
)

// TestPeers: the benchmarks compare programs that decide the same.
func TestPeers(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, p := range peers() {
		for _, alg := range benchAlgorithms() {
			middleware := p.make(t, alg)
			if middleware == nil {
				continue
			}
			tried++
			h := middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
			key, kid := testKeys().signer(alg)
			now := time.Now()
			good := tokenNow(alg, 0)
			for name, tc := range map[string]struct {
				token string
				want  int
			}{
				"good":         {good, http.StatusNoContent},
				"forged":       {good[:len(good)-8] + "AAAAAAAA", http.StatusUnauthorized},
				"expired":      {mint(headerOf(alg, kid), claimsAt(now, object{"exp": now.Unix() - 600}), key), http.StatusUnauthorized},
				"for others":   {mint(headerOf(alg, kid), claimsAt(now, object{"aud": "others"}), key), http.StatusUnauthorized},
				"other issuer": {mint(headerOf(alg, kid), claimsAt(now, object{"iss": otherIssuer}), key), http.StatusUnauthorized},
			} {
				w := &nothing{header: http.Header{}}
				if h.ServeHTTP(w, requestWith(t, tc.token)); w.status != tc.want {
					t.Errorf("%s, %s, %s: %d, want %d", p.name, alg, name, w.status, tc.want)
				}
			}
		}
	}
	if tried != 6*4-2 {
		t.Errorf("%d combinations", tried)
	}
}

// benchAlgorithms are those that all peers know, but for HS256 with keyfunc and go-oidc.
func benchAlgorithms() []string { return []string{"ES256", "RS256", "EdDSA", "HS256"} }

// peerClaims are what a service reads besides the registered claims. Every peer decodes
// them, because package cardea does.
type peerClaims struct {
	Email        string            `json:"email"`
	Phone        string            `json:"phone"`
	Role         string            `json:"role"`
	SessionID    string            `json:"session_id"`
	AAL          string            `json:"aal"`
	Anonymous    bool              `json:"is_anonymous"`
	AMR          []json.RawMessage `json:"amr"`
	AppMetadata  json.RawMessage   `json:"app_metadata"`
	UserMetadata json.RawMessage   `json:"user_metadata"`
}

// Validate is what auth0's middleware asks of custom claims.
func (c *peerClaims) Validate(context.Context) error {
	if c.Role == "" {
		return errors.New("no role")
	}
	return nil
}

type golangClaims struct {
	jwt.RegisteredClaims
	peerClaims
}

type peerKey struct{}

// middlewareOf does for a peer what it has no middleware for: header, context, refusal.
func middlewareOf(verify func(ctx context.Context, token string) (any, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			claims, err := verify(r.Context(), token)
			if err != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, claims)))
		})
	}
}

// peer makes a middleware that accepts tokens of one algorithm; nil when it does not know
// the algorithm. Each checks signature, iss, aud, exp and nbf; what else it checks is its
// own business.
type peer struct {
	name string
	make func(b testing.TB, alg string) func(http.Handler) http.Handler
}

func peers() []peer {
	return []peer{
		{"cardea", cardeaUncached}, {"golang-jwt", golangJWT}, {"keyfunc", keyfuncJWT},
		{"go-jose", goJOSE}, {"go-oidc", goOIDC}, {"auth0", auth0},
	}
}

func cardeaUncached(b testing.TB, _ string) func(http.Handler) http.Handler {
	c := testConfig(b)
	c.Now = nil // the real clock costs something too
	return mustVerifier(b, c).Require(cardea.Authenticated())
}

func golangJWT(_ testing.TB, alg string) func(http.Handler) http.Handler {
	return parsedBy(alg, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key := keyFor(t.Method.Alg(), kid); key != nil {
			return key, nil
		}
		return nil, jwt.ErrTokenUnverifiable
	})
}

func parsedBy(alg string, key jwt.Keyfunc) func(http.Handler) http.Handler {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(testIssuer), jwt.WithAudience(testAudience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	return middlewareOf(func(_ context.Context, token string) (any, error) {
		claims := &golangClaims{}
		_, err := parser.ParseWithClaims(token, claims, key)
		return claims, err
	})
}

// keyfuncJWT is golang-jwt with the key set of keyfunc.
func keyfuncJWT(b testing.TB, alg string) func(http.Handler) http.Handler {
	if alg == "HS256" {
		return nil // tokens need a kid
	}
	keys, err := keyfunc.NewJWKSetJSON(jwksOf(testKeys().public()...))
	if err != nil {
		b.Fatal(err)
	}
	return parsedBy(alg, keys.Keyfunc)
}

func goJOSE(_ testing.TB, alg string) func(http.Handler) http.Handler {
	algs := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)}
	return middlewareOf(func(_ context.Context, token string) (any, error) {
		parsed, err := josejwt.ParseSigned(token, algs)
		if err != nil {
			return nil, err
		}
		key := keyFor(parsed.Headers[0].Algorithm, parsed.Headers[0].KeyID)
		if key == nil {
			return nil, jwt.ErrTokenUnverifiable
		}
		var registered josejwt.Claims
		claims := &peerClaims{}
		if err := parsed.Claims(key, &registered, claims); err != nil {
			return nil, err
		}
		return claims, registered.ValidateWithLeeway(josejwt.Expected{Issuer: testIssuer, AnyAudience: josejwt.Audience{testAudience}, Time: time.Now()}, 0)
	})
}

func goOIDC(b testing.TB, alg string) func(http.Handler) http.Handler {
	if alg == "HS256" {
		return nil // public keys only
	}
	server := newKeyServer(b, serving(jwksOf(testKeys().public()...)))
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), server.Client()), server.URL)
	v := oidc.NewVerifier(testIssuer, keys, &oidc.Config{ClientID: testAudience, SupportedSigningAlgs: []string{alg}})
	return middlewareOf(func(ctx context.Context, token string) (any, error) {
		id, err := v.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		claims := &peerClaims{}
		return claims, id.Claims(claims)
	})
}

func auth0(b testing.TB, alg string) func(http.Handler) http.Handler {
	keyFunc := func(context.Context) (any, error) { return testKeys().secret, nil }
	if alg != "HS256" {
		server := newKeyServer(b, serving(jwksOf(testKeys().public()...)))
		address, err := url.Parse(server.URL)
		if err != nil {
			b.Fatal(err)
		}
		keyFunc = jwks.NewCachingProvider(address, time.Hour, jwks.WithCustomJWKSURI(address)).KeyFunc
	}
	v, err := validator.New(keyFunc, validator.SignatureAlgorithm(alg), testIssuer, []string{testAudience},
		validator.WithCustomClaims(func() validator.CustomClaims { return &peerClaims{} }))
	if err != nil {
		b.Fatal(err)
	}
	return jwtmiddleware.New(v.ValidateToken).CheckJWT
}

// rawVerify is the signature alone, of a token that is taken apart already: what no
// verifier can do without.
func rawVerify(b *testing.B, alg, token string) func() {
	dot := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	key := cardea.Key{Algorithm: alg, Public: keyFor(alg, kidOf(alg))}
	return func() {
		if err := verifySignature(key, token[:dot], sig); err != nil {
			b.Error(err)
		}
	}
}

func kidOf(alg string) string {
	_, kid := testKeys().signer(alg)
	return kid
}
