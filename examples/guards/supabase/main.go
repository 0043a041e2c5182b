// Command supabase is a service for the users of a Supabase project: who they are, what
// they may do, and what happens when the project is down. It runs no auth server and
// holds no secret.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/cardea-auth/cardea"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	v, err := cardea.NewVerifier(config(os.Getenv, log))
	if err != nil {
		log.Error("configuration", "error", err) // every problem at once
		os.Exit(1)
	}
	server := &http.Server{Addr: "127.0.0.1:9000", Handler: routes(v), ReadHeaderTimeout: 5 * time.Second}
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Error("server", "error", err)
		os.Exit(1)
	}
}

// config trusts one Supabase project. Its public keys are found and kept by themselves.
func config(getenv func(string) string, log *slog.Logger) cardea.Config {
	project := cardea.Issuer{
		Kind:   cardea.KindSupabase,
		URL:    getenv("SUPABASE_URL"),             // https://<project>.supabase.co
		APIKey: getenv("SUPABASE_PUBLISHABLE_KEY"), // sb_publishable_... or the anon key
	}
	if secret := getenv("SUPABASE_JWT_SECRET"); secret != "" {
		// Only for a project that still signs with its legacy secret. Who holds it can
		// make tokens, so drop it once the project has moved to signing keys.
		project.HMACSecret = []byte(secret)
	} else {
		// Should the keys ever be out of reach, the project is asked instead.
		project.Introspection.Kind = cardea.IntrospectionSupabase
	}
	return cardea.Config{
		Issuers: []cardea.Issuer{project},
		OnDenied: func(ctx context.Context, d cardea.Denial) {
			log.WarnContext(ctx, "denied", "code", d.Err.Code, "severity", d.Err.Severity(), "cause", d.Err.Cause,
				"required", d.Err.Required, "actual", d.Err.Actual, "method", d.Method, "path", d.Path, "from", d.RemoteAddr)
		},
	}
}

// routes is the whole API. What a route asks of its caller stands beside its path.
func routes(v *cardea.Verifier) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, guard func(http.Handler) http.Handler, h http.HandlerFunc) {
		mux.Handle(pattern, guard(h))
	}
	handle("GET /posts", v.Optional(), listPosts)
	handle("GET /me", v.Require(cardea.Authenticated()), me)
	handle("POST /posts", v.Require(cardea.NotAnonymous()), done)
	handle("DELETE /posts/{id}", v.Require(cardea.Role("moderator", "admin")), done) // of app_metadata.roles
	handle("GET /billing", v.Require(cardea.AAL("aal2")), done)
	handle("DELETE /me", v.RequireFresh(10*time.Minute), done)
	return mux
}

// me answers who the caller is. The user id is the one of auth.users.
func me(w http.ResponseWriter, r *http.Request) {
	p, _ := cardea.PrincipalFrom(r.Context())
	answer(w, map[string]any{"id": p.Subject, "email": p.Email, "phone": p.Phone, "roles": p.Roles, "aal": p.AAL})
}

// listPosts serves everybody. During an outage of the project its users are strangers
// for a while, and are told so.
func listPosts(w http.ResponseWriter, r *http.Request) {
	view := map[string]any{"posts": []string{"hello"}, "for": "everybody"}
	if p, ok := cardea.PrincipalFrom(r.Context()); ok {
		view["for"] = p.Subject
	} else if failure, ok := cardea.FailureFrom(r.Context()); ok {
		view["because"] = failure.Code
	}
	answer(w, view)
}

func done(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func answer(w http.ResponseWriter, view map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(view) // the client may be gone
}
