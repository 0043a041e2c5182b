package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// gotrueColumns are the columns of GoTrue's tables that Cardea reads and writes, with their
// types, as migrations 1 and 4 make them.
const gotrueColumns = `
users: instance_id uuid, id uuid, aud varchar, role varchar, email varchar, encrypted_password varchar, email_confirmed_at timestamptz,
	invited_at timestamptz, confirmation_token varchar, confirmation_sent_at timestamptz, recovery_token varchar,
	recovery_sent_at timestamptz, email_change_token_new varchar, email_change varchar, email_change_sent_at timestamptz,
	last_sign_in_at timestamptz, raw_app_meta_data jsonb, raw_user_meta_data jsonb, created_at timestamptz, updated_at timestamptz,
	phone text, phone_confirmed_at timestamptz, phone_change text, phone_change_token varchar, phone_change_sent_at timestamptz,
	confirmed_at timestamptz, email_change_token_current varchar, email_change_confirm_status int2, banned_until timestamptz,
	reauthentication_token varchar, reauthentication_sent_at timestamptz, is_sso_user bool, deleted_at timestamptz, is_anonymous bool
identities: provider_id text, user_id uuid, identity_data jsonb, provider text, last_sign_in_at timestamptz, created_at timestamptz,
	updated_at timestamptz, email text, id uuid
sessions: id uuid, user_id uuid, created_at timestamptz, updated_at timestamptz, factor_id uuid, aal aal_level, not_after timestamptz,
	refreshed_at timestamp, user_agent text, ip inet, tag text, oauth_client_id uuid, refresh_token_hmac_key text,
	refresh_token_counter int8, scopes text
refresh_tokens: token varchar, revoked bool, parent varchar, session_id uuid, id int8
mfa_factors: id uuid, user_id uuid, friendly_name text, factor_type factor_type, status factor_status, created_at timestamptz,
	updated_at timestamptz, secret text, phone text, last_challenged_at timestamptz, web_authn_credential jsonb,
	web_authn_aaguid uuid, last_webauthn_challenge_data jsonb
mfa_amr_claims: session_id uuid, created_at timestamptz, updated_at timestamptz, authentication_method text, id uuid
one_time_tokens: id uuid, user_id uuid, token_type one_time_token_type, token_hash text, relates_to text, created_at timestamp,
	updated_at timestamp
flow_state: id uuid, user_id uuid, auth_code text, code_challenge_method code_challenge_method, code_challenge text,
	provider_type text, provider_access_token text, provider_refresh_token text, created_at timestamptz, updated_at timestamptz,
	authentication_method text, auth_code_issued_at timestamptz, invite_token text, referrer text, oauth_client_state_id uuid,
	linking_target_id uuid, email_optional bool
audit_log_entries: instance_id uuid, id uuid, payload json, created_at timestamptz, ip_address varchar
schema_migrations: version varchar`

// gotrueConstraints tell errors apart (see storeError) or carry an ON CONFLICT.
const gotrueConstraints = `users_pkey users_phone_key identities_pkey identities_provider_id_provider_unique identities_user_id_fkey
	sessions_pkey sessions_user_id_fkey mfa_factors_pkey amr_id_pk mfa_amr_claims_session_id_fkey
	mfa_amr_claims_session_id_authentication_method_pkey one_time_tokens_pkey one_time_tokens_user_id_fkey flow_state_pkey
	audit_log_entries_pkey`

// ourTables and ourColumns must not be there yet.
const (
	ourTables  = `signing_keys api_keys outbox known_devices user_roles profiles tenants memberships relations`
	ourColumns = `users.is_active users.has_agent sessions.refresh_token_parent sessions.name sessions.tenant_id
		one_time_tokens.purpose one_time_tokens.code_hash one_time_tokens.flow_state_id one_time_tokens.expires_at
		one_time_tokens.attempts one_time_tokens.paired`
)

// inspect fills the report. It reads only. What is wrong goes to Problems; an error means
// that it could not be found out. The second time, with the tables closed, it looks at what
// may have come between, and doesn't count.
func inspect(ctx context.Context, conn *pgx.Conn, c *AdoptConfig, r *AdoptReport, second bool) error {
	in := &inspector{ctx: ctx, conn: conn, c: c, r: r, second: second}
	known, err := in.state()
	if err != nil || !known {
		return err
	}
	r.Again = in.again
	if err := in.structure(); err != nil {
		return err
	}
	looks := []func() error{in.names, in.rights, in.others, in.version, in.accounts}
	if len(r.Problems) > 0 { // the last two read what may not be there
		looks = looks[:3]
	}
	for _, look := range looks {
		if err := look(); err != nil {
			return err
		}
	}
	return nil
}

type inspector struct {
	ctx  context.Context
	conn *pgx.Conn
	c    *AdoptConfig
	r    *AdoptReport

	second bool
	again  bool // it was adopted before, and given back: our tables are there
}

