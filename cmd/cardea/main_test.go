package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // to make a database newer than this program

	"github.com/cardea-auth/cardea/internal/pgtest"
)

func TestMain(m *testing.M) { testscript.Main(withPostgres{m}, map[string]func(){"cardea": main}) }

// withPostgres stops the cluster of the tests after them.
type withPostgres struct{ m *testing.M }

// Run implements testscript.TestingM.
func (w withPostgres) Run() int { return pgtest.Main(w.m) }

// TestScripts runs the executable specification in testdata. The scripts have commands
// besides testscript's own:
//
//	started FOLDER                    waits until the development server of the folder answers
//	freeport VAR                      puts a loopback address with a free port into a variable
//	serving ADDRESS                   waits until the server there, the last one in the background, answers
//	terminate                         sends it SIGTERM, as service managers do
//	http STATUS METHOD PATH [BODY]    asks that server; the answer is the new stdout. $TOKEN is sent if set
//	finish METHOD PATH BODY           sends half a request, stops the server, sends the rest: the answer must be 200
//	newer FILE                        makes a SQLite database look as if a later version had migrated it
//	mode PERM FILE...                 checks permissions
//	savejson VAR FILE KEY             puts the text of a JSON member into a variable
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("KEY", strings.Repeat("0123456789abcdef", 4))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"started": started, "freeport": freePort, "serving": serving, "terminate": terminate, "http": request, "finish": finish, "newer": newer, "mode": mode, "savejson": saveJSON,
		},
	})
}

const patience = 20 * time.Second

// poll asks until the answer is true.
func poll(ts *testscript.TestScript, what string, done func() bool) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-ticker.C {
		if done() {
			return
		}
	}
	ts.Fatalf("gave up waiting: %s", what)
}

func started(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: started FOLDER")
	}
	poll(ts, "the server of "+args[0], func() bool {
		s, ok := readState(ts.MkAbs(args[0]))
		if !ok || !s.running(context.Background()) {
			return false
		}
		ts.Setenv("AUTH_URL", s.AuthURL)
		ts.Setenv("SERVER", s.Listen)
		ts.Setenv("SERVER_PID", fmt.Sprint(s.PID))
		return true
	})
}

func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport VAR")
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], ln.Addr().String())
	ts.Check(ln.Close())
}

func serving(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serving ADDRESS")
	}
	processes := ts.BackgroundCmds()
	poll(ts, "the server at "+args[0], func() bool {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+args[0]+"/healthz", nil)
		ts.Check(err)
		res, err := http.DefaultClient.Do(req)
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	ts.Setenv("AUTH_URL", "http://"+args[0]+"/auth/v1")
	ts.Setenv("SERVER", args[0])
	ts.Setenv("SERVER_PID", fmt.Sprint(processes[len(processes)-1].Process.Pid))
}

func terminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: terminate")
	}
	signalServer(ts, syscall.SIGTERM)
}

func signalServer(ts *testscript.TestScript, sig os.Signal) {
	var pid int
	_, err := fmt.Sscan(ts.Getenv("SERVER_PID"), &pid)
	ts.Check(err)
	process, err := os.FindProcess(pid)
	ts.Check(err)
	ts.Check(process.Signal(sig))
}

func request(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http STATUS METHOD PATH [BODY]")
	}
	var body io.Reader
	if len(args) > 3 {
		body = strings.NewReader(args[3])
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[1], ts.Getenv("AUTH_URL")+args[2], body)
	ts.Check(err)
	if token := ts.Getenv("TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer.json"), text, 0o600))
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
	if fmt.Sprint(res.StatusCode) != args[0] {
		ts.Fatalf("%s %s: %s, want %s\n%s", args[1], args[2], res.Status, args[0], text)
	}
}

func finish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: finish METHOD PATH BODY")
	}
	address, half := ts.Getenv("SERVER"), len(args[2])/2
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", address)
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	// Expect: 100-continue makes the server tell when it has begun to work on the request.
	_, err = fmt.Fprintf(conn, "%s /auth/v1%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
		"Expect: 100-continue\r\nConnection: close\r\n\r\n", args[0], args[1], address, len(args[2]))
	ts.Check(err)
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	ts.Check(err)
	if !bytes.Contains(buf[:n], []byte("100 Continue")) {
		ts.Fatalf("the server didn't ask for the body: %s", buf[:n])
	}
	_, err = io.WriteString(conn, args[2][:half])
	ts.Check(err)
	signalServer(ts, os.Interrupt)
	poll(ts, "the server to stop listening", func() bool {
		return !serverState{Listen: address}.running(context.Background())
	})
	_, err = io.WriteString(conn, args[2][half:])
	ts.Check(err)
	answer, err := io.ReadAll(conn)
	ts.Check(err)
	if !bytes.Contains(answer, []byte("HTTP/1.1 200")) {
		ts.Fatalf("the request in flight: %s", answer)
	}
}

func newer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newer FILE")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.ExecContext(context.Background(), "INSERT INTO cardea_migrations (version_id, is_applied) VALUES (99990101000000, 1)")
	ts.Check(errors.Join(err, db.Close()))
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode PERM FILE...")
	}
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", filepath.Base(name), got, args[0])
		}
	}
}

func saveJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: savejson VAR FILE KEY")
	}
	_, rest, ok := strings.Cut(ts.ReadFile(args[1]), `"`+args[2]+`":`)
	_, rest, quoted := strings.Cut(rest, `"`)
	value, _, _ := strings.Cut(rest, `"`)
	if !ok || !quoted || value == "" {
		ts.Fatalf("%s has no %q", args[1], args[2])
	}
	ts.Setenv(args[0], value)
}
