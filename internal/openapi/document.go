package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

// The parts of an OpenAPI 3.1 document that we use.
type (
	// Document is the whole.
	Document struct {
		OpenAPI    string                              `json:"openapi"`
		Info       map[string]string                   `json:"info"`
		Servers    []map[string]string                 `json:"servers"`
		Tags       []Tag                               `json:"tags"`
		Paths      map[string]map[string]*OperationDoc `json:"paths"`
		Components Components                          `json:"components"`
	}
	// Components are what others refer to.
	Components struct {
		Responses map[string]*AnswerDoc `json:"responses"`
		Schemas   map[string]*Schema    `json:"schemas"`
		Security  map[string]any        `json:"securitySchemes"`
	}
	// Tag is a group of operations.
	Tag struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	// OperationDoc is one operation.
	OperationDoc struct {
		ID          string                `json:"operationId"`
		Tags        []string              `json:"tags"`
		Summary     string                `json:"summary"`
		Description string                `json:"description,omitempty"`
		Security    []map[string][]string `json:"security"`
		Parameters  []Parameter           `json:"parameters,omitempty"`
		Body        *BodyDoc              `json:"requestBody,omitempty"`
		Responses   map[string]*AnswerDoc `json:"responses"`
	}
	// Parameter stands in the path, the query or a header.
	Parameter struct {
		Name        string  `json:"name"`
		In          string  `json:"in"`
		Description string  `json:"description"`
		Required    bool    `json:"required,omitempty"`
		Schema      *Schema `json:"schema"`
	}
	// BodyDoc is the body of a request.
	BodyDoc struct {
		Required bool    `json:"required"`
		Content  Content `json:"content"`
	}
	// AnswerDoc is one answer.
	AnswerDoc struct {
		Ref         string            `json:"$ref,omitempty"`
		Description string            `json:"description,omitempty"`
		Headers     map[string]Header `json:"headers,omitempty"`
		Content     Content           `json:"content,omitempty"`
		Codes       []string          `json:"-"` // of errors; nil: a good answer
	}
	// Header is a header of an answer.
	Header struct {
		Description string  `json:"description"`
		Schema      *Schema `json:"schema"`
	}
	// Content is a body by its media type.
	Content map[string]map[string]*Schema
)

func contentOf(s *Schema) Content { return Content{"application/json": {"schema": s}} }

// Wire is how a code looks outside.
type Wire struct {
	Status  int
	Code    string
	Message string
}

// API describes a surface: a table of operations, and how errors look there.
type API struct {
	Title, About string
	Server       string // what the paths are below, such as "/"
	Tags         []Tag
	Operations   []Operation
	Credential   string                 // what the bearer credential is, for people
	Format       string                 // of the credential; "" for none
	Wire         func(c auth.Code) Wire // the surface's table
	Anywhere     []auth.Code            // may come with any operation
	Refused      []auth.Code            // codes of a 401 where a credential is needed
}

// Operation describes one line of a route table.
type Operation struct {
	Method, Path string
	ID           string // operationId: the name of the function in generated clients
	Tag          string
	Summary      string
	Text         string      // what else there is to know; "" for nothing
	Public       bool        // needs no credential
	Hooked       bool        // the application's hooks may refuse
	BodyOptional bool        // a request without a body is taken
	Codes        []auth.Code // every code that may come
	Headers      []Parameter // besides Authorization
	In           reflect.Type
	Replies      []Reply
}

// The names of answers that many operations share.
const (
	answerToken   = "Unauthorized"
	answerMany    = "TooManyRequests"
	answerFailure = "Failure"
)

// JSON writes the document of the surface.
func (a *API) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(a.Describe(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("openapi: document: %w", err)
	}
	return append(b, '\n'), nil
}

// Describe makes the document of the surface.
func (a *API) Describe() *Document {
	all := schemas{}
	bearer := map[string]string{"type": "http", "scheme": "bearer", "description": a.Credential}
	if a.Format != "" {
		bearer["bearerFormat"] = a.Format
	}
	d := &Document{
		OpenAPI: "3.1.0",
		Info:    map[string]string{"title": a.Title, "version": "1.0.0", "description": a.About},
		Servers: []map[string]string{{"url": a.Server, "description": "The server that serves this document"}},
		Tags:    a.Tags, Paths: map[string]map[string]*OperationDoc{},
	}
	all.ref(reflect.TypeFor[web.Failure]())
	for i := range a.Operations {
		o := &a.Operations[i]
		if d.Paths[o.Path] == nil {
			d.Paths[o.Path] = map[string]*OperationDoc{}
		}
		d.Paths[o.Path][strings.ToLower(o.Method)] = a.operation(o, all)
	}
	d.Components = Components{
		Schemas: all, Security: map[string]any{"bearer": bearer},
		Responses: map[string]*AnswerDoc{
			answerToken:   a.failed(http.StatusUnauthorized, a.Refused),
			answerMany:    a.failed(http.StatusTooManyRequests, []auth.Code{auth.CodeRateLimited, auth.CodeOverloaded}),
			answerFailure: a.failed(0, a.Anywhere),
		},
	}
	return d
}

