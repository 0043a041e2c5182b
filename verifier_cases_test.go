package cardea

import (
	"strings"
)

// failureCase is a token and the one code it must be refused with.
type failureCase struct {
	name  string
	token string
	want  Code
}

func goodHeader() map[string]any { return map[string]any{"alg": "ES256", "typ": "JWT", "kid": "ec"} }

func withHeader(changes map[string]any) string {
	h := goodHeader()
	for k, v := range changes {
		if v == absent {
			delete(h, k)
			continue
		}
		h[k] = v
	}
	return mint(h, testClaims(), testKeys().ec)
}

func rawES(header, payload string) string {
	return mintRaw([]byte(header), []byte(payload), testKeys().ec)
}

func structureCases() []failureCase {
	good := esToken()
	parts := strings.Split(good, ".")
	head, body, sig := parts[0], parts[1], parts[2]
	return []failureCase{
		{"too large", strings.Repeat("a", 8193), CodeTokenTooLarge},
		{"1 MiB", strings.Repeat("a.", 1<<19), CodeTokenTooLarge},
		{"empty", "", CodeTokenStructure},
		{"one byte", "a", CodeTokenStructure},
		{"test-token", "test-token", CodeTokenStructure}, // A8.8
		{"two parts", head + "." + body, CodeTokenStructure},
		{"four parts", good + ".x", CodeTokenStructure},
		{"five parts, JWE", head + ".a.b.c." + sig, CodeTokenStructure},
		{"empty header", "." + body + "." + sig, CodeTokenStructure},
		{"empty payload", head + ".." + sig, CodeTokenStructure},
		{"empty signature", head + "." + body + ".", CodeTokenStructure},
		{"trailing dot", good + ".", CodeTokenStructure},
		{"padding", head + "=." + body + "." + sig, CodeBase64},
		{"line break", head + "." + body[:4] + "\n" + body[4:] + "." + sig, CodeBase64},
		{"carriage return", head + "." + body + "." + sig[:4] + "\r" + sig[4:], CodeBase64},
		{"blank", good + " ", CodeBase64},
		{"plus of the other alphabet", head + "." + body + ".+" + sig[1:], CodeBase64},
		{"slash of the other alphabet", head + "." + body + "./" + sig[1:], CodeBase64},
		{"NUL", head + "." + body + ".\x00" + sig[1:], CodeBase64},
		{"stray bits in the last character", head + "." + body + "." + strayBits(sig), CodeBase64},
		{"impossible length", head + "." + body + "." + sig + "abc", CodeBase64},
		{"not UTF-8", "\xff\xfe." + body + "." + sig, CodeBase64},
	}
}

// strayBits changes bits of the last character that decode to nothing: 64 bytes leave 4.
func strayBits(sig string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, sig[len(sig)-1])
	return sig[:len(sig)-1] + alphabet[last+1:last+2]
}

