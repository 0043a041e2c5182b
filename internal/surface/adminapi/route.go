package adminapi

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/openapi"
)

// route is one line of the route table: what the mux serves and the document says.
type route struct {
	method, path string
	id           string // operationId
	tag          string
	summary      string
	text         string
	reason       bool // the change is refused without a reason
	bodyOptional bool
	codes        []auth.Code // what may go wrong beside the codes of [route.common]
	run          binding
}

// none is what comes in where nothing does, and goes out with status 204.
type none = openapi.None

type binding = openapi.Binding[*surface, *call]

// gives binds a handler that answers 200.
func gives[In, Out any](what string, h func(*surface, *call, In) (Out, error)) binding {
	return openapi.One(http.StatusOK, what, h)
}

// makes binds a handler that answers 201.
func makes[In, Out any](what string, h func(*surface, *call, In) (Out, error)) binding {
	return openapi.One(http.StatusCreated, what, h)
}

// begins binds a handler that answers 202: the rest is done later.
func begins[In, Out any](what string, h func(*surface, *call, In) (Out, error)) binding {
	return openapi.One(http.StatusAccepted, what, h)
}

// does binds a handler that answers 204.
func does[In any](what string, h func(*surface, *call, In) error) binding {
	return openapi.One(http.StatusNoContent, what, func(s *surface, c *call, in In) (none, error) { return none{}, h(s, c, in) })
}

// The groups of operations.
const (
	tagUsers     = "People"
	tagSessions  = "Sessions of people"
	tagTenants   = "Tenants"
	tagRelations = "Relations"
	tagRoles     = "Roles"
	tagKeys      = "Keys"
	tagMessages  = "Messages"
	tagPrivacy   = "Deletion and export"
)

func tags() []openapi.Tag {
	return []openapi.Tag{
		{Name: tagUsers, Description: "Accounts with what the application keeps beside them."},
		{Name: tagSessions, Description: "Where somebody is signed in."},
		{Name: tagTenants, Description: "Tenants, such as clinics, and their members."},
		{Name: tagRelations, Description: "Who cares for whom, with a start and an end."},
		{Name: tagRoles, Description: "The catalogue of roles in force, and what it means for somebody."},
		{Name: tagKeys, Description: "What signs tokens, and the keys that are handed out."},
		{Name: tagMessages, Description: "Mails and text messages that were given up."},
		{Name: tagPrivacy, Description: "What the law asks: deletion of people, holds that forbid it, and what is known of somebody."},
	}
}

const about = "For servers of operators and for the command line, never for browsers: a request with `Origin` or " +
	"`Sec-Fetch-Site` is refused. Send a `service_role` token or an `sb_secret_` key as `Authorization: Bearer`. " +
	"A member or parameter that an operation does not know is refused. " +
	"Changes take a reason in the header `X-Reason`, some need one; the audit log keeps it."

// prefix is where the assembly mounts the surface.
const prefix = "/admin/v1"

func routes() []route {
	return slices.Concat(userRoutes(), accessRoutes(), sessionRoutes(), privacyRoutes(), consentRoutes(), tenantRoutes(), memberRoutes(), relationRoutes(), roleRoutes(), operationRoutes())
}

// Document gives the OpenAPI 3.1 document of the surface. A test compares it with
// docs/reference/openapi-admin.json.
func Document() ([]byte, error) { return api(routes()).JSON() } //nolint:wrapcheck // it says what failed

func api(table []route) *openapi.API {
	a := &openapi.API{
		Title: "Cardea operators' API", About: about, Server: "/", Tags: tags(),
		Credential: "A service_role token, or an opaque key that begins with sb_secret_.",
		Anywhere: []auth.Code{
			auth.CodeInternal, auth.CodeUnavailable, auth.CodeRequestTimeout, auth.CodeBodyTooLarge, codeBadMethod, codeNoRoute,
		},
		Refused: []auth.Code{auth.CodeNoAuthorization, auth.CodeBadJWT, auth.CodeBadSubject},
		Wire: func(c auth.Code) openapi.Wire {
			w, _ := wireOf(c)
			return openapi.Wire{Status: w.status, Code: w.code, Message: w.message}
		},
	}
	for i := range table {
		r := &table[i]
		a.Operations = append(a.Operations, openapi.Operation{
			Method: r.method, Path: prefix + r.path, ID: r.id, Tag: r.tag, Summary: r.summary, Text: r.text, BodyOptional: r.bodyOptional,
			Codes: slices.Concat(r.common(), r.codes), Headers: r.headers(), In: r.run.In, Replies: r.run.Replies,
		})
	}
	return a
}

// common are the codes that a route may meet by its nature.
func (r *route) common() []auth.Code {
	codes := []auth.Code{
		auth.CodeRateLimited, auth.CodeOverloaded, auth.CodeInternal, auth.CodeUnavailable, auth.CodeRequestTimeout,
		auth.CodeNoAuthorization, auth.CodeBadJWT, auth.CodeBadSubject, auth.CodeNotAdmin,
		auth.CodeValidation, // parameters that the route does not know, and the reason
	}
	return append(codes, openapi.InputCodes(r.run.In)...)
}

func (r *route) headers() []openapi.Parameter {
	if r.method == http.MethodGet {
		return nil
	}
	return []openapi.Parameter{{
		Name: "X-Reason", In: "header", Required: r.reason,
		Description: "Why, for the audit log. ASCII, or UTF-8 as an ext-value (RFC 8187 §3.2.1).",
		Schema:      &openapi.Schema{Type: "string"},
	}}
}

func invalid(format string, args ...any) error {
	return auth.E(auth.CodeValidation, fmt.Sprintf(format, args...))
}

// cut gives the page and the id to go on after. One more than the page was asked for.
func cut[T any](list []T, limit int, id func(*T) auth.ID) ([]T, string) {
	if len(list) <= limit {
		return list, ""
	}
	return list[:limit], id(&list[limit-1]).String()
}
