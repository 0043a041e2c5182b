package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

// insertSession is a part of statements: it inserts a session and its methods for the
// row of u, which says whether there may be one, with the tenant of w, where there is one.
// Parameters $1 to $13 are those of [sessionArgs]; no row is inserted when $1 is NULL.
const insertSession = `
s AS (
	INSERT INTO auth.sessions (id, user_id, created_at, updated_at, aal, not_after, refreshed_at, user_agent, ip,
		refresh_token_counter, refresh_token_parent, name, tenant_id)
	SELECT $1::uuid, u.id, $2::timestamptz, $3::timestamptz, nullif($4::text, '')::auth.aal_level, $5::timestamptz,
		$6::timestamptz AT TIME ZONE 'utc', nullif($7::text, ''), nullif($8::text, '')::inet, $9::bigint, $10::bigint,
		nullif($13::text, ''), (SELECT w.tenant_id FROM w)
	FROM u WHERE $1::uuid IS NOT NULL
	RETURNING id
), m AS (
	INSERT INTO auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
	SELECT gen_random_uuid(), s.id, c.at, c.at, c.method FROM s, unnest($11::text[], $12::timestamptz[]) AS c (method, at)
)`

// sessionArgs gives the parameters of insertSession.
func sessionArgs(s *auth.Session) []any {
	if s == nil {
		s = &auth.Session{}
	}
	methods := make([]string, len(s.AMR))
	times := make([]pgtype.Timestamptz, len(s.AMR))
	for i, a := range s.AMR {
		methods[i], times[i] = a.Method, timestamp(a.At)
	}
	return []any{
		uuid(s.ID), timestamp(s.CreatedAt), timestamp(s.UpdatedAt), s.AAL, timestamp(s.NotAfter), timestamp(s.RefreshedAt),
		s.UserAgent, s.IP, s.Counter, s.Parent, methods, times, s.Name,
	}
}

// sessionTenant is a part of statements: w is the tenant that a new session of the account
// $14 begins in, see store.People. The account is a parameter wherever it is asked for, and no
// join: a planner that knows no numbers yet might read all members of a tenant.
const sessionTenant = `
last AS (
	SELECT ms.tenant_id, ms.role FROM auth.memberships ms JOIN auth.tenants t ON t.id = ms.tenant_id AND t.is_active
	WHERE ms.user_id = $14 AND ms.state = 'active' AND (ms.ends_at IS NULL OR ms.ends_at > $2) AND ms.tenant_id = (
		SELECT o.tenant_id FROM auth.sessions o WHERE o.user_id = $14 ORDER BY o.created_at DESC, o.id DESC LIMIT 1)
), sole AS (
	SELECT ms.tenant_id, ms.role FROM auth.memberships ms JOIN auth.tenants t ON t.id = ms.tenant_id AND t.is_active
	WHERE ms.user_id = $14 AND ms.state = 'active' AND (ms.ends_at IS NULL OR ms.ends_at > $2) AND NOT EXISTS (SELECT FROM last)
	LIMIT 2
), w AS (
	SELECT * FROM last UNION ALL SELECT * FROM sole WHERE (SELECT count(*) FROM sole) = 1
)`

// insertAudit is a part of statements: it inserts the entries of [auditArgs], in
// parameters $15 to $18, when u has a row.
const insertAudit = `
a AS (
	INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
	SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
	FROM u, unnest($15::uuid[], $16::timestamptz[], $17::text[], $18::text[]) AS e (id, at, payload, ip)
)`

// auditArgs gives the columns of audit entries.
func auditArgs(entries ...auth.AuditEntry) []any {
	ids := make([]pgtype.UUID, len(entries))
	times := make([]pgtype.Timestamptz, len(entries))
	payloads := make([]string, len(entries))
	ips := make([]string, len(entries))
	for i := range entries {
		e := &entries[i]
		ids[i], times[i], payloads[i], ips[i] = uuid(e.ID), timestamp(e.At), string(e.Payload()), e.IP
	}
	return []any{ids, times, payloads, ips}
}

