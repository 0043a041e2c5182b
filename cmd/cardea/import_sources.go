package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/moving"
	"github.com/cardea-auth/cardea/internal/server"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// closers closes several files.
type closers []io.Closer

// Close closes them all.
func (c closers) Close() error {
	var err error
	for _, f := range c {
		err = errors.Join(err, f.Close())
	}
	return err
}

// open opens files; "" gives nil.
func (c *closers) open(name string) (*os.File, error) {
	f, err := os.Open(name) //nolint:gosec // G304: the operator's own path
	if err == nil {
		*c = append(*c, f)
	}
	return f, err
}

// ofFile is an import that reads one file.
func (c *importFlags) ofFile(kind string, read func(f *os.File) (moving.Reader, error), more ...string) (*job, error) {
	if c.File == "" {
		return nil, usageError{"--file is missing: what is to be read?"}
	}
	j := &job{flags: c, kind: kind, files: append([]string{c.File}, more...)}
	j.open = func(*app, *server.Mover, auth.MoveProgress) (moving.Reader, io.Closer, error) {
		var files closers
		f, err := files.open(c.File)
		if err != nil {
			return nil, nil, err
		}
		r, err := read(f)
		return r, files, err
	}
	return j, nil
}

func (c *importFlags) runFile(a *app, kind string, read func(f *os.File) (moving.Reader, error)) error {
	j, err := c.ofFile(kind, read)
	if err != nil {
		return err
	}
	return j.run(a)
}

type importCardeaCmd struct{ importFlags }

// Run imports what an export has written.
func (c *importCardeaCmd) Run(a *app) error {
	return c.runFile(a, "cardea", func(f *os.File) (moving.Reader, error) { return moving.Cardea(f), nil })
}

type importCSVCmd struct {
	importFlags
	Ignore []string `help:"Columns that are not read." placeholder:"COLUMN,..."`
}

// Run imports columns.
func (c *importCSVCmd) Run(a *app) error {
	return c.runFile(a, "csv", func(f *os.File) (moving.Reader, error) { return moving.CSV(f, c.Ignore...) })
}

type importFirebaseCmd struct {
	importFlags
	HashKeyFile   string `help:"File with base64_signer_key of the project's password hash parameters. (On the command line everybody on the machine could see it.)" placeholder:"FILE" type:"path"`
	SaltSeparator string `help:"base64_salt_separator." default:"Bw==" placeholder:"BASE64"`
	Rounds        int    `help:"rounds." default:"8" placeholder:"N"`
	MemCost       int    `help:"mem_cost." default:"14" placeholder:"N"`
}

// Run imports the users of a Firebase project.
func (c *importFirebaseCmd) Run(a *app) error {
	var h moving.FirebaseHash
	if c.HashKeyFile != "" {
		doc, err := os.ReadFile(c.HashKeyFile)
		if err != nil {
			return usageError{err.Error()}
		}
		h = moving.FirebaseHash{SignerKey: strings.TrimSpace(string(doc)), SaltSeparator: c.SaltSeparator, Rounds: c.Rounds, MemCost: c.MemCost}
	}
	return c.runFile(a, "firebase", func(f *os.File) (moving.Reader, error) { return moving.Firebase(f, h) })
}

type importAuth0Cmd struct {
	importFlags
	Passwords string `help:"File of password hashes, as Auth0's support gives it out." placeholder:"FILE" type:"path"`
}

// Run imports the users of an Auth0 tenant.
func (c *importAuth0Cmd) Run(a *app) error {
	var more []string
	if c.Passwords != "" {
		more = append(more, c.Passwords)
	}
	j, err := c.ofFile("auth0", nil, more...)
	if err != nil {
		return err
	}
	j.open = twoFiles(c.File, c.Passwords, func(users, passwords moving.Input) (moving.Reader, error) { return moving.Auth0(users, passwords) })
	return j.run(a)
}

// twoFiles opens a file and the one that belongs to it, if there is one.
func twoFiles(first, second string, read func(first, second moving.Input) (moving.Reader, error)) func(*app, *server.Mover, auth.MoveProgress) (moving.Reader, io.Closer, error) {
	return func(*app, *server.Mover, auth.MoveProgress) (moving.Reader, io.Closer, error) {
		var files closers
		f, err := files.open(first)
		if err != nil {
			return nil, nil, err
		}
		var beside moving.Input // no typed nil
		if second != "" {
			s, err := files.open(second)
			if err != nil {
				return nil, files, err
			}
			beside = s
		}
		r, err := read(f, beside)
		return r, files, err
	}
}

