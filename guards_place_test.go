package cardea

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// placeRequest is a request to the routes of placeServer.
type placeRequest struct {
	path, query string
	header      http.Header
	contentType string
	body        string
}

// placeServer guards one route and answers the body that the handler saw.
func placeServer(t *testing.T, pattern string, rule Requirement) (*httptest.Server, func() []Denial) {
	t.Helper()
	var mu sync.Mutex
	var denials []Denial
	c := testConfig(t)
	c.OnDenied = func(_ context.Context, d Denial) {
		mu.Lock()
		defer mu.Unlock()
		denials = append(denials, d)
	}
	v := mustVerifier(t, c)
	mux := http.NewServeMux()
	mux.Handle(pattern, v.Require(rule)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := r.Body.Close(); err != nil {
			t.Error(err)
		}
		_, _ = w.Write(append([]byte("passed "), body...))
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, func() []Denial {
		mu.Lock()
		defer mu.Unlock()
		return denials
	}
}

// send answers status and the code or the body.
func (q placeRequest) send(t *testing.T, server *httptest.Server, token string) (int, string) {
	t.Helper()
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	path := q.path
	if path == "" {
		path = "/"
	}
	if q.query != "" {
		path += "?" + q.query
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, code, ok := strings.Cut(string(text), `"code":"`); ok {
		code, _, _ := strings.Cut(code, `"`)
		return resp.StatusCode, code
	}
	return resp.StatusCode, string(text)
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

func multipartBody(t *testing.T, fields ...[2]string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	file, err := w.CreateFormFile("lab_files", "a.csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("a,b\n1,2\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// TestTenantGuard: A13.2, S4.12, X32, B4.10.
func TestTenantGuard(t *testing.T) {
	t.Parallel()
	server, _ := placeServer(t, "POST /clinics/{clinic_id}/{$}", Tenant(InPath("clinic_id"), InQuery("clinic_id"), InHeader("X-Clinic-Id"), InBody("clinic_id")))
	loose, denials := placeServer(t, "POST /", Tenant(InQuery("clinic_id"), InHeader("X-Clinic-Id"), InBody("clinic_id")))
	one := hsToken(map[string]any{"clinic_id": "c-1"})
	kind, form := multipartBody(t, [2]string{"clinic_id", "c-2"})
	listKind, listForm := multipartBody(t, [2]string{"clinic_id[]", "c-2"})
	header := func(values ...string) http.Header { return http.Header{"X-Clinic-Id": values} }
	const conflict, invalid = string(CodeConflictingIDs), string(CodeRequestInvalid)
	cases := []struct {
		name   string
		loose  bool
		q      placeRequest
		status int
		want   string
	}{
		{"own clinic in the path", false, placeRequest{path: "/clinics/c-1/"}, 200, "passed "},
		{"in all places", false, placeRequest{"/clinics/c-1/", "clinic_id=c-1", header("c-1"), jsonType, `{"clinic_id":"c-1"}`}, 200, `passed {"clinic_id":"c-1"}`},
		{"another clinic", false, placeRequest{path: "/clinics/c-2/"}, 403, "TENANT_ACCESS_DENIED"},
		{"another clinic in capitals", false, placeRequest{path: "/clinics/C-1/"}, 403, "TENANT_ACCESS_DENIED"},
		{"encoded", false, placeRequest{path: "/clinics/%63-1/"}, 200, "passed "},
		{"in no place", true, placeRequest{}, 403, "TENANT_REQUIRED"},
		{"empty in the query", true, placeRequest{query: "clinic_id="}, 403, "TENANT_REQUIRED"},
		{"null in the body", true, placeRequest{contentType: jsonType, body: `{"clinic_id":null}`}, 403, "TENANT_REQUIRED"},
		{"empty body object", true, placeRequest{contentType: jsonType, body: `{}`}, 403, "TENANT_REQUIRED"},
		{"query", true, placeRequest{query: "clinic_id=c-1"}, 200, "passed "},
		{"header", true, placeRequest{header: header("c-1")}, 200, "passed "},
		{"form", true, placeRequest{contentType: formType, body: "clinic_id=c-1&a=b"}, 200, "passed clinic_id=c-1&a=b"},
		{"JSON of another kind", true, placeRequest{contentType: "application/merge-patch+json; charset=utf-8", body: `{"clinic_id":"c-1"}`}, 200, `passed {"clinic_id":"c-1"}`},
		{"escaped in JSON", true, placeRequest{contentType: jsonType, body: `{"clin\u0069c_id":"c\u002d1"}`}, 200, `passed {"clin\u0069c_id":"c\u002d1"}`},
		{"repeated but equal", true, placeRequest{query: "clinic_id=c-1&clinic_id=c-1"}, 200, "passed "},

		// Two readers, two ids.
		{"path and query disagree", false, placeRequest{path: "/clinics/c-1/", query: "clinic_id=c-2"}, 400, conflict},
		{"path and header disagree", false, placeRequest{path: "/clinics/c-1/", header: header("c-2")}, 400, conflict},
		{"path and body disagree", false, placeRequest{path: "/clinics/c-1/", contentType: jsonType, body: `{"clinic_id":"c-2"}`}, 400, conflict},
		{"path and form disagree", false, placeRequest{path: "/clinics/c-1/", contentType: formType, body: "clinic_id=c-2"}, 400, conflict},
		{"path and multipart disagree", false, placeRequest{path: "/clinics/c-1/", contentType: kind, body: form}, 400, conflict},
		{"path and empty query", false, placeRequest{path: "/clinics/c-1/", query: "clinic_id="}, 400, conflict},
		{"both of others", false, placeRequest{path: "/clinics/c-2/", query: "clinic_id=c-3"}, 400, conflict},
		{"repeated in the query", true, placeRequest{query: "clinic_id=c-1&clinic_id=c-2"}, 400, conflict},
		{"repeated header", true, placeRequest{header: header("c-1", "c-2")}, 400, conflict},
		{"repeated in the form", true, placeRequest{contentType: formType, body: "clinic_id=c-1&clinic_id=c-2"}, 400, conflict},
		{"list in one header", true, placeRequest{header: header("c-1, c-2")}, 403, "TENANT_ACCESS_DENIED"},

		// What can be read in two ways.
		{"name twice in JSON", true, placeRequest{contentType: jsonType, body: `{"clinic_id":"c-1","clinic_id":"c-2"}`}, 400, invalid},
		{"name in other case", true, placeRequest{contentType: jsonType, body: `{"clinic_id":"c-1","Clinic_ID":"c-2"}`}, 400, invalid},
		{"name in other case only", false, placeRequest{path: "/clinics/c-1/", contentType: jsonType, body: `{"CLINIC_ID":"c-2"}`}, 400, invalid},
		{"two objects", false, placeRequest{path: "/clinics/c-1/", contentType: jsonType, body: `{"clinic_id":"c-1"} {"clinic_id":"c-2"}`}, 400, invalid},
		{"list of objects", false, placeRequest{path: "/clinics/c-1/", contentType: jsonType, body: `[{"clinic_id":"c-2"}]`}, 400, invalid},
		{"list as the id", true, placeRequest{contentType: jsonType, body: `{"clinic_id":["c-1"]}`}, 400, invalid},
		{"fraction as the id", true, placeRequest{contentType: jsonType, body: `{"clinic_id":1.0}`}, 400, invalid},
		{"half a surrogate", true, placeRequest{contentType: jsonType, body: `{"clinic_id":"c-1\ud800"}`}, 400, invalid},
		{"JSON that is called a form", false, placeRequest{path: "/clinics/c-1/", contentType: formType, body: ` {"clinic_id":"c-2"}`}, 400, invalid},
		{"body without a type", false, placeRequest{path: "/clinics/c-1/", body: `{"clinic_id":"c-2"}`}, 400, invalid},
		{"body of another type", false, placeRequest{path: "/clinics/c-1/", contentType: "text/plain", body: `{"clinic_id":"c-2"}`}, 400, invalid},
		{"two types", false, placeRequest{path: "/clinics/c-1/", header: http.Header{"Content-Type": {jsonType, formType}}, body: `{}`}, 400, invalid},
		{"broken type", false, placeRequest{path: "/clinics/c-1/", contentType: "application/json; =", body: `{}`}, 400, invalid},
		{"compressed body", false, placeRequest{path: "/clinics/c-1/", header: http.Header{"Content-Encoding": {"gzip"}}, contentType: jsonType, body: zipped(t, `{"clinic_id":"c-2"}`)}, 400, invalid},
		{"multipart without boundary", true, placeRequest{contentType: "multipart/form-data", body: "x"}, 400, invalid},
		{"multipart cut off", true, placeRequest{contentType: kind, body: form[:40]}, 400, invalid},
		{"name in other case in the query", false, placeRequest{path: "/clinics/c-1/", query: "Clinic_Id=c-2"}, 400, invalid},
		{"list in the query", false, placeRequest{path: "/clinics/c-1/", query: "clinic_id[0]=c-2"}, 400, invalid},
		{"list in the form", false, placeRequest{path: "/clinics/c-1/", contentType: formType, body: "clinic_id[]=c-2"}, 400, invalid},
		{"list in multipart", false, placeRequest{path: "/clinics/c-1/", contentType: listKind, body: listForm}, 400, invalid},
		{"bad query", true, placeRequest{query: "clinic_id=c-1&x=%zz"}, 400, invalid},
		{"semicolon in the query", true, placeRequest{query: "clinic_id=c-1;clinic_id=c-2"}, 400, invalid},
		{"bad form", true, placeRequest{contentType: formType, body: "clinic_id=c-1;clinic_id=c-2"}, 400, invalid},
		{"large body", true, placeRequest{contentType: jsonType, body: `{"clinic_id":"` + strings.Repeat("x", 1<<20) + `"}`}, 413, "REQUEST_BODY_TOO_LARGE"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			target := server
			if tc.loose {
				target = loose
			}
			if status, got := tc.q.send(t, target, one); status != tc.status || got != tc.want {
				t.Errorf("%d %s, want %d %s", status, got, tc.status, tc.want)
			}
		})
	}
	t.Cleanup(func() { // A12.4: each denial says what was asked for and what was there
		if len(denials()) == 0 {
			t.Error("no denial was reported")
		}
		for _, d := range denials() {
			if d.Err.Required == "" || (d.Err.HTTPStatus() == 403 && d.Err.Actual == "") || d.Pattern != "POST /" {
				t.Errorf("incomplete: %+v, pattern %q", d.Err, d.Pattern)
			}
		}
	})
}

func zipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestTenantOfToken: S4.22. Which of the user's tenants counts.
func TestTenantOfToken(t *testing.T) {
	t.Parallel()
	active, _ := placeServer(t, "POST /{clinic}", Tenant(InPath("clinic")))
	member, _ := placeServer(t, "POST /{clinic}", TenantMember(InPath("clinic")))
	both := []any{"c-1", map[string]any{"clinic_id": "c-2", "role": "receptionist"}}
	cases := []struct {
		name           string
		claims         map[string]any
		clinic         string
		active, member int
	}{
		{"active", map[string]any{"clinic_id": "c-1", "memberships": both}, "c-1", 200, 200},
		// The roles in the token are those of c-1.
		{"member elsewhere", map[string]any{"clinic_id": "c-1", "memberships": both}, "c-2", 403, 200},
		{"stranger", map[string]any{"clinic_id": "c-1", "memberships": both}, "c-3", 403, 403},
		{"no active one", map[string]any{"memberships": both}, "c-2", 200, 200},
		{"no active one, stranger", map[string]any{"memberships": both}, "c-3", 403, 403},
		{"no tenant at all", nil, "c-1", 403, 403},
		{"number", map[string]any{"clinic_id": 7}, "7", 200, 200},
		{"number, other spelling", map[string]any{"clinic_id": 7}, "07", 403, 403},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			token := hsToken(tc.claims)
			q := placeRequest{path: "/" + tc.clinic}
			if status, got := q.send(t, active, token); status != tc.active {
				t.Errorf("Tenant: %d %s", status, got)
			}
			if status, got := q.send(t, member, token); status != tc.member {
				t.Errorf("TenantMember: %d %s", status, got)
			}
		})
	}
}

// TestOwner: A12.2, S0.14, S0.15, B0.1 to B0.4. The id of somebody else is refused in
// every place; without one the request is about the caller.
func TestOwner(t *testing.T) {
	t.Parallel()
	rule := AnyOf("owner or admin", Owner(InQuery("user_id"), InHeader("X-User-Id"), InBody("user_id")), Role("admin"))
	server, _ := placeServer(t, "POST /{$}", rule)
	mine, others := hsToken(map[string]any{"sub": "u-1"}), "u-2"
	admin := hsToken(map[string]any{"sub": "u-9", "app_metadata": map[string]any{"roles": []any{"admin"}}})
	kind, form := multipartBody(t, [2]string{"patient_name", "P"}, [2]string{"user_id", "u-2"})
	ownKind, ownForm := multipartBody(t, [2]string{"user_id", "u-1"})
	cases := []struct {
		name   string
		q      placeRequest
		token  string
		status int
		want   string
	}{
		{"none", placeRequest{}, mine, 200, "passed "},
		{"own in the query", placeRequest{query: "user_id=u-1"}, mine, 200, "passed "},
		{"own in JSON", placeRequest{contentType: jsonType, body: `{"user_id":"u-1"}`}, mine, 200, `passed {"user_id":"u-1"}`},
		{"own in a form with a file", placeRequest{contentType: ownKind, body: ownForm}, mine, 200, "passed " + ownForm},
		{"JSON without", placeRequest{contentType: jsonType, body: `{"a":1}`}, mine, 200, `passed {"a":1}`},
		{"of another in the query", placeRequest{query: "user_id=" + others}, mine, 403, "OWNER_MISMATCH"},
		{"of another in a header", placeRequest{header: http.Header{"X-User-Id": {others}}}, mine, 403, "OWNER_MISMATCH"},
		{"of another in a form", placeRequest{contentType: formType, body: "user_id=u-2"}, mine, 403, "OWNER_MISMATCH"},
		{"of another in a form with a file", placeRequest{contentType: kind, body: form}, mine, 403, "OWNER_MISMATCH"},
		{"of another in JSON", placeRequest{contentType: jsonType, body: `{"user_id":"u-2"}`}, mine, 403, "OWNER_MISMATCH"},
		{"own and of another", placeRequest{query: "user_id=u-1&user_id=u-2"}, mine, 403, "OWNER_MISMATCH"},
		{"own, and of another elsewhere", placeRequest{query: "user_id=u-1", contentType: jsonType, body: `{"user_id":"u-2"}`}, mine, 403, "OWNER_MISMATCH"},
		{"empty", placeRequest{query: "user_id="}, mine, 403, "OWNER_MISMATCH"},
		{"hidden by case", placeRequest{contentType: jsonType, body: `{"User_Id":"u-2"}`}, mine, 400, "INVALID_REQUEST"},
		{"hidden by a long s", placeRequest{contentType: jsonType, body: `{"u\u017fer_id":"u-2"}`}, mine, 400, "INVALID_REQUEST"},
		{"admin for another", placeRequest{query: "user_id=u-2"}, admin, 200, "passed "},
		{"admin for another, in JSON", placeRequest{contentType: jsonType, body: `{"user_id":"u-2"}`}, admin, 200, `passed {"user_id":"u-2"}`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if status, got := tc.q.send(t, server, tc.token); status != tc.status || got != tc.want {
				t.Errorf("%d %s, want %d %s", status, got, tc.status, tc.want)
			}
		})
	}
}

// TestOwnerInPath: S0.15, with what an audit gets to know.
func TestOwnerInPath(t *testing.T) {
	t.Parallel()
	server, denials := placeServer(t, "POST /users/{user_id}", AnyOf("owner or admin", Owner(InPath("user_id")), Role("admin")))
	mine := hsToken(map[string]any{"sub": "u-1"})
	if status, got := (placeRequest{path: "/users/u-1"}).send(t, server, mine); status != 200 {
		t.Error(status, got)
	}
	if status, got := (placeRequest{path: "/users/u-2"}).send(t, server, mine); status != 403 {
		t.Error(status, got)
	}
	first := denials()[0]
	if diff := cmp.Diff([]string{`owner or admin: user "u-2"`, `user "u-1"`, "u-1"},
		[]string{first.Err.Required, first.Err.Actual, first.Principal.Subject}); diff != "" {
		t.Error(diff)
	}
}

// TestPlacesThatAreBroken: bodies that can't be read, and a file in place of an id.
func TestPlacesThatAreBroken(t *testing.T) {
	t.Parallel()
	p := &Principal{Subject: "u-1"}
	owner := Owner(InBodyUpTo("user_id", 64))
	request := func(contentType string, body io.Reader) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body)
		r.Header.Set("Content-Type", contentType)
		return r
	}
	chunked := request(jsonType, io.MultiReader(strings.NewReader(`{"user_id":"`), strings.NewReader(strings.Repeat("x", 99))))
	chunked.ContentLength = -1
	limited := request(jsonType, strings.NewReader(`{"user_id":"u-1"}`))
	limited.Body = http.MaxBytesReader(httptest.NewRecorder(), limited.Body, 4)
	file := "--b\r\nContent-Disposition: form-data; name=user_id; filename=a\r\n\r\nu-1\r\n--b--\r\n"
	for name, tc := range map[string]struct {
		r    *http.Request
		rule Requirement
		want Code
	}{
		"no body":               {request(jsonType, http.NoBody), owner, ""},
		"reader fails":          {request(jsonType, io.MultiReader(strings.NewReader("{"), failingReader{})), owner, CodeRequestInvalid},
		"longer than it says":   {chunked, owner, CodeBodyTooLarge},
		"limited before":        {limited, owner, CodeBodyTooLarge},
		"file in place of id":   {request("multipart/form-data; boundary=b", strings.NewReader(file)), Owner(InBody("user_id")), CodeRequestInvalid},
		"part that breaks":      {request("multipart/form-data; boundary=b", strings.NewReader(file[:70])), Owner(InBody("lab")), CodeRequestInvalid},
		"second, smaller limit": {request(jsonType, strings.NewReader(`{"user_id":"u-1"}`)), AllOf("two", owner, Owner(InBodyUpTo("user_id", 4))), CodeBodyTooLarge},
		"read twice":            {request(jsonType, strings.NewReader(`{"user_id":"u-1"}`)), AllOf("two", owner, owner), ""},
	} {
		if failure := checkOne(t.Context(), tc.r, p, tc.rule); CodeOf(orNil(failure)) != tc.want {
			t.Errorf("%s: %v", name, failure)
		}
	}
	if (Place{}).String() != "no place" || InHeader("x-user-id").String() != "header X-User-Id" {
		t.Error("names of places")
	}
	if values, failure := (Place{}).read(request("", nil)); values != nil || failure != nil {
		t.Error("no place has a value")
	}
	if got := quoted(strings.Repeat("é\n", 999)); len(got) > 600 || strings.Contains(got, "\n") {
		t.Error(got)
	}
}

