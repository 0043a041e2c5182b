package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Recovery asks for a link to set a new password with.
type Recovery struct {
	auth.Meta

	Email      string
	Audience   string
	PKCE       PKCE
	RedirectTo string
}

// Recover sends the link. For an address without an account it does the same work and
// sends nothing.
func (a *Accounts) Recover(ctx context.Context, in Recovery) error {
	if !a.c.EmailEnabled {
		return auth.E(auth.CodeRecoverDisabled, "")
	}
	if !a.c.Mail {
		return auth.E(auth.CodeNoMailer, "")
	}
	if in.Email == "" {
		return auth.E(auth.CodeValidation, "Password recovery requires an email")
	}
	email, err := auth.NormalizeEmail(in.Email)
	if err != nil {
		return err
	}
	state, err := a.c.newFlowState(in.PKCE)
	if err != nil {
		return err
	}
	if err := a.c.human(ctx, in.Meta); err != nil {
		return err
	}
	if err := a.c.mayMail(email, in.IP); err != nil {
		return err
	}
	if in.Audience == "" {
		in.Audience = a.c.Audience
	}
	answer := a.c.evenly(ctx)
	defer answer()
	u, err := a.find(ctx, email, "", in.Audience)
	if errors.Is(err, auth.ErrNotFound) {
		_, err = a.c.decoy(ctx)
		return err
	}
	if err != nil {
		return err
	}
	_, err = a.send(ctx, &u, auth.PurposeRecovery, "", in.RedirectTo, state, "user_recovery_requested", in.IP)
	return err
}

// Resend asks for the last message again.
type Resend struct {
	auth.Meta

	Type       string // "signup", "email_change", "sms", "phone_change"
	Email      string
	Phone      string
	Audience   string
	PKCE       PKCE
	RedirectTo string
}

// Resend sends it, with a new code and link. Whether there was something to send is not told.
// The id is as in SendOTP.
func (a *Accounts) Resend(ctx context.Context, in Resend) (auth.ID, error) {
	state, err := a.c.newFlowState(in.PKCE)
	if err != nil {
		return auth.ID{}, err
	}
	if err := a.checkResend(ctx, &in); err != nil {
		return auth.ID{}, err
	}
	answer := a.c.evenly(ctx)
	defer answer()
	u, err := a.find(ctx, in.Email, in.Phone, in.Audience)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return auth.ID{}, err
	}
	var p auth.Purpose
	if err == nil {
		p = resendPurpose(in.Type, &u)
	}
	switch {
	case p == "":
		return a.c.decoy(ctx)
	case p == auth.PurposeEmailNew:
		holder, err := a.holder(ctx, u.EmailChange, "", in.Audience)
		if err != nil {
			return auth.ID{}, err
		}
		return auth.ID{}, a.sendEmailChange(ctx, &u, u.EmailChange, in.RedirectTo, state, auth.Caller{Meta: in.Meta}, holder)
	case p == auth.PurposePhoneChange:
		if holder, err := a.holder(ctx, "", u.PhoneChange, in.Audience); err != nil || holder != nil {
			return a.decoyUnless(ctx, err)
		}
	}
	return a.send(ctx, &u, p, "", in.RedirectTo, state, "user_confirmation_requested", in.IP)
}

// holder is the account that has an address; nil when nobody has it.
func (a *Accounts) holder(ctx context.Context, email, phone, aud string) (*auth.User, error) {
	u, err := a.find(ctx, email, phone, aud)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	return &u, err
}

// decoyUnless acts as if a message had been sent.
func (a *Accounts) decoyUnless(ctx context.Context, err error) (auth.ID, error) {
	if err != nil {
		return auth.ID{}, err
	}
	return a.c.decoy(ctx)
}

// resendPurpose is what there is to send again; "" for nothing.
func resendPurpose(kind string, u *auth.User) auth.Purpose {
	switch {
	case u.FoundBy != "": // proved, and not waiting for anything
	case kind == "signup" && u.EmailConfirmedAt.IsZero():
		return auth.PurposeSignup
	case kind == "email_change" && u.EmailChange != "":
		return auth.PurposeEmailNew
	case kind == "sms" && u.PhoneConfirmedAt.IsZero():
		return auth.PurposeSMS
	case kind == "phone_change" && u.PhoneChange != "":
		return auth.PurposePhoneChange
	}
	return ""
}

