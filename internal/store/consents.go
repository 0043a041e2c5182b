package store

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Consents keeps what people have agreed to, and the history of it.
type Consents interface {
	// ChangeConsents applies changes of one person in their order: all or none. A grant counts
	// whatever was before, and is a new line of the history. A withdrawal of what is not
	// granted, or is withdrawn already, does nothing: no line, no audit entry. One round trip.
	// ErrNotFound when the account, or a tenant, does not exist.
	ChangeConsents(ctx context.Context, user auth.ID, changes []auth.ConsentChange) error
	// ConsentsOf lists the newest word on each purpose, those said to the application as a
	// whole and, where tenant is not zero, to that tenant, by purpose. An account that does not
	// exist has said nothing. One statement.
	ConsentsOf(ctx context.Context, user, tenant auth.ID) ([]auth.Consent, error)
	// ConsentHistory lists at most 1,000 events of a person, newest first, those before the
	// given one if it is not zero.
	ConsentHistory(ctx context.Context, user, before auth.ID, limit int) ([]auth.ConsentEvent, error)
}
