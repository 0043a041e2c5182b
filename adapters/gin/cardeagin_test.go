package cardeagin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/cardea-auth/cardea"
	cardeagin "github.com/cardea-auth/cardea/adapters/gin"
	"github.com/cardea-auth/cardea/cardeatest/guardtest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode) // without it, every route is printed
	m.Run()
}

// server offers the routes of the truth table. guard puts a guard in front of a handler.
func server(guard func(*gin.Engine, guardtest.Route, gin.HandlerFunc, gin.HandlerFunc)) guardtest.StartHTTP {
	return func(_ testing.TB, v *cardea.Verifier) guardtest.RoundTrip {
		engine := gin.New()
		for _, route := range guardtest.HTTPRoutes() {
			guard(engine, route, guardtest.Guard(route, v, cardeagin.Require, cardeagin.Optional), see)
		}
		return guardtest.Serve(engine)
	}
}

func see(c *gin.Context) {
	p, ok := cardeagin.Principal(c)
	body, err := c.GetRawData()
	if err != nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	var query struct {
		Clinic string `form:"clinic_id"`
	}
	if err := c.ShouldBindQuery(&query); err != nil {
		c.Status(http.StatusBadRequest)
		return
	}
	seen := guardtest.See(c.Request.Context(), p, ok).Read(c.Param("clinic"), query.Clinic, body)
	c.Data(http.StatusOK, "application/json", []byte(seen.JSON()))
}

// A8.1: a guard of a route, and one of a group.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	t.Run("route", func(t *testing.T) {
		t.Parallel()
		guardtest.RunHTTP(t, server(func(e *gin.Engine, route guardtest.Route, guard, handler gin.HandlerFunc) {
			e.Handle(route.Method, route.Pattern(":", ""), guard, handler)
		}))
	})
	t.Run("group", func(t *testing.T) {
		t.Parallel()
		guardtest.RunHTTP(t, server(func(e *gin.Engine, route guardtest.Route, guard, handler gin.HandlerFunc) {
			e.Group("", guard).Handle(route.Method, route.Pattern(":", ""), handler)
		}))
	})
}

// No handler behind a guard that refuses runs, and those outside see what happened.
func TestRefusalEndsTheChain(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	engine := gin.New()
	status, aborted := 0, false
	engine.Use(func(c *gin.Context) {
		c.Next()
		status, aborted = c.Writer.Status(), c.IsAborted()
	})
	reached := func(*gin.Context) { t.Error("a handler behind the guard ran") }
	engine.GET("/", cardeagin.Require(v, cardea.Authenticated()), reached, reached)
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	if w.Code != http.StatusUnauthorized || status != http.StatusUnauthorized || !aborted {
		t.Errorf("got %d, outside %d, aborted %t", w.Code, status, aborted)
	}
}

func TestMistakesPanic(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	for name, mistake := range map[string]func(){
		"no verifier":           func() { cardeagin.Require(nil, cardea.Authenticated()) },
		"optional, no verifier": func() { cardeagin.Optional(nil) },
		"no requirement":        func() { cardeagin.Require(v, nil) },
		"no second requirement": func() { cardeagin.Require(v, cardea.Authenticated(), nil) },
		"no guard":              func() { cardeagin.Guard(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic: the route would be registered without its guard")
				}
			}()
			mistake()
		})
	}
}

func verifier(t *testing.T) *cardea.Verifier {
	t.Helper()
	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{{
		URL: "https://auth.example.com/auth/v1", Audiences: []string{"authenticated"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
