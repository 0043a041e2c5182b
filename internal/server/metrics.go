package server

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/password"
	"github.com/cardea-auth/cardea/internal/web"
)

// metrics are the counters of this process, in the text format of Prometheus (0.0.4).
type metrics struct {
	leaks *password.Leaks // nil: nobody is asked

	triggersFailed  atomic.Int64 // triggers of the application that raised
	triggersRefused atomic.Int64 // and those that refused on purpose

	mu    sync.Mutex
	hooks map[hookOutcome]*hookCount
}

type hookOutcome struct {
	name    hook.Name
	outcome string // "ok", "refused" or "failed"
}

type hookCount struct {
	calls int64
	took  time.Duration
}

// hookCalled counts one call of a hook.
func (m *metrics) hookCalled(name hook.Name, took time.Duration, err error) {
	k := hookOutcome{name, "ok"}
	switch {
	case err != nil && hook.RefusalOf(err) != nil:
		k.outcome = "refused"
	case err != nil:
		k.outcome = "failed"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hooks == nil {
		m.hooks = map[hookOutcome]*hookCount{}
	}
	if m.hooks[k] == nil {
		m.hooks[k] = &hookCount{}
	}
	m.hooks[k].calls++
	m.hooks[k].took += took
}

// requestDone counts what an operator should hear of: an application's trigger that raises
// keeps people from signing up, and is seen nowhere else.
func (m *metrics) requestDone(ev *web.Event) {
	switch ev.Code {
	case auth.CodeTriggerFailed:
		m.triggersFailed.Add(1)
	case auth.CodeTriggerRefused:
		m.triggersRefused.Add(1)
	}
}

// ServeHTTP writes the counters. There are neither addresses nor ids of people in them.
func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if m.leaks != nil {
		fmt.Fprintf(&b, "# HELP cardea_leak_lookups_total New passwords that were looked up among leaked ones.\n"+
			"# TYPE cardea_leak_lookups_total counter\ncardea_leak_lookups_total %d\n", m.leaks.Asked())
		fmt.Fprintf(&b, "# HELP cardea_leak_lookup_failures_total Look-ups without an answer; the password counted as good, unless failing closed is set.\n"+
			"# TYPE cardea_leak_lookup_failures_total counter\ncardea_leak_lookup_failures_total %d\n", m.leaks.Failures())
	}
	fmt.Fprintf(&b, "# HELP cardea_trigger_failures_total Requests that failed because a trigger of the application raised.\n"+
		"# TYPE cardea_trigger_failures_total counter\ncardea_trigger_failures_total{outcome=\"failed\"} %d\n"+
		"cardea_trigger_failures_total{outcome=\"refused\"} %d\n", m.triggersFailed.Load(), m.triggersRefused.Load())
	m.writeHooks(&b)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // the client has gone: nobody is left to tell
}

func (m *metrics) writeHooks(b *bytes.Buffer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(m.hooks), func(a, c hookOutcome) int {
		return bytes.Compare([]byte(a.name+a.outcomeName()), []byte(c.name+c.outcomeName()))
	})
	for i, k := range keys {
		if i == 0 {
			b.WriteString("# HELP cardea_hook_seconds Calls of the application's hooks and the time they took.\n# TYPE cardea_hook_seconds summary\n")
		}
		fmt.Fprintf(b, "cardea_hook_seconds_count{hook=%q,outcome=%q} %d\n", k.name, k.outcome, m.hooks[k].calls)
		fmt.Fprintf(b, "cardea_hook_seconds_sum{hook=%q,outcome=%q} %g\n", k.name, k.outcome, m.hooks[k].took.Seconds())
	}
}

func (k hookOutcome) outcomeName() hook.Name { return hook.Name(" " + k.outcome) }

// serveMetrics answers GET /metrics on a listener of its own until ctx is done: counters are
// for operators, and a port is what a firewall can close.
func (s *Server) serveMetrics(ctx context.Context) {
	if s.cfg.HTTP.MetricsListen == "" {
		return
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.HTTP.MetricsListen)
	if err != nil {
		s.opt.Log.ErrorContext(ctx, "metrics are not served", "listen", s.cfg.HTTP.MetricsListen, "error", err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: s.cfg.HTTP.ReadHeaderTimeout, WriteTimeout: s.cfg.HTTP.WriteTimeout}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // nobody's data is in flight
	defer stop()
	_ = srv.Serve(ln) // always an error: it was closed
}
