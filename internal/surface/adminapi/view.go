package adminapi

import (
	"encoding/json"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// userView is a person, without anything secret.
type userView struct {
	ID               auth.ID         `json:"id"`
	Email            string          `json:"email"`
	EmailConfirmedAt time.Time       `json:"email_confirmed_at,omitzero"`
	Phone            string          `json:"phone"`
	PhoneConfirmedAt time.Time       `json:"phone_confirmed_at,omitzero"`
	Aud              string          `json:"aud"`
	DatabaseRole     string          `json:"database_role"`
	Roles            []string        `json:"roles"`
	PendingRoles     []string        `json:"pending_roles"`
	Active           bool            `json:"is_active"`
	BannedUntil      time.Time       `json:"banned_until,omitzero"`
	IsAnonymous      bool            `json:"is_anonymous"`
	IsSSO            bool            `json:"is_sso"`
	LastSignInAt     time.Time       `json:"last_sign_in_at,omitzero"`
	CreatedAt        time.Time       `json:"created_at"`
	UpdatedAt        time.Time       `json:"updated_at"`
	AppMetadata      json.RawMessage `json:"app_metadata"`
	UserMetadata     json.RawMessage `json:"user_metadata"`
	Profile          profileView     `json:"profile"`
	Identities       []identityView  `json:"identities,omitempty"`
	Factors          []factorView    `json:"factors,omitempty"`
}

type profileView struct {
	FullName         string                     `json:"full_name"`
	BirthDate        string                     `json:"birth_date"`
	ImageURL         string                     `json:"image_url"`
	Language         string                     `json:"language"`
	Preferences      json.RawMessage            `json:"preferences"`
	Notifications    json.RawMessage            `json:"notifications"`
	Privacy          json.RawMessage            `json:"privacy"`
	Flags            json.RawMessage            `json:"flags"`
	Extensions       map[string]json.RawMessage `json:"extensions"`
	LastAuthMethod   string                     `json:"last_auth_method"`
	LastAuthMethodAt time.Time                  `json:"last_auth_method_at,omitzero"`
}

type identityView struct {
	ID           auth.ID   `json:"id"`
	Provider     string    `json:"provider"`
	ProviderID   string    `json:"provider_id"`
	Email        string    `json:"email,omitempty"`
	LastSignInAt time.Time `json:"last_sign_in_at,omitzero"`
	CreatedAt    time.Time `json:"created_at"`
}

type factorView struct {
	ID        auth.ID   `json:"id"`
	Type      string    `json:"type"`
	Name      string    `json:"name,omitempty"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
}

func viewUser(p *auth.Person) userView {
	u, f := &p.User, &p.Profile
	v := userView{
		ID: u.ID, Email: u.Email, EmailConfirmedAt: u.EmailConfirmedAt, Phone: u.Phone, PhoneConfirmedAt: u.PhoneConfirmedAt,
		Aud: u.Aud, DatabaseRole: u.Role, Roles: names(u.AppMetadata, "roles"), PendingRoles: names(u.AppMetadata, "pending_roles"),
		Active: f.Active, BannedUntil: u.BannedUntil, IsAnonymous: u.IsAnonymous, IsSSO: u.IsSSO, LastSignInAt: u.LastSignInAt,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, AppMetadata: object(u.AppMetadata), UserMetadata: object(u.UserMetadata),
		Profile: profileView{
			FullName: f.FullName, BirthDate: f.BirthDate, ImageURL: f.ImageURL, Language: f.Language,
			Preferences: object(f.Preferences), Notifications: object(f.Notifications), Privacy: object(f.Privacy), Flags: object(f.Flags),
			Extensions: f.Extensions, LastAuthMethod: f.LastMethod, LastAuthMethodAt: f.LastMethodAt,
		},
	}
	if v.Profile.Extensions == nil {
		v.Profile.Extensions = map[string]json.RawMessage{}
	}
	for i := range u.Identities {
		id := &u.Identities[i]
		v.Identities = append(v.Identities, identityView{id.ID, id.Provider, id.ProviderID, id.Email, id.LastSignInAt, id.CreatedAt})
	}
	for i := range u.Factors {
		f := &u.Factors[i]
		v.Factors = append(v.Factors, factorView{f.ID, f.Type, f.FriendlyName, f.Status, f.CreatedAt})
	}
	return v
}

// names reads a list of names of the metadata; what is none is empty.
func names(doc json.RawMessage, member string) []string {
	var object map[string]json.RawMessage
	list := []string{}
	if json.Unmarshal(doc, &object) != nil || json.Unmarshal(object[member], &list) != nil || list == nil {
		return []string{}
	}
	return list
}

// object keeps a document an object for rows that hold NULL.
func object(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage(`{}`)
	}
	return raw
}

type sessionView struct {
	ID          auth.ID   `json:"id"`
	Name        string    `json:"name"`
	AAL         string    `json:"aal"`
	UserAgent   string    `json:"user_agent"`
	IP          string    `json:"ip"`
	TenantID    auth.ID   `json:"tenant_id,omitzero"`
	TenantRole  string    `json:"tenant_role,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	RefreshedAt time.Time `json:"refreshed_at,omitzero"`
}

func viewSession(s *auth.Session) sessionView {
	return sessionView{s.ID, s.Name, s.AAL, s.UserAgent, s.IP, s.TenantID, s.TenantRole, s.CreatedAt, s.RefreshedAt}
}

type tenantView struct {
	ID        auth.ID         `json:"id"`
	Slug      string          `json:"slug"`
	Name      string          `json:"name"`
	Active    bool            `json:"is_active"`
	Settings  json.RawMessage `json:"settings"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

func viewTenant(t *auth.Tenant) tenantView {
	return tenantView{t.ID, t.Slug, t.Name, t.Active, object(t.Settings), t.CreatedAt, t.UpdatedAt}
}

type memberView struct {
	TenantID  auth.ID     `json:"tenant_id"`
	UserID    auth.ID     `json:"user_id"`
	Role      string      `json:"role"`
	State     string      `json:"state"`
	InvitedBy auth.ID     `json:"invited_by,omitzero"`
	EndsAt    time.Time   `json:"ends_at,omitzero"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
	Email     string      `json:"email,omitempty"`
	Phone     string      `json:"phone,omitempty"`
	FullName  string      `json:"full_name,omitempty"`
	Tenant    *tenantView `json:"tenant,omitempty"`
}

func viewMembership(m *auth.Membership) memberView {
	return memberView{
		TenantID: m.TenantID, UserID: m.UserID, Role: m.Role, State: m.State, InvitedBy: m.InvitedBy, EndsAt: m.EndsAt,
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
}

type relationView struct {
	ID        auth.ID   `json:"id"`
	Kind      string    `json:"kind"`
	SubjectID auth.ID   `json:"subject_id"`
	ObjectID  auth.ID   `json:"object_id,omitzero"`
	TenantID  auth.ID   `json:"tenant_id,omitzero"`
	StartsAt  time.Time `json:"starts_at"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
	CreatedBy auth.ID   `json:"created_by,omitzero"`
	CreatedAt time.Time `json:"created_at"`
}

func viewRelation(r *auth.Relation) relationView {
	return relationView{r.ID, r.Kind, r.SubjectID, r.ObjectID, r.TenantID, r.StartsAt, r.EndsAt, r.CreatedBy, r.CreatedAt}
}

type roleView struct {
	Name           string   `json:"name"`
	Level          int      `json:"level"`
	Scope          string   `json:"scope"`
	SelfAssignable bool     `json:"self_assignable"`
	Approval       bool     `json:"approval"`
	Inherits       []string `json:"inherits"`
	Permissions    []string `json:"permissions"`
}

type catalogueView struct {
	Name  string     `json:"name"`
	Owner string     `json:"owner,omitempty"`
	Roles []roleView `json:"roles"`
}

func viewCatalogue(c *role.Catalogue) catalogueView {
	v := catalogueView{Name: c.Name(), Owner: c.Owner(), Roles: []roleView{}}
	for _, r := range c.Roles() {
		v.Roles = append(v.Roles, roleView{
			r.Name, r.Level, r.Scope, r.SelfAssignable, r.Approval, append([]string{}, r.Inherits...), append([]string{}, r.Permissions...),
		})
	}
	return v
}

// keyView is a signing key without anything secret.
type keyView struct {
	KID         string    `json:"kid"`
	Use         string    `json:"use"`
	Algorithm   string    `json:"alg"`
	Status      string    `json:"status"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	ActivatedAt time.Time `json:"activated_at,omitzero"`
	RetiredAt   time.Time `json:"retired_at,omitzero"`
	RevokedAt   time.Time `json:"revoked_at,omitzero"`
}

func viewKey(k *auth.SigningKey) keyView {
	return keyView{k.ID, string(k.Use), k.Algorithm, string(k.Status), k.CreatedAt, k.ActivatedAt, k.RetiredAt, k.RevokedAt}
}

type apiKeyView struct {
	ID        auth.ID   `json:"id"`
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Prefix    string    `json:"prefix"`
	Key       string    `json:"key,omitempty"` // only when it has just been made
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

func viewAPIKey(k *auth.APIKey, plain string) apiKeyView {
	return apiKeyView{k.ID, k.Name, k.Kind, k.Prefix, plain, k.CreatedAt, k.RevokedAt}
}

// messageView is a message that was given up. What it says is sealed and not shown.
type messageView struct {
	ID        auth.ID   `json:"id"`
	Channel   string    `json:"channel"`
	Kind      string    `json:"kind"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error"`
	CreatedAt time.Time `json:"created_at"`
	DeadAt    time.Time `json:"dead_at"`
}

// views maps a list; the answer is never null.
func views[T, V any](list []T, view func(*T) V) []V {
	out := make([]V, len(list))
	for i := range list {
		out[i] = view(&list[i])
	}
	return out
}
