package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/server"
)

type serveCmd struct {
	commonFlags
	listenFlags
	Migrate *bool `help:"Bring the database's schema up to date first (CARDEA_MIGRATE_ON_START)." negatable:""`
}

// Run starts the server and returns when it was told to stop and has finished its work.
func (c *serveCmd) Run(a *app) error {
	flags := merge(c.commonFlags.flags(), c.listenFlags.flags())
	if c.Migrate != nil {
		flags["migrate"] = map[bool]string{true: "true", false: "false"}[*c.Migrate]
	}
	cfg, r, err := a.load(false, flags)
	if err != nil {
		return err
	}
	log := logger(cfg, a.stderr)
	logNotes(log, &r)
	ln, cfg, err := a.listen(cfg, flags)
	if err != nil {
		return err
	}
	srv, err := server.Open(a.ctx, cfg, server.Options{Log: log, Version: versionOf().Version})
	if err != nil {
		return a.stopped(errors.Join(err, ln.Close()))
	}
	log.Info("listening", "address", ln.Addr().String(), "auth_url", cfg.AuthURL(), "version", versionOf().Version)
	err = srv.Serve(a.ctx, ln)
	if err = errors.Join(err, srv.Close()); err == nil {
		log.Info("stopped")
	}
	return err
}

// stopped makes a stop that was asked for while the server was still starting a good end:
// a service manager that changes its mind has seen no failure.
func (a *app) stopped(err error) error {
	if a.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		a.say("Stopped before it had started.")
		return nil
	}
	return err
}

// logNotes tells at start what the configuration allows against good custom, and what it
// ignores.
func logNotes(log *slog.Logger, r *config.Report) {
	for _, w := range r.Warnings {
		log.Warn("configuration: "+w.What, "setting", w.Setting, "fix", w.Fix)
	}
	for _, n := range r.Unused {
		log.Warn("configuration: "+n.Text, "setting", n.Name)
	}
}
