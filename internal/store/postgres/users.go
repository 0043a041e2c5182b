package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

const selectUser = "SELECT " + userColumns + "," + userChildren

const (
	// The conditions repeat those of users_email_partial_key, which serves the look-up. What is
	// nobody's primary address may be one that somebody has proved besides.
	userByEmail = selectUser + `
	FROM auth.users u WHERE u.id = coalesce(
		(SELECT o.id FROM auth.users o WHERE o.email = $1 AND o.is_sso_user = false),
		(SELECT i.user_id FROM auth.user_identifiers i WHERE i.kind = 'email' AND i.value = $1 AND i.verified_at IS NOT NULL))
	AND u.is_sso_user = false AND u.aud = $2 AND u.deleted_at IS NULL`

	userByPhone = selectUser + `
	FROM auth.users u WHERE u.id = coalesce(
		(SELECT o.id FROM auth.users o WHERE o.phone = $1),
		(SELECT i.user_id FROM auth.user_identifiers i WHERE i.kind = 'phone' AND i.value = $1 AND i.verified_at IS NOT NULL))
	AND u.is_sso_user = false AND u.aud = $2 AND u.deleted_at IS NULL`

	userByID = selectUser + `
	FROM auth.users u WHERE u.id = $1 AND u.deleted_at IS NULL`

	userWithSession = selectUser + `,
	s.id IS NOT NULL, NOT u.is_active, s.tenant_id, ` + tenantRole + `
	FROM auth.users u LEFT JOIN auth.sessions s ON s.id = $2 AND s.user_id = u.id
	WHERE u.id = $1 AND u.deleted_at IS NULL`

	// tenantRole is the role of the account u in the tenant of its session s at the moment
	// $3; NULL when the membership opens nothing.
	tenantRole = `(SELECT ms.role FROM auth.memberships ms JOIN auth.tenants t ON t.id = ms.tenant_id AND t.is_active
		WHERE ms.tenant_id = s.tenant_id AND ms.user_id = u.id AND ms.state = 'active' AND (ms.ends_at IS NULL OR ms.ends_at > $3))`
)

// UserByEmail implements store.Users.
func (s *Store) UserByEmail(ctx context.Context, email, aud string) (auth.User, error) {
	u, err := s.oneUser(ctx, "user by e-mail", userByEmail, email, aud)
	if err == nil && u.Email != email {
		u.FoundBy = email
	}
	return u, err
}

// UserByPhone implements store.Users.
func (s *Store) UserByPhone(ctx context.Context, phone, aud string) (auth.User, error) {
	u, err := s.oneUser(ctx, "user by phone", userByPhone, phone, aud)
	if err == nil && u.Phone != phone {
		u.FoundBy = phone
	}
	return u, err
}

// UserByID implements store.Users.
func (s *Store) UserByID(ctx context.Context, id auth.ID) (auth.User, error) {
	return s.oneUser(ctx, "user by id", userByID, uuid(id))
}

// UserWithSession implements store.Users.
func (s *Store) UserWithSession(ctx context.Context, id, session auth.ID, at time.Time) (auth.UserSession, error) {
	var r auth.UserSession
	row := s.pool.QueryRow(ctx, userWithSession, uuid(id), uuid(session), timestamp(at))
	err := scanUser(row, &r.User, &r.Session, &r.Inactive, (*reference)(&r.TenantID), &tenantRoleOf{&r.TenantID, &r.TenantRole})
	if err != nil {
		return auth.UserSession{}, storeError("user with session", err)
	}
	return r, nil
}

func (s *Store) oneUser(ctx context.Context, what, sql string, args ...any) (auth.User, error) {
	var u auth.User
	if err := scanUser(s.pool.QueryRow(ctx, sql, args...), &u); err != nil {
		return auth.User{}, storeError(what, err)
	}
	return u, nil
}

// userOrder gives the sort keys. Accounts without a value come last in ascending order
// and first in descending order, which is what an index gives. Addresses are ordered by
// their bytes, whatever the collation of the database. The id makes the order total, so
// that no account is on two pages or on none.
func userOrder(q auth.UserQuery) (string, error) {
	columns := map[string]string{
		"created_at": "u.created_at", "updated_at": "u.updated_at",
		"last_sign_in_at": "u.last_sign_in_at", "email": `u.email COLLATE "C"`,
	}
	by := q.SortBy
	if by == "" {
		by = "created_at"
	}
	column, ok := columns[by]
	if !ok { // never put into the statement: it may come from a request
		return "", fmt.Errorf("postgres: list users: unknown order %q", q.SortBy)
	}
	if q.Desc {
		return column + " DESC, u.id DESC", nil
	}
	return column + ", u.id", nil
}

// ListUsers implements store.Users. Page and total are read by one round trip, but not
// from one snapshot: a sign-up between them may be counted and not shown.
func (s *Store) ListUsers(ctx context.Context, q auth.UserQuery) (auth.UserPage, error) {
	order, err := userOrder(q)
	if err != nil {
		return auth.UserPage{}, err
	}
	where := "u.aud = $1 AND u.deleted_at IS NULL"
	args := []any{q.Aud}
	if q.Filter != "" {
		args = append(args, "%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q.Filter)+"%")
		where += ` AND (u.email ILIKE $2 OR u.phone ILIKE $2 OR
			(jsonb_typeof(u.raw_user_meta_data -> 'full_name') = 'string' AND u.raw_user_meta_data ->> 'full_name' ILIKE $2))`
	}
	perPage := int64(min(max(q.PerPage, 1), 1000))
	offset := int64(min(max(q.Page, 1)-1, 1<<50)) * perPage

	var page auth.UserPage
	var b pgx.Batch
	b.Queue("SELECT count(*) FROM auth.users u WHERE "+where, args...).QueryRow(func(row pgx.Row) error {
		return row.Scan(&page.Total)
	})
	// The identities and factors are read for the rows of the page only, after the sort.
	limit := fmt.Sprintf(" ORDER BY %s LIMIT $%d OFFSET $%d", order, len(args)+1, len(args)+2)
	b.Queue(selectUser+" FROM (SELECT * FROM auth.users u WHERE "+where+limit+") u ORDER BY "+order,
		append(args, perPage, offset)...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var u auth.User
			if err := scanUser(rows, &u); err != nil {
				return err
			}
			page.Users = append(page.Users, u)
		}
		return rows.Err()
	})
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return auth.UserPage{}, storeError("list users", err)
	}
	return page, nil
}
