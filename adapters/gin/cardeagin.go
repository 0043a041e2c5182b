// Package cardeagin guards the routes of a gin server with package cardea: the guards,
// hooks and answers of net/http, as gin handlers.
//
//	import cardeagin "github.com/cardea-auth/cardea/adapters/gin"
//
//	r.GET("/me", cardeagin.Require(v, cardea.Authenticated()), me)
//
// A refused request gets the answer that the Verifier's ErrorEncoder writes, and no
// further handler runs. Requirements see the *http.Request as they do in net/http; gin's
// path parameters are its path values, so that r.PathValue("clinic") is c.Param("clinic").
//
// Behind a guard the Principal is in c.Request.Context(): hand that down, and not c, whose
// Value knows nothing of it unless gin.Engine.ContextWithFallback is set.
//
// gin's engine must recover from panics (gin.Default does), as net/http does by itself.
package cardeagin

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/cardea-auth/cardea"
)

// Require lets only callers pass who have a valid token and meet all requirements, as
// [cardea.Verifier.Require] does. A nil Verifier or requirement is a programming error:
// Require panics when the route is registered.
func Require(v *cardea.Verifier, first cardea.Requirement, more ...cardea.Requirement) gin.HandlerFunc {
	if v == nil {
		panic("cardeagin: Require with a nil Verifier")
	}
	return Guard(v.Require(first, more...))
}

// Optional lets every caller pass, with a Principal if there is a valid token, as
// [cardea.Verifier.Optional] does. A nil Verifier is a programming error: it panics.
func Optional(v *cardea.Verifier) gin.HandlerFunc {
	if v == nil {
		panic("cardeagin: Optional with a nil Verifier")
	}
	return Guard(v.Optional())
}

// Principal gives the caller, as [cardea.PrincipalFrom] does: behind Require there always
// is one, behind Optional false means an anonymous caller.
func Principal(c *gin.Context) (*cardea.Principal, bool) {
	return cardea.PrincipalFrom(c.Request.Context())
}

// Guard makes a gin handler of any guard of net/http that package cardea gives; Require
// and Optional are made with it. What the guard hands on is what the next handlers see; it
// must not replace the http.ResponseWriter. A nil guard is a programming error: it panics.
func Guard(guard func(http.Handler) http.Handler) gin.HandlerFunc {
	if guard == nil {
		panic("cardeagin: nil guard")
	}
	return func(c *gin.Context) {
		for _, p := range slices.Backward(c.Params) { // of two of one name c.Param takes the first
			c.Request.SetPathValue(p.Key, p.Value)
		}
		passed := false
		guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}
