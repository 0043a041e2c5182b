package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// A1.3, S2.23, S2.25, S2.27: what the database itself refuses, whoever writes to it.
func TestConstraints(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	create(t, s, 1)
	create(t, s, 2)
	one, two := id('u', 1).String(), id('u', 2).String()
	const tenant = "01020304-0506-7075-8000-0000000000aa"
	exec(t, conn, "UPDATE auth.users SET phone = '4915112345' WHERE id = $1", one)
	exec(t, conn, `INSERT INTO auth.tenants (id, slug, name, created_at, updated_at) VALUES ($1, 'clinic', 'Clinic', now(), now())`, tenant)
	const (
		unique, check, foreign = "23505", "23514", "23503"
		user                   = "INSERT INTO auth.users (id, email, phone) VALUES (gen_random_uuid(), "
		profile                = "INSERT INTO auth.profiles (user_id, updated_at, last_auth_method) VALUES ("
		relation               = "INSERT INTO auth.relations (id, starts_at, created_at, kind, subject_id, object_id, tenant_id) VALUES (gen_random_uuid(), now(), now(), "
	)
	for _, c := range []struct{ name, sql, code, constraint string }{
		{"two without an address", user + "NULL, NULL)", "", ""},
		{"and a third", user + "NULL, NULL)", "", ""},
		{"the same e-mail address", user + "'b@example.com', NULL)", unique, "users_email_partial_key"},
		{"the same number", user + "NULL, '4915112345')", unique, "users_phone_key"},
		{"by fax", profile + "'" + one + "', now(), 'fax')", check, "ck_profiles_last_auth_method"},
		{"by nothing", profile + "'" + one + "', now(), NULL)", "", ""},
		{"by Google", profile + "'" + two + "', now(), 'google')", "", ""},
		{"two profiles", profile + "'" + one + "', now(), NULL)", unique, "profiles_pkey"},
		{"of nobody", profile + "gen_random_uuid(), now(), NULL)", foreign, "profiles_user_id_fkey"},
		{"preferences that are no object", "UPDATE auth.profiles SET preferences = '[]'", check, "profiles_objects_check"},
		{"the same slug", `INSERT INTO auth.tenants (id, slug, name, created_at, updated_at)
			VALUES (gen_random_uuid(), 'clinic', '', now(), now())`, unique, "tenants_slug_key"},
		{"an agent", relation + "'agent', '" + one + "', '" + two + "', NULL)", "", ""},
		{"another agent", relation + "'agent', '" + two + "', '" + two + "', NULL)", unique, "relations_one_agent_key"},
		{"a patient", relation + "'patient', '" + one + "', NULL, '" + tenant + "')", "", ""},
		{"the same patient", relation + "'patient', '" + one + "', NULL, '" + tenant + "')", unique, "relations_one_open_key"},
		{"a stranger", relation + "'friend', '" + one + "', NULL, '" + tenant + "')", check, "relations_kind_check"},
	} {
		_, err := conn.Exec(t.Context(), c.sql)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) {
			pg = &pgconn.PgError{}
		}
		if pg.Code != c.code || pg.ConstraintName != c.constraint || (err == nil) != (c.code == "") {
			t.Errorf("%s: %v, want %s %s", c.name, err, c.code, c.constraint)
		}
	}
}

