package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Methods serves one path by method. HEAD is answered as GET; a method that the path does not
// have goes to wrong, with the Allow header set (RFC 9110 §15.5.6). The pattern of the path
// goes to the log.
func Methods(pattern string, handlers map[string]http.Handler, wrong http.Handler) http.Handler {
	handlers = maps.Clone(handlers)
	if get, ok := handlers[http.MethodGet]; ok {
		handlers[http.MethodHead] = get
	}
	allow := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ev := EventFrom(r.Context()); ev != nil {
			ev.Route = pattern
		}
		if h, ok := handlers[r.Method]; ok {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", allow)
		wrong.ServeHTTP(w, r)
	})
}

// Refuse answers every request with err.
func Refuse(err error, write ErrorWriter) http.Handler {
	return Handle(func(http.ResponseWriter, *http.Request) error { return err }, write)
}
