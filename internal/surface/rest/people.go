package rest

import (
	"encoding/json"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// profileRequest changes a profile. Members that are not given stay; "" empties a text; in
// the objects each name is replaced by itself, and null removes it.
type profileRequest struct {
	FullName      *string                               `json:"full_name" max:"200" doc:"2 to 100 characters; markup is stripped."`
	BirthDate     *string                               `json:"birth_date" max:"10" doc:"YYYY-MM-DD." example:"1990-05-17"`
	ImageURL      *string                               `json:"image_url" max:"2048" doc:"Absolute, http or https."`
	Language      *string                               `json:"language" max:"35" doc:"BCP 47." example:"he"`
	Preferences   map[string]json.RawMessage            `json:"preferences" doc:"Merged name by name; null removes a name."`
	Notifications map[string]json.RawMessage            `json:"notifications" doc:"Merged name by name; null removes a name."`
	Privacy       map[string]json.RawMessage            `json:"privacy" doc:"Merged name by name; null removes a name."`
	Flags         map[string]json.RawMessage            `json:"flags" doc:"Merged name by name; null removes a name."`
	Extensions    map[string]map[string]json.RawMessage `json:"extensions" doc:"Profiles of the application's own: name of the profile to members, each merged name by name."`
	Email         *string                               `json:"email" format:"email" max:"254" doc:"A new address, which waits until it is proved."`
	Phone         *string                               `json:"phone" max:"40" doc:"A new number, which waits until it is proved."`
}

// changeMe is PATCH /api/users/me.
func (s *surface) changeMe(c *call, in profileRequest) (person, error) {
	_, err := s.c.People.UpdateMe(c.r.Context(), c.caller, flow.ProfileChange{
		FullName: in.FullName, BirthDate: in.BirthDate, ImageURL: in.ImageURL, Language: in.Language,
		Preferences: in.Preferences, Notifications: in.Notifications, Privacy: in.Privacy, Flags: in.Flags,
		Extensions: in.Extensions, Email: in.Email, Phone: in.Phone,
	})
	if err != nil {
		return person{}, err
	}
	return s.me(c, none{})
}

// identities is GET /api/users/me/identities.
func (s *surface) identities(c *call, _ none) (identityList, error) {
	p, err := s.c.People.Me(c.r.Context(), c.caller)
	if err != nil {
		return identityList{}, err
	}
	return viewIdentities(&p.User), nil
}

// sessions is GET /api/auth/sessions.
func (s *surface) sessions(c *call, _ none) (sessionList, error) {
	list, err := s.c.People.Sessions(c.r.Context(), c.caller)
	if err != nil {
		return sessionList{}, err
	}
	return viewSessions(list, c.caller.SessionID), nil
}

type sessionPath struct {
	Session auth.ID `path:"session" doc:"Id of a session."`
}

type nameRequest struct {
	Session auth.ID `path:"session" doc:"Id of a session."`
	Name    string  `json:"name" max:"64" doc:"Empty for none." example:"Reading room"`
}

// nameSession is PATCH /api/auth/sessions/{session}.
func (s *surface) nameSession(c *call, in nameRequest) (none, error) {
	return none{}, s.c.People.NameSession(c.r.Context(), c.caller, in.Session, in.Name)
}

// endSession is DELETE /api/auth/sessions/{session}.
func (s *surface) endSession(c *call, in sessionPath) (none, error) {
	return none{}, s.c.People.EndSession(c.r.Context(), c.caller, in.Session)
}

type endRequest struct {
	Which string `query:"which" enum:"others,all" need:"true" doc:"others keeps the session that asks."`
}

// endSessions is DELETE /api/auth/sessions.
func (s *surface) endSessions(c *call, in endRequest) (none, error) {
	which := auth.RevokeOthers
	if in.Which == "all" {
		which = auth.RevokeAll
	}
	return none{}, s.c.Accounts.SignOut(c.r.Context(), c.caller, which)
}
