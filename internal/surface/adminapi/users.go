package adminapi

import (
	"encoding/json"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func userRoutes() []route {
	return []route{
		{"GET", "/users", false, 200, listUsers},
		{"POST", "/users", false, created, createUser},
		{"GET", "/users/{id}", false, 200, getUser},
		{"PATCH", "/users/{id}", false, 200, changeUser},
		{"DELETE", "/users/{id}", true, 204, deleteUser},
		{"PATCH", "/users/{id}/profile", false, 200, changeProfile},
		{"PUT", "/users/{id}/ban", true, 200, ban},
		{"DELETE", "/users/{id}/ban", true, 200, unban},
		{"PUT", "/users/{id}/roles", true, 200, setRoles},
		{"PUT", "/users/{id}/pending-roles/{role}", true, 200, decideRole},
		{"PUT", "/users/{id}/active", true, 200, setActive},
		{"PUT", "/users/{id}/agent", false, 204, assignAgent},
		{"GET", "/users/{id}/sessions", false, 200, listSessions},
		{"DELETE", "/users/{id}/sessions", false, 204, endSessions},
		{"DELETE", "/users/{id}/sessions/{session}", false, 204, endSession},
		{"GET", "/users/{id}/memberships", false, 200, listMemberships},
	}
}

// maxBan keeps a ban inside what every database can store; it is also the ban without an end.
const (
	maxBan  = 200 * 365 * 24 * time.Hour
	forever = 100 * 365 * 24 * time.Hour
)

func listUsers(s *surface, c *call) (any, error) {
	q := c.query()
	limit := q.limit(maxPage)
	in := auth.PersonQuery{
		Text: q.text("q"), Role: q.text("role"), Tenant: q.id("tenant_id"), Agent: q.id("agent_id"), Active: q.flag("is_active"),
		PhoneVerified: q.flag("phone_verified"), After: q.id("after"), Limit: limit + 1,
	}
	if unassigned := q.flag("unassigned"); unassigned != nil {
		in.Unassigned = *unassigned
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	list, err := s.c.People.List(c.r.Context(), c.actor, in)
	if err != nil {
		return nil, err
	}
	list, next := cut(list, limit, func(p *auth.Person) auth.ID { return p.User.ID })
	return struct {
		Users []userView `json:"users"`
		Next  string     `json:"next"`
	}{views(list, viewUser), next}, nil
}

// person reads somebody again after a change.
func (s *surface) person(c *call, id auth.ID) (any, error) {
	p, err := s.c.People.Get(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return viewUser(&p), nil
}

func getUser(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	return s.person(c, id)
}

// noRoles refuses roles in the metadata: they are changed where the catalogue is asked, a
// reason is given and both are written down (A12.6).
func noRoles(metadata map[string]json.RawMessage) error {
	for _, name := range []string{"roles", "pending_roles"} {
		if _, there := metadata[name]; there {
			return invalid("roles can't be changed in app_metadata: use PUT /admin/v1/users/{id}/roles")
		}
	}
	return nil
}

func createUser(s *surface, c *call) (any, error) {
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	in := flow.NewUser{
		ID: b.id("id"), Audience: b.text("aud"), Role: b.text("database_role"), Email: b.text("email"), Phone: b.text("phone"),
		Password: b.text("password"), PasswordHash: b.text("password_hash"), EmailConfirm: b.flag("email_confirm"),
		PhoneConfirm: b.flag("phone_confirm"), UserMetadata: b.object("user_metadata"), AppMetadata: b.object("app_metadata"),
	}
	if err := b.done(); err != nil {
		return nil, err
	}
	if err := noRoles(in.AppMetadata); err != nil {
		return nil, err
	}
	u, err := s.c.Admin.Create(c.r.Context(), in, c.actor.Caller.Meta)
	if err != nil {
		return nil, err
	}
	return s.person(c, u.ID)
}

func changeUser(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	in := flow.UserChange{
		Audience: b.opt("aud"), Role: b.opt("database_role"), Email: b.opt("email"), Phone: b.opt("phone"), Password: b.opt("password"),
		PasswordHash: b.opt("password_hash"), EmailConfirm: b.optFlag("email_confirm"), PhoneConfirm: b.optFlag("phone_confirm"),
		UserMetadata: b.object("user_metadata"), AppMetadata: b.object("app_metadata"),
	}
	if err := b.done(); err != nil {
		return nil, err
	}
	// An empty text is a mistake of the caller's: neither address nor password is removed by it.
	for name, v := range map[string]*string{"email": in.Email, "phone": in.Phone, "password": in.Password, "password_hash": in.PasswordHash} {
		if v != nil && *v == "" {
			return nil, invalid("%s can't be empty", name)
		}
	}
	if err := noRoles(in.AppMetadata); err != nil {
		return nil, err
	}
	return s.update(c, id, in)
}

func (s *surface) update(c *call, id auth.ID, in flow.UserChange) (any, error) {
	if _, err := s.c.Admin.Update(c.r.Context(), id, in, c.actor.Caller.Meta); err != nil {
		return nil, err
	}
	return s.person(c, id)
}

func deleteUser(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	q := c.query()
	soft := q.flag("soft")
	if err := q.done(); err != nil {
		return nil, err
	}
	return nil, s.c.Admin.Delete(c.r.Context(), id, soft != nil && *soft, c.actor.Caller.Meta)
}

func changeProfile(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	in := flow.ProfileChange{
		FullName: b.opt("full_name"), BirthDate: b.opt("birth_date"), ImageURL: b.opt("image_url"), Language: b.opt("language"),
		Preferences: b.object("preferences"), Notifications: b.object("notifications"), Privacy: b.object("privacy"),
		Flags: b.object("flags"),
	}
	b.into("extensions", &in.Extensions, "an object of objects")
	if err := b.done(); err != nil {
		return nil, err
	}
	p, err := s.c.People.Change(c.r.Context(), c.actor, id, in)
	if err != nil {
		return nil, err
	}
	return viewUser(&p), nil
}

func ban(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	b, err := c.body(true)
	if err != nil {
		return nil, err
	}
	text := b.text("for")
	if err := b.done(); err != nil {
		return nil, err
	}
	d := forever
	if text != "" {
		if d, err = time.ParseDuration(text); err != nil || d <= 0 || d > maxBan {
			return nil, invalid(`for must be a duration such as "24h"; without it the ban has no end`)
		}
	}
	return s.update(c, id, flow.UserChange{BanFor: &d})
}

func unban(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	var none time.Duration
	return s.update(c, id, flow.UserChange{BanFor: &none})
}

func setRoles(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	roles, given := b.texts("roles")
	if err := b.done(); err != nil {
		return nil, err
	}
	if !given { // "roles": null by a mistake must not take every role away
		return nil, invalid("roles must be a list; [] takes every role away")
	}
	p, err := s.c.People.SetRoles(c.r.Context(), c.actor, id, roles)
	if err != nil {
		return nil, err
	}
	return viewUser(&p), nil
}

func decideRole(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	name, err := c.text("role")
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	yes := b.optFlag("approve")
	if err := b.done(); err != nil {
		return nil, err
	}
	if yes == nil {
		return nil, invalid("approve must be true or false")
	}
	p, err := s.c.People.ApproveRole(c.r.Context(), c.actor, id, name, *yes)
	if err != nil {
		return nil, err
	}
	return viewUser(&p), nil
}

func setActive(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	active := b.optFlag("is_active")
	if err := b.done(); err != nil {
		return nil, err
	}
	if active == nil {
		return nil, invalid("is_active must be true or false")
	}
	p, err := s.c.People.SetActive(c.r.Context(), c.actor, id, *active)
	if err != nil {
		return nil, err
	}
	return viewUser(&p), nil
}

func assignAgent(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	agent := b.id("agent_id")
	if err := b.done(); err != nil {
		return nil, err
	}
	if _, given := b.o["agent_id"]; !given {
		return nil, invalid("agent_id is missing; null takes the agent away")
	}
	return nil, s.c.People.AssignAgent(c.r.Context(), c.actor, id, agent)
}

func listSessions(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	list, err := s.c.People.SessionsOf(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return map[string]any{"sessions": views(list, viewSession)}, nil
}

func endSessions(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	return nil, s.c.People.EndSessionsOf(c.r.Context(), c.actor, id)
}

func endSession(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	session, err := c.id("session")
	if err != nil {
		return nil, err
	}
	return nil, s.c.People.EndSessionOf(c.r.Context(), c.actor, id, session)
}

func listMemberships(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	list, err := s.c.Tenancy.Of(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return map[string]any{"memberships": views(list, func(m *auth.MemberOf) memberView {
		v, t := viewMembership(&m.Membership), viewTenant(&m.Tenant)
		v.Tenant = &t
		return v
	})}, nil
}
