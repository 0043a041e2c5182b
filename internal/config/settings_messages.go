package config

import (
	"errors"
	"net/mail"
	"strings"
	"time"
)

const (
	nameSMTPHost    = "CARDEA_SMTP_HOST"
	nameSMTPFrom    = "CARDEA_SMTP_FROM"
	nameSMSProvider = "CARDEA_SMS_PROVIDER"
	nameSMTPTLS     = "CARDEA_SMTP_TLS"
	nameAppName     = "CARDEA_APP_NAME"
	nameLinkURL     = "CARDEA_MAIL_LINK_URL"
	nameSenderName  = "CARDEA_SMTP_SENDER_NAME"
	nameCaptcha     = "CARDEA_CAPTCHA_ENABLED"
	nameCaptchaKey  = "CARDEA_CAPTCHA_SECRET"
)

func secretText(at func(*Config) *Secret) field {
	return secretField("text", at, func(s string) (Secret, error) { return Secret(s), cleanText(s) }, func(s Secret) string { return string(s) })
}

func mailSettings() []Setting {
	const group = "Mail"
	return []Setting{
		{Name: nameSMTPHost, Aliases: []string{"GOTRUE_SMTP_HOST", "SMTP_HOST"}, Group: group,
			Help:  "Mail server. Without one no mail is sent, and what needs a mail answers that it is not available; `cardea dev` shows mail in its inbox instead.",
			field: textField(func(c *Config) *string { return &c.Mail.Host })},
		{Name: "CARDEA_SMTP_PORT", Aliases: []string{"GOTRUE_SMTP_PORT", "SMTP_PORT"}, Group: group, Default: "587", Help: "Its port.",
			field: intField(func(c *Config) *int { return &c.Mail.Port }, 1, 65535)},
		{Name: nameSMTPTLS, Group: group, Default: "starttls", Computed: "tls with port 465",
			Help:  "`starttls` (the connection must become encrypted), `tls` (it is from the start), `none` (readable: for a server on this machine; a password is then sent to no other).",
			field: choiceField(func(c *Config) *string { return &c.Mail.TLS }, "starttls", "tls", "none")},
		{Name: "CARDEA_SMTP_USER", Aliases: []string{"GOTRUE_SMTP_USER", "SMTP_USER"}, Group: group, Help: "User name at the mail server.",
			field: textField(func(c *Config) *string { return &c.Mail.User })},
		{Name: "CARDEA_SMTP_PASSWORD", Aliases: []string{"GOTRUE_SMTP_PASS", "SMTP_PASS"}, Group: group, Secret: true, Help: "Password at the mail server.",
			field: secretText(func(c *Config) *Secret { return &c.Mail.Password })},
		{Name: nameSMTPFrom, Aliases: []string{"GOTRUE_SMTP_ADMIN_EMAIL", "SMTP_ADMIN_EMAIL"}, Group: group, DevDefault: "no-reply@localhost.localdomain",
			Help:  "Address that mail comes from.",
			field: makeField("e-mail address", func(c *Config) *string { return &c.Mail.From }, parseMailAddress, same)},
		{Name: nameSenderName, Aliases: []string{"GOTRUE_SMTP_SENDER_NAME", "SMTP_SENDER_NAME"}, Group: group, Computed: "the application's name",
			Help:  "Name that mail comes from.",
			field: textField(func(c *Config) *string { return &c.Mail.SenderName })},
		{Name: nameAppName, Group: group, Computed: "the host of the site URL", Help: "What messages call your application.",
			field: textField(func(c *Config) *string { return &c.Mail.AppName })},
		{Name: "CARDEA_MAIL_TEMPLATES", Group: group, Help: "Folder with your own message templates; those that are not there stay ours. docs/messages.md has the names and variables.",
			field: textField(func(c *Config) *string { return &c.Mail.Templates })},
		{Name: "CARDEA_MAIL_LOCALE", Group: group, Default: "en", Help: "Language of messages to people who have not chosen one.",
			field: choiceField(func(c *Config) *string { return &c.Mail.Locale }, "en", "pt-BR", "es", "de", "he", "hi")},
		{Name: "CARDEA_MAIL_NOTICES", Group: group, Default: strings.Join(notices(), ","),
			Help: "Which changes the owner of an account is told of by mail, comma-separated; `none` for no change.",
			field: listField("list", func(c *Config) *[]string { return &c.Mail.Notices }, func(kind string) error {
				if kind != "none" && !isNotice(kind) {
					return errors.New("is none of " + strings.Join(notices(), ", "))
				}
				return nil
			})},
		{Name: "CARDEA_MAIL_LINK_PAGE", Group: group, Default: "false",
			Help:  "Links in mails show a page with a button first, so that programs that open links use nothing up. Off, a link signs in at once, as with GoTrue.",
			field: boolField(func(c *Config) *bool { return &c.Mail.LinkPage })},
		{Name: nameLinkURL, Group: group, Computed: "the public URL and `/auth/v1/verify`; without the surface `supabase` the site URL and `/auth/verify`",
			Help:  "Where links in mails lead, with `token`, `type` and `redirect_to` in the query. A page of your own gives the token to `POST /api/auth/verify`, or to `/api/auth/reset-password` where type is recovery.",
			field: urlField(func(c *Config) *string { return &c.Mail.LinkURL }, parseSiteURL)},
		{Name: "CARDEA_MAIL_INTERVAL", Aliases: []string{"GOTRUE_SMTP_MAX_FREQUENCY"}, Group: group, Default: "1m", DevDefault: "0s",
			Help:  "Least time between two mails to one address.",
			field: durationField(func(c *Config) *time.Duration { return &c.Mail.Interval }, 0, 24*time.Hour)},
		{Name: "CARDEA_MAIL_CODE_LIFE", Aliases: []string{"GOTRUE_MAILER_OTP_EXP", "MAILER_OTP_EXP"}, Group: group, Default: "1h",
			Help:  "How long codes and links in mails work.",
			field: durationField(func(c *Config) *time.Duration { return &c.Mail.CodeLife }, time.Minute, 24*time.Hour)},
	}
}

