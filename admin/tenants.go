package admin

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Tenant is an organisation whose data is kept apart from others': a clinic.
type Tenant struct {
	ID        string          `json:"id"`
	Slug      string          `json:"slug"`
	Name      string          `json:"name"`
	Active    bool            `json:"is_active"` // false: its data is out of reach for everybody
	Settings  json.RawMessage `json:"settings"`
	CreatedAt time.Time       `json:"created_at,omitzero"`
	UpdatedAt time.Time       `json:"updated_at,omitzero"`
}

// States of a [Membership]. Only MemberActive opens anything.
const (
	MemberActive    = "active"
	MemberInvited   = "invited"
	MemberPending   = "pending"
	MemberSuspended = "suspended"
)

// Membership is what a person is in a tenant. Tenant is set in lists of a person, the
// person's members in lists of a tenant.
type Membership struct {
	TenantID  string    `json:"tenant_id"`
	UserID    string    `json:"user_id"`
	Role      string    `json:"role"`
	State     string    `json:"state"`
	InvitedBy string    `json:"invited_by,omitempty"`
	EndsAt    time.Time `json:"ends_at,omitzero"` // zero: never
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`

	Email    string  `json:"email,omitempty"`
	Phone    string  `json:"phone,omitempty"`
	FullName string  `json:"full_name,omitempty"`
	Tenant   *Tenant `json:"tenant,omitempty"`
}

// NewTenant is a tenant to make.
type NewTenant struct {
	Slug     string         `json:"slug"` // unique, URL-safe
	Name     string         `json:"name"`
	Settings map[string]any `json:"settings,omitempty"`
	OwnerID  string         `json:"owner_id,omitempty"` // "": nobody is a member yet
}

// TenantChange changes a tenant; nil fields stay.
type TenantChange struct {
	Slug     *string        `json:"slug,omitempty"`
	Name     *string        `json:"name,omitempty"`
	Active   *bool          `json:"is_active,omitempty"`
	Settings map[string]any `json:"settings,omitempty"` // by top-level name; nil deletes
}

// NewMember is a person to take into a tenant: by UserID, or by Email, which makes an
// account and sends an invitation when there is none.
type NewMember struct {
	UserID     string `json:"user_id,omitempty"`
	Email      string `json:"email,omitempty"`
	Role       string `json:"role"`
	RedirectTo string `json:"redirect_to,omitempty"` // where the invitation leads
	// Accepted makes the membership open at once, without asking the person.
	Accepted bool `json:"accepted,omitempty"`
}

// MemberChange changes a membership; nil fields stay.
type MemberChange struct {
	Role   *string    `json:"role,omitempty"`
	State  *string    `json:"state,omitempty"`
	EndsAt *time.Time `json:"ends_at,omitempty"` // pointer to zero: never
}

// TenantPage is one page; Next is the id to go on after, "" on the last one.
type TenantPage struct {
	Tenants []Tenant `json:"tenants"`
	Next    string   `json:"next"`
}

// MemberPage is one page; Next is the id to go on after, "" on the last one.
type MemberPage struct {
	Members []Membership `json:"members"`
	Next    string       `json:"next"`
}

// Tenants are the tenants and their members. Changes take their reason from
// [Client.Because].
type Tenants struct{ c *Client }

func (t *Tenants) one(ctx context.Context, method string, body any, path ...string) (Tenant, error) {
	return ask[Tenant](ctx, t.c, call{method: method, path: append([]string{"tenants"}, path...), body: body})
}

// List gives one page in the order of their making; limit is 1 to 100, 0 is 50.
func (t *Tenants) List(ctx context.Context, after string, limit int) (TenantPage, error) {
	q := params{}.text("after", after).limit(limit)
	return ask[TenantPage](ctx, t.c, call{method: http.MethodGet, path: []string{"tenants"}, query: url.Values(q)})
}

// All gives every tenant, page by page. It ends after the first error.
func (t *Tenants) All(ctx context.Context) iter.Seq2[Tenant, error] {
	return pages("", func(after string) ([]Tenant, string, error) {
		page, err := t.List(ctx, after, 0)
		return page.Tenants, page.Next, err
	})
}

// Get gives one tenant, by id or slug. [CodeTenantNotFound].
func (t *Tenants) Get(ctx context.Context, idOrSlug string) (Tenant, error) {
	return t.one(ctx, http.MethodGet, nil, idOrSlug)
}

// Create makes a tenant. [CodeSlugExists], [CodeUserNotFound], [CodeValidation].
func (t *Tenants) Create(ctx context.Context, in NewTenant) (Tenant, error) {
	return t.one(ctx, http.MethodPost, in)
}

// Change changes a tenant. The errors are those of Create, and [CodeTenantNotFound].
func (t *Tenants) Change(ctx context.Context, id string, in TenantChange) (Tenant, error) {
	return t.one(ctx, http.MethodPatch, in, id)
}

// Delete removes a tenant with its memberships and relations; people keep their accounts.
func (t *Tenants) Delete(ctx context.Context, id, reason string) error {
	return t.c.do(ctx, call{method: http.MethodDelete, path: []string{"tenants", id}, reason: reason})
}

// Members gives one page of members in the order of their ids; limit is 1 to 100, 0 is 50.
func (t *Tenants) Members(ctx context.Context, tenant, after string, limit int) (MemberPage, error) {
	q := params{}.text("after", after).limit(limit)
	return ask[MemberPage](ctx, t.c, call{method: http.MethodGet, path: []string{"tenants", tenant, "members"}, query: url.Values(q)})
}

// AllMembers gives every member, page by page. It ends after the first error.
func (t *Tenants) AllMembers(ctx context.Context, tenant string) iter.Seq2[Membership, error] {
	return pages("", func(after string) ([]Membership, string, error) {
		page, err := t.Members(ctx, tenant, after, 0)
		return page.Members, page.Next, err
	})
}

// AddMember takes a person in. [CodeMemberExists], [CodeUserNotFound], [CodeTenantNotFound],
// [CodeValidation] for a role that tenants don't have.
func (t *Tenants) AddMember(ctx context.Context, tenant string, in NewMember) (Membership, error) {
	return ask[Membership](ctx, t.c, call{method: http.MethodPost, path: []string{"tenants", tenant, "members"}, body: in})
}

// ChangeMember changes a membership. [CodeMemberNotFound], [CodeLastOwner], [CodeValidation].
func (t *Tenants) ChangeMember(ctx context.Context, tenant, user string, in MemberChange) (Membership, error) {
	return ask[Membership](ctx, t.c, call{method: http.MethodPatch, path: []string{"tenants", tenant, "members", user}, body: in})
}

// RemoveMember ends a membership. [CodeMemberNotFound], [CodeLastOwner].
func (t *Tenants) RemoveMember(ctx context.Context, tenant, user string) error {
	return t.c.do(ctx, call{method: http.MethodDelete, path: []string{"tenants", tenant, "members", user}})
}
