package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/flow"
)

// S2.39: the fields that a setting may name are those that the flow knows.
func TestAppFields(t *testing.T) {
	t.Parallel()
	for _, field := range append(flow.AppFields(), "shoe_size") {
		_, _, err := config.Load(config.Sources{Env: []string{"CARDEA_APPS=stays:" + field}, Dev: true})
		if known := err == nil || !strings.Contains(err.Error(), "CARDEA_APPS"); known != slices.Contains(flow.AppFields(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