func parseMailAddress(s string) (string, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s {
		return "", errors.New("must be an e-mail address alone, such as no-reply@example.com")
	}
	return s, nil
}

func smsSettings() []Setting {
	const group = "Text messages"
	text := func(name, alias, help string, at func(*Config) *string) Setting {
		return Setting{Name: name, Aliases: []string{alias}, Group: group, Help: help, field: textField(at)}
	}
	secret := func(name, alias, help string, at func(*Config) *Secret) Setting {
		return Setting{Name: name, Aliases: []string{alias}, Group: group, Secret: true, Help: help, field: secretText(at)}
	}
	return []Setting{
		{Name: nameSMSProvider, Aliases: []string{"GOTRUE_SMS_PROVIDER"}, Group: group, Default: "none",
			Help:  "Who sends text messages: `twilio`, `vonage`, `messagebird`, `textlocal`, `webhook`, or `none`. `cardea dev` shows them in its inbox instead.",
			field: makeField("provider", func(c *Config) *string { return &c.SMS.Provider }, parseSMSProvider, showNone)},
		{Name: "CARDEA_SMS_TEMPLATE", Aliases: []string{"GOTRUE_SMS_TEMPLATE"}, Group: group, Computed: "ours, in the person's language",
			Help: "Text of a message with a code, with `{{ .Code }}`.", field: textField(func(c *Config) *string { return &c.SMS.Template })},
		{Name: "CARDEA_SMS_INTERVAL", Aliases: []string{"GOTRUE_SMS_MAX_FREQUENCY"}, Group: group, Default: "1m", DevDefault: "0s",
			Help:  "Least time between two text messages to one number.",
			field: durationField(func(c *Config) *time.Duration { return &c.SMS.Interval }, 0, 24*time.Hour)},
		{Name: "CARDEA_SMS_CODE_LIFE", Aliases: []string{"GOTRUE_SMS_OTP_EXP"}, Group: group, Default: "5m", Help: "How long a code works.",
			field: durationField(func(c *Config) *time.Duration { return &c.SMS.CodeLife }, 30*time.Second, time.Hour)},
		text("CARDEA_SMS_TWILIO_ACCOUNT_SID", "GOTRUE_SMS_TWILIO_ACCOUNT_SID", "Twilio: account.", func(c *Config) *string { return &c.SMS.TwilioAccountSID }),
		secret("CARDEA_SMS_TWILIO_AUTH_TOKEN", "GOTRUE_SMS_TWILIO_AUTH_TOKEN", "Twilio: token.", func(c *Config) *Secret { return &c.SMS.TwilioAuthToken }),
		text("CARDEA_SMS_TWILIO_MESSAGE_SERVICE_SID", "GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID", "Twilio: messaging service, or the number that messages come from.", func(c *Config) *string { return &c.SMS.TwilioMessageServiceSID }),
		text("CARDEA_SMS_VONAGE_API_KEY", "GOTRUE_SMS_VONAGE_API_KEY", "Vonage: key.", func(c *Config) *string { return &c.SMS.VonageAPIKey }),
		secret("CARDEA_SMS_VONAGE_API_SECRET", "GOTRUE_SMS_VONAGE_API_SECRET", "Vonage: secret.", func(c *Config) *Secret { return &c.SMS.VonageAPISecret }),
		text("CARDEA_SMS_VONAGE_FROM", "GOTRUE_SMS_VONAGE_FROM", "Vonage: sender.", func(c *Config) *string { return &c.SMS.VonageFrom }),
		secret("CARDEA_SMS_MESSAGEBIRD_ACCESS_KEY", "GOTRUE_SMS_MESSAGEBIRD_ACCESS_KEY", "MessageBird: key.", func(c *Config) *Secret { return &c.SMS.MessageBirdAccessKey }),
		text("CARDEA_SMS_MESSAGEBIRD_ORIGINATOR", "GOTRUE_SMS_MESSAGEBIRD_ORIGINATOR", "MessageBird: sender.", func(c *Config) *string { return &c.SMS.MessageBirdOriginator }),
		secret("CARDEA_SMS_TEXTLOCAL_API_KEY", "GOTRUE_SMS_TEXTLOCAL_API_KEY", "TextLocal: key.", func(c *Config) *Secret { return &c.SMS.TextLocalAPIKey }),
		text("CARDEA_SMS_TEXTLOCAL_SENDER", "GOTRUE_SMS_TEXTLOCAL_SENDER", "TextLocal: sender.", func(c *Config) *string { return &c.SMS.TextLocalSender }),
		{Name: "CARDEA_SMS_WEBHOOK_URL", Group: group, Help: "Webhook: address of your own sender, https outside loopback.",
			field: textField(func(c *Config) *string { return &c.SMS.WebhookURL })},
		{Name: "CARDEA_SMS_WEBHOOK_SECRET", Group: group, Secret: true, Help: "Webhook: secret of the signature (Standard Webhooks), `v1,whsec_…`.",
			field: secretText(func(c *Config) *Secret { return &c.SMS.WebhookSecret })},
	}
}

