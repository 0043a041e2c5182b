package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Invitation asks an operator's question: may this person have an account?
type Invitation struct {
	auth.Meta

	Email      string
	Data       map[string]json.RawMessage
	Audience   string
	RedirectTo string // checked
}

// Invite makes an account that its owner completes by the link in the message. An account
// that has not been proved yet may be invited again; one that has is CodeEmailExists.
func (a *Admin) Invite(ctx context.Context, in Invitation) (auth.User, error) {
	if !a.c.Mail {
		return auth.User{}, auth.E(auth.CodeNoMailer, "")
	}
	l, err := a.link(ctx, &Link{Meta: in.Meta, Type: "invite", Email: in.Email, Data: in.Data, Audience: in.Audience, RedirectTo: in.RedirectTo}, true)
	return l.User, err
}

// Link asks for a link that the operator delivers himself.
type Link struct {
	auth.Meta

	Type       string // signup, invite, magiclink, recovery, email_change_current, email_change_new
	Email      string
	NewEmail   string
	Password   string
	Data       map[string]json.RawMessage
	Audience   string
	RedirectTo string // checked
}

// MadeLink is such a link in its parts.
type MadeLink struct {
	User       auth.User
	Code       string
	TokenHash  string // what goes into the link
	Type       string // what has to be said when it is verified
	RedirectTo string
}

// GenerateLink makes a link and sends nothing.
func (a *Admin) GenerateLink(ctx context.Context, in Link) (MadeLink, error) {
	return a.link(ctx, &in, false)
}

func (a *Admin) link(ctx context.Context, in *Link, send bool) (MadeLink, error) {
	email, err := auth.NormalizeEmail(in.Email)
	if err != nil {
		return MadeLink{}, err
	}
	if err := checkMetadata("data", in.Data); err != nil {
		return MadeLink{}, err
	}
	if in.Audience == "" {
		in.Audience = a.c.Audience
	}
	u, err := a.c.Store.UserByEmail(ctx, email, in.Audience)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return a.linkForStranger(ctx, in, email, send)
	case err != nil:
		return MadeLink{}, fmt.Errorf("flow: find account: %w", err)
	}
	p, err := a.linkPurpose(in, &u)
	if err != nil {
		return MadeLink{}, err
	}
	issue := auth.IssueOneTime{UserID: u.ID, At: a.c.now(), Invited: p == auth.PurposeInvite}
	if p == auth.PurposeEmailCurrent || p == auth.PurposeEmailNew {
		if u.EmailChange, err = auth.NormalizeEmail(in.NewEmail); err != nil {
			return MadeLink{}, err
		}
		issue.EmailChange = &u.EmailChange
	}
	t, s, err := a.c.newOneTime(u.ID, p, addressOf(&u, p), nil, a.c.LinkLife)
	if err != nil {
		return MadeLink{}, err
	}
	issue.Tokens = []auth.OneTime{t}
	if err := a.addMessage(&issue.Messages, &u, p, in.RedirectTo, s, send); err != nil {
		return MadeLink{}, err
	}
	entry, err := a.audit(linkAction(p), "user", &u, in.Meta)
	if err != nil {
		return MadeLink{}, err
	}
	issue.Audit = []auth.AuditEntry{entry}
	switch err := a.c.Store.IssueOneTime(ctx, issue); {
	case errors.Is(err, auth.ErrEmailTaken):
		return MadeLink{}, auth.E(auth.CodeEmailExists, "")
	case errors.Is(err, auth.ErrNotFound):
		return MadeLink{}, auth.E(auth.CodeUserNotFound, "")
	case err != nil:
		return MadeLink{}, fmt.Errorf("flow: issue token: %w", err)
	}
	sentAt(&u, p, issue)
	return MadeLink{User: u, Code: s.code, TokenHash: s.link, Type: p.LinkType(), RedirectTo: in.RedirectTo}, nil
}

// sentAt shows on the answer what the statement has written.
func sentAt(u *auth.User, p auth.Purpose, issue auth.IssueOneTime) {
	switch p.Slot() {
	case "confirmation_token":
		u.ConfirmationSentAt = issue.At
	case "recovery_token":
		u.RecoverySentAt = issue.At
	default:
		u.EmailChangeSentAt = issue.At
	}
	if issue.Invited {
		u.InvitedAt = issue.At
	}
}

