package token

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cardea-auth/cardea"
)

// typeExport says in the header that what is signed is no token: verifiers of tokens refuse
// it (RFC 8725 §3.11), whatever is in the document.
const typeExport = "cardea-export+jws"

// detachedHeader is the protected header of a detached signature.
type detachedHeader struct {
	Algorithm string `json:"alg"`
	ID        string `json:"kid,omitempty"`
	Type      string `json:"typ"`
}

// SignDetached signs a document with the key that signs access tokens: a compact JWS without
// its payload, "header..signature" (RFC 7515, appendix F). The payload is the document as it
// is, in base64url, as in every JWS.
func (r *Ring) SignDetached(document []byte) (string, error) {
	s := r.at(r.config.Now()).access
	if s == nil {
		return "", errors.New("token: no signing key")
	}
	raw, err := json.Marshal(detachedHeader{s.algorithm, s.kid, typeExport})
	if err != nil {
		return "", fmt.Errorf("token: header: %w", err)
	}
	header := base64.RawURLEncoding.EncodeToString(raw)
	signed, err := signature(s.private, []byte(header+"."+base64.RawURLEncoding.EncodeToString(document)))
	if err != nil {
		return "", fmt.Errorf("token: sign with key %q: %w", s.kid, err)
	}
	return header + ".." + base64.RawURLEncoding.EncodeToString(signed), nil
}

// VerifyDetached checks a signature of [Ring.SignDetached] with a key set (RFC 7517 §5). What
// it verifies:
//
//   - the header is one of ours: its type, and nothing in it that we don't know;
//   - the key set has the key, and the header's algorithm is the key's own;
//   - the signature is that of this document, byte by byte.
//
// It does not tell whether the key was revoked since: a key set that no longer has the key
// does.
func VerifyDetached(jws string, document, jwks []byte) (kid string, err error) {
	head, rest, found := strings.Cut(jws, "..")
	if !found {
		return "", errors.New("the signature has not the form header..signature")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(head)
	if err != nil {
		return "", errors.New("the header of the signature is not base64url")
	}
	var h map[string]string
	if json.Unmarshal(raw, &h) != nil || h["typ"] != typeExport || len(h) != 3 || h["kid"] == "" {
		return "", errors.New("the header of the signature is none of an export")
	}
	signed, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil {
		return "", errors.New("the signature is not base64url")
	}
	keys, err := cardea.ParseJWKS(jwks)
	if err != nil {
		return "", fmt.Errorf("the key set: %w", err)
	}
	for _, k := range keys {
		if k.ID != h["kid"] {
			continue
		}
		_, symmetric := k.Public.([]byte)
		_, long := k.Public.(*rsa.PublicKey)
		if symmetric || k.Algorithm != h["alg"] || !long && len(signed) != 64 { // R and S, or Ed25519's
			return "", errors.New("the key is not one of this algorithm")
		}
		if !verifies(k.Public, []byte(head+"."+base64.RawURLEncoding.EncodeToString(document)), signed) {
			return "", errors.New("the signature is not that of this document")
		}
		return k.ID, nil
	}
	return "", fmt.Errorf("the key set has no key %q", h["kid"])
}
