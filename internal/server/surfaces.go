package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/captcha"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/password"
	"github.com/cardea-auth/cardea/internal/redirect"
	"github.com/cardea-auth/cardea/internal/surface/gotrue"
	"github.com/cardea-auth/cardea/internal/surface/inbox"
	"github.com/cardea-auth/cardea/internal/web"
	"github.com/cardea-auth/cardea/ratelimit"
)

const (
	mirrorPath = "/api/v1"
	adminPath  = "/admin/v1"
)

// InboxPath is where `cardea dev` shows its messages.
const InboxPath = "/dev/inbox"

// corsHeaders are the request headers that pages may send: GoTrue's, and those that
// Supabase's gateway allows on top.
func corsHeaders() []string {
	return []string{
		"Accept", "Authorization", "Content-Type", "apikey", "X-Client-IP", "X-Client-Info", "X-JWT-AUD", "x-use-cookie",
		"X-Supabase-Api-Version", "redirect_to", "x-retry-count", "traceparent", "tracestate", "baggage",
		"X-Tenant", "X-Lang",
	}
}

// mount builds the flows and the list of surfaces.
func (s *Server) mount(hasher *password.Hasher, single auth.ID) error {
	redirects, err := redirect.New(s.cfg.SiteURL, s.cfg.RedirectURLs)
	if err != nil {
		return fmt.Errorf("server: CARDEA_SITE_URL and CARDEA_REDIRECT_URLS: %w", err)
	}
	var limiter *ratelimit.Memory
	if s.cfg.RateLimit.Enabled {
		limiter = ratelimit.NewMemory(0, s.opt.Now)
	}
	policy, err := s.policy()
	if err != nil {
		return err
	}
	human, err := s.human()
	if err != nil {
		return err
	}
	flows := s.flowConfig(hasher, policy, limiter)
	if human != nil {
		flows.Human = human
	}
	flows.SingleTenant = single
	s.flows = flows
	accounts := flow.NewAccounts(flows)
	s.admin = flow.NewAdmin(flows, password.ValidHash)
	supabase := gotrue.Handler(gotrue.Config{
		Accounts: accounts, Admin: s.admin, Grants: s.pipeline(hasher, policy, limiter, human),
		Verifier: s.verifier, APIKeys: s.apiKeys, Keys: s.ring, AdminRoles: s.cfg.JWT.AdminRoles,
		Settings: gotrue.Settings{
			SignupDisabled: s.cfg.DisableSignup, EmailEnabled: s.cfg.EmailEnabled, PhoneEnabled: s.cfg.PhoneEnabled,
			AnonymousEnabled: s.cfg.AnonymousEnabled, EmailAutoconfirm: s.cfg.EmailAutoconfirm,
			PhoneAutoconfirm: s.cfg.PhoneAutoconfirm,
		},
		Redirects: redirects, Version: s.opt.Version, Now: s.opt.Now,
		Links: links{s.cfg.PublicURL + verifyPath}, LinkPage: s.cfg.Mail.LinkPage, Captcha: human != nil,
		Site: s.cfg.Mail.AppName, Locale: s.cfg.Mail.Locale,
	})
	mux := http.NewServeMux()
	switch {
	case s.relaying():
		s.mountNoCredentials(mux, supabase)
	case slices.Contains(s.cfg.Surfaces, config.SurfaceSupabase):
		mux.Handle(config.AuthPath+"/", http.StripPrefix(config.AuthPath, supabase))
		if s.cfg.RootMount {
			mux.Handle("/", supabase)
		}
	default: // whoever verifies our tokens needs the keys
		mux.Handle(config.AuthPath+"/.well-known/jwks.json", http.StripPrefix(config.AuthPath, supabase))
	}
	a, err := s.apis(flows, single, redirects)
	if err != nil {
		return err
	}
	a.limiter = limiter
	grants := s.pipelineWith(hasher, policy, limiter, human, s.restIssuer())
	s.mountAPIs(mux, a, grants)
	if err := s.mountInbox(mux); err != nil {
		return err
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, nil) })
	mux.HandleFunc("GET /readyz", s.ready)
	client := web.ClientIP{Trusted: s.cfg.TrustedProxies}
	s.handler = web.Stack(web.Config{
		Log: s.opt.Log, Now: s.opt.Now, Rand: s.opt.Rand, Client: client, Done: s.metrics.requestDone,
		CORS: web.CORS{
			Origins: s.cfg.CORSOrigins, Headers: corsHeaders(),
			Expose: []string{"X-Total-Count", "Link", "X-Supabase-Api-Version", "X-Request-Id", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Period"},
		},
		HSTS: strings.HasPrefix(s.cfg.PublicURL, "https://"), Timeout: s.cfg.HTTP.RequestTimeout, MaxBody: s.cfg.HTTP.MaxBody,
	}, s.wrapLegacy(mux, a, grants))
	return nil
}

