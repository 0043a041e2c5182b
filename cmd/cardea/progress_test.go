package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// A terminal gets one line that is written over and taken away; anything else gets a line now
// and then, and no sequence that steers a terminal.
func TestProgress(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		p := &progress{w: &out, verb: "imported", terminal: terminal, begun: time.Now().Add(-time.Second)}
		p.tell(10, 5)
		p.tell(20, 10) // too soon after the first
		p.done()
		got := out.String()
		if !strings.Contains(got, "10 read, 5 imported, ") || strings.Contains(got, "20 read") ||
			strings.Contains(got, "\x1b") != terminal || strings.HasSuffix(got, "\n") == terminal {
			t.Errorf("terminal %v: %q", terminal, got)
		}
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if isTerminal(f) || isTerminal(&bytes.Buffer{}) {
		t.Error("a file passes for a terminal")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
