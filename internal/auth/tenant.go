package auth

import (
	"encoding/json"
	"time"
)

// Tenant is an organisation whose data is kept apart from others': a clinic.
type Tenant struct {
	ID        ID
	Slug      string // unique, URL-safe, lower-case
	Name      string
	Active    bool            // the data of one that is not active is out of reach for everybody
	Settings  json.RawMessage // JSON object
	CreatedAt time.Time
	UpdatedAt time.Time
}

// States of a [Membership]. Only MemberActive opens anything.
const (
	MemberActive    = "active"
	MemberInvited   = "invited"   // the person has not accepted yet
	MemberPending   = "pending"   // an operator of the tenant has to approve the role
	MemberSuspended = "suspended" // stays, opens nothing
)

// Membership is what a user is in a tenant. There is one for each pair.
type Membership struct {
	TenantID  ID
	UserID    ID
	Role      string // of the catalogue
	State     string
	InvitedBy ID // zero for none
	CreatedAt time.Time
	UpdatedAt time.Time
	EndsAt    time.Time // zero: never; at and after it the membership opens nothing
}

// OpenAt reports whether the membership opens the tenant's data at a moment.
func (m *Membership) OpenAt(at time.Time) bool {
	return m.State == MemberActive && (m.EndsAt.IsZero() || at.Before(m.EndsAt))
}

// MemberOf is a membership with its tenant; Member is one with its user.
type MemberOf struct {
	Membership
	Tenant Tenant
}

// Member is a membership with its user.
type Member struct {
	Membership
	Email, Phone, FullName string
}

// Kinds of a [Relation].
const (
	RelationCare    = "care"    // subject: professional, object: patient; within a tenant
	RelationPatient = "patient" // subject: patient, object: zero; of a tenant
	RelationAgent   = "agent"   // subject: agent, object: customer; without a tenant
)

// Relation is a fact between two people, or a person and a tenant, with a start and an end:
// who cares for whom, whose patient somebody is, which agent a customer has.
type Relation struct {
	ID        ID
	Kind      string
	SubjectID ID
	ObjectID  ID
	TenantID  ID // zero for none
	StartsAt  time.Time
	EndsAt    time.Time // zero: until it is ended
	CreatedBy ID
	CreatedAt time.Time
}

// RelationQuery asks for relations that hold at a moment. Zero ids match everything; at
// least one of Subject, Object and Tenant must be set.
type RelationQuery struct {
	Kind                    string
	Subject, Object, Tenant ID
	At                      time.Time
	Limit                   int
}

// TenantPatch changes a tenant; nil fields stay.
type TenantPatch struct {
	At       time.Time
	Slug     *string
	Name     *string
	Active   *bool
	Settings MetadataPatch
	Audit    AuditEntry
}

// MembershipChange creates or changes one membership. It is refused with ErrConflict when the
// present state is not one of From ("" stands for no membership): of two who decide at once
// one wins. LastOwner refuses with ErrConflict to take away the last active member of this
// role; one whose membership has an end does not count. "" does not look.
type MembershipChange struct {
	Membership Membership
	From       []string
	// Seen, when set, is the UpdatedAt of the membership that the caller has read: ErrConflict
	// when it is another one by now. The acceptance of an invitation must not bring back the
	// role that was taken from it a moment ago.
	Seen      time.Time
	LastOwner string
	Audit     AuditEntry
}

// SwitchTenant makes a tenant the active one of a session. The store refuses with ErrNotFound
// when session, open membership or active tenant are missing at At, and when the session's
// NotAfter has passed or the account is banned by then.
type SwitchTenant struct {
	SessionID ID
	UserID    ID
	TenantID  ID // zero: no tenant
	At        time.Time
	Audit     AuditEntry
}

// SwitchResult is the session afterwards, with what the token needs.
type SwitchResult struct {
	User    User
	Session Session
}

// Profile is what an application keeps of a person beside the account.
type Profile struct {
	UserID        ID
	FullName      string
	BirthDate     string // YYYY-MM-DD, "" unknown
	ImageURL      string
	Language      string          // BCP 47, "" unknown
	Preferences   json.RawMessage // JSON objects
	Notifications json.RawMessage
	Privacy       json.RawMessage
	Flags         json.RawMessage            // onboarding and the like: name → bool
	Extensions    map[string]json.RawMessage // "physician", "staff", "agent" → object
	LastMethod    string                     // one of LastMethods, "" unknown
	LastMethodAt  time.Time
	Active        bool // false: authenticated, and refused everywhere but at its own account
	UpdatedAt     time.Time
}

// LastMethods are the values of Profile.LastMethod (S2.27).
func LastMethods() []string {
	return []string{"google", "apple", "email_password", "phone_password", "phone_otp", "email_otp"}
}

// ProfilePatch changes a profile; nil fields stay. A profile that does not exist is made.
type ProfilePatch struct {
	At            time.Time
	FullName      *string
	BirthDate     *string
	ImageURL      *string
	Language      *string
	Preferences   MetadataPatch
	Notifications MetadataPatch
	Privacy       MetadataPatch
	Flags         MetadataPatch
	Extensions    map[string]MetadataPatch // a MetadataPatch that changes nothing makes the extension
	LastMethod    *string
	Active        *bool
	EndSessions   bool         // every session of the account ends with the change
	Audit         []AuditEntry // none for changes that nobody has to know of
}

// Person is an account with its profile; Profile is the zero value with Active true when
// there is none.
type Person struct {
	User    User
	Profile Profile
}

// PersonQuery asks for one page of people, in the order of their ids (which is that of their
// making). Zero fields match everything.
type PersonQuery struct {
	Aud           string
	Text          string // part of e-mail, phone or name, any case
	Agent         ID     // customers of this agent
	Unassigned    bool   // customers of no agent
	Tenant        ID     // members of this tenant, with an open membership
	Role          string // with this role in app_metadata.roles, or in Tenant when that is set
	Active        *bool
	PhoneVerified *bool
	After         ID // the last id of the page before; zero: from the start
	Limit         int
	At            time.Time // for relations and memberships
}
