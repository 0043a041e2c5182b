package cardeatest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
)

// AssertDenied wants the whole answer of a guard that refused: the status, the code in
// the body, the header that belongs to the status (WWW-Authenticate with 401, Retry-After
// with 503), and Cache-Control: no-store, so that no proxy keeps the answer for others.
// The code is found in every shape of this module's encoders; for one that writes no
// codes, and for codes that don't matter, code is "".
func AssertDenied(tb testing.TB, rec *httptest.ResponseRecorder, status int, code cardea.Code) {
	onlyInTests(tb)
	tb.Helper()
	if rec.Code != status {
		tb.Errorf("status %d, want %d; body: %s", rec.Code, status, excerpt(rec))
		return
	}
	if got := CodeIn(rec.Body.Bytes()); code != "" && got != code {
		tb.Errorf("code %q, want %q; body: %s", got, code, excerpt(rec))
	}
	h := rec.Result().Header
	switch status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" {
			tb.Error("401 without WWW-Authenticate (RFC 9110 §11.6.1)")
		}
	case http.StatusServiceUnavailable:
		if n, err := strconv.Atoi(h.Get("Retry-After")); err != nil || n < 1 {
			tb.Errorf("503 with Retry-After %q: a client can't know when to try again", h.Get("Retry-After"))
		}
	}
	if !strings.Contains(h.Get("Cache-Control"), "no-store") {
		tb.Errorf("refusal with Cache-Control %q, want no-store", h.Get("Cache-Control"))
	}
}

// AssertAllowed wants a status below 400.
func AssertAllowed(tb testing.TB, rec *httptest.ResponseRecorder) {
	onlyInTests(tb)
	tb.Helper()
	if rec.Code >= http.StatusBadRequest {
		tb.Errorf("status %d, want success; body: %s", rec.Code, excerpt(rec))
	}
}

// CodeIn finds the code of a refusal: the member "code" at the top or inside of "error".
// It gives "" when there is none.
func CodeIn(body []byte) cardea.Code {
	var answer struct {
		Code  any `json:"code"`
		Error any `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return ""
	}
	if code, ok := answer.Code.(string); ok {
		return cardea.Code(code)
	}
	if inner, ok := answer.Error.(map[string]any); ok {
		if code, ok := inner["code"].(string); ok {
			return cardea.Code(code)
		}
	}
	return ""
}

func excerpt(rec *httptest.ResponseRecorder) string {
	const limit = 300
	body := rec.Body.String()
	if len(body) > limit {
		return body[:limit] + "..."
	}
	return body
}
