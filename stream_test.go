package cardea

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// streaming runs one stream without a network, so that synctest can own the clock.
type streaming struct {
	v       *Verifier
	tickets *Tickets
	guard   func(http.Handler) http.Handler
	stream  *Stream
	ctx     context.Context
	w       http.ResponseWriter
	opened  chan struct{}
	leave   chan struct{}
	done    chan struct{}
	revoked atomic.Bool
	down    atomic.Bool
	checks  atomic.Int32
}

// token is good for that long from now.
func (s *streaming) token(life time.Duration, changes ...map[string]any) string {
	now := time.Now().Unix()
	all := append([]map[string]any{{"iat": now, "exp": now + int64(life/time.Second)}}, changes...)
	return hsToken(all...)
}

func openStream(t *testing.T, life, recheck time.Duration) *streaming {
	t.Helper()
	s := &streaming{opened: make(chan struct{}), leave: make(chan struct{}), done: make(chan struct{})}
	c := testConfig(t)
	c.Now = time.Now
	c.Revoked = func(context.Context, *Principal) error {
		s.checks.Add(1)
		switch {
		case s.revoked.Load():
			return NewError(CodeTokenRevoked, nil)
		case s.down.Load():
			return errors.New("list is down")
		}
		return nil
	}
	s.v = mustVerifier(t, c)
	s.tickets = mustTickets(t, TicketConfig{Verifier: s.v, Recheck: recheck})
	s.guard = s.tickets.Require(Role("doctor"))
	h := s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.stream, _ = StreamFrom(r.Context())
		s.ctx, s.w = r.Context(), w
		close(s.opened)
		select {
		case <-r.Context().Done():
		case <-s.leave:
		}
	}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil)
	r.Header.Set("Authorization", "Bearer "+s.token(life))
	go func() {
		defer close(s.done)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}()
	<-s.opened
	return s
}

// ended waits until the stream ends by itself and says after how long and why.
func (s *streaming) ended(start time.Time) (time.Duration, Code) {
	<-s.done
	return time.Since(start).Truncate(time.Second), CodeOf(context.Cause(s.ctx))
}

// TestStreamEnds: the stream ends when its token does or is revoked, whatever its handler
// does; an issuer that is down ends nothing.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		recheck time.Duration
		change  func(*streaming)
		after   time.Duration
		want    Code
	}{
		{"with its token", 0, func(*streaming) {}, 10 * time.Minute, CodeExpired},
		{"with its token, never looked at", -1, func(*streaming) {}, 10 * time.Minute, CodeExpired},
		{"revoked", 0, func(s *streaming) { s.revoked.Store(true) }, time.Minute, CodeTokenRevoked},
		{"revoked, looked at more often", 5 * time.Second, func(s *streaming) { s.revoked.Store(true) }, 5 * time.Second, CodeTokenRevoked},
		{"revoked, never looked at", -1, func(s *streaming) { s.revoked.Store(true) }, 10 * time.Minute, CodeExpired},
		{"list of the revoked is down", 0, func(s *streaming) { s.down.Store(true) }, 10 * time.Minute, CodeExpired},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := openStream(t, 10*time.Minute, tc.recheck)
				start := time.Now()
				tc.change(s)
				after, why := s.ended(start)
				if after != tc.after || why != tc.want {
					t.Errorf("after %s because of %s", after, why)
				}
				if n, err := s.w.Write([]byte("more")); n != 0 || err == nil {
					t.Error("a stream that is over was written to")
				}
				if err := s.stream.Renew(t.Context(), s.token(time.Hour)); err == nil {
					t.Error("a stream that is over was renewed")
				}
				if len(s.tickets.open) != 0 {
					t.Error("the stream was not forgotten")
				}
			})
		})
	}
}

// TestStreamRenew: the same user may go on, others may not.
func TestStreamRenew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStream(t, 10*time.Minute, 0)
		start := time.Now()
		first := s.stream.Principal()
		for name, tc := range map[string]struct {
			token string
			want  Code
		}{
			"no token":            {"x", CodeTokenStructure},
			"of somebody else":    {s.token(time.Hour, map[string]any{"sub": "u-2"}), CodeForbidden},
			"without the role":    {s.token(time.Hour, map[string]any{"app_metadata": absent}), CodeRole},
			"expired":             {s.token(0), CodeExpired},
			"shorter: no failure": {s.token(time.Minute), ""},
		} {
			if err := s.stream.Renew(t.Context(), tc.token); CodeOf(err) != tc.want || s.stream.Principal() != first {
				t.Errorf("%s: %v", name, err)
			}
		}
		<-time.After(9 * time.Minute) // by the clock of synctest
		if err := s.stream.Renew(t.Context(), s.token(10*time.Minute, map[string]any{"session_id": "s-new"})); err != nil {
			t.Fatal(err)
		}
		if p, _ := PrincipalFrom(s.ctx); s.stream.Principal() == p || p != first {
			t.Error("Principal is not that of the newest token")
		}
		if after, why := s.ended(start); after != 19*time.Minute || why != CodeExpired {
			t.Errorf("after %s because of %s", after, why)
		}
		if s.checks.Load() < 15 {
			t.Errorf("looked at %d times", s.checks.Load())
		}
	})
}

