package job_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardea-auth/cardea/internal/job"
)

// fakeStore deletes as many sessions as it is told, and nothing of what it is not told about.
type fakeStore struct {
	delete   func(ended, created, idle time.Time, limit int) (int64, error)
	oneTimes func(before time.Time, limit int) (int64, error)
	dead     func(before time.Time, limit int) (int64, error)
}

func (f fakeStore) DeleteExpiredOneTimes(_ context.Context, before time.Time, limit int) (int64, error) {
	if f.oneTimes == nil {
		return 0, nil
	}
	return f.oneTimes(before, limit)
}

func (f fakeStore) DeleteDeadMessages(_ context.Context, before time.Time, limit int) (int64, error) {
	if f.dead == nil {
		return 0, nil
	}
	return f.dead(before, limit)
}

func (fakeStore) DeleteOldDevices(context.Context, time.Time, int) (int64, error) { return 0, nil }

func (fakeStore) DeleteOldWebhooks(context.Context, time.Time, int) (int64, error) { return 0, nil }

func (f fakeStore) DeleteEndedSessions(_ context.Context, ended, created, idle time.Time, limit int) (int64, error) {
	return f.delete(ended, created, idle, limit)
}

func TestOnceWorksInBatchesUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	left, calls := int64(25), 0
	c := job.Cleaner{
		Now: func() time.Time { return now }, MaxAge: 90 * 24 * time.Hour, Inactivity: 30 * 24 * time.Hour, Batch: 10,
		Store: fakeStore{delete: func(ended, created, idle time.Time, limit int) (int64, error) {
			calls++
			at := now.Add(-time.Hour)
			if !ended.Equal(at) || !created.Equal(at.Add(-90*24*time.Hour)) || !idle.Equal(at.Add(-30*24*time.Hour)) {
				t.Errorf("limits %v %v %v", ended, created, idle)
			}
			n := min(left, int64(limit))
			left -= n
			return n, nil
		}},
	}
	n, err := c.Once(t.Context())
	if n != 25 || calls != 3 || err != nil {
		t.Errorf("deleted %d in %d calls (%v), want 25 in 3", n, calls, err)
	}
}

func TestOnceWithoutLimitsAsksForNone(t *testing.T) {
	t.Parallel()
	c := job.Cleaner{Now: time.Now, Store: fakeStore{delete: func(_, created, idle time.Time, limit int) (int64, error) {
		if !created.IsZero() || !idle.IsZero() || limit != 1000 {
			t.Errorf("limits %v %v %d", created, idle, limit)
		}
		return 0, nil
	}}}
	if _, err := c.Once(t.Context()); err != nil {
		t.Error(err)
	}
}

// Codes, links and dead letters go too, each with its own age, also when the sessions fail.
func TestOnceCleansTokensAndMessages(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	away := errors.New("database is away")
	for _, c := range []struct {
		name string
		keep time.Duration
		want time.Time
	}{
		{"a month by default", 0, now.Add(-30 * 24 * time.Hour)},
		{"as configured", time.Hour, now.Add(-time.Hour)},
	} {
		tokens := int64(25)
		n, err := job.Cleaner{
			Now: func() time.Time { return now }, Batch: 10, KeepDead: c.keep,
			Store: fakeStore{
				delete: func(_, _, _ time.Time, _ int) (int64, error) { return 1, away },
				oneTimes: func(before time.Time, limit int) (int64, error) {
					if !before.Equal(now.Add(-time.Hour)) || limit != 10 {
						t.Errorf("%s: tokens before %v, at most %d", c.name, before, limit)
					}
					n := min(tokens, int64(limit))
					tokens -= n
					return n, nil
				},
				dead: func(before time.Time, limit int) (int64, error) {
					if !before.Equal(c.want) || limit != 10 {
						t.Errorf("%s: messages before %v, at most %d", c.name, before, limit)
					}
					return 3, nil
				},
			},
		}.Once(t.Context())
		if n != 29 || !errors.Is(err, away) {
			t.Errorf("%s: deleted %d, %v", c.name, n, err)
		}
	}
}

// A database that is away for a while stops nothing: the next tick tries again.
func TestRunGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		ctx, stop := context.WithCancel(t.Context())
		c := job.Cleaner{Now: time.Now, Log: slog.New(slog.DiscardHandler), Store: fakeStore{delete: func(_, _, _ time.Time, _ int) (int64, error) {
			if calls++; calls == 3 {
				stop()
			}
			return 0, errors.New("database is away")
		}}}
		start := time.Now()
		c.Run(ctx)
		if calls != 3 || time.Since(start) != 3*time.Minute {
			t.Errorf("%d calls in %v, want one a minute", calls, time.Since(start))
		}
	})
}
