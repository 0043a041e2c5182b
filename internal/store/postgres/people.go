package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	// profileColumns are read by profileTargets; p is the profile of u, or all NULL.
	profileColumns = `u.is_active, p.user_id, p.full_name, to_char(p.birth_date, 'YYYY-MM-DD'), p.image_url, p.language,
	p.preferences, p.notification_settings, p.privacy_settings, p.flags, p.extensions, p.last_auth_method,
	p.last_auth_method_at, p.updated_at`

	personByID = selectUser + "," + profileColumns + `
	FROM auth.users u LEFT JOIN auth.profiles p ON p.user_id = u.id WHERE u.id = $1 AND u.deleted_at IS NULL`

	// makeProfile is followed by updateProfile; ends with a condition on the account.
	makeProfile = `
INSERT INTO auth.profiles (user_id, updated_at)
SELECT u.id, $2::timestamptz FROM auth.users u WHERE u.id = $1 AND u.deleted_at IS NULL`

	updateProfile = `
UPDATE auth.profiles p SET updated_at = $2::timestamptz,
	full_name = coalesce($3::text, full_name),
	birth_date = CASE WHEN $4::text IS NULL THEN birth_date ELSE nullif($4, '')::date END,
	image_url = coalesce($5::text, image_url),
	language = coalesce($6::text, language),
	preferences = (preferences || $7::jsonb) - $8::text[],
	notification_settings = (notification_settings || $9::jsonb) - $10::text[],
	privacy_settings = (privacy_settings || $11::jsonb) - $12::text[],
	flags = (flags || $13::jsonb) - $14::text[],
	extensions = extensions || coalesce((
		SELECT jsonb_object_agg(e.key, (CASE WHEN jsonb_typeof(p.extensions -> e.key) = 'object' THEN p.extensions -> e.key
			ELSE '{}' END || (e.value -> 'set')) - ARRAY(SELECT jsonb_array_elements_text(e.value -> 'delete')))
		FROM jsonb_each($15::jsonb) AS e), '{}'),
	last_auth_method = CASE WHEN $16::text IS NULL THEN last_auth_method ELSE nullif($16, '') END,
	last_auth_method_at = CASE WHEN $16 IS NULL THEN last_auth_method_at WHEN $16 <> '' THEN $2 END
WHERE p.user_id = $1 AND EXISTS (SELECT FROM auth.users u WHERE u.id = $1 AND u.deleted_at IS NULL)`

	setActive = `UPDATE auth.users SET is_active = $2 WHERE id = $1 AND deleted_at IS NULL`

	// endOfUser comes after the lock of the account: it sees every session that began before.
	endOfUser = `DELETE FROM auth.sessions WHERE user_id = $1
	AND EXISTS (SELECT FROM auth.users u WHERE u.id = $1 AND u.deleted_at IS NULL)`

	// auditProfile writes entries when this transaction has written the profile $1.
	auditProfile = `
INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
FROM unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[]) AS e (id, at, payload, ip)
WHERE EXISTS (SELECT FROM auth.profiles p WHERE p.user_id = $1 AND p.xmin = pg_current_xact_id()::xid)`
)

// profile reads profileColumns.
type profile struct {
	to         *auth.Profile
	active     bool
	extensions []byte
}

func (p *profile) targets() []any {
	t := p.to
	return []any{
		&p.active, (*reference)(&t.UserID), (*text)(&t.FullName), (*text)(&t.BirthDate), (*text)(&t.ImageURL),
		(*text)(&t.Language), (*[]byte)(&t.Preferences), (*[]byte)(&t.Notifications), (*[]byte)(&t.Privacy),
		(*[]byte)(&t.Flags), &p.extensions, (*text)(&t.LastMethod), (*moment)(&t.LastMethodAt), (*moment)(&t.UpdatedAt),
	}
}

func (p *profile) finish() error {
	p.to.Active = p.active
	if p.to.UserID.IsZero() {
		return nil
	}
	return json.Unmarshal(p.extensions, &p.to.Extensions)
}

func scanPerson(row pgx.Row, person *auth.Person) error {
	p := profile{to: &person.Profile}
	if err := scanUser(row, &person.User, p.targets()...); err != nil {
		return err
	}
	return p.finish()
}

// PersonByID implements store.People.
func (s *Store) PersonByID(ctx context.Context, id auth.ID) (auth.Person, error) {
	var p auth.Person
	if err := scanPerson(s.pool.QueryRow(ctx, personByID, uuid(id)), &p); err != nil {
		return auth.Person{}, storeError("person by id", err)
	}
	return p, nil
}

