package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

// A batch of accounts is copied into temporary tables, and from there inserted with one
// statement for each table: a thousand accounts cost as many round trips as one.
const (
	// lockMoving lets one batch at a time in. The number is "moving" in a form that nobody else
	// has.
	lockMoving = `SELECT pg_advisory_xact_lock(7233191867021512039)`

	createMoving = `
CREATE TEMPORARY TABLE cardea_moving (n integer PRIMARY KEY, outcome smallint NOT NULL DEFAULT 0, external_id text, id uuid, aud text,
	role text, email text, phone text, password text, email_confirmed_at timestamptz, phone_confirmed_at timestamptz,
	invited_at timestamptz, confirmation_sent_at timestamptz, recovery_sent_at timestamptz, last_sign_in_at timestamptz,
	app jsonb, meta jsonb, is_sso boolean, is_anonymous boolean, banned_until timestamptz, is_active boolean,
	created_at timestamptz, updated_at timestamptz) ON COMMIT DROP`
	createMovingIdentities = `
CREATE TEMPORARY TABLE cardea_moving_identities (n integer, id uuid, provider text, provider_id text, data jsonb,
	last_sign_in_at timestamptz, created_at timestamptz, updated_at timestamptz) ON COMMIT DROP`
	createMovingProfiles = `
CREATE TEMPORARY TABLE cardea_moving_profiles (n integer, full_name text, birth_date date, image_url text, language text,
	preferences jsonb, notification_settings jsonb, privacy_settings jsonb, flags jsonb, extensions jsonb, last_auth_method text,
	last_auth_method_at timestamptz, updated_at timestamptz) ON COMMIT DROP`
	createMovingMembers = `
CREATE TEMPORARY TABLE cardea_moving_members (n integer, tenant_id uuid, role text, state text, invited_by uuid,
	created_at timestamptz, updated_at timestamptz, ends_at timestamptz) ON COMMIT DROP`

	// The numbers of outcomes are those of auth.MoveOutcome. What is there already is looked up
	// by scalar subqueries, which PostgreSQL never turns into joins: a thousand looks into an
	// index, however many accounts there are, where a join would read all of them as long as
	// nobody has counted them.
	movePresent = `
UPDATE pg_temp.cardea_moving i SET outcome = 2
WHERE (SELECT 1 FROM auth.moved m WHERE m.source = $1 AND m.kind = 'user' AND m.external_id = i.external_id LIMIT 1) IS NOT NULL`
	moveIdentityTaken = `
UPDATE pg_temp.cardea_moving i SET outcome = ` + takenReason + ` 6 END FROM pg_temp.cardea_moving_identities x
WHERE x.n = i.n AND i.outcome = 0
	AND (SELECT 1 FROM auth.identities t WHERE t.provider_id = x.provider_id AND t.provider = x.provider LIMIT 1) IS NOT NULL`
	moveDeleted = `
UPDATE pg_temp.cardea_moving i SET outcome = 8 FROM unnest($1::integer[], $2::text[]) AS x (n, subject)
WHERE x.n = i.n AND i.outcome = 0 AND (SELECT 1 FROM auth.tombstones t WHERE t.subject = x.subject LIMIT 1) IS NOT NULL`
	// What is another account's further address is refused by a trigger too, with an error that
	// would take the whole batch with it.
	moveIdentifierTaken = `
UPDATE pg_temp.cardea_moving i SET outcome = CASE WHEN i.email <> '' AND NOT i.is_sso AND (SELECT 1 FROM auth.user_identifiers x
		WHERE x.kind = 'email' AND x.value = i.email AND x.verified_at IS NOT NULL LIMIT 1) IS NOT NULL THEN 3
	WHEN i.phone <> '' AND (SELECT 1 FROM auth.user_identifiers x
		WHERE x.kind = 'phone' AND x.value = i.phone AND x.verified_at IS NOT NULL LIMIT 1) IS NOT NULL THEN 4 ELSE 0 END
WHERE i.outcome = 0`
	moveTenantMissing = `
UPDATE pg_temp.cardea_moving i SET outcome = 7 FROM pg_temp.cardea_moving_members x
WHERE x.n = i.n AND i.outcome = 0 AND (SELECT 1 FROM auth.tenants t WHERE t.id = x.tenant_id LIMIT 1) IS NULL`

	// moveUsers leaves what is in the way to ON CONFLICT, as createAccount does.
	moveUsers = `
WITH u AS (
	INSERT INTO auth.users (instance_id, id, aud, role, email, phone, encrypted_password, email_confirmed_at, phone_confirmed_at,
		invited_at, confirmation_sent_at, recovery_sent_at, last_sign_in_at, raw_app_meta_data, raw_user_meta_data, is_sso_user,
		is_anonymous, banned_until, is_active, created_at, updated_at)
	SELECT '00000000-0000-0000-0000-000000000000', id, aud, role, nullif(email, ''), nullif(phone, ''), password, email_confirmed_at,
		phone_confirmed_at, invited_at, confirmation_sent_at, recovery_sent_at, last_sign_in_at, app, meta, is_sso, is_anonymous,
		banned_until, is_active, created_at, updated_at
	FROM pg_temp.cardea_moving WHERE outcome = 0 ORDER BY n
	ON CONFLICT DO NOTHING
	RETURNING id
)
UPDATE pg_temp.cardea_moving i SET outcome = 1 FROM u WHERE u.id = i.id`
	moveTaken = `
UPDATE pg_temp.cardea_moving i SET outcome = ` + takenReason + ` 0 END
WHERE i.outcome = 0`
	takenReason = `CASE
	WHEN NOT i.is_sso AND i.email <> ''
		AND (SELECT 1 FROM auth.users u WHERE u.email = i.email AND u.is_sso_user = false LIMIT 1) IS NOT NULL THEN 3
	WHEN i.phone <> '' AND (SELECT 1 FROM auth.users u WHERE u.phone = i.phone LIMIT 1) IS NOT NULL THEN 4
	WHEN (SELECT 1 FROM auth.users u WHERE u.id = i.id LIMIT 1) IS NOT NULL THEN 5 ELSE`

	moveIdentities = `
INSERT INTO auth.identities (id, user_id, provider, provider_id, identity_data, last_sign_in_at, created_at, updated_at)
SELECT x.id, i.id, x.provider, x.provider_id, x.data, x.last_sign_in_at, x.created_at, x.updated_at
FROM pg_temp.cardea_moving i JOIN pg_temp.cardea_moving_identities x ON x.n = i.n WHERE i.outcome = 1`
	moveProfiles = `
INSERT INTO auth.profiles (user_id, full_name, birth_date, image_url, language, preferences, notification_settings,
	privacy_settings, flags, extensions, last_auth_method, last_auth_method_at, updated_at)
SELECT i.id, x.full_name, x.birth_date, x.image_url, x.language, x.preferences, x.notification_settings, x.privacy_settings,
	x.flags, x.extensions, nullif(x.last_auth_method, ''), x.last_auth_method_at, x.updated_at
FROM pg_temp.cardea_moving i JOIN pg_temp.cardea_moving_profiles x ON x.n = i.n WHERE i.outcome = 1`
	moveMembers = `
INSERT INTO auth.memberships (tenant_id, user_id, role, state, invited_by, created_at, updated_at, ends_at)
SELECT x.tenant_id, i.id, x.role, x.state, x.invited_by, x.created_at, x.updated_at, x.ends_at
FROM pg_temp.cardea_moving i JOIN pg_temp.cardea_moving_members x ON x.n = i.n WHERE i.outcome = 1`
	moveRemember = `
INSERT INTO auth.moved (source, kind, external_id, local_id, moved_at)
SELECT $1, 'user', i.external_id, i.id, $2 FROM pg_temp.cardea_moving i WHERE i.outcome = 1`

	moveProgress = `
INSERT INTO auth.imports AS p (name, source, digest, position, after, moved, present, taken, refused, started_at, updated_at, finished_at)
SELECT $1, $2, $3, $4, $5, count(*) FILTER (WHERE i.outcome = 1), count(*) FILTER (WHERE i.outcome = 2),
	count(*) FILTER (WHERE i.outcome > 2), $6, $7, $8, $9 FROM pg_temp.cardea_moving i
ON CONFLICT (name) DO UPDATE SET position = greatest(p.position, excluded.position),
	after = CASE WHEN excluded.position >= p.position THEN excluded.after ELSE p.after END,
	moved = p.moved + excluded.moved, present = p.present + excluded.present, taken = p.taken + excluded.taken,
	refused = p.refused + excluded.refused, updated_at = excluded.updated_at, finished_at = excluded.finished_at`

	moveOutcomes = `SELECT outcome FROM pg_temp.cardea_moving ORDER BY n`
)

