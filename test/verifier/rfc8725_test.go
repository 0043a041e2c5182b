package verifier

import (
	"bytes"
	"compress/flate"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-auth/cardea"
)

// attack is a token that must be refused, and the threat that it carries out.
type attack struct {
	// section is that of RFC 8725, which its successor (draft-ietf-oauth-rfc8725bis-09)
	// kept; §2.10 to §2.13 and §3.13 to §3.15 are new there.
	section string
	name    string
	token   string
	want    cardea.Code
}

// sections are all threats (§2) and practices (§3) of the successor. §3.6 is for who
// encrypts, §3.13 and §3.15 are the practices against §2.10 and §2.12.
func sections() []string {
	list := []string{}
	for n := 1; n <= 13; n++ {
		list = append(list, "2."+strconv.Itoa(n))
	}
	for n := 1; n <= 15; n++ {
		list = append(list, "3."+strconv.Itoa(n))
	}
	return list
}

// TestRFC8725 proves A6.2 and A8.7: every attack of RFC 8725 and its successor is refused
// with the code that says what was wrong.
func TestRFC8725(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Issuers = append(c.Issuers, cardea.Issuer{
		// Another trusted issuer, with a key of its own under the same kid.
		URL: otherIssuer, Audiences: []string{testAudience},
		Keys: mustStatic(t, stranger()),
	})
	v := mustVerifier(t, c)
	for _, alg := range []string{"ES256", "RS256", "EdDSA", "HS256"} {
		key, kid := testKeys().signer(alg)
		if _, err := v.Verify(t.Context(), mint(headerOf(alg, kid), testClaims(), key)); err != nil {
			t.Fatalf("%s: the token that the attacks are made of is refused: %v", alg, err)
		}
	}
	seen := map[string]int{}
	for _, list := range [][]attack{
		algorithmAttacks(t), signatureAttacks(), encryptionAttacks(t), encodingAttacks(), substitutionAttacks(),
		confusionAttacks(), lookupAttacks(), formatAttacks(t), valueAttacks(),
	} {
		for _, a := range list {
			for _, section := range strings.Fields(a.section) {
				seen[section]++
			}
			t.Run("§"+a.section+" "+a.name, func(t *testing.T) {
				t.Parallel()
				p, err := v.Verify(t.Context(), a.token)
				if code := cardea.CodeOf(err); p != nil || code != a.want {
					t.Errorf("got %v, %v, want %s", p, err, a.want)
				}
			})
		}
	}
	for _, section := range sections() {
		if seen[section] == 0 && notAnAttack()[section] == "" {
			t.Errorf("§%s has no case", section)
		}
	}
}

// notAnAttack lists the sections that no token can test, with what does.
func notAnAttack() map[string]string {
	return map[string]string{
		"2.2": "TestWeakKeys: keys are judged when they are configured or fetched",
		"3.4": "TestWeakKeys: points that are not on the curve",
		"3.5": "TestWeakKeys",
	}
}

const otherIssuer = "https://other.test/auth/v1"

func headerOf(alg, kid string) object {
	h := object{"alg": alg, "typ": "JWT"}
	if kid != "" {
		h["kid"] = kid
	}
	return h
}

// unsigned joins a header and the good claims with a signature of these bytes.
func unsigned(header object, signature []byte) string {
	return b64(toJSON(header)) + "." + b64(toJSON(testClaims())) + "." + b64(signature)
}

func esWith(header object) string { return mint(esHeader(header), testClaims(), testKeys().ec) }

