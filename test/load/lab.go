package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// password is that of every account which this program makes.
const password = "load-tester-passphrase-71"

// lab is everything that a measurement needs: a server, its database, accounts.
type lab struct {
	settings
	base     string // address of the server, no trailing slash
	client   *http.Client
	progress io.Writer
	store    seeder // nil when users can't be inserted
	watch    watcher
	started  time.Duration // from exec to the first healthy answer; 0 with -url
	signedIn []*device
	undo     []func() error // what close does, last first
}

func (l *lab) say(format string, args ...any) { fmt.Fprintf(l.progress, format+"\n", args...) }

// openLab starts the server if asked, inserts the users and finds the processes to watch.
func openLab(ctx context.Context, s settings, progress io.Writer) (*lab, error) {
	l := &lab{settings: s, progress: progress, client: newClient(s.conns), base: strings.TrimRight(s.url, "/")}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) open(ctx context.Context) error {
	if l.server != "" {
		if err := l.startServer(ctx); err != nil {
			return err
		}
	} else if err := l.healthy(ctx); err != nil {
		return err
	}
	if err := l.openStore(ctx); err != nil {
		return err
	}
	l.watch.server = l.pid
	if l.users == 0 {
		return nil
	}
	if l.store == nil {
		return errors.New("-users needs -database: the URL of the database that the server uses")
	}
	begin := time.Now()
	if err := l.seed(ctx); err != nil {
		return fmt.Errorf("insert users: %w", err)
	}
	l.say("%d users inserted in %v", l.users, time.Since(begin).Round(time.Millisecond))
	return nil
}

// openStore opens the database for inserting, and finds PostgreSQL's processes.
func (l *lab) openStore(ctx context.Context) error {
	if l.url != "" && l.database == "sqlite" { // the default says nothing about a running server
		return nil
	}
	store, err := openSeeder(ctx, l.database)
	if err != nil {
		return err
	}
	l.store = store
	l.undo = append(l.undo, store.close)
	l.watch.postmaster, err = store.postmaster(ctx)
	return err
}

// startServer makes a database, migrates it and starts the server on it.
func (l *lab) startServer(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "cardea-load-")
	if err != nil {
		return err
	}
	l.undo = append(l.undo, func() error { return os.RemoveAll(folder) })
	if l.database == "sqlite" {
		l.database = "sqlite://" + filepath.Join(folder, "cardea.db")
	} else {
		drop, url, err := createDatabase(ctx, l.database)
		if err != nil {
			return err
		}
		l.database = url
		l.undo = append(l.undo, drop)
	}
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	l.base = "http://" + addr
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	env := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + folder,
		"CARDEA_LISTEN=" + addr, "CARDEA_PUBLIC_URL=" + l.base, "CARDEA_DATA=" + folder,
		"DATABASE_URL=" + l.database, "CARDEA_ENCRYPTION_KEY=" + hex.EncodeToString(key[:]),
		"CARDEA_EMAIL_AUTOCONFIRM=true", "CARDEA_RATE_LIMIT_ENABLED=false",
	}, l.env...)
	binary, err := filepath.Abs(l.server)
	if err != nil {
		return err
	}
	migrate := exec.CommandContext(ctx, binary, "migrate")
	migrate.Env, migrate.Dir = env, folder
	if out, err := migrate.CombinedOutput(); err != nil {
		return fmt.Errorf("cardea migrate: %w\n%s", err, out)
	}
	return l.serve(ctx, binary, folder, env)
}

// serve starts the process and waits for its first healthy answer.
func (l *lab) serve(ctx context.Context, binary, folder string, env []string) error {
	log, err := os.Create(filepath.Join(folder, "server.log")) // a real log, as in production
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, "serve")
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, folder, log, log
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	l.undo = append(l.undo, func() error {
		defer log.Close()
		return stopProcess(cmd.Process, gone)
	})
	for {
		if err := l.healthy(ctx); err == nil {
			break
		}
		select {
		case err := <-gone:
			gone <- err
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("cardea serve ended: %w\n%s", err, text)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
		if time.Since(begin) > time.Minute {
			return errors.New("cardea serve doesn't answer")
		}
	}
	l.pid, l.started = cmd.Process.Pid, time.Since(begin)
	return nil
}

// stopProcess asks the server to stop, and ends it when it doesn't.
func stopProcess(p *os.Process, gone <-chan error) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-gone:
		return err
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("cardea serve didn't stop in 30 s"), p.Kill())
	}
}

// healthy asks once.
func (l *lab) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+"/auth/v1/health", nil)
	if err != nil {
		return err
	}
	return l.send(req, http.StatusOK, nil)
}

// close undoes what open did.
func (l *lab) close() error {
	l.client.CloseIdleConnections()
	var errs []error
	for i := len(l.undo) - 1; i >= 0; i-- {
		errs = append(errs, l.undo[i]())
	}
	l.undo = nil
	return errors.Join(errs...)
}

// freeAddress gives a loopback address that nobody listens on now.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
