package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/cardea-auth/cardea/internal/notify"
)

// quitTimeout is how long a server gets to say good-bye.
const quitTimeout = 2 * time.Second

// take gives a connection that is fresh enough, nil for none.
func (s *Sender) take() *connection {
	s.mu.Lock()
	var stale []*connection
	var found *connection
	now := s.c.Now()
	for len(s.idle) > 0 && found == nil {
		c := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if now.Sub(c.since) < s.c.Idle {
			found = c
		} else {
			stale = append(stale, c)
		}
	}
	s.mu.Unlock()
	for _, c := range stale {
		c.end()
	}
	return found
}

// put keeps a connection for the next mail, or ends it.
func (s *Sender) put(c *connection, good bool) {
	c.sent++
	c.since = s.c.Now()
	s.mu.Lock()
	keep := good && !s.shut && s.c.Idle > 0 && c.sent < maxPerConnection && len(s.idle) < s.c.MaxIdle
	if keep {
		s.idle = append(s.idle, c)
	}
	s.mu.Unlock()
	switch {
	case keep:
	case good:
		c.end()
	default:
		_ = c.net.Close()
	}
}

func (c *connection) end() {
	_ = c.smtp.UpdateDeadline(quitTimeout)
	_ = c.smtp.Quit() // good manners; the mails are with the server already
	_ = c.net.Close()
}

// dial connects, encrypts and authenticates. Everything together has the time limit.
func (s *Sender) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.DialTimeout)
	defer cancel()
	conn := &connection{}
	var stop func() bool
	client, err := gomail.NewClient(s.c.Host, s.options(func(dialing context.Context, network, addr string) (net.Conn, error) {
		raw, err := s.dialNet(dialing, network, addr)
		if err == nil {
			conn.net = raw
			// Not on dialing, which the library ends when the connection stands.
			stop = context.AfterFunc(ctx, func() { _ = raw.Close() })
		}
		return raw, err
	})...)
	if err != nil {
		return nil, err
	}
	conn.client = client
	conn.smtp, err = client.DialToSMTPClientWithContext(ctx)
	if stop != nil && !stop() && err == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		if conn.net != nil {
			_ = conn.net.Close() // the library leaves it open
		}
		return nil, err
	}
	return conn, nil
}

func (s *Sender) dialNet(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{}
	if s.c.TLS == TLS {
		return (&tls.Dialer{NetDialer: dialer, Config: s.c.TLSConfig}).DialContext(ctx, network, addr)
	}
	return dialer.DialContext(ctx, network, addr)
}

func (s *Sender) options(dial gomail.DialContextFunc) []gomail.Option {
	options := []gomail.Option{
		gomail.WithPort(s.c.Port), gomail.WithTimeout(s.c.SendTimeout), gomail.WithHELO(s.c.HELO),
		gomail.WithTLSConfig(s.c.TLSConfig), gomail.WithDialContextFunc(dial),
	}
	switch s.c.TLS {
	case TLS:
		options = append(options, gomail.WithSSL())
	case InsecureNoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.c.User != "" {
		// The first that the server offers. PLAIN and LOGIN refuse by themselves to speak on a
		// connection that is neither encrypted nor local.
		preferred := []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthCramMD5}
		options = append(options, gomail.WithOpportunisticSMTPAuth(preferred...), gomail.WithUsername(s.c.User), gomail.WithPassword(s.c.Password))
	}
	return options
}

// explain turns what went wrong into an error for the job. For good are only answers about
// this very mail (RFC 5321 §4.2.1: 5yz to RCPT or DATA). A refused sign-in or sender is a
// mistake of the operator: the message waits until it is repaired, or until it expires.
func explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	e := &notify.Error{Text: "mail server: " + err.Error(), Cause: err}
	var failed *gomail.SendError
	if errors.As(err, &failed) {
		e.Text = "mail server: " + serverWords(failed)
		code := failed.ErrorCode()
		about := failed.Reason == gomail.ErrSMTPRcptTo || failed.Reason == gomail.ErrSMTPData || failed.Reason == gomail.ErrSMTPDataClose
		e.Permanent = code >= 500 && code < 600 && about
	}
	if ctx.Err() != nil {
		e.Text = "mail server: no answer in time"
	}
	return e
}

// serverWords leaves out the recipients and ids that the library lists after the reason.
func serverWords(e *gomail.SendError) string {
	text, _, _ := strings.Cut(e.Error(), ", affected ")
	if code := e.ErrorCode(); code != 0 && !strings.Contains(text, strconv.Itoa(code)) {
		text += " (" + strconv.Itoa(code) + ")"
	}
	return text
}