// algorithmAttacks change alg: to nothing, to another spelling, to a MAC under a public
// key ("RS256 to HS256"), to one of another key, to one that this package does not know.
func algorithmAttacks(t *testing.T) []attack {
	junk := []byte("junk")
	list := []attack{
		{"2.1", "none without signature", unsigned(headerOf("none", ""), nil), cardea.CodeTokenStructure},
		{"2.1", "none with a signature", unsigned(headerOf("none", "ec"), junk), cardea.CodeAlgorithmNotAllowed},
		{"2.1 2.11", "no alg", unsigned(object{"typ": "JWT"}, junk), cardea.CodeTokenHeader},
		{"2.1 2.11", "empty alg", unsigned(headerOf("", "ec"), junk), cardea.CodeTokenHeader},
		{"2.1 2.11", "null alg", esWith(object{"alg": nil}), cardea.CodeTokenHeader},
		{"2.11 3.1", "alg a list", esWith(object{"alg": []any{"ES256", "none"}}), cardea.CodeHeaderUnsupported},
		{"2.11 3.1", "two algs", mintRaw([]byte(`{"alg":"none","alg":"ES256","kid":"ec"}`), toJSON(testClaims()), testKeys().ec), cardea.CodeTokenHeader},
		{"2.11 3.1", "Alg beside alg", mintRaw([]byte(`{"alg":"none","Alg":"ES256","kid":"ec"}`), toJSON(testClaims()), testKeys().ec), cardea.CodeAlgorithmNotAllowed},
		{"2.1 3.1", "ES256 under the RSA key's kid", esWith(object{"kid": "rsa"}), cardea.CodeKeyMismatch},
		{"2.1 3.1", "RS256 under the EC key's kid", mint(headerOf("RS256", "ec"), testClaims(), testKeys().rsa), cardea.CodeKeyMismatch},
		{"3.1", "HS512 where nobody allowed it", mint(headerOf("HS512", ""), testClaims(), secret512(testKeys().secret)), cardea.CodeAlgorithmNotAllowed},
		{"2.1 3.1", "HS256 with an empty secret", macWith("", nil), cardea.CodeSignature},
	}
	for _, alg := range []string{"None", "NONE", "nOnE", "noNE"} {
		list = append(list, attack{"2.1 2.11 3.1", alg, unsigned(headerOf(alg, "ec"), junk), cardea.CodeAlgorithmNotAllowed})
	}
	for _, alg := range []string{"none ", " none", "none\x00", "n\u043ene", "es256", "Es256", "ES256 ", "HS384", "RS384", "RS512",
		"PS256", "ES384", "ES512", "ES256K", "RS1", "MD5", "Ed448", "RSA1_5", "dir", "A128KW"} {
		list = append(list, attack{"2.11 3.1 3.2", strconv.Quote(alg), esWith(object{"alg": alg}), cardea.CodeAlgorithmUnsupported})
	}
	for name, secret := range publicBytes(t) {
		list = append(list,
			attack{"2.1 3.1", "HS256 under the public key, " + name, macWith("", secret), cardea.CodeSignature},
			attack{"2.1 3.1", "HS256 under the public key with its kid, " + name, macWith(strings.Fields(name)[0], secret), cardea.CodeKeyMismatch})
	}
	return list
}

// macWith is an HS256 token under a secret of the attacker's choice.
func macWith(kid string, secret []byte) string {
	if secret == nil {
		secret = []byte{}
	}
	return mint(headerOf("HS256", kid), testClaims(), secret)
}

// publicBytes are the forms of public keys that libraries have taken for secrets. The
// first word of a name is the kid.
func publicBytes(t *testing.T) map[string][]byte {
	t.Helper()
	forms := map[string][]byte{"rsa modulus": testKeys().rsa.N.Bytes()}
	for _, k := range testKeys().public() {
		der, err := x509.MarshalPKIXPublicKey(k.Public)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		forms[k.ID+" DER"], forms[k.ID+" PEM"], forms[k.ID+" PEM without its last line break"] = der, text, bytes.TrimSpace(text)
		forms[k.ID+" JWK"], forms[k.ID+" key set"] = toJSON(jwkOf(k)), jwksOf(k)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&testKeys().rsa.PublicKey)
	forms["rsa PKCS #1"], forms["rsa PKCS #1 PEM"] = pkcs1, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1})
	forms["ed raw"] = edPublic()
	return forms
}

func edPublic() ed25519.PublicKey {
	b, err := x509.MarshalPKIXPublicKey(testKeys().ed.Public())
	if err != nil {
		panic(err)
	}
	return b[len(b)-ed25519.PublicKeySize:]
}

// stranger is a key that is not the issuer's, under the kid of one that is.
func stranger() cardea.Key {
	return cardea.Key{ID: "ec", Algorithm: "ES256", Public: &testKeys().ec2.PublicKey}
}

