package auth

import "time"

// Consent is somebody's newest word on a purpose.
type Consent struct {
	UserID   ID
	TenantID ID // zero: said to the application as a whole
	Purpose  string
	Version  string // of the text that was agreed to

	GrantedAt   time.Time
	ExpiresAt   time.Time // zero: does not expire
	WithdrawnAt time.Time // zero: not withdrawn
}

// ConsentAction is what somebody did about a consent.
type ConsentAction string

// The actions.
const (
	ConsentGrant    ConsentAction = "granted"
	ConsentWithdraw ConsentAction = "withdrawn"
)

// ConsentEvent is one line of the history of consents. Nothing changes or removes one while
// the account exists, except that IP and UserAgent may be emptied.
type ConsentEvent struct {
	ID        ID
	UserID    ID
	TenantID  ID
	Purpose   string
	Action    ConsentAction
	Version   string // granted: of the text. Withdrawn: of the text that no longer holds
	At        time.Time
	ExpiresAt time.Time // granted only; zero: does not expire
	IP        string    // where it came from, for the proof that it was the person
	UserAgent string
}

// ConsentChange is one event with its audit entry.
type ConsentChange struct {
	Event ConsentEvent
	Audit AuditEntry
}
