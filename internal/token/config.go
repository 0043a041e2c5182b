package token

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/seal"
)

// The algorithms of signing keys (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	ES256 = "ES256" // the default: every client library verifies it, and signing is cheap
	RS256 = "RS256" // 2048 bits; signing costs about twenty times as much as ES256
	EdDSA = "EdDSA" // auth-js can't verify it locally and asks the server for each token instead
	HS256 = "HS256" // only with Config.Secret or a given "oct" key: who verifies can also sign
)

const (
	defaultTTL = time.Hour
	maxTTL     = 24 * time.Hour // our verifier refuses tokens that claim to live longer

	// retireSlack is how long a key stays after its last token has expired: for nodes that
	// went on signing with it until they heard of the rotation, and for clocks.
	retireSlack = 10 * time.Minute
	// learnEvery bounds how often unknown kids make the ring ask the database.
	learnEvery = 5 * time.Second
	// learnTimeout bounds one such question. It does not end with the request that asked.
	learnTimeout = 5 * time.Second

	apiKeyYears = 10 // life of anon and service_role JWTs, as Supabase's
	minSecret   = 32 // bytes; RFC 7518 §3.2: a key as long as the hash
	masterSize  = 32 // bytes of a refresh master
	rsaBits     = 2048
	maxKeyID    = 128 // bytes of a kid; the verifier refuses longer ones
)

// The errors that an operator can cause.
var (
	// ErrConfigured: the key comes from the configuration and is rotated or revoked there.
	ErrConfigured = errors.New("token: these keys come from the configuration (CARDEA_JWT_KEYS or the shared secret): change them there")
	// ErrNoStandby: there is no standby key that could become current.
	ErrNoStandby = errors.New("token: no standby key to rotate to")
	// ErrInUse: only a previous key can be revoked.
	ErrInUse = errors.New("token: the key is current or standby: rotate first, then revoke it")
)

// KeyStore keeps the ring. The rules are those of store.Keys.
type KeyStore interface {
	SigningKeys(ctx context.Context) ([]auth.SigningKey, error)
	InstallKeys(ctx context.Context, use auth.KeyUse, keys []auth.SigningKey) error
	RotateKeys(ctx context.Context, expectCurrent string, next auth.SigningKey, at time.Time) error
	RevokeKey(ctx context.Context, kid string, at time.Time) error
	ReplaceSealed(ctx context.Context, sealed map[string][]byte) error
}

// Config is what [Open] needs. Store, Box and Issuer are required.
type Config struct {
	Store KeyStore
	Box   *seal.Box

	// Algorithm of the keys that are made from now on: ES256 (default), RS256 or EdDSA. Keys
	// that the ring has already stay what they are; two rotations replace them. HS256 means
	// that Secret signs (or the oct key of GivenKeys).
	Algorithm string
	// GivenKeys is a JWK set: a JSON array of JWKs, or an object with the member "keys"
	// (RFC 7517 §5). Exactly one has "sign" in its key_ops and carries its private part; the
	// others verify. With it, access and API-key tokens are signed by that key and access
	// keys are not taken from the database. Empty: not given.
	GivenKeys []byte
	// Secret of 32 bytes or more verifies HS256 tokens without kid, as GoTrue's JWT_SECRET.
	// It signs when Algorithm is HS256 and there are no GivenKeys. Empty: none.
	Secret []byte
	// SecretID is the kid of tokens that somebody else has signed with Secret, as GoTrue does
	// with JWT_KEY_ID. Ours have none. Empty: none.
	SecretID string

	// TenantClaim is the name of the claim with the active tenant; "tenant_id" by default. The
	// claims tenant_role and permissions go with it.
	TenantClaim string
	// Permissions gives what a role may do in a tenant, wildcards as they are; nil: nothing is
	// written.
	Permissions func(role string) []string

	// Customize, if not nil, gives the payload that is signed in place of the one of a
	// session's token: JSON in, JSON out. method says how the session began, or
	// "token_refresh". Its error ends the issue. It must keep the claims that our own routes
	// rely on.
	Customize func(ctx context.Context, user auth.ID, method string, payload []byte) ([]byte, error)

	Issuer   string        // iss of every JWT
	Audience string        // aud for accounts that have none of their own; "authenticated" by default
	TTL      time.Duration // life of an access token; one hour by default, 24 hours at most

	// ReloadFailed hears of a poll that failed; the ring goes on with what it knows. May be nil.
	ReloadFailed func(error)

	Now  func() time.Time // nil means time.Now
	Rand io.Reader        // nil means crypto/rand; RSA keys are always made with crypto/rand
}

// signsWith says where the keys that sign JWTs come from.
type signsWith int

const (
	ringSigns signsWith = iota
	givenSigns
	secretSigns
)

// complete fills in the defaults and names every problem at once.
func (c *Config) complete() error {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.TenantClaim == "" {
		c.TenantClaim = "tenant_id"
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	if c.Algorithm == "" {
		c.Algorithm = ES256
	}
	if c.Audience == "" {
		c.Audience = auth.RoleAuthenticated
	}
	var problems []error
	if c.Store == nil || c.Box == nil {
		problems = append(problems, errors.New("a store and a key-encryption key are needed"))
	}
	if c.Issuer == "" {
		problems = append(problems, errors.New("the issuer is empty"))
	}
	if reservedClaim(c.TenantClaim) {
		problems = append(problems, fmt.Errorf("the claim of the tenant can't be called %q", c.TenantClaim))
	}
	if c.TTL < time.Second || c.TTL > maxTTL {
		problems = append(problems, fmt.Errorf("access tokens that live %v: must be from 1s to %v", c.TTL, maxTTL))
	}
	if n := len(c.Secret); n > 0 && n < minSecret {
		problems = append(problems, fmt.Errorf("the JWT secret has %d bytes: it must have %d or more", n, minSecret))
	}
	if n := len(c.SecretID); n > maxKeyID {
		problems = append(problems, fmt.Errorf("the id of the JWT secret has %d bytes: it may have %d", n, maxKeyID))
	}
	switch c.Algorithm {
	case ES256, RS256, EdDSA:
	case HS256:
		if len(c.Secret) == 0 && len(c.GivenKeys) == 0 {
			problems = append(problems, errors.New("algorithm HS256 needs a JWT secret or given keys"))
		}
	default:
		problems = append(problems, fmt.Errorf("unknown algorithm %q: use ES256, RS256, EdDSA or HS256", c.Algorithm))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

func (c *Config) source() signsWith {
	switch {
	case len(c.GivenKeys) > 0:
		return givenSigns
	case c.Algorithm == HS256:
		return secretSigns
	}
	return ringSigns
}

// uses lists the uses for which the database has to have keys.
func (c *Config) uses() []auth.KeyUse {
	if c.source() == ringSigns {
		return []auth.KeyUse{auth.KeyUseAccess, auth.KeyUseAPIKey, auth.KeyUseRefresh}
	}
	return []auth.KeyUse{auth.KeyUseRefresh}
}
