package flow

import (
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// CanMail reports whether a message to an e-mail address can be sent at all.
func (a *Admin) CanMail() bool { return a.c.Mail }

// PasswordLink makes what an account that is about to be made without a password needs: the
// token, and the sealed message with the link by which its owner sets one. Nothing is
// stored: both go into the step that makes the account. The address has to count as proved,
// as a link to a new password drops what was put on an account that nobody has proved.
func (a *Admin) PasswordLink(u *auth.User, redirectTo string) (auth.OneTime, auth.Message, error) {
	t, s, err := a.c.newOneTime(u.ID, auth.PurposeRecovery, u.Email, nil, a.c.LinkLife)
	if err != nil {
		return auth.OneTime{}, auth.Message{}, err
	}
	m, err := a.c.Post.Put(a.c.now(), noticeOf(u, auth.PurposeRecovery, "", redirectTo, s))
	if err != nil {
		return auth.OneTime{}, auth.Message{}, fmt.Errorf("flow: seal message: %w", err)
	}
	return t, m, nil
}
