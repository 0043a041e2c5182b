package flow

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/ratelimit"
)

// Notice is a message to a person, before it is put into words.
type Notice struct {
	Channel string       // "email", "sms", "whatsapp"
	Kind    string       // template: "confirmation", "invite", "recovery", "magic_link", "email_change", "reauthentication", or a notice such as "password_changed"
	To      string       // address or number
	User    *auth.User   // whose language and metadata the words may use
	Purpose auth.Purpose // of the token; "" for a notice without one
	Code    string
	Link    string // token of the link; "" for none

	RedirectTo         string // checked before
	NewEmail, OldEmail string
	NewPhone, OldPhone string

	// OtherCode and OtherLink are those of the present address, in the notice to the new one,
	// for applications that send both mails themselves.
	OtherCode, OtherLink string

	UserAgent, IP string // of a new device
	Provider      string // way to sign in that came or went
}

// Kinds of notices: what the owner of an account is told after it has happened.
const (
	NoticePasswordChanged  = "password_changed"
	NoticeEmailChanged     = "email_changed"
	NoticePhoneChanged     = "phone_changed"
	NoticeNewDevice        = "new_device"
	NoticeAccountExists    = "account_exists"    // somebody tried to sign up with the owner's address
	NoticeIdentityLinked   = "identity_linked"   // a way to sign in was added
	NoticeIdentityUnlinked = "identity_unlinked" // and taken away
	NoticeMemberInvited    = "member_invited"    // a tenant asks the owner to become a member
)

// sends reports whether a message to such an address can be sent at all.
func (c *Config) sends(email string) bool {
	if email != "" {
		return c.Mail
	}
	return c.Texts
}

// tells reports whether owners get notices of this kind.
func (c *Config) tells(kind string) bool { return c.Mail && slices.Contains(c.Notices, kind) }

// tellReplaced is told where the account was until now: whoever took it over does not read
// that mailbox.
func (c *Config) tellReplaced(u *auth.User, provider, replacement string) ([]auth.Message, error) {
	n := Notice{Channel: channelEmail, Kind: NoticeEmailChanged, To: u.Email, User: u, OldEmail: u.Email, NewEmail: replacement}
	if provider == auth.ProviderPhone {
		n = Notice{Channel: channelEmail, Kind: NoticePhoneChanged, To: u.Email, User: u, OldPhone: u.Phone, NewPhone: replacement}
	}
	if !c.tells(n.Kind) || u.Email == "" || u.EmailConfirmedAt.IsZero() {
		return nil, nil
	}
	m, err := c.Post.Put(c.now(), n)
	if err != nil {
		return nil, fmt.Errorf("flow: seal notice: %w", err)
	}
	return []auth.Message{m}, nil
}

// enqueueNotice tells the owner of an account of something that has changed nothing.
func (c *Config) enqueueNotice(ctx context.Context, u *auth.User, kind string) error {
	m, err := c.Post.Put(c.now(), Notice{Channel: channelEmail, Kind: kind, To: u.Email, User: u})
	if err != nil {
		return fmt.Errorf("flow: seal notice: %w", err)
	}
	if err := c.Store.Enqueue(ctx, []auth.Message{m}); err != nil {
		return fmt.Errorf("flow: enqueue: %w", err)
	}
	return nil
}

// Postbox puts a notice into a row of the outbox, sealed.
type Postbox interface {
	Put(now time.Time, n Notice) (auth.Message, error)
	// Decoy is a row that costs what a message costs and is never sent.
	Decoy(now time.Time) (auth.Message, error)
}

// Channels of messages.
const (
	channelEmail = "email"
	channelSMS   = "sms"
)

// kindOf is the template of a purpose.
func kindOf(p auth.Purpose) string {
	switch p {
	case auth.PurposeSignup, auth.PurposeClaim:
		return "confirmation"
	case auth.PurposeMagicLink:
		return "magic_link"
	case auth.PurposeEmailCurrent, auth.PurposeEmailNew:
		return "email_change"
	case auth.PurposeReauthenticate:
		return "reauthentication"
	default:
		return string(p) // invite, recovery, sms, phone_change
	}
}

// decoy does the work of sending a message to somebody without an account, so that the
// time of the answer does not tell. It gives the id that the message would have had.
func (c *Config) decoy(ctx context.Context) (auth.ID, error) {
	m, err := c.Post.Decoy(c.now())
	if err != nil {
		return auth.ID{}, fmt.Errorf("flow: make decoy: %w", err)
	}
	if err := c.Store.Enqueue(ctx, []auth.Message{m}); err != nil {
		return auth.ID{}, fmt.Errorf("flow: enqueue: %w", err)
	}
	return m.ID, nil
}

// mayMail takes from the budgets of mails: the client's address, the recipient's, the
// server's. It looks at no account, so known and unknown recipients are refused alike.
func (c *Config) mayMail(email, ip string) error {
	if err := c.take("mail/ip", ip, c.MailPerIP); err != nil {
		return err
	}
	if err := c.every("mail/to/"+email, c.MailEvery, auth.CodeMailTooSoon); err != nil {
		return err
	}
	if c.Limiter != nil {
		if d := c.Limiter.Take("mail/server", c.MailPerServer); !d.Allowed {
			return &auth.Error{Code: auth.CodeMailLimit, RetryAfter: d.RetryAfter}
		}
	}
	return nil
}

// mayText does the same for text messages.
func (c *Config) mayText(phone, ip string) error {
	if err := c.take("sms/ip", ip, c.MailPerIP); err != nil {
		return err
	}
	if err := c.every("sms/to/"+phone, c.SMSEvery, auth.CodeSMSTooSoon); err != nil {
		return err
	}
	if c.Limiter != nil {
		if d := c.Limiter.Take("sms/server", c.TextPerServer); !d.Allowed {
			return &auth.Error{Code: auth.CodeSMSLimit, RetryAfter: d.RetryAfter}
		}
	}
	return nil
}

// every allows one event in the given time, with GoTrue's sentence for the refusal.
func (c *Config) every(key string, d time.Duration, code auth.Code) error {
	if c.Limiter == nil || d <= 0 {
		return nil
	}
	if got := c.Limiter.Take(key, ratelimit.Limit{Count: 1, Period: d}); !got.Allowed {
		return &auth.Error{
			Code: code, RetryAfter: got.RetryAfter,
			Message: fmt.Sprintf("For security purposes, you can only request this after %d seconds.",
				int(math.Ceil(got.RetryAfter.Seconds()))),
		}
	}
	return nil
}
