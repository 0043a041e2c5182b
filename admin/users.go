package admin

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// User is a person: the account, and what the application keeps beside it.
type User struct {
	ID               string    `json:"id"`
	Email            string    `json:"email"`
	EmailConfirmedAt time.Time `json:"email_confirmed_at,omitzero"`
	Phone            string    `json:"phone"` // E.164 without "+"
	PhoneConfirmedAt time.Time `json:"phone_confirmed_at,omitzero"`
	Aud              string    `json:"aud"`
	DatabaseRole     string    `json:"database_role"`
	Roles            []string  `json:"roles"`         // of the application
	PendingRoles     []string  `json:"pending_roles"` // asked for, not approved
	Active           bool      `json:"is_active"`     // false: refused everywhere but at its own account
	BannedUntil      time.Time `json:"banned_until,omitzero"`
	IsAnonymous      bool      `json:"is_anonymous"`
	IsSSO            bool      `json:"is_sso"`
	LastSignInAt     time.Time `json:"last_sign_in_at,omitzero"`
	CreatedAt        time.Time `json:"created_at,omitzero"`
	UpdatedAt        time.Time `json:"updated_at,omitzero"`

	AppMetadata  json.RawMessage `json:"app_metadata"`
	UserMetadata json.RawMessage `json:"user_metadata"`
	Profile      Profile         `json:"profile"`
	Identities   []Identity      `json:"identities,omitempty"` // only where one account was asked for
	Factors      []Factor        `json:"factors,omitempty"`    // only where one account was asked for
}

