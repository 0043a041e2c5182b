package password

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

const maxHashLength = 1024 // characters of any hash that we read

// ValidHash reports whether a hash can be stored for an account, as an operator may do
// for users of another system. The error has the code validation_failed and says which
// forms there are.
func ValidHash(hash string) error {
	if _, err := parse(hash); err != nil {
		return &auth.Error{
			Code: auth.CodeValidation,
			Message: "The password hash has an unknown form or costs too much: argon2id, argon2i, bcrypt, " +
				"scrypt, Firebase scrypt ($fbscrypt$) and PBKDF2 in PHC form are read",
			Cause: err,
		}
	}
	return nil
}

// parse reads a hash string strictly and refuses one whose computation would cost more
// than the limits. Every error is an [ErrHash].
func parse(text string) (stored, error) {
	if len(text) > maxHashLength {
		return nil, fmt.Errorf("%w: %d characters", ErrHash, len(text))
	}
	rest, ok := strings.CutPrefix(text, "$")
	name, rest, cut := strings.Cut(rest, "$")
	if !ok || !cut {
		return nil, ErrHash
	}
	var s stored
	switch name {
	case "argon2id", "argon2i":
		s = parseArgon(name, rest)
	case "2a", "2b", "2y":
		s = parseBcrypt(text, rest)
	case "scrypt":
		s = parseScrypt(rest)
	case "fbscrypt":
		s = parseFirebase(rest)
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		s = parsePBKDF2(name, rest)
	}
	switch {
	case s == nil:
		return nil, ErrHash
	case s.memory() > maxMemory:
		return nil, fmt.Errorf("%w: %d KiB of memory, at most %d", ErrHash, s.memory(), maxMemory)
	case s.work() > maxWork:
		return nil, fmt.Errorf("%w: about %d ms of work, at most %d", ErrHash, s.work()/1000, maxWork/1000)
	}
	return s, nil
}

// The parsers below give nil for what they can't read.

// parseArgon reads v=19$m=…,t=…,p=…$salt$hash, the order that RFC 9106's authors print.
func parseArgon(name, rest string) stored {
	fields := strings.Split(rest, "$")
	if len(fields) != 4 || fields[0] != "v=19" {
		return nil
	}
	n, ok := numbers(fields[1], "m", "t", "p")
	salt, sum := decode(fields[2], 8, 64), decode(fields[3], 16, 64)
	if !ok || n[0] < 1 || n[1] < 1 || n[2] < 1 || n[2] > maxLanes || salt == nil || sum == nil {
		return nil
	}
	return &argonHash{
		id: name == "argon2id", memoryKiB: uint32(n[0]), passes: uint32(n[1]), lanes: uint8(n[2]), //nolint:gosec // G115: bounded above
		salt: salt, sum: sum,
	}
}

// parseBcrypt reads cost$ and 53 characters of salt and hash.
func parseBcrypt(text, rest string) stored {
	cost, body, ok := strings.Cut(rest, "$")
	if !ok || len(text) != bcryptLength || len(cost) != 2 || len(body) != 53 {
		return nil
	}
	n, err := strconv.ParseUint(cost, 10, 8) // no sign
	if err != nil || n < 4 || n > maxBcryptCost {
		return nil
	}
	for i := range len(body) {
		if strings.IndexByte(bcryptAlphabet, body[i]) < 0 {
			return nil
		}
	}
	return &bcryptHash{cost: int(n), text: []byte(text)}
}

// parseScrypt reads ln=…,r=…,p=…$salt$hash.
func parseScrypt(rest string) stored {
	fields := strings.Split(rest, "$")
	if len(fields) != 3 {
		return nil
	}
	n, ok := numbers(fields[0], "ln", "r", "p")
	s := scryptHash{salt: decode(fields[1], 1, 64), sum: decode(fields[2], 16, 64)}
	if !ok || !s.cost(n) || s.salt == nil || s.sum == nil {
		return nil
	}
	return &s
}

