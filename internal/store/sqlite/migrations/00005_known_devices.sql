-- What an account has been signed in from, so that its owner can be told of something new.

-- +goose Up
CREATE TABLE known_devices (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device text NOT NULL, -- hash of the account and of what the client said it was
    first_seen_at integer NOT NULL,
    last_seen_at integer NOT NULL,
    CONSTRAINT known_devices_pkey PRIMARY KEY (user_id, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_devices_last_seen_at_idx ON known_devices (last_seen_at);
