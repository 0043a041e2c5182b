package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

const selectAPIKey = `SELECT id, name, kind, prefix, hash, created_at, revoked_at FROM auth.api_keys`

func scanAPIKey(row pgx.CollectableRow) (auth.APIKey, error) {
	var k auth.APIKey
	err := row.Scan((*[16]byte)(&k.ID), &k.Name, &k.Kind, &k.Prefix, &k.Hash, (*moment)(&k.CreatedAt), (*moment)(&k.RevokedAt))
	return k, err
}

// CreateAPIKey implements store.APIKeys.
func (s *Store) CreateAPIKey(ctx context.Context, k auth.APIKey) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO auth.api_keys (id, name, kind, prefix, hash, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		uuid(k.ID), k.Name, k.Kind, k.Prefix, k.Hash, timestamp(k.CreatedAt), timestamp(k.RevokedAt))
	if err != nil {
		return storeError("create API key", err)
	}
	return nil
}

// APIKeyByHash implements store.APIKeys.
func (s *Store) APIKeyByHash(ctx context.Context, hash []byte) (auth.APIKey, error) {
	rows, err := s.pool.Query(ctx, selectAPIKey+` WHERE hash = $1`, hash)
	if err != nil {
		return auth.APIKey{}, storeError("API key by hash", err)
	}
	k, err := pgx.CollectExactlyOneRow(rows, scanAPIKey)
	if err != nil {
		return auth.APIKey{}, storeError("API key by hash", err)
	}
	return k, nil
}

// ListAPIKeys implements store.APIKeys.
func (s *Store) ListAPIKeys(ctx context.Context) ([]auth.APIKey, error) {
	rows, err := s.pool.Query(ctx, selectAPIKey+` ORDER BY created_at DESC, id DESC`)
	if err != nil {
		return nil, storeError("list API keys", err)
	}
	keys, err := pgx.CollectRows(rows, scanAPIKey)
	if err != nil {
		return nil, storeError("list API keys", err)
	}
	return keys, nil
}

// RevokeAPIKey implements store.APIKeys.
func (s *Store) RevokeAPIKey(ctx context.Context, id auth.ID, at time.Time) error {
	tag, err := s.pool.Exec(ctx, `UPDATE auth.api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1`, uuid(id), timestamp(at))
	if err != nil {
		return storeError("revoke API key", err)
	}
	if tag.RowsAffected() == 0 {
		return auth.ErrNotFound
	}
	return nil
}
