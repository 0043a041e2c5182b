package rest

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/openapi"
	"github.com/cardea-auth/cardea/internal/web"
)

//go:embed static
var static embed.FS

// pagePolicy lets the page load its own style and script and nothing else, from nowhere
// else. The script may call this server: a reader can try an operation.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// The parts of the page.
type (
	pageView struct {
		About  template.HTML
		Groups []pageGroup
		Types  []pageType
	}
	pageGroup struct {
		Name, Anchor, About string
		Operations          []pageOperation
	}
	pageOperation struct {
		ID, Method, Path, Summary string
		Text                      template.HTML
		Public                    bool
		Parameters, Body          []pageField
		BodyType                  string
		Example                   string // body to begin with
		Curl                      string
		Answers                   []pageAnswer
	}
	pageField struct {
		Name, Place, Type, Link string
		Required                bool
		About                   template.HTML
		Limits                  string
	}
	pageAnswer struct {
		Status, Type string
		About        template.HTML
		Codes        []string
		Good         bool
	}
	pageType struct {
		Name   string
		Fields []pageField
	}
)

// page renders the document for people.
func page() ([]byte, error) {
	t, err := template.ParseFS(static, "static/page.html")
	if err != nil {
		return nil, fmt.Errorf("rest: page: %w", err)
	}
	d := api(routes()).Describe()
	v := pageView{About: prose(d.Info["description"])}
	for _, tag := range d.Tags {
		g := pageGroup{Name: tag.Name, Anchor: strings.ReplaceAll(strings.ToLower(tag.Name), " ", "-"), About: tag.Description}
		for _, o := range routes() {
			if o.tag == tag.Name {
				g.Operations = append(g.Operations, showOperation(d, &o))
			}
		}
		v.Groups = append(v.Groups, g)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		v.Types = append(v.Types, pageType{name, showFields(d.Components.Schemas[name])})
	}
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("rest: page: %w", err)
	}
	return out.Bytes(), nil
}

func showOperation(d *openapi.Document, o *operation) pageOperation {
	from := d.Paths[o.path][strings.ToLower(o.method)]
	v := pageOperation{
		ID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Text: prose(o.text), Public: o.public,
	}
	for _, p := range from.Parameters {
		f := showField(p.Name, p.Schema, p.Required)
		f.Place, f.About = p.In, prose(p.Description)
		v.Parameters = append(v.Parameters, f)
	}
	if from.Body != nil {
		v.BodyType = typeName(from.Body.Content["application/json"]["schema"])
		s := d.Components.Schemas[v.BodyType]
		v.Body, v.Example = showFields(s), exampleOf(s)
	}
	v.Curl = curl(&v)
	for _, status := range slices.Sorted(maps.Keys(from.Responses)) {
		v.Answers = append(v.Answers, showAnswer(d, status, from.Responses[status]))
	}
	return v
}

func showAnswer(d *openapi.Document, status string, a *openapi.AnswerDoc) pageAnswer {
	if a.Ref != "" {
		a = d.Components.Responses[a.Ref[strings.LastIndex(a.Ref, "/")+1:]]
	}
	about, _, _ := strings.Cut(a.Description, "\n")
	v := pageAnswer{Status: status, About: prose(about), Codes: a.Codes, Good: a.Codes == nil}
	if status == "default" {
		v.Status = "others"
	} else if refused := wireTable[auth.CodeHookRefused]; status != strconv.Itoa(refused.status) {
		// With any status that the application likes: once is enough for a reader.
		v.Codes = slices.DeleteFunc(slices.Clone(v.Codes), func(c string) bool { return c == refused.code })
	}
	if a.Content != nil && v.Good {
		v.Type = typeName(a.Content["application/json"]["schema"])
	}
	return v
}

// showFields lists the members of an object in the order of its type.
func showFields(s *openapi.Schema) []pageField {
	var out []pageField
	for _, name := range s.Order {
		out = append(out, showField(name, s.Properties[name], slices.Contains(s.Required, name)))
	}
	return out
}

