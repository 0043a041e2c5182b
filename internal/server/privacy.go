package server

import (
	"context"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/job"
)

// openCollectors checks the applications that keep data of people.
func (s *Server) openCollectors() (err error) {
	list := make([]hook.Collector, len(s.cfg.Privacy.Collectors))
	for i, c := range s.cfg.Privacy.Collectors {
		list[i] = hook.Collector{Name: c.Name, URL: c.URL, Secrets: string(c.Secret), Timeout: c.Timeout, Phases: c.Phases}
	}
	if s.collectors, err = hook.NewCollectors(list, nil, s.opt.Now); err != nil {
		return fmt.Errorf("server: CARDEA_COLLECTORS: %w", err)
	}
	return nil
}

// privacy makes what people may ask for by law.
func (s *Server) privacy(c flow.Config) *flow.Privacy {
	return flow.NewPrivacy(c, flow.PrivacyConfig{
		Erasures: s.store, Plan: s.cfg.Privacy.ErasurePlan, Exports: s.store, Applications: s.collectors, Sign: s.ring.SignDetached,
		Issuer: s.cfg.JWT.Issuer,
		Wake: func() {
			select {
			case s.erasures <- struct{}{}:
			default: // somebody is woken already
			}
		},
	})
}

// eraser does what is left of deletions.
func (s *Server) eraser() job.Eraser {
	return job.Eraser{
		Store: s.store, Log: s.opt.Log, Now: s.opt.Now, Rand: s.opt.Rand, Wake: s.erasures,
		Collect: func(ctx context.Context, name string, e *auth.Erasure) error {
			return s.collectors.Erase(ctx, name, e.ID, e.UserID, e.BegunAt) //nolint:wrapcheck // the step's own words
		},
	}
}

// EraseDue does every step of a deletion that is due, for programs that serve nobody. It gives
// the number of deletions that it worked on.
func (s *Server) EraseDue(ctx context.Context) (int, error) {
	return s.eraser().Once(ctx) //nolint:wrapcheck // names itself
}
