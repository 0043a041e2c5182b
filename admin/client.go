package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// base is where the API is below Config.URL.
const base = "/admin/v1"

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 32 << 20

// Config says where the server is and who asks. URL and Key are needed.
type Config struct {
	// URL is the address of the server without a path of the API, such as
	// https://auth.example.com. Plain http is taken for loopback addresses only.
	URL string
	// InsecureHTTP allows plain http elsewhere: acceptable inside a network where nobody
	// else can read along, because the key goes over it.
	InsecureHTTP bool
	Key          string // service_role token or sb_secret_ key

	// HTTP sends the requests; nil: a client with a time limit of 30 seconds. Redirects are
	// never followed, whatever it says: they would hand the key to where they lead.
	HTTP *http.Client
	// Attempts is how often a request is sent at most when the server answers 429 or 503, or
	// when a read can't reach it; 0: 3.
	Attempts int
	// MaxWait is the longest wait between two attempts; 0: 30 seconds. A server that asks for
	// a longer one (Retry-After) is not waited for: its answer is the error.
	MaxWait   time.Duration
	UserAgent string           // "" is "cardea-admin"
	Now       func() time.Time // nil: time.Now
}

// Client calls the API. It is safe for concurrent use.
type Client struct {
	Users     *Users
	Tenants   *Tenants
	Relations *Relations
	Roles     *Roles
	Keys      *Keys
	APIKeys   *APIKeys
	Messages  *Messages
	Erasures  *Erasures

	c      *Config
	url    string
	http   *http.Client
	reason string
}

// New makes a client. It does not connect.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, errors.New("admin: the URL is not one") // url.Error would repeat what may hold a password
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("admin: the URL has to be like https://auth.example.com")
	case u.Scheme == "http" && !c.InsecureHTTP && !loopback(u.Hostname()):
		return nil, fmt.Errorf("admin: %s is plain http: the key could be read on its way; use https, or set InsecureHTTP", u.Host)
	case c.Key == "" || strings.ContainsFunc(c.Key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("admin: there is no key, or it has characters that no key has")
	}
	if c.Attempts <= 0 {
		c.Attempts = 3
	}
	if c.MaxWait <= 0 {
		c.MaxWait = 30 * time.Second
	}
	if c.UserAgent == "" {
		c.UserAgent = "cardea-admin"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	h := http.Client{Timeout: 30 * time.Second}
	if c.HTTP != nil {
		h = *c.HTTP
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cl := &Client{c: &c, url: strings.TrimSuffix(u.String(), "/") + base, http: &h}
	cl.bind()
	return cl, nil
}

func (c *Client) bind() {
	c.Users, c.Tenants, c.Relations, c.Roles = &Users{c}, &Tenants{c}, &Relations{c}, &Roles{c}
	c.Keys, c.APIKeys, c.Messages, c.Erasures = &Keys{c}, &APIKeys{c}, &Messages{c}, &Erasures{c}
}

// Because gives a client whose changes say why in the audit log, for methods that don't ask
// for a reason themselves.
func (c *Client) Because(reason string) *Client {
	other := *c
	other.reason = reason
	other.bind()
	return &other
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// call is one request of the API.
type call struct {
	method string
	path   []string // segments below base, not escaped
	query  url.Values
	body   any    // nil: none
	reason string // "" is the client's
	// explains sends the reason with a read, too: some are as grave as a change.
	explains bool
	out      any // nil: the answer is not looked at
}

// do sends the request, again where that is safe, and decodes the answer.
func (c *Client) do(ctx context.Context, k call) error {
	path, err := route(k.path)
	if err != nil {
		return err
	}
	var body []byte
	if k.body != nil {
		if body, err = json.Marshal(k.body); err != nil {
			return fmt.Errorf("admin: %s %s: %w", k.method, path, err)
		}
	}
	for attempt := 1; ; attempt++ {
		answer, err := c.once(ctx, k, path, body)
		if err == nil {
			return decode(k, path, answer)
		}
		wait, again := c.again(k.method, err, attempt)
		if !again {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("admin: %s %s: %w", k.method, path, err)
		}
	}
}

// again says whether and when to try once more. An answer with Retry-After tells that the
// request was not begun; without it a change is not repeated.
func (c *Client) again(method string, err error, attempt int) (time.Duration, bool) {
	if attempt >= c.c.Attempts {
		return 0, false
	}
	backoff := min(200*time.Millisecond<<min(attempt-1, 10), c.c.MaxWait)
	var e *Error
	if !errors.As(err, &e) {
		var unreachable *connectionError
		return backoff, errors.As(err, &unreachable) && method == http.MethodGet
	}
	if e.Status != http.StatusTooManyRequests && e.Status != http.StatusServiceUnavailable {
		return 0, false
	}
	if e.RetryAfter > 0 {
		return e.RetryAfter, e.RetryAfter <= c.c.MaxWait
	}
	return backoff, method == http.MethodGet
}

// connectionError is a request that got no answer.
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// once sends the request once. The error is an [*Error] when the server refused.
func (c *Client) once(ctx context.Context, k call, path string, body []byte) ([]byte, error) {
	target := c.url + path
	if q := k.query.Encode(); q != "" {
		target += "?" + q
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("admin: %s %s: %w", k.method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.c.Key)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.c.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if reason := first(k.reason, c.reason); reason != "" && (k.method != http.MethodGet || k.explains) {
		req.Header.Set("X-Reason", extValue(reason))
	}
	res, err := c.http.Do(req)
	if err != nil {
		err = fmt.Errorf("admin: %s %s: %w", k.method, path, err)
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &connectionError{err}
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, errorOf(k.method, path, res, answer, c.c.Now())
	case err != nil:
		return nil, &connectionError{fmt.Errorf("admin: %s %s: the answer ended early: %w", k.method, path, err)}
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("admin: %s %s: the answer is larger than %d bytes", k.method, path, maxAnswer)
	}
	return answer, nil
}

func decode(k call, path string, answer []byte) error {
	if k.out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, k.out); err != nil {
		return fmt.Errorf("admin: %s %s: the answer is not the API's: %w", k.method, path, err)
	}
	return nil
}

// ask is do for an answer of type T.
func ask[T any](ctx context.Context, c *Client, k call) (T, error) {
	var out T
	k.out = &out
	err := c.do(ctx, k)
	return out, err
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
