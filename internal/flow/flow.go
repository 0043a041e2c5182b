// Package flow holds the use cases of an account without any HTTP: sign up, read, change,
// sign out, and what operators do to accounts. A rule that is written here holds for every
// surface.
package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/ratelimit"
)

// Store is what the flows need of a database.
type Store interface {
	UserByID(ctx context.Context, id auth.ID) (auth.User, error)
	UserByEmail(ctx context.Context, email, aud string) (auth.User, error)
	UserByPhone(ctx context.Context, phone, aud string) (auth.User, error)
	UserWithSession(ctx context.Context, id, session auth.ID, at time.Time) (auth.UserSession, error)
	CreateAccount(ctx context.Context, a auth.NewAccount) error
	UpdateUser(ctx context.Context, id auth.ID, p auth.UserPatch) (auth.User, error)
	EndSessions(ctx context.Context, e auth.EndSessions) (int64, error)
	IssueOneTime(ctx context.Context, i auth.IssueOneTime) error
	RedeemOneTime(ctx context.Context, r auth.Redeem) (auth.RedeemResult, error)
	CheckNonce(ctx context.Context, user auth.ID, codeHashes []string, at time.Time, maxAttempts int) (bool, error)
	Enqueue(ctx context.Context, messages []auth.Message) error
}

// AdminStore is what operators need besides.
type AdminStore interface {
	Store
	ListUsers(ctx context.Context, q auth.UserQuery) (auth.UserPage, error)
	DeleteUser(ctx context.Context, id auth.ID, audit auth.AuditEntry) error
	SoftDeleteUser(ctx context.Context, id auth.ID, d auth.SoftDelete) error
}

// Hasher makes and checks password hashes with bounded parallelism.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
	Verify(ctx context.Context, hash, password string) (ok, rehash bool, err error)
	// VerifyNone does the work of Verify for nobody.
	VerifyNone(ctx context.Context, password string) error
}

// Policy says whether a new password is good enough; nil if it is.
type Policy interface {
	// CheckNew may ask a service for leaked passwords. about is what is known of the owner.
	CheckNew(ctx context.Context, password string, about ...string) *auth.Error
}

// Issuer signs the tokens of a session.
type Issuer interface {
	Issue(ctx context.Context, user *auth.User, session *auth.Session) (auth.Tokens, error)
}

// Config wires the flows.
type Config struct {
	Store    AdminStore
	Hasher   Hasher
	Policy   Policy
	Issuer   Issuer
	Audience string

	SignupDisabled   bool
	EmailEnabled     bool
	PhoneEnabled     bool
	AnonymousEnabled bool
	EmailAutoconfirm bool // a typed e-mail address counts as proved
	PhoneAutoconfirm bool // a typed phone number counts as proved

	MagicLinks      bool // sign-in by mail
	Mail            bool // mail can be sent at all
	Texts           bool // text messages can be sent at all
	ExplicitAnswers bool // tell whether an account exists, as GoTrue does; off: neutral answers
	// AnswerAfter is how long requests for a message, and wrong codes, take at least; 0: as
	// long as they take.
	AnswerAfter     time.Duration
	Discovery       string // what strangers are told of identifiers: a mode of IdentifierStatus
	BothAddresses   bool   // an e-mail change needs the proof of both addresses
	AllowPlainPKCE  bool   // GoTrue's "plain" challenge, which protects nothing
	ReauthPassword  bool   // a password change needs a nonce when the session is older than a day
	CurrentPassword bool   // a password change needs the current password
	CodeLength      int    // digits, 6 to 10
	LinkLife        time.Duration
	SMSLife         time.Duration
	MailEvery       time.Duration // least time between two mails of one kind to one address
	SMSEvery        time.Duration // least time between two text messages to one number
	Codes           CodeHasher
	Post            Postbox
	Notices         []string // kinds of notices that owners get
	Hooks           Hooks    // nil: none
	Human           Human    // nil: not asked for

	IDTokens IDTokens // of providers whose identities can be linked; nil: of none

	Holds HoldStore // says why a deletion is forbidden; nil: nobody does

	// What People and Tenancy need besides.
	PeopleStore  PeopleStore
	TenantStore  TenantStore
	Identifiers  IdentifierStore
	Roles        Roles       // the catalogue in force
	Phones       PhoneReader // nil: E.164 only
	SingleTenant auth.ID     // where everybody is; zero: people choose
	Verification string      // of registrations: "none", "before_login"; "": as the Autoconfirm fields say
	DefaultRole  string      // of new accounts that nobody gave another; "" for none
	MinAge       int         // youngest age that a birth date may tell, in years
	MaxAge       int         // oldest; 0: 120
	Apps         []App       // that have an onboarding; the first is meant where none is named

	Limiter        *ratelimit.Memory // nil: no limits
	SignupPerIP    ratelimit.Limit
	AnonymousPerIP ratelimit.Limit
	UpdatePerUser  ratelimit.Limit // password changes, each of which costs two hashes
	VerifyPerIP    ratelimit.Limit
	MailPerIP      ratelimit.Limit
	MailPerServer  ratelimit.Limit
	TextPerServer  ratelimit.Limit

	Now  func() time.Time
	Rand io.Reader
}

