package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// claims is a set of claims with numbers as they are written: a float would lose digits.
type claims map[string]any

// decodeOne reads exactly one JSON value. A second one behind it would be an answer that
// two readers understand differently.
func decodeOne(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("no JSON of the right form: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// encode writes claims once each: where a hook named one twice, the last counts, for every
// reader of the token alike.
func (c claims) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		return nil, fmt.Errorf("hook: claims: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// reservedRoles are database roles that stand above row-level security.
func reservedRoles() []string { return []string{auth.RoleServiceRole, "supabase_admin", "postgres"} }

// fixedClaims say whose token it is and how that was proved.
func fixedClaims() []string {
	return []string{"iss", "sub", "session_id", "iat", "aal", "is_anonymous"}
}

// checkNames refuses claims that only differ in case from those that are checked: many
// readers, Go's own among them, would take the one for the other.
func (c claims) checkNames() error {
	checked := append(fixedClaims(), "amr", "client_id", "email", "phone", "role", "aud", "exp")
	for name := range c {
		for _, known := range checked {
			if name != known && strings.EqualFold(name, known) {
				return fmt.Errorf("%q is too like %s", name, known)
			}
		}
	}
	return nil
}

// check says what is wrong with the claims that a hook gave for ours; see
// [Hooks.CustomizeAccessToken].
func (c claims) check(ours claims, adminRoles []string) error {
	if err := c.checkNames(); err != nil {
		return err
	}
	for _, name := range fixedClaims() {
		if _, ok := c[name]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
		if !reflect.DeepEqual(c[name], ours[name]) {
			return fmt.Errorf("%s must stay as it is", name)
		}
	}
	for _, name := range []string{"amr", "client_id"} {
		if v, ok := c[name]; ok && !reflect.DeepEqual(v, ours[name]) {
			return fmt.Errorf("%s must stay as it is, or go", name)
		}
	}
	if _, ok := c["client_id"]; !ok && ours["client_id"] != nil {
		return errors.New("client_id is missing") // without it the token would be first-party
	}
	for _, name := range []string{"email", "phone", "role"} {
		if _, ok := c[name].(string); !ok {
			return fmt.Errorf("%s must be a string", name)
		}
	}
	reserved := slices.Concat(reservedRoles(), adminRoles, []string{""})
	if role, _ := c["role"].(string); c["role"] != ours["role"] && slices.Contains(reserved, role) {
		return errors.New("role must be one that a person may have")
	}
	if err := c.checkAudience(ours["aud"]); err != nil {
		return err
	}
	return c.checkExpiry(ours)
}

// checkAudience: the audience may grow. A token that this server would not take back could
// not even be signed out with.
func (c claims) checkAudience(ours any) error {
	switch aud := c["aud"].(type) {
	case string:
		if aud == ours {
			return nil
		}
	case []any:
		for _, a := range aud {
			if _, ok := a.(string); !ok {
				return errors.New("aud must be a string or an array of strings")
			}
		}
		if slices.Contains(aud, ours) {
			return nil
		}
	}
	return fmt.Errorf("aud must hold %v", ours)
}

// checkExpiry: revocation is remembered for as long as our tokens live, so a token may live
// shorter but not longer.
func (c claims) checkExpiry(ours claims) error {
	given, ok := c["exp"].(json.Number)
	if !ok {
		return errors.New("exp must be a number")
	}
	exp, err := given.Int64()
	if err != nil {
		return errors.New("exp must be whole seconds")
	}
	latest, err := number(ours["exp"])
	if err != nil {
		return err
	}
	issued, err := number(ours["iat"])
	if err != nil {
		return err
	}
	if exp > latest || exp <= issued {
		return errors.New("exp must be after iat and not later than it was")
	}
	return nil
}

func number(v any) (int64, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, errors.New("our own claims have no time")
	}
	i, err := n.Int64()
	if err != nil {
		return 0, fmt.Errorf("our own claims: %w", err)
	}
	return i, nil
}
