package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	externalSubject = `SELECT user_id, source_at, evidence_at FROM auth.external_subjects WHERE issuer = $1 AND subject = $2`

	// An account may have subjects of several issuers: that of the one that asks is meant.
	subjectOf = `
SELECT issuer, subject, source_at, evidence_at FROM auth.external_subjects WHERE user_id = $1 ORDER BY issuer <> $2, created_at LIMIT 1`

	// A lock of the transaction, so that it is safe behind poolers (S2.31). It is taken alone
	// and first: accounts are locked after it, in order.
	lockSubject = `SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 1667330657))`

	lockAccounts = `SELECT id FROM auth.users WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE`

	idByEmail = `
SELECT u.id FROM auth.users u WHERE u.id = coalesce(
	(SELECT o.id FROM auth.users o WHERE o.email = $1 AND o.is_sso_user = false),
	(SELECT i.user_id FROM auth.user_identifiers i WHERE i.kind = 'email' AND i.value = $1 AND i.verified_at IS NOT NULL))
AND u.deleted_at IS NULL`

	idByPhone = `
SELECT u.id FROM auth.users u WHERE u.id = coalesce(
	(SELECT o.id FROM auth.users o WHERE o.phone = $1),
	(SELECT i.user_id FROM auth.user_identifiers i WHERE i.kind = 'phone' AND i.value = $1 AND i.verified_at IS NOT NULL))
AND u.deleted_at IS NULL`

	unlinkSubjects = `DELETE FROM auth.external_subjects WHERE user_id = $1 AND issuer = $2 AND subject <> $3`

	linkSubject = `
INSERT INTO auth.external_subjects AS e (issuer, subject, user_id, source_at, evidence_at, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (issuer, subject) DO UPDATE SET user_id = excluded.user_id,
	source_at = coalesce(excluded.source_at, e.source_at), evidence_at = coalesce(excluded.evidence_at, e.evidence_at)`

	noteSubject = `
UPDATE auth.external_subjects SET source_at = coalesce($3, source_at), evidence_at = coalesce($4, evidence_at)
WHERE issuer = $1 AND subject = $2`

	auditAlone = `
INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
SELECT '00000000-0000-0000-0000-000000000000', e.id, e.at, e.payload::json, e.ip
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS e (id, at, payload, ip)`
)

// ExternalUser implements store.External.
func (s *Store) ExternalUser(ctx context.Context, issuer, subject string) (auth.ExternalUser, error) {
	var e auth.ExternalUser
	if err := externalUser(ctx, s.pool, issuer, subject, &e); err != nil {
		return auth.ExternalUser{}, storeError("external user", err)
	}
	return e, nil
}

// externalUser reads by two statements. In between the account can only have gone, which is
// what the second one finds.
func externalUser(ctx context.Context, db querier, issuer, subject string, e *auth.ExternalUser) error {
	var user pgtype.UUID
	if err := db.QueryRow(ctx, externalSubject, issuer, subject).Scan(&user, (*moment)(&e.SourceAt), (*moment)(&e.EvidenceAt)); err != nil {
		return err
	}
	e.Issuer, e.Subject = issuer, subject
	err := scanPerson(db.QueryRow(ctx, personByID, user), &e.Person)
	if errors.Is(err, pgx.ErrNoRows) { // softly deleted
		e.Gone, e.Person, err = true, auth.Person{}, nil
	}
	return err
}

// Provision implements store.External.
func (s *Store) Provision(ctx context.Context, p auth.Provisioning) (auth.ExternalUser, error) {
	var after auth.ExternalUser
	err := unlocked(func() error {
		return s.tx(ctx, "provision", func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, lockSubject, p.Issuer, p.Subject); err != nil {
				return err
			}
			c, err := externalCandidates(ctx, tx, &p)
			if err != nil {
				return err
			}
			plan, err := p.Decide(c)
			if err != nil {
				return err
			}
			if err := provision(ctx, tx, &p, &plan); err != nil {
				return err
			}
			after = auth.ExternalUser{}
			if err := externalUser(ctx, tx, p.Issuer, p.Subject, &after); !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			return nil
		})
	})
	if err != nil {
		return auth.ExternalUser{}, err
	}
	return after, nil
}

