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

// Erasures is what the eraser needs of a database.
type Erasures interface {
	ClaimErasures(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]auth.Erasure, error)
	AdvanceErasure(ctx context.Context, a auth.ErasureAdvance) (auth.Erasure, error)
	ReleaseErasure(ctx context.Context, id auth.ID) error
}

// Eraser does what is left of deletions: it claims jobs under a lease and does every step that
// is due. What a step does and that it is done are one transaction, and each step can be done
// twice, so a crash anywhere loses nothing: the job comes back when its lease has run out, and
// goes on where it was. A step that fails is tried again, later each time, for as long as it
// takes: an erasure is never given up, and never called done before it is.
//
// Several nodes may run at once.
type Eraser struct {
	Store Erasures
	// Collect asks an application to erase what it knows of a person; nil error: it says that
	// it has. Its errors hold no secret: they are stored.
	Collect func(ctx context.Context, collector string, e *auth.Erasure) error
	Log     *slog.Logger
	Now     func() time.Time
	Rand    io.Reader

	Every      time.Duration   // between two looks for jobs; 0: 10 s
	Lease      time.Duration   // 0: 5 min
	FirstRetry time.Duration   // after the first failure of a step; doubles with each; 0: 30 s
	LastRetry  time.Duration   // the longest wait; 0: 1 h
	Batch      int             // rows of the audit log in one transaction; 0: 1000
	Wake       <-chan struct{} // ends a wait early; nil: only time does
}

// atOnce is how many jobs are claimed together.
const atOnce = 4

// Run does what is due until ctx is done.
func (r Eraser) Run(ctx context.Context) {
	setDefault(&r.Every, 10*time.Second)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.Wake:
		}
		if _, err := r.Once(ctx); err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "deletions: trying again later", "error", err)
		}
		timer.Reset(r.Every)
	}
}

// Once does everything that is due and gives the number of jobs that it worked on. An error
// is the database's; the job is left to the end of its lease.
func (r Eraser) Once(ctx context.Context) (int, error) {
	setDefault(&r.Lease, 5*time.Minute)
	setDefault(&r.FirstRetry, 30*time.Second)
	setDefault(&r.LastRetry, time.Hour)
	setDefault(&r.Batch, 1000)
	for n := 0; ; {
		jobs, err := r.Store.ClaimErasures(ctx, auth.Truncate(r.Now()), r.Lease, atOnce)
		if err != nil || len(jobs) == 0 {
			return n, err
		}
		// Together: an application that takes its time must not keep others waiting.
		errs := make([]error, len(jobs))
		var running sync.WaitGroup
		for i := range jobs {
			running.Go(func() { errs[i] = r.erase(ctx, jobs[i]) })
		}
		running.Wait()
		n += len(jobs)
		if err := errors.Join(errs...); err != nil {
			return n, err
		}
	}
}

// erase does the steps of one job that are due, those too that become due by it.
func (r *Eraser) erase(ctx context.Context, e auth.Erasure) error {
	for {
		due := e.Due(r.Now())
		if len(due) == 0 {
			return r.Store.ReleaseErasure(ctx, e.ID)
		}
		for _, step := range due {
			var err error
			if e, err = r.step(ctx, e, step); err != nil {
				return err
			}
			if !e.FinishedAt.IsZero() {
				r.Log.InfoContext(ctx, "deletion complete", "erasure", e.ID.String())
			}
		}
	}
}

// step makes one attempt at a step. An error means that not even that could be written down.
func (r *Eraser) step(ctx context.Context, e auth.Erasure, step int) (auth.Erasure, error) {
	s := e.Steps[step]
	a := auth.ErasureAdvance{ID: e.ID, Step: step, Outcome: auth.StepApply, Batch: r.Batch}
	var failure error
	if s.Kind == auth.StepCollector {
		a.Outcome = auth.StepDone
		failure = r.collect(ctx, s.Name, &e)
	}
	var err error
	if a.Finished, err = r.entry(&e); err != nil {
		return e, err
	}
	a.At = a.Finished.At
	if failure == nil {
		after, err := r.Store.AdvanceErasure(ctx, a)
		if err == nil {
			return after, nil
		}
		failure = err
	}
	if ctx.Err() != nil {
		return e, ctx.Err() //nolint:wrapcheck // the caller's own
	}
	a.Outcome, a.Error, a.NotBefore = auth.StepFailed, failure.Error(), a.At.Add(r.backOff(s.Attempts))
	r.Log.WarnContext(ctx, "a step of a deletion failed, trying again later", "erasure", e.ID.String(), "step", s.Name, "attempts", s.Attempts+1, "error", failure)
	after, err := r.Store.AdvanceErasure(ctx, a)
	if err != nil {
		return e, fmt.Errorf("job: write down a failed step: %w", err)
	}
	return after, nil
}

func (r *Eraser) collect(ctx context.Context, name string, e *auth.Erasure) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Log.ErrorContext(ctx, "asking a collector panicked", "collector", name, "panic", fmt.Sprint(p))
			err = errors.New("asking it panicked; the log says where")
		}
	}()
	if r.Collect == nil {
		return errors.New("no collectors are configured")
	}
	return r.Collect(ctx, name, e)
}

// entry is written when the job is done. It names the person by the id that stays.
func (r *Eraser) entry(e *auth.Erasure) (auth.AuditEntry, error) {
	now := auth.Truncate(r.Now())
	id, err := auth.NewID(now, r.Rand)
	return auth.AuditEntry{
		ID: id, At: now, Action: "user_erased", LogType: "team",
		Traits: map[string]any{"user_id": e.UserID.String(), "erasure_id": e.ID.String()},
	}, err
}

func (r *Eraser) backOff(attempts int) time.Duration {
	d := r.FirstRetry
	for range min(attempts, 32) {
		if d *= 2; d >= r.LastRetry {
			return r.LastRetry
		}
	}
	return d
}
