package rest_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/cardea-auth/cardea/internal/scripttest"
)

// The scripts in testdata are requests with golden answers. Every exchange is compared with
// the OpenAPI document besides.
func TestScripts(t *testing.T) {
	t.Parallel()
	c := newContract(t)
	scripttest.Run(t, scripttest.Config{
		Files: "testdata/*.txt", Update: *update,
		Headers: []string{"Allow", "Retry-After", "Www-Authenticate", "Cache-Control"},
		Check:   c.Check,
	})
}

func decode(t *testing.T, w *httptest.ResponseRecorder, into any) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
}
