-- Users of an issuer, mirrored. Times are microseconds since 1970, UTC. email and phone hold proved addresses and no others: rows
-- are linked by them, and whoever could write one down here would wait for its owner.
CREATE TABLE @users (
	id             text NOT NULL PRIMARY KEY,
	issuer         text,
	subject        text,
	status         text NOT NULL CHECK (status IN ('active', 'banned', 'deactivated', 'superseded', 'deleted')),
	email          text UNIQUE,
	phone          text UNIQUE,
	email_verified integer NOT NULL DEFAULT 0,
	phone_verified integer NOT NULL DEFAULT 0,
	email_stale    integer NOT NULL DEFAULT 0,
	phone_stale    integer NOT NULL DEFAULT 0,
	is_verified    integer GENERATED ALWAYS AS (email_verified OR phone_verified) STORED,
	auth_provider  text NOT NULL DEFAULT '',
	identities     text NOT NULL DEFAULT '[]',
	version        integer NOT NULL DEFAULT 1,
	source_at      integer,
	evidence_at    integer,
	created_at     integer NOT NULL,
	updated_at     integer NOT NULL,
	UNIQUE (issuer, subject),
	CHECK ((issuer IS NULL) = (subject IS NULL)),
	CHECK ((email IS NOT NULL) = email_verified),
	CHECK ((phone IS NOT NULL) = phone_verified),
	CHECK (status NOT IN ('superseded', 'deleted') OR (email IS NULL AND phone IS NULL))
);

-- One row for each user but tombstones. Applications may add columns of their own, with
-- defaults.
CREATE TABLE @profiles (
	user_id      text NOT NULL PRIMARY KEY REFERENCES @users (id) ON DELETE CASCADE,
	first_name   text NOT NULL DEFAULT '',
	last_name    text NOT NULL DEFAULT '',
	full_name    text NOT NULL DEFAULT '',
	avatar_url   text NOT NULL DEFAULT '',
	locale       text NOT NULL DEFAULT '',
	is_onboarded integer NOT NULL DEFAULT 0,
	created_at   integer NOT NULL,
	updated_at   integer NOT NULL
);

-- What rows and issuer did not agree on. No addresses here.
CREATE TABLE @conflicts (
	user_id  text NOT NULL REFERENCES @users (id) ON DELETE CASCADE,
	field    text NOT NULL,
	kind     text NOT NULL,
	other_id text NOT NULL DEFAULT '',
	times    integer NOT NULL DEFAULT 1,
	first_at integer NOT NULL,
	last_at  integer NOT NULL,
	PRIMARY KEY (user_id, field, kind, other_id)
);

-- The outbox: deliveries, and users who wait for their issuer.
CREATE TABLE @tasks (
	consumer     text NOT NULL,
	id           text NOT NULL,
	user_id      text,
	payload      blob NOT NULL,
	attempts     integer NOT NULL DEFAULT 0,
	due_at       integer NOT NULL,
	leased_until integer NOT NULL DEFAULT 0,
	last_error   text NOT NULL DEFAULT '',
	created_at   integer NOT NULL,
	PRIMARY KEY (consumer, id)
);
CREATE INDEX @tasks_due ON @tasks (consumer, due_at);
CREATE INDEX @tasks_user ON @tasks (user_id);

-- Messages that must not be carried out twice.
CREATE TABLE @seen (
	id    text NOT NULL PRIMARY KEY,
	until integer NOT NULL
);
CREATE INDEX @seen_until ON @seen (until);
