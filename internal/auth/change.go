package auth

import (
	"encoding/json"
	"time"
)

// AuditEntry is one row of auth.audit_log_entries in GoTrue's form.
type AuditEntry struct {
	ID            ID
	At            time.Time
	Action        string // "login", "user_signedup", "token_revoked", ...
	LogType       string // "account", "team", "token", "user", "factor"
	ActorID       ID     // zero for the service role
	ActorUsername string // phone, else e-mail, else ""; "service_role" for operators
	ActorViaSSO   bool
	Traits        map[string]any // details; never a secret
	IP            string         // trusted client address, "" if unknown
}

// Payload gives the JSON document that is stored, with GoTrue's member names.
func (a *AuditEntry) Payload() json.RawMessage {
	doc := struct {
		Action        string         `json:"action"`
		ActorID       ID             `json:"actor_id"`
		ActorUsername string         `json:"actor_username"`
		ActorViaSSO   bool           `json:"actor_via_sso"`
		LogType       string         `json:"log_type"`
		Traits        map[string]any `json:"traits,omitempty"`
	}{a.Action, a.ActorID, a.ActorUsername, a.ActorViaSSO, a.LogType, a.Traits}
	b, err := json.Marshal(doc)
	if err != nil { // traits that can't be marshalled are a programming error; keep the entry all the same
		doc.Traits = map[string]any{"traits_error": err.Error()}
		b, _ = json.Marshal(doc)
	}
	return b
}

// NewAccount is everything that one sign-up writes, in one statement.
type NewAccount struct {
	User    User     // with Identities; Factors must be empty
	Session *Session // nil when the account is not signed in by its creation
	Audit   []AuditEntry

	// What proves the address, when the account has to be proved.
	Tokens    []OneTime
	FlowState *FlowState
	Messages  []Message

	Memberships []Membership  // of User; ErrNotFound when a tenant does not exist
	Profile     *ProfilePatch // nil makes none; its Audit is written too
}

// SessionStart is everything that one successful proof writes, in one statement.
type SessionStart struct {
	Session Session
	Audit   AuditEntry
	// Rehash, when not empty, replaces the password hash, provided that the stored one
	// is still RehashFrom: a password changed meanwhile must not be undone.
	Rehash     string
	RehashFrom string
	// Identity is the provider whose identity of this user gets a new LastSignInAt; "" for none.
	Identity string
	// Device is what the sign-in came from, hashed; "" when that is not kept. NewDevice is the
	// notice that is written when the account has been signed in to before, but never from
	// there; nil for none.
	Device    string
	NewDevice *Message
}

// Rotation asks to exchange a refresh token whose signature has been checked already.
type Rotation struct {
	SessionID ID
	Counter   int64 // the number in the presented token
	At        time.Time
	IP        string
	UserAgent string

	Grace        time.Duration // how long the parent of the current token gets the current one
	CreatedAfter time.Time     // zero, or the session must have been created after it (time box)
	ActiveAfter  time.Time     // zero, or the last refresh (or creation) must be after it (inactivity)

	// ReuseAudit is written when the token turns out to be copied. ActorID and
	// ActorUsername are filled in by the store from the session's account.
	ReuseAudit AuditEntry
}

// RefreshOutdated is the number of a token that was exchanged before its session had
// numbers, by a GoTrue that was replaced: whoever presents it has an old copy. No token of
// ours has a negative number.
const RefreshOutdated = -2

// RotationOutcome says what [Rotation] led to.
type RotationOutcome int

// The outcomes. Only Rotated and Replayed carry a usable session.
const (
	// RotationUnknown is the zero value, so that a forgotten outcome refuses.
	RotationUnknown RotationOutcome = iota
	// Rotated: the presented token was current, or the parent of a current one that was
	// never used: a new one is current now.
	Rotated
	// Replayed: the parent was presented again within Grace; the current token stays.
	Replayed
	// Reused: an older or orphaned token. The session has been deleted, with all its tokens.
	Reused
	// Expired: the session's own limits have passed. Nothing was changed.
	Expired
	// Banned: the account is banned or switched off. Nothing was changed.
	Banned
)

