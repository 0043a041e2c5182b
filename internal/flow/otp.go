package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// OTP asks for a code or link to sign in with, by e-mail or text message.
type OTP struct {
	auth.Meta

	Email      string
	Phone      string
	Channel    string // "sms" (default) or "whatsapp"; with Phone only
	CreateUser bool   // make an account for an unknown address
	Data       map[string]json.RawMessage
	Audience   string
	PKCE       PKCE
	RedirectTo string // checked
}

// SendOTP sends a code or link. Unknown addresses get an account and the sign-up's message,
// if CreateUser and sign-ups are on; otherwise nothing is sent, and the answer is the same
// (unless ExplicitAnswers). The id is the message's, or one that nobody has.
func (a *Accounts) SendOTP(ctx context.Context, in OTP) (auth.ID, error) {
	if in.Audience == "" {
		in.Audience = a.c.Audience
	}
	state, err := a.c.newFlowState(in.PKCE)
	if err != nil {
		return auth.ID{}, err
	}
	if err := a.checkOTP(ctx, &in); err != nil {
		return auth.ID{}, err
	}
	answer := a.c.evenly(ctx)
	defer answer()
	u, err := a.find(ctx, in.Email, in.Phone, in.Audience)
	if errors.Is(err, auth.ErrNotFound) {
		return a.otpForStranger(ctx, in, state)
	}
	if err != nil {
		return auth.ID{}, err
	}
	purpose := auth.PurposeSMS
	if in.Email != "" {
		switch purpose = auth.PurposeMagicLink; {
		case !u.EmailConfirmedAt.IsZero() || u.FoundBy != "":
		case u.PasswordHash == "":
			purpose = auth.PurposeSignup
		default:
			// A password that somebody put on the account before its address was proved must not
			// survive the proof by somebody else: only the sign-up's own message keeps it.
			purpose = auth.PurposeClaim
		}
	}
	return a.send(ctx, &u, purpose, in.Channel, in.RedirectTo, state, "user_confirmation_requested", in.IP)
}

// checkOTP refuses what can be refused without looking at any account.
func (a *Accounts) checkOTP(ctx context.Context, in *OTP) (err error) {
	switch {
	case in.Email != "" && in.Phone != "":
		return auth.E(auth.CodeValidation, "Only an email address or phone number should be provided")
	case in.Email == "" && in.Phone == "":
		return auth.E(auth.CodeValidation, "One of email or phone must be set")
	case in.Email != "" && in.Channel != "" && in.Channel != channelEmail:
		return auth.E(auth.CodeValidation, "Invalid channel: must be either 'sms' or 'whatsapp' and go with a phone number")
	case in.Email != "" && !a.c.EmailEnabled:
		return auth.E(auth.CodeEmailLoginDisabled, "")
	case in.Email != "" && !a.c.MagicLinks:
		return auth.E(auth.CodeMagicLinkDisabled, "")
	case in.Phone != "" && !a.c.PhoneEnabled:
		return auth.E(auth.CodePhoneUnsupported, "")
	case in.Phone != "" && in.PKCE != (PKCE{}):
		return auth.E(auth.CodeValidation, "PKCE not supported for phone signups")
	case !a.c.sends(in.Email):
		return auth.E(auth.CodeNoMailer, "")
	}
	if err := checkMetadata("data", in.Data); err != nil {
		return err
	}
	if err := a.c.human(ctx, in.Meta); err != nil {
		return err
	}
	if in.Email != "" {
		if in.Email, err = auth.NormalizeEmail(in.Email); err != nil {
			return err
		}
		return a.c.mayMail(in.Email, in.IP)
	}
	if in.Channel, err = textChannel(in.Channel); err != nil {
		return err
	}
	if in.Phone, err = auth.NormalizePhone(in.Phone); err != nil {
		return err
	}
	return a.c.mayText(in.Phone, in.IP)
}

func textChannel(s string) (string, error) {
	switch s {
	case "", channelSMS:
		return channelSMS, nil
	case "whatsapp":
		return s, nil
	}
	return "", auth.E(auth.CodeValidation, "Invalid channel: must be either 'sms' or 'whatsapp'")
}

// find looks an account up by a normalised address.
func (a *Accounts) find(ctx context.Context, email, phone, aud string) (auth.User, error) {
	var u auth.User
	var err error
	if email != "" {
		u, err = a.c.Store.UserByEmail(ctx, email, aud)
	} else {
		u, err = a.c.Store.UserByPhone(ctx, phone, aud)
	}
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return u, fmt.Errorf("flow: find account: %w", err)
	}
	return u, err
}

