package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	// profileColumns are what profileDest reads, of the profile p of the account u; NULL
	// where there is none.
	profileColumns = `u.is_active, p.user_id, p.full_name, p.birth_date, p.image_url, p.language, p.preferences,
		p.notification_settings, p.privacy_settings, p.flags, p.extensions, p.last_auth_method, p.last_auth_method_at, p.updated_at`

	sqlPersonByID = `SELECT ` + userColumns + `, ` + profileColumns + `
		FROM users u LEFT JOIN profiles p ON p.user_id = u.id WHERE u.id = ?1 AND u.deleted_at IS NULL`
	sqlWriteProfile = `INSERT INTO profiles (user_id, full_name, birth_date, image_url, language, preferences, notification_settings,
			privacy_settings, flags, extensions, last_auth_method, last_auth_method_at, updated_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
		ON CONFLICT (user_id) DO UPDATE SET full_name = excluded.full_name, birth_date = excluded.birth_date,
			image_url = excluded.image_url, language = excluded.language, preferences = excluded.preferences,
			notification_settings = excluded.notification_settings, privacy_settings = excluded.privacy_settings,
			flags = excluded.flags, extensions = excluded.extensions, last_auth_method = excluded.last_auth_method,
			last_auth_method_at = excluded.last_auth_method_at, updated_at = excluded.updated_at`
	sqlSetActive = `UPDATE users SET is_active = ?2 WHERE id = ?1`

	sqlSessionsOf = `SELECT ` + sessionColumns + ` FROM sessions s JOIN users u ON u.id = s.user_id AND u.deleted_at IS NULL
		WHERE s.user_id = ? ORDER BY s.created_at DESC, s.id DESC`
	sqlNameSession = `UPDATE sessions SET name = ?3 WHERE id = ?2 AND user_id = ?1
		AND EXISTS (SELECT 1 FROM users u WHERE u.id = ?1 AND u.deleted_at IS NULL)`
)

// profileDest gives where the profileColumns go.
func profileDest(p *auth.Profile) []any {
	return []any{
		(*truth)(&p.Active), (*uuid)(&p.UserID), (*nullText)(&p.FullName), (*nullText)(&p.BirthDate), (*nullText)(&p.ImageURL),
		(*nullText)(&p.Language), (*raw)(&p.Preferences), (*raw)(&p.Notifications), (*raw)(&p.Privacy),
		(*raw)(&p.Flags), (*extensions)(p), (*nullText)(&p.LastMethod), (*micros)(&p.LastMethodAt), (*micros)(&p.UpdatedAt),
	}
}

// extensions reads the extensions of a profile.
type extensions auth.Profile

// Scan implements sql.Scanner.
func (e *extensions) Scan(src any) error {
	e.Extensions = nil
	if err := scanRows(src, &e.Extensions); err != nil {
		return fmt.Errorf("extensions: %w", err)
	}
	return nil
}

// PersonByID implements store.People.
func (s *Store) PersonByID(ctx context.Context, id auth.ID) (auth.Person, error) {
	var p auth.Person
	err := s.read("person by id", func(r runner) error { return readPerson(ctx, r, id, &p) })
	if err != nil {
		return auth.Person{}, err
	}
	return p, nil
}

func readPerson(ctx context.Context, r runner, id auth.ID, p *auth.Person) error {
	return one(ctx, r, sqlPersonByID, []any{id.String()}, append(userDest(&p.User), profileDest(&p.Profile)...)...)
}

// UpdateProfile implements store.People.
func (s *Store) UpdateProfile(ctx context.Context, user auth.ID, p auth.ProfilePatch) (auth.Person, error) {
	var after auth.Person
	err := s.write(ctx, "update profile", func(r runner) error {
		var before auth.Person
		if err := readPerson(ctx, r, user, &before); err != nil {
			return err
		}
		if err := writeProfile(ctx, r, user, &before.Profile, &p); err != nil {
			return err
		}
		if err := insertAudit(ctx, r, p.Audit...); err != nil {
			return err
		}
		return readPerson(ctx, r, user, &after)
	})
	if err != nil {
		return auth.Person{}, err
	}
	return after, nil
}