// signatureAttacks leave everything as it was but the signature (§2.1, §3.3).
func signatureAttacks() []attack {
	good := esToken()
	dot := strings.LastIndexByte(good, '.')
	signed, sig := good[:dot], sign(good[:dot], testKeys().ec)
	with := func(s []byte) string { return signed + "." + b64(s) }
	order := []byte("\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51")
	flipped := slices.Clone(sig)
	flipped[17] ^= 1
	admin := esToken(object{"role": "service_role"})
	return []attack{
		{"2.1 3.3", "no signature", signed + ".", cardea.CodeTokenStructure},
		{"2.1 3.3", "signature left out with its dot", signed, cardea.CodeTokenStructure},
		{"2.1 3.3", "one bit", with(flipped), cardea.CodeSignature},
		{"2.1 3.3", "zeros (psychic signature, CVE-2022-21449)", with(make([]byte, 64)), cardea.CodeSignature},
		{"2.1 3.3", "r and s are the order", with(slices.Concat(order, order)), cardea.CodeSignature},
		{"2.1 3.3", "r is zero", with(slices.Concat(make([]byte, 32), sig[32:])), cardea.CodeSignature},
		{"2.1 3.3", "s is zero", with(slices.Concat(sig[:32], make([]byte, 32))), cardea.CodeSignature},
		{"2.1 3.3", "one byte short", with(sig[:63]), cardea.CodeSignature},
		{"2.1 3.3", "one byte long", with(append(slices.Clone(sig), 0)), cardea.CodeSignature},
		{"2.1 3.3", "of another payload", admin[:strings.LastIndexByte(admin, '.')] + "." + b64(sig), cardea.CodeSignature},
		{"2.1 3.3", "of a stranger's key", mint(esHeader(), testClaims(), testKeys().ec2), cardea.CodeSignature},
		{"2.1 3.3", "a MAC by the right secret under an ES256 header", with(sign(signed, testKeys().secret)), cardea.CodeSignature},
	}
}

// encryptionAttacks: what is encrypted is no access token of ours, whoever could decrypt
// it. Nothing is decrypted, derived or inflated to find that out (§2.3 to §2.5, §2.10,
// §2.12).
func encryptionAttacks(t *testing.T) []attack {
	k, claims := testKeys(), toJSON(testClaims())
	encrypt := func(r jose.Recipient, o *jose.EncrypterOptions, payload []byte) string {
		e, err := jose.NewEncrypter(jose.A256GCM, r, o)
		if err != nil {
			t.Fatal(err)
		}
		jwe, err := e.Encrypt(payload)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := jwe.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	toRSA := jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &k.rsa.PublicKey, KeyID: "rsa"}
	toEC := jose.Recipient{Algorithm: jose.ECDH_ES, Key: &k.ec.PublicKey, KeyID: "ec"}
	zipped := &jose.EncrypterOptions{Compression: jose.DEFLATE}
	bomb := esToken(object{"pad": strings.Repeat("a", 5000)})
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	inflated := append([]byte(`{"pad":"`), bytes.Repeat([]byte("a"), 4<<20)...)
	if _, err := w.Write(inflated); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	count := b64(toJSON(object{"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2s": "AAAA", "p2c": 1<<31 - 1}))
	offCurve := b64(toJSON(object{"alg": "ECDH-ES", "enc": "A256GCM", "kid": "ec", "epk": object{
		"kty": "EC", "crv": "P-256", "x": b64(bytes.Repeat([]byte{1}, 32)), "y": b64(bytes.Repeat([]byte{1}, 32)),
	}}))
	list := []attack{
		{"2.3 3.3", "encrypted to our RSA key (CVE-2023-51774)", encrypt(toRSA, nil, claims), cardea.CodeTokenStructure},
		{"2.3 3.3", "encrypted to our EC key", encrypt(toEC, nil, claims), cardea.CodeTokenStructure},
		{"2.3 3.3", "encrypted with our secret", encrypt(jose.Recipient{Algorithm: jose.A256KW, Key: k.secret[:32]}, nil, claims), cardea.CodeTokenStructure},
		{"2.3 3.3", "a good token inside of an encrypted one", encrypt(toRSA, nil, []byte(esToken())), cardea.CodeTokenStructure},
		{"2.3 3.3", "a good token inside of a signed one, announced", mintRaw(toJSON(esHeader(object{"cty": "JWT"})), []byte(esToken()), k.ec), cardea.CodeHeaderUnsupported},
		{"2.3 3.3", "a good token inside of a signed one", mintRaw(toJSON(esHeader()), []byte(esToken()), k.ec), cardea.CodeTokenPayload},
		{"2.3 3.3", "header of an encrypted token, three parts", mint(object{"alg": "dir", "enc": "A256GCM"}, testClaims(), k.secret), cardea.CodeAlgorithmUnsupported},
		{"2.4 3.6", "compressed", encrypt(toEC, zipped, []byte(bomb)), cardea.CodeTokenStructure},
		{"2.5", "ephemeral key off the curve", offCurve + "..AAAA.AAAA.AAAA", cardea.CodeTokenStructure},
		{"2.5", "the same, nothing empty", offCurve + ".AAAA.AAAA.AAAA.AAAA", cardea.CodeTokenStructure},
		{"2.10 3.13", "2³¹−1 iterations", count + ".AAAA.AAAA.AAAA.AAAA", cardea.CodeTokenStructure},
		{"2.10 3.13", "2³¹−1 iterations in three parts", count + ".AAAA.AAAA", cardea.CodeAlgorithmUnsupported},
		{"2.12 3.15", "bomb", encrypt(toRSA, zipped, inflated), cardea.CodeTokenStructure},
		{"2.12 3.15", "signed, with zip", mintRaw(toJSON(esHeader(object{"zip": "DEF"})), deflated.Bytes()[:1024], k.ec), cardea.CodeTokenPayload},
	}
	return list
}

