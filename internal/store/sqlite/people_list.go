package sqlite

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

// maxPage bounds every list.
const maxPage = 1000

// usualAud is the audience that has no index.
const usualAud = "authenticated"

// peopleColumns are the userColumns without identities and factors, and the profile.
const peopleColumns = `u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password,
	u.email_confirmed_at, u.phone_confirmed_at, u.invited_at, u.confirmation_sent_at, u.recovery_sent_at,
	u.email_change, u.email_change_sent_at, u.phone_change, u.phone_change_sent_at, u.reauthentication_sent_at,
	u.last_sign_in_at, u.raw_app_meta_data, u.raw_user_meta_data, u.is_sso_user, u.is_anonymous,
	u.banned_until, u.deleted_at, u.created_at, u.updated_at, ` + profileColumns

// The parameters of every list of people, NULL for what is not asked: ?1 last id of the
// page before, ?2 the moment, ?3 number of rows, ?4 audience, ?5 text, ?6 agent, ?7 tenant, ?8 role,
// ?9 active, ?10 phone verified, ?11 unassigned.
//
// peopleRest applies all filters to an account u. Those that have chosen the index are
// applied once more, which costs next to nothing. has_agent knows nothing of agents with an
// end, or who begin later.
const peopleRest = `u.deleted_at IS NULL
	AND (?4 IS NULL OR u.aud = ?4)
	AND (?9 IS NULL OR u.is_active = ?9)
	AND (?10 IS NULL OR (u.phone_confirmed_at IS NOT NULL) = ?10)
	AND (?11 IS NULL OR u.has_agent = 0 AND NOT EXISTS (SELECT 1 FROM relations r
		WHERE r.object_id = u.id AND r.kind = 'agent' AND r.starts_at <= ?2 AND (r.ends_at IS NULL OR r.ends_at > ?2)))
	AND (?7 IS NULL OR EXISTS (SELECT 1 FROM memberships ms WHERE ms.tenant_id = ?7 AND ms.user_id = u.id
		AND ms.state = 'active' AND (ms.ends_at IS NULL OR ms.ends_at > ?2) AND (?8 IS NULL OR ms.role = ?8)))
	AND (?8 IS NULL OR ?7 IS NOT NULL OR EXISTS (SELECT 1 FROM user_roles ur WHERE ur.role = ?8 AND ur.user_id = u.id))
	AND (?6 IS NULL OR EXISTS (SELECT 1 FROM relations r WHERE r.kind = 'agent' AND r.subject_id = ?6 AND r.object_id = u.id
		AND r.starts_at <= ?2 AND (r.ends_at IS NULL OR r.ends_at > ?2)))
	AND (?5 IS NULL OR u.email GLOB ?5 OR u.phone GLOB ?5 OR json_type(u.raw_user_meta_data, '$.full_name') = 'text' AND u.raw_user_meta_data ->> '$.full_name' GLOB ?5
		OR EXISTS (SELECT 1 FROM profiles n WHERE n.user_id = u.id AND n.full_name GLOB ?5))`

