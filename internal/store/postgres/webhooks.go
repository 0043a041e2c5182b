package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

// takeNotice remembers a notice, and only where it is new does anything else. It comes after
// lockUser, so that it sees the sessions of whoever held the account before.
const takeNotice = `
WITH u AS (
	INSERT INTO auth.webhook_receipts AS r (digest, received_at, expires_at) VALUES ($5, $6, $7)
	ON CONFLICT (digest) DO UPDATE SET received_at = EXCLUDED.received_at, expires_at = EXCLUDED.expires_at
		WHERE r.expires_at <= EXCLUDED.received_at
	RETURNING digest
), d AS (
	DELETE FROM auth.sessions s USING u WHERE s.user_id = $8
		AND EXISTS (SELECT FROM auth.users o WHERE o.id = $8 AND o.deleted_at IS NULL)
	RETURNING s.id
), ` + endAudit + `
SELECT (SELECT count(*) FROM u), (SELECT count(*) FROM d)`

// PasswordChanged implements store.Webhooks.
func (s *Store) PasswordChanged(ctx context.Context, n auth.SignedNotice) (int64, error) {
	var (
		b            pgx.Batch
		fresh, ended int64
	)
	b.Queue(lockUser, uuid(n.UserID))
	b.Queue(takeNotice, append(auditArgs(n.Audit), n.Digest[:], timestamp(n.At), timestamp(n.Until), uuid(n.UserID))...).
		QueryRow(func(row pgx.Row) error { return row.Scan(&fresh, &ended) })
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return 0, storeError("password changed elsewhere", err)
	}
	if fresh == 0 {
		return 0, auth.ErrConflict
	}
	return ended, nil
}

const deleteOldWebhooks = `
DELETE FROM auth.webhook_receipts WHERE digest = ANY (ARRAY(
	SELECT digest FROM auth.webhook_receipts WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))`

// DeleteOldWebhooks implements store.Cleaner.
func (s *Store) DeleteOldWebhooks(ctx context.Context, before time.Time, limit int) (int64, error) {
	tag, err := s.pool.Exec(ctx, deleteOldWebhooks, timestamp(before), int64(limit))
	if err != nil {
		return 0, storeError("delete old webhooks", err)
	}
	return tag.RowsAffected(), nil
}
