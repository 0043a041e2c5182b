package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// tries is how often a transaction is begun again that PostgreSQL has broken off.
const tries = 5

// unlocked runs a transaction that other rows than its own hang on, and runs it again when
// PostgreSQL has ended it to dissolve a circle of waiting (deadlock_detected): nothing of it
// has happened then. The order of locks avoids the circles that can be foreseen; a relation
// that comes about while its agent is deleted can't.
func unlocked(transaction func() error) error {
	var err error
	for range tries {
		err = transaction()
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "40P01" {
			return err
		}
	}
	return err
}
