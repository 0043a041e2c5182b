// Package smtp delivers mail by SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the
// first byte (RFC 8314 §3.3).
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/cardea-auth/cardea/internal/notify"
)

// The values of Config.TLS.
const (
	// StartTLS begins in clear text and refuses to go on without TLS. It is the default.
	StartTLS = "starttls"
	// TLS speaks TLS from the first byte, usually at port 465.
	TLS = "tls"
	// InsecureNoTLS never encrypts: codes and links can be read on the way. It is acceptable
	// for a mail server on the same machine, such as a mail catcher in development. Together
	// with a password it is refused for any other.
	InsecureNoTLS = "none"
)

// Config is what [New] needs.
type Config struct {
	Host     string
	Port     int    // 0: 587, with TLS 465
	TLS      string // "": StartTLS
	User     string // "": no authentication
	Password string

	From     string // address of the sender
	FromName string // name of the sender; may be empty
	ReplyTo  string // address; may be empty
	// Headers are added to every mail; "$messageType" in a value becomes the kind of the
	// message, as in GOTRUE_SMTP_HEADERS.
	Headers map[string]string
	HELO    string // "": "localhost"; servers that care want the name of this machine

	TLSConfig   *tls.Config   // nil: the roots of the system, TLS 1.2 or later
	DialTimeout time.Duration // of connection, TLS and authentication together; 0: 15 s
	SendTimeout time.Duration // of one mail; 0: 30 s
	Idle        time.Duration // how long a connection is kept for the next mail; 0: 15 s; negative: not at all
	MaxIdle     int           // connections kept; 0: 4
	Now         func() time.Time
}

// Sender sends mail. It is safe for concurrent use; each mail in flight has a connection of
// its own, and connections are used again while they are fresh.
type Sender struct {
	c       Config
	from    *mail.Address
	replyTo *mail.Address
	domain  string // right side of Message-IDs
	names   []string
	headers map[string]string // by canonical name

	mu   sync.Mutex
	idle []*connection // the last is the freshest
	shut bool
}

type connection struct {
	client *gomail.Client
	smtp   *smtp.Client
	net    net.Conn
	since  time.Time // end of the last mail
	sent   int
}

// maxPerConnection is how many mails go over one connection; some servers end it after that
// many without a word.
const maxPerConnection = 100

// New checks the configuration; it does not connect.
func New(c Config) (*Sender, error) {
	if c.Host == "" {
		return nil, errors.New("smtp: no host")
	}
	switch c.TLS {
	case "":
		c.TLS = StartTLS
	case StartTLS, TLS, InsecureNoTLS:
	default:
		return nil, fmt.Errorf("smtp: TLS can be %q, %q or %q, not %q", StartTLS, TLS, InsecureNoTLS, c.TLS)
	}
	if c.User != "" && c.TLS == InsecureNoTLS && !loopback(c.Host) {
		return nil, fmt.Errorf("smtp: the password would go to %s without encryption; use TLS %q or %q", c.Host, StartTLS, TLS)
	}
	setDefaults(&c)
	if c.Port < 1 || c.Port > 65535 {
		return nil, fmt.Errorf("smtp: there is no port %d", c.Port)
	}
	if c.TLSConfig == nil {
		c.TLSConfig = &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	}
	s := &Sender{c: c, headers: map[string]string{}}
	var err error
	if s.from, err = address(c.From); err != nil {
		return nil, fmt.Errorf("smtp: sender: %w", err)
	}
	s.domain = s.from.Address[strings.LastIndex(s.from.Address, "@")+1:]
	if !plain(c.FromName) {
		return nil, errors.New("smtp: the sender's name holds control characters")
	}
	s.from.Name = c.FromName
	if c.ReplyTo != "" {
		if s.replyTo, err = address(c.ReplyTo); err != nil {
			return nil, fmt.Errorf("smtp: reply-to: %w", err)
		}
	}
	for name, value := range c.Headers {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if !headerName.MatchString(name) || !plain(value) || slices.Contains(ownHeaders(), canonical) {
			return nil, fmt.Errorf("smtp: header %q is not one that can be added", name)
		}
		s.headers[canonical] = value
	}
	s.names = slices.Sorted(maps.Keys(s.headers))
	return s, nil
}

