package usersync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea"
)

// flightKey: the token is part of it, so that nobody's bad token speaks for another's good
// one.
type flightKey struct {
	user  userKey
	token string
}

// flight is one provisioning that many requests wait for. The fields are set before done is
// closed.
type flight struct {
	done chan struct{}
	got  Provision
	err  error
}

// join provisions a user once for all requests that want it now.
func (s *Syncer) join(ctx context.Context, p *cardea.Principal, token string) (Provision, error) {
	key := flightKey{userKey{p.Issuer, p.Subject}, token}
	s.mu.Lock()
	f, running := s.flights[key]
	if !running {
		f = &flight{done: make(chan struct{})}
		s.flights[key] = f
		// It works for everybody who waits, so it must not end with one request.
		go s.fly(context.WithoutCancel(ctx), key, f, p, token)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		got := f.got
		got.Created = got.Created && !running // one of them made it
		return got, f.err
	case <-ctx.Done():
		return Provision{}, cardea.NewError(cardea.CodeUserUnavailable, ctx.Err())
	}
}

func (s *Syncer) fly(ctx context.Context, key flightKey, f *flight, p *cardea.Principal, token string) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil { // of a store or a source; net/http is not around here
			f.err = s.failed(ctx, "sync", p, fmt.Errorf("usersync: panic: %v", r))
		}
		s.mu.Lock()
		delete(s.flights, key)
		s.mu.Unlock()
		close(f.done)
	}()
	f.got, f.err = s.provision(ctx, p, token)
}

// rest is an issuer that did not answer a moment ago.
type rest struct {
	since time.Time
	err   error
}

// restFor is how long nobody asks then: the requests of an outage must not wait in line for
// a time-out each.
const restFor = 5 * time.Second

// ask gives what the issuer vouches for, and whether it was asked.
func (s *Syncer) ask(ctx context.Context, p *cardea.Principal, token string) (Identity, bool, error) {
	source := s.c.Sources[p.Issuer]
	if source == nil {
		return tokenIdentity(p), false, nil
	}
	if !p.ExpiresAt.IsZero() && !s.c.Now().Before(p.ExpiresAt) {
		token = ""
	}
	s.mu.Lock()
	r, known := s.resting[p.Issuer]
	s.mu.Unlock()
	if since := s.c.Now().Sub(r.since); known && since >= 0 && since < restFor {
		return Identity{}, false, cardea.NewError(cardea.CodeProviderUnreachable, r.err)
	}
	id, err := source.Ask(ctx, p, token)
	refused := cardea.CodeOf(err) == cardea.CodeProviderError
	if err == nil && (id.Issuer != p.Issuer || id.Subject != p.Subject) {
		err, refused = errors.New("usersync: the source speaks of another user"), true
	}
	switch {
	case err == nil:
		return id, true, nil
	case refused:
		return Identity{}, false, cardea.NewError(cardea.CodeProviderError, err)
	}
	if !errors.Is(err, ErrNoEvidence) {
		s.mu.Lock()
		s.resting[p.Issuer] = rest{s.c.Now(), err}
		s.mu.Unlock()
	}
	s.c.OnFailure(ctx, Failure{Op: "ask", Issuer: p.Issuer, Subject: p.Subject, Err: err})
	return Identity{}, false, cardea.NewError(cardea.CodeProviderUnreachable, err)
}
