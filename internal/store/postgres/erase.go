package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	// An invitation names who has invited; the person that was invited has gone.
	endMemberships = `
UPDATE auth.memberships SET state = 'suspended', ends_at = least(ends_at, $2), updated_at = $2, invited_by = NULL WHERE user_id = $1`
	endRelations = `
UPDATE auth.relations SET ends_at = greatest(starts_at, $2)
WHERE (subject_id = $1 OR object_id = $1) AND (ends_at IS NULL OR ends_at > greatest(starts_at, $2))`

	// auditPage goes through the log by id. Only those that name the person are read.
	auditPage = `
SELECT id, CASE WHEN p LIKE '%' || $2::uuid::text || '%' THEN p END, ip_address FROM (
	SELECT id, payload::text AS p, ip_address FROM auth.audit_log_entries WHERE id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT $3
) page ORDER BY id`
	rewriteAudit = `UPDATE auth.audit_log_entries SET payload = $2::json, ip_address = $3 WHERE id = $1`
)

// AdvanceErasure implements store.Privacy.
func (s *Store) AdvanceErasure(ctx context.Context, a auth.ErasureAdvance) (e auth.Erasure, err error) {
	err = unlocked(func() error {
		return s.tx(ctx, "advance erasure", func(tx pgx.Tx) error {
			e, err = advanceErasure(ctx, tx, &a)
			return err
		})
	})
	return e, err
}

func advanceErasure(ctx context.Context, tx pgx.Tx, a *auth.ErasureAdvance) (auth.Erasure, error) {
	e, err := scanErasure(tx.QueryRow(ctx, erasureByID, uuid(a.ID)))
	if err != nil {
		return auth.Erasure{}, err
	}
	if _, err := tx.Exec(ctx, lockOwner, uuid(e.UserID)); err != nil { // accounts come first, see the package comment
		return auth.Erasure{}, err
	}
	if e, err = scanErasure(tx.QueryRow(ctx, lockErasure, uuid(a.ID))); err != nil {
		return auth.Erasure{}, err
	}
	if a.Step < 0 || a.Step >= len(e.Steps) {
		return auth.Erasure{}, auth.ErrNotFound
	}
	step := &e.Steps[a.Step]
	if step.Done() {
		return e, nil
	}
	cursor := ""
	if a.Outcome == auth.StepApply {
		if cursor, err = eraseTable(ctx, tx, e.UserID, step, a); err != nil {
			return auth.Erasure{}, err
		}
	}
	e.Advance(a, cursor)
	if err := saveErasure(ctx, tx, &e); err != nil {
		return auth.Erasure{}, err
	}
	if e.FinishedAt.IsZero() {
		return e, nil
	}
	_, err = tx.Exec(ctx, writeAudit, auditArgs(a.Finished)...)
	return e, err
}

func saveErasure(ctx context.Context, tx pgx.Tx, e *auth.Erasure) error {
	steps, err := json.Marshal(e.Steps)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, updateErasure, uuid(e.ID), steps, timestamp(e.NextAt()), timestamp(e.FinishedAt))
	return err
}

// eraseTable does what the step says. The answer is where to go on; "" when it is done.
func eraseTable(ctx context.Context, tx pgx.Tx, user auth.ID, step *auth.ErasureStep, a *auth.ErasureAdvance) (cursor string, err error) {
	t, known := auth.FindPersonalTable(step.Name)
	if step.Kind != auth.StepTable || !known {
		return "", fmt.Errorf("there is no table %q to erase", step.Name)
	}
	switch {
	case step.Action == auth.EraseAnonymise && t.Name == auth.AuditTable:
		return anonymiseAudit(ctx, tx, user, step.Cursor, a.Batch)
	case step.Action == auth.EraseAnonymise && t.Name == auth.ConsentEvents:
		_, err = tx.Exec(ctx, anonymiseConsents, uuid(user))
	case step.Action == auth.EraseEnd && t.Name == "memberships":
		_, err = tx.Exec(ctx, endMemberships, uuid(user), timestamp(a.At))
	case step.Action == auth.EraseEnd && t.Name == "relations":
		_, err = tx.Exec(ctx, endRelations, uuid(user), timestamp(a.At))
	case step.Action == auth.EraseDelete && len(t.People) > 0:
		_, err = tx.Exec(ctx, `DELETE FROM auth.`+t.Name+` WHERE `+strings.Join(t.People, ` = $1 OR `)+` = $1`, uuid(user))
	default:
		err = fmt.Errorf("%q can't be done to the table %s", step.Action, t.Name)
	}
	return "", err
}

// anonymiseAudit goes through a part of the log.
func anonymiseAudit(ctx context.Context, tx pgx.Tx, user auth.ID, cursor string, batch int) (string, error) {
	var after auth.ID
	if cursor != "" {
		var err error
		if after, err = auth.ParseID(cursor); err != nil {
			return "", err
		}
	}
	rows, err := tx.Query(ctx, auditPage, uuid(after), uuid(user), int64(batch))
	if err != nil {
		return "", err
	}
	type entry struct {
		id      auth.ID
		payload pgtype.Text
		ip      string
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e entry, err error) {
		return e, row.Scan((*[16]byte)(&e.id), &e.payload, &e.ip)
	})
	if err != nil {
		return "", err
	}
	var b pgx.Batch
	for i := range page {
		if !page[i].payload.Valid {
			continue
		}
		clean, own, changed := auth.Anonymised(json.RawMessage(page[i].payload.String), user)
		ip := page[i].ip
		if own {
			ip = ""
		}
		if changed || ip != page[i].ip {
			b.Queue(rewriteAudit, uuid(page[i].id), string(clean), ip)
		}
	}
	if b.Len() > 0 {
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return "", err
		}
	}
	if len(page) < batch {
		return "", nil
	}
	return page[len(page)-1].id.String(), nil
}

// RetryErasure implements store.Privacy.
func (s *Store) RetryErasure(ctx context.Context, id auth.ID, at time.Time, audit auth.AuditEntry) (e auth.Erasure, err error) {
	err = s.tx(ctx, "retry erasure", func(tx pgx.Tx) error {
		if e, err = scanErasure(tx.QueryRow(ctx, lockErasure, uuid(id))); err != nil {
			return err
		}
		if !e.FinishedAt.IsZero() {
			return auth.ErrNotFound
		}
		e.Retry(at)
		if err = saveErasure(ctx, tx, &e); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, writeAudit, auditArgs(audit)...)
		return err
	})
	return e, err
}
