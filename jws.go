package cardea

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// The algorithms of this package. There is no "none", and the size of a key and its
// curve belong to the name.
const (
	algES256 = "ES256"
	algRS256 = "RS256"
	algEdDSA = "EdDSA"
	algHS256 = "HS256"
	algHS512 = "HS512"
)

// maxKeyID bounds a kid: it is looked up in a map and may appear in a log.
const maxKeyID = 128

// compactJWS is a token that has the right shape; nothing in it is proven yet.
type compactJWS struct {
	signed    string // header.payload as sent: the bytes under the signature
	algorithm string
	keyID     string // "" when the header has no kid
	atJWT     bool   // typ is at+jwt
	payload   []byte // decoded
	claims    object // the payload's members
	signature []byte
}

// parseJWS takes a compact JWS (RFC 7515 §7.1) apart and checks, in this order: three
// non-empty parts, their encoding, the header, the type, the algorithm, the key id,
// the payload.
func parseJWS(token string) (*compactJWS, *Error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || header == "" || payload == "" || signature == "" || strings.IndexByte(signature, '.') >= 0 {
		return nil, NewError(CodeTokenStructure, nil)
	}
	raw := []byte(token)
	head, err := decodePart(raw[:len(header)])
	if err != nil {
		return nil, NewError(CodeBase64, err)
	}
	// The payload has memory of its own: it lives on in the Principal, and with the
	// signature beside it the cache would hold usable tokens.
	body, err := decodePart(raw[len(header)+1 : len(header)+1+len(payload)])
	if err != nil {
		return nil, NewError(CodeBase64, err)
	}
	sig, err := decodePart(raw[len(token)-len(signature):])
	if err != nil {
		return nil, NewError(CodeBase64, err)
	}
	t := &compactJWS{signed: token[:len(header)+1+len(payload)], payload: body, signature: sig}
	if failure := t.readHeader(head); failure != nil {
		return nil, failure
	}
	if t.claims, err = parseObject(body, 20); err != nil {
		return nil, NewError(CodeTokenPayload, err)
	}
	return t, nil
}

var errNotBase64 = errors.New("not base64url without padding")

// decodePart is strict: base64url only, no padding, no stray bits in the last character
// and no line breaks, which Go's decoder skips. Otherwise one signed token could be
// spelled in many ways, and a denylist by hash would miss all but one (RFC 7515 §2,
// RFC 4648 §3.5).
func decodePart(part []byte) ([]byte, error) {
	if bytes.IndexByte(part, '\n') >= 0 || bytes.IndexByte(part, '\r') >= 0 {
		return nil, errNotBase64
	}
	decoded := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
	n, err := base64.RawURLEncoding.Strict().Decode(decoded, part)
	if err != nil {
		return nil, errNotBase64
	}
	return decoded[:n:n], nil
}

// readHeader checks the protected header.
func (t *compactJWS) readHeader(raw []byte) *Error {
	header, err := parseObject(raw, 4)
	if err != nil {
		return NewError(CodeTokenHeader, err)
	}
	for _, m := range header {
		if failure := checkHeaderMember(m); failure != nil {
			return failure
		}
	}
	if typ, err := header.str("typ"); err != nil {
		return NewError(CodeTokenHeader, err)
	} else if header.has("typ") {
		// Media types are compared without case, and "application/" may be left out
		// (RFC 7515 §4.1.9, RFC 9068 §2.1).
		typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
		t.atJWT = typ == "at+jwt"
		if !t.atJWT && typ != "jwt" {
			return NewError(CodeTokenType, nil)
		}
	}
	if t.algorithm, err = header.str("alg"); err != nil || t.algorithm == "" {
		return NewError(CodeTokenHeader, errors.New("alg is missing or no string"))
	}
	switch t.algorithm {
	case algES256, algRS256, algEdDSA, algHS256, algHS512:
	default:
		if strings.EqualFold(t.algorithm, "none") {
			return NewError(CodeAlgorithmNotAllowed, nil)
		}
		return NewError(CodeAlgorithmUnsupported, nil)
	}
	if t.keyID, err = header.str("kid"); err != nil || (header.has("kid") && !validKeyID(t.keyID)) {
		return NewError(CodeKeyIDInvalid, err)
	}
	return nil
}

// symmetric says whether an algorithm works with a shared secret.
func symmetric(alg string) bool { return alg == algHS256 || alg == algHS512 }

// checkHeaderMember refuses what would let the sender of a token choose how it is
// verified. crit and b64 change the rules (RFC 7515 §4.1.11, RFC 7797); jku, x5u, jwk
// and x5c bring their own key (RFC 8725 §3.10); cty announces a token inside the token.
// Lists and objects have no use in the header of an access token.
func checkHeaderMember(m member) *Error {
	switch string(m.name) {
	case "crit", "b64", "jku", "x5u", "jwk", "x5c", "cty":
		return NewError(CodeHeaderUnsupported, nil)
	}
	switch c := m.value[0]; {
	case c == '{' || c == '[':
		return NewError(CodeHeaderUnsupported, nil)
	case c == '-' || (c >= '0' && c <= '9'):
		if _, err := strconv.ParseFloat(string(m.value), 64); err != nil {
			return NewError(CodeTokenHeader, err)
		}
	}
	return nil
}

// validKeyID says whether a kid can be one. A kid is data: this package only compares
// it. What has no place in one (control characters, blanks, "..", backslashes) is
// refused all the same, for the day when a KeySource makes a path or a query of it.
func validKeyID(kid string) bool {
	if kid == "" || len(kid) > maxKeyID || strings.Contains(kid, "..") {
		return false
	}
	for i := range len(kid) {
		if c := kid[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '\'' {
			return false
		}
	}
	return true
}
