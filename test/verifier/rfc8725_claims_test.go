package verifier

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea"
)

// substitutionAttacks: a proper token, but of somebody else or for somebody else (§2.7,
// §3.8, §3.9).
func substitutionAttacks() []attack {
	claim := func(name string, value any) string { return esToken(object{name: value}) }
	other := func(claims object) string { return mint(esHeader(), testClaims(claims), testKeys().ec2) }
	list := []attack{
		{"2.7 3.8", "our iss, signed by another trusted issuer", other(nil), cardea.CodeSignature},
		{"2.7 3.8", "another trusted iss, signed by ours", claim("iss", otherIssuer), cardea.CodeSignature},
		{"2.7 3.8", "another trusted iss under a kid of ours", mint(headerOf("RS256", "rsa"), testClaims(object{"iss": otherIssuer}), testKeys().rsa), cardea.CodeKeyNotFound},
		{"2.7 3.8", "another trusted iss, under our secret", mint(headerOf("HS256", ""), testClaims(object{"iss": otherIssuer}), testKeys().secret), cardea.CodeAlgorithmNotAllowed},
		{"2.7 3.8", "iss missing", claim("iss", absent), cardea.CodeIssuerMissing},
		{"2.7 3.8", "sub missing", claim("sub", absent), cardea.CodeSubject},
		{"2.7 3.9", "aud missing", claim("aud", absent), cardea.CodeAudienceMissing},
		{"2.7 3.9", "aud null", claim("aud", nil), cardea.CodeAudienceMissing},
		{"2.7 3.9", "aud an empty list", claim("aud", []any{}), cardea.CodeAudienceMissing},
	}
	for name, iss := range map[string]any{
		"unknown": "https://evil.test", "with a slash": testIssuer + "/", "in capitals": strings.ToUpper(testIssuer), "empty": "",
		"with a blank": testIssuer + " ", "http": "http://auth.test/auth/v1", "with a port": "https://auth.test:443/auth/v1",
		"a longer host": "https://auth.test.evil.test/auth/v1", "with a user": "https://auth.test@evil.test/auth/v1",
		"a list": []any{testIssuer}, "a number": 1, "with a NUL": testIssuer + "\x00",
	} {
		want := cardea.CodeIssuerInvalid
		list = append(list, attack{"2.7 3.8", "iss " + name, claim("iss", iss), want})
	}
	for name, sub := range map[string]any{"empty": "", "null": nil, "a number": 1, "a list": []any{"admin"}, "an object": object{"a": 1}, "true": true} {
		list = append(list, attack{"2.7 3.8", "sub " + name, claim("sub", sub), cardea.CodeSubject})
	}
	for name, aud := range map[string]any{
		"of another service": "billing", "a longer word": testAudience + "2", "in capitals": strings.ToUpper(testAudience), "empty": "",
		"with a blank": testAudience + " ", "a pattern": "*", "others": []any{"a", "b"}, "in a string": "a " + testAudience, "a number": 1,
		"nested": []any{[]any{testAudience}}, "an object": object{testAudience: true},
	} {
		list = append(list, attack{"2.7 3.9", "aud " + name, claim("aud", aud), cardea.CodeAudienceInvalid})
	}
	return list
}

