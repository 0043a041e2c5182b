package cluster_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// eraserApp is an application that erases, slowly, and counts under which ids it was asked.
type eraserApp struct {
	*httptest.Server

	mu    sync.Mutex
	asked map[string]int
	total int
	more  chan struct{}
}

func newEraserApp(tb testing.TB) *eraserApp {
	tb.Helper()
	a := &eraserApp{asked: map[string]int{}, more: make(chan struct{}, 1)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var in struct {
			ID   string `json:"id"`
			User string `json:"user_id"`
		}
		if err != nil || json.Unmarshal(body, &in) != nil {
			return
		}
		a.mu.Lock()
		a.asked[in.ID]++
		a.total++
		a.mu.Unlock()
		select {
		case a.more <- struct{}{}:
		default:
		}
		<-time.After(30 * time.Millisecond) // a crash finds some on their way
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":%q,"user_id":%q,"status":"erased"}`, in.ID, in.User)
	}))
	tb.Cleanup(a.Close)
	return a
}

func (a *eraserApp) wait(tb testing.TB, n int) {
	tb.Helper()
	for deadline := time.After(30 * time.Second); ; {
		a.mu.Lock()
		got := a.total
		a.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-a.more:
		case <-deadline:
			tb.Fatalf("asked %d times, want %d", got, n)
		}
	}
}

// A16.3, B2.15: `kill -9` in the middle of deletions, several times. Every deletion that the
// server promised is completed by the next process, and nothing of the people is left.
//
// What a dead node had in hand comes back when its lease ends, after five minutes. The test
// puts that forward in the database.
func TestKillDuringErasure(t *testing.T) {
	t.Parallel()
	binary := build(t)
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			databaseURL, db, schema := database(t, kind)
			app := newEraserApp(t)
			file := filepath.Join(t.TempDir(), "collectors.yaml")
			text := "collectors:\n  - {name: cases, url: \"" + app.URL + "\", secret: \"v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\", phases: [erase]}\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			env := []string{
				"DATABASE_URL=" + databaseURL, "CARDEA_PUBLIC_URL=http://127.0.0.1:9999", "CARDEA_COLLECTORS=" + file,
				"CARDEA_ENCRYPTION_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
				"CARDEA_RATE_LIMIT_ENABLED=false", "CARDEA_EMAIL_AUTOCONFIRM=true", "CARDEA_PASSWORD_ALGORITHM=bcrypt", "CARDEA_PASSWORD_BCRYPT_COST=4",
			}
			count := func(what string) (n int) {
				t.Helper()
				if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+schema+what).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
			const kills, each = 3, 10
			asked := 0
			for round := range kills {
				n := start(t, binary, env)
				gone := make(chan struct{})
				go func() { defer close(gone); n.leave(t, round, each) }()
				asked += each / 2
				app.wait(t, asked)
				if round%2 == 0 {
					<-gone // all have been promised
				}
				n.kill(t)
				<-gone
				t.Logf("killed with %d deletions open", count("erasures WHERE finished_at IS NULL"))
				if _, err := db.ExecContext(t.Context(), "UPDATE "+schema+"erasures SET leased_until = NULL"); err != nil {
					t.Fatal(err)
				}
			}
			start(t, binary, env)
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.After(time.Minute); count("erasures WHERE finished_at IS NULL") > 0; {
				select {
				case <-tick.C:
				case <-deadline:
					t.Fatalf("%d deletions are still open", count("erasures WHERE finished_at IS NULL"))
				}
			}
			done := count("erasures")
			if done < 2*each || done != count("users WHERE deleted_at IS NOT NULL") || count("identities")+done != count("users") {
				t.Errorf("%d deletions, %d accounts gone, %d identities, %d accounts", done, count("users WHERE deleted_at IS NOT NULL"), count("identities"), count("users"))
			}
			if n := count("users WHERE deleted_at IS NOT NULL AND email IS NOT NULL"); n != 0 {
				t.Errorf("%d addresses are left", n)
			}
			if n := count("audit_log_entries WHERE CAST(payload AS text) LIKE '%user_erased%'"); n != done {
				t.Errorf("%d deletions, %d entries that they are complete", done, n)
			}
			app.mu.Lock()
			defer app.mu.Unlock()
			if len(app.asked) != done {
				t.Errorf("the application was asked for %d of %d", len(app.asked), done)
			}
		})
	}
}

// leave signs people up and deletes them, until the server is gone.
func (n *node) leave(tb testing.TB, round, count int) {
	tb.Helper()
	ask := func(method, path, token, body string) (string, bool) {
		r, err := http.NewRequestWithContext(tb.Context(), method, n.base+path, bytes.NewReader([]byte(body)))
		if err != nil {
			return "", false
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := client().Do(r)
		if err != nil {
			return "", false
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return string(b), err == nil && res.StatusCode < 300
	}
	for i := range count {
		text, ok := ask("POST", "/auth/v1/signup", "", fmt.Sprintf(`{"email":"round%d-%d@gone.example","password":"correct horse battery"}`, round, i))
		var tokens struct {
			Access string `json:"access_token"`
		}
		if !ok || json.Unmarshal([]byte(text), &tokens) != nil {
			return
		}
		if _, ok := ask("DELETE", "/api/users/me", tokens.Access, ""); !ok && !strings.Contains(text, "error") {
			return
		}
	}
}