// otpForStranger makes an account without a password and sends the sign-up's message, or
// pretends to.
func (a *Accounts) otpForStranger(ctx context.Context, in OTP, state *auth.FlowState) (auth.ID, error) {
	if !in.CreateUser || a.c.SignupDisabled {
		switch {
		case a.c.ExplicitAnswers && !in.CreateUser:
			return auth.ID{}, auth.E(auth.CodeOTPDisabled, "")
		case a.c.ExplicitAnswers:
			return auth.ID{}, auth.E(auth.CodeSignupDisabled, "")
		}
		return a.c.decoy(ctx)
	}
	u, err := a.c.newUser(in.Audience)
	if err != nil {
		return auth.ID{}, err
	}
	u.Email, u.Phone = in.Email, in.Phone
	provider, purpose, life := auth.ProviderEmail, auth.PurposeSignup, a.c.LinkLife
	switch {
	case in.Phone != "":
		provider, purpose, life = auth.ProviderPhone, auth.PurposeSMS, a.c.SMSLife
	case a.c.EmailAutoconfirm:
		purpose = auth.PurposeMagicLink // nobody waits for a confirmation where none is asked for
	}
	if err := a.c.addIdentity(&u, provider, in.Data, false); err != nil {
		return auth.ID{}, err
	}
	entry, err := a.c.auditUser("user_signedup", "team", in.IP, &u)
	if err != nil {
		return auth.ID{}, err
	}
	account := auth.NewAccount{User: u, Audit: []auth.AuditEntry{entry}, FlowState: state}
	if err := a.c.welcome(&account, in.IP); err != nil {
		return auth.ID{}, err
	}
	if err := a.addProof(&account, purpose, life, in.Channel, in.RedirectTo); err != nil {
		return auth.ID{}, err
	}
	id := account.Messages[0].ID
	err = a.c.createAccount(ctx, account, in.IP)
	if errors.Is(err, auth.ErrEmailTaken) || errors.Is(err, auth.ErrPhoneTaken) {
		return id, nil // somebody else made it a moment ago, and their message is on its way
	}
	return id, err
}

// addProof puts the token and the message that prove an address on a new account.
func (a *Accounts) addProof(account *auth.NewAccount, p auth.Purpose, life time.Duration, channel, redirectTo string) error {
	u := &account.User
	t, s, err := a.c.newOneTime(u.ID, p, addressOf(u, p), account.FlowState, life)
	if err != nil {
		return err
	}
	m, err := a.c.Post.Put(u.CreatedAt, noticeOf(u, p, channel, redirectTo, s))
	if err != nil {
		return fmt.Errorf("flow: seal message: %w", err)
	}
	account.Tokens, account.Messages = []auth.OneTime{t}, []auth.Message{m}
	u.ConfirmationSentAt = u.CreatedAt
	return nil
}

// addressOf is where the token of a purpose goes.
func addressOf(u *auth.User, p auth.Purpose) string {
	switch p {
	case auth.PurposeMagicLink, auth.PurposeRecovery, auth.PurposeSMS:
		if u.FoundBy != "" {
			return u.FoundBy
		}
	}
	switch p {
	case auth.PurposeSMS:
		return u.Phone
	case auth.PurposePhoneChange:
		return u.PhoneChange
	case auth.PurposeEmailNew:
		return u.EmailChange
	case auth.PurposeReauthenticate:
		if u.Email == "" {
			return u.Phone
		}
	}
	return u.Email
}

func noticeOf(u *auth.User, p auth.Purpose, channel, redirectTo string, s secretPair) Notice {
	n := Notice{
		Channel: channelEmail, Kind: kindOf(p), To: addressOf(u, p), User: u, Purpose: p, Code: s.code, Link: s.link,
		RedirectTo: redirectTo,
	}
	if n.To == u.Phone && n.To != "" || p == auth.PurposePhoneChange || p == auth.PurposeSMS {
		n.Channel, n.Link = channel, ""
		if n.Channel == "" {
			n.Channel = channelSMS
		}
	}
	if p == auth.PurposeEmailCurrent || p == auth.PurposeEmailNew {
		n.NewEmail, n.OldEmail = u.EmailChange, u.Email
	}
	return n
}

// send issues one token and its message for an existing account. That a message went out a
// moment ago is no error here: on this node the limit by address has said so already, to
// known and unknown addresses alike.
func (a *Accounts) send(ctx context.Context, u *auth.User, p auth.Purpose, channel, redirectTo string, state *auth.FlowState, action, ip string) (auth.ID, error) {
	life, every := a.c.LinkLife, a.c.MailEvery
	if p == auth.PurposeSMS || p == auth.PurposePhoneChange {
		life, every = a.c.SMSLife, a.c.SMSEvery
	}
	t, s, err := a.c.newOneTime(u.ID, p, addressOf(u, p), state, life)
	if err != nil {
		return auth.ID{}, err
	}
	now := a.c.now()
	m, err := a.c.Post.Put(now, noticeOf(u, p, channel, redirectTo, s))
	if err != nil {
		return auth.ID{}, fmt.Errorf("flow: seal message: %w", err)
	}
	entry, err := a.c.auditUser(action, "user", ip, u)
	if err != nil {
		return auth.ID{}, err
	}
	issue := auth.IssueOneTime{
		UserID: u.ID, At: now, Tokens: []auth.OneTime{t}, FlowState: state, Messages: []auth.Message{m}, Audit: []auth.AuditEntry{entry},
	}
	if every > 0 {
		issue.NotSince = now.Add(-every)
	}
	err = a.c.Store.IssueOneTime(ctx, issue)
	if err == nil || errors.Is(err, auth.ErrTooSoon) || errors.Is(err, auth.ErrNotFound) {
		return m.ID, nil
	}
	return auth.ID{}, fmt.Errorf("flow: issue token: %w", err)
}
