//go:build !unix

package pgtest

import (
	"errors"
	"syscall"
)

// unprivileged: without Unix sockets and signals there is no throw-away cluster.
func unprivileged(string) (*syscall.SysProcAttr, error) {
	return nil, errors.New("no throw-away cluster on this system: set " + envURL)
}
