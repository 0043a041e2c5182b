// Package sms delivers text messages by the providers that GoTrue knows (Twilio, Vonage,
// MessageBird, TextLocal) and by a signed webhook. Each is one request; none needs a library.
package sms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/notify"
)

// The names of the providers, as in GOTRUE_SMS_PROVIDER.
const (
	ProviderTwilio      = "twilio"
	ProviderVonage      = "vonage"
	ProviderMessageBird = "messagebird"
	ProviderTextLocal   = "textlocal"
	ProviderWebhook     = "webhook"
)

// Config is what [New] needs: a provider, and the settings of that one.
type Config struct {
	Provider    string
	Twilio      Twilio
	Vonage      Vonage
	MessageBird MessageBird
	TextLocal   TextLocal
	Webhook     Webhook

	Client  *http.Client  // nil: one that follows no redirect
	Timeout time.Duration // of one request; 0: 10 s
	Now     func() time.Time
}

// Twilio are the settings of Twilio's messages.
type Twilio struct {
	AccountSID string
	AuthToken  string
	// Sender is a number, a name, or the SID of a messaging service ("MG...").
	Sender string
	// WhatsAppSender is the number of WhatsApp messages; "": Sender.
	WhatsAppSender string
	// ContentSID is the approved template of WhatsApp messages with a code, which becomes its
	// variable 1; "": the text is sent as it is.
	ContentSID string
	BaseURL    string // "": https://api.twilio.com
}

// Vonage are the settings of Vonage's SMS API.
type Vonage struct {
	APIKey    string
	APISecret string
	From      string
	BaseURL   string // "": https://rest.nexmo.com
}

// MessageBird are the settings of MessageBird.
type MessageBird struct {
	AccessKey  string
	Originator string
	BaseURL    string // "": https://rest.messagebird.com
}

// TextLocal are the settings of TextLocal.
type TextLocal struct {
	APIKey  string
	Sender  string
	BaseURL string // "": https://api.textlocal.in
}

// Webhook are the settings of a webhook with Standard Webhooks signatures.
type Webhook struct {
	URL string // https, or http to a loopback address
	// Secrets are "v1,whsec_<base64>" or "whsec_<base64>", joined by "|"; each signs, so that
	// a secret can be changed without losing a message.
	Secrets string
}

// Sender sends text messages. It is safe for concurrent use.
type Sender struct {
	c        Config
	base     string
	secrets  [][]byte
	whatsApp bool
}

