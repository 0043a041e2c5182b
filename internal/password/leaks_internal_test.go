package password

import (
	"slices"
	"strings"
	"testing"
)

// TestCommonListIsWhole: a list that is not sorted would silently lose words.
func TestCommonListIsWhole(t *testing.T) {
	t.Parallel()
	text, err := unpack(commonList)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 42692 || !slices.IsSorted(lines) {
		t.Fatalf("%d lines, sorted %v", len(lines), slices.IsSorted(lines))
	}
	for _, w := range lines {
		if len(w) < minLengthAllowed || w != strings.ToLower(w) {
			t.Fatalf("%q could never be found", w)
		}
		if !hasLine(text, w) || hasLine(text, w+"\x7f") {
			t.Fatalf("%q: found %v, with a suffix %v", w, hasLine(text, w), hasLine(text, w+"\x7f"))
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:2")
	f.Add(strings.Repeat("A", 35) + ":0")
	f.Add("<html>")
	f.Fuzz(func(t *testing.T, text string) {
		hashes, err := parseRange(strings.NewReader(text))
		if err != nil && hashes != nil {
			t.Fatal("a partial answer")
		}
		if err == nil && (len(hashes) == 0 || !slices.IsSorted(hashes) || len(hashes) > strings.Count(text, ":")) {
			t.Fatalf("%d hashes of %q", len(hashes), text)
		}
	})
}

func BenchmarkCommon(b *testing.B) {
	list := new(Common)
	b.ReportAllocs()
	for b.Loop() {
		if found, err := list.Contains("Tr0ub4dor&3"); found || err != nil {
			b.Fatal(found, err)
		}
	}
}
