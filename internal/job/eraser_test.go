package job_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/job"
)

// erasures is a store of one job.
type erasures struct {
	mu       sync.Mutex
	e        auth.Erasure
	claimed  bool
	released int
	refuse   error // of StepApply
}

func (s *erasures) ClaimErasures(_ context.Context, now time.Time, _ time.Duration, _ int) ([]auth.Erasure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed || len(s.e.Due(now)) == 0 {
		return nil, nil
	}
	s.claimed = true
	return []auth.Erasure{s.e}, nil
}

func (s *erasures) AdvanceErasure(_ context.Context, a auth.ErasureAdvance) (auth.Erasure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Outcome == auth.StepApply && s.refuse != nil {
		return auth.Erasure{}, s.refuse
	}
	s.e.Steps = append([]auth.ErasureStep{}, s.e.Steps...)
	s.e.Advance(&a, "")
	return s.e, nil
}

func (s *erasures) ReleaseErasure(context.Context, auth.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed = false
	s.released++
	return nil
}

// X16: what fails is tried again, later each time and at most every hour, and never called
// done; what does not fail is done meanwhile.
func TestEraserBacksOff(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	s := &erasures{e: auth.Erasure{BegunAt: now, Steps: []auth.ErasureStep{
		{Kind: auth.StepCollector, Name: "cases"}, {Kind: auth.StepTable, Name: "profiles", Action: auth.EraseDelete},
		{Kind: auth.StepTable, Name: "users", Action: auth.EraseDelete},
	}}}
	var log bytes.Buffer
	answer := errors.New("status 500")
	r := job.Eraser{
		Store: s, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }, Rand: bytes.NewReader(make([]byte, 1<<20)),
		Collect: func(_ context.Context, name string, _ *auth.Erasure) error {
			if name != "cases" {
				t.Errorf("collector %q", name)
			}
			return answer
		},
	}
	for i, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		if n, err := r.Once(t.Context()); n != 1 || err != nil {
			t.Fatalf("%d: %d, %v", i, n, err)
		}
		step := s.e.Steps[0]
		if step.Attempts != i+1 || step.Error != "status 500" || step.NotBefore.Sub(now) != wait || !s.e.FinishedAt.IsZero() {
			t.Fatalf("%d: %+v", i, step)
		}
		if !s.e.Steps[1].Done() || s.e.Steps[2].Done() {
			t.Fatalf("the table waits, or the account's row does not: %+v", s.e.Steps)
		}
		now = step.NotBefore
	}
	answer = nil
	if n, err := r.Once(t.Context()); n != 1 || err != nil || s.e.FinishedAt.IsZero() {
		t.Fatalf("%d, %v, %+v", n, err, s.e.Steps)
	}
	if s.released == 0 || !strings.Contains(log.String(), "deletion complete") {
		t.Errorf("released %d times\n%s", s.released, log.String())
	}
}

// A database that refuses a step (a foreign key of the application) keeps the job open too,
// and so does an application whose asking panics, or one that nobody asks.
func TestEraserNeverLies(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		refuse  error
		collect func(context.Context, string, *auth.Erasure) error
		step    auth.ErasureStep
		want    string
	}{
		"refused": {errors.New("violates foreign key"), nil, auth.ErasureStep{Kind: auth.StepTable, Name: "users", Action: auth.EraseDelete}, "violates foreign key"},
		"nobody":  {nil, nil, auth.ErasureStep{Kind: auth.StepCollector, Name: "cases"}, "no collectors"},
		"panics": {
			nil, func(context.Context, string, *auth.Erasure) error { panic("secret") },
			auth.ErasureStep{Kind: auth.StepCollector, Name: "cases"}, "panicked",
		},
	} {
		s := &erasures{e: auth.Erasure{BegunAt: now, Steps: []auth.ErasureStep{c.step}}, refuse: c.refuse}
		r := job.Eraser{Store: s, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Rand: bytes.NewReader(make([]byte, 4096)), Collect: c.collect}
		if _, err := r.Once(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.e.Steps[0]; got.Done() || !strings.Contains(got.Error, c.want) || strings.Contains(got.Error, "secret") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
