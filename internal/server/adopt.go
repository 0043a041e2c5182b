package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// errNoGoTrue: GoTrue works on PostgreSQL only.
var errNoGoTrue = errors.New("server: GoTrue's schema lives in PostgreSQL, and DATABASE_URL names another database")

// AdoptOptions is what an operator says beside the configuration.
type AdoptOptions struct {
	DryRun        bool
	AcceptVersion string        // see postgres.AdoptConfig
	LockTimeout   time.Duration // see postgres.AdoptConfig
	Notice        func(message string)
}

// Adopt takes over the schema of a GoTrue in the configured database, and then runs the
// migrations that are newer than what an adoption makes. The report says what was found,
// also with an error.
func Adopt(ctx context.Context, cfg config.Config, o AdoptOptions) (postgres.AdoptReport, error) {
	if _, sqlite := cfg.SQLitePath(); sqlite {
		return postgres.AdoptReport{}, errNoGoTrue
	}
	r, err := postgres.Adopt(ctx, postgres.AdoptConfig{
		URL: cfg.DatabaseURL, Audience: cfg.JWT.Audience, AcceptVersion: o.AcceptVersion, LockTimeout: o.LockTimeout, DryRun: o.DryRun,
		Now: time.Now, Notice: o.Notice,
	})
	if err != nil {
		return r, fmt.Errorf("server: %w", err)
	}
	if o.DryRun {
		return r, nil
	}
	return r, Migrate(ctx, cfg)
}

// ReleaseOptions is what an operator says beside the configuration.
type ReleaseOptions struct {
	// EndSessions writes no keys of sessions into the rows, where GoTrue looks for them: who
	// has come since the adoption signs in again.
	EndSessions bool
	Remove      bool          // see postgres.ReleaseConfig
	LockTimeout time.Duration // see postgres.AdoptConfig
}

// Release gives an adopted schema back to GoTrue.
func Release(ctx context.Context, cfg config.Config, o ReleaseOptions) (postgres.ReleaseReport, error) {
	if _, sqlite := cfg.SQLitePath(); sqlite {
		return postgres.ReleaseReport{}, errNoGoTrue
	}
	c := postgres.ReleaseConfig{URL: cfg.DatabaseURL, LockTimeout: o.LockTimeout, Remove: o.Remove, Now: time.Now}
	if err := postgres.CheckAdopted(ctx, cfg.DatabaseURL); err != nil {
		return postgres.ReleaseReport{}, fmt.Errorf("server: %w", err)
	}
	if !o.EndSessions {
		s, err := Open(ctx, cfg, Options{})
		if err != nil {
			return postgres.ReleaseReport{}, err
		}
		c.SessionKey = s.ring.SessionKey // it needs no database
		if err := s.Close(); err != nil {
			return postgres.ReleaseReport{}, err
		}
	}
	r, err := postgres.Release(ctx, c)
	if err != nil {
		return r, fmt.Errorf("server: %w", err)
	}
	return r, nil
}
