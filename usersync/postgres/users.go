package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/usersync"
)

const (
	selectUser = `SELECT u.id::text, coalesce(u.issuer, ''), coalesce(u.subject, ''), u.status,
		coalesce(u.email, ''), coalesce(u.phone, ''), u.email_verified, u.phone_verified, u.email_stale, u.phone_stale,
		u.auth_provider, u.identities, u.version, u.source_at, u.evidence_at, u.created_at, u.updated_at,
		coalesce(p.first_name, ''), coalesce(p.last_name, ''), coalesce(p.full_name, ''), coalesce(p.avatar_url, ''), coalesce(p.locale, '')
		FROM @users u LEFT JOIN @profiles p ON p.user_id = u.id `
	findUser = selectUser + `WHERE u.issuer = $1 AND u.subject = $2`
	getUser  = selectUser + `WHERE u.id = $1`
	// In the order of ids, so that two transactions wait for each other in one direction.
	lockCandidates = selectUser + `WHERE (u.issuer = $1 AND u.subject = $2) OR u.email = $3 OR u.phone = $4
		ORDER BY u.id FOR UPDATE OF u`
	lockUser = selectUser + `WHERE u.id = $1 FOR UPDATE OF u`

	// The first request of a subject waits for the first of the same subject, not for others
	// (S2.31). The lock ends with the transaction.
	lockSubject = `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`

	forgetSeen = `DELETE FROM @seen WHERE until < $1`
	markSeen   = `INSERT INTO @seen (id, until) VALUES ($1, $2) ON CONFLICT DO NOTHING`

	insertUser = `INSERT INTO @users (id, issuer, subject, status, email, phone, email_verified, phone_verified, email_stale, phone_stale,
		auth_provider, identities, version, source_at, evidence_at, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`
	updateUser = `UPDATE @users SET issuer = $2, subject = $3, status = $4, email = $5, phone = $6, email_verified = $7,
		phone_verified = $8, email_stale = $9, phone_stale = $10, auth_provider = $11, identities = $12, version = $13,
		source_at = $14, evidence_at = $15, created_at = $16, updated_at = $17 WHERE id = $1`
	setEvidence = `UPDATE @users SET evidence_at = $2 WHERE id = $1`
	release     = `UPDATE @users SET subject = $2, version = version + 1, updated_at = $3 WHERE id = $1`
	putProfile  = `INSERT INTO @profiles (user_id, first_name, last_name, full_name, avatar_url, locale, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
		ON CONFLICT (user_id) DO UPDATE SET first_name = excluded.first_name, last_name = excluded.last_name,
		full_name = excluded.full_name, avatar_url = excluded.avatar_url, locale = excluded.locale, updated_at = excluded.updated_at`
	dropProfile   = `DELETE FROM @profiles WHERE user_id = $1`
	dropConflicts = `DELETE FROM @conflicts WHERE user_id = $1`
	logConflict   = `INSERT INTO @conflicts (user_id, field, kind, other_id, first_at, last_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (user_id, field, kind, other_id) DO UPDATE SET times = @conflicts.times + 1, last_at = excluded.last_at`
)

// Find implements usersync.Users.
func (s *Store) Find(ctx context.Context, issuer, subject string) (usersync.User, error) {
	return s.one(ctx, "find", findUser, issuer, subject)
}

// Get implements usersync.Users.
func (s *Store) Get(ctx context.Context, id string) (usersync.User, error) {
	return s.one(ctx, "get", getUser, id)
}

func (s *Store) one(ctx context.Context, what, query string, args ...any) (usersync.User, error) {
	u, err := scanUser(s.pool.QueryRow(ctx, s.sql(query), args...))
	if err != nil && !errors.Is(err, usersync.ErrNoUser) {
		return u, fmt.Errorf("usersync/postgres: %s: %w", what, err)
	}
	return u, err
}

