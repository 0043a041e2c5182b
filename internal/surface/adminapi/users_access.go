package adminapi

import (
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func accessRoutes() []route {
	return []route{
		{
			method: "PUT", path: "/users/{id}/ban", id: "banUser", tag: tagUsers, summary: "Ban", reason: true, bodyOptional: true,
			text: "A ban keeps out and ends every session.", codes: []auth.Code{auth.CodeUserNotFound},
			run: gives("The person, banned.", ban),
		}, {
			method: "DELETE", path: "/users/{id}/ban", id: "unbanUser", tag: tagUsers, summary: "Lift the ban", reason: true,
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("The person.", unban),
		}, {
			method: "PUT", path: "/users/{id}/roles", id: "setRoles", tag: tagUsers, summary: "Set the roles in the application", reason: true,
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeRoleNotAllowed, auth.CodeConflict},
			run:   gives("The person, with the roles.", setRoles),
		}, {
			method: "PUT", path: "/users/{id}/pending-roles/{role}", id: "decideRole", tag: tagUsers, reason: true,
			summary: "Approve or refuse a role that was asked for",
			codes:   []auth.Code{auth.CodeUserNotFound, auth.CodeRoleNotAllowed, auth.CodeConflict},
			run:     gives("The person.", decideRole),
		}, {
			method: "PUT", path: "/users/{id}/active", id: "setActive", tag: tagUsers, summary: "Switch somebody off or on", reason: true,
			text:  "Switched off, somebody sees the own account and nothing else.",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("The person.", setActive),
		}, {
			method: "PUT", path: "/users/{id}/agent", id: "assignAgent", tag: tagUsers, summary: "Say who looks after a customer",
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeRoleNotAllowed, auth.CodeConflict},
			run:   does("Assigned.", assignAgent),
		}, {
			method: "GET", path: "/users/{id}/memberships", id: "listMemberships", tag: tagUsers, summary: "The tenants of somebody",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("The memberships.", listMemberships),
		}, {
			method: "GET", path: "/users/{id}/identifiers", id: "listIdentifiers", tag: tagUsers, summary: "Every address of somebody",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("The primary ones first.", listIdentifiers),
		},
	}
}

func sessionRoutes() []route {
	return []route{
		{
			method: "GET", path: "/users/{id}/sessions", id: "listSessions", tag: tagSessions, summary: "Where somebody is signed in",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("The sessions.", listSessions),
		}, {
			method: "DELETE", path: "/users/{id}/sessions", id: "endSessions", tag: tagSessions, summary: "Sign somebody out everywhere",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   does("Ended.", endSessions),
		}, {
			method: "DELETE", path: "/users/{id}/sessions/{session}", id: "endSession", tag: tagSessions, summary: "Sign somebody out in one place",
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeSessionUnknown},
			run:   does("Ended.", endSession),
		},
	}
}

// maxBan keeps a ban inside what every database can store; forever is the ban without an end.
const (
	maxBan  = 200 * 365 * 24 * time.Hour
	forever = 100 * 365 * 24 * time.Hour
)

type banRequest struct {
	ID  auth.ID `path:"id" doc:"Id of the person."`
	For string  `json:"for" max:"40" doc:"How long; without it the ban has no end." example:"24h"`
}

func ban(s *surface, c *call, in banRequest) (userView, error) {
	d := forever
	if in.For != "" {
		var err error
		if d, err = time.ParseDuration(in.For); err != nil || d <= 0 || d > maxBan {
			return userView{}, invalid(`for must be a duration such as "24h"; without it the ban has no end`)
		}
	}
	return s.update(c, in.ID, flow.UserChange{BanFor: &d})
}

func unban(s *surface, c *call, in userPath) (userView, error) {
	var over time.Duration
	return s.update(c, in.ID, flow.UserChange{BanFor: &over})
}

