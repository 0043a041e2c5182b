package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// PeopleStore is what People needs of a database besides Store.
type PeopleStore interface {
	PersonByID(ctx context.Context, id auth.ID) (auth.Person, error)
	UpdateProfile(ctx context.Context, user auth.ID, p auth.ProfilePatch) (auth.Person, error)
	ListPeople(ctx context.Context, q auth.PersonQuery) ([]auth.Person, error)
	SessionsOf(ctx context.Context, user auth.ID) ([]auth.Session, error)
	NameSession(ctx context.Context, user, session auth.ID, name string) error
	EndSession(ctx context.Context, user, session auth.ID, audit auth.AuditEntry) error
}

// PhoneReader reads phone numbers as people of the configured region write them.
type PhoneReader interface {
	// Canonical gives E.164 without the "+", or an *auth.Error.
	Canonical(input string) (string, error)
}

// People are the use cases around a person: registration, profile, sessions, and what
// agents and administrators of the application may do to others.
//
// Who may touch whom. Operators may do everything. Everybody may read and change himself,
// within limits. The permissions user:read and user:update, held by a role in
// app_metadata.roles, open everybody; customer:read and customer:update open those people
// who are assigned to the caller by a relation of kind agent, and of these five fields only.
// Nobody may change a person who may do more than himself: a new address would be a way to
// the other's account.
type People struct {
	c        Config
	accounts *Accounts
}

// NewPeople makes People. All that NewAccounts needs is needed, and PeopleStore,
// TenantStore and Roles.
func NewPeople(c Config) *People { return &People{c, NewAccounts(c)} }

// Me gives the caller's own account and profile; one that is switched off, too: Profile.Active
// tells.
func (p *People) Me(ctx context.Context, c auth.Caller) (auth.Person, error) {
	person, _, err := p.MeHere(ctx, c)
	return person, err
}

// MeHere is Me with the caller's session as it is now: the token may be older than a switch
// of the tenant, or than the end of a membership.
func (p *People) MeHere(ctx context.Context, c auth.Caller) (auth.Person, auth.UserSession, error) {
	us, err := p.accounts.session(ctx, c)
	if err != nil {
		return auth.Person{}, auth.UserSession{}, err
	}
	person, err := p.c.person(ctx, c.UserID, auth.CodeTokenUserNotFound)
	return person, us, err
}

// Bounds of lists.
const (
	defaultPage = 50
	maxPage     = 200
)

// pageSize puts a wish into the bounds.
func pageSize(n int) int {
	if n <= 0 {
		return defaultPage
	}
	return min(n, maxPage)
}

// List gives a page of people in the order of their ids. Who has customer:read gets those
// assigned to himself, and may not ask for others.
func (p *People) List(ctx context.Context, a Actor, q auth.PersonQuery) ([]auth.Person, error) {
	s, err := p.c.standing(ctx, a)
	if err != nil {
		return nil, err
	}
	switch {
	case s.may(role.UserRead):
	case s.may(role.CustomerRead):
		if q.Unassigned || !q.Tenant.IsZero() || !q.Agent.IsZero() && q.Agent != s.user.ID {
			return nil, forbidden(role.UserRead)
		}
		q.Agent = s.user.ID
	default:
		return nil, forbidden(role.UserRead)
	}
	if !auth.CleanText(q.Text) || len(q.Text) > 200 || !auth.CleanText(q.Role) || len(q.Role) > 64 {
		return nil, auth.E(auth.CodeValidation, "The text to look for has more than 200 bytes, or characters that can't be stored")
	}
	q.Aud, q.At, q.Limit = p.c.Audience, p.c.now(), pageSize(q.Limit)
	list, err := p.c.PeopleStore.ListPeople(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("flow: list people: %w", err)
	}
	return list, nil
}

// Get gives one person. A stranger's id and one that nobody has are the same answer to
// those who may not read everybody.
func (p *People) Get(ctx context.Context, a Actor, id auth.ID) (auth.Person, error) {
	s, err := p.c.standing(ctx, a)
	if err != nil {
		return auth.Person{}, err
	}
	if id != s.user.ID && !s.may(role.UserRead) {
		if err := p.customerOf(ctx, &s, id, role.CustomerRead); err != nil {
			return auth.Person{}, err
		}
	}
	return p.c.person(ctx, id, auth.CodeUserNotFound)
}

// customerOf lets an agent through to a person who is assigned to him at this moment. The
// relation alone does not do: it stays when the role has been taken from him.
func (p *People) customerOf(ctx context.Context, s *standing, customer auth.ID, permission string) error {
	if !s.may(permission) || customer.IsZero() {
		return forbidden(role.UserRead)
	}
	list, err := p.c.TenantStore.Relations(ctx, auth.RelationQuery{
		Kind: auth.RelationAgent, Subject: s.user.ID, Object: customer, At: p.c.now(), Limit: 1,
	})
	if err != nil {
		return fmt.Errorf("flow: look for assignment: %w", err) // what can't be looked up opens nothing
	}
	if len(list) == 0 {
		return auth.E(auth.CodeForbidden, "This person is not assigned to you")
	}
	return nil
}

// person reads a person; missing is the answer when there is none.
func (c *Config) person(ctx context.Context, id auth.ID, missing auth.Code) (auth.Person, error) {
	person, err := c.PeopleStore.PersonByID(ctx, id)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.Person{}, auth.E(missing, "")
	}
	if err != nil {
		return auth.Person{}, fmt.Errorf("flow: read person: %w", err)
	}
	return person, nil
}

// SetActive switches an account off or on. One that is off can sign in to itself only; use a
// ban to end its sessions as well.
func (p *People) SetActive(ctx context.Context, a Actor, id auth.ID, active bool) (auth.Person, error) {
	s, err := p.c.standing(ctx, a)
	if err != nil {
		return auth.Person{}, err
	}
	if !s.may(role.UserUpdate) || id == s.user.ID {
		return auth.Person{}, forbidden(role.UserUpdate)
	}
	if _, err := p.inferior(ctx, &s, id); err != nil {
		return auth.Person{}, err
	}
	action := "user_deactivated"
	if active {
		action = "user_activated"
	}
	entry, err := p.c.auditBy(&s, action, "user", map[string]any{"user_id": id.String()})
	if err != nil {
		return auth.Person{}, err
	}
	return p.c.updateProfile(ctx, id, auth.ProfilePatch{At: entry.At, Active: &active, Audit: []auth.AuditEntry{entry}}, auth.CodeUserNotFound)
}

// inferior reads somebody whom the actor wants to change, and refuses when that one may do
// more than the actor.
func (p *People) inferior(ctx context.Context, s *standing, id auth.ID) (auth.Person, error) {
	person, err := p.c.person(ctx, id, auth.CodeUserNotFound)
	if err != nil || s.operator {
		return person, err
	}
	if !s.masters(countingRoles(s.catalogue, &person.User)...) {
		return auth.Person{}, auth.E(auth.CodeForbidden, "This person may do more than you")
	}
	return person, nil
}

// updateProfile stores a patch.
func (c *Config) updateProfile(ctx context.Context, id auth.ID, patch auth.ProfilePatch, missing auth.Code) (auth.Person, error) {
	person, err := c.PeopleStore.UpdateProfile(ctx, id, patch)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.Person{}, auth.E(missing, "")
	}
	if err != nil {
		return auth.Person{}, fmt.Errorf("flow: update profile: %w", err)
	}
	return person, nil
}
