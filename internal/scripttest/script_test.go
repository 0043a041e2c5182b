package scripttest

import (
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got := parse("# why\nset A=b\nsave ID user.id\nPOST /x\nApikey: $K\n\n{\"a\":1}\n=>\n200\n\n{}\n---\nclock 5m\nGET /y\n=>\n404")
	want := []step{
		{comment: "# why\n", directives: "set A=b\nsave ID user.id\n", request: "POST /x\nApikey: $K\n\n{\"a\":1}", answer: "200\n\n{}"},
		{directives: "clock 5m\n", request: "GET /y", answer: "404"},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(step{})); d != "" {
		t.Error(d)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set("Location", "/#access_token=eyJh.eyJi.c&refresh_token=abc")
	w.WriteHeader(303)
	_, _ = w.WriteString(`{"access_token":"eyJh.eyJi.c","refresh_token":"abc","list":[{"id":7}]}`)
	want := "303\nLocation: /#access_token=<jwt>&refresh_token=<refresh>\n\n{\n  \"access_token\": \"<jwt>\",\n" +
		"  \"refresh_token\": \"<refresh>\",\n  \"list\": [\n    {\n      \"id\": 7\n    }\n  ]\n}"
	c := Config{Headers: []string{"Location", "Allow"}}
	if d := cmp.Diff(want, c.render(w)); d != "" {
		t.Error(d)
	}
	if got := member(t, w.Body.Bytes(), "list.0.id"); got != "7" {
		t.Errorf("list.0.id = %q", got)
	}
	if got := inLocation(t, w, "refresh_token"); got != "abc" {
		t.Errorf("Location.refresh_token = %q", got)
	}
}
