package auth

import (
	"encoding/json"
	"time"
)

// Database roles that Cardea puts in the role claim. They are roles of the
// database (PostgREST does SET ROLE with them), never roles of the application.
const (
	RoleAuthenticated = "authenticated"
	RoleAnon          = "anon"
	RoleServiceRole   = "service_role"
)

// Providers of identities that Cardea itself manages.
const (
	ProviderEmail = "email"
	ProviderPhone = "phone"
)

// User is one account. An account is global: it can be a member of any number of
// tenants, and it has any number of identities and factors.
type User struct {
	ID   ID
	Aud  string // audience, "authenticated" unless configured otherwise
	Role string // database role, never empty

	Email        string // lower-cased; "" if the account has none
	Phone        string // E.164 without "+"; "" if the account has none
	PasswordHash string // PHC string, bcrypt or an imported form; "" if the account has no password

	EmailConfirmedAt       time.Time
	PhoneConfirmedAt       time.Time
	InvitedAt              time.Time
	ConfirmationSentAt     time.Time
	RecoverySentAt         time.Time
	EmailChange            string // address that waits for proof
	EmailChangeSentAt      time.Time
	PhoneChange            string // number that waits for proof
	PhoneChangeSentAt      time.Time
	ReauthenticationSentAt time.Time
	LastSignInAt           time.Time

	AppMetadata  json.RawMessage // JSON object written by the server and its operators only
	UserMetadata json.RawMessage // JSON object written by the user: never decide access by it

	IsSSO       bool
	IsAnonymous bool
	BannedUntil time.Time
	DeletedAt   time.Time // soft deletion: the row stays, the account does not exist
	CreatedAt   time.Time
	UpdatedAt   time.Time

	Identities []Identity // oldest first
	Factors    []Factor   // oldest first

	// FoundBy is the proved address by which the account was looked up, when it is not the
	// primary one; messages of that request go there.
	FoundBy string
}

// ConfirmedAt is the earlier of the two confirmation times, zero when neither the
// e-mail address nor the phone number has been proved.
func (u *User) ConfirmedAt() time.Time {
	switch {
	case u.EmailConfirmedAt.IsZero():
		return u.PhoneConfirmedAt
	case u.PhoneConfirmedAt.IsZero(), u.EmailConfirmedAt.Before(u.PhoneConfirmedAt):
		return u.EmailConfirmedAt
	default:
		return u.PhoneConfirmedAt
	}
}

// BannedAt reports whether the account is banned at the given moment.
func (u *User) BannedAt(now time.Time) bool { return u.BannedUntil.After(now) }

// HasVerifiedFactor reports whether the account has a second factor in use.
func (u *User) HasVerifiedFactor() bool {
	for i := range u.Factors {
		if u.Factors[i].Status == FactorVerified {
			return true
		}
	}
	return false
}

// ProviderIdentity is whom a provider of sign-in vouches for.
type ProviderIdentity struct {
	Issuer, Subject string
	Email           string // "": it does not say
	EmailVerified   bool
}

// Identity is one way in: an e-mail address, a phone number, or an account at a
// provider. (Provider, ProviderID) is unique in the database.
type Identity struct {
	ID           ID     // row id
	UserID       ID     // owner
	Provider     string // "email", "phone", "google", ...
	ProviderID   string // subject at the provider; for email and phone the user's id
	Data         json.RawMessage
	Email        string // lower-cased "email" member of Data; computed by the database
	LastSignInAt time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Factor states and types.
const (
	FactorUnverified = "unverified"
	FactorVerified   = "verified"
)

// Factor is a second factor.
type Factor struct {
	ID               ID
	UserID           ID
	FriendlyName     string
	Type             string // "totp", "phone", "webauthn"
	Status           string // FactorUnverified or FactorVerified
	Phone            string
	LastChallengedAt time.Time
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// Assurance levels (the aal claim).
const (
	AAL1 = "aal1"
	AAL2 = "aal2"
)

// Authentication methods that step into the amr claim.
const (
	MethodPassword  = "password"
	MethodAnonymous = "anonymous"
	MethodOTP       = "otp" // every code and link, as GoTrue says it
)

// AMR is one entry of the amr claim: how and when the session was proved.
type AMR struct {
	Method string
	At     time.Time
}

// Session is one signed-in device. Its refresh token is not stored: the row holds
// the counter of the current token, and the token itself is recomputed.
type Session struct {
	ID          ID
	UserID      ID
	AAL         string
	AMR         []AMR // newest first
	UserAgent   string
	IP          string // canonical text form; "" if unknown
	CreatedAt   time.Time
	UpdatedAt   time.Time
	RefreshedAt time.Time // zero until the first refresh
	NotAfter    time.Time // zero: no fixed end

	// Counter is the number of the current refresh token, Parent the number of the
	// token that was exchanged for it (-1 for the first). They differ by more than one
	// after a client lost an answer and refreshed from the parent again; the numbers
	// between are orphans, and an orphan that shows up means the token was copied.
	Counter int64
	Parent  int64

	Name string // given by the owner, "" for none
	// TenantID is the active tenant and TenantRole the owner's role in it. They are zero when
	// there is none, and also when the membership opens nothing (any more): stores look it up
	// whenever they give a session that tokens are made for.
	TenantID   ID
	TenantRole string
}

// NewSession is the session that a first proof begins: its first refresh token has
// number 0 and no parent.
func NewSession(id, user ID, method string, at time.Time, meta Meta) Session {
	return Session{
		ID: id, UserID: user, AAL: AAL1, AMR: []AMR{{Method: method, At: at}},
		UserAgent: meta.UserAgent, IP: meta.IP, CreatedAt: at, UpdatedAt: at, Parent: -1,
	}
}

// Username is how audit entries name the account: the phone number wins, as in GoTrue.
func (u *User) Username() string {
	if u.Phone != "" {
		return u.Phone
	}
	return u.Email
}
