package config

import "slices"

// checkMessages judges the settings of mail, text messages, captcha and hooks together.
func (l *loader) checkMessages() {
	c := &l.cfg
	if c.Mail.Host != "" && c.Mail.From == "" && l.ok(nameSMTPFrom) {
		l.problem(nameSMTPFrom, "", "is needed with "+nameSMTPHost, "set it to the address that mail comes from, such as no-reply@example.com")
	}
	if c.Mail.Host != "" && c.Mail.TLS == "none" && !isLoopbackHost(c.Mail.Host) {
		l.warn(l.sourceName("CARDEA_SMTP_TLS"), "the way to the mail server isn't encrypted: sign-in links cross the network readable", "use starttls or tls")
	}
	l.checkSMS()
	if c.Captcha.Enabled && !c.Captcha.Secret.Set() && l.ok(nameCaptcha, nameCaptchaKey) {
		l.problem(nameCaptchaKey, "", "is needed with "+l.sourceName(nameCaptcha), "set it to the secret key that "+c.Captcha.Provider+" gave you")
	}
	if c.CanMail() || l.src.Dev || !c.EmailEnabled {
		return
	}
	what := "no mail can be sent, so nobody who forgets a password gets back in"
	if signUps := slices.Contains(c.Surfaces, SurfaceSupabase) && !c.DisableSignup; signUps && !c.EmailAutoconfirm || l.registers() && l.proofAtRegistration() {
		what = "no mail can be sent, so nobody can prove an address: sign-ups wait for an operator"
	}
	l.warn(nameSMTPHost, what, "set "+nameSMTPHost+" or the hook SEND_EMAIL")
}

// registers reports whether people can register at /api/auth or an old address.
func (l *loader) registers() bool {
	c := &l.cfg
	return !c.DisableSignup && (slices.Contains(c.Surfaces, SurfaceREST) || slices.Contains(c.Surfaces, SurfaceLegacy))
}

// proofAtRegistration reports whether they have to prove their e-mail address then.
func (l *loader) proofAtRegistration() bool {
	c := &l.cfg
	return c.People.Verification == "before_login" || c.People.Verification == "" && !c.EmailAutoconfirm
}

// checkSMS wants everything that the chosen provider needs.
func (l *loader) checkSMS() {
	s := &l.cfg.SMS
	need := func(given bool, name string) {
		if !given && l.ok(name) {
			l.problem(name, "", "is needed with "+l.sourceName(nameSMSProvider)+"="+s.Provider, "set it")
		}
	}
	switch s.Provider {
	case "twilio":
		need(s.TwilioAccountSID != "", "CARDEA_SMS_TWILIO_ACCOUNT_SID")
		need(s.TwilioAuthToken.Set(), "CARDEA_SMS_TWILIO_AUTH_TOKEN")
		need(s.TwilioMessageServiceSID != "", "CARDEA_SMS_TWILIO_MESSAGE_SERVICE_SID")
	case "vonage":
		need(s.VonageAPIKey != "", "CARDEA_SMS_VONAGE_API_KEY")
		need(s.VonageAPISecret.Set(), "CARDEA_SMS_VONAGE_API_SECRET")
		need(s.VonageFrom != "", "CARDEA_SMS_VONAGE_FROM")
	case "messagebird":
		need(s.MessageBirdAccessKey.Set(), "CARDEA_SMS_MESSAGEBIRD_ACCESS_KEY")
		need(s.MessageBirdOriginator != "", "CARDEA_SMS_MESSAGEBIRD_ORIGINATOR")
	case "textlocal":
		need(s.TextLocalAPIKey.Set(), "CARDEA_SMS_TEXTLOCAL_API_KEY")
		need(s.TextLocalSender != "", "CARDEA_SMS_TEXTLOCAL_SENDER")
	case "webhook":
		need(s.WebhookURL != "", "CARDEA_SMS_WEBHOOK_URL")
		need(s.WebhookSecret.Set(), "CARDEA_SMS_WEBHOOK_SECRET")
	}
}
