package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"

	"github.com/cardea-auth/cardea/internal/auth"
)

// The algorithms that new hashes are made with.
const (
	Argon2id = "argon2id"
	Bcrypt   = "bcrypt"
)

// Config says how passwords are hashed. The zero value is right: argon2id with 19 MiB, two
// passes and one lane, one hash at a time for each core.
type Config struct {
	Algorithm  string // Argon2id (default) or Bcrypt
	Memory     uint32 // KiB of one argon2id hash; 0: 19456
	Time       uint32 // passes of argon2id; 0: 2
	Threads    uint8  // lanes of argon2id; 0: 1
	BcryptCost int    // 0: 10

	Concurrency int           // hashes at a time; 0: one for each core
	Queue       int           // callers that may wait for a turn; 0: 16 for each turn
	MaxWait     time.Duration // longest wait for a turn; 0: 5 s

	Rand io.Reader // salts; nil: crypto/rand
}

// Hasher makes and checks password hashes. It bounds how many are in work at a time: a
// storm of sign-ins then costs a bounded amount of memory and leaves processor time to
// token verification and refresh, and what exceeds the queue is told to come back.
type Hasher struct {
	c       Config
	turns   *semaphore.Weighted // Concurrency in all
	waiting atomic.Int64
	dummy   string
}

// New makes a Hasher.
func New(c Config) (*Hasher, error) {
	c = c.withDefaults()
	switch c.Algorithm {
	case Argon2id:
	case Bcrypt:
		if c.BcryptCost < bcrypt.MinCost || c.BcryptCost > maxBcryptCost {
			return nil, fmt.Errorf("password: bcrypt cost %d is not between %d and %d", c.BcryptCost, bcrypt.MinCost, maxBcryptCost)
		}
	default:
		return nil, fmt.Errorf("password: unknown algorithm %q: use %s or %s", c.Algorithm, Argon2id, Bcrypt)
	}
	h := &Hasher{c: c, turns: semaphore.NewWeighted(int64(c.Concurrency))}
	var err error
	if h.dummy, err = h.makeDummy(); err != nil {
		return nil, err
	}
	if _, err := parse(h.dummy); err != nil { // what could be stored but never checked
		return nil, fmt.Errorf("password: the configured cost: %w", err)
	}
	return h, nil
}

