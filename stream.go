package cardea

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Stream is an open event stream or WebSocket behind [Tickets.Require].
type Stream struct {
	tickets      *Tickets
	requirements []Requirement
	owner        streamOwner
	request      *http.Request // a copy, for requirements
	ctx          context.Context
	cancel       context.CancelCauseFunc

	mu    sync.Mutex
	token string
	p     *Principal
	timer *time.Timer
}

// streamOwner is one session of a user.
type streamOwner struct{ issuer, subject, session string }

func ownerOf(p *Principal) streamOwner { return streamOwner{p.Issuer, p.Subject, p.SessionID} }

type streamKey struct{}

// StreamFrom gives the stream that a handler behind [Tickets.Require] serves.
func StreamFrom(ctx context.Context) (*Stream, bool) {
	s, ok := ctx.Value(streamKey{}).(*Stream)
	return s, ok
}

// Require guards the route of an event stream or a WebSocket. It takes a ticket, or an
// Authorization header from clients that can send one; where both are there the ticket
// counts. An access token in the query is refused with TOKEN_IN_URL, unless
// InsecureTokenInQuery is set. The value is taken out of the request's URL before anything
// else happens, also in the request that the guard was given, so that a log that is
// written afterwards does not show it. A log that is written before, or that has a copy of
// the URL or of RequestURI, does; http.StripPrefix makes copies and belongs inside.
//
// The stream ends when the token does, or when the token turns out to be revoked, unless
// the client renews it before ([Stream.Renew], [Tickets.RenewHandler]): the request's
// context ends with an *[Error] as its cause, writes fail, and a connection that the
// handler took over ([http.Hijacker]) is closed 5 s later. A handler must not return
// before its stream is over. Requirements are tested when the stream begins and at each
// renewal, not in between.
//
// A nil requirement or handler is a programming error: Require panics.
func (t *Tickets) Require(first Requirement, more ...Requirement) func(http.Handler) http.Handler {
	requirements := mustRequirements("Require", first, more)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("cardea: Require around a nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, p, failure := t.identify(r)
			admitted, failure := t.v.authorize(r, p, failure, requirements)
			if failure != nil {
				t.v.refuse(w, r, failure)
				return
			}
			s := t.begin(admitted, token, p, requirements)
			defer s.finish()
			next.ServeHTTP(&streamWriter{w, s}, admitted.WithContext(context.WithValue(s.ctx, streamKey{}, s)))
		})
	}
}

// identify finds the token and verifies it.
func (t *Tickets) identify(r *http.Request) (token string, p *Principal, failure *Error) {
	values, err := takeParam(r, t.param)
	if failure := t.v.mayTry(r); failure != nil {
		return "", nil, failure
	}
	switch {
	case err != nil:
		return "", nil, NewError(CodeRequestInvalid, err)
	case len(values) == 0:
		token, failure = bearer(r.Header)
	case len(values) > 1:
		// Somebody else may have looked at the other one.
		failure = NewError(CodeTicketInvalid, errors.New("given twice"))
	case !strings.Contains(values[0], "."):
		token, failure = t.redeem(r.Context(), r, values[0])
	case t.insecure:
		token = values[0]
	default:
		failure = NewError(CodeTokenInURL, nil)
	}
	if failure == nil {
		p, failure = t.v.verify(r.Context(), token)
	}
	return token, p, failure
}

// hiddenValue stands in a URL where a ticket or token stood.
const hiddenValue = "redacted"

// takeParam gives the values of a parameter and takes them out of the URL, for everybody
// who shares the *url.URL. A query that can't be read is taken out as a whole.
func takeParam(r *http.Request, param string) ([]string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	values := query[param]
	if err == nil && len(values) == 0 {
		return nil, nil
	}
	clean := hiddenValue
	if err == nil {
		pairs := strings.Split(r.URL.RawQuery, "&")
		for i, pair := range pairs {
			name, _, _ := strings.Cut(pair, "=")
			if name, err := url.QueryUnescape(name); err != nil || name == param {
				pairs[i] = param + "=" + hiddenValue
			}
		}
		clean = strings.Join(pairs, "&")
	}
	r.URL.RawQuery = clean
	if path, _, ok := strings.Cut(r.RequestURI, "?"); ok {
		r.RequestURI = path + "?" + clean
	}
	r.Form.Del(param) // should somebody have parsed it already
	return values, err
}

