package postgres

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

const writeAudit = `
INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS e (id, at, payload, ip)`

// WriteAudit implements store.Audit.
func (s *Store) WriteAudit(ctx context.Context, entries ...auth.AuditEntry) error {
	if _, err := s.pool.Exec(ctx, writeAudit, auditArgs(entries...)...); err != nil {
		return storeError("write audit", err)
	}
	return nil
}