// createAccount leaves a taken address to ON CONFLICT rather than to an error, as the
// error would write the address to the server's log.
const createAccount = `
WITH u AS (
	INSERT INTO auth.users (instance_id, id, aud, role, email, phone, encrypted_password, email_confirmed_at,
		phone_confirmed_at, invited_at, confirmation_sent_at, recovery_sent_at, email_change, email_change_sent_at,
		phone_change, phone_change_sent_at, reauthentication_sent_at, last_sign_in_at, raw_app_meta_data,
		raw_user_meta_data, is_sso_user, is_anonymous, banned_until, created_at, updated_at)
	VALUES ('00000000-0000-0000-0000-000000000000', $14, $19, $20, nullif($21, ''), nullif($22, ''), $23, $24, $25, $26,
		$27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41)
	ON CONFLICT DO NOTHING
	RETURNING id
), i AS (
	INSERT INTO auth.identities (id, user_id, provider, provider_id, identity_data, last_sign_in_at, created_at, updated_at)
	SELECT n.id, u.id, n.provider, n.provider_id, n.data::jsonb, n.last_sign_in_at, n.created_at, n.updated_at
	FROM u, unnest($42::uuid[], $43::text[], $44::text[], $45::text[], $46::timestamptz[], $47::timestamptz[],
		$48::timestamptz[]) AS n (id, provider, provider_id, data, last_sign_in_at, created_at, updated_at)
), n AS (
	SELECT * FROM unnest($49::uuid[], $50::text[], $51::text[], $52::uuid[], $53::timestamptz[], $54::timestamptz[],
		$55::timestamptz[]) AS n (tenant_id, role, state, invited_by, created_at, updated_at, ends_at)
), j AS (
	INSERT INTO auth.memberships (tenant_id, user_id, role, state, invited_by, created_at, updated_at, ends_at)
	SELECT n.tenant_id, u.id, n.role, n.state, n.invited_by, n.created_at, n.updated_at, n.ends_at FROM u, n
), c AS (
	SELECT n.tenant_id, n.role FROM n JOIN auth.tenants t ON t.id = n.tenant_id AND t.is_active
	WHERE n.state = 'active' AND (n.ends_at IS NULL OR n.ends_at > $2)
), w AS (
	SELECT c.tenant_id, c.role FROM c WHERE (SELECT count(*) FROM c) = 1
),` + insertSession + `,` + insertAudit + `
SELECT (SELECT count(*) FROM u), (SELECT w.tenant_id FROM w), (SELECT w.role FROM w)`

// takenBy finds out what was in the way. Soft-deleted accounts keep their id.
const takenBy = `
SELECT EXISTS (SELECT FROM auth.users WHERE email = $2 AND is_sso_user = false AND NOT $4::boolean),
	EXISTS (SELECT FROM auth.users WHERE phone = $3),
	EXISTS (SELECT FROM auth.users WHERE id = $1)`

// CreateAccount implements store.Users.
func (s *Store) CreateAccount(ctx context.Context, a auth.NewAccount) error {
	args, u := createArgs(&a), &a.User
	// What was in the way may have gone when we look for it: then it is no longer in the way.
	for range 3 {
		var inserted int64
		if err := createOnce(ctx, s.pool, &a, args, &inserted); err != nil {
			return storeError("create account", err)
		}
		if inserted == 1 {
			return nil
		}
		switch err := inTheWay(ctx, s.pool, u); {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return storeError("create account", err)
		}
	}
	return fmt.Errorf("postgres: create account: %w", auth.ErrConflict)
}

// inTheWay says why an account was not inserted; pgx.ErrNoRows when nothing is in the way
// any more.
func inTheWay(ctx context.Context, db querier, u *auth.User) error {
	var email, phone, id bool
	if err := db.QueryRow(ctx, takenBy, uuid(u.ID), u.Email, u.Phone, u.IsSSO).Scan(&email, &phone, &id); err != nil {
		return err
	}
	switch {
	case email:
		return auth.ErrEmailTaken
	case phone:
		return auth.ErrPhoneTaken
	case id:
		return auth.ErrIDTaken
	}
	return pgx.ErrNoRows
}

