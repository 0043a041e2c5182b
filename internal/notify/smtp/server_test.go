package smtp_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/notify/smtp"
)

// server is a real mail server in this process.
type server struct {
	port  int
	roots *tls.Config // for clients

	mu     sync.Mutex
	conns  int
	mails  []received
	onMail func() error
	onRcpt func(to string) error
	onData func() error
}

type received struct {
	from, to, user string
	tls            bool
	data           string
}

type session struct {
	s    *server
	conn *gosmtp.Conn
	m    received
}

// start runs a server; kind is a value of Config.TLS. It knows one account, ada with the
// password "open sesame", and with needsAuth takes mail of it only.
func start(t *testing.T, kind string, needsAuth bool) *server {
	t.Helper()
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	t.Cleanup(certificates.Close)
	pool := x509.NewCertPool()
	pool.AddCert(certificates.Certificate())
	s := &server{roots: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}}
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
		one := &session{s: s, conn: c}
		if needsAuth {
			return &authSession{one}, nil
		}
		return one, nil
	}))
	srv.Domain, srv.ErrorLog, srv.EnableSMTPUTF8 = "mail.example.com", log.New(io.Discard, "", 0), true
	serverTLS := &tls.Config{Certificates: certificates.TLS.Certificates, MinVersion: tls.VersionTLS12}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	switch kind {
	case smtp.TLS:
		l = tls.NewListener(l, serverTLS)
	case smtp.StartTLS:
		srv.TLSConfig = serverTLS
	default:
		srv.AllowInsecureAuth = true
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return s
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *gosmtp.MailOptions) error {
	_, s.m.tls = s.conn.TLSConnectionState()
	s.m.from = from
	return call(s.s.onMail)
}

func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.m.to = to
	if s.s.onRcpt != nil {
		return s.s.onRcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.m.data = string(b)
	if err := call(s.s.onData); err != nil {
		return err
	}
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	s.s.mails = append(s.s.mails, s.m)
	return nil
}

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

type authSession struct{ *session }

func (a *authSession) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

func (a *authSession) Auth(mech string) (sasl.Server, error) {
	if mech != sasl.Plain {
		return nil, gosmtp.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "ada" || password != "open sesame" {
			return gosmtp.ErrAuthFailed
		}
		a.m.user = user
		return nil
	}), nil
}

func (a *authSession) Mail(from string, o *gosmtp.MailOptions) error {
	if a.m.user == "" {
		return gosmtp.ErrAuthRequired
	}
	return a.session.Mail(from, o)
}

func (s *server) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mails...)
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func client(t *testing.T, s *server, kind string, change func(*smtp.Config)) *smtp.Sender {
	t.Helper()
	c := smtp.Config{Host: "127.0.0.1", Port: s.port, TLS: kind, TLSConfig: s.roots, From: "no-reply@clinic.example", FromName: "Klinik Zürich", HELO: "app.clinic.example"}
	if change != nil {
		change(&c)
	}
	sender, err := smtp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Close)
	return sender
}

func message() notify.Rendered {
	return notify.Rendered{
		ID: auth.ID{1, 2, 3, 15: 4}, Channel: notify.ChannelEmail, Kind: notify.KindRecovery, To: "ada@example.com", Subject: "איפוס הסיסמה שלכם",
		Text: "Hello\n.\nline with a dot\n" + strings.Repeat("long ", 400), HTML: "<p>שלום</p>", Code: "123456", Link: "https://x.example/?a=1",
		CreatedAt: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC),
	}
}