func scanUser(row pgx.Row) (usersync.User, error) {
	var u usersync.User
	var identities []byte
	var source, evidence *time.Time
	err := row.Scan(&u.ID, &u.Issuer, &u.Subject, &u.Status, &u.Email, &u.Phone, &u.EmailVerified, &u.PhoneVerified,
		&u.EmailStale, &u.PhoneStale, &u.AuthProvider, &identities, &u.Version, &source, &evidence, &u.CreatedAt, &u.UpdatedAt,
		&u.Profile.FirstName, &u.Profile.LastName, &u.Profile.FullName, &u.Profile.AvatarURL, &u.Profile.Locale)
	if errors.Is(err, pgx.ErrNoRows) {
		return usersync.User{}, usersync.ErrNoUser
	}
	if err != nil {
		return usersync.User{}, err
	}
	if err := json.Unmarshal(identities, &u.Providers); err != nil {
		return usersync.User{}, fmt.Errorf("column identities: %w", err)
	}
	if len(u.Providers) == 0 {
		u.Providers = nil
	}
	u.SourceAt, u.EvidenceAt = utc(source), utc(evidence)
	u.CreatedAt, u.UpdatedAt = u.CreatedAt.UTC(), u.UpdatedAt.UTC()
	return u, nil
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// Sync implements usersync.Users.
func (s *Store) Sync(ctx context.Context, r usersync.Request) (result usersync.Result, err error) {
	err = s.inTx(ctx, "sync", func(tx pgx.Tx) error {
		result, err = s.sync(ctx, tx, r)
		return err
	})
	if err != nil {
		return usersync.Result{}, err
	}
	return result, nil
}

func (s *Store) sync(ctx context.Context, tx pgx.Tx, r usersync.Request) (usersync.Result, error) {
	if err := s.once(ctx, tx, r); err != nil {
		return usersync.Result{}, err
	}
	candidates, rows, err := s.candidates(ctx, tx, r.Identity.Proved())
	if err != nil {
		return usersync.Result{}, err
	}
	result, tasks, err := r.Resolve(candidates, rows)
	if err != nil || result.Plan.Action == usersync.ActionRefuse {
		return result, err
	}
	u, plan := result.User, result.Plan
	batch := &pgx.Batch{}
	if released, ok := rows[plan.Release]; ok {
		batch.Queue(s.sql(release), released.ID, usersync.Released(released.Subject, released.ID), r.At)
	}
	if plan.Action == usersync.ActionNone {
		if r.Asked {
			batch.Queue(s.sql(setEvidence), u.ID, r.At)
		}
	} else if err := s.write(batch, plan.Action, u); err != nil {
		return usersync.Result{}, err
	}
	for _, c := range plan.Conflicts {
		batch.Queue(s.sql(logConflict), u.ID, c.Field, string(c.Kind), c.With, r.At)
	}
	batch.Queue(s.sql(dropTask), usersync.ConsumerWaiting, usersync.WaitingID(r.Identity.Issuer, r.Identity.Subject))
	s.enqueue(batch, tasks)
	return result, tx.SendBatch(ctx, batch).Close()
}

// once marks the message of the request. The mark is part of the transaction: a message
// whose work failed may come again.
func (s *Store) once(ctx context.Context, tx pgx.Tx, r usersync.Request) error {
	if r.Once.ID == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, s.sql(forgetSeen), r.At); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, s.sql(markSeen), r.Once.ID, r.Once.Until)
	if err == nil && tag.RowsAffected() == 0 {
		err = usersync.ErrReplayed
	}
	return err
}

// candidates locks the subject and the rows that may be meant. rows has them by id.
func (s *Store) candidates(ctx context.Context, tx pgx.Tx, id usersync.Identity) (c usersync.Candidates, rows map[string]usersync.User, err error) {
	batch := &pgx.Batch{}
	batch.Queue(lockSubject, s.schema+" "+usersync.WaitingID(id.Issuer, id.Subject))
	batch.Queue(s.sql(lockCandidates), id.Issuer, id.Subject, null(id.Email), null(id.Phone))
	results := tx.SendBatch(ctx, batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	if _, err := results.Exec(); err != nil {
		return c, nil, err
	}
	found, err := results.Query()
	if err != nil {
		return c, nil, err
	}
	list, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (usersync.User, error) { return scanUser(row) })
	if err != nil {
		return c, nil, err
	}
	rows = make(map[string]usersync.User, len(list))
	for n := range list {
		u := &list[n]
		rows[u.ID] = *u
		if u.Issuer == id.Issuer && u.Subject == id.Subject {
			c.Subject = u
		}
		if u.Email != "" && u.Email == id.Email {
			c.Email = u
		}
		if u.Phone != "" && u.Phone == id.Phone {
			c.Phone = u
		}
	}
	return c, rows, nil
}

func null(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// write queues the statements for a row and its profile.
func (s *Store) write(batch *pgx.Batch, action usersync.Action, u usersync.User) error {
	identities, err := json.Marshal(u.View().Providers) // never null
	if err != nil {
		return err
	}
	query := updateUser
	if action == usersync.ActionCreate {
		query = insertUser
	}
	batch.Queue(s.sql(query), u.ID, null(u.Issuer), null(u.Subject), string(u.Status), null(u.Email), null(u.Phone),
		u.EmailVerified, u.PhoneVerified, u.EmailStale, u.PhoneStale, u.AuthProvider, string(identities), u.Version,
		nullTime(u.SourceAt), nullTime(u.EvidenceAt), u.CreatedAt, u.UpdatedAt)
	if u.Status == usersync.StatusDeleted {
		// The columns that an application added go as well.
		batch.Queue(s.sql(dropProfile), u.ID)
		batch.Queue(s.sql(dropConflicts), u.ID)
		batch.Queue(s.sql(dropTasks), u.ID) // what nobody was told yet holds names and addresses
		return nil
	}
	p := u.Profile
	batch.Queue(s.sql(putProfile), u.ID, p.FirstName, p.LastName, p.FullName, p.AvatarURL, p.Locale, u.UpdatedAt)
	return nil
}

// Edit implements usersync.Users.
func (s *Store) Edit(ctx context.Context, e usersync.Edit) (u usersync.User, err error) {
	err = s.inTx(ctx, "edit", func(tx pgx.Tx) error {
		u, err = scanUser(tx.QueryRow(ctx, s.sql(lockUser), e.ID))
		if err != nil {
			return err
		}
		plan, err := e.Plan(u)
		if err != nil || plan.Action == usersync.ActionNone {
			return err
		}
		u = plan.Apply(u, e.At)
		tasks, err := e.Tasks(plan, u)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		if err := s.write(batch, plan.Action, u); err != nil {
			return err
		}
		s.enqueue(batch, tasks)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return usersync.User{}, err
	}
	return u, nil
}
