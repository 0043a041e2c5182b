package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // G505: only to read imported PBKDF2 hashes, where it is not broken
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// Limits for one stored hash, whatever its form: an import must not be able to stop the
// server. The work is a rough estimate in microseconds of one core.
const (
	maxMemory = 128 << 10 // KiB
	maxWork   = 2_000_000

	maxLanes      = 16
	maxBcryptCost = 15
)

// stored is a hash that was read.
type stored interface {
	memory() int64 // KiB while it is computed
	work() int64   // estimated microseconds
	// matches reports whether the password gives this hash. The comparison is done in
	// constant time.
	matches(password []byte) (bool, error)
}

// argonHash is argon2id, or argon2i (RFC 9106), version 0x13.
type argonHash struct {
	id        bool
	memoryKiB uint32
	passes    uint32
	lanes     uint8
	salt, sum []byte
}

func (a *argonHash) memory() int64 { return max(int64(a.memoryKiB), 8*int64(a.lanes)) }
func (a *argonHash) work() int64   { return a.memory() * int64(a.passes) }

func (a *argonHash) compute(password []byte) []byte {
	size := uint32(len(a.sum)) //nolint:gosec // G115: at most 64
	if a.id {
		return argon2.IDKey(password, a.salt, a.passes, a.memoryKiB, a.lanes, size)
	}
	return argon2.Key(password, a.salt, a.passes, a.memoryKiB, a.lanes, size)
}

func (a *argonHash) matches(password []byte) (bool, error) {
	return subtle.ConstantTimeCompare(a.compute(password), a.sum) == 1, nil
}

// String gives the PHC string.
func (a *argonHash) String() string {
	name := "argon2i"
	if a.id {
		name = "argon2id"
	}
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", name, argon2.Version, a.memoryKiB, a.passes, a.lanes,
		base64.RawStdEncoding.EncodeToString(a.salt), base64.RawStdEncoding.EncodeToString(a.sum))
}

// bcryptHash is $2a$, $2b$ or $2y$, which are the same thing for passwords of up to 72
// bytes without NUL.
type bcryptHash struct {
	cost int
	text []byte
}

const (
	bcryptLength   = 60 // characters of a hash
	bcryptMemory   = 8  // KiB
	bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

func (b *bcryptHash) memory() int64 { return bcryptMemory }
func (b *bcryptHash) work() int64   { return 60 << b.cost }

// matches never accepts more than 72 bytes: bcrypt would look at the first 72 only, and
// two passwords would be one.
func (b *bcryptHash) matches(password []byte) (bool, error) {
	long := len(password) > bcryptMaxBytes
	if long {
		password = password[:bcryptMaxBytes] // the same work
	}
	err := bcrypt.CompareHashAndPassword(b.text, password)
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, err
	}
	return err == nil && !long, nil
}

// scryptHash is scrypt (RFC 7914).
type scryptHash struct {
	logN, r, p int
	salt, sum  []byte
}

func (s *scryptHash) memory() int64 { return max(int64(s.r)<<s.logN/8, 1) } // 128 × N × r bytes
func (s *scryptHash) work() int64   { return 3 * s.memory() * int64(s.p) }

func (s *scryptHash) derive(password, salt []byte, size int) ([]byte, error) {
	return scrypt.Key(password, salt, 1<<s.logN, s.r, s.p, size)
}

func (s *scryptHash) matches(password []byte) (bool, error) {
	got, err := s.derive(password, s.salt, len(s.sum))
	return err == nil && subtle.ConstantTimeCompare(got, s.sum) == 1, err
}

// firebaseHash is Firebase's use of scrypt: the project's signer key, encrypted with
// AES-256-CTR under the key that scrypt derives from the password, with a counter that
// begins at zero.
type firebaseHash struct {
	scryptHash

	separator, signer []byte
}

func (f *firebaseHash) matches(password []byte) (bool, error) {
	salt := append(f.salt[:len(f.salt):len(f.salt)], f.separator...)
	key, err := f.derive(password, salt, 32)
	if err != nil {
		return false, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return false, err
	}
	got := make([]byte, len(f.signer))
	// Firebase's form has a counter from zero; the key is another for each salt.
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(got, f.signer) //nolint:gosec // G407: see above
	return subtle.ConstantTimeCompare(got, f.sum) == 1, nil
}

// pbkdfHash is PBKDF2 (RFC 8018 §5.2) with HMAC.
type pbkdfHash struct {
	digest     string // "sha1", "sha256", "sha512"
	iterations int
	salt, sum  []byte
}

func digests() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{
		"sha1":   sha1.New, //nolint:forbidigo // passlib's older hashes; HMAC-SHA-1 is not broken
		"sha256": sha256.New, "sha512": sha512.New,
	}
}

func (p *pbkdfHash) memory() int64 { return 1 }

func (p *pbkdfHash) work() int64 {
	size := digests()[p.digest]().Size()
	blocks := (len(p.sum) + size - 1) / size
	return int64(p.iterations) * int64(blocks) / 2
}

func (p *pbkdfHash) matches(password []byte) (bool, error) {
	got, err := pbkdf2.Key(digests()[p.digest], string(password), p.salt, p.iterations, len(p.sum))
	return err == nil && subtle.ConstantTimeCompare(got, p.sum) == 1, err
}
