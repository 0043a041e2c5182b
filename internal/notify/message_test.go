package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/seal"
)

var moment = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func box(t *testing.T) *seal.Box {
	t.Helper()
	b, err := seal.New([]byte("0123456789abcdefghijklmnopqrstuv"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func postbox(t *testing.T, c notify.PostboxConfig) *notify.Postbox {
	t.Helper()
	if c.Box == nil {
		c.Box = box(t)
	}
	if c.PublicURL == "" {
		c.PublicURL = "https://auth.example.com"
	}
	c.SiteURL, c.LinkLife, c.SMSLife = "https://app.example.com", time.Hour, time.Minute
	p, err := notify.NewPostbox(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func person() *auth.User {
	return &auth.User{
		ID: auth.ID{15: 9}, Email: "ada@example.com", Phone: "4915112345678",
		UserMetadata: json.RawMessage(`{"locale":"de","full_name":"Ada"}`),
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	p, b := postbox(t, notify.PostboxConfig{}), box(t)
	row, err := p.Put(moment, notify.Notice{
		Channel: "email", Kind: "email_change", To: "new@example.com", User: person(), Purpose: auth.PurposeEmailNew,
		Code: "123456", Link: "pkce_abc", RedirectTo: "myapp://x?a=1&b=2", NewEmail: "new@example.com", OldEmail: "ada@example.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	if row.ID.IsZero() || row.Channel != "email" || row.Kind != "email_change" || !row.CreatedAt.Equal(moment) || !row.NotBefore.Equal(moment) || row.Attempts != 0 {
		t.Errorf("%+v", row)
	}
	// A4.3: what is stored gives no token, code or address.
	for _, secret := range []string{"123456", "pkce_abc", "new@example.com"} {
		if bytes.Contains(row.Sealed, []byte(secret)) {
			t.Errorf("the row holds %q", secret)
		}
	}
	got, err := notify.Open(b, row)
	if err != nil {
		t.Fatal(err)
	}
	want := notify.Message{
		ID: row.ID, Channel: "email", Kind: "email_change", Purpose: auth.PurposeEmailNew, UserID: person().ID, To: "new@example.com",
		Locale: "de", CreatedAt: moment, ExpiresAt: moment.Add(time.Hour),
		Vars: notify.Vars{
			SiteURL: "https://app.example.com", RedirectTo: "myapp://x?a=1&b=2", Email: "ada@example.com", NewEmail: "new@example.com",
			OldEmail: "ada@example.com", SendingTo: "new@example.com", Phone: "4915112345678", Token: "123456", TokenHash: "pkce_abc",
			ConfirmationURL: "https://auth.example.com/auth/v1/verify?token=pkce_abc&type=email_change&redirect_to=myapp%3A%2F%2Fx%3Fa%3D1%26b%3D2",
			Data:            map[string]any{"locale": "de", "full_name": "Ada"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	other := row
	other.ID[0] ^= 1
	if _, err := notify.Open(b, other); !errors.Is(err, seal.ErrRefused) {
		t.Errorf("opened in another row: %v", err)
	}
}

// The link says what GoTrue's link says.
func TestConfirmationURL(t *testing.T) {
	t.Parallel()
	b := box(t)
	tests := []struct {
		purpose auth.Purpose
		kind    string
		want    string
	}{
		{auth.PurposeSignup, "confirmation", "signup"}, {auth.PurposeInvite, "invite", "invite"}, {auth.PurposeRecovery, "recovery", "recovery"},
		{auth.PurposeMagicLink, "magic_link", "magiclink"}, {auth.PurposeEmailCurrent, "email_change", "email_change"},
		{auth.PurposeReauthenticate, "reauthentication", ""},
	}
	p := postbox(t, notify.PostboxConfig{PublicURL: "https://example.com/base/", Paths: map[notify.Kind]string{"invite": "/welcome?x=1"}})
	for _, tt := range tests {
		row, err := p.Put(moment, notify.Notice{Channel: "email", Kind: tt.kind, To: "a@example.com", Purpose: tt.purpose, Code: "1", Link: "ab+/&"})
		if err != nil {
			t.Fatal(err)
		}
		m, err := notify.Open(b, row)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(m.Vars.ConfirmationURL)
		if err != nil {
			t.Fatal(err)
		}
		if tt.want == "" {
			if m.Vars.ConfirmationURL != "" || m.Vars.TokenHash != "" {
				t.Errorf("a nonce has a link: %+v", m.Vars)
			}
			continue
		}
		path := "/base/auth/v1/verify"
		if tt.kind == "invite" {
			path = "/base/welcome"
		}
		if q := u.Query(); u.Path != path || q.Get("token") != "ab+/&" || q.Get("type") != tt.want || q.Get("redirect_to") != "https://app.example.com" {
			t.Errorf("%s: %s", tt.purpose, u)
		}
	}
}

// TestLinkURL: links may lead to a page of the application, whose own query stays.
func TestLinkURL(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"https://app.example.com/auth/verify": "https://app.example.com/auth/verify?token=t&type=recovery&redirect_to=myapp%3A%2F%2Fx",
		"https://app.example.com/?page=reset": "https://app.example.com/?page=reset&token=t&type=recovery&redirect_to=myapp%3A%2F%2Fx",
		"https://app.example.com/#/reset":     "https://app.example.com/#/reset?token=t&type=recovery&redirect_to=myapp%3A%2F%2Fx",
		"":                                    "https://auth.example.com/auth/v1/verify?token=t&type=recovery&redirect_to=myapp%3A%2F%2Fx",
	} {
		row, err := postbox(t, notify.PostboxConfig{LinkURL: page}).Put(moment, notify.Notice{
			Channel: "email", Kind: "recovery", To: "a@example.com", Purpose: auth.PurposeRecovery, Code: "1", Link: "t", RedirectTo: "myapp://x",
		})
		if err != nil {
			t.Fatal(err)
		}
		m, err := notify.Open(box(t), row)
		if err != nil || m.Vars.ConfirmationURL != want {
			t.Errorf("%q: %s, %v", page, m.Vars.ConfirmationURL, err)
		}
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	p := postbox(t, notify.PostboxConfig{})
	for name, n := range map[string]notify.Notice{
		"no recipient": {Channel: "email", Kind: "recovery"},
		"no channel":   {Kind: "recovery", To: "a@example.com"},
		"no kind":      {Channel: "email", Kind: "x", To: "a@example.com"},
	} {
		if _, err := p.Put(moment, n); err == nil {
			t.Error(name + ": accepted")
		}
	}
	for _, public := range []string{"", "auth.example.com", "ftp://x", "https://", "https://u:p@x", "https://x?y", "javascript:alert(1)"} {
		if _, err := notify.NewPostbox(notify.PostboxConfig{Box: box(t), PublicURL: public, LinkLife: 1, SMSLife: 1}); err == nil {
			t.Errorf("public URL %q accepted", public)
		}
	}
}

// A decoy costs what a message costs, and is no larger or smaller by much.
func TestDecoy(t *testing.T) {
	t.Parallel()
	p := postbox(t, notify.PostboxConfig{})
	decoy, err := p.Decoy(moment)
	if err != nil {
		t.Fatal(err)
	}
	real, err := p.Put(moment, notify.Notice{
		Channel: "email", Kind: "recovery", To: "ada@example.com", User: person(), Purpose: auth.PurposeRecovery, Code: "123456", Link: strings.Repeat("a", 56),
	})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := len(decoy.Sealed), len(real.Sealed); a < b*6/10 || a > b*14/10 {
		t.Errorf("decoy %d bytes, message %d", a, b)
	}
	sent := 0
	d := notify.Deliverer{Box: box(t), Sender: sender(func(notify.Rendered) error { sent++; return nil })}
	if err := d.Deliver(t.Context(), decoy); err != nil || sent != 0 || decoy.Channel != "decoy" {
		t.Errorf("%v, %d sent, channel %q", err, sent, decoy.Channel)
	}
}

type sender func(notify.Rendered) error

func (f sender) Send(_ context.Context, m notify.Rendered) error { return f(m) }

func recovery(t *testing.T) auth.Message {
	t.Helper()
	row, err := postbox(t, notify.PostboxConfig{}).Put(moment, notify.Notice{
		Channel: "email", Kind: "recovery", To: "ada@example.com", User: person(), Purpose: auth.PurposeRecovery, Code: "123456", Link: "feedbeef",
	})
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	row := recovery(t)
	link := "https://auth.example.com/auth/v1/verify?token=feedbeef&type=recovery"
	tests := []struct {
		name      string
		at        time.Time
		fails     error
		hook      func(context.Context, notify.Message) (bool, error)
		want      string // error
		permanent bool
		sent      int
	}{
		{name: "sends", at: moment, sent: 1},
		{name: "expired", at: moment.Add(time.Hour), want: "its code and link expired before it could be sent", permanent: true},
		{name: "a server that quotes the secrets", at: moment, sent: 1,
			fails: &notify.Error{Text: "550 spam: " + link + "\r\nand 123456 and feedbeef for ada@example.com", Permanent: true, RetryAfter: time.Minute},
			want:  "550 spam: [address] and [removed] and [removed] for [removed]", permanent: true},
		{name: "an error of another kind", at: moment, sent: 1, fails: context.DeadlineExceeded, want: "context deadline exceeded"},
		{name: "a long answer", at: moment, sent: 1, fails: errors.New(strings.Repeat("ä", 999)), want: strings.Repeat("ä", 300) + "…"},
		{name: "a hook takes it", at: moment, hook: func(_ context.Context, m notify.Message) (bool, error) {
			if m.Vars.Token != "123456" || m.UserID != person().ID || m.Purpose != auth.PurposeRecovery {
				t.Errorf("%+v", m)
			}
			return true, nil
		}},
		{name: "a hook fails", at: moment, hook: func(context.Context, notify.Message) (bool, error) { return true, errors.New("no 123456") }, want: "no [removed]"},
		{name: "a hook leaves it", at: moment, sent: 1, hook: func(context.Context, notify.Message) (bool, error) { return false, nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var sent []notify.Rendered
			d := notify.Deliverer{
				Box: box(t), Templates: load(t, notify.TemplatesConfig{}), Now: func() time.Time { return tt.at }, Hook: tt.hook,
				Sender: sender(func(m notify.Rendered) error { sent = append(sent, m); return tt.fails }), Log: slog.New(slog.DiscardHandler),
			}
			err := d.Deliver(t.Context(), row)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.want || notify.IsPermanent(err) != tt.permanent || len(sent) != tt.sent {
				t.Errorf("error %q, permanent %v, %d sent", text, notify.IsPermanent(err), len(sent))
			}
			if tt.fails != nil {
				var e *notify.Error
				if errors.As(tt.fails, &e) && !strings.Contains(text, "removed") {
					t.Error("secrets stay")
				}
			}
			if tt.sent == 1 && (sent[0].ID != row.ID || sent[0].Locale != "de" || sent[0].To != "ada@example.com" || !strings.HasPrefix(sent[0].Link, link)) {
				t.Errorf("%+v", sent[0])
			}
		})
	}
}

// A wrong key-encryption key must not cost a message.
func TestDeliverWithWrongKeyIsTemporary(t *testing.T) {
	t.Parallel()
	other, err := seal.New([]byte("zyxwvutsrqponmlkjihgfedcba987654"))
	if err != nil {
		t.Fatal(err)
	}
	d := notify.Deliverer{Box: other}
	if err := d.Deliver(t.Context(), recovery(t)); err == nil || notify.IsPermanent(err) || !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("%v", err)
	}
}

func TestRouter(t *testing.T) {
	t.Parallel()
	var got []string
	to := func(name string) notify.Sender {
		return sender(func(notify.Rendered) error { got = append(got, name); return nil })
	}
	all, some := notify.Router{Email: to("mail"), SMS: to("sms"), WhatsApp: to("whatsapp")}, notify.Router{SMS: to("sms only")}
	for _, channel := range []string{notify.ChannelEmail, notify.ChannelSMS, notify.ChannelWhatsApp} {
		if err := all.Send(t.Context(), notify.Rendered{Channel: channel}); err != nil {
			t.Error(err)
		}
		if err := some.Send(t.Context(), notify.Rendered{Channel: channel}); (err != nil) != (channel == notify.ChannelEmail) || err != nil && !notify.IsPermanent(err) {
			t.Errorf("%s: %v", channel, err)
		}
	}
	if diff := cmp.Diff([]string{"mail", "sms", "sms only", "whatsapp", "sms only"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestInbox(t *testing.T) {
	t.Parallel()
	var b notify.Inbox
	send := func(n byte, to string) {
		if err := b.Send(t.Context(), notify.Rendered{ID: auth.ID{15: n}, To: to}); err != nil {
			t.Fatal(err)
		}
	}
	changed := b.Changed()
	send(1, "Ada@Example.com")
	select {
	case <-changed:
	default:
		t.Error("nobody is told")
	}
	send(2, "4915112345678")
	send(3, "ada@example.com")
	send(1, "ada@example.com") // comes again, and is the newest now
	ids := func(list []notify.Rendered) (got []byte) {
		for _, m := range list {
			got = append(got, m.ID[15])
		}
		return got
	}
	for to, want := range map[string][]byte{"": {1, 3, 2}, "ADA@example.com": {1, 3}, " 4915112345678": {2}, "+49 151 12345678": {2}, "nobody": nil} {
		if diff := cmp.Diff(want, ids(b.Messages(to))); diff != "" {
			t.Errorf("%q: %s", to, diff)
		}
	}
	if _, ok := b.Message(auth.ID{15: 2}); !ok || !b.Delete(auth.ID{15: 2}) || b.Delete(auth.ID{15: 2}) {
		t.Error("delete")
	}
	if _, ok := b.Message(auth.ID{15: 2}); ok {
		t.Error("still there")
	}
	for i := range 600 {
		if err := b.Send(t.Context(), notify.Rendered{ID: auth.ID{0: byte(i), 1: byte(i >> 8), 2: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.Messages("")); n != 500 {
		t.Errorf("%d kept", n)
	}
	if b.Clear(); len(b.Messages("")) != 0 {
		t.Error("not cleared")
	}
}
