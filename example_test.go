package cardea_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
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
