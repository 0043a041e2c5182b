// Package adminapi is the API of operators, for servers and for the command line: people and
// their sessions, roles, tenants and members, relations, keys, messages that were given up.
// package admin (at the top of the repository) is its client for Go. It translates: rules are
// in flow.
//
// Routes, below /admin/v1. Those marked * want the reason of the change in the header
// X-Reason; the others take one.
//
//	GET    /users                              a page of people
//	POST   /users                              make an account
//	GET    /users/{id}                         one person
//	PATCH  /users/{id}                         change the account
//	DELETE /users/{id}                      *  delete it, softly with ?soft=true
//	PATCH  /users/{id}/profile                 change what is kept beside the account
//	PUT    /users/{id}/ban                  *  ban
//	DELETE /users/{id}/ban                  *  lift the ban
//	PUT    /users/{id}/roles                *  the roles in the application
//	PUT    /users/{id}/pending-roles/{role} *  approve or refuse a role that was asked for
//	PUT    /users/{id}/active               *  switch off or on
//	PUT    /users/{id}/agent                   who looks after a customer
//	GET    /users/{id}/sessions                where somebody is signed in
//	DELETE /users/{id}/sessions                sign out everywhere
//	DELETE /users/{id}/sessions/{session}      sign out in one place
//	GET    /users/{id}/memberships             the tenants of somebody
//	GET    /users/{id}/identifiers             every address of somebody
//	POST   /users/{id}/erasure              *  delete somebody for good, everywhere
//	GET    /users/{id}/erasure                 how far that is
//	GET    /users/{id}/export               *  everything that is known of somebody, signed
//	GET    /users/{id}/holds                   what forbids to delete somebody
//	POST   /users/{id}/holds                *  forbid it
//	DELETE /users/{id}/holds/{hold}         *  allow it again
//	GET    /collectors                         applications that are asked in exports and deletions
//	GET    /erasures                           deletions, newest first; ?open=true
//	POST   /erasures/{id}/retry                try again what has failed of one
//	GET    /users/{id}/consents                what somebody has agreed to
//	GET    /users/{id}/consents/history        what he has said, and when
//	GET    /tenants                            a page of tenants
//	POST   /tenants                            make one
//	GET    /tenants/{tenant}                   one, by id or slug
//	PATCH  /tenants/{tenant}                   change it
//	DELETE /tenants/{tenant}                *  delete it with its memberships and relations
//	GET    /tenants/{tenant}/members           a page of members
//	POST   /tenants/{tenant}/members           take somebody in
//	PATCH  /tenants/{tenant}/members/{user}    change a membership
//	DELETE /tenants/{tenant}/members/{user}    end it
//	GET    /relations                          who cares for whom, at this moment
//	POST   /relations                          begin a relation
//	DELETE /relations/{id}                     end it
//	GET    /roles                              the catalogue
//	POST   /roles/reload                       read its file again
//	GET    /roles/explain                      may somebody do something, and why
//	GET    /keys                               signing keys
//	POST   /keys/rotate                        sign with the standby key from now on
//	DELETE /keys/{kid}                      *  stop accepting what a previous key has signed
//	GET    /api-keys                           opaque API keys
//	POST   /api-keys                           make one; it is shown once
//	DELETE /api-keys/{id}                   *  revoke one
//	GET    /messages/dead                      messages that were given up
//	POST   /messages/{id}/retry                try one again
//
// and GET /openapi.json, the OpenAPI 3.1 document, which is made of the same table.
package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/openapi"
	"github.com/cardea-auth/cardea/internal/redirect"
	"github.com/cardea-auth/cardea/internal/role"
	"github.com/cardea-auth/cardea/internal/web"
)

// Config wires the surface.
type Config struct {
	Callers    *web.Callers
	Admin      *flow.Admin
	People     *flow.People
	Tenancy    *flow.Tenancy
	Consents   *flow.Consents
	Operations *flow.Operations
	Privacy    *flow.Privacy
	Redirects  *redirect.Rules
	// Roles gives the catalogue in force.
	Roles func() *role.Catalogue
	// ReloadRoles reads the catalogue's file again; nil when there is none to read. The error
	// is shown: it names the lines.
	ReloadRoles func(ctx context.Context) error
}

type surface struct {
	c        Config
	document func() ([]byte, error)
}

// call is a request by an operator.
type call struct {
	r     *http.Request
	actor flow.Actor
}

