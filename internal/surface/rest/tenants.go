package rest

import (
	"encoding/json"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// actor is the person that asks, with nothing but what is his.
func actor(c *call, reason string) flow.Actor { return flow.Actor{Caller: c.caller, Reason: reason} }

type tenantPath struct {
	Tenant auth.ID `path:"tenant" doc:"Id of a tenant."`
}

type newTenantRequest struct {
	Slug     string                     `json:"slug" need:"true" max:"64" doc:"Small letters, digits and hyphens; unique." example:"north-clinic"`
	Name     string                     `json:"name" need:"true" max:"200" doc:"Name for people." example:"North Clinic"`
	Settings map[string]json.RawMessage `json:"settings" doc:"What the application keeps as settings."`
}

// createTenant is POST /api/tenants.
func (s *surface) createTenant(c *call, in newTenantRequest) (tenant, error) {
	t, err := s.c.Tenancy.Create(c.r.Context(), actor(c, ""), flow.NewTenant{
		Slug: in.Slug, Name: in.Name, Settings: in.Settings, Owner: c.caller.UserID,
	})
	if err != nil {
		return tenant{}, err
	}
	return viewTenant(&t), nil
}

// myTenants is GET /api/tenants.
func (s *surface) myTenants(c *call, _ none) (myTenantList, error) {
	list, err := s.c.Tenancy.Mine(c.r.Context(), c.caller)
	if err != nil {
		return myTenantList{}, err
	}
	out := myTenantList{[]myTenant{}}
	for i := range list {
		m := &list[i]
		out.Tenants = append(out.Tenants, myTenant{viewTenant(&m.Tenant), viewMembership(&m.Membership), m.TenantID.String() == c.token.Tenant})
	}
	return out, nil
}

// getTenant is GET /api/tenants/{tenant}.
func (s *surface) getTenant(c *call, in tenantPath) (tenant, error) {
	t, err := s.c.Tenancy.Get(c.r.Context(), actor(c, ""), in.Tenant)
	if err != nil {
		return tenant{}, err
	}
	return viewTenant(&t), nil
}

type tenantRequest struct {
	Tenant   auth.ID                    `path:"tenant" doc:"Id of a tenant."`
	Slug     *string                    `json:"slug" max:"64" doc:"Small letters, digits and hyphens; unique."`
	Name     *string                    `json:"name" max:"200" doc:"Name for people."`
	Settings map[string]json.RawMessage `json:"settings" doc:"Merged name by name; null removes a name."`
	Reason   string                     `json:"reason" max:"500" doc:"For the audit."`
}

// changeTenant is PATCH /api/tenants/{tenant}.
func (s *surface) changeTenant(c *call, in tenantRequest) (tenant, error) {
	t, err := s.c.Tenancy.Update(c.r.Context(), actor(c, in.Reason), in.Tenant, flow.TenantChange{
		Slug: in.Slug, Name: in.Name, Settings: in.Settings,
	})
	if err != nil {
		return tenant{}, err
	}
	return viewTenant(&t), nil
}

// switchTenant is POST /api/tenants/{tenant}/switch.
func (s *surface) switchTenant(c *call, in tenantPath) (*tokens, error) {
	out, err := s.c.Tenancy.Switch(c.r.Context(), c.caller, in.Tenant)
	if err != nil {
		return nil, err
	}
	return viewTokens(&out), nil
}

// acceptInvitation is POST /api/tenants/{tenant}/accept.
func (s *surface) acceptInvitation(c *call, in tenantPath) (membership, error) {
	m, err := s.c.Tenancy.Accept(c.r.Context(), c.caller, in.Tenant)
	if err != nil {
		return membership{}, err
	}
	return viewMembership(&m), nil
}

type explainPath struct {
	Tenant     auth.ID `path:"tenant" doc:"Id of a tenant."`
	Permission string  `query:"permission" need:"true" max:"64" doc:"Such as member:invite."`
	User       auth.ID `query:"user_id" doc:"The caller, if it is missing."`
}

// explanation answers whether somebody may do something, and why.
type explanation struct {
	Allowed bool     `json:"allowed" doc:"Whether the person may do it now."`
	Because []string `json:"because" doc:"Why, for people."`
}

// explain is GET /api/tenants/{tenant}/explain.
func (s *surface) explain(c *call, in explainPath) (explanation, error) {
	if in.User.IsZero() {
		in.User = c.caller.UserID
	}
	e, err := s.c.Tenancy.Explain(c.r.Context(), actor(c, ""), in.User, in.Tenant, in.Permission)
	if err != nil {
		return explanation{}, err
	}
	return explanation{e.Allowed, append([]string{}, e.Because...)}, nil
}

type membersPath struct {
	Tenant auth.ID `path:"tenant" doc:"Id of a tenant."`
	After  auth.ID `query:"after" doc:"The next of the page before."`
	Limit  int     `query:"limit" min:"1" max:"200" default:"50" doc:"How many at most."`
}

// members is GET /api/tenants/{tenant}/members.
func (s *surface) members(c *call, in membersPath) (memberList, error) {
	list, err := s.c.Tenancy.Members(c.r.Context(), actor(c, ""), in.Tenant, in.After, in.Limit)
	if err != nil {
		return memberList{}, err
	}
	return viewMembers(list, in.Limit), nil
}

type inviteRequest struct {
	Tenant     auth.ID `path:"tenant" doc:"Id of a tenant."`
	Email      string  `json:"email" format:"email" max:"254" doc:"This or user_id. An address without an account gets one, by an invitation." example:"grace@example.org"`
	UserID     auth.ID `json:"user_id" doc:"This or email."`
	Role       string  `json:"role" need:"true" max:"64" doc:"Of the catalogue, not above one's own." example:"receptionist"`
	RedirectTo string  `json:"redirect_to" max:"2048" doc:"Where the link of the message leads, if the server allows it."`
	Reason     string  `json:"reason" max:"500" doc:"For the audit."`
}

// invite is POST /api/tenants/{tenant}/members.
func (s *surface) invite(c *call, in inviteRequest) (membership, error) {
	m, err := s.c.Tenancy.Invite(c.r.Context(), actor(c, in.Reason), in.Tenant, flow.Invitee{
		Email: in.Email, UserID: in.UserID, Role: in.Role, RedirectTo: s.c.Redirects.Choose(in.RedirectTo),
	})
	if err != nil {
		return membership{}, err
	}
	return viewMembership(&m), nil
}

type memberPath struct {
	Tenant auth.ID `path:"tenant" doc:"Id of a tenant."`
	User   auth.ID `path:"user" doc:"Id of a person."`
}

type memberRequest struct {
	Tenant auth.ID    `path:"tenant" doc:"Id of a tenant."`
	User   auth.ID    `path:"user" doc:"Id of a person."`
	Role   *string    `json:"role" max:"64" doc:"Of the catalogue, not above one's own."`
	State  *string    `json:"state" enum:"active,suspended" doc:"Active approves who waits, suspended closes the tenant to the person."`
	EndsAt *time.Time `json:"ends_at" doc:"When the membership stops to open anything."`
	NoEnd  bool       `json:"no_end" doc:"True takes the end away."`
	Reason string     `json:"reason" max:"500" doc:"For the audit."`
}

// changeMember is PATCH /api/tenants/{tenant}/members/{user}.
func (s *surface) changeMember(c *call, in memberRequest) (membership, error) {
	if in.NoEnd {
		if in.EndsAt != nil {
			return membership{}, invalid("either ends_at or no_end can be given")
		}
		in.EndsAt = &time.Time{}
	}
	m, err := s.c.Tenancy.ChangeMember(c.r.Context(), actor(c, in.Reason), in.Tenant, in.User, flow.MemberChange{
		Role: in.Role, State: in.State, EndsAt: in.EndsAt,
	})
	if err != nil {
		return membership{}, err
	}
	return viewMembership(&m), nil
}

// removeMember is DELETE /api/tenants/{tenant}/members/{user}.
func (s *surface) removeMember(c *call, in memberPath) (none, error) {
	return none{}, s.c.Tenancy.Remove(c.r.Context(), actor(c, ""), in.Tenant, in.User)
}

type relationsPath struct {
	Tenant  auth.ID `path:"tenant" doc:"Id of a tenant."`
	Kind    string  `query:"kind" enum:"care,patient" doc:"Only relations of this kind."`
	Subject auth.ID `query:"subject_id" doc:"Only relations of this professional or patient."`
	Object  auth.ID `query:"object_id" doc:"Only relations to this patient."`
	Limit   int     `query:"limit" min:"1" max:"200" default:"50" doc:"How many at most."`
}

// relations is GET /api/tenants/{tenant}/relations.
func (s *surface) relations(c *call, in relationsPath) (relationList, error) {
	list, err := s.c.Tenancy.Relations(c.r.Context(), actor(c, ""), auth.RelationQuery{
		Kind: in.Kind, Subject: in.Subject, Object: in.Object, Tenant: in.Tenant, Limit: in.Limit,
	})
	if err != nil {
		return relationList{}, err
	}
	out := relationList{[]relation{}}
	for i := range list {
		out.Relations = append(out.Relations, viewRelation(&list[i]))
	}
	return out, nil
}

type relationRequest struct {
	Tenant   auth.ID    `path:"tenant" doc:"Id of a tenant."`
	Kind     string     `json:"kind" need:"true" enum:"care,patient" doc:"care: subject cares for object; patient: subject is a patient here."`
	Subject  auth.ID    `json:"subject_id" need:"true" doc:"The professional or the patient."`
	Object   auth.ID    `json:"object_id" doc:"The patient, of care."`
	StartsAt *time.Time `json:"starts_at" doc:"Now, if it is missing."`
	EndsAt   *time.Time `json:"ends_at" doc:"Open, if it is missing."`
	Reason   string     `json:"reason" max:"500" doc:"For the audit."`
}

// relate is POST /api/tenants/{tenant}/relations.
func (s *surface) relate(c *call, in relationRequest) (relation, error) {
	r, err := s.c.Tenancy.Relate(c.r.Context(), actor(c, in.Reason), flow.NewRelation{
		Kind: in.Kind, SubjectID: in.Subject, ObjectID: in.Object, TenantID: in.Tenant, StartsAt: moment(in.StartsAt), EndsAt: moment(in.EndsAt),
	})
	if err != nil {
		return relation{}, err
	}
	return viewRelation(&r), nil
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return auth.Truncate(*t)
}

type relationPath struct {
	Tenant   auth.ID `path:"tenant" doc:"Id of a tenant."`
	Relation auth.ID `path:"relation" doc:"Id of a relation."`
}

// unrelate is DELETE /api/tenants/{tenant}/relations/{relation}.
func (s *surface) unrelate(c *call, in relationPath) (none, error) {
	return none{}, s.c.Tenancy.UnrelateIn(c.r.Context(), actor(c, ""), in.Tenant, in.Relation)
}
