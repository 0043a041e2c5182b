package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// maxRoles is how many roles of the application somebody may have: they are in every token.
const maxRoles = 50

// roleChange gives the new lists of roles of somebody, from those of now.
type roleChange func(u *auth.User) (roles, pending []string, err error)

// SetRoles replaces the roles of somebody in the application. What it verifies:
//
//   - the actor has role:assign, gives a reason, and is not the subject himself;
//   - he may do all that the subject may, and all that the roles given and taken open;
//   - the roles are of the catalogue, and not a tenant's.
//
// A pending role that is given is no longer pending.
func (p *People) SetRoles(ctx context.Context, a Actor, id auth.ID, roles []string) (auth.Person, error) {
	s, err := p.mayAssign(ctx, a, id)
	if err != nil {
		return auth.Person{}, err
	}
	roles = slices.Clone(roles)
	slices.Sort(roles)
	roles = slices.Compact(roles)
	if len(roles) > maxRoles {
		return auth.Person{}, auth.E(auth.CodeValidation, fmt.Sprintf("somebody can have at most %d roles", maxRoles))
	}
	for _, name := range roles {
		if r, ok := s.catalogue.Role(name); !ok || !r.InApp() {
			return auth.Person{}, auth.E(auth.CodeValidation, "There is no role "+printableName(name)+" of the application")
		}
	}
	if !s.masters(roles...) {
		return auth.Person{}, auth.E(auth.CodeForbidden, "You may not give a role that may do more than you")
	}
	person, before, err := p.writeRoles(ctx, &s, id, "user_roles_changed", func(u *auth.User) ([]string, []string, error) {
		pending := slices.DeleteFunc(namesIn(u.AppMetadata, pendingMember), func(name string) bool { return slices.Contains(roles, name) })
		return roles, pending, nil
	})
	if err != nil {
		return auth.Person{}, err
	}
	return p.openExtensions(ctx, &s, person, before)
}

// ApproveRole gives somebody a role that he asked for at his registration, or refuses it.
// The rules of SetRoles hold.
func (p *People) ApproveRole(ctx context.Context, a Actor, id auth.ID, name string, yes bool) (auth.Person, error) {
	s, err := p.mayAssign(ctx, a, id)
	if err != nil {
		return auth.Person{}, err
	}
	r, known := s.catalogue.Role(name)
	if yes && (!known || !r.InApp()) {
		return auth.Person{}, auth.E(auth.CodeValidation, "There is no role "+printableName(name)+" of the application")
	}
	if !s.masters(name) {
		return auth.Person{}, auth.E(auth.CodeForbidden, "You may not give a role that may do more than you")
	}
	action := "user_role_refused"
	if yes {
		action = "user_role_approved"
	}
	person, before, err := p.writeRoles(ctx, &s, id, action, func(u *auth.User) ([]string, []string, error) {
		roles, pending := namesIn(u.AppMetadata, rolesMember), namesIn(u.AppMetadata, pendingMember)
		if !slices.Contains(pending, name) {
			return nil, nil, auth.E(auth.CodeConflict, "This role does not wait for approval")
		}
		pending = slices.DeleteFunc(pending, func(n string) bool { return n == name })
		if yes && !slices.Contains(roles, name) {
			roles = append(roles, name)
		}
		return roles, pending, nil
	})
	if err != nil {
		return auth.Person{}, err
	}
	return p.openExtensions(ctx, &s, person, before)
}

// mayAssign lets those through who may give roles, to others than themselves.
func (p *People) mayAssign(ctx context.Context, a Actor, id auth.ID) (standing, error) {
	s, err := p.c.standing(ctx, a)
	switch {
	case err != nil:
		return s, err
	case !s.may(role.RoleAssign):
		return s, forbidden(role.RoleAssign)
	case !s.operator && id == s.user.ID:
		return s, auth.E(auth.CodeForbidden, "Nobody changes his own roles")
	case s.meta.Reason == "":
		return s, auth.E(auth.CodeValidation, "reason is required")
	}
	return s, nil
}

// writeRoles reads somebody's roles and writes others, provided that nobody has changed the
// account in between; else it begins again, so that none of two changes at once undoes the
// other. It gives the person afterwards and the roles of before.
func (p *People) writeRoles(ctx context.Context, s *standing, id auth.ID, action string, change roleChange) (auth.Person, []string, error) {
	for range 5 {
		person, err := p.inferior(ctx, s, id)
		if err != nil {
			return auth.Person{}, nil, err
		}
		before := namesIn(person.User.AppMetadata, rolesMember)
		roles, pending, err := change(&person.User)
		if err != nil {
			return auth.Person{}, nil, err
		}
		entry, err := p.c.auditBy(s, action, "user", map[string]any{
			"user_id": id.String(), "roles": notNil(roles), "roles_before": notNil(before), "pending_roles": notNil(pending),
		})
		if err != nil {
			return auth.Person{}, nil, err
		}
		patch := auth.UserPatch{At: entry.At, RequireUpdatedAt: person.User.UpdatedAt, Audit: []auth.AuditEntry{entry}}
		if err := patchRoles(&patch.AppMetadata, roles, pending); err != nil {
			return auth.Person{}, nil, err
		}
		person.User, err = p.c.Store.UpdateUser(ctx, id, patch)
		if err == nil {
			return person, before, nil
		}
		if !errors.Is(err, auth.ErrNotFound) { // that is: changed meanwhile, or gone, which the next turn tells
			return auth.Person{}, nil, fmt.Errorf("flow: write roles: %w", err)
		}
	}
	return auth.Person{}, nil, auth.E(auth.CodeConflict, "")
}

