package cardea_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestGuardsDoNotCompile: A12.3, B4.8, X31. A guard that is passed without being applied,
// a requirement without a list, and the name that leaves open which of two it means.
func TestGuardsDoNotCompile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/wrong_guards.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wrong_guards.go")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "build", "-gcflags=-e", "-o", os.DevNull, file).CombinedOutput()
	if err == nil {
		t.Fatal("everything compiles")
	}
	wrong := 0
	for i, line := range strings.Split(string(text), "\n") {
		refused := strings.Contains(string(output), "wrong_guards.go:"+strconv.Itoa(i+1)+":")
		if want := strings.HasSuffix(line, "// wrong"); want != refused {
			t.Errorf("line %d: does not compile: %t, want %t:%s", i+1, refused, want, line)
		} else if want {
			wrong++
		}
	}
	if wrong < 15 {
		t.Errorf("only %d lines were judged:\n%s", wrong, output)
	}
}