// errAgain says that what was in the way of an account, or what it hangs on, has changed
// while the batch was stored: nothing has happened.
var (
	errAgain  = errors.New("changed meanwhile")
	errDryRun = errors.New("a dry run is taken back")
)

// MoveAccounts implements store.Moving.
func (s *Store) MoveAccounts(ctx context.Context, b auth.MoveBatch) ([]auth.MoveOutcome, error) {
	var (
		outcomes []auth.MoveOutcome
		err      error
	)
	for range tries {
		err = unlocked(func() error {
			return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
				if outcomes, err = moveBatch(ctx, tx, &b); err == nil && b.DryRun {
					return errDryRun
				}
				return err
			})
		})
		if !errors.Is(err, errAgain) && !meanwhile(err) {
			break
		}
	}
	switch {
	case err == nil, errors.Is(err, errDryRun):
		return outcomes, nil
	case meanwhile(err), errors.Is(err, errAgain):
		return nil, fmt.Errorf("postgres: move accounts: %w", auth.ErrConflict)
	case refused(err):
		return nil, fmt.Errorf("postgres: move accounts: %w: %w", auth.ErrUnstorable, err)
	}
	return nil, storeError("move accounts", err)
}

// meanwhile reports whether somebody else has made, or deleted, what the batch had looked for.
func meanwhile(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.ConstraintName {
	case "identities_provider_id_provider_unique", "users_email_partial_key", "users_phone_key":
		return pg.Code == uniqueViolation
	}
	return pg.Code == foreignKeyViolation && pg.ConstraintName == "memberships_tenant_id_fkey"
}

