package mirror_test

import (
	"encoding/json"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/scripttest"
)

var update = flag.Bool("update", false, "write the golden answers anew; review the diff like code")

// The scripts in testdata are requests with golden answers. S2.15: every error below /api/v1
// is the envelope with the generic code of its status, or a code of its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripttest.Run(t, scripttest.Config{
		Files: "testdata/*.txt", Update: *update,
		Headers: []string{"Allow", "Retry-After", "Www-Authenticate"},
		Check:   checkEnvelope,
	})
}

func checkEnvelope(t *testing.T, x scripttest.Exchange) {
	t.Helper()
	h := x.Answer.Header()
	switch {
	case !strings.HasPrefix(x.Request.URL.Path, "/api/v1/"):
		return
	case x.Answer.Code < 400:
		// What somebody sees of himself is nobody's to keep.
		if !strings.Contains(h.Get("Cache-Control"), "no-store") || x.Request.Header.Get("Authorization") != "" && !slices.Contains(h.Values("Vary"), "Authorization") {
			t.Errorf("%s: headers %v", x.Request.URL, h)
		}
		return
	}
	var got map[string]map[string]any
	if err := json.Unmarshal(x.Answer.Body.Bytes(), &got); err != nil || len(got) != 1 {
		t.Fatalf("%s: %s (%v)", x.Request.URL, x.Answer.Body, err)
	}
	for name := range got["error"] {
		if !slices.Contains([]string{"code", "message", "details"}, name) {
			t.Errorf("%s: member %q", x.Request.URL, name)
		}
	}
	code, _ := got["error"]["code"].(string)
	if code == "" || strings.ToUpper(code) != code || got["error"]["message"] == "" {
		t.Errorf("%s: %s", x.Request.URL, x.Answer.Body)
	}
	if x.Answer.Code == 401 && h.Get("WWW-Authenticate") == "" || x.Answer.Code == 429 && h.Get("Retry-After") == "" {
		t.Errorf("%s: headers %v", x.Request.URL, h)
	}
}
