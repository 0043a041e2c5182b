package flow_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/google/go-cmp/cmp"
)

func care(professional, patient byte) flow.NewRelation {
	return flow.NewRelation{Kind: auth.RelationCare, SubjectID: id(professional), ObjectID: id(patient), TenantID: id(tenantA)}
}

func patient(n byte) flow.NewRelation {
	return flow.NewRelation{Kind: auth.RelationPatient, SubjectID: id(n), TenantID: id(tenantA)}
}

func appoint(a, customer byte) flow.NewRelation {
	return flow.NewRelation{Kind: auth.RelationAgent, SubjectID: id(a), ObjectID: id(customer)}
}

// TestRelate is S4.22's second half: who may say who cares for whom.
func TestRelate(t *testing.T) {
	t.Parallel()
	isPatient := func(n byte) func(*town) {
		return func(w *town) {
			w.d.relations = append(w.d.relations, auth.Relation{ID: id(251), Kind: auth.RelationPatient, SubjectID: id(n), TenantID: id(tenantA), StartsAt: at().Add(-time.Hour)})
		}
	}
	with := func(in flow.NewRelation, from, to time.Time) flow.NewRelation {
		in.StartsAt, in.EndsAt = from, to
		return in
	}
	for _, c := range []struct {
		name  string
		bend  func(*town)
		actor flow.Actor
		in    flow.NewRelation
		want  auth.Code
	}{
		{"care for a patient", isPatient(bob), by(manager), care(helper, bob), ""},
		{"care for a member", nil, by(manager), care(helper, owner), ""},
		{"care from tomorrow for a week", isPatient(bob), by(manager), with(care(helper, bob), at().Add(time.Hour), at().Add(2*time.Hour)), ""},
		{"care by an operator, in the past", isPatient(bob), anOperator(), with(care(helper, bob), at().Add(-time.Hour), time.Time{}), ""},
		{"oneself a patient", nil, by(bob), patient(bob), ""},
		{"a member a patient", nil, by(manager), patient(helper), ""},
		{"anybody a patient, by an operator", nil, anOperator(), patient(bob), ""},
		{"an agent", nil, by(boss), appoint(agent, bob), ""},

		{"care for a stranger", nil, by(manager), care(helper, bob), auth.CodeMemberNotFound},
		{"care by a stranger", isPatient(bob), by(manager), care(other, bob), auth.CodeMemberNotFound},
		{"care for oneself, by a stranger", isPatient(bob), by(other), care(other, bob), auth.CodeTenantDenied},
		{"care for a former patient", func(w *town) { isPatient(bob)(w); w.d.relations[1].EndsAt = at() }, by(manager), care(helper, bob), auth.CodeMemberNotFound},
		{"care by a suspended member", func(w *town) {
			isPatient(bob)(w)
			w.d.members[w.d.member(id(tenantA), id(helper))].State = auth.MemberSuspended
		}, by(manager), care(helper, bob), auth.CodeMemberNotFound},
		{"care without the permission", isPatient(bob), by(helper), care(helper, bob), auth.CodeForbidden},
		{"care in the past", isPatient(bob), by(manager), with(care(helper, bob), at().Add(-time.Second), time.Time{}), auth.CodeValidation},
		{"care that ends before it begins", isPatient(bob), by(manager), with(care(helper, bob), time.Time{}, at()), auth.CodeValidation},
		{"care twice", func(w *town) {
			isPatient(bob)(w)
			w.d.relations = append(w.d.relations, auth.Relation{ID: id(252), Kind: auth.RelationCare, SubjectID: id(helper), ObjectID: id(bob), TenantID: id(tenantA), StartsAt: at()})
		}, by(manager), care(helper, bob), auth.CodeRelationExists},
		{"somebody else a patient", nil, by(ann), patient(bob), auth.CodeTenantDenied},
		{"a stranger a patient, because the clinic says so", nil, by(owner), patient(bob), auth.CodeMemberNotFound},
		{"oneself a patient of a closed tenant", func(w *town) { w.d.tenants[id(tenantA)].Active = false }, by(bob), patient(bob), auth.CodeTenantNotFound},
		{"oneself a patient of nothing", nil, by(bob), flow.NewRelation{Kind: auth.RelationPatient, SubjectID: id(bob), TenantID: id(99)}, auth.CodeTenantNotFound},
		{"nobody a patient", nil, anOperator(), patient(99), auth.CodeUserNotFound},
		{"an agent by himself", nil, by(agent), appoint(agent, bob), auth.CodeForbidden},
		{"an agent by a tenant's owner", nil, by(owner), appoint(agent, bob), auth.CodeForbidden},
		{"an agent who is none", nil, by(boss), appoint(ann, bob), auth.CodeValidation},
		{"a second agent", nil, by(boss), appoint(boss, ann), auth.CodeRelationExists},
		{"unknown kind", nil, anOperator(), flow.NewRelation{Kind: "friend", SubjectID: id(ann), ObjectID: id(bob)}, auth.CodeValidation},
		{"oneself", nil, anOperator(), care(ann, ann), auth.CodeValidation},
		{"care without a tenant", nil, anOperator(), flow.NewRelation{Kind: auth.RelationCare, SubjectID: id(ann), ObjectID: id(bob)}, auth.CodeValidation},
		{"patient with an object", nil, anOperator(), flow.NewRelation{Kind: auth.RelationPatient, SubjectID: id(ann), ObjectID: id(bob), TenantID: id(tenantA)}, auth.CodeValidation},
		{"agent in a tenant", nil, anOperator(), flow.NewRelation{Kind: auth.RelationAgent, SubjectID: id(agent), ObjectID: id(bob), TenantID: id(tenantA)}, auth.CodeValidation},
		{"nobody", nil, anOperator(), patient(0), auth.CodeValidation},
		{"look-up fails", func(w *town) { isPatient(bob)(w); w.d.broken["Relations"] = errors.New("boom") }, by(manager), care(helper, bob), auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.bend != nil {
				c.bend(w)
			}
			n := len(w.d.relations)
			got, err := w.tenancy().Relate(t.Context(), c.actor, c.in)
			if c.want != "" {
				wantCode(t, err, c.want)
				w.untouched(t)
				return
			}
			want := auth.Relation{
				ID: got.ID, Kind: c.in.Kind, SubjectID: c.in.SubjectID, ObjectID: c.in.ObjectID, TenantID: c.in.TenantID,
				StartsAt: c.in.StartsAt, EndsAt: c.in.EndsAt, CreatedBy: c.actor.Caller.UserID, CreatedAt: at(),
			}
			if want.StartsAt.IsZero() {
				want.StartsAt = at()
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil || got.ID.IsZero() || len(w.d.relations) != n+1 {
				t.Errorf("%v\n%s", err, diff)
			}
			w.audited(t, "relation_started", c.actor.Caller.UserID, c.in.SubjectID.String())
		})
	}
}

