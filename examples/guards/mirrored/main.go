// Command mirrored is a service that keeps the users of a Supabase project in a database of
// its own: each gets a row and a profile with the first verified request, whatever brings it
// first, and the service joins its data with them.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/usersync"
	"github.com/cardea-auth/cardea/usersync/sqlite"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv, log); err != nil {
		log.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	db, err := sqlite.Open(ctx, cmp.Or(getenv("DATABASE_PATH"), "mirrored.db"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	store, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	s, err := newService(getenv, store, log)
	if err != nil {
		return err
	}
	go s.users.Run(ctx) // who waited for an outage to end, hooks, deliveries
	server := &http.Server{Addr: "127.0.0.1:9000", Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type service struct {
	verifier *cardea.Verifier
	users    *usersync.Syncer
	webhook  http.Handler
}

// newService trusts one Supabase project, and asks it what its users have proved.
func newService(getenv func(string) string, store usersync.Store, log *slog.Logger) (*service, error) {
	project := strings.TrimRight(getenv("SUPABASE_URL"), "/") + "/auth/v1"
	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{{
		Kind: cardea.KindSupabase, URL: project, APIKey: getenv("SUPABASE_PUBLISHABLE_KEY"),
	}}})
	if err != nil {
		return nil, err
	}
	crm, err := usersync.NewEndpoint(usersync.EndpointConfig{
		Name: "crm", URL: getenv("CRM_WEBHOOK_URL"), Secrets: []string{getenv("CRM_WEBHOOK_SECRET")},
	})
	if err != nil {
		return nil, err
	}
	users, err := usersync.New(usersync.Config{
		Store: store,
		Sources: map[string]usersync.Source{
			project: usersync.SupabaseUser{URL: project, APIKey: getenv("SUPABASE_PUBLISHABLE_KEY")},
		},
		Mode:       usersync.BestEffort, // a sign-in goes on when this database is down
		Consumers:  []usersync.Consumer{crm},
		WriteError: v.WriteError,
		OnCreated: func(ctx context.Context, u usersync.User) error {
			log.InfoContext(ctx, "new user", "id", u.ID) // or: insert a free plan, unless it is there
			return nil
		},
		OnFailure: func(ctx context.Context, f usersync.Failure) {
			log.ErrorContext(ctx, "usersync", "op", f.Op, "consumer", f.Consumer, "attempts", f.Attempts, "given_up", f.GivenUp, "error", f.Err)
		},
	})
	if err != nil {
		return nil, err
	}
	webhook, err := users.Webhook(usersync.WebhookConfig{
		Issuer: project, Secrets: strings.Split(getenv("SUPABASE_HOOK_SECRETS"), "|"),
	})
	return &service{v, users, webhook}, err
}

func (s *service) routes() http.Handler {
	known := s.verifier.Require(cardea.Authenticated())
	mirrored := s.verifier.Require(cardea.Authenticated(), s.users.Require())

	mux := http.NewServeMux()
	mux.Handle("POST /api/auth/users/sync", known(s.users.SyncHandler())) // push, after sign-in
	mux.Handle("POST /api/auth/verify", known(s.users.VerifyHandler()))
	mux.Handle("POST /hooks/users", s.webhook)                           // the project's own news
	mux.Handle("GET /api/me", mirrored(http.HandlerFunc(me)))            // lazy, with any request
	mux.Handle("DELETE /api/me", mirrored(http.HandlerFunc(s.deleteMe))) // a tombstone stays
	return mux
}

func me(w http.ResponseWriter, r *http.Request) {
	u, ok := usersync.UserFrom(r.Context())
	if !ok { // best effort, and something is down: serve what needs no row
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(u.View()) // the client may be gone
}

func (s *service) deleteMe(w http.ResponseWriter, r *http.Request) {
	p, _ := cardea.PrincipalFrom(r.Context())
	if !p.Provisioned {
		s.verifier.WriteError(w, r, cardea.NewError(cardea.CodeUserUnavailable, nil))
		return
	}
	if _, err := s.users.Delete(r.Context(), p.LocalID); err != nil {
		s.verifier.WriteError(w, r, cardea.NewError(cardea.CodeUserUnavailable, err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
