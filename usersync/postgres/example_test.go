package postgres_test

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-auth/cardea/usersync"
	"github.com/cardea-auth/cardea/usersync/postgres"
)

// A service that has its own pool and trusts an issuer whose tokens say what is proved.
func Example() {
	mirror := func(ctx context.Context, pool *pgxpool.Pool) (*usersync.Syncer, error) {
		store, err := postgres.New(pool, postgres.Config{Schema: "usersync"})
		if err != nil {
			return nil, err
		}
		if err := store.Migrate(ctx); err != nil {
			return nil, err
		}
		return usersync.New(usersync.Config{
			Store:   store,
			Sources: map[string]usersync.Source{"https://login.example.com/realms/clinic": usersync.Claims{}},
		})
	}
	_ = mirror
}
