package seal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cardea-auth/cardea/internal/seal"
)

func key(first byte) []byte {
	k := make([]byte, seal.KeySize)
	for i := range k {
		k[i] = first + byte(i)
	}
	return k
}

func box(t testing.TB, keys ...[]byte) *seal.Box {
	t.Helper()
	b, err := seal.New(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFormatIsStable(t *testing.T) {
	t.Parallel()
	b := box(t, key(1))
	b.Rand = bytes.NewReader([]byte("twelve bytes"))
	sealed, err := b.Seal([]byte("secret"), []byte("signing_key:a"))
	if err != nil {
		t.Fatal(err)
	}
	// Computed by another implementation (Node). Values made by this release must open in every later one: never change this constant.
	want := "01ae216c2e7477656c76652062797465730f7e7226a13077bd3d9e260f03de48b7b78a269236ae"
	if got := hex.EncodeToString(sealed); got != want {
		t.Errorf("sealed = %s, want %s", got, want)
	}
	plain, err := b.Open(sealed, []byte("signing_key:a"))
	if err != nil || string(plain) != "secret" {
		t.Errorf("Open = %q, %v", plain, err)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	b := box(t, key(1))
	rapid.Check(t, func(rt *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "plain")
		context := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "context")
		sealed, err := b.Seal(plain, context)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := b.Open(sealed, context)
		if err != nil || !bytes.Equal(got, plain) {
			rt.Fatalf("Open = %x, %v", got, err)
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(rt, "at")
		sealed[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "change"))
		if got, err := b.Open(sealed, context); err == nil || got != nil {
			rt.Fatalf("changed byte %d: Open = %x, %v", at, got, err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	b := box(t, key(1))
	sealed, err := b.Seal([]byte("secret"), []byte("signing_key:a"))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int) []byte {
		c := bytes.Clone(sealed)
		c[at]++
		return c
	}
	for _, tc := range []struct {
		name    string
		sealed  []byte
		context string
		want    error
	}{
		{"empty", nil, "signing_key:a", seal.ErrFormat},
		{"cut", sealed[:len(sealed)-1], "signing_key:a", seal.ErrRefused},
		{"cut to the header", sealed[:17], "signing_key:a", seal.ErrFormat},
		{"longer", append(bytes.Clone(sealed), 0), "signing_key:a", seal.ErrRefused},
		{"other version", changed(0), "signing_key:a", seal.ErrFormat},
		{"other key", changed(1), "signing_key:a", seal.ErrUnknownKey},
		{"other nonce", changed(5), "signing_key:a", seal.ErrRefused},
		{"other ciphertext", changed(17), "signing_key:a", seal.ErrRefused},
		{"other tag", changed(len(sealed) - 1), "signing_key:a", seal.ErrRefused},
		{"swapped into another row", sealed, "signing_key:b", seal.ErrRefused},
		{"no context", sealed, "", seal.ErrRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			plain, err := b.Open(tc.sealed, []byte(tc.context))
			if !errors.Is(err, tc.want) || plain != nil {
				t.Errorf("Open = %x, %v, want %v", plain, err, tc.want)
			}
		})
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before, during, after := box(t, key(1)), box(t, key(2), key(1), key(2)), box(t, key(2))
	old, err := before.Seal([]byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := during.Open(old, nil)
	if err != nil || string(plain) != "secret" {
		t.Fatalf("the second key does not open: %q, %v", plain, err)
	}
	fresh, err := during.Seal(plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(fresh, nil); err != nil || string(got) != "secret" {
		t.Errorf("the first key does not seal: %q, %v", got, err)
	}
	if _, err := after.Open(old, nil); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("a removed key: %v, want ErrUnknownKey", err)
	}
	got := []bool{during.Current(old), during.Current(fresh), during.Current(nil)}
	if diff := cmp.Diff([]bool{false, true, false}, got); diff != "" {
		t.Errorf("Current (-want +got):\n%s", diff)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		keys [][]byte
		want string
	}{
		{"no key", nil, "no key-encryption key"},
		{"short", [][]byte{key(1)[:16]}, "key-encryption key 1: the key has 16 bytes"},
		{"second is long", [][]byte{key(1), append(key(2), 1)}, "key-encryption key 2: the key has 33 bytes"},
		{"zeros", [][]byte{make([]byte, 32)}, "one byte repeated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := seal.New(tc.keys...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New: %v, want %q", err, tc.want)
			}
		})
	}
}

func TestNoRandomness(t *testing.T) {
	t.Parallel()
	b := box(t, key(1))
	b.Rand = strings.NewReader("short")
	if sealed, err := b.Seal([]byte("secret"), nil); err == nil || sealed != nil {
		t.Errorf("Seal without randomness = %x, %v", sealed, err)
	}
}

func FuzzOpen(f *testing.F) {
	b := box(f, key(1), key(2))
	b.Rand = strings.NewReader("twelve bytes") // workers of the fuzzer are processes: same seed in each
	good, err := b.Seal([]byte("secret"), []byte("context"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte("context"))
	f.Add(good[:20], []byte("context"))
	f.Add([]byte{1}, []byte{})
	f.Fuzz(func(t *testing.T, sealed, context []byte) {
		plain, err := b.Open(sealed, context)
		if err != nil {
			if plain != nil {
				t.Fatalf("plaintext beside error %v", err)
			}
			if !errors.Is(err, seal.ErrFormat) && !errors.Is(err, seal.ErrUnknownKey) && !errors.Is(err, seal.ErrRefused) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		// Only what this Box sealed may open: the seed, unchanged, in its own context.
		if !bytes.Equal(sealed, good) || string(context) != "context" || string(plain) != "secret" {
			t.Fatalf("%x opened to %x", sealed, plain)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	bx := box(b, key(1))
	sealed, err := bx.Seal(make([]byte, 138), []byte("signing_key:x")) // a P-256 key in PKCS #8
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bx.Open(sealed, []byte("signing_key:x")); err != nil {
			b.Fatal(err)
		}
	}
}
