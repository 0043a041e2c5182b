package token

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/seal"
)

// Ring is the ring of keys. All methods are safe for concurrent use; those without a
// context never wait.
type Ring struct {
	config  Config
	given   []*key // from GivenKeys
	secret  *key   // from Secret; nil: none
	opening []byte // of every access token's payload

	state atomic.Pointer[snapshot]

	// busy is held by whoever reads keys from the store and stores the snapshot, so that
	// an older reading never replaces a newer one. A channel, so that waiting can end.
	busy chan struct{}
	box  *seal.Box // guarded by busy

	learning struct {
		sync.Mutex
		since time.Time     // start of the last question for an unknown kid
		done  chan struct{} // closed at its end; nil: never asked
		err   error         // its outcome; written before done is closed
	}
}

// The verifier of sessions asks the ring.
var _ cardea.KeySource = (*Ring)(nil)

// Open checks the configuration and loads the ring. On the first start it makes the keys
// (current and standby for each use) and installs them; of several nodes that start at
// once, one wins and the others take what it wrote. Errors name what is wrong with the
// configuration, or the key that can't be opened.
func Open(ctx context.Context, c Config) (*Ring, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	r := &Ring{config: c, box: c.Box, busy: make(chan struct{}, 1)}
	var err error
	if r.opening, err = sessionOpening(c.Issuer); err != nil {
		return nil, err
	}
	if c.source() == givenSigns {
		if r.given, err = parseGiven(c.GivenKeys); err != nil {
			return nil, err
		}
	}
	if len(c.Secret) > 0 {
		row := auth.SigningKey{Use: auth.KeyUseAccess, Algorithm: HS256, Status: auth.KeyPrevious}
		if c.source() == secretSigns {
			row.Status = auth.KeyCurrent
		}
		if r.secret, err = newKey(row, bytes.Clone(c.Secret)); err != nil {
			return nil, err
		}
	}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	if err := r.installMissing(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// installMissing makes the keys of every use that has none.
func (r *Ring) installMissing(ctx context.Context) error {
	installed := false
	for _, use := range r.config.uses() {
		if _, ok := r.find(use, auth.KeyCurrent); ok {
			continue
		}
		now := auth.Truncate(r.config.Now())
		current, err := r.newRow(use, auth.KeyCurrent, r.config.Box, now)
		if err != nil {
			return err
		}
		standby, err := r.newRow(use, auth.KeyStandby, r.config.Box, now)
		if err != nil {
			return err
		}
		err = r.config.Store.InstallKeys(ctx, use, []auth.SigningKey{current, standby})
		if err != nil && !errors.Is(err, auth.ErrConflict) { // on a conflict another node was faster
			return fmt.Errorf("token: install %s keys: %w", use, err)
		}
		installed = true
	}
	if !installed {
		return nil
	}
	if err := r.Reload(ctx); err != nil {
		return err
	}
	for _, use := range r.config.uses() {
		if _, ok := r.find(use, auth.KeyCurrent); !ok {
			return fmt.Errorf("token: the database has no current key for %s", use)
		}
	}
	return nil
}

func (r *Ring) find(use auth.KeyUse, status auth.KeyStatus) (auth.SigningKey, bool) {
	s := r.state.Load()
	i := slices.IndexFunc(s.keys, func(k *key) bool { return k.row.Use == use && k.row.Status == status })
	if i < 0 {
		return auth.SigningKey{}, false
	}
	return s.keys[i].row, true
}

// lock waits for the right to read and replace the keys.
func (r *Ring) lock(ctx context.Context) error {
	select {
	case r.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("token: wait for the key ring: %w", ctx.Err())
	}
}

func (r *Ring) unlock() { <-r.busy }

// Reload reads the keys from the store. After an error the ring goes on with the keys
// that it has.
func (r *Ring) Reload(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	rows, err := r.config.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("token: read keys: %w", err)
	}
	return r.take(rows)
}

// take makes rows the keys of the ring. The caller holds the lock.
func (r *Ring) take(rows []auth.SigningKey) error {
	known := map[string]*key{}
	if s := r.state.Load(); s != nil {
		for _, k := range s.keys {
			known[k.row.ID] = k
		}
	}
	var keys []*key
	var listed []auth.SigningKey
	for i := range rows {
		row := &rows[i]
		if !r.wants(row) {
			continue
		}
		listed = append(listed, withoutSecret(*row))
		if row.Status == auth.KeyRevoked {
			continue
		}
		k := reuse(known[row.ID], row)
		if k == nil {
			var err error
			if k, err = openRow(row, r.box); err != nil {
				return err
			}
		}
		keys = append(keys, k)
	}
	next, err := r.build(keys, listed, r.config.Now())
	if err != nil {
		return err
	}
	r.state.Store(next)
	return nil
}

// wants says whether a row is one of ours: given keys take the place of access keys, and
// a use that a newer release has invented is not for us.
func (r *Ring) wants(row *auth.SigningKey) bool {
	switch row.Use {
	case auth.KeyUseAccess:
		return r.config.source() != givenSigns
	case auth.KeyUseAPIKey, auth.KeyUseRefresh:
		return true
	}
	return false
}

// reuse spares opening and parsing a key that has only changed its state.
func reuse(k *key, row *auth.SigningKey) *key {
	if k == nil || !bytes.Equal(k.row.Sealed, row.Sealed) || k.row.Use != row.Use || k.row.Algorithm != row.Algorithm {
		return nil
	}
	copied := *k
	copied.row = *row
	return &copied
}

func withoutSecret(row auth.SigningKey) auth.SigningKey {
	row.Sealed = nil
	return row
}

// Run reloads the ring every interval until ctx ends, so that this node learns what others
// rotated and revoked: a key that was revoked elsewhere is refused here after one interval.
func (r *Ring) Run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := r.Reload(ctx); err != nil && ctx.Err() == nil && r.config.ReloadFailed != nil {
				r.config.ReloadFailed(err)
			}
		}
	}
}

