package gotrue

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

// callers is who may make a request of this surface.
func (c *Config) callers() *web.Callers {
	return &web.Callers{
		Verifier: c.Verifier, APIKeys: c.APIKeys, AdminRoles: c.AdminRoles,
		Alive: func(ctx context.Context, who auth.Caller) error {
			_, err := c.Accounts.User(ctx, who)
			return err
		},
	}
}

// caller gives the person that makes the request.
func (s *surface) caller(r *http.Request) (auth.Caller, error) {
	c, err := s.callers.Caller(r)
	return c, inGoTruesWords(err)
}

// admin lets operators through.
func (s *surface) admin(r *http.Request) error {
	_, err := s.callers.Operator(r)
	return inGoTruesWords(err)
}

// inGoTruesWords says what is wrong with a token in the words that clients match on.
func inGoTruesWords(err error) error {
	var e *auth.Error
	if !errors.As(err, &e) || e.Code != auth.CodeBadJWT || strings.HasPrefix(e.Message, "invalid claim") {
		return err
	}
	said := *e
	said.Message = "invalid JWT: unable to parse or verify signature, " + e.Message
	return &said
}