func setDefaults(c *Config) {
	if c.Port == 0 {
		if c.Port = 587; c.TLS == TLS {
			c.Port = 465
		}
	}
	if c.HELO == "" {
		c.HELO = "localhost"
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = 15 * time.Second
	}
	if c.SendTimeout <= 0 {
		c.SendTimeout = 30 * time.Second
	}
	if c.Idle == 0 {
		c.Idle = 15 * time.Second
	}
	if c.MaxIdle <= 0 {
		c.MaxIdle = 4
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// ownHeaders are those that this package writes.
func ownHeaders() []string {
	return []string{
		"From", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date", "Message-Id", "Mime-Version",
		"Content-Type", "Content-Transfer-Encoding", "Auto-Submitted", "Return-Path", "Sender",
	}
}

// plain reports whether s is text of one line: a line break in a header begins the next one.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' })
}

// address takes exactly one bare address. Names, comments, groups and lists are refused:
// a text that is two addresses would send the code to both.
func address(s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	switch {
	case err != nil:
		return nil, errors.New("not an e-mail address")
	case a.Address != s || a.Name != "" || !plain(s) || strings.ContainsAny(s, "<>,;:\" ()[]\\"):
		return nil, errors.New("not a plain e-mail address")
	}
	return a, nil
}

// Send implements [notify.Sender]. What it guarantees: the mail has one recipient; no header
// is made of text that can end a line; a server that does not offer TLS where TLS is wanted
// gets no mail and no password.
//
// A connection that was kept may have been ended by the server meanwhile; then, and only
// when the mail had not been handed over, it is tried once more on a new one.
func (s *Sender) Send(ctx context.Context, m notify.Rendered) error {
	msg, err := s.message(m)
	if err != nil {
		return err
	}
	if c := s.take(); c != nil {
		err := s.deliver(ctx, c, msg)
		var e *gomail.SendError
		stale := errors.As(err, &e) && e.ErrorCode() == 0 && (e.Reason == gomail.ErrConnCheck || e.Reason == gomail.ErrSMTPMailFrom)
		if !stale || ctx.Err() != nil {
			return explain(ctx, err)
		}
		if msg, err = s.message(m); err != nil {
			return err
		}
	}
	c, err := s.dial(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	return explain(ctx, s.deliver(ctx, c, msg))
}

// message puts a mail into its form (RFC 5322, RFC 2045).
func (s *Sender) message(m notify.Rendered) (*gomail.Msg, error) {
	to, err := address(m.To)
	if err != nil {
		return nil, &notify.Error{Text: "the recipient is " + err.Error(), Permanent: true}
	}
	if !plain(m.Subject) {
		return nil, &notify.Error{Text: "the subject holds a line break", Permanent: true}
	}
	msg := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP), gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(to)
	if s.replyTo != nil {
		msg.ReplyToMailAddress(s.replyTo)
	}
	msg.Subject(m.Subject)
	// The same id each time this message is sent: a receiver that got it twice can tell.
	msg.SetMessageIDWithValue(m.ID.String() + "@" + s.domain)
	msg.SetDateWithValue(m.CreatedAt)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no vacation answers
	for _, name := range s.names {
		msg.SetGenHeader(gomail.Header(name), strings.ReplaceAll(s.headers[name], "$messageType", string(m.Kind)))
	}
	switch {
	case m.Text != "" && m.HTML != "":
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	case m.HTML != "":
		msg.SetBodyString(gomail.TypeTextHTML, m.HTML)
	default:
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	}
	return msg, nil
}

// deliver sends on a connection and keeps the connection if it is good for more.
func (s *Sender) deliver(ctx context.Context, c *connection, msg *gomail.Msg) error {
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() })
	err := c.client.SendWithSMTPClient(c.smtp, msg)
	if msg.IsDelivered() {
		// Only the RSET after it can have failed. To send it again would double it.
		good := err == nil && stop()
		s.put(c, good)
		return nil
	}
	stop()
	var e *gomail.SendError
	s.put(c, errors.As(err, &e) && e.ErrorCode() != 0 && ctx.Err() == nil && e.Reason == gomail.ErrSMTPRcptTo)
	return err
}

// Close ends the connections that are kept. Mails in flight finish.
func (s *Sender) Close() {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.shut = nil, true
	s.mu.Unlock()
	for _, c := range idle {
		c.end()
	}
}
