package legacy_test

import (
	"encoding/json"
	"flag"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/scripttest"
)

var update = flag.Bool("update", false, "write the golden answers anew; review the diff like code")

// The scripts in testdata are requests with golden answers.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripttest.Run(t, scripttest.Config{
		Files: "testdata/*.txt", Update: *update,
		Headers: []string{"Allow", "Retry-After", "Www-Authenticate"},
		Check:   checkFailure,
	})
}

// checkFailure looks at the shape of every error of this surface.
func checkFailure(t *testing.T, x scripttest.Exchange) {
	t.Helper()
	path := x.Request.URL.Path
	if !strings.Contains(path, "-clinic/api/") && !strings.HasPrefix(path, "/api/v1/") || x.Answer.Code < 400 || strings.HasSuffix(path, "/passwords") {
		return
	}
	var got struct{ Detail, Code, Request_ID string }
	dec := json.NewDecoder(strings.NewReader(x.Answer.Body.String()))
	if err := dec.Decode(&got); err != nil || got.Detail == "" || got.Request_ID == "" || got.Code == "" || strings.ToUpper(got.Code) != got.Code {
		t.Errorf("%s: %s (%v)", path, x.Answer.Body, err)
	}
	if x.Answer.Code == 401 && x.Answer.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%s: 401 without a challenge", path)
	}
}
