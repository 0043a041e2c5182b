package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	// An invitation names who has invited; the person that was invited has gone.
	sqlEndMemberships = `UPDATE memberships SET state = 'suspended', ends_at = min(coalesce(ends_at, ?2), ?2), updated_at = ?2, invited_by = NULL
		WHERE user_id = ?1`
	sqlEndRelations = `UPDATE relations SET ends_at = max(starts_at, ?2)
		WHERE (subject_id = ?1 OR object_id = ?1) AND (ends_at IS NULL OR ends_at > max(starts_at, ?2))`

	// Only entries that name the person are read.
	sqlAuditPage = `SELECT id, CASE WHEN instr(payload, ?2) > 0 THEN payload END, ip_address
		FROM audit_log_entries WHERE id > ?1 ORDER BY id LIMIT ?3`
	sqlRewriteAudit = `UPDATE audit_log_entries SET payload = ?2, ip_address = ?3 WHERE id = ?1`
)

// AdvanceErasure implements store.Privacy.
func (s *Store) AdvanceErasure(ctx context.Context, a auth.ErasureAdvance) (e auth.Erasure, err error) {
	err = s.write(ctx, "advance erasure", func(r runner) error {
		if e, err = findErasure(ctx, r, sqlErasureByID, a.ID); err != nil {
			return err
		}
		if a.Step < 0 || a.Step >= len(e.Steps) {
			return auth.ErrNotFound
		}
		step := &e.Steps[a.Step]
		if step.Done() {
			return nil
		}
		cursor := ""
		if a.Outcome == auth.StepApply {
			if cursor, err = eraseTable(ctx, r, e.UserID, step, &a); err != nil {
				return err
			}
		}
		e.Advance(&a, cursor)
		if err := saveErasure(ctx, r, &e); err != nil || e.FinishedAt.IsZero() {
			return err
		}
		return insertAudit(ctx, r, a.Finished)
	})
	if err != nil {
		return auth.Erasure{}, err
	}
	return e, nil
}

func saveErasure(ctx context.Context, r runner, e *auth.Erasure) error {
	steps, err := json.Marshal(e.Steps)
	if err != nil {
		return err
	}
	_, err = exec(ctx, r, sqlUpdateErasure, e.ID.String(), string(steps), at(e.NextAt()), at(e.FinishedAt))
	return err
}

// eraseTable does what the step says. The answer is where to go on; "" when it is done.
func eraseTable(ctx context.Context, r runner, user auth.ID, step *auth.ErasureStep, a *auth.ErasureAdvance) (cursor string, err error) {
	t, known := auth.FindPersonalTable(step.Name)
	if step.Kind != auth.StepTable || !known {
		return "", fmt.Errorf("there is no table %q to erase", step.Name)
	}
	switch {
	case step.Action == auth.EraseAnonymise && t.Name == auth.AuditTable:
		return anonymiseAudit(ctx, r, user, step.Cursor, a.Batch)
	case step.Action == auth.EraseAnonymise && t.Name == auth.ConsentEvents:
		_, err = exec(ctx, r, sqlForgetConsents, user.String())
	case step.Action == auth.EraseEnd && t.Name == "memberships":
		_, err = exec(ctx, r, sqlEndMemberships, user.String(), at(a.At))
	case step.Action == auth.EraseEnd && t.Name == "relations":
		_, err = exec(ctx, r, sqlEndRelations, user.String(), at(a.At))
	case step.Action == auth.EraseDelete && len(t.People) > 0:
		_, err = exec(ctx, r, `DELETE FROM `+t.Name+` WHERE `+strings.Join(t.People, ` = ?1 OR `)+` = ?1`, user.String())
	default:
		err = fmt.Errorf("%q can't be done to the table %s", step.Action, t.Name)
	}
	return "", err
}

// anonymiseAudit goes through a part of the log.
func anonymiseAudit(ctx context.Context, r runner, user auth.ID, cursor string, batch int) (string, error) {
	type entry struct {
		id, payload nullText
		ip          string
	}
	var page []entry
	err := each(ctx, r, sqlAuditPage, []any{cursor, user.String(), int64(batch)}, func(scan func(...any) error) error {
		var e entry
		err := scan(&e.id, &e.payload, &e.ip)
		page = append(page, e)
		return err
	})
	if err != nil {
		return "", err
	}
	for i := range page {
		e := &page[i]
		if e.payload == "" {
			continue
		}
		clean, own, changed := auth.Anonymised(json.RawMessage(e.payload), user)
		ip := e.ip
		if own {
			ip = ""
		}
		if !changed && ip == e.ip {
			continue
		}
		if _, err := exec(ctx, r, sqlRewriteAudit, string(e.id), string(clean), ip); err != nil {
			return "", err
		}
	}
	if len(page) < batch {
		return "", nil
	}
	return string(page[len(page)-1].id), nil
}

// RetryErasure implements store.Privacy.
func (s *Store) RetryErasure(ctx context.Context, id auth.ID, when time.Time, audit auth.AuditEntry) (e auth.Erasure, err error) {
	err = s.write(ctx, "retry erasure", func(r runner) error {
		if e, err = findErasure(ctx, r, sqlErasureByID, id); err != nil {
			return err
		}
		if !e.FinishedAt.IsZero() {
			return auth.ErrNotFound
		}
		e.Retry(when)
		if err := saveErasure(ctx, r, &e); err != nil {
			return err
		}
		return insertAudit(ctx, r, audit)
	})
	if err != nil {
		return auth.Erasure{}, err
	}
	return e, nil
}
