package cardea

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// IntrospectionKind is how an issuer is asked about a token.
type IntrospectionKind int

// The kinds.
const (
	// IntrospectionOff: nobody is asked.
	IntrospectionOff IntrospectionKind = iota
	// IntrospectionSupabase: GET on the issuer's /user with the token as bearer and
	// Issuer.APIKey in the header apikey. The answer is the user.
	IntrospectionSupabase
	// IntrospectionRFC7662: POST of the token, with the credentials of a client. The
	// answer says whether the token is active.
	IntrospectionRFC7662
)

// Introspection asks the issuer about a token that can't be decided about here: because
// its keys can't be had, or because it is HS256 and the secret is not known (a Supabase
// project before its move to public keys). A token that fails any check which needs no
// key is refused without asking, and so is one whose signature is wrong.
//
// 200 is a yes if what it says fits the token, a no with [CodeTokenInvalid] if it says
// that the token is not active or speaks of somebody else. 400, 401, 403 and 404 are a
// no with [CodeProviderError]. No answer, 429, 5xx and everything else is no evidence:
// [CodeProviderUnreachable], after three tries.
//
// One token is asked about by one request at a time, and at most 32 tokens are; a no is
// remembered for 60 s, and after no answer at all nobody is asked for 5 s.
type Introspection struct {
	Kind IntrospectionKind
	// URL is where to ask. IntrospectionSupabase: "" means iss + "/user".
	URL string
	// ClientID and ClientSecret are the Basic credentials for IntrospectionRFC7662
	// (RFC 6749 §2.3.1).
	ClientID, ClientSecret string
}

// The figures of introspection.
const (
	introspectParallel = 32
	introspectWaiting  = 1000            // questions under way and waiting
	introspectNoTTL    = time.Minute     // how long a no is remembered
	introspectNoSize   = 1000            // of how many tokens
	introspectSickTTL  = 5 * time.Second // how long a token is not asked about again after an answer that was none
)

// introspector asks one issuer.
type introspector struct {
	kind             IntrospectionKind
	url, apiKey      string
	clientID, secret string
	remote           remote
	now              func() time.Time
	slots            chan struct{} // one per question under way

	mu       sync.Mutex
	flights  map[cacheKey]*question
	noes     map[cacheKey]no
	failedAt time.Time
	failure  *Error // of the last question that got no answer, nil after an answer
}

// question is one under way. The fields are set before done is closed.
type question struct {
	done   chan struct{}
	answer introspected
	err    *Error
}

// no is a remembered refusal.
type no struct {
	from, until time.Time
	err         *Error
}

// introspected is what the issuer told about a token.
type introspected struct {
	emailVerified, phoneVerified bool
}

func (i Issuer) buildIntrospection(c Config, p *problems, iss string) *introspector {
	in := i.Introspection
	if in.Kind == IntrospectionOff {
		p.add(in != Introspection{}, "Introspection: Kind is missing")
		return nil
	}
	p.add(in.Kind < IntrospectionOff || in.Kind > IntrospectionRFC7662, "Introspection.Kind: %d is unknown", in.Kind)
	p.add(in.Kind == IntrospectionSupabase && (in.ClientID != "" || in.ClientSecret != ""), "Introspection: ClientID and ClientSecret are for IntrospectionRFC7662")
	p.add(in.Kind == IntrospectionRFC7662 && (in.ClientID == "" || in.ClientSecret == ""), "Introspection: ClientID and ClientSecret are needed")
	if in.URL == "" && in.Kind == IntrospectionSupabase {
		in.URL = strings.TrimSuffix(iss, "/") + "/user"
	}
	if err := checkRemoteURL(in.URL, i.InsecureHTTP); err != nil {
		p.add(true, "Introspection.URL %q: %w", redacted(in.URL), err)
	}
	return &introspector{
		kind: in.Kind, url: in.URL, apiKey: i.APIKey, clientID: in.ClientID, secret: in.ClientSecret,
		remote: remote{noRedirectClient(c.HTTPClient), c.Sleep}, now: c.Now,
		slots: make(chan struct{}, introspectParallel), flights: map[cacheKey]*question{}, noes: map[cacheKey]no{},
	}
}

// ask gives nil when the issuer vouches for the token, and adds to p what it says. p
// holds what the token says.
func (in *introspector) ask(ctx context.Context, token string, p *Principal) *Error {
	key := sha256.Sum256([]byte(token))
	in.mu.Lock()
	now := in.now()
	if n, ok := in.noes[key]; ok && !now.Before(n.from) && now.Before(n.until) {
		in.mu.Unlock()
		return n.err
	}
	if in.resting(now) {
		defer in.mu.Unlock()
		return in.failure
	}
	q := in.start(key, token, *p)
	in.mu.Unlock()
	if q == nil {
		return NewError(CodeProviderUnreachable, errBusy)
	}
	select {
	case <-q.done:
	case <-ctx.Done():
		return NewError(CodeProviderUnreachable, ctx.Err())
	}
	if q.err != nil {
		return q.err
	}
	p.EmailVerified = p.EmailVerified || q.answer.emailVerified
	p.PhoneVerified = p.PhoneVerified || q.answer.phoneVerified
	return nil
}

var errBusy = errors.New("introspection: too many questions at once")

// resting says whether the last question got no answer, a moment ago. It needs the lock.
func (in *introspector) resting(now time.Time) bool {
	return in.failure != nil && !passed(in.failedAt, now, remoteBackoff)
}

