package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	messageColumns = `id, channel, kind, sealed, created_at, not_before, attempts, last_error, dead_at`

	sqlEnqueue = `INSERT INTO outbox (` + messageColumns + `) VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, ?5), ?7, ?8, ?9)`
	// The next attempt moves to the end of the lease.
	sqlClaim = `UPDATE outbox SET not_before = ?2, attempts = attempts + 1 WHERE id IN (
			SELECT id FROM outbox WHERE dead_at IS NULL AND not_before <= ?1 ORDER BY not_before, id LIMIT ?3)
		RETURNING ` + messageColumns
	sqlMessageDue    = `SELECT 1 FROM outbox WHERE dead_at IS NULL AND not_before <= ? LIMIT 1`
	sqlMessageSent   = `DELETE FROM outbox WHERE id = ?`
	sqlMessageFailed = `UPDATE outbox SET last_error = ?2, not_before = coalesce(?3, not_before), dead_at = ?4
		WHERE id = ?1 AND dead_at IS NULL AND (?5 = 0 OR attempts = ?5)`
	sqlDeadMessages = `SELECT ` + messageColumns + ` FROM outbox WHERE dead_at IS NOT NULL
		ORDER BY dead_at DESC, id DESC LIMIT ?`
	sqlRetryMessage = `UPDATE outbox SET dead_at = NULL, attempts = 0, not_before = ?2 WHERE id = ?1 AND dead_at IS NOT NULL`
	sqlDeleteDead   = `DELETE FROM outbox WHERE id IN (
			SELECT id FROM outbox WHERE dead_at < ?1 AND dead_at IS NOT NULL ORDER BY dead_at LIMIT ?2)`
)

func insertMessages(ctx context.Context, r runner, messages []auth.Message) error {
	for i := range messages {
		m := &messages[i]
		sealed := m.Sealed
		if sealed == nil { // nil would be NULL
			sealed = []byte{}
		}
		if _, err := exec(ctx, r, sqlEnqueue, m.ID.String(), m.Channel, m.Kind, sealed, at(m.CreatedAt), at(m.NotBefore),
			int64(m.Attempts), m.LastError, at(m.DeadAt)); err != nil {
			return err
		}
	}
	return nil
}

// Enqueue implements store.Outbox.
func (s *Store) Enqueue(ctx context.Context, messages []auth.Message) error {
	if len(messages) == 0 {
		return nil
	}
	return s.write(ctx, "enqueue messages", func(r runner) error { return insertMessages(ctx, r, messages) })
}

// ClaimMessages implements store.Outbox. Looking whether there is anything runs on the
// readers, so that an idle queue never takes the write lock.
func (s *Store) ClaimMessages(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]auth.Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	const op = "claim messages"
	var due int
	err := s.read(op, func(r runner) error { return one(ctx, r, sqlMessageDue, []any{at(now)}, &due) })
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var messages []auth.Message
	err = s.write(ctx, op, func(r runner) (err error) {
		messages, err = scanMessages(ctx, r, sqlClaim, at(now), at(now.Add(lease)), int64(limit))
		return err
	})
	if err != nil {
		return nil, err
	}
	// RETURNING has no order.
	slices.SortFunc(messages, func(a, b auth.Message) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), slices.Compare(a.ID[:], b.ID[:]))
	})
	return messages, nil
}

func scanMessages(ctx context.Context, r runner, query string, args ...any) ([]auth.Message, error) {
	var messages []auth.Message
	err := each(ctx, r, query, args, func(scan func(...any) error) error {
		var m auth.Message
		err := scan((*uuid)(&m.ID), &m.Channel, &m.Kind, &m.Sealed, (*micros)(&m.CreatedAt), (*micros)(&m.NotBefore),
			&m.Attempts, &m.LastError, (*micros)(&m.DeadAt))
		messages = append(messages, m)
		return err
	})
	return messages, err
}

// MessageSent implements store.Outbox.
func (s *Store) MessageSent(ctx context.Context, id auth.ID) error {
	return s.write(ctx, "message sent", func(r runner) error {
		_, err := exec(ctx, r, sqlMessageSent, id.String())
		return err
	})
}

// MessageFailed implements store.Outbox.
func (s *Store) MessageFailed(ctx context.Context, f auth.MessageFailure) error {
	var dead any
	if f.Dead {
		dead = at(f.At)
	}
	return s.write(ctx, "message failed", func(r runner) error {
		_, err := exec(ctx, r, sqlMessageFailed, f.ID.String(), f.Error, at(f.NotBefore), dead, int64(f.Attempts))
		return err
	})
}

// DeadMessages implements store.Outbox.
func (s *Store) DeadMessages(ctx context.Context, limit int) ([]auth.Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	var messages []auth.Message
	err := s.read("dead messages", func(r runner) (err error) {
		messages, err = scanMessages(ctx, r, sqlDeadMessages, int64(limit))
		return err
	})
	if err != nil {
		return nil, err
	}
	return messages, nil
}

// RetryMessage implements store.Outbox.
func (s *Store) RetryMessage(ctx context.Context, id auth.ID, when time.Time) error {
	return s.write(ctx, "retry message", func(r runner) error {
		if n, err := exec(ctx, r, sqlRetryMessage, id.String(), at(when)); err != nil || n == 0 {
			return orNotFound(err)
		}
		return nil
	})
}

// DeleteDeadMessages implements store.Cleaner.
func (s *Store) DeleteDeadMessages(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit <= 0 {
		return 0, nil
	}
	return s.deleteOld(ctx, "delete dead messages", sqlDeleteDead, before, limit)
}

// deleteOld runs one statement that deletes what is older than ?1, at most ?2 rows.
func (s *Store) deleteOld(ctx context.Context, op, text string, before time.Time, limit int) (int64, error) {
	var deleted int64
	err := s.write(ctx, op, func(r runner) (err error) {
		deleted, err = exec(ctx, r, text, at(before), int64(limit))
		return err
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}
