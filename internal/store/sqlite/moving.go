package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlRemember = `INSERT INTO moved (source, kind, external_id, local_id, moved_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING`
	sqlForget   = `DELETE FROM moved WHERE source = ?1 AND kind = 'user' AND external_id = ?2`
	sqlMovedTo  = `SELECT local_id FROM moved WHERE source = ?1 AND kind = ?2 AND external_id = ?3`
	sqlMoveUser = sqlInsertUser + ` ON CONFLICT DO NOTHING`
	sqlUnmove   = `DELETE FROM users WHERE id = ?`

	sqlMoveIdentity = sqlInsertIdentity + ` ON CONFLICT DO NOTHING`
	sqlEmailHeld    = `SELECT 1 FROM users WHERE email = ?1 AND is_sso_user = 0`
	sqlPhoneHeld    = `SELECT 1 FROM users WHERE phone = ?1`
	sqlFurther      = `SELECT 1 FROM user_identifiers WHERE kind = ?1 AND value = ?2 AND verified_at IS NOT NULL`

	progressColumns = `name, source, digest, position, after, moved, present, taken, refused, started_at, updated_at, finished_at`
	sqlImport       = `SELECT ` + progressColumns + ` FROM imports WHERE name = ?1`
	sqlWriteImport  = `INSERT OR REPLACE INTO imports (` + progressColumns + `) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`

	sqlCopyAccounts = `SELECT ` + userColumns + `, ` + profileColumns + ` FROM users u LEFT JOIN profiles p ON p.user_id = u.id
		WHERE u.id > ?1 AND u.deleted_at IS NULL ORDER BY u.id LIMIT ?2`
	sqlCopyMemberships = selectMemberOf + `WHERE ms.user_id IN (SELECT value FROM json_each(?1)) ORDER BY ms.user_id, ms.tenant_id`
)

var errDryRun = errors.New("a dry run is taken back")

func progressDest(p *auth.MoveProgress) []any {
	return []any{
		&p.Name, &p.Source, &p.Digest, &p.Position, &p.After, &p.Moved, &p.Present, &p.Taken, &p.Refused,
		(*micros)(&p.StartedAt), (*micros)(&p.UpdatedAt), (*micros)(&p.FinishedAt),
	}
}

func writeProgress(ctx context.Context, r runner, p *auth.MoveProgress) error {
	_, err := exec(ctx, r, sqlWriteImport, p.Name, p.Source, p.Digest, p.Position, p.After, p.Moved, p.Present, p.Taken, p.Refused,
		at(p.StartedAt), at(p.UpdatedAt), at(p.FinishedAt))
	return err
}

// StartImport implements store.Moving.
func (s *Store) StartImport(ctx context.Context, p auth.MoveProgress, resume bool) (auth.MoveProgress, error) {
	var got auth.MoveProgress
	err := s.write(ctx, "start import", func(r runner) error {
		err := one(ctx, r, sqlImport, []any{p.Name}, progressDest(&got)...)
		if err != nil && !isNotFound(err) {
			return err
		}
		if err == nil && resume && got.Source == p.Source && got.Digest == p.Digest {
			return nil
		}
		got = auth.MoveProgress{Name: p.Name, Source: p.Source, Digest: p.Digest, StartedAt: p.StartedAt, UpdatedAt: p.UpdatedAt}
		return writeProgress(ctx, r, &got)
	})
	if err != nil {
		return auth.MoveProgress{}, err
	}
	return got, nil
}

// MoveAccounts implements store.Moving. Whoever holds the write lock is alone, so each
// account is tried, and taken back when something is in the way.
func (s *Store) MoveAccounts(ctx context.Context, b auth.MoveBatch) ([]auth.MoveOutcome, error) {
	outcomes := make([]auth.MoveOutcome, len(b.Accounts))
	err := s.write(ctx, "move accounts", func(r runner) error {
		p := b.Progress
		for i := range b.Accounts {
			o, err := moveAccount(ctx, r, &b, &b.Accounts[i])
			if err != nil {
				return err
			}
			switch outcomes[i] = o; o {
			case auth.Moved:
				p.Moved++
			case auth.MovePresent:
				p.Present++
			default:
				p.Taken++
			}
		}
		if err := insertAudit(ctx, r, b.Audit...); err != nil {
			return err
		}
		if err := addProgress(ctx, r, &p); err != nil || !b.DryRun {
			return err
		}
		return errDryRun
	})
	if errors.Is(err, errDryRun) {
		return outcomes, nil
	}
	if unstorable(err) {
		return nil, fmt.Errorf("sqlite: move accounts: %w: %w", auth.ErrUnstorable, err)
	}
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// unstorable reports whether the data are what SQLite objects to.
func unstorable(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return true
	}
	return false
}

