package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cardea-auth/cardea/internal/store/storetest"
)

// Seed implements storetest.Seeder. Statements are as large as the database: 1,000,000
// accounts take about three minutes.
func (a audited) Seed(ctx context.Context, s storetest.Scale) error {
	uuid := func(kind int, n string) string {
		return fmt.Sprintf(`('019caabb-0000-70%02x-8000-0000' || lpad(to_hex(%s), 8, '0'))::uuid`, kind, n)
	}
	user, session, tenant, relation := uuid(1, "n"), uuid(3, "n"), func(n string) string { return uuid(10, n) }, func(n string) string { return uuid(11, n) }
	const t0 = `'2026-03-04T05:06:07.123457Z'::timestamptz`
	for _, sql := range []string{
		`CREATE TEMP TABLE u AS SELECT n FROM generate_series(1, ` + fmt.Sprint(s.Users) + `) n`,
		`CREATE TEMP TABLE t AS SELECT n FROM generate_series(1, ` + fmt.Sprint(s.Tenants) + `) n`,
		`ANALYZE u, t`,
		`INSERT INTO auth.tenants (id, slug, name, created_at, updated_at)
			SELECT ` + tenant("n") + `, 'clinic-' || n, 'Clinic ' || n, ` + t0 + `, ` + t0 + ` FROM t`,
		fmt.Sprintf(`INSERT INTO auth.users (id, aud, role, email, phone, encrypted_password, is_active, phone_confirmed_at, raw_app_meta_data,
				raw_user_meta_data, created_at, updated_at)
			SELECT `+user+`, CASE WHEN n > %[1]d - 10 THEN 'elsewhere' ELSE 'authenticated' END, 'authenticated', 'user' || n || '@example.com',
				(490000000000 + n)::text, '$hash$', n > %[1]d * 4 / 10, CASE WHEN n > %[1]d * 6 / 10 THEN `+t0+` END,
				CASE WHEN n > %[1]d - 10 THEN '{"roles":["patient","admin"]}' ELSE '{"roles":["patient"]}' END::jsonb,
				jsonb_build_object('full_name', 'Person ' || n), `+t0+`, `+t0+` FROM u`, s.Users),
		`INSERT INTO auth.profiles (user_id, full_name, updated_at) SELECT ` + user + `, 'Person ' || n, ` + t0 + ` FROM u WHERE n % 10 = 0`,
		fmt.Sprintf(`INSERT INTO auth.sessions (id, user_id, created_at, updated_at, aal, refresh_token_counter, tenant_id)
			SELECT `+session+`, `+user+`, `+t0+`, `+t0+`, 'aal1', 0, `+tenant("n %% %[1]d + 1")+` FROM u`, s.Tenants),
		fmt.Sprintf(`INSERT INTO auth.memberships (tenant_id, user_id, role, state, created_at, updated_at)
			SELECT `+tenant("1")+`, `+user+`, CASE WHEN n > %[1]d - 10 THEN 'owner' ELSE 'patient' END, 'active', `+t0+`, `+t0+` FROM u
			UNION ALL SELECT `+tenant("n %% %[2]d + 1")+`, `+user+`, 'patient', 'active', `+t0+`, `+t0+` FROM u WHERE n %% %[2]d <> 0`,
			s.Users, s.Tenants),
		`INSERT INTO auth.memberships (tenant_id, user_id, role, state, created_at, updated_at)
			SELECT ` + tenant("n") + `, ` + uuid(1, fmt.Sprint(s.Users-2)) + `, 'nurse', 'active', ` + t0 + `, ` + t0 + ` FROM t WHERE n <= 500
			ON CONFLICT DO NOTHING`,
		`ALTER TABLE auth.relations DISABLE TRIGGER USER`,
		fmt.Sprintf(`INSERT INTO auth.relations (id, kind, subject_id, object_id, starts_at, created_at)
			SELECT `+relation("n")+`, 'agent', CASE WHEN n > %[1]d * 8 / 10 - 50 THEN `+uuid(1, "%[1]d - 1")+` ELSE `+uuid(1, "%[1]d")+` END,
				`+user+`, `+t0+`, `+t0+` FROM u WHERE n <= %[1]d * 8 / 10`, s.Users),
		`ALTER TABLE auth.relations ENABLE TRIGGER USER`,
		fmt.Sprintf(`UPDATE auth.users SET has_agent = true FROM u WHERE id = `+user+` AND n <= %[1]d * 8 / 10`, s.Users),
		fmt.Sprintf(`INSERT INTO auth.relations (id, kind, subject_id, tenant_id, starts_at, created_at)
			SELECT `+relation("n + %[1]d")+`, 'patient', `+user+`, `+tenant("1")+`, `+t0+`, `+t0+` FROM u WHERE n <= %[1]d / 2`, s.Users),
		fmt.Sprintf(`INSERT INTO auth.relations (id, kind, subject_id, object_id, tenant_id, starts_at, created_at)
			SELECT `+relation("n + 2 * %[1]d")+`, 'care', `+uuid(1, "%[1]d")+`, `+user+`, `+tenant("1")+`, `+t0+`, `+t0+` FROM u WHERE n <= 2`, s.Users),
		`VACUUM ANALYZE`,
	} {
		if _, err := a.conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%w\n%s", err, sql)
		}
	}
	return nil
}

func TestLists(t *testing.T) {
	t.Parallel()
	storetest.Lists(t, factory, storetest.ScaleOf(1000))
}

func BenchmarkLists(b *testing.B) { storetest.BenchLists(b, factory) }

var _ storetest.Seeder = audited{}
