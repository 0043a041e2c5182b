package grant

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// UserFinder looks accounts up by what a person types.
type UserFinder interface {
	UserByEmail(ctx context.Context, email, aud string) (auth.User, error)
	UserByPhone(ctx context.Context, phone, aud string) (auth.User, error)
}

// Hasher checks passwords with bounded parallelism.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
	// Verify reports whether the password is right, and whether its hash should be renewed.
	Verify(ctx context.Context, hash, password string) (ok, rehash bool, err error)
	// VerifyNone does the work of Verify for an account that does not exist.
	VerifyNone(ctx context.Context, password string) error
}

// Password is the grant for an e-mail address or phone number with a password (RFC 6749
// §4.3, which OAuth 2.1 dropped for third parties; here it is the first-party sign-in).
type Password struct {
	Store  UserFinder
	Hasher Hasher
	// Weak says what is wrong with a password under today's policy; nil if nothing is.
	Weak         func(password string) *auth.Error
	EmailEnabled bool
	PhoneEnabled bool
	// Attempt, if not nil, tells the application of a try, which may refuse it with an
	// *auth.Error. It hears of tries at nobody's account too, with the zero ID, and its answer
	// to those counts for nothing: the time of an answer must not tell whether it was asked.
	Attempt func(ctx context.Context, user auth.ID, valid bool, ip string) error
}

// Subject implements [Grant].
func (g *Password) Subject(r *Request) string {
	if r.Email != "" {
		if email, err := auth.NormalizeEmail(r.Email); err == nil {
			return "email/" + email
		}
	} else if r.Phone != "" {
		if phone, err := auth.NormalizePhone(r.Phone); err == nil {
			return "phone/" + phone
		}
	}
	return ""
}

// Prove implements [Grant]. An unknown account, one without a password and a wrong
// password give the same answer after the same hashing work.
func (g *Password) Prove(ctx context.Context, r *Request) (Proof, error) {
	u, identity, err := g.find(ctx, r)
	if errors.Is(err, auth.ErrNotFound) || err == nil && u.PasswordHash == "" {
		if err := g.Hasher.VerifyNone(ctx, r.Password); err != nil {
			return Proof{}, err
		}
		_ = g.attempt(ctx, auth.ID{}, false, r.IP) // see Attempt
		return Proof{}, auth.E(auth.CodeInvalidCredentials, "")
	}
	if err != nil {
		return Proof{}, err
	}
	ok, rehash, err := g.Hasher.Verify(ctx, u.PasswordHash, r.Password)
	if err != nil {
		return Proof{}, err
	}
	if err := g.attempt(ctx, u.ID, ok, r.IP); err != nil {
		return Proof{}, err
	}
	if !ok {
		return Proof{}, auth.E(auth.CodeInvalidCredentials, "")
	}
	proof := Proof{User: &u, Method: auth.MethodPassword, Identity: identity}
	if g.Weak != nil {
		proof.Weak = g.Weak(r.Password)
	}
	if rehash {
		// A password that today's algorithm can't take (over 72 bytes with bcrypt) keeps its
		// old hash; the sign-in is right all the same.
		if h, err := g.Hasher.Hash(ctx, r.Password); err == nil {
			proof.Rehash = h
		}
	}
	return proof, nil
}

func (g *Password) attempt(ctx context.Context, user auth.ID, valid bool, ip string) error {
	if g.Attempt == nil {
		return nil
	}
	return g.Attempt(ctx, user, valid, ip)
}

// find reads the identifier and looks the account up.
func (g *Password) find(ctx context.Context, r *Request) (auth.User, string, error) {
	switch {
	case r.Email != "" && r.Phone != "":
		return auth.User{}, "", auth.E(auth.CodeValidation, "Only an email address or phone number should be provided on login.")
	case r.Email != "":
		if !g.EmailEnabled {
			return auth.User{}, "", auth.E(auth.CodeEmailLoginDisabled, "")
		}
		email, err := auth.NormalizeEmail(r.Email)
		if err != nil {
			return auth.User{}, "", auth.ErrNotFound // not an address, so nobody's: the same answer as for a stranger
		}
		u, err := g.Store.UserByEmail(ctx, email, r.Audience)
		return u, auth.ProviderEmail, wrapFind(err)
	case r.Phone != "":
		if !g.PhoneEnabled {
			return auth.User{}, "", auth.E(auth.CodePhoneLoginDisabled, "")
		}
		phone, err := auth.NormalizePhone(r.Phone)
		if err != nil {
			return auth.User{}, "", err
		}
		u, err := g.Store.UserByPhone(ctx, phone, r.Audience)
		return u, auth.ProviderPhone, wrapFind(err)
	default:
		return auth.User{}, "", auth.E(auth.CodeValidation, "missing email or phone")
	}
}

func wrapFind(err error) error {
	if err == nil || errors.Is(err, auth.ErrNotFound) {
		return err
	}
	return fmt.Errorf("grant: find account: %w", err)
}