// refused reports whether the data are what PostgreSQL objects to: classes 22 (data exception),
// 23 (integrity), 44 (check of a view), 54 (limits) and P0 (raised by a function).
func refused(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		return false
	}
	return strings.Contains("22 23 44 54 P0", pg.Code[:2])
}

func moveBatch(ctx context.Context, tx pgx.Tx, b *auth.MoveBatch) ([]auth.MoveOutcome, error) {
	var prepare pgx.Batch
	for _, sql := range []string{lockMoving, createMoving, createMovingIdentities, createMovingProfiles, createMovingMembers} {
		prepare.Queue(sql)
	}
	if err := tx.SendBatch(ctx, &prepare).Close(); err != nil {
		return nil, err
	}
	if err := copyMoving(ctx, tx, b.Accounts); err != nil {
		return nil, err
	}
	var steps pgx.Batch
	p := &b.Progress
	steps.Queue(movePresent, p.Source)
	numbers, subjects := tombs(b.Accounts)
	steps.Queue(moveDeleted, numbers, subjects)
	for _, sql := range []string{moveTenantMissing, moveIdentifierTaken, moveIdentityTaken, moveUsers, moveTaken, moveIdentities, moveProfiles, moveMembers} {
		steps.Queue(sql)
	}
	for i := range b.Accounts {
		a := &b.Accounts[i]
		queueProof(&steps, uuid(a.User.ID), a.Tokens, nil, a.Messages)
	}
	steps.Queue(moveRemember, p.Source, timestamp(p.UpdatedAt))
	steps.Queue(moveProgress, p.Name, p.Source, p.Digest, p.Position, p.After, p.Refused, timestamp(p.StartedAt), timestamp(p.UpdatedAt),
		timestamp(p.FinishedAt))
	if len(b.Audit) > 0 {
		steps.Queue(writeAudit, auditArgs(b.Audit...)...)
	}
	var outcomes []auth.MoveOutcome
	steps.Queue(moveOutcomes).Query(func(rows pgx.Rows) (err error) {
		outcomes, err = pgx.CollectRows(rows, pgx.RowTo[auth.MoveOutcome])
		return err
	})
	if err := tx.SendBatch(ctx, &steps).Close(); err != nil {
		return nil, err
	}
	for _, o := range outcomes {
		if o == auth.MoveUnknown {
			return nil, errAgain
		}
	}
	return outcomes, nil
}

