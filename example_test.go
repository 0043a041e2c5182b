package cardea_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cardea-auth/cardea"
)

// Guarding a route of a service that trusts a Supabase project or a Cardea server.
func Example() {
	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{{
		URL:       "https://auth.example.com/auth/v1",
		Audiences: []string{"authenticated"},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	guard := v.Require(cardea.Authenticated())
	mux.Handle("GET /me", guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := cardea.PrincipalFrom(r.Context())
		fmt.Fprintln(w, "hello", p.Subject)
	})))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/me", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	fmt.Print(w.Body)
	// Output:
	// 401 Bearer
	// {"detail":"Authorization header is missing","code":"AUTH_HEADER_MISSING"}
}

// An issuer whose keys are known: no network at all.
func ExampleVerifier_Verify() {
	v, mint := exampleVerifier()
	p, err := v.Verify(context.Background(), mint(time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	var tenant string
	if _, err := p.Claim("tenant_id", &tenant); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Subject, p.Role, tenant)

	_, err = v.Verify(context.Background(), mint(-time.Second))
	var e *cardea.Error
	if errors.As(err, &e) {
		fmt.Println(e.HTTPStatus(), e.Code, e.Message)
	}
	// Output:
	// user-1 authenticated clinic-7
	// 401 TOKEN_EXPIRED Token has expired
}

// Administrators with a second factor only, and a record of everybody else who tried.
func ExampleVerifier_Require() {
	v, mint := exampleVerifier()
	admin := v.Require(cardea.Role("admin"), cardea.AAL("aal2"))
	h := admin(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))

	r := httptest.NewRequestWithContext(context.Background(), http.MethodDelete, "/users/1", nil)
	r.Header.Set("Authorization", "Bearer "+mint(time.Hour))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output:
	// denied DELETE /users/1 to user-1: INSUFFICIENT_ROLE, required role admin
	// 403
}

// A page for everybody that greets those who are signed in.
func ExampleVerifier_Optional() {
	v, mint := exampleVerifier()
	h := v.Optional()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if p, ok := cardea.PrincipalFrom(r.Context()); ok {
			fmt.Println("hello", p.Subject)
		} else if why, ok := cardea.FailureFrom(r.Context()); ok {
			fmt.Println("hello stranger,", why.Message)
		} else {
			fmt.Println("hello stranger")
		}
	}))
	for _, header := range []string{"", "Bearer " + mint(time.Hour), "Bearer " + mint(-time.Hour)} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	// Output:
	// hello stranger
	// hello user-1
	// hello stranger, Token has expired
}

// A route of a clinic: the clinic that the path names has to be that of the token, and the
// service's own table has to know the user as active.
func ExampleTenant() {
	type employee struct{ Name string }
	load := func(_ context.Context, p *cardea.Principal) (employee, bool, error) {
		return employee{"Ada"}, p.Subject == "user-1", nil // from a database
	}
	v, mint := exampleVerifier()
	guard := v.Require(cardea.Tenant(cardea.InPath("clinic")), cardea.Active(load))
	mux := http.NewServeMux()
	mux.Handle("GET /clinics/{clinic}/patients", guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := cardea.PrincipalFrom(r.Context())
		me, _ := cardea.UserFrom[employee](r.Context())
		fmt.Fprintln(w, "patients of", p.Tenant, "for", me.Name)
	})))
	for _, path := range []string{"/clinics/clinic-7/patients", "/clinics/clinic-8/patients"} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+mint(time.Hour))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 patients of clinic-7 for Ada
	// denied GET /clinics/clinic-8/patients to user-1: TENANT_ACCESS_DENIED, required tenant "clinic-8"
	// 403 {"detail":"Access to this tenant is denied","code":"TENANT_ACCESS_DENIED"}
}

// Everybody sees their own cases, administrators those of others.
func ExampleOwner() {
	v, mint := exampleVerifier()
	rule := cardea.AnyOf("owner or admin", cardea.Owner(cardea.InQuery("user_id")), cardea.Role("admin"))
	h := v.Require(rule)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := cardea.PrincipalFrom(r.Context())
		fmt.Println("cases of", p.Subject)
	}))
	for _, path := range []string{"/cases", "/cases?user_id=user-1", "/cases?user_id=user-2"} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+mint(time.Hour))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	// Output:
	// cases of user-1
	// cases of user-1
	// denied GET /cases to user-1: OWNER_MISMATCH, required owner or admin: user "user-2"
}

// An event stream for browsers: new EventSource("/events?token=" + ticket), with a ticket
// that a fetch with the Authorization header got before.
func ExampleTickets() {
	v, mint := exampleVerifier()
	tickets, err := cardea.NewTickets(cardea.TicketConfig{Verifier: v})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /tickets", tickets.Handler(cardea.Authenticated()))
	mux.Handle("GET /events", tickets.Require(cardea.NotAnonymous())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: hello\n\n") // and on, until r.Context() is done
	})))

	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/tickets", strings.NewReader(`{"path":"/events"}`))
	r.Header.Set("Authorization", "Bearer "+mint(time.Hour))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	var answer struct{ Ticket string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/events?token="+answer.Ticket, nil))
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 200 data: hello
	// 401 {"detail":"Ticket is invalid, used or expired","code":"INVALID_TICKET"}
}

// A handler answers its own errors in the shape of the guards.
func ExampleVerifier_WriteError() {
	v, _ := exampleVerifier()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/cases/7", nil)
	v.WriteError(w, r, &cardea.Error{Status: http.StatusNotFound, Message: "No such case"})
	fmt.Print(w.Code, " ", w.Body)
	// Output: 404 {"detail":"No such case","code":"NOT_FOUND"}
}

// exampleVerifier trusts one key, and mints tokens that expire after the given time.
func exampleVerifier() (*cardea.Verifier, func(time.Duration) string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := cardea.StaticKeys(cardea.Key{ID: "k1", Algorithm: "ES256", Public: &key.PublicKey})
	if err != nil {
		log.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	v, err := cardea.NewVerifier(cardea.Config{
		Issuers: []cardea.Issuer{{URL: "https://auth.example.com", Audiences: []string{"authenticated"}, Keys: keys}},
		Now:     func() time.Time { return now },
		OnDenied: func(_ context.Context, d cardea.Denial) {
			if d.Principal != nil {
				fmt.Printf("denied %s %s to %s: %s, required %s\n", d.Method, d.Path, d.Principal.Subject, d.Err.Code, d.Err.Required)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	return v, func(lifetime time.Duration) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "https://auth.example.com", "aud": "authenticated", "sub": "user-1", "role": "authenticated",
			"tenant_id": "clinic-7", "iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(lifetime).Unix(),
		})
		token.Header["kid"] = "k1"
		signed, err := token.SignedString(key)
		if err != nil {
			log.Fatal(err)
		}
		return signed
	}
}
