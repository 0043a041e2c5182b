package smtp_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/notify/smtp"
)

// A whole conversation, in each of the ways to encrypt it, with and without a password.
func TestConversation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind string
		auth bool
	}{{smtp.StartTLS, true}, {smtp.TLS, true}, {smtp.StartTLS, false}, {smtp.TLS, false}, {smtp.InsecureNoTLS, true}, {smtp.InsecureNoTLS, false}} {
		t.Run(tt.kind+map[bool]string{true: " with password"}[tt.auth], func(t *testing.T) {
			t.Parallel()
			s := start(t, tt.kind, tt.auth)
			c := client(t, s, tt.kind, func(c *smtp.Config) {
				c.ReplyTo, c.Headers = "help@clinic.example", map[string]string{"X-Mail-Type": "auth $messageType"}
				if tt.auth {
					c.User, c.Password = "ada", "open sesame"
				}
			})
			m := message()
			if err := c.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := s.all()
			if len(got) != 1 {
				t.Fatalf("%d mails", len(got))
			}
			user := map[bool]string{true: "ada"}[tt.auth]
			if g := got[0]; g.from != "no-reply@clinic.example" || g.to != m.To || g.tls != (tt.kind != smtp.InsecureNoTLS) || g.user != user {
				t.Errorf("%+v", g)
			}
			checkMail(t, got[0].data, m)
		})
	}
}

// checkMail reads a mail as a client does.
func checkMail(t *testing.T, data string, m notify.Rendered) {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	header := map[string]string{}
	for name, values := range msg.Header {
		if len(values) != 1 {
			t.Errorf("%d times %s", len(values), name)
		}
		if header[name], err = new(mime.WordDecoder).DecodeHeader(values[0]); err != nil {
			t.Error(err)
		}
	}
	contentType, params, err := mime.ParseMediaType(header["Content-Type"])
	if err != nil || contentType != "multipart/alternative" {
		t.Fatalf("%v %s", err, contentType)
	}
	delete(header, "Content-Type")
	want := map[string]string{
		"From": "Klinik Zürich <no-reply@clinic.example>", "To": "<ada@example.com>", "Reply-To": "<help@clinic.example>",
		"Subject": m.Subject, "Message-Id": "<" + m.ID.String() + "@clinic.example>", "Date": "Sun, 01 Mar 2026 08:00:00 +0000",
		"Mime-Version": "1.0", "Auto-Submitted": "auto-generated", "X-Mail-Type": "auth recovery",
	}
	header["From"] = strings.ReplaceAll(header["From"], `"`, "")
	if diff := cmp.Diff(want, header); diff != "" {
		t.Error(diff)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, want := range [][2]string{{"text/plain; charset=UTF-8", m.Text}, {"text/html; charset=UTF-8", m.HTML}} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("%v", p.Header)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(body), "\r\n", "\n"); p.Header.Get("Content-Type") != want[0] || got != want[1] {
			t.Errorf("%s\n%s", p.Header.Get("Content-Type"), cmp.Diff(want[1], got))
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("more parts: %v", err)
	}
	for line := range strings.SplitSeq(data, "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d bytes (RFC 5322 §2.1.1)", len(line))
		}
	}
}

// The same message twice has the same Message-ID.
func TestMessageIDIsStable(t *testing.T) {
	t.Parallel()
	s := start(t, smtp.InsecureNoTLS, false)
	for range 2 {
		if err := client(t, s, smtp.InsecureNoTLS, nil).Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for _, m := range s.all() {
		msg, err := mail.ReadMessage(strings.NewReader(m.data))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, msg.Header.Get("Message-Id"))
	}
	if len(ids) != 2 || ids[0] != ids[1] || ids[0] == "" {
		t.Errorf("%q", ids)
	}
}

