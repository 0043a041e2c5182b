package verifier

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
)

// TestNothingToMintWith proves A6.5: a service that is configured with the address of a
// key set verifies, and could not make a token if it wanted to. The keys that it holds are
// the public ones, also when the issuer publishes too much, and no code of the package
// signs a token or makes a key.
func TestNothingToMintWith(t *testing.T) {
	t.Parallel()
	r := newRemote(t, serving(jwksOf(testKeys().public()...)))
	r.want(t, "ec", "")
	leaky := append(testKeys().public(), cardea.Key{ID: "leaked", Algorithm: "ES256", Public: &testKeys().ec2.PublicKey})
	document := []any{object{"kty": "oct", "kid": "secret", "alg": "HS256", "k": b64(testKeys().secret)}}
	for _, k := range leaky {
		jwk := jwkOf(k)
		if k.ID == "leaked" {
			d, err := testKeys().ec2.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			jwk["d"] = b64(d)
		}
		document = append(document, jwk)
	}
	r = newRemote(t, serving(toJSON(object{"keys": document})))
	r.want(t, "ec", "")
	if _, err := r.Verify(t.Context(), r.token("leaked", testKeys().ec2)); cardea.CodeOf(err) != cardea.CodeKeyNotFound {
		t.Errorf("signed with a key whose private half is public: %v", err)
	}
	mac := mint(headerOf("HS256", "secret"), claimsAt(r.clock.Now()), testKeys().secret)
	if _, err := r.Verify(t.Context(), mac); cardea.CodeOf(err) != cardea.CodeAlgorithmNotAllowed {
		t.Errorf("a MAC under a secret out of a key set: %v", err)
	}
	files, err := filepath.Glob("../../*.go")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		read++
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{
				"Sign", "SignASN1", "SignPKCS1v15", "SignPSS", "SignMessage", "SignedString", "SigningString", "NewWithClaims", "GenerateKey", "PrivateKey",
			}, s.Sel.Name) {
				t.Errorf("%s uses %s", name, s.Sel.Name)
			}
			return true
		})
	}
	if read < 20 {
		t.Errorf("only %d files read", read)
	}
}
