package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cardea-auth/cardea/internal/seal"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte{0xfb, 0xff, 0x01, 0x02}, 8) // spells "+" and "/" in base64
	for _, tc := range []struct {
		name, text, err string
	}{
		{"hex", hex.EncodeToString(want), ""},
		{"hex upper case", strings.ToUpper(hex.EncodeToString(want)), ""},
		{"line end of a file", hex.EncodeToString(want) + "\n", ""},
		{"base64", base64.StdEncoding.EncodeToString(want), ""},
		{"base64 without padding", base64.RawStdEncoding.EncodeToString(want), ""},
		{"base64url", base64.URLEncoding.EncodeToString(want), ""},
		{"base64url without padding", base64.RawURLEncoding.EncodeToString(want), ""},
		{"empty", " \n", "is empty"},
		{"sixteen bytes in hex", hex.EncodeToString(want[:16]), "has 24 bytes"},
		{"sixteen bytes in base64", base64.StdEncoding.EncodeToString(want[:16]), "has 16 bytes"},
		{"short base64", base64.StdEncoding.EncodeToString(want[:31]), "has 31 bytes"},
		{"passphrase", "correct horse battery staple", "white space inside"},
		{"broken line", hex.EncodeToString(want[:16]) + "\n" + hex.EncodeToString(want[16:]), "white space inside"},
		{"zeros", strings.Repeat("0", 64), "one byte repeated"},
		{"trailing bits", base64.RawStdEncoding.EncodeToString(want)[:42] + "/", "neither"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := seal.ParseKey(tc.text)
			if tc.err == "" {
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("ParseKey = %x, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("ParseKey: %v, want %q", err, tc.err)
			}
			if text := strings.TrimSpace(tc.text); err != nil && len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	if _, err := seal.NewKey(strings.NewReader("short")); err == nil {
		t.Error("a key from too few random bytes")
	}
	a, err := seal.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.NewKey(nil)
	if err != nil || len(a) != seal.KeySize || bytes.Equal(a, b) {
		t.Errorf("NewKey = %x and %x, %v", a, b, err)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	made, err := seal.LoadOrCreateKeyFile(path, bytes.NewReader(key(1)))
	if err != nil || !bytes.Equal(made, key(1)) {
		t.Fatalf("first = %x, %v", made, err)
	}
	again, err := seal.LoadOrCreateKeyFile(path, strings.NewReader(""))
	if err != nil || !bytes.Equal(again, made) {
		t.Fatalf("second = %x, %v", again, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v; want the key alone", entries, err)
	}
}

func TestKeyFileOnceInManyProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	keys := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := seal.LoadOrCreateKeyFile(path, nil)
			if err != nil {
				t.Errorf("process %d: %v", i, err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for i, k := range keys {
		if !bytes.Equal(k, keys[0]) {
			t.Errorf("process %d has another key", i)
		}
	}
}

func TestKeyFileRefuses(t *testing.T) {
	t.Parallel()
	good := hex.EncodeToString(key(1))
	for _, tc := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"group may read", func(t *testing.T, path string) { write(t, path, good, 0o640) }, "mode 0640"},
		{"others may read", func(t *testing.T, path string) { write(t, path, good, 0o604) }, "mode 0604"},
		{"others may write", func(t *testing.T, path string) { write(t, path, good, 0o602) }, "mode 0602"},
		{"empty", func(t *testing.T, path string) { write(t, path, "", 0o600) }, "is empty"},
		{"no key", func(t *testing.T, path string) { write(t, path, strings.Repeat("x", 5000), 0o600) }, "key file"},
		{"folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			tc.make(t, path)
			k, err := seal.LoadOrCreateKeyFile(path, nil)
			if k != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("LoadOrCreateKeyFile = %x, %v, want %q", k, err, tc.want)
			}
		})
	}
	t.Run("folder is missing", func(t *testing.T) {
		t.Parallel()
		if _, err := seal.LoadOrCreateKeyFile(filepath.Join(t.TempDir(), "no", "key"), nil); err == nil {
			t.Error("no error")
		}
	})
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // beyond the umask
		t.Fatal(err)
	}
}
