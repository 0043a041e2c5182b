package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/password"
	"github.com/cardea-auth/cardea/internal/redirect"
	"github.com/cardea-auth/cardea/internal/surface/gotrue"
	"github.com/cardea-auth/cardea/internal/web"
	"github.com/cardea-auth/cardea/ratelimit"
)

// corsHeaders are the request headers that pages may send: GoTrue's, and those that
// Supabase's gateway allows on top.
func corsHeaders() []string {
	return []string{
		"Accept", "Authorization", "Content-Type", "apikey", "X-Client-IP", "X-Client-Info", "X-JWT-AUD", "x-use-cookie",
		"X-Supabase-Api-Version", "redirect_to", "x-retry-count", "traceparent", "tracestate", "baggage",
	}
}

// mount builds the flows and the list of surfaces.
func (s *Server) mount(hasher *password.Hasher) error {
	redirects, err := redirect.New(s.cfg.SiteURL, s.cfg.RedirectURLs)
	if err != nil {
		return fmt.Errorf("server: CARDEA_SITE_URL and CARDEA_REDIRECT_URLS: %w", err)
	}
	var limiter *ratelimit.Memory
	if s.cfg.RateLimit.Enabled {
		limiter = ratelimit.NewMemory(0, s.opt.Now)
	}
	policy := password.Policy{MinLength: s.cfg.Password.MinLength, RequiredCharacters: s.cfg.Password.RequiredCharacters}
	flows := s.flowConfig(hasher, policy, limiter)
	s.admin = flow.NewAdmin(flows, password.ValidHash)
	supabase := gotrue.Handler(gotrue.Config{
		Accounts: flow.NewAccounts(flows), Admin: s.admin, Grants: s.pipeline(hasher, policy, limiter),
		Verifier: s.verifier, APIKeys: s.apiKeys, Keys: s.ring, AdminRoles: s.cfg.JWT.AdminRoles,
		Settings: gotrue.Settings{
			SignupDisabled: s.cfg.DisableSignup, EmailEnabled: s.cfg.EmailEnabled, PhoneEnabled: s.cfg.PhoneEnabled,
			AnonymousEnabled: s.cfg.AnonymousEnabled, EmailAutoconfirm: s.cfg.EmailAutoconfirm,
			PhoneAutoconfirm: s.cfg.PhoneAutoconfirm,
		},
		Redirects: redirects, Version: s.opt.Version, Now: s.opt.Now,
	})
	mux := http.NewServeMux()
	mux.Handle(config.AuthPath+"/", http.StripPrefix(config.AuthPath, supabase))
	if s.cfg.RootMount {
		mux.Handle("/", supabase)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, nil) })
	mux.HandleFunc("GET /readyz", s.ready)
	client := web.ClientIP{Trusted: s.cfg.TrustedProxies}
	s.handler = web.Stack(web.Config{
		Log: s.opt.Log, Now: s.opt.Now, Rand: s.opt.Rand, Client: client,
		CORS: web.CORS{
			Origins: s.cfg.CORSOrigins, Headers: corsHeaders(),
			Expose: []string{"X-Total-Count", "Link", "X-Supabase-Api-Version", "X-Request-Id", "Retry-After"},
		},
		HSTS: strings.HasPrefix(s.cfg.PublicURL, "https://"), Timeout: s.cfg.HTTP.RequestTimeout, MaxBody: s.cfg.HTTP.MaxBody,
	}, mux)
	return nil
}

func (s *Server) flowConfig(hasher *password.Hasher, policy password.Policy, limiter *ratelimit.Memory) flow.Config {
	return flow.Config{
		Store: s.store, Hasher: hasher, Policy: policy, Issuer: s.ring, Audience: s.cfg.JWT.Audience,
		SignupDisabled: s.cfg.DisableSignup, EmailEnabled: s.cfg.EmailEnabled, PhoneEnabled: s.cfg.PhoneEnabled,
		AnonymousEnabled: s.cfg.AnonymousEnabled, EmailAutoconfirm: s.cfg.EmailAutoconfirm, PhoneAutoconfirm: s.cfg.PhoneAutoconfirm,
		Limiter:        limiter,
		SignupPerIP:    ratelimit.Limit{Count: s.cfg.RateLimit.SignupPerIP, Period: 5 * time.Minute},
		AnonymousPerIP: ratelimit.Limit{Count: s.cfg.RateLimit.AnonymousPerIP, Period: time.Hour},
		UpdatePerUser:  ratelimit.Limit{Count: s.cfg.RateLimit.FailuresPerAccount, Period: 5 * time.Minute},
		Now:            s.opt.Now, Rand: s.opt.Rand,
	}
}

// ready is readiness: it asks the database.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	err := s.store.Ping(ctx)
	if ev := web.EventFrom(r.Context()); ev != nil && err != nil {
		ev.Err = err
	}
	answerHealth(w, err)
}

func answerHealth(w http.ResponseWriter, err error) {
	status, text := http.StatusOK, "ok"
	if err != nil {
		status, text = http.StatusServiceUnavailable, "unavailable"
	}
	_ = web.WriteJSON(w, status, map[string]string{"status": text})
}
