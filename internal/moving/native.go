package moving

import (
	"encoding/json"
	"io"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// native is the form of a line that [Write] makes and [Cardea] reads. Members are only ever
// added.
type native struct {
	ID            string                     `json:"id"`
	ExternalID    string                     `json:"external_id,omitempty"`
	Aud           string                     `json:"aud,omitempty"`
	Role          string                     `json:"role,omitempty"`
	Email         string                     `json:"email,omitempty"`
	EmailProved   time.Time                  `json:"email_confirmed_at,omitzero"`
	Phone         string                     `json:"phone,omitempty"`
	PhoneProved   time.Time                  `json:"phone_confirmed_at,omitzero"`
	PasswordHash  string                     `json:"password_hash,omitempty"`
	InvitedAt     time.Time                  `json:"invited_at,omitzero"`
	LastSignInAt  time.Time                  `json:"last_sign_in_at,omitzero"`
	BannedUntil   time.Time                  `json:"banned_until,omitzero"`
	CreatedAt     time.Time                  `json:"created_at,omitzero"`
	UpdatedAt     time.Time                  `json:"updated_at,omitzero"`
	IsSSO         bool                       `json:"is_sso_user,omitempty"`
	IsAnonymous   bool                       `json:"is_anonymous,omitempty"`
	Active        *bool                      `json:"is_active,omitempty"`
	AppMetadata   map[string]json.RawMessage `json:"app_metadata,omitempty"`
	UserMetadata  map[string]json.RawMessage `json:"user_metadata,omitempty"`
	Identities    []nativeIdentity           `json:"identities,omitempty"`
	Profile       *nativeProfile             `json:"profile,omitempty"`
	Memberships   []nativeMembership         `json:"memberships,omitempty"`
	SecondFactors int                        `json:"second_factors,omitempty"` // their number; they stay behind
}

type nativeIdentity struct {
	Provider     string          `json:"provider"`
	ProviderID   string          `json:"provider_id"`
	Data         json.RawMessage `json:"identity_data,omitempty"`
	CreatedAt    time.Time       `json:"created_at,omitzero"`
	UpdatedAt    time.Time       `json:"updated_at,omitzero"`
	LastSignInAt time.Time       `json:"last_sign_in_at,omitzero"`
}

type nativeProfile struct {
	FullName      string                     `json:"full_name,omitempty"`
	BirthDate     string                     `json:"birth_date,omitempty"`
	ImageURL      string                     `json:"image_url,omitempty"`
	Language      string                     `json:"language,omitempty"`
	Preferences   json.RawMessage            `json:"preferences,omitempty"`
	Notifications json.RawMessage            `json:"notification_settings,omitempty"`
	Privacy       json.RawMessage            `json:"privacy_settings,omitempty"`
	Flags         json.RawMessage            `json:"flags,omitempty"`
	Extensions    map[string]json.RawMessage `json:"extensions,omitempty"`
	LastMethod    string                     `json:"last_auth_method,omitempty"`
	LastMethodAt  time.Time                  `json:"last_auth_method_at,omitzero"`
}

type nativeMembership struct {
	Tenant string    `json:"tenant"` // slug
	Role   string    `json:"role"`
	State  string    `json:"state"`
	EndsAt time.Time `json:"ends_at,omitzero"`
}

// Cardea reads what [Write] writes.
func Cardea(r io.Reader) Reader { return records{either(r), nativeUser} }

func nativeUser(doc []byte, line int64) (Record, error) {
	var n native
	if !auth.CleanJSON(doc) || json.Unmarshal(doc, &n) != nil {
		return Record{}, problem(line, CodeForm, "no exported account")
	}
	if n.ExternalID == "" {
		n.ExternalID = n.ID
	}
	rec := Record{
		ExternalID: n.ExternalID, ID: n.ID, Aud: n.Aud, Role: n.Role, Email: n.Email, Phone: n.Phone, EmailProved: n.EmailProved,
		PhoneProved: n.PhoneProved, Hash: n.PasswordHash, CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt, LastSignInAt: n.LastSignInAt,
		InvitedAt: n.InvitedAt, BannedUntil: n.BannedUntil, App: n.AppMetadata, User: n.UserMetadata, SSO: n.IsSSO,
		Anonymous: n.IsAnonymous, Inactive: n.Active != nil && !*n.Active, KeepMetadata: true, Factors: n.SecondFactors,
	}
	for _, i := range n.Identities {
		rec.Identities = append(rec.Identities, Identity(i))
	}
	if p := n.Profile; p != nil {
		rec.HasProfile, rec.FullName, rec.BirthDate, rec.ImageURL, rec.Language = true, p.FullName, p.BirthDate, p.ImageURL, p.Language
		rec.Preferences, rec.Notifications, rec.Privacy, rec.Flags = p.Preferences, p.Notifications, p.Privacy, p.Flags
		rec.Extensions, rec.LastMethod, rec.LastMethodAt = p.Extensions, p.LastMethod, p.LastMethodAt
	}
	for _, m := range n.Memberships {
		rec.Members = append(rec.Members, Member{Slug: m.Tenant, Role: m.Role, State: m.State, EndsAt: m.EndsAt})
	}
	return rec, nil
}