// addProgress adds the counts of a batch to those of its import, which never goes back.
func addProgress(ctx context.Context, r runner, p *auth.MoveProgress) error {
	var old auth.MoveProgress
	switch err := one(ctx, r, sqlImport, []any{p.Name}, progressDest(&old)...); {
	case isNotFound(err):
		return writeProgress(ctx, r, p)
	case err != nil:
		return err
	}
	if p.Position >= old.Position {
		old.Position, old.After = p.Position, p.After
	}
	old.Moved, old.Present, old.Taken, old.Refused = old.Moved+p.Moved, old.Present+p.Present, old.Taken+p.Taken, old.Refused+p.Refused
	old.UpdatedAt, old.FinishedAt = p.UpdatedAt, p.FinishedAt
	return writeProgress(ctx, r, &old)
}

// moveAccount moves one account, or writes nothing.
func moveAccount(ctx context.Context, r runner, b *auth.MoveBatch, a *auth.MovedAccount) (auth.MoveOutcome, error) {
	u, source := &a.User, b.Progress.Source
	n, err := exec(ctx, r, sqlRemember, source, auth.MovedUser, a.ExternalID, u.ID.String(), at(b.Progress.UpdatedAt))
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return auth.MovePresent, nil
	}
	o, err := tryAccount(ctx, r, a)
	if err != nil || o == auth.Moved {
		return o, err
	}
	_, err = exec(ctx, r, sqlForget, source, a.ExternalID)
	return o, err
}

func tryAccount(ctx context.Context, r runner, a *auth.MovedAccount) (auth.MoveOutcome, error) {
	for i := range a.Memberships {
		if err := tenantExists(ctx, r, a.Memberships[i].TenantID); isNotFound(err) {
			return auth.MoveTenantMissing, nil
		} else if err != nil {
			return 0, err
		}
	}
	u := &a.User
	if o, err := heldElsewhere(ctx, r, a); err != nil || o != auth.MoveUnknown {
		return o, err
	}
	n, err := exec(ctx, r, sqlMoveUser, u.ID.String(), u.Aud, u.Role, str(u.Email), str(u.Phone), str(u.PasswordHash),
		at(u.EmailConfirmedAt), at(u.PhoneConfirmedAt), at(u.InvitedAt), at(u.ConfirmationSentAt), at(u.RecoverySentAt),
		u.EmailChange, at(u.EmailChangeSentAt), u.PhoneChange, at(u.PhoneChangeSentAt), at(u.ReauthenticationSentAt),
		at(u.LastSignInAt), doc(u.AppMetadata), doc(u.UserMetadata), flag(u.IsSSO), flag(u.IsAnonymous),
		at(u.BannedUntil), at(u.DeletedAt), at(u.CreatedAt), at(u.UpdatedAt))
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return inTheWay(ctx, r, u)
	}
	for i := range u.Identities {
		id := &u.Identities[i]
		n, err := exec(ctx, r, sqlMoveIdentity, id.ID.String(), u.ID.String(), id.Provider, id.ProviderID, doc(id.Data),
			at(id.LastSignInAt), at(id.CreatedAt), at(id.UpdatedAt))
		if err != nil {
			return 0, err
		}
		if n == 0 {
			_, err := exec(ctx, r, sqlUnmove, u.ID.String())
			return auth.MoveIdentityTaken, err
		}
	}
	return auth.Moved, moveRest(ctx, r, a)
}

// heldElsewhere looks for what a trigger would refuse with an error, and for whoever was
// deleted here; MoveUnknown when there is nothing.
func heldElsewhere(ctx context.Context, r runner, a *auth.MovedAccount) (auth.MoveOutcome, error) {
	u := &a.User
	tombs, err := list(a.Tombs())
	if err != nil {
		return 0, err
	}
	var yes bool
	if err := one(ctx, r, sqlTombstoned, []any{tombs}, &yes); err != nil || yes {
		return auth.MoveDeleted, err
	}
	for _, f := range []struct {
		kind, value string
		taken       auth.MoveOutcome
	}{{"email", u.Email, auth.MoveEmailTaken}, {"phone", u.Phone, auth.MovePhoneTaken}} {
		if f.value == "" || f.kind == "email" && u.IsSSO {
			continue
		}
		var exists int
		if err := one(ctx, r, sqlFurther, []any{f.kind, f.value}, &exists); err == nil || !isNotFound(err) {
			return f.taken, err
		}
	}
	return auth.MoveUnknown, nil
}

