package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

// lockOwner locks an account and its customers, in the order of their ids: what becomes of
// an agent is noted with the customers. (The unique index of those without an end is by
// customer; coalesce keeps it out.)
const lockOwner = `
SELECT FROM auth.users WHERE id = $1 OR id = ANY (ARRAY(
	SELECT object_id FROM auth.relations WHERE subject_id = $1 AND kind = 'agent' AND coalesce(ends_at, 'infinity') = 'infinity')) ORDER BY id FOR NO KEY UPDATE`

// deleteUser leaves identities, sessions and factors to the foreign keys, also those of
// the application's own tables.
const deleteUser = `
WITH u AS (
	DELETE FROM auth.users WHERE id = $5 AND deleted_at IS NULL AND NOT EXISTS (SELECT FROM auth.legal_holds WHERE user_id = $5) RETURNING id
), ` + endAudit + `
SELECT count(*) FROM u`

// DeleteUser implements store.Users.
func (s *Store) DeleteUser(ctx context.Context, id auth.ID, audit auth.AuditEntry) error {
	return unlocked(func() error { return s.deleteUser(ctx, id, audit) })
}

func (s *Store) deleteUser(ctx context.Context, id auth.ID, audit auth.AuditEntry) error {
	var (
		b     pgx.Batch
		found int64
		held  bool
	)
	b.Queue(lockOwner, uuid(id))
	b.Queue(isHeld, uuid(id)).QueryRow(func(row pgx.Row) error { return row.Scan(&held) })
	b.Queue(buryLiving, uuid(id), timestamp(audit.At))
	b.Queue(deleteUser, append(auditArgs(audit), uuid(id))...).QueryRow(func(row pgx.Row) error { return row.Scan(&found) })
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return storeError("delete user", err)
	}
	return deleted(found == 1, held)
}

// deleted says what came of a deletion.
func deleted(found, held bool) error {
	switch {
	case found:
		return nil
	case held:
		return auth.ErrHeld
	}
	return auth.ErrNotFound
}

// A soft deletion is a batch like an update. Whatever could be used to get in again, or
// says who it was, goes: also what waits for proof, and the tokens of its messages.
const (
	softDeleteUser = `
UPDATE auth.users SET deleted_at = $2, updated_at = $2, email = nullif($3::text, ''), phone = nullif($4::text, ''),
	encrypted_password = '', raw_app_meta_data = '{}', raw_user_meta_data = '{}',
	email_change = '', phone_change = '', confirmation_token = '', recovery_token = '', email_change_token_new = '',
	email_change_token_current = '', phone_change_token = '', reauthentication_token = ''
WHERE id = $1 AND deleted_at IS NULL AND NOT EXISTS (SELECT FROM auth.legal_holds WHERE user_id = $1)`

	// softDeleteIdentities also removes what was linked after the caller had looked: there
	// is no replacement for it, and it must not stay.
	softDeleteIdentities = `
WITH n AS (
	SELECT * FROM unnest($2::uuid[], $3::text[]) AS n (id, provider_id)
), gone AS (
	DELETE FROM auth.identities WHERE user_id = $1 AND NOT EXISTS (SELECT FROM n WHERE n.id = identities.id) AND ` + changed + `
)
UPDATE auth.identities i SET provider_id = n.provider_id, identity_data = '{}', updated_at = $4
FROM n WHERE i.id = n.id AND i.user_id = $1 AND ` + changed

	deleteProfile     = `DELETE FROM auth.profiles WHERE user_id = $1 AND ` + changed
	deleteMemberships = `DELETE FROM auth.memberships WHERE user_id = $1 AND ` + changed
	deleteRelations   = `DELETE FROM auth.relations WHERE (subject_id = $1 OR object_id = $1) AND ` + changed

	deleteFactors = `DELETE FROM auth.mfa_factors WHERE user_id = $1 AND ` + changed
)

// SoftDeleteUser implements store.Users.
func (s *Store) SoftDeleteUser(ctx context.Context, id auth.ID, d auth.SoftDelete) error {
	return unlocked(func() error { return s.softDeleteUser(ctx, id, d) })
}

func (s *Store) softDeleteUser(ctx context.Context, id auth.ID, d auth.SoftDelete) error {
	ids, replacements := make([]pgtype.UUID, 0, len(d.ProviderIDs)), make([]string, 0, len(d.ProviderIDs))
	for identity, replacement := range d.ProviderIDs {
		ids, replacements = append(ids, uuid(identity)), append(replacements, replacement)
	}
	key, at := uuid(id), timestamp(d.At)
	var (
		b     pgx.Batch
		found bool
		held  bool
	)
	b.Queue(lockOwner, key)
	b.Queue(isHeld, key).QueryRow(func(row pgx.Row) error { return row.Scan(&held) })
	b.Queue(buryLiving, key, at)
	b.Queue(softDeleteUser, key, at, d.Email, d.Phone).Exec(func(tag pgconn.CommandTag) error {
		found = tag.RowsAffected() == 1
		return nil
	})
	b.Queue(softDeleteIdentities, key, ids, replacements, at)
	b.Queue(revokeAll, key)
	for _, sql := range []string{deleteFactors, deleteProfile, deleteMemberships, deleteRelations, deleteIdentifiers, forgetConsents} {
		b.Queue(sql, key)
	}
	b.Queue(deleteTokens, key)
	b.Queue(auditChange, append([]any{key}, auditArgs(d.Audit)...)...)
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return storeError("soft-delete user", err)
	}
	return deleted(found, held)
}
