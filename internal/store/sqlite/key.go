package sqlite

import (
	"context"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlKeys = `SELECT kid, use, algorithm, status, sealed, public_jwk, created_at, activated_at, retired_at, revoked_at
		FROM signing_keys ORDER BY created_at, kid`
	sqlInsertKey = `INSERT INTO signing_keys (kid, use, algorithm, status, sealed, public_jwk,
			created_at, activated_at, retired_at, revoked_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlHasCurrentKey = `SELECT 1 FROM signing_keys WHERE use = ? AND status = 'current'`
	sqlRetireKey     = `UPDATE signing_keys SET status = 'previous', retired_at = ?3
		WHERE use = ?1 AND status = 'current' AND kid = ?2`
	sqlActivateKey = `UPDATE signing_keys SET status = 'current', activated_at = ?2
		WHERE use = ?1 AND status = 'standby'`
	sqlKeyStatus = `SELECT status FROM signing_keys WHERE kid = ?`
	sqlRevokeKey = `UPDATE signing_keys SET status = 'revoked', revoked_at = ? WHERE kid = ?`
	sqlResealKey = `UPDATE signing_keys SET sealed = ? WHERE kid = ?`

	apiKeyColumns     = `SELECT id, name, kind, prefix, hash, created_at, revoked_at FROM api_keys`
	sqlAPIKeyByHash   = apiKeyColumns + ` WHERE hash = ?`
	sqlListAPIKeys    = apiKeyColumns + ` ORDER BY created_at DESC, id DESC`
	sqlInsertAPIKey   = `INSERT INTO api_keys (id, name, kind, prefix, hash, created_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	sqlRevokeAPIKeyID = `UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?`
)

// SigningKeys implements store.Keys.
func (s *Store) SigningKeys(ctx context.Context) ([]auth.SigningKey, error) {
	var keys []auth.SigningKey
	err := s.read("signing keys", func(r runner) error {
		return each(ctx, r, sqlKeys, nil, func(scan func(...any) error) error {
			var k auth.SigningKey
			var jwk *string
			if err := scan(&k.ID, &k.Use, &k.Algorithm, &k.Status, &k.Sealed, &jwk, (*micros)(&k.CreatedAt),
				(*micros)(&k.ActivatedAt), (*micros)(&k.RetiredAt), (*micros)(&k.RevokedAt)); err != nil {
				return err
			}
			if jwk != nil {
				k.PublicJWK = []byte(*jwk)
			}
			keys = append(keys, k)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// InstallKeys implements store.Keys.
func (s *Store) InstallKeys(ctx context.Context, use auth.KeyUse, keys []auth.SigningKey) error {
	return s.write(ctx, "install keys", func(r runner) error {
		var current int
		switch err := one(ctx, r, sqlHasCurrentKey, []any{string(use)}, &current); {
		case err == nil:
			return auth.ErrConflict
		case !isNotFound(err):
			return err
		}
		for i := range keys {
			if err := insertKey(ctx, r, &keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func insertKey(ctx context.Context, r runner, k *auth.SigningKey) error {
	_, err := exec(ctx, r, sqlInsertKey, k.ID, string(k.Use), k.Algorithm, string(k.Status), blob(k.Sealed), str(string(k.PublicJWK)),
		at(k.CreatedAt), at(k.ActivatedAt), at(k.RetiredAt), at(k.RevokedAt))
	return err
}

// blob gives bytes that are never NULL: the driver stores a nil slice as NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// RotateKeys implements store.Keys. Without a standby key there would be no current one
// afterwards: ErrConflict, too.
func (s *Store) RotateKeys(ctx context.Context, expectCurrent string, next auth.SigningKey, now time.Time) error {
	return s.write(ctx, "rotate keys", func(r runner) error {
		for _, step := range []struct {
			text string
			args []any
		}{
			{sqlRetireKey, []any{string(next.Use), expectCurrent, at(now)}},
			{sqlActivateKey, []any{string(next.Use), at(now)}},
		} {
			n, err := exec(ctx, r, step.text, step.args...)
			if err != nil {
				return err
			}
			if n != 1 {
				return auth.ErrConflict
			}
		}
		next.Status = auth.KeyStandby
		return insertKey(ctx, r, &next)
	})
}

// RevokeKey implements store.Keys. Revoking twice keeps the first time.
func (s *Store) RevokeKey(ctx context.Context, kid string, now time.Time) error {
	return s.write(ctx, "revoke key", func(r runner) error {
		var status auth.KeyStatus
		if err := one(ctx, r, sqlKeyStatus, []any{kid}, &status); err != nil {
			return err
		}
		switch status {
		case auth.KeyPrevious:
			_, err := exec(ctx, r, sqlRevokeKey, at(now), kid)
			return err
		case auth.KeyRevoked:
			return nil
		default:
			return auth.ErrConflict
		}
	})
}

// ReplaceSealed implements store.Keys.
func (s *Store) ReplaceSealed(ctx context.Context, sealed map[string][]byte) error {
	return s.write(ctx, "replace sealed keys", func(r runner) error {
		for kid, b := range sealed {
			if n, err := exec(ctx, r, sqlResealKey, blob(b), kid); err != nil || n == 0 {
				return orNotFound(err)
			}
		}
		return nil
	})
}

// CreateAPIKey implements store.APIKeys.
func (s *Store) CreateAPIKey(ctx context.Context, k auth.APIKey) error {
	return s.write(ctx, "create API key", func(r runner) error {
		_, err := exec(ctx, r, sqlInsertAPIKey, k.ID.String(), k.Name, k.Kind, k.Prefix, blob(k.Hash), at(k.CreatedAt), at(k.RevokedAt))
		return err
	})
}

func apiKeyDest(k *auth.APIKey) []any {
	return []any{(*uuid)(&k.ID), &k.Name, &k.Kind, &k.Prefix, &k.Hash, (*micros)(&k.CreatedAt), (*micros)(&k.RevokedAt)}
}

// APIKeyByHash implements store.APIKeys.
func (s *Store) APIKeyByHash(ctx context.Context, hash []byte) (auth.APIKey, error) {
	var k auth.APIKey
	err := s.read("API key by hash", func(r runner) error {
		return one(ctx, r, sqlAPIKeyByHash, []any{blob(hash)}, apiKeyDest(&k)...)
	})
	if err != nil {
		return auth.APIKey{}, err
	}
	return k, nil
}

// ListAPIKeys implements store.APIKeys.
func (s *Store) ListAPIKeys(ctx context.Context) ([]auth.APIKey, error) {
	var keys []auth.APIKey
	err := s.read("list API keys", func(r runner) error {
		return each(ctx, r, sqlListAPIKeys, nil, func(scan func(...any) error) error {
			var k auth.APIKey
			err := scan(apiKeyDest(&k)...)
			keys = append(keys, k)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// RevokeAPIKey implements store.APIKeys.
func (s *Store) RevokeAPIKey(ctx context.Context, id auth.ID, now time.Time) error {
	return s.write(ctx, "revoke API key", func(r runner) error {
		if n, err := exec(ctx, r, sqlRevokeAPIKeyID, at(now), id.String()); err != nil || n == 0 {
			return orNotFound(err)
		}
		return nil
	})
}
