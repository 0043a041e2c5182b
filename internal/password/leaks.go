package password

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // G505: the service's protocol
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/text/unicode/norm"
)

// Limits of the look-up. A person waits for it.
const (
	leaksURL         = "https://api.pwnedpasswords.com"
	leaksTimeout     = 2 * time.Second
	maxRange         = 1 << 20 // bytes of one answer; real ones are some 40 kB
	maxRangeLines    = 1 << 14
	rangesKept       = 256 // answers kept; some 8 kB each
	rangeLife        = 6 * time.Hour
	restAfterFailure = 10 * time.Second
)

// LeaksConfig says how leaked passwords are looked up. The zero value asks the public
// service of Have I Been Pwned.
type LeaksConfig struct {
	URL        string            // of a service with the same protocol, without /range; "": the public one
	FailClosed bool              // refuse passwords while the service can't be asked
	Timeout    time.Duration     // 0: 2 s
	Transport  http.RoundTripper // nil: an own one, without a proxy
	Now        func() time.Time  // nil: the clock
}

// Leaks knows leaked passwords. The service learns the first 20 of the 160 bits of a SHA-1
// hash, which some 800 leaked passwords share, and by the padding not even how long its
// answer was (k-anonymity). After a failure it is left alone for ten seconds, so that an
// outage costs sign-ups one time limit and not each its own.
//
// What is asked for leaves the house, if only five hexadecimal digits of it: hence it is
// off unless an operator turns it on.
type Leaks struct {
	c      LeaksConfig
	client *http.Client

	failures atomic.Uint64
	asked    atomic.Uint64

	mu        sync.Mutex
	ranges    map[string]leakRange
	restUntil time.Time
	lastError error
}

// leakRange is one answer: the hashes behind a prefix, by the 64 bits that follow it.
type leakRange struct {
	hashes []uint64 // sorted
	until  time.Time
}

// NewLeaks makes a Leaks. The URL has to be https, or http on loopback.
func NewLeaks(c LeaksConfig) (*Leaks, error) {
	if c.URL == "" {
		c.URL = leaksURL
	}
	if c.Timeout <= 0 {
		c.Timeout = leaksTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("password: leak service: %w", err)
	}
	loopback := slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, errors.New("password: leak service: the address has to be https://host, or http:// on this machine")
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.Transport == nil {
		c.Transport = &http.Transport{
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: c.Timeout,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, DisableCompression: true,
		}
	}
	client := &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Leaks{c: c, client: client, ranges: map[string]leakRange{}}, nil
}

// Failures counts passwords that could not be looked up.
func (l *Leaks) Failures() uint64 { return l.failures.Load() }

// Asked counts requests to the service.
func (l *Leaks) Asked() uint64 { return l.asked.Load() }

// Contains reports whether a password is known to have leaked. An error says that it could
// not be found out; it never holds the password or its hash.
func (l *Leaks) Contains(ctx context.Context, password string) (bool, error) {
	sum := sha1.Sum([]byte(norm.NFC.String(password))) //nolint:gosec,forbidigo // the service's protocol; nothing is protected by it
	name := strings.ToUpper(hex.EncodeToString(sum[:]))
	prefix := name[:5]
	hashes, err := l.lookUp(ctx, prefix)
	if err != nil {
		l.failures.Add(1)
		return false, err
	}
	_, found := slices.BinarySearch(hashes, following(name))
	return found, nil
}

// following gives the 64 bits after the prefix, of a hash in hexadecimal digits.
func following(name string) uint64 {
	b, err := hex.DecodeString(name[5:21])
	if err != nil {
		return 0 // not reached: name is made of digits
	}
	return binary.BigEndian.Uint64(b)
}

// lookUp gives the hashes behind a prefix, from memory if they are there.
func (l *Leaks) lookUp(ctx context.Context, prefix string) ([]uint64, error) {
	now := l.c.Now()
	l.mu.Lock()
	kept, ok := l.ranges[prefix]
	rest, last := now.Before(l.restUntil), l.lastError
	l.mu.Unlock()
	switch {
	case ok && now.Before(kept.until):
		return kept.hashes, nil
	case rest:
		return nil, last
	}
	hashes, err := l.ask(ctx, prefix)
	now = l.c.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil { // the service's fault, not a caller that went away
			l.restUntil, l.lastError = now.Add(restAfterFailure), err
		}
		return nil, err
	}
	if len(l.ranges) >= rangesKept {
		for old := range l.ranges { // any: the prefixes are evenly spread
			delete(l.ranges, old)
			break
		}
	}
	l.ranges[prefix] = leakRange{hashes, now.Add(rangeLife)}
	return hashes, nil
}

// ask makes one request. Its errors do not name the prefix.
func (l *Leaks) ask(ctx context.Context, prefix string) ([]uint64, error) {
	l.asked.Add(1)
	ctx, cancel := context.WithTimeout(ctx, l.c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.c.URL+"/range/"+prefix, http.NoBody)
	if err != nil {
		return nil, errors.New("password: leak service: the request can't be made")
	}
	r.Header.Set("Add-Padding", "true") // else the length of the encrypted answer tells the prefix
	r.Header.Set("User-Agent", "cardea")
	res, err := l.client.Do(r)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) { // its text has the address, and so the prefix
			err = inner.Err
		}
		return nil, fmt.Errorf("password: leak service: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("password: leak service: status %d", res.StatusCode)
	}
	hashes, err := parseRange(res.Body)
	if err != nil {
		return nil, fmt.Errorf("password: leak service: %w", err)
	}
	return hashes, nil
}

// parseRange reads lines of 35 hexadecimal digits, a colon and a count. A count of 0 is
// padding. Anything else refuses the whole answer: half of one would call leaked passwords
// good.
func parseRange(r io.Reader) ([]uint64, error) {
	limited := &io.LimitedReader{R: r, N: maxRange + 1}
	lines := bufio.NewScanner(limited)
	var hashes []uint64
	for n := 0; lines.Scan(); n++ {
		if n >= maxRangeLines {
			return nil, errors.New("too many lines")
		}
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			continue
		}
		suffix, count, ok := strings.Cut(line, ":")
		if !ok || len(suffix) != 35 || count == "" || strings.Trim(count, "0123456789") != "" {
			return nil, errors.New("a line that is no hash with a count")
		}
		b, err := hex.DecodeString(suffix[:34])
		if err != nil || strings.IndexByte("0123456789abcdefABCDEF", suffix[34]) < 0 {
			return nil, errors.New("a line that is no hash with a count")
		}
		if strings.Trim(count, "0") != "" {
			hashes = append(hashes, binary.BigEndian.Uint64(b))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if limited.N <= 0 {
		return nil, errors.New("the answer is too long")
	}
	if len(hashes) == 0 { // every prefix has leaked passwords: this is somebody else's page
		return nil, errors.New("no hash in the answer")
	}
	slices.Sort(hashes)
	return hashes, nil
}
