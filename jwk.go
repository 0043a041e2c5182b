package cardea

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// maxKeysInSet bounds the work that a key set can cause.
const maxKeysInSet = 100

// ParseJWKS reads a JWK Set (RFC 7517 §5) and gives its usable public keys: EC P-256,
// RSA from 2048 bits, Ed25519. Keys that are malformed, of another kind, not meant for
// signatures, symmetric, or private are left out without an error, as RFC 7517 §5 asks;
// a private key in a public document is known to everybody and proves nothing. Of more
// than 100 keys the rest is left out. The error says that the document itself is no
// key set.
func ParseJWKS(document []byte) ([]Key, error) {
	set, err := parseObject(document, 1)
	if err != nil {
		return nil, fmt.Errorf("cardea: key set: %w", err)
	}
	entries, err := scanList(set.get("keys"))
	if err != nil {
		return nil, fmt.Errorf("cardea: key set: keys: %w", err)
	}
	keys := make([]Key, 0, min(len(entries), maxKeysInSet))
	for _, entry := range entries[:min(len(entries), maxKeysInSet)] {
		if k, err := parseJWK(entry); err == nil {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

var errNotUsable = errors.New("not a usable public key")

// parseJWK reads one key out of a set, which is known to be valid JSON.
func parseJWK(raw []byte) (Key, error) {
	jwk, err := scanObject(raw, 8)
	if err != nil {
		return Key{}, err
	}
	// RFC 7518 §6.2.2, §6.3.2, §6.4: the members of private and symmetric keys.
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if jwk.has(private) {
			return Key{}, errNotUsable
		}
	}
	if err := checkKeyUse(jwk); err != nil {
		return Key{}, err
	}
	k := Key{}
	if k.ID, err = jwk.str("kid"); err != nil || (k.ID != "" && !validKeyID(k.ID)) {
		return Key{}, errNotUsable
	}
	kty, err := jwk.str("kty")
	if err != nil {
		return Key{}, err
	}
	switch kty {
	case "EC":
		k.Algorithm = algES256
		k.Public, err = parseEC(jwk)
	case "RSA":
		k.Algorithm = algRS256
		k.Public, err = parseRSA(jwk)
	case "OKP":
		k.Algorithm = algEdDSA
		k.Public, err = parseOKP(jwk)
	default:
		return Key{}, errNotUsable
	}
	if err != nil {
		return Key{}, err
	}
	if alg, err := jwk.str("alg"); err != nil || !algorithmMatches(alg, k.Algorithm) {
		return Key{}, errNotUsable
	}
	return k, k.check()
}

// algorithmMatches: a key that names an algorithm is used for no other (RFC 8725 §3.1).
// "Ed25519" is the newer name of EdDSA with that curve (RFC 9864 §2.2).
func algorithmMatches(named, ours string) bool {
	return named == "" || named == ours || (named == "Ed25519" && ours == algEdDSA)
}

// checkKeyUse: a key for encryption does not verify signatures (RFC 7517 §4.2, §4.3).
func checkKeyUse(jwk object) error {
	if use, err := jwk.str("use"); err != nil || (use != "" && use != "sig") {
		return errNotUsable
	}
	if raw := jwk.get("key_ops"); raw != nil {
		ops, err := decodeStrings(raw)
		if err != nil || !slices.Contains(ops, "verify") {
			return errNotUsable
		}
	}
	return nil
}

func parseEC(jwk object) (*ecdsa.PublicKey, error) {
	const size = 32 // RFC 7518 §6.2.1.2: coordinates have the full length of the field
	if crv, err := jwk.str("crv"); err != nil || crv != "P-256" {
		return nil, errNotUsable
	}
	x, err := jwk.bytes("x")
	if err != nil || len(x) != size {
		return nil, errNotUsable
	}
	y, err := jwk.bytes("y")
	if err != nil || len(y) != size {
		return nil, errNotUsable
	}
	// Refuses points that are not on the curve.
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
}

func parseRSA(jwk object) (*rsa.PublicKey, error) {
	n, err := jwk.bytes("n")
	if err != nil || len(n) > maxRSABits/8+1 {
		return nil, errNotUsable
	}
	e, err := jwk.bytes("e")
	if err != nil || len(e) == 0 || len(e) > 4 {
		return nil, errNotUsable
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	modulus := new(big.Int).SetBytes(n)
	if exponent > 1<<31-1 || modulus.Bit(0) == 0 {
		return nil, errNotUsable
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent)}, nil
}

func parseOKP(jwk object) (ed25519.PublicKey, error) {
	if crv, err := jwk.str("crv"); err != nil || crv != "Ed25519" {
		return nil, errNotUsable
	}
	x, err := jwk.bytes("x")
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, errNotUsable
	}
	return ed25519.PublicKey(x), nil
}

// bytes reads a base64url member.
func (o object) bytes(name string) ([]byte, error) {
	s, err := o.str(name)
	if err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}
