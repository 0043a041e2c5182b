package adminapi

import (
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func memberRoutes() []route {
	return []route{
		{
			method: "GET", path: "/tenants/{tenant}/members", id: "listMembers", tag: tagTenants, summary: "A page of members",
			codes: []auth.Code{auth.CodeTenantNotFound},
			run:   gives("One page.", listMembers),
		}, {
			method: "POST", path: "/tenants/{tenant}/members", id: "addMember", tag: tagTenants, summary: "Take somebody in",
			text: "Invites, and with `accepted` opens the membership at once. An address that nobody has gets an account by an invitation.",
			codes: []auth.Code{
				auth.CodeTenantNotFound, auth.CodeMemberExists, auth.CodeRoleNotAllowed, auth.CodeUserNotFound, auth.CodeNoMailer,
				auth.CodeMailTooSoon, auth.CodeMailLimit, auth.CodeMemberNotFound, auth.CodeConflict,
			},
			run: makes("The membership.", addMember),
		}, {
			method: "PATCH", path: "/tenants/{tenant}/members/{user}", id: "updateMember", tag: tagTenants, summary: "Change a membership",
			codes: []auth.Code{auth.CodeTenantNotFound, auth.CodeMemberNotFound, auth.CodeRoleNotAllowed, auth.CodeLastOwner, auth.CodeConflict},
			run:   gives("The membership, changed.", changeMember),
		}, {
			method: "DELETE", path: "/tenants/{tenant}/members/{user}", id: "removeMember", tag: tagTenants, summary: "End a membership",
			codes: []auth.Code{auth.CodeTenantNotFound, auth.CodeMemberNotFound, auth.CodeLastOwner},
			run:   does("No member any more.", removeMember),
		},
	}
}

func relationRoutes() []route {
	return []route{
		{
			method: "GET", path: "/relations", id: "listRelations", tag: tagRelations, summary: "Relations that hold at this moment",
			text: "One of subject_id, object_id and tenant_id is needed.",
			run:  gives("The relations.", listRelations),
		}, {
			method: "POST", path: "/relations", id: "createRelation", tag: tagRelations, summary: "Begin a relation",
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeTenantNotFound, auth.CodeMemberNotFound, auth.CodeRelationExists},
			run:   makes("The relation.", addRelation),
		}, {
			method: "DELETE", path: "/relations/{id}", id: "endRelation", tag: tagRelations, summary: "End a relation",
			codes: []auth.Code{auth.CodeRelationNotFound},
			run:   does("Ended.", endRelation),
		},
	}
}

type memberQuery struct {
	Tenant auth.ID `path:"tenant" doc:"Id of the tenant."`
	After  auth.ID `query:"after" doc:"The next of the page before."`
	Limit  int     `query:"limit" min:"1" max:"100" default:"50" doc:"How many at most."`
}

type memberPage struct {
	Members []memberView `json:"members" doc:"The members of the page, in every state."`
	Next    string       `json:"next" doc:"What to send as after for the next page; empty on the last one."`
}

func listMembers(s *surface, c *call, in memberQuery) (memberPage, error) {
	list, err := s.c.Tenancy.Members(c.r.Context(), c.actor, in.Tenant, in.After, in.Limit+1)
	if err != nil {
		return memberPage{}, err
	}
	list, next := cut(list, in.Limit, func(m *auth.Member) auth.ID { return m.UserID })
	return memberPage{views(list, func(m *auth.Member) memberView {
		v := viewMembership(&m.Membership)
		v.Email, v.Phone, v.FullName = m.Email, m.Phone, m.FullName
		return v
	}), next}, nil
}

type newMemberRequest struct {
	Tenant     auth.ID `path:"tenant" doc:"Id of the tenant."`
	Email      string  `json:"email" format:"email" max:"254" doc:"This or user_id."`
	UserID     auth.ID `json:"user_id" doc:"This or email."`
	Role       string  `json:"role" max:"64" doc:"Of the catalogue." example:"receptionist"`
	RedirectTo string  `json:"redirect_to" max:"2048" doc:"Where the link of an invitation leads, if the server allows it."`
	Accepted   bool    `json:"accepted" doc:"Open the membership at once."`
}

