package cardea

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The figures of the remote key set.
const (
	jwksMinTTL   = 30 * time.Second // whatever Cache-Control says
	jwksWindow   = 30 * time.Second // at most one fetch for unknown kids in this time
	jwksMaxStale = 24 * time.Hour   // how long old keys serve while the issuer is down
	jwksPatience = 2 * time.Second  // how long a fetch is waited for when old keys would do, or when the one before failed
)

// jwks is the KeySource of an issuer's JWKS URL.
//
//   - The first use fetches. One fetch runs at a time, and everybody who needs it waits
//     for the same one; it does not end when the request that began it does.
//   - Keys are fresh for Cache-Control's max-age, between 30 s and the configured TTL.
//     In the last fifth of that time a request starts the next fetch without waiting.
//   - If the issuer is down, the old keys serve for 24 h more. No token in use is older
//     than that (Config.MaxLifetime), so keeping them longer would help nobody.
//   - A kid that is not in the set causes at most one fetch per 30 s, however many
//     forged kids arrive.
type jwks struct {
	url      string // of the keys, or of the discovery document when issuer is set
	issuer   string // whose discovery document it must be
	apiKey   string
	insecure bool // http to any host
	remote   remote
	ttl      time.Duration
	now      func() time.Time

	held atomic.Pointer[heldKeys] // nil until the first success

	mu       sync.Mutex
	searched time.Time // last fetch for an unknown kid
	failedAt time.Time
	failure  *Error // of the last fetch, nil after a success
	flight   *flight
}

// heldKeys is what the last good fetch gave. It is immutable.
type heldKeys struct {
	*keySet
	fetched time.Time
	refresh time.Time // from here on the next fetch is due
	fresh   time.Time // until here
	stale   time.Time // until here, for want of better
}

// newest says whether nothing has to be done at now. A time before the fetch means that
// the clock was set back: then none of the times can be trusted.
func (h *heldKeys) newest(now time.Time) bool { return !now.Before(h.fetched) && now.Before(h.refresh) }

// flight is a fetch under way. held and err are set before done is closed.
type flight struct {
	done     chan struct{}
	patience context.Context // ends when nobody with old keys should wait any longer
	held     *heldKeys
	err      *Error
}

// Keys implements KeySource.
func (s *jwks) Keys(ctx context.Context, kid string) ([]Key, error) {
	now := s.wall()
	if held := s.held.Load(); held != nil && held.newest(now) { // nearly every request: no lock
		if keys := held.find(kid); len(keys) > 0 {
			return keys, nil
		}
	}
	keys, joined, err := s.lookUp(ctx, kid)
	if err == nil && len(keys) == 0 && joined {
		// The fetch had begun before this token came, perhaps before its key was made.
		keys, _, err = s.lookUp(ctx, kid)
	}
	return keys, err
}

// wall gives the time without Go's monotonic part, which stands still while a machine
// sleeps: keys of yesterday would count as fresh.
func (s *jwks) wall() time.Time { return s.now().Round(0) }

// lookUp also says whether it waited for a fetch that somebody else had begun.
func (s *jwks) lookUp(ctx context.Context, kid string) (keys []Key, joined bool, err error) {
	s.mu.Lock()
	now, held := s.wall(), s.held.Load()
	resting := s.failure != nil && !passed(s.failedAt, now, remoteBackoff)
	usable := held != nil && now.Before(held.stale)
	if usable {
		if keys := held.find(kid); len(keys) > 0 {
			return s.keepFresh(ctx, kid, keys, now, resting), false, nil
		}
	}
	joined = s.flight != nil
	switch {
	case joined:
	case !usable && !resting:
		s.start()
	case usable:
		// Only a new set can tell a rotated key from a forged kid.
		if s.searched.IsZero() || passed(s.searched, now, jwksWindow) {
			s.searched = now
			s.start()
		} else if !resting && !held.newest(now) {
			s.start()
		}
	}
	f, failure := s.flight, s.failure
	s.mu.Unlock()
	switch {
	case f != nil:
		keys, err = f.wait(ctx, kid, failure)
	case failure != nil:
		err = failure // the set may be old, or there is none: no way to tell
	}
	return keys, joined, err
}

