package config

import (
	"slices"
	"time"
)

// Mail says how mail is sent. Without a Host (and without a hook) none is.
type Mail struct {
	Host       string
	Port       int
	User       string
	Password   Secret
	TLS        string // starttls, tls or none
	From       string // address of the sender
	SenderName string
	Templates  string // folder with the operator's own templates, "" for none
	AppName    string // what the messages call the application
	Locale     string // language of people who have not chosen one
	LinkPage   bool   // links show a page with a button
	LinkURL    string // where links lead
	Interval   time.Duration
	CodeLife   time.Duration // of codes and links
	Notices    []string      // kinds of notices that owners get
}

// SMS says how text messages are sent. Without a Provider (and without a hook) none are.
type SMS struct {
	Provider string // "", twilio, vonage, messagebird, textlocal or webhook
	Template string // with {{ .Code }}, "" for ours
	Interval time.Duration
	CodeLife time.Duration

	TwilioAccountSID, TwilioMessageServiceSID string
	TwilioAuthToken                           Secret
	VonageAPIKey, VonageFrom                  string
	VonageAPISecret                           Secret
	MessageBirdOriginator                     string
	MessageBirdAccessKey                      Secret
	TextLocalSender                           string
	TextLocalAPIKey                           Secret
	WebhookURL                                string
	WebhookSecret                             Secret
}

// Proof says how addresses and people are proved.
type Proof struct {
	MagicLinks      bool
	BothAddresses   bool // an e-mail change needs the proof of both
	CodeLength      int  // digits
	PlainPKCE       bool
	ReauthPassword  bool   // an old session needs a nonce to change the password
	CurrentPassword bool   // and the current password
	Disclosure      string // neutral or explicit
	Discovery       string // of identifiers: full, next_step_only or off
}

// Captcha says who tells people from programs.
type Captcha struct {
	Enabled  bool
	Provider string // hcaptcha or turnstile
	Secret   Secret
	Timeout  time.Duration
}

// Hook is the application's own code at one point.
type Hook struct {
	Enabled bool
	URI     string // https://, http:// on loopback, or pg-functions://database/schema/function
	Secrets Secret // v1,whsec_… joined by |
}

// Hooks are all of them.
type Hooks struct {
	BeforeUserCreated, AfterUserCreated, SendEmail, SendSMS         Hook
	CustomAccessToken, PasswordVerification, MFAVerificationAttempt Hook
}

// CanMail reports whether mail can be sent: by a server or a hook.
func (c *Config) CanMail() bool { return c.Mail.Host != "" || c.Hooks.SendEmail.Enabled }

// CanText reports the same for text messages.
func (c *Config) CanText() bool { return c.SMS.Provider != "" || c.Hooks.SendSMS.Enabled }

// notices are the kinds that CARDEA_MAIL_NOTICES may name.
func notices() []string {
	return []string{"password_changed", "email_changed", "phone_changed", "new_device", "account_exists", "identity_linked", "identity_unlinked"}
}

func isNotice(kind string) bool { return slices.Contains(notices(), kind) }