// addMember invites, and with "accepted" opens the membership at once: an operator who takes
// somebody in by an employment contract needs no click.
func addMember(s *surface, c *call, in newMemberRequest) (memberView, error) {
	invitee := flow.Invitee{Email: in.Email, UserID: in.UserID, Role: in.Role, RedirectTo: in.RedirectTo}
	if invitee.RedirectTo == "" {
		invitee.RedirectTo = s.c.Redirects.Choose()
	} else if !s.c.Redirects.Allowed(invitee.RedirectTo) {
		return memberView{}, invalid("redirect_to is not among the addresses that this server may lead to")
	}
	m, err := s.c.Tenancy.Invite(c.r.Context(), c.actor, in.Tenant, invitee)
	if err != nil {
		return memberView{}, err
	}
	if in.Accepted && m.State != auth.MemberActive {
		state := auth.MemberActive
		if m, err = s.c.Tenancy.ChangeMember(c.r.Context(), c.actor, in.Tenant, m.UserID, flow.MemberChange{State: &state}); err != nil {
			return memberView{}, err
		}
	}
	return viewMembership(&m), nil
}

type memberRequest struct {
	Tenant auth.ID    `path:"tenant" doc:"Id of the tenant."`
	User   auth.ID    `path:"user" doc:"Id of the person."`
	Role   *string    `json:"role" max:"64" doc:"Of the catalogue."`
	State  *string    `json:"state" enum:"active,invited,pending,suspended" doc:"Only active opens anything."`
	EndsAt *time.Time `json:"ends_at" doc:"When the membership ends; 0001-01-01T00:00:00Z for never."`
}

func changeMember(s *surface, c *call, in memberRequest) (memberView, error) {
	m, err := s.c.Tenancy.ChangeMember(c.r.Context(), c.actor, in.Tenant, in.User, flow.MemberChange{
		Role: in.Role, State: in.State, EndsAt: truncated(in.EndsAt),
	})
	if err != nil {
		return memberView{}, err
	}
	return viewMembership(&m), nil
}

// truncated is a time as the databases keep it.
func truncated(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	kept := auth.Truncate(*t)
	return &kept
}

type memberPath struct {
	Tenant auth.ID `path:"tenant" doc:"Id of the tenant."`
	User   auth.ID `path:"user" doc:"Id of the person."`
}

func removeMember(s *surface, c *call, in memberPath) error {
	return s.c.Tenancy.Remove(c.r.Context(), c.actor, in.Tenant, in.User)
}

type relationQuery struct {
	Kind    string  `query:"kind" max:"32" doc:"care, patient or agent."`
	Subject auth.ID `query:"subject_id" doc:"Who cares, whose patient or whose customer somebody is."`
	Object  auth.ID `query:"object_id" doc:"For whom."`
	Tenant  auth.ID `query:"tenant_id" doc:"Where."`
	Limit   int     `query:"limit" min:"1" max:"100" default:"50" doc:"How many at most."`
}

type relationList struct {
	Relations []relationView `json:"relations" doc:"Those that hold."`
}

func listRelations(s *surface, c *call, in relationQuery) (relationList, error) {
	list, err := s.c.Tenancy.Relations(c.r.Context(), c.actor, auth.RelationQuery{
		Kind: in.Kind, Subject: in.Subject, Object: in.Object, Tenant: in.Tenant, Limit: in.Limit,
	})
	if err != nil {
		return relationList{}, err
	}
	return relationList{views(list, viewRelation)}, nil
}

type relationRequest struct {
	Kind      string    `json:"kind" max:"32" doc:"care, patient or agent."`
	SubjectID auth.ID   `json:"subject_id" doc:"Who cares, whose patient or whose customer somebody is."`
	ObjectID  auth.ID   `json:"object_id" doc:"For whom."`
	TenantID  auth.ID   `json:"tenant_id" doc:"Where; needed for relations inside a tenant."`
	StartsAt  time.Time `json:"starts_at" doc:"Otherwise now."`
	EndsAt    time.Time `json:"ends_at" doc:"Otherwise it has no end."`
}

func addRelation(s *surface, c *call, in relationRequest) (relationView, error) {
	r, err := s.c.Tenancy.Relate(c.r.Context(), c.actor, flow.NewRelation{
		Kind: in.Kind, SubjectID: in.SubjectID, ObjectID: in.ObjectID, TenantID: in.TenantID,
		StartsAt: auth.Truncate(in.StartsAt), EndsAt: auth.Truncate(in.EndsAt),
	})
	if err != nil {
		return relationView{}, err
	}
	return viewRelation(&r), nil
}

type relationPath struct {
	ID auth.ID `path:"id" doc:"Id of the relation."`
}

func endRelation(s *surface, c *call, in relationPath) error {
	return s.c.Tenancy.Unrelate(c.r.Context(), c.actor, in.ID)
}
