package cardea

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// TicketConfig is what [NewTickets] needs. Only Verifier has no default.
type TicketConfig struct {
	Verifier *Verifier

	// Store keeps tickets between the two requests; nil means the memory of this process,
	// for at most 10,000 tickets. Several processes behind one address need one store.
	Store TicketStore
	// TTL is how long a ticket can be used; 0 means 30 s, at most 5 min.
	TTL time.Duration
	// Param is the parameter of the query that carries the ticket; "" means "token".
	Param string
	// Recheck is how often the token of an open stream is verified again, so that a
	// revoked one ends it; 0 means 1 min, a negative value never. The end of the token
	// ends the stream in any case.
	Recheck time.Duration
	// Rand makes tickets, nil means crypto/rand.
	Rand io.Reader

	// InsecureTokenInQuery accepts access tokens themselves in Param. They end up in the
	// logs of every proxy on the way, and whoever reads those may use them until they
	// expire. Only for old clients that can't fetch a ticket, and until they can.
	InsecureTokenInQuery bool
}

// Tickets lets browsers open event streams and WebSockets, for which they can't set the
// Authorization header, without an access token in the URL. The client asks [Tickets.Handler]
// for a ticket, with its access token in the header, and opens the stream, whose route is
// guarded by [Tickets.Require], with ?token=<ticket>.
//
// A ticket is good for one try, for 30 seconds, for one path, for the user of the access
// token and for the origin (RFC 6454) of the page that asked for it. The store holds its
// hash, and the access token encrypted with the ticket: reading the store opens nothing.
// When the ticket is used the access token is verified anew, so a ticket never does more
// than its token.
type Tickets struct {
	v        *Verifier
	store    TicketStore
	ttl      time.Duration
	param    string
	recheck  time.Duration
	rand     io.Reader
	insecure bool
	grace    time.Duration

	mu   sync.Mutex
	open map[streamOwner]map[*Stream]struct{}
}

const (
	defaultTicketTTL = 30 * time.Second
	maxTicketTTL     = 5 * time.Minute
	defaultRecheck   = time.Minute

	ticketSize    = 32   // bytes of randomness
	maxTicketPath = 2048 // bytes
	maxTicketBody = 8 << 10
)

// NewTickets checks the configuration and lists every problem in one error.
func NewTickets(c TicketConfig) (*Tickets, error) {
	var problems []error
	if c.Verifier == nil {
		problems = append(problems, errors.New("no Verifier"))
	}
	if c.TTL < 0 || c.TTL > maxTicketTTL {
		problems = append(problems, fmt.Errorf("TTL: %s is not between 0 and %s", c.TTL, maxTicketTTL))
	}
	if c.Param != url.QueryEscape(c.Param) {
		problems = append(problems, fmt.Errorf("parameter %q has characters that have a meaning in a query", c.Param))
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("cardea: invalid configuration of tickets: %w", errors.Join(problems...))
	}
	t := &Tickets{
		v: c.Verifier, store: c.Store, ttl: c.TTL, param: c.Param, recheck: c.Recheck, rand: c.Rand,
		insecure: c.InsecureTokenInQuery, grace: closeGrace, open: map[streamOwner]map[*Stream]struct{}{},
	}
	if t.store == nil {
		t.store = NewMemoryTickets(defaultMemoryTickets, c.Verifier.now)
	}
	if t.ttl == 0 {
		t.ttl = defaultTicketTTL
	}
	if t.param == "" {
		t.param = "token"
	}
	if t.recheck == 0 {
		t.recheck = defaultRecheck
	}
	if t.rand == nil {
		t.rand = rand.Reader
	}
	return t, nil
}

// sealedTicket is what the store holds, encrypted.
type sealedTicket struct {
	Token   string `json:"t"`
	Path    string `json:"p"`
	Origin  string `json:"o"`
	Expires int64  `json:"e"` // Unix milliseconds
}

// Handler gives tickets to callers who meet the requirements: POST with the access token
// in the Authorization header and {"path": "/events"} as the body, the path of the stream
// as the client will request it, without query. The answer is 201 with
// {"ticket": "...", "expires_in": 30}.
//
// A nil requirement is a programming error: Handler panics.
func (t *Tickets) Handler(first Requirement, more ...Requirement) http.Handler {
	guard := t.v.Require(first, more...)
	return t.post(guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ticket, failure := t.issue(w, r)
		if failure != nil {
			t.v.report(r, denialOf(r, failure))
			t.v.refuse(w, r, failure)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, http.StatusCreated, "application/json", struct {
			Ticket    string `json:"ticket"`
			ExpiresIn int64  `json:"expires_in"`
		}{ticket, int64(t.ttl / time.Second)})
	})))
}