func (a *Accounts) checkResend(ctx context.Context, in *Resend) (err error) {
	if !a.c.sends(in.Email) {
		return auth.E(auth.CodeNoMailer, "")
	}
	if in.Audience == "" {
		in.Audience = a.c.Audience
	}
	switch in.Type {
	case "signup", "email_change":
		if in.Email == "" || in.Phone != "" {
			return auth.E(auth.CodeValidation, "Type provided requires an email address")
		}
		if !a.c.EmailEnabled {
			return auth.E(auth.CodeRecoverDisabled, "Email logins are disabled")
		}
		if in.Email, err = auth.NormalizeEmail(in.Email); err != nil {
			return err
		}
		if err := a.c.human(ctx, in.Meta); err != nil {
			return err
		}
		return a.c.mayMail(in.Email, in.IP)
	case "sms", "phone_change":
		if in.Phone == "" || in.Email != "" {
			return auth.E(auth.CodeValidation, "Type provided requires a phone number")
		}
		if !a.c.PhoneEnabled {
			return auth.E(auth.CodePhoneUnsupported, "")
		}
		if in.PKCE != (PKCE{}) {
			return auth.E(auth.CodeValidation, "PKCE not supported for phone")
		}
		if in.Phone, err = auth.NormalizePhone(in.Phone); err != nil {
			return err
		}
		if err := a.c.human(ctx, in.Meta); err != nil {
			return err
		}
		return a.c.mayText(in.Phone, in.IP)
	case "":
		return auth.E(auth.CodeValidation, "Type is required")
	}
	return auth.E(auth.CodeValidation, "Missing one of these types: signup, email_change, sms, phone_change")
}

// Reauthenticate sends the caller a nonce for a dangerous change. It gives the phone
// number that it went to, "" for an e-mail, and the id of the message.
func (a *Accounts) Reauthenticate(ctx context.Context, c auth.Caller) (phone string, id auth.ID, err error) {
	if !c.FirstParty {
		return "", auth.ID{}, auth.E(auth.CodeNotFirstParty, "")
	}
	u, err := a.User(ctx, c)
	if err != nil {
		return "", auth.ID{}, err
	}
	switch {
	case !a.c.sends(u.Email):
		return "", auth.ID{}, auth.E(auth.CodeNoMailer, "")
	case u.Email != "" && u.EmailConfirmedAt.IsZero():
		return "", auth.ID{}, auth.E(auth.CodeReauthNoEmail, "")
	case u.Email == "" && u.Phone == "":
		return "", auth.ID{}, auth.E(auth.CodeValidation, "Reauthentication requires the user to have an email or a phone number")
	case u.Email == "" && u.PhoneConfirmedAt.IsZero():
		return "", auth.ID{}, auth.E(auth.CodeReauthNoPhone, "")
	case u.Email != "":
		err = a.c.mayMail(u.Email, c.IP)
	default:
		err = a.c.mayText(u.Phone, c.IP)
	}
	if err != nil {
		return "", auth.ID{}, err
	}
	if u.Email == "" {
		phone = u.Phone
	}
	id, err = a.send(ctx, &u, auth.PurposeReauthenticate, "", "", nil, "user_reauthenticate_requested", c.IP)
	return phone, id, err
}

// checkNonce consumes the nonce of a dangerous change.
func (a *Accounts) checkNonce(ctx context.Context, u *auth.User, nonce string) error {
	code, ok := cleanCode(nonce)
	if !ok {
		return auth.E(auth.CodeReauthInvalid, "")
	}
	hashes := a.c.Codes.CodeHashes(auth.PurposeReauthenticate, addressOf(u, auth.PurposeReauthenticate), code)
	ok, err := a.c.Store.CheckNonce(ctx, u.ID, hashes, a.c.now(), maxTries)
	if err != nil {
		return fmt.Errorf("flow: check nonce: %w", err)
	}
	if !ok {
		return auth.E(auth.CodeReauthInvalid, "")
	}
	return nil
}
