// Package rest is Cardea's own REST API: accounts below /api/auth and /api/users, tenants
// below /api/tenants. It translates; rules are in flow and grant.
//
// One table, in routes.go, gives the mux, the OpenAPI document, the page that shows it, and
// the tests that compare real answers with it. A route is one line there and one handler,
// whose types are the schema. An error is always
//
//	{"detail": "...", "code": "UPPER_SNAKE", "request_id": "..."}
//
// with WWW-Authenticate where it is 401 and Retry-After where trying again makes sense.
//
// Besides the table it serves
//
//	GET    /openapi.json   the document
//	GET    /docs           the document for people, without anything from elsewhere
//	GET    /healthy        liveness; asks nobody
//	GET    /health         readiness; asks the database
//
// Where a trusted issuer has the credentials, the routes for passwords, codes, sessions and
// addresses are 404 FEATURE_DISABLED, and these serve its people:
//
//	POST   /api/auth/users/sync   make sure that the caller has an account (S3.4)
//	POST   /api/auth/verify       who calls (S3.14)
package rest

import (
	"bytes"
	"context"
	"net/http"
	"sync"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/redirect"
	"github.com/cardea-auth/cardea/internal/web"
)

// Grants is the token pipeline. Its issuer decides how long access tokens live here, and the
// answers say what it decided.
type Grants interface {
	Exchange(ctx context.Context, r grant.Request) (auth.SignedIn, error)
}

// Config wires the surface. The flows and Grants should share an issuer, so that tokens of
// this surface live equally long however somebody got them.
type Config struct {
	Accounts  *flow.Accounts
	People    *flow.People
	Tenancy   *flow.Tenancy
	Privacy   *flow.Privacy
	Consents  *flow.Consents
	Grants    Grants
	Callers   *web.Callers
	Redirects *redirect.Rules
	Phones    flow.PhoneReader                // nil: E.164 only
	Ping      func(ctx context.Context) error // asks the database

	// Relay is set where a trusted issuer has the credentials: there are no routes for them
	// then. nil: they are here.
	Relay *Relay
}

// Relay is what stands in place of the credentials' routes.
type Relay struct {
	Sync http.Handler // POST /api/auth/users/sync
	Who  http.Handler // POST /api/auth/verify
}

type surface struct {
	c        Config
	document func() ([]byte, error)
	page     func() ([]byte, error)
}

// Handler serves the whole surface by full paths: everything below /api/auth, /api/users and
// /api/tenants, and /docs, /openapi.json, /healthy and /health.
func Handler(c Config) http.Handler {
	s := &surface{c: c, document: sync.OnceValues(Document), page: sync.OnceValues(page)}
	mux := s.mux(routes())
	get := func(path string, h web.HandlerFunc) {
		methods := map[string]http.Handler{http.MethodGet: web.Handle(h, writeError)}
		mux.Handle(path, web.Methods(path, methods, web.Refuse(errBadMethod, writeError)))
	}
	get("/openapi.json", s.serveDocument)
	get("/docs", s.servePage)
	get("/docs/style.css", asset("style.css", "text/css; charset=utf-8"))
	get("/docs/script.js", asset("script.js", "text/javascript; charset=utf-8"))
	get("/healthy", s.healthy)
	get("/health", s.health)
	if c.Relay != nil {
		mux.Handle("/api/auth/users/sync", web.Methods("/api/auth/users/sync", map[string]http.Handler{http.MethodPost: c.Relay.Sync}, web.Refuse(errBadMethod, writeError)))
	}
	mux.Handle("/", web.Refuse(errNoRoute, writeError))
	return mux
}

// Paths lists what Handler serves, as patterns of a mux.
func Paths() []string {
	return []string{"/api/auth/", "/api/users/", "/api/tenants", "/api/tenants/", "/docs", "/docs/", "/openapi.json", "/healthy", "/health"}
}

// serveDocument is GET /openapi.json.
func (s *surface) serveDocument(w http.ResponseWriter, r *http.Request) error {
	b, err := s.document()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	h.Set("Access-Control-Allow-Origin", "*") // it is public, and tools of other origins read it
	_, _ = bytes.NewReader(b).WriteTo(w)
	return nil
}

type healthView struct {
	Status string `json:"status"`
}

// healthy is GET /healthy: the process answers.
func (s *surface) healthy(w http.ResponseWriter, _ *http.Request) error {
	return web.WriteJSON(w, http.StatusOK, healthView{"ok"})
}

// health is GET /health: the database answers too.
func (s *surface) health(w http.ResponseWriter, r *http.Request) error {
	if err := s.c.Ping(r.Context()); err != nil {
		return auth.Wrap(auth.CodeUnavailable, err)
	}
	return web.WriteJSON(w, http.StatusOK, healthView{"ok"})
}
