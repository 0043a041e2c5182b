package store

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

// External keeps for whom other issuers vouch.
type External interface {
	// ExternalUser finds the account of a subject. ErrNotFound when the subject never came or
	// its account has been deleted; one whose account is deleted softly is Gone.
	ExternalUser(ctx context.Context, issuer, subject string) (auth.ExternalUser, error)
	// Provision: see auth.Provisioning. A subject without an account is Gone when one of the
	// tombstones is there. Of parallel calls for one subject one makes the account,
	// and the others find it. ErrEmailTaken, ErrPhoneTaken or ErrIDTaken when somebody else got
	// what the plan gives away meanwhile: nothing has happened then, and the caller asks again.
	// An error of Decide ends it. It gives the subject's account as it is afterwards, and a zero
	// one when the subject has none.
	Provision(ctx context.Context, p auth.Provisioning) (auth.ExternalUser, error)
}
