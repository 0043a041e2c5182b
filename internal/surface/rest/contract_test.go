package rest_test

import (
	"flag"
	"testing"

	"github.com/cardea-auth/cardea/internal/openapi/openapitest"
	"github.com/cardea-auth/cardea/internal/surface/rest"
)

var update = flag.Bool("update", false, "write docs/reference/openapi.json and the golden answers anew; review the diff like code")

func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := rest.Document()
	if err != nil {
		t.Fatal(err)
	}
	openapitest.Current(t, want, "openapi.json", *update)
}

func newContract(tb testing.TB) *openapitest.Contract {
	tb.Helper()
	b, err := rest.Document()
	if err != nil {
		tb.Fatal(err)
	}
	return openapitest.New(tb, b, "/api/")
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	newContract(t).Valid(t, 25)
}
