package token_test

import (
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/token"
)

func ringOf(t testing.TB, algorithm string) *token.Ring {
	t.Helper()
	return setup(t, func(c *token.Config) { c.Algorithm = algorithm }).ring
}

// A16.4: a document is signed byte by byte, and what is signed is no token.
func TestSignDetached(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "RS256", "EdDSA"} {
		r := ringOf(t, algorithm)
		doc := []byte(`{"format":"cardea-export/1","userId":"x"}`)
		jws, err := r.SignDetached(doc)
		if err != nil {
			t.Fatal(err)
		}
		keys, _ := r.JWKS()
		if kid, err := token.VerifyDetached(jws, doc, keys); err != nil || kid == "" {
			t.Errorf("%s: %q, %v", algorithm, kid, err)
		}
		for name, c := range map[string][2]string{
			"another document": {jws, `{"format":"cardea-export/1","userId":"y"}`},
			"a blank more":     {jws, string(doc) + " "},
			"none":             {"", string(doc)},
			"a token":          {strings.Replace(jws, "..", "."+"e30"+".", 1), string(doc)},
			"cut":              {jws[:len(jws)-8], string(doc)},
			"padded":           {jws + "=", string(doc)},
			"another header":   {"eyJhbGciOiJub25lIiwia2lkIjoieCIsInR5cCI6ImNhcmRlYS1leHBvcnQrandzIn0" + jws[strings.Index(jws, ".."):], string(doc)},
			"typ JWT":          {"eyJhbGciOiJFUzI1NiIsImtpZCI6IngiLCJ0eXAiOiJKV1QifQ" + jws[strings.Index(jws, ".."):], string(doc)},
		} {
			if _, err := token.VerifyDetached(c[0], []byte(c[1]), keys); err == nil {
				t.Errorf("%s: %s passes", algorithm, name)
			}
		}
		if _, err := token.VerifyDetached(jws, doc, []byte(`{"keys":[]}`)); err == nil {
			t.Errorf("%s: without the key", algorithm)
		}
	}
}

// Nothing but the signature that was made passes, whatever is tried.
func FuzzVerifyDetached(f *testing.F) {
	r := ringOf(f, "ES256")
	doc := []byte(`{"a":1}`)
	jws, err := r.SignDetached(doc)
	if err != nil {
		f.Fatal(err)
	}
	keys, _ := r.JWKS()
	f.Add(jws, string(doc))
	f.Add("..", "")
	f.Fuzz(func(t *testing.T, signature, document string) {
		if _, err := token.VerifyDetached(signature, []byte(document), keys); err == nil && (signature != jws || document != string(doc)) {
			t.Fatalf("%q signs %q", signature, document)
		}
	})
}
