package config

import (
	"fmt"
	"log/slog"
)

// redacted stands for a secret in every text.
const redacted = "[secret]"

// Secret is a value that never appears in a log, an error or a document: every way of
// printing it gives a fixed text. Its bytes are there for whoever needs them, as
// []byte(s); keep no copy longer than needed.
type Secret []byte

// String gives a fixed text.
func (s Secret) String() string {
	if len(s) == 0 {
		return ""
	}
	return redacted
}

// Format gives the fixed text for every verb: %x and %d would bypass String.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue gives the fixed text.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText gives the fixed text; JSON and YAML encoders use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Set reports whether there is a secret at all.
func (s Secret) Set() bool { return len(s) > 0 }
