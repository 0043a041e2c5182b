package auth

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// ID is a UUID (RFC 9562). The zero ID means "none".
type ID [16]byte

var errBadID = errors.New("auth: not a UUID")

// NewID makes a version 7 UUID (RFC 9562 §5.7): 48 bits of milliseconds, then 74
// random bits from rand. Ids made later sort later, which keeps the primary key
// index dense at its right edge. An id is not a secret: never use one as a token.
func NewID(now time.Time, rand io.Reader) (ID, error) {
	var id ID
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return ID{}, fmt.Errorf("auth: random bytes for an id: %w", err)
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id, nil
}

// ParseID reads the canonical 36-character form, in either case. Braces, URN
// prefixes and the form without hyphens are refused, so that one id has one
// spelling in logs and in rate-limit keys.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, errBadID
	}
	compact := make([]byte, 0, 32)
	for _, part := range []string{s[0:8], s[9:13], s[14:18], s[19:23], s[24:36]} {
		compact = append(compact, part...)
	}
	if _, err := hex.Decode(id[:], compact); err != nil {
		return ID{}, errBadID
	}
	return id, nil
}

// String gives the canonical lower-case form.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], id[10:16])
	return string(b[:])
}

// IsZero reports whether id is "none".
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with the rules of [ParseID].
func (id *ID) UnmarshalText(b []byte) error {
	parsed, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Truncate gives t in UTC at the precision that both databases keep. Apply it once,
// where a time enters the domain.
func Truncate(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
