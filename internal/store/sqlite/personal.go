package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// PersonalData implements store.Privacy. Each table is read at one moment, and all of them
// within one write's turn, so that no change comes in between.
func (s *Store) PersonalData(ctx context.Context, user auth.ID) (out []auth.ExportedTable, err error) {
	err = s.write(ctx, "personal data", func(r runner) error {
		var held bool
		if err := one(ctx, r, sqlIsLiving, []any{user.String()}, &held); err != nil {
			return err
		}
		for _, t := range auth.PersonalTables() {
			if len(t.Show) == 0 {
				continue
			}
			rows, err := personalRows(ctx, r, &t, user)
			if err != nil {
				return &auth.TableError{Table: t.Name, Cause: err}
			}
			out = append(out, auth.ExportedTable{Name: t.Name, Rows: rows})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func personalQuery(t *auth.PersonalTable) string {
	names := make([]string, len(t.Show))
	for i, c := range t.Show {
		names[i] = c.Name
	}
	where := strings.Join(t.People, " = ?1 OR ") + " = ?1"
	if t.Name == auth.AuditTable {
		where = "instr(payload, ?1) > 0"
	}
	order := t.Order
	if order == "" {
		order = t.Show[0].Name
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM " + t.Name + " WHERE " + where + " ORDER BY " + order + ", 1"
}

func personalRows(ctx context.Context, r runner, t *auth.PersonalTable, user auth.ID) ([]map[string]any, error) {
	var rows []map[string]any
	err := each(ctx, r, personalQuery(t), []any{user.String()}, func(scan func(...any) error) error {
		targets := make([]any, len(t.Show))
		for i, c := range t.Show {
			switch c.Kind {
			case auth.ColumnTime:
				targets[i] = new(micros)
			case auth.ColumnBool:
				targets[i] = new(bool)
			default:
				targets[i] = new(sql.NullString)
			}
		}
		if err := scan(targets...); err != nil {
			return err
		}
		values := make([]any, len(targets))
		for i, target := range targets {
			switch v := target.(type) {
			case *micros:
				values[i] = time.Time(*v)
			case *bool:
				values[i] = *v
			case *sql.NullString:
				if v.Valid {
					values[i] = v.String
				}
			}
		}
		row, err := t.Row(values, user)
		rows = append(rows, row)
		return err
	})
	return rows, err
}
