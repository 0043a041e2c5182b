package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/cardea-auth/cardea/internal/auth"
)

// maxDepth is how deep a body may nest. Metadata of real applications stays under ten.
const maxDepth = 32

// badJSONPrefix begins GoTrue's sentence for a body it can't read.
const badJSONPrefix = "Could not parse request body as JSON: "

// Object is the JSON object of a request body. Names match exactly: encoding/json alone
// would also take "EMAIL" for "email", and the last of two equal names, so that a filter in
// front of us and we could read two different requests.
type Object map[string]json.RawMessage

// ReadObject reads the body. Errors: CodeBodyTooLarge; CodeBadJSON for an empty body, bad
// UTF-8, anything but one object, a name that occurs twice, nesting over 32 levels;
// CodeValidation for NUL bytes, unpaired surrogates and
// numbers out of range, which no database stores.
func ReadObject(r *http.Request) (Object, error) {
	body, err := ReadBody(r)
	if err != nil {
		return nil, err
	}
	return ParseObject(body)
}

// ReadBody gives the body as it came, for whoever has to check a signature first. Errors:
// CodeBodyTooLarge; CodeBadJSON for one that ended early.
func ReadBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, auth.E(auth.CodeBodyTooLarge, "")
	}
	if err != nil {
		return nil, &auth.Error{Code: auth.CodeBadJSON, Message: badJSONPrefix + "the body ended early", Cause: err}
	}
	return body, nil
}

// ReadOptionalObject is ReadObject for routes whose body may be missing.
func ReadOptionalObject(r *http.Request) (Object, error) {
	o, err := ReadObject(r)
	var e *auth.Error
	if errors.As(err, &e) && e.Code == auth.CodeBadJSON && e.Message == badJSONPrefix+emptyBody {
		return Object{}, nil
	}
	return o, err
}

const emptyBody = "unexpected end of JSON input"

// ParseObject parses a body; see [ReadObject].
func ParseObject(body []byte) (Object, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, badJSON(emptyBody)
	}
	if err := scan(body); err != nil {
		return nil, err
	}
	var o Object
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, badJSON("the body is not a JSON object")
	}
	if o == nil {
		return nil, badJSON("the body is not a JSON object")
	}
	if !auth.CleanJSON(body) {
		return nil, auth.E(auth.CodeValidation, "the body contains what can't be stored: NUL, an unpaired surrogate, or a number out of range")
	}
	return o, nil
}

// scan walks the tokens once and refuses duplicate names and deep nesting.
func scan(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	type level struct {
		object bool
		key    bool // the next string is a name
		names  map[string]bool
	}
	var stack []level
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return badJSON(err.Error())
		}
		if d, ok := tok.(json.Delim); ok && (d == '{' || d == '[') {
			if len(stack) == maxDepth {
				return badJSON(fmt.Sprintf("nested deeper than %d levels", maxDepth))
			}
			stack = append(stack, level{object: d == '{', key: true})
			continue
		} else if ok {
			stack = stack[:len(stack)-1]
		} else if n := len(stack); n > 0 && stack[n-1].object && stack[n-1].key {
			name, _ := tok.(string)
			if stack[n-1].names[name] {
				return badJSON(fmt.Sprintf("the name %q occurs twice", name))
			}
			if stack[n-1].names == nil {
				stack[n-1].names = map[string]bool{}
			}
			stack[n-1].names[name], stack[n-1].key = true, false
			continue
		}
		if n := len(stack); n > 0 { // a value has ended: a name may follow
			stack[n-1].key = true
		}
	}
}

func badJSON(what string) error { return auth.E(auth.CodeBadJSON, badJSONPrefix+what) }

// has reports whether the member is there and not null: clients send null for "not given".
func (o Object) has(name string) bool {
	v, ok := o[name]
	return ok && !bytes.Equal(v, []byte("null"))
}

// Has reports whether the member is there and not null.
func (o Object) Has(name string) bool { return o.has(name) }

// Fields reads members of an Object and keeps the first error, so that a handler reads all
// its fields and checks once.
type Fields struct {
	o   Object
	err error
}

// Fields begins to read o.
func (o Object) Fields() *Fields { return &Fields{o: o} }

// Err is the first error, an *auth.Error with CodeBadJSON, or nil.
func (f *Fields) Err() error { return f.err }

func (f *Fields) read(name string, dst any, want string) bool {
	if !f.o.has(name) {
		return false
	}
	if err := json.Unmarshal(f.o[name], dst); err != nil {
		if f.err == nil {
			f.err = badJSON(name + " must be " + want)
		}
		return false
	}
	return true
}

// String gives a text member, "" if it is not there.
func (f *Fields) String(name string) string {
	var s string
	f.read(name, &s, "a string")
	return s
}

// OptString gives a text member, nil if it is not there.
func (f *Fields) OptString(name string) *string {
	var s string
	if !f.read(name, &s, "a string") {
		return nil
	}
	return &s
}

// OptBool gives a boolean member, nil if it is not there.
func (f *Fields) OptBool(name string) *bool {
	var b bool
	if !f.read(name, &b, "a boolean") {
		return nil
	}
	return &b
}

// Bool gives a boolean member, false if it is not there.
func (f *Fields) Bool(name string) bool {
	b := f.OptBool(name)
	return b != nil && *b
}

// Object gives an object member, nil if it is not there.
func (f *Fields) Object(name string) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	f.read(name, &m, "an object")
	return m
}
