package hook

import (
	"encoding/json"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

type metadata struct {
	UUID auth.ID   `json:"uuid"`
	Time time.Time `json:"time"`
	Name Name      `json:"name"`
	IP   string    `json:"ip_address,omitempty"`
}

type userPayload struct {
	Metadata metadata `json:"metadata"`
	User     any      `json:"user"`
}

// EmailData is what a send-email hook needs to write a mail.
type EmailData struct {
	Token           string `json:"token"`
	TokenHash       string `json:"token_hash"`
	RedirectTo      string `json:"redirect_to"`
	EmailActionType string `json:"email_action_type"` // signup, invite, magiclink, recovery, email_change, email, reauthentication, or a ..._notification
	SiteURL         string `json:"site_url"`          // in fact the public address of this API, as with GoTrue
	TokenNew        string `json:"token_new"`
	TokenHashNew    string `json:"token_hash_new"`
	OldEmail        string `json:"old_email"`
	OldPhone        string `json:"old_phone"`
	Provider        string `json:"provider"`
	FactorType      string `json:"factor_type"`
}

// SetEmailChange fills the tokens of a change of the e-mail address. With a token for the
// present address too, they are crossed, as every hook that was written for GoTrue expects:
// token and token_hash_new belong to the present address, token_new and token_hash to the
// new one. Both go into one call.
func (d *EmailData) SetEmailChange(currentCode, currentHash, newCode, newHash string) {
	d.EmailActionType, d.TokenHash = "email_change", newHash
	if currentHash == "" {
		d.Token, d.TokenNew, d.TokenHashNew = newCode, "", ""
		return
	}
	d.Token, d.TokenNew, d.TokenHashNew = currentCode, newCode, currentHash
}

type emailPayload struct {
	Metadata metadata  `json:"metadata"`
	User     any       `json:"user"`
	Email    EmailData `json:"email_data"`
}

// SMSData is what a send-sms hook needs to write a text message.
type SMSData struct {
	OTP   string `json:"otp,omitempty"`
	Type  string `json:"sms_type,omitempty"` // "mfa" for a factor
	Phone string `json:"phone,omitempty"`    // where it goes, E.164 without "+"
}

type smsPayload struct {
	Metadata metadata `json:"metadata"`
	User     any      `json:"user"`
	SMS      SMSData  `json:"sms"`
}

type tokenPayload struct {
	Metadata metadata        `json:"metadata"`
	UserID   auth.ID         `json:"user_id"`
	Claims   json.RawMessage `json:"claims"`
	Method   string          `json:"authentication_method"`
}

type passwordPayload struct {
	Metadata metadata `json:"metadata"`
	UserID   auth.ID  `json:"user_id"`
	Valid    bool     `json:"valid"`
}

// MFAAttempt is a try at a second factor.
type MFAAttempt struct {
	UserID     auth.ID `json:"user_id"`
	FactorID   auth.ID `json:"factor_id"`
	FactorType string  `json:"factor_type"` // "totp", "phone", "webauthn"
	Valid      bool    `json:"valid"`
}

type mfaPayload struct {
	Metadata metadata `json:"metadata"`
	MFAAttempt
}

// decision is the answer of the two verification hooks.
type decision struct {
	Decision string `json:"decision"`
	Message  string `json:"message"`
	SignOut  bool   `json:"should_logout_user"`
}

// refusal is how every hook says no.
type refusal struct {
	Error *struct {
		HTTPCode int    `json:"http_code"`
		Message  string `json:"message"`
	} `json:"error"`
}
