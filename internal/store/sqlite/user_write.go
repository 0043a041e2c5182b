package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlInsertUser = `INSERT INTO users (id, aud, role, email, phone, encrypted_password,
			email_confirmed_at, phone_confirmed_at, invited_at, confirmation_sent_at, recovery_sent_at,
			email_change, email_change_sent_at, phone_change, phone_change_sent_at, reauthentication_sent_at,
			last_sign_in_at, raw_app_meta_data, raw_user_meta_data, is_sso_user, is_anonymous,
			banned_until, deleted_at, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlUpdateUser = `UPDATE users SET aud = ?2, role = ?3, email = ?4, phone = ?5, encrypted_password = ?6,
			email_confirmed_at = ?7, phone_confirmed_at = ?8, banned_until = ?9, is_anonymous = ?10,
			raw_app_meta_data = ?11, raw_user_meta_data = ?12, updated_at = ?13
		WHERE id = ?1`
	sqlInsertIdentity = `INSERT INTO identities (id, user_id, provider, provider_id, identity_data,
			last_sign_in_at, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	sqlIdentityOf     = `SELECT id, identity_data FROM identities WHERE user_id = ? AND provider = ? ORDER BY created_at, id LIMIT 1`
	sqlUpdateIdentity = `UPDATE identities SET provider_id = ?2, identity_data = ?3, updated_at = ?4 WHERE id = ?1`
	sqlDeleteIdentity = `DELETE FROM identities WHERE user_id = ? AND provider = ?`
	sqlInsertAudit    = `INSERT INTO audit_log_entries (id, payload, created_at, ip_address) VALUES (?, ?, ?, ?)`
	sqlHasSession     = `SELECT 1 FROM sessions WHERE id = ? AND user_id = ?`
	sqlDeleteUser     = `DELETE FROM users WHERE id = ? AND deleted_at IS NULL`
	sqlSoftDeleteUser = `UPDATE users SET email = ?2, phone = ?3, deleted_at = ?4, updated_at = ?4,
			encrypted_password = NULL, raw_app_meta_data = '{}', raw_user_meta_data = '{}',
			email_change = '', phone_change = '', confirmation_token = '', recovery_token = '',
			email_change_token_new = '', email_change_token_current = '', phone_change_token = '',
			reauthentication_token = ''
		WHERE id = ?1 AND deleted_at IS NULL`
	sqlSoftDeleteIdentity = `UPDATE identities SET provider_id = ?3, identity_data = '{}', updated_at = ?4
		WHERE id = ?1 AND user_id = ?2`
	sqlDeleteOtherIdentities = `DELETE FROM identities
		WHERE user_id = ?1 AND id NOT IN (SELECT value FROM json_each(?2))`
	sqlDeleteFactors     = `DELETE FROM mfa_factors WHERE user_id = ?`
	sqlDeleteProfile     = `DELETE FROM profiles WHERE user_id = ?`
	sqlDeleteMemberships = `DELETE FROM memberships WHERE user_id = ?`
	sqlDeleteRelations   = `DELETE FROM relations WHERE subject_id = ?1 OR object_id = ?1`
)

// CreateAccount implements store.Users.
func (s *Store) CreateAccount(ctx context.Context, a auth.NewAccount) error {
	return s.write(ctx, "create account", func(r runner) error { return createAccount(ctx, r, &a) })
}

func createAccount(ctx context.Context, r runner, a *auth.NewAccount) error {
	u := &a.User
	if _, err := exec(ctx, r, sqlInsertUser, u.ID.String(), u.Aud, u.Role, str(u.Email), str(u.Phone), str(u.PasswordHash),
		at(u.EmailConfirmedAt), at(u.PhoneConfirmedAt), at(u.InvitedAt), at(u.ConfirmationSentAt), at(u.RecoverySentAt),
		u.EmailChange, at(u.EmailChangeSentAt), u.PhoneChange, at(u.PhoneChangeSentAt), at(u.ReauthenticationSentAt),
		at(u.LastSignInAt), doc(u.AppMetadata), doc(u.UserMetadata), flag(u.IsSSO), flag(u.IsAnonymous),
		at(u.BannedUntil), at(u.DeletedAt), at(u.CreatedAt), at(u.UpdatedAt)); err != nil {
		return err
	}
	for i := range u.Identities {
		if err := insertIdentity(ctx, r, u.ID, &u.Identities[i]); err != nil {
			return err
		}
	}
	if err := insertPerson(ctx, r, a); err != nil {
		return err
	}
	if a.Session != nil {
		if err := insertSession(ctx, r, a.Session); err != nil {
			return err
		}
	}
	if err := insertProof(ctx, r, u.ID, a.Tokens, a.FlowState, a.Messages); err != nil {
		return err
	}
	return insertAudit(ctx, r, a.Audit...)
}