// Handler serves the surface; the prefix has been stripped.
func Handler(c Config) http.Handler {
	s := &surface{c: c, document: sync.OnceValues(Document)}
	byPath := map[string]map[string]http.Handler{"/openapi.json": {http.MethodGet: web.Handle(s.serveDocument, writeError)}}
	for _, r := range routes() {
		if byPath[r.path] == nil {
			byPath[r.path] = map[string]http.Handler{}
		}
		byPath[r.path][r.method] = web.Handle(s.handler(&r), writeError)
	}
	mux := http.NewServeMux()
	for path, methods := range byPath {
		mux.Handle(path, web.Methods(path, methods, s.refuse(errBadMethod)))
	}
	mux.Handle("/", s.refuse(errNoRoute))
	return mux
}

// serveDocument is GET /openapi.json. It is for operators as everything here is, so that this
// surface tells strangers one thing only; whoever writes a client has it in docs/reference.
func (s *surface) serveDocument(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.operator(r); err != nil {
		return err
	}
	b, err := s.document()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
	return nil
}

// refuse answers operators with an error; others are told that they are none, so that a
// stranger can't find out what is there.
func (s *surface) refuse(err error) http.Handler {
	return web.Handle(func(_ http.ResponseWriter, r *http.Request) error {
		if _, denied := s.operator(r); denied != nil {
			return denied
		}
		return err
	}, writeError)
}

// handler serves one route: who, why, then the work.
func (s *surface) handler(rt *route) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		actor, err := s.operator(r)
		if err != nil {
			return err
		}
		if rt.reason && actor.Reason == "" {
			return auth.E(auth.CodeValidation, "This needs a reason: put it into the header X-Reason")
		}
		status, body, err := rt.run.Serve(s, &call{r, actor}, r, openapi.Reading{Strict: true, BodyOptional: rt.bodyOptional})
		if err != nil {
			return err //nolint:wrapcheck // an *auth.Error of the handler's
		}
		if _, empty := body.(none); empty {
			w.WriteHeader(status)
			return nil
		}
		return web.WriteJSON(w, status, body)
	}
}

// operator lets operators through. What it verifies:
//
//   - the request does not come from a browser (A20.1): the key that opens everything must
//     not be in one, and a page that makes a browser send it, wherever it has it from, gets
//     nowhere. Browsers send Origin with what pages of other sites ask and with every change,
//     and Sec-Fetch-Site with everything; pages can keep neither back;
//   - the credential is an API key, a service_role token or sb_secret_ key, that exists and
//     is not revoked. Whatever roles a person has: a person's token is refused, since those
//     are in browsers and phones, and so are those of OAuth clients;
//   - the reason, if there is one, can be read and stored.
func (s *surface) operator(r *http.Request) (flow.Actor, error) {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return flow.Actor{}, auth.E(auth.CodeNotAdmin, "Forbidden use of the operator API in a browser")
	}
	cred, err := s.c.Callers.Credential(r)
	if err != nil {
		return flow.Actor{}, err //nolint:wrapcheck // an *auth.Error
	}
	if cred.Principal != nil || !slices.Contains(s.c.Callers.AdminRoles, cred.Role) {
		return flow.Actor{}, auth.E(auth.CodeNotAdmin, "")
	}
	reason, err := reasonOf(r.Header)
	if err != nil {
		return flow.Actor{}, err
	}
	meta := web.Meta(r)
	meta.Operator, meta.Reason, meta.APIKey = true, reason, keyPrefix(r.Header.Get("Authorization"))
	return flow.Actor{Caller: auth.Caller{Meta: meta}, Operator: true, Reason: reason}, nil
}

// keyPrefix gives the beginning of an opaque key, as lists of keys show it.
func keyPrefix(authorization string) string {
	const prefix, shown = "sb_secret_", 6
	_, credential, _ := strings.Cut(authorization, " ")
	credential = strings.TrimSpace(credential)
	if !strings.HasPrefix(credential, prefix) || len(credential) < len(prefix)+shown {
		return ""
	}
	return credential[:len(prefix)+shown]
}

const maxReason = 500 // characters

// reasonOf reads the header X-Reason. Many clients can send ASCII only, so it may be an
// ext-value in UTF-8 as RFC 8187 §3.2.1 writes it.
func reasonOf(h http.Header) (string, error) {
	values := h.Values("X-Reason")
	if len(values) > 1 {
		return "", auth.E(auth.CodeValidation, "X-Reason must be given once")
	}
	if len(values) == 0 {
		return "", nil
	}
	reason := values[0]
	if encoded, ok := strings.CutPrefix(reason, "UTF-8''"); ok {
		var err error
		if reason, err = url.PathUnescape(encoded); err != nil {
			return "", auth.E(auth.CodeValidation, "X-Reason is not encoded as RFC 8187 says")
		}
	}
	reason = strings.TrimSpace(reason)
	if !auth.CleanText(reason) || strings.ContainsFunc(reason, unicode.IsControl) || len([]rune(reason)) > maxReason {
		return "", auth.E(auth.CodeValidation, "X-Reason must have at most 500 characters, none of them a control character")
	}
	return reason, nil
}
