package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// kinds are the databases that every test of this package runs on.
func kinds() []string { return []string{"sqlite", "postgres"} }

// databaseURL makes a fresh, migrated database.
func databaseURL(tb testing.TB, kind string) string {
	tb.Helper()
	if kind == "postgres" {
		return pgtest.NewMigrated(tb, migratePostgres)
	}
	url := "sqlite://" + filepath.Join(tb.TempDir(), "cardea.db")
	cfg := config.Config{DatabaseURL: url}
	if err := Migrate(context.Background(), cfg); err != nil {
		tb.Fatal(err)
	}
	return url
}

func migratePostgres(url string) error { return postgres.Migrate(context.Background(), url) }

func load(tb testing.TB, url string, settings ...string) config.Config {
	tb.Helper()
	cfg, _, err := config.Load(config.Sources{Env: append([]string{
		"DATABASE_URL=" + url, "CARDEA_ENCRYPTION_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "CARDEA_PUBLIC_URL=http://127.0.0.1:9999",
		"CARDEA_PASSWORD_ALGORITHM=bcrypt", "CARDEA_PASSWORD_BCRYPT_COST=4", "CARDEA_EMAIL_AUTOCONFIRM=true",
		"CARDEA_RATE_LIMIT_ENABLED=false",
	}, settings...)})
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

func open(tb testing.TB, cfg config.Config) *Server {
	tb.Helper()
	s, err := Open(context.Background(), cfg, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// answer is a decoded response.
type answer struct {
	Status  int
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Code    any    `json:"code"`
	Error   string `json:"error_code"`
	User    struct {
		ID string `json:"id"`
	} `json:"user"`
}

func call(s *Server, method, path, token, body string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	a := answer{}
	_ = json.Unmarshal(w.Body.Bytes(), &a) // logout has no body
	a.Status = w.Code
	return a
}

const (
	passwordPath = "/auth/v1/token?grant_type=password"
	refreshPath  = "/auth/v1/token?grant_type=refresh_token"
)

func credentials(email string) string {
	return fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, email)
}

func refreshBody(token string) string { return fmt.Sprintf(`{"refresh_token":%q}`, token) }

// counter counts round trips: a query or a batch is one.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// The statement budget of the architecture, from the HTTP request to the database.
func TestStatementBudget(t *testing.T) {
	t.Parallel()
	var count counter
	cfg := load(t, databaseURL(t, "postgres"))
	st, err := postgres.Open(t.Context(), postgres.Config{URL: cfg.DatabaseURL, Tracer: &count})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	s, err := assemble(t.Context(), cfg, Options{}, st)
	if err != nil {
		t.Fatal(err)
	}
	var last answer
	for _, step := range []struct {
		name         string
		method, path string
		token, body  func() string
		most         int64
		want         int
	}{
		{"sign-up with autoconfirm", "POST", "/auth/v1/signup", nil, func() string { return credentials("a@example.org") }, 2, 200},
		{"password sign-in", "POST", passwordPath, nil, func() string { return credentials("a@example.org") }, 2, 200},
		{"refresh", "POST", refreshPath, nil, func() string { return refreshBody(last.Refresh) }, 1, 200},
		{"GET /user", "GET", "/auth/v1/user", func() string { return last.Access }, nil, 1, 200},
		{"GET /user again", "GET", "/auth/v1/user", func() string { return last.Access }, nil, 1, 200},
		{"logout", "POST", "/auth/v1/logout?scope=local", func() string { return last.Access }, nil, 1, 204},
		{"forged refresh token", "POST", refreshPath, nil, func() string { return refreshBody("AAAAAAAAAAAAAAAAAAAAAAAA") }, 0, 400},
	} {
		var token, body string
		if step.token != nil {
			token = step.token()
		}
		if step.body != nil {
			body = step.body()
		}
		before := count.n.Load()
		a := call(s, step.method, step.path, token, body)
		n := count.n.Load() - before
		t.Logf("%-26s %d round trips", step.name, n)
		if a.Status != step.want || n > step.most {
			t.Errorf("%s: status %d with %d round trips, want %d with at most %d", step.name, a.Status, n, step.want, step.most)
		}
		if a.Access != "" {
			last = a
		}
	}
}

// A7.1: 50 simultaneous refreshes of one token, on two nodes: 50 answers, one live token.
// A7.2: the stolen parent kills the session.
func TestParallelRefresh(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := load(t, databaseURL(t, kind))
			nodes := []*Server{open(t, cfg), open(t, cfg)}
			first := call(nodes[0], "POST", "/auth/v1/signup", "", credentials("a@example.org"))
			answers := make([]answer, 50)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() { answers[i] = call(nodes[i%2], "POST", refreshPath, "", refreshBody(first.Refresh)) })
			}
			wg.Wait()
			tokens := map[string]bool{}
			for _, a := range answers {
				if a.Status != 200 {
					t.Fatalf("status %d, code %v", a.Status, a.Code)
				}
				tokens[a.Refresh] = true
			}
			if len(tokens) != 1 {
				t.Fatalf("%d live tokens, want 1", len(tokens))
			}
			next := call(nodes[1], "POST", refreshPath, "", refreshBody(answers[0].Refresh))
			if next.Status != 200 {
				t.Fatalf("the live token: status %d", next.Status)
			}
			// The first token is a grandparent now: whoever has it copied it.
			if a := call(nodes[0], "POST", refreshPath, "", refreshBody(first.Refresh)); a.Error != "refresh_token_already_used" {
				t.Fatalf("stolen token: %+v", a)
			}
			if a := call(nodes[1], "POST", refreshPath, "", refreshBody(next.Refresh)); a.Error != "refresh_token_not_found" {
				t.Fatalf("the newest token after the theft: %+v", a)
			}
			if a := call(nodes[1], "GET", "/auth/v1/user", next.Access, ""); a.Error != "session_not_found" {
				t.Fatalf("the access token after the theft: %+v", a)
			}
		})
	}
}

// Parallel sign-up of one address, on two nodes: one account (A1.1).
func TestParallelSignUp(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := load(t, databaseURL(t, kind))
			nodes := []*Server{open(t, cfg), open(t, cfg)}
			var made, refused atomic.Int64
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					switch a := call(nodes[i%2], "POST", "/auth/v1/signup", "", credentials([]string{"A@example.org", "a@EXAMPLE.org"}[i%2])); {
					case a.Status == 200:
						made.Add(1)
					case a.Error == "user_already_exists":
						refused.Add(1)
					default:
						t.Errorf("%+v", a)
					}
				})
			}
			wg.Wait()
			if made.Load() != 1 || refused.Load() != 19 {
				t.Errorf("%d accounts and %d refusals, want 1 and 19", made.Load(), refused.Load())
			}
		})
	}
}

// Graceful shutdown: a request in flight finishes, a new one finds nobody.
func TestShutdownFinishesRequestsInFlight(t *testing.T) {
	t.Parallel()
	s := open(t, load(t, databaseURL(t, "sqlite")))
	entered, release := make(chan struct{}), make(chan struct{})
	inner := s.handler
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		inner.ServeHTTP(w, r)
	})
	ln := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	got := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+ln.Addr().String()+"/auth/v1/signup",
			bytes.NewBufferString(credentials("a@example.org")))
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %d", res.StatusCode)
			}
		}
		got <- err
	}()
	<-entered
	stop()
	close(release)
	if err := <-got; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if a := call(&Server{handler: inner}, "POST", passwordPath, "", credentials("a@example.org")); a.Status != 200 {
		t.Errorf("what the request wrote is lost: %+v", a)
	}
}
