package cardea

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Denylist remembers what was revoked before it expired: tokens, sessions, users. Its
// [Denylist.Check] is made for [Config.Revoked]. Make one with [NewDenylist]; it is safe
// for use by many goroutines.
//
// It lives in the memory of one process: after a start, and in each of several
// processes, the service has to tell it again.
type Denylist struct {
	now  func() time.Time
	keep time.Duration

	size    atomic.Int64 // so that an empty list costs nothing
	mu      sync.RWMutex
	entries map[denyKey]denyEntry
	sweepAt int // how many entries make it worth looking for old ones
}

// DenylistConfig is what a Denylist needs; the zero value is good.
type DenylistConfig struct {
	// Keep is how long an entry is kept; 0 means 24 h, the default of
	// Config.MaxLifetime. Never set it shorter than the longest lifetime that any issuer
	// is allowed: a revoked token would come back.
	Keep time.Duration
	// Now is the clock, nil means time.Now.
	Now func() time.Time
}

type denyKind byte

const (
	denyToken denyKind = iota
	denySession
	denyUser
)

// denyKey: an id counts for one issuer and one kind, so that a user whose id is equal to
// another's token id is not locked out with it.
type denyKey struct {
	kind       denyKind
	issuer, id string
}

type denyEntry struct {
	reason string
	at     time.Time // denyUser: tokens as old as this, or older
	until  time.Time
}

const denySweepMin = 1024

// NewDenylist makes an empty list. A negative Keep is a programming error: it panics.
func NewDenylist(c DenylistConfig) *Denylist {
	if c.Keep < 0 {
		panic("cardea: NewDenylist with a negative Keep")
	}
	if c.Keep == 0 {
		c.Keep = defaultMaxLifetime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Denylist{now: c.Now, keep: c.Keep, entries: map[denyKey]denyEntry{}, sweepAt: denySweepMin}
}

// RevokeToken refuses one token by its id (jti). issuer is what [Principal.Issuer] says,
// here and below; reason is for logs. An empty id does nothing: it would stand for all
// tokens without one.
func (d *Denylist) RevokeToken(issuer, tokenID, reason string) {
	d.add(denyKey{denyToken, issuer, tokenID}, time.Time{}, reason)
}

// RevokeSession refuses all tokens of a session, those included that are made later. An
// empty id does nothing.
func (d *Denylist) RevokeSession(issuer, sessionID, reason string) {
	d.add(denyKey{denySession, issuer, sessionID}, time.Time{}, reason)
}

// RevokeUser refuses all tokens of a user that were made before or in the second of at,
// by the issuer's clock; the zero time means now. Tokens of a later sign-in pass. An
// empty subject does nothing.
func (d *Denylist) RevokeUser(issuer, subject string, at time.Time, reason string) {
	if at.IsZero() {
		at = d.now()
	}
	d.add(denyKey{denyUser, issuer, subject}, at, reason)
}

func (d *Denylist) add(key denyKey, at time.Time, reason string) {
	if key.id == "" {
		return
	}
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.entries[key]; ok && old.at.After(at) {
		at = old.at // an older message that arrives late takes nothing back
	}
	until := now
	if at.After(now) { // tokens as young as that are still to come
		until = at
	}
	d.entries[key] = denyEntry{reason: reason, at: at, until: until.Add(d.keep)}
	if len(d.entries) >= d.sweepAt {
		for k, e := range d.entries {
			if !now.Before(e.until) {
				delete(d.entries, k)
			}
		}
		d.sweepAt = max(denySweepMin, 2*len(d.entries))
	}
	d.size.Store(int64(len(d.entries)))
}

// Check fits [Config.Revoked]: nil, or an *[Error] with [CodeTokenRevoked] or
// [CodeUserTokensRevoked] whose Cause holds the reason.
func (d *Denylist) Check(_ context.Context, p *Principal) error {
	if d.size.Load() == 0 {
		return nil
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if e, ok := d.find(denyToken, p.Issuer, p.TokenID); ok {
		return NewError(CodeTokenRevoked, errors.New("token: "+e.reason))
	}
	if e, ok := d.find(denySession, p.Issuer, p.SessionID); ok {
		return NewError(CodeTokenRevoked, errors.New("session: "+e.reason))
	}
	if e, ok := d.find(denyUser, p.Issuer, p.Subject); ok && !p.IssuedAt.After(e.at) {
		return NewError(CodeUserTokensRevoked, errors.New("user: "+e.reason))
	}
	return nil
}

// find needs the lock. An entry counts for as long as it is there: one too old does no
// harm, because its tokens have expired.
func (d *Denylist) find(kind denyKind, issuer, id string) (denyEntry, bool) {
	e, ok := d.entries[denyKey{kind, issuer, id}]
	return e, ok
}

// Len says how many entries there are, for metrics.
func (d *Denylist) Len() int { return int(d.size.Load()) }
