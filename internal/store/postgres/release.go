package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

// ReleaseConfig says what [Release] works on. URL and Now are required.
type ReleaseConfig struct {
	URL         string        // as in AdoptConfig
	LockTimeout time.Duration // as in AdoptConfig
	// SessionKey gives the key of a session's refresh tokens as GoTrue keeps it in its rows.
	// nil: sessions that have gone on with Cardea end for their owners.
	SessionKey func(session auth.ID) string
	// Remove drops what the adoption and our migrations have added, with what is in it:
	// tenants, memberships, profiles, signing keys. There is no way back from it but a backup.
	Remove bool
	Now    func() time.Time
}

// ReleaseReport is what [Release] has found and done.
type ReleaseReport struct {
	Problems []AdoptProblem
	Notes    []string
	Sessions int64    // that go on with GoTrue, by a key in their row
	Left     []string // with Remove: what was added to the schema, and not by us
}

// Release gives an adopted schema back to GoTrue. Rows and tables of ours stay unless Remove
// is set, for GoTrue does not look at them, and so does everything that Cardea has written to GoTrue's own
// tables, which is of GoTrue's form. What GoTrue must not find as it is is put right:
//
//   - refresh tokens of GoTrue's that were exchanged for ours are revoked
//   - sessions that have gone on with us get the key of our tokens with SessionKey, or none
//   - open links, codes and PKCE flows of ours, which GoTrue can't read, are deleted
//
// Afterwards no server of ours starts on the schema until it is adopted again. Nothing is
// changed with ErrNotAdopted, ErrNotAdoptable (the report says why) and ErrLocked.
func Release(ctx context.Context, c ReleaseConfig) (ReleaseReport, error) {
	var report ReleaseReport
	conn, err := adoptConnect(ctx, &AdoptConfig{URL: c.URL, LockTimeout: c.LockTimeout})
	if err != nil {
		return report, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // committed, or rolled back by the server
	if err := lockMigrations(ctx, conn); err != nil {
		return report, err
	}
	if err := inspectRelease(ctx, conn, &report); err != nil {
		return report, err
	}
	if len(report.Problems) > 0 {
		return report, ErrNotAdoptable
	}
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return release(ctx, tx, &c, &report) }); err != nil {
		return report, adoptError(err)
	}
	return report, nil
}

// CheckAdopted is ErrNotAdopted unless the schema is one that was taken over from GoTrue and
// not given back.
func CheckAdopted(ctx context.Context, url string) error {
	conn, err := adoptConnect(ctx, &AdoptConfig{URL: url})
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // read from
	return (&inspector{ctx: ctx, conn: conn}).adopted()
}

// adopted is ErrNotAdopted unless the last mark says otherwise.
func (in *inspector) adopted() error {
	var mark, adopted bool
	err := in.row("SELECT to_regclass('auth.cardea_adoption') IS NOT NULL", &mark)
	if err == nil && mark {
		err = in.row("SELECT released_at IS NULL FROM auth.cardea_adoption ORDER BY id DESC LIMIT 1", &adopted)
	}
	if err == nil && !adopted {
		err = ErrNotAdopted
	}
	return err
}

// inspectRelease finds out whether there is something to give back, and who still works
// on it.
func inspectRelease(ctx context.Context, conn *pgx.Conn, r *ReleaseReport) error {
	in := &inspector{ctx: ctx, conn: conn, c: &AdoptConfig{}, r: &AdoptReport{}}
	if err := in.adopted(); err != nil {
		return err
	}
	if err := in.rights(); err != nil {
		return err
	}
	servers, err := in.servers()
	if err != nil {
		return err
	}
	for _, who := range servers {
		in.problem("Stop every `cardea serve` first.", "A server of Cardea is connected: %s.", who)
	}
	var off, members int64
	err = in.row(`SELECT count(*) FILTER (WHERE NOT is_active), (SELECT count(*) FROM auth.memberships) FROM auth.users`, &off, &members)
	if err != nil {
		return err
	}
	if off > 0 {
		in.note("%d accounts are switched off, which GoTrue knows nothing of: ban those that must not sign in.", off)
	}
	if members > 0 {
		in.note("%d memberships of tenants stay, and mean nothing to GoTrue: tokens have no tenant any more.", members)
	}
	r.Problems, r.Notes = in.r.Problems, in.r.Notes
	return nil
}

