package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// Roles gives the catalogue of roles in force; *role.Live is one.
type Roles interface {
	Get() *role.Catalogue
}

// Actor is who does something to people or tenants.
type Actor struct {
	Caller auth.Caller
	// Operator may do everything: the service role, or the admin API. Caller then says who it
	// is, if that is known.
	Operator bool
	Reason   string // for the audit, 500 characters at most
}

const maxReason = 500 // characters

// standing is an actor with what he may do at this moment, read from the database: a token
// tells of the past.
type standing struct {
	c         *Config
	catalogue *role.Catalogue
	operator  bool
	user      auth.User // zero when an operator is nobody in particular
	roles     []string  // of the application, those that count
	meta      auth.Meta // with the reason

	member auth.Membership // open, in the tenant that was asked for; zero for none
}

// standing finds out who acts. What it verifies:
//
//   - the reason can be stored;
//   - unless it is an operator: the token is first-party, account and session are alive, the
//     account is neither banned nor switched off.
func (c *Config) standing(ctx context.Context, a Actor) (standing, error) {
	if err := checkReason(a.Reason); err != nil {
		return standing{}, err
	}
	s := standing{c: c, catalogue: c.Roles.Get(), operator: a.Operator, meta: a.Caller.Meta}
	s.meta.Reason = strings.TrimSpace(a.Reason)
	if a.Operator {
		s.user.ID = a.Caller.UserID
		return s, nil
	}
	u, err := c.activeCaller(ctx, a.Caller)
	if err != nil {
		return standing{}, err
	}
	s.user, s.roles = u, countingRoles(s.catalogue, &u)
	return s, nil
}

// caller reads the account of a first-party session, which may be switched off: everybody
// may look after his own account.
func (c *Config) caller(ctx context.Context, who auth.Caller) (auth.UserSession, error) {
	if !who.FirstParty || who.SessionID.IsZero() && !who.External {
		return auth.UserSession{}, auth.E(auth.CodeNotFirstParty, "")
	}
	us, err := c.Store.UserWithSession(ctx, who.UserID, who.SessionID, c.now())
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.UserSession{}, auth.E(auth.CodeTokenUserNotFound, "")
	case err != nil:
		return auth.UserSession{}, fmt.Errorf("flow: read account: %w", err)
	case us.User.BannedAt(c.now()):
		return auth.UserSession{}, auth.E(auth.CodeTokenUserBanned, "")
	case !us.Session && !who.External:
		return auth.UserSession{}, auth.E(auth.CodeSessionNotFound, "")
	}
	return us, nil
}

// activeCaller is caller for everything but looking at one's own account, leaving, and the
// password.
func (c *Config) activeCaller(ctx context.Context, who auth.Caller) (auth.User, error) {
	us, err := c.caller(ctx, who)
	if err == nil && us.Inactive {
		err = auth.E(auth.CodeUserInactive, "")
	}
	if err != nil {
		return auth.User{}, err
	}
	return us.User, nil
}

// Members of app_metadata that say which roles somebody has in the application, and which
// ones he has asked for.
const (
	rolesMember   = "roles"
	pendingMember = "pending_roles"
)

// namesIn reads a list of names. What is none gives nothing.
func namesIn(doc json.RawMessage, member string) []string {
	var object map[string]json.RawMessage
	if json.Unmarshal(doc, &object) != nil {
		return nil
	}
	var names []string
	if json.Unmarshal(object[member], &names) != nil {
		return nil
	}
	return names
}

// countingRoles are the roles of somebody in the whole application: what is a tenant's opens
// nothing outside of one, and what the catalogue does not know opens nothing at all (X5).
func countingRoles(c *role.Catalogue, u *auth.User) []string {
	return slices.DeleteFunc(namesIn(u.AppMetadata, rolesMember), func(name string) bool {
		r, ok := c.Role(name)
		return !ok || !r.InApp()
	})
}

// may reports whether the actor has a permission in the whole application.
func (s *standing) may(permission string) bool {
	return s.operator || s.catalogue.Has(s.roles, permission)
}

// masters reports whether the actor may give one of these roles of the application, take it,
// or change who has it.
func (s *standing) masters(roles ...string) bool {
	return s.operator || above(s.catalogue, s.roles, roles...)
}

// above reports whether my roles reach as far as others: by level, and by permissions too,
// since all levels of a catalogue may be the same. Roles that the catalogue does not know
// give nothing and are anybody's. The owner's role is an owner's only.
func above(c *role.Catalogue, mine []string, others ...string) bool {
	if c.Level(others...) > c.Level(mine...) {
		return false
	}
	if owner := c.Owner(); owner != "" && slices.Contains(others, owner) && !slices.Contains(mine, owner) {
		return false
	}
	have := c.Expand(mine...)
	for _, permission := range c.Expand(others...) {
		if _, ok := slices.BinarySearch(have, permission); !ok {
			return false
		}
	}
	return true
}

func forbidden(permission string) error {
	return auth.E(auth.CodeForbidden, "This needs the permission "+permission)
}

// auditBy begins an entry for what an actor did; traits name the subject.
func (c *Config) auditBy(s *standing, action, logType string, traits map[string]any) (auth.AuditEntry, error) {
	e, err := c.audit(action, logType, s.meta.IP)
	e.ActorID, e.ActorUsername, e.ActorViaSSO = s.user.ID, s.user.Username(), s.user.IsSSO
	if s.operator && s.user.ID.IsZero() {
		e.ActorUsername = auth.RoleServiceRole
	}
	e.Traits = operatorTraits(s.meta, traits)
	return e, err
}