// start begins a question unless one about the same token is under way, or gives nil when
// there are too many: forged tokens must not fill the memory. It needs the lock.
func (in *introspector) start(key cacheKey, token string, p Principal) *question {
	q, running := in.flights[key]
	if !running {
		if len(in.flights) >= introspectWaiting {
			return nil
		}
		q = &question{done: make(chan struct{})}
		in.flights[key] = q
		go in.run(q, key, token, p)
	}
	return q
}

// run asks for everybody who waits, so it must not end with one request's context.
func (in *introspector) run(q *question, key cacheKey, token string, p Principal) {
	in.slots <- struct{}{}
	answer, err := in.question(token)
	<-in.slots
	if err == nil {
		q.answer, q.err = in.judge(answer, &p)
	} else {
		q.err = NewError(CodeProviderUnreachable, err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	now := in.now()
	switch {
	case err != nil && !errors.Is(err, errNoAnswer):
		in.failedAt, in.failure = now, q.err
	case q.err != nil && q.err.Code == CodeProviderUnreachable:
		// Somebody may have found a token that makes the issuer stumble: the others are
		// still asked about.
		in.failure = nil
		in.remember(key, q.err, now, introspectSickTTL)
	case q.err != nil:
		in.failure = nil
		in.remember(key, q.err, now, introspectNoTTL)
	default:
		in.failure = nil
	}
	if in.flights[key] == q {
		delete(in.flights, key)
	}
	close(q.done)
}

// detach keeps questions under way from answering requests that come from now on: they
// were asked before the change that the caller knows of.
func (in *introspector) detach() {
	in.mu.Lock()
	defer in.mu.Unlock()
	clear(in.flights)
}

// question asks, unless it had to wait for its turn and the issuer went away meanwhile.
func (in *introspector) question(token string) (reply, error) {
	in.mu.Lock()
	known := in.failure
	resting := in.resting(in.now())
	in.mu.Unlock()
	if resting {
		return reply{}, known
	}
	return in.remote.ask(context.Background(), func(ctx context.Context) (*http.Request, error) { return in.request(ctx, token) })
}

// remember needs the lock. Among too many the old ones go, then any: to forget one costs
// a question.
func (in *introspector) remember(key cacheKey, failure *Error, now time.Time, ttl time.Duration) {
	if len(in.noes) >= introspectNoSize {
		for k, n := range in.noes {
			if !now.Before(n.until) {
				delete(in.noes, k)
			}
		}
	}
	for k := range in.noes {
		if len(in.noes) < introspectNoSize {
			break
		}
		delete(in.noes, k)
	}
	in.noes[key] = no{from: now, until: now.Add(ttl), err: failure}
}

func (in *introspector) request(ctx context.Context, token string) (*http.Request, error) {
	if in.kind == IntrospectionSupabase {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, in.url, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		if in.apiKey != "" {
			req.Header.Set("apikey", in.apiKey)
		}
		return req, nil
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode() // RFC 7662 §2.1
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, in.url, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(in.clientID), url.QueryEscape(in.secret)) // RFC 6749 §2.3.1
	return req, nil
}

// judge splits by evidence: only what says something about the token is a no.
func (in *introspector) judge(answer reply, p *Principal) (introspected, *Error) {
	switch answer.status {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return introspected{}, NewError(CodeProviderError, fmt.Errorf("introspection: answered %d", answer.status))
	default:
		return introspected{}, NewError(CodeProviderUnreachable, fmt.Errorf("introspection: answered %d", answer.status))
	}
	o, err := parseObject(answer.body, 24)
	if err != nil {
		return introspected{}, NewError(CodeProviderUnreachable, fmt.Errorf("introspection: %w", err))
	}
	if in.kind == IntrospectionSupabase {
		return judgeUser(o, p)
	}
	return judgeRFC7662(o, p)
}

// judgeUser: the answer must be about the user whom the token names.
func judgeUser(o object, p *Principal) (introspected, *Error) {
	if id, err := o.str("id"); err != nil || id != p.Subject {
		return introspected{}, NewError(CodeTokenInvalid, errors.New("introspection: the answer is about another user"))
	}
	return introspected{emailVerified: confirmed(o, "email_confirmed_at"), phoneVerified: confirmed(o, "phone_confirmed_at")}, nil
}

func confirmed(o object, name string) bool {
	at, err := o.str(name)
	return err == nil && at != ""
}

// judgeRFC7662 compares what the answer repeats of the token (RFC 7662 §2.2, §4): a
// server that answers about another token, or for another audience, must not open this
// one.
func judgeRFC7662(o object, p *Principal) (introspected, *Error) {
	if string(o.get("active")) != "true" {
		return introspected{}, NewError(CodeTokenInvalid, errors.New("introspection: not active"))
	}
	for _, claim := range []struct{ name, want string }{
		{"iss", p.Issuer}, {"sub", p.Subject}, {"jti", p.TokenID}, {"client_id", p.ClientID},
	} {
		if claim.want == "" || !o.has(claim.name) {
			continue
		}
		if got, err := o.str(claim.name); err != nil || got != claim.want {
			return introspected{}, NewError(CodeTokenInvalid, fmt.Errorf("introspection: another %s than in the token", claim.name))
		}
	}
	if raw := o.get("aud"); raw != nil {
		list := readNames(raw, true)
		if !slices.ContainsFunc(list, func(a string) bool { return slices.Contains(p.Audience, a) }) {
			return introspected{}, NewError(CodeTokenInvalid, errors.New("introspection: another aud than in the token"))
		}
	}
	return introspected{}, nil
}
