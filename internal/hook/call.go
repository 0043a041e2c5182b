package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Limits of one call; GoTrue's.
const (
	callTimeout     = 5 * time.Second // for all tries of a web service together
	functionTimeout = 2 * time.Second // for a function in the database
	maxTries        = 3
	pause           = 2 * time.Second // between tries, unless Retry-After says less
	maxAnswer       = 200 << 10       // bytes
)

// target is what can be called.
type target interface {
	// call gives the answer, "" for none. Its errors are for the caller of the hook.
	call(ctx context.Context, id string, body []byte) ([]byte, error)
}

// service is a hook behind HTTP.
type service struct {
	url     string
	secrets Secrets
	client  *http.Client
	now     func() time.Time
}

// newClient makes a client that goes where it is sent and nowhere else: a redirect would
// hand one-time codes to whoever the answer names.
func newClient(t http.RoundTripper) *http.Client {
	if t == nil {
		t = &http.Transport{
			MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: callTimeout,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, DisableCompression: true,
		}
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// again wraps what may be better at the next try.
type again struct {
	error
	after time.Duration
}

func (a again) Unwrap() error { return a.error }

func (s *service) call(parent context.Context, id string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(parent, callTimeout)
	defer cancel()
	for try := 1; ; try++ {
		answer, err := s.try(ctx, id, body)
		if err == nil {
			return answer, nil
		}
		if done := ended(parent, ctx, callTimeout, err); done != nil {
			return nil, done
		}
		var retry again
		switch {
		case !errors.As(err, &retry):
			return nil, err
		case try == maxTries:
			return nil, outOfTries(retry.error)
		}
		timer := time.NewTimer(retry.after)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ended(parent, ctx, callTimeout, retry.error)
		}
	}
}

// ended says why the time is over: whoever waits has gone, or the hook used it up; nil if
// it is not over.
func ended(parent, own context.Context, limit time.Duration, cause error) error {
	switch {
	case parent.Err() != nil:
		return fmt.Errorf("hook: %w", parent.Err())
	case own.Err() != nil:
		return timedOut(limit, cause)
	}
	return nil
}

// try makes one request.
func (s *service) try(ctx context.Context, id string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, broken("Failed to trigger auth hook, error initiating HTTP request", withoutURL(err))
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "cardea")
	s.secrets.Sign(r.Header, id, s.now(), body)
	res, err := s.client.Do(r)
	if err != nil {
		return nil, again{withoutURL(err), pause}
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusNoContent:
		return nil, nil
	case http.StatusOK, http.StatusAccepted:
		return readAnswer(res)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		cause := fmt.Errorf("status %d", res.StatusCode)
		if after := res.Header.Get("Retry-After"); after != "" {
			return nil, again{cause, pauseOf(after)}
		}
		return nil, broken("Service currently unavailable due to hook", cause)
	case http.StatusBadRequest:
		return nil, broken("Invalid payload sent to hook", errors.New("status 400"))
	case http.StatusUnauthorized:
		return nil, broken("Hook requires authorization token", errors.New("status 401"))
	default: // redirects too
		return nil, broken(fmt.Sprintf("Unexpected status code returned from hook: %d", res.StatusCode), nil)
	}
}

// readAnswer reads a body of JSON, and no more of it than is allowed.
func readAnswer(res *http.Response) ([]byte, error) {
	given := res.Header.Get("Content-Type")
	if given == "" {
		return nil, wrongType("Invalid Content-Type: Missing Content-Type header")
	}
	kind, _, err := mime.ParseMediaType(given)
	if err != nil {
		return nil, wrongType("Invalid Content-Type header")
	}
	if kind != "application/json" {
		return nil, wrongType("Invalid JSON response. Received content-type: " + kind)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case len(answer) > maxAnswer:
		return nil, tooLong()
	case err != nil:
		return nil, again{withoutURL(err), pause}
	}
	return answer, nil
}

// pauseOf reads Retry-After. A time longer than ours, and a date, count as ours: there are
// five seconds in all.
func pauseOf(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 && seconds < int(pause/time.Second) {
		return time.Duration(seconds) * time.Second
	}
	return pause
}

// withoutURL takes the address off an error of net/http: its query may hold a key.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Database runs a function of the application in its own transaction.
type Database interface {
	// CallFunction gives the text of what schema.function returns for the payload, a JSON
	// document; nil for NULL. It stops the function after the time limit with an error that
	// is context.DeadlineExceeded. The names are to be quoted.
	CallFunction(ctx context.Context, schema, function string, payload []byte, limit time.Duration) ([]byte, error)
}

// function is a hook in the database.
type function struct {
	db           Database
	schema, name string
}

func (f *function) call(parent context.Context, _ string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(parent, callTimeout) // for a free connection too
	defer cancel()
	answer, err := f.db.CallFunction(ctx, f.schema, f.name, body, functionTimeout)
	if err != nil {
		switch done := ended(parent, ctx, callTimeout, err); {
		case done != nil:
			return nil, done
		case errors.Is(err, context.DeadlineExceeded):
			return nil, timedOut(functionTimeout, err)
		}
		return nil, broken("Error running hook", err)
	}
	if len(answer) > maxAnswer {
		return nil, tooLong()
	}
	return answer, nil
}