func (s *Server) flowConfig(hasher *password.Hasher, policy password.Policy, limiter *ratelimit.Memory) flow.Config {
	fiveMinutes := func(n int) ratelimit.Limit { return ratelimit.Limit{Count: n, Period: 5 * time.Minute} }
	p, m, t := &s.cfg.Proof, &s.cfg.Mail, &s.cfg.SMS
	c := flow.Config{
		Store: s.store, Hasher: hasher, Policy: policy, Issuer: s.ring, Audience: s.cfg.JWT.Audience,
		SignupDisabled: s.cfg.DisableSignup, EmailEnabled: s.cfg.EmailEnabled, PhoneEnabled: s.cfg.PhoneEnabled,
		AnonymousEnabled: s.cfg.AnonymousEnabled, EmailAutoconfirm: s.cfg.EmailAutoconfirm, PhoneAutoconfirm: s.cfg.PhoneAutoconfirm,
		Limiter:        limiter,
		SignupPerIP:    fiveMinutes(s.cfg.RateLimit.SignupPerIP),
		AnonymousPerIP: ratelimit.Limit{Count: s.cfg.RateLimit.AnonymousPerIP, Period: time.Hour},
		UpdatePerUser:  fiveMinutes(s.cfg.RateLimit.FailuresPerAccount),
		VerifyPerIP:    fiveMinutes(s.cfg.RateLimit.VerifyPerIP),
		MailPerIP:      fiveMinutes(s.cfg.RateLimit.MessagesPerIP),
		MailPerServer:  ratelimit.Limit{Count: s.cfg.RateLimit.Mails, Period: time.Hour},
		TextPerServer:  ratelimit.Limit{Count: s.cfg.RateLimit.Texts, Period: time.Hour},

		MagicLinks: p.MagicLinks, Mail: s.messages.mails, Texts: s.messages.texts, ExplicitAnswers: p.Disclosure == "explicit", AnswerAfter: answerAfter(p.Disclosure), Discovery: p.Discovery,
		BothAddresses: p.BothAddresses, AllowPlainPKCE: p.PlainPKCE, ReauthPassword: p.ReauthPassword,
		CurrentPassword: p.CurrentPassword, CodeLength: p.CodeLength, LinkLife: m.CodeLife, SMSLife: t.CodeLife,
		MailEvery: m.Interval, SMSEvery: t.Interval, Codes: s.ring, Post: s.messages, Notices: m.Notices, Holds: s.store,
		Roles: s.roles, DefaultRole: s.cfg.People.DefaultRole,
		Now: s.opt.Now, Rand: s.opt.Rand,
	}
	if s.messages.hooks != nil {
		c.Hooks = flowHooks{s.messages}
	}
	return c
}

// answerAfter is how long requests for a message, and wrong codes, take at least where
// answers are neutral: several times of what the slower of two ways takes on a database of its own.
func answerAfter(disclosure string) time.Duration {
	if disclosure == "explicit" {
		return 0
	}
	return 20 * time.Millisecond
}

// human asks whoever tells people from programs; nil when nobody does.
func (s *Server) human() (*captcha.Verifier, error) {
	c := &s.cfg.Captcha
	if !c.Enabled {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	v, err := captcha.New(captcha.Config{Provider: c.Provider, Secret: string(c.Secret), Timeout: c.Timeout, URL: s.opt.CaptchaURL})
	if err != nil {
		return nil, fmt.Errorf("server: captcha: %w", err)
	}
	return v, nil
}

// mountInbox shows the messages of dev.
func (s *Server) mountInbox(mux *http.ServeMux) error {
	if !s.cfg.Dev {
		return nil
	}
	h, err := inbox.New(inbox.Config{Messages: s.messages.inbox, Prefix: InboxPath, Done: s.stopping})
	if err != nil {
		return fmt.Errorf("server: inbox: %w", err)
	}
	mux.Handle(InboxPath, h)
	mux.Handle(InboxPath+"/", h)
	return nil
}

// policy says which new passwords are good enough.
func (s *Server) policy() (password.Policy, error) {
	c := &s.cfg.Password
	p := password.Policy{MinLength: c.MinLength, RequiredCharacters: c.RequiredCharacters}
	if c.Common {
		p.Common, p.Words = &password.Common{}, []string{s.cfg.Mail.AppName}
	}
	if c.HIBP {
		leaks, err := password.NewLeaks(password.LeaksConfig{FailClosed: c.HIBPFailClosed, Now: s.opt.Now})
		if err != nil {
			return p, fmt.Errorf("server: leaked passwords: %w", err)
		}
		p.Leaks, s.metrics.leaks = leaks, leaks
	}
	return p, nil
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
