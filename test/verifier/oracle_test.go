package verifier

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cardea-auth/cardea"
)

// oracle is golang-jwt with the part of the policy of testConfig that it knows. It is
// laxer than package cardea everywhere, so whatever passes there must pass here, with the
// same claims.
func oracle(token string) (jwt.MapClaims, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256", "RS256", "EdDSA", "HS256"}), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
		jwt.WithIssuer(testIssuer), jwt.WithAudience(testAudience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second), jwt.WithTimeFunc(testNow))
	claims := jwt.MapClaims{}
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key := keyFor(t.Method.Alg(), kid); key != nil {
			return key, nil
		}
		return nil, jwt.ErrTokenUnverifiable
	})
	return claims, err
}

// keyFor gives the one key that may have signed a token of that header, nil for none.
func keyFor(alg, kid string) any {
	if alg == "HS256" && kid == "" {
		return testKeys().secret
	}
	for _, k := range testKeys().public() {
		if k.ID == kid && k.Algorithm == alg {
			return k.Public
		}
	}
	return nil
}

// facts are what a token says, found with nothing of package cardea.
type facts struct {
	token          string
	parts          []string
	canonical      bool // every part is what its bytes are encoded to
	header, claims map[string]json.RawMessage
	headerOK       bool // one object in UTF-8, no name twice
	claimsOK       bool
}

func examine(token string) facts {
	f := facts{token: token, parts: strings.Split(token, "."), canonical: true}
	var raw [3][]byte
	for i, p := range f.parts {
		b, err := base64.RawURLEncoding.DecodeString(p)
		f.canonical = f.canonical && err == nil && b64(b) == p
		if i < 3 {
			raw[i] = b
		}
	}
	f.header, f.headerOK = uniqueObject(raw[0])
	f.claims, f.claimsOK = uniqueObject(raw[1])
	return f
}

// uniqueObject reads an object token by token, so that it sees a name twice.
func uniqueObject(raw []byte) (map[string]json.RawMessage, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if first, err := d.Token(); err != nil || first != json.Delim('{') || !utf8.Valid(raw) {
		return nil, false
	}
	m := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		text, ok := name.(string)
		if _, twice := m[text]; err != nil || !ok || twice || strings.ContainsRune(text, utf8.RuneError) {
			return m, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return m, false
		}
		m[text] = value
	}
	if _, err := d.Token(); err != nil {
		return m, false
	}
	_, err := d.Token()
	return m, errors.Is(err, io.EOF)
}

// text gives a member that is a string without anything odd in it.
func text(m map[string]json.RawMessage, name string) (string, bool) {
	var s *string
	if json.Unmarshal(m[name], &s) != nil || s == nil || strings.ContainsRune(*s, utf8.RuneError) {
		return "", false
	}
	return *s, true
}

func missing(m map[string]json.RawMessage, name string) bool {
	return m[name] == nil || string(m[name]) == "null"
}

// seconds gives a date as golang-jwt would; ok is false for anything that is none.
func seconds(m map[string]json.RawMessage, name string) (at float64, ok bool) {
	var n *float64
	if json.Unmarshal(m[name], &n) != nil || n == nil || *n < 0 || *n > 253402300799 {
		return 0, false
	}
	return *n, true
}

func plainKeyID(kid string) bool {
	return kid != "" && len(kid) <= 128 && !strings.Contains(kid, "..") &&
		!strings.ContainsFunc(kid, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`\"'`, r) })
}

// extensions are the names that no header may have.
func extensions() []string { return []string{"crit", "b64", "jku", "x5u", "jwk", "x5c", "cty"} }

func (f facts) extended() bool {
	for name, value := range f.header {
		if slices.Contains(extensions(), name) || value[0] == '{' || value[0] == '[' {
			return true
		}
	}
	return false
}

// accessType says whether typ is absent or one of an access token.
func (f facts) accessType() bool {
	typ, ok := text(f.header, "typ")
	return missing(f.header, "typ") || (ok && slices.Contains([]string{"jwt", "at+jwt"}, strings.TrimPrefix(strings.ToLower(typ), "application/")))
}

// otherKind says whether the claims are those of another kind of token.
func (f facts) otherKind() bool {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
		if !missing(f.claims, name) {
			return true
		}
	}
	typ, _ := text(f.claims, "typ")
	use, _ := text(f.claims, "token_use")
	return (!missing(f.claims, "token_use") && use != "access") || slices.Contains([]string{"id", "refresh", "offline", "logout"}, strings.ToLower(typ))
}

func (f facts) ourAudience() bool {
	var one string
	var list []string
	if json.Unmarshal(f.claims["aud"], &one) == nil && !missing(f.claims, "aud") {
		return one == testAudience
	}
	return json.Unmarshal(f.claims["aud"], &list) == nil && slices.Contains(list, testAudience)
}

