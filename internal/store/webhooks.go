package store

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Webhooks keeps what other servers have signed, so that each counts once.
type Webhooks interface {
	// PasswordChanged ends every session of an account, and gives their number. ErrConflict
	// when a notice with this digest is remembered at n.At: of parallel calls with one digest
	// exactly one does anything. An account that does not exist is no error, and the notice is
	// remembered and audited all the same. One round trip.
	PasswordChanged(ctx context.Context, n auth.SignedNotice) (ended int64, err error)
}
