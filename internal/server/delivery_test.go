package server

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/mail"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// mailServer is a real one, whose temper a test decides.
type mailServer struct {
	address string
	srv     *gosmtp.Server
	ln      net.Listener
	rcpt    func(to string) error // nil: everybody is known
	data    func(to string) error // nil: everything is taken

	mu    sync.Mutex
	ids   map[string][]string // recipient to Message-IDs
	tries atomic.Int64
	more  chan struct{}
}

// listenMail starts one; address "" takes a free port.
func listenMail(tb testing.TB, address string) *mailServer {
	tb.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	m := &mailServer{address: ln.Addr().String(), ln: ln, ids: map[string][]string{}, more: make(chan struct{}, 1)}
	m.srv = gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &smtpSession{m: m}, nil }))
	m.srv.Domain, m.srv.ErrorLog = "mail.test", log.New(io.Discard, "", 0)
	go func() { _ = m.srv.Serve(ln) }()
	tb.Cleanup(m.stop)
	return m
}

// stop ends the server and every conversation.
func (m *mailServer) stop() {
	_ = m.ln.Close()
	_ = m.srv.Close()
}

// settings make a server send its mail there.
func (m *mailServer) settings() []string { return mailAt(m.address) }

func mailAt(address string) []string {
	host, port, _ := net.SplitHostPort(address)
	return []string{
		"CARDEA_SMTP_HOST=" + host, "CARDEA_SMTP_PORT=" + port, "CARDEA_SMTP_TLS=none", "CARDEA_SMTP_FROM=no-reply@example.org",
	}
}

type smtpSession struct {
	m  *mailServer
	to string
}

func (s *smtpSession) Mail(string, *gosmtp.MailOptions) error { return nil }
func (s *smtpSession) Reset()                                 {}
func (s *smtpSession) Logout() error                          { return nil }

func (s *smtpSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.m.tries.Add(1)
	if s.to = to; s.m.rcpt != nil {
		return s.m.rcpt(to)
	}
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, msg.Body); err != nil {
		return err
	}
	if s.m.data != nil {
		if err := s.m.data(s.to); err != nil {
			return err
		}
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.ids[s.to] = append(s.m.ids[s.to], msg.Header.Get("Message-Id"))
	select {
	case s.m.more <- struct{}{}:
	default:
	}
	return nil
}

// got gives the Message-IDs of the mails that one address has.
func (m *mailServer) got(to string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ids[to])
}

func (m *mailServer) total() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ids := range m.ids {
		n += len(ids)
	}
	return n
}

func smtpError(code int, text string) error {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

// The mail server is down: requests are answered as ever, the message waits, is tried again
// later each time, and goes out when the server is back. What was given up is listed, and
// goes out when an operator says so.
func TestMailServerIsDown(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := listenMail(t, "")
			m.stop()
			r := newRig(t, kind, Options{}, proof(m.settings()...)...)
			r.made(t, "a@example.org")
			r.must(t, "POST", "/otp", "", object{"email": "a@example.org"})
			r.failed(t, "refused")
			r.must(t, "POST", "/token?grant_type=password", "", object{"email": "a@example.org", "password": "correct horse"})
			if rows := r.queue(t); !rows[0].DeadAt.IsZero() || strings.Contains(rows[0].LastError, "a@example.org") {
				t.Errorf("%+v", rows)
			}
			back := listenMail(t, m.address)
			r.forward(time.Minute)
			r.empty(t)
			if len(back.got("a@example.org")) != 1 {
				t.Errorf("%d mails", back.total())
			}
			back.stop()
			r.must(t, "POST", "/recover", "", object{"email": "a@example.org"})
			// A link that has expired helps nobody: such a message is given up before twelve tries.
			r.failed(t, "refused")
			r.forward(2 * time.Hour)
			r.until(t, "a dead message", func(rows []auth.Message) bool { return len(rows) == 1 && !rows[0].DeadAt.IsZero() })
			dead, err := r.DeadMessages(t.Context(), 10)
			if err != nil || len(dead) != 1 || !strings.Contains(dead[0].LastError, "expired") || dead[0].Kind != "recovery" {
				t.Errorf("%+v, %v", dead, err)
			}
		})
	}
}

