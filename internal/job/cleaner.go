// Package job holds what happens beside requests.
package job

import (
	"context"
	"log/slog"
	"time"
)

// Store is what the cleaner needs of a database.
type Store interface {
	DeleteEndedSessions(ctx context.Context, endedBefore, createdBefore, idleBefore time.Time, limit int) (int64, error)
}

// Cleaner deletes sessions that have ended, so that the tables stay flat under a constant
// load. It works in small batches: a long delete would hold locks that sign-ins wait for.
type Cleaner struct {
	Store Store
	Log   *slog.Logger
	Now   func() time.Time

	MaxAge     time.Duration // sessions older than this have ended; 0: no limit
	Inactivity time.Duration // sessions not refreshed for this long have ended; 0: no limit

	Every time.Duration // 0: a minute
	Batch int           // 0: 1000
}

// slack keeps an ended session a little longer: a client that comes too late is told that
// its session has expired, and not that it never was.
const slack = time.Hour

// Run cleans until ctx is done. Several nodes may run it at once.
func (c Cleaner) Run(ctx context.Context) {
	if c.Every <= 0 {
		c.Every = time.Minute
	}
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if n, err := c.Once(ctx); err != nil && ctx.Err() == nil {
				c.Log.WarnContext(ctx, "cleaning ended sessions failed, trying again later", "error", err, "deleted", n)
			}
		}
	}
}

// Once deletes everything that has ended by now and gives the number of sessions deleted.
func (c Cleaner) Once(ctx context.Context) (int64, error) {
	batch := c.Batch
	if batch <= 0 {
		batch = 1000
	}
	now := c.Now().UTC().Add(-slack)
	var created, idle time.Time
	if c.MaxAge > 0 {
		created = now.Add(-c.MaxAge)
	}
	if c.Inactivity > 0 {
		idle = now.Add(-c.Inactivity)
	}
	var total int64
	for {
		n, err := c.Store.DeleteEndedSessions(ctx, now, created, idle, batch)
		total += n
		if err != nil || n < int64(batch) {
			return total, err
		}
	}
}
