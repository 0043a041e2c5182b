package sqlite

import (
	"context"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlTakeNotice = `INSERT INTO webhook_receipts (digest, received_at, expires_at) VALUES (?1, ?2, ?3)
		ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at, expires_at = excluded.expires_at
			WHERE webhook_receipts.expires_at <= excluded.received_at`
	sqlDeleteOldWebhooks = `DELETE FROM webhook_receipts WHERE digest IN (
			SELECT digest FROM webhook_receipts WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)`
)

// PasswordChanged implements store.Webhooks.
func (s *Store) PasswordChanged(ctx context.Context, n auth.SignedNotice) (int64, error) {
	var ended int64
	err := s.write(ctx, "password changed elsewhere", func(r runner) error {
		fresh, err := exec(ctx, r, sqlTakeNotice, n.Digest[:], at(n.At), at(n.Until))
		if err != nil {
			return err
		}
		if fresh == 0 {
			return auth.ErrConflict
		}
		if ended, err = revoke(ctx, r, n.UserID, auth.RevokeAll, auth.ID{}); err != nil {
			return err
		}
		return insertAudit(ctx, r, n.Audit)
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}

// DeleteOldWebhooks implements store.Cleaner.
func (s *Store) DeleteOldWebhooks(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit <= 0 {
		return 0, nil
	}
	return s.deleteOld(ctx, "delete old webhooks", sqlDeleteOldWebhooks, before, limit)
}