// confusionAttacks: another kind of JWT of the same issuer, under the same key (§2.8,
// §3.11, §3.12).
func confusionAttacks() []attack {
	claims := func(c object) string { return esToken(c) }
	list := []attack{
		{"2.8 3.12", "ID token: nonce", claims(object{"nonce": "n"}), cardea.CodeTokenType},
		{"2.8 3.12", "ID token: at_hash", claims(object{"at_hash": "x"}), cardea.CodeTokenType},
		{"2.8 3.12", "ID token: c_hash", claims(object{"c_hash": "x"}), cardea.CodeTokenType},
		{"2.8 3.12", "ID token of Cognito", claims(object{"token_use": "id"}), cardea.CodeTokenType},
		{"2.8 3.12", "ID token of Keycloak", claims(object{"typ": "ID"}), cardea.CodeTokenType},
		{"2.8 3.12", "refresh token of Keycloak", claims(object{"typ": "Refresh"}), cardea.CodeTokenType},
		{"2.8 3.12", "logout token", claims(object{"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}}}), cardea.CodeTokenType},
		{"2.8 3.12", "ID token for a client", claims(object{"aud": "some-client-id"}), cardea.CodeAudienceInvalid},
	}
	for _, typ := range []string{"id+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "client-authentication+jwt",
		"application/logout+jwt", "APPLICATION/SECEVENT+JWT", "application/application/jwt", "", "JOSE", "JOSE+JSON", "jwt ", "at+jwt+x", "text/jwt", "*"} {
		list = append(list, attack{"2.8 3.11", "typ " + strconv.Quote(typ), esWith(object{"typ": typ}), cardea.CodeTokenType})
	}
	return list
}

// lookupAttacks carry something that a careless server looks up or fetches (§2.9, §3.10).
func lookupAttacks() []attack {
	list := []attack{}
	for _, kid := range []string{
		"../../../../dev/null", "..\\..\\boot.ini", "/proc/sys/kernel/randomize_va_space/..", "ec' OR '1'='1", `ec" OR ""="`, "ec\x00", "ec\r\nX-Admin: 1", "ec\n", " ec", "ec ",
		"*)(uid=*))(|(uid=*", "\u202eec", "ëc", strings.Repeat("k", 129), strings.Repeat("k", 3000), "",
	} {
		name := kid
		if len(name) > 40 {
			name = strconv.Itoa(len(kid)) + " characters"
		}
		want := cardea.CodeKeyIDInvalid
		if kid == "*)(uid=*))(|(uid=*" {
			want = cardea.CodeKeyNotFound // printable, so it may be one; it is compared and nothing else
		}
		list = append(list, attack{"2.9 3.10", "kid " + strconv.Quote(name), esWith(object{"kid": kid}), want})
	}
	for name, kid := range map[string]any{"a number": 0, "a list": []any{"ec"}, "an object": object{"$ne": ""}, "true": true} {
		want := cardea.CodeKeyIDInvalid
		if _, scalar := kid.(object); scalar || name == "a list" {
			want = cardea.CodeHeaderUnsupported
		}
		list = append(list, attack{"2.9 3.10", "kid " + name, esWith(object{"kid": kid}), want})
	}
	for name, member := range map[string]object{
		"jwk": {"jwk": jwkOf(stranger())}, "x5c": {"x5c": []any{base64.StdEncoding.EncodeToString([]byte("certificate"))}},
		"jku": {"jku": "http://127.0.0.1:1/jwks.json"}, "x5u": {"x5u": "file:///etc/passwd"}, "jku of ours": {"jku": testIssuer + "/.well-known/jwks.json"},
		"crit with a name that is known": {"crit": []any{"alg"}}, "crit with one that is not": {"crit": []any{"https://evil.test/ext"}, "https://evil.test/ext": 1},
		"crit null": {"crit": nil}, "crit a string": {"crit": "exp"},
		"crit empty": {"crit": []any{}}, "b64 false": {"b64": false, "crit": []any{"b64"}}, "b64 true": {"b64": true},
	} {
		list = append(list, attack{"2.9 3.10", name, mint(esHeader(member), testClaims(), testKeys().ec2), cardea.CodeHeaderUnsupported})
	}
	for _, sub := range []string{"a\x00b", "a\nb", "a\r\nSet-Cookie: x", "\x1b[2J", "a\x7f"} {
		list = append(list, attack{"2.9 3.10", "sub " + strconv.Quote(sub), esToken(object{"sub": sub}), cardea.CodeSubject})
	}
	return list
}

// valueAttacks: claims of odd types and times (§3.10: claims are input).
func valueAttacks() []attack {
	now := testNow().Unix()
	claim := func(name string, value any) string { return esToken(object{name: value}) }
	list := []attack{
		{"3.10", "exp missing", claim("exp", absent), cardea.CodeExpirationMissing},
		{"3.10", "exp null", claim("exp", nil), cardea.CodeExpirationMissing},
		{"3.10", "exp now", claim("exp", now), cardea.CodeExpired},
		{"3.10", "exp zero", claim("exp", 0), cardea.CodeExpired},
		{"3.10", "exp in milliseconds", claim("exp", (now+3600)*1000), cardea.CodeClaim},
		{"3.10", "iat missing", claim("iat", absent), cardea.CodeIssuedAtMissing},
		{"3.10", "iat in an hour", claim("iat", now+3600), cardea.CodeNotYetValid},
		{"3.10", "nbf in an hour", claim("nbf", now+3600), cardea.CodeNotYetValid},
		{"3.10", "a year", claim("exp", now+365*24*3600), cardea.CodeLifetime},
		{"3.10", "a year, on its last day", esToken(object{"iat": now - 365*24*3600, "exp": now + 60}), cardea.CodeLifetime},
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		for kind, value := range map[string]any{"a string": "9999999999", "negative": -1, "a list": []any{now}, "an object": object{}, "true": true} {
			list = append(list, attack{"3.10", name + " " + kind, claim(name, value), cardea.CodeClaim})
		}
		list = append(list, attack{"3.10", name + " beyond every number", esRaw(`"`+name+`":1e400`, name), cardea.CodeClaim})
	}
	for _, name := range []string{"role", "email", "session_id", "aal"} {
		list = append(list, attack{"3.10", name + " a list", claim(name, []any{"service_role"}), cardea.CodeClaim})
	}
	return append(list, attack{"3.10", "is_anonymous a string", claim("is_anonymous", "true"), cardea.CodeClaim})
}
