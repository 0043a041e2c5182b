package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
)

// maxPage bounds every list. It stands in the inner statement of ListPeople as a constant,
// from which the planner learns that few rows are wanted: a parameter would make it expect
// a tenth of the table, and sort that.
const maxPage = 1000

// usualAud is the audience that has no index.
const usualAud = "authenticated"

// peopleQuery builds the statement of one list. What is asked for is in the text, values
// are parameters: there are a few dozen texts, which the connections keep prepared.
type peopleQuery struct {
	args  []any
	where []string
	at    string // name of the parameter with the moment; "" when none has been needed yet
}

// arg adds a parameter and gives its name.
func (p *peopleQuery) arg(v any) string {
	p.args = append(p.args, v)
	return "$" + strconv.Itoa(len(p.args))
}

func (p *peopleQuery) and(condition string) { p.where = append(p.where, condition) }

// holds and open are conditions on a relation r and a membership ms that has a beginning or
// an end.
func (p *peopleQuery) holds(q *auth.PersonQuery) string {
	at := p.moment(q)
	return "r.starts_at <= " + at + " AND (r.ends_at IS NULL OR r.ends_at > " + at + ")"
}

func (p *peopleQuery) open(q *auth.PersonQuery) string {
	return "ms.state = 'active' AND (ms.ends_at IS NULL OR ms.ends_at > " + p.moment(q) + ")"
}

func (p *peopleQuery) moment(q *auth.PersonQuery) string {
	if p.at == "" {
		p.at = p.arg(timestamp(q.At)) + "::timestamptz"
	}
	return p.at
}

// from chooses the table that the page is read from in the order of its ids, and with it
// the index: the filter with the fewest hits, as far as anybody can tell beforehand. The
// answer is that table and its column with the id of the account; q keeps the filters that
// are still to be applied.
func (p *peopleQuery) from(q *auth.PersonQuery) (table, key string) {
	// One account after the other, in this order: as a plain join, the planner might read the
	// accounts from the beginning and look for the few that have a rare role.
	users := func(key string) string {
		return " CROSS JOIN LATERAL (SELECT * FROM auth.users u WHERE u.id = " + key + " OFFSET 0) u"
	}
	switch {
	case !q.Agent.IsZero():
		p.and("r.kind = 'agent' AND r.subject_id = " + p.arg(uuid(q.Agent)) + " AND " + p.holds(q))
		q.Agent = auth.ID{}
		return "auth.relations r" + users("r.object_id"), "r.object_id"
	case !q.Tenant.IsZero():
		p.and("ms.tenant_id = " + p.arg(uuid(q.Tenant)) + " AND " + p.open(q))
		if q.Role != "" {
			p.and("ms.role = " + p.arg(q.Role))
		}
		q.Tenant, q.Role = auth.ID{}, ""
		return "auth.memberships ms" + users("ms.user_id"), "ms.user_id"
	case q.Role != "" && (q.Active == nil || *q.Active):
		p.and("ur.role = " + p.arg(q.Role))
		q.Role = ""
		return "auth.user_roles ur" + users("ur.user_id"), "ur.user_id"
	}
	return "auth.users u", "u.id" // its partial indexes serve the other filters
}

// build gives the statement. $1 is the last id of the page before, $2 the number of rows.
func (p *peopleQuery) build(q auth.PersonQuery) string {
	p.args = page(q.After, q.Limit)
	table, key := p.from(&q)
	p.and(key + " > $1 AND u.deleted_at IS NULL")
	if q.Aud != "" {
		p.and("u.aud = " + p.arg(q.Aud))
		if q.Aud != usualAud {
			p.and("u.aud <> '" + usualAud + "'") // which the index wants to hear
		}
	}
	if q.Active != nil {
		p.and(either(*q.Active, "u.is_active", "NOT u.is_active"))
	}
	if q.PhoneVerified != nil {
		p.and(either(*q.PhoneVerified, "u.phone_confirmed_at IS NOT NULL", "u.phone_confirmed_at IS NULL"))
	}
	if q.Unassigned { // has_agent knows nothing of agents with an end, or who begin later
		p.and("NOT u.has_agent")
		// The kind is a parameter, so that the index of agents, which is by agent, is out of the question.
		p.lookUp("NOT EXISTS", "auth.relations r WHERE r.object_id = u.id AND r.kind = "+p.arg(auth.RelationAgent)+" AND "+p.holds(&q))
	}
	switch {
	case !q.Tenant.IsZero():
		member := "auth.memberships ms WHERE ms.user_id = u.id AND ms.tenant_id = " + p.arg(uuid(q.Tenant)) + " AND " + p.open(&q)
		if q.Role != "" {
			member += " AND ms.role = " + p.arg(q.Role)
		}
		p.lookUp("EXISTS", member)
	case q.Role != "":
		p.lookUp("EXISTS", "auth.user_roles ur WHERE ur.user_id = u.id AND ur.role = "+p.arg(q.Role))
	}
	if q.Text != "" {
		like := p.arg("%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q.Text) + "%")
		p.and(`(u.email ILIKE ` + like + ` OR u.phone ILIKE ` + like + `
			OR EXISTS (SELECT FROM auth.profiles n WHERE n.user_id = u.id AND n.full_name ILIKE ` + like + ` OFFSET 0)
			OR (jsonb_typeof(u.raw_user_meta_data -> 'full_name') = 'string' AND u.raw_user_meta_data ->> 'full_name' ILIKE ` + like + `))`)
	}
	return "SELECT " + userColumns + "," + profileColumns + `
FROM (SELECT ` + key + " AS key, u.* FROM " + table + " WHERE " + strings.Join(p.where, " AND ") + " ORDER BY " + key + " LIMIT " + strconv.Itoa(maxPage) + `) u
LEFT JOIN auth.profiles p ON p.user_id = u.id ORDER BY u.key LIMIT $2`
}

// lookUp adds a condition on other rows. OFFSET 0 keeps it a look-up for each row of the
// page: as a join, the planner might read all memberships or relations that there are.
func (p *peopleQuery) lookUp(exists, from string) {
	p.and(exists + " (SELECT FROM " + from + " OFFSET 0)")
}

func either(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// ListPeople implements store.People.
func (s *Store) ListPeople(ctx context.Context, q auth.PersonQuery) ([]auth.Person, error) {
	var p peopleQuery
	sql := p.build(q)
	return collect(ctx, s, "list people", sql, p.args, func(row pgx.CollectableRow, person *auth.Person) error {
		pr := profile{to: &person.Profile}
		if err := row.Scan(append(userTargets(&person.User), pr.targets()...)...); err != nil {
			return err
		}
		finishUser(&person.User)
		return pr.finish()
	})
}
