package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/cardea-auth/cardea/internal/auth"
)

// userColumns are what scanUser reads, of the table users under the name u. Identities
// and factors come as one JSON document each, so that an account is one statement.
const userColumns = `u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password,
	u.email_confirmed_at, u.phone_confirmed_at, u.invited_at, u.confirmation_sent_at, u.recovery_sent_at,
	u.email_change, u.email_change_sent_at, u.phone_change, u.phone_change_sent_at, u.reauthentication_sent_at,
	u.last_sign_in_at, u.raw_app_meta_data, u.raw_user_meta_data, u.is_sso_user, u.is_anonymous,
	u.banned_until, u.deleted_at, u.created_at, u.updated_at,
	(SELECT json_group_array(json_object('id', i.id, 'provider', i.provider, 'provider_id', i.provider_id,
			'data', json(i.identity_data), 'email', i.email, 'last_sign_in_at', i.last_sign_in_at,
			'created_at', i.created_at, 'updated_at', i.updated_at) ORDER BY i.created_at, i.id)
		FROM identities i WHERE i.user_id = u.id),
	(SELECT json_group_array(json_object('id', f.id, 'friendly_name', f.friendly_name, 'type', f.factor_type,
			'status', f.status, 'phone', f.phone, 'last_challenged_at', f.last_challenged_at,
			'created_at', f.created_at, 'updated_at', f.updated_at) ORDER BY f.created_at, f.id)
		FROM mfa_factors f WHERE f.user_id = u.id)`

const (
	// "is_sso_user = 0" has to be written exactly so: it makes the partial index usable.
	// What is nobody's primary address may be one that somebody has proved besides.
	sqlUserByEmail = `SELECT ` + userColumns + ` FROM users u WHERE u.id = coalesce(
			(SELECT o.id FROM users o WHERE o.email = ?1 AND o.is_sso_user = 0),
			(SELECT i.user_id FROM user_identifiers i WHERE i.kind = 'email' AND i.value = ?1 AND i.verified_at IS NOT NULL))
		AND u.is_sso_user = 0 AND u.aud = ?2 AND u.deleted_at IS NULL`
	sqlUserByPhone = `SELECT ` + userColumns + ` FROM users u WHERE u.id = coalesce(
			(SELECT o.id FROM users o WHERE o.phone = ?1),
			(SELECT i.user_id FROM user_identifiers i WHERE i.kind = 'phone' AND i.value = ?1 AND i.verified_at IS NOT NULL))
		AND u.is_sso_user = 0 AND u.aud = ?2 AND u.deleted_at IS NULL`
	sqlUserByID = `SELECT ` + userColumns + ` FROM users u
		WHERE u.id = ?1 AND u.deleted_at IS NULL`
	sqlUserWithSession = `SELECT ` + userColumns + `, s.id IS NOT NULL, u.is_active = 0, s.tenant_id, ` + tenantRole + `
		FROM users u LEFT JOIN sessions s ON s.id = ?3 AND s.user_id = u.id WHERE u.id = ?1 AND u.deleted_at IS NULL`
)

// userDest gives where the userColumns go.
func userDest(u *auth.User) []any {
	return []any{
		(*uuid)(&u.ID), (*nullText)(&u.Aud), (*nullText)(&u.Role), (*nullText)(&u.Email), (*nullText)(&u.Phone),
		(*nullText)(&u.PasswordHash),
		(*micros)(&u.EmailConfirmedAt), (*micros)(&u.PhoneConfirmedAt), (*micros)(&u.InvitedAt),
		(*micros)(&u.ConfirmationSentAt), (*micros)(&u.RecoverySentAt),
		(*nullText)(&u.EmailChange), (*micros)(&u.EmailChangeSentAt),
		(*nullText)(&u.PhoneChange), (*micros)(&u.PhoneChangeSentAt), (*micros)(&u.ReauthenticationSentAt),
		(*micros)(&u.LastSignInAt), (*object)(&u.AppMetadata), (*object)(&u.UserMetadata), (*truth)(&u.IsSSO), (*truth)(&u.IsAnonymous),
		(*micros)(&u.BannedUntil), (*micros)(&u.DeletedAt), (*micros)(&u.CreatedAt), (*micros)(&u.UpdatedAt),
		(*identities)(u), (*factors)(u),
	}
}

