// Package inbox shows the mails and text messages of `cardea dev`, which go nowhere else: a
// page for people, and JSON for tests.
//
//	GET    {prefix}                          the page
//	GET    {prefix}/api/messages             newest first; ?to=, ?channel=, ?kind=, ?after={id}, ?wait={seconds}
//	GET    {prefix}/messages                 the same
//	GET    {prefix}/api/messages/{id}        one message
//	GET    {prefix}/api/messages/{id}/html   the HTML of a mail, in a sandbox
//	DELETE {prefix}/api/messages             forgets all
//	DELETE {prefix}/api/messages/{id}        forgets one
//	GET    {prefix}/api/events               server-sent events: "change" when there is something new
//
// The messages hold codes and links that sign in, and nobody has to sign in to read them.
// Therefore the handler answers to this machine only: the client's address and the name in
// the Host header must be loopback (a page of the internet whose name suddenly resolves to
// 127.0.0.1 sends its own name: DNS rebinding), and a browser must not say that another
// origin asks. It is mounted by `cardea dev` alone.
package inbox

import (
	"bytes"
	"embed"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/web"
)

//go:embed static
var static embed.FS

// maxWait is how long a request may wait for a message. It has to stay below the time limit
// of requests.
const maxWait = 10 * time.Second

// Config is what [New] needs.
type Config struct {
	Messages *notify.Inbox
	Prefix   string // path that the handler is mounted at, "" means /inbox
	// Done ends event streams and waits when the server is told to stop; nil: they end with
	// their clients, or after their time.
	Done <-chan struct{}
}

type handler struct {
	c    Config
	page []byte
}

// New makes the handler. It serves the prefix and everything below it; the error is that of
// a page that can't be made.
func New(c Config) (http.Handler, error) {
	if c.Prefix == "" {
		c.Prefix = "/inbox"
	}
	c.Prefix = strings.TrimRight(c.Prefix, "/")
	h := &handler{c: c}
	t, err := template.ParseFS(static, "static/page.html")
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	if err := t.Execute(&page, struct{ Prefix string }{c.Prefix}); err != nil {
		return nil, err
	}
	h.page = page.Bytes()
	mux := http.NewServeMux()
	for pattern, f := range map[string]http.HandlerFunc{
		"GET " + c.Prefix + "/{$}":                    h.showPage,
		"GET " + c.Prefix:                             h.showPage,
		"GET " + c.Prefix + "/app.js":                 h.asset("app.js", "text/javascript; charset=utf-8"),
		"GET " + c.Prefix + "/app.css":                h.asset("app.css", "text/css; charset=utf-8"),
		"GET " + c.Prefix + "/messages":               h.list,
		"GET " + c.Prefix + "/api/messages":           h.list,
		"DELETE " + c.Prefix + "/api/messages":        h.clear,
		"GET " + c.Prefix + "/api/messages/{id}":      h.one,
		"GET " + c.Prefix + "/api/messages/{id}/html": h.html,
		"DELETE " + c.Prefix + "/api/messages/{id}":   h.remove,
		"GET " + c.Prefix + "/api/events":             h.events,
	} {
		mux.HandleFunc(pattern, f)
	}
	mux.HandleFunc(c.Prefix+"/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "There is no such page in the inbox.")
	})
	return guard(mux), nil
}

// guard lets this machine's own requests through. What it verifies:
//
//   - the connection comes from a loopback address;
//   - the Host header names one, so a foreign name that resolves to it is refused;
//   - Origin, where a browser sends it, is this server's own;
//   - Sec-Fetch-Site is "same-origin" or "none"; from elsewhere only a whole page may be
//     opened, which the other side can't read.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !loopback(hostOf(r.RemoteAddr)) || !loopback(hostOf(r.Host)):
			refuse(w, http.StatusForbidden, "NOT_LOOPBACK", "The inbox answers on localhost only.")
		case !sameOrigin(r):
			refuse(w, http.StatusForbidden, "CROSS_ORIGIN", "The inbox does not answer other origins.")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func sameOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host || u.Scheme != "http" && u.Scheme != "https" {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none": // programs, this page, the address bar
		return true
	}
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// refuse answers in the shape that our own REST API uses.
func refuse(w http.ResponseWriter, status int, code, detail string) {
	h := w.Header()
	h.Del("Access-Control-Allow-Origin")
	h.Set("Cache-Control", "no-store")
	_ = web.WriteJSON(w, status, map[string]string{"detail": detail, "code": code}) // three strings can be encoded
}

func (h *handler) showPage(w http.ResponseWriter, _ *http.Request) {
	headers(w, "text/html; charset=utf-8", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
		"frame-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	_, _ = w.Write(h.page)
}

func (h *handler) asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, err := static.ReadFile("static/" + name)
		if err != nil {
			refuse(w, http.StatusNotFound, "NOT_FOUND", "There is no such file.")
			return
		}
		headers(w, contentType, "default-src 'none'")
		_, _ = w.Write(text)
	}
}

func headers(w http.ResponseWriter, contentType, policy string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// view is a message as JSON.
type view struct {
	ID        auth.ID     `json:"id"`
	Channel   string      `json:"channel"`
	Kind      notify.Kind `json:"kind"`
	To        string      `json:"to"`
	Locale    string      `json:"locale"`
	Subject   string      `json:"subject"`
	Text      string      `json:"text"`
	HTML      string      `json:"html"`
	Code      string      `json:"code"`
	Link      string      `json:"link"`
	CreatedAt time.Time   `json:"created_at"`
}

func show(m notify.Rendered) view {
	return view{
		ID: m.ID, Channel: m.Channel, Kind: m.Kind, To: m.To, Locale: m.Locale, Subject: m.Subject, Text: m.Text, HTML: m.HTML,
		Code: m.Code, Link: m.Link, CreatedAt: m.CreatedAt.UTC(),
	}
}

// find gives what a query asks for, newest first. after names a message: only what came in
// later counts, all of it when that one has gone.
func (h *handler) find(q url.Values, after auth.ID) []view {
	found := []view{}
	for _, m := range h.c.Messages.Messages(q.Get("to")) {
		if !after.IsZero() && m.ID == after {
			break
		}
		if wanted(q["channel"], m.Channel) && wanted(q["kind"], string(m.Kind)) {
			found = append(found, show(m))
		}
	}
	return found
}

func wanted(asked []string, is string) bool {
	return len(asked) == 0 || asked[0] == "" || slices.Contains(asked, is)
}
