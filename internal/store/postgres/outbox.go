package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	messageRows = `SELECT n.id, n.channel, n.kind, n.sealed, n.created_at, coalesce(n.not_before, n.created_at), n.attempts, n.last_error, n.dead_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[], $6::timestamptz[], $7::integer[], $8::text[],
	$9::timestamptz[]) AS n (id, channel, kind, sealed, created_at, not_before, attempts, last_error, dead_at)`

	enqueue = `
INSERT INTO auth.outbox (id, channel, kind, sealed, created_at, not_before, attempts, last_error, dead_at)
` + messageRows

	// enqueueWith belongs to a batch that changes the account $10, and does nothing if that
	// did not: the message and its cause are one transaction.
	enqueueWith = enqueue + `
WHERE EXISTS (SELECT FROM auth.users c WHERE c.id = $10 AND c.xmin = pg_current_xact_id()::xid)`

	messageColumns = `o.id, o.channel, o.kind, o.sealed, o.created_at, o.not_before, o.attempts, o.last_error, o.dead_at`

	// claimMessages moves the next attempt to the end of the lease. Rows that another
	// claimer is about to take are skipped and not waited for; a claimer that waited would
	// find the new time and leave them.
	claimMessages = `
WITH c AS (
	SELECT id FROM auth.outbox WHERE dead_at IS NULL AND not_before <= $1
	ORDER BY not_before, id LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE auth.outbox o SET not_before = $2, attempts = o.attempts + 1 FROM c WHERE o.id = c.id
RETURNING ` + messageColumns

	messageFailed = `
UPDATE auth.outbox SET last_error = $2, not_before = coalesce($3, not_before), dead_at = $4
WHERE id = $1 AND dead_at IS NULL AND ($5::integer = 0 OR attempts = $5)`

	deadMessages = `SELECT ` + messageColumns + ` FROM auth.outbox o WHERE o.dead_at IS NOT NULL
ORDER BY o.dead_at DESC, o.id DESC LIMIT $1`

	retryMessage = `UPDATE auth.outbox SET dead_at = NULL, attempts = 0, not_before = $2 WHERE id = $1 AND dead_at IS NOT NULL`

	deleteDeadMessages = `
DELETE FROM auth.outbox WHERE id = ANY (ARRAY(
	SELECT id FROM auth.outbox WHERE dead_at < $1 AND dead_at IS NOT NULL ORDER BY dead_at LIMIT $2 FOR UPDATE SKIP LOCKED))`
)

// messageArgs gives the columns of messages.
func messageArgs(list []auth.Message) []any {
	n := len(list)
	ids, sealed, attempts := make([]pgtype.UUID, n), make([][]byte, n), make([]int32, n)
	channels, kinds, failures := make([]string, n), make([]string, n), make([]string, n)
	created, notBefore, dead := make([]pgtype.Timestamptz, n), make([]pgtype.Timestamptz, n), make([]pgtype.Timestamptz, n)
	for i := range list {
		m := &list[i]
		ids[i], channels[i], kinds[i], sealed[i] = uuid(m.ID), m.Channel, m.Kind, m.Sealed
		if m.Sealed == nil { // nil would be NULL
			sealed[i] = []byte{}
		}
		created[i], notBefore[i], dead[i] = timestamp(m.CreatedAt), timestamp(m.NotBefore), timestamp(m.DeadAt)
		attempts[i], failures[i] = int32(m.Attempts), m.LastError //nolint:gosec // G115: counted one at a time
	}
	return []any{ids, channels, kinds, sealed, created, notBefore, attempts, failures, dead}
}

func scanMessage(row pgx.CollectableRow) (auth.Message, error) {
	var m auth.Message
	err := row.Scan((*[16]byte)(&m.ID), &m.Channel, &m.Kind, &m.Sealed, (*moment)(&m.CreatedAt), (*moment)(&m.NotBefore),
		&m.Attempts, &m.LastError, (*moment)(&m.DeadAt))
	return m, err
}

// Enqueue implements store.Outbox.
func (s *Store) Enqueue(ctx context.Context, messages []auth.Message) error {
	if len(messages) == 0 {
		return nil
	}
	if _, err := s.pool.Exec(ctx, enqueue, messageArgs(messages)...); err != nil {
		return storeError("enqueue messages", err)
	}
	return nil
}

// ClaimMessages implements store.Outbox.
func (s *Store) ClaimMessages(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]auth.Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	messages, err := s.messages(ctx, claimMessages, timestamp(now), timestamp(now.Add(lease)), int64(limit))
	if err != nil {
		return nil, storeError("claim messages", err)
	}
	// RETURNING has no order.
	slices.SortFunc(messages, func(a, b auth.Message) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), slices.Compare(a.ID[:], b.ID[:]))
	})
	return messages, nil
}

func (s *Store) messages(ctx context.Context, sql string, args ...any) ([]auth.Message, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanMessage)
}

// MessageSent implements store.Outbox.
func (s *Store) MessageSent(ctx context.Context, id auth.ID) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM auth.outbox WHERE id = $1`, uuid(id)); err != nil {
		return storeError("message sent", err)
	}
	return nil
}

// MessageFailed implements store.Outbox.
func (s *Store) MessageFailed(ctx context.Context, f auth.MessageFailure) error {
	var dead pgtype.Timestamptz
	if f.Dead {
		dead = timestamp(f.At)
	}
	_, err := s.pool.Exec(ctx, messageFailed, uuid(f.ID), f.Error, timestamp(f.NotBefore), dead, f.Attempts)
	if err != nil {
		return storeError("message failed", err)
	}
	return nil
}

// DeadMessages implements store.Outbox.
func (s *Store) DeadMessages(ctx context.Context, limit int) ([]auth.Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	messages, err := s.messages(ctx, deadMessages, int64(limit))
	if err != nil {
		return nil, storeError("dead messages", err)
	}
	return messages, nil
}

// RetryMessage implements store.Outbox.
func (s *Store) RetryMessage(ctx context.Context, id auth.ID, at time.Time) error {
	tag, err := s.pool.Exec(ctx, retryMessage, uuid(id), timestamp(at))
	if err != nil {
		return storeError("retry message", err)
	}
	if tag.RowsAffected() == 0 {
		return auth.ErrNotFound
	}
	return nil
}

// DeleteDeadMessages implements store.Cleaner.
func (s *Store) DeleteDeadMessages(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit <= 0 {
		return 0, nil
	}
	tag, err := s.pool.Exec(ctx, deleteDeadMessages, timestamp(before), int64(limit))
	if err != nil {
		return 0, storeError("delete dead messages", err)
	}
	return tag.RowsAffected(), nil
}
