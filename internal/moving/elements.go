package moving

import (
	"bufio"
	"errors"
	"io"
)

// maxDepth is how deep a JSON document may be nested.
const maxDepth = 1000

// elements gives the objects of one array of a JSON document: that of a member of the outer
// object, or the document itself when it is an array. It never holds more than one of them.
type elements struct {
	r      *bufio.Reader
	member string
	line   int64
	inside bool // of the array
	first  bool // of its elements
	done   bool
	buf    []byte
}

func newElements(r io.Reader, member string) *elements {
	return &elements{r: bufio.NewReaderSize(r, 64<<10), member: member, line: 1}
}

// byte reads one byte; the end of the file is an error here.
func (e *elements) byte() (byte, error) {
	c, err := e.r.ReadByte()
	if errors.Is(err, io.EOF) {
		return 0, broken(e.line, "the file ends in the middle")
	}
	if c == '\n' {
		e.line++
	}
	return c, err
}

// token reads the next byte that is no blank.
func (e *elements) token() (byte, error) {
	for {
		c, err := e.byte()
		if err != nil || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, err
		}
	}
}

func (e *elements) next() ([]byte, int64, error) {
	if e.done {
		return nil, e.line, io.EOF
	}
	if !e.inside {
		if err := e.enter(); err != nil {
			return nil, e.line, err
		}
	}
	c, err := e.token()
	if err != nil {
		return nil, e.line, err
	}
	if c == ',' && !e.first {
		if c, err = e.token(); err != nil {
			return nil, e.line, err
		}
	} else if c == ']' {
		e.done = true // what follows the array is of no interest
		return nil, e.line, io.EOF
	} else if !e.first {
		return nil, e.line, broken(e.line, "a comma is missing")
	}
	e.first = false
	begin := e.line
	e.buf = e.buf[:0]
	long := false
	if err := e.value(c, func(c byte) {
		if len(e.buf) >= maxRecord {
			long = true
			return
		}
		e.buf = append(e.buf, c)
	}); err != nil {
		return nil, begin, err
	}
	if long {
		return nil, begin, problem(begin, CodeLong, "a record of more than %d bytes", maxRecord)
	}
	return e.buf, begin, nil
}

// enter finds the array.
func (e *elements) enter() error {
	c, err := e.token()
	if err == nil && c == 0xef { // byte order mark
		if _, err = e.r.Discard(2); err == nil {
			c, err = e.token()
		}
	}
	if err != nil {
		return err
	}
	if c == '[' {
		e.inside, e.first = true, true
		return nil
	}
	if c != '{' {
		return broken(e.line, "no JSON object or array")
	}
	for {
		name, err := e.name()
		if err != nil {
			return err
		}
		if name == "" {
			e.inside, e.done = true, true
			return broken(e.line, "there is no member %q", e.member)
		}
		if c, err = e.token(); err != nil {
			return err
		}
		if name == e.member+`"` && c == '[' {
			e.inside, e.first = true, true
			return nil
		}
		if err := e.value(c, func(byte) {}); err != nil {
			return err
		}
	}
}

// name reads the name of a member up to the colon, with the closing quote; "" at the end of
// the object.
func (e *elements) name() (string, error) {
	c, err := e.token()
	if err == nil && c == ',' {
		c, err = e.token()
	}
	switch {
	case err != nil:
		return "", err
	case c == '}':
		return "", nil
	case c != '"':
		return "", broken(e.line, "the name of a member was expected")
	}
	var name []byte
	if err := e.text(func(c byte) {
		if len(name) < 64 {
			name = append(name, c)
		}
	}); err != nil {
		return "", err
	}
	if c, err = e.token(); err == nil && c != ':' {
		err = broken(e.line, "a colon is missing")
	}
	return string(name), err
}

// text reads the rest of a string, with the closing quote.
func (e *elements) text(keep func(byte)) error {
	for escaped := false; ; {
		c, err := e.byte()
		if err != nil {
			return err
		}
		keep(c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			return nil
		}
	}
}

// value reads a value that begins with c. Only its brackets and strings are looked at; a
// value that is wrong otherwise ends where a right one would, and is found out when it is
// decoded.
func (e *elements) value(c byte, keep func(byte)) error {
	keep(c)
	switch c {
	case '"':
		return e.text(keep)
	case '{', '[':
		return e.nested(keep)
	case '}', ']', ',', ':':
		return broken(e.line, "a value was expected")
	}
	for { // a number or a word
		peek, err := e.r.Peek(1)
		if err != nil {
			return broken(e.line, "the file ends in the middle")
		}
		switch peek[0] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return nil
		}
		if c, err = e.byte(); err != nil {
			return err
		}
		keep(c)
	}
}

// nested reads the rest of an object or array.
func (e *elements) nested(keep func(byte)) error {
	for depth := 1; depth > 0; {
		c, err := e.byte()
		if err != nil {
			return err
		}
		keep(c)
		switch c {
		case '"':
			if err := e.text(keep); err != nil {
				return err
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return broken(e.line, "nested deeper than %d", maxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// records turns documents into records.
type records struct {
	documents

	read func(doc []byte, line int64) (Record, error)
}

// Next implements Reader.
func (r records) Next() (Record, error) {
	doc, line, err := r.next()
	if err != nil {
		return Record{}, err
	}
	rec, err := r.read(doc, line)
	rec.Line = line
	return rec, err
}

// Documents reads records from a list of JSON documents that somebody else keeps, such as the
// rows of a database; next is as documents.next, without the line.
func Documents(next func() ([]byte, error), read func(doc []byte, line int64) (Record, error)) Reader {
	return records{&listed{give: next}, read}
}

type listed struct {
	give func() ([]byte, error)
	n    int64
}

func (l *listed) next() ([]byte, int64, error) {
	doc, err := l.give()
	l.n++
	return doc, l.n, err
}

// either reads an array or, when the first sign is no "[", a document on each line.
func either(r io.Reader) documents {
	b := bufio.NewReaderSize(r, 64<<10)
	for n := 1; n <= 4096; n++ {
		peek, err := b.Peek(n)
		if err != nil {
			break
		}
		switch peek[n-1] {
		case ' ', '\t', '\r', '\n', 0xef, 0xbb, 0xbf: // the last three are a byte order mark
			continue
		case '[':
			return newElements(b, "")
		}
		break
	}
	return ndjson{newLines(b)}
}
