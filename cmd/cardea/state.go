package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"
)

// serverState is DataDir/server.json: where the development server of this folder
// listens. It is there while the server runs; after a crash it may be stale.
type serverState struct {
	PID       int    `json:"pid"`
	Listen    string `json:"listen"` // the real address, also when port 0 was asked for
	PublicURL string `json:"public_url"`
	AuthURL   string `json:"auth_url"`
	Preset    string `json:"preset,omitempty"` // for commands beside the server; a file by its whole path
}

func statePath(dataDir string) string { return filepath.Join(dataDir, "server.json") }

func readState(dataDir string) (serverState, bool) {
	var s serverState
	doc, err := os.ReadFile(statePath(dataDir))
	return s, err == nil && json.Unmarshal(doc, &s) == nil && s.Listen != ""
}

// running reports whether somebody answers at the address.
func (s serverState) running(ctx context.Context) bool {
	dialer := net.Dialer{Timeout: 500 * time.Millisecond}
	conn, err := dialer.DialContext(ctx, "tcp", s.Listen)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// removeState removes the file unless another server has written its own meanwhile.
func removeState(dataDir string) error {
	if s, ok := readState(dataDir); !ok || s.PID != os.Getpid() {
		return nil
	}
	return os.Remove(statePath(dataDir))
}

// writePrivate replaces a file at once, readable by its owner only.
func writePrivate(path string, v any) error {
	doc, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(append(doc, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
