package auth

import "time"

// Purpose is what a one-time token proves. A token of one purpose never works for another.
type Purpose string

// The purposes.
const (
	PurposeSignup         Purpose = "signup"         // first proof of the address typed at sign-up
	PurposeClaim          Purpose = "claim"          // first proof by somebody who may not be who put the password there
	PurposeInvite         Purpose = "invite"         // first proof by somebody an operator invited
	PurposeMagicLink      Purpose = "magiclink"      // sign-in by mail
	PurposeRecovery       Purpose = "recovery"       // sign-in to set a new password
	PurposeEmailCurrent   Purpose = "email_current"  // e-mail change, proof of the old address
	PurposeEmailNew       Purpose = "email_new"      // e-mail change, proof of the new address
	PurposeSMS            Purpose = "sms"            // sign-in, or first proof, by text message
	PurposePhoneChange    Purpose = "phone_change"   // proof of the new number
	PurposeReauthenticate Purpose = "reauthenticate" // a nonce for a dangerous change

	// PurposeIdentifier is the proof of a further address, inside of a session. Its code is
	// kept with the identifier, not among the tokens: it has no slot.
	PurposeIdentifier Purpose = "identifier"
)

// Slot is GoTrue's token_type: an account has at most one live token of each slot, and a new
// one replaces the old.
func (p Purpose) Slot() string {
	switch p {
	case PurposeSignup, PurposeClaim, PurposeInvite, PurposeSMS:
		return "confirmation_token"
	case PurposeMagicLink, PurposeRecovery:
		return "recovery_token"
	case PurposeEmailCurrent:
		return "email_change_token_current"
	case PurposeEmailNew:
		return "email_change_token_new"
	case PurposePhoneChange:
		return "phone_change_token"
	case PurposeReauthenticate:
		return "reauthentication_token"
	}
	return ""
}

// LinkType is what a client says when it verifies a token of the purpose: GoTrue's type.
func (p Purpose) LinkType() string {
	switch p {
	case PurposeEmailCurrent, PurposeEmailNew:
		return "email_change"
	case PurposeClaim:
		return "signup"
	}
	return string(p)
}

// OneTime is a one-time token as it is stored: by hashes only. The link carries a random
// token of 256 bits, stored as its SHA-256. The code has few digits, so its hash is keyed
// (HMAC-SHA256 under a sealed key, over purpose, address and code): who reads the database
// can't try all codes.
type OneTime struct {
	ID        ID
	UserID    ID
	Purpose   Purpose
	Address   string // e-mail address or phone number that it was sent to; normalised
	TokenHash string // hex; "" when the message has no link
	CodeHash  string // hex
	FlowState ID     // PKCE flow that the link belongs to; zero for none
	CreatedAt time.Time
	ExpiresAt time.Time
}

// FlowState is a PKCE flow (RFC 7636) between its start and the exchange of its code.
type FlowState struct {
	ID              ID
	UserID          ID     // zero until the person has been proved
	Challenge       string // code_challenge
	ChallengeMethod string // "s256" or "plain"
	Method          string // amr method of the session that the exchange will start
	CodeHash        string // hex SHA-256 of the authorization code; "" until it is issued
	CreatedAt       time.Time
	CodeIssuedAt    time.Time
}

// Message is a row of the outbox. What it says is sealed: it holds codes and links.
type Message struct {
	ID        ID
	Channel   string // "email", "sms", "whatsapp"
	Kind      string // "confirmation", "recovery", ..., for the operator's eyes
	Sealed    []byte // JSON of notify's message under the key-encryption key
	CreatedAt time.Time
	NotBefore time.Time // next attempt; zero: at once
	Attempts  int
	LastError string
	DeadAt    time.Time // given up; zero while it is tried
}

// IssueOneTime is everything that one request for a code or link writes, in one step.
type IssueOneTime struct {
	UserID ID
	At     time.Time
	Tokens []OneTime // each replaces the token of its slot
	// EmailChange and PhoneChange are the address that waits for proof; nil leaves it.
	EmailChange *string
	PhoneChange *string
	// AllowTaken lets an address wait that another account has, so that the answer does not
	// tell. Its token goes to nobody; if it was redeemed all the same, the address is refused then.
	AllowTaken bool
	Invited    bool // sets invited_at
	// NotSince refuses with ErrTooSoon when the last message of the same slots was sent after
	// it; zero never refuses. It is checked where the row is locked: two requests at once
	// send one message.
	NotSince  time.Time
	FlowState *FlowState // inserted; nil for none
	Messages  []Message
	Audit     []AuditEntry
	// RequireSession: as in UserPatch.
	RequireSession ID
}

// Redeem presents a one-time token, by its link or by its code.
type Redeem struct {
	At       time.Time
	Purposes []Purpose // accepted

	TokenHash string // by link: hex SHA-256

	Address     string   // by code
	CodeHashes  []string // by code: hex, one for each key that may have made it
	MaxAttempts int      // a wrong code counts; at this number the token is dead

	// Session is started for the account on success, unless AuthCodeHash takes its place;
	// UserID is filled in by the store. Nil starts none.
	Session *Session
	// AuthCodeHash is stored on the PKCE flow of the token instead, if it has one. Leave it
	// empty where the answer goes to the client that asked and not through an address bar (a
	// typed code, a link token sent by POST): then Session is started in any case.
	AuthCodeHash string
	Audit        AuditEntry // written with RedeemDone; actor filled in by the store
	// PasswordHash, when not empty, becomes the password with RedeemDone, and every session of
	// the account ends: whoever has forgotten it may have lost it to somebody else. TellPassword
	// then gives the notices to the owner; nil: nobody is told.
	PasswordHash string
	TellPassword func(u *User) ([]Message, error)
	// Tell gives the notices to the owner when another address takes the place of a proved one;
	// u is the account as it was. They are written in the same step. Nil: nobody is told.
	Tell func(u *User, provider, replacement string) ([]Message, error)
}

// RedeemOutcome says what [Redeem] led to.
type RedeemOutcome int

// The outcomes.
const (
	// RedeemRefused is the zero value: unknown, expired, used, dead or wrong. Which of them is
	// nobody's business.
	RedeemRefused RedeemOutcome = iota
	// RedeemDone: the token is consumed and its effect has happened.
	RedeemDone
	// RedeemHalf: the first of the two proofs of an e-mail change.
	RedeemHalf
	// RedeemBanned: right, but the account is banned; nothing has changed.
	RedeemBanned
)

// RedeemResult is the state afterwards.
type RedeemResult struct {
	Outcome   RedeemOutcome
	Purpose   Purpose
	User      User      // as it is now
	Session   Session   // started; zero for none
	FlowState FlowState // that got the code; zero ID for none
	Replaced  string    // old address, when a change of it is done
}

// MessageFailure says what to do with a message that could not be sent.
type MessageFailure struct {
	ID        ID
	Error     string    // without secrets
	NotBefore time.Time // next attempt; zero leaves it
	Dead      bool      // give up
	At        time.Time
	// Attempts is that of the claimed message: a claimer who was too slow changes nothing of
	// the claim that came after its own. 0 for any.
	Attempts int
}
