package adminapi

import (
	"encoding/json"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func userRoutes() []route {
	taken := []auth.Code{auth.CodeEmailExists, auth.CodePhoneExists, auth.CodeWeakPassword}
	return []route{
		{
			method: "GET", path: "/users", id: "listUsers", tag: tagUsers, summary: "A page of people",
			text: "In the order of their making. Filters are combined.",
			run:  gives("One page.", listUsers),
		}, {
			method: "POST", path: "/users", id: "createUser", tag: tagUsers, summary: "Make an account",
			text:  "Nobody is told by mail. An e-mail address or a phone number is needed.",
			codes: append(taken, auth.CodeUserAlreadyExists),
			run:   makes("The account.", createUser),
		}, {
			method: "GET", path: "/users/{id}", id: "getUser", tag: tagUsers, summary: "One person",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("The person, with identities and factors.", getUser),
		}, {
			method: "PATCH", path: "/users/{id}", id: "updateUser", tag: tagUsers, summary: "Change the account",
			text:  "What is not given stays. A new password ends every session.",
			codes: append(taken, auth.CodeUserNotFound, auth.CodeSamePassword, auth.CodeSSOManaged),
			run:   gives("The account, changed.", changeUser),
		}, {
			method: "DELETE", path: "/users/{id}", id: "deleteUser", tag: tagUsers, summary: "Delete the account", reason: true,
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeLegalHold},
			run:   does("Deleted.", deleteUser),
		}, {
			method: "PATCH", path: "/users/{id}/profile", id: "updateProfile", tag: tagUsers, summary: "Change what is kept beside the account",
			text:  "What is not given stays. Objects are merged name by name; null removes a name.",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("The person, changed.", changeProfile),
		},
	}
}

type userQuery struct {
	Text          string  `query:"q" max:"200" doc:"Part of the e-mail address, the phone number or the name, in any case."`
	Role          string  `query:"role" max:"64" doc:"Of the application; together with tenant_id the role in that tenant."`
	Tenant        auth.ID `query:"tenant_id" doc:"Members of this tenant."`
	Agent         auth.ID `query:"agent_id" doc:"Customers of this agent."`
	Unassigned    bool    `query:"unassigned" doc:"Customers of no agent."`
	Active        *bool   `query:"is_active" doc:"Switched on, or off."`
	PhoneVerified *bool   `query:"phone_verified" doc:"With a proved phone number, or without."`
	After         auth.ID `query:"after" doc:"The next of the page before."`
	Limit         int     `query:"limit" min:"1" max:"100" default:"50" doc:"How many at most."`
}

type userPage struct {
	Users []userView `json:"users" doc:"The people of the page."`
	Next  string     `json:"next" doc:"What to send as after for the next page; empty on the last one."`
}

func listUsers(s *surface, c *call, in userQuery) (userPage, error) {
	list, err := s.c.People.List(c.r.Context(), c.actor, auth.PersonQuery{
		Text: in.Text, Role: in.Role, Tenant: in.Tenant, Agent: in.Agent, Unassigned: in.Unassigned, Active: in.Active,
		PhoneVerified: in.PhoneVerified, After: in.After, Limit: in.Limit + 1,
	})
	if err != nil {
		return userPage{}, err
	}
	list, next := cut(list, in.Limit, func(p *auth.Person) auth.ID { return p.User.ID })
	return userPage{views(list, viewUser), next}, nil
}

// person reads somebody again after a change.
func (s *surface) person(c *call, id auth.ID) (userView, error) {
	p, err := s.c.People.Get(c.r.Context(), c.actor, id)
	if err != nil {
		return userView{}, err
	}
	return viewUser(&p), nil
}

type userPath struct {
	ID auth.ID `path:"id" doc:"Id of the person."`
}

func getUser(s *surface, c *call, in userPath) (userView, error) { return s.person(c, in.ID) }

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

type newUserRequest struct {
	ID           auth.ID                    `json:"id" doc:"For an account that had this id elsewhere; otherwise a new one."`
	Email        string                     `json:"email" format:"email" max:"254" doc:"Lower-cased."`
	Phone        string                     `json:"phone" max:"32" doc:"E.164."`
	Password     string                     `json:"password" max:"4096" doc:"By the rules of the server."`
	PasswordHash string                     `json:"password_hash" max:"4096" doc:"Instead of password: argon2, bcrypt, scrypt or PBKDF2."`
	EmailConfirm bool                       `json:"email_confirm" doc:"Take the address as proved."`
	PhoneConfirm bool                       `json:"phone_confirm" doc:"Take the number as proved."`
	Aud          string                     `json:"aud" max:"255" doc:"Audience of the tokens; otherwise that of the server."`
	DatabaseRole string                     `json:"database_role" max:"255" doc:"The claim role of the tokens; otherwise authenticated."`
	UserMetadata map[string]json.RawMessage `json:"user_metadata" doc:"What the person may change."`
	AppMetadata  map[string]json.RawMessage `json:"app_metadata" doc:"What only servers may change. Not the roles."`
}

