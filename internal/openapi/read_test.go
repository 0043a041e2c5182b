package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
)

type everythingRequest struct {
	ID    auth.ID                    `path:"id" doc:"Id."`
	After auth.ID                    `query:"after" doc:"Id."`
	Limit int                        `query:"limit" min:"1" max:"100" default:"20" doc:"Number."`
	Sort  string                     `query:"sort" enum:"up,down" doc:"Order."`
	Name  string                     `json:"name" need:"true" min:"2" max:"5" doc:"Name."`
	Nick  *string                    `json:"nick" max:"5" doc:"Other name."`
	On    *bool                      `json:"on" doc:"Switch."`
	Who   auth.ID                    `json:"who" doc:"Id."`
	When  *time.Time                 `json:"when" doc:"Time."`
	Data  map[string]json.RawMessage `json:"data" doc:"Object."`
	List  []string                   `json:"list" doc:"List."`
}

const someID = "019ca869-507b-7433-8c63-482deacec8d6"

func TestRead(t *testing.T) {
	t.Parallel()
	ref := func(s string) *string { return &s }
	id, err := auth.ParseID(someID)
	if err != nil {
		t.Fatal(err)
	}
	yes, at := true, time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, path, query, body string
		want                    everythingRequest
		code                    auth.Code // "" for none
		says                    string
	}{
		{
			name: "everything", path: someID, query: "after=" + someID + "&limit=3&sort=up",
			body: `{"name":"Ada","nick":"","on":true,"who":"` + someID + `","when":"2026-03-01T08:00:00Z","data":{"a":null},"list":["x"]}`,
			want: everythingRequest{
				ID: id, After: id, Limit: 3, Sort: "up", Name: "Ada", Nick: ref(""), On: &yes, Who: id, When: &at,
				Data: map[string]json.RawMessage{"a": json.RawMessage("null")}, List: []string{"x"},
			},
		},
		{name: "defaults, and null is not given", path: someID, body: `{"name":"Ada","nick":null}`, want: everythingRequest{ID: id, Limit: 20, Name: "Ada"}},
		{name: "unknown members do nothing", path: someID, body: `{"name":"Ada","role":"admin"}`, want: everythingRequest{ID: id, Limit: 20, Name: "Ada"}},
		{name: "names match exactly", path: someID, body: `{"NAME":"Ada"}`, code: auth.CodeValidation, says: "name is required"},
		{name: "a name twice", path: someID, body: `{"name":"Ada","name":"Bob"}`, code: auth.CodeBadJSON},
		{name: "no object", path: someID, body: `[]`, code: auth.CodeBadJSON},
		{name: "nothing", path: someID, body: ``, code: auth.CodeBadJSON},
		{name: "NUL", path: someID, body: `{"name":"A\u0000a"}`, code: auth.CodeValidation},
		{name: "lone surrogate", path: someID, body: `{"name":"A\ud800a"}`, code: auth.CodeValidation},
		{name: "empty", path: someID, body: `{"name":""}`, code: auth.CodeValidation, says: "name is required"},
		{name: "short", path: someID, body: `{"name":"A"}`, code: auth.CodeValidation, says: "name must have 2 to 5 characters"},
		{name: "code points count", path: someID, body: `{"name":"ééééé"}`, want: everythingRequest{ID: id, Limit: 20, Name: "ééééé"}},
		{name: "long", path: someID, body: `{"name":"Adalbe"}`, code: auth.CodeValidation},
		{name: "wrong type", path: someID, body: `{"name":1}`, code: auth.CodeValidation, says: "name must be a string"},
		{name: "wrong switch", path: someID, body: `{"name":"Ada","on":"yes"}`, code: auth.CodeValidation, says: "on must be true or false"},
		{name: "wrong id", path: someID, body: `{"name":"Ada","who":"{` + someID + `}"}`, code: auth.CodeValidation, says: "who must be a UUID"},
		{name: "id of another type", path: someID, body: `{"name":"Ada","who":7}`, code: auth.CodeValidation, says: "who must be a UUID"},
		{name: "wrong time", path: someID, body: `{"name":"Ada","when":"tomorrow"}`, code: auth.CodeValidation},
		{name: "wrong object", path: someID, body: `{"name":"Ada","data":[]}`, code: auth.CodeValidation, says: "data must be an object"},
		{name: "wrong list", path: someID, body: `{"name":"Ada","list":"x"}`, code: auth.CodeValidation, says: "list must be a list of strings"},
		{name: "wrong path", path: "1", body: `{"name":"Ada"}`, code: auth.CodeBadID},
		{name: "parameter twice", path: someID, query: "limit=1&limit=2", body: `{"name":"Ada"}`, code: auth.CodeValidation, says: "limit must be given once"},
		{name: "number too large", path: someID, query: "limit=101", body: `{"name":"Ada"}`, code: auth.CodeValidation},
		{name: "number too small", path: someID, query: "limit=0", body: `{"name":"Ada"}`, code: auth.CodeValidation},
		{name: "no number", path: someID, query: "limit=1e1", body: `{"name":"Ada"}`, code: auth.CodeValidation},
		{name: "none of the words", path: someID, query: "sort=Up", body: `{"name":"Ada"}`, code: auth.CodeValidation, says: "sort must be one of up, down"},
		{name: "NUL in a parameter", path: someID, query: "sort=%00", body: `{"name":"Ada"}`, code: auth.CodeValidation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/?"+tt.query, strings.NewReader(tt.body))
			r.SetPathValue("id", tt.path)
			got, err := read[everythingRequest](r, fieldsOf(reflect.TypeFor[everythingRequest]()), Reading{})
			if tt.code == "" {
				if d := cmp.Diff(tt.want, got); d != "" || err != nil {
					t.Errorf("%v\n%s", err, d)
				}
				return
			}
			var e *auth.Error
			if !errors.As(err, &e) || e.Code != tt.code || tt.says != "" && e.Message != tt.says {
				t.Errorf("%v, want %s %q", err, tt.code, tt.says)
			}
		})
	}
}

// FuzzRead: whatever is sent is read whole or refused with a code; and what was read keeps
// to the limits of its tags.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"name":"Ada"}`, `{"name":"Ada","nick":null,"who":"` + someID + `"}`, `{"name":["Ada"]}`, `{"data":{"a":{"b":1e999}}}`, `{`,
		`{"name":"\u0000"}`, `{"name":"Ada","when":"2026-03-01T08:00:00Z","list":[]}`,
	} {
		f.Add(seed, "limit=3&after="+someID)
	}
	f.Fuzz(func(t *testing.T, body, query string) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte(body)))
		r.URL.RawQuery = query
		r.SetPathValue("id", someID)
		in, err := read[everythingRequest](r, fieldsOf(reflect.TypeFor[everythingRequest]()), Reading{})
		if err != nil {
			var e *auth.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v has no code", err)
			}
			return
		}
		n := len([]rune(in.Name))
		if n < 2 || n > 5 || in.Limit < 1 || in.Limit > 100 || in.Sort != "" && in.Sort != "up" && in.Sort != "down" || !auth.CleanText(in.Name) {
			t.Fatalf("%+v", in)
		}
	})
}
