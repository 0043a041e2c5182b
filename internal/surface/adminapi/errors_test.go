package adminapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

// Every code of the domain has a status, a name and a sentence here, and no cause gets out.
func TestEveryCodeHasAnAnswer(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)
	for _, c := range append(auth.Codes(), codeNoRoute, codeBadMethod, "made up") {
		w := httptest.NewRecorder()
		e := &auth.Error{Code: c, Cause: errors.New("the secret cause"), RetryAfter: 1500 * time.Millisecond}
		writeError(w, httptest.NewRequest(http.MethodGet, "/", nil), e)
		var doc web.Failure
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		if w.Code < 400 || w.Code > 599 || !name.MatchString(doc.Code) || doc.Detail == "" || strings.Contains(w.Body.String(), "secret cause") {
			t.Errorf("%s: %d %s", c, w.Code, w.Body)
		}
		if got := w.Header().Get("Retry-After"); got != "2" && c != "made up" {
			t.Errorf("%s: Retry-After %q", c, got)
		}
		if c == "made up" && w.Code != http.StatusInternalServerError {
			t.Errorf("an unknown code is %d", w.Code)
		}
	}
}

// What happened inside the server stays there, whatever the error says.
func TestInternalMessagesStayInside(t *testing.T) {
	t.Parallel()
	for _, c := range []auth.Code{auth.CodeInternal, auth.CodeUnavailable, auth.CodeHookTimeout} {
		w := httptest.NewRecorder()
		writeError(w, httptest.NewRequest(http.MethodGet, "/", nil), auth.E(c, "host db-7 refused"))
		if strings.Contains(w.Body.String(), "db-7") {
			t.Errorf("%s: %s", c, w.Body)
		}
	}
}