// post lets only POST pass.
func (t *Tickets) post(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			t.v.refuse(w, r, NewError(CodeMethod, nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func denialOf(r *http.Request, failure *Error) Denial {
	p, _ := PrincipalFrom(r.Context())
	return Denial{Err: failure, Principal: p}
}

func (t *Tickets) issue(w http.ResponseWriter, r *http.Request) (string, *Error) {
	token, failure := bearer(r.Header) // the guard has verified it
	if failure != nil {
		return "", failure
	}
	path, failure := wantedPath(w, r)
	if failure != nil {
		return "", failure
	}
	origin := ""
	switch list := r.Header["Origin"]; {
	case len(list) > 1, len(list) == 1 && (list[0] == "" || list[0] == "null"):
		// All sandboxed pages share the origin null: it binds to nothing.
		return "", NewError(CodeRequestInvalid, errors.New("no usable Origin"))
	case len(list) == 1:
		origin = list[0]
	}
	secret := make([]byte, ticketSize)
	if _, err := io.ReadFull(t.rand, secret); err != nil {
		return "", NewError(CodeInternal, fmt.Errorf("randomness for a ticket: %w", err))
	}
	p, _ := PrincipalFrom(r.Context())
	expires := t.v.now().Add(t.ttl)
	id, box, err := openTicket(secret)
	if err != nil {
		return "", NewError(CodeInternal, err)
	}
	text, err := json.Marshal(sealedTicket{token, path, origin, expires.UnixMilli()})
	if err != nil {
		return "", NewError(CodeInternal, err)
	}
	sealed := box.Seal(nil, nil, text, []byte(id)) //nolint:gosec // the cipher itself makes the nonce
	owner := sha256.Sum256([]byte(p.Issuer + "\x00" + p.Subject))
	err = t.store.Put(r.Context(), StoredTicket{
		ID: id, Owner: base64.RawURLEncoding.EncodeToString(owner[:]),
		Sealed: sealed, ExpiresAt: expires.UTC(),
	})
	if err != nil {
		return "", NewError(CodeTicketUnavailable, err)
	}
	return base64.RawURLEncoding.EncodeToString(secret), nil
}

// openTicket derives from a ticket the name under which the store has it and the cipher of
// what the store has. The name does not give the key away.
func openTicket(secret []byte) (id string, box cipher.AEAD, err error) {
	derived, err := hkdf.Key(sha256.New, secret, nil, "cardea ticket 1", 64)
	if err != nil {
		return "", nil, fmt.Errorf("key of a ticket: %w", err)
	}
	block, err := aes.NewCipher(derived[32:])
	if err != nil {
		return "", nil, fmt.Errorf("key of a ticket: %w", err)
	}
	box, err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return "", nil, fmt.Errorf("cipher of a ticket: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(derived[:32]), box, nil
}

// wantedPath reads the path that a ticket is asked for, in the form of requestPath.
func wantedPath(w http.ResponseWriter, r *http.Request) (string, *Error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTicketBody))
	if err != nil {
		return "", NewError(CodeBodyTooLarge, err)
	}
	o, err := parseObject(body, 2)
	if err != nil {
		return "", NewError(CodeRequestInvalid, err)
	}
	path, err := o.str("path")
	if err != nil {
		return "", NewError(CodeRequestInvalid, err)
	}
	u, err := url.ParseRequestURI(path)
	if err != nil || len(path) > maxTicketPath || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "?#") {
		return "", NewError(CodeRequestInvalid, errors.New("path is not that of a stream"))
	}
	return u.EscapedPath(), nil
}

// requestPath is the path as the client sent it, also behind http.StripPrefix.
func requestPath(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}

// redeem gives the access token that a ticket stands for. It takes the ticket out of the
// store before it looks at anything else: a second try never meets one.
func (t *Tickets) redeem(ctx context.Context, r *http.Request, ticket string) (string, *Error) {
	secret, err := base64.RawURLEncoding.Strict().DecodeString(ticket)
	if err != nil || len(secret) != ticketSize {
		return "", NewError(CodeTicketInvalid, errors.New("not the shape of a ticket"))
	}
	id, box, err := openTicket(secret)
	if err != nil {
		return "", NewError(CodeInternal, err)
	}
	sealed, found, err := t.store.Take(ctx, id)
	switch {
	case err != nil:
		return "", NewError(CodeTicketUnavailable, err)
	case !found:
		return "", NewError(CodeTicketInvalid, errors.New("unknown, used or expired"))
	}
	text, err := box.Open(nil, nil, sealed, []byte(id))
	if err != nil {
		return "", NewError(CodeTicketInvalid, fmt.Errorf("the store gave something else: %w", err))
	}
	var got sealedTicket
	if err := json.Unmarshal(text, &got); err != nil {
		return "", NewError(CodeTicketInvalid, err)
	}
	switch {
	case !t.v.now().Before(time.UnixMilli(got.Expires)): // whatever the store thinks
		return "", NewError(CodeTicketInvalid, errors.New("expired"))
	case got.Path != requestPath(r):
		return "", NewError(CodeTicketInvalid, errors.New("for another path"))
	case !originFits(got.Origin, r):
		return "", NewError(CodeTicketInvalid, errors.New("for another origin"))
	}
	return got.Token, nil
}

// originFits: a page on another site that got hold of a ticket can't use it. Browsers send
// Origin with every WebSocket and with every event stream of another origin; with one of
// the page's own origin they don't, and then the server's name has to be that of the page.
func originFits(bound string, r *http.Request) bool {
	switch sent := r.Header["Origin"]; {
	case len(sent) > 1:
		return false
	case len(sent) == 1:
		return sent[0] == bound && bound != ""
	}
	if bound == "" {
		return true // neither request came from a page
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin":
	default:
		return false
	}
	u, err := url.Parse(bound)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