func (in *inspector) problem(fix, what string, args ...any) {
	in.r.Problems = append(in.r.Problems, AdoptProblem{fmt.Sprintf(what, args...), fix})
}

func (in *inspector) note(text string, args ...any) {
	in.r.Notes = append(in.r.Notes, fmt.Sprintf(text, args...))
}

// row reads one row.
func (in *inspector) row(sql string, into ...any) error {
	if err := in.conn.QueryRow(in.ctx, sql).Scan(into...); err != nil {
		return fmt.Errorf("postgres: inspect the schema: %w", err)
	}
	return nil
}

// list reads one column of texts.
func (in *inspector) list(sql string, args ...any) ([]string, error) {
	rows, err := in.conn.Query(in.ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("postgres: inspect the schema: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("postgres: inspect the schema: %w", err)
	}
	return found, nil
}

// state finds out whether there is a schema to look at.
func (in *inspector) state() (known bool, err error) {
	var mark, versions, gotrue, users bool
	var server int
	var ours int64
	err = in.row(`SELECT to_regclass('auth.cardea_adoption') IS NOT NULL, to_regclass('`+versionTable+`') IS NOT NULL,
		to_regclass('auth.schema_migrations') IS NOT NULL, coalesce((SELECT relkind = 'r' FROM pg_catalog.pg_class WHERE oid = to_regclass('auth.users')), false),
		current_setting('server_version_num')::int`, &mark, &versions, &gotrue, &users, &server)
	if err != nil {
		return false, err
	}
	if mark {
		return in.marked()
	}
	if versions { // asked for, not tried: a failed statement would end the transaction
		if ours, err = readVersion(in.ctx, in.conn); err != nil {
			return false, err
		}
	}
	switch {
	case ours > 0:
		in.problem("Nothing: run `cardea migrate`.", "The schema was made by Cardea itself (version %d).", ours)
	case !gotrue || !users:
		in.problem("Look at DATABASE_URL. An empty database needs `cardea migrate` only.",
			"There is no GoTrue in this database: auth.schema_migrations or the table auth.users is missing.")
	case server < 140000:
		in.problem("Upgrade PostgreSQL to 14 or later.", "PostgreSQL is too old (%d).", server/10000)
	}
	return len(in.r.Problems) == 0, nil
}

// marked looks at a schema that was adopted before: it still is, or was given back.
func (in *inspector) marked() (known bool, err error) {
	err = in.row("SELECT released_at IS NULL FROM auth.cardea_adoption ORDER BY id DESC LIMIT 1", &in.r.Already)
	if err != nil {
		return false, err
	}
	if in.r.Already {
		return false, in.row("SELECT gotrue_version FROM auth.cardea_adoption ORDER BY id DESC LIMIT 1", &in.r.Version)
	}
	in.again = true
	return true, nil
}

// structure compares tables, columns and types.
func (in *inspector) structure() error {
	columns, err := in.list(`SELECT c.relname || '.' || a.attname || ' ' || t.typname
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		WHERE c.relnamespace = 'auth'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped`)
	if err != nil {
		return err
	}
	have := map[string]string{}
	for _, c := range columns {
		name, kind, _ := strings.Cut(c, " ")
		have[name] = kind
	}
	const upgrade = "Start a current GoTrue on the database once (it migrates when it starts), stop it, and try again."
	for table, columns := range wantedColumns() {
		var missing []string
		for _, column := range columns {
			name, kind, _ := strings.Cut(column, " ")
			switch found := have[table+"."+name]; {
			case found == "":
				missing = append(missing, name)
			case found != kind:
				in.problem("It was changed by hand: change it back.", "Column auth.%s.%s has type %s, expected %s.", table, name, found, kind)
			}
		}
		switch {
		case len(missing) == len(columns):
			in.problem(upgrade, "Table auth.%s is missing.", table)
		case len(missing) > 0:
			in.problem(upgrade, "Table auth.%s has no column %s.", table, strings.Join(missing, ", "))
		}
	}
	for _, c := range strings.Fields(ourColumns) {
		if have[c] != "" && !in.again {
			in.problem("Rename it: Cardea needs the name.", "Column auth.%s is there already, and isn't GoTrue's.", c)
		}
	}
	slices.SortFunc(in.r.Problems, func(a, b AdoptProblem) int { return strings.Compare(a.What, b.What) })
	return nil
}

// wantedColumns reads gotrueColumns.
func wantedColumns() map[string][]string {
	tables := map[string][]string{}
	for line := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(gotrueColumns), "\n\t", " "), "\n") {
		table, list, _ := strings.Cut(line, ": ")
		for column := range strings.SplitSeq(list, ", ") {
			tables[table] = append(tables[table], strings.TrimSpace(column))
		}
	}
	return tables
}

