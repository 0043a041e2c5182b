package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

// PersonalData implements store.Privacy. All tables are read at one moment.
func (s *Store) PersonalData(ctx context.Context, user auth.ID) ([]auth.ExportedTable, error) {
	var out []auth.ExportedTable
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, `SELECT deleted_at IS NULL FROM auth.users WHERE id = $1`, uuid(user)).Scan(&there); err != nil {
			return err
		}
		if !there {
			return auth.ErrNotFound
		}
		for _, t := range auth.PersonalTables() {
			if len(t.Show) == 0 {
				continue
			}
			rows, err := personalRows(ctx, tx, &t, user)
			if err != nil {
				return &auth.TableError{Table: t.Name, Cause: err}
			}
			out = append(out, auth.ExportedTable{Name: t.Name, Rows: rows})
		}
		return nil
	})
	if err != nil {
		return nil, storeError("personal data", err)
	}
	return out, nil
}

// personalQuery reads everything but times and truth as text.
func personalQuery(t *auth.PersonalTable) string {
	list := make([]string, len(t.Show))
	for i, c := range t.Show {
		switch c.Kind {
		case auth.ColumnTime, auth.ColumnBool:
			list[i] = c.Name
		case auth.ColumnIP:
			list[i] = "host(" + c.Name + ")"
		default:
			list[i] = c.Name + "::text"
		}
	}
	where := strings.Join(t.People, " = $1 OR ") + " = $1"
	if t.Name == auth.AuditTable {
		where = `payload::text LIKE '%' || $1::uuid::text || '%'`
	}
	order := t.Order
	if order == "" {
		order = t.Show[0].Name
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM auth." + t.Name + " WHERE " + where + " ORDER BY " + t.Name + "." + order + ", 1"
}

func personalRows(ctx context.Context, tx pgx.Tx, t *auth.PersonalTable, user auth.ID) ([]map[string]any, error) {
	rows, err := tx.Query(ctx, personalQuery(t), uuid(user))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (map[string]any, error) {
		targets := make([]any, len(t.Show))
		for i, c := range t.Show {
			switch c.Kind {
			case auth.ColumnTime:
				targets[i] = new(moment)
			case auth.ColumnBool:
				targets[i] = new(bool)
			default:
				targets[i] = new(pgtype.Text)
			}
		}
		if err := row.Scan(targets...); err != nil {
			return nil, err
		}
		values := make([]any, len(targets))
		for i, target := range targets {
			switch v := target.(type) {
			case *moment:
				values[i] = time.Time(*v)
			case *bool:
				values[i] = *v
			case *pgtype.Text:
				if v.Valid {
					values[i] = v.String
				}
			}
		}
		return t.Row(values, user)
	})
}
