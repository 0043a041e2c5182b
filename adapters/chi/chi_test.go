// Package chi_test shows that chi needs no adapter: its middleware is that of net/http.
package chi_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest/guardtest"
)

func clinic(r *http.Request) string { return chi.URLParam(r, "clinic") }

// A8.1: a guard of a route, and one of a group.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	t.Run("route", func(t *testing.T) {
		t.Parallel()
		guardtest.RunHTTP(t, func(_ testing.TB, v *cardea.Verifier) guardtest.RoundTrip {
			r := chi.NewRouter()
			for _, route := range guardtest.HTTPRoutes() {
				guard := guardtest.Guard(route, v, (*cardea.Verifier).Require, (*cardea.Verifier).Optional)
				r.With(guard).Method(route.Method, route.Pattern("{", "}"), guardtest.Handler(clinic))
			}
			return guardtest.Serve(r)
		})
	})
	t.Run("group", func(t *testing.T) {
		t.Parallel()
		guardtest.RunHTTP(t, func(_ testing.TB, v *cardea.Verifier) guardtest.RoundTrip {
			r := chi.NewRouter()
			for _, route := range guardtest.HTTPRoutes() {
				guard := guardtest.Guard(route, v, (*cardea.Verifier).Require, (*cardea.Verifier).Optional)
				r.Group(func(r chi.Router) {
					r.Use(guard)
					r.Method(route.Method, route.Pattern("{", "}"), guardtest.Handler(clinic))
				})
			}
			return guardtest.Serve(r)
		})
	})
}
