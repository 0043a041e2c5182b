package cardea

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func mustTickets(t testing.TB, c TicketConfig) *Tickets {
	t.Helper()
	tickets, err := NewTickets(c)
	if err != nil {
		t.Fatal(err)
	}
	return tickets
}

// ticketServer offers tickets at /ticket and streams at /events and /other, whose handlers
// answer who they see and the URL that they see.
type ticketServer struct {
	*httptest.Server
	t      *testing.T
	clock  *fakeClock
	store  *MemoryTickets
	logged *lines // of a log outside of the guard
	denied *lines
}

type lines struct {
	mu   sync.Mutex
	list []string
}

func (l *lines) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, fmt.Sprintf(format, args...))
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.list, "\n")
}

func newTicketServer(t *testing.T, change ...func(*Config, *TicketConfig)) *ticketServer {
	t.Helper()
	s := &ticketServer{t: t, clock: newFakeClock(), logged: &lines{}, denied: &lines{}}
	s.store = NewMemoryTickets(100, s.clock.Now)
	c := testConfig(t)
	c.Now = s.clock.Now
	c.OnDenied = func(_ context.Context, d Denial) {
		s.denied.add("%s %s %s %v %q", d.Method, d.Path, d.Err.Code, d.Err, d.Err.Required)
	}
	tc := TicketConfig{Store: s.store}
	for _, f := range change {
		f(&c, &tc)
	}
	tc.Verifier = mustVerifier(t, c)
	tickets := mustTickets(t, tc)
	mux := http.NewServeMux()
	mux.Handle("/ticket", tickets.Handler(Authenticated()))
	mux.Handle("/renew", tickets.RenewHandler())
	guard := tickets.Require(NotAnonymous(), Role("doctor"))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := PrincipalFrom(r.Context())
		if st, ok := StreamFrom(r.Context()); !ok || st.Principal() != p {
			t.Error("no stream in the context")
		}
		fmt.Fprintf(w, "user %s at %s, form %q", p.Subject, r.RequestURI, r.FormValue("token"))
	})
	mux.Handle("GET /events", guard(handler))
	mux.Handle("GET /other", guard(handler))
	mux.Handle("/app/", guard(http.StripPrefix("/app", handler)))
	mux.Handle("/inner/", http.StripPrefix("/inner", guard(handler)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r)
		s.logged.add("%s %s %v", r.Method, r.URL, r.Form) // as a log does that is written afterwards
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *ticketServer) do(method, path, token, body string, header ...string) (int, http.Header, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// ticket asks for one.
func (s *ticketServer) ticket(token, path string, header ...string) string {
	s.t.Helper()
	status, h, body := s.do("POST", "/ticket", token, string(toJSON(map[string]any{"path": path})), header...)
	var answer struct {
		Ticket    string `json:"ticket"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 201 || answer.ExpiresIn != 30 || len(answer.Ticket) != 43 || h.Get("Cache-Control") != "no-store" {
		s.t.Fatal(status, h, body, err)
	}
	return answer.Ticket
}

// TestTickets: A25.3, X10. A ticket works once within 30 s on its path and from its
// origin, and no log shows it.
func TestTickets(t *testing.T) {
	t.Parallel()
	token := hsToken(map[string]any{"sub": "u-1"})
	const page = "https://app.example"
	invalid := `{"detail":"Ticket is invalid, used or expired","code":"INVALID_TICKET"}` + "\n"
	cases := []struct {
		name   string
		path   string   // that the ticket is for
		issue  []string // headers
		wait   time.Duration
		use    string // path and query; %s is the ticket
		header []string
		status int
		body   string
	}{
		{"at once", "/events", nil, 0, "/events?token=%s", nil, 200, `user u-1 at /events?token=redacted, form "redacted"`},
		{"with other parameters", "/events", nil, 0, "/events?a=1&token=%s&b=%%32&b=+", nil, 200, `user u-1 at /events?a=1&token=redacted&b=%32&b=+, form "redacted"`},
		{"name is encoded", "/events", nil, 0, "/events?%%74oken=%s", nil, 200, `user u-1 at /events?token=redacted, form "redacted"`},
		{"in the last second", "/events", nil, 30*time.Second - time.Millisecond, "/events?token=%s", nil, 200, `user u-1 at /events?token=redacted, form "redacted"`},
		{"too late", "/events", nil, 30 * time.Second, "/events?token=%s", nil, 401, invalid},
		{"on another path", "/events", nil, 0, "/other?token=%s", nil, 401, invalid},
		{"behind a prefix", "/app/x", nil, 0, "/app/x?token=%s", nil, 200, `user u-1 at /app/x?token=redacted, form "redacted"`},
		{"behind another prefix", "/x", nil, 0, "/app/x?token=%s", nil, 401, invalid},
		{"other spelling of the path", "/app/a/b", nil, 0, "/app/a%%2Fb?token=%s", nil, 401, invalid},
		{"page of another origin", "/events", []string{"Origin", page}, 0, "/events?token=%s", []string{"Origin", page}, 200, `user u-1 at /events?token=redacted, form "redacted"`},
		{"another page", "/events", []string{"Origin", page}, 0, "/events?token=%s", []string{"Origin", "https://evil.example"}, 401, invalid},
		{"page on another port", "/events", []string{"Origin", page}, 0, "/events?token=%s", []string{"Origin", page + ":8443"}, 401, invalid},
		{"cross-origin without Origin", "/events", []string{"Origin", page}, 0, "/events?token=%s", nil, 401, invalid},
		{"issued without a page, used by one", "/events", nil, 0, "/events?token=%s", []string{"Origin", page}, 401, invalid},
		{"two origins", "/events", []string{"Origin", page}, 0, "/events?token=%s", []string{"Origin", page, "Origin", page}, 401, invalid},
		{"another ticket's shape", "/events", nil, 0, "/events?token=x%s", nil, 401, invalid},
		{"one bit more", "/events", nil, 0, "/events?token=%sA", nil, 401, invalid},
		{"empty", "/events", nil, 0, "/events?token=", nil, 401, invalid},
		{"twice in the query", "/events", nil, 0, "/events?token=%s&token=x", nil, 401, invalid},
		{"bad query", "/events", nil, 0, "/events?token=%s&x=%%zz", nil, 400, `{"detail":"The request is malformed","code":"INVALID_REQUEST"}` + "\n"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newTicketServer(t)
			ticket := s.ticket(token, tc.path, tc.issue...)
			s.clock.Advance(tc.wait)
			use := strings.ReplaceAll(strings.ReplaceAll(tc.use, "%s", ticket), "%%", "%")
			status, _, body := s.do("GET", use, "", "", tc.header...)
			if status != tc.status || body != tc.body {
				t.Errorf("%d %s, want %d %s", status, body, tc.status, tc.body)
			}
			if status, _, body := s.do("GET", use, "", "", tc.header...); status != 401 && status != 400 {
				t.Errorf("second try: %d %s", status, body)
			}
			for _, text := range []string{s.logged.String(), s.denied.String()} {
				if strings.Contains(text, ticket) || strings.Contains(text, token) {
					t.Errorf("a log shows a secret: %s", text)
				}
			}
		})
	}
}

// TestTicketBehindStripPrefix: the path is the one that the client sent.
func TestTicketBehindStripPrefix(t *testing.T) {
	t.Parallel()
	s := newTicketServer(t)
	for path, want := range map[string]int{"/inner/a%20b": 200, "/a%20b": 401} {
		if status, _, body := s.do("GET", "/inner/a%20b?token="+s.ticket(hsToken(), path), "", ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/a%2Fb?c", nil)
	r.RequestURI = "" // a transport without one
	if got := requestPath(r); got != "/a%2Fb" {
		t.Error(got)
	}
}

// TestTicketOfOwnOrigin: browsers send no Origin with an event stream of the page's own
// server.
func TestTicketOfOwnOrigin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		site string
		want int
	}{{"", 200}, {"same-origin", 200}, {"same-site", 401}, {"cross-site", 401}, {"none", 401}} {
		s := newTicketServer(t)
		ticket := s.ticket(hsToken(), "/events", "Origin", s.URL)
		header := []string{}
		if tc.site != "" {
			header = []string{"Sec-Fetch-Site", tc.site}
		}
		if status, _, body := s.do("GET", "/events?token="+ticket, "", "", header...); status != tc.want {
			t.Errorf("%q: %d %s", tc.site, status, body)
		}
	}
}

// TestTokenInURL: X10, S2.20, B2.33. An access token in the query is refused unless the
// old way is switched on, and redacted in either case.
func TestTokenInURL(t *testing.T) {
	t.Parallel()
	good := hsToken(map[string]any{"sub": "u-1"})
	for _, legacy := range []bool{false, true} {
		s := newTicketServer(t, func(_ *Config, c *TicketConfig) { c.InsecureTokenInQuery = legacy })
		status, h, body := s.do("GET", "/events?token="+good, "", "")
		want, wantBody := 401, `{"detail":"Access tokens are not accepted in the URL","code":"TOKEN_IN_URL"}`+"\n"
		if legacy {
			want, wantBody = 200, `user u-1 at /events?token=redacted, form "redacted"`
		}
		if status != want || body != wantBody || (status == 401) != (h.Get("WWW-Authenticate") == `Bearer error="invalid_token"`) {
			t.Errorf("legacy %t: %d %s %v", legacy, status, body, h)
		}
		// The value in the query wins: with a good header, too.
		if status, _, _ := s.do("GET", "/events?token="+good[:len(good)-4]+"AAAA", good, ""); status != 401 {
			t.Errorf("legacy %t: forged in the query, good in the header: %d", legacy, status)
		}
		if status, _, body := s.do("GET", "/events", good, ""); status != 200 || body != `user u-1 at /events, form ""` {
			t.Errorf("legacy %t: header: %d %s", legacy, status, body)
		}
		if status, _, _ := s.do("GET", "/events", "", ""); status != 401 {
			t.Errorf("legacy %t: nothing: %d", legacy, status)
		}
		if text := s.logged.String() + s.denied.String(); strings.Contains(text, good[:20]) {
			t.Errorf("a log shows the token: %s", text)
		}
	}
}

// TestTicketNeedsAGoodToken: a ticket does no more than its token.
func TestTicketNeedsAGoodToken(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	s := newTicketServer(t, func(c *Config, _ *TicketConfig) {
		c.Revoked = func(context.Context, *Principal) error {
			if gone.Load() {
				return NewError(CodeTokenRevoked, nil)
			}
			return nil
		}
	})
	short := hsToken(map[string]any{"exp": testNow().Unix() + 10})
	late := s.ticket(short, "/events")
	ended := s.ticket(hsToken(), "/events")
	patient := s.ticket(hsToken(map[string]any{"app_metadata": absent}), "/events")
	s.clock.Advance(10 * time.Second)
	if status, _, body := s.do("GET", "/events?token="+late, "", ""); status != 401 || !strings.Contains(body, "TOKEN_EXPIRED") {
		t.Errorf("expired: %d %s", status, body)
	}
	if status, _, body := s.do("GET", "/events?token="+patient, "", ""); status != 403 || !strings.Contains(body, "INSUFFICIENT_ROLE") {
		t.Errorf("without the role: %d %s", status, body)
	}
	gone.Store(true)
	if status, _, body := s.do("GET", "/events?token="+ended, "", ""); status != 401 || !strings.Contains(body, "TOKEN_REVOKED") {
		t.Errorf("revoked: %d %s", status, body)
	}
	if status, _, _ := s.do("POST", "/ticket", short, `{"path":"/events"}`); status != 401 {
		t.Errorf("ticket for an expired token: %d", status)
	}
}

// TestTicketRequests: what the handler refuses, over HTTP.
func TestTicketRequests(t *testing.T) {
	t.Parallel()
	s := newTicketServer(t)
	good := hsToken()
	cases := []struct {
		name, method, token, body string
		header                    []string
		status                    int
		code                      Code
	}{
		{"no token", "POST", "", `{"path":"/events"}`, nil, 401, CodeHeaderMissing},
		{"GET", "GET", good, "", nil, 405, CodeMethod},
		{"no body", "POST", good, "", nil, 400, CodeRequestInvalid},
		{"no path", "POST", good, `{}`, nil, 400, CodeRequestInvalid},
		{"path is a number", "POST", good, `{"path":1}`, nil, 400, CodeRequestInvalid},
		{"path twice", "POST", good, `{"path":"/a","path":"/b"}`, nil, 400, CodeRequestInvalid},
		{"relative path", "POST", good, `{"path":"events"}`, nil, 400, CodeRequestInvalid},
		{"address", "POST", good, `{"path":"https://evil.example/events"}`, nil, 400, CodeRequestInvalid},
		{"another host", "POST", good, `{"path":"//evil.example/events"}`, nil, 400, CodeRequestInvalid},
		{"query", "POST", good, `{"path":"/events?a=b"}`, nil, 400, CodeRequestInvalid},
		{"fragment", "POST", good, `{"path":"/events#a"}`, nil, 400, CodeRequestInvalid},
		{"bad escape", "POST", good, `{"path":"/%zz"}`, nil, 400, CodeRequestInvalid},
		{"long path", "POST", good, `{"path":"/` + strings.Repeat("a", 2100) + `"}`, nil, 400, CodeRequestInvalid},
		{"large body", "POST", good, `{"path":"/` + strings.Repeat("a", 9000) + `"}`, nil, 413, CodeBodyTooLarge},
		{"sandboxed page", "POST", good, `{"path":"/events"}`, []string{"Origin", "null"}, 400, CodeRequestInvalid},
		{"two origins", "POST", good, `{"path":"/events"}`, []string{"Origin", "https://a.example", "Origin", "https://b.example"}, 400, CodeRequestInvalid},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			status, h, body := s.do(tc.method, "/ticket", tc.token, tc.body, tc.header...)
			if status != tc.status || !strings.Contains(body, `"code":"`+string(tc.code)+`"`) {
				t.Errorf("%d %s", status, body)
			}
			if (status == 405) != (h.Get("Allow") == "POST") {
				t.Errorf("Allow: %q", h.Get("Allow"))
			}
		})
	}
	t.Cleanup(func() {
		if s.store.Len() != 0 {
			t.Errorf("%d tickets", s.store.Len())
		}
	})
}

// TestTicketRace: 16 tries at the same time with one ticket, one wins.
func TestTicketRace(t *testing.T) {
	t.Parallel()
	s := newTicketServer(t)
	for range 5 {
		ticket := s.ticket(hsToken(), "/events")
		var won atomic.Int32
		var all sync.WaitGroup
		start := make(chan struct{})
		for range 16 {
			all.Go(func() {
				<-start
				if status, _, _ := s.do("GET", "/events?token="+ticket, "", ""); status == 200 {
					won.Add(1)
				}
			})
		}
		close(start)
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d winners", won.Load())
		}
	}
}

func TestTicketConfig(t *testing.T) {
	t.Parallel()
	_, err := NewTickets(TicketConfig{TTL: time.Hour, Param: "a&b"})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v", err)
	}
	if _, err := NewTickets(TicketConfig{Verifier: mustVerifier(t, testConfig(t)), TTL: -1}); err == nil {
		t.Error("negative TTL")
	}
	s := newTicketServer(t, func(_ *Config, c *TicketConfig) {
		c.Rand = strings.NewReader("too short")
		c.Param = "ticket"
		c.Store = nil
	})
	if status, _, body := s.do("POST", "/ticket", hsToken(), `{"path":"/events"}`); status != 500 || !strings.Contains(body, "INTERNAL_ERROR") {
		t.Errorf("no randomness: %d %s", status, body)
	}
	s = newTicketServer(t, func(c *Config, _ *TicketConfig) { c.RequireHTTPS = true })
	if status, _, body := s.do("GET", "/events?token=x", "", ""); status != 403 || !strings.Contains(body, "HTTPS_REQUIRED") {
		t.Errorf("rules of the Verifier hold: %d %s", status, body)
	}
}
