package chi_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/golang-jwt/jwt/v5"

	"github.com/cardea-auth/cardea"
)

func clinics(v *cardea.Verifier) http.Handler {
	r := chi.NewRouter()
	r.With(v.Optional()).Get("/", func(w http.ResponseWriter, r *http.Request) {
		_, ok := cardea.PrincipalFrom(r.Context())
		fmt.Fprintf(w, `{"signed_in":%t}`, ok)
	})
	// With and not Use on the router: before routing there are no path parameters.
	patients := r.With(v.Require(cardea.Tenant(cardea.InPath("clinic")), cardea.AnyPermission("patient:read")))
	patients.Get("/clinics/{clinic}/patients", func(w http.ResponseWriter, r *http.Request) {
		p, _ := cardea.PrincipalFrom(r.Context())
		fmt.Fprintf(w, `{"asked_by":%q,"patients":[]}`, p.Subject)
	})
	r.With(v.RequireFresh(5*time.Minute)).Delete("/me", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	return r
}

// Routes for everybody, for staff of one clinic, and for somebody who has just signed in.
func Example() {
	h := clinics(verifierOfExample())
	token := signIn(jwt.MapClaims{"tenant_id": "c1", "permissions": []string{"patient:read"}})
	for _, call := range []struct{ method, path, token string }{
		{"GET", "/", ""},
		{"GET", "/clinics/c1/patients", ""},
		{"GET", "/clinics/c1/patients", token},
		{"GET", "/clinics/c2/patients", token},
		{"DELETE", "/me", token},
	} {
		r := httptest.NewRequestWithContext(context.Background(), call.method, call.path, http.NoBody)
		if call.token != "" {
			r.Header.Set("Authorization", "Bearer "+call.token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 {"signed_in":false}
	// 401 {"detail":"Authorization header is missing","code":"AUTH_HEADER_MISSING"}
	//
	// 200 {"asked_by":"user-1","patients":[]}
	// 403 {"detail":"Access to this tenant is denied","code":"TENANT_ACCESS_DENIED"}
	//
	// 403 {"detail":"More recent authentication is required","code":"REAUTHENTICATION_REQUIRED"}
}

// A service would name its issuer and no more; the keys are fetched. Here is no network.
func verifierOfExample() *cardea.Verifier {
	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{{
		URL: issuer, Audiences: []string{"authenticated"}, Algorithms: []string{"HS256"}, HMACSecret: []byte(secret),
	}}})
	if err != nil {
		log.Fatal(err)
	}
	return v
}

const (
	issuer = "https://auth.example.com/auth/v1"
	secret = "a secret that the service shares with its issuer"
)

// signIn is what the issuer does.
func signIn(claims jwt.MapClaims) string {
	claims["iss"], claims["aud"], claims["sub"] = issuer, "authenticated", "user-1"
	claims["iat"], claims["exp"] = time.Now().Unix(), time.Now().Add(time.Hour).Unix()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		log.Fatal(err)
	}
	return token
}
