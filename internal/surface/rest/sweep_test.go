package rest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/cardea-auth/cardea/internal/openapi/openapitest"
	"github.com/cardea-auth/cardea/internal/scripttest"
	"github.com/cardea-auth/cardea/internal/surface/rest"
)

// bench is a server with somebody signed in, whose every answer is compared with the
// document.
type bench struct {
	*scripttest.Bench
	contract *openapitest.Contract
	token    string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		Bench:    scripttest.Start(t, "CARDEA_VERIFICATION=none", "CARDEA_RATE_LIMIT_ENABLED=false", "CARDEA_DISCLOSURE=explicit"),
		contract: newContract(t),
	}
	w := b.do(t, http.MethodPost, "/api/auth/register", "", `{"email":"ada@example.org","password":"correct horse battery"}`)
	var answer struct {
		Token string `json:"access_token"`
	}
	decode(t, w, &answer)
	b.token = answer.Token
	return b
}

// do makes a request, and compares it and its answer with the document.
func (b *bench) do(t *testing.T, method, path, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	b.Server.Handler().ServeHTTP(w, r)
	b.contract.Check(t, scripttest.Exchange{Request: r, Body: []byte(body), Answer: w})
	return w
}

// S1.10: every operation that does not say it is public wants a token; the others don't.
func TestOperationsNeedTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	guarded := 0
	b.contract.Each(func(method, path string, o *openapi3.Operation) {
		public := len(*o.Security) == 0
		if !public {
			guarded++
		}
		for _, token := range []string{"", "junk"} {
			w := b.do(t, method, path, token, "{}")
			if (w.Code == http.StatusUnauthorized) == public {
				t.Errorf("%s %s: public %v, %d %s", method, path, public, w.Code, w.Body)
			}
		}
	})
	if guarded < 20 {
		t.Errorf("only %d operations are guarded", guarded)
	}
}

func (b *bench) ask(t *testing.T) openapitest.Ask {
	return func(method, path, body string) *httptest.ResponseRecorder {
		return b.do(t, method, path, b.token, body)
	}
}

func TestWrongMembersAreNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.contract.NamesWrongMembers(t, b.ask(t), 50)
}

func TestLongTextsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.contract.RefusesLongTexts(t, b.ask(t), 15)
}

// S1.23: the page shows every operation, loads nothing from elsewhere and runs nothing that
// is not ours.
func TestPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		b.Server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	w := get("/docs")
	h := w.Header()
	if w.Code != http.StatusOK || h.Get("Content-Type") != "text/html; charset=utf-8" || h.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%d %v", w.Code, h)
	}
	policy := h.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
	html := w.Body.String()
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		switch {
		case strings.HasPrefix(m[1], "#"):
			if !strings.Contains(html, `id="`+m[1][1:]+`"`) {
				t.Errorf("link to %s, which is not there", m[1])
			}
		case !strings.HasPrefix(m[1], "/"):
			t.Errorf("%s is elsewhere", m[1])
		case get(m[1]).Code != http.StatusOK:
			t.Errorf("%s: %d", m[1], get(m[1]).Code)
		}
	}
	if found := regexp.MustCompile(`(?i)<style|style="|\son\w+=|<script>|javascript:|https?://`).FindString(html); found != "" {
		t.Errorf("the policy forbids %q", found)
	}
	shown := 0
	b.contract.Each(func(method, _ string, o *openapi3.Operation) {
		shown++
		if !strings.Contains(html, `id="`+o.OperationID+`"`) || !strings.Contains(html, method) {
			t.Errorf("%s is not shown", o.OperationID)
		}
	})
	if shown == 0 {
		t.Error("no operation")
	}
	for _, path := range []string{"/docs/style.css", "/docs/script.js"} {
		if body := get(path).Body.String(); regexp.MustCompile(`https?:|url\(|@import|import\(|eval|innerHTML`).MatchString(body) {
			t.Errorf("%s loads or runs something", path)
		}
	}
}

// The document that is served is the one that is in the repository.
func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	want, err := rest.Document()
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	w := httptest.NewRecorder()
	b.Server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	if w.Code != http.StatusOK || w.Body.String() != string(want) || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// X1: a server that does not mount the surface has none of its paths.
func TestNotMounted(t *testing.T) {
	t.Parallel()
	b := scripttest.Start(t, "CARDEA_SURFACES=supabase")
	for _, path := range append(slices.Clone(rest.Paths()), "/api/auth/login", "/api/tenants") {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			w := httptest.NewRecorder()
			b.Server.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != http.StatusNotFound {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
}

// A3.3: where nothing but this surface is mounted, the link of a message leads to a page of
// the application, which gives its token to verify. It works once; afterwards the person
// signs in.
func TestLinksWorkWithThisSurfaceAlone(t *testing.T) {
	t.Parallel()
	b := &bench{
		Bench: scripttest.StartWithMail(t, "CARDEA_SURFACES=rest", "CARDEA_VERIFICATION=before_login",
			"CARDEA_SITE_URL=https://app.example"),
		contract: newContract(t),
	}
	const person = `{"email":"ada@example.org","password":"correct horse battery"}`
	if w := b.do(t, http.MethodPost, "/api/auth/register", "", person); w.Code != http.StatusAccepted {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	link, err := url.Parse(b.Unread(t, "ada@example.org", "link"))
	if err != nil || link.Host != "app.example" || link.Path != "/auth/verify" {
		t.Fatalf("link %s, %v", link, err)
	}
	q := link.Query()
	for i, want := range []int{http.StatusOK, http.StatusBadRequest} {
		w := b.do(t, http.MethodPost, "/api/auth/verify", "", `{"token":"`+q.Get("token")+`","type":"`+q.Get("type")+`"}`)
		if w.Code != want {
			t.Errorf("use %d: %d %s", i+1, w.Code, w.Body)
		}
	}
	if w := b.do(t, http.MethodPost, "/api/auth/login", "", person); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := httptest.NewRecorder()
	b.Server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/auth/v1/token?grant_type=password", strings.NewReader(person)))
	if w.Code != http.StatusNotFound {
		t.Errorf("/auth/v1/token is there: %d", w.Code)
	}
}