// identities reads the identities of the user whose id has been read before.
type identities auth.User

// Scan implements sql.Scanner.
func (d *identities) Scan(src any) error {
	var rows []struct {
		ID           auth.ID         `json:"id"`
		Provider     string          `json:"provider"`
		ProviderID   string          `json:"provider_id"`
		Data         json.RawMessage `json:"data"`
		Email        string          `json:"email"`
		LastSignInAt micros          `json:"last_sign_in_at"`
		CreatedAt    micros          `json:"created_at"`
		UpdatedAt    micros          `json:"updated_at"`
	}
	if err := scanRows(src, &rows); err != nil {
		return fmt.Errorf("identities: %w", err)
	}
	d.Identities = nil
	for _, r := range rows {
		d.Identities = append(d.Identities, auth.Identity{
			ID: r.ID, UserID: d.ID, Provider: r.Provider, ProviderID: r.ProviderID, Data: r.Data, Email: r.Email,
			LastSignInAt: time.Time(r.LastSignInAt), CreatedAt: time.Time(r.CreatedAt), UpdatedAt: time.Time(r.UpdatedAt),
		})
	}
	return nil
}

// factors reads the factors of the user whose id has been read before.
type factors auth.User

// Scan implements sql.Scanner.
func (d *factors) Scan(src any) error {
	var rows []struct {
		ID               auth.ID `json:"id"`
		FriendlyName     string  `json:"friendly_name"`
		Type             string  `json:"type"`
		Status           string  `json:"status"`
		Phone            string  `json:"phone"`
		LastChallengedAt micros  `json:"last_challenged_at"`
		CreatedAt        micros  `json:"created_at"`
		UpdatedAt        micros  `json:"updated_at"`
	}
	if err := scanRows(src, &rows); err != nil {
		return fmt.Errorf("factors: %w", err)
	}
	d.Factors = nil
	for _, r := range rows {
		d.Factors = append(d.Factors, auth.Factor{
			ID: r.ID, UserID: d.ID, FriendlyName: r.FriendlyName, Type: r.Type, Status: r.Status, Phone: r.Phone,
			LastChallengedAt: time.Time(r.LastChallengedAt), CreatedAt: time.Time(r.CreatedAt), UpdatedAt: time.Time(r.UpdatedAt),
		})
	}
	return nil
}

// scanRows reads a column made by json_group_array. Most accounts have no factors: the
// empty list isn't parsed.
func scanRows(src, rows any) error {
	switch v := src.(type) {
	case nil:
		return nil
	case string:
		if v == "[]" {
			return nil
		}
		return json.Unmarshal([]byte(v), rows)
	default:
		return fmt.Errorf("a list came as %T", src)
	}
}

// UserByEmail implements store.Users.
func (s *Store) UserByEmail(ctx context.Context, email, aud string) (auth.User, error) {
	u, err := s.findUser(ctx, "user by e-mail", sqlUserByEmail, email, aud)
	if err == nil && u.Email != email {
		u.FoundBy = email
	}
	return u, err
}

// UserByPhone implements store.Users.
func (s *Store) UserByPhone(ctx context.Context, phone, aud string) (auth.User, error) {
	u, err := s.findUser(ctx, "user by phone", sqlUserByPhone, phone, aud)
	if err == nil && u.Phone != phone {
		u.FoundBy = phone
	}
	return u, err
}

// UserByID implements store.Users.
func (s *Store) UserByID(ctx context.Context, id auth.ID) (auth.User, error) {
	return s.findUser(ctx, "user by id", sqlUserByID, id.String())
}

func (s *Store) findUser(ctx context.Context, op, query string, args ...any) (auth.User, error) {
	var u auth.User
	err := s.read(op, func(r runner) error { return one(ctx, r, query, args, userDest(&u)...) })
	if err != nil {
		return auth.User{}, err
	}
	return u, nil
}

// UserWithSession implements store.Users.
func (s *Store) UserWithSession(ctx context.Context, id, session auth.ID, now time.Time) (auth.UserSession, error) {
	var us auth.UserSession
	err := s.read("user with session", func(r runner) error {
		return one(ctx, r, sqlUserWithSession, []any{id.String(), at(now), session.String()}, append(userDest(&us.User), &us.Session,
			&us.Inactive, (*uuid)(&us.TenantID), &tenantRoleOf{&us.TenantID, &us.TenantRole})...)
	})
	if err != nil {
		return auth.UserSession{}, err
	}
	return us, nil
}

