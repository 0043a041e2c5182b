package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// NewRelation is a relation to be begun; see [auth.Relation].
type NewRelation struct {
	Kind                          string
	SubjectID, ObjectID, TenantID auth.ID
	StartsAt                      time.Time // zero: now
	EndsAt                        time.Time // zero: until it is ended
}

// Relate begins a relation. Who may:
//
//   - care (a professional for a patient) and patient (of a tenant): operators, and members
//     with relation:write there. The professional has to be a member, the patient a member or
//     a patient of the tenant already: nobody becomes a clinic's patient because the clinic
//     says so. Everybody may make himself a patient of a tenant, of an active one.
//   - agent: operators and those with relation:write in the whole application; see
//     [People.AssignAgent], which replaces the agent before.
//
// Only operators begin a relation in the past: it would justify what was done before.
func (t *Tenancy) Relate(ctx context.Context, a Actor, in NewRelation) (auth.Relation, error) {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return auth.Relation{}, err
	}
	r := auth.Relation{Kind: in.Kind, SubjectID: in.SubjectID, ObjectID: in.ObjectID, TenantID: in.TenantID}
	if err := t.checkKind(&r); err != nil {
		return auth.Relation{}, err
	}
	if r.Kind == auth.RelationAgent {
		err = t.mayAppoint(ctx, &s, &r)
	} else {
		err = t.mayRelate(ctx, &s, &r)
	}
	if err != nil {
		return auth.Relation{}, err
	}
	if err := t.checkTimes(&s, &r, &in); err != nil {
		return auth.Relation{}, err
	}
	return t.c.addRelation(ctx, &s, r)
}

// checkKind checks which ids a kind has.
func (t *Tenancy) checkKind(r *auth.Relation) error {
	object, tenant := !r.ObjectID.IsZero(), !r.TenantID.IsZero()
	switch {
	case r.Kind == auth.RelationCare && object && tenant,
		r.Kind == auth.RelationPatient && !object && tenant,
		r.Kind == auth.RelationAgent && object && !tenant:
	case r.Kind != auth.RelationCare && r.Kind != auth.RelationPatient && r.Kind != auth.RelationAgent:
		return auth.E(auth.CodeValidation, "kind must be care, patient or agent")
	default:
		return auth.E(auth.CodeValidation, "A relation of kind care has subject, object and tenant; patient has subject and tenant; agent has subject and object")
	}
	if r.SubjectID.IsZero() || r.SubjectID == r.ObjectID {
		return auth.E(auth.CodeValidation, "A relation is between two different people")
	}
	return nil
}

func (t *Tenancy) checkTimes(s *standing, r *auth.Relation, in *NewRelation) error {
	now := t.c.now()
	if r.StartsAt = now; !in.StartsAt.IsZero() {
		if r.StartsAt = auth.Truncate(in.StartsAt); r.StartsAt.Before(now) && !s.operator {
			return auth.E(auth.CodeValidation, "A relation can't begin in the past")
		}
	}
	if in.EndsAt.IsZero() {
		return nil
	}
	if r.EndsAt = auth.Truncate(in.EndsAt); !r.EndsAt.After(r.StartsAt) || r.EndsAt.Year() > 9999 {
		return auth.E(auth.CodeValidation, "A relation ends after it has begun")
	}
	return nil
}

// mayAppoint lets an agent's relation through.
func (t *Tenancy) mayAppoint(ctx context.Context, s *standing, r *auth.Relation) error {
	if !s.may(role.RelationWrite) {
		return forbidden(role.RelationWrite)
	}
	if _, err := t.c.person(ctx, r.ObjectID, auth.CodeUserNotFound); err != nil {
		return err
	}
	return t.c.checkAgent(ctx, s, r.ObjectID, r.SubjectID)
}

// mayRelate lets a relation of a tenant through.
func (t *Tenancy) mayRelate(ctx context.Context, s *standing, r *auth.Relation) error {
	if r.Kind == auth.RelationPatient && !s.operator && r.SubjectID == s.user.ID {
		row, err := t.byID(ctx, r.TenantID)
		if err == nil && !row.Active {
			err = auth.E(auth.CodeTenantNotFound, "")
		}
		return err
	}
	if _, err := t.enter(ctx, s, r.TenantID, role.RelationWrite); err != nil {
		return err
	}
	if r.Kind == auth.RelationPatient && s.operator {
		_, err := t.c.person(ctx, r.SubjectID, auth.CodeUserNotFound)
		return err
	}
	err := t.belongs(ctx, r.TenantID, r.SubjectID, false)
	if err == nil && r.Kind == auth.RelationCare {
		err = t.belongs(ctx, r.TenantID, r.ObjectID, true)
	}
	return err
}

// belongs refuses people who are not open members of a tenant nor, where that does as well,
// its patients.
func (t *Tenancy) belongs(ctx context.Context, tenant, user auth.ID, orPatient bool) error {
	m, err := t.c.TenantStore.MembershipIn(ctx, tenant, user)
	if err == nil && m.OpenAt(t.c.now()) {
		return nil
	}
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return fmt.Errorf("flow: read membership: %w", err)
	}
	if orPatient {
		list, err := t.c.TenantStore.Relations(ctx, auth.RelationQuery{
			Kind: auth.RelationPatient, Subject: user, Tenant: tenant, At: t.c.now(), Limit: 1,
		})
		if err != nil {
			return fmt.Errorf("flow: look for patient: %w", err)
		}
		if len(list) > 0 {
			return nil
		}
	}
	return auth.E(auth.CodeMemberNotFound, "")
}