// TestRenewHandler: it renews the streams of one session, and of no other.
func TestRenewHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStream(t, 10*time.Minute, 0)
		start := time.Now()
		renew := func(token string) string {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/renew", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			s.tickets.RenewHandler().ServeHTTP(w, r)
			return fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String()))
		}
		for _, tc := range []struct{ name, token, want string }{
			{"another session", s.token(time.Hour, map[string]any{"session_id": "s-2"}), `200 {"renewed":0}`},
			{"another user", s.token(time.Hour, map[string]any{"sub": "u-2"}), `200 {"renewed":0}`},
			{"without the role", s.token(time.Hour, map[string]any{"app_metadata": absent}), `200 {"renewed":0}`},
			{"bad token", "x.y.z", `401 {"detail":"Token is not properly encoded","code":"INVALID_BASE64_ENCODING"}`},
			{"the session", s.token(20 * time.Minute), `200 {"renewed":1}`},
		} {
			if got := renew(tc.token); got != tc.want {
				t.Errorf("%s: %s", tc.name, got)
			}
		}
		if after, why := s.ended(start); after != 20*time.Minute || why != CodeExpired {
			t.Errorf("after %s because of %s", after, why)
		}
		if got := renew(s.token(time.Hour)); got != `200 {"renewed":0}` {
			t.Errorf("no stream: %s", got)
		}
	})
}

// TestStreamLeft: a handler that returns ends its stream, without a cause of ours.
func TestStreamLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStream(t, 10*time.Minute, 0)
		close(s.leave)
		<-s.done
		if cause := context.Cause(s.ctx); !errors.Is(cause, context.Canceled) {
			t.Error(cause)
		}
		if err := s.stream.renew(s.token(time.Hour), s.stream.Principal()); err == nil || err.Code != CodeExpired {
			t.Error(err)
		}
		s.stream.look() // a timer that fired just before
		if _, ok := StreamFrom(t.Context()); ok {
			t.Error("a stream from nowhere")
		}
	})
}

// running is a clock that starts at a given time and runs.
func running(from time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return from.Add(time.Since(began)) }
}

// TestServerSentEvents runs a stream over HTTP until its token ends: with events before it
// and the end of the answer after it, though the handler looks at nothing.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	exp := testNow().Add(time.Hour)
	c.Now = running(exp.Add(-300 * time.Millisecond))
	v := mustVerifier(t, c)
	tickets := mustTickets(t, TicketConfig{Verifier: v})
	mux := http.NewServeMux()
	mux.Handle("/ticket", tickets.Handler(Authenticated()))
	mux.Handle("GET /events", tickets.Require(Authenticated())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flusher, ok := w.(http.Flusher)
		if !ok {
			t.Error("no Flusher")
			return
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := io.WriteString(w, "data: x\n\n"); err != nil {
				if CodeOf(err) != CodeExpired || CodeOf(context.Cause(r.Context())) != CodeExpired {
					t.Error(err)
				}
				return
			}
			flusher.Flush()
			if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
				t.Error(err)
			}
			<-tick.C
		}
	})))
	s := &ticketServer{Server: httptest.NewServer(mux), t: t}
	defer s.Close()
	ticket := s.ticket(hsToken(map[string]any{"exp": exp.Unix()}), "/events")
	status, h, body := s.do("GET", "/events?token="+ticket, "", "")
	if status != 200 || h.Get("Content-Type") != "text/event-stream" || strings.Count(body, "data: x\n\n") < 2 {
		t.Errorf("%d %v %d events", status, h, strings.Count(body, "data"))
	}
}

// TestWebSocket: a connection that the handler took over gets a ticket's guard, and is
// closed after the end though its handler does not look at the context.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	exp := testNow().Add(time.Hour)
	c.Now = running(exp.Add(-200 * time.Millisecond))
	v := mustVerifier(t, c)
	tickets := mustTickets(t, TicketConfig{Verifier: v})
	tickets.grace = 20 * time.Millisecond
	handlerSaw := make(chan error, 1)
	mux := http.NewServeMux()
	mux.Handle("/ticket", tickets.Handler(Authenticated()))
	mux.Handle("GET /ws", tickets.Require(Authenticated())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			t.Error("no Hijacker")
			return
		}
		conn, rw, err := hijacker.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		_ = rw.Flush()
		_, err = rw.ReadByte() // for ever, were it not for the guard
		handlerSaw <- err
	})))
	s := &ticketServer{Server: httptest.NewServer(mux), t: t}
	defer s.Close()
	const page = "https://app.example"
	ticket := s.ticket(hsToken(map[string]any{"exp": exp.Unix()}), "/ws", "Origin", page)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/ws?token="+ticket, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {page}}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	text, err := io.ReadAll(bufio.NewReader(resp.Body)) // ends when the guard closes it
	if string(text) != "hello" {
		t.Error(string(text), err)
	}
	if err := <-handlerSaw; err == nil {
		t.Error("the handler read something")
	}
	// The recorder of a test can't be taken over, and says so.
	if _, _, err := (&streamWriter{httptest.NewRecorder(), nil}).Hijack(); err == nil {
		t.Error("hijacked a recorder")
	}
	(&streamWriter{httptest.NewRecorder(), nil}).Flush()
}