// Accounts are the use cases of a person's own account.
type Accounts struct{ c Config }

// NewAccounts makes Accounts. All fields of Config but Limiter are needed.
func NewAccounts(c Config) *Accounts { return &Accounts{c} }

func (c *Config) now() time.Time { return auth.Truncate(c.Now()) }

// audit begins an entry for something that somebody did to an account.
func (c *Config) audit(action, logType, ip string) (auth.AuditEntry, error) {
	now := c.now()
	id, err := auth.NewID(now, c.Rand)
	return auth.AuditEntry{ID: id, At: now, Action: action, LogType: logType, IP: ip}, err
}

func (c *Config) auditUser(action, logType, ip string, u *auth.User) (auth.AuditEntry, error) {
	a, err := c.audit(action, logType, ip)
	a.ActorID, a.ActorUsername, a.ActorViaSSO = u.ID, u.Username(), u.IsSSO
	return a, err
}

// take asks for one event of the limit; a refusal is an *auth.Error.
func (c *Config) take(class, key string, l ratelimit.Limit) error {
	if c.Limiter == nil || key == "" {
		return nil
	}
	if d := c.Limiter.Take(class+"/"+key, l); !d.Allowed {
		return &auth.Error{Code: auth.CodeRateLimited, RetryAfter: d.RetryAfter}
	}
	return nil
}

// User gives the caller's own account. What it verifies, in this order:
//
//   - the account of the token exists and is not deleted;
//   - it is not banned;
//   - the session of the token, if the token names one, has not ended.
func (a *Accounts) User(ctx context.Context, c auth.Caller) (auth.User, error) {
	us, err := a.session(ctx, c)
	return us.User, err
}

func (a *Accounts) session(ctx context.Context, c auth.Caller) (auth.UserSession, error) {
	now := a.c.now()
	us, err := a.c.Store.UserWithSession(ctx, c.UserID, c.SessionID, now)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.UserSession{}, auth.E(auth.CodeTokenUserNotFound, "")
	case err != nil:
		return auth.UserSession{}, fmt.Errorf("flow: read account: %w", err)
	case us.User.BannedAt(now):
		return auth.UserSession{}, auth.E(auth.CodeTokenUserBanned, "")
	case !c.SessionID.IsZero() && !us.Session:
		return auth.UserSession{}, auth.E(auth.CodeSessionNotFound, "")
	}
	return us, nil
}

// SignOut ends sessions of the caller: RevokeOne its own, RevokeOthers all but its own,
// RevokeAll every one. A caller whose own session has ended already ends nothing: a
// revoked token must not be good for signing others out.
func (a *Accounts) SignOut(ctx context.Context, c auth.Caller, which auth.Revocation) error {
	if !c.FirstParty {
		return auth.E(auth.CodeNotFirstParty, "")
	}
	entry, err := a.c.audit("logout", "account", c.IP)
	if err != nil {
		return err
	}
	entry.ActorID = c.UserID
	_, err = a.c.Store.EndSessions(ctx, auth.EndSessions{UserID: c.UserID, SessionID: c.SessionID, Which: which, Audit: entry})
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeSessionNotFound, "")
	}
	if err != nil {
		return fmt.Errorf("flow: sign out: %w", err)
	}
	return nil
}