// cost takes log2(N), r and p.
func (s *scryptHash) cost(n []int) bool {
	s.logN, s.r, s.p = n[0], n[1], n[2]
	return s.logN >= 1 && s.logN <= 24 && s.r >= 1 && s.r <= 64 && s.p >= 1 && s.p <= 64
}

// parseFirebase reads v=1,n=…,r=…,p=…,ss=…,sk=…$salt$hash, as GoTrue writes it: base64
// with padding; ss, the salt separator, may be missing.
func parseFirebase(rest string) stored {
	fields := strings.Split(rest, "$")
	if len(fields) != 3 {
		return nil
	}
	head, signer, ok := strings.Cut(fields[0], ",sk=")
	if !ok {
		return nil
	}
	f := firebaseHash{
		scryptHash: scryptHash{salt: decodePadded(fields[1], 1, 64), sum: decodePadded(fields[2], 16, 128)},
		signer:     decodePadded(signer, 16, 128),
	}
	head, separator, has := strings.Cut(head, ",ss=")
	if has {
		if f.separator = decodePadded(separator, 1, 64); f.separator == nil {
			return nil
		}
	}
	n, ok := numbers(head, "v", "n", "r", "p")
	if !ok || n[0] != 1 || !f.cost(n[1:]) || f.salt == nil || f.signer == nil || len(f.sum) != len(f.signer) {
		return nil
	}
	return &f
}

// parsePBKDF2 reads i=…[,l=…]$salt$hash, or passlib's form with the bare number of
// iterations and "." for "+". The name without a digest is passlib's SHA-1.
func parsePBKDF2(name, rest string) stored {
	fields := strings.Split(rest, "$")
	if len(fields) != 3 {
		return nil
	}
	p := pbkdfHash{digest: strings.TrimPrefix(strings.TrimPrefix(name, "pbkdf2"), "-")}
	if p.digest == "" {
		p.digest = "sha1"
	}
	n, length := []int(nil), 0
	var ok bool
	switch {
	case !strings.HasPrefix(fields[0], "i="):
		var bare int
		if bare, ok = number(fields[0]); ok {
			n = []int{bare}
		}
		fields[1], fields[2] = strings.ReplaceAll(fields[1], ".", "+"), strings.ReplaceAll(fields[2], ".", "+")
	case strings.Contains(fields[0], ","):
		if n, ok = numbers(fields[0], "i", "l"); ok {
			length = n[1]
		}
	default:
		n, ok = numbers(fields[0], "i")
	}
	p.salt, p.sum = decode(fields[1], 1, 64), decode(fields[2], 16, 64)
	if !ok || n[0] < 1 || p.salt == nil || p.sum == nil || length != 0 && length != len(p.sum) {
		return nil
	}
	p.iterations = n[0]
	return &p
}

// numbers reads "a=1,b=2" with exactly these names in this order.
func numbers(text string, names ...string) ([]int, bool) {
	parts := strings.Split(text, ",")
	if len(parts) != len(names) {
		return nil, false
	}
	values := make([]int, len(names))
	for i, part := range parts {
		value, found := strings.CutPrefix(part, names[i]+"=") //nolint:gosec // G602: as many parts as names
		n, ok := number(value)
		if !found || !ok {
			return nil, false
		}
		values[i] = n
	}
	return values, true
}

// number reads a decimal number in the one form it has: no sign, no leading zero.
func number(text string) (int, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, false
	}
	return int(n), true
}

// decode reads base64 without padding; nil unless it has between least and most bytes.
func decode(text string, least, most int) []byte {
	if strings.ContainsAny(text, "\r\n") { // skipped by the decoder
		return nil
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < least || len(b) > most {
		return nil
	}
	return b
}

func decodePadded(text string, least, most int) []byte {
	return decode(strings.TrimRight(text, "="), least, most)
}
