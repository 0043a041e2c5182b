package server

import (
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/captcha"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/password"
	"github.com/cardea-auth/cardea/ratelimit"
)

// grants is the list of what the token endpoint accepts.
func (s *Server) grants(hasher *password.Hasher, policy password.Policy) map[string]grant.Grant {
	byPassword := &grant.Password{
		Store: s.store, Hasher: hasher, EmailEnabled: s.cfg.EmailEnabled, PhoneEnabled: s.cfg.PhoneEnabled,
		Weak: func(password string) *auth.Error { return policy.Check(password) },
	}
	if s.messages.hooks.Has(hook.PasswordVerification) {
		byPassword.Attempt = s.passwordAttempt
	}
	legacy, _ := s.store.(grant.Legacy) // a database that may have been GoTrue's
	return map[string]grant.Grant{
		"password":      byPassword,
		"refresh_token": grant.Refresh{Tokens: s.ring, Legacy: legacy},
		"pkce":          &grant.PKCE{Store: s.store, Now: s.opt.Now},
	}
}

func (s *Server) pipeline(hasher *password.Hasher, policy password.Policy, limiter *ratelimit.Memory, human *captcha.Verifier) *grant.Pipeline {
	return s.pipelineWith(hasher, policy, limiter, human, s.ring)
}

// pipelineWith is the pipeline of a surface with an issuer of its own. The limits are shared.
func (s *Server) pipelineWith(hasher *password.Hasher, policy password.Policy, limiter *ratelimit.Memory, human *captcha.Verifier, issuer grant.Issuer) *grant.Pipeline {
	c := grant.Config{
		Store: s.store, Issuer: issuer, Grants: s.grants(hasher, policy), Audience: s.cfg.JWT.Audience,
		Limiter:    limiter,
		PerIP:      ratelimit.Limit{Count: s.cfg.RateLimit.TokenPerIP, Period: 5 * time.Minute},
		PerAccount: ratelimit.Limit{Count: s.cfg.RateLimit.FailuresPerAccount, Period: 5 * time.Minute},
		Grace:      s.cfg.Session.RefreshGrace, Timebox: s.cfg.Session.MaxAge(), Inactive: s.cfg.Session.Inactivity,
		Now: s.opt.Now, Rand: s.opt.Rand,
	}
	if human != nil {
		c.Human, c.HumanFor = human.Check, []string{"password"}
	}
	if s.messages.mails && slices.Contains(s.cfg.Mail.Notices, flow.NoticeNewDevice) {
		c.NewDevice = s.messages.newDevice
	}
	return grant.New(c)
}
