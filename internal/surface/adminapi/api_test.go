package adminapi_test

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/openapi/openapitest"
	"github.com/cardea-auth/cardea/internal/scripttest"
	"github.com/cardea-auth/cardea/internal/surface/adminapi"
)

var update = flag.Bool("update", false, "write docs/reference/openapi-admin.json and the golden answers anew; review the diff like code")

// Whole conversations, with golden answers (S2.41, A12.6, A13.1).
func TestScripts(t *testing.T) {
	t.Parallel()
	scripttest.Run(t, scripttest.Config{
		Files: "testdata/*.txt", Update: *update, Headers: []string{"Allow", "Retry-After", "Www-Authenticate"},
		Check: newContract(t).Check,
	})
}

func newContract(tb testing.TB) *openapitest.Contract {
	tb.Helper()
	b, err := adminapi.Document()
	if err != nil {
		tb.Fatal(err)
	}
	return openapitest.New(tb, b, "/admin/v1/")
}

func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := adminapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	openapitest.Current(t, want, "openapi-admin.json", *update)
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	newContract(t).Valid(t, 38)
}

// operator asks as a server of operators does, with a reason, and compares what comes with
// the document.
func operator(t *testing.T) (openapitest.Ask, *openapitest.Contract) {
	t.Helper()
	b, c := scripttest.Start(t), newContract(t)
	key := "Authorization: Bearer " + must[string](t)(b.Server.APIKeys().JWT(auth.RoleServiceRole))
	return func(method, path, body string) *httptest.ResponseRecorder {
		r := request(method, path, body, key, "X-Reason: because")
		w := httptest.NewRecorder()
		b.Server.Handler().ServeHTTP(w, r)
		c.Check(t, scripttest.Exchange{Request: r, Body: []byte(body), Answer: w})
		return w
	}, c
}

func TestWrongMembersAreNamed(t *testing.T) {
	t.Parallel()
	ask, c := operator(t)
	c.NamesWrongMembers(t, ask, 50)
}

func TestLongTextsAreRefused(t *testing.T) {
	t.Parallel()
	ask, c := operator(t)
	c.RefusesLongTexts(t, ask, 15)
}

// What an operation does not know is refused everywhere: "role" for "roles" must not pass.
func TestUnknownNamesAreRefused(t *testing.T) {
	t.Parallel()
	ask, c := operator(t)
	c.RefusesUnknownNames(t, ask, 38)
}

// The document that is served is the one of the repository, and operators alone get it.
func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	b := scripttest.Start(t)
	key := "Authorization: Bearer " + must[string](t)(b.Server.APIKeys().JWT(auth.RoleServiceRole))
	want, err := adminapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	w := ask(b, http.MethodGet, "/admin/v1/openapi.json", "", key)
	if w.Code != http.StatusOK || w.Body.String() != string(want) || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for _, header := range [][]string{nil, {key, "Origin: https://evil.example"}} {
		if w := ask(b, http.MethodGet, "/admin/v1/openapi.json", "", header...); w.Code < 400 {
			t.Errorf("%v: %d", header, w.Code)
		}
	}
}