// externalCandidates locks the accounts that may be meant, and reads them afterwards.
func externalCandidates(ctx context.Context, tx pgx.Tx, p *auth.Provisioning) (auth.ExternalCandidates, error) {
	var (
		c                         auth.ExternalCandidates
		bySubject                 auth.ExternalUser
		subject, email, telephone pgtype.UUID
	)
	for _, look := range []struct {
		to   *pgtype.UUID
		sql  string
		args []any
	}{
		{&subject, `SELECT user_id FROM auth.external_subjects WHERE issuer = $1 AND subject = $2`, []any{p.Issuer, p.Subject}},
		{&email, idByEmail, []any{p.Email}}, {&telephone, idByPhone, []any{p.Phone}},
	} {
		if look.args[0] == "" {
			continue
		}
		if err := tx.QueryRow(ctx, look.sql, look.args...).Scan(look.to); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return c, err
		}
	}
	if _, err := tx.Exec(ctx, lockAccounts, []pgtype.UUID{subject, email, telephone}); err != nil {
		return c, err
	}
	switch err := externalUser(ctx, tx, p.Issuer, p.Subject, &bySubject); {
	case err == nil:
		c.Subject = &bySubject
	case !errors.Is(err, pgx.ErrNoRows):
		return c, err
	default:
		var gone bool
		if err := tx.QueryRow(ctx, tombstoned, p.Tombstones).Scan(&gone); err != nil {
			return c, err
		}
		if gone {
			c.Subject = &auth.ExternalUser{Issuer: p.Issuer, Subject: p.Subject, Gone: true}
		}
	}
	var err error
	if c.Email, err = byAddress(ctx, tx, idByEmail, p.Email, p.Issuer); err == nil {
		c.Phone, err = byAddress(ctx, tx, idByPhone, p.Phone, p.Issuer)
	}
	return c, err
}

// byAddress reads the account that has an address; nil when nobody has it.
func byAddress(ctx context.Context, tx pgx.Tx, sql, address, issuer string) (*auth.ExternalUser, error) {
	var id pgtype.UUID
	if address == "" {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	err := tx.QueryRow(ctx, sql, address).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // as above
	}
	if err != nil {
		return nil, err
	}
	var e auth.ExternalUser
	if err := scanPerson(tx.QueryRow(ctx, personByID, id), &e.Person); err != nil {
		return nil, err
	}
	err = tx.QueryRow(ctx, subjectOf, id, issuer).Scan(&e.Issuer, &e.Subject, (*moment)(&e.SourceAt), (*moment)(&e.EvidenceAt))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	return &e, nil
}

// provision carries the plan out.
func provision(ctx context.Context, tx pgx.Tx, p *auth.Provisioning, plan *auth.ExternalPlan) error {
	if plan.Create != nil {
		var inserted int64
		if err := createOnce(ctx, tx, plan.Create, createArgs(plan.Create), &inserted); err != nil {
			return err
		}
		if inserted == 0 { // what is in the way shows that somebody else was faster
			if err := inTheWay(ctx, tx, &plan.Create.User); !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			return fmt.Errorf("nothing is in the way: %w", auth.ErrIDTaken)
		}
		plan.UserID, plan.Link = plan.Create.User.ID, true
	} else if !plan.UserID.IsZero() {
		if err := changeExternal(ctx, tx, plan); err != nil {
			return err
		}
	}
	var b pgx.Batch
	if len(plan.Audit) > 0 {
		b.Queue(auditAlone, auditArgs(plan.Audit...)...)
	}
	if plan.Link {
		b.Queue(unlinkSubjects, uuid(plan.UserID), p.Issuer, p.Subject)
		b.Queue(linkSubject, p.Issuer, p.Subject, uuid(plan.UserID), timestamp(plan.SourceAt), timestamp(plan.EvidenceAt), timestamp(p.At))
	} else {
		b.Queue(noteSubject, p.Issuer, p.Subject, timestamp(plan.SourceAt), timestamp(plan.EvidenceAt))
	}
	return tx.SendBatch(ctx, &b).Close()
}

// changeExternal changes an account that is there.
func changeExternal(ctx context.Context, tx pgx.Tx, plan *auth.ExternalPlan) error {
	var b pgx.Batch
	found := new(bool)
	if *found = plan.Patch == nil; plan.Patch != nil {
		var err error
		if found, err = queuePatch(&b, plan.UserID, plan.Patch); err != nil {
			return err
		}
	}
	if plan.Profile != nil {
		if err := queueProfile(&b, plan.UserID, plan.Profile, ""); err != nil {
			return err
		}
	}
	if b.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if !*found {
		return auth.ErrNotFound
	}
	return nil
}