func insertIdentity(ctx context.Context, r runner, owner auth.ID, id *auth.Identity) error {
	_, err := exec(ctx, r, sqlInsertIdentity, id.ID.String(), owner.String(), id.Provider, id.ProviderID, doc(id.Data),
		at(id.LastSignInAt), at(id.CreatedAt), at(id.UpdatedAt))
	return err
}

func insertAudit(ctx context.Context, r runner, entries ...auth.AuditEntry) error {
	for i := range entries {
		e := &entries[i]
		if _, err := exec(ctx, r, sqlInsertAudit, e.ID.String(), string(e.Payload()), at(e.At), e.IP); err != nil {
			return err
		}
	}
	return nil
}

// UpdateUser implements store.Users. The account is read, changed and written while the
// write lock is held, so that no other change can be lost in between.
func (s *Store) UpdateUser(ctx context.Context, id auth.ID, p auth.UserPatch) (auth.User, error) {
	var after auth.User
	err := s.write(ctx, "update user", func(r runner) error {
		var u auth.User
		if err := one(ctx, r, sqlUserByID, []any{id.String()}, userDest(&u)...); err != nil {
			return err
		}
		if !p.RequireSession.IsZero() {
			if err := hasSession(ctx, r, p.RequireSession, id); err != nil {
				return err
			}
		}
		if !p.RequireUpdatedAt.IsZero() && !p.RequireUpdatedAt.Equal(u.UpdatedAt) {
			return auth.ErrNotFound
		}
		if err := applyPatch(ctx, r, &u, &p); err != nil {
			return err
		}
		if p.PasswordHash != nil || p.Email != nil || p.Phone != nil {
			// Who has changed the locks wants no old links to open them.
			if _, err := exec(ctx, r, sqlDeleteTokens, id.String()); err != nil {
				return err
			}
		}
		if err := insertMessages(ctx, r, p.Messages); err != nil {
			return err
		}
		if err := insertAudit(ctx, r, p.Audit...); err != nil {
			return err
		}
		return one(ctx, r, sqlUserByID, []any{id.String()}, userDest(&after)...)
	})
	if err != nil {
		return auth.User{}, err
	}
	return after, nil
}

// applyPatch writes the change of the account, its identities and its sessions. The account
// has been read in the same write; u is changed with it.
func applyPatch(ctx context.Context, r runner, u *auth.User, p *auth.UserPatch) error {
	if err := patchUser(u, p); err != nil {
		return err
	}
	if _, err := exec(ctx, r, sqlUpdateUser, u.ID.String(), u.Aud, u.Role, str(u.Email), str(u.Phone), str(u.PasswordHash),
		at(u.EmailConfirmedAt), at(u.PhoneConfirmedAt), at(u.BannedUntil), flag(u.IsAnonymous),
		doc(u.AppMetadata), doc(u.UserMetadata), at(u.UpdatedAt)); err != nil {
		return err
	}
	if err := patchIdentities(ctx, r, u.ID, p); err != nil {
		return err
	}
	_, err := revoke(ctx, r, u.ID, p.Revoke, p.RevokeWith)
	return err
}

// hasSession answers auth.ErrNotFound unless the session exists and is the user's.
func hasSession(ctx context.Context, r runner, session, user auth.ID) error {
	var exists int
	return one(ctx, r, sqlHasSession, []any{session.String(), user.String()}, &exists)
}

