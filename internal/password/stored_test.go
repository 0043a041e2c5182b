package password_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/password"
)

const firebase = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=ou9tdYTGyYm8kuR6Dt0Bp0kDuAYoXrK16mbZO4yGwAn3oLspjnN0/c41v8xZnO1n14J3MjKj1b2g6AUCAlFwMw==" +
	"$C0sHCg9ek77hsg==$zKVTMvnWVw5BBOZNUdnsalx4c4c7y/w7IS5p6Ut2+CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84+hfTw=="

// imports are hashes that other programs made.
func imports() []struct{ name, hash, text string } {
	return []struct{ name, hash, text string }{
		{"argon2id, reference implementation", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
		{"argon2id 64 MiB, reference implementation", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"argon2i, reference implementation", "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$T/XOJ2mh1/TIpJHfCdQan76Q5esCFVoT5MAeIM1Oq2E", "password"},
		{"bcrypt 2b, libxcrypt", "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "correct horse"},
		{"bcrypt 2y", "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "correct horse"},
		{"scrypt, Node", "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$A9lBa6RTbfBovWqamVIqXKovIl4Vk6OZyVojLJmYmSI", "correct horse"},
		{"Firebase", firebase, "mytestpassword"},
		{"PBKDF2 SHA-1, Node", "$pbkdf2-sha1$i=1000,l=20$c2FsdHNhbHRzYWx0c2FsdA$EUcKisx+yviAqdTmlEPmy+5ykUU", "correct horse"},
		{"PBKDF2 SHA-256, Node", "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM", "correct horse"},
		{"PBKDF2 SHA-256, no length", "$pbkdf2-sha256$i=1000$c2FsdHNhbHRzYWx0c2FsdA$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM", "correct horse"},
		{"PBKDF2 SHA-256, passlib's form", "$pbkdf2-sha256$1000$c2FsdHNhbHRzYWx0c2FsdA$BBs.1.PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM", "correct horse"},
		{"PBKDF2 SHA-1, passlib's form", "$pbkdf2$1000$c2FsdHNhbHRzYWx0c2FsdA$EUcKisx.yviAqdTmlEPmy.5ykUU", "correct horse"},
		{"PBKDF2 SHA-512, Node", "$pbkdf2-sha512$i=1000,l=64$c2FsdHNhbHRzYWx0c2FsdA$EHLBej+uEvxlmr0QnHnceg1vM6h1wbwSP5XErh3SmizNDWZsIi28RPGARe0EssjGRoiACzxgHjNvqwJY1zxKig", "correct horse"},
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	h := newHasher(t, quick())
	for _, tc := range imports() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if err := password.ValidHash(tc.hash); err != nil {
				t.Errorf("ValidHash: %v", err)
			}
			got := []verdict{verify(t, h, tc.hash, tc.text), verify(t, h, tc.hash, tc.text+"x"), verify(t, h, tc.hash, "")}
			if diff := cmp.Diff([]verdict{{OK: true, Rehash: true}, {}, {}}, got); diff != "" {
				t.Errorf("right, wrong, empty (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHostileHashes: what an import may not bring in: forms that nobody can verify, and
// hashes whose one verification would stop the server.
func TestHostileHashes(t *testing.T) {
	t.Parallel()
	h := newHasher(t, quick())
	const salt, sum = "c29tZXNhbHRzb21lc2FsdA", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	const bcryptBody = "abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
	for _, tc := range []struct{ name, hash string }{
		{"empty", ""},
		{"plain text", "password"},
		{"dollars", "$$$$$"},
		{"md5crypt", "$1$salt$qJH7.N4xYta3aEG/dfqo/0"},
		{"huge", "$2a$04$" + strings.Repeat("a", 1<<20)},
		{"argon2id 4 GiB", "$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + sum},
		{"argon2id over 32 bits", "$argon2id$v=19$m=4294967297,t=1,p=1$" + salt + "$" + sum},
		{"argon2id for hours", "$argon2id$v=19$m=65536,t=100000,p=1$" + salt + "$" + sum},
		{"argon2id no passes", "$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + sum},
		{"argon2id no lanes", "$argon2id$v=19$m=65536,t=1,p=0$" + salt + "$" + sum},
		{"argon2id many lanes", "$argon2id$v=19$m=65536,t=1,p=255$" + salt + "$" + sum},
		{"argon2id sign", "$argon2id$v=19$m=+65536,t=1,p=1$" + salt + "$" + sum},
		{"argon2id other order", "$argon2id$v=19$t=1,m=65536,p=1$" + salt + "$" + sum},
		{"argon2id old version", "$argon2id$v=16$m=65536,t=1,p=1$" + salt + "$" + sum},
		{"argon2d", "$argon2d$v=19$m=65536,t=1,p=1$" + salt + "$" + sum},
		{"argon2id short sum", "$argon2id$v=19$m=65536,t=1,p=1$" + salt + "$c29tZQ"},
		{"argon2id no sum", "$argon2id$v=19$m=65536,t=1,p=1$" + salt + "$"},
		{"argon2id line break", "$argon2id$v=19$m=65536,t=1,p=1$" + salt + "\n$" + sum},
		{"bcrypt for days", "$2a$31$" + bcryptBody},
		{"bcrypt cost 16", "$2a$16$" + bcryptBody},
		{"bcrypt cost 3", "$2a$03$" + bcryptBody},
		{"bcrypt sign", "$2a$+4$" + bcryptBody},
		{"bcrypt 2x", "$2x$04$" + bcryptBody},
		{"bcrypt short", "$2a$04$" + bcryptBody[1:]},
		{"bcrypt foreign character", "$2a$04$" + bcryptBody[1:] + "!"},
		{"scrypt 16 GiB", "$scrypt$ln=24,r=8,p=1$" + salt + "$" + sum},
		{"scrypt for hours", "$scrypt$ln=17,r=8,p=64$" + salt + "$" + sum},
		{"scrypt 2^63", "$scrypt$ln=63,r=8,p=1$" + salt + "$" + sum},
		{"scrypt no r", "$scrypt$ln=10,r=0,p=1$" + salt + "$" + sum},
		{"Firebase 16 GiB", strings.Replace(firebase, "n=14", "n=24", 1)},
		{"Firebase version 2", strings.Replace(firebase, "v=1", "v=2", 1)},
		{"Firebase without signer key", strings.Replace(firebase, ",sk=", ",xx=", 1)},
		{"Firebase other length", strings.TrimSuffix(firebase, "Tw==")},
		{"PBKDF2 for hours", "$pbkdf2-sha256$i=2000000000$" + salt + "$" + sum},
		{"PBKDF2 no iterations", "$pbkdf2-sha256$i=0$" + salt + "$" + sum},
		{"PBKDF2 negative", "$pbkdf2-sha256$-1$" + salt + "$" + sum},
		{"PBKDF2 wrong length", "$pbkdf2-sha256$i=1000,l=64$" + salt + "$" + sum},
		{"PBKDF2 MD5", "$pbkdf2-md5$i=1000$" + salt + "$" + sum},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if err := password.ValidHash(tc.hash); auth.CodeOf(err) != auth.CodeValidation {
				t.Errorf("ValidHash: %v", err)
			}
			if got := verify(t, h, tc.hash, "password"); got != (verdict{}) {
				t.Errorf("Verify: %+v", got)
			}
		})
	}
}
