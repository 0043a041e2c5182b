package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/usersync"
)

const (
	insertTask = `INSERT INTO @tasks (consumer, id, payload, due_at, created_at, leased_until, attempts, user_id)
		VALUES (?, ?, ?, ?, ?, coalesce(?, 0), ?, ?) ON CONFLICT DO NOTHING`
	leaseTasks = `UPDATE @tasks SET leased_until = ?1, attempts = attempts + 1
		WHERE consumer = ?2 AND id IN (SELECT id FROM @tasks WHERE consumer = ?2 AND due_at <= ?3 AND leased_until <= ?3
			ORDER BY due_at, id LIMIT ?4)
		RETURNING id, payload, attempts, due_at, leased_until, last_error, created_at`
	anyDue     = `SELECT EXISTS (SELECT 1 FROM @tasks WHERE consumer = ? AND due_at <= ? AND leased_until <= ?)`
	dropTask   = `DELETE FROM @tasks WHERE consumer = ? AND id = ?`
	dropTasks  = `DELETE FROM @tasks WHERE user_id = ?`
	finishTask = dropTask + ` AND leased_until = ?`
	retryTask  = `UPDATE @tasks SET due_at = ?, last_error = ?, leased_until = 0 WHERE consumer = ? AND id = ? AND leased_until = ?`
	backlog    = `SELECT consumer, count(*), min(created_at), (SELECT last_error FROM @tasks m
			WHERE m.consumer = t.consumer ORDER BY m.attempts DESC LIMIT 1)
		FROM @tasks t GROUP BY consumer ORDER BY consumer`
)

func (b *batch) enqueue(tasks []usersync.Task) {
	for _, t := range tasks {
		b.exec(insertTask, t.Consumer, t.ID, t.Payload, micro(t.DueAt), micro(t.CreatedAt), nullMicro(t.LeasedUntil), t.Attempts, null(t.UserID))
	}
}

// Enqueue implements usersync.Queue.
func (s *Store) Enqueue(ctx context.Context, t usersync.Task) error {
	return s.write(ctx, "enqueue", func(c *sql.Conn) error {
		b := &batch{ctx: ctx, store: s, conn: c}
		b.enqueue([]usersync.Task{t})
		return b.err
	})
}

// Lease implements usersync.Queue. It takes the lock of the file only when something is due.
func (s *Store) Lease(ctx context.Context, consumer string, now, until time.Time, most int) ([]usersync.Task, error) {
	var due bool
	err := s.db.QueryRowContext(ctx, s.sql(anyDue), consumer, micro(now), micro(now)).Scan(&due)
	if err != nil {
		return nil, fmt.Errorf("usersync/sqlite: lease: %w", err)
	}
	if !due {
		return nil, nil
	}
	var tasks []usersync.Task
	err = s.write(ctx, "lease", func(c *sql.Conn) error {
		rows, err := c.QueryContext(ctx, s.sql(leaseTasks), micro(until), consumer, micro(now), most)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			t := usersync.Task{Consumer: consumer}
			var due, leased, created int64
			if err := rows.Scan(&t.ID, &t.Payload, &t.Attempts, &due, &leased, &t.LastError, &created); err != nil {
				return err
			}
			t.DueAt, t.LeasedUntil, t.CreatedAt = fromMicro(due), fromMicro(leased), fromMicro(created)
			tasks = append(tasks, t)
		}
		return rows.Err()
	})
	return tasks, err
}

// Settle implements usersync.Queue.
func (s *Store) Settle(ctx context.Context, t usersync.Task, o usersync.Outcome) error {
	return s.write(ctx, "settle", func(c *sql.Conn) error {
		b := &batch{ctx: ctx, store: s, conn: c}
		if o.Done {
			b.exec(finishTask, t.Consumer, t.ID, micro(t.LeasedUntil))
		} else {
			b.exec(retryTask, micro(o.Due), usersync.Reason(o.Reason), t.Consumer, t.ID, micro(t.LeasedUntil))
		}
		return b.err
	})
}

// Backlog implements usersync.Queue.
func (s *Store) Backlog(ctx context.Context) ([]usersync.Backlog, error) {
	rows, err := s.db.QueryContext(ctx, s.sql(backlog))
	if err != nil {
		return nil, fmt.Errorf("usersync/sqlite: backlog: %w", err)
	}
	defer rows.Close()
	var list []usersync.Backlog
	for rows.Next() {
		var b usersync.Backlog
		var oldest int64
		if err := rows.Scan(&b.Consumer, &b.Tasks, &oldest, &b.LastError); err != nil {
			return nil, fmt.Errorf("usersync/sqlite: backlog: %w", err)
		}
		b.Oldest = fromMicro(oldest)
		list = append(list, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("usersync/sqlite: backlog: %w", err)
	}
	return list, nil
}