// New checks the settings; it does not connect.
func New(c Config) (*Sender, error) {
	s := &Sender{c: c}
	if s.c.Client == nil {
		// A redirect would carry credentials and codes to wherever it points.
		s.c.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if s.c.Timeout <= 0 {
		s.c.Timeout = 10 * time.Second
	}
	if s.c.Now == nil {
		s.c.Now = time.Now
	}
	var err error
	switch c.Provider {
	case ProviderTwilio:
		s.base, err = base(c.Twilio.BaseURL, "https://api.twilio.com", c.Twilio.AccountSID, c.Twilio.AuthToken, c.Twilio.Sender)
		s.whatsApp = true
	case ProviderVonage:
		s.base, err = base(c.Vonage.BaseURL, "https://rest.nexmo.com", c.Vonage.APIKey, c.Vonage.APISecret, c.Vonage.From)
	case ProviderMessageBird:
		s.base, err = base(c.MessageBird.BaseURL, "https://rest.messagebird.com", c.MessageBird.AccessKey, c.MessageBird.Originator)
	case ProviderTextLocal:
		s.base, err = base(c.TextLocal.BaseURL, "https://api.textlocal.in", c.TextLocal.APIKey, c.TextLocal.Sender)
	case ProviderWebhook:
		s.whatsApp = true
		if s.base, err = base(c.Webhook.URL, "", c.Webhook.URL, c.Webhook.Secrets); err == nil {
			s.secrets, err = parseSecrets(c.Webhook.Secrets)
		}
	default:
		return nil, fmt.Errorf("sms: there is no provider %q; there are %s", c.Provider, strings.Join(Providers(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("sms: %s: %w", c.Provider, err)
	}
	return s, nil
}

// Providers gives the names of the providers.
func Providers() []string {
	return []string{ProviderTwilio, ProviderVonage, ProviderMessageBird, ProviderTextLocal, ProviderWebhook}
}

// base checks the address and that nothing needed is missing.
func base(given, usual string, needed ...string) (string, error) {
	for _, s := range needed {
		if s == "" {
			return "", errors.New("a setting is missing: account, secret and sender are all needed")
		}
	}
	if given == "" {
		given = usual
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return "", errors.New("its address is no https address")
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return "", errors.New("its address is no https address: codes would be readable on the way")
	}
	return strings.TrimRight(given, "/"), nil
}

// Send implements [notify.Sender]. Providers of text messages have no way to recognise a
// message that comes again; its id goes where they keep a reference of ours.
func (s *Sender) Send(ctx context.Context, m notify.Rendered) error {
	if m.Channel == notify.ChannelWhatsApp && !s.whatsApp {
		return refused("%s is not set up for WhatsApp", s.c.Provider)
	}
	number, ok := digitsOf(m.To)
	if !ok {
		return refused("the recipient is not a phone number")
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	switch s.c.Provider {
	case ProviderTwilio:
		return s.twilio(ctx, number, m)
	case ProviderVonage:
		return s.vonage(ctx, number, m)
	case ProviderMessageBird:
		return s.messageBird(ctx, number, m)
	case ProviderTextLocal:
		return s.textLocal(ctx, number, m)
	default:
		return s.webhook(ctx, number, m)
	}
}

func refused(format string, args ...any) *notify.Error {
	return &notify.Error{Text: fmt.Sprintf(format, args...), Permanent: true}
}

// digitsOf takes E.164 with or without "+". A number becomes part of requests; nothing else
// may.
func digitsOf(to string) (string, bool) {
	to = strings.TrimPrefix(to, "+")
	if len(to) < 6 || len(to) > 15 || to[0] == '0' || strings.Trim(to, "0123456789") != "" {
		return "", false
	}
	return to, true
}

const maxAnswer = 64 << 10 // bytes of an answer that are read

type answer struct {
	status     int
	body       []byte
	retryAfter time.Duration
}

// post sends one request. The error is temporary: nobody has answered.
func (s *Sender) post(ctx context.Context, address, contentType string, body []byte, header http.Header) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, &notify.Error{Text: s.c.Provider + ": the request can't be made", Cause: err}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Cardea")
	res, err := s.c.Client.Do(req)
	if err != nil {
		text := s.c.Provider + ": no answer"
		if errors.Is(err, context.DeadlineExceeded) {
			text += " in time"
		}
		return answer{}, &notify.Error{Text: text, Cause: err}
	}
	defer func() { _ = res.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil && res.StatusCode >= http.StatusBadRequest {
		err = nil // the status is enough to know that it was refused
	}
	if err != nil {
		return answer{}, &notify.Error{Text: s.c.Provider + ": the answer broke off", Cause: err}
	}
	a := answer{status: res.StatusCode, body: read}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
		a.retryAfter = min(time.Duration(n)*time.Second, time.Hour)
	}
	return a, nil
}

func form(v url.Values) []byte { return []byte(v.Encode()) }

const formType = "application/x-www-form-urlencoded"

// failure is a refusal with what the provider says about it. Permanent are those that are
// about this recipient or this text; wrong credentials and an empty account wait for the
// operator.
func (s *Sender) failure(a answer, reason string, permanent bool) *notify.Error {
	text := fmt.Sprintf("%s: status %d", s.c.Provider, a.status)
	if reason != "" {
		text += ": " + reason
	}
	return &notify.Error{Text: text, Permanent: permanent, RetryAfter: a.retryAfter}
}

// unicode reports whether a text needs more than the alphabet that every provider sends by
// default. ASCII is the safe half of it.
func unicode(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r > '~' })
}
