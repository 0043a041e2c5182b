package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	progressColumns = `p.name, p.source, p.digest, p.position, p.after, p.moved, p.present, p.taken, p.refused, p.started_at, p.updated_at, p.finished_at`

	// startImport keeps what is there when $6 asks for it and it is of the same source and file.
	startImport = `
INSERT INTO auth.imports AS p (name, source, digest, position, started_at, updated_at) VALUES ($1, $2, $3, 0, $4, $5)
ON CONFLICT (name) DO UPDATE SET (source, digest, position, after, moved, present, taken, refused, started_at, updated_at, finished_at) =
	(SELECT n.* FROM (VALUES (excluded.source, excluded.digest, 0::bigint, '', 0::bigint, 0::bigint, 0::bigint, 0::bigint,
		excluded.started_at, excluded.updated_at, NULL::timestamptz)) AS n
	WHERE NOT ($6::boolean AND p.source = excluded.source AND p.digest = excluded.digest)
	UNION ALL SELECT p.source, p.digest, p.position, p.after, p.moved, p.present, p.taken, p.refused, p.started_at, p.updated_at, p.finished_at
	WHERE $6 AND p.source = excluded.source AND p.digest = excluded.digest)
RETURNING ` + progressColumns

	movedTenant = `
SELECT ` + tenantColumns + ` FROM auth.moved m LEFT JOIN auth.tenants t ON t.id = m.local_id
WHERE m.source = $1 AND m.kind = 'tenant' AND m.external_id = $2`
	rememberTenant = `INSERT INTO auth.moved (source, kind, external_id, local_id, moved_at) VALUES ($1, 'tenant', $2, $3, $4)`
	insertTenant   = `
INSERT INTO auth.tenants (id, slug, name, is_active, settings, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`

	copyAccounts = selectUser + "," + profileColumns + `
FROM auth.users u LEFT JOIN auth.profiles p ON p.user_id = u.id
WHERE u.id > $1 AND u.deleted_at IS NULL ORDER BY u.id LIMIT $2`
	copyMemberships = selectMemberOf + `WHERE ms.user_id = ANY ($1::uuid[]) ORDER BY ms.user_id, ms.tenant_id`
)

// StartImport implements store.Moving.
func (s *Store) StartImport(ctx context.Context, p auth.MoveProgress, resume bool) (auth.MoveProgress, error) {
	var got auth.MoveProgress
	err := s.pool.QueryRow(ctx, startImport, p.Name, p.Source, p.Digest, timestamp(p.StartedAt), timestamp(p.UpdatedAt), resume).Scan(
		&got.Name, &got.Source, &got.Digest, &got.Position, &got.After, &got.Moved, &got.Present, &got.Taken, &got.Refused,
		(*moment)(&got.StartedAt), (*moment)(&got.UpdatedAt), (*moment)(&got.FinishedAt))
	if err != nil {
		return auth.MoveProgress{}, storeError("start import", err)
	}
	return got, nil
}

// MoveTenant implements store.Moving.
func (s *Store) MoveTenant(ctx context.Context, m auth.TenantMove) (t auth.Tenant, made bool, err error) {
	err = s.tx(ctx, "move tenant", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockMoving); err != nil {
			return err
		}
		var (
			id       pgtype.UUID
			slug     *string
			name     *string
			active   *bool
			settings []byte
		)
		err := tx.QueryRow(ctx, movedTenant, m.Source, m.ExternalID).Scan(&id, &slug, &name, &active, &settings,
			(*moment)(&t.CreatedAt), (*moment)(&t.UpdatedAt))
		switch {
		case err == nil && slug == nil:
			return auth.ErrNotFound
		case err == nil:
			t.ID, t.Slug, t.Name, t.Active, t.Settings = auth.ID(id.Bytes), *slug, *name, *active, settings
			return nil
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		t, made = m.Tenant, true
		if _, err := tx.Exec(ctx, insertTenant, uuid(t.ID), t.Slug, t.Name, t.Active, document(t.Settings), timestamp(t.CreatedAt),
			timestamp(t.UpdatedAt)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, rememberTenant, m.Source, m.ExternalID, uuid(t.ID), timestamp(t.CreatedAt)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, writeAudit, auditArgs(m.Audit)...)
		return err
	})
	if err != nil {
		return auth.Tenant{}, false, err
	}
	return t, made, nil
}

// CopyAccounts implements store.Moving.
func (s *Store) CopyAccounts(ctx context.Context, after auth.ID, limit int) ([]auth.AccountCopy, error) {
	list, err := collect(ctx, s, "copy accounts", copyAccounts, page(after, limit), func(row pgx.CollectableRow, c *auth.AccountCopy) error {
		err := scanPerson(row, &c.Person)
		c.User.Factors = nil
		return err
	})
	if err != nil {
		return nil, err
	}
	keys, places := make([]auth.ID, len(list)), make(map[auth.ID]int, len(list))
	for i := range list {
		keys[i], places[list[i].User.ID] = list[i].User.ID, i
	}
	members, err := collect(ctx, s, "copy memberships", copyMemberships, []any{ids(keys...)}, scanMemberOf)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		c := &list[places[m.UserID]]
		c.Memberships = append(c.Memberships, m)
	}
	return list, nil
}

// extensionsOf gives the extensions of a profile as one document.
func extensionsOf(p *auth.Profile) ([]byte, error) {
	if len(p.Extensions) == 0 {
		return []byte(`{}`), nil
	}
	doc, err := json.Marshal(p.Extensions)
	if err != nil {
		return nil, fmt.Errorf("%w: extensions: %w", auth.ErrUnstorable, err)
	}
	return doc, nil
}
