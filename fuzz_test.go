package cardea

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// oracle is golang-jwt with the part of our policy that it knows. It is laxer than this
// package everywhere, so whatever this package accepts, it must accept too, with the
// same claims.
func oracle(token string) (jwt.MapClaims, error) {
	keys := testKeys()
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256", "RS256", "EdDSA", "HS256"}), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
		jwt.WithIssuer(testIssuer), jwt.WithAudience(testAudience, "other-accepted"), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second), jwt.WithTimeFunc(testNow))
	claims := jwt.MapClaims{}
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if t.Method.Alg() == "HS256" {
			return keys.secret, nil
		}
		for _, k := range keys.public() {
			if k.ID == t.Header["kid"] {
				return k.Public, nil
			}
		}
		return nil, jwt.ErrTokenUnverifiable
	})
	return claims, err
}

// FuzzVerify: tokens out of any header and payload, properly signed or not.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"alg":"ES256","typ":"JWT","kid":"ec"}`), toJSON(testClaims()), byte(0))
	f.Add([]byte(`{"alg":"EdDSA","kid":"ed","x":1e5}`), toJSON(testClaims()), byte(1))
	f.Add([]byte(`{"alg":"HS256","x":true}`), toJSON(testClaims(map[string]any{"aud": []string{"x", testAudience}})), byte(2))
	f.Add([]byte(`{"\u0061lg":"HS256"}`), toJSON(testClaims(map[string]any{"exp": 1.8000036e9, "extra": json.Number("1e999")})), byte(2))
	f.Add([]byte(`{"alg":"HS256","alg":"none"}`), []byte(`{"sub":"a","sub":"b"}`), byte(2))
	f.Add([]byte(esToken()), []byte{}, byte(3))
	for _, list := range [][]failureCase{structureCases(), headerCases(), signatureCases()} {
		for _, tc := range list {
			if len(tc.token) < 2000 {
				f.Add([]byte(tc.token), []byte{}, byte(3))
			}
		}
	}
	for _, tc := range payloadCases() {
		parts := strings.Split(tc.token, ".")
		payload, err := decodePart([]byte(parts[1]))
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(`{"alg":"HS256"}`), payload, byte(2))
	}
	c := testConfig(f)
	c.CacheTTL = -1
	v := mustVerifier(f, c)
	f.Fuzz(func(t *testing.T, header, payload []byte, mode byte) {
		var token string
		switch mode % 4 {
		case 0:
			token = mintRaw(header, payload, testKeys().ec)
		case 1:
			token = mintRaw(header, payload, testKeys().ed)
		case 2:
			token = mintRaw(header, payload, testKeys().secret)
		default:
			token = string(header)
		}
		p, err := v.Verify(context.Background(), token)
		if err != nil {
			if p != nil || CodeOf(err) == "" || NewError(CodeOf(err), nil).HTTPStatus() != 401 {
				t.Fatalf("%v with %v", p, err)
			}
			return
		}
		claims, err := oracle(token)
		if err != nil {
			t.Fatalf("golang-jwt refuses what we accept: %v\n%s", err, p.RawClaims())
		}
		exp, err := claims.GetExpirationTime()
		if err != nil || !exp.Equal(p.ExpiresAt) || !p.ExpiresAt.After(testNow()) || p.ExpiresAt.Sub(p.IssuedAt) > 24*time.Hour {
			t.Fatalf("times: %v %v %v", err, exp, p)
		}
		if claims["sub"] != p.Subject || p.Subject == "" || claims["iss"] != p.Issuer || p.Issuer != testIssuer {
			t.Fatalf("sub %q iss %q, golang-jwt says %v", p.Subject, p.Issuer, claims)
		}
		if role, _ := claims["role"].(string); role != p.Role {
			t.Fatalf("role %q, golang-jwt says %v", p.Role, claims["role"])
		}
	})
}

