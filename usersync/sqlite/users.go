package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/usersync"
)

const (
	selectUser = `SELECT u.id, coalesce(u.issuer, ''), coalesce(u.subject, ''), u.status,
		coalesce(u.email, ''), coalesce(u.phone, ''), u.email_verified, u.phone_verified, u.email_stale, u.phone_stale,
		u.auth_provider, u.identities, u.version, u.source_at, u.evidence_at, u.created_at, u.updated_at,
		coalesce(p.first_name, ''), coalesce(p.last_name, ''), coalesce(p.full_name, ''), coalesce(p.avatar_url, ''), coalesce(p.locale, '')
		FROM @users u LEFT JOIN @profiles p ON p.user_id = u.id `
	findUser       = selectUser + `WHERE u.issuer = ? AND u.subject = ?`
	getUser        = selectUser + `WHERE u.id = ?`
	findCandidates = selectUser + `WHERE (u.issuer = ? AND u.subject = ?) OR u.email = ? OR u.phone = ?`

	forgetSeen = `DELETE FROM @seen WHERE until < ?`
	markSeen   = `INSERT INTO @seen (id, until) VALUES (?, ?) ON CONFLICT DO NOTHING`

	insertUser = `INSERT INTO @users (issuer, subject, status, email, phone, email_verified, phone_verified, email_stale, phone_stale,
		auth_provider, identities, version, source_at, evidence_at, created_at, updated_at, id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateUser = `UPDATE @users SET issuer = ?, subject = ?, status = ?, email = ?, phone = ?, email_verified = ?,
		phone_verified = ?, email_stale = ?, phone_stale = ?, auth_provider = ?, identities = ?, version = ?, source_at = ?, evidence_at = ?,
		created_at = ?, updated_at = ? WHERE id = ?`
	setEvidence = `UPDATE @users SET evidence_at = ? WHERE id = ?`
	release     = `UPDATE @users SET subject = ?, version = version + 1, updated_at = ? WHERE id = ?`
	putProfile  = `INSERT INTO @profiles (user_id, first_name, last_name, full_name, avatar_url, locale, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (user_id) DO UPDATE SET first_name = excluded.first_name, last_name = excluded.last_name,
		full_name = excluded.full_name, avatar_url = excluded.avatar_url, locale = excluded.locale, updated_at = excluded.updated_at`
	dropProfile   = `DELETE FROM @profiles WHERE user_id = ?`
	dropConflicts = `DELETE FROM @conflicts WHERE user_id = ?`
	logConflict   = `INSERT INTO @conflicts (user_id, field, kind, other_id, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (user_id, field, kind, other_id) DO UPDATE SET times = times + 1, last_at = excluded.last_at`
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
	u, err := scanUser(s.db.QueryRowContext(ctx, s.sql(query), args...))
	if err != nil && !errors.Is(err, usersync.ErrNoUser) {
		return u, fmt.Errorf("usersync/sqlite: %s: %w", what, err)
	}
	return u, err
}

func scanUser(row interface{ Scan(into ...any) error }) (usersync.User, error) {
	var u usersync.User
	var identities string
	var source, evidence sql.NullInt64
	var created, updated int64
	err := row.Scan(&u.ID, &u.Issuer, &u.Subject, &u.Status, &u.Email, &u.Phone, &u.EmailVerified, &u.PhoneVerified,
		&u.EmailStale, &u.PhoneStale, &u.AuthProvider, &identities, &u.Version, &source, &evidence, &created, &updated,
		&u.Profile.FirstName, &u.Profile.LastName, &u.Profile.FullName, &u.Profile.AvatarURL, &u.Profile.Locale)
	if errors.Is(err, sql.ErrNoRows) {
		return usersync.User{}, usersync.ErrNoUser
	}
	if err != nil {
		return usersync.User{}, err
	}
	if err := json.Unmarshal([]byte(identities), &u.Providers); err != nil {
		return usersync.User{}, fmt.Errorf("column identities: %w", err)
	}
	if len(u.Providers) == 0 {
		u.Providers = nil
	}
	u.CreatedAt, u.UpdatedAt = fromMicro(created), fromMicro(updated)
	if source.Valid {
		u.SourceAt = fromMicro(source.Int64)
	}
	if evidence.Valid {
		u.EvidenceAt = fromMicro(evidence.Int64)
	}
	return u, nil
}

// Sync implements usersync.Users.
func (s *Store) Sync(ctx context.Context, r usersync.Request) (result usersync.Result, err error) {
	err = s.write(ctx, "sync", func(c *sql.Conn) error {
		result, err = s.sync(ctx, c, r)
		return err
	})
	if err != nil {
		return usersync.Result{}, err
	}
	return result, nil
}

func (s *Store) sync(ctx context.Context, c *sql.Conn, r usersync.Request) (usersync.Result, error) {
	b := &batch{ctx: ctx, store: s, conn: c}
	if err := s.once(b, r); err != nil {
		return usersync.Result{}, err
	}
	candidates, rows, err := s.candidates(ctx, c, r.Identity.Proved())
	if err != nil {
		return usersync.Result{}, err
	}
	result, tasks, err := r.Resolve(candidates, rows)
	if err != nil || result.Plan.Action == usersync.ActionRefuse {
		return result, err
	}
	u, plan := result.User, result.Plan
	if released, ok := rows[plan.Release]; ok {
		b.exec(release, usersync.Released(released.Subject, released.ID), micro(r.At), released.ID)
	}
	if plan.Action != usersync.ActionNone {
		b.put(plan.Action, u)
	} else if r.Asked {
		b.exec(setEvidence, micro(r.At), u.ID)
	}
	for _, c := range plan.Conflicts {
		b.exec(logConflict, u.ID, c.Field, string(c.Kind), c.With, micro(r.At), micro(r.At))
	}
	b.exec(dropTask, usersync.ConsumerWaiting, usersync.WaitingID(r.Identity.Issuer, r.Identity.Subject))
	b.enqueue(tasks)
	return result, b.err
}

// batch runs statements one after the other until one fails.
type batch struct {
	ctx   context.Context //nolint:containedctx // of one transaction
	store *Store
	conn  *sql.Conn
	err   error
}

// exec gives the number of rows.
func (b *batch) exec(query string, args ...any) int64 {
	if b.err != nil {
		return 0
	}
	result, err := b.conn.ExecContext(b.ctx, b.store.sql(query), args...)
	if err != nil {
		b.err = err
		return 0
	}
	n, err := result.RowsAffected()
	b.err = err
	return n
}

// once marks the message of the request. The mark is part of the transaction: a message
// whose work failed may come again.
func (s *Store) once(b *batch, r usersync.Request) error {
	if r.Once.ID == "" {
		return nil
	}
	b.exec(forgetSeen, micro(r.At))
	if b.exec(markSeen, r.Once.ID, micro(r.Once.Until)) == 0 && b.err == nil {
		return usersync.ErrReplayed
	}
	return b.err
}

// candidates gives the rows that may be meant; rows has them by id.
func (s *Store) candidates(ctx context.Context, conn *sql.Conn, id usersync.Identity) (c usersync.Candidates, rows map[string]usersync.User, err error) {
	found, err := conn.QueryContext(ctx, s.sql(findCandidates), id.Issuer, id.Subject, null(id.Email), null(id.Phone))
	if err != nil {
		return c, nil, err
	}
	defer found.Close()
	rows = map[string]usersync.User{}
	for found.Next() {
		u, err := scanUser(found)
		if err != nil {
			return c, nil, err
		}
		rows[u.ID] = u
		if u.Issuer == id.Issuer && u.Subject == id.Subject {
			c.Subject = &u
		}
		if u.Email != "" && u.Email == id.Email {
			c.Email = &u
		}
		if u.Phone != "" && u.Phone == id.Phone {
			c.Phone = &u
		}
	}
	return c, rows, found.Err()
}

// put writes a row and its profile.
func (b *batch) put(action usersync.Action, u usersync.User) {
	identities, err := json.Marshal(u.View().Providers) // never null
	if err != nil {
		b.err = errors.Join(b.err, err)
		return
	}
	query := updateUser
	if action == usersync.ActionCreate {
		query = insertUser
	}
	b.exec(query, null(u.Issuer), null(u.Subject), string(u.Status), null(u.Email), null(u.Phone),
		u.EmailVerified, u.PhoneVerified, u.EmailStale, u.PhoneStale, u.AuthProvider, string(identities), u.Version,
		nullMicro(u.SourceAt), nullMicro(u.EvidenceAt), micro(u.CreatedAt), micro(u.UpdatedAt), u.ID)
	if u.Status == usersync.StatusDeleted {
		// The columns that an application added go as well.
		b.exec(dropProfile, u.ID)
		b.exec(dropConflicts, u.ID)
		b.exec(dropTasks, u.ID) // what nobody was told yet holds names and addresses
		return
	}
	p, at := u.Profile, micro(u.UpdatedAt)
	b.exec(putProfile, u.ID, p.FirstName, p.LastName, p.FullName, p.AvatarURL, p.Locale, at, at)
}

// Edit implements usersync.Users.
func (s *Store) Edit(ctx context.Context, e usersync.Edit) (u usersync.User, err error) {
	err = s.write(ctx, "edit", func(c *sql.Conn) error {
		u, err = scanUser(c.QueryRowContext(ctx, s.sql(getUser), e.ID))
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
		b := &batch{ctx: ctx, store: s, conn: c}
		b.put(plan.Action, u)
		b.enqueue(tasks)
		return b.err
	})
	if err != nil {
		return usersync.User{}, err
	}
	return u, nil
}
