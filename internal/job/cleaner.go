// Package job holds what happens beside requests.
package job

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Store is what the cleaner needs of a database.
type Store interface {
	DeleteEndedSessions(ctx context.Context, endedBefore, createdBefore, idleBefore time.Time, limit int) (int64, error)
	DeleteExpiredOneTimes(ctx context.Context, before time.Time, limit int) (int64, error)
	DeleteDeadMessages(ctx context.Context, before time.Time, limit int) (int64, error)
	DeleteOldDevices(ctx context.Context, before time.Time, limit int) (int64, error)
	DeleteOldWebhooks(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Cleaner deletes sessions that have ended, codes and links that have expired, messages that
// were given up long ago, devices that nobody has used for half a year, and notices of other
// servers that have become too old to be repeated, so that the tables stay flat under a constant load. Messages that were sent are gone already. It works
// in small batches: a long delete would hold locks that sign-ins wait for.
type Cleaner struct {
	Store Store
	Log   *slog.Logger
	Now   func() time.Time

	MaxAge     time.Duration // sessions older than this have ended; 0: no limit
	Inactivity time.Duration // sessions not refreshed for this long have ended; 0: no limit

	KeepDead time.Duration // how long messages that were given up are kept; 0: 30 days

	Every time.Duration // 0: a minute
	Batch int           // 0: 1000
}

// slack keeps what has ended a little longer: a client that comes too late is told that its
// session has expired, and not that it never was.
const slack = time.Hour

// keepDead is how long an operator has for looking at messages that were given up.
const keepDead = 30 * 24 * time.Hour

// keepDevices is how long a device is known after its last sign-in.
const keepDevices = 180 * 24 * time.Hour

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
				c.Log.WarnContext(ctx, "cleaning failed, trying again later", "error", err, "deleted", n)
			}
		}
	}
}

// Once deletes everything that has ended by now and gives the number of rows deleted. What
// fails does not keep the rest from being cleaned.
func (c Cleaner) Once(ctx context.Context) (int64, error) {
	now := c.Now().UTC()
	ended := now.Add(-slack)
	var created, idle time.Time
	if c.MaxAge > 0 {
		created = ended.Add(-c.MaxAge)
	}
	if c.Inactivity > 0 {
		idle = ended.Add(-c.Inactivity)
	}
	dead := now.Add(-keepDead)
	if c.KeepDead > 0 {
		dead = now.Add(-c.KeepDead)
	}
	var total int64
	var failed error
	for _, clean := range []func(limit int) (int64, error){
		func(limit int) (int64, error) { return c.Store.DeleteEndedSessions(ctx, ended, created, idle, limit) },
		func(limit int) (int64, error) { return c.Store.DeleteExpiredOneTimes(ctx, ended, limit) },
		func(limit int) (int64, error) { return c.Store.DeleteDeadMessages(ctx, dead, limit) },
		func(limit int) (int64, error) { return c.Store.DeleteOldDevices(ctx, now.Add(-keepDevices), limit) },
		func(limit int) (int64, error) { return c.Store.DeleteOldWebhooks(ctx, now, limit) },
	} {
		n, err := c.inBatches(clean)
		total, failed = total+n, errors.Join(failed, err)
	}
	return total, failed
}

// inBatches runs clean until nothing is left.
func (c Cleaner) inBatches(clean func(limit int) (int64, error)) (int64, error) {
	batch := c.Batch
	if batch <= 0 {
		batch = 1000
	}
	var total int64
	for {
		n, err := clean(batch)
		total += n
		if err != nil || n < int64(batch) {
			return total, err
		}
	}
}
