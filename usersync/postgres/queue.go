package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/usersync"
)

const (
	insertTask = `INSERT INTO @tasks (consumer, id, payload, due_at, created_at, leased_until, attempts, user_id)
		VALUES ($1, $2, $3, $4, $5, coalesce($6::timestamptz, 'epoch'), $7, $8) ON CONFLICT DO NOTHING`
	// Rows that another caller is leasing are skipped, so that callers don't queue up.
	leaseTasks = `UPDATE @tasks t SET leased_until = $3, attempts = t.attempts + 1
		FROM (SELECT consumer, id FROM @tasks WHERE consumer = $1 AND due_at <= $2 AND leased_until <= $2
			ORDER BY due_at, id LIMIT %d FOR UPDATE SKIP LOCKED) due
		WHERE t.consumer = due.consumer AND t.id = due.id
		RETURNING t.id, t.payload, t.attempts, t.due_at, t.leased_until, t.last_error, t.created_at`
	dropTask   = `DELETE FROM @tasks WHERE consumer = $1 AND id = $2`
	dropTasks  = `DELETE FROM @tasks WHERE user_id = $1`
	finishTask = dropTask + ` AND leased_until = $3`
	retryTask  = `UPDATE @tasks SET due_at = $4, last_error = $5, leased_until = 'epoch' WHERE consumer = $1 AND id = $2 AND leased_until = $3`
	backlog    = `SELECT consumer, count(*), min(created_at), (array_agg(last_error ORDER BY attempts DESC))[1]
		FROM @tasks GROUP BY consumer ORDER BY consumer`
)

// Enqueue implements usersync.Queue.
func (s *Store) Enqueue(ctx context.Context, t usersync.Task) error {
	if _, err := s.pool.Exec(ctx, s.sql(insertTask), t.Consumer, t.ID, t.Payload, t.DueAt, t.CreatedAt, nullTime(t.LeasedUntil), t.Attempts, null(t.UserID)); err != nil {
		return fmt.Errorf("usersync/postgres: enqueue: %w", err)
	}
	return nil
}

// enqueue queues the statements for new tasks.
func (s *Store) enqueue(batch *pgx.Batch, tasks []usersync.Task) {
	for _, t := range tasks {
		batch.Queue(s.sql(insertTask), t.Consumer, t.ID, t.Payload, t.DueAt, t.CreatedAt, nullTime(t.LeasedUntil), t.Attempts, null(t.UserID))
	}
}

// Lease implements usersync.Queue.
func (s *Store) Lease(ctx context.Context, consumer string, now, until time.Time, most int) ([]usersync.Task, error) {
	// The number stands in the text: with a parameter the planner expects a tenth of the table,
	// and reads it.
	rows, err := s.pool.Query(ctx, fmt.Sprintf(s.sql(leaseTasks), most), consumer, now, until)
	if err != nil {
		return nil, fmt.Errorf("usersync/postgres: lease: %w", err)
	}
	tasks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (usersync.Task, error) {
		t := usersync.Task{Consumer: consumer}
		err := row.Scan(&t.ID, &t.Payload, &t.Attempts, &t.DueAt, &t.LeasedUntil, &t.LastError, &t.CreatedAt)
		t.DueAt, t.LeasedUntil, t.CreatedAt = t.DueAt.UTC(), t.LeasedUntil.UTC(), t.CreatedAt.UTC()
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("usersync/postgres: lease: %w", err)
	}
	return tasks, nil
}

// Settle implements usersync.Queue.
func (s *Store) Settle(ctx context.Context, t usersync.Task, o usersync.Outcome) error {
	var err error
	if o.Done {
		_, err = s.pool.Exec(ctx, s.sql(finishTask), t.Consumer, t.ID, t.LeasedUntil)
	} else {
		_, err = s.pool.Exec(ctx, s.sql(retryTask), t.Consumer, t.ID, t.LeasedUntil, o.Due, usersync.Reason(o.Reason))
	}
	if err != nil {
		return fmt.Errorf("usersync/postgres: settle: %w", err)
	}
	return nil
}

// Backlog implements usersync.Queue.
func (s *Store) Backlog(ctx context.Context) ([]usersync.Backlog, error) {
	rows, err := s.pool.Query(ctx, s.sql(backlog))
	if err != nil {
		return nil, fmt.Errorf("usersync/postgres: backlog: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (usersync.Backlog, error) {
		var b usersync.Backlog
		err := row.Scan(&b.Consumer, &b.Tasks, &b.Oldest, &b.LastError)
		b.Oldest = b.Oldest.UTC()
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("usersync/postgres: backlog: %w", err)
	}
	return list, nil
}
