package store

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Identifiers keeps what a person has beside the primary addresses of the account. An
// address that one account has proved, here or as its primary one, no other account can
// have: of parallel calls of any methods that would give it to two, one succeeds.
type Identifiers interface {
	// IdentifiersOf lists the identifiers of an account, those that wait too, oldest first.
	IdentifiersOf(ctx context.Context, user auth.ID) ([]auth.Identifier, error)
	// ProposeIdentifier: see auth.IdentifierProposal. One that waits already gets the new code
	// and keeps its id; one that is proved stays as it is. It does not look at other accounts:
	// what is somebody else's waits as well, so that nobody learns of it. ErrNotFound when the
	// account, or the session of RequireSession, does not exist; ErrTooSoon; ErrConflict.
	ProposeIdentifier(ctx context.Context, p auth.IdentifierProposal) error
	// ProveIdentifier consumes the code: once. ErrNotFound when there is nothing that waits for
	// it, its time is over, the session has ended, or the code is wrong; a wrong one is counted,
	// and at MaxAttempts no code is right any more. ErrEmailTaken or ErrPhoneTaken when another
	// account has the address: the identifier is removed then, as it can never be proved.
	ProveIdentifier(ctx context.Context, p auth.IdentifierProof) (auth.Identifier, error)
	// PromoteIdentifier: see auth.IdentifierPromotion. ErrNotFound when the identifier is not
	// there or not proved, or what the patch requires does not hold. It gives the account.
	PromoteIdentifier(ctx context.Context, p auth.IdentifierPromotion) (auth.User, error)
	// RemoveIdentifier takes it away, and the one-time tokens of the account with it: one of
	// them may be on its way to that address. ErrNotFound.
	RemoveIdentifier(ctx context.Context, r auth.IdentifierRemoval) error
}