// querier is the pool, or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// createArgs gives the parameters of createAccount.
func createArgs(a *auth.NewAccount) []any {
	u, audit := &a.User, a.Audit
	if a.Profile != nil {
		audit = slices.Concat(audit, a.Profile.Audit)
	}
	args := append(append(sessionArgs(a.Session), uuid(u.ID)), auditArgs(audit...)...)
	args = append(args, u.Aud, u.Role, u.Email, u.Phone, u.PasswordHash, timestamp(u.EmailConfirmedAt),
		timestamp(u.PhoneConfirmedAt), timestamp(u.InvitedAt), timestamp(u.ConfirmationSentAt), timestamp(u.RecoverySentAt),
		u.EmailChange, timestamp(u.EmailChangeSentAt), u.PhoneChange, timestamp(u.PhoneChangeSentAt),
		timestamp(u.ReauthenticationSentAt), timestamp(u.LastSignInAt), document(u.AppMetadata),
		document(u.UserMetadata), u.IsSSO, u.IsAnonymous, timestamp(u.BannedUntil), timestamp(u.CreatedAt), timestamp(u.UpdatedAt))
	args = append(args, identityArgs(u.Identities)...)
	return append(args, membershipArgs(a.Memberships)...)
}

// createOnce is one statement, and one batch when something else belongs to the account:
// what proves the address, say, is inserted with the account or not at all.
func createOnce(ctx context.Context, db querier, a *auth.NewAccount, args []any, inserted *int64) error {
	started := a.Session
	if started == nil {
		started = new(auth.Session)
	}
	scan := func(row pgx.Row) error {
		return row.Scan(inserted, (*reference)(&started.TenantID), (*text)(&started.TenantRole))
	}
	if len(a.Tokens) == 0 && a.FlowState == nil && len(a.Messages) == 0 && a.Profile == nil {
		return scan(db.QueryRow(ctx, createAccount, args...))
	}
	var b pgx.Batch
	b.Queue(createAccount, args...).QueryRow(scan)
	if a.Profile != nil {
		if err := queueProfile(&b, a.User.ID, a.Profile, " AND "+changed); err != nil {
			return err
		}
	}
	queueProof(&b, uuid(a.User.ID), a.Tokens, a.FlowState, a.Messages)
	return db.SendBatch(ctx, &b).Close()
}

// identityArgs gives the columns of identities.
func identityArgs(list []auth.Identity) []any {
	ids := make([]pgtype.UUID, len(list))
	providers, subjects, data := make([]string, len(list)), make([]string, len(list)), make([]string, len(list))
	signedIn, created, updated := make([]pgtype.Timestamptz, len(list)), make([]pgtype.Timestamptz, len(list)), make([]pgtype.Timestamptz, len(list))
	for n := range list {
		i := &list[n]
		ids[n], providers[n], subjects[n], data[n] = uuid(i.ID), i.Provider, i.ProviderID, string(document(i.Data))
		signedIn[n], created[n], updated[n] = timestamp(i.LastSignInAt), timestamp(i.CreatedAt), timestamp(i.UpdatedAt)
	}
	return []any{ids, providers, subjects, data, signedIn, created, updated}
}

// membershipArgs gives the columns of the memberships of one account.
func membershipArgs(list []auth.Membership) []any {
	n := len(list)
	tenants, invitedBy := make([]pgtype.UUID, n), make([]pgtype.UUID, n)
	roles, states := make([]string, n), make([]string, n)
	created, updated, ends := make([]pgtype.Timestamptz, n), make([]pgtype.Timestamptz, n), make([]pgtype.Timestamptz, n)
	for i := range list {
		m := &list[i]
		tenants[i], roles[i], states[i], invitedBy[i] = uuid(m.TenantID), m.Role, m.State, uuid(m.InvitedBy)
		created[i], updated[i], ends[i] = timestamp(m.CreatedAt), timestamp(m.UpdatedAt), timestamp(m.EndsAt)
	}
	return []any{tenants, roles, states, invitedBy, created, updated, ends}
}