const (
	// A refresh token of GoTrue's that was exchanged for ours must not come to life again.
	revokeExchanged = `
UPDATE auth.refresh_tokens r SET revoked = true, updated_at = $1 FROM auth.sessions s
WHERE s.id = r.session_id AND r.revoked IS NOT TRUE AND s.refresh_token_counter IS NOT NULL`

	// These have gone on with us, or began with us. A key without a mark is GoTrue's own, or
	// was given to it before.
	ownSessions = `SELECT id FROM auth.sessions
WHERE refresh_token_counter IS NOT NULL AND (refresh_token_hmac_key IS NULL OR refresh_token_hmac_key LIKE 'gotrue:%') ORDER BY id`

	giveKeys = `
UPDATE auth.sessions s SET refresh_token_hmac_key = n.key FROM unnest($1::uuid[], $2::text[]) AS n (id, key) WHERE s.id = n.id`

	dropProofs = `DELETE FROM auth.one_time_tokens; DELETE FROM auth.flow_state;
ALTER TABLE ` + versionTable + ` RENAME TO cardea_migrations_released`
)

func release(ctx context.Context, tx pgx.Tx, c *ReleaseConfig, report *ReleaseReport) error {
	if _, err := tx.Exec(ctx, actAsOwner); err != nil {
		return fmt.Errorf("act as the owner of the tables: %w", err)
	}
	if _, err := tx.Exec(ctx, closeTables); err != nil {
		return fmt.Errorf("close the tables: %w", err)
	}
	at := timestamp(c.Now())
	if _, err := tx.Exec(ctx, revokeExchanged, at); err != nil {
		return fmt.Errorf("revoke exchanged tokens: %w", err)
	}
	if err := handOver(ctx, tx, c.SessionKey, report); err != nil {
		return fmt.Errorf("hand over sessions: %w", err)
	}
	if _, err := tx.Conn().PgConn().Exec(ctx, dropProofs).ReadAll(); err != nil {
		return fmt.Errorf("end what GoTrue can't read: %w", err)
	}
	if c.Remove {
		left, err := removeOurs(ctx, tx)
		report.Left = left
		return err
	}
	after, err := inventory(ctx, tx)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, "UPDATE auth.cardea_adoption SET released_at = $1, after = $2 WHERE released_at IS NULL", at, after)
	if err == nil && tag.RowsAffected() != 1 {
		err = errors.New("the mark of the adoption has gone")
	}
	return err
}

// handOver gives the sessions that are ours a key that GoTrue can check their tokens with,
// or takes from them what would make it think that it could.
func handOver(ctx context.Context, tx pgx.Tx, keyOf func(auth.ID) string, report *ReleaseReport) error {
	rows, err := tx.Query(ctx, ownSessions)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID])
	if err != nil {
		return err
	}
	const chunk = 10_000
	for len(ids) > 0 {
		part := ids[:min(chunk, len(ids))]
		ids = ids[len(part):]
		keys := make([]*string, len(part)) // NULL: no token of the session is good
		for i, id := range part {
			if keyOf != nil {
				key := keyOf(id.Bytes)
				keys[i] = &key
				report.Sessions++
			}
		}
		if _, err := tx.Exec(ctx, giveKeys, part, keys); err != nil {
			return err
		}
	}
	return nil
}

// servers lists connections of servers of Cardea. One that has just been stopped is still
// there for a moment, until PostgreSQL has noticed: it gets a second.
func (in *inspector) servers() ([]string, error) {
	for try := 0; ; try++ {
		found, err := in.list(`SELECT 'process ' || pid FROM pg_catalog.pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'cardea' ORDER BY pid`)
		if err != nil || len(found) == 0 || try == 20 {
			return found, err
		}
		var waited int64 // and what a transaction remembers of connections is forgotten
		if err := in.row(`SELECT count(*) FROM (SELECT pg_stat_clear_snapshot(), pg_sleep(0.05)) AS s`, &waited); err != nil {
			return nil, err
		}
	}
}
