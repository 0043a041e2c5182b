package mirror

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/web"
)

// shown gives the answer for one person.
func (s *surface) shown(c *call, p *auth.Person, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	agents, err := s.c.People.AgentsOf(c.r.Context(), p.User.ID)
	if err != nil {
		return nil, err
	}
	return view(p, agents[p.User.ID]), nil
}

// me is GET /users/me.
func (s *surface) me(c *call) (any, error) {
	p, err := s.c.People.Me(c.r.Context(), c.caller)
	return s.shown(c, &p, err)
}

// changeMe is PUT /users/me.
func (s *surface) changeMe(c *call) (any, error) {
	in, err := profileChange(c.r)
	if err != nil {
		return nil, err
	}
	p, err := s.c.People.UpdateMe(c.r.Context(), c.caller, in)
	return s.shown(c, &p, err)
}

// profileChange reads what a PUT of a person may change. There is no role in it, nor anything
// else that decides what somebody may do.
func profileChange(r *http.Request) (flow.ProfileChange, error) {
	f, err := fields(r)
	if err != nil {
		return flow.ProfileChange{}, err
	}
	in := flow.ProfileChange{
		FullName: f.OptString("full_name"), BirthDate: f.OptString("date_of_birth"), ImageURL: f.OptString("profile_image_url"),
		Preferences: f.Object("preferences"), Notifications: f.Object("notification_settings"), Privacy: f.Object("privacy_settings"),
		Email: f.OptString("email"), Phone: f.OptString("phone"),
	}
	return in, f.Err() //nolint:wrapcheck // an *auth.Error
}

// changePhone is PUT /users/me/phone. A number that is somebody else's is 409 where answers
// are explicit, else the answer of a change that has nothing to show (A1.5).
func (s *surface) changePhone(c *call) (any, error) {
	f, err := fields(c.r)
	if err != nil {
		return nil, err
	}
	number := f.String("phone")
	if err := f.Err(); err != nil {
		return nil, err
	}
	if number == "" {
		return nil, invalid("phone is required")
	}
	p, err := s.c.People.SetPhone(c.r.Context(), c.caller, number)
	return s.shown(c, &p, err)
}

// identity is one way in.
type identity struct {
	Provider   string  `json:"provider"`
	IdentityID auth.ID `json:"identity_id"`
}

// identities is GET /users/me/identities.
func (s *surface) identities(c *call) (any, error) {
	p, err := s.c.People.Me(c.r.Context(), c.caller)
	if err != nil {
		return nil, err
	}
	list := make([]identity, len(p.User.Identities))
	for i := range list {
		list[i] = identity{p.User.Identities[i].Provider, p.User.Identities[i].ID}
	}
	return struct {
		Identities []identity `json:"identities"`
	}{list}, nil
}

// part is an object of the profile that has an address of its own.
type part struct {
	path string
	of   func(p *auth.Profile) json.RawMessage
	in   func(change *flow.ProfileChange, members map[string]json.RawMessage)
}

func parts() []part {
	return []part{
		{
			"/users/me/preferences", func(p *auth.Profile) json.RawMessage { return p.Preferences },
			func(in *flow.ProfileChange, m map[string]json.RawMessage) { in.Preferences = m },
		}, {
			"/users/me/notification-settings", func(p *auth.Profile) json.RawMessage { return p.Notifications },
			func(in *flow.ProfileChange, m map[string]json.RawMessage) { in.Notifications = m },
		}, {
			"/users/me/privacy-settings", func(p *auth.Profile) json.RawMessage { return p.Privacy },
			func(in *flow.ProfileChange, m map[string]json.RawMessage) { in.Privacy = m },
		},
	}
}

// get is GET of the part.
func (pt part) get(s *surface, c *call) (any, error) {
	p, err := s.c.People.Me(c.r.Context(), c.caller)
	if err != nil {
		return nil, err
	}
	return object(pt.of(&p.Profile)), nil
}

// put is PUT of the part.
func (pt part) put(s *surface, c *call) (any, error) {
	body, err := web.ReadObject(c.r)
	if err != nil {
		return nil, err //nolint:wrapcheck // an *auth.Error
	}
	var in flow.ProfileChange
	pt.in(&in, body)
	p, err := s.c.People.UpdateMe(c.r.Context(), c.caller, in)
	if err != nil {
		return nil, err
	}
	return object(pt.of(&p.Profile)), nil
}

// Bounds of pages.
const (
	standardPage = 20
	largestPage  = 100
)

// page is a page of people. NextCursor is null on the last one.
type page struct {
	Items      []user   `json:"items"`
	NextCursor *auth.ID `json:"next_cursor"`
}

// list is GET /users. A cursor is the id that a page ended with: it says where to begin, never
// what may be seen, so somebody else's opens nothing.
func (s *surface) list(c *call) (any, error) {
	q := query{values: c.r.URL.Query()}
	limit := q.number("limit", standardPage, largestPage)
	ask := auth.PersonQuery{
		Text: strings.TrimPrefix(strings.TrimSpace(q.text("q")), "+"), Agent: q.id("agent_id"),
		Active: q.flag("is_active"), PhoneVerified: q.flag("phone_verified"), After: q.id("cursor"), Limit: limit + 1,
	}
	if without := q.flag("unassigned"); without != nil {
		ask.Unassigned = *without
	}
	if q.err != nil {
		return nil, q.err
	}
	people, err := s.c.People.List(c.r.Context(), c.actor(), ask)
	if err != nil {
		return nil, err
	}
	var out page
	if len(people) > limit { // one more was asked for, to know whether there is another page
		people = people[:limit]
		out.NextCursor = &people[limit-1].User.ID
	}
	ids := make([]auth.ID, len(people))
	for i := range people {
		ids[i] = people[i].User.ID
	}
	agents, err := s.c.People.AgentsOf(c.r.Context(), ids...)
	if err != nil {
		return nil, err
	}
	out.Items = make([]user, len(people))
	for i := range people {
		out.Items[i] = view(&people[i], agents[ids[i]])
	}
	return out, nil
}

// get is GET /users/{id}.
func (s *surface) get(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	p, err := s.c.People.Get(c.r.Context(), c.actor(), id)
	return s.shown(c, &p, err)
}

// change is PUT /users/{id}.
func (s *surface) change(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := profileChange(c.r)
	if err != nil {
		return nil, err
	}
	p, err := s.c.People.Change(c.r.Context(), c.actor(), id, in)
	return s.shown(c, &p, err)
}

// assignAgent is POST /users/{id}/assign-agent; agent_id null takes the agent away.
func (s *surface) assignAgent(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	body, err := web.ReadObject(c.r)
	if err != nil {
		return nil, err //nolint:wrapcheck // an *auth.Error
	}
	if _, given := body["agent_id"]; !given {
		return nil, invalid("agent_id is required; null takes the agent away")
	}
	f := body.Fields()
	text, reason := f.OptString("agent_id"), f.String("reason")
	if err := f.Err(); err != nil {
		return nil, err
	}
	var agent auth.ID
	if text != nil {
		if agent, err = auth.ParseID(*text); err != nil || agent.IsZero() {
			return nil, invalid("agent_id must be a UUID")
		}
	}
	actor := c.actor()
	actor.Reason = reason
	if err := s.c.People.AssignAgent(c.r.Context(), actor, id, agent); err != nil {
		return nil, err
	}
	p, err := s.c.People.Get(c.r.Context(), c.actor(), id)
	return s.shown(c, &p, err)
}
