package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds how long a server may take to answer; a loaded build machine
// needs more than the usual 0.2 s.
const startTimeout = 60 * time.Second

// watchdog waits until its standard input ends, which the kernel sees to when the
// test process goes, however it goes, and then ends the server and removes its files.
// SIGQUIT is PostgreSQL's immediate shutdown: nothing here is worth a checkpoint.
const watchdog = `cat >/dev/null; kill -QUIT "$1" 2>/dev/null
while kill -0 "$1" 2>/dev/null; do sleep 0.02; done
rm -rf "$2"`

var errMissing = errors.New(adviceNoServer)

func isMissing(err error) bool { return errors.Is(err, errMissing) }

// cluster is a running server of our own.
type cluster struct {
	url    string
	dir    string
	guard  io.Closer     // standard input of the watchdog
	exited chan struct{} // closed when the server process has been reaped
	gone   chan struct{} // closed when the watchdog has cleaned up
}

// startCluster makes a cluster in a private folder and waits until it answers.
func startCluster() (*cluster, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "cardea-pg-") // short: the path of a Unix socket has at most 103 bytes
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	c := &cluster{dir: dir, exited: make(chan struct{}), gone: make(chan struct{})}
	if err := c.launch(bin); err != nil {
		c.stop()
		if rmErr := os.RemoveAll(dir); rmErr != nil {
			err = errors.Join(err, rmErr)
		}
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	return c, nil
}

func (c *cluster) launch(bin string) error {
	attr, err := unprivileged(c.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres",
		"-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = c.dir, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}

	var log bytes.Buffer
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data)
	for _, setting := range []string{
		"listen_addresses=", "unix_socket_directories=" + c.dir, "unix_socket_permissions=0700", "port=5432",
		"max_connections=300", "shared_buffers=64MB", "timezone=UTC",
		"fsync=off", "synchronous_commit=off", "full_page_writes=off",
		"autovacuum=off", // its statistics would change plans in the middle of a test about plans
		"wal_level=minimal", "max_wal_senders=0", "log_min_messages=fatal", "log_min_error_statement=panic",
	} {
		server.Args = append(server.Args, "-c", setting)
	}
	server.Dir, server.SysProcAttr = c.dir, attr
	server.Stderr = &log
	if err := server.Start(); err != nil {
		close(c.exited)
		return fmt.Errorf("starting postgres: %w", err)
	}
	go func() {
		_ = server.Wait() // how a killed server ends is of no interest
		close(c.exited)
	}()
	if err := c.watch(server.Process.Pid); err != nil {
		return errors.Join(err, server.Process.Kill())
	}

	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: "localhost:5432", Path: "/postgres",
		RawQuery: url.Values{"host": {c.dir}, "sslmode": {"disable"}}.Encode()}
	c.url = u.String()
	if err := c.awaitReady(); err != nil {
		c.stop()
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	return nil
}

// watch starts the watchdog over the server.
func (c *cluster) watch(pid int) error {
	attr, err := unprivileged(c.dir)
	if err != nil {
		return err
	}
	dog := exec.Command("/bin/sh", "-c", watchdog, "sh", strconv.Itoa(pid), c.dir)
	dog.Dir, dog.SysProcAttr = "/", attr
	in, err := dog.StdinPipe()
	if err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	if err := dog.Start(); err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	c.guard = in
	go func() {
		_ = dog.Wait()
		close(c.gone)
	}()
	return nil
}

// awaitReady asks until the server answers, ends, or takes too long.
func (c *cluster) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			return errors.New("postgres ended while it was starting")
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// stop ends the server and waits until its files are gone. It may be called again.
func (c *cluster) stop() {
	if c.guard == nil {
		return
	}
	_ = c.guard.Close()
	c.guard = nil
	<-c.exited
	<-c.gone
}

// findBinaries gives the folder of initdb and postgres.
func findBinaries() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil && hasServer(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	best, bestVersion := "", -1
	for _, dir := range dirs {
		v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err == nil && v > bestVersion && hasServer(dir) {
			best, bestVersion = dir, v
		}
	}
	if best == "" {
		return "", errMissing
	}
	return best, nil
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}