func parseSMSProvider(s string) (string, error) {
	switch p := strings.ToLower(s); p {
	case "none", "":
		return "", nil
	case "twilio", "vonage", "messagebird", "textlocal", "webhook":
		return p, nil
	}
	return "", errors.New("must be twilio, vonage, messagebird, textlocal, webhook or none")
}

func showNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func proofSettings() []Setting {
	const group = "Proof and recovery"
	return []Setting{
		{Name: "CARDEA_MAGIC_LINK_ENABLED", Aliases: []string{"GOTRUE_EXTERNAL_EMAIL_MAGIC_LINK_ENABLED"}, Group: group, Default: "true",
			Help: "Sign-in by a code or link in a mail.", field: boolField(func(c *Config) *bool { return &c.Proof.MagicLinks })},
		{Name: "CARDEA_SECURE_EMAIL_CHANGE", Aliases: []string{"GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED"}, Group: group, Default: "true",
			Help:  "A change of the e-mail address needs the proof of the old address and the new one.",
			field: boolField(func(c *Config) *bool { return &c.Proof.BothAddresses })},
		{Name: "CARDEA_CODE_LENGTH", Aliases: []string{"GOTRUE_MAILER_OTP_LENGTH", "GOTRUE_SMS_OTP_LENGTH"}, Group: group, Default: "6",
			Help: "Digits of a code, from 6 to 10. The sixth wrong try kills one.", field: intField(func(c *Config) *int { return &c.Proof.CodeLength }, 6, 10)},
		{Name: "CARDEA_PKCE_PLAIN", Group: group, Default: "false",
			Help:  "Accept GoTrue's PKCE method `plain`, which protects nothing.",
			field: boolField(func(c *Config) *bool { return &c.Proof.PlainPKCE })},
		{Name: "CARDEA_PASSWORD_REQUIRE_REAUTHENTICATION", Aliases: []string{"GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION"}, Group: group, Default: "false",
			Help:  "A password change in a session older than a day needs a nonce from a message.",
			field: boolField(func(c *Config) *bool { return &c.Proof.ReauthPassword })},
		{Name: "CARDEA_PASSWORD_REQUIRE_CURRENT", Aliases: []string{"GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_CURRENT_PASSWORD"}, Group: group, Default: "false",
			Help:  "A password change needs the current password.",
			field: boolField(func(c *Config) *bool { return &c.Proof.CurrentPassword })},
		{Name: "CARDEA_DISCLOSURE", Group: group, Default: "neutral",
			Help:  "`neutral`: no answer tells a stranger whether an address has an account, and requests for messages and wrong codes take 20 ms at least. `explicit`: answers say so, as GoTrue's do; a sign-up with a proved address gives a user without identities.",
			field: choiceField(func(c *Config) *string { return &c.Proof.Disclosure }, "neutral", "explicit")},
		{Name: "CARDEA_IDENTIFIER_DISCOVERY", Group: group, Default: "off",
			Help:  "What `POST /api/v1/auth/identifier-status` tells strangers: `full`, `next_step_only` (the same for every identifier) or `off`.",
			field: choiceField(func(c *Config) *string { return &c.Proof.Discovery }, "full", "next_step_only", "off")},
	}
}