func headerCases() []failureCase {
	p := string(toJSON(testClaims()))
	return []failureCase{
		{"header is a list", rawES(`["ES256"]`, p), CodeTokenHeader},
		{"header is a string", rawES(`"ES256"`, p), CodeTokenHeader},
		{"header is null", rawES(`null`, p), CodeTokenHeader},
		{"header is not JSON", rawES(`{"alg":"ES256",}`, p), CodeTokenHeader},
		{"header with junk behind", rawES(`{"alg":"ES256","kid":"ec"}{}`, p), CodeTokenHeader},
		{"header not UTF-8", rawES("{\"alg\":\"ES256\",\"kid\":\"\xff\"}", p), CodeTokenHeader},
		{"alg twice", rawES(`{"alg":"ES256","kid":"ec","alg":"ES256"}`, p), CodeTokenHeader},
		{"alg twice, one with escapes", rawES(`{"alg":"ES256","kid":"ec","\u0061lg":"none"}`, p), CodeTokenHeader},
		{"kid twice", rawES(`{"alg":"ES256","kid":"x","kid":"ec"}`, p), CodeTokenHeader},
		{"name with a lone surrogate", rawES(`{"alg":"ES256","kid":"ec","\ud800":"x"}`, p), CodeTokenHeader},
		{"number too large", rawES(`{"alg":"ES256","kid":"ec","x":1e999}`, p), CodeTokenHeader},
		{"alg missing", withHeader(map[string]any{"alg": absent}), CodeTokenHeader},
		{"alg empty", withHeader(map[string]any{"alg": ""}), CodeTokenHeader},
		{"alg null", withHeader(map[string]any{"alg": nil}), CodeTokenHeader},
		{"alg a number", withHeader(map[string]any{"alg": 256}), CodeTokenHeader},
		{"Alg in capitals is another name", rawES(`{"Alg":"ES256","kid":"ec"}`, p), CodeTokenHeader},
		{"typ a number", withHeader(map[string]any{"typ": 1}), CodeTokenHeader},
		{"alg a list", withHeader(map[string]any{"alg": []string{"ES256"}}), CodeHeaderUnsupported},
		{"crit", withHeader(map[string]any{"crit": []string{"exp"}}), CodeHeaderUnsupported},
		{"crit null", withHeader(map[string]any{"crit": nil}), CodeHeaderUnsupported},
		{"b64", withHeader(map[string]any{"b64": false}), CodeHeaderUnsupported},
		{"jku", withHeader(map[string]any{"jku": "https://evil.test/jwks"}), CodeHeaderUnsupported},
		{"x5u", withHeader(map[string]any{"x5u": "https://evil.test/x"}), CodeHeaderUnsupported},
		{"jwk", withHeader(map[string]any{"jwk": jwkOf(testKeys().public()[0])}), CodeHeaderUnsupported},
		{"x5c", withHeader(map[string]any{"x5c": []string{"MII"}}), CodeHeaderUnsupported},
		{"cty", withHeader(map[string]any{"cty": "JWT"}), CodeHeaderUnsupported},
		{"typ of an ID token", withHeader(map[string]any{"typ": "id+jwt"}), CodeTokenType},
		{"typ of a logout token", withHeader(map[string]any{"typ": "logout+jwt"}), CodeTokenType},
		{"typ of a DPoP proof", withHeader(map[string]any{"typ": "dpop+jwt"}), CodeTokenType},
		{"typ empty", withHeader(map[string]any{"typ": ""}), CodeTokenType},
		{"alg none", withHeader(map[string]any{"alg": "none"}), CodeAlgorithmNotAllowed}, // A6.2
		{"alg None", withHeader(map[string]any{"alg": "NonE"}), CodeAlgorithmNotAllowed},
		{"alg es256", withHeader(map[string]any{"alg": "es256"}), CodeAlgorithmUnsupported},
		{"alg with a blank", withHeader(map[string]any{"alg": "ES256 "}), CodeAlgorithmUnsupported},
		{"alg ES384", withHeader(map[string]any{"alg": "ES384"}), CodeAlgorithmUnsupported},
		{"alg HS512", withHeader(map[string]any{"alg": "HS512"}), CodeAlgorithmNotAllowed},
		{"kid a number", withHeader(map[string]any{"kid": 1}), CodeKeyIDInvalid},
		{"kid empty", withHeader(map[string]any{"kid": ""}), CodeKeyIDInvalid},
		{"kid too long", withHeader(map[string]any{"kid": strings.Repeat("k", 129)}), CodeKeyIDInvalid},
		{"kid a path", withHeader(map[string]any{"kid": "../../dev/null"}), CodeKeyIDInvalid}, // A6.2
		{"kid an injection", withHeader(map[string]any{"kid": "x' OR '1'='1"}), CodeKeyIDInvalid},
		{"kid with NUL", withHeader(map[string]any{"kid": "ec\x00"}), CodeKeyIDInvalid},
		{"kid unknown", withHeader(map[string]any{"kid": "unknown"}), CodeKeyNotFound},           // A6.2
		{"kid missing, three keys", withHeader(map[string]any{"kid": absent}), CodeKeyIDMissing}, // A6.2
		{"kid of a key of another kind", withHeader(map[string]any{"kid": "rsa"}), CodeKeyMismatch},
		{"HS256 with the kid of a public key", withHeader(map[string]any{"alg": "HS256"}), CodeKeyMismatch},
	}
}

