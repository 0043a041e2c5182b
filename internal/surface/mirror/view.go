package mirror

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// user is a person as the application's clients know one (S2.26). An address that waits for
// its proof is not shown: it would tell a number that is free from one that is somebody's, for
// which nothing waits (A1.5).
type user struct {
	ID             auth.ID  `json:"id"`
	SupabaseUserID string   `json:"supabase_user_id"` // the subject of the tokens
	Email          *string  `json:"email"`
	Phone          *string  `json:"phone"` // E.164
	FullName       *string  `json:"full_name"`
	DateOfBirth    *string  `json:"date_of_birth"`
	ImageURL       *string  `json:"profile_image_url"`
	Role           string   `json:"role"`
	IsActive       bool     `json:"is_active"`
	IsVerified     bool     `json:"is_verified"` // either channel
	PhoneVerified  bool     `json:"phone_verified"`
	EmailVerified  bool     `json:"email_verified"`
	LastMethod     *string  `json:"last_auth_method"`
	LastMethodAt   *when    `json:"last_auth_method_at"`
	Preferences    raw      `json:"preferences"`
	Notifications  raw      `json:"notification_settings"`
	Privacy        raw      `json:"privacy_settings"`
	Flatmates      bool     `json:"flatmates_onboarding_completed"`
	Stays          bool     `json:"stays_onboarding_completed"`
	Estate         bool     `json:"estate_onboarding_completed"`
	Ghar360        bool     `json:"ghar360_onboarding_completed"`
	AgentID        *auth.ID `json:"agent_id"`
	CreatedAt      when     `json:"created_at"`
	UpdatedAt      when     `json:"updated_at"`
}

type (
	when = time.Time
	raw  = json.RawMessage
)

// subjectOf is the id by which clients know themselves: that of the project that signs them
// in, or ours. Lists have no identities and show ours.
func subjectOf(u *auth.User) string {
	for i := range u.Identities {
		var said struct {
			Issuer string `json:"iss"`
		}
		if json.Unmarshal(u.Identities[i].Data, &said) == nil && said.Issuer != "" {
			return u.Identities[i].ProviderID
		}
	}
	return u.ID.String()
}

// view shows a person; agent is zero for none.
func view(p *auth.Person, agent auth.ID) user {
	u, pr := &p.User, &p.Profile
	out := user{
		ID: u.ID, SupabaseUserID: subjectOf(u), Email: orNull(u.Email), Phone: e164(u.Phone),
		FullName: orNull(pr.FullName), DateOfBirth: orNull(pr.BirthDate), ImageURL: orNull(pr.ImageURL), Role: roleOf(u),
		IsActive: pr.Active, IsVerified: !u.ConfirmedAt().IsZero(), LastMethod: orNull(pr.LastMethod),
		PhoneVerified: u.Phone != "" && !u.PhoneConfirmedAt.IsZero(), EmailVerified: u.Email != "" && !u.EmailConfirmedAt.IsZero(),
		Preferences: object(pr.Preferences), Notifications: object(pr.Notifications), Privacy: object(pr.Privacy),
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
	if !pr.LastMethodAt.IsZero() {
		out.LastMethodAt = &pr.LastMethodAt
	}
	if pr.UpdatedAt.After(out.UpdatedAt) {
		out.UpdatedAt = pr.UpdatedAt
	}
	if !agent.IsZero() {
		out.AgentID = &agent
	}
	var flags map[string]any
	_ = json.Unmarshal(pr.Flags, &flags) // what can't be read has not been completed
	done := func(app string) bool { return flags[app+"_onboarding_completed"] == true }
	out.Flatmates, out.Stays, out.Estate, out.Ghar360 = done("flatmates"), done("stays"), done("estate"), done("ghar360")
	return out
}

// roleOf gives the one role that this application shows, the one that may most.
func roleOf(u *auth.User) string {
	var meta struct {
		Roles []string `json:"roles"`
	}
	_ = json.Unmarshal(u.AppMetadata, &meta) // what can't be read is no role
	for _, name := range []string{"admin", "agent"} {
		if slices.Contains(meta.Roles, name) {
			return name
		}
	}
	return "user"
}

func e164(phone string) *string {
	if phone == "" {
		return nil
	}
	return orNull("+" + strings.TrimPrefix(phone, "+"))
}

// orNull shows a text that is not there as null.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// object shows a document that is not there as {}.
func object(doc json.RawMessage) json.RawMessage {
	if len(doc) == 0 {
		return json.RawMessage(`{}`)
	}
	return doc
}
