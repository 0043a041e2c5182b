package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Sender delivers one message. It is safe for concurrent use, ends when ctx does, and its
// errors are [Error]s.
type Sender interface {
	Send(ctx context.Context, m Rendered) error
}

// Error is why a message was not delivered. Text is for operators; [Deliverer] takes codes,
// links and addresses out of it.
type Error struct {
	Text       string
	Permanent  bool          // trying again can't help: no such mailbox, refused content
	RetryAfter time.Duration // wish of the receiver; 0 for none
	Cause      error         // for errors.Is; its text is not shown
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// IsPermanent tells the job to give up. (The job asks by this method, and does not know
// this package.)
func (e *Error) IsPermanent() bool { return e.Permanent }

// RetryIn tells the job how long the receiver wants to be left alone.
func (e *Error) RetryIn() time.Duration { return e.RetryAfter }

// IsPermanent reports whether err says that trying again can't help. Errors that are not
// an [Error] are temporary.
func IsPermanent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Permanent
}

func permanent(format string, args ...any) *Error {
	return &Error{Text: fmt.Sprintf(format, args...), Permanent: true}
}

// Router sends each message by the sender of its channel. A channel without a sender
// refuses for good.
type Router struct {
	Email    Sender
	SMS      Sender
	WhatsApp Sender // nil: SMS
}

// Send implements [Sender].
func (r *Router) Send(ctx context.Context, m Rendered) error {
	s := r.SMS
	switch {
	case m.Channel == ChannelEmail:
		s = r.Email
	case m.Channel == ChannelWhatsApp && r.WhatsApp != nil:
		s = r.WhatsApp
	}
	if s == nil {
		return permanent("nobody delivers %s: no sender is configured for it", m.Channel)
	}
	return s.Send(ctx, m)
}

// Deliverer opens, renders and sends rows of the outbox.
type Deliverer struct {
	Box       Box
	Templates *Templates
	Sender    Sender
	// Hook, when set, is asked first. Where it takes a message, nothing else is done with it:
	// this is how an application sends its own mails and text messages.
	Hook func(ctx context.Context, m Message) (taken bool, err error)
	Log  *slog.Logger // nil: silent
	Now  func() time.Time
}

// Deliver delivers one row. Its errors are [Error]s without secrets. A decoy is delivered by
// doing nothing.
func (d *Deliverer) Deliver(ctx context.Context, row auth.Message) error {
	if row.Channel == ChannelDecoy {
		return nil
	}
	m, err := Open(d.Box, row)
	if err != nil {
		// Temporary: after a mistake with the key-encryption key the message must not be lost.
		return &Error{Text: err.Error(), Cause: err}
	}
	now := d.Now
	if now == nil {
		now = time.Now
	}
	if !m.ExpiresAt.IsZero() && !now().Before(m.ExpiresAt) {
		return permanent("its code and link expired before it could be sent")
	}
	if d.Hook != nil {
		taken, err := d.Hook(ctx, m)
		if taken || err != nil {
			return cleaned(err, secretsOf(m))
		}
	}
	r, warning, err := d.Templates.render(m)
	if warning != nil && d.Log != nil {
		d.Log.WarnContext(ctx, "template of a message failed, the built-in one was used", "id", row.ID.String(), "kind", row.Kind, "error", clean(warning.Error(), secretsOf(m)))
	}
	if err != nil {
		return &Error{Text: clean(err.Error(), secretsOf(m)), Permanent: true}
	}
	return cleaned(d.Sender.Send(ctx, r), secretsOf(m))
}

// cleaned makes an [Error] without secrets of whatever a sender said.
func cleaned(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Text: err.Error(), Cause: err}
	}
	return &Error{Text: clean(e.Text, secrets), Permanent: e.Permanent, RetryAfter: e.RetryAfter, Cause: e.Cause}
}

// secretsOf lists what no error may repeat, the longest first.
func secretsOf(m Message) []string {
	return []string{m.Vars.ConfirmationURL, m.Vars.TokenHash, m.OtherTokenHash, m.To, m.Vars.Token, m.OtherToken}
}

var anyURL = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://[^\s"'<>]+`)

// clean takes secrets out of a text that a mail server or provider wrote: spam filters
// like to quote the link that they did not like. What is left is one printable line of at
// most 300 characters.
func clean(text string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[removed]")
		}
	}
	text = anyURL.ReplaceAllString(text, "[address]")
	text = oneLine(text)
	if utf8.RuneCountInString(text) > 300 {
		text = string([]rune(text)[:300]) + "…"
	}
	return text
}

// oneLine replaces control and invisible characters and joins white space, so that text
// can be a header, a log line, or a row of a table.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' && r != '\u200e' && r != '\u200f':
			return -1 // overrides of the direction of writing; joiners belong to Hindi, marks to Hebrew
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
