package usersync_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/usersync"
	"github.com/cardea-auth/cardea/usersync/postgres"
	"github.com/cardea-auth/cardea/usersync/sqlite"
)

func TestMain(m *testing.M) {
	if where := os.Getenv(envChild); where != "" {
		os.Exit(child(where))
	}
	os.Exit(pgtest.Main(m))
}

// database is one that can be opened as often as there are processes.
type database struct {
	name  string
	dsn   string
	table string // before the name of each
}

// databases gives an empty one of each kind.
func databases(tb testing.TB) []database {
	tb.Helper()
	return []database{
		{"sqlite", "sqlite:" + filepath.Join(tb.TempDir(), "users.db"), "usersync_"},
		{"postgres", pgtest.New(tb), "usersync."},
	}
}

// openStore opens a database with a pool of its own, and migrates it.
func openStore(ctx context.Context, dsn string) (usersync.Store, func(query string) int, func(), error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		db, err := sqlite.Open(ctx, path)
		if err != nil {
			return nil, nil, nil, err
		}
		s, err := sqlite.New(db, sqlite.Config{})
		if err == nil {
			err = s.Migrate(ctx)
		}
		count := func(query string) (n int) {
			if err := db.QueryRowContext(ctx, query).Scan(&n); err != nil {
				return -1
			}
			return n
		}
		return s, count, func() { _ = db.Close() }, err
	}
	p, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := postgres.New(p, postgres.Config{})
	if err == nil {
		err = s.Migrate(ctx)
	}
	count := func(query string) (n int) {
		if err := p.QueryRow(ctx, query).Scan(&n); err != nil {
			return -1
		}
		return n
	}
	return s, count, p.Close, err
}

// store opens a database for a test.
func (d database) store(tb testing.TB) (usersync.Store, func(table string) int) {
	tb.Helper()
	s, count, stop, err := openStore(context.Background(), d.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	return s, func(table string) int { return count("SELECT count(*) FROM " + d.table + table) }
}

// onSQLite is a store for tests of what is above it.
func onSQLite(tb testing.TB) (usersync.Store, func(table string) int) {
	tb.Helper()
	return database{"sqlite", "sqlite:" + filepath.Join(tb.TempDir(), "users.db"), "usersync_"}.store(tb)
}

var errGone = errors.New("connection refused")

// moody is a store that can be down, and counts.
type moody struct {
	usersync.Store
	down  atomic.Bool
	calls atomic.Int32
}

func (m *moody) mood() error {
	m.calls.Add(1)
	if m.down.Load() {
		return errGone
	}
	return nil
}

func (m *moody) Find(ctx context.Context, issuer, subject string) (usersync.User, error) {
	if err := m.mood(); err != nil {
		return usersync.User{}, err
	}
	return m.Store.Find(ctx, issuer, subject)
}

func (m *moody) Sync(ctx context.Context, r usersync.Request) (usersync.Result, error) {
	if err := m.mood(); err != nil {
		return usersync.Result{}, err
	}
	return m.Store.Sync(ctx, r)
}

func (m *moody) Edit(ctx context.Context, e usersync.Edit) (usersync.User, error) {
	if err := m.mood(); err != nil {
		return usersync.User{}, err
	}
	return m.Store.Edit(ctx, e)
}

func (m *moody) Enqueue(ctx context.Context, t usersync.Task) error {
	if err := m.mood(); err != nil {
		return err
	}
	return m.Store.Enqueue(ctx, t)
}

// failures collects what OnFailure hears.
type failures struct {
	mu   sync.Mutex
	list []usersync.Failure
}

func (f *failures) hear(_ context.Context, one usersync.Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, one)
}

func (f *failures) ops() (s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.list {
		s += one.Op + " "
	}
	return strings.TrimSpace(s)
}

// issuer is a Supabase project of the test.
func issuer(t testing.TB) *cardeatest.Issuer {
	t.Helper()
	return cardeatest.New(t, cardeatest.Config{Verifier: cardea.Config{
		Issuers:      []cardea.Issuer{{Kind: cardea.KindSupabase, Introspection: cardea.Introspection{Kind: cardea.IntrospectionSupabase}}},
		ErrorEncoder: cardea.EncodeEnvelope,
	}})
}

// asks gives the source that asks the issuer of the test.
func asks(iss *cardeatest.Issuer) map[string]usersync.Source {
	return map[string]usersync.Source{iss.URL(): usersync.SupabaseUser{URL: iss.URL(), Client: iss.VerifierConfig().HTTPClient}}
}

func newSyncer(t testing.TB, iss *cardeatest.Issuer, c usersync.Config) *usersync.Syncer {
	t.Helper()
	if c.Now == nil {
		c.Now = iss.Clock().Now
	}
	if c.Sources == nil {
		c.Sources = asks(iss)
	}
	s, err := usersync.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// service is one route behind the guards: it says who calls.
func service(v *cardea.Verifier, users *usersync.Syncer) http.Handler {
	return v.Require(cardea.Authenticated(), users.Require())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := cardea.PrincipalFrom(r.Context())
		u, ok := usersync.UserFrom(r.Context())
		if ok != p.Provisioned || u.ID != p.LocalID {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Provisioned", map[bool]string{true: "yes", false: "no"}[ok])
		_, _ = w.Write([]byte(u.ID))
	}))
}

func send(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func secret(n byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+n)), 32)))
}

// report fails a test in which nothing should fail.
func report(t testing.TB) func(context.Context, usersync.Failure) {
	return func(_ context.Context, f usersync.Failure) { t.Errorf("failure: %s: %v", f.Op, f.Err) }
}

// respond makes an answer of an issuer.
func respond(status int, body any) *http.Response {
	rec := httptest.NewRecorder()
	rec.WriteHeader(status)
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	_, _ = rec.Write(text)
	return rec.Result()
}

// unix gives a clock that stands still.
func unix(seconds int64) func() time.Time { return func() time.Time { return time.Unix(seconds, 0) } }
