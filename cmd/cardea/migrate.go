package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cardea-auth/cardea/internal/server"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

type migrateCmd struct {
	Up      migrateUpCmd      `cmd:"" default:"withargs" help:"Bring the database's schema up to date."`
	Adopt   migrateAdoptCmd   `cmd:"" help:"Take over the schema of a GoTrue (Supabase Auth) in place."`
	Release migrateReleaseCmd `cmd:"" help:"Give an adopted schema back to GoTrue."`
}

type migrateUpCmd struct {
	commonFlags
}

// Run migrates. Several at once wait for each other.
func (c *migrateUpCmd) Run(a *app) error {
	cfg, err := a.loadBeside(c.flags())
	if err != nil {
		return err
	}
	if err := server.Migrate(a.ctx, cfg); err != nil {
		return err
	}
	a.say("The database's schema is up to date.")
	return nil
}

type migrateAdoptCmd struct {
	commonFlags
	DryRun        bool          `help:"Check everything, and change nothing."`
	Plan          bool          `help:"Print the SQL of the adoption, and change nothing."`
	AcceptVersion string        `help:"A version of GoTrue's schema that is newer than those this program knows." placeholder:"VERSION"`
	LockTimeout   time.Duration `help:"Longest wait for a table that somebody uses." default:"10s"`
}

// Run takes over the schema. It changes nothing when something is wrong, and does nothing
// the second time.
func (c *migrateAdoptCmd) Run(a *app) error {
	if c.Plan {
		plan, err := postgres.AdoptPlan()
		if err == nil {
			_, err = io.WriteString(a.stdout, plan)
		}
		return err
	}
	cfg, err := a.loadBeside(c.flags())
	if err != nil {
		return err
	}
	r, err := server.Adopt(a.ctx, cfg, server.AdoptOptions{
		DryRun: c.DryRun, AcceptVersion: c.AcceptVersion, LockTimeout: c.LockTimeout,
		Notice: func(m string) { a.say("Note: %s", m) },
	})
	a.tell(r.Problems, r.Notes)
	switch {
	case err != nil:
		return explainAdoption(err)
	case r.Already:
		a.say("The schema was adopted before (GoTrue's version %s). It is up to date.", r.Version)
	case c.DryRun:
		a.say("Ready: GoTrue's schema %s with %d accounts and %d sessions. Nothing was changed.", r.Version, r.Users, r.Sessions)
	default:
		a.say("Adopted GoTrue's schema %s with %d accounts and %d sessions; its tables were closed for %s. The schema is up to date.",
			r.Version, r.Users, r.Sessions, r.Locked.Round(time.Millisecond))
	}
	return nil
}

type migrateReleaseCmd struct {
	commonFlags
	EndSessions bool          `help:"Don't write the keys of sessions into the database: everybody signs in again."`
	Remove      bool          `help:"Drop everything that Cardea has added, with what is in it."`
	LockTimeout time.Duration `help:"Longest wait for a table that somebody uses." default:"10s"`
}

// Run gives the schema back.
func (c *migrateReleaseCmd) Run(a *app) error {
	cfg, err := a.loadBeside(c.flags())
	if err != nil {
		return err
	}
	cfg.DB.MigrateOnStart = false
	r, err := server.Release(a.ctx, cfg, server.ReleaseOptions{EndSessions: c.EndSessions, Remove: c.Remove, LockTimeout: c.LockTimeout})
	a.tell(r.Problems, r.Notes)
	if err != nil {
		return explainAdoption(err)
	}
	for _, left := range r.Left {
		a.say("Note: left alone, as it isn't ours: %s", left)
	}
	a.say("The schema is GoTrue's again; %d sessions of Cardea go on with it. Run `cardea migrate adopt` to come back.", r.Sessions)
	return nil
}

// tell writes what was found.
func (a *app) tell(problems []postgres.AdoptProblem, notes []string) {
	for _, p := range problems {
		a.say("Problem: %s\n  What to do: %s", p.What, p.Fix)
	}
	for _, n := range notes {
		a.say("Note: %s", n)
	}
}

// explainAdoption says what an operator can do.
func explainAdoption(err error) error {
	switch {
	case errors.Is(err, postgres.ErrNotAdoptable):
		return errors.New("nothing was changed, because of the problems above")
	case errors.Is(err, postgres.ErrLocked):
		return fmt.Errorf("nothing was changed: somebody uses the tables, or migrates. Try again in a quiet moment, or with a longer --lock-timeout (%w)", err)
	case errors.Is(err, postgres.ErrNotAdopted):
		return errors.New("there is nothing to give back: this schema was not adopted from GoTrue, or has been given back already")
	}
	return err
}
