package password_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/password"
)

// quick is the cheapest configuration that is accepted.
func quick() password.Config {
	return password.Config{Memory: 7168, Time: 1, Queue: 1000}
}

func newHasher(t testing.TB, c password.Config) *password.Hasher {
	t.Helper()
	h, err := password.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// verdict is everything that Verify answers.
type verdict struct {
	OK, Rehash bool
	Code       auth.Code
}

func verify(t testing.TB, h *password.Hasher, hash, text string) verdict {
	t.Helper()
	ok, rehash, err := h.Verify(t.Context(), hash, text)
	v := verdict{OK: ok, Rehash: rehash}
	if err != nil {
		v.Code = auth.CodeOf(err)
	}
	return v
}

func TestHashForm(t *testing.T) {
	t.Parallel()
	c := password.Config{Rand: strings.NewReader(strings.Repeat("r", 200))}
	hash, err := newHasher(t, c).Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	const want = "$argon2id$v=19$m=19456,t=2,p=1$cnJycnJycnJycnJycnJycg$"
	if !strings.HasPrefix(hash, want) || len(hash) != len(want)+43 {
		t.Errorf("hash %s, want %s and 43 characters", hash, want)
	}
	c = password.Config{Algorithm: password.Bcrypt}
	hash, err = newHasher(t, c).Hash(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(hash, "$2a$10$") || len(hash) != 60 {
		t.Errorf("bcrypt: %s, %v", hash, err)
	}
}

func TestVerifyOwn(t *testing.T) {
	t.Parallel()
	cheap, bcrypt := newHasher(t, quick()), newHasher(t, password.Config{Algorithm: password.Bcrypt, Queue: 1000})
	other := quick()
	other.Time = 2
	dear := newHasher(t, other)
	argon, err := cheap.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	bc, err := bcrypt.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, hash, text string
		h                *password.Hasher
		want             verdict
	}{
		{"right", argon, "correct horse", cheap, verdict{OK: true}},
		{"wrong", argon, "correct horsE", cheap, verdict{}},
		{"empty", argon, "", cheap, verdict{}},
		{"space added", argon, "correct horse ", cheap, verdict{}},
		{"other parameters", argon, "correct horse", dear, verdict{OK: true, Rehash: true}},
		{"other algorithm", argon, "correct horse", bcrypt, verdict{OK: true, Rehash: true}},
		{"bcrypt right", bc, "correct horse", bcrypt, verdict{OK: true}},
		{"bcrypt wrong", bc, "correct", bcrypt, verdict{}},
		{"bcrypt to argon2id (A2.1)", bc, "correct horse", cheap, verdict{OK: true, Rehash: true}},
		{"wrong is never rehashed", bc, "correct", cheap, verdict{}},
		{"unknown form", "$md5$aaaa", "correct horse", cheap, verdict{}},
		{"no hash", "", "correct horse", cheap, verdict{}},
		{"NUL", argon, "correct\x00horse", cheap, verdict{}},
		{"bad UTF-8", argon, "correct\xffhorse", cheap, verdict{}},
		{"huge", argon, strings.Repeat("x", 1<<20), cheap, verdict{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, verify(t, tc.h, tc.hash, tc.text)); diff != "" {
				t.Errorf("Verify (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHashRefuses(t *testing.T) {
	t.Parallel()
	argon, bcrypt := newHasher(t, quick()), newHasher(t, password.Config{Algorithm: password.Bcrypt})
	for _, tc := range []struct {
		name, text, want string
		h                *password.Hasher
	}{
		{"NUL", "abc\x00defgh", "Password contains characters that can't be used (NUL or invalid UTF-8)", argon},
		{"bad UTF-8", "abc\xed\xa0\x80defgh", "Password contains characters that can't be used (NUL or invalid UTF-8)", argon}, // a lone surrogate
		{"huge", strings.Repeat("x", 4097), "Password cannot be longer than 4096 bytes", argon},
		{"73 bytes with bcrypt", strings.Repeat("x", 73), "Password cannot be longer than 72 bytes with bcrypt", bcrypt},
		{"37 letters of two bytes with bcrypt", strings.Repeat("é", 37), "Password cannot be longer than 72 bytes with bcrypt", bcrypt},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			hash, err := tc.h.Hash(t.Context(), tc.text)
			var e *auth.Error
			if hash != "" || !errors.As(err, &e) {
				t.Fatalf("Hash = %q, %v", hash, err)
			}
			if diff := cmp.Diff(*auth.E(auth.CodeValidation, tc.want), *e); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoTruncation proves A2.2: every byte counts, for both algorithms.
func TestNoTruncation(t *testing.T) {
	t.Parallel()
	argon := newHasher(t, quick())
	long := strings.Repeat("x", 99)
	hash, err := argon.Hash(t.Context(), long+"a")
	if err != nil {
		t.Fatal(err)
	}
	if got := verify(t, argon, hash, long+"a"); !got.OK {
		t.Errorf("100 characters: %+v", got)
	}
	if got := verify(t, argon, hash, long+"b"); got.OK {
		t.Error("another last character is accepted")
	}
	if _, err := argon.Hash(t.Context(), strings.Repeat("x", 73)); err != nil {
		t.Errorf("73 bytes: %v", err)
	}
	bcrypt := newHasher(t, password.Config{Algorithm: password.Bcrypt})
	full := strings.Repeat("x", 72)
	bc, err := bcrypt.Hash(t.Context(), full)
	if err != nil {
		t.Fatal(err)
	}
	if got := verify(t, bcrypt, bc, full); !got.OK || got.Rehash {
		t.Errorf("72 bytes: %+v", got)
	}
	if got := verify(t, bcrypt, bc, full+"y"); got.OK {
		t.Error("bcrypt cuts at 72 bytes")
	}
	// Nor is a long password under argon2id lost when bcrypt is configured.
	if got := verify(t, bcrypt, hash, long+"a"); !got.OK {
		t.Errorf("100 characters with bcrypt configured: %+v", got)
	}
}

// TestNormalisation: one password, however it was typed; and an imported hash of the other
// form is still found, then replaced.
func TestNormalisation(t *testing.T) {
	t.Parallel()
	h := newHasher(t, quick())
	const composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
	hash, err := h.Hash(t.Context(), decomposed)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{composed, decomposed} {
		if diff := cmp.Diff(verdict{OK: true}, verify(t, h, hash, text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	const imported = "$2b$04$abcdefghijklmnopqrstuu.oMTCQjdCbYvSW3IQEvGWmdb6wOIFXe" // of the decomposed form, by libxcrypt
	if diff := cmp.Diff(verdict{OK: true, Rehash: true}, verify(t, h, imported, decomposed)); diff != "" {
		t.Errorf("imported (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(verdict{}, verify(t, h, imported, composed)); diff != "" {
		t.Errorf("imported, typed otherwise (-want +got):\n%s", diff)
	}
}

func TestHashVerifyProperty(t *testing.T) {
	t.Parallel()
	h := newHasher(t, quick())
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(1, 40, 160).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) }).Draw(rt, "text")
		hash, err := h.Hash(ctx, text)
		if err != nil {
			rt.Fatal(err)
		}
		if err := password.ValidHash(hash); err != nil {
			rt.Fatal(err)
		}
		if ok, rehash, err := h.Verify(ctx, hash, text); !ok || rehash || err != nil {
			rt.Fatalf("Verify = %v, %v, %v", ok, rehash, err)
		}
		if ok, _, err := h.Verify(ctx, hash, text+"x"); ok || err != nil {
			rt.Fatalf("Verify of another = %v, %v", ok, err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		c    password.Config
		want string
	}{
		{"algorithm", password.Config{Algorithm: "md5"}, `unknown algorithm "md5"`},
		{"much memory", password.Config{Memory: 256 << 10}, "262144 KiB"},
		{"many passes", password.Config{Memory: 65536, Time: 31}, "about 2031 ms"},
		{"endless bcrypt", password.Config{Algorithm: password.Bcrypt, BcryptCost: 31}, "cost 31"},
		{"no randomness", password.Config{Rand: strings.NewReader("")}, "random"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := password.New(tc.c)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New: %v, want %q", err, tc.want)
			}
		})
	}
}

func BenchmarkHash(b *testing.B) {
	for name, c := range map[string]password.Config{
		"argon2id 19 MiB 2": {}, "argon2id 7 MiB 1 (tests)": quick(), "bcrypt 10": {Algorithm: password.Bcrypt},
	} {
		b.Run(name, func(b *testing.B) {
			h := newHasher(b, c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Hash(b.Context(), "correct horse battery staple"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerify compares the time for accounts that exist and those that don't.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{password.Argon2id, password.Bcrypt} {
		h := newHasher(b, password.Config{Algorithm: algorithm})
		hash, err := h.Hash(b.Context(), "correct horse battery staple")
		if err != nil {
			b.Fatal(err)
		}
		for name, text := range map[string]string{"right": "correct horse battery staple", "wrong": "something else"} {
			b.Run(algorithm+" "+name, func(b *testing.B) {
				for b.Loop() {
					if _, _, err := h.Verify(b.Context(), hash, text); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(algorithm+" none", func(b *testing.B) {
			for b.Loop() {
				if err := h.VerifyNone(b.Context(), "something else"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
