package adminapi

import (
	"encoding/json"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// userView is a person, without anything secret.
type userView struct {
	ID               auth.ID         `json:"id" doc:"Never changes."`
	Email            string          `json:"email" doc:"Lower-case; empty without one."`
	EmailConfirmedAt time.Time       `json:"email_confirmed_at,omitzero" doc:"When the address was proved."`
	Phone            string          `json:"phone" doc:"E.164 without the plus sign; empty without one."`
	PhoneConfirmedAt time.Time       `json:"phone_confirmed_at,omitzero" doc:"When the number was proved."`
	Aud              string          `json:"aud" doc:"Audience of the tokens."`
	DatabaseRole     string          `json:"database_role" doc:"The claim role of the tokens."`
	Roles            []string        `json:"roles" doc:"Roles in the application."`
	PendingRoles     []string        `json:"pending_roles" doc:"Roles that were asked for and wait for approval."`
	Active           bool            `json:"is_active" doc:"False: refused everywhere but at the own account."`
	BannedUntil      time.Time       `json:"banned_until,omitzero" doc:"Refused everywhere until then."`
	IsAnonymous      bool            `json:"is_anonymous" doc:"Without an address and a password."`
	IsSSO            bool            `json:"is_sso" doc:"Managed by single sign-on."`
	LastSignInAt     time.Time       `json:"last_sign_in_at,omitzero" doc:"The last sign-in."`
	CreatedAt        time.Time       `json:"created_at" doc:"When it was made."`
	UpdatedAt        time.Time       `json:"updated_at" doc:"When it changed last."`
	AppMetadata      json.RawMessage `json:"app_metadata" doc:"What only servers may change."`
	UserMetadata     json.RawMessage `json:"user_metadata" doc:"What the person may change."`
	Profile          profileView     `json:"profile" doc:"What the application keeps of the person."`
	Identities       []identityView  `json:"identities,omitempty" doc:"The ways in; only where one account was asked for."`
	Factors          []factorView    `json:"factors,omitempty" doc:"Second factors; only where one account was asked for."`
}

type profileView struct {
	FullName         string                     `json:"full_name" doc:"As the person wishes to be called."`
	BirthDate        string                     `json:"birth_date" doc:"YYYY-MM-DD; empty when it is not known."`
	ImageURL         string                     `json:"image_url" doc:"A picture."`
	Language         string                     `json:"language" doc:"BCP 47."`
	Preferences      json.RawMessage            `json:"preferences" doc:"What the application keeps as preferences."`
	Notifications    json.RawMessage            `json:"notifications" doc:"What the person wants to hear of."`
	Privacy          json.RawMessage            `json:"privacy" doc:"What others may see."`
	Flags            json.RawMessage            `json:"flags" doc:"True or false, by names of the application."`
	Extensions       map[string]json.RawMessage `json:"extensions" doc:"Objects by kind: physician, staff, agent."`
	LastAuthMethod   string                     `json:"last_auth_method" doc:"How the person signed in last."`
	LastAuthMethodAt time.Time                  `json:"last_auth_method_at,omitzero" doc:"When that was."`
}

type identityView struct {
	ID           auth.ID   `json:"id" doc:"Of the identity."`
	Provider     string    `json:"provider" doc:"Such as email, phone or google."`
	ProviderID   string    `json:"provider_id" doc:"Who it is at the provider."`
	Email        string    `json:"email,omitempty" doc:"The address that the provider gave."`
	LastSignInAt time.Time `json:"last_sign_in_at,omitzero" doc:"The last sign-in this way."`
	CreatedAt    time.Time `json:"created_at" doc:"When it was linked."`
}

type factorView struct {
	ID        auth.ID   `json:"id" doc:"Of the factor."`
	Type      string    `json:"type" doc:"Such as totp."`
	Name      string    `json:"name,omitempty" doc:"Given by the owner."`
	Status    string    `json:"status" doc:"verified or unverified."`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
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

type identifierView struct {
	ID         auth.ID   `json:"id,omitzero" doc:"Of a further address; the primary ones have none."`
	Kind       string    `json:"kind" enum:"email,phone" doc:"What it is."`
	Value      string    `json:"value" doc:"The address, lower-case, or the number in E.164 without the plus sign."`
	Primary    bool      `json:"primary" doc:"The one of its kind that the account goes by."`
	VerifiedAt time.Time `json:"verified_at,omitzero" doc:"When it was proved."`
}

type sessionView struct {
	ID          auth.ID   `json:"id" doc:"Of the session."`
	Name        string    `json:"name" doc:"Given by the owner."`
	AAL         string    `json:"aal" doc:"aal1 with one factor, aal2 with two."`
	UserAgent   string    `json:"user_agent" doc:"What the device called itself."`
	IP          string    `json:"ip" doc:"Address of the last use."`
	TenantID    auth.ID   `json:"tenant_id,omitzero" doc:"The active tenant."`
	TenantRole  string    `json:"tenant_role,omitempty" doc:"The role there."`
	CreatedAt   time.Time `json:"created_at" doc:"The sign-in."`
	RefreshedAt time.Time `json:"refreshed_at,omitzero" doc:"The last refresh."`
}

func viewSession(s *auth.Session) sessionView {
	return sessionView{s.ID, s.Name, s.AAL, s.UserAgent, s.IP, s.TenantID, s.TenantRole, s.CreatedAt, s.RefreshedAt}
}

type tenantView struct {
	ID        auth.ID         `json:"id" doc:"Never changes."`
	Slug      string          `json:"slug" doc:"Short name for addresses, unique."`
	Name      string          `json:"name" doc:"Name for people."`
	Active    bool            `json:"is_active" doc:"False: nobody reaches the tenant's data."`
	Settings  json.RawMessage `json:"settings" doc:"What the application keeps as settings."`
	CreatedAt time.Time       `json:"created_at" doc:"When it was made."`
	UpdatedAt time.Time       `json:"updated_at" doc:"When it changed last."`
}

func viewTenant(t *auth.Tenant) tenantView {
	return tenantView{t.ID, t.Slug, t.Name, t.Active, object(t.Settings), t.CreatedAt, t.UpdatedAt}
}

type memberView struct {
	TenantID  auth.ID     `json:"tenant_id" doc:"The tenant."`
	UserID    auth.ID     `json:"user_id" doc:"The person."`
	Role      string      `json:"role" doc:"Of the catalogue."`
	State     string      `json:"state" doc:"active, invited, pending or suspended; only active opens anything."`
	InvitedBy auth.ID     `json:"invited_by,omitzero" doc:"Who invited the person."`
	EndsAt    time.Time   `json:"ends_at,omitzero" doc:"At this moment and after it the membership opens nothing."`
	CreatedAt time.Time   `json:"created_at" doc:"When it began or was offered."`
	UpdatedAt time.Time   `json:"updated_at" doc:"When it changed last."`
	Email     string      `json:"email,omitempty" doc:"The person's address, in lists of members."`
	Phone     string      `json:"phone,omitempty" doc:"The person's number, in lists of members."`
	FullName  string      `json:"full_name,omitempty" doc:"The person's name, in lists of members."`
	Tenant    *tenantView `json:"tenant,omitempty" doc:"The tenant, in lists of memberships."`
}

func viewMembership(m *auth.Membership) memberView {
	return memberView{
		TenantID: m.TenantID, UserID: m.UserID, Role: m.Role, State: m.State, InvitedBy: m.InvitedBy, EndsAt: m.EndsAt,
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
}

type relationView struct {
	ID        auth.ID   `json:"id" doc:"Of the relation."`
	Kind      string    `json:"kind" doc:"care, patient or agent."`
	SubjectID auth.ID   `json:"subject_id" doc:"Who cares, whose patient or whose customer somebody is."`
	ObjectID  auth.ID   `json:"object_id,omitzero" doc:"For whom."`
	TenantID  auth.ID   `json:"tenant_id,omitzero" doc:"Where."`
	StartsAt  time.Time `json:"starts_at" doc:"When it begins to hold."`
	EndsAt    time.Time `json:"ends_at,omitzero" doc:"When it stops holding."`
	CreatedBy auth.ID   `json:"created_by,omitzero" doc:"Who began it."`
	CreatedAt time.Time `json:"created_at" doc:"When it was written down."`
}

func viewRelation(r *auth.Relation) relationView {
	return relationView{r.ID, r.Kind, r.SubjectID, r.ObjectID, r.TenantID, r.StartsAt, r.EndsAt, r.CreatedBy, r.CreatedAt}
}

type roleView struct {
	Name           string   `json:"name" doc:"Of the role."`
	Level          int      `json:"level" doc:"Who may give it: those above."`
	Scope          string   `json:"scope" doc:"app, tenant or both."`
	SelfAssignable bool     `json:"self_assignable" doc:"Somebody may ask for it at registration."`
	Approval       bool     `json:"approval" doc:"It waits for approval then."`
	Inherits       []string `json:"inherits" doc:"Roles whose permissions it has too."`
	Permissions    []string `json:"permissions" doc:"Its own, with patterns."`
}

type catalogueView struct {
	Name  string     `json:"name" doc:"Of the catalogue."`
	Owner string     `json:"owner,omitempty" doc:"The role of whoever makes a tenant."`
	Roles []roleView `json:"roles" doc:"All of them."`
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
	KID         string    `json:"kid" doc:"Id of the key, as in tokens."`
	Use         string    `json:"use" doc:"access, api_key or refresh."`
	Algorithm   string    `json:"alg" doc:"Such as ES256."`
	Status      string    `json:"status" doc:"standby, current, previous or revoked."`
	CreatedAt   time.Time `json:"created_at,omitzero" doc:"When it was made."`
	ActivatedAt time.Time `json:"activated_at,omitzero" doc:"When it began to sign."`
	RetiredAt   time.Time `json:"retired_at,omitzero" doc:"When it stopped signing."`
	RevokedAt   time.Time `json:"revoked_at,omitzero" doc:"When it was revoked."`
}

func viewKey(k *auth.SigningKey) keyView {
	return keyView{k.ID, string(k.Use), k.Algorithm, string(k.Status), k.CreatedAt, k.ActivatedAt, k.RetiredAt, k.RevokedAt}
}

type apiKeyView struct {
	ID        auth.ID   `json:"id" doc:"Of the key."`
	Name      string    `json:"name" doc:"For people."`
	Kind      string    `json:"kind" doc:"publishable or secret."`
	Prefix    string    `json:"prefix" doc:"How the key begins."`
	Key       string    `json:"key,omitempty" doc:"The key itself, only when it has just been made."` // only when it has just been made
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	RevokedAt time.Time `json:"revoked_at,omitzero" doc:"When it was revoked."`
}

func viewAPIKey(k *auth.APIKey, plain string) apiKeyView {
	return apiKeyView{k.ID, k.Name, k.Kind, k.Prefix, plain, k.CreatedAt, k.RevokedAt}
}

// messageView is a message that was given up. What it says is sealed and not shown.
type messageView struct {
	ID        auth.ID   `json:"id" doc:"Of the message."`
	Channel   string    `json:"channel" doc:"email or sms."`
	Kind      string    `json:"kind" doc:"Such as recovery."`
	Attempts  int       `json:"attempts" doc:"How often it was tried."`
	LastError string    `json:"last_error" doc:"Why it failed the last time."`
	CreatedAt time.Time `json:"created_at" doc:"When it was asked for."`
	DeadAt    time.Time `json:"dead_at" doc:"When it was given up."`
}

// views maps a list; the answer is never null.
func views[T, V any](list []T, view func(*T) V) []V {
	out := make([]V, len(list))
	for i := range list {
		out[i] = view(&list[i])
	}
	return out
}
