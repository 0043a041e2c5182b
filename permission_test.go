package cardea

import "testing"

// TestHasPermission is the truth table of wildcards.
func TestHasPermission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have, want string
		ok         bool
	}{
		{"patient:read", "patient:read", true},
		{"patient:read", "patient:write", false},
		{"patient:read", "patient:read:own", false},
		{"patient:*", "patient:read", true},
		{"patient:*", "patient:read:own", true},
		{"patient:read:*", "patient:read:own", true},
		{"patient:read:*", "patient:read", false},
		{"patient:*", "patient", false},
		{"patient:*", "patient:", false},
		{"patient:*", "patients:read", false},
		{"patient:*", "patient:*", true},
		{"patient:read", "patient:*", false}, // asking for a wildcard is asking for exactly that
		{"*", "patient:read", true},
		{"*", "", false},
		{"", "patient:read", false},
		{":*", ":read", false},
		{"pat*", "patient:read", false}, // only whole parts
		{"PATIENT:*", "patient:read", false},
	} {
		p := &Principal{Permissions: []string{c.have}}
		if p.HasPermission(c.want) != c.ok {
			t.Errorf("%q covers %q: %t", c.have, c.want, !c.ok)
		}
	}
}