func TestUnrelate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		in    flow.NewRelation
		actor flow.Actor
		want  auth.Code
	}{
		{"care, by a manager", care(helper, bob), by(manager), ""},
		{"care, by the patient", care(helper, bob), by(bob), ""},
		{"care, by an operator", care(helper, bob), anOperator(), ""},
		{"care, by the professional without the permission", care(helper, bob), by(helper), auth.CodeForbidden},
		{"care, by another tenant's owner", care(helper, bob), by(other), auth.CodeRelationNotFound},
		{"care, by a stranger", care(helper, bob), by(ann), auth.CodeRelationNotFound},
		{"patient, by himself", patient(bob), by(bob), ""},
		{"patient, by a manager", patient(bob), by(manager), ""},
		{"agent, by an administrator", appoint(agent, bob), by(boss), ""},
		{"agent, by the customer", appoint(agent, bob), by(bob), auth.CodeRelationNotFound},
		{"agent, by himself", appoint(agent, bob), by(agent), auth.CodeRelationNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.d.relations = append(w.d.relations, auth.Relation{
				ID: id(251), Kind: c.in.Kind, SubjectID: c.in.SubjectID, ObjectID: c.in.ObjectID, TenantID: c.in.TenantID, StartsAt: at().Add(-time.Hour),
			})
			err := w.tenancy().Unrelate(t.Context(), c.actor, id(251))
			if codeOf(err) != c.want || w.d.relations[1].EndsAt.IsZero() != (c.want != "") {
				t.Errorf("%v, %+v", err, w.d.relations[1])
			}
			if c.want != "" {
				w.untouched(t)
				return
			}
			w.audited(t, "relation_ended", c.actor.Caller.UserID, c.in.SubjectID.String())
			wantCode(t, w.tenancy().Unrelate(t.Context(), c.actor, id(251)), auth.CodeRelationNotFound) // once
			wantCode(t, w.tenancy().Unrelate(t.Context(), c.actor, id(99)), auth.CodeRelationNotFound)
		})
	}
}

