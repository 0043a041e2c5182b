package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

type errSecret struct{}

func (errSecret) Error() string { return "SELECT secret FROM cause" }

// A23.1: every code of the domain has a wire shape, and no answer shows a cause.
func TestEveryCodeHasAWireShape(t *testing.T) {
	t.Parallel()
	codes := append(auth.Codes(), codeNoRoute, codeBadMethod)
	if len(codes) != len(wireTable) {
		t.Errorf("%d codes and %d rows in the table", len(codes), len(wireTable))
	}
	name := regexp.MustCompile(`^[A-Z][A-Z_]+[A-Z]$`)
	for _, code := range codes {
		out, ok := wireOf(code)
		if !ok || out.status < 400 || out.status > 599 || !name.MatchString(out.code) || out.message == "" {
			t.Errorf("%s: %+v", code, out)
			continue
		}
		w := httptest.NewRecorder()
		writeError(w, httptest.NewRequest(http.MethodGet, "/", nil), &auth.Error{Code: code, Cause: errSecret{}, RetryAfter: 1500 * time.Millisecond})
		var got web.Failure
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(web.Failure{Detail: out.message, Code: out.code}, got); d != "" || w.Code != out.status {
			t.Errorf("%s: %d\n%s", code, w.Code, d)
		}
		h := w.Header()
		if (h.Get("Www-Authenticate") != "") != (out.status == http.StatusUnauthorized) || h.Get("Retry-After") != "2" {
			t.Errorf("%s: headers %v", code, h)
		}
	}
}

// Every code that an operation says it may meet is one of the domain, and every operation is
// whole.
func TestOperationsNameKnownCodes(t *testing.T) {
	t.Parallel()
	known := auth.Codes()
	for _, o := range routes() {
		for _, c := range o.codes {
			if !slices.Contains(known, c) {
				t.Errorf("%s %s: unknown code %q", o.method, o.path, c)
			}
		}
		if len(o.run.Replies) == 0 || o.run.Serve == nil {
			t.Errorf("%s %s has no handler", o.method, o.path)
		}
	}
}

func TestErrorWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		err       *auth.Error
		status    int
		challenge string
		want      web.Failure
	}{
		{
			"the flow's own sentence", auth.E(auth.CodeValidation, "slug is odd"), 422, "",
			web.Failure{Detail: "slug is odd", Code: "VALIDATION_FAILED"},
		},
		{
			"none of ours at 500", auth.E(auth.CodeInternal, "disk 3 is full"), 500, "",
			web.Failure{Detail: "Unexpected failure", Code: "INTERNAL_ERROR"},
		},
		{
			"S1.12 one sentence for every failed sign-in", auth.E(auth.CodeInvalidCredentials, "Invalid login credentials"), 401, "Bearer",
			web.Failure{Detail: saysCredentials, Code: "INVALID_CREDENTIALS"},
		},
		{
			"S1.12 also for a banned account", auth.E(auth.CodeUserBanned, "User is banned"), 401, "Bearer",
			web.Failure{Detail: saysCredentials, Code: "INVALID_CREDENTIALS"},
		},
		{
			"S1.11 why a password is weak", &auth.Error{Code: auth.CodeWeakPassword, Message: "too short", Reasons: []string{"length"}}, 422, "",
			web.Failure{Detail: "too short", Code: "WEAK_PASSWORD", Reasons: []string{"length"}},
		},
		{
			"S1.10 no token", auth.Wrap(auth.CodeNoAuthorization, cardea.NewError(cardea.CodeHeaderMissing, nil)), 401, "Bearer",
			web.Failure{Detail: "Authorization header is missing", Code: "AUTH_HEADER_MISSING"},
		},
		{
			"S1.10 an expired token", auth.Wrap(auth.CodeBadJWT, cardea.NewError(cardea.CodeExpired, nil)), 401, `Bearer error="invalid_token"`,
			web.Failure{Detail: "Token has expired", Code: "TOKEN_EXPIRED"},
		},
		{
			"an issuer out of reach is no reason to sign out", auth.Wrap(auth.CodeUnavailable, cardea.NewError(cardea.CodeProviderUnreachable, nil)), 503, "",
			web.Failure{Detail: "Authentication provider can't be reached, try again", Code: "AUTH_PROVIDER_UNREACHABLE"},
		},
		{
			"a code that nobody knows", auth.E("made_up", "do not show"), 500, "",
			web.Failure{Detail: "Unexpected failure", Code: "INTERNAL_ERROR"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			writeError(w, httptest.NewRequest(http.MethodGet, "/", nil), tt.err)
			var got web.Failure
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" || w.Code != tt.status || w.Header().Get("Www-Authenticate") != tt.challenge {
				t.Errorf("%d %q\n%s", w.Code, w.Header().Get("Www-Authenticate"), d)
			}
		})
	}
}

// S1.24: /healthy answers whatever happens to the database; /health tells.
func TestHealth(t *testing.T) {
	t.Parallel()
	down := Handler(Config{Ping: func(context.Context) error { return errSecret{} }})
	for path, want := range map[string]int{"/healthy": http.StatusOK, "/health": http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		down.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want || strings.Contains(w.Body.String(), "secret") || (w.Header().Get("Retry-After") != "") != (want == http.StatusServiceUnavailable) {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
}
