package guardtest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-auth/cardea"
)

// Route is one guarded route of a server under test.
type Route struct {
	Name         string               // a word; the method's name where routes are methods
	Method       string               // of HTTP
	Path         string               // it ends in the name; see Pattern
	Optional     bool                 // every caller passes; there are no requirements
	Requirements []cardea.Requirement // at least one unless Optional
	// Fresh, if not 0, is one more requirement: [cardea.Verifier.Fresh].
	Fresh time.Duration
	// Consent, if not empty, is one more: [cardea.Verifier.Consent].
	Consent []string
}

// Pattern is the path as a router wants it, with the marks around a parameter's name: "{"
// and "}" in net/http and chi, ":" and "" elsewhere.
func (r Route) Pattern(before, after string) string {
	return strings.Replace(r.Path, "{clinic}", before+"clinic"+after, 1)
}

// Routes gives the routes that every server under test has to offer.
func Routes() []Route {
	route := func(name string, requirements ...cardea.Requirement) Route {
		return Route{
			Name: name, Method: http.MethodGet, Path: "/" + name,
			Optional: len(requirements) == 0, Requirements: requirements,
		}
	}
	fresh := route("fresh", cardea.Authenticated())
	fresh.Fresh = 15 * time.Minute
	consent := route("consent", cardea.Authenticated())
	consent.Consent = []string{"data", "ai"}
	return []Route{
		route("optional"),
		route("user", cardea.Authenticated()),
		route("account", cardea.NotAnonymous()),
		route("doctor", cardea.NotAnonymous(), cardea.Role("doctor", "nurse")),
		route("careful", cardea.AAL("aal2"), cardea.Role("doctor")),
		fresh,
		consent,
		route("read", cardea.AnyPermission("patient:read", "patient:write")),
		route("write", cardea.AllPermissions("patient:read", "patient:write")),
		route("client", cardea.Scope("notes:read")),
		route("either", cardea.AnyOf("doctor or client", cardea.Role("doctor"), cardea.Scope("notes:read"))),
		route("tenant", cardea.Tenant(cardea.InHeader("X-Clinic-Id"))),
		route("active", cardea.Active(loadUser), cardea.UserRule("not retired", func(user string) bool { return user != "retired" })),
		route("renamed", cardea.WithCode(codeOffDuty, "Off duty", cardea.Role("doctor"))),
		route("duty", own{"on duty", &cardea.Error{Code: codeOffDuty, Message: "Off duty"}}),
		route("broken", own{"a lookup", errors.New(secret)}),
	}
}

// HTTPRoutes gives the routes that a server with HTTP requests has to offer: those of
// Routes, and those about places that other transports do not have.
func HTTPRoutes() []Route {
	return append(Routes(),
		Route{
			Name: "path", Method: http.MethodGet, Path: "/clinics/{clinic}/path",
			Requirements: []cardea.Requirement{cardea.Tenant(cardea.InPath("clinic"), cardea.InQuery("clinic_id"))},
		},
		Route{
			Name: "owner", Method: http.MethodGet, Path: "/owner",
			Requirements: []cardea.Requirement{cardea.Owner(cardea.InQuery("user_id"))},
		},
		Route{
			Name: "body", Method: http.MethodPost, Path: "/body",
			Requirements: []cardea.Requirement{cardea.Tenant(cardea.InBody("clinic_id"))},
		},
	)
}

// secret must never reach a caller.
const secret = "password of the database"

// codeOffDuty is a code that package cardea does not know: status 403.
const codeOffDuty cardea.Code = "OFF_DUTY"

// own is a requirement that a service wrote itself.
type own struct {
	name string
	err  error
}

func (o own) String() string                                 { return o.name }
func (o own) Check(context.Context, *cardea.Principal) error { return o.err }

// loadUser is the service's database: a user is called as their e-mail address says.
func loadUser(_ context.Context, p *cardea.Principal) (user string, active bool, err error) {
	user, _, _ = strings.Cut(p.Email, "@")
	switch user {
	case "unlucky":
		return "", false, errors.New(secret)
	case "gone":
		return user, false, nil
	}
	return user, true, nil
}

// consents are what users have agreed to: as their e-mail address says.
type consents struct{}

// GrantedConsents implements cardea.ConsentSource.
func (consents) GrantedConsents(_ context.Context, q cardea.ConsentQuery) ([]string, error) {
	user, _, _ := strings.Cut(q.Principal.Email, "@")
	switch user {
	case "unlucky":
		return []string{"data", "ai"}, errors.New(secret)
	case "ended":
		return nil, cardea.NewError(cardea.CodeTokenRevoked, nil)
	case "half":
		return []string{"data"}, nil
	case "silent":
		return nil, nil
	}
	return []string{"ai", "data", "more"}, nil
}

// Guard builds the guard of a route out of the two functions that every adapter has.
func Guard[G any](r Route, v *cardea.Verifier,
	require func(v *cardea.Verifier, first cardea.Requirement, more ...cardea.Requirement) G,
	optional func(v *cardea.Verifier) G,
) G {
	if r.Optional {
		return optional(v)
	}
	more := r.Requirements[1:]
	if r.Fresh != 0 {
		more = append(more, v.Fresh(r.Fresh))
	}
	if len(r.Consent) > 0 {
		more = append(more, v.Consent(r.Consent[0], r.Consent[1:]...))
	}
	return require(v, r.Requirements[0], more...)
}
