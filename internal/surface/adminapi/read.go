package adminapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

func invalid(format string, args ...any) error {
	return auth.E(auth.CodeValidation, fmt.Sprintf(format, args...))
}

// id reads an id of the path. What is no UUID is the id of nothing.
func (c *call) id(name string) (auth.ID, error) {
	id, err := auth.ParseID(c.r.PathValue(name))
	if err != nil || id.IsZero() {
		return auth.ID{}, auth.E(auth.CodeBadID, "")
	}
	return id, nil
}

// text reads a text of the path.
func (c *call) text(name string) (string, error) {
	s := c.r.PathValue(name)
	if s == "" || len(s) > 200 || !auth.CleanText(s) {
		return "", auth.E(auth.CodeBadID, "")
	}
	return s, nil
}

// body reads members of a request's body and keeps the first error. A member that nobody
// asked for is an error as well: an operator who writes "role" for "roles" must learn of it.
type body struct {
	*web.Fields

	o    web.Object
	read []string
	err  error
}

// body reads the body of the request; one that may be missing reads as {}.
func (c *call) body(optional bool) (*body, error) {
	read := web.ReadObject
	if optional {
		read = web.ReadOptionalObject
	}
	o, err := read(c.r)
	if err != nil {
		return nil, err //nolint:wrapcheck // an *auth.Error
	}
	return &body{Fields: o.Fields(), o: o}, nil
}

func (b *body) text(name string) string {
	b.read = append(b.read, name)
	return b.String(name)
}

func (b *body) opt(name string) *string {
	b.read = append(b.read, name)
	return b.OptString(name)
}

func (b *body) flag(name string) bool {
	b.read = append(b.read, name)
	return b.Bool(name)
}

func (b *body) optFlag(name string) *bool {
	b.read = append(b.read, name)
	return b.OptBool(name)
}

func (b *body) object(name string) map[string]json.RawMessage {
	b.read = append(b.read, name)
	return b.Object(name)
}

// id reads an id; zero when it is not there, or null.
func (b *body) id(name string) auth.ID {
	s := b.text(name)
	if s == "" {
		return auth.ID{}
	}
	id, err := auth.ParseID(s)
	if err != nil || id.IsZero() {
		b.fail("%s must be a UUID", name)
	}
	return id
}

// at reads a time; nil when it is not there. The zero time of Go stands for "never".
func (b *body) at(name string) *time.Time {
	s := b.opt(name)
	if s == nil {
		return nil
	}
	t, err := time.Parse(time.RFC3339, *s)
	if err != nil || !t.IsZero() && t.Year() < 1900 || t.Year() > 9000 { // what every database can store
		b.fail("%s must be a time such as 2026-03-01T08:00:00Z", name)
		return nil
	}
	t = auth.Truncate(t)
	return &t
}

// texts reads a list of texts; ok is false when it is not there.
func (b *body) texts(name string) (list []string, ok bool) {
	b.read = append(b.read, name)
	if !b.o.Has(name) {
		return nil, false
	}
	if err := json.Unmarshal(b.o[name], &list); err != nil {
		b.fail("%s must be a list of strings", name)
	}
	return list, true
}

// into reads any other member.
func (b *body) into(name string, dst any, want string) {
	b.read = append(b.read, name)
	if b.o.Has(name) && json.Unmarshal(b.o[name], dst) != nil {
		b.fail("%s must be %s", name, want)
	}
}

func (b *body) fail(format string, args ...any) {
	if b.err == nil {
		b.err = invalid(format, args...)
	}
}

// done gives the first error.
func (b *body) done() error {
	if err := b.Err(); err != nil {
		return err //nolint:wrapcheck // an *auth.Error
	}
	if b.err != nil {
		return b.err
	}
	return unknown("member", b.o, b.read)
}

func unknown[T any](what string, given map[string]T, known []string) error {
	var names []string
	for name := range given {
		if !slices.Contains(known, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	name := names[0]
	if len(name) > 40 || !auth.CleanText(name) {
		name = "..."
	}
	slices.Sort(known)
	return invalid("there is no %s %q here; known are %s", what, name, strings.Join(known, ", "))
}

// query reads parameters and keeps the first error. Unknown ones and those given twice are
// errors: a filter that was not understood would show everything.
type query struct {
	given map[string][]string
	read  []string
	err   error
}

func (c *call) query() *query { return &query{given: c.r.URL.Query()} }

func (q *query) text(name string) string {
	q.read = append(q.read, name)
	values := q.given[name]
	switch {
	case len(values) == 0:
		return ""
	case len(values) > 1:
		q.fail("%s must be given once", name)
	case !auth.CleanText(values[0]) || len(values[0]) > 1000:
		q.fail("%s is too long or has characters that can't be stored", name)
	default:
		return values[0]
	}
	return ""
}

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

func (q *query) flag(name string) *bool {
	switch s := q.text(name); s {
	case "":
		return nil
	case "true", "false":
		yes := s == "true"
		return &yes
	}
	q.fail("%s must be true or false", name)
	return nil
}

// limit reads the size of a page.
func (q *query) limit(most int) int {
	s := q.text("limit")
	if s == "" {
		return min(50, most)
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		q.fail("limit must be a number from 1 to %d", most)
	}
	return n
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = invalid(format, args...)
	}
}

func (q *query) done() error {
	if q.err != nil {
		return q.err
	}
	return unknown("parameter", q.given, q.read)
}

// maxPage is the largest page. One more is asked for, to know whether there is another page.
const maxPage = 100

// cut gives the page and the id to go on after.
func cut[T any](list []T, limit int, id func(*T) auth.ID) ([]T, string) {
	if len(list) <= limit {
		return list, ""
	}
	return list[:limit], id(&list[limit-1]).String()
}

// created is the answer of routes that make something.
const created = http.StatusCreated

// accepted is the answer of routes that begin something which goes on.
const accepted = http.StatusAccepted