// keepFresh has keys for the kid and the lock, which it releases.
func (s *jwks) keepFresh(ctx context.Context, kid string, keys []Key, now time.Time, resting bool) []Key {
	held := s.held.Load()
	if held.newest(now) || resting {
		s.mu.Unlock()
		return keys
	}
	f := s.start()
	overdue := s.failure == nil && (!now.Before(held.fresh) || now.Before(held.fetched))
	s.mu.Unlock()
	if !overdue {
		return keys
	}
	// Nobody asked for longer than the TTL: a key that was withdrawn meanwhile must not
	// verify one more token, if the issuer can tell us in time.
	select {
	case <-f.done:
		if f.err == nil {
			return f.held.find(kid)
		}
	case <-f.patience.Done():
	case <-ctx.Done():
	}
	return keys
}

// start begins a fetch unless one runs. It needs the lock.
func (s *jwks) start() *flight {
	if s.flight == nil {
		patience, cancel := context.WithTimeout(context.Background(), jwksPatience)
		s.flight = &flight{done: make(chan struct{}), patience: patience}
		go s.run(s.flight, cancel)
	}
	return s.flight
}

// wait is for those who can't do without. known is how the fetch before ended: in an
// outage that is known, nobody waits until every time-out has passed.
func (f *flight) wait(ctx context.Context, kid string, known *Error) ([]Key, error) {
	var enough <-chan struct{}
	if known != nil {
		enough = f.patience.Done()
	}
	select {
	case <-f.done:
		if f.err != nil {
			return nil, f.err
		}
		return f.held.find(kid), nil
	case <-enough:
		return nil, known
	case <-ctx.Done():
		return nil, NewError(CodeProviderUnreachable, ctx.Err())
	}
}

// run fetches for everybody, so it must not end with one request's context.
func (s *jwks) run(f *flight, release func()) {
	defer release()
	keys, ttl, err := s.fetch(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	now := s.wall()
	if err != nil {
		f.err = NewError(CodeProviderUnreachable, err)
	} else {
		f.held = &heldKeys{
			keySet: newKeySet(keys), fetched: now,
			refresh: now.Add(ttl / 5 * 4), fresh: now.Add(ttl), stale: now.Add(ttl + jwksMaxStale),
		}
	}
	if s.flight != f {
		return // expire came between: only those who waited already get this
	}
	s.flight = nil
	if s.failure = f.err; err != nil {
		s.failedAt = now
		return
	}
	s.held.Store(f.held)
}

// expire makes the keys overdue: the next request asks for newer ones, and waits for them
// if it can.
func (s *jwks) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.held.Load(); held != nil {
		old := *held
		old.refresh, old.fresh = old.fetched, old.fetched
		s.held.Store(&old)
	}
	s.flight = nil
}

// passed says whether d has passed since then; also true when the clock was set back,
// or a jump would switch fetching off until the old time is reached again.
func passed(since, now time.Time, d time.Duration) bool {
	diff := now.Sub(since)
	return diff >= d || diff < 0
}

func (s *jwks) fetch(ctx context.Context) ([]Key, time.Duration, error) {
	address := s.url
	if s.issuer != "" {
		var err error
		if address, err = s.discover(ctx); err != nil {
			return nil, 0, err
		}
	}
	answer, err := s.remote.get(ctx, address, "application/jwk-set+json, application/json", s.apiKey)
	if err != nil {
		return nil, 0, err
	}
	keys, err := ParseJWKS(answer.body)
	if err != nil {
		return nil, 0, err
	}
	return keys, freshness(answer.header, s.ttl), nil
}

// freshness is max-age less Age (RFC 9111 §4.2), between jwksMinTTL and limit.
func freshness(h http.Header, limit time.Duration) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return min(jwksMinTTL, limit)
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				continue
			}
			age, err := strconv.ParseUint(h.Get("Age"), 10, 31)
			if err != nil {
				age = 0
			}
			left := time.Duration(int64(seconds)-int64(age)) * time.Second
			limit = min(limit, max(left, jwksMinTTL))
		}
	}
	return limit
}