// What somebody writes by hand into app_metadata or into relations is seen by the lists.
func TestWrittenByHand(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	create(t, s, 1)
	create(t, s, 2)
	listed := func(what string, q auth.PersonQuery, want ...auth.ID) {
		t.Helper()
		q.At, q.Limit = t0, 10
		list, err := s.ListPeople(t.Context(), q)
		got := []auth.ID{}
		for i := range list {
			got = append(got, list[i].User.ID)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", what, got, err, want)
		}
	}
	for doc, want := range map[string][]auth.ID{
		`{"roles": ["nurse"]}`: {id('u', 1)}, `{"roles": "nurse"}`: {}, `null`: {}, `["nurse"]`: {}, `"nurse"`: {}, `{"roles": {"nurse": 1}}`: {},
	} {
		exec(t, conn, "UPDATE auth.users SET raw_app_meta_data = $2::text::jsonb WHERE id = $1", id('u', 1).String(), doc)
		listed(doc, auth.PersonQuery{Role: "nurse"}, want...)
	}
	exec(t, conn, "UPDATE auth.users SET raw_app_meta_data = NULL")
	exec(t, conn, `INSERT INTO auth.relations (id, kind, subject_id, object_id, starts_at, created_at)
		VALUES (gen_random_uuid(), 'agent', $1, $2, '2026-01-01', '2026-01-01')`, id('u', 1).String(), id('u', 2).String())
	listed("assigned", auth.PersonQuery{Unassigned: true}, id('u', 1))
	exec(t, conn, "UPDATE auth.relations SET object_id = $1", id('u', 1).String())
	listed("another customer", auth.PersonQuery{Unassigned: true}, id('u', 2))
	exec(t, conn, "DELETE FROM auth.relations")
	listed("nobody", auth.PersonQuery{Unassigned: true}, id('u', 1), id('u', 2))
}

