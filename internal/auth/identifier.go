package auth

import "time"

// An account has one primary e-mail address and one primary phone number at most: the
// columns that GoTrue's clients know. Identifiers are what a person has besides, each of
// the kind ProviderEmail or ProviderPhone. One that has been proved is as good as the
// primary one for signing in and recovery; and no other account can have it, neither as
// its primary one nor besides.
type Identifier struct {
	ID         ID
	UserID     ID
	Kind       string // ProviderEmail or ProviderPhone
	Value      string // normalised as the primary one of its kind is
	VerifiedAt time.Time
	ExpiresAt  time.Time // of the code of one that waits for its proof; zero when it is proved
	CreatedAt  time.Time
}

// IdentifierProposal puts an identifier on an account, where it waits for its proof.
type IdentifierProposal struct {
	Identifier     Identifier // VerifiedAt is zero
	RequireSession ID
	CodeHash       string    // "": no code will ever prove it
	NotSince       time.Time // ErrTooSoon when a code for the account went out after it; zero: always
	Max            int       // ErrConflict when the account has so many others
	Messages       []Message
	Audit          AuditEntry
}

// IdentifierProof is a code for an identifier that waits.
type IdentifierProof struct {
	ID, UserID     ID
	RequireSession ID
	CodeHashes     []string
	At             time.Time
	MaxAttempts    int
	Messages       []Message
	Audit          AuditEntry
}

// IdentifierPromotion makes an identifier the primary one of its kind.
type IdentifierPromotion struct {
	ID, UserID ID
	// Patch sets the address, identity and metadata, with RequireSession and RequireUpdatedAt.
	Patch UserPatch
	// Former is the primary one until now, which becomes one of the others; zero when it has
	// not been proved: then it goes.
	Former Identifier
}

// IdentifierRemoval takes an identifier away, proved or not.
type IdentifierRemoval struct {
	ID, UserID     ID
	RequireSession ID
	At             time.Time
	Messages       []Message
	Audit          AuditEntry
}

// TakenError is what a store says of an address of this kind that another account has.
func TakenError(kind string) error {
	if kind == ProviderPhone {
		return ErrPhoneTaken
	}
	return ErrEmailTaken
}

// Gives reports whether the patch makes value the primary address of its kind.
func (p *UserPatch) Gives(kind, value string) bool {
	to := p.Email
	if kind == ProviderPhone {
		to = p.Phone
	}
	return to != nil && *to == value
}
