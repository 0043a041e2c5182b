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

// macOf computes the MAC under the key of the session: HMAC-SHA256(master, label, session).
func macOf(master *key, session auth.ID, message []byte) [refreshMAC]byte {
	secret, _ := master.private.([]byte) // newKey has checked it
	derive := hmac.New(sha256.New, secret)
	derive.Write([]byte(refreshLabel))
	derive.Write(session[:])
	var room [sha256.Size]byte
	mac := hmac.New(sha256.New, derive.Sum(room[:0]))
	mac.Write(message)
	return [refreshMAC]byte(mac.Sum(room[:0]))
}

// ParseRefresh reads a refresh token and proves that we made it: its encoding is the only
// one of these bytes, the checksum is right, and so is the MAC under one of the masters
// that are not revoked. It does not know whether the session lives or which number is
// current; that is the store's answer. Errors have the code refresh_malformed.
func (r *Ring) ParseRefresh(token string) (session auth.ID, counter int64, err error) {
	// The decoder skips line breaks, and one token would have many spellings.
	if len(token) < 12 || len(token) > refreshMaxChars || strings.ContainsAny(token, "\r\n") {
		return auth.ID{}, 0, errRefresh()
	}
	var room [refreshMaxBytes + 2]byte
	b, err := base64.RawURLEncoding.Strict().AppendDecode(room[:0], []byte(token))
	if err != nil || len(b) < refreshHead+1+refreshTail || b[0] != refreshVersion {
		return auth.ID{}, 0, errRefresh()
	}
	body, sent, checksum := b[:len(b)-refreshTail], b[len(b)-refreshTail:len(b)-refreshChecksum], b[len(b)-refreshChecksum:]
	if sum := sha256.Sum256(b[:len(b)-refreshChecksum]); string(checksum) != string(sum[:refreshChecksum]) {
		return auth.ID{}, 0, errRefresh()
	}
	session = auth.ID(body[1:refreshHead])
	number, size := binary.Uvarint(body[refreshHead:])
	if size != len(body)-refreshHead || number > math.MaxInt64 || size != uvarintSize(number) {
		return auth.ID{}, 0, errRefresh() // trailing bytes, overflow, or zeros on top
	}
	for _, master := range r.state.Load().masters {
		if mac := macOf(master, session, body); hmac.Equal(mac[:], sent) {
			return session, int64(number), nil
		}
	}
	return auth.ID{}, 0, errRefresh()
}

func uvarintSize(n uint64) int {
	var room [binary.MaxVarintLen64]byte
	return binary.PutUvarint(room[:], n)
}

func errRefresh() error { return auth.E(auth.CodeRefreshMalformed, "Refresh token is not valid") }