// linkForStranger makes the account that a sign-up, an invitation or a magic link needs.
func (a *Admin) linkForStranger(ctx context.Context, in *Link, email string, send bool) (MadeLink, error) {
	p := auth.PurposeSignup
	switch in.Type {
	case "signup":
		if in.Password == "" {
			return MadeLink{}, auth.E(auth.CodeValidation, "Signup requires a valid password")
		}
	case "magiclink":
	case "invite":
		p = auth.PurposeInvite
	case "recovery", "email_change_current", "email_change_new":
		return MadeLink{}, auth.E(auth.CodeUserNotFound, "User with this email not found")
	default:
		return MadeLink{}, badLinkType(in.Type)
	}
	hash, err := a.hash(ctx, in.Password, "")
	if err != nil {
		return MadeLink{}, err
	}
	u, err := a.c.newUser(in.Audience)
	if err != nil {
		return MadeLink{}, err
	}
	u.Email, u.PasswordHash = email, hash
	if err := a.c.addIdentity(&u, auth.ProviderEmail, in.Data, false); err != nil {
		return MadeLink{}, err
	}
	if u.ConfirmationSentAt = u.CreatedAt; p == auth.PurposeInvite {
		u.InvitedAt = u.CreatedAt
	}
	t, s, err := a.c.newOneTime(u.ID, p, email, nil, a.c.LinkLife)
	if err != nil {
		return MadeLink{}, err
	}
	entry, err := a.audit(linkAction(p), "team", &u, in.Meta)
	if err != nil {
		return MadeLink{}, err
	}
	account := auth.NewAccount{User: u, Audit: []auth.AuditEntry{entry}, Tokens: []auth.OneTime{t}}
	if err := a.c.welcome(&account, in.IP); err != nil {
		return MadeLink{}, err
	}
	if err := a.addMessage(&account.Messages, &u, p, in.RedirectTo, s, send); err != nil {
		return MadeLink{}, err
	}
	switch err := a.c.createAccount(ctx, account, in.IP); {
	case errors.Is(err, auth.ErrEmailTaken):
		return MadeLink{}, auth.E(auth.CodeConflict, "")
	case err != nil:
		return MadeLink{}, err
	}
	return MadeLink{User: u, Code: s.code, TokenHash: s.link, Type: p.LinkType(), RedirectTo: in.RedirectTo}, nil
}

func (a *Admin) addMessage(to *[]auth.Message, u *auth.User, p auth.Purpose, redirectTo string, s secretPair, send bool) error {
	if !send {
		return nil
	}
	m, err := a.c.Post.Put(a.c.now(), noticeOf(u, p, "", redirectTo, s))
	if err != nil {
		return fmt.Errorf("flow: seal message: %w", err)
	}
	*to = append(*to, m)
	return nil
}

// linkPurpose is what a link of this type can be for an account that exists.
func (a *Admin) linkPurpose(in *Link, u *auth.User) (auth.Purpose, error) {
	switch in.Type {
	case "signup", "invite":
		if !u.EmailConfirmedAt.IsZero() || u.FoundBy != "" {
			return "", auth.E(auth.CodeEmailExists, "")
		}
		if in.Type == "invite" {
			return auth.PurposeInvite, nil
		}
		return auth.PurposeSignup, nil
	case "magiclink":
		return auth.PurposeMagicLink, nil
	case "recovery":
		return auth.PurposeRecovery, nil
	case "email_change_current":
		if !a.c.BothAddresses {
			return "", auth.E(auth.CodeValidation, "Enable secure email change to generate link for current email")
		}
		return auth.PurposeEmailCurrent, nil
	case "email_change_new":
		return auth.PurposeEmailNew, nil
	}
	return "", badLinkType(in.Type)
}

func badLinkType(string) error {
	return auth.E(auth.CodeValidation, "Invalid email action link type requested: use signup, invite, magiclink, recovery, email_change_current or email_change_new")
}

func linkAction(p auth.Purpose) string {
	switch p {
	case auth.PurposeInvite:
		return "user_invited"
	case auth.PurposeRecovery, auth.PurposeMagicLink:
		return "user_recovery_requested"
	}
	return "user_confirmation_requested"
}
