// Command cardea is the authentication server and the tool of its operators.
//
//	cardea dev        a server for development: SQLite, loopback, keys and demo accounts
//	cardea serve      the server for production
//	cardea migrate    bring the database's schema up to date
//	cardea status     addresses and keys, also as shell assignments (-o env)
//	cardea doctor     what is set, from where, and what is wrong
//	cardea users, tenants, roles, keys, api-keys
//	cardea import     move accounts in from Supabase, Firebase, Auth0, Keycloak, CSV
//	cardea export     write accounts into a file
//	cardea mail       look at messages, and send those again that were given up
//
// The commands of operators work on the configured database, or, with CARDEA_ADMIN_URL and
// CARDEA_ADMIN_KEY, on a running server through its API; both ways are package admin.
//
// Data goes to standard output, messages go to standard error. The exit code is 0 when
// everything went well, 1 for a failure, 2 for a wrong command line or configuration, and 3
// when an import has left accounts out.
// testdata/*.txt are the executable specification.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // it was tried and didn't work
	exitUsage   = 2 // the command line or the configuration is wrong: trying again won't help
	exitPartly  = 3 // it worked, but not for everything: an import has left accounts out
)

// cli is the command line. The flags of settings are named as in the settings table.
type cli struct {
	Dev     devCmd     `cmd:"" help:"Start a server for development: SQLite, loopback only, keys and demo accounts."`
	Serve   serveCmd   `cmd:"" help:"Start the server."`
	Migrate migrateCmd `cmd:"" help:"Bring the database's schema up to date."`
	Status  statusCmd  `cmd:"" help:"Print addresses and API keys."`
	Doctor  doctorCmd  `cmd:"" help:"Explain the configuration and check the database."`
	Users   usersCmd   `cmd:"" help:"Manage accounts."`
	Tenants tenantsCmd `cmd:"" help:"Manage tenants and their members."`
	Roles   rolesCmd   `cmd:"" help:"Look at the role catalogue, and ask it."`
	Keys    keysCmd    `cmd:"" help:"Manage the keys that sign tokens."`
	APIKeys apiKeysCmd `cmd:"" name:"api-keys" help:"Manage API keys (sb_publishable_..., sb_secret_...)."`
	Import  importCmd  `cmd:"" help:"Move accounts in from another system."`
	Export  exportCmd  `cmd:"" help:"Write accounts into a file."`
	Mail    mailCmd    `cmd:"" help:"Look at messages, and at those that could not be sent."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// usageError is a mistake of the caller.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// run is the whole program: it touches nothing but its arguments, files and the network.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{ctx: ctx, env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	helped := false
	parser, err := kong.New(&cli{}, kong.Name("cardea"), kong.Writers(stdout, stderr),
		kong.Description("Authentication server: a drop-in for Supabase Auth. Settings are environment variables; `cardea doctor` lists them."),
		kong.Exit(func(int) { helped = true }), // --help was printed; kong would end the process
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic("cardea: command line: " + err.Error()) // a wrong struct tag
	}
	parsed, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "cardea: %v\nRun `cardea --help` for the commands.\n", err)
		return exitUsage
	}
	return a.report(parsed.Run(a))
}

// report tells a failure and gives the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	a.say("cardea: %v", explain(err))
	var usage usageError
	var broken *config.Error
	if errors.As(err, &usage) || errors.As(err, &broken) {
		return exitUsage
	}
	var left partly
	if errors.As(err, &left) {
		return exitPartly
	}
	return exitFailure
}

// explain gives the sentence for people where an error has one.
func explain(err error) error {
	var e *auth.Error
	var refused *admin.Error
	switch {
	case errors.As(err, &refused):
		return explainAdmin(refused)
	case errors.As(err, &e) && e.Message != "":
		return errors.New(e.Message)
	case errors.As(err, &e) && e.Cause == nil:
		return errors.New(sentence(e.Code))
	case errors.Is(err, auth.ErrNotFound):
		return fmt.Errorf("there is no such entry (%w)", err)
	case errors.Is(err, auth.ErrConflict):
		return fmt.Errorf("somebody else changed the same thing at the same time; look at it again (%w)", err)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	}
	return err
}

// sentence says for people what a code without a message means.
func sentence(code auth.Code) string {
	switch code {
	case auth.CodeUserNotFound:
		return "there is no such account"
	case auth.CodeEmailExists:
		return "another account has this e-mail address"
	case auth.CodePhoneExists:
		return "another account has this phone number"
	}
	return string(code)
}
