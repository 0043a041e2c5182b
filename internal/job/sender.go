package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Outbox is what the sender needs of a database.
type Outbox interface {
	ClaimMessages(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]auth.Message, error)
	MessageSent(ctx context.Context, id auth.ID) error
	MessageFailed(ctx context.Context, f auth.MessageFailure) error
}

// Deliverer delivers one row of the outbox. It ends when ctx does. Its errors hold no
// secret: they are stored. An error with a method IsPermanent() bool that answers true ends
// the attempts; one with RetryIn() time.Duration says how long the receiver wants to be left
// alone.
type Deliverer interface {
	Deliver(ctx context.Context, row auth.Message) error
}

// channelDecoy marks rows that are there for their cost only.
const channelDecoy = "decoy"

// Sender empties the outbox: it claims rows under a lease, delivers them with a bounded
// number of goroutines, tries again what failed, later each time, and gives up in the end.
//
// A row is deleted after its delivery, so a crash in between delivers it again (at least
// once), under the same id. A crash before leaves the row to whoever claims it when the
// lease has run out. Several nodes may run at once.
type Sender struct {
	Store   Outbox
	Deliver Deliverer
	Log     *slog.Logger
	Now     func() time.Time
	Rand    io.Reader // spreads retries; nil: they are not spread

	Workers     int           // deliveries at a time; 0: 8
	Every       time.Duration // between two looks at an empty outbox; 0: 500 ms
	Timeout     time.Duration // of one delivery; 0: 45 s
	Lease       time.Duration // must be longer than Timeout; 0: Timeout and a minute
	FirstRetry  time.Duration // after the first failure; doubles with each; 0: 5 s
	LastRetry   time.Duration // the longest wait; 0: 1 h
	MaxAttempts int           // then a message is dead; 0: 12, which is most of three hours
	// Grace is how long deliveries may go on after Run is told to stop; 0: 10 s.
	Grace time.Duration
	// Wake ends a wait early; nil: only time does. Give it a buffer of one and send without
	// waiting.
	Wake <-chan struct{}
}

// Run sends until ctx is done, and returns when no delivery is in hand any more.
func (s Sender) Run(ctx context.Context) {
	s.setDefaults()
	// Deliveries outlive ctx by Grace: a mail that is half sent would be sent twice.
	working, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	slots := make(chan struct{}, s.Workers)
	var running sync.WaitGroup
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		free := acquire(ctx, slots)
		if free == 0 {
			break
		}
		rows, err := s.Store.ClaimMessages(ctx, auth.Truncate(s.Now()), s.Lease, free)
		if err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "reading the outbox failed, trying again later", "error", err)
		}
		for range free - len(rows) {
			<-slots
		}
		for i := range rows {
			running.Go(func() {
				defer func() { <-slots }()
				s.one(working, rows[i])
			})
		}
		if len(rows) < free {
			s.wait(ctx, timer)
		}
	}
	end := time.AfterFunc(s.Grace, abort)
	running.Wait()
	end.Stop()
}

func (s *Sender) setDefaults() {
	setDefault(&s.Workers, 8)
	setDefault(&s.MaxAttempts, 12)
	setDefault(&s.Every, 500*time.Millisecond)
	setDefault(&s.Timeout, 45*time.Second)
	setDefault(&s.FirstRetry, 5*time.Second)
	setDefault(&s.LastRetry, time.Hour)
	setDefault(&s.Grace, 10*time.Second)
	if s.Lease <= s.Timeout {
		s.Lease = s.Timeout + time.Minute
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// acquire waits for a free slot and takes all that are free: each row that is claimed is
// delivered at once, so that its lease covers its delivery and nothing else. 0: ctx is done.
func acquire(ctx context.Context, slots chan struct{}) int {
	select {
	case <-ctx.Done():
		return 0
	case slots <- struct{}{}:
	}
	for n := 1; ; n++ {
		select {
		case slots <- struct{}{}:
		default:
			return n
		}
	}
}

func (s *Sender) wait(ctx context.Context, timer *time.Timer) {
	timer.Reset(s.Every)
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-s.Wake:
	}
}

// one delivers a row and writes down what came of it.
func (s *Sender) one(ctx context.Context, row auth.Message) {
	err := s.attempt(ctx, row)
	if err == nil {
		s.record(ctx, row, "removing a sent message from the outbox failed: it will be sent again", func(ctx context.Context) error {
			return s.Store.MessageSent(ctx, row.ID)
		})
		return
	}
	f := s.failure(row, err)
	if f.Dead {
		s.Log.WarnContext(ctx, "message given up", "id", row.ID.String(), "channel", row.Channel, "kind", row.Kind, "attempts", row.Attempts, "error", f.Error)
	}
	s.record(ctx, row, "writing down a failed delivery failed", func(ctx context.Context) error {
		return s.Store.MessageFailed(ctx, f)
	})
}

func (s *Sender) attempt(ctx context.Context, row auth.Message) (err error) {
	if row.Channel == channelDecoy {
		return nil
	}
	if row.Attempts > s.MaxAttempts {
		// Claimed that often, and nobody lived to tell: it may be what kills the process.
		return &givenUp{}
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.Log.ErrorContext(ctx, "delivering a message panicked", "id", row.ID.String(), "panic", fmt.Sprint(p))
			err = errors.New("delivering it panicked; the log says where")
		}
	}()
	return s.Deliver.Deliver(ctx, row)
}

type givenUp struct{}

func (*givenUp) Error() string     { return "claimed too often without an outcome" }
func (*givenUp) IsPermanent() bool { return true }

// record tries for a while: what is forgotten here is sent twice.
func (s *Sender) record(ctx context.Context, row auth.Message, failed string, write func(context.Context) error) {
	const tries = 4
	for try := 1; ; try++ {
		// Not bound to ctx: a stop must not make us forget what has been sent.
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err := write(writing)
		cancel()
		switch {
		case err == nil || errors.Is(err, auth.ErrNotFound): // gone: somebody else has seen to it
			return
		case try == tries:
			s.Log.ErrorContext(ctx, failed, "id", row.ID.String(), "error", err)
			return
		}
		timer := time.NewTimer(time.Duration(try*try) * 100 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// failure decides what becomes of a message: again later, or dead.
func (s *Sender) failure(row auth.Message, err error) auth.MessageFailure {
	now := auth.Truncate(s.Now())
	f := auth.MessageFailure{ID: row.ID, Error: err.Error(), At: now, Attempts: row.Attempts, NotBefore: now.Add(s.backOff(row.Attempts))}
	var p interface{ IsPermanent() bool }
	if errors.As(err, &p) && p.IsPermanent() || row.Attempts >= s.MaxAttempts {
		f.Dead = true
	}
	var r interface{ RetryIn() time.Duration }
	if errors.As(err, &r) {
		if later := now.Add(min(r.RetryIn(), s.LastRetry)); later.After(f.NotBefore) {
			f.NotBefore = later
		}
	}
	return f
}

// backOff doubles the wait with each attempt and takes up to a fifth off it: mails that
// failed together must not come back together.
func (s *Sender) backOff(attempts int) time.Duration {
	d := s.FirstRetry
	for range attempts - 1 {
		if d >= s.LastRetry {
			break
		}
		d *= 2
	}
	d = min(d, s.LastRetry)
	var b [1]byte
	if s.Rand != nil {
		_, _ = io.ReadFull(s.Rand, b[:]) // without randomness they come together, which is no danger
	}
	return d - d/5*time.Duration(b[0])/255
}
