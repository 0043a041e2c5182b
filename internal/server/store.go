package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/store"
	"github.com/cardea-auth/cardea/internal/store/postgres"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
)

// Migrate brings the schema of the configured database up to this binary's version.
func Migrate(ctx context.Context, cfg config.Config) error {
	var err error
	if path, ok := cfg.SQLitePath(); ok {
		err = sqlite.Migrate(ctx, path)
	} else {
		err = postgres.Migrate(ctx, cfg.DatabaseURL)
	}
	switch {
	case errors.Is(err, postgres.ErrForeignSchema):
		return fmt.Errorf("server: %w: run `cardea migrate adopt --dry-run` first, and see docs/guides/adopt-supabase.md", err)
	case err != nil:
		return fmt.Errorf("server: migrate the database: %w", err)
	}
	return nil
}

// schemaChecker is a store that knows whether its schema is the one of this binary.
type schemaChecker interface {
	store.Store
	CheckSchema(ctx context.Context) error
}

// openStore connects the database. A schema that is not this binary's is an error that
// says what to do, unless the configuration asks to migrate.
func openStore(ctx context.Context, cfg config.Config) (store.Store, error) {
	st, err := connect(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("server: the database can't be opened: %w", err)
	}
	err = st.CheckSchema(ctx)
	if err == nil {
		return st, nil
	}
	older := errors.Is(err, sqlite.ErrSchemaOlder) || errors.Is(err, postgres.ErrSchemaOlder)
	if !older || !cfg.DB.MigrateOnStart {
		st.Close()
		if older {
			return nil, fmt.Errorf("server: %w: run `cardea migrate` first, or start with --migrate", err)
		}
		if errors.Is(err, sqlite.ErrSchemaNewer) || errors.Is(err, postgres.ErrSchemaNewer) {
			return nil, fmt.Errorf("server: %w: start the newer version of cardea, or restore the database from before its migration", err)
		}
		return nil, fmt.Errorf("server: the database can't be read: %w", err)
	}
	st.Close()
	if err := Migrate(ctx, cfg); err != nil {
		return nil, err
	}
	st, err = connect(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("server: the database can't be opened: %w", err)
	}
	return st, nil
}

// connect opens the store that the database URL names.
func connect(ctx context.Context, cfg config.Config) (schemaChecker, error) {
	if path, ok := cfg.SQLitePath(); ok {
		return sqlite.Open(ctx, sqlite.Config{Path: path, Synchronous: cfg.DB.SQLiteSync})
	}
	return postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, MaxConns: cfg.DB.MaxConns})
}
