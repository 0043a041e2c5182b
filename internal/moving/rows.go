package moving

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// row is a row of a table: its columns that are not NULL.
type row map[string]string

// table gives the rows of one table from a file.
type table interface {
	// next gives a row with the line and the offset that it begins at; otherwise as Reader.
	next() (r row, line, offset int64, err error)
	// at reads the row that begins where r does.
	at(r io.Reader) (row, error)
}

// Forms of a table in a file.
const (
	FormNDJSON = "ndjson"
	FormCSV    = "csv"
	FormDump   = "dump" // what pg_dump writes, with COPY
)

// openTable reads the rows of a table; name is that of the table in a dump.
func openTable(r io.Reader, form, name string) (table, error) {
	switch form {
	case FormCSV:
		return newCSVTable(r)
	case FormDump:
		return &dumpTable{lines: newLines(r), name: name}, nil
	}
	return &docTable{either(r)}, nil
}

// docTable reads a JSON object for each row.
type docTable struct{ docs documents }

func (t *docTable) next() (row, int64, int64, error) {
	doc, line, err := t.docs.next()
	if err != nil {
		return nil, line, 0, err
	}
	offset := int64(-1)
	if l, ok := t.docs.(ndjson); ok {
		offset = l.at
	}
	r, err := decodeRow(doc)
	if err != nil {
		return nil, line, offset, problem(line, CodeForm, "no JSON object")
	}
	return r, line, offset, nil
}

func (t *docTable) at(r io.Reader) (row, error) {
	line, err := newLines(r).read()
	if err != nil {
		return nil, err
	}
	return decodeRow(line)
}

// decodeRow reads an object: texts as they are, everything else as JSON.
func decodeRow(doc []byte) (row, error) {
	var members map[string]json.RawMessage
	if !auth.CleanJSON(doc) {
		return nil, errNotObject
	}
	if err := json.Unmarshal(doc, &members); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, errNotObject
	}
	r := make(row, len(members))
	for name, value := range members {
		switch {
		case bytes.Equal(value, []byte("null")):
		case value[0] == '"':
			var s string
			if err := json.Unmarshal(value, &s); err != nil {
				return nil, err
			}
			r[name] = s
		default:
			r[name] = string(value)
		}
	}
	return r, nil
}

var errNotObject = errors.New("moving: no JSON object")

// csvTable reads columns that the first line names.
type csvTable struct {
	r      *csv.Reader
	budget *budget
	header []string
}

// budget stops a record that has no end: a quote that is never closed would take the whole
// file into memory.
type budget struct {
	r    io.Reader
	left int
}

var errTooLong = errors.New("a record of more than a megabyte: a quote that is not closed?")

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func newCSVTable(r io.Reader) (*csvTable, error) {
	b := &budget{r: r, left: 2 * maxRecord}
	t := &csvTable{r: csv.NewReader(b), budget: b}
	t.r.ReuseRecord = true
	header, err := t.r.Read()
	if err != nil {
		return nil, broken(1, "no names of columns: %v", err)
	}
	for i, name := range header {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff")
		}
		name = strings.ToLower(strings.TrimSpace(name))
		for _, other := range t.header {
			if other == name {
				return nil, broken(1, "two columns are called %q", name)
			}
		}
		t.header = append(t.header, name)
	}
	return t, nil
}

func (t *csvTable) next() (row, int64, int64, error) {
	t.budget.left = 2 * maxRecord
	offset := t.r.InputOffset()
	fields, err := t.r.Read()
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		if errors.Is(err, csv.ErrFieldCount) || errors.Is(err, csv.ErrBareQuote) {
			return nil, int64(parse.StartLine), offset, problem(int64(parse.StartLine), CodeForm, "%v", parse.Err)
		}
		return nil, int64(parse.StartLine), offset, broken(int64(parse.StartLine), "%v", parse.Err)
	case errors.Is(err, errTooLong):
		return nil, 0, offset, broken(0, "%v", err)
	case err != nil:
		return nil, 0, offset, err
	}
	line, _ := t.r.FieldPos(0)
	return t.zip(fields), int64(line), offset, nil
}

