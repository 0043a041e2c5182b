package presets_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/role"
	"github.com/cardea-auth/cardea/presets"
)

// TestRoleCatalogues: every catalogue that ships is one.
func TestRoleCatalogues(t *testing.T) {
	t.Parallel()
	names := presets.RoleCatalogues()
	want := []string{"clinic", "default", "dermadetect", "ghar360", "hospital", "medhastra", "medmitra", "neonpro"}
	if !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	for _, name := range names {
		doc, ok := presets.RoleCatalogue(name)
		if !ok {
			t.Fatalf("no catalogue %q", name)
		}
		c, err := role.Load("presets/roles/"+name+".yaml", doc)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, r := range c.Roles() {
			if r.Scope == "" {
				t.Errorf("%s: role %s has no scope", name, r.Name)
			}
		}
	}
	for _, name := range []string{"", "none", "../presets", "roles/default", "default.yaml", `..\default`, "default\x00"} {
		if doc, ok := presets.RoleCatalogue(name); ok {
			t.Errorf("catalogue %q: %d bytes", name, len(doc))
		}
	}
}

// TestReadRoles: a name is one of ours, a path is a file, and neither becomes the other.
func TestReadRoles(t *testing.T) {
	t.Parallel()
	var asked []string
	read := func(name string) ([]byte, error) {
		asked = append(asked, name)
		if name == "roles.yaml" || name == "./clinic" {
			return []byte("roles: {a: }"), nil
		}
		return nil, errors.New("no such file")
	}
	for _, c := range []struct{ ask, name, want string }{
		{"clinic", "clinic", "An aesthetic clinic"},
		{"roles.yaml", "roles.yaml", "roles: {a: }"},
		{"./clinic", "./clinic", "roles: {a: }"},
	} {
		name, doc, err := presets.ReadRoles(c.ask, read)
		if err != nil || name != c.name || !strings.Contains(string(doc), c.want) {
			t.Errorf("%q: %q, %d bytes, %v", c.ask, name, len(doc), err)
		}
	}
	if _, _, err := presets.ReadRoles("clinics", read); err == nil || !strings.Contains(err.Error(), "clinic, default, dermadetect") {
		t.Errorf("unknown name: %v", err)
	}
	if _, _, err := presets.ReadRoles("missing.yaml", read); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing file: %v", err)
	}
	if want := []string{"roles.yaml", "./clinic", "missing.yaml"}; !slices.Equal(asked, want) {
		t.Errorf("files read: %q, want %q", asked, want)
	}
}
