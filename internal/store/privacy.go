package store

import (
	"context"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Privacy deletes people for good, keeps who has gone, forbids it, and tells people what is
// known of them.
type Privacy interface {
	// BeginErasure makes the person unreachable and the job that deletes the rest, in one
	// step: sessions, one-time tokens, flows, factors, identities, addresses, password and
	// metadata go, the row of the account stays as one that does not exist, and its subjects
	// become tombstones. begun is false when there was a job already, which is given instead.
	// ErrNotFound when there is no such account (or RequireSession is not alive); ErrHeld under
	// a legal hold. An account that was soft-deleted before can be erased too.
	BeginErasure(ctx context.Context, b auth.BeginErasure) (e auth.Erasure, begun bool, err error)
	// ErasureOf finds the job of a person. ErrNotFound.
	ErasureOf(ctx context.Context, user auth.ID) (auth.Erasure, error)
	// ErasureByID finds a job. ErrNotFound.
	ErasureByID(ctx context.Context, id auth.ID) (auth.Erasure, error)
	// Erasures lists jobs, newest first.
	Erasures(ctx context.Context, q auth.ErasureQuery) ([]auth.Erasure, error)
	// ClaimErasures gives at most limit open jobs that have a step due, and hides them from
	// other claimers until the lease ends. A claimer that dies loses nothing.
	ClaimErasures(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]auth.Erasure, error)
	// AdvanceErasure makes one attempt at a step, or notes one, and gives the job as it is
	// then: what is done to rows and that it is done are one transaction. A step that is done
	// already stays so, whatever the outcome is. ErrNotFound.
	AdvanceErasure(ctx context.Context, a auth.ErasureAdvance) (auth.Erasure, error)
	// ReleaseErasure ends a lease. A job that is gone is no error.
	ReleaseErasure(ctx context.Context, id auth.ID) error
	// RetryErasure makes every open step that has failed due at the moment given. ErrNotFound
	// when there is no open job.
	RetryErasure(ctx context.Context, id auth.ID, at time.Time, audit auth.AuditEntry) (auth.Erasure, error)

	// PlaceHold forbids to delete the person. ErrNotFound when the account does not exist,
	// ErrConflict when its erasure has begun. While a hold is there, BeginErasure, DeleteUser
	// and SoftDeleteUser are ErrHeld: of a hold and a deletion at once the first wins, whole.
	PlaceHold(ctx context.Context, h auth.LegalHold, audit auth.AuditEntry) error
	// LiftHold removes a hold of the person. ErrNotFound.
	LiftHold(ctx context.Context, user, hold auth.ID, audit auth.AuditEntry) error
	// HoldsOf lists the holds of a person, oldest first.
	HoldsOf(ctx context.Context, user auth.ID) ([]auth.LegalHold, error)

	// Tombstoned reports whether somebody with one of these subjects has been deleted: ids of
	// accounts, or auth.TombstoneOf an identity. Whoever makes an account because of a token
	// asks first.
	Tombstoned(ctx context.Context, subjects []string) (bool, error)

	// PersonalData gives what every table of auth.PersonalTables shows of a person. ErrNotFound
	// when the account does not exist. A table that can't be read is an
	// *auth.TableError.
	PersonalData(ctx context.Context, user auth.ID) ([]auth.ExportedTable, error)
}