// maxFilterBytes bounds the work of one search; no address and no name is as long.
const maxFilterBytes = 1000

// ListUsers implements store.Users. Upper and lower case of the filter are the same for
// every letter that has both (Unicode simple case folding).
func (s *Store) ListUsers(ctx context.Context, q auth.UserQuery) (auth.UserPage, error) {
	var page auth.UserPage
	query, err := listQuery(q)
	if err != nil {
		return page, fmt.Errorf("sqlite: list users: %w", err)
	}
	if unsearchable(q.Filter) {
		return page, nil
	}
	args := []any{q.Aud, int64(q.PerPage), offset(q)}
	if q.Filter != "" {
		args = append(args, foldedGlob(q.Filter))
	}
	err = s.read("list users", func(r runner) error {
		return each(ctx, r, query, args, func(scan func(...any) error) error {
			var u auth.User
			if err := scan(append(userDest(&u), &page.Total)...); err != nil {
				return err
			}
			if !u.ID.IsZero() { // the row that carries the total of an empty page
				page.Users = append(page.Users, u)
			}
			return nil
		})
	})
	if err != nil {
		return auth.UserPage{}, err
	}
	return page, nil
}

// listQuery builds one of the 16 statements: four orders, two directions, with and
// without filter. The total and the page are of the same moment; a page beyond the end
// is one row without a user. Ids come first and rows last, so that the columns of
// skipped accounts are never read.
func listQuery(q auth.UserQuery) (string, error) {
	var order string
	switch q.SortBy {
	case "created_at", "updated_at", "last_sign_in_at", "email":
		order = q.SortBy
	default:
		return "", fmt.Errorf("no order by %q", q.SortBy)
	}
	direction := " ASC"
	if q.Desc {
		direction = " DESC"
	}
	// Without a value, last ascending and first descending, as PostgreSQL does it. Times of
	// creation always have a value, and without the word their index can be used.
	nulls := ""
	if order == "last_sign_in_at" || order == "email" {
		nulls = " NULLS LAST"
		if q.Desc {
			nulls = " NULLS FIRST"
		}
	}
	where := "m.aud = ?1 AND m.deleted_at IS NULL"
	if q.Filter != "" {
		where += " AND (m.email GLOB ?4 OR m.phone GLOB ?4 OR m.raw_user_meta_data ->> '$.full_name' GLOB ?4)"
	}
	by := func(table string) string {
		return table + "." + order + direction + nulls + ", " + table + ".id" + direction
	}
	return `SELECT ` + userColumns + `, t.total
		FROM (SELECT count(*) AS total FROM users m WHERE ` + where + `) t
		LEFT JOIN (SELECT m.id FROM users m WHERE ` + where + ` ORDER BY ` + by("m") + ` LIMIT ?2 OFFSET ?3) p
		LEFT JOIN users u ON u.id = p.id
		ORDER BY ` + by("u"), nil
}

// offset gives the number of accounts before the page; a page number out of all range
// is the largest one.
func offset(q auth.UserQuery) int64 {
	before := int64(max(q.Page, 1) - 1)
	per := int64(max(q.PerPage, 1))
	if before > math.MaxInt64/per {
		return math.MaxInt64
	}
	return before * per
}

// foldedGlob gives the GLOB pattern for "contains filter, in any case". LIKE can't do
// it: it folds ASCII only. Each letter becomes the set of its forms, and whatever means
// something in a pattern becomes a set of one, so that nothing in filter is a wildcard.
func foldedGlob(filter string) string {
	var b strings.Builder
	b.WriteByte('*')
	for _, r := range filter {
		forms := []rune{r}
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			forms = append(forms, f)
		}
		if len(forms) == 1 && !strings.ContainsRune("*?[", r) {
			b.WriteRune(r)
			continue
		}
		b.WriteByte('[')
		b.WriteString(string(forms))
		b.WriteByte(']')
	}
	b.WriteByte('*')
	return b.String()
}
