// Package oidc verifies the ID tokens of providers of sign-in, such as Google
// (OpenID Connect Core §3.1.3.7). Package cardea verifies access tokens and refuses these, as
// they tell an application who somebody is and open nothing.
package oidc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	// maxAge is how old a token may be: it comes from a sign-in of this minute, and one that
	// lay about somewhere must not link its owner to somebody else's account.
	maxAge = 10 * time.Minute
	// skew is how far the provider's clock may be ahead.
	skew = time.Minute
	// retryAfter is when to ask again while a provider does not answer (S2.36).
	retryAfter = 30 * time.Second

	// pause is how long a provider that did not answer is left alone.
	pause = 5 * time.Second

	maxToken    = 16 << 10
	maxAnswer   = 1 << 20
	maxDuration = 10 * time.Second
)

var errSilent = errors.New("oidc: the provider did not answer a moment ago")

// Provider verifies the tokens of one provider. Make one with [New].
type Provider struct {
	issuer  string
	clients []string
	now     func() time.Time
	http    *http.Client
	watch   *watch

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // nil until the provider has answered once
	failed   time.Time             // when it did not, the last time
}

// New makes a Provider. clients are the ids of the applications whose tokens count. transport
// nil is one of its own.
func New(issuer string, clients []string, now func() time.Time, transport http.RoundTripper) *Provider {
	if transport == nil {
		transport = &http.Transport{
			MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: maxDuration,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, DisableCompression: true,
		}
	}
	w := &watch{next: transport}
	return &Provider{issuer: issuer, clients: clients, now: now, watch: w, http: &http.Client{Transport: w, Timeout: maxDuration}}
}

// Verify gives whom the provider vouches for. What it verifies: signature by a key of the
// provider, issuer, audience, times, that the token is not older than ten minutes, and that
// there is a subject. What it does not: a nonce, which only the application knows that has
// asked the provider.
//
// Errors are *auth.Error: CodeIDToken, or CodeUnavailable when the provider does not answer.
func (p *Provider) Verify(ctx context.Context, token string) (auth.ProviderIdentity, error) {
	var who auth.ProviderIdentity
	if len(token) > maxToken {
		return who, auth.E(auth.CodeIDToken, "")
	}
	failures := p.watch.failures.Load()
	v, err := p.open(ctx)
	if err != nil {
		return who, &auth.Error{Code: auth.CodeUnavailable, Cause: err, RetryAfter: retryAfter}
	}
	t, err := v.Verify(ctx, token)
	switch {
	case err != nil && p.watch.failures.Load() != failures: // its keys can't be had
		return who, &auth.Error{Code: auth.CodeUnavailable, Cause: err, RetryAfter: retryAfter}
	case err != nil:
		return who, auth.Wrap(auth.CodeIDToken, err)
	case !slices.ContainsFunc(t.Audience, func(aud string) bool { return slices.Contains(p.clients, aud) }):
		return who, auth.E(auth.CodeIDToken, "The ID token is of another application")
	case t.Subject == "" || len(t.Subject) > 255 || !auth.CleanText(t.Subject):
		return who, auth.E(auth.CodeIDToken, "")
	case t.IssuedAt.IsZero() || p.now().Sub(t.IssuedAt) > maxAge || t.IssuedAt.Sub(p.now()) > skew:
		return who, auth.E(auth.CodeIDToken, "The ID token is not of a sign-in that has just been made")
	}
	var claims struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	if err := t.Claims(&claims); err != nil {
		return who, auth.Wrap(auth.CodeIDToken, err)
	}
	who = auth.ProviderIdentity{Issuer: t.Issuer, Subject: t.Subject}
	if email, err := auth.NormalizeEmail(claims.Email); err == nil {
		who.Email, who.EmailVerified = email, claims.Verified
	}
	return who, nil
}

// open reads the provider's description (OpenID Connect Discovery §4), once.
func (p *Provider) open(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verifier != nil {
		return p.verifier, nil
	}
	if p.now().Sub(p.failed).Abs() < pause { // whoever waited here need not wait as long again
		return nil, errSilent
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.http), p.issuer)
	if err != nil {
		p.failed = p.now()
		return nil, err //nolint:wrapcheck // the caller wraps it
	}
	p.verifier = found.Verifier(&oidc.Config{
		SkipClientIDCheck:    true, // there are several ids: Verify looks
		SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256},
		Now:                  p.now,
	})
	return p.verifier, nil
}

// watch tells a provider that does not answer from a token that is not good.
type watch struct {
	next     http.RoundTripper
	failures atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		w.failures.Add(1)
		return answer, err //nolint:wrapcheck // the transport's own
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}
