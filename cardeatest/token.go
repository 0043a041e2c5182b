package cardeatest

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"

	"github.com/cardea-auth/cardea"
)

// maxTokens bounds the memory for signed tokens.
const maxTokens = 10_000

// Token gives an access token for the user, signed with the current key (ES256). The
// same user at the same time gets the same token, and it is signed once.
func (i *Issuer) Token(u User) string {
	i.must()
	i.tb.Helper()
	payload := i.marshal(i.claims(u))
	i.mu.Lock()
	defer i.mu.Unlock()
	token, ok := i.tokens[string(payload)]
	if !ok {
		key := i.keys[0]
		token = i.sign(map[string]any{"alg": "ES256", "kid": key.id, "typ": "JWT"}, payload, key.private)
		if len(i.tokens) >= maxTokens {
			clear(i.tokens)
		}
		i.tokens[string(payload)] = token
	}
	return token
}

// Principal gives the Principal that a Verifier would make of the user's token, for tests
// of code behind the guards. It fails the test if the token would be refused.
//
// It takes some microseconds, because the token behind it is authenticated with a secret
// of this Issuer in place of a signature; token and secret are known to nobody else, and
// all the rest is the real Verifier.
func (i *Issuer) Principal(u User) *cardea.Principal {
	i.must()
	i.tb.Helper()
	signed := b64(i.marshal(map[string]any{"alg": "HS256", "typ": "JWT"})) + "." + b64(i.marshal(i.claims(u)))
	p, err := i.trusted.Verify(context.Background(), signed+"."+b64(hmacSHA256(i.secret, signed)))
	if err != nil {
		i.tb.Fatalf("cardeatest: no Principal for this user: %v", err)
	}
	return p
}

// Context gives a context as a guard hands it to its handler: with the user's Principal.
func (i *Issuer) Context(ctx context.Context, u User) context.Context {
	i.must()
	i.tb.Helper()
	return cardea.WithPrincipal(ctx, i.Principal(u))
}

// Request makes a request with the user's token, for a handler with its guards. The url
// may be a path.
func (i *Issuer) Request(method, url string, u User) *http.Request {
	i.must()
	i.tb.Helper()
	return i.WithUser(httptest.NewRequestWithContext(i.tb.Context(), method, url, nil), u)
}

// WithUser sends r with the user's token in place of what it had. It returns r.
func (i *Issuer) WithUser(r *http.Request, u User) *http.Request {
	i.must()
	i.tb.Helper()
	return WithToken(r, i.Token(u))
}

// WithToken sends r with that token, such as one of [Issuer.BadTokens]. It returns r.
func WithToken(r *http.Request, token string) *http.Request {
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// sign makes a compact JWS (RFC 7515 §3.1). key is an *ecdsa.PrivateKey, a []byte for
// HS256, or nil for no signature.
func (i *Issuer) sign(header map[string]any, payload []byte, key any) string {
	i.tb.Helper()
	signed := b64(i.marshal(header)) + "." + b64(payload)
	var signature []byte
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
		if err != nil {
			i.tb.Fatalf("cardeatest: %v", err)
		}
		signature = make([]byte, 64) // RFC 7518 §3.4: r and s, 32 bytes each
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	case []byte:
		signature = hmacSHA256(k, signed)
	}
	return signed + "." + b64(signature)
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func (i *Issuer) marshal(v map[string]any) []byte {
	i.tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		i.tb.Fatalf("cardeatest: claims: %v", err)
	}
	return b
}