func (c Config) withDefaults() Config {
	if c.Algorithm == "" {
		c.Algorithm = Argon2id
	}
	if c.Memory == 0 {
		c.Memory = 19456
	}
	if c.Time == 0 {
		c.Time = 2
	}
	if c.Threads == 0 {
		c.Threads = 1
	}
	if c.BcryptCost == 0 {
		c.BcryptCost = 10
	}
	if c.Concurrency <= 0 {
		c.Concurrency = runtime.GOMAXPROCS(0)
	}
	if c.Queue <= 0 {
		c.Queue = 16 * c.Concurrency
	}
	if c.MaxWait <= 0 {
		c.MaxWait = 5 * time.Second
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return c
}

// turn waits for a place among the hashes in work. A hash that needs more memory than ours
// (KiB) takes the room of several, so that imported ones can't multiply the budget. Errors:
// CodeOverloaded when the queue is full or the wait was too long, or the context's own.
func (h *Hasher) turn(ctx context.Context, memory int64) (release func(), err error) {
	unit := int64(h.c.Memory)
	weight := min(max((memory+unit-1)/unit, 1), int64(h.c.Concurrency))
	release = func() { h.turns.Release(weight) }
	if h.turns.TryAcquire(weight) {
		return release, nil
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(h.c.Queue) {
		return nil, overloaded()
	}
	waiting, cancel := context.WithTimeout(ctx, h.c.MaxWait)
	defer cancel()
	switch err := h.turns.Acquire(waiting, weight); {
	case err == nil:
		return release, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("password: waiting for a turn: %w", ctx.Err())
	}
	return nil, overloaded()
}

func overloaded() error {
	return &auth.Error{Code: auth.CodeOverloaded, RetryAfter: time.Second}
}

// normalize gives the form that is hashed: NFC, so that one password typed on two systems
// is one password (RFC 8265 §4.2.2). Text that no form can carry is refused.
func normalize(password string) (string, error) {
	if !auth.CleanText(password) {
		return "", auth.E(auth.CodeValidation, "Password contains characters that can't be used (NUL or invalid UTF-8)")
	}
	return norm.NFC.String(password), nil
}

const (
	saltSize       = 16 // bytes
	sumSize        = 32 // bytes
	bcryptMaxBytes = 72 // bcrypt reads no further
)

// maxBytes bounds what is fed to a hash at all, whatever the policy says.
const maxBytes = 4096

// Hash makes the hash of a new password. Errors: CodeValidation for text that can't be
// hashed whole (over 72 bytes with bcrypt, which would silently drop the rest);
// CodeOverloaded.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	p, err := normalize(password)
	if err != nil {
		return "", err
	}
	if len(p) > maxBytes {
		return "", auth.E(auth.CodeValidation, fmt.Sprintf("Password cannot be longer than %d bytes", maxBytes))
	}
	if h.c.Algorithm == Bcrypt && len(p) > bcryptMaxBytes {
		return "", auth.E(auth.CodeValidation, fmt.Sprintf("Password cannot be longer than %d bytes with bcrypt", bcryptMaxBytes))
	}
	release, err := h.turn(ctx, int64(h.c.Memory))
	if err != nil {
		return "", err
	}
	defer release()
	return h.hash(p)
}

func (h *Hasher) hash(p string) (string, error) {
	if h.c.Algorithm == Bcrypt {
		b, err := bcrypt.GenerateFromPassword([]byte(p), h.c.BcryptCost)
		if err != nil {
			return "", fmt.Errorf("password: bcrypt: %w", err)
		}
		return string(b), nil
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(h.c.Rand, salt); err != nil {
		return "", fmt.Errorf("password: random bytes for a salt: %w", err)
	}
	a := h.argon(salt)
	a.sum = a.compute([]byte(p))
	return a.String(), nil
}

// Verify checks a password against a stored hash of any form that [ValidHash] accepts.
// rehash is true when the password is right and the hash should be renewed, because it is
// not of today's algorithm and cost. A hash that can't be read, and a password that can't
// be one, are simply wrong, after the same work: the answer must not tell them apart.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, rehash bool, err error) {
	p, bad := normalize(password)
	if bad != nil || len(p) > maxBytes {
		return false, false, h.VerifyNone(ctx, "")
	}
	parsed, err := parse(hash)
	if err != nil {
		return false, false, h.VerifyNone(ctx, p)
	}
	release, err := h.turn(ctx, parsed.memory())
	if err != nil {
		return false, false, err
	}
	defer release()
	ok, err = parsed.matches([]byte(p))
	if err == nil && !ok && p != password {
		ok, err = parsed.matches([]byte(password)) // imported from a system that did not normalise
	}
	if err != nil {
		return false, false, fmt.Errorf("password: verify: %w", err)
	}
	return ok, ok && !h.current(parsed), nil
}

// makeDummy makes a hash of today's cost that belongs to no password. With argon2id it is
// random bytes and not computed: start-up must not cost the memory and time of a hash.
func (h *Hasher) makeDummy() (string, error) {
	if h.c.Algorithm == Bcrypt {
		return h.hash("a password that nobody has")
	}
	random := make([]byte, saltSize+sumSize)
	if _, err := io.ReadFull(h.c.Rand, random); err != nil {
		return "", fmt.Errorf("password: random bytes: %w", err)
	}
	a := h.argon(random[:saltSize])
	a.sum = random[saltSize:]
	return a.String(), nil
}

// argon is an argon2id hash of today's cost, not computed yet.
func (h *Hasher) argon(salt []byte) *argonHash {
	return &argonHash{
		id: true, memoryKiB: h.c.Memory, passes: h.c.Time, lanes: h.c.Threads, salt: salt, sum: make([]byte, sumSize),
	}
}

// VerifyNone does the work of Verify for an account that does not exist or has no password,
// so that the time does not tell.
func (h *Hasher) VerifyNone(ctx context.Context, password string) error {
	_, _, err := h.Verify(ctx, h.dummy, password)
	return err
}

// current reports whether a hash is what Hash would make today.
func (h *Hasher) current(s stored) bool {
	switch s := s.(type) {
	case *argonHash:
		return h.c.Algorithm == Argon2id && s.id && s.memoryKiB == h.c.Memory && s.passes == h.c.Time && s.lanes == h.c.Threads
	case *bcryptHash:
		return h.c.Algorithm == Bcrypt && s.cost == h.c.BcryptCost
	}
	return false
}

// ErrHash is wrapped by every refusal of a hash string.
var ErrHash = errors.New("password: not a hash that can be verified")
