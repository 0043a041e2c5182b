// Package cardeaecho guards the routes of an Echo server with package cardea: the guards,
// hooks and answers of net/http, as Echo middleware.
//
//	import cardeaecho "github.com/cardea-auth/cardea/adapters/echo"
//
//	e.GET("/me", me, cardeaecho.Require(v, cardea.Authenticated()))
//
// A refused request gets the answer that the Verifier's ErrorEncoder writes, not that of
// Echo's HTTPErrorHandler, and the handler does not run. Requirements see the
// *http.Request as they do in net/http; Echo's path parameters are its path values, so
// that r.PathValue("clinic") is c.Param("clinic"). Middleware that is added with Echo.Pre
// runs before there are any.
//
// Behind a guard the Principal is in c.Request().Context(): hand that down.
package cardeaecho

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/cardea-auth/cardea"
)

// Require lets only callers pass who have a valid token and meet all requirements, as
// [cardea.Verifier.Require] does. A nil Verifier or requirement is a programming error:
// Require panics when the route is registered.
func Require(v *cardea.Verifier, first cardea.Requirement, more ...cardea.Requirement) echo.MiddlewareFunc {
	if v == nil {
		panic("cardeaecho: Require with a nil Verifier")
	}
	return Guard(v.Require(first, more...))
}

// Optional lets every caller pass, with a Principal if there is a valid token, as
// [cardea.Verifier.Optional] does. A nil Verifier is a programming error: it panics.
func Optional(v *cardea.Verifier) echo.MiddlewareFunc {
	if v == nil {
		panic("cardeaecho: Optional with a nil Verifier")
	}
	return Guard(v.Optional())
}

// Principal gives the caller, as [cardea.PrincipalFrom] does: behind Require there always
// is one, behind Optional false means an anonymous caller.
func Principal(c echo.Context) (*cardea.Principal, bool) {
	return cardea.PrincipalFrom(c.Request().Context())
}

// Guard makes Echo middleware of any guard of net/http that package cardea gives; Require
// and Optional are made with it. What the guard hands on is the request that the handler
// sees; it must not replace the http.ResponseWriter. A nil guard is a programming error: it
// panics.
func Guard(guard func(http.Handler) http.Handler) echo.MiddlewareFunc {
	if guard == nil {
		panic("cardeaecho: nil guard")
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			for _, name := range c.ParamNames() {
				c.Request().SetPathValue(name, c.Param(name))
			}
			var err error // of the handler; a refusal is an answer and not an error
			guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				c.SetRequest(r)
				err = next(c)
			})).ServeHTTP(c.Response(), c.Request())
			return err
		}
	}
}
