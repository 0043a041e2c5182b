package rest

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
	document struct {
		OpenAPI    string                              `json:"openapi"`
		Info       map[string]string                   `json:"info"`
		Servers    []map[string]string                 `json:"servers"`
		Tags       []docTag                            `json:"tags"`
		Paths      map[string]map[string]*docOperation `json:"paths"`
		Components map[string]any                      `json:"components"`
		schemas    schemas
	}
	docTag struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	docOperation struct {
		ID          string                `json:"operationId"`
		Tags        []string              `json:"tags"`
		Summary     string                `json:"summary"`
		Description string                `json:"description,omitempty"`
		Security    []map[string][]string `json:"security"`
		Parameters  []docParameter        `json:"parameters,omitempty"`
		Body        *docBody              `json:"requestBody,omitempty"`
		Responses   map[string]*docAnswer `json:"responses"`
	}
	docParameter struct {
		Name        string  `json:"name"`
		In          string  `json:"in"`
		Description string  `json:"description"`
		Required    bool    `json:"required,omitempty"`
		Schema      *schema `json:"schema"`
	}
	docBody struct {
		Required bool       `json:"required"`
		Content  docContent `json:"content"`
	}
	docAnswer struct {
		Ref         string               `json:"$ref,omitempty"`
		Description string               `json:"description,omitempty"`
		Headers     map[string]docHeader `json:"headers,omitempty"`
		Content     docContent           `json:"content,omitempty"`
		codes       []string
	}
	docHeader struct {
		Description string  `json:"description"`
		Schema      *schema `json:"schema"`
	}
	docContent map[string]map[string]*schema
)

func contentOf(s *schema) docContent { return docContent{"application/json": {"schema": s}} }

// Document gives the OpenAPI 3.1 document of the surface. A test compares it with
// docs/reference/openapi.json.
func Document() ([]byte, error) {
	b, err := json.MarshalIndent(describe(routes()), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("rest: document: %w", err)
	}
	return append(b, '\n'), nil
}

// The names of answers that many operations share.
const (
	answerToken   = "Unauthorized"
	answerMany    = "TooManyRequests"
	answerFailure = "Failure"
)

// describe makes the document of a route table.
func describe(table []operation) *document {
	d := &document{
		OpenAPI: "3.1.0",
		Info:    map[string]string{"title": "Cardea REST API", "version": "1.0.0", "description": aboutAPI},
		Servers: []map[string]string{{"url": "/", "description": "The server that serves this document"}},
		Tags:    tags(), Paths: map[string]map[string]*docOperation{}, schemas: schemas{},
	}
	d.schemas.ref(reflect.TypeFor[web.Failure]())
	for i := range table {
		o := &table[i]
		if d.Paths[o.path] == nil {
			d.Paths[o.path] = map[string]*docOperation{}
		}
		d.Paths[o.path][strings.ToLower(o.method)] = d.operation(o)
	}
	d.Components = map[string]any{
		"schemas": d.schemas,
		"securitySchemes": map[string]any{"bearer": map[string]string{
			"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The access_token of a session.",
		}},
		"responses": map[string]*docAnswer{
			answerToken:   d.failed(http.StatusUnauthorized, tokenCodes()),
			answerMany:    d.failed(http.StatusTooManyRequests, []auth.Code{auth.CodeRateLimited, auth.CodeOverloaded}),
			answerFailure: d.failed(0, failureCodes()),
		},
	}
	return d
}

func (d *document) operation(o *operation) *docOperation {
	out := &docOperation{
		ID: o.id, Tags: []string{o.tag}, Summary: o.summary, Description: o.text,
		Security: []map[string][]string{}, Responses: map[string]*docAnswer{},
	}
	if !o.public {
		out.Security = append(out.Security, map[string][]string{"bearer": {}})
	}
	body := false
	for _, f := range fieldsOf(o.run.in) {
		switch f.place {
		case inPath:
			out.Parameters = append(out.Parameters, docParameter{f.name, "path", f.doc, true, d.parameter(&f)})
		case inQuery:
			out.Parameters = append(out.Parameters, docParameter{f.name, "query", f.doc, f.need, d.parameter(&f)})
		case inBody:
			body = true
		}
	}
	if body {
		out.Body = &docBody{true, contentOf(d.schemas.ref(o.run.in))}
	}
	for _, r := range o.run.replies {
		a := &docAnswer{Description: r.what}
		if r.body != reflect.TypeFor[none]() {
			a.Content = contentOf(d.schemas.ref(r.body))
		}
		out.Responses[strconv.Itoa(r.status)] = a
	}
	maps.Copy(out.Responses, d.failures(o))
	return out
}

