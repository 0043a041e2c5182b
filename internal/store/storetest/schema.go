package storetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Schema proves that two databases have the same tables with the same columns; a and b
// are what the Columns methods of the two stores give. The order of columns is free.
func Schema(t *testing.T, a, b map[string][]string) {
	t.Helper()
	if len(a) == 0 || len(b) == 0 {
		t.Fatal("storetest: a schema without tables")
	}
	if d := cmp.Diff(sorted(a), sorted(b)); d != "" {
		t.Errorf("the databases differ (-first +second):\n%s", d)
	}
}

func sorted(tables map[string][]string) map[string][]string {
	out := make(map[string][]string, len(tables))
	for table, columns := range tables {
		out[table] = slices.Sorted(slices.Values(columns))
	}
	return out
}
