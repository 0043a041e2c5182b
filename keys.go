package cardea

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Key is one verification key. Public is *ecdsa.PublicKey (P-256), *rsa.PublicKey (2048
// to 8192 bits), ed25519.PublicKey, or []byte for HMAC (32 bytes or more, 64 with HS512).
// Algorithm is ES256, RS256, EdDSA, HS256 or HS512, and is a property of the key: a token whose header says
// something else is refused.
type Key struct {
	ID, Algorithm string
	Public        any
}

// KeySource gives the keys for a kid; "" stands for a token without kid, and then all
// keys are wanted. For an unknown kid it gives an empty slice and a nil error. When the
// keys can't be had it gives an *[Error] with [CodeProviderUnreachable] or
// [CodeProviderError]; any other error counts as unreachable.
//
// Keys is called for every token that is not in the cache, by many goroutines at once.
// The result is not modified.
type KeySource interface {
	Keys(ctx context.Context, kid string) ([]Key, error)
}

// StaticKeys is a KeySource of fixed keys, for tests and for issuers whose keys come
// with the configuration. It refuses keys that could never verify a token.
func StaticKeys(keys ...Key) (KeySource, error) {
	for _, k := range keys {
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("cardea: key %q: %w", k.ID, err)
		}
	}
	return newKeySet(keys), nil
}

// keySet is an immutable set of keys.
type keySet struct {
	all  []Key
	byID map[string][]Key
}

func newKeySet(keys []Key) *keySet {
	s := &keySet{all: append([]Key(nil), keys...), byID: make(map[string][]Key, len(keys))}
	for _, k := range s.all {
		if k.ID != "" {
			s.byID[k.ID] = append(s.byID[k.ID], k)
		}
	}
	return s
}

func (s *keySet) find(kid string) []Key {
	if kid == "" {
		return s.all
	}
	return s.byID[kid]
}

// Keys implements KeySource.
func (s *keySet) Keys(_ context.Context, kid string) ([]Key, error) { return s.find(kid), nil }

const (
	minRSABits = 2048
	maxRSABits = 8192 // a larger modulus only makes verification slow

	// RFC 7518 §3.2: a secret is as long as the hash, or longer.
	minHMACSecret    = 32
	minHMACSecret512 = 64
)

// check says why the key can't verify tokens: the Go type, the curve and the size must
// be those of the algorithm. This is what stops algorithm confusion: the bytes of a
// public key are never an HMAC secret, because their type is not []byte.
func (k Key) check() error {
	switch k.Algorithm {
	case algES256:
		if p, ok := k.Public.(*ecdsa.PublicKey); !ok || p == nil || p.Curve != elliptic.P256() {
			return fmt.Errorf("ES256 needs a P-256 *ecdsa.PublicKey")
		}
	case algRS256:
		p, ok := k.Public.(*rsa.PublicKey)
		if !ok || p == nil || p.N == nil || p.N.BitLen() < minRSABits || p.N.BitLen() > maxRSABits || p.E < 3 || p.E&1 == 0 {
			return fmt.Errorf("RS256 needs an *rsa.PublicKey of %d to %d bits", minRSABits, maxRSABits)
		}
	case algEdDSA:
		if p, ok := k.Public.(ed25519.PublicKey); !ok || len(p) != ed25519.PublicKeySize {
			return fmt.Errorf("EdDSA needs an ed25519.PublicKey")
		}
	case algHS256:
		return k.checkSecret(minHMACSecret)
	case algHS512:
		return k.checkSecret(minHMACSecret512)
	default:
		return fmt.Errorf("unknown algorithm %q", k.Algorithm)
	}
	return nil
}

func (k Key) checkSecret(size int) error {
	if p, ok := k.Public.([]byte); !ok || len(p) < size {
		return fmt.Errorf("%s needs a secret of %d bytes or more", k.Algorithm, size)
	}
	return nil
}

// verify checks the signature. The caller has checked that the key is of the token's
// algorithm.
func (k Key) verify(signed string, signature []byte) error {
	switch k.Algorithm {
	case algES256:
		return jwt.SigningMethodES256.Verify(signed, signature, k.Public)
	case algRS256:
		return jwt.SigningMethodRS256.Verify(signed, signature, k.Public)
	case algEdDSA:
		return jwt.SigningMethodEdDSA.Verify(signed, signature, k.Public)
	case algHS256:
		return jwt.SigningMethodHS256.Verify(signed, signature, k.Public)
	case algHS512:
		return jwt.SigningMethodHS512.Verify(signed, signature, k.Public)
	}
	return fmt.Errorf("unknown algorithm %q", k.Algorithm)
}
