package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// MemberChange changes a membership. Nil fields stay.
type MemberChange struct {
	Role   *string
	State  *string    // "active" (also approves what is pending) or "suspended"
	EndsAt *time.Time // pointer to zero: never
}

// Members lists the members of a tenant, to those with member:read. Of people who have not
// accepted their invitation it shows what the invitation said and nothing else: else
// everybody's name could be had for an invitation.
func (t *Tenancy) Members(ctx context.Context, a Actor, tenant, after auth.ID, limit int) ([]auth.Member, error) {
	s, _, err := t.inTenant(ctx, a, tenant, role.MemberRead)
	if err != nil {
		return nil, err
	}
	list, err := t.c.TenantStore.MembersOf(ctx, tenant, after, pageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("flow: list members: %w", err)
	}
	for i := range list {
		if m := &list[i]; !s.operator && m.State == auth.MemberInvited {
			m.Phone, m.FullName = "", ""
		}
	}
	return list, nil
}

// memberRole says whether somebody may have a role in a tenant, and whether the actor may
// give it there: with all that it opens, he has it himself.
func (t *Tenancy) memberRole(s *standing, name string) error {
	if tenantRoles(s.catalogue, name) == nil {
		return auth.E(auth.CodeValidation, "There is no role "+printableName(name)+" of tenants")
	}
	if !s.operator && !above(s.catalogue, tenantRoles(s.catalogue, s.member.Role), name) {
		return auth.E(auth.CodeForbidden, "You may not give a role that may do more than you")
	}
	return nil
}

// overMember says whether the actor may change a member: one who may do more is his better.
func (t *Tenancy) overMember(s *standing, m *auth.Membership) error {
	if s.operator || above(s.catalogue, tenantRoles(s.catalogue, s.member.Role), tenantRoles(s.catalogue, m.Role)...) {
		return nil
	}
	return auth.E(auth.CodeForbidden, "This member may do more than you")
}

// membership reads one; missing is the answer when there is none.
func (t *Tenancy) membership(ctx context.Context, tenant, user auth.ID, missing auth.Code) (auth.Membership, error) {
	m, err := t.c.TenantStore.MembershipIn(ctx, tenant, user)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.Membership{}, auth.E(missing, "")
	}
	if err != nil {
		return auth.Membership{}, fmt.Errorf("flow: read membership: %w", err)
	}
	return m.Membership, nil
}

// changeMembership stores a change; seen is the membership as it was read.
func (t *Tenancy) changeMembership(ctx context.Context, s *standing, action string, m, seen auth.Membership) (auth.Membership, error) {
	traits := map[string]any{
		"tenant_id": m.TenantID.String(), "user_id": m.UserID.String(), "role": m.Role, "state": m.State,
		"role_before": seen.Role, "state_before": seen.State,
	}
	if !m.EndsAt.IsZero() {
		traits["ends_at"] = m.EndsAt
	}
	entry, err := t.c.auditBy(s, action, "team", traits)
	if err != nil {
		return auth.Membership{}, err
	}
	m.UpdatedAt = entry.At
	change := auth.MembershipChange{Membership: m, From: []string{seen.State}, Seen: seen.UpdatedAt, Audit: entry}
	if seen.Role == s.catalogue.Owner() {
		change.LastOwner = seen.Role // a tenant that never had an owner can lose none
	}
	_, err = t.c.TenantStore.ChangeMembership(ctx, change)
	switch {
	case errors.Is(err, auth.ErrConflict):
		return auth.Membership{}, t.whyConflict(ctx, &seen)
	case errors.Is(err, auth.ErrNotFound):
		return auth.Membership{}, auth.E(auth.CodeMemberNotFound, "")
	case err != nil:
		return auth.Membership{}, fmt.Errorf("flow: change membership: %w", err)
	}
	return m, nil
}

// whyConflict tells a membership that has changed meanwhile from the last owner's, which has
// not.
func (t *Tenancy) whyConflict(ctx context.Context, seen *auth.Membership) error {
	now, err := t.membership(ctx, seen.TenantID, seen.UserID, auth.CodeConflict)
	if err != nil {
		return err
	}
	if now.State == seen.State && now.UpdatedAt.Equal(seen.UpdatedAt) {
		return auth.E(auth.CodeLastOwner, "")
	}
	return auth.E(auth.CodeConflict, "")
}

