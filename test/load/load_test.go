package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// fake answers as the server does, as far as the scenarios look at it. A refresh token
// works once, so a scenario that used one twice would be seen.
type fake struct {
	counter atomic.Int64
	broken  bool
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session := func() {
		n := f.counter.Add(1)
		fmt.Fprintf(w, `{"access_token":"a%d","refresh_token":"r%d"}`, n, n)
	}
	var body map[string]string
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	switch route := r.Method + " " + r.URL.RequestURI(); {
	case f.broken && !strings.HasSuffix(route, "/health"):
		http.Error(w, "out of order", http.StatusInternalServerError)
	case route == "GET /auth/v1/health", route == "GET /auth/v1/.well-known/jwks.json":
		io.WriteString(w, "{}")
	case route == "GET /auth/v1/user" && strings.HasPrefix(r.Header.Get("Authorization"), "Bearer a"):
		io.WriteString(w, "{}")
	case route == "POST /auth/v1/token?grant_type=password" && body["password"] == password && strings.HasPrefix(body["email"], "load-"):
		session()
	case route == "POST /auth/v1/token?grant_type=refresh_token" && strings.HasPrefix(body["refresh_token"], "r"):
		session()
	case route == "POST /auth/v1/signup" && body["password"] == password:
		session()
	default:
		http.Error(w, route, http.StatusBadRequest)
	}
}

func newFakeLab(t *testing.T, f *fake) *lab {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return &lab{
		settings: settings{
			url: srv.URL, users: 5, sessions: 7, conns: 3, pid: os.Getpid(), scenarios: scenarioNames(),
			duration: 60 * time.Millisecond, warmup: 10 * time.Millisecond,
		},
		base: srv.URL, client: newClient(3), progress: io.Discard, watch: watcher{server: os.Getpid()},
	}
}

// TestScenariosAgainstFake runs every scenario for a moment.
func TestScenariosAgainstFake(t *testing.T) {
	t.Parallel()
	report, err := newFakeLab(t, &fake{}).measureAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := report.failure(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, res := range report.Results {
		names = append(names, res.Scenario)
		if res.Requests < 1 || res.P50 <= 0 || res.P50 > res.P95 || res.P95 > res.P99 || res.PerSecond <= 0 {
			t.Errorf("%s: not plausible: %+v", res.Scenario, res)
		}
	}
	if diff := cmp.Diff(scenarioNames(), names); diff != "" {
		t.Error(diff)
	}
	for _, format := range []string{"table", "markdown", "json"} {
		var out bytes.Buffer
		if err := report.write(&out, format); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.Contains(out.String(), name) {
				t.Errorf("%s: no %s in\n%s", format, name, out.String())
			}
		}
	}
}

// TestBrokenServerFails proves that wrong answers are never reported as a measurement.
func TestBrokenServerFails(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, &fake{broken: true})
	l.scenarios = []string{"jwks", "signup"}
	report, err := l.measureAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := report.failure(); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("failure() = %v, want the server's answer", err)
	}
	if err := newReport(l).failure(); err == nil {
		t.Error("an empty report counts as a success")
	}
}

func TestMeasureEndsWithContext(t *testing.T) {
	t.Parallel()
	l := newFakeLab(t, &fake{})
	l.duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.measureAll(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("measureAll = %v, want the context's error", err)
	}
}

// TestOwnDevices proves that no two workers share a session: the second use of a refresh
// token would end it.
func TestOwnDevices(t *testing.T) {
	t.Parallel()
	for _, count := range []int{3, 7, 9, 64} {
		l := &lab{settings: settings{conns: 3}}
		all := make([]*device, count)
		index := map[*device]int{}
		for i := range all {
			all[i] = &device{Access: fmt.Sprint(i)}
			index[all[i]] = i
		}
		owner := map[int]int{}
		for worker := range 3 {
			for n := range 200 {
				i := index[l.own(all, worker, n)]
				if w, ok := owner[i]; ok && w != worker {
					t.Fatalf("%d devices: device %d belongs to workers %d and %d", count, i, w, worker)
				}
				owner[i] = worker
			}
		}
		if len(owner) != count {
			t.Errorf("%d of %d devices used", len(owner), count)
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, arg, value string
		ok               bool
	}{
		{"IPv4", "-url", "http://127.0.0.1:8080", true},
		{"IPv4 net", "-url", "http://127.8.9.1:8080/", true},
		{"IPv6", "-url", "http://[::1]:8080", true},
		{"mapped", "-url", "http://[::ffff:127.0.0.1]:8080", true},
		{"localhost", "-url", "http://localhost:8080", true},
		{"private", "-url", "http://192.168.1.2:8080", false},
		{"public name", "-url", "http://auth.example.com", false},
		{"name that looks like it", "-url", "http://127.0.0.1.example.com", false},
		{"localhost of another", "-url", "http://localhost.example.com", false},
		{"user part", "-url", "http://127.0.0.1@example.com/", false},
		{"unspecified", "-url", "http://0.0.0.0:8080", false},
		{"https", "-url", "https://127.0.0.1:8443", false},
		{"database", "-database", "postgres://postgres@127.0.0.1:5432/postgres", true},
		{"database socket", "-database", "postgres:///postgres?host=/tmp", true},
		{"database elsewhere", "-database", "postgres://postgres@db.example.com/postgres", false},
		{"second database elsewhere", "-database", "postgres://postgres@127.0.0.1,10.0.0.1/postgres", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := []string{tt.arg, tt.value}
			if tt.arg != "-url" {
				args = append(args, "-url", "http://127.0.0.1:1")
			}
			if _, err := parse(args, io.Discard); (err == nil) != tt.ok {
				t.Errorf("parse = %v, want ok %v", err, tt.ok)
			}
		})
	}
}

