package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// things lists what is in schema auth, each with the words that drop it. Columns, indexes
// and constraints of a table go with it, so a reader needs to look at those only whose table
// stays.
const things = `
SELECT 'TABLE auth.' || quote_ident(relname), relname::text, '' FROM pg_catalog.pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r'
UNION ALL SELECT 'COLUMN ' || quote_ident(attname), attname, 'auth.' || quote_ident(relname)
	FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = attrelid
	WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'CONSTRAINT ' || quote_ident(conname), conname, 'auth.' || quote_ident(relname)
	FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = conrelid WHERE relnamespace = 'auth'::regnamespace AND contype <> 'n'
UNION ALL SELECT 'INDEX auth.' || quote_ident(i.relname), i.relname, 'auth.' || quote_ident(c.relname)
	FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = indexrelid JOIN pg_catalog.pg_class c ON c.oid = indrelid
	WHERE c.relnamespace = 'auth'::regnamespace AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.oid)
UNION ALL SELECT 'FUNCTION auth.' || quote_ident(proname) || '(' || pg_get_function_identity_arguments(oid) || ')', proname, ''
	FROM pg_catalog.pg_proc WHERE pronamespace = 'auth'::regnamespace
UNION ALL SELECT 'TYPE auth.' || quote_ident(typname), typname, '' FROM pg_catalog.pg_type WHERE typnamespace = 'auth'::regnamespace AND typtype = 'e'`

// thing is one of them.
type thing struct{ drop, name, of string }

func listThings(ctx context.Context, tx pgx.Tx) ([]thing, error) {
	rows, err := tx.Query(ctx, things)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (thing, error) {
		var t thing
		err := row.Scan(&t.drop, &t.name, &t.of)
		return t, err
	})
}

// key names a thing in the list that an adoption leaves.
func (t thing) key() string { return strings.TrimSpace(t.of + " " + t.drop) }

// inventory is what is in the schema before the adoption, for whoever wants to be rid of us.
func inventory(ctx context.Context, tx pgx.Tx) ([]string, error) {
	all, err := listThings(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("take stock: %w", err)
	}
	keys := make([]string, len(all))
	for i, t := range all {
		keys[i] = t.key()
	}
	slices.Sort(keys)
	return keys, nil
}

// inventoryAgain is what is not ours when a schema is taken over once more: what was there
// the first time, and what has come while it was GoTrue's.
func inventoryAgain(ctx context.Context, tx pgx.Tx, now []string) ([]string, error) {
	var before, after []string
	err := tx.QueryRow(ctx, "SELECT before, after FROM auth.cardea_adoption ORDER BY id DESC LIMIT 1").Scan(&before, &after)
	if err != nil {
		return nil, fmt.Errorf("take stock: %w", err)
	}
	since := slices.DeleteFunc(now, func(key string) bool { return slices.Contains(after, key) })
	return append(before, since...), nil
}

// removeOurs drops what has come to the schema since the adoption and has a name that our
// migrations make. What is left over is somebody else's, and is named.
func removeOurs(ctx context.Context, tx pgx.Tx) (left []string, err error) {
	var before []string
	if err := tx.QueryRow(ctx, "SELECT before FROM auth.cardea_adoption ORDER BY id DESC LIMIT 1").Scan(&before); err != nil {
		return nil, fmt.Errorf("the list of what there was: %w", err)
	}
	all, err := listThings(ctx, tx)
	if err != nil {
		return nil, err
	}
	ours, err := ourNames()
	if err != nil {
		return nil, err
	}
	added := slices.DeleteFunc(all, func(t thing) bool { return slices.Contains(before, t.key()) })
	for _, t := range added {
		stays := slices.Contains(before, "TABLE "+t.of)
		switch {
		case t.of != "" && !stays: // goes with its table
		case !ours[t.name]:
			left = append(left, t.key())
		default:
			sql := "DROP " + t.drop + " CASCADE"
			if t.of != "" && !strings.HasPrefix(t.drop, "INDEX") {
				sql = "ALTER TABLE " + t.of + " DROP " + strings.Replace(t.drop, " ", " IF EXISTS ", 1) + " CASCADE"
			} else {
				sql = strings.Replace(sql, " auth.", " IF EXISTS auth.", 1) // an index may have gone with its column
			}
			if _, err := tx.Exec(ctx, sql); err != nil {
				return nil, fmt.Errorf("%s: %w", sql, err)
			}
		}
	}
	return left, nil
}

// ourNames are the words of our migrations: whatever they make has a name among them.
func ourNames() (map[string]bool, error) {
	names := map[string]bool{"cardea_adoption": true, "cardea_migrations": true, "cardea_migrations_released": true}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	words := regexp.MustCompile(`[a-z_][a-z0-9_]*`)
	for _, name := range files {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for _, w := range words.FindAllString(string(text), -1) {
			names[w] = true
		}
	}
	return names, nil
}
