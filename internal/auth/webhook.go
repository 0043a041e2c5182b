package auth

import "time"

// SignedNotice is what another server says of an account, with its signature.
type SignedNotice struct {
	Digest [32]byte // of what was signed
	At     time.Time
	Until  time.Time // the notice is remembered up to this moment, and refused when it comes again
	UserID ID
	Audit  AuditEntry
}