// TestPeopleBudget holds people, tenants and relations to one round trip each (S0.12).
func TestPeopleBudget(t *testing.T) {
	t.Parallel()
	count := &trips{}
	s, _ := open(t, postgres.Config{Tracer: count, MaxConns: 1})
	ctx := t.Context()
	owner, other := create(t, s, 1).User, create(t, s, 2).User
	entries := byte(0)
	next := func() auth.AuditEntry {
		entries++
		e := entry(entries)
		e.ID = id('b', entries)
		return e
	}
	clinic := func(n byte) auth.Tenant {
		return auth.Tenant{ID: id('c', n), Slug: fmt.Sprint("clinic-", n), Active: true, CreatedAt: t0, UpdatedAt: t0}
	}
	member := func(n byte, u auth.User) auth.Membership {
		return auth.Membership{TenantID: id('c', n), UserID: u.ID, Role: "owner", State: auth.MemberActive, CreatedAt: t0, UpdatedAt: t0}
	}
	set := auth.MetadataPatch{Set: map[string]json.RawMessage{"a": json.RawMessage(`1`)}}
	yes := true
	first := member(1, owner)
	if err := s.CreateTenant(ctx, clinic(1), &first, next()); err != nil {
		t.Fatal(err)
	}
	for _, op := range []struct {
		name string
		run  func(round byte) error
	}{
		{"PersonByID", func(byte) error { _, err := s.PersonByID(ctx, owner.ID); return err }},
		{"UpdateProfile", func(byte) error {
			_, err := s.UpdateProfile(ctx, owner.ID, auth.ProfilePatch{
				At: t0, Preferences: set, Extensions: map[string]auth.MetadataPatch{"x": set}, Active: &yes, Audit: []auth.AuditEntry{next()},
			})
			return err
		}},
		{"ListPeople", func(byte) error {
			_, err := s.ListPeople(ctx, auth.PersonQuery{
				Aud: "a", Text: "b", Agent: owner.ID, Tenant: id('c', 1), Role: "c", Active: &yes, PhoneVerified: &yes, Unassigned: true, At: t0, Limit: 9,
			})
			return err
		}},
		{"SessionsOf", func(byte) error { _, err := s.SessionsOf(ctx, owner.ID); return err }},
		{"NameSession", func(byte) error { return s.NameSession(ctx, owner.ID, id('s', 1), "x") }},
		{"CreateTenant", func(round byte) error {
			first := member(10+round, owner)
			return s.CreateTenant(ctx, clinic(10+round), &first, next())
		}},
		{"TenantByID", func(byte) error { _, err := s.TenantByID(ctx, id('c', 1)); return err }},
		{"TenantBySlug", func(byte) error { _, err := s.TenantBySlug(ctx, "clinic-1"); return err }},
		{"UpdateTenant", func(byte) error {
			_, err := s.UpdateTenant(ctx, id('c', 1), auth.TenantPatch{At: t0, Settings: set, Audit: next()})
			return err
		}},
		{"ListTenants", func(byte) error { _, err := s.ListTenants(ctx, auth.ID{}, 9); return err }},
		{"DeleteTenant", func(round byte) error { return s.DeleteTenant(ctx, id('c', 10+round), next()) }},
		{"ChangeMembership", func(byte) error {
			_, err := s.ChangeMembership(ctx, auth.MembershipChange{
				Membership: member(1, other), From: []string{"", auth.MemberActive}, LastOwner: "owner", Audit: next(),
			})
			return err
		}},
		{"MembershipsOf", func(byte) error { _, err := s.MembershipsOf(ctx, owner.ID); return err }},
		{"MembersOf", func(byte) error { _, err := s.MembersOf(ctx, id('c', 1), auth.ID{}, 9); return err }},
		{"MembershipIn", func(byte) error { _, err := s.MembershipIn(ctx, id('c', 1), owner.ID); return err }},
		{"SwitchTenant", func(byte) error {
			_, err := s.SwitchTenant(ctx, auth.SwitchTenant{SessionID: id('s', 1), UserID: owner.ID, TenantID: id('c', 1), At: t0, Audit: next()})
			return err
		}},
		{"UserWithSession in a tenant", func(byte) error {
			r, err := s.UserWithSession(ctx, owner.ID, id('s', 1), t0)
			if r.TenantRole != "owner" {
				t.Errorf("role %q", r.TenantRole)
			}
			return err
		}},
		{"StartSession in a tenant", func(round byte) error {
			return start(ctx, s, auth.SessionStart{Session: session(40+round, 1), Audit: next()})
		}},
		{"CreateAccount with a profile", func(round byte) error {
			a := account(80 + round)
			a.Memberships, a.Profile = []auth.Membership{member(1, a.User)}, &auth.ProfilePatch{At: t0, FullName: &a.User.Email}
			return s.CreateAccount(ctx, a)
		}},
		{"EndMembership", func(round byte) error { return s.EndMembership(ctx, id('c', 1), id('u', 80+round), "owner", next()) }},
		{"AddRelation", func(round byte) error {
			r := auth.Relation{ID: id('r', round), Kind: auth.RelationAgent, SubjectID: owner.ID, ObjectID: id('u', 80+round), StartsAt: t0, CreatedAt: t0}
			return s.AddRelation(ctx, r, next())
		}},
		{"RelationByID", func(byte) error { _, err := s.RelationByID(ctx, id('r', 0)); return err }},
		{"Relations", func(byte) error {
			_, err := s.Relations(ctx, auth.RelationQuery{Subject: owner.ID, At: t0, Limit: 9})
			return err
		}},
		{"EndRelation", func(round byte) error { return s.EndRelation(ctx, id('r', round), t0.Add(time.Hour), next()) }},
		{"EndSession", func(round byte) error { return s.EndSession(ctx, owner.ID, id('s', 40+round), next()) }},
		{"SoftDeleteUser", func(round byte) error {
			return s.SoftDeleteUser(ctx, id('u', 80+round), auth.SoftDelete{At: t0, Audit: next()})
		}},
		{"DeleteUser", func(round byte) error { return s.DeleteUser(ctx, []auth.ID{other.ID, owner.ID}[round], next()) }},
	} {
		for round := range byte(2) {
			count.n = 0
			if err := op.run(round); err != nil {
				t.Fatalf("%s: %v", op.name, err)
			}
		}
		if count.n != 1 {
			t.Errorf("%s: %d round trips, want 1", op.name, count.n)
		}
	}
}
