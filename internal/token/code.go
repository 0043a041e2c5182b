package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/cardea-auth/cardea/internal/auth"
)

const codeLabel = "cardea one-time code v1"

// CodeHashes gives the stored form of a one-time code, in hex, under each refresh master
// that is not revoked, the current one first: HMAC-SHA256 under a key derived from the
// master, over purpose, address and code, each with its length in front. A code has so few
// digits that a plain hash of one is turned back by trying them all; a copy of the database
// lacks the key.
func (r *Ring) CodeHashes(purpose auth.Purpose, address, code string) []string {
	masters := r.state.Load().masters
	hashes := make([]string, len(masters))
	for i, master := range masters {
		secret, _ := master.private.([]byte) // newKey has checked it
		derive := hmac.New(sha256.New, secret)
		derive.Write([]byte(codeLabel))
		mac := hmac.New(sha256.New, derive.Sum(nil))
		for _, part := range []string{string(purpose), address, code} {
			// The length keeps ("ab", "c") and ("a", "bc") apart.
			mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			mac.Write([]byte(part))
		}
		hashes[i] = hex.EncodeToString(mac.Sum(nil))
	}
	return hashes
}
