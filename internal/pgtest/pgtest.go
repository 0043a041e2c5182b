// Package pgtest gives each test a PostgreSQL database of its own.
//
// With CARDEA_TEST_DATABASE_URL (the URL of a superuser on a running server) the
// databases are made there. Otherwise one throw-away cluster per test process is
// started from local binaries: initdb and postgres from PATH, or the newest of
// /usr/lib/postgresql. It listens on a Unix socket in a private folder only, as it
// trusts whoever can reach it, and it dies with the test process, also when that is
// killed. Durability is switched off.
//
// Without a server and without binaries a test is skipped, but on a build machine
// (CI or CARDEA_REQUIRE_POSTGRES=1) it fails: a suite that silently tests half of
// what it should is worse than a red one.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	envURL     = "CARDEA_TEST_DATABASE_URL"
	envRequire = "CARDEA_REQUIRE_POSTGRES"

	adviceNoServer = "no PostgreSQL for this test: install the server binaries (Debian: apt-get install postgresql), " +
		"put initdb and postgres on PATH, or set " + envURL + " to a superuser's URL"
)

// harness is what the tests of one process share.
type harness struct {
	once    sync.Once
	admin   string   // superuser URL of the maintenance database
	cluster *cluster // nil with a server from outside
	err     error

	mu        sync.Mutex
	templates map[uintptr]*template
}

// template is a migrated database that others are copied from.
type template struct {
	once sync.Once
	name string
	err  error
}

// shared is package-level because a cluster takes a second to make and tests of one
// process have no other place in common.
//
//nolint:gochecknoglobals // one cluster per test process, guarded by once and mu
var shared = harness{templates: make(map[uintptr]*template)}

// Main runs the tests of a package and then stops the cluster. Call it from TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
// Without it the cluster still ends with the process; what stays behind then are the
// template databases on a server from outside.
func Main(m *testing.M) int {
	code := m.Run()
	shared.stop()
	return code
}

// Superuser gives the URL of the maintenance database, as a superuser.
func Superuser(tb testing.TB) string {
	tb.Helper()
	shared.once.Do(shared.start)
	if shared.err != nil {
		if os.Getenv("CI") != "" || os.Getenv(envRequire) == "1" || !isMissing(shared.err) {
			tb.Fatalf("%v", shared.err)
		}
		tb.Skipf("%v", shared.err)
	}
	return shared.admin
}

// New gives the postgres:// URL of a fresh, empty database, as a superuser. It is
// dropped when the test ends, whoever is still connected.
func New(tb testing.TB) string {
	tb.Helper()
	return shared.database(tb, "template1")
}

// NewMigrated is [New] with a schema: migrate runs once per process on a template
// database, and each call copies that (some 50 ms). It must be a top-level function,
// by which templates are told apart, and must have closed its connections when it
// returns.
func NewMigrated(tb testing.TB, migrate func(url string) error) string {
	tb.Helper()
	Superuser(tb)
	key := reflect.ValueOf(migrate).Pointer()
	shared.mu.Lock()
	t := shared.templates[key]
	if t == nil {
		t = &template{name: newName("template")}
		shared.templates[key] = t
	}
	shared.mu.Unlock()
	t.once.Do(func() {
		if t.err = shared.exec("CREATE DATABASE " + t.name); t.err == nil {
			t.err = migrate(shared.url(t.name))
		}
	})
	if t.err != nil {
		tb.Fatalf("pgtest: template database: %v", t.err)
	}
	return shared.database(tb, t.name)
}

// start finds or makes a server.
func (h *harness) start() {
	if u := os.Getenv(envURL); u != "" {
		h.admin = u
		if err := h.exec("SELECT 1"); err != nil {
			h.err = fmt.Errorf("pgtest: %s: %w", envURL, err)
		}
		return
	}
	h.cluster, h.err = startCluster()
	if h.err == nil {
		h.admin = h.cluster.url
	}
}

// stop ends the cluster, or removes the templates from a server that is not ours.
func (h *harness) stop() {
	if h.cluster != nil {
		h.cluster.stop()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.templates {
		if err := h.exec("DROP DATABASE IF EXISTS " + t.name + " WITH (FORCE)"); err != nil {
			fmt.Fprintf(os.Stderr, "pgtest: %v\n", err)
		}
	}
}

// database makes one copy of a template and drops it when the test ends.
func (h *harness) database(tb testing.TB, from string) string {
	tb.Helper()
	Superuser(tb)
	name := newName("test")
	if err := h.exec("CREATE DATABASE " + name + " TEMPLATE " + from); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := h.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return h.url(name)
}

// exec runs one statement on the maintenance database.
func (h *harness) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, h.admin)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// url is the maintenance URL with another database.
func (h *harness) url(name string) string {
	u, err := url.Parse(h.admin)
	if err != nil { // exec has connected with it
		panic("pgtest: " + err.Error())
	}
	u.Path = "/" + name
	return u.String()
}

// newName makes a database name that no other process makes, with our mark in it so
// that what a killed run left on a shared server can be told from other data.
func newName(kind string) string {
	var b [8]byte
	rand.Read(b[:])
	return "cardea_" + kind + "_" + hex.EncodeToString(b[:])
}
