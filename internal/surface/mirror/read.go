package mirror

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

func invalid(format string, args ...any) error {
	return auth.E(auth.CodeValidation, fmt.Sprintf(format, args...))
}

// fields reads the body of a request.
func fields(r *http.Request) (*web.Fields, error) {
	body, err := web.ReadObject(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // an *auth.Error
	}
	return body.Fields(), nil
}

// id reads the id of the path. What is no UUID is the id of nobody.
func (c *call) id() (auth.ID, error) {
	id, err := auth.ParseID(c.r.PathValue("id"))
	if err != nil || id.IsZero() {
		return auth.ID{}, auth.E(auth.CodeUserNotFound, "")
	}
	return id, nil
}

// query reads parameters and keeps the first error. Parameters that nobody asks for are
// ignored.
type query struct {
	values url.Values
	err    error
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = invalid(format, args...)
	}
}

// text gives a parameter, "" when it is missing. One that is given twice is refused: a filter
// in front of us may have looked at the other one.
func (q *query) text(name string) string {
	values := q.values[name]
	switch {
	case len(values) == 0:
		return ""
	case len(values) > 1:
		q.fail("%s must be given once", name)
	case !auth.CleanText(values[0]):
		q.fail("%s contains what can't be stored", name)
	}
	return values[0]
}

// id gives a parameter that is an id, zero when it is missing.
func (q *query) id(name string) auth.ID {
	s := q.text(name)
	if s == "" {
		return auth.ID{}
	}
	id, err := auth.ParseID(s)
	if err != nil || id.IsZero() {
		q.fail("%s must be a UUID", name)
	}
	return id
}

// flag gives a parameter that is true or false, nil when it is missing.
func (q *query) flag(name string) *bool {
	s := q.text(name)
	if s == "" {
		return nil
	}
	b, err := strconv.ParseBool(strings.ToLower(s))
	if err != nil {
		q.fail("%s must be true or false", name)
		return nil
	}
	return &b
}

// number gives a parameter from 1 to the largest, the standard when it is missing.
func (q *query) number(name string, standard, largest int) int {
	s := q.text(name)
	if s == "" {
		return standard
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > largest {
		q.fail("%s must be a number from 1 to %d", name, largest)
		return standard
	}
	return n
}