func badSubject(sub string) bool {
	return sub == "" || strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// objection is the part of the policy that golang-jwt does not know: "" when a token that
// it accepts is one that may pass.
func (f facts) objection() string {
	iat, iatOK := seconds(f.claims, "iat")
	exp, expOK := seconds(f.claims, "exp")
	nbf, nbfOK := seconds(f.claims, "nbf")
	sub, subOK := text(f.claims, "sub")
	kid, kidOK := text(f.header, "kid")
	now := float64(testNow().Unix())
	switch {
	case len(f.token) > 8192 || len(f.parts) != 3 || !f.canonical:
		return "structure"
	case !f.headerOK || f.extended() || !f.accessType():
		return "header"
	case f.header["kid"] != nil && string(f.header["kid"]) != "null" && (!kidOK || !plainKeyID(kid)):
		return "kid"
	case !f.claimsOK || f.otherKind():
		return "claims"
	case !subOK || badSubject(sub):
		return "sub"
	case !iatOK || !expOK || (!nbfOK && !missing(f.claims, "nbf")):
		return "a date is none"
	// Whole seconds: a fraction is cut off.
	case now >= float64(int64(exp)) || float64(int64(exp))-float64(int64(iat)) > 24*3600 || iat > now+31 || nbf > now+31:
		return "time"
	}
	return ""
}

// justified says whether a refusal with that code has a reason in the token.
func (f facts) justified(code cardea.Code) bool {
	alg, algOK := text(f.header, "alg")
	kid, kidOK := text(f.header, "kid")
	now := float64(testNow().Unix())
	exp, expOK := seconds(f.claims, "exp")
	iat, iatOK := seconds(f.claims, "iat")
	nbf, nbfOK := seconds(f.claims, "nbf")
	switch code {
	case cardea.CodeTokenTooLarge:
		return len(f.token) > 8192
	case cardea.CodeTokenStructure:
		return len(f.parts) != 3 || slices.Contains(f.parts, "")
	case cardea.CodeBase64:
		return !f.canonical
	case cardea.CodeTokenHeader:
		_, typOK := text(f.header, "typ")
		return !f.headerOK || !algOK || alg == "" || (!missing(f.header, "typ") && !typOK) || oddNumber(f.header)
	case cardea.CodeHeaderUnsupported:
		return f.extended()
	case cardea.CodeTokenType:
		return !f.accessType() || f.otherKind()
	case cardea.CodeAlgorithmUnsupported:
		return !slices.Contains([]string{"ES256", "RS256", "EdDSA", "HS256"}, alg)
	case cardea.CodeAlgorithmNotAllowed:
		return strings.EqualFold(alg, "none")
	case cardea.CodeKeyIDInvalid:
		return !missing(f.header, "kid") && (!kidOK || !plainKeyID(kid))
	case cardea.CodeTokenPayload:
		return !f.claimsOK
	case cardea.CodeIssuerMissing:
		return missing(f.claims, "iss")
	case cardea.CodeIssuerInvalid:
		iss, _ := text(f.claims, "iss")
		return iss != testIssuer
	case cardea.CodeKeyIDMissing:
		return missing(f.header, "kid") && alg != "HS256"
	case cardea.CodeKeyNotFound, cardea.CodeKeyMismatch:
		return keyFor(alg, kid) == nil
	case cardea.CodeSignature:
		key := keyFor(alg, kid)
		sig, err := base64.RawURLEncoding.DecodeString(f.parts[2])
		return err != nil || (key != nil && jwt.GetSigningMethod(alg).Verify(f.parts[0]+"."+f.parts[1], sig, key) != nil)
	case cardea.CodeAudienceMissing:
		return missing(f.claims, "aud") || string(bytes.Join(bytes.Fields(f.claims["aud"]), nil)) == "[]"
	case cardea.CodeAudienceInvalid:
		return !f.ourAudience()
	case cardea.CodeExpirationMissing:
		return missing(f.claims, "exp")
	case cardea.CodeExpired:
		return expOK && float64(int64(exp)) <= now
	case cardea.CodeNotYetValid:
		return (iatOK && iat > now+30) || (nbfOK && nbf > now+30)
	case cardea.CodeIssuedAtMissing:
		return missing(f.claims, "iat")
	case cardea.CodeLifetime:
		return expOK && iatOK && exp-iat > 24*3600-1
	case cardea.CodeSubject:
		sub, ok := text(f.claims, "sub")
		return !ok || badSubject(sub)
	case cardea.CodeClaim:
		return f.oddClaim()
	}
	return false // no other code can come out of testConfig
}

// oddNumber: a number that no float64 holds.
func oddNumber(m map[string]json.RawMessage) bool {
	for _, value := range m {
		var n any
		if json.Unmarshal(value, &n) != nil {
			return true
		}
	}
	return false
}

// oddClaim: a claim that the package reads is not of the type that it should have.
func (f facts) oddClaim() bool {
	for _, name := range []string{"exp", "nbf", "iat", "auth_time"} {
		if _, ok := seconds(f.claims, name); !ok && !missing(f.claims, name) {
			return true
		}
	}
	for _, name := range []string{
		"email", "phone", "role", "session_id", "client_id", "aal", "jti", "tenant_id", "clinic_id", "tenant_role", "scope", "scp",
	} {
		if _, ok := text(f.claims, name); !ok && !missing(f.claims, name) {
			return true
		}
	}
	var meta map[string]json.RawMessage
	if json.Unmarshal(f.claims["app_metadata"], &meta) == nil {
		for name, value := range meta {
			if _, ok := text(meta, name); !ok && string(value) != "null" && !slices.Contains([]string{"roles", "permissions"}, name) {
				return true
			}
		}
	}
	var amr []json.RawMessage
	switch anonymous := string(f.claims["is_anonymous"]); {
	case !missing(f.claims, "is_anonymous") && anonymous != "true" && anonymous != "false":
		return true
	case !missing(f.claims, "amr") && json.Unmarshal(f.claims["amr"], &amr) != nil:
		return true
	}
	for _, entry := range amr {
		var method string
		o, ok := uniqueObject(entry)
		_, atOK := seconds(o, "timestamp")
		_, methodOK := text(o, "method")
		if json.Unmarshal(entry, &method) == nil && !strings.ContainsRune(method, utf8.RuneError) && string(entry) != "null" {
			continue
		}
		if !ok || (!missing(o, "timestamp") && !atOK) || (!missing(o, "method") && !methodOK) {
			return true
		}
	}
	return false
}