// Profile is what the application keeps of a person. The raw members are JSON objects.
type Profile struct {
	FullName         string                     `json:"full_name"`
	BirthDate        string                     `json:"birth_date"` // YYYY-MM-DD, "" unknown
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

// Identity is one way in.
type Identity struct {
	ID           string    `json:"id"`
	Provider     string    `json:"provider"`
	ProviderID   string    `json:"provider_id"`
	Email        string    `json:"email,omitempty"`
	LastSignInAt time.Time `json:"last_sign_in_at,omitzero"`
	CreatedAt    time.Time `json:"created_at,omitzero"`
}

// Factor is a second factor.
type Factor struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Name      string    `json:"name,omitempty"`
	Status    string    `json:"status"` // "verified" or "unverified"
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// Session is a sign-in that has not ended.
type Session struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"` // given by the owner
	AAL         string    `json:"aal"`
	UserAgent   string    `json:"user_agent"`
	IP          string    `json:"ip"`
	TenantID    string    `json:"tenant_id,omitempty"`
	TenantRole  string    `json:"tenant_role,omitempty"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	RefreshedAt time.Time `json:"refreshed_at,omitzero"`
}

// UserQuery asks for one page of accounts in the order of their making. Zero fields match
// everything.
type UserQuery struct {
	Text          string // part of e-mail, phone or name, any case
	Role          string // of the application; together with TenantID, the role in that tenant
	TenantID      string // members of this tenant
	AgentID       string // customers of this agent
	Unassigned    bool   // customers of no agent
	Active        *bool
	PhoneVerified *bool
	After         string // id of the last account of the page before
	Limit         int    // 1 to 100; 0: 50
}

// UserPage is one page.
type UserPage struct {
	Users []User `json:"users"`
	Next  string `json:"next"` // After of the next page; "" on the last one
}

// NewUser is an account to make. Email or Phone is needed.
type NewUser struct {
	ID           string         `json:"id,omitempty"` // "": a new one
	Email        string         `json:"email,omitempty"`
	Phone        string         `json:"phone,omitempty"`
	Password     string         `json:"password,omitempty"`
	PasswordHash string         `json:"password_hash,omitempty"` // instead of Password: argon2, bcrypt, scrypt, PBKDF2
	EmailConfirm bool           `json:"email_confirm,omitempty"` // take the address as proved
	PhoneConfirm bool           `json:"phone_confirm,omitempty"`
	Aud          string         `json:"aud,omitempty"`
	DatabaseRole string         `json:"database_role,omitempty"`
	UserMetadata map[string]any `json:"user_metadata,omitempty"`
	AppMetadata  map[string]any `json:"app_metadata,omitempty"` // not the roles: see SetRoles
}

// UserChange changes an account; nil fields stay. A new password ends every session.
type UserChange struct {
	Email        *string        `json:"email,omitempty"`
	Phone        *string        `json:"phone,omitempty"`
	Password     *string        `json:"password,omitempty"`
	PasswordHash *string        `json:"password_hash,omitempty"`
	EmailConfirm *bool          `json:"email_confirm,omitempty"` // false takes the proof back
	PhoneConfirm *bool          `json:"phone_confirm,omitempty"`
	Aud          *string        `json:"aud,omitempty"`
	DatabaseRole *string        `json:"database_role,omitempty"`
	UserMetadata map[string]any `json:"user_metadata,omitempty"` // by top-level name; nil deletes
	AppMetadata  map[string]any `json:"app_metadata,omitempty"`  // the same; not the roles
}

// ProfileChange changes a profile; nil fields stay. In the maps a nil value deletes the name.
type ProfileChange struct {
	FullName      *string                   `json:"full_name,omitempty"`
	BirthDate     *string                   `json:"birth_date,omitempty"`
	ImageURL      *string                   `json:"image_url,omitempty"`
	Language      *string                   `json:"language,omitempty"`
	Preferences   map[string]any            `json:"preferences,omitempty"`
	Notifications map[string]any            `json:"notifications,omitempty"`
	Privacy       map[string]any            `json:"privacy,omitempty"`
	Flags         map[string]any            `json:"flags,omitempty"`
	Extensions    map[string]map[string]any `json:"extensions,omitempty"`
}

// Users are the accounts. Methods that change what somebody may do take the reason, which
// the audit log keeps beside who did it.
type Users struct{ c *Client }

// List gives one page.
func (u *Users) List(ctx context.Context, q UserQuery) (UserPage, error) {
	p := params{}.text("q", q.Text).text("role", q.Role).text("tenant_id", q.TenantID).text("agent_id", q.AgentID).
		flag("is_active", q.Active).flag("phone_verified", q.PhoneVerified).
		text("after", q.After).limit(q.Limit)
	if q.Unassigned {
		p["unassigned"] = []string{"true"}
	}
	return ask[UserPage](ctx, u.c, call{method: http.MethodGet, path: []string{"users"}, query: url.Values(p)})
}

// All gives every account that matches, page by page. It ends after the first error.
func (u *Users) All(ctx context.Context, q UserQuery) iter.Seq2[User, error] {
	return pages(q.After, func(after string) ([]User, string, error) {
		q.After = after
		page, err := u.List(ctx, q)
		return page.Users, page.Next, err
	})
}

// pages walks through a list.
func pages[T any](after string, list func(after string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for {
			items, next, err := list(after)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" || next == after { // a server that does not advance must not hold us for ever
				return
			}
			after = next
		}
	}
}

func (u *Users) one(ctx context.Context, method string, body any, reason string, path ...string) (User, error) {
	return ask[User](ctx, u.c, call{method: method, path: append([]string{"users"}, path...), body: body, reason: reason})
}

// Get gives one account. [CodeUserNotFound].
func (u *Users) Get(ctx context.Context, id string) (User, error) {
	return u.one(ctx, http.MethodGet, nil, "", id)
}

// Create makes an account and mails nobody. [CodeEmailExists], [CodePhoneExists],
// [CodeWeakPassword], [CodeValidation].
func (u *Users) Create(ctx context.Context, in NewUser) (User, error) {
	return u.one(ctx, http.MethodPost, in, "")
}

// Change changes an account. The errors are those of Create, and [CodeUserNotFound].
func (u *Users) Change(ctx context.Context, id string, in UserChange) (User, error) {
	return u.one(ctx, http.MethodPatch, in, "", id)
}

// ChangeProfile changes what is kept beside the account.
func (u *Users) ChangeProfile(ctx context.Context, id string, in ProfileChange) (User, error) {
	return u.one(ctx, http.MethodPatch, in, "", id, "profile")
}

// Delete removes an account with everything that belongs to it. A soft deletion keeps the
// row for foreign keys, without what identifies the person.
func (u *Users) Delete(ctx context.Context, id string, soft bool, reason string) error {
	q := params{}
	if soft {
		q["soft"] = []string{"true"}
	}
	return u.c.do(ctx, call{method: http.MethodDelete, path: []string{"users", id}, query: url.Values(q), reason: reason})
}

// Ban keeps an account from signing in and from refreshing for a while; 0: until the ban is
// lifted. Access tokens that were issued before work until they expire, except on this server.
func (u *Users) Ban(ctx context.Context, id string, d time.Duration, reason string) (User, error) {
	body := struct {
		For string `json:"for,omitempty"`
	}{}
	if d != 0 {
		body.For = d.String()
	}
	return u.one(ctx, http.MethodPut, body, reason, id, "ban")
}

// Unban lifts a ban.
func (u *Users) Unban(ctx context.Context, id, reason string) (User, error) {
	return u.one(ctx, http.MethodDelete, nil, reason, id, "ban")
}

// SetRoles replaces the roles in the application. [CodeValidation] for one that the
// catalogue does not have, or that is a tenant's.
func (u *Users) SetRoles(ctx context.Context, id string, roles []string, reason string) (User, error) {
	if roles == nil {
		roles = []string{}
	}
	return u.one(ctx, http.MethodPut, map[string]any{"roles": roles}, reason, id, "roles")
}

// DecideRole approves or refuses a role that the person has asked for. [CodeConflict] when
// it does not wait for approval.
func (u *Users) DecideRole(ctx context.Context, id, role string, approve bool, reason string) (User, error) {
	return u.one(ctx, http.MethodPut, map[string]any{"approve": approve}, reason, id, "pending-roles", role)
}

// SetActive switches an account on or off. One that is off can sign in and sees its own
// account, and nothing else.
func (u *Users) SetActive(ctx context.Context, id string, active bool, reason string) (User, error) {
	return u.one(ctx, http.MethodPut, map[string]any{"is_active": active}, reason, id, "active")
}

// AssignAgent gives a customer an agent; agent "" takes the present one away.
func (u *Users) AssignAgent(ctx context.Context, id, agent, reason string) error {
	body := map[string]any{"agent_id": nil}
	if agent != "" {
		body["agent_id"] = agent
	}
	return u.c.do(ctx, call{method: http.MethodPut, path: []string{"users", id, "agent"}, body: body, reason: reason})
}

// Sessions lists the sign-ins that have not ended, newest first.
func (u *Users) Sessions(ctx context.Context, id string) ([]Session, error) {
	out, err := ask[struct {
		Sessions []Session `json:"sessions"`
	}](ctx, u.c, call{method: http.MethodGet, path: []string{"users", id, "sessions"}})
	return out.Sessions, err
}

// EndSession signs an account out in one place. [CodeSessionNotFound].
func (u *Users) EndSession(ctx context.Context, id, session, reason string) error {
	return u.c.do(ctx, call{method: http.MethodDelete, path: []string{"users", id, "sessions", session}, reason: reason})
}

// EndSessions signs an account out everywhere.
func (u *Users) EndSessions(ctx context.Context, id, reason string) error {
	return u.c.do(ctx, call{method: http.MethodDelete, path: []string{"users", id, "sessions"}, reason: reason})
}

// Memberships lists the tenants of an account, by name.
func (u *Users) Memberships(ctx context.Context, id string) ([]Membership, error) {
	out, err := ask[struct {
		Memberships []Membership `json:"memberships"`
	}](ctx, u.c, call{method: http.MethodGet, path: []string{"users", id, "memberships"}})
	return out.Memberships, err
}

// Identifier is an e-mail address or a phone number of an account.
type Identifier struct {
	ID         string    `json:"id,omitempty"` // of one beside the primary ones
	Kind       string    `json:"kind"`         // "email" or "phone"
	Value      string    `json:"value"`
	Primary    bool      `json:"primary"`
	VerifiedAt time.Time `json:"verified_at,omitzero"`
}

// Identifiers lists the addresses of an account, the primary ones first, and those that
// wait for their proof too.
func (u *Users) Identifiers(ctx context.Context, id string) ([]Identifier, error) {
	out, err := ask[struct {
		Identifiers []Identifier `json:"identifiers"`
	}](ctx, u.c, call{method: http.MethodGet, path: []string{"users", id, "identifiers"}})
	return out.Identifiers, err
}