// writeProfile applies p to the profile that has been read in the same write; old is
// changed with it.
func writeProfile(ctx context.Context, r runner, user auth.ID, old *auth.Profile, p *auth.ProfilePatch) error {
	set(&old.FullName, p.FullName)
	set(&old.BirthDate, p.BirthDate)
	set(&old.ImageURL, p.ImageURL)
	set(&old.Language, p.Language)
	if p.LastMethod != nil {
		old.LastMethod, old.LastMethodAt = *p.LastMethod, time.Time{}
		if old.LastMethod != "" {
			old.LastMethodAt = p.At
		}
	}
	for _, d := range []struct {
		doc   *json.RawMessage
		patch auth.MetadataPatch
	}{{&old.Preferences, p.Preferences}, {&old.Notifications, p.Notifications}, {&old.Privacy, p.Privacy}, {&old.Flags, p.Flags}} {
		changed, err := patchObject(*d.doc, d.patch)
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		*d.doc = changed
	}
	more := auth.MetadataPatch{Set: make(map[string]json.RawMessage, len(p.Extensions))}
	for name, patch := range p.Extensions {
		changed, err := patchObject(old.Extensions[name], patch)
		if err != nil {
			return fmt.Errorf("extension %q: %w", name, err)
		}
		more.Set[name] = json.RawMessage(doc(changed))
	}
	var kept json.RawMessage
	if len(old.Extensions) > 0 {
		var err error
		if kept, err = json.Marshal(old.Extensions); err != nil {
			return err
		}
	}
	all, err := patchObject(kept, more)
	if err != nil {
		return err
	}
	if _, err := exec(ctx, r, sqlWriteProfile, user.String(), old.FullName, str(old.BirthDate), old.ImageURL, old.Language,
		doc(old.Preferences), doc(old.Notifications), doc(old.Privacy), doc(old.Flags), doc(all), str(old.LastMethod),
		at(old.LastMethodAt), at(p.At)); err != nil {
		return err
	}
	if p.Active != nil {
		if _, err = exec(ctx, r, sqlSetActive, user.String(), flag(*p.Active)); err != nil {
			return err
		}
	}
	if p.EndSessions {
		_, err = revoke(ctx, r, user, auth.RevokeAll, auth.ID{})
	}
	return err
}

// insertPerson inserts what belongs to a new account besides what signs it in.
func insertPerson(ctx context.Context, r runner, a *auth.NewAccount) error {
	for i := range a.Memberships {
		m := a.Memberships[i]
		m.UserID = a.User.ID
		if err := tenantExists(ctx, r, m.TenantID); err != nil {
			return err
		}
		if err := writeMembership(ctx, r, &m); err != nil {
			return err
		}
	}
	if a.Profile == nil {
		return nil
	}
	if err := writeProfile(ctx, r, a.User.ID, &auth.Profile{}, a.Profile); err != nil {
		return err
	}
	return insertAudit(ctx, r, a.Profile.Audit...)
}

// SessionsOf implements store.People.
func (s *Store) SessionsOf(ctx context.Context, user auth.ID) ([]auth.Session, error) {
	var sessions []auth.Session
	err := s.read("sessions of a user", func(r runner) error {
		return each(ctx, r, sqlSessionsOf, []any{user.String()}, func(scan func(...any) error) error {
			var se auth.Session
			err := scan(sessionDest(&se)...)
			sessions = append(sessions, se)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return sessions, nil
}

// NameSession implements store.People.
func (s *Store) NameSession(ctx context.Context, user, session auth.ID, name string) error {
	return s.write(ctx, "name session", func(r runner) error {
		if n, err := exec(ctx, r, sqlNameSession, user.String(), session.String(), str(name)); err != nil || n == 0 {
			return orNotFound(err)
		}
		return nil
	})
}

// EndSession implements store.People.
func (s *Store) EndSession(ctx context.Context, user, session auth.ID, audit auth.AuditEntry) error {
	_, err := s.EndSessions(ctx, auth.EndSessions{UserID: user, SessionID: session, Which: auth.RevokeOne, Audit: audit})
	return err
}

// unsearchable reports whether a text is longer than anything stored, or holds what no
// stored text can: it matches nobody.
func unsearchable(text string) bool {
	return len(text) > maxFilterBytes || strings.ContainsRune(text, 0) || !utf8.ValidString(text)
}
