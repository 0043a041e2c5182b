package auth

import "time"

// Meta is what is known of a request besides its content.
type Meta struct {
	IP        string // trusted client address in canonical form, "" if unknown
	UserAgent string // as sent, cut to 512 bytes
	Captcha   string // what a page's widget gave, "" for none
	Operator  bool   // the request carries an operator's credential: it is no anonymous program's
	APIKey    string // the first characters of the operator's opaque key, "" for none: for the audit log
	Reason    string // why the operator does it, "" if he doesn't say: for the audit log
}

// Caller is who makes an authenticated request. It comes from a verified token.
type Caller struct {
	Meta

	UserID    ID
	SessionID ID // zero if the token names no session
	Audience  string
	AAL       string
	// FirstParty is false for tokens that were issued to an OAuth client: these never
	// manage the account itself.
	FirstParty bool
	// External is true for tokens of another issuer that is trusted. Their sessions are that
	// issuer's: SessionID is zero.
	External bool
	AuthTime time.Time // when the session was proved last; zero if the token does not say
	Methods  []string  // amr methods of the session
}

// Tokens is what a client gets for a proof.
type Tokens struct {
	AccessToken  string
	RefreshToken string
	ExpiresIn    time.Duration
	ExpiresAt    time.Time
}

// SignedIn is the outcome of a successful proof.
type SignedIn struct {
	User    User
	Session Session
	Tokens  Tokens
	// WeakPassword is set when the password, though right, breaks today's policy. The
	// sign-in succeeds all the same; the client may ask for a better one.
	WeakPassword *Error
	// Replayed is true when a refresh answered with the current token again.
	Replayed bool
	// Refreshed is true when the session existed before.
	Refreshed bool
}