// zip leaves empty columns out: in CSV they and NULL are the same.
func (t *csvTable) zip(fields []string) row {
	r := make(row, len(fields))
	for i, value := range fields {
		if value != "" {
			r[t.header[i]] = value
		}
	}
	return r
}

func (t *csvTable) at(r io.Reader) (row, error) {
	one := csv.NewReader(&budget{r: r, left: 2 * maxRecord})
	one.FieldsPerRecord = len(t.header)
	fields, err := one.Read()
	if err != nil {
		return nil, err
	}
	return t.zip(fields), nil
}

// dumpTable reads the rows between "COPY schema.table (columns) FROM stdin;" and "\.".
type dumpTable struct {
	*lines

	name    string
	columns []string // of the part that is being read; nil outside
	kept    []string // of the last part
}

func (t *dumpTable) next() (row, int64, int64, error) {
	for {
		line, err := t.read()
		switch {
		case errors.Is(err, io.EOF) && t.columns != nil:
			return nil, t.n, t.lines.at, broken(t.n, "the file ends in the middle of %s", t.name)
		case errors.Is(err, io.EOF) && t.kept == nil:
			return nil, t.n, t.lines.at, broken(t.n, "there is no COPY %s: dump with COPY and not with INSERT", t.name)
		case err != nil:
			return nil, t.n, t.lines.at, err
		case t.columns == nil:
			if t.columns = copyColumns(line, t.name); t.columns != nil {
				t.kept = t.columns
			}
		case t.long:
			return nil, t.n, t.lines.at, problem(t.n, CodeLong, "a line of more than %d bytes", maxRecord)
		case string(line) == `\.`:
			t.columns = nil
		default:
			r, err := splitCopy(line, t.columns)
			if err != nil {
				return nil, t.n, t.lines.at, problem(t.n, CodeForm, "%v", err)
			}
			return r, t.n, t.lines.at, nil
		}
	}
}

func (t *dumpTable) at(r io.Reader) (row, error) {
	line, err := newLines(r).read()
	if err != nil {
		return nil, err
	}
	return splitCopy(line, t.kept)
}

// copyColumns gives the columns of a COPY statement of the table; nil for any other line.
func copyColumns(text []byte, name string) []string {
	if !bytes.HasPrefix(text, []byte("COPY ")) {
		return nil
	}
	rest, ok := strings.CutPrefix(string(text), "COPY ")
	if !ok || !strings.HasSuffix(rest, ") FROM stdin;") {
		return nil
	}
	of, rest, ok := strings.Cut(rest, " (")
	if !ok || strings.ReplaceAll(of, `"`, "") != name {
		return nil
	}
	columns := strings.Split(strings.TrimSuffix(rest, ") FROM stdin;"), ", ")
	for i := range columns {
		columns[i] = strings.Trim(columns[i], `"`)
	}
	return columns
}

var errFields = errors.New("not as many fields as columns")

// splitCopy reads a line of COPY's text format.
func splitCopy(line []byte, columns []string) (row, error) {
	fields := bytes.Split(line, []byte("\t"))
	if len(fields) != len(columns) {
		return nil, errFields
	}
	r := make(row, len(fields))
	for i, f := range fields {
		if !bytes.Equal(f, []byte(`\N`)) {
			r[columns[i]] = unescapeCopy(f)
		}
	}
	return r, nil
}

// unescapeCopy takes the backslashes out (PostgreSQL manual, COPY, "Text Format").
func unescapeCopy(f []byte) string {
	if bytes.IndexByte(f, '\\') < 0 {
		return string(f)
	}
	var b strings.Builder
	for i := 0; i < len(f); i++ {
		if f[i] != '\\' || i+1 == len(f) {
			b.WriteByte(f[i])
			continue
		}
		i++
		switch c := f[i]; c {
		case 'b', 'f', 'n', 'r', 't', 'v':
			b.WriteByte("\b\f\n\r\t\v"[strings.IndexByte("bfnrtv", c)])
		default:
			b.WriteByte(c) // pg_dump writes no octal or hexadecimal escapes
		}
	}
	return b.String()
}
