package gotrue_test

import (
	"flag"
	"net/http"
	"net/http/httptest"
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
		Headers: []string{ // those that clients depend on
			"Allow", "Location", "Link", "X-Total-Count", "X-Sb-Error-Code", "X-Supabase-Api-Version", "Retry-After", "Www-Authenticate",
			"Sb-Auth-Refresh-Token-Counter", "Sb-Auth-Refresh-Token-Rotated", "Sb-Auth-Refresh-Token-Reuse",
		},
	})
}

// A5.2: a return from an external sign-in that nobody began ends on our own page, whatever
// the request says.
func TestCallbackGoesToTheSiteOnly(t *testing.T) {
	t.Parallel()
	b := scripttest.Start(t, "CARDEA_SITE_URL=https://app.example/start", "CARDEA_REDIRECT_URLS=https://other.example/**")
	r := httptest.NewRequest(http.MethodGet, "/auth/v1/callback?state=x&code=y&redirect_to=https://evil.example", nil)
	r.Header.Set("Referer", "https://evil.example")
	r.Header.Set("X-Forwarded-Host", "evil.example")
	w := httptest.NewRecorder()
	b.Server.Handler().ServeHTTP(w, r)
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "https://app.example/start?error=invalid_request&error_code=bad_oauth_state") || strings.Contains(to, "evil") {
		t.Errorf("%d to %s", w.Code, to)
	}
}
