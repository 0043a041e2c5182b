package sqlite

import (
	"context"
	"fmt"
	"testing"

	"github.com/cardea-auth/cardea/internal/store/storetest"
)

// Seed implements storetest.Seeder.
func (s testStore) Seed(ctx context.Context, sc storetest.Scale) error {
	id := func(kind int, n string) string {
		return fmt.Sprintf(`printf('019caabb-0000-70%02x-8000-0000%%08x', %s)`, kind, n)
	}
	user, session, tenant, relation := id(1, "n"), id(3, "n"), func(n string) string { return id(10, n) }, func(n string) string { return id(11, n) }
	const t0 = `1772600767123457`
	u := fmt.Sprintf(`WITH RECURSIVE u (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM u WHERE n < %d) `, sc.Users)
	t := fmt.Sprintf(`WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < %d) `, sc.Tenants)
	own := tenant(fmt.Sprintf("n %% %d + 1", sc.Tenants))
	last := id(1, fmt.Sprint(sc.Users))
	return s.write(ctx, "seed", func(r runner) error {
		for _, text := range []string{
			`INSERT INTO tenants (id, slug, name, created_at, updated_at) ` + t +
				`SELECT ` + tenant("n") + `, 'clinic-' || n, 'Clinic ' || n, ` + t0 + `, ` + t0 + ` FROM t`,
			`INSERT INTO users (id, aud, role, email, phone, encrypted_password, is_active, phone_confirmed_at, raw_app_meta_data,
				raw_user_meta_data, created_at, updated_at) ` + u +
				`SELECT ` + user + fmt.Sprintf(`, iif(n > %[1]d - 10, 'elsewhere', 'authenticated'), 'authenticated', 'user' || n || '@example.com',
				490000000000 + n, '$hash$', n > %[1]d * 4 / 10, iif(n > %[1]d * 6 / 10, `+t0+`, NULL),
				iif(n > %[1]d - 10, '{"roles":["patient","admin"]}', '{"roles":["patient"]}'),
				json_object('full_name', 'Person ' || n), `+t0+`, `+t0+` FROM u`, sc.Users),
			`INSERT INTO profiles (user_id, full_name, updated_at) ` + u + `SELECT ` + user + `, 'Person ' || n, ` + t0 + ` FROM u WHERE n % 10 = 0`,
			`INSERT INTO sessions (id, user_id, created_at, updated_at, aal, refresh_token_counter, tenant_id) ` + u +
				`SELECT ` + session + `, ` + user + `, ` + t0 + `, ` + t0 + `, 'aal1', 0, ` + own + ` FROM u`,
			`INSERT INTO memberships (tenant_id, user_id, role, state, created_at, updated_at) ` + u +
				`SELECT ` + tenant("1") + `, ` + user + fmt.Sprintf(`, iif(n > %d - 10, 'owner', 'patient')`, sc.Users) +
				`, 'active', ` + t0 + `, ` + t0 + ` FROM u`,
			`INSERT INTO memberships (tenant_id, user_id, role, state, created_at, updated_at) ` + u +
				`SELECT ` + own + `, ` + user + `, 'patient', 'active', ` + t0 + `, ` + t0 + fmt.Sprintf(` FROM u WHERE n %% %d <> 0`, sc.Tenants),
			`INSERT OR IGNORE INTO memberships (tenant_id, user_id, role, state, created_at, updated_at) ` + t +
				`SELECT ` + tenant("n") + `, ` + id(1, fmt.Sprint(sc.Users-2)) + `, 'nurse', 'active', ` + t0 + `, ` + t0 + ` FROM t WHERE n <= 500`,
			`INSERT INTO relations (id, kind, subject_id, object_id, starts_at, created_at) ` + u +
				`SELECT ` + relation("n") + fmt.Sprintf(`, 'agent', iif(n > %[1]d * 8 / 10 - 50, `, sc.Users) + id(1, fmt.Sprint(sc.Users-1)) +
				`, ` + last + `), ` + user + `, ` + t0 + `, ` + t0 + fmt.Sprintf(` FROM u WHERE n <= %d * 8 / 10`, sc.Users),
			`INSERT INTO relations (id, kind, subject_id, tenant_id, starts_at, created_at) ` + u +
				`SELECT ` + relation(fmt.Sprint("n + ", sc.Users)) + `, 'patient', ` + user + `, ` + tenant("1") + `, ` + t0 + `, ` + t0 +
				fmt.Sprintf(` FROM u WHERE n <= %d / 2`, sc.Users),
			`INSERT INTO relations (id, kind, subject_id, object_id, tenant_id, starts_at, created_at) ` + u +
				`SELECT ` + relation(fmt.Sprint("n + 2 * ", sc.Users)) + `, 'care', ` + last + `, ` + user + `, ` + tenant("1") + `, ` +
				t0 + `, ` + t0 + ` FROM u WHERE n <= 2`,
		} {
			if _, err := exec(ctx, r, text); err != nil {
				return fmt.Errorf("%w\n%s", err, text)
			}
		}
		return nil
	})
}

func TestLists(t *testing.T) {
	t.Parallel()
	storetest.Lists(t, open, storetest.ScaleOf(1000))
}

func BenchmarkLists(b *testing.B) { storetest.BenchLists(b, open) }

var _ storetest.Seeder = testStore{}
