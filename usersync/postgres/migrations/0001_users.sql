-- Users of an issuer, mirrored. email and phone hold proved addresses and no others: rows
-- are linked by them, and whoever could write one down here would wait for its owner.
CREATE TABLE @users (
	id             uuid PRIMARY KEY,
	issuer         text,
	subject        text,
	status         text NOT NULL CHECK (status IN ('active', 'banned', 'deactivated', 'superseded', 'deleted')),
	email          text UNIQUE,
	phone          text UNIQUE,
	email_verified boolean NOT NULL DEFAULT false,
	phone_verified boolean NOT NULL DEFAULT false,
	email_stale    boolean NOT NULL DEFAULT false,
	phone_stale    boolean NOT NULL DEFAULT false,
	is_verified    boolean GENERATED ALWAYS AS (email_verified OR phone_verified) STORED,
	auth_provider  text NOT NULL DEFAULT '',
	identities     jsonb NOT NULL DEFAULT '[]',
	version        bigint NOT NULL DEFAULT 1,
	source_at      timestamptz,
	evidence_at    timestamptz,
	created_at     timestamptz NOT NULL,
	updated_at     timestamptz NOT NULL,
	UNIQUE (issuer, subject),
	CHECK ((issuer IS NULL) = (subject IS NULL)),
	CHECK ((email IS NOT NULL) = email_verified),
	CHECK ((phone IS NOT NULL) = phone_verified),
	CHECK (status NOT IN ('superseded', 'deleted') OR (email IS NULL AND phone IS NULL))
);

-- One row for each user but tombstones. Applications may add columns of their own, with
-- defaults.
CREATE TABLE @profiles (
	user_id      uuid PRIMARY KEY REFERENCES @users (id) ON DELETE CASCADE,
	first_name   text NOT NULL DEFAULT '',
	last_name    text NOT NULL DEFAULT '',
	full_name    text NOT NULL DEFAULT '',
	avatar_url   text NOT NULL DEFAULT '',
	locale       text NOT NULL DEFAULT '',
	is_onboarded boolean NOT NULL DEFAULT false,
	created_at   timestamptz NOT NULL,
	updated_at   timestamptz NOT NULL
);

-- What rows and issuer did not agree on. No addresses here.
CREATE TABLE @conflicts (
	user_id  uuid NOT NULL REFERENCES @users (id) ON DELETE CASCADE,
	field    text NOT NULL,
	kind     text NOT NULL,
	other_id text NOT NULL DEFAULT '',
	times    bigint NOT NULL DEFAULT 1,
	first_at timestamptz NOT NULL,
	last_at  timestamptz NOT NULL,
	PRIMARY KEY (user_id, field, kind, other_id)
);

-- The outbox: deliveries, and users who wait for their issuer.
CREATE TABLE @tasks (
	consumer     text NOT NULL,
	id           text NOT NULL,
	user_id      text,
	payload      bytea NOT NULL,
	attempts     integer NOT NULL DEFAULT 0,
	due_at       timestamptz NOT NULL,
	leased_until timestamptz NOT NULL DEFAULT 'epoch',
	last_error   text NOT NULL DEFAULT '',
	created_at   timestamptz NOT NULL,
	PRIMARY KEY (consumer, id)
);
CREATE INDEX tasks_due ON @tasks (consumer, due_at);
CREATE INDEX tasks_user ON @tasks (user_id);

-- Messages that must not be carried out twice.
CREATE TABLE @seen (
	id    text PRIMARY KEY,
	until timestamptz NOT NULL
);
CREATE INDEX seen_until ON @seen (until);