type rolesRequest struct {
	ID auth.ID `path:"id" doc:"Id of the person."`
	// "roles": null by a mistake must not take every role away: it is needed.
	Roles []string `json:"roles" need:"true" doc:"All of them, by names of the catalogue; an empty list takes every role away."`
}

func setRoles(s *surface, c *call, in rolesRequest) (userView, error) {
	p, err := s.c.People.SetRoles(c.r.Context(), c.actor, in.ID, in.Roles)
	if err != nil {
		return userView{}, err
	}
	return viewUser(&p), nil
}

type decisionRequest struct {
	ID      auth.ID `path:"id" doc:"Id of the person."`
	Role    string  `path:"role" need:"true" max:"64" doc:"The role that was asked for."`
	Approve bool    `json:"approve" need:"true" doc:"False refuses it."`
}

func decideRole(s *surface, c *call, in decisionRequest) (userView, error) {
	p, err := s.c.People.ApproveRole(c.r.Context(), c.actor, in.ID, in.Role, in.Approve)
	if err != nil {
		return userView{}, err
	}
	return viewUser(&p), nil
}

type activeRequest struct {
	ID     auth.ID `path:"id" doc:"Id of the person."`
	Active bool    `json:"is_active" need:"true" doc:"False switches off."`
}

func setActive(s *surface, c *call, in activeRequest) (userView, error) {
	p, err := s.c.People.SetActive(c.r.Context(), c.actor, in.ID, in.Active)
	if err != nil {
		return userView{}, err
	}
	return viewUser(&p), nil
}

type agentRequest struct {
	ID    auth.ID  `path:"id" doc:"Id of the customer."`
	Agent *auth.ID `json:"agent_id" need:"true" null:"true" doc:"Who looks after the customer; null takes the agent away."`
}

func assignAgent(s *surface, c *call, in agentRequest) error {
	var agent auth.ID
	if in.Agent != nil {
		agent = *in.Agent
	}
	return s.c.People.AssignAgent(c.r.Context(), c.actor, in.ID, agent)
}

type membershipList struct {
	Memberships []memberView `json:"memberships" doc:"In every state, each with its tenant."`
}

func listMemberships(s *surface, c *call, in userPath) (membershipList, error) {
	list, err := s.c.Tenancy.Of(c.r.Context(), c.actor, in.ID)
	if err != nil {
		return membershipList{}, err
	}
	return membershipList{views(list, func(m *auth.MemberOf) memberView {
		v, t := viewMembership(&m.Membership), viewTenant(&m.Tenant)
		v.Tenant = &t
		return v
	})}, nil
}

type identifierList struct {
	Identifiers []identifierView `json:"identifiers" doc:"The primary ones first; those that wait for their proof too."`
}

func listIdentifiers(s *surface, c *call, in userPath) (identifierList, error) {
	list, err := s.c.People.AddressesOf(c.r.Context(), c.actor, in.ID)
	if err != nil {
		return identifierList{}, err
	}
	return identifierList{views(list, func(a *flow.Address) identifierView {
		return identifierView{a.ID, a.Kind, a.Value, a.Primary, a.VerifiedAt}
	})}, nil
}

type sessionList struct {
	Sessions []sessionView `json:"sessions" doc:"Those that have not ended."`
}

func listSessions(s *surface, c *call, in userPath) (sessionList, error) {
	list, err := s.c.People.SessionsOf(c.r.Context(), c.actor, in.ID)
	if err != nil {
		return sessionList{}, err
	}
	return sessionList{views(list, viewSession)}, nil
}

func endSessions(s *surface, c *call, in userPath) error {
	return s.c.People.EndSessionsOf(c.r.Context(), c.actor, in.ID)
}

type sessionPath struct {
	ID      auth.ID `path:"id" doc:"Id of the person."`
	Session auth.ID `path:"session" doc:"Id of the session."`
}

func endSession(s *surface, c *call, in sessionPath) error {
	return s.c.People.EndSessionOf(c.r.Context(), c.actor, in.ID, in.Session)
}
