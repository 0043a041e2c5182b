package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestUnlocked: what was ended to dissolve a deadlock is run again, a few times; nothing else is.
func TestUnlocked(t *testing.T) {
	t.Parallel()
	deadlock := storeError("delete user", &pgconn.PgError{Code: "40P01"})
	other := errors.New("no connection")
	for _, c := range []struct {
		name  string
		errs  []error
		calls int
		want  error
	}{
		{"at once", []error{nil}, 1, nil},
		{"after two", []error{deadlock, fmt.Errorf("more: %w", deadlock), nil}, 3, nil},
		{"another error", []error{other}, 1, other},
		{"for ever", []error{deadlock, deadlock, deadlock, deadlock, deadlock}, 5, deadlock},
	} {
		calls := 0
		err := unlocked(func() error { calls++; return c.errs[calls-1] })
		if calls != c.calls || !errors.Is(err, c.want) {
			t.Errorf("%s: %d calls, %v", c.name, calls, err)
		}
	}
}