// names looks for constraints that errors are told apart by, for labels of types, and for
// tables that are in the way.
func (in *inspector) names() error {
	missing, err := in.list(`SELECT w FROM unnest($1::text[]) AS w WHERE NOT EXISTS (
		SELECT FROM pg_catalog.pg_constraint WHERE connamespace = 'auth'::regnamespace AND conname = w) ORDER BY w`,
		strings.Fields(gotrueConstraints))
	if err != nil {
		return err
	}
	for _, name := range missing {
		in.problem("Make it again as GoTrue's migrations do, or rename yours (ALTER TABLE ... RENAME CONSTRAINT).",
			"Constraint %s is missing.", name)
	}
	labels, err := in.list(`SELECT w FROM unnest('{aal_level.aal1,aal_level.aal2,factor_type.totp,factor_type.webauthn,factor_type.phone,
			factor_status.unverified,factor_status.verified,code_challenge_method.s256,code_challenge_method.plain,
			one_time_token_type.confirmation_token,one_time_token_type.reauthentication_token,one_time_token_type.recovery_token,
			one_time_token_type.email_change_token_new,one_time_token_type.email_change_token_current,
			one_time_token_type.phone_change_token}'::text[]) AS w
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid
			WHERE t.typnamespace = 'auth'::regnamespace AND t.typname || '.' || e.enumlabel = w) ORDER BY w`)
	if err != nil {
		return err
	}
	for _, label := range labels {
		in.problem("Start a current GoTrue on the database once, stop it, and try again.", "Type auth.%s: the label is missing.", label)
	}
	if in.again {
		return nil
	}
	taken, err := in.list(`SELECT w FROM unnest($1::text[]) AS w WHERE to_regclass('auth.' || w) IS NOT NULL ORDER BY w`,
		strings.Fields(ourTables))
	if err != nil {
		return err
	}
	for _, name := range taken {
		in.problem("Move it to another schema (ALTER TABLE ... SET SCHEMA): Cardea needs the name.",
			"auth.%s is there already, and isn't GoTrue's.", name)
	}
	return nil
}

// version refuses what nobody has looked at.
func (in *inspector) version() error {
	err := in.row(`SELECT coalesce(max(version), '') FROM auth.schema_migrations WHERE version ~ '^20[0-9]{12}$'`, &in.r.Version)
	if err != nil {
		return err
	}
	if v := in.r.Version; v == "" || v > newestGoTrue && v != in.c.AcceptVersion {
		in.problem("Upgrade Cardea; or, when GoTrue's release notes tell of no change to what you use, add --accept-version "+v+".",
			"GoTrue's schema has version %q; known are those up to %s.", v, newestGoTrue)
	}
	return nil
}

// rights asks whether the account may do it.
func (in *inspector) rights() error {
	var owner, account string
	var member, create bool
	err := in.row(`SELECT pg_get_userbyid(relowner), current_user, pg_has_role(relowner, 'MEMBER'),
			has_schema_privilege(relowner, 'auth', 'CREATE')
		FROM pg_catalog.pg_class WHERE oid = 'auth.users'::regclass`, &owner, &account, &member, &create)
	if err != nil {
		return err
	}
	if !member {
		in.problem("Use the account that GoTrue used: postgres://"+owner+":...", "The account %s may not act as %s, who owns auth.users.", account, owner)
		return nil
	}
	if !create {
		in.problem("As a superuser: GRANT CREATE ON SCHEMA auth TO "+owner, "%s may not make tables in schema auth.", owner)
	}
	other, err := in.list(`SELECT kind || ' auth.' || name || ' belongs to ' || pg_get_userbyid(o) FROM (
			SELECT 'TABLE', relname::text, relowner FROM pg_catalog.pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r' AND relname = ANY ($1)
			UNION ALL SELECT 'FUNCTION', proname || '()', proowner FROM pg_catalog.pg_proc
				WHERE pronamespace = 'auth'::regnamespace AND pronargs = 0 AND proname IN ('uid', 'role', 'email', 'jwt')
		) AS t (kind, name, o) WHERE NOT pg_has_role($2, o, 'MEMBER') ORDER BY 1`,
		slices.Collect(maps.Keys(wantedColumns())), owner)
	if err != nil {
		return err
	}
	for _, text := range other {
		what, _, _ := strings.Cut(text, " belongs")
		in.problem("As a superuser: ALTER "+what+" OWNER TO "+owner, "%s, not to %s.", text, owner)
	}
	return nil
}

