package server

import (
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/password"
	"github.com/cardea-auth/cardea/ratelimit"
)

// grants is the list of what the token endpoint accepts.
func (s *Server) grants(hasher *password.Hasher, policy password.Policy) map[string]grant.Grant {
	return map[string]grant.Grant{
		"password": &grant.Password{
			Store: s.store, Hasher: hasher, EmailEnabled: s.cfg.EmailEnabled, PhoneEnabled: s.cfg.PhoneEnabled,
			Weak: func(password string) *auth.Error { return policy.Check(password) },
		},
		"refresh_token": grant.Refresh{Tokens: s.ring},
	}
}

func (s *Server) pipeline(hasher *password.Hasher, policy password.Policy, limiter *ratelimit.Memory) *grant.Pipeline {
	return grant.New(grant.Config{
		Store: s.store, Issuer: s.ring, Grants: s.grants(hasher, policy), Audience: s.cfg.JWT.Audience,
		Limiter:    limiter,
		PerIP:      ratelimit.Limit{Count: s.cfg.RateLimit.TokenPerIP, Period: 5 * time.Minute},
		PerAccount: ratelimit.Limit{Count: s.cfg.RateLimit.FailuresPerAccount, Period: 5 * time.Minute},
		Grace:      s.cfg.Session.RefreshGrace, Timebox: s.cfg.Session.MaxAge(), Inactive: s.cfg.Session.Inactivity,
		Now: s.opt.Now, Rand: s.opt.Rand,
	})
}
