package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/reference/configuration.md")

func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	page := filepath.Join("..", "..", "docs", "reference", "configuration.md")
	if *update {
		if err := os.WriteFile(page, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Reference(), string(got)); d != "" {
		t.Errorf("the page is out of date: go test ./internal/config -update (-want +got):\n%s", d)
	}
}

func TestSettingsTable(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range Settings() {
		if !strings.HasPrefix(s.Name, prefix) || s.Help == "" || s.Group == "" || s.Kind == "" {
			t.Errorf("%s: incomplete", s.Name)
		}
		for _, name := range append(s.names(), "--"+s.Flag) {
			if other := seen[name]; other != "" && name != "--" {
				t.Errorf("%s belongs to %s and %s", name, other, s.Name)
			}
			seen[name] = s.Name
		}
		for _, def := range []string{s.Default, s.DevDefault} {
			var c, again Config
			if def == "" {
				continue
			}
			if err := s.field.set(&c, def); err != nil {
				t.Errorf("%s: default: %v", s.Name, err)
			}
			if err := s.field.set(&again, s.field.show(&c)); err != nil || s.field.show(&again) != s.field.show(&c) {
				t.Errorf("%s: %q shown as %q isn't read back: %v", s.Name, def, s.field.show(&c), err)
			}
		}
	}
}
