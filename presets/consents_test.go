package presets_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cardea-auth/cardea/internal/consent"
	"github.com/cardea-auth/cardea/presets"
)

// S4.50: every catalogue of consents that ships is one.
func TestConsentCatalogues(t *testing.T) {
	t.Parallel()
	names := presets.ConsentCatalogues()
	if !slices.Equal(names, []string{"neonpro"}) {
		t.Errorf("names %q", names)
	}
	none := func(string) ([]byte, error) { return nil, errors.New("no file") }
	for _, name := range names {
		_, doc, err := presets.ReadConsents(name, none)
		if err != nil {
			t.Fatal(err)
		}
		c, err := consent.Load(name, doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, purpose := range []string{"data_processing", "communication", "analytics", "third_party", "ai_processing"} {
			if _, ok := c.Purpose(purpose); !ok {
				t.Errorf("%s has no %s", name, purpose)
			}
		}
	}
	for _, bad := range []string{"nonsense", "../presets/consents/neonpro", "neonpro.yaml", ""} {
		if _, doc, err := presets.ReadConsents(bad, none); err == nil || doc != nil {
			t.Errorf("%q is read", bad)
		}
	}
}
