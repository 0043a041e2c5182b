package sqlite

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

// WriteAudit implements store.Audit.
func (s *Store) WriteAudit(ctx context.Context, entries ...auth.AuditEntry) error {
	return s.write(ctx, "write audit", func(r runner) error { return insertAudit(ctx, r, entries...) })
}