func payloadCases() []failureCase {
	const h = `{"alg":"ES256","kid":"ec"}`
	p := string(toJSON(testClaims()))
	c := func(name string, value any) string { return esToken(map[string]any{name: value}) }
	now := testNow().Unix()
	return []failureCase{
		{"payload is a list", rawES(h, `[]`), CodeTokenPayload},
		{"payload is not JSON", rawES(h, `{`), CodeTokenPayload},
		{"payload not UTF-8", rawES(h, "{\"sub\":\"\xc3\x28\"}"), CodeTokenPayload},
		{"payload with a byte order mark", rawES(h, "\ufeff"+p), CodeTokenPayload},
		{"sub twice", rawES(h, `{"sub":"admin",`+p[1:]), CodeTokenPayload},
		{"sub twice, escaped", rawES(h, `{"\u0073ub":"admin",`+p[1:]), CodeTokenPayload},
		{"twice among many names", rawES(h, `{"n0":1,`+manyNamesJSON(40)+`,`+p[1:]), CodeTokenPayload},
		{"iss missing", c("iss", absent), CodeIssuerMissing},
		{"iss null", c("iss", nil), CodeIssuerMissing},
		{"iss a list", c("iss", []string{testIssuer}), CodeIssuerInvalid},
		{"iss foreign", c("iss", "https://evil.test"), CodeIssuerInvalid},
		{"iss empty", c("iss", ""), CodeIssuerInvalid},
		{"iss with a slash more", c("iss", testIssuer+"/"), CodeIssuerInvalid},
		{"iss in capitals", c("iss", strings.ToUpper(testIssuer)), CodeIssuerInvalid},
		{"ISS in capitals is another name", esToken(map[string]any{"iss": absent, "ISS": testIssuer}), CodeIssuerMissing},
		{"aud missing", c("aud", absent), CodeAudienceMissing},
		{"aud null", c("aud", nil), CodeAudienceMissing},
		{"aud an empty list", c("aud", []string{}), CodeAudienceMissing},
		{"aud foreign", c("aud", "anon"), CodeAudienceInvalid},
		{"aud list of foreign ones", c("aud", []string{"a", "b"}), CodeAudienceInvalid},
		{"aud a number", c("aud", 1), CodeAudienceInvalid},
		{"aud list with a number", c("aud", []any{testAudience, 1}), CodeAudienceInvalid},
		{"aud in capitals", c("aud", "AUTHENTICATED"), CodeAudienceInvalid},
		{"aud with a lone surrogate", rawES(h, strings.Replace(p, `"aud":"`, `"aud":"\ud800`, 1)), CodeAudienceInvalid},
		{"exp missing", c("exp", absent), CodeExpirationMissing},
		{"exp null", c("exp", nil), CodeExpirationMissing},
		{"exp a string", c("exp", "1900000000"), CodeClaim},
		{"exp negative", c("exp", -5), CodeClaim},
		{"exp -0.5", c("exp", -0.5), CodeClaim},
		{"exp far out", c("exp", 1e300), CodeClaim},
		{"exp past", c("exp", now-1), CodeExpired},
		{"nbf a string", c("nbf", "1"), CodeClaim},
		{"nbf future", c("nbf", now+31), CodeNotYetValid},
		{"iat missing", c("iat", absent), CodeIssuedAtMissing},
		{"iat a bool", c("iat", true), CodeClaim},
		{"iat future", c("iat", now+31), CodeNotYetValid},
		{"lifetime of a year", esToken(map[string]any{"iat": now - 365*86400 + 3600, "exp": now + 3600}), CodeLifetime}, // A8.6
		{"sub missing", c("sub", absent), CodeSubject},
		{"sub empty", c("sub", ""), CodeSubject},
		{"sub null", c("sub", nil), CodeSubject},
		{"sub a number", c("sub", 1), CodeSubject},
		{"sub with NUL", c("sub", "a\x00b"), CodeSubject},
		{"sub with a lone surrogate", rawES(h, strings.Replace(p, `"sub":"`, `"sub":"\udfff`, 1)), CodeSubject},
		{"ID token: nonce", c("nonce", "n"), CodeTokenType},
		{"ID token: at_hash", c("at_hash", "x"), CodeTokenType},
		{"ID token: token_use", c("token_use", "id"), CodeTokenType},
		{"token_use a number", c("token_use", 1), CodeTokenType},
		{"ID token: typ claim", c("typ", "ID"), CodeTokenType},
		{"refresh token: typ claim", c("typ", "Refresh"), CodeTokenType},
		{"logout token: events", c("events", map[string]any{}), CodeTokenType},
		{"role a list", c("role", []string{"admin"}), CodeClaim},
		{"is_anonymous a string", c("is_anonymous", "true"), CodeClaim},
		{"amr an object", c("amr", map[string]any{}), CodeClaim},
		{"amr of numbers", c("amr", []any{1}), CodeClaim},
		{"amr with a null", c("amr", []any{nil}), CodeClaim},
		{"amr method a number", c("amr", []any{map[string]any{"method": 1}}), CodeClaim},
		{"amr time a string", c("amr", []any{map[string]any{"timestamp": "1"}}), CodeClaim},
		{"amr lone surrogate", rawES(h, strings.Replace(p, `"amr":[`, `"amr":["\ud800",`, 1)), CodeClaim},
	}
}

func manyNamesJSON(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"n` + string(rune('0'+i/10)) + string(rune('0'+i%10)) + `":1`)
	}
	return strings.Replace(b.String(), `"n39"`, `"n0"`, 1)
}

func signatureCases() []failureCase {
	good := esToken()
	i := strings.LastIndexByte(good, '.') + 1
	parts := strings.Split(good, ".")
	forged := b64(toJSON(testClaims(map[string]any{"sub": "somebody-else"})))
	return []failureCase{
		{"payload exchanged", parts[0] + "." + forged + "." + parts[2], CodeSignature}, // A8.1
		{"signature of zeros", good[:i] + b64(make([]byte, 64)), CodeSignature},        // CVE-2022-21449
		{"signature too short", good[:i] + b64(make([]byte, 63)), CodeSignature},
		{"signature in ASN.1 length", good[:i] + b64(make([]byte, 71)), CodeSignature},
		{"one byte", good[:i] + "AA", CodeSignature},
		{"another key, same kid", mint(goodHeader(), testClaims(), testKeys().ec2), CodeSignature},
		{"another secret", mint(map[string]any{"alg": "HS256"}, testClaims(), []byte(strings.Repeat("x", 32))), CodeSignature},
		{"empty secret", mint(map[string]any{"alg": "HS256"}, testClaims(), []byte{}), CodeSignature},
		{"RS256 garbage", mint(map[string]any{"alg": "RS256", "kid": "rsa"}, testClaims(), testKeys().ec), CodeSignature},
		{"EdDSA garbage", mint(map[string]any{"alg": "EdDSA", "kid": "ed"}, testClaims(), testKeys().ec), CodeSignature},
	}
}
