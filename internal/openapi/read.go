package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

// Reading says how strictly a request is read.
type Reading struct {
	// Strict refuses members and parameters that the type does not name, and the nil UUID. An
	// operator who writes "role" for "roles" must learn of it, and a filter that was not
	// understood would show everything. Without it what the type does not name is ignored.
	Strict bool
	// BodyOptional reads a missing body as {}.
	BodyOptional bool
}

// read decodes a request once, into a type with these fields; nothing behind it looks at the
// request again.
func read[In any](r *http.Request, fields []field, how Reading) (In, error) {
	var in In
	body, err := how.body(r, fields)
	if err != nil {
		return in, err
	}
	query := r.URL.Query()
	v := reflect.ValueOf(&in).Elem()
	for i := range fields {
		f := &fields[i]
		dst := v.Field(f.index)
		switch f.place {
		case inPath:
			if err = f.fromText(dst, r.PathValue(f.name), how.Strict); err != nil {
				err = auth.E(auth.CodeBadID, "")
			}
		case inQuery:
			err = f.fromQuery(dst, query, how.Strict)
		case inBody:
			err = f.fromBody(dst, body, how.Strict)
		}
		if err != nil {
			return in, err
		}
	}
	if !how.Strict {
		return in, nil
	}
	if err := unknown("parameter", query, fields, inQuery); err != nil {
		return in, err
	}
	return in, unknown("member", body, fields, inBody)
}

func (how Reading) body(r *http.Request, fields []field) (web.Object, error) {
	if !slices.ContainsFunc(fields, func(f field) bool { return f.place == inBody }) {
		return nil, nil
	}
	if how.BodyOptional {
		return web.ReadOptionalObject(r) //nolint:wrapcheck // an *auth.Error
	}
	return web.ReadObject(r) //nolint:wrapcheck // an *auth.Error
}

// unknown refuses names that the type has no field for.
func unknown[T any](what string, given map[string]T, fields []field, at place) error {
	var known []string
	for i := range fields {
		if fields[i].place == at {
			known = append(known, fields[i].name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(known, name) {
			continue
		}
		if len(name) > 40 || !auth.CleanText(name) {
			name = "..."
		}
		slices.Sort(known)
		return invalid("there is no %s %q here; known are %s", what, name, strings.Join(known, ", "))
	}
	return nil
}

func invalid(format string, args ...any) error {
	return auth.E(auth.CodeValidation, fmt.Sprintf(format, args...))
}

func (f *field) fromQuery(dst reflect.Value, query url.Values, strict bool) error {
	switch values := query[f.name]; {
	case len(values) > 1: // a filter in front of us may have looked at the other one
		return invalid("%s must be given once", f.name)
	case len(values) == 0 && f.need:
		return invalid("%s is required", f.name)
	case len(values) == 0 && f.standard == "":
		return nil
	case len(values) == 0:
		return f.fromText(dst, f.standard, strict)
	default:
		return f.fromText(dst, values[0], strict)
	}
}

// fromText reads a path segment or parameter.
func (f *field) fromText(dst reflect.Value, text string, strict bool) error {
	if !auth.CleanText(text) {
		return invalid("%s contains what can't be stored", f.name)
	}
	switch {
	case f.typ == reflect.TypeFor[auth.ID]():
		id, err := auth.ParseID(text)
		if err != nil || strict && id.IsZero() {
			return invalid("%s must be a UUID", f.name)
		}
		set(dst, reflect.ValueOf(id))
		return nil
	case f.typ.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return invalid("%s must be true or false", f.name)
		}
		set(dst, reflect.ValueOf(text == "true"))
		return nil
	case f.typ.Kind() == reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil || n < f.min || f.max > 0 && n > f.max {
			return invalid("%s must be a number from %d to %d", f.name, f.min, f.max)
		}
		set(dst, reflect.ValueOf(n))
		return nil
	}
	set(dst, reflect.ValueOf(text))
	return f.checkText(text)
}

// fromBody reads a member. Clients send null for "not given".
func (f *field) fromBody(dst reflect.Value, body web.Object, strict bool) error {
	if !body.Has(f.name) {
		if _, there := body[f.name]; f.need && (!f.null || !there) {
			return invalid("%s is required", f.name)
		}
		return nil
	}
	raw := body[f.name]
	if f.typ == reflect.TypeFor[auth.ID]() {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return invalid("%s must be a UUID", f.name)
		}
		return f.fromText(dst, text, strict)
	}
	v := reflect.New(f.typ)
	if err := json.Unmarshal(raw, v.Interface()); err != nil {
		return invalid("%s must be %s", f.name, kindOf(f.typ))
	}
	set(dst, v.Elem())
	switch got := v.Elem().Interface().(type) {
	case string:
		return f.checkText(got)
	case time.Time:
		if !got.IsZero() && (got.Year() < 1900 || got.Year() > 9000) { // what every database can store
			return invalid("%s must be %s", f.name, kindOf(f.typ))
		}
	}
	return nil
}

func (f *field) checkText(text string) error {
	n := utf8.RuneCountInString(text)
	switch {
	case f.enum != nil && !slices.Contains(f.enum, text):
		return invalid("%s must be one of %s", f.name, strings.Join(f.enum, ", "))
	case f.need && text == "":
		return invalid("%s is required", f.name)
	case n < f.min && text != "" || f.max > 0 && n > f.max:
		return invalid("%s must have %d to %d characters", f.name, f.min, f.max)
	}
	return nil
}

// set writes a value into a field or what it points to.
func set(dst, v reflect.Value) {
	if dst.Kind() == reflect.Pointer {
		p := reflect.New(dst.Type().Elem())
		p.Elem().Set(v)
		v = p
	}
	dst.Set(v)
}

// kindOf names a type as a reader of JSON does.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "a time such as 2026-03-01T08:00:00Z"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Map:
		return "an object"
	case t.Kind() == reflect.Slice:
		return "a list of strings"
	}
	return "a number"
}
