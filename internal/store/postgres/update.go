package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-auth/cardea/internal/auth"
)

// An update is a batch: its first statement locks the account, so that the second, with
// a snapshot taken after the wait, sees every session that a change before this one has
// ended. That is what RequireSession relies on.
const (
	lockUser = `SELECT FROM auth.users WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`

	// changed holds in the statements after the one that changed the account, and only if
	// that did: the row was written by this transaction.
	changed = `EXISTS (SELECT FROM auth.users c WHERE c.id = $1 AND c.xmin = pg_current_xact_id()::xid)`

	// A document that is not an object (NULL, or written by hand) counts as empty.
	updateUser = `
UPDATE auth.users u SET updated_at = $2,
	aud = coalesce($4::text, aud),
	role = coalesce($5::text, role),
	email = CASE WHEN $6::text IS NULL THEN email ELSE nullif($6::text, '') END,
	phone = CASE WHEN $7::text IS NULL THEN phone ELSE nullif($7::text, '') END,
	encrypted_password = coalesce($8::text, encrypted_password),
	email_confirmed_at = CASE WHEN $9::boolean THEN $10::timestamptz ELSE email_confirmed_at END,
	phone_confirmed_at = CASE WHEN $11::boolean THEN $12::timestamptz ELSE phone_confirmed_at END,
	banned_until = CASE WHEN $13::boolean THEN $14::timestamptz ELSE banned_until END,
	is_anonymous = coalesce($15::boolean, is_anonymous),
	raw_app_meta_data = CASE WHEN $16::boolean
		THEN (CASE WHEN jsonb_typeof(raw_app_meta_data) = 'object' THEN raw_app_meta_data ELSE '{}' END
			|| $17::jsonb) - $18::text[]
		ELSE raw_app_meta_data END,
	raw_user_meta_data = CASE WHEN $19::boolean
		THEN (CASE WHEN jsonb_typeof(raw_user_meta_data) = 'object' THEN raw_user_meta_data ELSE '{}' END
			|| $20::jsonb) - $21::text[]
		ELSE raw_user_meta_data END
WHERE id = $1 AND deleted_at IS NULL
	AND ($3::uuid IS NULL OR EXISTS (SELECT FROM auth.sessions s WHERE s.id = $3 AND s.user_id = u.id))
	AND ($22::timestamptz IS NULL OR u.updated_at = $22)`

	removeIdentities = `DELETE FROM auth.identities WHERE user_id = $1 AND provider = ANY ($2::text[]) AND ` + changed

	// Where an account has several identities of one provider, the one with the same
	// provider id is meant, or else the oldest.
	upsertIdentities = `
WITH n AS (
	SELECT * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
		$8::timestamptz[]) AS n (id, provider, provider_id, data, last_sign_in_at, created_at, updated_at)
), old AS (
	SELECT DISTINCT ON (n.provider) i.id AS old_id, n.provider, n.provider_id, n.data::jsonb AS data, n.updated_at
	FROM n JOIN auth.identities i ON i.user_id = $1 AND i.provider = n.provider
	ORDER BY n.provider, i.provider_id <> n.provider_id, i.created_at, i.id
), merged AS (
	UPDATE auth.identities i SET provider_id = old.provider_id, updated_at = coalesce(old.updated_at, $9),
		identity_data = CASE WHEN jsonb_typeof(i.identity_data) = 'object' THEN i.identity_data ELSE '{}' END || old.data
	FROM old WHERE i.id = old.old_id AND ` + changed + `
)
INSERT INTO auth.identities (id, user_id, provider, provider_id, identity_data, last_sign_in_at, created_at, updated_at)
SELECT n.id, $1, n.provider, n.provider_id, n.data::jsonb, n.last_sign_in_at, coalesce(n.created_at, $9::timestamptz),
	coalesce(n.updated_at, $9)
FROM n WHERE NOT EXISTS (SELECT FROM old WHERE old.provider = n.provider) AND ` + changed

	auditChange = `
INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
FROM unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[]) AS e (id, at, payload, ip) WHERE ` + changed

	revokeAll    = `DELETE FROM auth.sessions WHERE user_id = $1 AND ` + changed
	revokeOne    = `DELETE FROM auth.sessions WHERE user_id = $1 AND id = $2 AND ` + changed
	revokeOthers = `DELETE FROM auth.sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2::uuid AND ` + changed
)

