package cardeafiber_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gofiber/fiber/v3"
	recoverer "github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/golang-jwt/jwt/v5"

	"github.com/cardea-auth/cardea"
	cardeafiber "github.com/cardea-auth/cardea/adapters/fiber"
)

func clinics(v *cardea.Verifier) *fiber.App {
	app := fiber.New()
	app.Use(recoverer.New())
	app.Get("/", cardeafiber.Optional(v), func(c fiber.Ctx) error {
		_, ok := cardeafiber.Principal(c)
		return c.JSON(fiber.Map{"signed_in": ok})
	})
	// At the route and not by app.Use with a shorter path, which has other parameters.
	app.Get("/clinics/:clinic/patients", cardeafiber.Require(v,
		cardea.Tenant(cardea.InPath("clinic")), cardea.AnyPermission("patient:read")), func(c fiber.Ctx) error {
		p, _ := cardeafiber.Principal(c)
		return c.JSON(fiber.Map{"patients": []string{}, "asked_by": p.Subject})
	})
	app.Delete("/me", cardeafiber.Guard(v.RequireFresh(5*time.Minute)), func(c fiber.Ctx) error {
		return c.SendStatus(fiber.StatusNoContent)
	})
	return app
}

// Routes for everybody, for staff of one clinic, and for somebody who has just signed in.
func Example() {
	app := clinics(verifierOfExample())
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
		answer, err := app.Test(r)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.StatusCode, string(body))
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