// UpdateProfile implements store.People. It locks the account, so that it waits for a
// deletion and then finds nothing.
func (s *Store) UpdateProfile(ctx context.Context, user auth.ID, p auth.ProfilePatch) (auth.Person, error) {
	var (
		b      pgx.Batch
		person auth.Person
	)
	b.Queue(lockUser, uuid(user))
	if err := queueProfile(&b, user, &p, ""); err != nil {
		return auth.Person{}, storeError("update profile", err)
	}
	if len(p.Audit) > 0 {
		b.Queue(auditProfile, append([]any{uuid(user)}, auditArgs(p.Audit...)...)...)
	}
	b.Queue(personByID, uuid(user)).QueryRow(func(row pgx.Row) error { return scanPerson(row, &person) })
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return auth.Person{}, storeError("update profile", err)
	}
	return person, nil
}

// queueProfile adds the change of a profile to a batch; and is one more condition.
func queueProfile(b *pgx.Batch, user auth.ID, p *auth.ProfilePatch, and string) error {
	args := []any{uuid(user), timestamp(p.At), p.FullName, p.BirthDate, p.ImageURL, p.Language}
	for _, m := range []*auth.MetadataPatch{&p.Preferences, &p.Notifications, &p.Privacy, &p.Flags} {
		set, remove, err := patchArgs(m)
		if err != nil {
			return err
		}
		args = append(args, set, remove)
	}
	type change struct {
		Set    json.RawMessage `json:"set"`
		Delete []string        `json:"delete"`
	}
	changes := make(map[string]change, len(p.Extensions))
	for name, m := range p.Extensions {
		set, remove, err := patchArgs(&m)
		if err != nil {
			return err
		}
		changes[name] = change{set, remove}
	}
	extensions, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	b.Queue(makeProfile+and+" ON CONFLICT (user_id) DO NOTHING", uuid(user), timestamp(p.At))
	b.Queue(updateProfile+and, append(args, extensions, p.LastMethod)...)
	if p.Active != nil {
		b.Queue(setActive+and, uuid(user), *p.Active)
	}
	if p.EndSessions {
		b.Queue(endOfUser+and, uuid(user))
	}
	return nil
}

const (
	// sessionColumns are read by sessionTargets, of the session s.
	sessionColumns = `
	s.id, s.created_at, s.updated_at, s.refreshed_at, s.not_after, s.aal::text, s.user_agent, host(s.ip),
	coalesce(s.refresh_token_counter, 0), s.refresh_token_parent,
	ARRAY(SELECT ROW(c.authentication_method, c.updated_at) FROM auth.mfa_amr_claims c
		WHERE c.session_id = s.id ORDER BY c.updated_at DESC, c.authentication_method),
	s.name, s.tenant_id`

	sessionsOf = "SELECT" + sessionColumns + `
FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id
WHERE s.user_id = $1 AND u.deleted_at IS NULL ORDER BY s.created_at DESC, s.id DESC`

	nameSession = `
UPDATE auth.sessions s SET name = nullif($3::text, '') FROM auth.users u
WHERE s.id = $2 AND s.user_id = $1 AND u.id = s.user_id AND u.deleted_at IS NULL`
)

// sessionTargets gives where sessionColumns go.
func sessionTargets(s *auth.Session) []any {
	return []any{
		(*[16]byte)(&s.ID), (*moment)(&s.CreatedAt), (*moment)(&s.UpdatedAt), (*moment)(&s.RefreshedAt), (*moment)(&s.NotAfter),
		(*text)(&s.AAL), (*text)(&s.UserAgent), (*text)(&s.IP), &s.Counter, &s.Parent, amrRecords(&s.AMR), (*text)(&s.Name),
		(*reference)(&s.TenantID),
	}
}

// SessionsOf implements store.People.
func (s *Store) SessionsOf(ctx context.Context, user auth.ID) ([]auth.Session, error) {
	return collect(ctx, s, "sessions of a user", sessionsOf, []any{uuid(user)}, func(row pgx.CollectableRow, se *auth.Session) error {
		se.UserID = user
		return row.Scan(sessionTargets(se)...)
	})
}

// NameSession implements store.People.
func (s *Store) NameSession(ctx context.Context, user, session auth.ID, name string) error {
	tag, err := s.pool.Exec(ctx, nameSession, uuid(user), uuid(session), name)
	if err != nil {
		return storeError("name session", err)
	}
	if tag.RowsAffected() == 0 {
		return auth.ErrNotFound
	}
	return nil
}

// EndSession implements store.People.
func (s *Store) EndSession(ctx context.Context, user, session auth.ID, audit auth.AuditEntry) error {
	_, err := s.EndSessions(ctx, auth.EndSessions{UserID: user, SessionID: session, Which: auth.RevokeOne, Audit: audit})
	return err
}

// collect reads all rows of a query, each into a T of its own.
func collect[T any](ctx context.Context, s *Store, what, sql string, args []any, scan func(pgx.CollectableRow, *T) error) ([]T, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, storeError(what, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) {
		var v T
		err := scan(row, &v)
		return v, err
	})
	if err != nil {
		return nil, storeError(what, err)
	}
	return list, nil
}

// ids gives a parameter of type uuid[].
func ids(list ...auth.ID) []pgtype.UUID {
	out := make([]pgtype.UUID, len(list))
	for i, id := range list {
		out[i] = uuid(id)
	}
	return out
}