// tombs gives the subjects of each account, by its number.
func tombs(list []auth.MovedAccount) (numbers []int32, subjects []string) {
	numbers, subjects = []int32{}, []string{}
	for n := range list {
		for _, subject := range list[n].Tombs() {
			numbers, subjects = append(numbers, int32(n)), append(subjects, subject)
		}
	}
	return numbers, subjects
}

// copyMoving fills the temporary tables.
func copyMoving(ctx context.Context, tx pgx.Tx, list []auth.MovedAccount) error {
	var identities, profiles, members [][]any
	users := make([][]any, len(list))
	for n := range list {
		a := &list[n]
		u := &a.User
		active := a.Profile == nil || a.Profile.Active
		users[n] = []any{
			n, a.ExternalID, uuid(u.ID), u.Aud, u.Role, u.Email, u.Phone, u.PasswordHash, timestamp(u.EmailConfirmedAt),
			timestamp(u.PhoneConfirmedAt), timestamp(u.InvitedAt), timestamp(u.ConfirmationSentAt), timestamp(u.RecoverySentAt),
			timestamp(u.LastSignInAt), document(u.AppMetadata), document(u.UserMetadata), u.IsSSO, u.IsAnonymous,
			timestamp(u.BannedUntil), active, timestamp(u.CreatedAt), timestamp(u.UpdatedAt),
		}
		for k := range u.Identities {
			i := &u.Identities[k]
			identities = append(identities, []any{
				n, uuid(i.ID), i.Provider, i.ProviderID, document(i.Data), timestamp(i.LastSignInAt), timestamp(i.CreatedAt), timestamp(i.UpdatedAt),
			})
		}
		for k := range a.Memberships {
			m := &a.Memberships[k]
			members = append(members, []any{
				n, uuid(m.TenantID), m.Role, m.State, uuid(m.InvitedBy), timestamp(m.CreatedAt), timestamp(m.UpdatedAt), timestamp(m.EndsAt),
			})
		}
		if a.Profile != nil {
			row, err := profileRow(n, a.Profile)
			if err != nil {
				return err
			}
			profiles = append(profiles, row)
		}
	}
	for _, c := range []struct {
		table, columns string
		rows           [][]any
	}{
		{"cardea_moving", "n external_id id aud role email phone password email_confirmed_at phone_confirmed_at invited_at " +
			"confirmation_sent_at recovery_sent_at last_sign_in_at app meta is_sso is_anonymous banned_until is_active created_at updated_at", users},
		{"cardea_moving_identities", "n id provider provider_id data last_sign_in_at created_at updated_at", identities},
		{"cardea_moving_profiles", "n full_name birth_date image_url language preferences notification_settings privacy_settings flags " +
			"extensions last_auth_method last_auth_method_at updated_at", profiles},
		{"cardea_moving_members", "n tenant_id role state invited_by created_at updated_at ends_at", members},
	} {
		if len(c.rows) == 0 {
			continue
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", c.table}, strings.Fields(c.columns), pgx.CopyFromRows(c.rows)); err != nil {
			return err
		}
	}
	return nil
}

// profileRow gives the columns of a profile.
func profileRow(n int, p *auth.Profile) ([]any, error) {
	extensions, err := extensionsOf(p)
	if err != nil {
		return nil, err
	}
	var birth pgtype.Date
	if p.BirthDate != "" {
		if err := birth.Scan(p.BirthDate); err != nil {
			return nil, fmt.Errorf("%w: birth date: %w", auth.ErrUnstorable, err)
		}
	}
	return []any{
		n, p.FullName, birth, p.ImageURL, p.Language, document(p.Preferences), document(p.Notifications), document(p.Privacy),
		document(p.Flags), extensions, p.LastMethod, timestamp(p.LastMethodAt), timestamp(p.UpdatedAt),
	}, nil
}
