package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// SessionsOf lists somebody's living sessions, newest first: for operators, and for those
// who may change everybody.
func (p *People) SessionsOf(ctx context.Context, a Actor, id auth.ID) ([]auth.Session, error) {
	if _, err := p.overSessions(ctx, a, id); err != nil {
		return nil, err
	}
	list, err := p.c.PeopleStore.SessionsOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("flow: list sessions: %w", err)
	}
	return list, nil
}

// EndSessionOf ends one session of somebody. CodeSessionUnknown when it is not his.
func (p *People) EndSessionOf(ctx context.Context, a Actor, id, session auth.ID) error {
	s, err := p.overSessions(ctx, a, id)
	if err != nil {
		return err
	}
	entry, err := p.c.auditBy(&s, "logout", "account", map[string]any{"user_id": id.String(), "session_id": session.String()})
	if err != nil {
		return err
	}
	err = p.c.PeopleStore.EndSession(ctx, id, session, entry)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeSessionUnknown, "")
	}
	if err != nil {
		return fmt.Errorf("flow: end session: %w", err)
	}
	return nil
}

// EndSessionsOf ends every session of somebody.
func (p *People) EndSessionsOf(ctx context.Context, a Actor, id auth.ID) error {
	s, err := p.overSessions(ctx, a, id)
	if err != nil {
		return err
	}
	entry, err := p.c.auditBy(&s, "logout", "account", map[string]any{"user_id": id.String(), "scope": "global"})
	if err != nil {
		return err
	}
	_, err = p.c.update(ctx, id, auth.UserPatch{At: entry.At, Revoke: auth.RevokeAll, Audit: []auth.AuditEntry{entry}}, auth.CodeUserNotFound)
	return err
}

// overSessions lets those through who may change the person altogether.
func (p *People) overSessions(ctx context.Context, a Actor, id auth.ID) (standing, error) {
	s, err := p.c.standing(ctx, a)
	if err != nil {
		return standing{}, err
	}
	if !s.may(role.UserUpdate) {
		return standing{}, forbidden(role.UserUpdate)
	}
	_, err = p.inferior(ctx, &s, id)
	return s, err
}

// Of lists every membership of somebody, by name of the tenant: for operators, and for those
// who may read everybody.
func (t *Tenancy) Of(ctx context.Context, a Actor, user auth.ID) ([]auth.MemberOf, error) {
	s, err := t.c.standing(ctx, a)
	if err != nil {
		return nil, err
	}
	if !s.may(role.UserRead) {
		return nil, forbidden(role.UserRead)
	}
	if _, err := t.c.person(ctx, user, auth.CodeUserNotFound); err != nil {
		return nil, err
	}
	list, err := t.c.TenantStore.MembershipsOf(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("flow: list memberships: %w", err)
	}
	return list, nil
}
