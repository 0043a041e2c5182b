package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// The types below read a column into a field of the domain; NULL is the zero value. They
// convert pointers, as in (*micros)(&u.CreatedAt), so that reading a row needs no copy.

// micros reads microseconds since 1970 UTC.
type micros time.Time

// Scan implements sql.Scanner.
func (m *micros) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*m = micros{}
	case int64:
		*m = micros(time.UnixMicro(v).UTC())
	default:
		return fmt.Errorf("a time is stored as %T", src)
	}
	return nil
}

// UnmarshalJSON reads the same from within a document of the database.
func (m *micros) UnmarshalJSON(b []byte) error {
	var v *int64
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*m = micros{}
	if v != nil {
		*m = micros(time.UnixMicro(*v).UTC())
	}
	return nil
}

// uuid reads an id in its canonical form.
type uuid auth.ID

// Scan implements sql.Scanner.
func (u *uuid) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*u = uuid{}
		return nil
	case string:
		id, err := auth.ParseID(v)
		*u = uuid(id)
		return err
	default:
		return fmt.Errorf("an id is stored as %T", src)
	}
}

// nullText reads a string.
type nullText string

// Scan implements sql.Scanner.
func (t *nullText) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = ""
	case string:
		*t = nullText(v)
	default:
		return fmt.Errorf("a text is stored as %T", src)
	}
	return nil
}

// tenantRoleOf reads the role in a session's tenant, which has been read before; NULL
// takes the tenant away too, as there is nothing to do in it.
type tenantRoleOf struct {
	tenant *auth.ID
	role   *string
}

// Scan implements sql.Scanner.
func (t *tenantRoleOf) Scan(src any) error {
	if src == nil {
		*t.tenant = auth.ID{}
	}
	return (*nullText)(t.role).Scan(src)
}

// truth reads 0 or 1.
type truth bool

// Scan implements sql.Scanner.
func (b *truth) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*b = false
	case int64:
		*b = v != 0
	default:
		return fmt.Errorf("a truth value is stored as %T", src)
	}
	return nil
}

// object reads a JSON object; NULL is the empty one.
type object json.RawMessage

// Scan implements sql.Scanner.
func (o *object) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*o = object("{}")
	case string:
		*o = object(v)
	default:
		return fmt.Errorf("a document is stored as %T", src)
	}
	return nil
}

// raw reads a document; NULL is none.
type raw json.RawMessage

// Scan implements sql.Scanner.
func (d *raw) Scan(src any) error {
	if src == nil {
		*d = nil
		return nil
	}
	return (*object)(d).Scan(src)
}

// The functions below give what is stored for a field of the domain.

// at gives microseconds, NULL for the zero time.
func at(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// str gives a text, NULL for the empty one.
func str(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// doc gives a JSON object, "{}" for nothing.
func doc(b json.RawMessage) string {
	if len(b) == 0 {
		return "{}"
	}
	return string(b)
}

// flag gives 0 or 1.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// list gives a list as one parameter, for json_each.
func list[T any](values []T) (string, error) {
	if len(values) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(values)
	return string(b), err
}
