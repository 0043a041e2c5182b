package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

// SigningKeys implements store.Keys.
func (s *Store) SigningKeys(ctx context.Context) ([]auth.SigningKey, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT kid, use, algorithm, status, sealed, public_jwk, created_at, activated_at, retired_at, revoked_at
		FROM auth.signing_keys ORDER BY created_at, kid COLLATE "C"`)
	if err != nil {
		return nil, storeError("signing keys", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (auth.SigningKey, error) {
		var k auth.SigningKey
		err := row.Scan(&k.ID, (*string)(&k.Use), &k.Algorithm, (*string)(&k.Status), &k.Sealed, &k.PublicJWK,
			(*moment)(&k.CreatedAt), (*moment)(&k.ActivatedAt), (*moment)(&k.RetiredAt), (*moment)(&k.RevokedAt))
		return k, err
	})
	if err != nil {
		return nil, storeError("signing keys", err)
	}
	return keys, nil
}

// insertKeys relies on the partial unique index for callers at the same moment: the
// second waits for the first and then fails.
const insertKeys = `
INSERT INTO auth.signing_keys (kid, use, algorithm, status, sealed, public_jwk, created_at, activated_at, retired_at, revoked_at)
SELECT n.kid, n.use, n.algorithm, n.status, n.sealed, n.public_jwk::jsonb, n.created_at, n.activated_at, n.retired_at, n.revoked_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::timestamptz[], $8::timestamptz[],
	$9::timestamptz[], $10::timestamptz[])
	AS n (kid, use, algorithm, status, sealed, public_jwk, created_at, activated_at, retired_at, revoked_at)`

// keyArgs gives the parameters of insertKeys.
func keyArgs(keys ...auth.SigningKey) []any {
	texts := [4][]string{}
	sealed, public := make([][]byte, len(keys)), make([]*string, len(keys))
	times := [4][]pgtype.Timestamptz{}
	for i := range keys {
		k := &keys[i]
		for n, v := range []string{k.ID, string(k.Use), k.Algorithm, string(k.Status)} {
			texts[n] = append(texts[n], v)
		}
		for n, v := range []time.Time{k.CreatedAt, k.ActivatedAt, k.RetiredAt, k.RevokedAt} {
			times[n] = append(times[n], timestamp(v))
		}
		sealed[i] = k.Sealed
		if len(k.PublicJWK) > 0 {
			jwk := string(k.PublicJWK)
			public[i] = &jwk
		}
	}
	return []any{texts[0], texts[1], texts[2], texts[3], sealed, public, times[0], times[1], times[2], times[3]}
}

// InstallKeys implements store.Keys.
func (s *Store) InstallKeys(ctx context.Context, use auth.KeyUse, keys []auth.SigningKey) error {
	for i := range keys {
		if keys[i].Use != use {
			return fmt.Errorf("postgres: install keys: key %q is not for %q", keys[i].ID, use)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	tag, err := s.pool.Exec(ctx, insertKeys+`
		WHERE NOT EXISTS (SELECT FROM auth.signing_keys WHERE use = $11 AND status = 'current')`,
		append(keyArgs(keys...), string(use))...)
	if err != nil {
		return storeError("install keys", err)
	}
	if tag.RowsAffected() == 0 {
		return auth.ErrConflict
	}
	return nil
}

// RotateKeys implements store.Keys. Without a standby key nothing is changed and the
// answer is ErrConflict: a use must never be left without a current key.
func (s *Store) RotateKeys(ctx context.Context, expectCurrent string, next auth.SigningKey, at time.Time) error {
	next.Status = auth.KeyStandby
	return s.tx(ctx, "rotate keys", func(tx pgx.Tx) error {
		for _, step := range []struct {
			sql  string
			args []any
		}{
			{`UPDATE auth.signing_keys SET status = 'previous', retired_at = $3
				WHERE kid = $1 AND use = $2 AND status = 'current'`, []any{expectCurrent, string(next.Use), timestamp(at)}},
			{`UPDATE auth.signing_keys SET status = 'current', activated_at = $2
				WHERE use = $1 AND status = 'standby'`, []any{string(next.Use), timestamp(at)}},
		} {
			tag, err := tx.Exec(ctx, step.sql, step.args...)
			if err != nil {
				return err
			}
			if tag.RowsAffected() != 1 {
				return auth.ErrConflict
			}
		}
		_, err := tx.Exec(ctx, insertKeys, keyArgs(next)...)
		return err
	})
}

// RevokeKey implements store.Keys. Of a key that is revoked already the first time stays.
func (s *Store) RevokeKey(ctx context.Context, kid string, at time.Time) error {
	var status string
	err := s.pool.QueryRow(ctx, `
		WITH k AS (
			SELECT kid, status FROM auth.signing_keys WHERE kid = $1 FOR UPDATE
		), r AS (
			UPDATE auth.signing_keys s SET status = 'revoked', revoked_at = coalesce(s.revoked_at, $2)
			FROM k WHERE s.kid = k.kid AND k.status NOT IN ('current', 'standby')
		)
		SELECT status FROM k`, kid, timestamp(at)).Scan(&status)
	if err != nil {
		return storeError("revoke key", err)
	}
	if s := auth.KeyStatus(status); s == auth.KeyCurrent || s == auth.KeyStandby {
		return auth.ErrConflict
	}
	return nil
}

// ReplaceSealed implements store.Keys.
func (s *Store) ReplaceSealed(ctx context.Context, sealed map[string][]byte) error {
	kids := slices.Sorted(maps.Keys(sealed)) // one order for all callers, so that they can't deadlock
	values := make([][]byte, len(kids))
	for i, kid := range kids {
		values[i] = sealed[kid]
	}
	return s.tx(ctx, "replace sealed keys", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `SELECT FROM auth.signing_keys WHERE kid = ANY ($1::text[]) ORDER BY kid FOR UPDATE`, kids)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != int64(len(kids)) {
			return auth.ErrNotFound
		}
		_, err = tx.Exec(ctx, `UPDATE auth.signing_keys k SET sealed = n.sealed
			FROM unnest($1::text[], $2::bytea[]) AS n (kid, sealed) WHERE k.kid = n.kid`, kids, values)
		return err
	})
}
