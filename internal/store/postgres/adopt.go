package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed adopt/*.sql
var adoptions embed.FS

const (
	// adoptedVersion is the migration that an adopted schema is brought to. What is newer
	// runs on it as on any other.
	adoptedVersion = 6

	// newestGoTrue is the newest schema of GoTrue that the statements of folder adopt were
	// written for and tested with.
	newestGoTrue = "20260625000000"

	// releasedVersions is what the table of versions is called while the schema is GoTrue's
	// again, so that no server of ours starts on it.
	releasedVersions = "auth.cardea_migrations_released"

	defaultLockTimeout = 10 * time.Second
)

// Errors of [Adopt], [Release] and [Migrate].
var (
	// ErrForeignSchema: schema auth was made by GoTrue, and Migrate would have to make the
	// same tables. Run Adopt.
	ErrForeignSchema = errors.New("postgres: schema auth is GoTrue's: it has to be adopted")
	// ErrNotAdoptable: the report says why. Nothing was changed.
	ErrNotAdoptable = errors.New("postgres: the schema can't be adopted as it is")
	// ErrNotAdopted: there is nothing to release.
	ErrNotAdopted = errors.New("postgres: this schema was not adopted from GoTrue")
	// ErrLocked: somebody uses the tables, or migrates. Nothing was changed.
	ErrLocked = errors.New("postgres: the tables are in use by somebody else")
)

// AdoptConfig says what [Adopt] works on. URL and Now are required.
type AdoptConfig struct {
	// URL is of an account that owns GoTrue's tables (supabase_auth_admin) or may act as
	// their owner. A direct connection, as for Migrate.
	URL string
	// Audience is the one that accounts are looked up with; others are pointed out.
	Audience string
	// AcceptVersion is a version of GoTrue's schema that is newer than those which are known,
	// and which the caller has looked at. "": none.
	AcceptVersion string
	// LockTimeout bounds the wait for each lock; 0 means 10 seconds.
	LockTimeout time.Duration
	// DryRun looks and changes nothing.
	DryRun bool
	Now    func() time.Time
	// Notice gets what an operator should read, as in MigrateNotify; may be nil.
	Notice func(message string)
}

// AdoptProblem is a reason not to begin.
type AdoptProblem struct{ What, Fix string }

// AdoptReport is what [Adopt] has found and done.
type AdoptReport struct {
	Version  string // newest entry of GoTrue's schema_migrations
	Already  bool   // adopted before: nothing to do
	Again    bool   // adopted before and given back
	Problems []AdoptProblem
	Notes    []string // what the operator should know; no reason not to begin
	Users    int64
	Sessions int64
	// Locked is how long the tables were closed to everybody else.
	Locked time.Duration
}

// Adopt takes over the schema of a GoTrue in place: it checks, and then, in one
// transaction, adds what the migrations up to number 6 would have made and notes that they
// have run. GoTrue's tables keep their names, columns and rows; foreign keys, triggers,
// policies and grants of the application are not touched. Afterwards [Migrate] goes on.
//
// With a problem found, or when the tables can't be locked in time, nothing is changed
// (ErrNotAdoptable, ErrLocked). Of several callers at once one adopts, and the others
// find it done.
func Adopt(ctx context.Context, c AdoptConfig) (AdoptReport, error) {
	var report AdoptReport
	conn, err := adoptConnect(ctx, &c)
	if err != nil {
		return report, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // committed, or rolled back by the server
	if err := lockMigrations(ctx, conn); err != nil {
		return report, err
	}
	if err := inspect(ctx, conn, &c, &report, false); err != nil {
		return report, err
	}
	switch {
	case len(report.Problems) > 0:
		return report, ErrNotAdoptable
	case report.Already, c.DryRun:
		return report, nil
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return adopt(ctx, tx, &c, &report) })
	if err != nil {
		return report, adoptError(err)
	}
	return report, nil
}

// adoptConnect opens the connection that holds the locks.
func adoptConnect(ctx context.Context, c *AdoptConfig) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: database URL: %w", err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	wait := c.LockTimeout
	if wait <= 0 {
		wait = defaultLockTimeout
	}
	cfg.RuntimeParams["lock_timeout"] = strconv.FormatInt(wait.Milliseconds(), 10)
	cfg.RuntimeParams["application_name"] = "cardea migrate"
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if text, ours := strings.CutPrefix(n.Message, "cardea: "); ours && c.Notice != nil {
			c.Notice(text)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: adopt: %w", err)
	}
	return conn, nil
}

// lockMigrations takes the lock under which [Migrate] works too. It ends with the connection.
func lockMigrations(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
		return adoptError(err)
	}
	return nil
}

// adopt does it. The first statement closes the tables, so that nothing waits half-way and
// nobody can write what was checked.
func adopt(ctx context.Context, tx pgx.Tx, c *AdoptConfig, report *AdoptReport) error {
	if _, err := tx.Exec(ctx, actAsOwner); err != nil {
		return fmt.Errorf("act as the owner of the tables: %w", err)
	}
	if _, err := tx.Exec(ctx, closeTables); err != nil {
		return fmt.Errorf("close the tables: %w", err)
	}
	began := c.Now()
	again := AdoptReport{}
	if err := inspect(ctx, tx.Conn(), c, &again, true); err != nil {
		return err
	}
	if len(again.Problems) > 0 { // written while we were waiting
		report.Problems = again.Problems
		return ErrNotAdoptable
	}
	before, err := inventory(ctx, tx)
	if err == nil && report.Again {
		before, err = inventoryAgain(ctx, tx, before)
	}
	if err != nil {
		return err
	}
	steps := []adoptStep{{"again", readopt}}
	if !report.Again {
		if steps, err = adoptSteps(); err != nil {
			return err
		}
	}
	for _, s := range steps {
		// As one simple query: the statements of a file need no splitting.
		if _, err := tx.Conn().PgConn().Exec(ctx, s.sql).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	_, err = tx.Exec(ctx, `INSERT INTO auth.cardea_adoption (adopted_at, gotrue_version, before) VALUES ($1, $2, $3)`,
		timestamp(c.Now()), report.Version, before)
	report.Locked = c.Now().Sub(began)
	return err
}

const (
	// actAsOwner makes what is added belong to the owner of what is there. Else a server that
	// connects as GoTrue did would find tables that it may not read.
	actAsOwner = `DO $$
	DECLARE
		owner name := (SELECT pg_get_userbyid(relowner) FROM pg_catalog.pg_class WHERE oid = 'auth.users'::regclass);
	BEGIN
		IF owner <> current_user THEN EXECUTE format('SET LOCAL ROLE %I', owner); END IF;
	END $$`

	closeTables = `LOCK TABLE auth.users, auth.identities, auth.sessions, auth.refresh_tokens, auth.mfa_factors,
		auth.mfa_amr_claims, auth.one_time_tokens, auth.flow_state, auth.audit_log_entries IN ACCESS EXCLUSIVE MODE`

	// readopt is for a schema that was given back: everything is there but what GoTrue has
	// written since.
	readopt = `UPDATE auth.users SET email = lower(email) WHERE email <> lower(email) AND NOT is_sso_user;
ALTER TABLE ` + releasedVersions + ` RENAME TO cardea_migrations`

	makeVersions = `CREATE TABLE IF NOT EXISTS ` + versionTable + ` (
    id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    version_id bigint NOT NULL,
    is_applied boolean NOT NULL,
    tstamp timestamp NOT NULL DEFAULT now()
);
DELETE FROM ` + versionTable + `;
INSERT INTO ` + versionTable + ` (version_id, is_applied) SELECT v, true FROM generate_series(0, %d) AS v;
`

	makeMark = `CREATE TABLE auth.cardea_adoption (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    adopted_at timestamptz NOT NULL,
    gotrue_version text NOT NULL,
    before jsonb NOT NULL,
    released_at timestamptz,
    after jsonb
);
ALTER TABLE auth.cardea_adoption ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE auth.cardea_adoption IS 'Schema auth was GoTrue''s; Cardea took it over in place';
`
)

// adoptStep is one part of the transaction.
type adoptStep struct{ name, sql string }

// adoptSteps are the migrations up to adoptedVersion, those that make tables of GoTrue's
// replaced by what is missing in them.
func adoptSteps() ([]adoptStep, error) {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("postgres: migrations: %w", err)
	}
	var steps []adoptStep
	for _, e := range entries { // in the order of their numbers
		number, _, _ := strings.Cut(e.Name(), "_")
		if v, err := strconv.Atoi(number); err != nil || v > adoptedVersion {
			continue
		}
		text, err := adoptions.ReadFile("adopt/" + e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			text, err = migrations.ReadFile("migrations/" + e.Name())
		}
		if err != nil {
			return nil, fmt.Errorf("postgres: migration %s: %w", e.Name(), err)
		}
		steps = append(steps, adoptStep{e.Name(), string(text)})
	}
	return append(steps,
		adoptStep{"versions", fmt.Sprintf(makeVersions, adoptedVersion)}, adoptStep{"mark", makeMark}), nil
}

// AdoptPlan is the text of what [Adopt] runs after its checks, for people who want to read
// it first.
func AdoptPlan() (string, error) {
	steps, err := adoptSteps()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("BEGIN;\n" + actAsOwner + ";\n" + closeTables + ";\n")
	for _, s := range steps {
		fmt.Fprintf(&b, "\n-- %s\n%s", s.name, s.sql)
	}
	b.WriteString("INSERT INTO auth.cardea_adoption (adopted_at, gotrue_version, before) VALUES (now(), '...', '...');\nCOMMIT;\n")
	return b.String(), nil
}

// adoptError tells a lock that was not to be had from the rest.
func adoptError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "55P03" || pg.Code == "40P01") {
		return fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if errors.Is(err, ErrNotAdoptable) {
		return err
	}
	return fmt.Errorf("postgres: adopt: %w", err)
}