// addRelation stores a relation that has been found right. One without a start begins now.
func (c *Config) addRelation(ctx context.Context, s *standing, r auth.Relation) (auth.Relation, error) {
	now := c.now()
	var err error
	if r.ID, err = auth.NewID(now, c.Rand); err != nil {
		return auth.Relation{}, err
	}
	if r.CreatedAt, r.CreatedBy = now, s.user.ID; r.StartsAt.IsZero() {
		r.StartsAt = now
	}
	entry, err := c.auditBy(s, "relation_started", "user", relationTraits(&r))
	if err != nil {
		return auth.Relation{}, err
	}
	switch err := c.TenantStore.AddRelation(ctx, r, entry); {
	case errors.Is(err, auth.ErrConflict):
		return auth.Relation{}, auth.E(auth.CodeRelationExists, "")
	case errors.Is(err, auth.ErrNotFound):
		return auth.Relation{}, auth.E(auth.CodeUserNotFound, "")
	case err != nil:
		return auth.Relation{}, fmt.Errorf("flow: add relation: %w", err)
	}
	return r, nil
}

// endRelation ends a relation that the actor may end.
func (c *Config) endRelation(ctx context.Context, s *standing, r *auth.Relation) error {
	entry, err := c.auditBy(s, "relation_ended", "user", relationTraits(r))
	if err != nil {
		return err
	}
	err = c.TenantStore.EndRelation(ctx, r.ID, entry.At, entry)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeRelationNotFound, "")
	}
	if err != nil {
		return fmt.Errorf("flow: end relation: %w", err)
	}
	return nil
}

func relationTraits(r *auth.Relation) map[string]any {
	traits := map[string]any{"relation_id": r.ID.String(), "kind": r.Kind, "subject_id": r.SubjectID.String()}
	if !r.ObjectID.IsZero() {
		traits["object_id"] = r.ObjectID.String()
	}
	if !r.TenantID.IsZero() {
		traits["tenant_id"] = r.TenantID.String()
	}
	return traits
}

// Unrelate ends a relation: for operators, for those who might have begun it, and for the
// patient, who may leave. Another tenant's relation is one that does not exist.
func (t *Tenancy) Unrelate(ctx context.Context, a Actor, id auth.ID) error {
	return t.unrelate(ctx, a, id, nil)
}

// UnrelateIn is Unrelate for a relation of this tenant; any other does not exist.
func (t *Tenancy) UnrelateIn(ctx context.Context, a Actor, tenant, id auth.ID) error {
	return t.unrelate(ctx, a, id, func(r *auth.Relation) bool { return r.TenantID == tenant })
}

func (t *Tenancy) unrelate(ctx context.Context, a Actor, id auth.ID, meant func(*auth.Relation) bool) error {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return err
	}
	r, err := t.c.TenantStore.RelationByID(ctx, id)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.E(auth.CodeRelationNotFound, "")
	case err != nil:
		return fmt.Errorf("flow: read relation: %w", err)
	case meant != nil && !meant(&r):
		return auth.E(auth.CodeRelationNotFound, "")
	}
	patient := r.ObjectID
	if r.Kind == auth.RelationPatient {
		patient = r.SubjectID
	}
	switch {
	case s.operator:
	case r.Kind == auth.RelationAgent:
		if !s.may(role.RelationWrite) {
			return auth.E(auth.CodeRelationNotFound, "")
		}
	case patient == s.user.ID:
	default:
		_, err := t.enter(ctx, &s, r.TenantID, role.RelationWrite)
		switch {
		case err == nil:
		case auth.CodeOf(err) == auth.CodeTenantDenied:
			return auth.E(auth.CodeRelationNotFound, "")
		default:
			return err
		}
	}
	return t.c.endRelation(ctx, &s, &r)
}

// Relations lists relations that hold, newest first: to operators, to those of whom they
// tell, and, within a tenant, to members with relation:read.
func (t *Tenancy) Relations(ctx context.Context, a Actor, q auth.RelationQuery) ([]auth.Relation, error) {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return nil, err
	}
	switch {
	case q.Subject.IsZero() && q.Object.IsZero() && q.Tenant.IsZero():
		return nil, auth.E(auth.CodeValidation, "One of subject, object and tenant is required")
	case q.Kind != "" && q.Kind != auth.RelationCare && q.Kind != auth.RelationPatient && q.Kind != auth.RelationAgent:
		return nil, auth.E(auth.CodeValidation, "kind must be care, patient or agent")
	case s.operator, !s.user.ID.IsZero() && (q.Subject == s.user.ID || q.Object == s.user.ID):
	case q.Tenant.IsZero():
		if !s.may(role.RelationRead) {
			return nil, forbidden(role.RelationRead)
		}
	default:
		if _, err := t.enter(ctx, &s, q.Tenant, role.RelationRead); err != nil {
			return nil, err
		}
	}
	if q.At.IsZero() {
		q.At = t.c.now()
	}
	q.Limit = pageSize(q.Limit)
	list, err := t.c.TenantStore.Relations(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("flow: list relations: %w", err)
	}
	return list, nil
}
