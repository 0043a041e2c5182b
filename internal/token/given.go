package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-auth/cardea/internal/auth"
)

// givenJWK holds the members of a JWK (RFC 7517 §4) that say what it is for.
type givenJWK struct {
	Type      string   `json:"kty"`
	Algorithm string   `json:"alg"`
	ID        string   `json:"kid"`
	Use       string   `json:"use"`
	KeyOps    []string `json:"key_ops"`
	Curve     string   `json:"crv"`
}

// parseGiven reads the JWK set of the configuration and checks, for each key:
//
//   - type, curve and algorithm go together and are ones that we use
//   - RSA has 2048 bits or more, a secret 32 bytes or more
//   - kids are unique, and a symmetric key has one (others get their RFC 7638 thumbprint)
//   - exactly one key is to sign ("sign" in key_ops); it has a private part, which belongs
//     to its public part: a signature is made and checked
//
// Of keys that only verify, a private part is thrown away. The error names every problem,
// and no key material.
func parseGiven(text []byte) ([]*key, error) {
	raws, err := splitSet(text)
	if err != nil {
		return nil, err
	}
	var keys []*key
	var problems []error
	seen := map[string]bool{}
	signing := 0
	for i, raw := range raws {
		k, signs, err := parseGivenKey(raw)
		if signs {
			signing++
		}
		if err == nil && seen[k.row.ID] {
			err = fmt.Errorf("kid %q is there twice", k.row.ID)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		seen[k.row.ID] = true
		keys = append(keys, k)
	}
	switch {
	case signing == 0:
		problems = append(problems, errors.New(`no key is to sign: exactly one needs "sign" in its key_ops`))
	case signing > 1:
		problems = append(problems, fmt.Errorf(`%d keys are to sign: exactly one may have "sign" in its key_ops`, signing))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("token: given JWT keys: %w", err)
	}
	return keys, nil
}

func splitSet(text []byte) ([]json.RawMessage, error) {
	var raws []json.RawMessage
	var err error
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("{")) {
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		err = json.Unmarshal(trimmed, &set)
		raws = set.Keys
	} else {
		err = json.Unmarshal(trimmed, &raws)
	}
	if err != nil { // the decoder's own text may quote key material
		return nil, errors.New(`token: given JWT keys: not a JSON array of JWKs, nor an object with the member "keys"`)
	}
	if len(raws) == 0 {
		return nil, errors.New("token: given JWT keys: the set is empty")
	}
	return raws, nil
}

func parseGivenKey(raw json.RawMessage) (k *key, signs bool, err error) {
	var about givenJWK
	if err := json.Unmarshal(raw, &about); err != nil {
		return nil, false, errors.New("not a JWK object")
	}
	signs = slices.Contains(about.KeyOps, "sign")
	algorithm, err := about.algorithm()
	if err != nil {
		return nil, signs, err
	}
	if about.Use != "" && about.Use != "sig" {
		return nil, signs, fmt.Errorf(`use %q: must be "sig"`, about.Use)
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(raw); err != nil { // its text may quote key material
		return nil, signs, fmt.Errorf("kid %q: a member of the key is missing or wrong", about.ID)
	}
	row := auth.SigningKey{ID: about.ID, Use: auth.KeyUseAccess, Algorithm: algorithm, Status: auth.KeyPrevious}
	if row.ID == "" {
		if row.ID, err = thumbprint(&parsed, algorithm); err != nil {
			return nil, signs, err
		}
	}
	if len(row.ID) > maxKeyID {
		return nil, signs, fmt.Errorf("kid of %d bytes: at most %d", len(row.ID), maxKeyID)
	}
	if !signs {
		k, err = verifyOnly(row, parsed.Key)
		return k, false, err
	}
	row.Status = auth.KeyCurrent
	if publicOf(parsed.Key) == nil {
		return nil, true, fmt.Errorf("kid %q is to sign, but its private part is missing", row.ID)
	}
	if k, err = newKey(row, parsed.Key); err != nil {
		return nil, true, err
	}
	return k, true, k.finish(k.selfTest())
}

// algorithm is the alg member, or what the type of the key leaves no choice about.
func (j *givenJWK) algorithm() (string, error) {
	fits := map[string]string{"EC P-256": ES256, "RSA ": RS256, "OKP Ed25519": EdDSA, "oct ": HS256}
	curve := j.Curve
	if j.Type == "RSA" || j.Type == "oct" {
		curve = ""
	}
	algorithm, ok := fits[j.Type+" "+curve]
	switch {
	case !ok:
		return "", fmt.Errorf("kty %q with crv %q: use EC P-256, RSA, OKP Ed25519 or oct", j.Type, j.Curve)
	case j.Algorithm != "" && j.Algorithm != algorithm:
		return "", fmt.Errorf("alg %q: a key of type %s is used with %s", j.Algorithm, j.Type, algorithm)
	}
	return algorithm, nil
}

// thumbprint is the kid of a key that has none (RFC 7638). A secret must not get one: the
// kid is public, and a hash of a weak secret invites guessing.
func thumbprint(k *jose.JSONWebKey, algorithm string) (string, error) {
	if algorithm == HS256 {
		return "", errors.New("a symmetric key needs a kid")
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errors.New("the key has no thumbprint: give it a kid")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// verifyOnly makes a key without its private part.
func verifyOnly(row auth.SigningKey, material any) (*key, error) {
	if public := publicOf(material); public != nil {
		material = public
	}
	if err := checkPublic(row.Algorithm, material); err != nil {
		return nil, fmt.Errorf("kid %q: %w", row.ID, err)
	}
	k := &key{row: row, public: material}
	if row.Algorithm == HS256 {
		return k, nil
	}
	var err error
	if k.jwk, err = publicJWK(row.ID, row.Algorithm, material); err != nil {
		return nil, err
	}
	return k, k.finish(nil)
}

// finish completes the row of a given key for lists.
func (k *key) finish(err error) error {
	if err == nil && k.jwk != nil {
		k.row.PublicJWK, err = json.Marshal(k.jwk)
	}
	return err
}

// selfTest proves that the private part belongs to the public part that is published:
// otherwise every token would be refused, and Ed25519 with a foreign public half would
// leak the private one with each signature.
func (k *key) selfTest() error {
	mismatch := fmt.Errorf("kid %q: the private part does not belong to the public part", k.row.ID)
	if private, ok := k.private.(ed25519.PrivateKey); ok {
		if !ed25519.NewKeyFromSeed(private.Seed()).Equal(private) {
			return mismatch
		}
	}
	message := []byte("cardea self test")
	signed, err := signature(k.private, message)
	if err != nil {
		return fmt.Errorf("kid %q can't sign: %w", k.row.ID, err)
	}
	if !verifies(k.public, message, signed) {
		return mismatch
	}
	return nil
}

func verifies(public any, message, signed []byte) bool {
	digest := sha256.Sum256(message)
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(signed[:32]), new(big.Int).SetBytes(signed[32:])
		return ecdsa.Verify(p, digest[:], r, s)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, digest[:], signed) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(p, message, signed)
	case []byte:
		mac := hmac.New(sha256.New, p)
		mac.Write(message)
		return hmac.Equal(mac.Sum(nil), signed)
	}
	return false
}
