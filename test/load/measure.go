package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how much longer than asked a scenario may run until its first answer.
const patience = 30 * time.Second

// result is what one scenario cost.
type result struct {
	Scenario   string  `json:"scenario"`
	Seconds    float64 `json:"seconds"`
	Requests   int64   `json:"requests"`
	Errors     int64   `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
	PerSecond  float64 `json:"requests_per_second"`
	P50        float64 `json:"p50_us"`
	P95        float64 `json:"p95_us"`
	P99        float64 `json:"p99_us"`
	ServerCPU  float64 `json:"server_cpu_us_per_request"`   // -1: not known
	DBCPU      float64 `json:"database_cpu_us_per_request"` // -1: not known; 0 with SQLite, which is in the server
	ServerRSS  float64 `json:"server_resident_mib"`         // after the scenario; 0: not known
}

// measureAll runs the chosen scenarios one after the other.
func (l *lab) measureAll(ctx context.Context) (*report, error) {
	r := newReport(l)
	r.IdleRSS = l.watch.resident()
	for _, sc := range scenarios() {
		if !slices.Contains(l.scenarios, sc.name) {
			continue
		}
		do, err := sc.prepare(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sc.name, err)
		}
		res, err := l.measure(ctx, do)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sc.name, err)
		}
		res.Scenario = sc.name
		l.say("%-8s %8.0f/s", sc.name, res.PerSecond)
		r.Results = append(r.Results, res)
	}
	return r, nil
}

// meter collects what the workers of one scenario see. Only what begins after recording
// was switched on is kept.
type meter struct {
	recording atomic.Bool
	done      atomic.Int64 // good answers while recording
	failed    atomic.Int64
	sent      atomic.Int64 // all of them: the bound of the run

	mu    sync.Mutex
	first error
}

func (m *meter) fail(err error) {
	m.failed.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first == nil {
		m.first = err
	}
}

// measure runs one step on all connections, first to warm up, then to measure. The
// processor times are read exactly when recording begins and when it ends.
func (l *lab) measure(ctx context.Context, do step) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var m meter
	times := make([][]time.Duration, l.conns)
	stopping := make(chan struct{})
	var group sync.WaitGroup
	for w := range l.conns {
		group.Go(func() { times[w] = m.work(ctx, stopping, w, do) })
	}
	err := wait(ctx, l.warmup)
	before, cpuErr := l.watch.read()
	m.recording.Store(true)
	begin := time.Now()
	err = errors.Join(err, wait(ctx, l.duration))
	// A window in which a busy machine answered nothing would say nothing.
	for end := begin.Add(l.duration + patience); m.done.Load()+m.failed.Load() == 0 && err == nil && time.Now().Before(end); {
		err = wait(ctx, 50*time.Millisecond)
	}
	m.recording.Store(false)
	took := time.Since(begin)
	after, cpuErr2 := l.watch.read()
	done, failed := m.done.Load(), m.failed.Load()
	close(stopping)
	group.Wait()
	if err = errors.Join(err, cpuErr, cpuErr2); err != nil {
		return result{}, err
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	res := result{
		Seconds: took.Seconds(), Requests: done, Errors: failed, PerSecond: float64(done) / took.Seconds(),
		P50: percentile(all, 0.50), P95: percentile(all, 0.95), P99: percentile(all, 0.99),
		ServerCPU: perRequest(after.server-before.server, done+failed, before.hasServer),
		DBCPU:     perRequest(after.database-before.database, done+failed, before.hasDatabase),
		ServerRSS: l.watch.resident(),
	}
	if m.first != nil {
		res.FirstError = m.first.Error()
	}
	return res, nil
}

// work is one connection: one request after the other until it is told to stop. A server
// that refuses everything is not asked as fast as possible.
func (m *meter) work(ctx context.Context, stopping <-chan struct{}, worker int, do step) []time.Duration {
	var times []time.Duration
	for n := 0; m.sent.Add(1) <= maxRequests; n++ {
		select {
		case <-stopping:
			return times
		default:
		}
		counted := m.recording.Load()
		begin := time.Now()
		err := do(ctx, worker, n)
		took := time.Since(begin)
		switch {
		case !counted || !m.recording.Load():
		case err != nil:
			m.fail(err)
		default:
			m.done.Add(1)
			times = append(times, took)
		}
		if err != nil {
			if wait(ctx, 10*time.Millisecond) != nil {
				return times
			}
		}
	}
	return times
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// percentile gives the smallest value that at least the share q of all values do not
// exceed, in microseconds. The values must be sorted.
func percentile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return float64(sorted[max(i, 0)]) / float64(time.Microsecond)
}

// perRequest divides processor time among requests, in microseconds; -1: not known.
func perRequest(cpu time.Duration, requests int64, known bool) float64 {
	if !known || requests == 0 {
		return -1
	}
	return float64(cpu) / float64(time.Microsecond) / float64(requests)
}