func (d *document) parameter(f *field) *schema {
	s := d.schemas.field(f)
	s.Description = "" // the parameter has it
	return s
}

// failures are the answers of an operation that fails.
func (d *document) failures(o *operation) map[string]*docAnswer {
	out := map[string]*docAnswer{"default": {Ref: "#/components/responses/" + answerFailure}}
	byStatus := map[int][]auth.Code{}
	for _, c := range slices.Concat(o.common(), o.codes) {
		if status := wireTable[c].status; !slices.Contains(failureCodes(), c) {
			byStatus[status] = append(byStatus[status], c)
		}
	}
	for status, codes := range byStatus {
		switch name := strconv.Itoa(status); {
		case status == http.StatusUnauthorized && !o.public:
			out[name] = &docAnswer{Ref: "#/components/responses/" + answerToken}
		case status == http.StatusTooManyRequests && len(codes) == 2 && !o.hooked:
			out[name] = &docAnswer{Ref: "#/components/responses/" + answerMany}
		default:
			if o.hooked {
				codes = append(codes, auth.CodeHookRefused)
			}
			out[name] = d.failed(status, codes)
		}
	}
	return out
}

// failed describes one answer and the codes that it may have.
func (d *document) failed(status int, codes []auth.Code) *docAnswer {
	a := &docAnswer{Headers: map[string]docHeader{}}
	says := map[string]string{}
	for _, c := range codes {
		says[wireTable[c].code] = wireTable[c].message
	}
	if status == http.StatusUnauthorized {
		a.Headers["WWW-Authenticate"] = docHeader{"What would be accepted (RFC 6750).", &schema{Type: "string"}}
		if slices.Contains(codes, auth.CodeBadJWT) {
			for _, c := range tokenFailures() {
				says[string(c)] = cardea.NewError(c, nil).Message
			}
		}
	}
	if status == http.StatusTooManyRequests || status == 0 {
		a.Headers["Retry-After"] = docHeader{"Seconds until trying again makes sense.", &schema{Type: "integer"}}
	}
	if status == 0 {
		says[string(cardea.CodeProviderUnreachable)] = cardea.NewError(cardea.CodeProviderUnreachable, nil).Message
	}
	a.codes = slices.Sorted(maps.Keys(says))
	var text strings.Builder
	if status == 0 {
		text.WriteString("Something that is not about this request in particular.")
	} else {
		text.WriteString(http.StatusText(status) + ".")
	}
	text.WriteString("\n")
	for _, c := range a.codes {
		fmt.Fprintf(&text, "\n- `%s`: %s", c, says[c])
	}
	a.Description = text.String()
	a.Content = contentOf(&schema{AllOf: []*schema{
		{Ref: "#/components/schemas/Failure"}, {Type: "object", Properties: map[string]*schema{"code": {Type: "string", Enum: a.codes}}},
	}})
	if len(a.Headers) == 0 {
		a.Headers = nil
	}
	return a
}

// failureCodes may come with any operation and have nothing to do with what was asked.
func failureCodes() []auth.Code {
	return []auth.Code{
		auth.CodeInternal, auth.CodeUnavailable, auth.CodeRequestTimeout, auth.CodeBodyTooLarge, codeBadMethod, codeNoRoute,
		auth.CodeHookTimeout, auth.CodeHookTimeoutAfterRetry, auth.CodeHookAnswerTooLarge, auth.CodeHookContentType,
		auth.CodeHookRefused, auth.CodeTriggerFailed, auth.CodeTriggerRefused, auth.CodeAccountInUse,
	}
}

// tokenCodes are the codes of a 401 where a token is needed.
func tokenCodes() []auth.Code {
	return []auth.Code{
		auth.CodeNoAuthorization, auth.CodeBadJWT, auth.CodeBadSubject, auth.CodeTokenUserNotFound, auth.CodeSessionNotFound,
	}
}

// tokenFailures are the ways in which a token can be wrong, as the public package names them.
func tokenFailures() []cardea.Code {
	elsewhere := []cardea.Code{cardea.CodeTicketInvalid, cardea.CodeTokenInURL, cardea.CodeProviderError}
	return slices.DeleteFunc(cardea.Codes(), func(c cardea.Code) bool {
		return cardea.NewError(c, nil).HTTPStatus() != http.StatusUnauthorized || slices.Contains(elsewhere, c)
	})
}
