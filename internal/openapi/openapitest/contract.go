// Package openapitest compares a surface with its OpenAPI document: what it answers, what it
// takes, and what it refuses. Tests of surfaces use it, and nothing else.
package openapitest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/scripttest"
)

// Current compares the document with its copy in docs/reference, and writes that anew when
// update says so.
func Current(t *testing.T, want []byte, name string, update bool) {
	t.Helper()
	file := filepath.Join("..", "..", "..", "docs", "reference", name)
	if update {
		if err := os.WriteFile(file, want, 0o644); err != nil { //nolint:gosec // G306: a file of the repository
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file) //nolint:gosec // G304: a file of the repository
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("the document is out of date: go test . -update (-want +got):\n%s", d)
	}
}

// Contract compares exchanges with a document.
type Contract struct {
	Doc   *openapi3.T
	under string         // what is answered below it, the document has to know
	mux   *http.ServeMux // finds the operation of a request
}

// New reads a document of everything below a path.
func New(tb testing.TB, document []byte, under string) *Contract {
	tb.Helper()
	c := &Contract{mux: http.NewServeMux(), under: under}
	var err error
	if c.Doc, err = openapi3.NewLoader().LoadFromData(document); err != nil {
		tb.Fatal(err)
	}
	for path, item := range c.Doc.Paths.Map() {
		for method := range item.Operations() {
			c.mux.HandleFunc(method+" "+path, func(http.ResponseWriter, *http.Request) {})
		}
	}
	return c
}

// Valid proves that the document is valid OpenAPI 3.1, that its names are unique, and that
// nothing in it is without words.
func (c *Contract) Valid(t *testing.T, operations int) {
	t.Helper()
	if err := c.Doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !c.Doc.IsOpenAPI31OrLater() {
		t.Errorf("version %s", c.Doc.OpenAPI)
	}
	ids := map[string]bool{}
	for path, item := range c.Doc.Paths.Map() {
		for method, o := range item.Operations() {
			if ids[o.OperationID] || o.OperationID == "" || o.Summary == "" || len(o.Tags) != 1 || o.Responses.Default() == nil {
				t.Errorf("%s %s: %q is incomplete or not unique", method, path, o.OperationID)
			}
			ids[o.OperationID] = true
		}
	}
	for name, s := range c.Doc.Components.Schemas {
		for member, p := range s.Value.Properties {
			if p.Value.Description == "" {
				t.Errorf("%s.%s is not described", name, member)
			}
		}
	}
	if len(ids) < operations {
		t.Errorf("only %d operations", len(ids))
	}
}

// Each calls f for every operation of the document, with ids put into its path.
func (c *Contract) Each(f func(method, path string, o *openapi3.Operation)) {
	ids := regexp.MustCompile(`\{\w+\}`)
	for _, path := range c.Doc.Paths.InMatchingOrder() {
		for method, o := range c.Doc.Paths.Value(path).Operations() {
			f(method, ids.ReplaceAllString(path, "019ca869-0000-7000-8000-000000000000"), o)
		}
	}
}

// Check compares an exchange with the document: the answer always, the request when it was
// taken. An exchange that the document knows nothing of has to be a refusal.
func (c *Contract) Check(t *testing.T, x scripttest.Exchange) {
	t.Helper()
	what := x.Request.Method + " " + x.Request.URL.Path
	_, pattern := c.mux.Handler(x.Request)
	method, path, ok := strings.Cut(pattern, " ")
	if x.Answer.Code >= 400 && strings.HasPrefix(x.Request.URL.Path, c.under) {
		c.checkFailure(t, what, x.Answer)
	}
	if !ok || strings.HasSuffix(x.Request.URL.Path, "/") {
		if x.Answer.Code < 400 && strings.HasPrefix(x.Request.URL.Path, c.under) {
			t.Errorf("%s: answered %d, and the document does not know it", what, x.Answer.Code)
		}
		return
	}
	item := c.Doc.Paths.Value(path)
	r := x.Request.Clone(t.Context())
	r.Body = io.NopCloser(bytes.NewReader(x.Body))
	r.Header.Set("Content-Type", "application/json")
	mux := http.NewServeMux()
	params := map[string]string{}
	mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) {
		for _, p := range item.GetOperation(method).Parameters {
			if p.Value.In == "path" {
				params[p.Value.Name] = r.PathValue(p.Value.Name)
			}
		}
	})
	mux.ServeHTTP(httptest.NewRecorder(), r)
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params,
		Route:   &routers.Route{Spec: c.Doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if x.Answer.Code < 300 && !bytes.Contains(x.Body, []byte("null")) {
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s was taken, but the document refuses it: %v", what, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: x.Answer.Code, Header: x.Answer.Header(), Options: in.Options,
	}
	out.SetBodyBytes(x.Answer.Body.Bytes())
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s: the document does not allow this answer: %v", what, err)
	}
	if documented := item.GetOperation(method).Responses.Status(x.Answer.Code); documented != nil && documented.Value.Content == nil && x.Answer.Body.Len() > 0 {
		t.Errorf("%s: %d has a body", what, x.Answer.Code)
	}
}

// checkFailure proves what every refusal has: the three members, and the headers that belong
// to its status (design.md 6).
func (c *Contract) checkFailure(t *testing.T, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Errorf("%s: %v in %s", what, err, w.Body)
	}
	for _, name := range []string{"detail", "code", "request_id"} {
		if s, ok := body[name].(string); !ok || s == "" {
			t.Errorf("%s: %d without %s: %s", what, w.Code, name, w.Body)
		}
	}
	if id := w.Header().Get("X-Request-Id"); body["request_id"] != id {
		t.Errorf("%s: request_id %v, header %s", what, body["request_id"], id)
	}
	if has := w.Header().Get("Www-Authenticate") != ""; has != (w.Code == http.StatusUnauthorized) {
		t.Errorf("%s: %d, WWW-Authenticate %v", what, w.Code, has)
	}
	if slices.Contains([]int{http.StatusTooManyRequests, http.StatusServiceUnavailable}, w.Code) && w.Header().Get("Retry-After") == "" {
		t.Errorf("%s: %d without Retry-After", what, w.Code)
	}
}
