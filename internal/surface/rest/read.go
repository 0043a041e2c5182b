package rest

import (
	"encoding/json"
	"fmt"
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

// place says where a field of a request stands.
type place int

const (
	inBody place = iota
	inPath
	inQuery
)

// field is one field of a request or answer type, as its tags describe it:
//
//	json:"name" path:"name" query:"name"   where it is
//	doc:"..."                              what it is
//	need:"true"                            a request without it is refused
//	enum:"a,b"  min:"2"  max:"100"         allowed values; lengths of text in code points, else numbers
//	format:"email"  example:"..."  default:"..."
type field struct {
	name     string
	place    place
	index    int
	typ      reflect.Type // without pointer
	need     bool         // in requests
	omits    bool         // in answers: may be missing
	doc      string
	format   string
	example  string
	standard string
	enum     []string
	min, max int // 0: none
}

// fieldsOf lists the fields of a struct type. A tag that can't be read is a mistake of the
// table, which every test meets: it panics.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		f := field{index: i, typ: sf.Type, need: sf.Tag.Get("need") == "true", doc: sf.Tag.Get("doc"), format: sf.Tag.Get("format")}
		f.example, f.standard = sf.Tag.Get("example"), sf.Tag.Get("default")
		if name, ok := sf.Tag.Lookup("path"); ok {
			f.name, f.place = name, inPath
		} else if name, ok := sf.Tag.Lookup("query"); ok {
			f.name, f.place = name, inQuery
		} else {
			name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
			f.name, f.omits = name, strings.Contains(options, "omit")
		}
		if f.typ.Kind() == reflect.Pointer {
			f.typ = f.typ.Elem()
		}
		if list := sf.Tag.Get("enum"); list != "" {
			f.enum = strings.Split(list, ",")
		}
		f.min, f.max = number(sf, "min"), number(sf, "max")
		if f.name == "" || f.doc == "" {
			panic("rest: " + t.Name() + "." + sf.Name + " needs a name and a doc")
		}
		out = append(out, f)
	}
	return out
}

func number(sf reflect.StructField, tag string) int {
	text, ok := sf.Tag.Lookup(tag)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		panic("rest: tag of " + sf.Name + ": " + err.Error())
	}
	return n
}

// read decodes a request once, into a type with these fields; nothing behind it looks at the
// request again. Members that the type does not name are ignored: they can't do anything.
func read[In any](r *http.Request, fields []field) (In, error) {
	var in In
	v := reflect.ValueOf(&in).Elem()
	var body web.Object
	if slices.ContainsFunc(fields, func(f field) bool { return f.place == inBody }) {
		var err error
		if body, err = web.ReadObject(r); err != nil {
			return in, err
		}
	}
	query := r.URL.Query()
	for i := range fields {
		f := &fields[i]
		var err error
		switch f.place {
		case inPath:
			err = f.fromText(v.Field(f.index), r.PathValue(f.name))
			if err != nil {
				err = auth.E(auth.CodeBadID, "")
			}
		case inQuery:
			err = f.fromQuery(v.Field(f.index), query)
		case inBody:
			err = f.fromBody(v.Field(f.index), body)
		}
		if err != nil {
			return in, err
		}
	}
	return in, nil
}

func invalid(format string, args ...any) error {
	return auth.E(auth.CodeValidation, fmt.Sprintf(format, args...))
}

func (f *field) fromQuery(dst reflect.Value, query url.Values) error {
	switch values := query[f.name]; {
	case len(values) > 1: // a filter in front of us may have looked at the other one
		return invalid("%s must be given once", f.name)
	case len(values) == 0 && f.need:
		return invalid("%s is required", f.name)
	case len(values) == 0 && f.standard == "":
		return nil
	case len(values) == 0:
		return f.fromText(dst, f.standard)
	default:
		return f.fromText(dst, values[0])
	}
}

// fromText reads a path segment or parameter.
func (f *field) fromText(dst reflect.Value, text string) error {
	if !auth.CleanText(text) {
		return invalid("%s contains what can't be stored", f.name)
	}
	switch {
	case f.typ == reflect.TypeFor[auth.ID]():
		id, err := auth.ParseID(text)
		if err != nil {
			return invalid("%s must be a UUID", f.name)
		}
		set(dst, reflect.ValueOf(id))
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
func (f *field) fromBody(dst reflect.Value, body web.Object) error {
	if !body.Has(f.name) {
		if f.need {
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
		return f.fromText(dst, text)
	}
	v := reflect.New(f.typ)
	if err := json.Unmarshal(raw, v.Interface()); err != nil {
		return invalid("%s must be %s", f.name, kindOf(f.typ))
	}
	set(dst, v.Elem())
	if f.typ.Kind() == reflect.String {
		return f.checkText(v.Elem().String())
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
