package cardeatest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
)

// newHandler is a service under test: it gets its Verifier handed in.
func newHandler(v *cardea.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("DELETE /users/{id}", v.Require(cardea.Role("admin"), cardea.AAL("aal2"))(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })))
	return mux
}

// The whole test of a guarded route: who may, who may not, and no forged token.
func Example() {
	test := func(t *testing.T) {
		iss := cardeatest.New(t)
		h := newHandler(iss.Verifier())
		send := func(r *http.Request) *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			return rec
		}
		admin := cardeatest.User{Email: "root@example.com", Roles: []string{"admin"}, AAL: "aal2"}
		nurse := cardeatest.User{Email: "nurse@example.com", Roles: []string{"nurse"}, AAL: "aal2"}

		cardeatest.AssertAllowed(t, send(iss.Request("DELETE", "/users/1", admin)))
		cardeatest.AssertDenied(t, send(iss.Request("DELETE", "/users/1", nurse)), 403, cardea.CodeRole)
		for _, bad := range iss.BadTokens(admin) {
			r := iss.Request("DELETE", "/users/1", admin)
			cardeatest.AssertDenied(t, send(cardeatest.WithToken(r, bad.Token)), 401, bad.Code)
		}
	}
	fmt.Println(testing.RunTests(everything, []testing.InternalTest{{Name: "TestDelete", F: test}}))
	// Output: true
}

// A service goes on while its issuer is away, and says so when it can't.
func ExampleIssuer_Down() {
	test := func(t *testing.T) {
		iss := cardeatest.New(t)
		h := newHandler(iss.Verifier())
		admin := cardeatest.User{Roles: []string{"admin"}, AAL: "aal2"}
		send := func() *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, iss.Request("DELETE", "/users/1", admin))
			return rec
		}
		iss.Down()
		cardeatest.AssertDenied(t, send(), 503, cardea.CodeProviderUnreachable)
		iss.Up()
		iss.Clock().Advance(10 * time.Second)
		cardeatest.AssertAllowed(t, send())
		iss.Down() // the keys are known now
		iss.Clock().Advance(10 * time.Minute)
		cardeatest.AssertAllowed(t, send())
	}
	fmt.Println(testing.RunTests(everything, []testing.InternalTest{{Name: "TestOutage", F: test}}))
	// Output: true
}

// A handler without its guard.
func ExampleIssuer_Context() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		p, _ := cardea.PrincipalFrom(r.Context())
		_, _ = io.WriteString(w, "hello "+p.Email)
	}
	test := func(t *testing.T) {
		iss := cardeatest.New(t)
		r := httptest.NewRequestWithContext(iss.Context(t.Context(), cardeatest.User{Email: "ada@example.com"}), "GET", "/", nil)
		rec := httptest.NewRecorder()
		handler(rec, r)
		fmt.Println(rec.Body)
	}
	testing.RunTests(everything, []testing.InternalTest{{Name: "TestHello", F: test}})
	// Output: hello ada@example.com
}

// everything lets an example run a test, which go test does otherwise.
func everything(string, string) (bool, error) { return true, nil }
