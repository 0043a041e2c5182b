package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/ratelimit"
)

// Modes of [Accounts.IdentifierStatus].
const (
	DiscoveryOff      = "off"
	DiscoveryNextStep = "next_step_only" // the same answer for every identifier of a channel
	DiscoveryFull     = "full"           // tells strangers who has an account
)

// IdentifierStatus is what a sign-in page is told of what a person typed.
type IdentifierStatus struct {
	Exists, Verified, HasPassword bool
	Channel                       string // "email" or "phone"
	NextStep                      string // "password" or "otp"
}

// identifierLimits hold for the full mode too, which is a list of our users for whoever asks
// often enough: ten questions a minute from one address of the network, five an hour about
// one identifier.
func identifierLimits() (perIP, perIdentifier ratelimit.Limit) {
	return ratelimit.Limit{Count: 10, Period: time.Minute}, ratelimit.Limit{Count: 5, Period: time.Hour}
}

// IdentifierStatus says how the person behind an identifier can sign in. In the mode
// next_step_only it looks at nobody, and says the same of everybody: a code where one can
// be sent, else a password. The mode off is CodeFeatureDisabled.
func (a *Accounts) IdentifierStatus(ctx context.Context, identifier string, m auth.Meta) (IdentifierStatus, error) {
	if a.c.Discovery != DiscoveryFull && a.c.Discovery != DiscoveryNextStep {
		return IdentifierStatus{}, auth.E(auth.CodeFeatureDisabled, "")
	}
	email, phone, err := a.c.readIdentifier(identifier)
	if err != nil {
		return IdentifierStatus{}, err
	}
	perIP, perIdentifier := identifierLimits()
	if err := a.c.take("identifier/ip", m.IP, perIP); err != nil {
		return IdentifierStatus{}, err
	}
	// The limiter's memory holds no addresses of people who only typed them.
	sum := sha256.Sum256([]byte(email + phone))
	if err := a.c.take("identifier", hex.EncodeToString(sum[:]), perIdentifier); err != nil {
		return IdentifierStatus{}, err
	}
	s := IdentifierStatus{Channel: "email", NextStep: "otp"}
	if phone != "" {
		s.Channel = "phone"
	}
	if a.c.Discovery == DiscoveryNextStep {
		s.Exists, s.Verified, s.HasPassword = true, true, !a.c.sends(email)
	} else if err := a.lookUp(ctx, &s, email, phone); err != nil {
		return IdentifierStatus{}, err
	}
	if s.Exists && s.Verified && s.HasPassword {
		s.NextStep = "password"
	}
	return s, nil
}

func (a *Accounts) lookUp(ctx context.Context, s *IdentifierStatus, email, phone string) error {
	u, err := a.find(ctx, email, phone, a.c.Audience)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return nil
	case err != nil:
		return &auth.Error{Code: auth.CodeUnavailable, Cause: fmt.Errorf("flow: identifier status: %w", err), RetryAfter: 30 * time.Second}
	}
	s.Exists, s.HasPassword = true, u.PasswordHash != ""
	s.Verified = u.FoundBy != "" || email != "" && !u.EmailConfirmedAt.IsZero() || phone != "" && !u.PhoneConfirmedAt.IsZero()
	return nil
}

// readIdentifier tells addresses from numbers by the @. Numbers are read as the region writes
// them.
func (c *Config) readIdentifier(s string) (email, phone string, err error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "" || len(s) > 320:
		return "", "", auth.E(auth.CodeValidation, "identifier must have 1 to 320 characters")
	case strings.Contains(s, "@"):
		email, err = auth.NormalizeEmail(s)
	default:
		phone, err = c.phone(s)
	}
	return email, phone, err
}
