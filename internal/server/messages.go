package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/job"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/notify/sms"
	"github.com/cardea-auth/cardea/internal/notify/smtp"
	"github.com/cardea-auth/cardea/internal/seal"
)

// verifyPath is the path of links under the public URL.
const verifyPath = config.AuthPath + "/verify"

// messages is everything between a flow that has something to tell and a person who reads it.
type messages struct {
	box       *seal.Box
	post      *notify.Postbox
	deliverer *notify.Deliverer
	public    string        // address of the server
	mails     bool          // mail can be sent
	texts     bool          // text messages can be sent
	inbox     *notify.Inbox // of dev and of tests; nil in serve
	mail      *smtp.Sender  // nil: another way, or none
	hooks     *hook.Hooks   // nil: none
	rand      io.Reader
}

// openMessages checks everything that can be checked before a message is sent.
func (s *Server) openMessages(box *seal.Box, hooks *hook.Hooks) (err error) {
	m := &messages{box: box, hooks: hooks, public: s.cfg.PublicURL, inbox: s.opt.Inbox, rand: s.opt.Rand}
	m.post, err = notify.NewPostbox(notify.PostboxConfig{
		Box: box, PublicURL: s.cfg.PublicURL, SiteURL: s.cfg.SiteURL, LinkURL: s.cfg.Mail.LinkURL, LinkLife: s.cfg.Mail.CodeLife, SMSLife: s.cfg.SMS.CodeLife,
		Rand: s.opt.Rand,
	})
	if err != nil {
		return fmt.Errorf("server: messages: %w", err)
	}
	templates, err := Templates(s.cfg)
	if err != nil {
		return err
	}
	router := &notify.Router{}
	if m.inbox != nil {
		router.Email, router.SMS = m.inbox, m.inbox
	}
	if s.cfg.Mail.Host != "" {
		if m.mail, err = smtp.New(smtpConfig(&s.cfg)); err != nil {
			return fmt.Errorf("server: mail: %w", err)
		}
		router.Email = m.mail
	}
	if s.cfg.SMS.Provider != "" {
		if router.SMS, err = sms.New(smsConfig(&s.cfg.SMS)); err != nil {
			return fmt.Errorf("server: text messages: %w", err)
		}
	}
	m.mails = m.inbox != nil || s.cfg.CanMail()
	m.texts = m.inbox != nil || s.cfg.CanText()
	m.deliverer = &notify.Deliverer{Box: box, Templates: templates, Sender: router, Log: s.opt.Log, Now: s.opt.Now}
	if hooks != nil {
		m.deliverer.Hook = m.byHook
	}
	s.messages = m
	return nil
}

// Templates reads the message templates that the configuration names.
func Templates(cfg config.Config) (*notify.Templates, error) {
	t, err := notify.LoadTemplates(notify.TemplatesConfig{
		SiteName: cfg.Mail.AppName, SiteURL: cfg.SiteURL, Locale: cfg.Mail.Locale, Dir: cfg.Mail.Templates, SMS: cfg.SMS.Template,
	})
	if err != nil {
		return nil, fmt.Errorf("server: CARDEA_MAIL_TEMPLATES: %w", err)
	}
	return t, nil
}

func smtpConfig(c *config.Config) smtp.Config {
	m := &c.Mail
	return smtp.Config{
		Host: m.Host, Port: m.Port, TLS: m.TLS, User: m.User, Password: string(m.Password), From: m.From, FromName: m.SenderName,
	}
}

func smsConfig(c *config.SMS) sms.Config {
	return sms.Config{
		Provider:    c.Provider,
		Twilio:      sms.Twilio{AccountSID: c.TwilioAccountSID, AuthToken: string(c.TwilioAuthToken), Sender: c.TwilioMessageServiceSID},
		Vonage:      sms.Vonage{APIKey: c.VonageAPIKey, APISecret: string(c.VonageAPISecret), From: c.VonageFrom},
		MessageBird: sms.MessageBird{AccessKey: string(c.MessageBirdAccessKey), Originator: c.MessageBirdOriginator},
		TextLocal:   sms.TextLocal{APIKey: string(c.TextLocalAPIKey), Sender: c.TextLocalSender},
		Webhook:     sms.Webhook{URL: c.WebhookURL, Secrets: string(c.WebhookSecret)},
	}
}

