package auth

import (
	"errors"
	"time"
)

// ErrUnstorable: the database refuses an account that nothing is in the way of, because of a
// check or a trigger of the application, say. Trying again will not help.
var ErrUnstorable = errors.New("auth: the database refuses the account")

// Kinds of things that are remembered by where they came from.
const (
	MovedUser   = "user"
	MovedTenant = "tenant"
)

// MovedAccount is one account of another system, ready to be stored.
type MovedAccount struct {
	// ExternalID is what the other system knows it by. A source has each once: what was moved
	// before is left alone, whatever has become of it here.
	ExternalID  string
	User        User     // with Identities; Factors must be empty
	Profile     *Profile // nil: none
	Memberships []Membership

	// The invitation that goes to the owner, for accounts without a password.
	Tokens   []OneTime
	Messages []Message
}

// MoveOutcome says what became of a [MovedAccount].
type MoveOutcome int

// The outcomes. Only Moved has written anything.
const (
	MoveUnknown       MoveOutcome = iota // the zero value, so that a forgotten outcome counts as nothing
	Moved                                // the account is there now
	MovePresent                          // it was moved before
	MoveEmailTaken                       // another account has the address: neither is touched
	MovePhoneTaken                       // the same for the number
	MoveIDTaken                          // another account has the id
	MoveIdentityTaken                    // another account has the identity at a provider
	MoveTenantMissing                    // a membership in a tenant that does not exist
	MoveDeleted                          // the id or an identity was deleted here: nobody comes back
)

// Tombs gives the subjects under which a deletion of the account would be remembered.
func (a *MovedAccount) Tombs() []string {
	list := make([]string, 1, 1+len(a.User.Identities))
	list[0] = a.User.ID.String()
	for i := range a.User.Identities {
		list = append(list, TombstoneOf(a.User.Identities[i].Provider, a.User.Identities[i].ProviderID))
	}
	return list
}

// MoveBatch is one step of an import: accounts, and how far the import has come with them.
// External ids, ids, addresses and identities of its accounts differ from each other.
type MoveBatch struct {
	Accounts []MovedAccount
	Progress MoveProgress
	Audit    []AuditEntry
	// DryRun takes everything back, after its outcomes are known.
	DryRun bool
}

// MoveProgress is how far an import has come. Its counts are those of the batch in a
// [MoveBatch], and those of the whole import where a store gives them.
type MoveProgress struct {
	Name     string // of the import
	Source   string // names the system that the external ids are of
	Digest   string // of what is read: another file under the same name begins anew
	Position int64  // records that are done with, refused ones included
	After    string // external id of the last one; "" for none

	Moved   int64 // accounts; counted by the store
	Present int64 // moved before; counted by the store
	Taken   int64 // in the way of another account; counted by the store
	Refused int64 // records that can't be accounts

	StartedAt  time.Time
	UpdatedAt  time.Time
	FinishedAt time.Time // zero: not finished
}

// TenantMove asks for the tenant that stands for one of another system.
type TenantMove struct {
	Source     string
	ExternalID string
	Tenant     Tenant // made when there is none yet
	Audit      AuditEntry
}

// AccountCopy is everything of an account that another system could take over.
type AccountCopy struct {
	Person
	Memberships []MemberOf
}
