// Package openapi describes operations by the types of their handlers, reads requests into
// those types, and writes the OpenAPI 3.1 document of them: what is read and what is written
// down can't differ. A surface keeps a table of operations and says how its errors look.
package openapi

import (
	"reflect"
	"strconv"
	"strings"
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
//	null:"true"                            null is a value of its own, and not "not given"
//	enum:"a,b"  min:"2"  max:"100"         allowed values; lengths of text in code points, else numbers
//	format:"email"  example:"..."  default:"..."
type field struct {
	name     string
	place    place
	index    int
	typ      reflect.Type // without pointer
	need     bool         // in requests
	null     bool         // null is a value
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
		f := field{index: i, typ: sf.Type, need: sf.Tag.Get("need") == "true", null: sf.Tag.Get("null") == "true", doc: sf.Tag.Get("doc"), format: sf.Tag.Get("format")}
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
			panic("openapi: " + t.Name() + "." + sf.Name + " needs a name and a doc")
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
		panic("openapi: tag of " + sf.Name + ": " + err.Error())
	}
	return n
}
