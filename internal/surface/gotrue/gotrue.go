// Package gotrue speaks the wire contract of Supabase Auth (GoTrue), so that an unmodified
// @supabase/supabase-js works against Cardea. It translates: paths, field names, statuses
// and sentences are here, rules are in flow and grant.
//
// Routes, below /auth/v1 (and below / behind a gateway that strips the prefix):
//
//	POST   /signup                        a new account: e-mail, phone or anonymous
//	POST   /token?grant_type=             password, refresh_token, pkce
//	POST   /otp  /magiclink               a code or link to sign in with
//	POST   /recover                       a link to set a new password with
//	POST   /resend                        the last message again
//	GET    /verify                        the link of a message; leads to the application
//	POST   /verify                        a code, or the token of a link
//	GET    /reauthenticate                a nonce for a dangerous change
//	POST   /invite                        an operator invites somebody
//	POST   /admin/generate_link           a link that the operator delivers himself
//	GET    /user                          the caller's account
//	PUT    /user                          change it
//	POST   /logout?scope=                 global, local, others
//	GET    /callback                      return of an external sign-in: none is pending, so to the site URL
//	GET    /settings  /health             what is on; liveness
//	GET    /.well-known/jwks.json         public keys
//	GET    /admin/users                   list
//	POST   /admin/users                   create
//	GET    /admin/users/{id}              read
//	PUT    /admin/users/{id}              change, ban
//	DELETE /admin/users/{id}              delete, softly if asked
//	GET    /admin/users/{id}/factors      second factors
//
// Routes of GoTrue that are switched off or not built yet are in gates.go: each answers
// with a code that says so.
package gotrue

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/redirect"
	"github.com/cardea-auth/cardea/internal/web"
)

// KeySet gives the public keys as a JWK set (RFC 7517 §5) with an entity tag.
type KeySet interface {
	JWKS() (body []byte, etag string)
}

// Config wires the surface.
type Config struct {
	Accounts   *flow.Accounts
	Admin      *flow.Admin
	Grants     *grant.Pipeline
	Verifier   web.Verifier
	APIKeys    web.APIKeys
	Keys       KeySet
	AdminRoles []string // role claims that may use /admin
	Settings   Settings
	Redirects  *redirect.Rules
	Version    string
	Now        func() time.Time

	Links    Links
	LinkPage bool   // a link shows a page with a button, so that looking at it uses nothing up
	Site     string // what the page calls the application, "" for nothing
	Locale   string // of the page for browsers that wish none of its languages, "" is English
	Captcha  bool   // a captcha is asked for, so operators' credentials are looked at
}

// Links makes the links that messages carry.
type Links interface {
	// Verify is the address of GET /verify for a token.
	Verify(token, kind, redirectTo string) string
}

// Settings is what GET /settings tells.
type Settings struct {
	SignupDisabled   bool
	EmailEnabled     bool
	PhoneEnabled     bool
	AnonymousEnabled bool
	EmailAutoconfirm bool
	PhoneAutoconfirm bool
}

type surface struct {
	c       Config
	callers *web.Callers
	link    *template.Template
}

// route is one path with its methods.
type route struct {
	path    string
	methods map[string]web.HandlerFunc
}

// Handler serves the surface; the prefix has been stripped.
func Handler(c Config) http.Handler {
	s := &surface{c: c, callers: c.callers(), link: template.Must(template.New("link").Parse(linkHTML))}
	mux := http.NewServeMux()
	for _, r := range slices.Concat(s.routes(), gates()) {
		h := s.dispatch(r)
		mux.Handle(r.path, h)
		if !strings.HasSuffix(r.path, "}") && !strings.HasSuffix(r.path, "/") {
			mux.Handle(r.path+"/{$}", h) // GoTrue tolerates a trailing slash
		}
	}
	mux.Handle("/", web.Refuse(errNoRoute, s.writeError))
	return mux
}

func (s *surface) routes() []route {
	type m = map[string]web.HandlerFunc
	return []route{
		{"/signup", m{"POST": s.signUp}},
		{"/token", m{"POST": s.token}},
		{"/user", m{"GET": s.getUser, "PUT": s.putUser}},
		{"/logout", m{"POST": s.logout}},
		{"/otp", m{"POST": s.otp}},
		{"/magiclink", m{"POST": s.magicLink}},
		{"/recover", m{"POST": s.recoverPassword}},
		{"/resend", m{"POST": s.resend}},
		{"/verify", m{"GET": s.verifyGet, "POST": s.verifyPost}},
		{"/reauthenticate", m{"GET": s.reauthenticate}},
		{"/invite", m{"POST": s.invite}},
		{"/admin/generate_link", m{"POST": s.generateLink}},
		{"/callback", m{"GET": s.callback, "POST": s.callback}},
		{"/settings", m{"GET": s.settings}},
		{"/health", m{"GET": s.health}},
		{"/.well-known/jwks.json", m{"GET": s.jwks}},
		{"/admin/users", m{"GET": s.adminList, "POST": s.adminCreate}},
		{"/admin/users/{id}", m{"GET": s.adminGet, "PUT": s.adminUpdate, "DELETE": s.adminDelete}},
		{"/admin/users/{id}/factors", m{"GET": s.adminFactors}},
	}
}

// dispatch picks the handler by method.
func (s *surface) dispatch(r route) http.Handler {
	handlers := map[string]http.Handler{}
	for method, h := range r.methods {
		handlers[method] = web.Handle(h, s.writeError)
	}
	return web.Methods(r.path, handlers, web.Refuse(errBadMethod, s.writeError))
}

// audience is the audience that a request asks for; "" leaves it to the configuration.
func audience(r *http.Request) string {
	if aud := r.Header.Get("X-Jwt-Aud"); auth.CleanText(aud) && len(aud) < 64 {
		return aud
	}
	return ""
}
