package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Relations are added and ended under the lock of their people, taken in the order of the
// ids as everywhere: of two who add the same one at once the second finds the first.
const (
	lockPeople = `SELECT FROM auth.users WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE`

	// lockObject locks whom the relation $1 is about: a trigger notes there that an agent has gone.
	lockObject = `
SELECT FROM auth.users WHERE id = (SELECT object_id FROM auth.relations WHERE id = $1 AND kind = 'agent') FOR NO KEY UPDATE`

	relationColumns = `r.id, r.kind, r.subject_id, r.object_id, r.tenant_id, r.starts_at, r.ends_at, r.created_by, r.created_at`

	// addRelation: reasons are 0 for none, 1 for somebody who does not exist, 2 for one of the
	// same kind that overlaps.
	addRelation = `
WITH why AS (
	SELECT CASE
		WHEN (SELECT count(*) FROM auth.users WHERE id IN ($7::uuid, $8::uuid) AND deleted_at IS NULL)
			<> CASE WHEN $8 IS NULL OR $8 = $7 THEN 1 ELSE 2 END
			OR $9::uuid IS NOT NULL AND NOT EXISTS (SELECT FROM auth.tenants WHERE id = $9) THEN 1
		WHEN $6::text = 'agent' AND EXISTS (SELECT FROM auth.relations r WHERE r.kind = $6 AND r.object_id = $8
				AND (r.ends_at IS NULL OR r.ends_at > $10::timestamptz) AND ($11::timestamptz IS NULL OR r.starts_at < $11)) THEN 2
		WHEN EXISTS (SELECT FROM auth.relations r WHERE r.kind = $6 AND r.subject_id = $7
				AND r.object_id IS NOT DISTINCT FROM $8 AND r.tenant_id IS NOT DISTINCT FROM $9
				AND (r.ends_at IS NULL OR r.ends_at > $10) AND ($11 IS NULL OR r.starts_at < $11)) THEN 2
		ELSE 0 END AS reason
), u AS (
	INSERT INTO auth.relations (id, kind, subject_id, object_id, tenant_id, starts_at, ends_at, created_by, created_at)
	SELECT $5::uuid, $6, $7, $8, $9, $10, $11, $12::uuid, $13::timestamptz FROM why WHERE why.reason = 0
	RETURNING id
), ` + endAudit + `
SELECT reason FROM why`

	// endRelation: one that has not begun never will.
	endRelation = `
WITH u AS (
	UPDATE auth.relations SET ends_at = greatest(starts_at, $6)
	WHERE id = $5 AND (ends_at IS NULL OR ends_at > $6) RETURNING id
), ` + endAudit + `
SELECT count(*) FROM u`

	relationByID = "SELECT " + relationColumns + " FROM auth.relations r WHERE r.id = $1"
)

// relationTargets gives where relationColumns go.
func relationTargets(r *auth.Relation) []any {
	return []any{
		(*[16]byte)(&r.ID), &r.Kind, (*[16]byte)(&r.SubjectID), (*reference)(&r.ObjectID), (*reference)(&r.TenantID),
		(*moment)(&r.StartsAt), (*moment)(&r.EndsAt), (*reference)(&r.CreatedBy), (*moment)(&r.CreatedAt),
	}
}

// AddRelation implements store.Tenants.
func (s *Store) AddRelation(ctx context.Context, r auth.Relation, audit auth.AuditEntry) error {
	return unlocked(func() error { return s.addRelation(ctx, r, audit) })
}

func (s *Store) addRelation(ctx context.Context, r auth.Relation, audit auth.AuditEntry) error {
	var (
		b      pgx.Batch
		reason int
	)
	b.Queue(lockPeople, ids(r.SubjectID, r.ObjectID))
	args := append(auditArgs(audit), uuid(r.ID), r.Kind, uuid(r.SubjectID), uuid(r.ObjectID), uuid(r.TenantID),
		timestamp(r.StartsAt), timestamp(r.EndsAt), uuid(r.CreatedBy), timestamp(r.CreatedAt))
	b.Queue(addRelation, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&reason) })
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return storeError("add relation", err)
	}
	switch reason {
	case 0:
		return nil
	case 1:
		return auth.ErrNotFound
	case 2:
		return auth.ErrConflict
	}
	return fmt.Errorf("postgres: add relation: unknown reason %d", reason)
}

// EndRelation implements store.Tenants.
func (s *Store) EndRelation(ctx context.Context, id auth.ID, at time.Time, audit auth.AuditEntry) error {
	return unlocked(func() error { return s.endRelation(ctx, id, at, audit) })
}

func (s *Store) endRelation(ctx context.Context, id auth.ID, at time.Time, audit auth.AuditEntry) error {
	var (
		b     pgx.Batch
		found int64
	)
	b.Queue(lockObject, uuid(id))
	b.Queue(endRelation, append(auditArgs(audit), uuid(id), timestamp(at))...).QueryRow(func(row pgx.Row) error {
		return row.Scan(&found)
	})
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return storeError("end relation", err)
	}
	if found == 0 {
		return auth.ErrNotFound
	}
	return nil
}

// RelationByID implements store.Tenants.
func (s *Store) RelationByID(ctx context.Context, id auth.ID) (auth.Relation, error) {
	var r auth.Relation
	if err := s.pool.QueryRow(ctx, relationByID, uuid(id)).Scan(relationTargets(&r)...); err != nil {
		return auth.Relation{}, storeError("relation by id", err)
	}
	return r, nil
}

var errNoScope = errors.New("postgres: relations: of nobody in particular")

// relationsOf gives the statement for relations found by one of their three sides. Each
// kind is read from the index in the order of the page, so that a clinic with a hundred
// thousand patients and two cases of care has the two at once.
func relationsOf(side string) string {
	return "SELECT " + relationColumns + ` FROM unnest($1::text[]) AS k (kind) CROSS JOIN LATERAL (
	SELECT * FROM auth.relations r WHERE r.kind = k.kind AND r.` + side + ` = $2 AND r.starts_at <= $3 AND (r.ends_at IS NULL OR r.ends_at > $3)
		AND ($5::uuid IS NULL OR r.subject_id = $5) AND ($6::uuid IS NULL OR r.tenant_id = $6)
	ORDER BY r.id DESC LIMIT $4) r ORDER BY r.id DESC LIMIT $4`
}

// Relations implements store.Tenants.
func (s *Store) Relations(ctx context.Context, q auth.RelationQuery) ([]auth.Relation, error) {
	kinds := []string{auth.RelationCare, auth.RelationPatient, auth.RelationAgent}
	if q.Kind != "" {
		kinds = []string{q.Kind}
	}
	side, key := "object_id", q.Object
	subject, tenant := q.Subject, q.Tenant
	switch {
	case !q.Object.IsZero():
	case !q.Subject.IsZero():
		side, key, subject = "subject_id", q.Subject, auth.ID{}
	case !q.Tenant.IsZero():
		side, key, tenant = "tenant_id", q.Tenant, auth.ID{}
	default:
		return nil, errNoScope
	}
	args := []any{kinds, uuid(key), timestamp(q.At), int64(min(max(q.Limit, 1), maxPage)), uuid(subject), uuid(tenant)}
	return collect(ctx, s, "relations", relationsOf(side), args, func(row pgx.CollectableRow, r *auth.Relation) error {
		return row.Scan(relationTargets(r)...)
	})
}
