package cardea

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The figures of the remote key set.
const (
	jwksAttempts    = 3                      // the first try and two more
	jwksPause       = 300 * time.Millisecond // between two tries, flat
	jwksTimeout     = 10 * time.Second       // of one try, body included: a slow drip ends too
	jwksMaxBody     = 1 << 20
	jwksMinTTL      = 30 * time.Second // whatever Cache-Control says
	jwksWindow      = 30 * time.Second // at most one fetch for unknown kids in this time
	jwksBackoff     = 5 * time.Second  // after a failed fetch
	jwksMaxStale    = 24 * time.Hour   // how long old keys serve while the issuer is down
	jwksPatience    = 2 * time.Second  // how long a request waits for new keys when old ones would do
	jwksMaxRedirect = 3
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
	url    string
	client *http.Client
	ttl    time.Duration
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error

	mu       sync.Mutex
	set      *keySet // nil until the first success
	refresh  time.Time
	fresh    time.Time // end of
	stale    time.Time // end of
	searched time.Time // last fetch for an unknown kid
	failedAt time.Time
	failure  *Error // of the last fetch, nil after a success
	flight   *flight
}

// flight is a fetch under way. The fields are set before done is closed.
type flight struct {
	done chan struct{}
	set  *keySet
	err  *Error
}

// Keys implements KeySource.
func (s *jwks) Keys(ctx context.Context, kid string) ([]Key, error) {
	s.mu.Lock()
	now := s.now()
	keys := s.set.find(kid)
	resting := s.failure != nil && !passed(s.failedAt, now, jwksBackoff)
	switch usable := s.set != nil && now.Before(s.stale); {
	case usable && len(keys) > 0:
		return s.keepFresh(ctx, kid, keys, now, resting)
	case !usable && !resting:
		s.start()
	case usable && s.flight == nil:
		// Only a new set can tell a rotated key from a forged kid.
		if overdue := !now.Before(s.fresh) && !resting; overdue || s.searched.IsZero() || passed(s.searched, now, jwksWindow) {
			s.searched = now
			s.start()
		}
	}
	f, failure := s.flight, s.failure
	s.mu.Unlock()
	switch {
	case f != nil:
		return f.wait(ctx, kid)
	case failure != nil:
		return nil, failure // the set may be old, or there is none: no way to tell
	}
	return nil, nil
}

// keepFresh has keys for the kid and the lock, which it releases.
func (s *jwks) keepFresh(ctx context.Context, kid string, keys []Key, now time.Time, resting bool) ([]Key, error) {
	var f *flight
	if !now.Before(s.refresh) && !resting {
		f = s.start()
	}
	overdue := !now.Before(s.fresh) && s.failure == nil
	s.mu.Unlock()
	if f == nil || !overdue {
		return keys, nil
	}
	// Nobody asked for longer than the TTL: a key that was withdrawn meanwhile must not
	// verify one more token, if the issuer can tell us in time.
	ctx, cancel := context.WithTimeout(ctx, jwksPatience)
	defer cancel()
	select {
	case <-f.done:
		if f.err == nil {
			return f.set.find(kid), nil
		}
	case <-ctx.Done():
	}
	return keys, nil
}

// start begins a fetch unless one runs. It needs the lock.
func (s *jwks) start() *flight {
	if s.flight == nil {
		s.flight = &flight{done: make(chan struct{})}
		go s.run(s.flight)
	}
	return s.flight
}

func (f *flight) wait(ctx context.Context, kid string) ([]Key, error) {
	select {
	case <-f.done:
		if f.err != nil {
			return nil, f.err
		}
		return f.set.find(kid), nil
	case <-ctx.Done():
		return nil, NewError(CodeProviderUnreachable, ctx.Err())
	}
}

// run fetches for everybody, so it must not end with one request's context.
func (s *jwks) run(f *flight) {
	keys, ttl, err := s.fetch(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if err != nil {
		f.err = NewError(CodeProviderUnreachable, err)
		s.failure, s.failedAt = f.err, now
	} else {
		f.set = newKeySet(keys)
		s.set, s.failure = f.set, nil
		s.refresh, s.fresh, s.stale = now.Add(ttl/5*4), now.Add(ttl), now.Add(ttl+jwksMaxStale)
	}
	s.flight = nil
	close(f.done)
}

// passed says whether d has passed since then; also true when the clock was set back,
// or a jump would switch fetching off until the old time is reached again.
func passed(since, now time.Time, d time.Duration) bool {
	diff := now.Sub(since)
	return diff >= d || diff < 0
}

// permanent is an error that another try would not change.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

func (s *jwks) fetch(ctx context.Context) (keys []Key, ttl time.Duration, err error) {
	for attempt := 1; ; attempt++ {
		keys, ttl, err = s.fetchOnce(ctx)
		var final permanent
		if err == nil || attempt == jwksAttempts || errors.As(err, &final) {
			return keys, ttl, err
		}
		if err := s.sleep(ctx, jwksPause); err != nil {
			return nil, 0, err
		}
	}
}

func (s *jwks) fetchOnce(ctx context.Context) ([]Key, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, 0, permanent{err}
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("User-Agent", "cardea-go")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch key set: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		err := fmt.Errorf("fetch key set: %s answered %d", s.url, resp.StatusCode)
		if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
			return nil, 0, err
		}
		return nil, 0, permanent{err}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, jwksMaxBody+1))
	if err != nil {
		return nil, 0, fmt.Errorf("fetch key set: %w", err)
	}
	if len(body) > jwksMaxBody {
		return nil, 0, permanent{errors.New("fetch key set: larger than 1 MiB")}
	}
	keys, err := ParseJWKS(body)
	if err != nil {
		return nil, 0, permanent{err}
	}
	return keys, freshness(resp.Header, s.ttl), nil
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

// keyClient gives a client that follows redirects only within one host: keys come from
// where the configuration says, not from where an answer points to.
func keyClient(c *http.Client) *http.Client {
	client := &http.Client{}
	if c != nil {
		*client = *c
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0].URL
		if req.URL.Scheme != first.Scheme || req.URL.Host != first.Host || len(via) > jwksMaxRedirect {
			return permanent{fmt.Errorf("refused redirect to %s", req.URL.Redacted())}
		}
		return nil
	}
	return client
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
