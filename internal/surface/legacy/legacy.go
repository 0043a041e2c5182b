// Package legacy keeps the addresses of an older gateway alive. It translates: rules are in
// flow and grant.
//
// Every route is there twice: with language and tenant in the path, as old clients have it,
// and with both in the headers X-Lang and X-Tenant, or in the query as lang and tenant.
//
//	POST      /{lang}/{tenant}/api/auth/login            /api/v1/auth/login
//	POST      /{lang}/{tenant}/api/auth/register         /api/v1/auth/register
//	GET POST  /{lang}/{tenant}/api/auth/token-validity   /api/v1/auth/token-validity
//
// The back office is for the staff of a tenant. Its routes are below
// /{lang}/{tenant}/api/backoffice/auth/ and /api/v1/backoffice/auth/:
//
//	POST      login
//	POST      logout
//	GET POST  is-auth
//	GET       token, also called gen-access-token: the next pair for a refresh token, which
//	          is sent as Authorization: Bearer. Not in the query, which is written to logs
//	POST      invitation
//
// The tenant comes first: 404 for a slug that nobody has and 403 for a tenant that is
// switched off, whatever else the request holds. It is named once: two places that disagree
// are 400, for a filter in front of us may have looked at the other one. Tokens that are given
// here never have another tenant as the active one.
//
// Errors are {"detail": "...", "code": "UPPER_SNAKE", "request_id": "..."}.
package legacy

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/redirect"
	"github.com/cardea-auth/cardea/internal/web"
)

// Grants is the token pipeline.
type Grants interface {
	Exchange(ctx context.Context, r grant.Request) (auth.SignedIn, error)
}

// Config wires the surface. The flows and Grants should share an issuer, so that all tokens of
// this surface live equally long.
type Config struct {
	Accounts  *flow.Accounts
	People    *flow.People
	Tenancy   *flow.Tenancy
	Grants    Grants
	Callers   *web.Callers
	Redirects *redirect.Rules
}

type surface struct{ c Config }

// call is a request at a tenant's door.
type call struct {
	r      *http.Request
	tenant auth.Tenant // active
	lang   string      // "" when the request has none
}

// handler answers with a status and a body, nil for none.
type handler func(s *surface, c *call) (status int, body any, err error)

// route is one line of the table in the package comment.
type route struct {
	name    string // as in the package comment, after .../auth/
	methods []string
	serve   handler
}

func routes(backOffice bool) []route {
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	both := slices.Concat(get, post)
	if backOffice {
		return []route{
			{"login", post, (*surface).staffLogin}, {"logout", post, (*surface).logout}, {"is-auth", both, (*surface).isAuth},
			{"token", get, (*surface).token}, {"gen-access-token", get, (*surface).token}, {"invitation", post, (*surface).invite},
		}
	}
	return []route{
		{"login", post, (*surface).login}, {"register", post, (*surface).register}, {"token-validity", both, (*surface).tokenValidity},
	}
}

// address is what a path says.
type address struct {
	lang, tenant string // "" in the header form
	route        route
	pattern      string // for the log
}

// read finds the route of a path. Anything that does not fit exactly is somebody else's.
//
// The first segment has to look like a language of two letters, which keeps /auth/v1/… and
// whatever else has this many segments out of here.
func read(path string) (address, bool) {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	var a address
	var rest []string
	switch {
	case len(segments) > 2 && segments[0] == "api" && segments[1] == "v1":
		rest, a.pattern = segments[2:], "/api/v1"
	case len(segments) > 3 && isLanguage(segments[0]) && segments[1] != "" && segments[2] == "api":
		a.lang, a.tenant = segments[0], segments[1]
		rest, a.pattern = segments[3:], "/{lang}/{tenant}/api"
	}
	backOffice := len(rest) == 3 && rest[0] == "backoffice"
	if backOffice {
		rest = rest[1:]
		a.pattern += "/backoffice"
	}
	if len(rest) != 2 || rest[0] != "auth" {
		return address{}, false
	}
	list := routes(backOffice)
	i := slices.IndexFunc(list, func(r route) bool { return r.name == rest[1] })
	if i < 0 {
		return address{}, false
	}
	a.route, a.pattern = list[i], a.pattern+"/auth/"+list[i].name
	return a, true
}

// isLanguage reports whether a segment is two letters, perhaps with subtags: en, pt-BR.
func isLanguage(s string) bool {
	primary, subtags, more := strings.Cut(strings.ToLower(s), "-")
	letters := func(s string, also string) bool { return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz"+also) == "" }
	return len(primary) == 2 && letters(primary, "") && len(s) <= 35 && (!more || subtags != "" && letters(subtags, "0123456789-"))
}

// Wrap serves the surface by full paths, and gives every other request to next. It is no
// handler for a mux: the patterns of paths that begin with a language and a tenant overlap
// with nearly all others.
func Wrap(c Config, next http.Handler) http.Handler {
	s := &surface{c}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := read(r.URL.Path)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if ev := web.EventFrom(r.Context()); ev != nil {
			ev.Route = a.pattern
		}
		web.Handle(func(w http.ResponseWriter, r *http.Request) error { return s.serve(w, r, &a) }, writeError).ServeHTTP(w, r)
	})
}

// serve runs one request: the tenant before anything else, then the work.
func (s *surface) serve(w http.ResponseWriter, r *http.Request, a *address) error {
	c := &call{r: r}
	slug, err := one(r, a.tenant, "X-Tenant", "tenant")
	if err != nil {
		return err
	}
	if slug == "" {
		return errNoTenant
	}
	if c.tenant, err = s.c.Tenancy.Door(r.Context(), slug); err != nil {
		return err //nolint:wrapcheck // an *auth.Error
	}
	if c.lang, err = one(r, a.lang, "X-Lang", "lang"); err != nil {
		return err
	}
	if !slices.Contains(a.route.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(a.route.methods, ", "))
		return errBadMethod
	}
	status, body, err := a.route.serve(s, c)
	if err != nil {
		return err
	}
	if body == nil {
		w.WriteHeader(status)
		return nil
	}
	return web.WriteJSON(w, status, body)
}

// one gives what path, header and query say alike, "" when none says anything.
func one(r *http.Request, inPath, header, parameter string) (string, error) {
	values := slices.Concat(r.Header.Values(header), r.URL.Query()[parameter])
	if inPath != "" {
		values = append(values, inPath)
	}
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	for _, v := range values {
		if v != values[0] {
			return "", auth.E(codeConflicting, "The request names two different values of "+parameter)
		}
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}
