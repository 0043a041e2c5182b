package flow

import (
	"context"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// deactivateFresh is how old the proof of a session may be that switches its account off: a
// phone that lies about must not be able to.
const deactivateFresh = 10 * time.Minute

// Deactivate switches the caller's own account off, and ends all its sessions in the same
// step. Nothing is deleted. The way back is an operator's, or an administrator's of the
// application ([People.SetActive]): the account can't sign in to ask for it. What it verifies:
//
//   - the token is first-party, account and session are alive, the account is not off already;
//   - the session was proved within the last ten minutes; one of unknown age was not;
//   - with a second factor in use, the session has proved it;
//   - where there is an address, one is proved: somebody who signs up with a stranger's must
//     not be able to keep its owner out by switching the account off.
func (p *People) Deactivate(ctx context.Context, c auth.Caller) error {
	user, err := p.c.activeCaller(ctx, c)
	if err != nil {
		return err
	}
	now := p.c.now()
	switch {
	case c.AuthTime.IsZero(), now.Sub(c.AuthTime) > deactivateFresh:
		return auth.E(auth.CodeReauthNeeded, "")
	case user.HasVerifiedFactor() && c.AAL != auth.AAL2:
		return auth.E(auth.CodeInsufficientAAL, "")
	case user.Email != "" && user.ConfirmedAt().IsZero():
		return auth.E(auth.CodeEmailNotConfirmed, "")
	case user.Phone != "" && user.ConfirmedAt().IsZero():
		return auth.E(auth.CodePhoneNotConfirmed, "")
	}
	who, off := standing{c: &p.c, user: user, meta: c.Meta}, false
	entry, err := p.c.auditBy(&who, "user_deactivated", "user", map[string]any{"user_id": c.UserID.String(), "by": "owner"})
	if err != nil {
		return err
	}
	_, err = p.c.updateProfile(ctx, c.UserID, auth.ProfilePatch{At: now, Active: &off, EndSessions: true, Audit: []auth.AuditEntry{entry}},
		auth.CodeTokenUserNotFound)
	return err
}
