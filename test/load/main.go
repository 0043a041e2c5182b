// Command load measures what requests to a Cardea server cost: requests per second,
// latencies, and the processor time that one request takes of the server and of
// PostgreSQL. The last is the figure to compare, as it doesn't depend on how many
// processors the machine has or on what the load generator itself uses.
//
// It sends requests to addresses of this machine's loopback interface only, and every
// run is bounded in time and in number of requests.
//
// With -server it makes everything itself: a database, a migrated server, accounts.
// With -url it measures a server that runs already; switch its rate limits off first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Bounds of what may be asked for, so that a slip of the finger doesn't run for a day.
const (
	maxConnections = 256
	maxDuration    = 10 * time.Minute
	maxUsers       = 5_000_000
	maxSessions    = 20_000
	maxRequests    = 5_000_000 // of one scenario
)

// settings are the flags.
type settings struct {
	url       string
	pid       int
	server    string
	env       []string
	database  string
	users     int
	sessions  int
	conns     int
	duration  time.Duration
	warmup    time.Duration
	scenarios []string
	format    string
	jsonFile  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// run parses the arguments, measures and reports.
func run(ctx context.Context, args []string, stdout, progress io.Writer) error {
	s, err := parse(args, progress)
	if err != nil {
		return err
	}
	lab, err := openLab(ctx, s, progress)
	if err != nil {
		return err
	}
	report, err := lab.measureAll(ctx)
	if err = errors.Join(err, lab.close()); err != nil {
		return err
	}
	if s.jsonFile != "" {
		if err := writeFile(s.jsonFile, report); err != nil {
			return err
		}
	}
	if err := report.write(stdout, s.format); err != nil {
		return err
	}
	return report.failure()
}

// parse reads and checks the flags. Each may be given as a variable too: -users is
// LOAD_USERS.
func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	var chosen string
	names := scenarioNames()
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&s.server, "server", "", "`path` of a cardea binary: it is started on a free loopback port with a database of its own")
	f.StringVar(&s.url, "url", "", "base `URL` of a running server instead, such as http://127.0.0.1:8080")
	f.IntVar(&s.pid, "pid", 0, "process id of the server at -url, for its processor time")
	f.StringVar(&s.database, "database", "sqlite", "with -server: sqlite, or the superuser `URL` of a PostgreSQL on loopback, where a database is made and dropped;\nwith -url: the server's own postgres:// or sqlite:// URL, for inserting users and finding PostgreSQL's processes")
	f.Func("env", "`NAME=VALUE` for the server that -server starts; may be repeated", func(v string) error {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			return errors.New("must be NAME=VALUE")
		}
		s.env = append(s.env, v)
		return nil
	})
	f.IntVar(&s.users, "users", 1000, "accounts to insert into the database before measuring")
	f.IntVar(&s.sessions, "sessions", 64, "accounts that are signed in for the scenarios user and refresh; at least -connections are")
	f.IntVar(&s.conns, "connections", 16, "connections that send requests, each one after the other")
	f.DurationVar(&s.duration, "duration", 10*time.Second, "how long each scenario is measured")
	f.DurationVar(&s.warmup, "warmup", time.Second, "how long each scenario runs before it is measured")
	f.StringVar(&chosen, "scenarios", strings.Join(names, ","), "comma-separated: "+strings.Join(names, ", "))
	f.StringVar(&s.format, "format", "table", "what is printed: table, markdown or json")
	f.StringVar(&s.jsonFile, "json", "", "`file` for the report as JSON, besides what is printed")
	f.Usage = func() {
		fmt.Fprint(out, "load measures requests to a Cardea server on this machine.\n\n"+
			"  go run ./test/load -server ./bin/cardea -users 100000\n"+
			"  go run ./test/load -url http://127.0.0.1:8080 -pid 4711 -users 0 -scenarios jwks,health\n\nscenarios:\n")
		for _, sc := range scenarios() {
			fmt.Fprintf(out, "  %-8s %s\n", sc.name, sc.help)
		}
		fmt.Fprint(out, "\nflags (also as variables: -users is LOAD_USERS):\n")
		f.PrintDefaults()
	}
	if err := fromVariables(f); err != nil {
		return s, err
	}
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	for name := range strings.SplitSeq(chosen, ",") {
		s.scenarios = append(s.scenarios, strings.TrimSpace(name))
	}
	return s, s.check(names)
}

// fromVariables sets each flag whose variable is set; a flag on the command line wins.
func fromVariables(f *flag.FlagSet) error {
	var errs []error
	f.VisitAll(func(fl *flag.Flag) {
		name := "LOAD_" + strings.ToUpper(fl.Name)
		if v, ok := os.LookupEnv(name); ok {
			if err := f.Set(fl.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// check lists everything that is wrong with the settings.
func (s *settings) check(names []string) error {
	var errs []error
	within := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("-%s must be from %d to %d", name, low, high))
		}
	}
	within("connections", s.conns, 1, maxConnections)
	within("users", s.users, 0, maxUsers)
	within("sessions", s.sessions, 1, maxSessions)
	if s.duration <= 0 || s.duration > maxDuration || s.warmup < 0 || s.warmup > maxDuration {
		errs = append(errs, fmt.Errorf("-duration and -warmup are limited to %v", maxDuration))
	}
	if (s.server == "") == (s.url == "") {
		errs = append(errs, errors.New("give either -server or -url"))
	}
	if s.url != "" {
		if err := checkLoopbackURL(s.url); err != nil {
			errs = append(errs, fmt.Errorf("-url: %w", err))
		}
	}
	if strings.HasPrefix(s.database, "postgres") {
		if err := checkLoopbackDatabase(s.database); err != nil {
			errs = append(errs, fmt.Errorf("-database: %w", err))
		}
	}
	for _, name := range s.scenarios {
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("-scenarios: %q is not one of %s", name, strings.Join(names, ", ")))
		}
	}
	if !slices.Contains([]string{"table", "markdown", "json"}, s.format) {
		errs = append(errs, fmt.Errorf("-format: %q is not table, markdown or json", s.format))
	}
	return errors.Join(errs...)
}
