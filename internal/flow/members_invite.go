package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// Invitee is somebody who is asked to become a member: by the e-mail address, or by the id
// of an account.
type Invitee struct {
	Email      string
	UserID     auth.ID // instead of Email; for operators and those with user:read
	Role       string
	RedirectTo string // checked
}

// Invite asks somebody to become a member of a tenant, for those with member:invite. An
// address that nobody has gets an account, whose owner proves it by the invitation; whether
// there was one before is not told. Asking again sends the message again, with the role of
// the last time. The membership opens nothing until the person has accepted.
//
// The role may not do more than the actor, and nobody can invite himself: he has a
// membership.
func (t *Tenancy) Invite(ctx context.Context, a Actor, tenant auth.ID, in Invitee) (auth.Membership, error) {
	s, row, err := t.inTenant(ctx, a, tenant, role.MemberInvite)
	if err != nil {
		return auth.Membership{}, err
	}
	if err := t.memberRole(&s, in.Role); err != nil {
		return auth.Membership{}, err
	}
	now := t.c.now()
	m := auth.Membership{
		TenantID: row.ID, UserID: in.UserID, Role: in.Role, State: auth.MemberInvited, InvitedBy: s.user.ID,
		CreatedAt: now, UpdatedAt: now,
	}
	switch {
	case in.Email != "" && !in.UserID.IsZero() || in.Email == "" && in.UserID.IsZero():
		return auth.Membership{}, auth.E(auth.CodeValidation, "Either an e-mail address or a user id is required")
	case in.Email != "":
		return t.inviteAddress(ctx, &s, m, &in)
	case !s.may(role.UserRead):
		// The list of members would show the address of whoever's id one has seen somewhere.
		return auth.Membership{}, forbidden(role.UserRead)
	}
	if _, err := t.c.person(ctx, m.UserID, auth.CodeUserNotFound); err != nil {
		return auth.Membership{}, err
	}
	return t.inviteAccount(ctx, &s, m)
}

// inviteAddress invites whoever has an address, or will have proved it.
func (t *Tenancy) inviteAddress(ctx context.Context, s *standing, m auth.Membership, in *Invitee) (auth.Membership, error) {
	if !t.c.Mail {
		return auth.Membership{}, auth.E(auth.CodeNoMailer, "")
	}
	email, err := auth.NormalizeEmail(in.Email)
	if err != nil {
		return auth.Membership{}, err
	}
	if err := t.c.mayMail(email, s.meta.IP); err != nil {
		return auth.Membership{}, err
	}
	u, err := t.c.Store.UserByEmail(ctx, email, t.c.Audience)
	if errors.Is(err, auth.ErrNotFound) {
		made, err := t.inviteStranger(ctx, s, m, email, in.RedirectTo)
		if !errors.Is(err, auth.ErrEmailTaken) {
			return made, err
		}
		// Somebody has made the account this moment.
		u, err = t.c.Store.UserByEmail(ctx, email, t.c.Audience)
		if err != nil {
			return auth.Membership{}, fmt.Errorf("flow: find account: %w", err)
		}
	} else if err != nil {
		return auth.Membership{}, fmt.Errorf("flow: find account: %w", err)
	}
	m.UserID = u.ID
	if m, err = t.inviteAccount(ctx, s, m); err != nil {
		return auth.Membership{}, err
	}
	return m, t.remind(ctx, s, &u, in.RedirectTo)
}

// inviteAccount stores the invitation of an account. One that waits is replaced, if the actor
// may change it.
func (t *Tenancy) inviteAccount(ctx context.Context, s *standing, m auth.Membership) (auth.Membership, error) {
	old, err := t.c.TenantStore.MembershipIn(ctx, m.TenantID, m.UserID)
	switch {
	case errors.Is(err, auth.ErrNotFound):
	case err != nil:
		return auth.Membership{}, fmt.Errorf("flow: read membership: %w", err)
	case old.State != auth.MemberInvited:
		return auth.Membership{}, auth.E(auth.CodeMemberExists, "")
	default:
		if err := t.overMember(s, &old.Membership); err != nil {
			return auth.Membership{}, err
		}
		m.CreatedAt = old.CreatedAt
	}
	made, err := t.changeMembership(ctx, s, "member_invited", m, old.Membership)
	if auth.CodeOf(err) == auth.CodeConflict {
		err = auth.E(auth.CodeMemberExists, "")
	}
	return made, err
}

// inviteStranger makes the account of an address that nobody has, with the invitation, in
// one step.
func (t *Tenancy) inviteStranger(ctx context.Context, s *standing, m auth.Membership, email, redirectTo string) (auth.Membership, error) {
	u, err := t.c.newUser(t.c.Audience)
	if err != nil {
		return auth.Membership{}, err
	}
	u.Email = email
	if err := t.c.addIdentity(&u, auth.ProviderEmail, nil, false); err != nil {
		return auth.Membership{}, err
	}
	u.ConfirmationSentAt, u.InvitedAt, m.UserID = u.CreatedAt, u.CreatedAt, u.ID
	token, secret, err := t.c.newOneTime(u.ID, auth.PurposeInvite, email, nil, t.c.LinkLife)
	if err != nil {
		return auth.Membership{}, err
	}
	message, err := t.c.Post.Put(u.CreatedAt, noticeOf(&u, auth.PurposeInvite, "", redirectTo, secret))
	if err != nil {
		return auth.Membership{}, fmt.Errorf("flow: seal message: %w", err)
	}
	entry, err := t.c.auditBy(s, "member_invited", "team", map[string]any{
		"tenant_id": m.TenantID.String(), "user_id": u.ID.String(), "role": m.Role, "state": m.State, "account": "new",
	})
	if err != nil {
		return auth.Membership{}, err
	}
	account := auth.NewAccount{
		User: u, Audit: []auth.AuditEntry{entry}, Tokens: []auth.OneTime{token}, Messages: []auth.Message{message},
		Memberships: []auth.Membership{m},
	}
	if err := t.c.welcome(&account, s.meta.IP); err != nil {
		return auth.Membership{}, err
	}
	if err := t.c.createAccount(ctx, account, s.meta.IP); err != nil {
		return auth.Membership{}, err
	}
	return m, nil
}

// remind sends the message of an invitation to an account that was there: a new proof, when
// the address has not been proved yet; else the word that there is an invitation.
func (t *Tenancy) remind(ctx context.Context, s *standing, u *auth.User, redirectTo string) error {
	if !u.EmailConfirmedAt.IsZero() {
		m, err := t.c.Post.Put(t.c.now(), Notice{
			Channel: channelEmail, Kind: NoticeMemberInvited, To: u.Email, User: u, RedirectTo: redirectTo,
		})
		if err != nil {
			return fmt.Errorf("flow: seal notice: %w", err)
		}
		if err := t.c.Store.Enqueue(ctx, []auth.Message{m}); err != nil {
			return fmt.Errorf("flow: enqueue: %w", err)
		}
		return nil
	}
	accounts := Accounts{t.c}
	_, err := accounts.send(ctx, u, auth.PurposeInvite, "", redirectTo, nil, "user_invited", s.meta.IP)
	return err
}
