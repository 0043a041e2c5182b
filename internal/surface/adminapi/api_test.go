package adminapi_test

import (
	"flag"
	"testing"

	"github.com/cardea-auth/cardea/internal/scripttest"
)

var update = flag.Bool("update", false, "write the golden answers anew; review the diff like code")

// Whole conversations, with golden answers (S2.41, A12.6, A13.1).
func TestScripts(t *testing.T) {
	t.Parallel()
	scripttest.Run(t, scripttest.Config{
		Files: "testdata/*.txt", Update: *update, Headers: []string{"Allow", "Retry-After", "Www-Authenticate"},
		Check: func(t *testing.T, x scripttest.Exchange) {
			t.Helper()
			if x.Answer.Code >= 500 {
				t.Errorf("%s %s: %d %s", x.Request.Method, x.Request.URL, x.Answer.Code, x.Answer.Body)
			}
		},
	})
}
