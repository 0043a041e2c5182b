package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
)

// roleSupabaseAdmin is a role that some deployments' own service tokens carry. We make no
// such tokens.
const roleSupabaseAdmin = "supabase_admin"

func apiKeyRoleName(role string) bool {
	return role == auth.RoleAnon || role == auth.RoleServiceRole || role == roleSupabaseAdmin
}

// personal recognises, without decoding JSON, the usual token of a person: it has the
// header of the key that signs sessions, and either that key signs nothing else or the
// payload opens as only [Ring.Issue] writes it, with a subject. Nothing is proven by it:
// such a token goes on to the verifier.
func (s *snapshot) personal(token string) bool {
	if s.access == nil {
		return false
	}
	header, rest, _ := strings.Cut(token, ".")
	if header != s.access.header {
		return false
	}
	if s.access != s.apiKey {
		return true
	}
	chars := (len(s.opening) + 2) / 3 * 4
	if len(rest) < chars {
		return false
	}
	var room [512]byte
	start, err := base64.RawURLEncoding.AppendDecode(room[:0], []byte(rest[:chars]))
	return err == nil && bytes.HasPrefix(start, s.opening)
}

// sessionOpening is how the payload of every access token of this issuer begins.
func sessionOpening(issuer string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(issuer); err != nil {
		return nil, fmt.Errorf("token: issuer: %w", err)
	}
	return fmt.Appendf(nil, `{"iss":%s,"sub":"`, bytes.TrimSpace(b.Bytes())), nil
}

// apiKeyRole checks a token that may be an API key. ok false without an error: it is none.
//
// A key that signs API keys alone decides by itself: whatever it signed is an API key or
// refused, so that a token with a subject under such a key, which only a leaked key or a
// mistake can produce, never gets to the code for sessions. For a key that signs sessions
// too, a token without subject and with one of the roles is an API key.
func (s *snapshot) apiKeyRole(token string, now time.Time) (role string, expires time.Time, ok bool, err error) {
	kid, algorithm, ok := jwtHeader(token)
	if !ok {
		return "", time.Time{}, false, nil
	}
	k, alone := s.apiKeys[kid]
	if !alone {
		if k, ok = s.shared[kid]; !ok {
			return "", time.Time{}, false, nil
		}
		if !looksLikeAPIKey(token) {
			return "", time.Time{}, false, nil
		}
	}
	if algorithm != k.Algorithm {
		return "", time.Time{}, false, errBadAPIToken(errors.New("signing method is invalid"))
	}
	claims, err := verifyAPIToken(token, k, now)
	if err != nil {
		return "", time.Time{}, false, errBadAPIToken(err)
	}
	role, _ = claims["role"].(string) // "" is no role
	if _, subject := claims["sub"]; subject || !apiKeyRoleName(role) {
		return "", time.Time{}, false, errBadAPIToken(errors.New("not an API key"))
	}
	if exp, err := claims.GetExpirationTime(); err == nil && exp != nil {
		expires = exp.Time
	}
	return role, expires, true, nil
}

// verifyAPIToken checks signature, algorithm, exp and nbf. Claims are matched by their
// exact names, which a struct with tags would not do.
func verifyAPIToken(token string, k cardea.Key, now time.Time) (jwt.MapClaims, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{k.Algorithm}),
		jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithStrictDecoding(),
	)
	claims := jwt.MapClaims{}
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // RFC 7515 §4.1.11: we understand none
			return nil, errors.New("critical header parameter")
		}
		return k.Public, nil
	})
	return claims, err
}

// jwtHeader reads what picks the key. Nothing is proven by it.
func jwtHeader(token string) (kid, algorithm string, ok bool) {
	encoded, _, _ := strings.Cut(token, ".")
	if len(encoded) > 1024 {
		return "", "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(raw, &header); err != nil {
		return "", "", false
	}
	if json.Unmarshal(header["alg"], &algorithm) != nil {
		return "", "", false
	}
	if _, has := header["kid"]; has && json.Unmarshal(header["kid"], &kid) != nil {
		return "", "", false
	}
	return kid, algorithm, true
}

// looksLikeAPIKey reads the payload before the signature is checked, only to leave
// sessions to their own verifier.
func looksLikeAPIKey(token string) bool {
	_, rest, _ := strings.Cut(token, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(raw, &claims); err != nil {
		return false
	}
	if _, subject := claims["sub"]; subject {
		return false
	}
	var role string
	return json.Unmarshal(claims["role"], &role) == nil && apiKeyRoleName(role)
}

// errBadAPIToken says it in GoTrue's words, which name the cause: the caller holds the
// token and can decode it anyway.
func errBadAPIToken(cause error) error {
	return &auth.Error{
		Code:    auth.CodeBadJWT,
		Message: fmt.Sprintf("invalid JWT: unable to parse or verify signature, %v", cause),
		Cause:   cause,
	}
}
