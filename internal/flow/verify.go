package flow

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Verify presents a one-time token: a code together with the address that it went to, or
// the token of a link alone.
type Verify struct {
	auth.Meta

	Type      string // GoTrue's: signup, invite, magiclink, recovery, email, email_change, sms, phone_change
	Code      string
	TokenHash string
	Email     string
	Phone     string
	// Link says that a person followed a link in a browser: a link of a PKCE flow then gives
	// a code for the client that began it. A client that presents the token itself gets a
	// session.
	Link bool
}

// Verified is what came of it. At most one of SignedIn and AuthCode is set; with neither it
// was the first of the two proofs of an e-mail change.
type Verified struct {
	SignedIn *auth.SignedIn
	AuthCode string // for the exchange of a PKCE flow
	Half     bool
}

// msgBadLink is GoTrue's sentence for links; the one for codes is in its table.
const msgBadLink = "Email link is invalid or has expired"

// Verify consumes the token. Unknown, used, expired and wrong ones are one answer.
func (a *Accounts) Verify(ctx context.Context, in Verify) (Verified, error) {
	r, err := a.redeem(&in)
	if err != nil {
		return Verified{}, err
	}
	if err := a.c.take("verify/ip", in.IP, a.c.VerifyPerIP); err != nil {
		return Verified{}, err
	}
	authCode, err := a.prepare(&r, &in)
	if err != nil {
		return Verified{}, err
	}
	answer := a.c.evenly(ctx)
	res, err := a.c.Store.RedeemOneTime(ctx, r)
	switch {
	case errors.Is(err, auth.ErrEmailTaken):
		return Verified{}, auth.E(auth.CodeEmailExists, "")
	case errors.Is(err, auth.ErrPhoneTaken):
		return Verified{}, auth.E(auth.CodePhoneExists, "")
	case err != nil:
		return Verified{}, fmt.Errorf("flow: redeem token: %w", err)
	}
	switch res.Outcome {
	case auth.RedeemDone:
	case auth.RedeemHalf:
		return Verified{Half: true}, nil
	case auth.RedeemBanned:
		return Verified{}, auth.E(auth.CodeTokenUserBanned, "")
	default:
		if in.TokenHash != "" {
			return Verified{}, auth.E(auth.CodeOTPExpired, msgBadLink)
		}
		answer() // a wrong try is written down where there is a code, which is where there is an account
		return Verified{}, auth.E(auth.CodeOTPExpired, "")
	}
	if !res.FlowState.ID.IsZero() {
		return Verified{AuthCode: authCode}, nil
	}
	tokens, err := a.c.Issuer.Issue(ctx, &res.User, &res.Session)
	if err != nil {
		return Verified{}, fmt.Errorf("flow: issue tokens: %w", err)
	}
	return Verified{SignedIn: &auth.SignedIn{User: res.User, Session: res.Session, Tokens: tokens}}, nil
}

// prepare gives the redemption its session, its authorization code and its audit entry.
func (a *Accounts) prepare(r *auth.Redeem, in *Verify) (authCode string, err error) {
	id, err := auth.NewID(r.At, a.c.Rand)
	if err != nil {
		return "", err
	}
	s := auth.NewSession(id, auth.ID{}, auth.MethodOTP, r.At, in.Meta)
	r.Session = &s
	raw := make([]byte, 32)
	if _, err := io.ReadFull(a.c.Rand, raw); err != nil {
		return "", fmt.Errorf("flow: random bytes for a code: %w", err)
	}
	authCode = hex.EncodeToString(raw)
	r.Tell = a.c.tellReplaced
	if in.Link {
		r.AuthCodeHash = hashToken(authCode)
	}
	r.Audit, err = a.c.audit("login", "account", in.IP)
	r.Audit.Traits = map[string]any{"provider": "otp", "type": in.Type}
	return authCode, err
}

// redeem reads the request: which purposes the type stands for, by code or by link.
func (a *Accounts) redeem(in *Verify) (auth.Redeem, error) {
	r := auth.Redeem{At: a.c.now(), MaxAttempts: maxTries}
	if in.Type == "" {
		return r, auth.E(auth.CodeValidation, "Verify requires a verification type")
	}
	if r.Purposes = purposesOf(in.Type); r.Purposes == nil {
		return r, auth.E(auth.CodeValidation, "Invalid verification type")
	}
	if in.TokenHash != "" {
		if in.Code != "" || in.Email != "" || in.Phone != "" {
			return r, auth.E(auth.CodeValidation, "Only the token_hash and type should be provided")
		}
		r.TokenHash = hashToken(in.TokenHash)
		return r, nil
	}
	if in.Code == "" {
		return r, auth.E(auth.CodeValidation, "Verify requires a token or a token hash")
	}
	return r, a.redeemCode(&r, in)
}

func (a *Accounts) redeemCode(r *auth.Redeem, in *Verify) (err error) {
	phone := in.Type == "sms" || in.Type == "phone_change"
	switch {
	case in.Email != "" && in.Phone != "":
		return auth.E(auth.CodeValidation, "Only an email address or phone number should be provided on verify")
	case phone && in.Phone == "", !phone && in.Email == "":
		return auth.E(auth.CodeValidation, "Only an email address or phone number should be provided on verify")
	case phone:
		r.Address, err = auth.NormalizePhone(in.Phone)
	default:
		r.Address, err = auth.NormalizeEmail(in.Email)
	}
	if err != nil {
		return err
	}
	code, ok := cleanCode(in.Code)
	if !ok {
		return auth.E(auth.CodeOTPExpired, "")
	}
	for _, p := range r.Purposes {
		r.CodeHashes = append(r.CodeHashes, a.c.Codes.CodeHashes(p, r.Address, code)...)
	}
	return nil
}

// purposesOf are the purposes that a type of GoTrue's takes.
func purposesOf(kind string) []auth.Purpose {
	switch kind {
	case "signup":
		return []auth.Purpose{auth.PurposeSignup, auth.PurposeClaim}
	case "invite":
		return []auth.Purpose{auth.PurposeInvite}
	case "magiclink":
		return []auth.Purpose{auth.PurposeMagicLink, auth.PurposeClaim}
	case "recovery":
		return []auth.Purpose{auth.PurposeRecovery}
	case "email":
		return []auth.Purpose{auth.PurposeSignup, auth.PurposeClaim, auth.PurposeInvite, auth.PurposeMagicLink, auth.PurposeRecovery}
	case "email_change":
		return []auth.Purpose{auth.PurposeEmailCurrent, auth.PurposeEmailNew}
	case "sms":
		return []auth.Purpose{auth.PurposeSMS}
	case "phone_change":
		return []auth.Purpose{auth.PurposePhoneChange}
	}
	return nil
}
