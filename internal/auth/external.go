package auth

import "time"

// ExternalUser is an account for which another issuer vouches: who it is there, and who
// here.
type ExternalUser struct {
	Issuer, Subject string // empty for an account that no issuer has vouched for
	Person          Person
	// Gone says that there was an account of the subject, and is none any more: a token which is
	// still good must make no new one (A15.5). Person is zero then.
	Gone bool
	// SourceAt is when the issuer last said how its account stands, EvidenceAt when it was last
	// asked about addresses; zero: never.
	SourceAt, EvidenceAt time.Time
}

// ExternalCandidates are the accounts that may be meant by a subject; nil where there is none.
type ExternalCandidates struct {
	Subject *ExternalUser // has the subject, or had it
	Email   *ExternalUser // has the address, as its primary one or proved besides
	Phone   *ExternalUser
}

// ExternalPlan is what is to happen. The zero value is nothing.
type ExternalPlan struct {
	Create *NewAccount // with the subject
	// UserID is an account that is there, and Patch and Profile what changes of it; nil: nothing.
	UserID  ID
	Patch   *UserPatch
	Profile *ProfilePatch
	// Link gives the subject to UserID, in place of any other of the same issuer.
	Link bool
	// SourceAt and EvidenceAt are written where they are not zero.
	SourceAt, EvidenceAt time.Time
	Audit                []AuditEntry
}

// Provisioning makes sure that a subject of an issuer has an account. The rules are the
// caller's: Decide is called with what the database has, under locks that keep everybody
// else from the subject and the accounts, and its plan is carried out in the same step.
type Provisioning struct {
	Issuer, Subject string
	Email, Phone    string // normalised and proved, or ""
	// Tombstones are what the deletion of an account with this subject is remembered by, see
	// [TombstoneOf].
	Tombstones []string
	At         time.Time
	Decide     func(c ExternalCandidates) (ExternalPlan, error)
}