func patchRoles(patch *auth.MetadataPatch, roles, pending []string) error {
	if err := setMetadata(patch, map[string]any{rolesMember: notNil(roles)}); err != nil {
		return err
	}
	if len(pending) == 0 {
		patch.Delete = append(patch.Delete, pendingMember)
		return nil
	}
	return setMetadata(patch, map[string]any{pendingMember: pending})
}

func notNil(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// openExtensions makes the profile extension that goes with a new role of the same name: who
// has become a physician has a physician's profile from then on. It stays when the role goes;
// what it opens is the role's business.
func (p *People) openExtensions(ctx context.Context, s *standing, person auth.Person, before []string) (auth.Person, error) {
	missing := map[string]auth.MetadataPatch{}
	for _, name := range namesIn(person.User.AppMetadata, rolesMember) {
		if _, has := person.Profile.Extensions[name]; !has && slices.Contains(extensionNames(), name) && !slices.Contains(before, name) {
			missing[name] = auth.MetadataPatch{}
		}
	}
	if len(missing) == 0 {
		return person, nil
	}
	entry, err := p.c.auditBy(s, "profile_modified", "user", map[string]any{"user_id": person.User.ID.String(), "fields": []string{"extensions"}})
	if err != nil {
		return auth.Person{}, err
	}
	return p.c.updateProfile(ctx, person.User.ID, auth.ProfilePatch{At: entry.At, Extensions: missing, Audit: []auth.AuditEntry{entry}}, auth.CodeUserNotFound)
}

// AssignAgent gives a customer his agent; the zero agent takes the present one away. The
// actor has to have relation:write in the whole application, and the agent a role with
// customer:read.
func (p *People) AssignAgent(ctx context.Context, a Actor, user, agent auth.ID) error {
	s, err := p.c.standing(ctx, a)
	if err != nil {
		return err
	}
	if !s.may(role.RelationWrite) {
		return forbidden(role.RelationWrite)
	}
	if _, err := p.inferior(ctx, &s, user); err != nil {
		return err
	}
	if !agent.IsZero() {
		if err := p.c.checkAgent(ctx, &s, user, agent); err != nil {
			return err
		}
	}
	// Two assignments at once: one of them finds the other's, ends it and tries again.
	for range 5 {
		done, err := p.endAssignments(ctx, &s, user, agent)
		if err != nil || done || agent.IsZero() {
			return err
		}
		_, err = p.c.addRelation(ctx, &s, auth.Relation{Kind: auth.RelationAgent, SubjectID: agent, ObjectID: user})
		if auth.CodeOf(err) != auth.CodeRelationExists {
			return err
		}
	}
	return auth.E(auth.CodeConflict, "")
}

// checkAgent refuses an agent who could not act as one.
func (c *Config) checkAgent(ctx context.Context, s *standing, user, agent auth.ID) error {
	if user == agent {
		return auth.E(auth.CodeValidation, "Nobody is his own agent")
	}
	who, err := c.person(ctx, agent, auth.CodeUserNotFound)
	if err != nil {
		return err
	}
	if !who.Profile.Active || who.User.BannedAt(c.now()) || !s.catalogue.Has(countingRoles(s.catalogue, &who.User), role.CustomerRead) {
		return auth.E(auth.CodeValidation, "This person can't be an agent")
	}
	return nil
}

// endAssignments ends the customer's assignments to others; done tells that he has the one to
// the agent already.
func (p *People) endAssignments(ctx context.Context, s *standing, user, agent auth.ID) (done bool, err error) {
	now := p.c.now()
	list, err := p.c.TenantStore.Relations(ctx, auth.RelationQuery{Kind: auth.RelationAgent, Object: user, At: now, Limit: maxPage})
	if err != nil {
		return false, fmt.Errorf("flow: look for assignment: %w", err)
	}
	for _, r := range list {
		if r.SubjectID == agent {
			done = true
			continue
		}
		if err := p.c.endRelation(ctx, s, &r); err != nil && auth.CodeOf(err) != auth.CodeRelationNotFound {
			return false, err
		}
	}
	return done, nil
}