// encodingAttacks: one text, two readings (§2.6, §3.7).
func encodingAttacks() []attack {
	h, p := toJSON(esHeader()), toJSON(testClaims())
	raw := func(header, payload []byte) string { return mintRaw(header, payload, testKeys().ec) }
	claims := func(extra string) string { return raw(h, append([]byte("{"+extra+","), p[1:]...)) }
	wide := func(s []byte, unit int, little bool) []byte {
		var b []byte
		for _, r := range utf16.Encode([]rune(string(s))) {
			u := make([]byte, unit)
			u[unit-1], u[unit-2] = byte(r), byte(r>>8)
			if little {
				slices.Reverse(u)
			}
			b = append(b, u...)
		}
		return b
	}
	bom := []byte("\ufeff")
	return []attack{
		{"2.6 3.7", "header in UTF-16 LE", raw(wide(h, 2, true), p), cardea.CodeTokenHeader},
		{"2.6 3.7", "header in UTF-16 BE", raw(wide(h, 2, false), p), cardea.CodeTokenHeader},
		{"2.6 3.7", "header in UTF-32", raw(wide(h, 4, true), p), cardea.CodeTokenHeader},
		{"2.6 3.7", "payload in UTF-16 LE", raw(h, wide(p, 2, true)), cardea.CodeTokenPayload},
		{"2.6 3.7", "payload in UTF-16 BE", raw(h, wide(p, 2, false)), cardea.CodeTokenPayload},
		{"2.6 3.7", "payload in UTF-32", raw(h, wide(p, 4, false)), cardea.CodeTokenPayload},
		{"2.6 3.7", "byte order mark before the header", raw(slices.Concat(bom, h), p), cardea.CodeTokenHeader},
		{"2.6 3.7", "byte order mark before the payload", raw(h, slices.Concat(bom, p)), cardea.CodeTokenPayload},
		{"2.6 3.7", "overlong form of a quote", claims("\"x\":\"\xc0\xa2\""), cardea.CodeTokenPayload},
		{"2.6 3.7", "surrogates as bytes (CESU-8)", claims("\"x\":\"\xed\xa0\xbd\xed\xb8\x80\""), cardea.CodeTokenPayload},
		{"2.6 3.7", "Latin-1", claims("\"x\":\"\xe9\""), cardea.CodeTokenPayload},
		{"2.6 3.7", "lone surrogate in a name", claims(`"\ud800":1`), cardea.CodeTokenPayload},
		{"2.6 3.7", "lone surrogate in sub", esRaw(`"sub":"a\ud800b"`, "sub"), cardea.CodeSubject},
		{"2.6 3.12", "sub twice", claims(`"sub":"admin"`), cardea.CodeTokenPayload},
		{"2.6 3.12", "sub twice, one with escapes", claims(`"\u0073ub":"admin"`), cardea.CodeTokenPayload},
		{"2.6 3.12", "Sub for sub", esRaw(`"Sub":"admin"`, "sub"), cardea.CodeSubject},
		{"2.6 3.12", "exp twice", claims(`"exp":1`), cardea.CodeTokenPayload},
		{"2.6", "comment", claims(`"x":1/*,"y":2*/`), cardea.CodeTokenPayload},
		{"2.6", "comma at the end", raw(h, append(slices.Clone(p[:len(p)-1]), ",}"...)), cardea.CodeTokenPayload},
		{"2.6", "two objects", raw(h, slices.Concat(p, p)), cardea.CodeTokenPayload},
		{"2.6", "NaN", claims(`"x":NaN`), cardea.CodeTokenPayload},
		{"2.6", "NUL in a string", claims("\"x\":\"\x00\""), cardea.CodeTokenPayload},
	}
}

