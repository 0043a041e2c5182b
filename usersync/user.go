package usersync

import (
	"slices"
	"time"
)

// User is a row of the service's own table of users.
type User struct {
	ID string // a UUID of the service's own, which other tables refer to

	// Issuer and Subject say whose row it is. Both are empty in a row that somebody
	// imported and nobody has come for yet.
	Issuer, Subject string

	Status Status

	// Email and Phone are the columns that rows are linked by. The stores of this module
	// hold proved addresses there and no others, so the flags say no more than the columns;
	// a table of the service's own may hold others too, which link nobody.
	Email, Phone                 string
	EmailVerified, PhoneVerified bool
	// EmailStale and PhoneStale: the issuer vouches for another address of the owner by now.
	// The row keeps its own, but is not found by it any more: the next owner of the mailbox
	// or number must not get the row.
	EmailStale, PhoneStale bool

	AuthProvider string
	Providers    []Provider
	Profile      Profile

	// Version counts the changes of the row from 1, for those who get them out of order.
	Version int64

	// SourceAt is when the issuer last said how the account stands; zero: never. EvidenceAt
	// is when it was last asked about addresses; zero: never.
	SourceAt, EvidenceAt time.Time

	CreatedAt, UpdatedAt time.Time
}

// Verified says whether either channel is proved.
func (u User) Verified() bool { return u.EmailVerified || u.PhoneVerified }

// Status is the state of a row.
type Status string

// The states. Only a user with StatusActive may do anything.
const (
	StatusActive Status = "active"
	// StatusBanned: the issuer says so, and may say otherwise later.
	StatusBanned Status = "banned"
	// StatusDeactivated: the service says so. Nothing that the issuer says undoes it.
	StatusDeactivated Status = "deactivated"
	// StatusSuperseded: the row is a duplicate that was closed in favour of another, and
	// has given up its addresses. Its owner is welcome, and meant the other row.
	StatusSuperseded Status = "superseded"
	// StatusDeleted is a tombstone: issuer and subject stay, everything personal is gone. It
	// keeps a token that is still good from making the user anew.
	StatusDeleted Status = "deleted"
)

// Action is what is to be done.
type Action string

// The actions.
const (
	// ActionNone: the row is up to date.
	ActionNone Action = "none"
	// ActionCreate: a new row. Its status is active, or what the issuer said of an account
	// that was never here and must not come.
	ActionCreate Action = "create"
	// ActionUpdate: fill in what the row lacks, lift its flags, or change its status.
	ActionUpdate Action = "update"
	// ActionRepoint: a row that was found by a proved address gets the subject.
	ActionRepoint Action = "repoint"
	// ActionMove is ActionRepoint after a superseded row has given the subject up.
	ActionMove Action = "move"
	// ActionRefuse: the user may not come in, and nothing changes.
	ActionRefuse Action = "refuse"
)

// Conflict is something that two rows, or a row and the issuer, do not agree on. It is for
// the log and holds no address.
type Conflict struct {
	Field string       `json:"field"` // "email" or "phone"
	Kind  ConflictKind `json:"kind"`
	// With is the id of the other row; empty for ConflictDiffers.
	With string `json:"with,omitempty"`
}

// ConflictKind says how a conflict was settled: always by leaving alone what is there.
type ConflictKind string

// The kinds.
const (
	// ConflictDiffers: the row has another proved address than the issuer; it stays.
	ConflictDiffers ConflictKind = "differs"
	// ConflictTaken: another row owns the address; it was not filled in.
	ConflictTaken ConflictKind = "taken"
	// ConflictUnproved: another row has the address without a proof; it was neither linked
	// nor filled in. Somebody may have put it there to wait for its owner.
	ConflictUnproved ConflictKind = "unproved"
	// ConflictStale: another row has the address, and its owner has another one by now at the
	// issuer; it was neither linked nor filled in.
	ConflictStale ConflictKind = "stale"
	// ConflictForeign: another row owns the address and belongs to another issuer, which
	// the rules do not link across.
	ConflictForeign ConflictKind = "foreign"
)

// Plan is what [Decide] gives.
type Plan struct {
	Action Action
	// UserID is the row that the plan is about; empty with ActionCreate, and with a refusal
	// it is the row that refuses.
	UserID string
	// Reason is the status that refuses, with ActionRefuse.
	Reason Status
	// Release is the superseded row that gives its subject up before anything else happens;
	// see [Released].
	Release string
	// Set is what changes. Zero values mean: leave alone.
	Set       Changes
	Conflicts []Conflict
}

// Changes are new values of a row.
type Changes struct {
	Issuer, Subject              string
	Status                       Status
	Email, Phone                 string
	EmailVerified, PhoneVerified bool
	EmailAge, PhoneAge           Age
	AuthProvider                 string
	Providers                    []Provider // all of them, old and new
	Profile                      Profile
	SourceAt                     time.Time
}

// Age says whether an address is still its owner's.
type Age string

// The ages.
const (
	AgeStale   Age = "stale"   // the issuer vouches for another one
	AgeCurrent Age = "current" // it vouches for this one, again
)

// after gives the mark of a row after a change; "" leaves it alone.
func (a Age) after(stale bool) bool { return a == AgeStale || (stale && a != AgeCurrent) }

// Released is the subject of a row that has given its own up: no issuer gives one like it
// to anybody, and two rows never share one.
func Released(subject, rowID string) string { return "__migrated__" + rowID + "__" + subject }

// Apply gives the row as it is after the plan, at that time; what Release does to the other
// row is not part of it. With ActionCreate u is the zero value with the new ID. ActionNone
// and ActionRefuse change nothing. A deletion leaves nothing personal.
func (p Plan) Apply(u User, at time.Time) User {
	switch p.Action {
	case ActionNone, ActionRefuse:
		return u
	case ActionCreate:
		u.CreatedAt = at
	}
	s := p.Set
	u.Version++
	u.UpdatedAt = at
	u.Issuer, u.Subject = either(s.Issuer, u.Issuer), either(s.Subject, u.Subject)
	u.Status = Status(either(string(s.Status), string(u.Status)))
	if s.SourceAt.After(u.SourceAt) {
		u.SourceAt = s.SourceAt
	}
	if u.Status == StatusDeleted {
		return u.forgotten()
	}
	u.Email, u.EmailVerified = either(s.Email, u.Email), u.EmailVerified || s.EmailVerified
	u.Phone, u.PhoneVerified = either(s.Phone, u.Phone), u.PhoneVerified || s.PhoneVerified
	u.EmailStale, u.PhoneStale = s.EmailAge.after(u.EmailStale), s.PhoneAge.after(u.PhoneStale)
	u.AuthProvider = either(s.AuthProvider, u.AuthProvider)
	if s.Providers != nil {
		u.Providers = slices.Clone(s.Providers)
	}
	u.Profile = u.Profile.with(s.Profile)
	if u.Status == StatusSuperseded { // its addresses belong to the other row now
		u.Email, u.EmailVerified, u.EmailStale = "", false, false
		u.Phone, u.PhoneVerified, u.PhoneStale = "", false, false
	}
	return u
}

// forgotten gives the tombstone of a row.
func (u User) forgotten() User {
	return User{
		ID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Status: StatusDeleted, Version: u.Version,
		SourceAt: u.SourceAt, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

func either(first, second string) string {
	if first != "" {
		return first
	}
	return second
}
