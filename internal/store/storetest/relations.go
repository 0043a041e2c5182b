package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func relationCases() []testCase {
	return []testCase{
		{"added and found", relationAdded},
		{"one at a time", relationOverlap},
		{"ended", relationEnded},
		{"asked for by every side", relationLists},
		{"of nobody, and of no shape", relationRefused},
	}
}

// relation is the n-th one: it holds from t0 on. 0 stands for nobody and no tenant.
func relation(n int, kind string, subject, object, in int) auth.Relation {
	r := auth.Relation{ID: relationID(n), Kind: kind, SubjectID: userID(subject), StartsAt: t0, CreatedBy: userID(7), CreatedAt: t0}
	if object != 0 {
		r.ObjectID = userID(object)
	}
	if in != 0 {
		r.TenantID = tenantID(in)
	}
	return r
}

func relationAudit(n int) auth.AuditEntry { return audit(500000+n, "relation_added", "team") }

func (e *env) relate(r auth.Relation) {
	e.tb.Helper()
	entry := relationAudit(0)
	entry.ID = e.freshID()
	e.ok("AddRelation", e.AddRelation(e.ctx, r, entry))
}

// relations gives the numbers of the relations that are found.
func (e *env) relations(q auth.RelationQuery) []int {
	e.tb.Helper()
	if q.At.IsZero() {
		q.At = t0
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	list, err := e.Relations(e.ctx, q)
	e.ok("Relations", err)
	numbers := []int{}
	for i := range list {
		numbers = append(numbers, int(list[i].ID[14])<<8|int(list[i].ID[15]))
	}
	return numbers
}

func relationAdded(_ *testing.T, e *env) {
	for n := 1; n <= 3; n++ {
		e.create(account(n))
	}
	e.tenant(1)
	for i, r := range []auth.Relation{
		relation(1, auth.RelationCare, 1, 2, 1), relation(2, auth.RelationPatient, 2, 0, 1), relation(3, auth.RelationAgent, 3, 2, 0),
	} {
		r.StartsAt, r.EndsAt, r.CreatedAt = after(time.Microsecond), after(time.Hour), after(-time.Microsecond)
		if i == 1 {
			r.EndsAt, r.CreatedBy = time.Time{}, auth.ID{}
		}
		e.ok(r.Kind, e.AddRelation(e.ctx, r, relationAudit(i)))
		got, err := e.RelationByID(e.ctx, r.ID)
		e.ok(r.Kind, err)
		e.same(r.Kind, r, got)
		list, err := e.Relations(e.ctx, auth.RelationQuery{Kind: r.Kind, Subject: r.SubjectID, At: after(time.Microsecond), Limit: 2})
		e.ok(r.Kind, err)
		e.same(r.Kind, []auth.Relation{r}, list)
	}
	again := relation(1, auth.RelationCare, 3, 2, 1)
	e.is("the id", e.AddRelation(e.ctx, again, relationAudit(9)), auth.ErrIDTaken)
	_, err := e.RelationByID(e.ctx, relationID(9))
	e.is("unknown", err, auth.ErrNotFound)
	e.wantAudit("added", slices.Concat(account(1).Audit, account(2).Audit, account(3).Audit, tenantAudits(1),
		[]auth.AuditEntry{relationAudit(0), relationAudit(1), relationAudit(2)})...)
}

// relationOverlap: each case is the time of a second relation beside one from hour 2 on.
func relationOverlap(_ *testing.T, e *env) {
	e.tenant(1)
	e.tenant(2)
	e.create(account(1)) // another agent
	hour := func(h int) time.Time {
		if h < 0 {
			return time.Time{}
		}
		return after(time.Duration(h) * time.Hour)
	}
	n := 1
	for _, c := range []struct {
		firstEnd, start, end int // hours; -1 for no end
		ok                   bool
	}{
		{4, 0, 2, true}, {4, 4, 6, true}, {4, 4, -1, true}, {4, 0, 3, false}, {4, 3, -1, false}, {4, 2, 4, false}, {4, 0, -1, false},
		{4, 0, 9, false}, {-1, 0, 2, true}, {-1, 0, 3, false}, {-1, 9, -1, false}, {-1, 2, -1, false}, {-1, 0, -1, false},
	} {
		for _, kind := range []string{auth.RelationCare, auth.RelationPatient, auth.RelationAgent} {
			e.create(account(n + 1))
			e.create(account(n + 2))
			object, in := n+2, 1
			switch kind {
			case auth.RelationPatient:
				object = 0
			case auth.RelationAgent:
				in = 0
			}
			first := relation(n, kind, n+1, object, in)
			first.StartsAt, first.EndsAt = hour(2), hour(c.firstEnd)
			e.relate(first)
			second := first
			second.ID, second.StartsAt, second.EndsAt = relationID(1000+n), hour(c.start), hour(c.end)
			if kind == auth.RelationAgent {
				second.SubjectID = userID(1)
			} else { // in another clinic it is another relation
				elsewhere := first
				elsewhere.ID, elsewhere.TenantID = relationID(2000+n), tenantID(2)
				e.relate(elsewhere)
			}
			entry, want := relationAudit(n), error(nil)
			if !c.ok {
				want = auth.ErrConflict
			}
			e.is(fmt.Sprintf("%s %+v", kind, c), e.AddRelation(e.ctx, second, entry), want)
			n += 2
		}
	}
}

func relationEnded(_ *testing.T, e *env) {
	for n := 1; n <= 3; n++ {
		e.create(account(n))
	}
	e.relate(relation(1, auth.RelationAgent, 1, 2, 0))
	e.same("assigned", []int{1, 3}, e.people(auth.PersonQuery{Unassigned: true}))
	ended := relationAudit(1)
	e.ok("EndRelation", e.EndRelation(e.ctx, relationID(1), after(time.Hour), ended))
	e.is("twice", e.EndRelation(e.ctx, relationID(1), after(time.Hour), relationAudit(2)), auth.ErrNotFound)
	e.is("unknown", e.EndRelation(e.ctx, relationID(9), after(time.Hour), relationAudit(2)), auth.ErrNotFound)
	want := relation(1, auth.RelationAgent, 1, 2, 0)
	want.EndsAt = after(time.Hour)
	got, err := e.RelationByID(e.ctx, relationID(1))
	e.ok("RelationByID", err)
	e.same("its end", want, got)
	e.same("before", []int{1}, e.relations(auth.RelationQuery{Subject: userID(1), At: after(time.Hour - time.Microsecond)}))
	e.same("at the end", []int{}, e.relations(auth.RelationQuery{Subject: userID(1), At: after(time.Hour)}))
	e.same("unassigned again", []int{1, 2, 3}, e.people(auth.PersonQuery{Unassigned: true, At: after(time.Hour)}))
	e.relate(func() auth.Relation {
		r := relation(2, auth.RelationAgent, 3, 2, 0)
		r.StartsAt, r.CreatedAt = after(time.Hour), after(time.Hour)
		return r
	}())
	e.same("the next agent's", []int{2}, e.people(auth.PersonQuery{Agent: userID(3), At: after(time.Hour)}))

	later := relation(3, auth.RelationAgent, 1, 3, 0)
	later.StartsAt = after(5 * time.Hour)
	e.relate(later)
	e.same("not yet", []int{1, 3}, e.people(auth.PersonQuery{Unassigned: true, At: after(4 * time.Hour)}))
	e.same("from then on", []int{1}, e.people(auth.PersonQuery{Unassigned: true, At: after(5 * time.Hour)}))
	ended.ID = e.freshID()
	e.ok("ended before it began", e.EndRelation(e.ctx, relationID(3), after(4*time.Hour), ended))
	e.same("never", []int{}, e.relations(auth.RelationQuery{Object: userID(3), At: after(5 * time.Hour)}))
}

func relationLists(_ *testing.T, e *env) {
	for n := 1; n <= 4; n++ {
		e.create(account(n))
	}
	e.tenant(1)
	e.tenant(2)
	for i, r := range []auth.Relation{
		relation(1, auth.RelationCare, 1, 2, 1), relation(2, auth.RelationCare, 1, 3, 1), relation(3, auth.RelationCare, 1, 2, 2),
		relation(4, auth.RelationPatient, 2, 0, 1), relation(5, auth.RelationPatient, 2, 0, 2), relation(6, auth.RelationPatient, 3, 0, 1),
		relation(7, auth.RelationAgent, 4, 2, 0), relation(8, auth.RelationCare, 4, 2, 1),
	} {
		if i == 7 {
			r.StartsAt, r.EndsAt = after(-time.Hour), t0
		}
		e.relate(r)
	}
	one, two, three, four := userID(1), userID(2), userID(3), userID(4)
	for i, c := range []struct {
		q    auth.RelationQuery
		want []int
	}{
		{auth.RelationQuery{Subject: one}, []int{3, 2, 1}},
		{auth.RelationQuery{Subject: two}, []int{5, 4}},
		{auth.RelationQuery{Subject: four}, []int{7}},
		{auth.RelationQuery{Subject: four, At: after(-time.Microsecond)}, []int{8}},
		{auth.RelationQuery{Object: two}, []int{7, 3, 1}},
		{auth.RelationQuery{Object: two, Kind: auth.RelationCare}, []int{3, 1}},
		{auth.RelationQuery{Object: two, Subject: one}, []int{3, 1}},
		{auth.RelationQuery{Object: two, Subject: one, Tenant: tenantID(1)}, []int{1}},
		{auth.RelationQuery{Object: two, Tenant: tenantID(2)}, []int{3}},
		{auth.RelationQuery{Subject: two, Tenant: tenantID(2)}, []int{5}},
		{auth.RelationQuery{Subject: one, Tenant: tenantID(1), Kind: auth.RelationPatient}, []int{}},
		{auth.RelationQuery{Tenant: tenantID(1)}, []int{6, 4, 2, 1}},
		{auth.RelationQuery{Tenant: tenantID(1), Kind: auth.RelationPatient}, []int{6, 4}},
		{auth.RelationQuery{Tenant: tenantID(1), Limit: 3}, []int{6, 4, 2}},
		{auth.RelationQuery{Tenant: tenantID(1), Limit: 1}, []int{6}},
		{auth.RelationQuery{Object: three}, []int{2}},
		{auth.RelationQuery{Object: one}, []int{}},
		{auth.RelationQuery{Object: two, Kind: "friend"}, []int{}},
		{auth.RelationQuery{Tenant: tenantID(9)}, []int{}},
	} {
		e.same(fmt.Sprintf("query %d", i), c.want, e.relations(c.q))
	}
	if _, err := e.Relations(e.ctx, auth.RelationQuery{Kind: auth.RelationCare, At: t0, Limit: 9}); err == nil {
		e.tb.Error("everybody's relations were given")
	}
}

func relationRefused(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.tenant(1)
	for what, r := range map[string]auth.Relation{
		"no subject": relation(1, auth.RelationCare, 9, 2, 1), "no object": relation(1, auth.RelationCare, 1, 9, 1),
		"no tenant": relation(1, auth.RelationCare, 1, 2, 9), "nobody": relation(1, auth.RelationAgent, 8, 9, 0),
	} {
		e.is(what, e.AddRelation(e.ctx, r, relationAudit(1)), auth.ErrNotFound)
	}
	backwards := relation(1, auth.RelationCare, 1, 2, 1)
	backwards.EndsAt = after(-time.Hour)
	for what, r := range map[string]auth.Relation{
		"care outside of a clinic": relation(1, auth.RelationCare, 1, 2, 0), "care for nobody": relation(1, auth.RelationCare, 1, 0, 1),
		"a patient with an object": relation(1, auth.RelationPatient, 1, 2, 1), "an agent in a clinic": relation(1, auth.RelationAgent, 1, 2, 1),
		"another kind": relation(1, "friend", 1, 2, 1), "backwards": backwards,
	} {
		if err := e.AddRelation(e.ctx, r, relationAudit(1)); err == nil {
			e.tb.Errorf("%s: was taken", what)
		}
	}
	_, err := e.RelationByID(e.ctx, relationID(1))
	e.is("nothing is left", err, auth.ErrNotFound)
	e.wantAudit("refused", slices.Concat(account(1).Audit, account(2).Audit, tenantAudits(1))...)
}