func TestRelations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		q     auth.RelationQuery
		want  auth.Code
		n     int
	}{
		{"one's own, as the subject", by(agent), auth.RelationQuery{Subject: id(agent)}, "", 1},
		{"one's own, as the object", by(ann), auth.RelationQuery{Object: id(ann)}, "", 1},
		{"at a time before", by(ann), auth.RelationQuery{Object: id(ann), At: at().Add(-2 * time.Hour)}, "", 0},
		{"another's", by(bob), auth.RelationQuery{Object: id(ann)}, auth.CodeForbidden, 0},
		{"another's, with oneself as tenant", by(bob), auth.RelationQuery{Object: id(ann), Tenant: id(bob)}, auth.CodeTenantDenied, 0},
		{"a tenant's", by(manager), auth.RelationQuery{Tenant: id(tenantA)}, "", 0},
		{"a tenant's, without the permission", by(helper), auth.RelationQuery{Tenant: id(tenantA)}, auth.CodeForbidden, 0},
		{"another tenant's", by(manager), auth.RelationQuery{Tenant: id(tenantB)}, auth.CodeTenantDenied, 0},
		{"everybody's", anOperator(), auth.RelationQuery{}, auth.CodeValidation, 0},
		{"an operator", anOperator(), auth.RelationQuery{Object: id(ann)}, "", 1},
		{"an operator of no account asks for nobody", anOperator(), auth.RelationQuery{Subject: id(bob)}, "", 0},
		{"unknown kind", by(ann), auth.RelationQuery{Object: id(ann), Kind: "x"}, auth.CodeValidation, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			got, err := w.tenancy().Relations(t.Context(), c.actor, c.q)
			if codeOf(err) != c.want || len(got) != c.n {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		bend       func(*town)
		actor      flow.Actor
		user       byte
		tenant     auth.ID
		permission string
		want       auth.Code
		allowed    bool
		because    string
	}{
		{"oneself in a tenant", nil, by(helper), helper, id(tenantA), "member:invite", "", true, "assistant has member:invite"},
		{"inherited", nil, anOperator(), manager, id(tenantA), "tenant:read", "", true, "inherits assistant"},
		{"not had", nil, by(manager), helper, id(tenantA), "member:remove", "", false, "does not have"},
		{"unknown permission", nil, anOperator(), owner, id(tenantA), "record:reed", "", false, "no permission"},
		{"in the application", nil, by(boss), agent, auth.ID{}, "customer:read", "", true, "customer:*"},
		{"a tenant's role opens nothing outside", nil, anOperator(), owner, auth.ID{}, "record:read", "", false, "user does not have"},
		{"an application's role opens no tenant", nil, anOperator(), boss, id(tenantA), "record:read", "", false, "no membership"},
		{"suspended", func(w *town) { w.d.members[w.d.member(id(tenantA), id(helper))].State = auth.MemberSuspended }, anOperator(), helper, id(tenantA), "member:invite", "", false, "suspended"},
		{"ended", func(w *town) { w.d.members[w.d.member(id(tenantA), id(helper))].EndsAt = at() }, anOperator(), helper, id(tenantA), "member:invite", "", false, "ended"},
		{"tenant is off", func(w *town) { w.d.tenants[id(tenantA)].Active = false }, anOperator(), helper, id(tenantA), "member:invite", "", false, "not active"},
		{"account is off", func(w *town) { w.d.people[id(helper)].Profile.Active = false }, anOperator(), helper, id(tenantA), "member:invite", "", false, "switched off"},
		{"account is banned", func(w *town) { w.d.people[id(helper)].User.BannedUntil = at().Add(1) }, anOperator(), helper, id(tenantA), "member:invite", "", false, "banned"},
		{"another's", nil, by(ann), helper, auth.ID{}, "user:read", auth.CodeForbidden, false, ""},
		{"another's, in his tenant", nil, by(ann), helper, id(tenantA), "user:read", auth.CodeTenantDenied, false, ""},
		{"a stranger's, in one's own tenant", nil, by(owner), ann, id(tenantA), "user:read", auth.CodeMemberNotFound, false, ""},
		{"nobody's", nil, anOperator(), 99, auth.ID{}, "user:read", auth.CodeUserNotFound, false, ""},
		{"nothing", nil, by(ann), ann, auth.ID{}, "", auth.CodeValidation, false, ""},
		{"NUL", nil, by(ann), ann, auth.ID{}, "a\x00b", auth.CodeValidation, false, ""},
		{"look-up fails", func(w *town) { w.d.broken["PersonByID"] = errors.New("boom") }, anOperator(), helper, id(tenantA), "member:invite", auth.CodeInternal, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.bend != nil {
				c.bend(w)
			}
			got, err := w.tenancy().Explain(t.Context(), c.actor, id(c.user), c.tenant, c.permission)
			if codeOf(err) != c.want || got.Allowed != c.allowed || !strings.Contains(strings.Join(got.Because, "; "), c.because) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