func (a *API) operation(o *Operation, all schemas) *OperationDoc {
	out := &OperationDoc{
		ID: o.ID, Tags: []string{o.Tag}, Summary: o.Summary, Description: o.Text,
		Security: []map[string][]string{}, Responses: map[string]*AnswerDoc{},
	}
	if !o.Public {
		out.Security = append(out.Security, map[string][]string{"bearer": {}})
	}
	body := false
	for _, f := range fieldsOf(o.In) {
		switch f.place {
		case inPath:
			out.Parameters = append(out.Parameters, Parameter{f.name, "path", f.doc, true, all.parameter(&f)})
		case inQuery:
			out.Parameters = append(out.Parameters, Parameter{f.name, "query", f.doc, f.need, all.parameter(&f)})
		case inBody:
			body = true
		}
	}
	out.Parameters = append(out.Parameters, o.Headers...)
	if body {
		out.Body = &BodyDoc{!o.BodyOptional, contentOf(all.ref(o.In))}
	}
	for _, r := range o.Replies {
		answer := &AnswerDoc{Description: r.What}
		if r.Body != reflect.TypeFor[None]() {
			answer.Content = contentOf(all.ref(r.Body))
		}
		out.Responses[strconv.Itoa(r.Status)] = answer
	}
	maps.Copy(out.Responses, a.failures(o))
	return out
}

func (s schemas) parameter(f *field) *Schema {
	out := s.field(f)
	out.Description = "" // the parameter has it
	return out
}

// failures are the answers of an operation that fails.
func (a *API) failures(o *Operation) map[string]*AnswerDoc {
	out := map[string]*AnswerDoc{"default": {Ref: "#/components/responses/" + answerFailure}}
	byStatus := map[int][]auth.Code{}
	for _, c := range o.Codes {
		if status := a.Wire(c).Status; !slices.Contains(a.Anywhere, c) {
			byStatus[status] = append(byStatus[status], c)
		}
	}
	for status, codes := range byStatus {
		switch name := strconv.Itoa(status); {
		case status == http.StatusUnauthorized && !o.Public:
			out[name] = &AnswerDoc{Ref: "#/components/responses/" + answerToken}
		case status == http.StatusTooManyRequests && len(codes) == 2 && !o.Hooked:
			out[name] = &AnswerDoc{Ref: "#/components/responses/" + answerMany}
		default:
			if o.Hooked {
				codes = append(codes, auth.CodeHookRefused)
			}
			out[name] = a.failed(status, codes)
		}
	}
	return out
}

// failed describes one answer and the codes that it may have. Status 0 is any.
func (a *API) failed(status int, codes []auth.Code) *AnswerDoc {
	out := &AnswerDoc{Headers: map[string]Header{}}
	says := map[string]string{}
	for _, c := range codes {
		w := a.Wire(c)
		says[w.Code] = w.Message
	}
	if status == http.StatusUnauthorized {
		out.Headers["WWW-Authenticate"] = Header{"What would be accepted (RFC 6750).", &Schema{Type: "string"}}
		if slices.Contains(codes, auth.CodeBadJWT) {
			for _, c := range tokenFailures() {
				says[string(c)] = cardea.NewError(c, nil).Message
			}
		}
	}
	if status == http.StatusTooManyRequests || status == 0 {
		out.Headers["Retry-After"] = Header{"Seconds until trying again makes sense.", &Schema{Type: "integer"}}
	}
	if status == 0 {
		says[string(cardea.CodeProviderUnreachable)] = cardea.NewError(cardea.CodeProviderUnreachable, nil).Message
	}
	out.Codes = slices.Sorted(maps.Keys(says))
	var text strings.Builder
	if status == 0 {
		text.WriteString("Something that is not about this request in particular.")
	} else {
		text.WriteString(http.StatusText(status) + ".")
	}
	text.WriteString("\n")
	for _, c := range out.Codes {
		fmt.Fprintf(&text, "\n- `%s`: %s", c, says[c])
	}
	out.Description = text.String()
	out.Content = contentOf(&Schema{AllOf: []*Schema{
		{Ref: "#/components/schemas/Failure"}, {Type: "object", Properties: map[string]*Schema{"code": {Type: "string", Enum: out.Codes}}},
	}})
	if len(out.Headers) == 0 {
		out.Headers = nil
	}
	return out
}

// tokenFailures are the ways in which a token can be wrong, as the public package names them.
func tokenFailures() []cardea.Code {
	elsewhere := []cardea.Code{cardea.CodeTicketInvalid, cardea.CodeTokenInURL, cardea.CodeProviderError}
	return slices.DeleteFunc(cardea.Codes(), func(c cardea.Code) bool {
		return cardea.NewError(c, nil).HTTPStatus() != http.StatusUnauthorized || slices.Contains(elsewhere, c)
	})
}
