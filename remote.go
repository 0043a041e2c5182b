package cardea

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The figures of every request to an issuer.
const (
	remoteAttempts    = 3                      // the first try and two more
	remotePause       = 300 * time.Millisecond // between two tries, flat
	remoteTimeout     = 10 * time.Second       // of one try, body included: a slow drip ends too
	remoteMaxBody     = 1 << 20
	remoteMaxRedirect = 3
	remoteBackoff     = 5 * time.Second // after a fetch that failed
)

// remote asks an issuer something. The zero value is not usable.
type remote struct {
	client *http.Client
	sleep  func(context.Context, time.Duration) error
}

// reply is an answer that another try would not change.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// permanent is an error that another try would not change.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// errNoAnswer: the issuer is there, but what it sent is no answer to the question: 5xx,
// 429, too much. Another question may fare better.
var errNoAnswer = errors.New("the issuer could not answer")

// ask sends a request up to three times. Time-outs, broken connections, 429 and 5xx are
// worth another try; every other answer is given to the caller.
func (r remote) ask(ctx context.Context, request func(context.Context) (*http.Request, error)) (answer reply, err error) {
	for attempt := 1; ; attempt++ {
		answer, err = r.once(ctx, request)
		var final permanent
		if err == nil || attempt == remoteAttempts || errors.As(err, &final) {
			return answer, err
		}
		if err := r.sleep(ctx, remotePause); err != nil {
			return reply{}, err
		}
	}
}

func (r remote) once(ctx context.Context, request func(context.Context) (*http.Request, error)) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	req, err := request(ctx)
	if err != nil {
		return reply{}, permanent{err}
	}
	req.Header.Set("User-Agent", "cardea-go")
	resp, err := r.client.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("ask the issuer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written to it
	if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests {
		return reply{}, fmt.Errorf("ask the issuer: %s answered %d: %w", req.URL.Redacted(), resp.StatusCode, errNoAnswer)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, remoteMaxBody+1))
	if err != nil {
		return reply{}, fmt.Errorf("ask the issuer: %w", err)
	}
	if len(body) > remoteMaxBody {
		return reply{}, permanent{fmt.Errorf("ask the issuer: more than 1 MiB: %w", errNoAnswer)}
	}
	return reply{resp.StatusCode, resp.Header, body}, nil
}

// get is ask for a document that must be there.
func (r remote) get(ctx context.Context, address, accept, apiKey string) (reply, error) {
	answer, err := r.ask(ctx, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", accept)
		if apiKey != "" {
			req.Header.Set("apikey", apiKey)
		}
		return req, nil
	})
	if err == nil && answer.status != http.StatusOK {
		err = fmt.Errorf("ask the issuer: %s answered %d", redacted(address), answer.status)
	}
	return answer, err
}

// sameHostClient gives a client that follows redirects only within one host: keys come
// from where the configuration says, not from where an answer points to.
func sameHostClient(c *http.Client) *http.Client {
	client := copyClient(c)
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0].URL
		if req.URL.Scheme != first.Scheme || req.URL.Host != first.Host || len(via) > remoteMaxRedirect {
			return permanent{fmt.Errorf("refused redirect to %s", req.URL.Redacted())}
		}
		return nil
	}
	return client
}

// noRedirectClient gives a client that follows none: its requests carry a user's token
// and the service's own secret.
func noRedirectClient(c *http.Client) *http.Client {
	client := copyClient(c)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// copyClient leaves the cookie jar out: nothing that an issuer sets may decide what it
// answers about the next user.
func copyClient(c *http.Client) *http.Client {
	client := &http.Client{}
	if c != nil {
		*client = *c
	}
	client.Jar = nil
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