func createUser(s *surface, c *call, in newUserRequest) (userView, error) {
	if err := noRoles(in.AppMetadata); err != nil {
		return userView{}, err
	}
	u, err := s.c.Admin.Create(c.r.Context(), flow.NewUser{
		ID: in.ID, Audience: in.Aud, Role: in.DatabaseRole, Email: in.Email, Phone: in.Phone, Password: in.Password,
		PasswordHash: in.PasswordHash, EmailConfirm: in.EmailConfirm, PhoneConfirm: in.PhoneConfirm,
		UserMetadata: in.UserMetadata, AppMetadata: in.AppMetadata,
	}, c.actor.Caller.Meta)
	if err != nil {
		return userView{}, err
	}
	return s.person(c, u.ID)
}

type userRequest struct {
	ID           auth.ID                    `path:"id" doc:"Id of the person."`
	Email        *string                    `json:"email" format:"email" max:"254" doc:"The new address."`
	Phone        *string                    `json:"phone" max:"32" doc:"The new number, E.164."`
	Password     *string                    `json:"password" max:"4096" doc:"The new password."`
	PasswordHash *string                    `json:"password_hash" max:"4096" doc:"Instead of password."`
	EmailConfirm *bool                      `json:"email_confirm" doc:"Take the address as proved; false takes the proof back."`
	PhoneConfirm *bool                      `json:"phone_confirm" doc:"The same for the number."`
	Aud          *string                    `json:"aud" max:"255" doc:"Audience of the tokens."`
	DatabaseRole *string                    `json:"database_role" max:"255" doc:"The claim role of the tokens."`
	UserMetadata map[string]json.RawMessage `json:"user_metadata" doc:"Merged name by name; null removes a name."`
	AppMetadata  map[string]json.RawMessage `json:"app_metadata" doc:"The same. Not the roles."`
}

func changeUser(s *surface, c *call, in userRequest) (userView, error) {
	// An empty text is a mistake of the caller's: neither address nor password is removed by it.
	for _, f := range []struct {
		name string
		v    *string
	}{{"email", in.Email}, {"phone", in.Phone}, {"password", in.Password}, {"password_hash", in.PasswordHash}} {
		if f.v != nil && *f.v == "" {
			return userView{}, invalid("%s can't be empty", f.name)
		}
	}
	if err := noRoles(in.AppMetadata); err != nil {
		return userView{}, err
	}
	return s.update(c, in.ID, flow.UserChange{
		Audience: in.Aud, Role: in.DatabaseRole, Email: in.Email, Phone: in.Phone, Password: in.Password, PasswordHash: in.PasswordHash,
		EmailConfirm: in.EmailConfirm, PhoneConfirm: in.PhoneConfirm, UserMetadata: in.UserMetadata, AppMetadata: in.AppMetadata,
	})
}

func (s *surface) update(c *call, id auth.ID, in flow.UserChange) (userView, error) {
	if _, err := s.c.Admin.Update(c.r.Context(), id, in, c.actor.Caller.Meta); err != nil {
		return userView{}, err
	}
	return s.person(c, id)
}

type deletion struct {
	ID   auth.ID `path:"id" doc:"Id of the person."`
	Soft bool    `query:"soft" doc:"Keep the row without what it said of the person."`
}

func deleteUser(s *surface, c *call, in deletion) error {
	return s.c.Admin.Delete(c.r.Context(), in.ID, in.Soft, c.actor.Caller.Meta)
}

type profileRequest struct {
	ID            auth.ID                               `path:"id" doc:"Id of the person."`
	FullName      *string                               `json:"full_name" doc:"2 to 100 characters; markup is taken out."`
	BirthDate     *string                               `json:"birth_date" doc:"YYYY-MM-DD, or nothing."`
	ImageURL      *string                               `json:"image_url" doc:"Absolute, http or https."`
	Language      *string                               `json:"language" doc:"BCP 47."`
	Preferences   map[string]json.RawMessage            `json:"preferences" doc:"What the application keeps as preferences."`
	Notifications map[string]json.RawMessage            `json:"notifications" doc:"What the person wants to hear of."`
	Privacy       map[string]json.RawMessage            `json:"privacy" doc:"What others may see."`
	Flags         map[string]json.RawMessage            `json:"flags" doc:"True or false, by names of the application."`
	Extensions    map[string]map[string]json.RawMessage `json:"extensions" doc:"Objects by kind: physician, staff, agent."`
}

func changeProfile(s *surface, c *call, in profileRequest) (userView, error) {
	p, err := s.c.People.Change(c.r.Context(), c.actor, in.ID, flow.ProfileChange{
		FullName: in.FullName, BirthDate: in.BirthDate, ImageURL: in.ImageURL, Language: in.Language, Preferences: in.Preferences,
		Notifications: in.Notifications, Privacy: in.Privacy, Flags: in.Flags, Extensions: in.Extensions,
	})
	if err != nil {
		return userView{}, err
	}
	return viewUser(&p), nil
}
