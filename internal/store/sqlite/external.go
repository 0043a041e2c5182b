package sqlite

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlExternalUser = `SELECT user_id, source_at, evidence_at FROM external_subjects WHERE issuer = ?1 AND subject = ?2`
	// An account may have subjects of several issuers: that of the one that asks is meant.
	sqlSubjectOf = `SELECT issuer, subject, source_at, evidence_at FROM external_subjects WHERE user_id = ?1
		ORDER BY issuer <> ?2, created_at LIMIT 1`
	sqlIDByEmail = `SELECT u.id FROM users u WHERE u.id = coalesce(
			(SELECT o.id FROM users o WHERE o.email = ?1 AND o.is_sso_user = 0),
			(SELECT i.user_id FROM user_identifiers i WHERE i.kind = 'email' AND i.value = ?1 AND i.verified_at IS NOT NULL))
		AND u.deleted_at IS NULL`
	sqlIDByPhone = `SELECT u.id FROM users u WHERE u.id = coalesce(
			(SELECT o.id FROM users o WHERE o.phone = ?1),
			(SELECT i.user_id FROM user_identifiers i WHERE i.kind = 'phone' AND i.value = ?1 AND i.verified_at IS NOT NULL))
		AND u.deleted_at IS NULL`
	sqlUnlink      = `DELETE FROM external_subjects WHERE user_id = ?1 AND issuer = ?2 AND subject <> ?3`
	sqlLinkSubject = `INSERT INTO external_subjects (issuer, subject, user_id, source_at, evidence_at, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (issuer, subject) DO UPDATE SET user_id = excluded.user_id,
			source_at = coalesce(excluded.source_at, source_at), evidence_at = coalesce(excluded.evidence_at, evidence_at)`
	sqlNoteSubject = `UPDATE external_subjects SET source_at = coalesce(?3, source_at), evidence_at = coalesce(?4, evidence_at)
		WHERE issuer = ?1 AND subject = ?2`
)

// ExternalUser implements store.External.
func (s *Store) ExternalUser(ctx context.Context, issuer, subject string) (auth.ExternalUser, error) {
	var e auth.ExternalUser
	// Two statements of one reader may see two moments: in between the account can only have
	// gone, which is what the second one finds.
	err := s.read("external user", func(r runner) error { return externalUser(ctx, r, issuer, subject, &e) })
	if err != nil {
		return auth.ExternalUser{}, err
	}
	return e, nil
}

func externalUser(ctx context.Context, r runner, issuer, subject string, e *auth.ExternalUser) error {
	var user auth.ID
	if err := one(ctx, r, sqlExternalUser, []any{issuer, subject}, (*uuid)(&user), (*micros)(&e.SourceAt), (*micros)(&e.EvidenceAt)); err != nil {
		return err
	}
	e.Issuer, e.Subject = issuer, subject
	err := readPerson(ctx, r, user, &e.Person)
	if isNotFound(err) { // softly deleted
		e.Gone, e.Person, err = true, auth.Person{}, nil
	}
	return err
}

// Provision implements store.External. The write lock of the file is the lock of subjects
// and accounts.
func (s *Store) Provision(ctx context.Context, p auth.Provisioning) (auth.ExternalUser, error) {
	var after auth.ExternalUser
	err := s.write(ctx, "provision", func(r runner) error {
		c, err := candidates(ctx, r, &p)
		if err != nil {
			return err
		}
		plan, err := p.Decide(c)
		if err != nil {
			return err
		}
		if err := provision(ctx, r, &p, &plan); err != nil {
			return err
		}
		after = auth.ExternalUser{}
		if err := externalUser(ctx, r, p.Issuer, p.Subject, &after); !isNotFound(err) {
			return err
		}
		return nil
	})
	if err != nil {
		return auth.ExternalUser{}, err
	}
	return after, nil
}

func candidates(ctx context.Context, r runner, p *auth.Provisioning) (auth.ExternalCandidates, error) {
	var c auth.ExternalCandidates
	var bySubject auth.ExternalUser
	switch err := externalUser(ctx, r, p.Issuer, p.Subject, &bySubject); {
	case err == nil:
		c.Subject = &bySubject
	case !isNotFound(err):
		return c, err
	default:
		gone, err := buried(ctx, r, p.Tombstones)
		if err != nil {
			return c, err
		}
		if gone {
			c.Subject = &auth.ExternalUser{Issuer: p.Issuer, Subject: p.Subject, Gone: true}
		}
	}
	for _, by := range []struct {
		query, address string
		to             **auth.ExternalUser
	}{{sqlIDByEmail, p.Email, &c.Email}, {sqlIDByPhone, p.Phone, &c.Phone}} {
		if by.address == "" {
			continue
		}
		var id auth.ID
		err := one(ctx, r, by.query, []any{by.address}, (*uuid)(&id))
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return c, err
		}
		var e auth.ExternalUser
		if err := readPerson(ctx, r, id, &e.Person); err != nil {
			return c, err
		}
		err = one(ctx, r, sqlSubjectOf, []any{id.String(), p.Issuer}, &e.Issuer, &e.Subject, (*micros)(&e.SourceAt), (*micros)(&e.EvidenceAt))
		if err != nil && !isNotFound(err) {
			return c, err
		}
		*by.to = &e
	}
	return c, nil
}

// provision carries the plan out.
func provision(ctx context.Context, r runner, p *auth.Provisioning, plan *auth.ExternalPlan) error {
	if plan.Create != nil {
		if err := createAccount(ctx, r, plan.Create); err != nil {
			return err
		}
		plan.UserID, plan.Link = plan.Create.User.ID, true
	} else if !plan.UserID.IsZero() {
		var person auth.Person
		if err := readPerson(ctx, r, plan.UserID, &person); err != nil {
			return err
		}
		if plan.Patch != nil {
			if err := applyPatch(ctx, r, &person.User, plan.Patch); err != nil {
				return err
			}
		}
		if plan.Profile != nil {
			if err := writeProfile(ctx, r, plan.UserID, &person.Profile, plan.Profile); err != nil {
				return err
			}
		}
	}
	if err := insertAudit(ctx, r, plan.Audit...); err != nil {
		return err
	}
	if !plan.Link {
		_, err := exec(ctx, r, sqlNoteSubject, p.Issuer, p.Subject, at(plan.SourceAt), at(plan.EvidenceAt))
		return err
	}
	if _, err := exec(ctx, r, sqlUnlink, plan.UserID.String(), p.Issuer, p.Subject); err != nil {
		return err
	}
	_, err := exec(ctx, r, sqlLinkSubject, p.Issuer, p.Subject, plan.UserID.String(), at(plan.SourceAt), at(plan.EvidenceAt), at(p.At))
	return err
}
