package ratelimit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/ratelimit"
	"pgregory.net/rapid"
)

func TestLimitCountsExactly(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := ratelimit.NewMemory(10, func() time.Time { return now })
	l := ratelimit.Limit{Count: 3, Period: time.Minute}
	for i := range 3 {
		if d := m.Take("k", l); !d.Allowed || d.Remaining != 2-i {
			t.Fatalf("event %d: %+v", i+1, d)
		}
	}
	d := m.Take("k", l)
	if d.Allowed || d.RetryAfter != 20*time.Second {
		t.Fatalf("fourth event: %+v, want a wait of 20s", d)
	}
	now = now.Add(d.RetryAfter)
	if d := m.Take("k", l); !d.Allowed {
		t.Fatalf("after waiting exactly RetryAfter: %+v", d)
	}
	if d := m.Take("k", l); d.Allowed {
		t.Fatal("two events passed after the wait for one")
	}
	if d := m.Take("other", l); !d.Allowed {
		t.Fatal("another key shares the budget")
	}
}

func TestRefundGivesTheEventBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := ratelimit.NewMemory(10, func() time.Time { return now })
	l := ratelimit.Limit{Count: 1, Period: time.Minute}
	for range 5 {
		if !m.Take("k", l).Allowed {
			t.Fatal("refused although every event was given back")
		}
		m.Refund("k", l)
	}
}

// A21.4: 200 parallel requests against limit 100 pass exactly 100.
func TestParallelEventsPassExactlyTheLimit(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := ratelimit.NewMemory(10, func() time.Time { return now })
	l := ratelimit.Limit{Count: 100, Period: time.Minute}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if m.Take("k", l).Allowed {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 100 {
		t.Fatalf("%d passed, want 100", passed.Load())
	}
}

// A21.6: memory is bounded under many distinct keys.
func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	m := ratelimit.NewMemory(320, nil)
	for i := range 100_000 {
		m.Take(fmt.Sprint(i), ratelimit.Limit{Count: 1, Period: time.Hour})
	}
	if n := m.Len(); n > 320 {
		t.Fatalf("%d keys held, want at most 320", n)
	}
}

// In any stretch of Period no more than twice Count events can pass (the burst and the
// refill), and over a long run the rate is Count a Period.
func TestLongRunRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := ratelimit.Limit{Count: rapid.IntRange(1, 50).Draw(t, "count"), Period: time.Minute}
		now, tat, passed := time.Unix(0, 0), time.Time{}, 0
		start := now
		for range 500 {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			var d ratelimit.Decision
			if tat, d = l.Next(tat, now); d.Allowed {
				passed++
			}
		}
		most := float64(l.Count)*(1+now.Sub(start).Minutes()) + 1
		if float64(passed) > most {
			t.Fatalf("%d events in %v with %+v, want at most %.1f", passed, now.Sub(start), l, most)
		}
	})
}

func BenchmarkTake(b *testing.B) {
	m := ratelimit.NewMemory(0, nil)
	l := ratelimit.Limit{Count: 1000, Period: time.Second}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Take("k", l)
		}
	})
}