func captchaSettings() []Setting {
	const group = "Captcha"
	return []Setting{
		{Name: nameCaptcha, Aliases: []string{"GOTRUE_SECURITY_CAPTCHA_ENABLED"}, Group: group, Default: "false",
			Help:  "Ask for a captcha at sign-up, sign-in with a password and requests for messages.",
			field: boolField(func(c *Config) *bool { return &c.Captcha.Enabled })},
		{Name: "CARDEA_CAPTCHA_PROVIDER", Aliases: []string{"GOTRUE_SECURITY_CAPTCHA_PROVIDER"}, Group: group, Default: "hcaptcha", Help: "Who tells people from programs.",
			field: choiceField(func(c *Config) *string { return &c.Captcha.Provider }, "hcaptcha", "turnstile")},
		{Name: nameCaptchaKey, Aliases: []string{"GOTRUE_SECURITY_CAPTCHA_SECRET"}, Group: group, Secret: true, Help: "Its secret key.",
			field: secretText(func(c *Config) *Secret { return &c.Captcha.Secret })},
		{Name: "CARDEA_CAPTCHA_TIMEOUT", Aliases: []string{"GOTRUE_SECURITY_CAPTCHA_TIMEOUT"}, Group: group, Default: "10s", Help: "How long its answer may take; then the request is refused.",
			field: durationField(func(c *Config) *time.Duration { return &c.Captcha.Timeout }, time.Second, time.Minute)},
	}
}