// begin registers the stream and starts its timer.
func (t *Tickets) begin(r *http.Request, token string, p *Principal, requirements []Requirement) *Stream {
	ctx, cancel := context.WithCancelCause(r.Context())
	s := &Stream{
		tickets: t, requirements: requirements, owner: ownerOf(p), request: r.Clone(ctx),
		ctx: ctx, cancel: cancel, token: token, p: p,
	}
	t.mu.Lock()
	if t.open[s.owner] == nil {
		t.open[s.owner] = map[*Stream]struct{}{}
	}
	t.open[s.owner][s] = struct{}{}
	t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(s.wait(), s.look)
	return s
}

// wait is how long nothing needs to be looked at. The caller holds s.mu.
func (s *Stream) wait() time.Duration {
	left := s.p.ExpiresAt.Sub(s.tickets.v.now())
	if s.tickets.recheck > 0 {
		left = min(left, s.tickets.recheck)
	}
	return max(left, 0)
}

// look ends the stream when its token is no longer good. An issuer that can't be reached
// says nothing against the token.
func (s *Stream) look() {
	s.mu.Lock()
	token, p := s.token, s.p
	s.mu.Unlock()
	failure := NewError(CodeExpired, nil)
	if s.tickets.v.now().Before(p.ExpiresAt) {
		_, failure = s.tickets.v.verify(s.ctx, token)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if failure != nil && failure.HTTPStatus() == http.StatusUnauthorized && s.token == token {
		s.cancel(failure)
		return
	}
	if s.ctx.Err() == nil {
		s.timer.Reset(s.wait())
	}
}

// finish forgets the stream.
func (s *Stream) finish() {
	s.cancel(context.Canceled)
	s.mu.Lock()
	s.timer.Stop()
	s.mu.Unlock()
	t := s.tickets
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open[s.owner], s)
	if len(t.open[s.owner]) == 0 {
		delete(t.open, s.owner)
	}
}

// Principal is who the stream belongs to, by the newest token. [PrincipalFrom] gives the
// one that the stream began with.
func (s *Stream) Principal() *Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p
}

// Renew lets the stream go on with a newer token, which the client sent in a message, say:
// it must be valid, of the same issuer and user, and meet the requirements of the route.
// Every error is an *[Error]; the stream then goes on until its present token ends. A token
// that ends sooner than the present one changes nothing. A stream that is over stays over.
func (s *Stream) Renew(ctx context.Context, token string) error {
	if s.ctx.Err() != nil {
		return complete(context.Cause(s.ctx), CodeExpired)
	}
	p, failure := s.tickets.v.verify(ctx, token)
	if failure != nil {
		return failure
	}
	if failure := s.renew(token, p); failure != nil {
		return failure
	}
	return nil
}

func (s *Stream) renew(token string, p *Principal) *Error {
	if p.Issuer != s.owner.issuer || p.Subject != s.owner.subject {
		return NewError(CodeForbidden, errors.New("the token of another user"))
	}
	r := s.request.Clone(WithPrincipal(s.ctx, p))
	if failure := checkAll(r.Context(), r, p, s.requirements); failure != nil {
		return failure
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return complete(context.Cause(s.ctx), CodeExpired)
	}
	if p.ExpiresAt.After(s.p.ExpiresAt) {
		s.token, s.p = token, p
		s.timer.Reset(s.wait())
	}
	return nil
}

// RenewHandler renews the open streams of a session for clients that can't send messages
// on them, such as event streams: POST with the new access token in the Authorization
// header, when the client got one. It renews the streams of the same issuer, user and
// session that this process serves, and answers {"renewed": 2}; a client that reads 0
// opens its stream anew.
func (t *Tickets) RenewHandler() http.Handler {
	return t.post(t.v.Require(Authenticated())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := PrincipalFrom(r.Context())
		token, failure := bearer(r.Header)
		if failure != nil { // the guard has read it before
			t.v.refuse(w, r, failure)
			return
		}
		renewed := 0
		for _, s := range t.streams(ownerOf(p)) {
			if failure := s.renew(token, p); failure != nil {
				t.v.report(r, Denial{Err: failure, Principal: p})
				continue
			}
			renewed++
		}
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, http.StatusOK, "application/json", struct {
			Renewed int `json:"renewed"`
		}{renewed})
	})))
}

func (t *Tickets) streams(owner streamOwner) []*Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*Stream, 0, len(t.open[owner]))
	for s := range t.open[owner] {
		list = append(list, s)
	}
	return list
}