// TestClientStaysHere proves that a name which resolves elsewhere, and a redirect, lead
// nowhere even if the first check were passed.
func TestClientStaysHere(t *testing.T) {
	t.Parallel()
	client := newClient(1)
	dial := client.Transport.(*http.Transport).DialContext
	if conn, err := dial(t.Context(), "tcp", "192.0.2.1:80"); !errors.Is(err, errNotLoopback) {
		t.Errorf("dial = %v, %v; want a refusal", conn, err)
	}
	srv := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	t.Cleanup(srv.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil || res.StatusCode != http.StatusFound {
		t.Fatalf("Do = %v, %v; want the redirect itself", res, err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"-url", "http://127.0.0.1:1", "-server", "x"}, {"-server", "x", "extra"},
		{"-server", "x", "-connections", "0"}, {"-server", "x", "-connections", "100000"}, {"-server", "x", "-duration", "24h"},
		{"-server", "x", "-warmup", "-1s"}, {"-server", "x", "-users", "-1"}, {"-server", "x", "-users", "1000000000"},
		{"-server", "x", "-scenarios", "health,nothing"}, {"-server", "x", "-format", "pdf"}, {"-server", "x", "-env", "novalue"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	var help bytes.Buffer
	if _, err := parse([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
	for _, name := range append(scenarioNames(), "-server", "-database", "loopback") {
		if !strings.Contains(help.String(), name) {
			t.Errorf("the help doesn't say %q", name)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := 1; i <= 100; i++ {
		hundred = append(hundred, time.Duration(i)*time.Microsecond)
	}
	for _, tt := range []struct {
		name   string
		sorted []time.Duration
		q      float64
		want   float64
	}{
		{"none", nil, 0.5, 0},
		{"one", hundred[:1], 0.99, 1},
		{"two", hundred[:2], 0.5, 1},
		{"median", hundred, 0.5, 50},
		{"p95", hundred, 0.95, 95},
		{"p99", hundred, 0.99, 99},
		{"all", hundred, 1, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := percentile(tt.sorted, tt.q); got != tt.want {
				t.Errorf("percentile = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	const line = "4711 (a (strange) name) S 42 1 1 0 -1 4194560 10 20 0 0 150 50 7 3 20 0 1 0 99 0 0"
	got, err := parseStat(line)
	want := stat{parent: 42, own: 2 * time.Second, children: 100 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("parseStat = %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S", "1 (x) S a b c d e f g h i j k l m n o"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := readStat(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a process that does not exist: %v", err)
	}
}

// TestRealServer runs every scenario for a moment against the real binary, with users
// inserted straight into the database: so it also proves that these can sign in.
func TestRealServer(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the binary")
	}
	root := filepath.Join("..", "..")
	binary := filepath.Join(t.TempDir(), "cardea")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/cardea")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	databases := map[string]func(*testing.T) string{
		"sqlite":   func(*testing.T) string { return "sqlite" },
		"postgres": func(t *testing.T) string { t.Helper(); return pgtest.Superuser(t) },
	}
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, progress bytes.Buffer
			err := run(t.Context(), []string{
				"-server", binary, "-database", database(t), "-users", "300", "-sessions", "4", "-connections", "2",
				"-duration", "300ms", "-warmup", "50ms", "-format", "json",
			}, &out, &progress)
			if err != nil {
				t.Fatalf("%v\n%s%s", err, progress.String(), out.String())
			}
			var r report
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			if len(r.Results) != len(scenarioNames()) || r.Database != name || r.Users != 300 || r.StartMS <= 0 {
				t.Errorf("report: %+v", r)
			}
		})
	}
}
