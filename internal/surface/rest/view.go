package rest

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// tokens is the answer of every operation that signs somebody in.
type tokens struct {
	AccessToken  string  `json:"access_token" doc:"Send it as Authorization: Bearer. A JWT; GET /.well-known/jwks.json below the issuer has the keys."`
	RefreshToken string  `json:"refresh_token" doc:"Exchange it once for the next pair."`
	TokenType    string  `json:"token_type" enum:"bearer" doc:"Always bearer."`
	ExpiresIn    int64   `json:"expires_in" doc:"Seconds until the access token expires." example:"1800"`
	SessionID    auth.ID `json:"session_id" doc:"The session that the tokens belong to."`
	TenantID     auth.ID `json:"tenant_id,omitzero" doc:"The active tenant, if there is one."`
	TenantRole   string  `json:"tenant_role,omitempty" doc:"The person's role in the active tenant."`
	PendingRole  string  `json:"pending_role,omitempty" doc:"The role that was asked for at registration and waits for approval."`
}

func viewTokens(in *auth.SignedIn) *tokens {
	return &tokens{
		AccessToken: in.Tokens.AccessToken, RefreshToken: in.Tokens.RefreshToken, TokenType: "bearer",
		ExpiresIn: int64(in.Tokens.ExpiresIn / time.Second), SessionID: in.Session.ID,
		TenantID: in.Session.TenantID, TenantRole: in.Session.TenantRole,
	}
}

// notice is an answer in words.
type notice struct {
	Detail      string `json:"detail" doc:"What happens next, for people."`
	PendingRole string `json:"pending_role,omitempty" doc:"The role that was asked for at registration and waits for approval."`
}

// person is an account with its profile.
type person struct {
	ID            auth.ID                    `json:"id" doc:"Never changes."`
	Email         string                     `json:"email,omitempty" doc:"Lower-case." format:"email"`
	EmailVerified bool                       `json:"email_verified" doc:"The address has been proved."`
	NewEmail      string                     `json:"new_email,omitempty" doc:"An address that waits for its proof; the old one stays in use meanwhile." format:"email"`
	Phone         string                     `json:"phone,omitempty" doc:"E.164 without the plus sign." example:"972501234567"`
	PhoneVerified bool                       `json:"phone_verified" doc:"The number has been proved."`
	NewPhone      string                     `json:"new_phone,omitempty" doc:"A number that waits for its proof."`
	Role          string                     `json:"role,omitempty" doc:"The first of roles."`
	Roles         []string                   `json:"roles" doc:"Roles in the whole application."`
	PendingRoles  []string                   `json:"pending_roles,omitempty" doc:"Roles that were asked for and wait for approval."`
	TenantID      auth.ID                    `json:"tenant_id,omitzero" doc:"The active tenant of this session, if there is one."`
	TenantRole    string                     `json:"tenant_role,omitempty" doc:"The role in the active tenant."`
	IsActive      bool                       `json:"is_active" doc:"False: the account can look after itself and nothing else."`
	IsVerified    bool                       `json:"is_verified" doc:"The e-mail address or the phone number has been proved."`
	FullName      string                     `json:"full_name,omitempty" doc:"As the person wishes to be called."`
	BirthDate     string                     `json:"birth_date,omitempty" format:"date" doc:"Day of birth."`
	ImageURL      string                     `json:"image_url,omitempty" format:"uri" doc:"A picture of the person."`
	Language      string                     `json:"language,omitempty" doc:"BCP 47." example:"he"`
	Preferences   json.RawMessage            `json:"preferences" doc:"What the application keeps as preferences."`
	Notifications json.RawMessage            `json:"notifications" doc:"What the person wants to hear of."`
	Privacy       json.RawMessage            `json:"privacy" doc:"What others may see."`
	Flags         json.RawMessage            `json:"flags" doc:"Such as onboarding: name to true or false."`
	Extensions    map[string]json.RawMessage `json:"extensions" doc:"Profiles of the application's own, such as physician."`
	LastMethod    string                     `json:"last_auth_method,omitempty" doc:"How the person signed in last."`
	LastLogin     time.Time                  `json:"last_login,omitzero" doc:"When the person signed in last."`
	CreatedAt     time.Time                  `json:"created_at" doc:"When the account was made."`
	UpdatedAt     time.Time                  `json:"updated_at" doc:"When account or profile changed last."`
}