// Keys implements cardea.KeySource for access tokens: access keys, given keys, and, for a
// token without kid, the shared secret and nothing else. API-key keys are never among them.
//
// For an unknown kid the store is asked, at most once in five seconds however many callers
// come, so that the first token of a key that another node has made is accepted. Should
// that question fail, the answer is unreachable, not unknown: a client must not be told to
// sign in again because our database is away.
func (r *Ring) Keys(ctx context.Context, kid string) ([]cardea.Key, error) {
	if found := r.sessionKeys(kid); found != nil || kid == "" {
		return found, nil
	}
	if err := r.learn(ctx); err != nil {
		return nil, cardea.NewError(cardea.CodeProviderUnreachable, err)
	}
	return r.sessionKeys(kid), nil
}

func (r *Ring) sessionKeys(kid string) []cardea.Key {
	return r.at(r.config.Now()).sessions[kid]
}

// learn reloads the ring once for all callers of one window.
func (r *Ring) learn(ctx context.Context) error {
	l := &r.learning
	now := r.config.Now()
	l.Lock()
	if l.done == nil || now.Sub(l.since) >= learnEvery || now.Before(l.since) {
		select {
		case <-l.done: // nil blocks: then default
			l.done = nil
		default:
		}
		if l.done == nil {
			l.since, l.done = now, make(chan struct{})
			go r.ask(ctx, l.done)
		}
	}
	done := l.done
	l.Unlock()
	select {
	case <-done:
		l.Lock()
		defer l.Unlock()
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask reloads on behalf of everybody who waits: the caller who came first may give up.
func (r *Ring) ask(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), learnTimeout)
	defer cancel()
	err := r.Reload(ctx)
	r.learning.Lock()
	r.learning.err = err
	r.learning.Unlock()
	close(done)
}

// JWKS gives the key set (RFC 7517 §5) with the public parts of access and API-key keys
// that are standby, current, or previous with tokens that may still be alive; and its
// entity tag. Neither symmetric nor private parts are ever in it. The caller must not
// change body.
func (r *Ring) JWKS() (body []byte, etag string) {
	s := r.at(r.config.Now())
	return s.jwks, s.etag
}

// List gives the keys in use, revoked ones included, without their secret parts: first
// those of the configuration, then those of the database, oldest first. The shared secret
// has an empty id.
func (r *Ring) List() []auth.SigningKey {
	var list []auth.SigningKey
	if r.secret != nil {
		list = append(list, r.secret.row)
	}
	for _, k := range r.given {
		list = append(list, k.row)
	}
	return append(list, r.state.Load().rows...)
}
