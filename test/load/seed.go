package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// batch is the number of users that one statement inserts.
const batch = 50_000

// seeder inserts users straight into the database. A million sign-ups would take a day of
// password hashing; here one account is made by the server, and the database copies its
// rows. So the copies are exactly what the server writes, whatever columns it has, and
// all have the password of the first.
type seeder interface {
	// columns lists the columns of a table that can be written.
	columns(ctx context.Context, table string) ([]string, error)
	// exec runs one statement; $1, $2 and $3 are args.
	exec(ctx context.Context, sql string, args ...any) error
	// dialect gives the expressions that differ between databases.
	dialect() dialect
	// postmaster gives the process id of PostgreSQL's main process, 0 without one.
	postmaster(ctx context.Context) (int, error)
	close() error
}

// dialect holds SQL expressions. In those for a user's row, n is the number of the user.
type dialect struct {
	users, identities string // tables
	series            string // FROM item with the column n, from $1 to $2
	email             string // address of user n
	userID            string // id of user n: a UUID of version 7, later users having greater ones
	identityID        string // a fresh UUID
	providerID        string // u.id as text
	identityData      string // t.identity_data with sub and email of u
	finish            []string
}

// seed makes the first account and copies it.
func (l *lab) seed(ctx context.Context) error {
	var template struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if err := l.post(ctx, "/signup", map[string]string{"email": freshAddress(), "password": password}, &template); err != nil {
		return err
	}
	d := l.store.dialect()
	users, err := l.store.columns(ctx, "users")
	if err != nil {
		return err
	}
	identities, err := l.store.columns(ctx, "identities")
	if err != nil {
		return err
	}
	userSQL := copyRows(d.users, users, map[string]string{"id": d.userID, "email": d.email},
		fmt.Sprintf("%s CROSS JOIN %s t WHERE t.id = $3", d.series, d.users))
	identitySQL := copyRows(d.identities, identities,
		map[string]string{"id": d.identityID, "user_id": "u.id", "provider_id": d.providerID, "identity_data": d.identityData},
		fmt.Sprintf("%s JOIN %s u ON u.id = %s CROSS JOIN %s t WHERE t.user_id = $3", d.series, d.users, d.userID, d.identities))
	said := time.Now()
	for first := 1; first <= l.users; first += batch {
		last := min(first+batch-1, l.users)
		for _, sql := range []string{userSQL, identitySQL} {
			if err := l.store.exec(ctx, sql, first, last, template.User.ID); err != nil {
				return err
			}
		}
		if time.Since(said) > 5*time.Second {
			l.say("%d users inserted", last)
			said = time.Now()
		}
	}
	for _, sql := range d.finish {
		if err := l.store.exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// copyRows makes an INSERT that takes every column from t, but those in changed.
func copyRows(table string, columns []string, changed map[string]string, from string) string {
	values := make([]string, len(columns))
	for i, c := range columns {
		if v, ok := changed[c]; ok {
			values[i] = v
		} else {
			values[i] = "t." + c
		}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", table, strings.Join(columns, ", "), strings.Join(values, ", "), from)
}

// openSeeder opens the database of a server.
func openSeeder(ctx context.Context, url string) (seeder, error) {
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		return openSQLite(path)
	}
	return openPostgres(ctx, url)
}
