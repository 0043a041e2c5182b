package flow_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cardea-auth/cardea/internal/flow"
)

// Whatever a file holds: what is opened of it is JSON without the signature, and together they
// are the file.
func FuzzOpenExport(f *testing.F) {
	for _, s := range []string{
		`{"format":"cardea-export/1","a":1,"signature":"x..y"}`, `{"format":"cardea-export/1","signature":"a","signature":"b"}`, `{}`, `[`,
		`{"format":"cardea-export/1","a":",\"signature\":\"x"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		doc, signature, err := flow.OpenExport(file)
		if err != nil {
			return
		}
		if !json.Valid(doc) {
			t.Fatalf("%q gave %q", file, doc)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, file); err != nil {
			t.Fatal(err)
		}
		if again := string(doc[:len(doc)-1]) + `,"signature":"` + signature + `"}`; again != compact.String() {
			t.Fatalf("%q became %q", file, again)
		}
	})
}
