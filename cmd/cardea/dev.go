package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/server"
)

type devCmd struct {
	commonFlags
	listenFlags
	Output string `short:"o" help:"Form of the status block: pretty, env or json." enum:"pretty,env,json" default:"pretty"`
	Demo   bool   `help:"Make demo accounts in the data folder's own database." negatable:"" default:"true"`
}

// Run starts a development server. Everything that it makes is in the data folder.
func (c *devCmd) Run(a *app) error {
	flags := merge(c.commonFlags.flags(), c.listenFlags.flags())
	cfg, r, err := a.load(true, flags)
	if err != nil {
		return err
	}
	ln, cfg, err := a.listen(cfg, flags)
	if err != nil {
		return err
	}
	if err := cfg.EnsureDevFolder(nil); err != nil {
		return errors.Join(err, ln.Close())
	}
	log := logger(cfg, a.stderr)
	logNotes(log, &r)
	srv, err := server.Open(a.ctx, cfg, server.Options{Log: log, Version: versionOf().Version})
	if err != nil {
		return a.stopped(errors.Join(err, ln.Close()))
	}
	if err := c.prepare(a, srv, cfg, &r, ln); err != nil {
		return a.stopped(errors.Join(err, ln.Close(), srv.Close()))
	}
	err = srv.Serve(a.ctx, ln)
	if err = errors.Join(err, srv.Close(), removeState(cfg.DataDir)); err == nil {
		a.say("Stopped. The data is still in %s.", cfg.DataDir)
	}
	return err
}

// prepare makes keys and demo accounts, tells other commands where the server is, and
// prints the status block.
func (c *devCmd) prepare(a *app, srv *server.Server, cfg config.Config, r *config.Report, ln net.Listener) error {
	if _, err := ensureDevKeys(a.ctx, srv, cfg); err != nil {
		return err
	}
	if c.Demo && ownDatabase(cfg) {
		if _, err := ensureDemo(a.ctx, srv, cfg); err != nil {
			return err
		}
	}
	s, err := statusOf(srv, cfg, r)
	if err != nil {
		return err
	}
	state := serverState{PID: os.Getpid(), Listen: ln.Addr().String(), PublicURL: cfg.PublicURL, AuthURL: cfg.AuthURL(), Preset: cfg.Preset}
	if strings.ContainsAny(cfg.Preset, `/\.`) {
		if state.Preset, err = filepath.Abs(cfg.Preset); err != nil {
			return fmt.Errorf("preset: %w", err)
		}
	}
	if err := writePrivate(statePath(cfg.DataDir), state); err != nil {
		return err
	}
	if err := s.write(a.stdout, c.Output); err != nil {
		return err
	}
	a.say("Cardea listens on %s for development. Ctrl-C stops it.", ln.Addr())
	return nil
}

// ownDatabase reports whether the database is the data folder's own, which nobody else
// uses: demo accounts have well-known addresses and belong nowhere else.
func ownDatabase(cfg config.Config) bool {
	path, sqlite := cfg.SQLitePath()
	return sqlite && filepath.Clean(path) == filepath.Join(cfg.DataDir, "cardea.db")
}
