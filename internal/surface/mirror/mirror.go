// Package mirror is the API of an application whose clients hold the session themselves and
// which keeps its own record of each person, below /api/v1. It translates: rules are in flow.
//
//	GET  /auth/config                     client ids for native sign-in; public
//	POST /auth/identifier-status          how a person can sign in; public
//	POST /auth/last-method                remember how the caller signed in
//	POST /auth/delete-account             delete the caller for good
//	POST /auth/link-identity              add an identity by an ID token
//	POST /webhooks/auth/password-changed  a signed notice: every session of somebody ends
//	GET  /users/me                        the caller
//	PUT  /users/me                        change the caller
//	DELETE /users/me                      delete the caller for good
//	PUT  /users/me/phone                  another number
//	GET  /users/me/identities             the caller's ways in
//	GET  /users/me/auth-state             what is left to do before ?app= lets the caller in
//	POST /users/me/onboarding             the onboarding of ?app= is completed
//	GET  /users/me/preferences            and PUT; the object itself
//	GET  /users/me/notification-settings  and PUT
//	GET  /users/me/privacy-settings       and PUT
//	GET  /users                           a page: everybody, or an agent's customers
//	GET  /users/{id}                      one person
//	PUT  /users/{id}                      change one
//	POST /users/{id}/assign-agent         whose customer somebody is
//
// There is no login, refresh, logout or register: they are 404, as everything else.
//
// PUT changes what is given. Members that are null or left out stay, and those that a person
// can't have changed here, such as id, role and the verified flags, are ignored, so that a
// client may send back what it has got; the answer shows what holds. Objects are merged name
// by name, where null removes a name: several applications share them.
//
// Errors are {"error": {"code", "message", "details"}} with codes in capitals; details only
// where there are any.
package mirror

import (
	"net/http"
	"strconv"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/web"
	"github.com/cardea-auth/cardea/ratelimit"
)

// Config wires the surface.
type Config struct {
	Accounts *flow.Accounts
	People   *flow.People
	Privacy  *flow.Privacy
	Callers  *web.Callers
	Webhooks *flow.Webhooks
	// Client ids that GET /auth/config tells; "" is told as null.
	GoogleWebClientID, GoogleIOSClientID, GoogleAndroidClientID string
	// PerClient is how many requests one address may make, whatever they ask, and Limiter
	// counts them. Without Limiter, or with a zero limit, any number.
	PerClient ratelimit.Limit
	Limiter   *ratelimit.Memory
}

type surface struct{ c Config }

// call is a request with who makes it; the caller of a public route is zero.
type call struct {
	r      *http.Request
	caller auth.Caller
}

// actor is the caller, with nothing but what is his.
func (c *call) actor() flow.Actor { return flow.Actor{Caller: c.caller} }

// handler answers with a body and status 200; without one the status is 204.
type handler func(s *surface, c *call) (body any, err error)

// route is one line of the table in the package comment.
type route struct {
	method, path string
	public       bool
	serve        handler
}

func routes() []route {
	list := []route{
		{"GET", "/auth/config", true, (*surface).config},
		{"POST", "/auth/identifier-status", true, (*surface).identifierStatus},
		{"POST", "/auth/last-method", false, (*surface).lastMethod},
		{"POST", "/auth/link-identity", false, (*surface).linkIdentity},
		{"POST", "/webhooks/auth/password-changed", true, (*surface).passwordChanged},
		{"GET", "/users/me", false, (*surface).me},
		{"PUT", "/users/me", false, (*surface).changeMe},
		{"DELETE", "/users/me", false, (*surface).deleteMe},
		{"POST", "/auth/delete-account", false, (*surface).deleteAccount},
		{"PUT", "/users/me/phone", false, (*surface).changePhone},
		{"GET", "/users/me/identities", false, (*surface).identities},
		{"GET", "/users/me/auth-state", false, (*surface).authState},
		{"POST", "/users/me/onboarding", false, (*surface).onboard},
		{"GET", "/users", false, (*surface).list},
		{"GET", "/users/{id}", false, (*surface).get},
		{"PUT", "/users/{id}", false, (*surface).change},
		{"POST", "/users/{id}/assign-agent", false, (*surface).assignAgent},
	}
	for _, p := range parts() {
		list = append(list, route{"GET", p.path, false, p.get}, route{"PUT", p.path, false, p.put})
	}
	return list
}

// Handler serves the surface; the prefix has been stripped.
func Handler(c Config) http.Handler {
	s := &surface{c}
	methods := map[string]map[string]http.Handler{}
	for _, rt := range routes() {
		if methods[rt.path] == nil {
			methods[rt.path] = map[string]http.Handler{}
		}
		methods[rt.path][rt.method] = web.Handle(s.handler(&rt), writeError)
	}
	mux := http.NewServeMux()
	for path, m := range methods {
		h := web.Methods(path, m, web.Refuse(errBadMethod, writeError))
		mux.Handle(path, h)
		mux.Handle(path+"/{$}", h)
	}
	mux.Handle("/", web.Refuse(errNoRoute, writeError))
	return c.limited(mux)
}

// limited lets no address ask more than its share (S2.55). Its headers are those that the
// application's clients know, and so is the wait: a whole period.
func (c *Config) limited(next http.Handler) http.Handler {
	if c.Limiter == nil || c.PerClient.Count == 0 {
		return next
	}
	count, period := strconv.Itoa(c.PerClient.Count), strconv.Itoa(int(c.PerClient.Period.Seconds()))
	refuse := web.Refuse(&auth.Error{Code: auth.CodeRateLimited, RetryAfter: c.PerClient.Period}, writeError)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.Limiter.Take("mirror/ip/"+web.Meta(r).IP, c.PerClient).Allowed {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("X-RateLimit-Limit", count)
		w.Header().Set("X-RateLimit-Period", period)
		refuse.ServeHTTP(w, r)
	})
}

// handler serves one route: who, then the work.
func (s *surface) handler(rt *route) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		c := &call{r: r}
		if !rt.public {
			var err error
			if c.caller, err = s.c.Callers.Caller(r); err != nil {
				return err //nolint:wrapcheck // an *auth.Error
			}
			// What a cache between us keeps must never be shown to another caller (S2.56).
			w.Header().Set("Cache-Control", "private, no-store")
			w.Header().Add("Vary", "Authorization")
		}
		body, err := rt.serve(s, c)
		if err != nil {
			return err
		}
		if body == nil {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return web.WriteJSON(w, http.StatusOK, body)
	}
}
