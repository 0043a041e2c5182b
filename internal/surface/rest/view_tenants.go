package rest

import (
	"encoding/json"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// tenant is an organisation whose data is kept apart: a clinic.
type tenant struct {
	ID        auth.ID         `json:"id" doc:"Never changes."`
	Slug      string          `json:"slug" doc:"Short name for addresses, unique." example:"north-clinic"`
	Name      string          `json:"name" doc:"Name for people." example:"North Clinic"`
	IsActive  bool            `json:"is_active" doc:"False: nobody reaches the tenant's data."`
	Settings  json.RawMessage `json:"settings" doc:"What the application keeps as settings."`
	CreatedAt time.Time       `json:"created_at" doc:"When it was made."`
	UpdatedAt time.Time       `json:"updated_at" doc:"When it changed last."`
}

func viewTenant(t *auth.Tenant) tenant {
	return tenant{t.ID, t.Slug, t.Name, t.Active, object(t.Settings), t.CreatedAt, t.UpdatedAt}
}

// membership is what somebody is in a tenant.
type membership struct {
	TenantID  auth.ID   `json:"tenant_id" doc:"The tenant."`
	UserID    auth.ID   `json:"user_id" doc:"The person."`
	Role      string    `json:"role" doc:"Of the catalogue." example:"receptionist"`
	State     string    `json:"state" enum:"active,invited,pending,suspended" doc:"Only active opens anything."`
	InvitedBy auth.ID   `json:"invited_by,omitzero" doc:"Who invited the person."`
	CreatedAt time.Time `json:"created_at" doc:"When the membership began or was offered."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it changed last."`
	EndsAt    time.Time `json:"ends_at,omitzero" doc:"At this moment and after it the membership opens nothing."`
}

func viewMembership(m *auth.Membership) membership {
	return membership{m.TenantID, m.UserID, m.Role, m.State, m.InvitedBy, m.CreatedAt, m.UpdatedAt, m.EndsAt}
}

// myTenant is a tenant of the caller with what he is there.
type myTenant struct {
	Tenant     tenant     `json:"tenant" doc:"The tenant."`
	Membership membership `json:"membership" doc:"What the caller is there."`
	Current    bool       `json:"current" doc:"The active tenant of this session."`
}

// myTenantList lists the tenants of the caller.
type myTenantList struct {
	Tenants []myTenant `json:"tenants" doc:"By name, in every state of membership."`
}

// member is a person of a tenant.
type member struct {
	UserID    auth.ID   `json:"user_id" doc:"The person."`
	Email     string    `json:"email,omitempty" doc:"The person's e-mail address."`
	Phone     string    `json:"phone,omitempty" doc:"The person's phone number."`
	FullName  string    `json:"full_name,omitempty" doc:"The person's name."`
	Role      string    `json:"role" doc:"Of the catalogue."`
	State     string    `json:"state" enum:"active,invited,pending,suspended" doc:"Only active opens anything."`
	InvitedBy auth.ID   `json:"invited_by,omitzero" doc:"Who invited the person."`
	CreatedAt time.Time `json:"created_at" doc:"When the membership began or was offered."`
	EndsAt    time.Time `json:"ends_at,omitzero" doc:"At this moment and after it the membership opens nothing."`
}

// memberList is one page of the people of a tenant.
type memberList struct {
	Members []member `json:"members" doc:"In the order of their ids."`
	Next    auth.ID  `json:"next,omitzero" doc:"Give it as after for the next page; missing on the last one."`
}

func viewMembers(list []auth.Member, limit int) memberList {
	out := memberList{Members: []member{}}
	for i := range list {
		m := &list[i]
		out.Members = append(out.Members, member{m.UserID, m.Email, m.Phone, m.FullName, m.Role, m.State, m.InvitedBy, m.CreatedAt, m.EndsAt})
	}
	if len(list) == limit {
		out.Next = list[limit-1].UserID
	}
	return out
}

// relation is a fact between two people, or a person and a tenant.
type relation struct {
	ID        auth.ID   `json:"id" doc:"Names the relation."`
	Kind      string    `json:"kind" enum:"care,patient,agent" doc:"care: a professional cares for a patient; patient: somebody is a patient of the tenant; agent: an agent looks after a customer."`
	SubjectID auth.ID   `json:"subject_id" doc:"The professional, the patient or the agent."`
	ObjectID  auth.ID   `json:"object_id,omitzero" doc:"The patient that is cared for, or the customer."`
	TenantID  auth.ID   `json:"tenant_id,omitzero" doc:"The tenant in which it holds."`
	StartsAt  time.Time `json:"starts_at" doc:"When it begins to hold."`
	EndsAt    time.Time `json:"ends_at,omitzero" doc:"When it ends; missing while nobody has ended it."`
	CreatedBy auth.ID   `json:"created_by,omitzero" doc:"Who made it."`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
}

// relationList lists relations.
type relationList struct {
	Relations []relation `json:"relations" doc:"Those that hold now, newest first."`
}

func viewRelation(r *auth.Relation) relation {
	return relation{r.ID, r.Kind, r.SubjectID, r.ObjectID, r.TenantID, r.StartsAt, r.EndsAt, r.CreatedBy, r.CreatedAt}
}