type importKeycloakCmd struct{ importFlags }

// Run imports the users of a realm.
func (c *importKeycloakCmd) Run(a *app) error {
	return c.runFile(a, "keycloak", func(f *os.File) (moving.Reader, error) { return moving.Keycloak(f), nil })
}

// formOf gives the form of a file of rows by its name.
func formOf(name string) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return moving.FormCSV
	case ".sql", ".dump":
		return moving.FormDump
	}
	return moving.FormNDJSON
}

// database reads a URL from a variable, so that its password is in no list of processes.
func (a *app) database(from string) (string, error) {
	name, isVariable := strings.CutPrefix(from, "env:")
	if !isVariable {
		return from, nil
	}
	for _, pair := range a.env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value, nil
		}
	}
	return "", usageError{"--from: the variable " + name + " is not set"}
}

// ofDatabase is an import that reads another database.
func (c *importFlags) ofDatabase(a *app, kind, from, table string, seeks bool, read func(doc []byte, line int64) (moving.Record, error)) (*job, error) {
	url, err := a.database(from)
	if err != nil {
		return nil, err
	}
	if c.File != "" {
		return nil, usageError{"give --file or --from, not both"}
	}
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return nil, usageError{"--from must be postgres://... or env:VARIABLE"}
	}
	j := &job{flags: c, kind: kind, from: table, seeks: seeks}
	j.open = func(a *app, _ *server.Mover, at auth.MoveProgress) (moving.Reader, io.Closer, error) {
		rows, err := server.ReadForeign(context.WithoutCancel(a.ctx), url, table, at.After)
		if err != nil {
			return nil, nil, err
		}
		return moving.Documents(rows.Next, read), rows, nil
	}
	return j, nil
}

type importSupabaseCmd struct {
	importFlags
	From       string `help:"Database of the other system: postgres://... or env:VARIABLE that holds it. It is only read." placeholder:"URL"`
	Identities string `help:"Rows of auth.identities, when --file has auth.users only." placeholder:"FILE" type:"path"`
}

// Run imports GoTrue's users.
func (c *importSupabaseCmd) Run(a *app) error {
	if c.From != "" {
		j, err := c.ofDatabase(a, "supabase", c.From, postgres.GoTrueUsers, true, moving.SupabaseRow)
		if err != nil {
			return err
		}
		return j.run(a)
	}
	var more []string
	if c.Identities != "" {
		more = append(more, c.Identities)
	}
	j, err := c.ofFile("supabase", nil, more...)
	if err != nil {
		return err
	}
	form, second := formOf(c.File), c.Identities
	switch {
	case second != "" && formOf(second) != form:
		return usageError{"--file and --identities must be of the same kind: both .csv, .ndjson or .sql"}
	case second == "" && form == moving.FormDump:
		second = c.File
	}
	j.open = twoFiles(c.File, second, func(users, identities moving.Input) (moving.Reader, error) {
		return moving.Supabase(users, identities, form)
	})
	return j.run(a)
}

type importGroupsCmd struct {
	importFlags
	From       string `help:"Database of the legacy system: postgres://... or env:VARIABLE that holds it. It is only read, and its passwords are not." placeholder:"URL"`
	Table      string `help:"Table, with its schema." default:"dd_api.groups" placeholder:"TABLE"`
	Role       string `help:"Role of each account." default:"physician" placeholder:"ROLE"`
	TenantRole string `help:"Role in the tenant of its vendor. Without it: that of --role." placeholder:"ROLE"`
	Superuser  string `help:"Role that those with the permission superuser get besides. Without it: none." placeholder:"ROLE"`
}

// Run imports physicians, tenants for their vendors, and gives each a link.
func (c *importGroupsCmd) Run(a *app) error {
	g := moving.GroupsConfig{Form: formOf(c.File), Table: c.Table, Role: c.Role, TenantRole: c.TenantRole, Superuser: c.Superuser}
	var j *job
	var err error
	if c.From != "" {
		j, err = c.ofDatabase(a, "groups", c.From, c.Table, false, moving.GroupsRow(g))
	} else {
		j, err = c.ofFile("groups", func(f *os.File) (moving.Reader, error) { return moving.Groups(f, g) })
	}
	if err != nil {
		return err
	}
	j.links, j.roles = true, []string{c.Role, c.TenantRole, c.Superuser}
	return j.run(a)
}