// Put implements flow.Postbox.
func (m *messages) Put(now time.Time, n flow.Notice) (auth.Message, error) {
	row, err := m.post.Put(now, notify.Notice{
		Channel: n.Channel, Kind: n.Kind, To: n.To, User: n.User, Purpose: n.Purpose, Code: n.Code, Link: n.Link,
		RedirectTo: n.RedirectTo, NewEmail: n.NewEmail, OldEmail: n.OldEmail, NewPhone: n.NewPhone, OldPhone: n.OldPhone,
		UserAgent: n.UserAgent, IP: n.IP, OtherCode: n.OtherCode, OtherLink: n.OtherLink, Provider: n.Provider,
	})
	if err != nil {
		return row, fmt.Errorf("server: message: %w", err)
	}
	return row, nil
}

// newDevice names what a sign-in comes from: the kind of browser and system, nothing that
// would be a trail of the person. Its hash is bound to the account.
func (m *messages) newDevice(now time.Time, u *auth.User, meta auth.Meta) (string, *auth.Message, error) {
	sum := sha256.Sum256([]byte(u.ID.String() + "\x00" + notify.Device(meta.UserAgent)))
	device := hex.EncodeToString(sum[:])
	if u.Email == "" || u.EmailConfirmedAt.IsZero() {
		return device, nil, nil
	}
	row, err := m.Put(now, flow.Notice{
		Channel: notify.ChannelEmail, Kind: flow.NoticeNewDevice, To: u.Email, User: u, UserAgent: meta.UserAgent, IP: meta.IP,
	})
	return device, &row, err
}

// Decoy implements flow.Postbox.
func (m *messages) Decoy(now time.Time) (auth.Message, error) {
	row, err := m.post.Decoy(now)
	if err != nil {
		return row, fmt.Errorf("server: decoy: %w", err)
	}
	return row, nil
}

// channelHook marks rows that tell the application of a new account.
const channelHook = "hook"

// news is what such a row holds.
type news struct {
	User auth.User `json:"user"`
	IP   string    `json:"ip"`
}

func newsContext(id auth.ID) []byte { return []byte("news:" + id.String()) }

// Deliver implements job.Deliverer.
func (m *messages) Deliver(ctx context.Context, row auth.Message) error {
	if row.Channel != channelHook {
		return m.deliverer.Deliver(ctx, row) //nolint:wrapcheck // its errors are made for the outbox
	}
	plain, err := m.box.Open(row.Sealed, newsContext(row.ID))
	if err != nil {
		return fmt.Errorf("server: open news: %w", err)
	}
	var n news
	if err := json.Unmarshal(plain, &n); err != nil {
		return errors.New("server: the news of an account can't be read by this version")
	}
	return m.hooks.AfterUserCreated(ctx, hook.Event{ID: row.ID, At: row.CreatedAt, IP: n.IP}, &n.User) //nolint:wrapcheck // as above
}

// links implements gotrue.Links.
type links struct{ base string }

// Verify gives the address of a link.
func (l links) Verify(token, kind, redirectTo string) string {
	return l.base + "?" + url.Values{"token": {token}, "type": {kind}, "redirect_to": {redirectTo}}.Encode()
}

// runSender empties the outbox until ctx is done.
func (s *Server) runSender(ctx context.Context) {
	every := 500 * time.Millisecond
	if s.messages.inbox != nil {
		every = 50 * time.Millisecond // somebody looks at the inbox
	}
	job.Sender{
		Store: s.store, Deliver: s.messages, Log: s.opt.Log, Now: s.opt.Now, Rand: s.opt.Rand, Every: every,
	}.Run(ctx)
	if s.messages.mail != nil {
		s.messages.mail.Close()
	}
}

// DeadMessages lists messages that were given up, newest first.
func (s *Server) DeadMessages(ctx context.Context, limit int) ([]auth.Message, error) {
	return s.store.DeadMessages(ctx, limit) //nolint:wrapcheck // names itself
}

// RetryMessage puts a message that was given up back into the queue.
func (s *Server) RetryMessage(ctx context.Context, id auth.ID) error {
	return s.store.RetryMessage(ctx, id, auth.Truncate(s.opt.Now())) //nolint:wrapcheck // names itself
}

// Inbox gives the messages of dev; nil in serve.
func (s *Server) Inbox() *notify.Inbox { return s.messages.inbox }
