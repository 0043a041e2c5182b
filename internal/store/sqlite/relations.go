package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	relationColumns = `r.id, r.kind, r.subject_id, r.object_id, r.tenant_id, r.starts_at, r.ends_at, r.created_by, r.created_at`

	sqlInsertRelation = `INSERT INTO relations (id, kind, subject_id, object_id, tenant_id, starts_at, ends_at, created_by, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	// overlapping holds for a relation r that overlaps the time from ?1 to ?2.
	overlapping     = `(r.ends_at IS NULL OR r.ends_at > ?1) AND (?2 IS NULL OR r.starts_at < ?2) LIMIT 1`
	sqlAgentOverlap = `SELECT 1 FROM relations r WHERE r.kind = 'agent' AND r.object_id = ?3 AND ` + overlapping
	sqlOverlap      = `SELECT 1 FROM relations r WHERE r.kind = ?3 AND r.subject_id = ?4 AND r.object_id IS ?5
			AND r.tenant_id IS ?6 AND ` + overlapping
	// One that has not begun never will.
	sqlEndRelation  = `UPDATE relations SET ends_at = max(starts_at, ?2) WHERE id = ?1 AND (ends_at IS NULL OR ends_at > ?2)`
	sqlRelationByID = `SELECT ` + relationColumns + ` FROM relations r WHERE r.id = ?`

	// Each kind is read from the index in the order of the page, so that a clinic with a
	// hundred thousand patients and two cases of care has the two at once.
	relationRest = ` AND r.starts_at <= ?3 AND (r.ends_at IS NULL OR r.ends_at > ?3) AND (?1 IS NULL OR ?1 = r.kind)
			AND (?5 IS NULL OR r.subject_id = ?5) AND (?6 IS NULL OR r.tenant_id = ?6) ORDER BY r.id DESC LIMIT ?4)`
	careBy    = `SELECT * FROM (SELECT ` + relationColumns + ` FROM relations r WHERE r.kind = 'care' AND r.`
	patientBy = ` UNION ALL SELECT * FROM (SELECT ` + relationColumns + ` FROM relations r WHERE r.kind = 'patient' AND r.`
	agentBy   = ` UNION ALL SELECT * FROM (SELECT ` + relationColumns + ` FROM relations r WHERE r.kind = 'agent' AND r.`
	newestID  = ` ORDER BY 1 DESC LIMIT ?4`

	byObject  = `object_id = ?2` + relationRest
	bySubject = `subject_id = ?2` + relationRest
	byTenant  = `tenant_id = ?2` + relationRest

	sqlRelationsOfObject  = careBy + byObject + patientBy + byObject + agentBy + byObject + newestID
	sqlRelationsOfSubject = careBy + bySubject + patientBy + bySubject + agentBy + bySubject + newestID
	sqlRelationsOfTenant  = careBy + byTenant + patientBy + byTenant + agentBy + byTenant + newestID
)

// relationDest gives where the relationColumns go.
func relationDest(r *auth.Relation) []any {
	return []any{
		(*uuid)(&r.ID), &r.Kind, (*uuid)(&r.SubjectID), (*uuid)(&r.ObjectID), (*uuid)(&r.TenantID), (*micros)(&r.StartsAt),
		(*micros)(&r.EndsAt), (*uuid)(&r.CreatedBy), (*micros)(&r.CreatedAt),
	}
}

// AddRelation implements store.Tenants.
func (s *Store) AddRelation(ctx context.Context, rel auth.Relation, audit auth.AuditEntry) error {
	return s.write(ctx, "add relation", func(r runner) error {
		if err := relatable(ctx, r, &rel); err != nil {
			return err
		}
		if _, err := exec(ctx, r, sqlInsertRelation, rel.ID.String(), rel.Kind, rel.SubjectID.String(), idOrNull(rel.ObjectID),
			idOrNull(rel.TenantID), at(rel.StartsAt), at(rel.EndsAt), idOrNull(rel.CreatedBy), at(rel.CreatedAt)); err != nil {
			return err
		}
		return insertAudit(ctx, r, audit)
	})
}

// relatable refuses a relation of somebody who does not exist, and one that overlaps.
func relatable(ctx context.Context, r runner, rel *auth.Relation) error {
	if err := userExists(ctx, r, rel.SubjectID); err != nil {
		return err
	}
	if !rel.ObjectID.IsZero() {
		if err := userExists(ctx, r, rel.ObjectID); err != nil {
			return err
		}
	}
	if !rel.TenantID.IsZero() {
		if err := tenantExists(ctx, r, rel.TenantID); err != nil {
			return err
		}
	}
	query, args := sqlOverlap, []any{
		at(rel.StartsAt), at(rel.EndsAt), rel.Kind, rel.SubjectID.String(), idOrNull(rel.ObjectID), idOrNull(rel.TenantID),
	}
	if rel.Kind == auth.RelationAgent {
		query, args = sqlAgentOverlap, []any{at(rel.StartsAt), at(rel.EndsAt), idOrNull(rel.ObjectID)}
	}
	var exists int
	switch err := one(ctx, r, query, args, &exists); {
	case err == nil:
		return auth.ErrConflict
	case !isNotFound(err):
		return err
	}
	return nil
}

// EndRelation implements store.Tenants.
func (s *Store) EndRelation(ctx context.Context, id auth.ID, now time.Time, audit auth.AuditEntry) error {
	return s.write(ctx, "end relation", func(r runner) error {
		if n, err := exec(ctx, r, sqlEndRelation, id.String(), at(now)); err != nil || n == 0 {
			return orNotFound(err)
		}
		return insertAudit(ctx, r, audit)
	})
}

// RelationByID implements store.Tenants.
func (s *Store) RelationByID(ctx context.Context, id auth.ID) (auth.Relation, error) {
	var rel auth.Relation
	err := s.read("relation by id", func(r runner) error {
		return one(ctx, r, sqlRelationByID, []any{id.String()}, relationDest(&rel)...)
	})
	if err != nil {
		return auth.Relation{}, err
	}
	return rel, nil
}

var errNoScope = errors.New("sqlite: relations: of nobody in particular")

// Relations implements store.Tenants.
func (s *Store) Relations(ctx context.Context, q auth.RelationQuery) ([]auth.Relation, error) {
	query, key := sqlRelationsOfObject, q.Object
	subject, tenant := q.Subject, q.Tenant
	switch {
	case !q.Object.IsZero():
	case !q.Subject.IsZero():
		query, key, subject = sqlRelationsOfSubject, q.Subject, auth.ID{}
	case !q.Tenant.IsZero():
		query, key, tenant = sqlRelationsOfTenant, q.Tenant, auth.ID{}
	default:
		return nil, errNoScope
	}
	args := []any{str(q.Kind), key.String(), at(q.At), int64(min(max(q.Limit, 1), maxPage)), idOrNull(subject), idOrNull(tenant)}
	var list []auth.Relation
	err := s.read("relations", func(r runner) error {
		return each(ctx, r, query, args, func(scan func(...any) error) error {
			var rel auth.Relation
			err := scan(relationDest(&rel)...)
			list = append(list, rel)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
