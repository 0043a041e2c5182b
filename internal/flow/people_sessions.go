package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Sessions lists the caller's living sessions, newest first.
func (p *People) Sessions(ctx context.Context, c auth.Caller) ([]auth.Session, error) {
	if _, err := p.c.caller(ctx, c); err != nil {
		return nil, err
	}
	list, err := p.c.PeopleStore.SessionsOf(ctx, c.UserID)
	if err != nil {
		return nil, fmt.Errorf("flow: list sessions: %w", err)
	}
	return list, nil
}

// maxSessionName is the longest name of a session, in characters.
const maxSessionName = 64

// NameSession gives one of the caller's sessions a name; "" takes it away.
func (p *People) NameSession(ctx context.Context, c auth.Caller, id auth.ID, name string) error {
	if _, err := p.c.caller(ctx, c); err != nil {
		return err
	}
	if !auth.CleanText(name) || len(name) > 8*maxSessionName || strings.ContainsFunc(name, unicode.IsControl) {
		return auth.E(auth.CodeValidation, "name holds characters that it can't")
	}
	name = strings.TrimSpace(stripMarkup(name))
	if utf8.RuneCountInString(name) > maxSessionName {
		return auth.E(auth.CodeValidation, fmt.Sprintf("name must have at most %d characters", maxSessionName))
	}
	err := p.c.PeopleStore.NameSession(ctx, c.UserID, id, name)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeSessionUnknown, "")
	}
	if err != nil {
		return fmt.Errorf("flow: name session: %w", err)
	}
	return nil
}

// EndSession ends one of the caller's sessions. Another one's id is a session that does not
// exist.
func (p *People) EndSession(ctx context.Context, c auth.Caller, id auth.ID) error {
	us, err := p.c.caller(ctx, c)
	if err != nil {
		return err
	}
	s := standing{user: us.User, meta: c.Meta}
	entry, err := p.c.auditBy(&s, "logout", "account", map[string]any{"user_id": c.UserID.String(), "session_id": id.String()})
	if err != nil {
		return err
	}
	err = p.c.PeopleStore.EndSession(ctx, c.UserID, id, entry)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeSessionUnknown, "")
	}
	if err != nil {
		return fmt.Errorf("flow: end session: %w", err)
	}
	return nil
}

// ChangePassword replaces the caller's password, which he has to know; an account without one
// gets its first by the rules of [Accounts.Update]. All other sessions end, and the owner is
// told.
func (p *People) ChangePassword(ctx context.Context, c auth.Caller, current, password string) error {
	us, err := p.c.caller(ctx, c)
	if err != nil {
		return err
	}
	accounts := p.accounts
	if us.User.PasswordHash != "" {
		// The password is the fresh proof that a nonce would be, also in a session that began
		// with a code.
		config := p.c
		config.CurrentPassword, config.ReauthPassword = true, false
		accounts, c.Methods = NewAccounts(config), nil
	}
	_, err = accounts.Update(ctx, c, Update{Password: &password, CurrentPassword: current})
	return err
}

// ResetPassword sets a new password by the token of a recovery message, in the step that
// uses the token up. Every session of the account ends, and none begins: the person signs in
// with the new password.
func (p *People) ResetPassword(ctx context.Context, token, password string, m auth.Meta) error {
	if token == "" || len(token) > 200 || password == "" {
		return auth.E(auth.CodeValidation, "token and password are required")
	}
	if err := p.c.take("verify/ip", m.IP, p.c.VerifyPerIP); err != nil {
		return err
	}
	// Before the token is looked at: one that a weak password has used up would be lost.
	if weak := p.c.Policy.CheckNew(ctx, password); weak != nil {
		return weak
	}
	hash, err := p.c.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	entry, err := p.c.audit("user_updated_password", "user", m.IP)
	if err != nil {
		return err
	}
	entry.Traits = map[string]any{"by": "recovery"}
	res, err := p.c.Store.RedeemOneTime(ctx, auth.Redeem{
		At: entry.At, Purposes: []auth.Purpose{auth.PurposeRecovery}, TokenHash: hashToken(token), MaxAttempts: maxTries,
		PasswordHash: hash, TellPassword: p.c.tellPassword, Tell: p.c.tellReplaced, Audit: entry,
	})
	if err != nil {
		return fmt.Errorf("flow: redeem token: %w", err)
	}
	switch res.Outcome {
	case auth.RedeemDone:
		return nil
	case auth.RedeemBanned:
		return auth.E(auth.CodeTokenUserBanned, "")
	}
	return auth.E(auth.CodeOTPExpired, msgBadLink)
}

// tellPassword tells the owner that the password is another one. The address has just been
// proved.
func (c *Config) tellPassword(u *auth.User) ([]auth.Message, error) {
	if !c.tells(NoticePasswordChanged) || u.Email == "" {
		return nil, nil
	}
	m, err := c.Post.Put(c.now(), Notice{Channel: channelEmail, Kind: NoticePasswordChanged, To: u.Email, User: u})
	if err != nil {
		return nil, fmt.Errorf("flow: seal notice: %w", err)
	}
	return []auth.Message{m}, nil
}
