package gotrue

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// A23.1: every code of the domain has a wire shape in both versions, and no answer shows a
// cause.
func TestEveryCodeHasAWireShape(t *testing.T) {
	t.Parallel()
	codes := append(auth.Codes(), codeNoRoute, codeBadMethod)
	if len(codes) != len(wireTable) {
		t.Errorf("%d codes and %d rows in the table", len(codes), len(wireTable))
	}
	for _, code := range codes {
		w, ok := wireOf(code)
		if !ok || w.status < 400 || w.status > 599 || w.code == "" || w.message == "" {
			t.Errorf("%s: %+v", code, w)
			continue
		}
		for _, version := range []string{"", "2024-01-01", "2029-12-31"} {
			e := &auth.Error{Code: code, Cause: errSecret{}, RetryAfter: 1500 * time.Millisecond}
			r, rec := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			r.Header.Set(versionHeader, version)
			(&surface{}).writeError(rec, r, e)
			checkShape(t, rec, w, version != "")
		}
	}
}

type errSecret struct{}

func (errSecret) Error() string { return "SELECT secret FROM cause" }

func checkShape(t *testing.T, rec *httptest.ResponseRecorder, w wire, newer bool) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"code": float64(w.status), "error_code": w.code, "msg": w.message}
	if newer {
		want = map[string]any{"code": w.code, "message": w.message}
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %s = %v, want %v", w.code, k, got[k], v)
		}
	}
	delete(got, "weak_password")
	if len(got) != len(want) || rec.Code != w.status {
		t.Errorf("%s: status %d, body %s", w.code, rec.Code, rec.Body)
	}
	h := rec.Header()
	if h.Get("X-Sb-Error-Code") != w.code || h.Get("Retry-After") != "2" || (h.Get(versionHeader) != "") != newer {
		t.Errorf("%s: headers %v", w.code, h)
	}
}

// A code that the table does not know is a 500 without words of its own.
func TestUnknownCodeIsInternal(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	(&surface{}).writeError(rec, httptest.NewRequest("GET", "/", nil), auth.E("made_up", "do not show"))
	if rec.Code != 500 || rec.Header().Get("X-Sb-Error-Code") != "unexpected_failure" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestNewShapeNeedsADate(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"": false, "2023-12-31": false, "2024-01-01": true, "2025-06-01": true, "latest": false, "2024-1-1": false, "9": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(versionHeader, version)
		if newShape(r) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}