// Header and command injection: what is not one plain address, or one line, is never sent.
func TestInjection(t *testing.T) {
	t.Parallel()
	s := start(t, smtp.InsecureNoTLS, false)
	c := client(t, s, smtp.InsecureNoTLS, nil)
	for _, to := range []string{
		"", "ada", "ada@example.com\r\nBcc: all@example.com", "ada@example.com\nRCPT TO:<eve@example.com>", "ada@example.com, eve@example.com",
		"ada@example.com>, <eve@example.com", "Ada <ada@example.com>", "ada@example.com (comment)", "group: ada@example.com;",
		`"ada\r\n"@example.com`, `"a b"@example.com`, "ada@example.com\x00", " ada@example.com", "ada@exa mple.com", "<ada@example.com>",
		"ada@example.com SMTPUTF8", "ada@[127.0.0.1]\r\n",
	} {
		m := message()
		m.To = to
		if err := c.Send(t.Context(), m); err == nil || !notify.IsPermanent(err) || to != "" && strings.Contains(err.Error(), to) {
			t.Errorf("recipient %q: %v", to, err)
		}
	}
	for _, subject := range []string{"x\r\nBcc: all@example.com", "x\ny", "x\x00"} {
		m := message()
		m.Subject = subject
		if err := c.Send(t.Context(), m); !notify.IsPermanent(err) {
			t.Errorf("subject %q: %v", subject, err)
		}
	}
	if n := len(s.all()); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
	// A long subject in any script stays one header, and a body can't end the mail.
	m := message()
	m.Subject, m.Text = strings.Repeat("שלום ", 100)+"Bcc: x@example.com", "a\r\n.\r\nMAIL FROM:<eve@example.com>\r\n"
	if err := c.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	msg, err := mail.ReadMessage(strings.NewReader(s.all()[0].data))
	if err != nil {
		t.Fatal(err)
	}
	got, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil || strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(m.Subject), " ") || msg.Header.Get("Bcc") != "" || len(s.all()) != 1 {
		t.Errorf("%v %q", err, got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := smtp.Config{Host: "mail.example.com", From: "no-reply@example.com"}
	if _, err := smtp.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*smtp.Config){
		"no host":           func(c *smtp.Config) { c.Host = "" },
		"no sender":         func(c *smtp.Config) { c.From = "" },
		"sender with name":  func(c *smtp.Config) { c.From = "X <x@example.com>" },
		"name of two lines": func(c *smtp.Config) { c.FromName = "X\r\nBcc: all@example.com" },
		"reply-to":          func(c *smtp.Config) { c.ReplyTo = "x\r\n@example.com" },
		"TLS":               func(c *smtp.Config) { c.TLS = "maybe" },
		"port":              func(c *smtp.Config) { c.Port = 70000 },
		"header value":      func(c *smtp.Config) { c.Headers = map[string]string{"X-A": "b\r\nBcc: c"} },
		"header name":       func(c *smtp.Config) { c.Headers = map[string]string{"X-A: b\r\nBcc": "c"} },
		"header of ours":    func(c *smtp.Config) { c.Headers = map[string]string{"bcc": "eve@example.com"} },
		"readable password": func(c *smtp.Config) { c.TLS, c.User = smtp.InsecureNoTLS, "ada" },
	} {
		c := good
		change(&c)
		if _, err := smtp.New(c); err == nil {
			t.Error(name + ": accepted")
		}
	}
}

// What a server answers decides between later and never.
func TestRefusals(t *testing.T) {
	t.Parallel()
	answer := func(code int, text string) error {
		return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{code / 100, 1, 1}, Message: text}
	}
	tests := []struct {
		name      string
		set       func(*server)
		permanent bool
		text      string
	}{
		{"no such mailbox", func(s *server) { s.onRcpt = func(string) error { return answer(550, "no such user") } }, true, "550"},
		{"greylisted", func(s *server) { s.onRcpt = func(string) error { return answer(451, "try later") } }, false, "451"},
		{"sender refused", func(s *server) { s.onMail = func() error { return answer(553, "who are you") } }, false, "553"},
		{"content refused", func(s *server) { s.onData = func() error { return answer(554, "spam") } }, true, "554"},
		{"disk full", func(s *server) { s.onData = func() error { return answer(452, "full") } }, false, "452"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, smtp.StartTLS, false)
			tt.set(s)
			c := client(t, s, smtp.StartTLS, nil)
			err := c.Send(t.Context(), message())
			if err == nil || notify.IsPermanent(err) != tt.permanent || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "ada@example.com") {
				t.Errorf("%v (permanent %v)", err, notify.IsPermanent(err))
			}
			s.onMail, s.onRcpt, s.onData = nil, nil, nil
			if err := c.Send(t.Context(), message()); err != nil {
				t.Errorf("the next mail: %v", err)
			}
		})
	}
}

// Without the encryption that was asked for there is no mail and no password.
func TestNoDowngrade(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		server, mine string
		change       func(*smtp.Config)
	}{
		{"STARTTLS not offered", smtp.InsecureNoTLS, smtp.StartTLS, nil},
		{"TLS not spoken", smtp.InsecureNoTLS, smtp.TLS, func(c *smtp.Config) { c.DialTimeout = 300 * time.Millisecond }},
		{"certificate of nobody", smtp.StartTLS, smtp.StartTLS, func(c *smtp.Config) { c.TLSConfig = nil }},
		{"certificate of nobody, TLS", smtp.TLS, smtp.TLS, func(c *smtp.Config) { c.TLSConfig = nil }},
		{"wrong password", smtp.StartTLS, smtp.StartTLS, func(c *smtp.Config) { c.Password = "wrong" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tt.server, true)
			c := client(t, s, tt.mine, func(c *smtp.Config) {
				c.User, c.Password = "ada", "open sesame"
				if tt.change != nil {
					tt.change(c)
				}
			})
			// Temporary: it is the operator's to repair, and no message may be lost meanwhile.
			if err := c.Send(t.Context(), message()); err == nil || notify.IsPermanent(err) || strings.Contains(err.Error(), "open sesame") || len(s.all()) != 0 {
				t.Errorf("%v, %d mails", err, len(s.all()))
			}
		})
	}
}