// inTheWay says what kept an account from being inserted.
func inTheWay(ctx context.Context, r runner, u *auth.User) (auth.MoveOutcome, error) {
	var exists int
	if u.Email != "" && !u.IsSSO {
		if err := one(ctx, r, sqlEmailHeld, []any{u.Email}, &exists); err == nil || !isNotFound(err) {
			return auth.MoveEmailTaken, err
		}
	}
	if u.Phone != "" {
		if err := one(ctx, r, sqlPhoneHeld, []any{u.Phone}, &exists); err == nil || !isNotFound(err) {
			return auth.MovePhoneTaken, err
		}
	}
	return auth.MoveIDTaken, nil
}

// moveRest inserts what belongs to a new account.
func moveRest(ctx context.Context, r runner, a *auth.MovedAccount) error {
	user := a.User.ID.String()
	for i := range a.Memberships {
		m := a.Memberships[i]
		m.UserID = a.User.ID
		if err := writeMembership(ctx, r, &m); err != nil {
			return err
		}
	}
	if p := a.Profile; p != nil {
		extensions := json.RawMessage(`{}`)
		if len(p.Extensions) > 0 {
			var err error
			if extensions, err = json.Marshal(p.Extensions); err != nil {
				return fmt.Errorf("%w: extensions: %w", auth.ErrUnstorable, err)
			}
		}
		if _, err := exec(ctx, r, sqlWriteProfile, user, p.FullName, str(p.BirthDate), p.ImageURL, p.Language, doc(p.Preferences),
			doc(p.Notifications), doc(p.Privacy), doc(p.Flags), doc(extensions), str(p.LastMethod), at(p.LastMethodAt), at(p.UpdatedAt)); err != nil {
			return err
		}
		if !p.Active {
			if _, err := exec(ctx, r, sqlSetActive, user, flag(false)); err != nil {
				return err
			}
		}
	}
	if len(a.Tokens)+len(a.Messages) == 0 {
		return nil
	}
	return insertProof(ctx, r, a.User.ID, a.Tokens, nil, a.Messages)
}

// MoveTenant implements store.Moving.
func (s *Store) MoveTenant(ctx context.Context, m auth.TenantMove) (t auth.Tenant, made bool, err error) {
	err = s.write(ctx, "move tenant", func(r runner) error {
		var id auth.ID
		switch err := one(ctx, r, sqlMovedTo, []any{m.Source, auth.MovedTenant, m.ExternalID}, (*uuid)(&id)); {
		case err == nil:
			return one(ctx, r, sqlTenantByID, []any{id.String()}, tenantDest(&t)...)
		case !isNotFound(err):
			return err
		}
		t, made = m.Tenant, true
		if _, err := exec(ctx, r, sqlInsertTenant, t.ID.String(), t.Slug, t.Name, flag(t.Active), doc(t.Settings), at(t.CreatedAt), at(t.UpdatedAt)); err != nil {
			return err
		}
		if _, err := exec(ctx, r, sqlRemember, m.Source, auth.MovedTenant, m.ExternalID, t.ID.String(), at(t.CreatedAt)); err != nil {
			return err
		}
		return insertAudit(ctx, r, m.Audit)
	})
	if err != nil {
		return auth.Tenant{}, false, err
	}
	return t, made, nil
}

// CopyAccounts implements store.Moving.
func (s *Store) CopyAccounts(ctx context.Context, after auth.ID, limit int) ([]auth.AccountCopy, error) {
	const op = "copy accounts"
	var accounts []auth.AccountCopy
	places := map[auth.ID]int{}
	err := s.read(op, func(r runner) error {
		return each(ctx, r, sqlCopyAccounts, page(after, limit), func(scan func(...any) error) error {
			var c auth.AccountCopy
			err := scan(append(userDest(&c.User), profileDest(&c.Profile)...)...)
			c.User.Factors = nil
			places[c.User.ID] = len(accounts)
			accounts = append(accounts, c)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	keys := make([]auth.ID, len(accounts))
	for i := range accounts {
		keys[i] = accounts[i].User.ID
	}
	all, err := list(keys)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %s: %w", op, err)
	}
	err = s.read(op, func(r runner) error {
		return each(ctx, r, sqlCopyMemberships, []any{all}, func(scan func(...any) error) error {
			var m auth.MemberOf
			err := scan(memberOfDest(&m)...)
			c := &accounts[places[m.UserID]]
			c.Memberships = append(c.Memberships, m)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return accounts, nil
}