// others looks for a GoTrue that still runs: two programs that write sessions in their own
// ways would undo each other's work.
func (in *inspector) others() error {
	found, err := in.list(`SELECT 'process ' || pid || ' (' || coalesce(usename, '') || coalesce(', ' || nullif(application_name, ''), '') || ')'
		FROM pg_catalog.pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
			AND application_name NOT LIKE 'cardea migrate%'
			AND (usename = 'supabase_auth_admin' OR application_name ILIKE '%gotrue%' OR EXISTS (
				SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
				WHERE l.pid = pg_stat_activity.pid AND l.granted AND c.oid = to_regclass('auth.users')
					AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))
		ORDER BY pid`)
	if err != nil {
		return err
	}
	for _, who := range found {
		in.problem("Stop GoTrue, and whatever else writes accounts, and try again.", "Somebody is connected who may write accounts: %s.", who)
	}
	return nil
}

// accounts looks at the rows.
func (in *inspector) accounts() error {
	if err := in.duplicates(); err != nil || in.second {
		return err
	}
	var mixed, nulls, sealed, foreign, unknown, factors, waiting, keys, sealedKeys int64
	err := in.row(`SELECT count(*), count(*) FILTER (WHERE email <> lower(email) AND NOT is_sso_user),
			count(*) FILTER (WHERE confirmation_token IS NULL OR recovery_token IS NULL OR email_change_token_new IS NULL OR email_change IS NULL),
			count(*) FILTER (WHERE encrypted_password LIKE '{%'),
			count(*) FILTER (WHERE coalesce(aud, '') <> '`+quoted(in.c.Audience)+`' AND deleted_at IS NULL),
			count(*) FILTER (WHERE encrypted_password <> '' AND encrypted_password !~ '^(\{|\$(2[aby]|argon2id?|fbscrypt|scrypt|pbkdf2(-sha(1|256|512))?)\$)')
		FROM auth.users`, &in.r.Users, &mixed, &nulls, &sealed, &foreign, &unknown)
	if err != nil {
		return err
	}
	err = in.row(`SELECT (SELECT count(*) FROM auth.sessions), (SELECT count(*) FROM auth.mfa_factors WHERE status = 'verified'),
		(SELECT count(*) FROM auth.one_time_tokens), (SELECT count(*) FROM auth.sessions WHERE refresh_token_hmac_key IS NOT NULL),
		(SELECT count(*) FROM auth.sessions WHERE refresh_token_hmac_key LIKE '{%')`, &in.r.Sessions, &factors, &waiting, &keys, &sealedKeys)
	if err != nil {
		return err
	}
	if sealed > 0 {
		in.problem("Switch off GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT and let GoTrue write the passwords plain again (it does so at each sign-in).",
			"%d accounts have a password that GoTrue has encrypted, and Cardea can't read.", sealed)
	}
	for _, n := range []struct {
		count int64
		text  string
	}{
		{mixed, "%d accounts have capital letters in their address: it is written in small ones."},
		{nulls, "%d accounts were inserted by hand, with NULL where GoTrue fails. Cardea reads them; they stay as they are."},
		{foreign, "%d accounts have another audience than CARDEA_JWT_AUDIENCE, and can't be found by their address until that is set."},
		{unknown, "%d accounts have a password hash of an unknown kind: they need a recovery mail."},
		{factors, "%d second factors are kept. Where this version does not ask for them, policies that demand aal2 refuse their owners."},
		{waiting, "%d open links and codes stop working: whoever waits for one asks for another."},
		{keys - sealedKeys, "%d sessions have refresh tokens of the newer kind: they go on, and so do those of the older kind."},
		{sealedKeys, "%d sessions have an encrypted key: their owners sign in again."},
	} {
		if n.count > 0 {
			in.note(n.text, n.count)
		}
	}
	return nil
}

// duplicates would break the unique index, or make one account unreachable. They are named
// by their ids: addresses don't belong on an operator's screen.
func (in *inspector) duplicates() error {
	found, err := in.list(`SELECT string_agg(id::text, ', ' ORDER BY created_at, id) FROM auth.users
		WHERE NOT is_sso_user AND email IS NOT NULL GROUP BY lower(email) HAVING count(*) > 1 ORDER BY 1 LIMIT 20`)
	if err != nil {
		return err
	}
	for _, ids := range found {
		in.problem("Give all but one another address, or delete them.", "Accounts with one address in different cases: %s.", ids)
	}
	return nil
}

// quoted makes a text safe between quotes: row takes no arguments.
func quoted(s string) string { return strings.ReplaceAll(s, "'", "''") }

// refuseForeign keeps Migrate, on a schema without a version of ours, from stumbling half-way
// over the tables of a GoTrue.
func refuseForeign(ctx context.Context, conn *pgx.Conn) error {
	var gotrue bool
	err := conn.QueryRow(ctx, `SELECT to_regclass('auth.schema_migrations') IS NOT NULL AND to_regclass('auth.users') IS NOT NULL`).Scan(&gotrue)
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	if gotrue {
		return ErrForeignSchema
	}
	return nil
}