func viewPerson(p *auth.Person, tenant auth.ID, tenantRole string) person {
	u, f := &p.User, &p.Profile
	var app struct {
		Roles   []string `json:"roles"`
		Pending []string `json:"pending_roles"`
	}
	_ = json.Unmarshal(u.AppMetadata, &app) // an operator wrote something else there: no roles
	v := person{
		ID: u.ID, Email: u.Email, EmailVerified: u.Email != "" && !u.EmailConfirmedAt.IsZero(), NewEmail: u.EmailChange,
		Phone: u.Phone, PhoneVerified: u.Phone != "" && !u.PhoneConfirmedAt.IsZero(), NewPhone: u.PhoneChange,
		Roles: append([]string{}, app.Roles...), PendingRoles: app.Pending, TenantID: tenant, TenantRole: tenantRole, IsActive: f.Active,
		IsVerified: !u.ConfirmedAt().IsZero(), FullName: f.FullName, BirthDate: f.BirthDate, ImageURL: f.ImageURL,
		Language: f.Language, Preferences: object(f.Preferences), Notifications: object(f.Notifications),
		Privacy: object(f.Privacy), Flags: object(f.Flags), Extensions: map[string]json.RawMessage{},
		LastMethod: f.LastMethod, LastLogin: u.LastSignInAt, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
	if len(v.Roles) > 0 {
		v.Role = v.Roles[0]
	}
	if f.UpdatedAt.After(v.UpdatedAt) {
		v.UpdatedAt = f.UpdatedAt
	}
	for name, doc := range f.Extensions {
		v.Extensions[name] = object(doc)
	}
	return v
}

// object keeps a document an object for rows that hold nothing.
func object(raw json.RawMessage) json.RawMessage {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return json.RawMessage(`{}`)
	}
	return raw
}

// identity is one way into an account.
type identity struct {
	ID         auth.ID   `json:"id" doc:"Names the identity."`
	Provider   string    `json:"provider" doc:"Such as email, phone or google."`
	ProviderID string    `json:"provider_id" doc:"The subject at the provider."`
	Email      string    `json:"email,omitempty" doc:"What the provider knows as e-mail address."`
	LastLogin  time.Time `json:"last_login,omitzero" doc:"When it was used last."`
	CreatedAt  time.Time `json:"created_at" doc:"When it was linked."`
}

// identityList lists the ways into an account.
type identityList struct {
	Identities []identity `json:"identities" doc:"Oldest first."`
}

func viewIdentities(u *auth.User) identityList {
	out := identityList{[]identity{}}
	for i := range u.Identities {
		id := &u.Identities[i]
		out.Identities = append(out.Identities, identity{id.ID, id.Provider, id.ProviderID, id.Email, id.LastSignInAt, id.CreatedAt})
	}
	return out
}

// session is one signed-in device.
type session struct {
	ID        auth.ID   `json:"id" doc:"Names the session."`
	Name      string    `json:"name,omitempty" doc:"Given by the owner."`
	Current   bool      `json:"current" doc:"The session that asks."`
	UserAgent string    `json:"user_agent,omitempty" doc:"What the device calls itself."`
	IP        string    `json:"ip,omitempty" doc:"The address that signed in."`
	Methods   []string  `json:"methods" doc:"How the session was proved, such as password or otp."`
	TenantID  auth.ID   `json:"tenant_id,omitzero" doc:"Its active tenant."`
	CreatedAt time.Time `json:"created_at" doc:"When somebody signed in."`
	LastUsed  time.Time `json:"last_used_at" doc:"When its tokens were made last."`
}

// sessionList lists the living sessions of an account.
type sessionList struct {
	Sessions []session `json:"sessions" doc:"Newest first."`
}

func viewSessions(list []auth.Session, current auth.ID) sessionList {
	out := sessionList{[]session{}}
	for i := range list {
		s := &list[i]
		v := session{
			ID: s.ID, Name: s.Name, Current: s.ID == current, UserAgent: s.UserAgent, IP: s.IP, Methods: []string{},
			TenantID: s.TenantID, CreatedAt: s.CreatedAt, LastUsed: s.CreatedAt,
		}
		if s.RefreshedAt.After(v.LastUsed) {
			v.LastUsed = s.RefreshedAt
		}
		for _, m := range s.AMR {
			if !slices.Contains(v.Methods, m.Method) {
				v.Methods = append(v.Methods, m.Method)
			}
		}
		out.Sessions = append(out.Sessions, v)
	}
	return out
}