// A server that is down, silent or slow costs no more than the time limit.
func TestSlowServers(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	slow := start(t, smtp.InsecureNoTLS, false)
	release := make(chan struct{})
	slow.onData = func() error { <-release; return nil }
	t.Cleanup(func() { close(release) })
	for name, tt := range map[string]struct {
		port   int
		change func(*smtp.Config)
		cancel bool
	}{
		"down":               {gone.Addr().(*net.TCPAddr).Port, nil, false},
		"silent":             {silent.Addr().(*net.TCPAddr).Port, func(c *smtp.Config) { c.DialTimeout = 50 * time.Millisecond }, false},
		"silent, caller":     {silent.Addr().(*net.TCPAddr).Port, nil, true},
		"slow to take it":    {slow.port, func(c *smtp.Config) { c.SendTimeout = 200 * time.Millisecond }, false},
		"slow, caller stops": {slow.port, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, &server{port: tt.port}, smtp.InsecureNoTLS, tt.change)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if tt.cancel {
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			begin := time.Now()
			err := c.Send(ctx, message())
			if err == nil || notify.IsPermanent(err) || time.Since(begin) > 10*time.Second {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		})
	}
}

// Connections are used again, not for ever, and a stale one costs no mail.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	s := start(t, smtp.TLS, false)
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	c := client(t, s, smtp.TLS, func(c *smtp.Config) { c.Now = func() time.Time { return now } })
	send := func(want int) {
		t.Helper()
		if err := c.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		if got := s.connections(); got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
	}
	send(1)
	send(1)
	now = now.Add(time.Minute)
	send(2)
	c.Close()
	send(3)
	send(4) // closed: nothing is kept
	if n := len(s.all()); n != 5 {
		t.Errorf("%d mails", n)
	}
}

// A server that ends a connection after its first mail without a word, as some do with
// idle clients, loses and doubles nothing.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mails := make(chan string, 10)
	ended := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(mails)
				return
			}
			speak(conn, mails)
			ended <- struct{}{}
		}
	}()
	c := client(t, &server{port: l.Addr().(*net.TCPAddr).Port}, smtp.InsecureNoTLS, nil)
	for range 3 {
		if err := c.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
	l.Close()
	n := 0
	for range mails {
		n++
	}
	if n != 3 {
		t.Errorf("%d mails arrived, want 3: none lost, none doubled", n)
	}
}

// speak takes one mail, answers RSET, and hangs up.
func speak(conn net.Conn, mails chan<- string) {
	defer conn.Close()
	say := func(s string) { _, _ = io.WriteString(conn, s+"\r\n") }
	say("220 hello")
	buf, text := make([]byte, 4096), ""
	for {
		for !strings.Contains(text, "\r\n") {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			text += string(buf[:n])
		}
		line, rest, _ := strings.Cut(text, "\r\n")
		text = rest
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "DATA":
			say("354 go on")
			for !strings.Contains(text, "\r\n.\r\n") {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				text += string(buf[:n])
			}
			body, rest, _ := strings.Cut(text, "\r\n.\r\n")
			text = rest
			mails <- body
			say("250 taken")
		case "RSET":
			say("250 ok")
			return
		default:
			say("250 ok")
		}
	}
}

// The password goes over an encrypted connection only, even if the server asks earlier.
func TestPasswordIsNotInTheClear(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "220 hello\r\n")
		buf, all := make([]byte, 4096), ""
		for {
			n, err := conn.Read(buf)
			all += string(buf[:n])
			if err != nil {
				heard <- all
				return
			}
			_, _ = io.WriteString(conn, "250-hello\r\n250 AUTH PLAIN LOGIN\r\n")
		}
	}()
	c := client(t, &server{port: l.Addr().(*net.TCPAddr).Port}, smtp.StartTLS, func(c *smtp.Config) { c.User, c.Password = "ada", "open sesame" })
	if err := c.Send(t.Context(), message()); err == nil {
		t.Fatal("sent")
	}
	said := <-heard
	for _, secret := range []string{"open sesame", base64.StdEncoding.EncodeToString([]byte("\x00ada\x00open sesame")), base64.StdEncoding.EncodeToString([]byte("open sesame")), "AUTH"} {
		if strings.Contains(said, secret) {
			t.Errorf("heard %q", said)
		}
	}
}
