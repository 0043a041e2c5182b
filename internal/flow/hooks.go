package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Hooks are the application's own code at fixed points of the flows.
type Hooks interface {
	// BeforeUserCreated may refuse a new account, with an error for the caller. It is asked
	// about taken addresses too: an answer that came without it would tell that they are.
	BeforeUserCreated(ctx context.Context, u *auth.User, ip string) error
	// AfterUserCreated gives the row of the outbox that tells of a new account; nil when
	// nobody wants to know. It is written in the step that makes the account, so neither an
	// account without its news nor news without an account can come about.
	AfterUserCreated(now time.Time, u *auth.User, ip string) (*auth.Message, error)
}

// Human tells people from programs.
type Human interface {
	// Check refuses with an *auth.Error. The token is what the page's widget gave.
	Check(ctx context.Context, token, ip string) error
}

// human asks for the proof of a person, where the configuration wants one. Operators have
// proved more.
func (c *Config) human(ctx context.Context, m auth.Meta) error {
	if c.Human == nil || m.Operator {
		return nil
	}
	return c.Human.Check(ctx, m.Captcha, m.IP) //nolint:wrapcheck // an *auth.Error for the caller
}

// createAccount is the one way to a new account.
func (c *Config) createAccount(ctx context.Context, a auth.NewAccount, ip string) error {
	if c.Hooks != nil {
		if err := c.Hooks.BeforeUserCreated(ctx, &a.User, ip); err != nil {
			return err //nolint:wrapcheck // an *auth.Error for the caller
		}
		news, err := c.Hooks.AfterUserCreated(c.now(), &a.User, ip)
		if err != nil {
			return fmt.Errorf("flow: seal news of an account: %w", err)
		}
		if news != nil {
			a.Messages = append(a.Messages, *news)
		}
	}
	if err := c.Store.CreateAccount(ctx, a); err != nil {
		return fmt.Errorf("flow: create account: %w", err)
	}
	return nil
}
