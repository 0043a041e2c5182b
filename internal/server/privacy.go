package server

import (
	"context"

	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/job"
)

// privacy makes what people may ask for by law.
func (s *Server) privacy(c flow.Config) *flow.Privacy {
	return flow.NewPrivacy(c, flow.PrivacyConfig{
		Erasures: s.store, Plan: s.cfg.Privacy.ErasurePlan,
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
	return job.Eraser{Store: s.store, Log: s.opt.Log, Now: s.opt.Now, Rand: s.opt.Rand, Wake: s.erasures}
}

// EraseDue does every step of a deletion that is due, for programs that serve nobody. It gives
// the number of deletions that it worked on.
func (s *Server) EraseDue(ctx context.Context) (int, error) {
	return s.eraser().Once(ctx) //nolint:wrapcheck // names itself
}
