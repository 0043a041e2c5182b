// Command marketplace is a service with users of its own beside those of its issuer: the
// issuer says who calls, the local row says what they may do. It replaces the token
// verifier and the get_current_... dependencies of a marketplace such as 360Ghar.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/cardea-auth/cardea"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(os.Getenv, log); err != nil {
		log.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(getenv func(string) string, log *slog.Logger) error {
	c, err := config(getenv, log)
	if err != nil {
		return err
	}
	v, err := cardea.NewVerifier(c)
	if err != nil {
		return err
	}
	tickets, err := cardea.NewTickets(cardea.TicketConfig{Verifier: v})
	if err != nil {
		return err
	}
	s := &service{verifier: v, tickets: tickets, users: &memoryUsers{}, log: log, now: time.Now}
	if s.snapshotTTL, err = seconds(getenv, "AUTH_USER_CACHE_TTL_SECONDS", "45"); err != nil {
		return err
	}
	server := &http.Server{Addr: "127.0.0.1:9000", Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

// config trusts one Supabase project: public keys only, and the project itself when they
// can't be had.
func config(getenv func(string) string, log *slog.Logger) (cardea.Config, error) {
	ttl, err := seconds(getenv, "JWKS_TTL_SECONDS", "3600")
	return cardea.Config{
		Issuers: []cardea.Issuer{{
			Kind: cardea.KindSupabase, URL: getenv("SUPABASE_URL"), APIKey: getenv("SUPABASE_PUBLISHABLE_KEY"),
			Algorithms:    []string{"ES256", "RS256"},
			Introspection: cardea.Introspection{Kind: cardea.IntrospectionSupabase},
		}},
		JWKSTTL:      ttl,
		ErrorEncoder: cardea.EncodeEnvelope, // {"error":{"code","message","details"}}
		OnAuthenticated: func(ctx context.Context, p *cardea.Principal) {
			if tag, ok := ctx.Value(tagKey{}).(*tag); ok {
				tag.user = p.Subject // or the scope of an error tracker
			}
		},
		OnDenied: func(ctx context.Context, d cardea.Denial) {
			log.WarnContext(ctx, "denied", "code", d.Err.Code, "required", d.Err.Required, "actual", d.Err.Actual,
				"cause", d.Err.Cause, "path", d.Path, "anonymous", d.Anonymous)
		},
	}, err
}

func seconds(getenv func(string) string, name, otherwise string) (time.Duration, error) {
	n, err := strconv.ParseUint(cmp.Or(getenv(name), otherwise), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return time.Duration(n) * time.Second, nil
}

type service struct {
	verifier *cardea.Verifier
	tickets  *cardea.Tickets
	users    users
	log      *slog.Logger
	now      func() time.Time

	snapshotTTL time.Duration
	mu          sync.Mutex
	snapshots   map[string]snapshot
}

// routes is the whole API: what a route asks of its caller stands beside its path.
func (s *service) routes() http.Handler {
	active := cardea.Active(s.load)
	role := func(name string, code cardea.Code, message string) cardea.Requirement {
		// Exactly this role: an admin is no agent.
		return cardea.WithCode(code, message, cardea.UserRule("role "+name, func(u User) bool { return u.Role == name }))
	}
	agent := role("agent", "AGENT_REQUIRED", "Agent role required")
	admin := role("admin", "ADMIN_REQUIRED", "Admin role required")

	mux := http.NewServeMux()
	handle := func(pattern string, guard func(http.Handler) http.Handler, h http.HandlerFunc) {
		mux.Handle(pattern, guard(h))
	}
	v := s.verifier
	handle("GET /api/v1/properties", v.Optional(), s.properties)
	handle("GET /api/v1/users/me", v.Require(active), s.me)
	handle("DELETE /api/v1/users/me", v.RequireFresh(10*time.Minute, active), s.deleteMe)
	handle("GET /api/v1/visits", v.Require(active, cardea.Owner(cardea.InQuery("user_id"))), done)
	handle("GET /api/v1/agents/customers", v.Require(active, agent), done)
	handle("GET /api/v1/users", v.Require(active, admin), done)

	// A browser can't send a header with an EventSource: it fetches a ticket, good for one
	// use within 30 s, and opens /api/v1/events?token=<ticket>.
	mux.Handle("POST /api/v1/events/ticket", s.tickets.Handler(active))
	mux.Handle("POST /api/v1/events/renew", s.tickets.RenewHandler())
	handle("GET /api/v1/events", s.tickets.Require(active), events)
	return s.tagged(mux)
}

// User is the local row of a user.
type User struct {
	ID      int64  `json:"id"`
	Subject string `json:"supabase_user_id"`
	Email   string `json:"email,omitempty"`
	Phone   string `json:"phone,omitempty"`
	Role    string `json:"role"`
	Active  bool   `json:"is_active"`
}

// users is what the service's database has to do.
type users interface {
	// Sync gives the row of the issuer's user, and makes it at the first request.
	Sync(ctx context.Context, p *cardea.Principal) (User, error)
	// Deactivate keeps the row, so that a token which is still good can't make it anew.
	Deactivate(ctx context.Context, subject string) error
}

type snapshot struct {
	user  User
	until time.Time
}

// maxSnapshots bounds the memory, whoever calls.
const maxSnapshots = 10_000

// load gives the caller's row, at most snapshotTTL old. What it gives is there for the
// handlers; an error of the database is answered 503, because nothing is known against
// the caller.
func (s *service) load(ctx context.Context, p *cardea.Principal) (u User, active bool, err error) {
	s.mu.Lock()
	kept, ok := s.snapshots[p.Subject]
	s.mu.Unlock()
	if ok && s.now().Before(kept.until) {
		return kept.user, kept.user.Active, nil
	}
	if u, err = s.users.Sync(ctx, p); err != nil {
		return User{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snapshots == nil || len(s.snapshots) >= maxSnapshots {
		s.snapshots = map[string]snapshot{}
	}
	s.snapshots[p.Subject] = snapshot{u, s.now().Add(s.snapshotTTL)}
	return u, u.Active, nil
}

// forget is for whoever changes a user.
func (s *service) forget(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.snapshots, subject)
}

func (s *service) me(w http.ResponseWriter, r *http.Request) {
	u, _ := cardea.UserFrom[User](r.Context()) // there always is one behind active
	answer(w, u)
}

// properties serves everybody; an outage of the issuer makes nobody wait.
func (s *service) properties(w http.ResponseWriter, r *http.Request) {
	likes := "everybody"
	if p, ok := cardea.PrincipalFrom(r.Context()); ok {
		likes = p.Subject
	}
	answer(w, map[string]any{"properties": []string{}, "picked_for": likes})
}

func (s *service) deleteMe(w http.ResponseWriter, r *http.Request) {
	p, _ := cardea.PrincipalFrom(r.Context())
	if err := s.users.Deactivate(r.Context(), p.Subject); err != nil {
		s.verifier.WriteError(w, r, cardea.NewError(cardea.CodeUserUnavailable, err)) // the guards' envelope
		return
	}
	s.forget(p.Subject)
	answer(w, map[string]any{"message": "Account deleted", "success": true})
}

// events runs until the client goes, or its token ends and was not renewed.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprint(w, "data: hello\n\n")
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	<-r.Context().Done() // in a real one: a select, with the service's events beside it
}

func done(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func answer(w http.ResponseWriter, view any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(view) // the client may be gone
}

type (
	tag    struct{ user string }
	tagKey struct{}
)

// tagged writes one line for each request, with the user whom a guard let pass.
func (s *service) tagged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &tag{}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tagKey{}, t)))
		s.log.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "user", t.user)
	})
}

// memoryUsers stands for the service's table, so that this program runs by itself.
type memoryUsers struct {
	mu   sync.Mutex
	rows map[string]User
}

// Sync never links by e-mail or phone: an address that nobody proved would hand over
// somebody else's row.
func (m *memoryUsers) Sync(_ context.Context, p *cardea.Principal) (User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u, ok := m.rows[p.Subject]; ok {
		return u, nil
	}
	u := User{ID: int64(len(m.rows) + 1), Subject: p.Subject, Role: "user", Active: true}
	if p.EmailVerified {
		u.Email = p.Email
	}
	if p.PhoneVerified {
		u.Phone = p.Phone
	}
	if m.rows == nil {
		m.rows = map[string]User{}
	}
	m.rows[p.Subject] = u
	return u, nil
}

// Deactivate implements users.
func (m *memoryUsers) Deactivate(_ context.Context, subject string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, ok := m.rows[subject]
	if !ok {
		return errors.New("no such user")
	}
	u.Active = false
	m.rows[subject] = u
	return nil
}
