package cardea

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// peeked is a body that a guard has read, to be read again by the handler.
type peeked struct {
	data []byte
	next bytes.Reader
	io.Closer
}

// Read implements io.Reader.
func (p *peeked) Read(into []byte) (int, error) { return p.next.Read(into) }

// peek reads the body and puts an equal one in its place.
func peek(r *http.Request, limit int64) ([]byte, *Error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if p, ok := r.Body.(*peeked); ok {
		if int64(len(p.data)) > limit {
			return nil, NewError(CodeBodyTooLarge, nil)
		}
		return p.data, nil
	}
	if r.ContentLength > limit {
		return nil, NewError(CodeBodyTooLarge, nil)
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge) || int64(len(data)) > limit:
		return nil, NewError(CodeBodyTooLarge, err)
	case err != nil:
		return nil, NewError(CodeRequestInvalid, err)
	}
	p := &peeked{data: data, Closer: r.Body}
	p.next.Reset(data)
	r.Body = p
	return data, nil
}

// bodyValues gives the values of a name in the body. The declared type decides how the
// body is read; what a handler could read in another way is refused, or the guard would
// judge one id and the handler use another.
func bodyValues(r *http.Request, name string, limit int64) ([]string, *Error) {
	data, failure := peek(r, limit)
	if failure != nil || len(data) == 0 {
		return nil, failure
	}
	values, err := readBody(r.Header, data, name)
	if err != nil {
		return nil, NewError(CodeRequestInvalid, err)
	}
	return values, nil
}

func readBody(h http.Header, data []byte, name string) ([]string, error) {
	for _, coding := range h["Content-Encoding"] {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return nil, fmt.Errorf("body is encoded: %q", coding)
		}
	}
	if len(h["Content-Type"]) != 1 {
		return nil, errors.New("body without exactly one Content-Type")
	}
	kind, params, err := mime.ParseMediaType(h["Content-Type"][0])
	switch {
	case err != nil:
		return nil, fmt.Errorf("content type: %w", err)
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return jsonValue(data, name)
	case kind == "application/x-www-form-urlencoded":
		// A handler that decodes JSON whatever the type says must not find another id.
		if start := bytes.TrimLeft(data, " \t\r\n"); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
			return nil, errors.New("JSON that is declared a form")
		}
		form, err := url.ParseQuery(string(data))
		if err == nil {
			err = onlyOneName(form, name)
		}
		return form[name], err
	case kind == "multipart/form-data":
		return multipartValues(data, params["boundary"], name)
	}
	return nil, fmt.Errorf("body of the type %q", kind)
}

// jsonValue reads a member of the one object that the body is: a string or a whole number.
// A null counts as absent.
func jsonValue(data []byte, name string) ([]string, error) {
	o, err := parseObject(data, 16)
	if err != nil {
		return nil, err
	}
	for _, m := range o {
		if string(m.name) != name && strings.EqualFold(string(m.name), name) {
			return nil, fmt.Errorf("name that differs from %q only in case", name)
		}
	}
	raw := o.get(name)
	if raw == nil {
		return nil, nil
	}
	if raw[0] == '"' {
		value, err := decodeString(raw)
		return []string{value}, err
	}
	value, err := readID(raw)
	return []string{value}, err
}

// multipartValues reads the fields of that name; a file of that name is refused.
func multipartValues(data []byte, boundary, name string) ([]string, error) {
	if boundary == "" {
		return nil, http.ErrMissingBoundary
	}
	var values []string
	reader := multipart.NewReader(bytes.NewReader(data), boundary)
	for {
		part, err := reader.NextPart()
		if err == io.EOF { //nolint:errorlint // a body that is cut off gives an error that wraps io.EOF
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		switch other := part.FormName(); {
		case other == name:
		case sameName(other, name):
			return nil, fmt.Errorf("another spelling of %q", name)
		default:
			continue
		}
		if part.FileName() != "" {
			return nil, errors.New("a file in place of an id")
		}
		value, err := io.ReadAll(part) // of a body that was limited before
		if err != nil {
			return nil, err
		}
		values = append(values, string(value))
	}
}