// One statement for each index that a page can be read from, in the order of its ids.
// INDEXED BY makes the statement fail when the index does not fit; CROSS JOIN keeps the
// order of the tables.
const (
	peopleOfUsers = `SELECT ` + peopleColumns + ` FROM users u INDEXED BY `
	peopleWhere   = ` LEFT JOIN profiles p ON p.user_id = u.id WHERE ` + peopleRest + ` AND u.id > ?1`
	peopleOrder   = ` ORDER BY u.id LIMIT ?3`

	sqlPeople           = peopleOfUsers + `sqlite_autoindex_users_1` + peopleWhere + peopleOrder
	sqlPeopleOfAud      = peopleOfUsers + `users_aud_id_idx` + peopleWhere + ` AND u.aud = ?4 AND u.aud <> '` + usualAud + `'` + peopleOrder
	sqlPeopleActive     = peopleOfUsers + `users_active_idx` + peopleWhere + ` AND u.is_active = 1` + peopleOrder
	sqlPeopleInactive   = peopleOfUsers + `users_inactive_idx` + peopleWhere + ` AND u.is_active = 0` + peopleOrder
	sqlPeopleVerified   = peopleOfUsers + `users_phone_verified_idx` + peopleWhere + ` AND u.phone_confirmed_at IS NOT NULL` + peopleOrder
	sqlPeopleUnverified = peopleOfUsers + `users_phone_unverified_idx` + peopleWhere + ` AND u.phone_confirmed_at IS NULL` + peopleOrder
	sqlPeopleUnassigned = peopleOfUsers + `users_unassigned_idx` + peopleWhere + ` AND u.has_agent = 0` + peopleOrder

	peopleJoin      = ` CROSS JOIN users u LEFT JOIN profiles p ON p.user_id = u.id WHERE ` + peopleRest
	sqlPeopleOfRole = `SELECT ` + peopleColumns + ` FROM user_roles k` + peopleJoin +
		` AND k.role = ?8 AND k.user_id > ?1 AND u.id = k.user_id ORDER BY k.user_id LIMIT ?3`
	sqlPeopleOfTenant = `SELECT ` + peopleColumns + ` FROM memberships k` + peopleJoin +
		` AND k.tenant_id = ?7 AND k.user_id > ?1 AND u.id = k.user_id ORDER BY k.user_id LIMIT ?3`
	sqlPeopleOfTenantRole = `SELECT ` + peopleColumns + ` FROM memberships k INDEXED BY memberships_role_idx` + peopleJoin +
		` AND k.tenant_id = ?7 AND k.role = ?8 AND k.user_id > ?1 AND u.id = k.user_id ORDER BY k.user_id LIMIT ?3`
	sqlPeopleOfAgent = `SELECT ` + peopleColumns + ` FROM relations k INDEXED BY relations_customers_idx` + peopleJoin +
		` AND k.kind = 'agent' AND k.subject_id = ?6 AND k.object_id > ?1 AND u.id = k.object_id
		AND k.starts_at <= ?2 AND (k.ends_at IS NULL OR k.ends_at > ?2) ORDER BY k.object_id LIMIT ?3`
)

// peopleQuery chooses the statement: by the filter with the fewest hits, as far as anybody
// can tell beforehand.
func peopleQuery(q *auth.PersonQuery) string {
	switch {
	case !q.Agent.IsZero():
		return sqlPeopleOfAgent
	case !q.Tenant.IsZero() && q.Role != "":
		return sqlPeopleOfTenantRole
	case !q.Tenant.IsZero():
		return sqlPeopleOfTenant
	case q.Active != nil && !*q.Active:
		return sqlPeopleInactive
	case q.Role != "":
		return sqlPeopleOfRole
	case q.Unassigned:
		return sqlPeopleUnassigned
	case q.PhoneVerified != nil && *q.PhoneVerified:
		return sqlPeopleVerified
	case q.PhoneVerified != nil:
		return sqlPeopleUnverified
	case q.Aud != "" && q.Aud != usualAud:
		return sqlPeopleOfAud
	case q.Active != nil:
		return sqlPeopleActive
	}
	return sqlPeople
}

// ListPeople implements store.People. Upper and lower case of the text are the same, as in
// [Store.ListUsers].
func (s *Store) ListPeople(ctx context.Context, q auth.PersonQuery) ([]auth.Person, error) {
	if unsearchable(q.Text) {
		return nil, nil
	}
	args := []any{
		q.After.String(), at(q.At), int64(min(max(q.Limit, 1), maxPage)), str(q.Aud), nil, idOrNull(q.Agent), idOrNull(q.Tenant),
		str(q.Role), orNull(q.Active), orNull(q.PhoneVerified), nil,
	}
	if q.Text != "" {
		args[4] = foldedGlob(q.Text)
	}
	if q.Unassigned {
		args[10] = int64(1)
	}
	var people []auth.Person
	err := s.read("list people", func(r runner) error {
		return each(ctx, r, peopleQuery(&q), args, func(scan func(...any) error) error {
			var p auth.Person
			dest := userDest(&p.User)
			err := scan(append(dest[:len(dest)-2], profileDest(&p.Profile)...)...) // without identities and factors
			people = append(people, p)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return people, nil
}

// orNull gives 0 or 1, NULL for nil.
func orNull(b *bool) any {
	if b == nil {
		return nil
	}
	return flag(*b)
}
