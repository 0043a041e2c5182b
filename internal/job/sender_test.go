package job_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/job"
)

// outbox is a store's behaviour in memory.
type outbox struct {
	mu     sync.Mutex
	rows   map[auth.ID]*auth.Message
	fail   func(what string) error
	claims int
	most   int // rows asked for at once
}

func newOutbox(n int) *outbox {
	o := &outbox{rows: map[auth.ID]*auth.Message{}}
	for i := range n {
		id := auth.ID{0: 1, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
		o.rows[id] = &auth.Message{ID: id, Channel: "email", Kind: "recovery"}
	}
	return o
}

func (o *outbox) failing(what string) error {
	if o.fail != nil {
		return o.fail(what)
	}
	return nil
}

func (o *outbox) ClaimMessages(_ context.Context, now time.Time, lease time.Duration, limit int) ([]auth.Message, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claims++
	o.most = max(o.most, limit)
	if err := o.failing("claim"); err != nil {
		return nil, err
	}
	var got []auth.Message
	for _, m := range o.rows {
		if len(got) < limit && m.DeadAt.IsZero() && !m.NotBefore.After(now) {
			m.NotBefore = now.Add(lease)
			m.Attempts++
			got = append(got, *m)
		}
	}
	return got, nil
}

func (o *outbox) MessageSent(_ context.Context, id auth.ID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.failing("sent"); err != nil {
		return err
	}
	delete(o.rows, id)
	return nil
}

func (o *outbox) MessageFailed(_ context.Context, f auth.MessageFailure) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.failing("failed"); err != nil {
		return err
	}
	m := o.rows[f.ID]
	if m == nil || f.Attempts != m.Attempts {
		return fmt.Errorf("failure %+v of another claim than %+v", f, m)
	}
	m.LastError, m.NotBefore = f.Error, f.NotBefore
	if f.Dead {
		m.DeadAt = f.At
	}
	return nil
}

func (o *outbox) left() (waiting, dead []auth.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.rows {
		if m.DeadAt.IsZero() {
			waiting = append(waiting, *m)
		} else {
			dead = append(dead, *m)
		}
	}
	return waiting, dead
}

type deliver func(context.Context, auth.Message) error

func (f deliver) Deliver(ctx context.Context, m auth.Message) error { return f(ctx, m) }

// failure is an error that says what kind of one it is.
type failure struct {
	permanent bool
	retry     time.Duration
}

func (failure) Error() string            { return "550 no" }
func (f failure) IsPermanent() bool      { return f.permanent }
func (f failure) RetryIn() time.Duration { return f.retry }

// run lets a sender work until stop is called, and gives back when it has ended.
func run(t *testing.T, s job.Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	return func() { cancel(); <-done }
}

// Every message is delivered once, by no more goroutines than allowed.
func TestSenderDelivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(1000)
		for id, m := range o.rows {
			if id[15]%2 == 0 {
				m.Channel = "decoy"
			}
		}
		var busy, most, sent atomic.Int64
		stop := run(t, job.Sender{Store: o, Now: time.Now, Workers: 5, Deliver: deliver(func(_ context.Context, m auth.Message) error {
			if m.Channel == "decoy" {
				t.Error("a decoy is delivered")
			}
			most.Store(max(most.Load(), busy.Add(1)))
			<-time.After(time.Second)
			busy.Add(-1)
			sent.Add(1)
			return nil
		})})
		<-time.After(3 * time.Minute)
		stop()
		if waiting, dead := o.left(); len(waiting)+len(dead) != 0 || sent.Load() != 500 || most.Load() != 5 || o.most != 5 {
			t.Errorf("%d waiting, %d dead, %d sent, %d at a time, %d claimed at once", len(waiting), len(dead), sent.Load(), most.Load(), o.most)
		}
	})
}

// A failing message is tried later and later, and given up in the end.
func TestSenderRetries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fails func(try int) error
		after []time.Duration // between the tries
		dead  bool
	}{
		{"comes through", func(try int) error {
			if try < 4 {
				return errors.New("450 later")
			}
			return nil
		}, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}, false},
		{"never comes through", func(int) error { return errors.New("450 later") }, []time.Duration{
			5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute,
		}, true},
		{"refused", func(int) error { return failure{permanent: true} }, nil, true},
		{"asks for time", func(try int) error {
			if try == 1 {
				return fmt.Errorf("wrapped: %w", failure{retry: 30 * time.Second})
			}
			return nil
		}, []time.Duration{30 * time.Second}, false},
		{"asks for too much", func(try int) error {
			if try == 1 {
				return failure{retry: 99 * time.Hour}
			}
			return nil
		}, []time.Duration{time.Minute}, false},
		{"panics", func(try int) error {
			if try == 1 {
				panic("oops")
			}
			return nil
		}, []time.Duration{5 * time.Second}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOutbox(1)
				var at []time.Time
				stop := run(t, job.Sender{
					Store: o, Now: time.Now, LastRetry: time.Minute, MaxAttempts: 7, Every: 10 * time.Millisecond,
					Deliver: deliver(func(context.Context, auth.Message) error {
						at = append(at, time.Now())
						return tt.fails(len(at))
					}),
				})
				<-time.After(5 * time.Minute)
				stop()
				var after []time.Duration
				for i := 1; i < len(at); i++ {
					after = append(after, at[i].Sub(at[i-1]).Truncate(time.Second))
				}
				if diff := cmp.Diff(tt.after, after); diff != "" {
					t.Error(diff)
				}
				waiting, dead := o.left()
				if len(waiting) != 0 || (len(dead) == 1) != tt.dead || tt.dead && dead[0].LastError == "" {
					t.Errorf("%d waiting, dead: %+v", len(waiting), dead)
				}
			})
		})
	}
}

