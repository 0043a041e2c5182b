package sqlite

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/cardea-auth/cardea/internal/auth"
)

// A1.3, S2.23, S2.25, S2.27: what the database itself refuses, whoever writes to it.
func TestConstraints(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "cardea.db"))
	const (
		user     = `INSERT INTO users (id, email, phone) VALUES (`
		profile  = `INSERT INTO profiles (updated_at, user_id, last_auth_method) VALUES (1, `
		relation = `INSERT INTO relations (starts_at, created_at, id, kind, subject_id, object_id, tenant_id) VALUES (1, 1, `
	)
	for _, c := range []struct{ name, text, refused string }{
		{"one", user + `'a', 'a@example.com', '49151')`, ""},
		{"without an address", user + `'b', NULL, NULL)`, ""},
		{"another without one", user + `'c', NULL, NULL)`, ""},
		{"the same e-mail address", user + `'d', 'a@example.com', NULL)`, "UNIQUE constraint failed: users.email"},
		{"the same number", user + `'d', NULL, '49151')`, "UNIQUE constraint failed: users.phone"},
		{"by fax", profile + `'a', 'fax')`, "CHECK constraint failed: ck_profiles_last_auth_method"},
		{"by nothing", profile + `'a', NULL)`, ""},
		{"by Google", profile + `'b', 'google')`, ""},
		{"two profiles", profile + `'a', NULL)`, "UNIQUE constraint failed: profiles.user_id"},
		{"of nobody", profile + `'x', NULL)`, "FOREIGN KEY constraint failed"},
		{"a birthday that there is not", `UPDATE profiles SET birth_date = '2026-02-30'`, "CHECK constraint failed"},
		{"no date at all", `UPDATE profiles SET birth_date = 'yesterday'`, "CHECK constraint failed"},
		{"a leap day", `UPDATE profiles SET birth_date = '2024-02-29'`, ""},
		{"preferences that are no object", `UPDATE profiles SET preferences = '[]'`, "CHECK constraint failed"},
		{"preferences that are no JSON", `UPDATE profiles SET preferences = '{'`, "malformed JSON"},
		{"a tenant", `INSERT INTO tenants (id, slug, name, created_at, updated_at) VALUES ('t', 'clinic', '', 1, 1)`, ""},
		{"the same slug", `INSERT INTO tenants (id, slug, name, created_at, updated_at) VALUES ('u', 'clinic', '', 1, 1)`, "tenants.slug"},
		{"an agent", relation + `'1', 'agent', 'a', 'b', NULL)`, ""},
		{"another agent", relation + `'2', 'agent', 'c', 'b', NULL)`, "UNIQUE constraint failed: relations.object_id"},
		{"a patient", relation + `'3', 'patient', 'a', NULL, 't')`, ""},
		{"the same patient", relation + `'4', 'patient', 'a', NULL, 't')`, "relations_one_open_key"},
		{"a stranger", relation + `'5', 'friend', 'a', NULL, 't')`, "CHECK constraint failed"},
	} {
		err := s.writer.write(t.Context(), func() error {
			_, err := exec(t.Context(), s.writer, c.text)
			return err
		})
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.refused)
		}
	}
}

// The roles that an existing file holds are found after the migration.
func TestMigrateRoles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardea.db")
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(database.DialectSQLite3, s.writer.db, files, goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	first, second := auth.ID{15: 1}, auth.ID{15: 2}
	for _, text := range []string{
		`INSERT INTO users (id, aud, email, raw_app_meta_data) VALUES ('` + first.String() + `', 'authenticated', 'a@x.org', '{"roles":["admin",7,"admin"]}')`,
		`INSERT INTO users (id, aud, email, raw_app_meta_data) VALUES ('` + second.String() + `', 'authenticated', NULL, '{"roles":"admin"}')`,
		`INSERT INTO sessions (id, user_id) VALUES ('` + auth.ID{15: 3}.String() + `', '` + first.String() + `')`,
	} {
		if _, err := s.writer.db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	admins, err := s.ListPeople(t.Context(), auth.PersonQuery{Role: "admin", At: now, Limit: 10})
	if err != nil || len(admins) != 1 || admins[0].User.ID != first || !admins[0].Profile.Active {
		t.Errorf("admins: %+v, %v", admins, err)
	}
	r, err := s.UserWithSession(t.Context(), first, auth.ID{15: 3}, now)
	if err != nil || !r.Session || r.Inactive || !r.TenantID.IsZero() {
		t.Errorf("session: %+v, %v", r, err)
	}
}

// Whatever is asked, no table is read from its beginning, and no page is sorted out of all
// its candidates.
func TestPeoplePlans(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "cardea.db"))
	for name, text := range map[string]string{
		"all": sqlPeople, "aud": sqlPeopleOfAud, "active": sqlPeopleActive, "inactive": sqlPeopleInactive, "verified": sqlPeopleVerified,
		"unverified": sqlPeopleUnverified, "unassigned": sqlPeopleUnassigned, "role": sqlPeopleOfRole, "tenant": sqlPeopleOfTenant,
		"role in a tenant": sqlPeopleOfTenantRole, "agent": sqlPeopleOfAgent, "members": sqlMembersOf, "tenants": sqlListTenants,
		"memberships (sorted)": sqlMembershipsOf, "membership": sqlMembershipIn, "person": sqlPersonByID, "last tenant": sqlLastTenant,
		"only tenant": sqlOnlyTenant, "switched": sqlSwitched, "sessions (sorted)": sqlSessionsOf, "other owner": sqlOtherOwner,
		"agents": sqlAgentOverlap, "overlap": sqlOverlap, "object (sorted)": sqlRelationsOfObject, "subject (sorted)": sqlRelationsOfSubject,
		"tenant's (sorted)": sqlRelationsOfTenant, "deleted relations": sqlDeleteRelations, "deleted memberships": sqlDeleteMemberships,
		"deleted tenant": sqlDeleteTenant,
	} {
		params := strings.Count(text, "?")
		for n := 1; n <= 20; n++ {
			if strings.Contains(text, fmt.Sprintf("?%d", n)) {
				params = n
			}
		}
		var lines []string
		err := s.read("test", func(r runner) error {
			return each(t.Context(), r, "EXPLAIN QUERY PLAN "+text, make([]any, params), func(scan func(...any) error) error {
				var id, parent, unused int
				var line string
				err := scan(&id, &parent, &unused, &line)
				lines = append(lines, line)
				return err
			})
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if slices.ContainsFunc(lines, func(line string) bool {
			// What a subquery has given, or json_each, is small.
			scans := strings.HasPrefix(line, "SCAN ") && !strings.HasPrefix(line, "SCAN (") && !strings.Contains(line, "json_each")
			return scans || strings.Contains(line, "TEMP B-TREE FOR ORDER BY") && !strings.Contains(name, "sorted")
		}) {
			t.Errorf("%s:\n%s", name, strings.Join(lines, "\n"))
		}
	}
}