// patchUser applies p to the fields of u that a patch can change.
func patchUser(u *auth.User, p *auth.UserPatch) (err error) {
	u.UpdatedAt = p.At
	set(&u.Aud, p.Aud)
	set(&u.Role, p.Role)
	set(&u.Email, p.Email)
	set(&u.Phone, p.Phone)
	set(&u.PasswordHash, p.PasswordHash)
	set(&u.EmailConfirmedAt, p.EmailConfirmedAt)
	set(&u.PhoneConfirmedAt, p.PhoneConfirmedAt)
	set(&u.BannedUntil, p.BannedUntil)
	set(&u.IsAnonymous, p.IsAnonymous)
	if u.AppMetadata, err = patchObject(u.AppMetadata, p.AppMetadata); err != nil {
		return fmt.Errorf("app metadata: %w", err)
	}
	if u.UserMetadata, err = patchObject(u.UserMetadata, p.UserMetadata); err != nil {
		return fmt.Errorf("user metadata: %w", err)
	}
	return nil
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// patchObject applies p to the members of a JSON object. Values that it doesn't touch
// keep their bytes, and with them numbers of any length.
func patchObject(old json.RawMessage, p auth.MetadataPatch) (json.RawMessage, error) {
	if p.IsZero() {
		return old, nil
	}
	members := map[string]json.RawMessage{}
	if len(old) > 0 {
		if err := json.Unmarshal(old, &members); err != nil {
			return nil, err
		}
	}
	if members == nil { // the document is null
		members = map[string]json.RawMessage{}
	}
	for _, name := range p.Delete {
		delete(members, name)
	}
	for name, value := range p.Set {
		members[name] = value
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // keep text as it was given
	if err := e.Encode(members); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// patchIdentities removes, then inserts or merges, see auth.UserPatch.
func patchIdentities(ctx context.Context, r runner, user auth.ID, p *auth.UserPatch) error {
	for _, provider := range p.RemoveIdentities {
		if _, err := exec(ctx, r, sqlDeleteIdentity, user.String(), provider); err != nil {
			return err
		}
	}
	for i := range p.Identities {
		if err := upsertIdentity(ctx, r, user, &p.Identities[i], p.At); err != nil {
			return err
		}
	}
	return nil
}

func upsertIdentity(ctx context.Context, r runner, user auth.ID, id *auth.Identity, now time.Time) error {
	var (
		row string
		old object
	)
	switch err := one(ctx, r, sqlIdentityOf, []any{user.String(), id.Provider}, &row, &old); {
	case isNotFound(err):
		return insertIdentity(ctx, r, user, id)
	case err != nil:
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(doc(id.Data)), &members); err != nil {
		return fmt.Errorf("identity data: %w", err)
	}
	merged, err := patchObject(json.RawMessage(old), auth.MetadataPatch{Set: members})
	if err != nil {
		return fmt.Errorf("stored identity data: %w", err)
	}
	_, err = exec(ctx, r, sqlUpdateIdentity, row, id.ProviderID, string(merged), at(now))
	return err
}

// DeleteUser implements store.Users. Everything that belongs to the account goes with it
// by foreign keys; audit entries stay.
func (s *Store) DeleteUser(ctx context.Context, id auth.ID, audit auth.AuditEntry) error {
	return s.write(ctx, "delete user", func(r runner) error {
		if err := mayDelete(ctx, r, id, audit.At); err != nil {
			return err
		}
		if n, err := exec(ctx, r, sqlDeleteUser, id.String()); err != nil || n == 0 {
			return orNotFound(err)
		}
		return insertAudit(ctx, r, audit)
	})
}

// SoftDeleteUser implements store.Users. An identity that d doesn't name was linked
// after the caller had looked: it is removed, as it would keep naming the person.
func (s *Store) SoftDeleteUser(ctx context.Context, id auth.ID, d auth.SoftDelete) error {
	return s.write(ctx, "soft-delete user", func(r runner) error {
		if err := mayDelete(ctx, r, id, d.At); err != nil {
			return err
		}
		n, err := exec(ctx, r, sqlSoftDeleteUser, id.String(), str(d.Email), str(d.Phone), at(d.At))
		if err != nil || n == 0 {
			return orNotFound(err)
		}
		named := make([]auth.ID, 0, len(d.ProviderIDs))
		for row, replacement := range d.ProviderIDs {
			named = append(named, row)
			if _, err := exec(ctx, r, sqlSoftDeleteIdentity, row.String(), id.String(), replacement, at(d.At)); err != nil {
				return err
			}
		}
		others, err := list(named)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, r, sqlDeleteOtherIdentities, id.String(), others); err != nil {
			return err
		}
		for _, text := range []string{sqlDeleteTokens, sqlDeleteFactors, sqlDeleteProfile, sqlDeleteMemberships, sqlDeleteRelations,
			sqlDeleteIdentifiers, sqlForgetConsents} {
			if _, err := exec(ctx, r, text, id.String()); err != nil {
				return err
			}
		}
		if _, err := revoke(ctx, r, id, auth.RevokeAll, auth.ID{}); err != nil {
			return err
		}
		return insertAudit(ctx, r, d.Audit)
	})
}