// RotationResult is the state after a [Rotation].
type RotationResult struct {
	Outcome RotationOutcome
	Session Session // as it is now; with AMR. Zero Counter and AMR after Reused
	User    User    // with identities and factors
}

// UserSession is an account together with the answer whether a session of it is alive.
type UserSession struct {
	User    User
	Session bool // the session id asked for exists and belongs to User
	// Inactive is true when the profile says so.
	Inactive bool
	// TenantID and TenantRole are those of the session, as in [Session]: what a token says of
	// them may be older.
	TenantID   ID
	TenantRole string
}

// Revocation says which sessions end together with a change.
type Revocation int

// The revocations.
const (
	RevokeNone   Revocation = iota
	RevokeOne               // only the given session
	RevokeOthers            // all of the user's sessions but the given one
	RevokeAll               // all of the user's sessions
)

// MetadataPatch changes a JSON object one top-level key at a time.
type MetadataPatch struct {
	Set    map[string]json.RawMessage // keys to write; values are not merged further down
	Delete []string                   // keys to remove
}

// IsZero reports whether the patch changes nothing.
func (p MetadataPatch) IsZero() bool { return len(p.Set) == 0 && len(p.Delete) == 0 }

// UserPatch is one change of an account. Nil fields stay as they are.
type UserPatch struct {
	At time.Time // becomes updated_at

	Aud              *string
	Role             *string
	Email            *string // lower-cased; "" removes it
	Phone            *string // E.164 without "+"; "" removes it
	PasswordHash     *string
	EmailConfirmedAt *time.Time // pointer to zero: not confirmed
	PhoneConfirmedAt *time.Time
	BannedUntil      *time.Time // pointer to zero: not banned
	IsAnonymous      *bool
	AppMetadata      MetadataPatch
	UserMetadata     MetadataPatch

	// Identities are inserted, or, where (UserID, Provider) exists, get the new ProviderID
	// and the members of Data merged over the old ones. RemoveIdentities names providers
	// whose identity of this user is deleted first.
	Identities       []Identity
	RemoveIdentities []string

	Revoke     Revocation
	RevokeWith ID // the session that RevokeOne and RevokeOthers speak of
	// RequireSession, when set, makes the change conditional: the session must exist and
	// belong to the user, else ErrNotFound and nothing is changed. It stops a token whose
	// session has just been revoked from taking the account back.
	RequireSession ID
	// RequireUpdatedAt, when set, does the same for updated_at: whoever has read a list of
	// roles and writes another one must not undo what somebody else wrote in between.
	RequireUpdatedAt time.Time

	Audit    []AuditEntry
	Messages []Message // notices to the owner
}

// SoftDelete replaces what identifies the person by hashes that can't be turned back.
type SoftDelete struct {
	At          time.Time
	Email       string        // replacement, "" if the account had none
	Phone       string        // replacement, "" if the account had none
	ProviderIDs map[ID]string // identity row id → replacement
	Audit       AuditEntry
}

// EndSessions is a sign-out.
type EndSessions struct {
	UserID    ID
	SessionID ID         // the caller's own session: must exist, or nothing is ended and the answer is ErrNotFound
	Which     Revocation // RevokeOne, RevokeOthers or RevokeAll
	Audit     AuditEntry
}

// UserQuery selects a page of accounts. Soft-deleted ones are left out.
type UserQuery struct {
	Aud     string
	Filter  string // substring of e-mail, phone or full_name of the user metadata, any case; "" for all
	SortBy  string // "created_at", "updated_at", "last_sign_in_at", "email"
	Desc    bool
	Page    int // from 1
	PerPage int // 1 to 1000
}

// UserPage is one page and the number of all matching accounts.
type UserPage struct {
	Users []User
	Total int64
}
