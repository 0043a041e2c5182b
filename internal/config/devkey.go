package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cardea-auth/cardea/internal/seal"
)

// fileSuffix turns the name of a secret's variable into that of a variable that names a
// file holding it, as container platforms mount secrets.
const fileSuffix = "_FILE"

// DevKeyPath is where `cardea dev` keeps its encryption key.
func DevKeyPath(dataDir string) string { return filepath.Join(dataDir, "encryption.key") }

// EnsureDevFolder makes the data folder of `cardea dev` (mode 0700) and in it, unless the
// configuration names another key, the encryption key (mode 0600), which it puts into the
// configuration. A nil random means crypto/rand. It must not be called for `serve`.
func (c *Config) EnsureDevFolder(random io.Reader) error {
	if !c.Dev {
		return fmt.Errorf("config: only `cardea dev` makes its own keys")
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if c.EncryptionKey.Set() {
		return nil
	}
	key, err := seal.LoadOrCreateKeyFile(DevKeyPath(c.DataDir), random)
	if err != nil {
		return err
	}
	c.EncryptionKey = key
	return nil
}
