-- What an account has been signed in from, so that its owner can be told of something new.

-- +goose Up
CREATE TABLE auth.known_devices (
    user_id uuid NOT NULL,
    device text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT known_devices_pkey PRIMARY KEY (user_id, device),
    CONSTRAINT known_devices_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE
);
CREATE INDEX known_devices_last_seen_at_idx ON auth.known_devices (last_seen_at);
COMMENT ON COLUMN auth.known_devices.device IS 'Hash of the account and of what the client said it was';
ALTER TABLE auth.known_devices ENABLE ROW LEVEL SECURITY;
