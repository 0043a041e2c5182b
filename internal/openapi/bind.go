package openapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
)

// None is what comes in where nothing does, and goes out with status 204.
type None struct{}

// Reply is one way an operation answers when all goes well.
type Reply struct {
	Status int
	What   string
	Body   reflect.Type // of None: no body
}

// Binding is a handler with its types. S is the surface and C the call, as the surface has
// them.
type Binding[S, C any] struct {
	In      reflect.Type
	Replies []Reply
	Serve   func(s S, c C, r *http.Request, how Reading) (status int, body any, err error)
}

// One binds a handler that has one good answer.
func One[S, C, In, Out any](status int, what string, h func(S, C, In) (Out, error)) Binding[S, C] {
	fields := fieldsOf(reflect.TypeFor[In]())
	return Binding[S, C]{
		In: reflect.TypeFor[In](), Replies: []Reply{{status, what, structOf[Out]()}},
		Serve: func(s S, c C, r *http.Request, how Reading) (int, any, error) {
			in, err := read[In](r, fields, how)
			if err != nil {
				return 0, nil, err
			}
			out, err := h(s, c, in)
			return status, out, err
		},
	}
}

// Either binds a handler that has two good answers: it gives one and nil for the other.
func Either[S, C, In, A, B any](a, b Reply, h func(S, C, In) (*A, *B, error)) Binding[S, C] {
	a.Body, b.Body = reflect.TypeFor[A](), reflect.TypeFor[B]()
	fields := fieldsOf(reflect.TypeFor[In]())
	return Binding[S, C]{
		In: reflect.TypeFor[In](), Replies: []Reply{a, b},
		Serve: func(s S, c C, r *http.Request, how Reading) (int, any, error) {
			in, err := read[In](r, fields, how)
			if err != nil {
				return 0, nil, err
			}
			first, second, err := h(s, c, in)
			if first != nil {
				return a.Status, first, err
			}
			return b.Status, second, err
		},
	}
}

// Sent binds a handler whose answer is sent byte for byte, such as one that is signed. Shape
// is what the document says of it.
func Sent[S, C, In, Shape any](status int, what string, h func(S, C, In) (json.RawMessage, error)) Binding[S, C] {
	b := One(status, what, func(s S, c C, in In) (signed, error) {
		out, err := h(s, c, in)
		return signed(out), err
	})
	b.Replies[0].Body = reflect.TypeFor[Shape]()
	return b
}

// signed is written as it is.
type signed json.RawMessage

// JSON implements web.Document.
func (d signed) JSON() []byte { return d }

// structOf gives the type of an answer without its pointer.
func structOf[T any]() reflect.Type {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// InputCodes are the codes that reading a request of this type may end with.
func InputCodes(in reflect.Type) []auth.Code {
	fields := fieldsOf(in)
	at := func(p place) bool { return slices.ContainsFunc(fields, func(f field) bool { return f.place == p }) }
	var codes []auth.Code
	if at(inBody) {
		codes = append(codes, auth.CodeBadJSON, auth.CodeBodyTooLarge, auth.CodeValidation)
	}
	if at(inQuery) {
		codes = append(codes, auth.CodeValidation)
	}
	if at(inPath) {
		codes = append(codes, auth.CodeBadID)
	}
	return codes
}
