package cardeaecho_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/cardea-auth/cardea"
	cardeaecho "github.com/cardea-auth/cardea/adapters/echo"
	"github.com/cardea-auth/cardea/cardeatest/guardtest"
)

// server offers the routes of the truth table. mount puts a guard in front of a handler.
func server(mount func(*echo.Echo, guardtest.Route, echo.MiddlewareFunc, echo.HandlerFunc)) guardtest.StartHTTP {
	return func(_ testing.TB, v *cardea.Verifier) guardtest.RoundTrip {
		e := echo.New()
		for _, route := range guardtest.HTTPRoutes() {
			mount(e, route, guardtest.Guard(route, v, cardeaecho.Require, cardeaecho.Optional), see)
		}
		return guardtest.Serve(e)
	}
}

func see(c echo.Context) error {
	p, ok := cardeaecho.Principal(c)
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	// By the binder and not by c.QueryParam, because the binder finds more: it looks at
	// names without regard to case.
	var query struct {
		Clinic string `query:"clinic_id"`
	}
	if err := (&echo.DefaultBinder{}).BindQueryParams(c, &query); err != nil {
		return err
	}
	seen := guardtest.See(c.Request().Context(), p, ok).Read(c.Param("clinic"), query.Clinic, body)
	return c.JSONBlob(http.StatusOK, []byte(seen.JSON()))
}

// A8.1: a guard of a route, and one of a group.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	t.Run("route", func(t *testing.T) {
		t.Parallel()
		guardtest.RunHTTP(t, server(func(e *echo.Echo, route guardtest.Route, guard echo.MiddlewareFunc, handler echo.HandlerFunc) {
			e.Add(route.Method, route.Pattern(":", ""), handler, guard)
		}))
	})
	t.Run("group", func(t *testing.T) {
		t.Parallel()
		guardtest.RunHTTP(t, server(func(e *echo.Echo, route guardtest.Route, guard echo.MiddlewareFunc, handler echo.HandlerFunc) {
			e.Group("", guard).Add(route.Method, route.Pattern(":", ""), handler)
		}))
	})
}

// The error of a handler goes where it would go without a guard; a refusal is no error.
func TestErrors(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	e := echo.New()
	var outside error
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			outside = next(c)
			return outside
		}
	})
	broken := errors.New("broken")
	e.GET("/optional", func(echo.Context) error { return broken }, cardeaecho.Optional(v))
	e.GET("/user", func(echo.Context) error { return broken }, cardeaecho.Require(v, cardea.Authenticated()))
	for path, want := range map[string]struct {
		status int
		err    error
	}{
		"/optional": {http.StatusInternalServerError, broken},
		"/user":     {http.StatusUnauthorized, nil},
	} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != want.status || !errors.Is(outside, want.err) {
			t.Errorf("%s: status %d, outside %v", path, w.Code, outside)
		}
	}
}

func TestMistakesPanic(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	for name, mistake := range map[string]func(){
		"no verifier":           func() { cardeaecho.Require(nil, cardea.Authenticated()) },
		"optional, no verifier": func() { cardeaecho.Optional(nil) },
		"no requirement":        func() { cardeaecho.Require(v, nil) },
		"no second requirement": func() { cardeaecho.Require(v, cardea.Authenticated(), nil) },
		"no guard":              func() { cardeaecho.Guard(nil) },
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