func showField(name string, s *openapi.Schema, required bool) pageField {
	f := pageField{Name: name, Required: required, About: prose(s.Description), Type: s.Type}
	of := s
	if len(s.AllOf) > 0 {
		of = s.AllOf[0]
	}
	if s.Items != nil {
		of, f.Type = s.Items, "list of "+s.Items.Type
	}
	if of.Ref != "" {
		f.Link = typeName(of)
		f.Type = f.Link
		if s.Items != nil {
			f.Type = "list of " + f.Link
		}
	}
	var limits []string
	if s.Format != "" {
		limits = append(limits, s.Format)
	}
	switch {
	case s.MinLength > 1 && s.MaxLength > 0:
		limits = append(limits, fmt.Sprintf("%d to %d characters", s.MinLength, s.MaxLength))
	case s.MaxLength > 0:
		limits = append(limits, fmt.Sprintf("at most %d characters", s.MaxLength))
	case s.Maximum > 0:
		limits = append(limits, fmt.Sprintf("%d to %d", s.Minimum, s.Maximum))
	}
	if len(s.Enum) > 0 {
		limits = append(limits, "one of "+strings.Join(s.Enum, ", "))
	}
	if s.Default != nil {
		limits = append(limits, fmt.Sprintf("otherwise %v", text(s.Default)))
	}
	f.Limits = strings.Join(limits, "; ")
	return f
}

// text shows a value of a tag.
func text(v any) string {
	if raw, ok := v.(json.RawMessage); ok {
		return string(raw)
	}
	return fmt.Sprint(v)
}

func typeName(s *openapi.Schema) string { return s.Ref[strings.LastIndex(s.Ref, "/")+1:] }

// exampleOf is a body to begin with: what is required, and what has an example.
func exampleOf(s *openapi.Schema) string {
	var lines []string
	for _, name := range s.Order {
		f := s.Properties[name]
		var value any
		switch {
		case len(f.Examples) > 0:
			value = f.Examples[0]
		case len(f.Enum) > 0 && slices.Contains(s.Required, name):
			value = f.Enum[0]
		case slices.Contains(s.Required, name):
			value = "..."
		default:
			continue
		}
		b, err := json.Marshal(value)
		if err != nil {
			continue // a tag that is no JSON shows in the document's test
		}
		lines = append(lines, "  "+strconv.Quote(name)+": "+string(b))
	}
	if lines == nil {
		return "{}"
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}"
}

// curl is the operation as a command.
func curl(o *pageOperation) string {
	c := "curl"
	if o.Method != http.MethodGet {
		c += " -X " + o.Method
	}
	c += ` "$CARDEA` + strings.NewReplacer("{", "$", "}", "").Replace(o.Path) + `"`
	if !o.Public {
		c += ` \` + "\n" + `  -H "Authorization: Bearer $TOKEN"`
	}
	if o.Body != nil {
		c += ` \` + "\n" + `  -H 'Content-Type: application/json' \` + "\n  -d '" + o.Example + "'"
	}
	return c
}

// prose is text with words in backquotes shown as code.
func prose(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		escaped := template.HTMLEscapeString(part)
		if i%2 == 1 {
			escaped = "<code>" + escaped + "</code>"
		}
		b.WriteString(escaped)
	}
	return template.HTML(b.String()) //nolint:gosec // every part has been escaped, and all are texts of this package
}

// servePage is GET /docs.
func (s *surface) servePage(w http.ResponseWriter, _ *http.Request) error {
	b, err := s.page()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(b)
	return nil
}

// asset serves a file of the page.
func asset(name, contentType string) web.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		b, err := static.ReadFile("static/" + name)
		if err != nil {
			return fmt.Errorf("rest: page: %w", err)
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(b)
		return nil
	}
}
