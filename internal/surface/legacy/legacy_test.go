package legacy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
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
	codes := append(auth.Codes(), codeBadMethod, codeNoTenant, codeConflicting)
	if len(codes) != len(wireTable) {
		t.Errorf("%d codes and %d rows in the table", len(codes), len(wireTable))
	}
	for _, code := range codes {
		w, ok := wireTable[code]
		if !ok || w.status < 400 || w.status > 599 || w.message == "" || strings.ToUpper(w.code) != w.code || w.code == "" {
			t.Errorf("%s: %+v", code, w)
			continue
		}
		rec := httptest.NewRecorder()
		writeError(rec, httptest.NewRequest(http.MethodGet, "/", nil), &auth.Error{Code: code, Cause: errSecret{}, RetryAfter: 1500 * time.Millisecond})
		var got web.Failure
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(web.Failure{Detail: w.message, Code: w.code}, got); diff != "" || rec.Code != w.status || rec.Header().Get("Retry-After") != "2" {
			t.Errorf("%s: %d %v\n%s", code, rec.Code, rec.Header(), diff)
		}
	}
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	type answer struct {
		Status       int
		Detail, Code string
		Challenge    string
	}
	for _, tt := range []struct {
		name string
		err  *auth.Error
		want answer
	}{
		{"a sentence of the flow", auth.E(auth.CodeValidation, "email is required"), answer{422, "email is required", "VALIDATION_FAILED", ""}},
		{"S1.12 no word about the account", auth.E(auth.CodeUserBanned, "User is banned"), answer{401, wrongCredentials.message, "INVALID_CREDENTIALS", "Bearer"}},
		{"no word about the session", auth.E(auth.CodeRefreshReused, "copied"), answer{401, wrongRefresh.message, "REFRESH_TOKEN_INVALID", "Bearer"}},
		{"nothing of the inside", auth.E(auth.CodeInternal, "table users"), answer{500, "Unexpected failure", "INTERNAL_ERROR", ""}},
		{"a code that nobody knows", auth.E("made_up", "do not show"), answer{500, "Unexpected failure", "INTERNAL_ERROR", ""}},
		{
			"the token knows best", &auth.Error{Code: auth.CodeBadJWT, Message: "x", Cause: cardea.NewError(cardea.CodeExpired, nil)},
			answer{401, cardea.NewError(cardea.CodeExpired, nil).Message, string(cardea.CodeExpired), cardea.NewError(cardea.CodeExpired, nil).Challenge()},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rec := httptest.NewRecorder()
			writeError(rec, httptest.NewRequest(http.MethodGet, "/", nil), tt.err)
			var body web.Failure
			if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, answer{rec.Code, body.Detail, body.Code, rec.Header().Get("WWW-Authenticate")}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A13.3: which paths are ours, and what they say.
func TestRead(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/en/north/api/auth/login":                  "en north /{lang}/{tenant}/api/auth/login",
		"/en/north/api/auth/login/":                 "en north /{lang}/{tenant}/api/auth/login",
		"/pt-BR/north/api/auth/register":            "pt-BR north /{lang}/{tenant}/api/auth/register",
		"/he/north/api/auth/token-validity":         "he north /{lang}/{tenant}/api/auth/token-validity",
		"/api/v1/auth/login":                        "  /api/v1/auth/login",
		"/api/v1/backoffice/auth/token":             "  /api/v1/backoffice/auth/token",
		"/en/north/api/backoffice/auth/is-auth":     "en north /{lang}/{tenant}/api/backoffice/auth/is-auth",
		"/en/north/api/backoffice/auth/register":    "",
		"/en/north/api/auth/invitation":             "",
		"/api/v1/auth/config":                       "",
		"/api/v1/users/me":                          "",
		"/api/v1/api/auth/login":                    "",
		"/auth/v1/api/auth/login":                   "",
		"/eng/north/api/auth/login":                 "",
		"/e1/north/api/auth/login":                  "",
		"/en-/north/api/auth/login":                 "",
		"/en-US../north/api/auth/login":             "",
		"/en//api/auth/login":                       "",
		"//north/api/auth/login":                    "",
		"/en/north/api/auth/login/more":             "",
		"/en/north/api/auth":                        "",
		"/en/north/x/api/auth/login":                "",
		"/en/north/api/v1/auth/login":               "",
		"/":                                         "",
		"":                                          "",
		"/" + strings.Repeat("en/", 1000) + "login": "",
	} {
		got := ""
		if a, ok := read(path); ok {
			got = a.lang + " " + a.tenant + " " + a.pattern
		}
		if got != want {
			t.Errorf("%.60q: %q, want %q", path, got, want)
		}
	}
}

// FuzzRead: what is read is exactly what the path says, and nothing else is ours.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"/en/north/api/auth/login", "/api/v1/backoffice/auth/is-auth", "/en//api/auth/login", "//", "/auth/v1/token", "/en/a%2fb/api/auth/login"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		a, ok := read(path)
		if !ok {
			return
		}
		want := strings.NewReplacer("{lang}", a.lang, "{tenant}", a.tenant).Replace(a.pattern)
		if got := "/" + strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"); got != want || (a.lang == "") != (a.tenant == "") || a.route.serve == nil {
			t.Errorf("%q is read as %q", path, want)
		}
	})
}

// A13.2: two places that disagree are refused.
func TestOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, inPath, query, want string
		header                    []string
		refused                   bool
	}{
		{"nothing", "", "", "", nil, false},
		{"path", "north", "", "north", nil, false},
		{"header", "", "", "north", []string{"north"}, false},
		{"query", "", "?tenant=north", "north", nil, false},
		{"all alike", "north", "?tenant=north", "north", []string{"north", "north"}, false},
		{"empty is nothing", "", "?tenant=", "north", []string{"", "north"}, false},
		{"path and header", "north", "", "", []string{"south"}, true},
		{"path and query", "north", "?tenant=south", "", nil, true},
		{"two headers", "", "", "", []string{"north", "south"}, true},
		{"two parameters", "", "?tenant=north&tenant=south", "", nil, true},
		{"spelling counts", "north", "?tenant=North", "", nil, true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/"+tt.query, nil)
		for _, v := range tt.header {
			r.Header.Add("X-Tenant", v)
		}
		got, err := one(r, tt.inPath, "X-Tenant", "tenant")
		if got != tt.want || (err != nil) != tt.refused || err != nil && auth.CodeOf(err) != codeConflicting {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}
