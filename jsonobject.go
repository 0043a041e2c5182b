package cardea

import (
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
	errNotStrings  = errors.New("not a list of strings")
	errNotTheShape = errors.New("not of the expected shape")
)

// member is one name and its value as it stands in the text.
type member struct {
	name  string
	value []byte
}

// object is a JSON object, one level deep.
type object []member

// get gives the raw value of a name; nil when it is absent or null.
func (o object) get(name string) []byte {
	for i := range o {
		if o[i].name == name {
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
// them is spelled with escapes. The values point into data.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errNotObject
	}
	i := skipSpace(data, 0)
	if data[i] != '{' {
		return nil, errNotObject
	}
	members := make(object, 0, 16)
	var seen map[string]struct{}
	// The text is valid JSON from here on, so the scanner needs no bounds checks.
	for i = skipSpace(data, i+1); data[i] != '}'; i = skipSpace(data, i) {
		if data[i] == ',' {
			i = skipSpace(data, i+1)
		}
		end := skipString(data, i)
		name, err := decodeString(data[i:end])
		if err != nil {
			return nil, err
		}
		i = skipSpace(data, skipSpace(data, end)+1) // past the colon
		end = skipValue(data, i)
		if len(members) == manyNames {
			seen = make(map[string]struct{}, 2*manyNames)
			for _, m := range members {
				seen[m.name] = struct{}{}
			}
		}
		if known(members, seen, name) {
			return nil, errDuplicate
		}
		if seen != nil {
			seen[name] = struct{}{}
		}
		members = append(members, member{name, data[i:end:end]})
		i = end
	}
	return members, nil
}

func known(members object, seen map[string]struct{}, name string) bool {
	if seen != nil {
		_, ok := seen[name]
		return ok
	}
	for i := range members {
		if members[i].name == name {
			return true
		}
	}
	return false
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

// decodeString reads a JSON string. A lone surrogate is refused: decoders replace it,
// so two different subjects would become one.
func decodeString(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", errNotString
	}
	plain := raw[1 : len(raw)-1]
	for _, c := range plain {
		if c == '\\' {
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				return "", err
			}
			if strings.ContainsRune(s, utf8.RuneError) {
				return "", errBadText
			}
			return s, nil
		}
	}
	return string(plain), nil
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
	var items []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' {
		return nil, errNotStrings
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		s, err := decodeString(item)
		if err != nil {
			return nil, errNotStrings
		}
		list = append(list, s)
	}
	return list, nil
}