// Retries of messages that failed together are spread.
func TestSenderSpreadsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(2)
		stop := run(t, job.Sender{
			Store: o, Now: time.Now, Rand: bytes.NewReader([]byte{0, 255}), Workers: 1, FirstRetry: 100 * time.Second,
			Deliver: deliver(func(context.Context, auth.Message) error { return errors.New("no") }),
		})
		start := time.Now()
		<-time.After(time.Second)
		stop()
		waiting, _ := o.left()
		var after []time.Duration
		for _, m := range waiting {
			after = append(after, m.NotBefore.Sub(start).Round(time.Second))
		}
		slices.Sort(after)
		if diff := cmp.Diff([]time.Duration{80 * time.Second, 100 * time.Second}, after); diff != "" {
			t.Error(diff)
		}
	})
}

// A node that dies with messages in hand: they come again when the lease has run out, and
// one that kills its node every time is given up at last.
func TestSenderAfterACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(10)
		claimed, err := o.ClaimMessages(t.Context(), time.Now(), 2*time.Minute, 9)
		if err != nil || len(claimed) != 9 {
			t.Fatal(err)
		}
		o.mu.Lock()
		o.rows[claimed[0].ID].Attempts = 12
		o.mu.Unlock()
		start, tries := time.Now(), map[auth.ID]time.Duration{}
		stop := run(t, job.Sender{Store: o, Now: time.Now, Workers: 1, Deliver: deliver(func(_ context.Context, m auth.Message) error {
			tries[m.ID] = time.Since(start).Round(time.Minute)
			return nil
		})})
		<-time.After(5 * time.Minute)
		stop()
		late := 0
		for _, d := range tries {
			if d == 2*time.Minute {
				late++
			}
		}
		if waiting, dead := o.left(); len(waiting) != 0 || len(dead) != 1 || dead[0].ID != claimed[0].ID || len(tries) != 9 || late != 8 {
			t.Errorf("%d waiting, %d dead, %d delivered, %d of them late", len(waiting), len(dead), len(tries), late)
		}
	})
}

// A stop waits for deliveries in hand, but not for ever, and forgets none of them.
func TestSenderStops(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		takes time.Duration
		stops time.Duration
		left  int
	}{{"quick", 3 * time.Second, 3 * time.Second, 20 - 8}, {"slow", time.Hour, 10 * time.Second, 20}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOutbox(20)
				stop := run(t, job.Sender{Store: o, Now: time.Now, Timeout: 2 * time.Hour, Deliver: deliver(func(ctx context.Context, _ auth.Message) error {
					select {
					case <-time.After(tt.takes):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})})
				synctest.Wait()
				start := time.Now()
				stop()
				waiting, dead := o.left()
				if took := time.Since(start); took != tt.stops || len(waiting) != tt.left || len(dead) != 0 {
					t.Errorf("took %v, %d left, %d dead", took, len(waiting), len(dead))
				}
			})
		})
	}
}

// A delivery that hangs is ended by its time limit, and a database that is away for a while
// stops nothing and doubles nothing.
func TestSenderWithTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(3)
		broken := map[string]int{"claim": 3, "sent": 3, "failed": 2}
		o.fail = func(what string) error {
			if broken[what]--; broken[what] >= 0 {
				return errors.New("database is away")
			}
			return nil
		}
		var mu sync.Mutex
		tries := map[auth.ID]int{}
		stop := run(t, job.Sender{Store: o, Now: time.Now, Log: slog.New(slog.DiscardHandler), Deliver: deliver(func(ctx context.Context, m auth.Message) error {
			mu.Lock()
			tries[m.ID]++
			n := tries[m.ID]
			mu.Unlock()
			if m.ID[15] == 1 && n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})})
		<-time.After(10 * time.Minute)
		stop()
		if diff := cmp.Diff(map[auth.ID]int{{0: 1}: 1, {0: 1, 15: 1}: 2, {0: 1, 15: 2}: 1}, tries); diff != "" {
			t.Error(diff)
		}
		if waiting, dead := o.left(); len(waiting)+len(dead) != 0 {
			t.Errorf("%v %v", waiting, dead)
		}
	})
}

// Somebody who has just put a message into the outbox can say so.
func TestSenderWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, wake := newOutbox(0), make(chan struct{}, 1)
		var at time.Time
		stop := run(t, job.Sender{Store: o, Now: time.Now, Every: time.Hour, Wake: wake, Deliver: deliver(func(context.Context, auth.Message) error {
			at = time.Now()
			return nil
		})})
		<-time.After(time.Minute)
		o.mu.Lock()
		o.rows[auth.ID{1}] = &auth.Message{ID: auth.ID{1}}
		o.mu.Unlock()
		start := time.Now()
		wake <- struct{}{}
		<-time.After(time.Minute)
		stop()
		if !at.Equal(start) {
			t.Errorf("sent at %v, put in at %v", at, start)
		}
	})
}
