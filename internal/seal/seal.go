// Package seal encrypts the secrets that Cardea has to read back from its own
// database: private signing keys, refresh masters, seeds of authenticator apps,
// secrets of providers. It is AES-256-GCM (NIST SP 800-38D) under a key-encryption
// key that lives outside the database, so that a copy of the database alone gives
// nothing that signs or signs in.
//
// A sealed value is
//
//	[0x01][4-byte key id][12-byte nonce][ciphertext][16-byte tag]
//
// The header and a context chosen by the caller are authenticated with it. The
// context names the place where the value belongs ("signing_key:" and the kid): a
// value that is copied into another row does not open there.
//
// Not guaranteed: a reader of the database sees the length of a secret, and a writer
// can put back an older sealed value of the same place.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// KeySize is the length of a key-encryption key in bytes.
const KeySize = 32

const (
	version    = 1
	keyIDSize  = 4
	nonceSize  = 12 // the size that SP 800-38D §8.2.2 wants for random nonces
	tagSize    = 16
	headerSize = 1 + keyIDSize
	minSealed  = headerSize + nonceSize + tagSize
)

// The errors of [Box.Open].
var (
	// ErrFormat: the bytes were never made by a Box, or by a newer one.
	ErrFormat = errors.New("seal: not a sealed value")
	// ErrUnknownKey: sealed under a key-encryption key that the Box does not have.
	ErrUnknownKey = errors.New("seal: sealed under a key-encryption key that is not configured")
	// ErrRefused: the value was changed, or belongs to another context.
	ErrRefused = errors.New("seal: value was changed or belongs elsewhere")
)

type keyID [keyIDSize]byte

type sealer struct {
	id   keyID
	aead cipher.AEAD
}

// Box seals with one key and opens with several. It is safe for concurrent use.
//
// Nonces are random: after 2^32 seals under one key the chance that two are equal
// passes 2^-32 (SP 800-38D §8.3). Cardea seals a handful of values a day.
type Box struct {
	// Rand makes nonces; nil means crypto/rand. Set it before the first use.
	Rand io.Reader

	seal sealer
	open map[keyID]cipher.AEAD
}

// New makes a Box from one or more keys of [KeySize] bytes. The first seals, all of
// them open: to change the key-encryption key, put the new one in front, rewrap, and
// remove the old one. The same key twice counts once.
func New(keys ...[]byte) (*Box, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: no key-encryption key")
	}
	b := &Box{open: make(map[keyID]cipher.AEAD, len(keys))}
	seen := make(map[keyID][]byte, len(keys))
	for i, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, fmt.Errorf("seal: key-encryption key %d: %w", i+1, err)
		}
		id := idOf(key)
		if other, ok := seen[id]; ok {
			if !bytes.Equal(other, key) { // one in four thousand million; better than values that don't open
				return nil, fmt.Errorf("seal: key-encryption key %d has the same id as another one: make a new key", i+1)
			}
			continue
		}
		aead, err := newAEAD(key)
		if err != nil {
			return nil, err
		}
		seen[id], b.open[id] = key, aead
		if i == 0 {
			b.seal = sealer{id: id, aead: aead}
		}
	}
	return b, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead, nil
}

// idOf tells keys apart without giving anything away: four bytes of a hash of 256
// random bits.
func idOf(key []byte) keyID {
	sum := sha256.Sum256(key)
	return keyID(sum[:keyIDSize])
}

// Seal encrypts plain for the place that context names. It fails only when no random
// bytes can be had.
func (b *Box) Seal(plain, context []byte) ([]byte, error) {
	out := make([]byte, headerSize+nonceSize, minSealed+len(plain))
	out[0] = version
	copy(out[1:], b.seal.id[:])
	source := b.Rand
	if source == nil {
		source = rand.Reader
	}
	nonce := out[headerSize:]
	if _, err := io.ReadFull(source, nonce); err != nil {
		return nil, fmt.Errorf("seal: random nonce: %w", err)
	}
	return b.seal.aead.Seal(out, nonce, plain, authenticated(out[:headerSize], context)), nil
}

// Open decrypts what [Box.Seal] made for the same context. Errors are [ErrFormat],
// [ErrUnknownKey] and [ErrRefused]; with any of them no byte of plaintext is returned.
func (b *Box) Open(sealed, context []byte) ([]byte, error) {
	if len(sealed) < minSealed || sealed[0] != version {
		return nil, ErrFormat
	}
	aead, ok := b.open[keyID(sealed[1:headerSize])]
	if !ok {
		return nil, ErrUnknownKey
	}
	nonce := sealed[headerSize : headerSize+nonceSize]
	plain, err := aead.Open(nil, nonce, sealed[headerSize+nonceSize:], authenticated(sealed[:headerSize], context))
	if err != nil {
		return nil, ErrRefused
	}
	return plain, nil
}

// Current reports whether sealed is under the key that seals, so that a rewrap can
// leave it alone. It does not check that the value opens.
func (b *Box) Current(sealed []byte) bool {
	return len(sealed) >= minSealed && sealed[0] == version && keyID(sealed[1:headerSize]) == b.seal.id
}

// authenticated joins what GCM authenticates besides the ciphertext. The header has a
// fixed length, so that no two pairs give the same bytes.
func authenticated(header, context []byte) []byte {
	return append(append(make([]byte, 0, len(header)+len(context)), header...), context...)
}