// UpdateUser implements store.Users.
func (s *Store) UpdateUser(ctx context.Context, id auth.ID, p auth.UserPatch) (auth.User, error) {
	key := uuid(id)
	var (
		b    pgx.Batch
		user auth.User
	)
	b.Queue(lockUser, key)
	found, err := queuePatch(&b, id, &p)
	if err != nil {
		return auth.User{}, storeError("update user", err)
	}
	if len(p.Audit) > 0 {
		b.Queue(auditChange, append([]any{key}, auditArgs(p.Audit...)...)...)
	}
	if p.PasswordHash != nil || p.Email != nil || p.Phone != nil {
		b.Queue(deleteTokens, key) // who has changed the locks wants no old links to open them
	}
	if len(p.Messages) > 0 {
		b.Queue(enqueueWith, append(messageArgs(p.Messages), key)...)
	}
	b.Queue(userByID, key).QueryRow(func(row pgx.Row) error {
		if !*found {
			return auth.ErrNotFound
		}
		return scanUser(row, &user)
	})
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return auth.User{}, storeError("update user", err)
	}
	return user, nil
}

// queuePatch adds the change of the account, its identities and its sessions to a batch
// that has locked the account. found is set when the batch has been sent.
func queuePatch(b *pgx.Batch, id auth.ID, p *auth.UserPatch) (found *bool, err error) {
	args, err := updateArgs(id, p)
	if err != nil {
		return nil, err
	}
	key := uuid(id)
	found = new(bool)
	b.Queue(updateUser, args...).Exec(func(tag pgconn.CommandTag) error {
		*found = tag.RowsAffected() == 1
		return nil
	})
	if len(p.RemoveIdentities) > 0 {
		b.Queue(removeIdentities, key, p.RemoveIdentities)
	}
	if len(p.Identities) > 0 {
		b.Queue(upsertIdentities, append(append([]any{key}, identityArgs(p.Identities)...), timestamp(p.At))...)
	}
	switch p.Revoke {
	case auth.RevokeOne:
		b.Queue(revokeOne, key, uuid(p.RevokeWith))
	case auth.RevokeOthers:
		b.Queue(revokeOthers, key, uuid(p.RevokeWith))
	case auth.RevokeAll:
		b.Queue(revokeAll, key)
	case auth.RevokeNone:
	}
	return found, nil
}

// updateArgs gives the parameters of updateUser.
func updateArgs(id auth.ID, p *auth.UserPatch) ([]any, error) {
	args := []any{uuid(id), timestamp(p.At), uuid(p.RequireSession), p.Aud, p.Role, p.Email, p.Phone, p.PasswordHash}
	for _, t := range []*time.Time{p.EmailConfirmedAt, p.PhoneConfirmedAt, p.BannedUntil} {
		if t == nil {
			args = append(args, false, nil)
		} else {
			args = append(args, true, timestamp(*t))
		}
	}
	args = append(args, p.IsAnonymous)
	for _, m := range []*auth.MetadataPatch{&p.AppMetadata, &p.UserMetadata} {
		set, remove, err := patchArgs(m)
		if err != nil {
			return nil, err
		}
		args = append(args, !m.IsZero(), set, remove)
	}
	return append(args, timestamp(p.RequireUpdatedAt)), nil
}

// patchArgs gives the members to write, as a document, and the names of those to remove.
func patchArgs(m *auth.MetadataPatch) (set []byte, remove []string, err error) {
	set, remove = []byte(`{}`), m.Delete
	if len(m.Set) > 0 {
		if set, err = json.Marshal(m.Set); err != nil {
			return nil, nil, err
		}
	}
	if remove == nil { // NULL would make the whole document NULL
		remove = []string{}
	}
	return set, remove, nil
}