// esRaw is a good token with one claim written in place of another.
func esRaw(member, without string) string {
	p := toJSON(testClaims(object{without: absent}))
	return mintRaw(toJSON(esHeader()), append([]byte("{"+member+","), p[1:]...), testKeys().ec)
}

// formatAttacks are no compact tokens, or not only (§2.13, §3.14).
func formatAttacks(t *testing.T) []attack {
	good := esToken()
	parts := strings.Split(good, ".")
	forged := b64(toJSON(testClaims(object{"role": "service_role"})))
	parsed, err := jose.ParseSignedCompact(good, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	flat := parsed.FullSerialize()
	general := string(toJSON(object{"payload": parts[1], "signatures": []any{object{"protected": parts[0], "signature": parts[2]}}}))
	polyglot := string(toJSON(object{parts[0] + "." + forged + ".": "", "protected": parts[0], "payload": parts[1], "signature": parts[2]}))
	list := []attack{
		{"2.13 3.14", "flattened JSON", flat, cardea.CodeTokenStructure},
		{"2.13 3.14", "general JSON", general, cardea.CodeTokenStructure},
		{"2.13 3.14", "both at once (CVE-2022-39227)", polyglot, cardea.CodeBase64},
		{"2.13 3.14", "JSON around the compact form", `{"` + good + `":""}`, cardea.CodeBase64},
		{"2.13 3.14", "two tokens", good + "." + good, cardea.CodeTokenStructure},
		{"2.13 3.14", "detached payload", parts[0] + ".." + parts[2], cardea.CodeTokenStructure},
		{"2.13 3.14", "only dots", strings.Repeat(".", 8000), cardea.CodeTokenStructure},
		{"2.13 3.14", "1 MB of dots", strings.Repeat(".", 1<<20), cardea.CodeTokenTooLarge},
	}
	for name, token := range map[string]string{
		"a blank before": " " + good, "a blank behind": good + " ", "line break at a dot": parts[0] + ".\n" + parts[1] + "." + parts[2], "line break inside": good[:9] + "\r\n" + good[9:],
		"padding": parts[0] + "." + parts[1] + "." + parts[2] + "==", "a comma": good[:30] + "," + good[30:], "percent": parts[0] + "%2E" + parts[1][1:] + "." + parts[1] + "." + parts[2],
		"quotes": `"` + good + `"`, "braces": "{" + good + "}", "NUL": good + "\x00", "Base64 of the other alphabet": parts[0] + "." + parts[1] + ".+/" + parts[2][2:],
		"byte order mark": "\ufeff" + good, "stray bits": parts[0] + "." + parts[1] + "." + strayBits(parts[2]),
	} {
		list = append(list, attack{"2.13 3.14", name, token, cardea.CodeBase64})
	}
	list = append(list, attack{"2.13 3.14", "full-width dots", strings.ReplaceAll(good, ".", "\uff0e"), cardea.CodeTokenStructure})
	return list
}

// strayBits changes bits of the last character that decode to nothing: 64 bytes leave 4.
func strayBits(sig string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return sig[:len(sig)-1] + string(alphabet[strings.IndexByte(alphabet, sig[len(sig)-1])+1])
}
