package main

import (
	"bufio"
	"errors"

	"github.com/cardea-auth/cardea/internal/moving"
)

type exportCmd struct {
	Users exportUsersCmd `cmd:"" help:"Write every account, in a form that 'cardea import' reads."`
}

type exportUsersCmd struct {
	commonFlags
	Form   string `help:"ndjson, which has everything, or csv, which has one membership of each account." enum:"ndjson,csv" default:"ndjson"`
	Out    string `help:"File to write, readable by you only. Without it: standard output." placeholder:"FILE" type:"path"`
	Hashes bool   `help:"With password hashes. They are nearly as good as passwords, so --out is needed."`
}

// Run writes the accounts.
func (c *exportUsersCmd) Run(a *app) (err error) {
	if c.Hashes && c.Out == "" {
		return usageError{"--hashes needs --out: a terminal, a pipe or a log is no place for password hashes"}
	}
	if r, err := a.remote(); err != nil || r.url != "" {
		if err == nil {
			err = usageError{"an export works on the database itself: unset " + adminURL}
		}
		return err
	}
	srv, _, err := a.open(c.flags())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	to := a.stdout
	if c.Out != "" {
		f, err := privateFile(c.Out, false)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		to = f
	}
	m := srv.Mover("")
	if err := m.Recorded(a.ctx, c.Hashes); err != nil {
		return err
	}
	bar := a.progress("written")
	w := bufio.NewWriterSize(to, 64<<10)
	n, err := moving.Write(a.ctx, m.Store(), w, moving.WriteConfig{Form: c.Form, Hashes: c.Hashes, Told: func(n int64) { bar.tell(n, n) }})
	bar.done()
	if err = errors.Join(err, w.Flush()); err != nil {
		return err
	}
	a.say("%d accounts.", n)
	return nil
}
