package moving

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Copier is what Write needs of a database; see store.Moving.
type Copier interface {
	CopyAccounts(ctx context.Context, after auth.ID, limit int) ([]auth.AccountCopy, error)
}

// WriteConfig says what is given away.
type WriteConfig struct {
	Form   string // FormNDJSON, which has everything, or FormCSV, which has one membership
	Hashes bool   // with password hashes, which are nearly as good as passwords
	Page   int    // accounts that are held at a time; 0: 500
	Told   func(n int64)
}

// Write writes every account, in the order of their ids, and gives their number. What is made
// or changed while it writes may or may not be among it. Second factors, sessions and links
// stay behind: they are worth nothing elsewhere.
func Write(ctx context.Context, from Copier, w io.Writer, c WriteConfig) (int64, error) {
	if c.Page <= 0 {
		c.Page = 500
	}
	put, done, err := writer(w, c)
	if err != nil {
		return 0, err
	}
	var (
		n     int64
		after auth.ID
	)
	for {
		page, err := from.CopyAccounts(ctx, after, c.Page)
		if err != nil {
			return n, fmt.Errorf("moving: read accounts: %w", err)
		}
		for i := range page {
			if err := put(&page[i]); err != nil {
				return n, fmt.Errorf("moving: write: %w", err)
			}
			n++
		}
		if c.Told != nil {
			c.Told(n)
		}
		if len(page) < c.Page {
			return n, done()
		}
		after = page[len(page)-1].User.ID
	}
}

// writer gives what writes one account, and what ends the file.
func writer(w io.Writer, c WriteConfig) (put func(*auth.AccountCopy) error, done func() error, err error) {
	switch c.Form {
	case FormCSV:
		out := csv.NewWriter(w)
		if err := out.Write(csvColumns()); err != nil {
			return nil, nil, fmt.Errorf("moving: write: %w", err)
		}
		put = func(a *auth.AccountCopy) error {
			line, err := csvLine(a, c.Hashes)
			if err != nil {
				return err
			}
			return out.Write(line)
		}
		return put, func() error { out.Flush(); return out.Error() }, nil
	case FormNDJSON, "":
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		put = func(a *auth.AccountCopy) error {
			n, err := nativeOf(a, c.Hashes)
			if err != nil {
				return err
			}
			return out.Encode(n)
		}
		return put, func() error { return nil }, nil
	}
	return nil, nil, fmt.Errorf("moving: there is no form %q: use %s or %s", c.Form, FormNDJSON, FormCSV)
}

func object(raw json.RawMessage) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if len(raw) == 0 {
		return nil, nil
	}
	err := json.Unmarshal(raw, &m)
	return m, err
}

func nativeOf(a *auth.AccountCopy, hashes bool) (*native, error) {
	u, p := &a.User, &a.Profile
	n := &native{
		ID: u.ID.String(), Aud: u.Aud, Role: u.Role, Email: u.Email, EmailProved: u.EmailConfirmedAt, Phone: plus(u.Phone),
		PhoneProved: u.PhoneConfirmedAt, InvitedAt: u.InvitedAt, LastSignInAt: u.LastSignInAt, BannedUntil: u.BannedUntil,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, IsSSO: u.IsSSO, IsAnonymous: u.IsAnonymous,
	}
	if hashes {
		n.PasswordHash = u.PasswordHash
	}
	if !p.Active {
		n.Active = new(bool)
	}
	var err error
	if n.AppMetadata, err = object(u.AppMetadata); err != nil {
		return nil, fmt.Errorf("account %s: app metadata: %w", u.ID, err)
	}
	if n.UserMetadata, err = object(u.UserMetadata); err != nil {
		return nil, fmt.Errorf("account %s: user metadata: %w", u.ID, err)
	}
	for i := range u.Identities {
		d := &u.Identities[i]
		n.Identities = append(n.Identities, nativeIdentity{d.Provider, d.ProviderID, d.Data, d.CreatedAt, d.UpdatedAt, d.LastSignInAt})
	}
	if !p.UserID.IsZero() {
		n.Profile = &nativeProfile{
			p.FullName, p.BirthDate, p.ImageURL, p.Language, p.Preferences, p.Notifications, p.Privacy, p.Flags, p.Extensions,
			p.LastMethod, p.LastMethodAt,
		}
	}
	for i := range a.Memberships {
		m := &a.Memberships[i]
		n.Memberships = append(n.Memberships, nativeMembership{m.Tenant.Slug, m.Role, m.State, m.EndsAt})
	}
	return n, nil
}

// csvLine gives the columns of csvColumns. Of several memberships it has the first active one.
func csvLine(a *auth.AccountCopy, hashes bool) ([]string, error) {
	u, p := &a.User, &a.Profile
	app, err := object(u.AppMetadata)
	if err != nil {
		return nil, fmt.Errorf("account %s: app metadata: %w", u.ID, err)
	}
	roles := takeRoles(app)
	rest, err := json.Marshal(app)
	if err != nil {
		return nil, fmt.Errorf("account %s: app metadata: %w", u.ID, err)
	}
	hash, tenant, role := "", "", ""
	if hashes {
		hash = u.PasswordHash
	}
	for i := range a.Memberships {
		if m := &a.Memberships[i]; m.State == auth.MemberActive && tenant == "" {
			tenant, role = m.Tenant.Slug, m.Role
		}
	}
	return []string{
		u.ID.String(), u.ID.String(), u.Email, moment(u.EmailConfirmedAt), plus(u.Phone), moment(u.PhoneConfirmedAt), hash, p.FullName,
		p.BirthDate, p.Language, p.ImageURL, strings.Join(roles, " "), tenant, role, strconv.FormatBool(p.Active), moment(u.BannedUntil),
		moment(u.CreatedAt), moment(u.LastSignInAt), string(u.UserMetadata), string(rest),
	}, nil
}

// plus writes a number that has its country code so that nobody takes it for one of a region.
func plus(phone string) string {
	if phone == "" || phone[0] == '+' {
		return phone
	}
	return "+" + phone
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