// A refusal that is final ends one message and no other; one that is not is tried again,
// under the same Message-ID. A dead message goes out once the mailbox is there.
func TestMailServerRefuses(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := listenMail(t, "")
			var known, calm atomic.Bool
			m.rcpt = func(to string) error {
				if to == "nobody@example.org" && !known.Load() {
					return smtpError(550, "no such user nobody@example.org")
				}
				return nil
			}
			var greyed atomic.Int64
			m.data = func(to string) error {
				if to == "grey@example.org" && !calm.Load() {
					greyed.Add(1)
					return smtpError(451, "come back later")
				}
				return nil
			}
			r := newRig(t, kind, Options{}, proof(m.settings()...)...)
			for _, name := range []string{"nobody", "grey", "fine"} {
				r.must(t, "POST", "/otp", "", object{"email": name + "@example.org"})
			}
			r.failed(t, "later")
			r.until(t, "one dead, one waiting", func(rows []auth.Message) bool {
				return len(rows) == 2 && slices.ContainsFunc(rows, func(m auth.Message) bool { return !m.DeadAt.IsZero() && m.Attempts == 1 }) &&
					slices.ContainsFunc(rows, func(m auth.Message) bool { return m.DeadAt.IsZero() && m.LastError != "" })
			})
			if len(m.got("fine@example.org")) != 1 {
				t.Error("a mail that nobody refuses did not arrive")
			}
			dead, err := r.DeadMessages(t.Context(), 10)
			if err != nil || len(dead) != 1 || strings.Contains(dead[0].LastError, "nobody@") {
				t.Fatalf("%+v, %v", dead, err)
			}
			calm.Store(true)
			known.Store(true)
			if err := r.RetryMessage(t.Context(), dead[0].ID); err != nil {
				t.Fatal(err)
			}
			r.forward(time.Minute)
			r.empty(t)
			for _, name := range []string{"nobody", "grey"} {
				if ids := m.got(name + "@example.org"); len(ids) != 1 {
					t.Errorf("%s: %q", name, ids)
				}
			}
			if id := m.got("nobody@example.org")[0]; id != "<"+dead[0].ID.String()+"@example.org>" {
				t.Errorf("Message-ID %s is not that of the row %s", id, dead[0].ID)
			}
		})
	}
}

// Mails that hang hold neither requests up nor the mails that don't.
func TestMailServerHangs(t *testing.T) {
	t.Parallel()
	m := listenMail(t, "")
	free := make(chan struct{})
	m.data = func(to string) error {
		if strings.HasPrefix(to, "slow") {
			<-free
		}
		return nil
	}
	r := newRig(t, "sqlite", Options{}, proof(m.settings()...)...)
	t.Cleanup(func() { close(free) })
	for i := range 7 { // of eight workers
		r.must(t, "POST", "/otp", "", object{"email": fmt.Sprintf("slow%d@example.org", i)})
	}
	for i := range 20 {
		r.must(t, "POST", "/otp", "", object{"email": fmt.Sprintf("quick%d@example.org", i)})
	}
	r.until(t, "the quick ones wait behind the slow ones", func(rows []auth.Message) bool { return len(rows) == 7 })
}

// deliveries is how many messages wait in TestSignInsDuringDelivery; the 10,000 with
// CARDEA_DELIVERIES=10000.
func deliveries(tb testing.TB) int {
	tb.Helper()
	text := os.Getenv("CARDEA_DELIVERIES")
	if text == "" {
		return 200
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// enqueue makes messages wait as one big mailing would.
func (r *rig) enqueue(tb testing.TB, n int) {
	tb.Helper()
	now := auth.Truncate(r.now())
	for from := 0; from < n; from += 500 {
		var rows []auth.Message
		for i := from; i < min(n, from+500); i++ {
			u := &auth.User{Email: fmt.Sprintf("waiting%d@example.org", i)}
			m, err := r.messages.Put(now, flow.Notice{
				Channel: "email", Kind: "recovery", To: u.Email, User: u, Purpose: auth.PurposeRecovery, Code: "123456", Link: strings.Repeat("ab", 28),
			})
			if err != nil {
				tb.Fatal(err)
			}
			m.NotBefore = now.Add(time.Hour) // until the test says go
			rows = append(rows, m)
		}
		if err := r.store.Enqueue(tb.Context(), rows); err != nil {
			tb.Fatal(err)
		}
	}
}

// Ten thousand mails go out while people sign in: every mail arrives once, and the time of
// a sign-in, reported here, stays that of a machine that has something else to do too.
func TestSignInsDuringDelivery(t *testing.T) { //nolint:paralleltest // measures
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) { //nolint:paralleltest // measures
			n := deliveries(t)
			m := listenMail(t, "")
			r := newRig(t, kind, Options{}, proof(append(m.settings(), "CARDEA_MAIL_CODE_LIFE=24h")...)...)
			r.made(t, "a@example.org")
			signIns := func(until func() bool) []time.Duration {
				var took []time.Duration
				for !until() {
					began := time.Now()
					r.must(t, "POST", "/token?grant_type=password", "", object{"email": "a@example.org", "password": "correct horse"})
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				return took
			}
			count := 0
			quiet := signIns(func() bool { count++; return count > 200 })
			r.enqueue(t, n)
			began := time.Now()
			r.forward(time.Hour)
			busy := signIns(func() bool { return m.total() >= n })
			took := time.Since(began)
			r.empty(t)
			if m.total() != n {
				t.Errorf("%d mails arrived, want %d", m.total(), n)
			}
			at := func(list []time.Duration, share float64) float64 {
				return list[int(float64(len(list)-1)*share)].Seconds() * 1e3
			}
			t.Logf("%s: %d mails in %.1f s (%.0f/s); sign-in p50 %.2f ms, p99 %.2f ms beside it (%d of them), %.2f and %.2f ms without",
				kind, n, took.Seconds(), float64(n)/took.Seconds(), at(busy, 0.5), at(busy, 0.99), len(busy), at(quiet, 0.5), at(quiet, 0.99))
			if at(busy, 0.5) > 250 {
				t.Error("sign-ins wait for mails")
			}
		})
	}
}
