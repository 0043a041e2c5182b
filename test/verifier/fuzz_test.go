package verifier

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// FuzzAgainstGolangJWT: tokens out of any header and payload, properly signed or not.
//
//   - What is accepted, golang-jwt accepts too, with the same claims, and the rest of our
//     policy has no objection.
//   - What is refused, has the reason in it that the code names.
func FuzzAgainstGolangJWT(f *testing.F) {
	seeds := 0
	add := func(header, payload []byte, mode byte) {
		f.Add(header, payload, mode)
		seeds++
	}
	for mode, alg := range []string{"ES256", "EdDSA", "HS256", "RS256"} {
		_, kid := testKeys().signer(alg)
		for _, extra := range []object{
			{}, {"aud": []any{"x", testAudience}}, {"exp": 1_800_000_036.9}, {"nbf": 1_799_999_999}, {"x": json.Number("1e999")},
			{"amr": []any{"pwd", object{"method": "otp"}}}, {"app_metadata": object{"roles": []any{"a", 1}}}, {"is_anonymous": "true"},
		} {
			add(toJSON(headerOf(alg, kid)), toJSON(testClaims(extra)), byte(mode))
		}
	}
	add([]byte(`{"\u0061lg":"HS256"}`), toJSON(testClaims()), 2)
	add([]byte(`{"alg":"HS256","alg":"none"}`), []byte(`{"sub":"a","sub":"b"}`), 2)
	for _, list := range [][]attack{signatureAttacks(), encodingAttacks(), substitutionAttacks(), confusionAttacks(), lookupAttacks(), valueAttacks()} {
		for _, a := range list {
			add([]byte(a.token), nil, 4)
			if header, payload, ok := decodeParts(a.token); ok {
				add(header, payload, 0)
			}
		}
	}
	if seeds < 200 {
		f.Fatalf("only %d seeds", seeds)
	}
	v := mustVerifier(f, testConfig(f))
	f.Fuzz(func(t *testing.T, header, payload []byte, mode byte) {
		judgeByOracle(t, v, forge(header, payload, mode))
	})
}

// forge makes a token: signed with one of the keys, or the header's bytes as they are.
func forge(header, payload []byte, mode byte) string {
	switch mode % 5 {
	case 0:
		return mintRaw(header, payload, testKeys().ec)
	case 1:
		return mintRaw(header, payload, testKeys().ed)
	case 2:
		return mintRaw(header, payload, testKeys().secret)
	case 3:
		return mintRaw(header, payload, testKeys().rsa)
	}
	return string(header)
}

func decodeParts(token string) (header, payload []byte, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, false
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return nil, nil, false
	}
	payload, err = base64.RawURLEncoding.DecodeString(parts[1])
	return header, payload, err == nil
}

func judgeByOracle(t *testing.T, v *cardea.Verifier, token string) {
	t.Helper()
	p, err := v.Verify(context.Background(), token)
	found := examine(token)
	if err != nil {
		code := cardea.CodeOf(err)
		if p != nil || cardea.NewError(code, nil).HTTPStatus() != 401 || !found.justified(code) {
			t.Fatalf("%v: nothing in the token justifies it\n%s\n%q", err, token, found.claims)
		}
		return
	}
	claims, err := oracle(token)
	if err != nil {
		t.Fatalf("golang-jwt refuses what we accept: %v\n%s", err, p.RawClaims())
	}
	if objection := found.objection(); objection != "" {
		t.Fatalf("accepted in spite of its %s\n%s", objection, token)
	}
	exp, err := claims.GetExpirationTime()
	if err != nil || exp.Unix() != p.ExpiresAt.Unix() || !p.ExpiresAt.After(testNow()) || p.ExpiresAt.Sub(p.IssuedAt) > 24*time.Hour {
		t.Fatalf("times: %v %v %v", err, exp, p)
	}
	if claims["sub"] != p.Subject || claims["iss"] != p.Issuer || p.Issuer != testIssuer {
		t.Fatalf("sub %q iss %q, golang-jwt says %v", p.Subject, p.Issuer, claims)
	}
	for name, got := range map[string]string{"role": p.Role, "email": p.Email, "session_id": p.SessionID, "aal": p.AAL} {
		if want, _ := claims[name].(string); want != got {
			t.Fatalf("%s %q, golang-jwt says %v", name, got, claims[name])
		}
	}
	if anonymous, _ := claims["is_anonymous"].(bool); anonymous != p.Anonymous {
		t.Fatalf("is_anonymous %v, golang-jwt says %v", p.Anonymous, claims["is_anonymous"])
	}
	var meta map[string]any
	if meta, _ = claims["app_metadata"].(map[string]any); len(p.Roles) > 0 && meta["roles"] == nil {
		t.Fatalf("roles %q out of nothing: %v", p.Roles, claims)
	}
}