func orNil(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// FuzzBodyValues: a body that the guard accepts gives a handler that decodes it in the
// usual ways no id that the guard did not see.
func FuzzBodyValues(f *testing.F) {
	for _, body := range []string{`{"user_id":"a"}`, `{"USER_ID":"a"}`, `{"user_id":"a","user_id":"b"}`, `user_id=a&user_id=b`, `{"user_ıd":1}`, `[{}]`} {
		f.Add(true, body)
		f.Add(false, body)
	}
	f.Fuzz(func(t *testing.T, isJSON bool, body string) {
		kind := formType
		if isJSON {
			kind = jsonType
		}
		h := http.Header{"Content-Type": {kind}}
		values, err := readBody(h, []byte(body), "user_id")
		if err != nil || body == "" {
			return
		}
		seen := map[string]bool{"": true}
		for _, v := range values {
			seen[v] = true
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header = h
		if isJSON {
			var in struct {
				UserID any `json:"user_id"`
			}
			if err := decodeLikeAHandler(body, &in); err != nil {
				return
			}
			if s, ok := in.UserID.(string); ok && !seen[s] {
				t.Errorf("the handler sees %q, the guard saw %q", s, values)
			}
			return
		}
		if err := r.ParseForm(); err == nil {
			for _, s := range r.PostForm["user_id"] {
				if !seen[s] {
					t.Errorf("the handler sees %q, the guard saw %q", s, values)
				}
			}
		}
		if parsed, err := url.ParseQuery(body); err == nil && len(parsed["user_id"]) != len(values) {
			t.Errorf("%d values, the guard saw %d", len(parsed["user_id"]), len(values))
		}
	})
}

// decodeLikeAHandler is what most handlers do.
func decodeLikeAHandler(body string, into any) error {
	return json.NewDecoder(strings.NewReader(body)).Decode(into)
}
