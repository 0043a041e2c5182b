// Package grant is the token pipeline. Every way to get tokens for a proof goes through
// the same six steps, in this order, and none can be skipped by a grant:
//
//  1. limit: is this address, and is this account, within its budget?
//  2. client: may this client use this grant? (First-party only so far.) Where a captcha is
//     configured: is there a person?
//  3. prove: the grant, the only step that differs, says who it is.
//  4. policy: is the account confirmed and not banned? Only now, because before the
//     proof the answer would tell a stranger that the account exists.
//  5. issue: one statement starts or continues the session, then the tokens are signed.
//  6. audit: the entry is written by the same statement as the session.
//
// A new grant is one file with one Prove method and one line in the registration list of
// internal/server.
package grant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/ratelimit"
)

// Request is one call of the token endpoint, decoded.
type Request struct {
	auth.Meta

	Grant        string // "password", "refresh_token", "pkce"
	Audience     string // of the account looked for; "" for the configured one
	Email        string
	Phone        string
	Password     string
	RefreshToken string
	AuthCode     string
	CodeVerifier string
}

// Proof is what a grant found out. Exactly one of User and Refresh is set.
type Proof struct {
	// User is the proved account; a new session begins.
	User     *auth.User
	Method   string // amr method of the new session
	Identity string // provider whose identity was used
	Rehash   string // new password hash to store, "" for none
	Weak     *auth.Error

	// Refresh names the session that continues.
	Refresh *RefreshProof
}

// RefreshProof is a refresh token whose signature is right.
type RefreshProof struct {
	Session auth.ID
	Counter int64
}

// Grant proves who makes a request.
type Grant interface {
	// Subject names the account that the request claims, for the limit per account, in a
	// form that is the same for every spelling of one account; "" if there is none.
	Subject(r *Request) string
	// Prove returns the proof, or an *auth.Error. It must not tell an unknown account from
	// a wrong secret, neither by its answer nor by its time.
	Prove(ctx context.Context, r *Request) (Proof, error)
}

// Store is what the pipeline needs of a database.
type Store interface {
	StartSession(ctx context.Context, s auth.SessionStart) (auth.Session, error)
	RotateRefresh(ctx context.Context, r auth.Rotation) (auth.RotationResult, error)
}

// Issuer signs the tokens of a session.
type Issuer interface {
	Issue(ctx context.Context, user *auth.User, session *auth.Session) (auth.Tokens, error)
}

// Config wires a Pipeline.
type Config struct {
	Store    Store
	Issuer   Issuer
	Grants   map[string]Grant
	Audience string // default audience of accounts

	Limiter    *ratelimit.Memory // nil: no limits
	PerIP      ratelimit.Limit   // calls of one address
	PerAccount ratelimit.Limit   // failed proofs of one account

	// NewDevice, if not nil, names what a sign-in comes from and makes the notice for an
	// account that has never been signed in to from there (nil: nobody to tell).
	NewDevice func(now time.Time, u *auth.User, m auth.Meta) (device string, notice *auth.Message, err error)

	// Human, if not nil, refuses the grants named in HumanFor without the proof of a person;
	// its error goes to the caller.
	Human    func(ctx context.Context, token, ip string) error
	HumanFor []string

	Grace    time.Duration // how long the parent of a refresh token is answered with the current one
	Timebox  time.Duration // longest life of a session; 0: none
	Inactive time.Duration // longest pause between refreshes; 0: none

	Now  func() time.Time
	Rand io.Reader
}

// Pipeline answers the token endpoint.
type Pipeline struct{ c Config }

// New makes a Pipeline. All fields but Limiter and the times are needed.
func New(c Config) *Pipeline { return &Pipeline{c} }

// Exchange runs the pipeline.
func (p *Pipeline) Exchange(ctx context.Context, r Request) (auth.SignedIn, error) {
	g, ok := p.c.Grants[r.Grant]
	if !ok {
		return auth.SignedIn{}, auth.E(auth.CodeUnsupportedGrant, "")
	}
	if r.Audience == "" {
		r.Audience = p.c.Audience
	}
	subject := g.Subject(&r)
	if err := p.limit(&r, subject); err != nil {
		return auth.SignedIn{}, err
	}
	if p.c.Human != nil && !r.Operator && slices.Contains(p.c.HumanFor, r.Grant) {
		if err := p.c.Human(ctx, r.Captcha, r.IP); err != nil {
			p.refund(subject)
			return auth.SignedIn{}, err
		}
	}
	proof, err := g.Prove(ctx, &r)
	if err != nil {
		if auth.CodeOf(err) == auth.CodeOverloaded {
			p.refund(subject) // nothing was tried: our lack of room is not a wrong password
		}
		return auth.SignedIn{}, err
	}
	if proof.Refresh != nil {
		return p.continueSession(ctx, &r, *proof.Refresh)
	}
	if proof.User == nil {
		return auth.SignedIn{}, fmt.Errorf("grant: %s proved nothing", r.Grant)
	}
	p.refund(subject)
	now := auth.Truncate(p.c.Now())
	if err := checkAccount(proof.User, proof.Identity, now); err != nil {
		return auth.SignedIn{}, err
	}
	return p.startSession(ctx, &r, &proof, now)
}