func hookSettings() []Setting {
	const group = "Hooks"
	var list []Setting
	for _, h := range []struct {
		name, help string
		at         func(*Config) *Hook
	}{
		{"BEFORE_USER_CREATED", "asked before an account is made; may refuse", func(c *Config) *Hook { return &c.Hooks.BeforeUserCreated }},
		{"AFTER_USER_CREATED", "told of every new account", func(c *Config) *Hook { return &c.Hooks.AfterUserCreated }},
		{"SEND_EMAIL", "sends mail in place of a mail server", func(c *Config) *Hook { return &c.Hooks.SendEmail }},
		{"SEND_SMS", "sends text messages in place of a provider", func(c *Config) *Hook { return &c.Hooks.SendSMS }},
		{"CUSTOM_ACCESS_TOKEN", "changes the claims of access tokens", func(c *Config) *Hook { return &c.Hooks.CustomAccessToken }},
		{"PASSWORD_VERIFICATION_ATTEMPT", "told of every password; may refuse", func(c *Config) *Hook { return &c.Hooks.PasswordVerification }},
		{"MFA_VERIFICATION_ATTEMPT", "told of every second factor; may refuse", func(c *Config) *Hook { return &c.Hooks.MFAVerificationAttempt }},
	} {
		base, alias := "CARDEA_HOOK_"+h.name, "GOTRUE_HOOK_"+h.name
		list = append(list,
			Setting{Name: base + "_ENABLED", Aliases: []string{alias + "_ENABLED"}, Group: group, Default: "false", Help: "Hook: " + h.help + ". docs/hooks.md has all of them.",
				field: boolField(func(c *Config) *bool { return &h.at(c).Enabled })},
			Setting{Name: base + "_URI", Aliases: []string{alias + "_URI"}, Group: group,
				Help: "Its address: https://, http:// on loopback, or pg-functions://database/schema/function.", field: textField(func(c *Config) *string { return &h.at(c).URI })},
			Setting{Name: base + "_SECRETS", Aliases: []string{alias + "_SECRETS"}, Group: group, Secret: true,
				Help: "Secrets of its signature, `v1,whsec_…`, joined by `|`.", field: secretText(func(c *Config) *Secret { return &h.at(c).Secrets })})
	}
	return list
}

func messageLimits() []Setting {
	const group = "Rate limits"
	const high = 1_000_000_000
	return []Setting{
		{Name: "CARDEA_RATE_LIMIT_VERIFY_PER_IP", Aliases: []string{"GOTRUE_RATE_LIMIT_VERIFY"}, Group: group, Default: "30", DevDefault: "3000",
			Help:  "Codes and links of one address in 5 minutes. Each code has its own limit besides.",
			field: intField(func(c *Config) *int { return &c.RateLimit.VerifyPerIP }, 1, high)},
		{Name: "CARDEA_RATE_LIMIT_MESSAGES_PER_IP", Group: group, Default: "30", DevDefault: "3000",
			Help:  "Requests for mails or text messages of one address in 5 minutes.",
			field: intField(func(c *Config) *int { return &c.RateLimit.MessagesPerIP }, 1, high)},
		{Name: "CARDEA_RATE_LIMIT_MAILS", Aliases: []string{"GOTRUE_RATE_LIMIT_EMAIL_SENT"}, Group: group, Default: "1000", DevDefault: "100000",
			Help:  "Mails of the whole server in 1 hour.",
			field: intField(func(c *Config) *int { return &c.RateLimit.Mails }, 1, high)},
		{Name: "CARDEA_RATE_LIMIT_TEXTS", Aliases: []string{"GOTRUE_RATE_LIMIT_SMS_SENT"}, Group: group, Default: "300", DevDefault: "100000",
			Help:  "Text messages of the whole server in 1 hour. Each costs money, which is why people have them sent to numbers of their own.",
			field: intField(func(c *Config) *int { return &c.RateLimit.Texts }, 1, high)},
	}
}