// FuzzParseObject: the members are those that encoding/json sees, in order and spelled
// the same, and no name comes twice.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : [ {"b":"]}\\\""} , -1.5e3 ] ,"\u0062":null}`, `{"a":1,"a":2}`, `[]`, `{"a":"\ud800"}`, `{"":""}`, "{\"a\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseObject(data, 4)
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(data, &want)
		if err != nil {
			return
		}
		if wantErr != nil || len(got) != len(want) {
			t.Fatalf("%v: %d members, want %d", wantErr, len(got), len(want))
		}
		for _, m := range got {
			if string(want[string(m.name)]) != string(m.value) {
				t.Fatalf("%q is %q, want %q", m.name, m.value, want[string(m.name)])
			}
		}
	})
}

// FuzzJudge: whatever an issuer answers, a yes names the user of the token, and says that
// the token is active.
func FuzzJudge(f *testing.F) {
	f.Add(200, []byte(`{"id":"u","email_confirmed_at":"x"}`), true)
	f.Add(200, []byte(`{"active":true,"sub":"u","aud":["a"],"iss":"i"}`), false)
	f.Add(200, []byte(`{"active":false,"active":true}`), false)
	f.Add(401, []byte(`{"active":true}`), false)
	f.Fuzz(func(t *testing.T, status int, body []byte, supabase bool) {
		in := &introspector{kind: IntrospectionRFC7662}
		if supabase {
			in.kind = IntrospectionSupabase
		}
		_, failure := in.judge(reply{status: status, body: body}, &Principal{Subject: "u", Issuer: "i", Audience: []string{"a"}})
		var answer map[string]any
		err := json.Unmarshal(body, &answer)
		switch {
		case failure != nil && failure.HTTPStatus() != 401 && failure.HTTPStatus() != 503:
			t.Fatal(failure)
		case failure != nil:
		case err != nil || status != 200:
			t.Fatalf("a yes out of %d %q", status, body)
		case supabase && answer["id"] != "u":
			t.Fatalf("another user: %q", body)
		case !supabase && (answer["active"] != true || (answer["sub"] != nil && answer["sub"] != "u")):
			t.Fatalf("not active, or another user: %q", body)
		}
	})
}

// FuzzClaimPaths: whatever path is configured and whatever the payload holds, what is
// found is a value of the payload, and rights are only found in their shapes.
func FuzzClaimPaths(f *testing.F) {
	f.Add([]byte(`{"a":{"b":["x"],"b.c":1},"a.b":"y"}`), "a.b")
	f.Add([]byte(`{"a":{"a":{"a":"x"}}}`), "a.a.a")
	f.Add([]byte(`{"m":["x",{"id":1,"role":"r"},{"id":"\ud800"}]}`), "m")
	f.Add([]byte(`{"":{"":1}}`), ".")
	f.Fuzz(func(t *testing.T, payload []byte, path string) {
		claims, err := parseObject(payload, 4)
		if err != nil {
			return
		}
		r := claimReader{claims: claims}
		raw := r.find([]string{path})
		if raw == nil {
			return
		}
		if !json.Valid(raw) || !bytes.Contains(payload, raw) || string(raw) == "null" {
			t.Fatalf("%q of %q is %q", path, payload, raw)
		}
		if again := r.find([]string{path}); !bytes.Equal(raw, again) {
			t.Fatalf("first %q, then %q", raw, again)
		}
		for _, name := range readNames(raw, true) {
			if name == "" {
				t.Fatalf("an empty name of %q", raw)
			}
		}
		for _, m := range readMemberships(raw) {
			if m.Tenant == "" || !validSubject(m.Tenant) {
				t.Fatalf("a bad tenant of %q", raw)
			}
		}
		if id, err := readID(raw); err == nil && id != "" && !validSubject(id) {
			t.Fatalf("a bad id of %q", raw)
		}
		if scopes, err := readScopes(raw); err == nil && slices.Contains(scopes, " ") {
			t.Fatalf("a bad scope of %q", raw)
		}
	})
}