// limit takes one call from the address's budget and one try from the account's. The try
// is given back after a right proof: taking first and not afterwards keeps a hundred
// parallel guesses from passing a check that none of them has yet been counted in.
func (p *Pipeline) limit(r *Request, subject string) error {
	if p.c.Limiter == nil {
		return nil
	}
	if r.IP != "" {
		if d := p.c.Limiter.Take("token/ip/"+r.IP, p.c.PerIP); !d.Allowed {
			return &auth.Error{Code: auth.CodeRateLimited, RetryAfter: d.RetryAfter}
		}
	}
	if subject != "" {
		if d := p.c.Limiter.Take("token/account/"+subject, p.c.PerAccount); !d.Allowed {
			return &auth.Error{Code: auth.CodeRateLimited, RetryAfter: d.RetryAfter}
		}
	}
	return nil
}

func (p *Pipeline) refund(subject string) {
	if p.c.Limiter != nil && subject != "" {
		p.c.Limiter.Refund("token/account/"+subject, p.c.PerAccount)
	}
}

// startSession issues for a new session.
func (p *Pipeline) startSession(ctx context.Context, r *Request, proof *Proof, now time.Time) (auth.SignedIn, error) {
	u := proof.User
	id, err := auth.NewID(now, p.c.Rand)
	if err != nil {
		return auth.SignedIn{}, err
	}
	auditID, err := auth.NewID(now, p.c.Rand)
	if err != nil {
		return auth.SignedIn{}, err
	}
	s := auth.NewSession(id, u.ID, proof.Method, now, r.Meta)
	start := auth.SessionStart{
		Session: s, Rehash: proof.Rehash, RehashFrom: u.PasswordHash, Identity: proof.Identity,
		Audit: auth.AuditEntry{
			ID: auditID, At: now, Action: "login", LogType: "account", ActorID: u.ID, ActorUsername: u.Username(),
			ActorViaSSO: u.IsSSO, Traits: map[string]any{"provider": proof.Identity}, IP: r.IP,
		},
	}
	if p.c.NewDevice != nil {
		if start.Device, start.NewDevice, err = p.c.NewDevice(now, u, r.Meta); err != nil {
			return auth.SignedIn{}, fmt.Errorf("grant: notice of a new device: %w", err)
		}
	}
	switch s, err = p.c.Store.StartSession(ctx, start); {
	case errors.Is(err, auth.ErrNotFound):
		// The account was deleted or banned between the look-up and the statement.
		return auth.SignedIn{}, auth.E(auth.CodeInvalidCredentials, "")
	case err != nil:
		return auth.SignedIn{}, fmt.Errorf("grant: start session: %w", err)
	}
	u.LastSignInAt, u.UpdatedAt = now, now
	for i := range u.Identities {
		if u.Identities[i].Provider == proof.Identity {
			u.Identities[i].LastSignInAt, u.Identities[i].UpdatedAt = now, now
		}
	}
	return p.signedIn(ctx, u, &s, auth.SignedIn{WeakPassword: proof.Weak})
}

func (p *Pipeline) signedIn(ctx context.Context, u *auth.User, s *auth.Session, out auth.SignedIn) (auth.SignedIn, error) {
	tokens, err := p.c.Issuer.Issue(ctx, u, s)
	if err != nil {
		return auth.SignedIn{}, fmt.Errorf("grant: issue tokens: %w", err)
	}
	out.User, out.Session, out.Tokens = *u, *s, tokens
	return out, nil
}

// checkAccount is the policy that every new session has to pass. It runs after the proof.
func checkAccount(u *auth.User, identity string, now time.Time) error {
	switch {
	case u.BannedAt(now):
		return auth.E(auth.CodeUserBanned, "")
	case identity == auth.ProviderEmail && u.EmailConfirmedAt.IsZero():
		return auth.E(auth.CodeEmailNotConfirmed, "")
	case identity == auth.ProviderPhone && u.PhoneConfirmedAt.IsZero():
		return auth.E(auth.CodePhoneNotConfirmed, "")
	}
	return nil
}
