package usersync_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// envChild tells this program that it is a process of TestProcesses, and its database.
const envChild = "USERSYNC_TEST_CHILD"

const (
	processes = 2
	requests  = 10 // of each
)

// child is one process: it opens the database, waits for the others, and lets the first
// requests of one user come in.
func child(dsn string) int {
	store, _, stop, err := openStore(context.Background(), dsn)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	defer stop()
	users, err := usersync.New(usersync.Config{Store: store, Sources: map[string]usersync.Source{here: vouch{email: mail}}})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("ready")
	if _, err := io.ReadAll(os.Stdin); err != nil {
		return 1
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for n := range requests {
		wg.Go(func() {
			// Tokens differ, so that the requests don't share a flight.
			got, err := users.Ensure(context.Background(), &cardea.Principal{Issuer: here, Subject: "s1"}, fmt.Sprint(n))
			mu.Lock()
			defer mu.Unlock()
			fmt.Println("user", got.User.ID, err)
		})
	}
	wg.Wait()
	return 0
}

// vouch is a source that has proved one address.
type vouch struct{ email string }

func (v vouch) Ask(_ context.Context, p *cardea.Principal, _ string) (usersync.Identity, error) {
	return usersync.Identity{Issuer: p.Issuer, Subject: p.Subject, Email: v.email, EmailVerified: v.email != ""}, nil
}

// A15.1: two operating system processes, first requests of one subject in both: one user,
// one profile.
func TestProcesses(t *testing.T) {
	t.Parallel()
	for _, db := range databases(t) {
		t.Run(db.name, func(t *testing.T) {
			t.Parallel()
			_, count := db.store(t)
			var outs []*bufio.Scanner
			var gates []io.Closer
			for range processes {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), envChild+"="+db.dsn)
				in, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = cmd.Wait() })
				outs, gates = append(outs, bufio.NewScanner(out)), append(gates, in)
			}
			for _, out := range outs {
				if !out.Scan() || out.Text() != "ready" {
					t.Fatalf("a process says %q", out.Text())
				}
			}
			for _, gate := range gates {
				_ = gate.Close()
			}
			seen := map[string]int{}
			for _, out := range outs {
				for out.Scan() {
					if !strings.HasSuffix(out.Text(), " <nil>") {
						t.Error(out.Text())
					}
					seen[out.Text()]++
				}
			}
			if len(seen) != 1 {
				t.Errorf("rows: %v", seen)
			}
			for _, n := range seen {
				if n != processes*requests {
					t.Errorf("%d answers", n)
				}
			}
			if users, profiles := count("users"), count("profiles"); users != 1 || profiles != 1 {
				t.Errorf("%d users, %d profiles", users, profiles)
			}
		})
	}
}

// A15.1 over HTTP: 20 parallel first requests, on two nodes, all 200, and the hook is
// called once.
func TestFirstRequests(t *testing.T) {
	t.Parallel()
	for _, db := range databases(t) {
		t.Run(db.name, func(t *testing.T) {
			t.Parallel()
			iss := issuer(t)
			var nodes []http.Handler
			var count func(string) int
			var hooks sync.Map
			for range 2 {
				var store usersync.Store
				store, count = db.store(t)
				users := newSyncer(t, iss, usersync.Config{Store: store, OnFailure: report(t), OnCreated: func(_ context.Context, u usersync.User) error {
					if _, twice := hooks.LoadOrStore(u.ID, true); twice {
						t.Error("the hook was called twice")
					}
					return nil
				}})
				nodes = append(nodes, service(iss.Verifier(), users))
			}
			var wg sync.WaitGroup
			answers := make([]string, 20)
			for n := range answers {
				r := iss.Request("GET", "/me", cardeatest.User{Email: mail, SignedInAgo: time.Duration(n%4) * time.Second}) // four tokens
				wg.Go(func() {
					rec := send(nodes[n%2], r)
					answers[n] = fmt.Sprint(rec.Code, rec.Header().Get("Provisioned"), rec.Body)
				})
			}
			wg.Wait()
			for _, a := range answers {
				if a != answers[0] || !strings.HasPrefix(a, "200yes") {
					t.Errorf("%q, and %q", a, answers[0])
				}
			}
			if users, profiles := count("users"), count("profiles"); users != 1 || profiles != 1 || count("tasks") != 0 {
				t.Errorf("%d users, %d profiles, %d tasks", users, profiles, count("tasks"))
			}
		})
	}
}
