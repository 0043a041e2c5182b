package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// A refresh token is GoTrue's version 2, in base64url without padding:
//
//	[0x00][16-byte session id][uvarint counter][16-byte MAC][4-byte checksum]
//
// The MAC is HMAC-SHA256, cut to 128 bits, of everything before it; the checksum is the
// start of SHA-256 of everything before that, and lets a scanner recognise a token of ours.
// Where GoTrue keeps the MAC key of a session in its row, we derive it from a sealed master:
// a copy of the database makes no token, and a forged one is refused without asking it.
const (
	refreshVersion  = 0x00
	refreshHead     = 1 + 16
	refreshMAC      = 16
	refreshChecksum = 4
	refreshTail     = refreshMAC + refreshChecksum
	refreshMaxBytes = refreshHead + binary.MaxVarintLen64 + refreshTail
	refreshMaxChars = (refreshMaxBytes*8 + 5) / 6
)

const refreshLabel = "cardea refresh v2"

// Refresh encodes the refresh token with this number of a session. The same arguments
// always give the same token while the master is current. The counter must not be
// negative: such a token is refused when it comes back.
func (r *Ring) Refresh(session auth.ID, counter int64) string {
	var room [refreshMaxBytes]byte
	b := append(room[:0], refreshVersion)
	b = append(b, session[:]...)
	b = binary.AppendUvarint(b, uint64(counter)) //nolint:gosec // G115: see above
	mac := macOf(r.state.Load().refresh, session, b)
	b = append(b, mac[:]...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:refreshChecksum]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// macOf computes the MAC under the key of the session.
func macOf(master *key, session auth.ID, message []byte) [refreshMAC]byte {
	var room [sha256.Size]byte
	mac := hmac.New(sha256.New, sessionKey(room[:0], master, session))
	mac.Write(message)
	return [refreshMAC]byte(mac.Sum(room[:0]))
}

// sessionKey appends the key of a session: HMAC-SHA256(master, label, session).
func sessionKey(to []byte, master *key, session auth.ID) []byte {
	secret, _ := master.private.([]byte) // newKey has checked it
	derive := hmac.New(sha256.New, secret)
	derive.Write([]byte(refreshLabel))
	derive.Write(session[:])
	return derive.Sum(to)
}

// ParseRefresh reads a refresh token and proves that we made it: its encoding is the only
// one of these bytes, the checksum is right, and so is the MAC under one of the masters
// that are not revoked. It does not know whether the session lives or which number is
// current; that is the store's answer. Errors have the code refresh_malformed.
func (r *Ring) ParseRefresh(token string) (session auth.ID, counter int64, err error) {
	t, ok := ReadRefresh(token)
	if !ok {
		return auth.ID{}, 0, errRefresh()
	}
	for _, master := range r.state.Load().masters {
		if mac := macOf(master, t.Session, t.body()); hmac.Equal(mac[:], t.mac()) {
			return t.Session, t.Counter, nil
		}
	}
	return auth.ID{}, 0, errRefresh()
}

// Unproved is a refresh token of the right form, of which nobody has said yet who made it.
type Unproved struct {
	Session auth.ID
	Counter int64

	bytes [refreshMaxBytes]byte
	size  int // of body and MAC
}

func (t *Unproved) body() []byte { return t.bytes[:t.size-refreshMAC] }
func (t *Unproved) mac() []byte  { return t.bytes[t.size-refreshMAC : t.size] }

// MadeWith reports whether the token was made with the key of its session that lies in a
// row of GoTrue's. Such a key makes tokens of every number: the caller has to know which
// ones GoTrue can have made.
func (t *Unproved) MadeWith(key []byte) bool {
	if len(key) < minGoTrueKey {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(t.body())
	var room [sha256.Size]byte
	return hmac.Equal(mac.Sum(room[:0])[:refreshMAC], t.mac())
}

// minGoTrueKey is the least length of a key in bytes; GoTrue makes 32.
const minGoTrueKey = 16

// ReadRefresh reads a refresh token without asking whether it is ours: its encoding is the
// only one of these bytes, and the checksum is right.
func ReadRefresh(token string) (t Unproved, ok bool) {
	// The decoder skips line breaks, and one token would have many spellings.
	if len(token) < 12 || len(token) > refreshMaxChars || strings.ContainsAny(token, "\r\n") {
		return t, false
	}
	var room [refreshMaxBytes + 2]byte
	b, err := base64.RawURLEncoding.Strict().AppendDecode(room[:0], []byte(token))
	if err != nil || len(b) < refreshHead+1+refreshTail || b[0] != refreshVersion {
		return t, false
	}
	body, checksum := b[:len(b)-refreshTail], b[len(b)-refreshChecksum:]
	if sum := sha256.Sum256(b[:len(b)-refreshChecksum]); string(checksum) != string(sum[:refreshChecksum]) {
		return t, false
	}
	number, size := binary.Uvarint(body[refreshHead:])
	if size != len(body)-refreshHead || number > math.MaxInt64 || size != uvarintSize(number) {
		return t, false // trailing bytes, overflow, or zeros on top
	}
	t.Session, t.Counter = auth.ID(body[1:refreshHead]), int64(number)
	t.size = copy(t.bytes[:], b[:len(b)-refreshChecksum])
	return t, true
}

// SessionKey is the key of a session's refresh tokens under the present master, in the form
// in which GoTrue keeps it in its row: with it a GoTrue that takes the schema back reads
// the tokens that we have made. Whoever has it can go on with that session.
func (r *Ring) SessionKey(session auth.ID) string {
	var room [sha256.Size]byte
	return base64.RawURLEncoding.EncodeToString(sessionKey(room[:0], r.state.Load().refresh, session))
}

func uvarintSize(n uint64) int {
	var room [binary.MaxVarintLen64]byte
	return binary.PutUvarint(room[:], n)
}

func errRefresh() error { return auth.E(auth.CodeRefreshMalformed, "Refresh token is not valid") }