// ChangeMember changes the role, the state or the end of a membership, for those with
// member:update. What it verifies, for everybody but operators:
//
//   - the member is not the actor himself: nobody raises himself, and nobody extends his own
//     time;
//   - the actor may do all that the member may, before and afterwards;
//   - nobody becomes a member who has not accepted;
//   - the tenant keeps an owner.
func (t *Tenancy) ChangeMember(ctx context.Context, a Actor, tenant, user auth.ID, in MemberChange) (auth.Membership, error) {
	s, _, err := t.inTenant(ctx, a, tenant, role.MemberUpdate)
	if err != nil {
		return auth.Membership{}, err
	}
	if !s.operator && user == s.user.ID {
		return auth.Membership{}, auth.E(auth.CodeForbidden, "Nobody changes his own membership")
	}
	seen, err := t.membership(ctx, tenant, user, auth.CodeMemberNotFound)
	if err != nil {
		return auth.Membership{}, err
	}
	if err := t.overMember(&s, &seen); err != nil {
		return auth.Membership{}, err
	}
	m, err := t.changed(&s, seen, &in)
	if err != nil || m == seen {
		return m, err
	}
	return t.changeMembership(ctx, &s, "member_modified", m, seen)
}

// changed applies a change to a membership.
func (t *Tenancy) changed(s *standing, m auth.Membership, in *MemberChange) (auth.Membership, error) {
	if in.Role != nil {
		m.Role = *in.Role
	}
	if in.State != nil {
		switch {
		case *in.State != auth.MemberActive && *in.State != auth.MemberSuspended:
			return m, auth.E(auth.CodeValidation, "state must be active or suspended")
		case m.State == auth.MemberInvited && !s.operator:
			return m, auth.E(auth.CodeForbidden, "This person has not accepted the invitation yet")
		}
		m.State = *in.State
	}
	if in.EndsAt != nil {
		m.EndsAt = time.Time{}
		if !in.EndsAt.IsZero() {
			if m.EndsAt = auth.Truncate(*in.EndsAt); !m.EndsAt.After(t.c.now()) || m.EndsAt.Year() > 9999 {
				return m, auth.E(auth.CodeValidation, "the end of a membership must be in the future")
			}
		}
	}
	if owner := s.catalogue.Owner(); owner != "" && m.Role == owner && !m.EndsAt.IsZero() {
		return m, auth.E(auth.CodeValidation, "an owner's membership can't have an end: the tenant would be left without one")
	}
	// Whoever makes a membership active gives its role, also when it was there before.
	if in.Role != nil || in.State != nil {
		return m, t.memberRole(s, m.Role)
	}
	return m, nil
}

// Remove ends a membership: somebody else's for those with member:remove, over whom the
// actor has to stand; one's own in any state, which also declines an invitation.
func (t *Tenancy) Remove(ctx context.Context, a Actor, tenant, user auth.ID) error {
	action := "member_removed"
	var s standing
	var err error
	if !a.Operator && user == a.Caller.UserID {
		action = "member_left"
		s, err = t.c.standing(ctx, a)
	} else {
		s, _, err = t.inTenant(ctx, a, tenant, role.MemberRemove)
	}
	if err != nil {
		return err
	}
	missing := auth.CodeMemberNotFound
	if action == "member_left" {
		missing = auth.CodeTenantDenied // to somebody who is no member, the tenant is a stranger's
	}
	m, err := t.membership(ctx, tenant, user, missing)
	if err != nil {
		return err
	}
	if action != "member_left" {
		if err := t.overMember(&s, &m); err != nil {
			return err
		}
	}
	entry, err := t.c.auditBy(&s, action, "team", map[string]any{
		"tenant_id": tenant.String(), "user_id": user.String(), "role_before": m.Role, "state_before": m.State,
	})
	if err != nil {
		return err
	}
	switch err := t.c.TenantStore.EndMembership(ctx, tenant, user, s.catalogue.Owner(), entry); {
	case errors.Is(err, auth.ErrConflict):
		return auth.E(auth.CodeLastOwner, "")
	case errors.Is(err, auth.ErrNotFound):
		return auth.E(missing, "")
	case err != nil:
		return fmt.Errorf("flow: end membership: %w", err)
	}
	return nil
}

// Accept takes an invitation. Which role it gives was said by whoever invited.
func (t *Tenancy) Accept(ctx context.Context, c auth.Caller, tenant auth.ID) (auth.Membership, error) {
	s, err := t.c.standing(ctx, Actor{Caller: c})
	if err != nil {
		return auth.Membership{}, err
	}
	m, err := t.c.TenantStore.MembershipIn(ctx, tenant, c.UserID)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.Membership{}, auth.E(auth.CodeTenantDenied, "")
	case err != nil:
		return auth.Membership{}, fmt.Errorf("flow: read membership: %w", err)
	case m.State == auth.MemberActive && m.OpenAt(t.c.now()):
		return m.Membership, nil // accepted before: the answer may have been lost
	case m.State != auth.MemberInvited || !m.Tenant.Active || !m.EndsAt.IsZero() && !m.EndsAt.After(t.c.now()):
		return auth.Membership{}, auth.E(auth.CodeTenantDenied, "")
	}
	after := m.Membership
	after.State = auth.MemberActive
	return t.changeMembership(ctx, &s, "member_accepted", after, m.Membership)
}
