package cardea

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Why not encoding/json into a struct: it matches names without regard to case and
// takes the last of two equal ones. An issuer's filter and this package could then
// read two different subjects out of one signed payload (RFC 8725 §2.4, §3.12;
// RFC 7519 §4: names must be unique). Here names match exactly and are unique.

var (
	errNotObject   = errors.New("not a JSON object in UTF-8")
	errDuplicate   = errors.New("a name appears twice")
	errNotString   = errors.New("not a string")
	errNotDate     = errors.New("not a date in seconds since 1970")
	errBadText     = errors.New("text is not well-formed Unicode")
	errNotList     = errors.New("not a list")
	errNotTheShape = errors.New("not of the expected shape")
)

// member is one name and its value as it stands in the text.
type member struct {
	name  []byte // without quotes and escapes
	value []byte
}

// object is a JSON object, one level deep.
type object []member

// get gives the raw value of a name; nil when it is absent or null.
func (o object) get(name string) []byte {
	for i := range o {
		if string(o[i].name) == name {
			if string(o[i].value) == "null" {
				return nil
			}
			return o[i].value
		}
	}
	return nil
}

func (o object) has(name string) bool { return o.get(name) != nil }

// str gives a string value; "" when the name is absent or null.
func (o object) str(name string) (string, error) {
	raw := o.get(name)
	if raw == nil {
		return "", nil
	}
	return decodeString(raw)
}

// manyNames is from where on a map is cheaper than looking at all names so far: a
// token full of tiny names must not cost quadratic time.
const manyNames = 24

// parseObject splits a JSON object into its members. It refuses bad UTF-8, anything
// that is not exactly one object, and a name that appears twice, also when one of
// them is spelled with escapes. Names and values point into data where they can.
// size is about how many members there will be.
func parseObject(data []byte, size int) (object, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errNotObject
	}
	return scanObject(data[skipSpace(data, 0):], size)
}

// scanObject is parseObject for text that is known to be valid JSON and begins with the
// value. The scanner relies on that and checks no bounds.
func scanObject(data []byte, size int) (object, error) {
	if data[0] != '{' {
		return nil, errNotObject
	}
	members := make(object, 0, size)
	var seen map[string]struct{}
	for i := skipSpace(data, 1); data[i] != '}'; i = skipSpace(data, i) {
		if data[i] == ',' {
			i = skipSpace(data, i+1)
		}
		end := skipString(data, i)
		name, err := unquote(data[i:end])
		if err != nil {
			return nil, err
		}
		i = skipSpace(data, skipSpace(data, end)+1) // past the colon
		end = skipValue(data, i)
		if len(members) == manyNames {
			seen = make(map[string]struct{}, 2*manyNames)
			for _, m := range members {
				seen[string(m.name)] = struct{}{}
			}
		}
		if known(members, seen, name) {
			return nil, errDuplicate
		}
		if seen != nil {
			seen[string(name)] = struct{}{}
		}
		members = append(members, member{name, data[i:end:end]})
		i = end
	}
	return members, nil
}

func known(members object, seen map[string]struct{}, name []byte) bool {
	if seen != nil {
		_, ok := seen[string(name)]
		return ok
	}
	for i := range members {
		if bytes.Equal(members[i].name, name) {
			return true
		}
	}
	return false
}

// scanList splits a list in the same kind of text into its values.
func scanList(data []byte) ([][]byte, error) {
	if len(data) == 0 || data[0] != '[' {
		return nil, errNotList
	}
	var values [][]byte
	for i := skipSpace(data, 1); data[i] != ']'; i = skipSpace(data, i) {
		if data[i] == ',' {
			i = skipSpace(data, i+1)
		}
		end := skipValue(data, i)
		values = append(values, data[i:end:end])
		i = end
	}
	return values, nil
}

func skipSpace(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r' {
		i++
	}
	return i
}

// skipString gives the index after the string that starts at i.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue gives the index after the value that starts at i.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i
			}
		}
	}
	for strings.IndexByte(",}] \t\r\n", b[i]) < 0 {
		i++
	}
	return i
}

// decodeString reads a JSON string.
func decodeString(raw []byte) (string, error) {
	b, err := unquote(raw)
	return string(b), err
}

// unquote takes quotes and escapes away. A lone surrogate is refused: decoders replace
// it, so two different subjects would become one.
func unquote(raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, errNotString
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	if strings.ContainsRune(s, utf8.RuneError) {
		return nil, errBadText
	}
	return []byte(s), nil
}

// maxDate is the last second of the year 9999: later dates overflow other parties'
// date types, and no token needs them.
const maxDate = 253402300799

// decodeDate reads a NumericDate (RFC 7519 §2) in whole seconds; fractions are cut off.
func decodeDate(raw []byte) (int64, error) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		if n < 0 || n > maxDate {
			return 0, errNotDate
		}
		return n, nil
	}
	if len(raw) == 0 || raw[0] < '0' || raw[0] > '9' { // also keeps ParseFloat's "Inf" and hex out
		return 0, errNotDate
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f > maxDate {
		return 0, errNotDate
	}
	return int64(f), nil
}

// decodeStrings reads a list of strings.
func decodeStrings(raw []byte) ([]string, error) {
	values, err := scanList(raw)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(values))
	for i, v := range values {
		if list[i], err = decodeString(v); err != nil {
			return nil, err
		}
	}
	return list, nil
}
