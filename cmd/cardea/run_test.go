package main

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/config"
)

func TestShellQuote(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "plain", "http://127.0.0.1:8080/auth/v1", `it's`, `$(touch /tmp/owned)`, "`id`", "a;b", "a\nb", `back\slash`, `"x"`, "'", "''", "!x",
	} {
		var out bytes.Buffer
		if err := writeEnv(&out, []pair{{"VALUE", value}}); err != nil {
			t.Fatal(err)
		}
		// printf keeps trailing newlines visible; the shell must read back what was written.
		cmd := exec.CommandContext(t.Context(), "sh", "-c", out.String()+`printf '%s.' "$VALUE"`)
		got, err := cmd.Output()
		if err != nil || string(got) != value+"." {
			t.Errorf("%q was read back as %q, %v", value, got, err)
		}
	}
}

func TestReadPassword(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"secret\n": "secret", "secret\r\nmore": "secret", " blanks too ": " blanks too ", "ünï": "ünï",
	} {
		if got, err := readPassword(strings.NewReader(in)); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\n", "\r\n", strings.Repeat("x", 5000)} {
		if got, err := readPassword(strings.NewReader(in)); err == nil {
			t.Errorf("%q: accepted as %q", in[:min(9, len(in))], got)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	if got := printable("a\x1b[31mb\nc\u202ed\xff é"); got != "a?[31mb?c?d? é" {
		t.Errorf("%q", got)
	}
}

// TestFlagsAreThoseOfTheSettings keeps the flags and the settings table together.
func TestFlagsAreThoseOfTheSettings(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, s := range config.Settings() {
		if s.Flag != "" {
			want[s.Flag] = true
		}
	}
	text := "x"
	got := map[string]bool{"migrate": true} // serveCmd.Migrate
	for name := range merge((&commonFlags{&text, &text, &text, &text}).flags(), (&listenFlags{&text, &text}).flags()) {
		got[name] = true
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestRunTouchesNothing: the whole program runs inside a test, with an environment and
// streams of its own.
func TestRunTouchesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		env  []string
		code int
		out  string // part of standard output
		err  string // part of standard error
	}{
		{"version", []string{"version"}, nil, 0, "cardea ", ""},
		{"version as JSON", []string{"version", "-o", "json"}, nil, 0, `"platform"`, ""},
		{"help", []string{"--help"}, nil, 0, "Commands:", ""},
		{"help of a command", []string{"serve", "--help"}, nil, 0, "--public-url", ""},
		{"nothing", nil, nil, 2, "", "--help"},
		{"unknown command", []string{"severe"}, nil, 2, "", "severe"},
		{"unknown flag", []string{"serve", "--fast"}, nil, 2, "", "--fast"},
		{"password on the command line", []string{"users", "create", "--email", "a@b.test", "--password", "x"}, nil, 2, "", "--password"},
		{"no address", []string{"users", "create"}, nil, 2, "", "--email or --phone"},
		{"bad page", []string{"users", "list", "--limit", "5000"}, nil, 2, "", "1 to 100"},
		{"bad page of tenants", []string{"tenants", "list", "--limit", "0"}, nil, 2, "", "1 to 100"},
		{"roles without a reason", []string{"users", "roles", "a@b.test", "--set", "admin"}, nil, 2, "", "--reason is needed"},
		{"two changes of roles", []string{"users", "roles", "a@b.test", "--set", "admin", "--none"}, nil, 2, "", "--none"},
		{"reload without a server", []string{"roles", "reload"}, nil, 2, "", "CARDEA_ADMIN_URL"},
		{"URL without a key", []string{"users", "list"}, []string{"CARDEA_ADMIN_URL=https://x.test"}, 2, "", "CARDEA_ADMIN_KEY is not"},
		{"key without a URL", []string{"users", "list"}, []string{"CARDEA_ADMIN_KEY=x"}, 2, "", "CARDEA_ADMIN_URL is not"},
		{"two keys", []string{"users", "list"}, []string{"CARDEA_ADMIN_URL=https://x.test", "CARDEA_ADMIN_KEY=x", "CARDEA_ADMIN_KEY_FILE=y"}, 2, "", "set one of"},
		{"key over plain http", []string{"users", "list"}, []string{"CARDEA_ADMIN_URL=http://x.test", "CARDEA_ADMIN_KEY=x"}, 2, "", "plain http"},
		{"negative ban", []string{"users", "ban", "--for=-1h", "x@y.test"}, nil, 2, "", "negative"},
		{"bad metadata", []string{"users", "create", "--email", "a@b.test", "--app-metadata", "[]"}, nil, 2, "", "not a JSON object"},
		{"bad key id", []string{"api-keys", "revoke", "7"}, nil, 2, "", "not the id of a key"},
		{"serve without configuration", []string{"serve"}, nil, 2, "", "DATABASE_URL: is needed"},
		{"migrate without configuration", []string{"migrate"}, nil, 2, "", "DATABASE_URL: is needed"},
		{"unknown variable", []string{"status"}, []string{"CARDEA_LISTN=x"}, 2, "", "did you mean CARDEA_LISTEN?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out, err bytes.Buffer
			env := append([]string{"CARDEA_DATA=" + t.TempDir()}, tt.env...)
			code := run(context.Background(), tt.args, env, strings.NewReader(""), &out, &err)
			if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(err.String(), tt.err) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, tt.code, out.String(), err.String())
			}
			if tt.code != 0 && out.Len() > 0 {
				t.Errorf("a failure wrote to standard output: %s", out.String())
			}
		})
	}
}
