package web

import (
	"net/http"
	"slices"
	"strings"
)

// CORS answers browsers of other origins. What it does not do: protect anything. A request
// without an Origin header, or with one that is not allowed, is still served; the browser
// then keeps the answer from the page.
type CORS struct {
	// Origins are exact origins (scheme://host[:port]), or the single entry "*", which allows
	// every origin but never with credentials.
	Origins []string
	Headers []string // request headers that pages may send
	Expose  []string // response headers that pages may read
}

// corsMethods are the methods that any surface serves.
const corsMethods = "GET, POST, PUT, PATCH, DELETE, OPTIONS"

func (c CORS) wrap(next http.Handler) http.Handler {
	any := slices.Contains(c.Origins, "*")
	allow, expose := strings.Join(c.Headers, ", "), strings.Join(c.Expose, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		h := w.Header()
		h.Add("Vary", "Origin")
		allowed := origin != "" && (any || slices.Contains(c.Origins, origin))
		if allowed {
			if any {
				h.Set("Access-Control-Allow-Origin", "*")
			} else {
				h.Set("Access-Control-Allow-Origin", origin)
				h.Set("Access-Control-Allow-Credentials", "true")
			}
			h.Set("Access-Control-Expose-Headers", expose)
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
			if allowed {
				h.Set("Access-Control-Allow-Methods", corsMethods)
				h.Set("Access-Control-Allow-Headers", allow)
				h.Set("Access-Control-Max-Age", "86400")
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
