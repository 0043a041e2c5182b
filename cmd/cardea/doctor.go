package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/server"
	"github.com/cardea-auth/cardea/internal/store/postgres"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
)

type doctorCmd struct {
	commonFlags
	listenFlags
	Mode   string `help:"Whose configuration: serve, dev, or auto (dev when no database is configured and the data folder has been used)." enum:"auto,dev,serve" default:"auto"`
	All    bool   `help:"Show the settings that nobody gave, too."`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// finding is one thing that doctor looked at.
type finding struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail"`
}

// What a finding can be.
const (
	fine    = "ok"
	pending = "todo" // as it should be before the next step, such as an empty database
	failed  = "FAILED"
)

// diagnosis is everything that doctor found.
type diagnosis struct {
	Mode   string        `json:"mode"`
	OK     bool          `json:"ok"`
	Report config.Report `json:"configuration"`
	Checks []finding     `json:"checks"`
}

// errUnwell is the failure of a check; the checks were printed already.
var errUnwell = errors.New("not ready: see above")

// Run explains the configuration and tries the database. It changes nothing, except that
// a migrated database without keys gets its first ones, as from any other command.
func (c *doctorCmd) Run(a *app) error {
	flags := merge(c.commonFlags.flags(), c.listenFlags.flags())
	dev := c.Mode == "dev" || c.Mode == "auto" && a.isDev(flags)
	cfg, r, err := a.load(dev, flags)
	d := diagnosis{Mode: "serve", OK: true, Report: r}
	if dev {
		d.Mode = "dev"
	}
	if err != nil {
		d.OK = false
	} else {
		d.Checks = a.examine(cfg)
		for _, check := range d.Checks {
			d.OK = d.OK && check.Status != failed
		}
	}
	write := d.pretty
	if c.Output == "json" {
		write = func(w io.Writer, _ bool) error { return writeJSON(w, d) }
	}
	if err := write(a.stdout, c.All); err != nil {
		return err
	}
	switch {
	case err != nil:
		return err
	case !d.OK:
		return errUnwell
	}
	return nil
}

// examine tries what the configuration names. Opening the server reads the database's
// schema and unseals the keys.
func (a *app) examine(cfg config.Config) []finding {
	cfg.DB.MigrateOnStart = false
	if err := databaseExists(cfg); err != nil {
		return []finding{{Name: "database", Status: pending, Detail: err.Error()}}
	}
	if cfg.Dev && !cfg.EncryptionKey.Set() {
		return []finding{{Name: "encryption key", Status: pending, Detail: "there is none in " + cfg.DataDir + ": run `cardea dev`, which makes one"}}
	}
	srv, err := server.Open(a.ctx, cfg, server.Options{})
	switch {
	case errors.Is(err, sqlite.ErrSchemaOlder), errors.Is(err, postgres.ErrSchemaOlder):
		return []finding{{Name: "database", Status: pending, Detail: "reachable; run `cardea migrate`"}}
	case err != nil:
		return []finding{{Name: "database and keys", Status: failed, Detail: err.Error()}}
	}
	defer srv.Close() //nolint:errcheck // only read from
	checks := []finding{{Name: "database", Status: fine, Detail: "reachable, with this version's schema"}}
	for _, k := range srv.Keys().List() {
		if k.Use == "access" && k.Status == "current" {
			checks = append(checks, finding{Name: "signing key", Status: fine, Detail: fmt.Sprintf("%s %s", k.Algorithm, k.ID)})
		}
	}
	return checks
}

// pretty prints the settings that somebody gave (or all), then notes, checks and
// problems. The problems themselves come with the error, on standard error.
func (d *diagnosis) pretty(w io.Writer, all bool) error {
	if _, err := fmt.Fprintf(w, "Mode: %s\n\n", d.Mode); err != nil {
		return err
	}
	rows := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, e := range d.Report.Settings {
		if all || e.Source != "default" {
			rows = append(rows, []string{e.Name, e.Value, e.Source})
		}
	}
	if len(rows) == 1 {
		rows = append(rows, []string{"(nothing is set)"})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	lines := []string{}
	for _, n := range d.Report.Unused {
		lines = append(lines, "unused   "+n.Name+": "+n.Text)
	}
	for _, p := range d.Report.Warnings {
		lines = append(lines, "warning  "+p.String()+" (fix: "+p.Fix+")")
	}
	for _, c := range d.Checks {
		lines = append(lines, fmt.Sprintf("%-8s %s: %s", c.Status, c.Name, c.Detail))
	}
	if len(lines) > 0 {
		lines = append([]string{""}, lines...)
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(w, printable(l)); err != nil {
			return err
		}
	}
	return nil
}
