package openapitest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// wrong is a value of another type than the schema's.
func wrong(s *openapi3.Schema) string {
	if len(s.AnyOf) > 0 {
		s = s.AnyOf[0].Value
	}
	if s.Type.Is("string") {
		return `{"a":1}`
	}
	return `"text"`
}

// Ask makes a request by somebody who may.
type Ask func(method, path, body string) *httptest.ResponseRecorder

// NamesWrongMembers proves that every member of every body is refused when it has the wrong
// type, that the refusal names it, and that what is wrong with a body never is a failure of
// the server.
func (c *Contract) NamesWrongMembers(t *testing.T, ask Ask, members int) {
	t.Helper()
	tried := 0
	c.Each(func(method, path string, o *openapi3.Operation) {
		if o.RequestBody == nil {
			return
		}
		s := o.RequestBody.Value.Content.Get("application/json").Schema.Value
		for name, member := range s.Properties {
			body := map[string]json.RawMessage{}
			for _, needed := range s.Required {
				body[needed] = valid(s.Properties[needed].Value)
			}
			body[name] = json.RawMessage(wrong(member.Value))
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			tried++
			w := ask(method, path, string(text))
			var got struct{ Detail, Code string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%v in %s", err, w.Body)
			}
			if w.Code != http.StatusUnprocessableEntity || got.Code != "VALIDATION_FAILED" || !strings.Contains(got.Detail, name) {
				t.Errorf("%s %s %s: %d %s", method, path, text, w.Code, w.Body)
			}
		}
		for _, body := range []string{"", "{", "[]", "null", `"x"`, `{"a":1}{}`, "\xff", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)} {
			if body == "" && !o.RequestBody.Value.Required {
				continue
			}
			if w := ask(method, path, body); w.Code != http.StatusBadRequest {
				t.Errorf("%s %s %.20q: %d %s", method, path, body, w.Code, w.Body)
			}
		}
	})
	if tried < members {
		t.Errorf("only %d members tried", tried)
	}
}

// valid is a value that the schema allows.
func valid(s *openapi3.Schema) json.RawMessage {
	switch {
	case s.Type.Is("boolean"):
		return json.RawMessage("true")
	case s.Type.Is("array"):
		return json.RawMessage("[]")
	case len(s.AnyOf) > 0:
		return valid(s.AnyOf[0].Value)
	case len(s.Enum) > 0:
		b, _ := json.Marshal(s.Enum[0])
		return b
	case s.Format == "email":
		return json.RawMessage(`"a@example.org"`)
	case s.Format == "uuid":
		return json.RawMessage(`"019ca869-0000-7000-8000-000000000000"`)
	}
	return json.RawMessage(`"text"`)
}

// RefusesLongTexts proves that a text that is longer than the document says is refused before
// anybody looks at it.
func (c *Contract) RefusesLongTexts(t *testing.T, ask Ask, texts int) {
	t.Helper()
	tried := 0
	c.Each(func(method, path string, o *openapi3.Operation) {
		if o.RequestBody == nil {
			return
		}
		s := o.RequestBody.Value.Content.Get("application/json").Schema.Value
		for name, member := range s.Properties {
			if member.Value.MaxLength == nil {
				continue
			}
			body := map[string]json.RawMessage{}
			for _, needed := range s.Required {
				body[needed] = valid(s.Properties[needed].Value)
			}
			long, err := json.Marshal(strings.Repeat("é", int(*member.Value.MaxLength)+1)) //nolint:gosec // G115: a length of ours
			if err != nil {
				t.Fatal(err)
			}
			body[name] = long
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			tried++
			if w := ask(method, path, string(text)); w.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s %s %s: %d %s", method, path, name, w.Code, w.Body)
			}
		}
	})
	if tried < texts {
		t.Errorf("only %d texts tried", tried)
	}
}

// RefusesUnknownNames proves that every operation refuses a parameter, and every body a
// member, that it has no name for. It is for surfaces that read strictly.
func (c *Contract) RefusesUnknownNames(t *testing.T, ask Ask, operations int) {
	t.Helper()
	tried := 0
	c.Each(func(method, path string, o *openapi3.Operation) {
		tried++
		body := map[string]json.RawMessage{}
		if o.RequestBody != nil {
			s := o.RequestBody.Value.Content.Get("application/json").Schema.Value
			for _, needed := range s.Required {
				body[needed] = valid(s.Properties[needed].Value)
			}
		}
		query := "?"
		for _, p := range o.Parameters {
			if p.Value.In == "query" && p.Value.Required {
				var text string
				if err := json.Unmarshal(valid(p.Value.Schema.Value), &text); err != nil {
					t.Fatal(err)
				}
				query += p.Value.Name + "=" + text + "&"
			}
		}
		tries := [][2]string{{query + "unheard=1", ""}}
		if o.RequestBody != nil {
			body["unheard"] = json.RawMessage("1")
			tries = append(tries, [2]string{query, "x"})
		}
		for _, try := range tries {
			given := maps.Clone(body)
			if try[1] == "" {
				delete(given, "unheard")
			}
			text, err := json.Marshal(given)
			if err != nil {
				t.Fatal(err)
			}
			if w := ask(method, path+try[0], string(text)); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "unheard") {
				t.Errorf("%s %s%s %s: %d %s", method, path, try[0], text, w.Code, w.Body)
			}
		}
	})
	if tried < operations {
		t.Errorf("only %d operations tried", tried)
	}
}
