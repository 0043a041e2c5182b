// Command mailbox is a mail server for tests: it takes every mail by SMTP, keeps it in
// memory, and gives it out as JSON. It prints one line, {"smtp": "host:port", "http":
// "http://host:port"}, and ends when its standard input does.
//
//	GET /messages?to=address    newest first: id, from, to, subject, text, html, headers
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mailbox:", err)
		os.Exit(1)
	}
}

func run() error {
	box := &mailbox{}
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	out, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := smtp.NewServer(box)
	s.Domain = "mailbox.test"
	failed := make(chan error, 3)
	go func() { failed <- s.Serve(in) }()
	go func() { failed <- http.Serve(out, box) }()
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err // whoever started us has ended
	}()
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{"smtp": in.Addr().String(), "http": "http://" + out.Addr().String()})
	return errors.Join(err, <-failed)
}

// message is a mail that came in.
type message struct {
	ID      string            `json:"id"`
	From    string            `json:"from"` // of the envelope
	To      string            `json:"to"`   // of the envelope
	Subject string            `json:"subject"`
	Text    string            `json:"text"`
	HTML    string            `json:"html"`
	Headers map[string]string `json:"headers"`
}

type mailbox struct {
	mu       sync.Mutex
	messages []message // newest first
}

// NewSession implements smtp.Backend.
func (b *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{box: b}, nil }

func (b *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	to := r.URL.Query().Get("to")
	found := []message{}
	for _, m := range b.messages {
		if to == "" || strings.EqualFold(m.To, to) {
			found = append(found, m)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(found)
}

// session is one SMTP conversation.
type session struct {
	box  *mailbox
	from string
	to   []string
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.from = from; return nil }

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = append(s.to, to); return nil }

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	m, err := parse(r)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	for _, to := range s.to {
		m.From, m.To = s.from, to
		s.box.messages = slices.Insert(s.box.messages, 0, m)
	}
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

func parse(r io.Reader) (message, error) {
	in, err := mail.ReadMessage(r)
	if err != nil {
		return message{}, err
	}
	m := message{Headers: map[string]string{}}
	for name, values := range in.Header {
		m.Headers[name] = strings.Join(values, "\n")
	}
	m.ID = m.Headers["Message-Id"]
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(in.Header.Get("Subject")); err != nil {
		return m, err
	}
	return m, m.read(in.Header.Get("Content-Type"), in.Header.Get("Content-Transfer-Encoding"), in.Body)
}

// read keeps the first text and the first HTML part.
func (m *message) read(contentType, encoding string, body io.Reader) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return err
	}
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.read(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "", "7bit", "8bit":
	default:
		return fmt.Errorf("transfer encoding %q is not expected", encoding)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	switch {
	case kind == "text/plain" && m.Text == "":
		m.Text = string(text)
	case kind == "text/html" && m.HTML == "":
		m.HTML = string(text)
	}
	return nil
}
