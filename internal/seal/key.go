package seal

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// NewKey makes a key-encryption key of [KeySize] bytes; a nil source means crypto/rand.
func NewKey(source io.Reader) ([]byte, error) {
	if source == nil {
		source = rand.Reader
	}
	key := make([]byte, KeySize)
	if _, err := io.ReadFull(source, key); err != nil {
		return nil, fmt.Errorf("seal: random key: %w", err)
	}
	return key, nil
}

// ParseKey reads a key-encryption key as text: 64 hexadecimal digits, or 32 bytes in
// base64 or base64url, with or without padding. White space around it is ignored. The
// errors say what is wrong and never repeat the text.
func ParseKey(s string) ([]byte, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, errors.New("seal: the key is empty: it must be 64 hexadecimal digits or 32 bytes in base64")
	}
	key, err := decodeKey(s)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return key, nil
}

func decodeKey(s string) ([]byte, error) {
	if len(s) == hex.EncodedLen(KeySize) {
		if key, err := hex.DecodeString(s); err == nil {
			return key, nil
		}
	}
	if strings.ContainsAny(s, " \t\r\n") { // the decoder would skip line breaks inside
		return nil, errors.New("the key has white space inside: it must be 64 hexadecimal digits or 32 bytes in base64")
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.RawURLEncoding
	}
	bare := strings.TrimRight(s, "=")
	key, err := encoding.Strict().DecodeString(bare)
	if err != nil {
		return nil, fmt.Errorf("the key (%d characters) is neither 64 hexadecimal digits nor 32 bytes in base64", len(s))
	}
	return key, nil
}

// checkKey refuses what is certainly no random key: another length, or one byte
// repeated, as in the placeholder of a copied example.
func checkKey(key []byte) error {
	if len(key) != KeySize {
		return fmt.Errorf("the key has %d bytes: it must have %d", len(key), KeySize)
	}
	for _, b := range key[1:] {
		if b != key[0] {
			return nil
		}
	}
	return errors.New("the key is one byte repeated: make a random one (openssl rand -hex 32)")
}

// LoadOrCreateKeyFile reads the key-encryption key in the file at path, or, when there
// is no such file, makes a key and writes it there as 64 hexadecimal digits with mode
// 0600. Of several processes that start at once, one makes the key and all of them
// return it. The folder must exist. A nil source means crypto/rand.
//
// Refused are a path that is not a regular file and a file that its group or others may
// read or write: whoever reads this file and the database can sign as anybody. (On
// Windows the file system's access lists decide; they are not checked.)
func LoadOrCreateKeyFile(path string, source io.Reader) ([]byte, error) {
	key, err := loadKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	made, err := NewKey(source)
	if err != nil {
		return nil, err
	}
	switch err := publishKeyFile(path, hex.EncodeToString(made)+"\n"); {
	case err == nil, errors.Is(err, fs.ErrExist): // ours, or somebody was faster: read what counts
		return loadKeyFile(path)
	default:
		return nil, fmt.Errorf("seal: key file: %w", err)
	}
}

func loadKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path) // before opening: opening a named pipe would wait for a writer
	if err != nil {
		return nil, fmt.Errorf("seal: key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("seal: key file %s is not a regular file", path)
	}
	f, err := os.Open(path) //nolint:gosec // G304: the operator names this file
	if err != nil {
		return nil, fmt.Errorf("seal: key file: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, fmt.Errorf("seal: key file: %w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("seal: key file %s has mode %04o: others may use it; run chmod 600 on it",
			path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, fmt.Errorf("seal: key file: %w", err)
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// publishKeyFile writes a new file and gives it its name in one step, so that nobody
// reads half a key, and a crash leaves either a whole key or none.
func publishKeyFile(path, text string) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".key-*") // O_EXCL, mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // a second name of the same file, or rubbish
	if err := writeKey(temp, text); err != nil {
		return err
	}
	err = os.Link(temp.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without hard links: the name first, then the content.
		var f *os.File
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil { //nolint:gosec // G304: the operator names this file
			err = writeKey(f, text)
		}
	}
	if err != nil {
		return err
	}
	// The name must survive a power cut too, else what is sealed from now on is lost. Not
	// every system can sync a folder; the key itself is on disk in any case.
	if d, err := os.Open(dir); err == nil { //nolint:gosec // G304: the operator names this folder
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

func writeKey(f *os.File, text string) error {
	_, err := f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
