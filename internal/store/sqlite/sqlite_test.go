package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store"
	"github.com/cardea-auth/cardea/internal/store/storetest"
)

// testStore adds what the suite wants to see and the product doesn't need.
type testStore struct{ *Store }

// AuditRows implements storetest.Auditor.
func (s testStore) AuditRows(ctx context.Context) ([]storetest.AuditRow, error) {
	var rows []storetest.AuditRow
	err := s.read("audit rows", func(r runner) error {
		return each(ctx, r, `SELECT id, created_at, payload, ip_address FROM audit_log_entries ORDER BY created_at, id`, nil,
			func(scan func(...any) error) error {
				var row storetest.AuditRow
				err := scan((*uuid)(&row.ID), (*micros)(&row.At), (*object)(&row.Payload), &row.IP)
				rows = append(rows, row)
				return err
			})
	})
	return rows, err
}

// AddFactor implements storetest.FactorMaker.
func (s testStore) AddFactor(ctx context.Context, f auth.Factor) error {
	return s.write(ctx, "add factor", func(r runner) error {
		_, err := exec(ctx, r, `INSERT INTO mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?)`, f.ID.String(), f.UserID.String(), f.Type, f.Status, at(f.CreatedAt), at(f.UpdatedAt))
		return err
	})
}

// open gives a migrated, empty store in a file of its own.
func open(tb testing.TB) store.Store {
	tb.Helper()
	return testStore{openAt(tb, filepath.Join(tb.TempDir(), "cardea.db"))}
}

func openAt(tb testing.TB, path string) *Store {
	tb.Helper()
	if err := Migrate(tb.Context(), path); err != nil {
		tb.Fatal(err)
	}
	s, err := Open(tb.Context(), Config{Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, open)
}

// C2, A7.1, A7.2
func TestRace(t *testing.T) {
	t.Parallel()
	storetest.Race(t, open)
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, open) }

var (
	_ storetest.Auditor     = testStore{}
	_ storetest.FactorMaker = testStore{}
)
