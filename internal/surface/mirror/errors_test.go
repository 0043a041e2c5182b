package mirror

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
)

type errSecret struct{}

func (errSecret) Error() string { return "SELECT secret FROM cause" }

// A23.1, S2.15: every code of the domain has a wire shape, and no answer shows a cause.
func TestEveryCodeHasAWireShape(t *testing.T) {
	t.Parallel()
	codes := append(auth.Codes(), codeNoRoute, codeBadMethod)
	if len(codes) != len(wireTable) {
		t.Errorf("%d codes and %d rows in the table", len(codes), len(wireTable))
	}
	for _, code := range codes {
		w, ok := wireOf(code)
		if !ok || w.status < 400 || w.status > 599 || w.message == "" || strings.ToUpper(w.code) != w.code || w.code == "" {
			t.Errorf("%s: %+v", code, w)
			continue
		}
		rec := httptest.NewRecorder()
		writeError(rec, httptest.NewRequest("GET", "/", nil), &auth.Error{Code: code, Cause: errSecret{}, RetryAfter: 1500 * time.Millisecond})
		var got map[string]map[string]string
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]map[string]string{"error": {"code": w.code, "message": w.message}}
		if diff := cmp.Diff(want, got); diff != "" || rec.Code != w.status || rec.Header().Get("Retry-After") != "2" {
			t.Errorf("%s: %d %v\n%s", code, rec.Code, rec.Header(), diff)
		}
	}
}

// S2.15: the code of a status.
func TestGenericCodes(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "CONFLICT", 422: "VALIDATION_ERROR",
		429: "RATE_LIMIT_EXCEEDED", 500: "INTERNAL_ERROR", 502: "EXTERNAL_SERVICE_ERROR", 503: "SERVICE_UNAVAILABLE", 418: "INTERNAL_ERROR",
	} {
		if got := codeOfStatus(status); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	type answer struct {
		Status           int
		Body, Retry, Ask string
	}
	for _, tt := range []struct {
		name string
		err  *auth.Error
		want answer
	}{
		{"a sentence of the flow", auth.E(auth.CodeValidation, "name is too long"), answer{422, `{"error":{"code":"VALIDATION_ERROR","message":"name is too long"}}`, "", ""}},
		{"nothing is told of the inside", auth.E(auth.CodeInternal, "table users"), answer{500, `{"error":{"code":"INTERNAL_ERROR","message":"Unexpected failure"}}`, "", ""}},
		{"a code that nobody knows", auth.E("made_up", "do not show"), answer{500, `{"error":{"code":"INTERNAL_ERROR","message":"Unexpected failure"}}`, "", ""}},
		{"S2.15 a limit without a time", auth.E(auth.CodeRateLimited, ""), answer{429, `{"error":{"code":"RATE_LIMIT_EXCEEDED","message":"Too many requests, please try again later"}}`, "60", ""}},
		{
			"S2.11 the keys can't be fetched", &auth.Error{Code: auth.CodeUnavailable, Cause: cardea.NewError(cardea.CodeProviderUnreachable, nil)},
			answer{503, `{"error":{"code":"AUTH_PROVIDER_UNREACHABLE","message":"` + cardea.NewError(cardea.CodeProviderUnreachable, nil).Message + `"}}` + "\n", "5", ""},
		},
		{
			"S2.12 no header", &auth.Error{Code: auth.CodeNoAuthorization, Cause: cardea.NewError(cardea.CodeHeaderMissing, nil)},
			answer{401, `{"error":{"code":"AUTH_HEADER_MISSING","message":"` + cardea.NewError(cardea.CodeHeaderMissing, nil).Message + `"}}` + "\n", "", "Bearer"},
		},
		{
			"reasons", &auth.Error{Code: auth.CodeWeakPassword, Reasons: []string{"length"}},
			answer{422, `{"error":{"code":"VALIDATION_ERROR","message":"The password is too weak","details":{"reasons":["length"]}}}`, "", ""},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rec := httptest.NewRecorder()
			writeError(rec, httptest.NewRequest("GET", "/", nil), tt.err)
			got := answer{rec.Code, rec.Body.String(), rec.Header().Get("Retry-After"), rec.Header().Get("WWW-Authenticate")}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
