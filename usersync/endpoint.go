package usersync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// EndpointConfig is a webhook that gets every change.
type EndpointConfig struct {
	// Name tells the endpoint from others, also after a restart; the URL may change.
	Name string
	URL  string // https, or http to a loopback address
	// Secrets are "whsec_" and base64 of 24 to 64 random bytes. Each of them signs, so to
	// rotate: add the new one, move the receiver over, remove the old one.
	Secrets []string
	// Client is nil for one of its own. Redirects are not followed: what is sent is personal.
	Client *http.Client
	// Now is the clock, nil means time.Now.
	Now func() time.Time
}

// Endpoint is a [Consumer] that posts events, signed as Standard Webhooks has it: the
// headers webhook-id, webhook-timestamp and webhook-signature, HMAC-SHA256 over
// "id.timestamp.body". Every answer of 200 to 299 within 15 s is a receipt. A receiver has to
// check the signature before it reads the body, and drop ids that it has seen.
type Endpoint struct {
	c       EndpointConfig
	secrets secrets
	client  *http.Client
}

var _ Consumer = (*Endpoint)(nil)

// NewEndpoint checks the configuration.
func NewEndpoint(c EndpointConfig) (*Endpoint, error) {
	keys, err := parseSecrets(c.Secrets)
	if err == nil {
		err = checkURL(c.URL)
	}
	if c.Name == "" {
		err = errors.Join(err, errors.New("usersync: no name"))
	}
	if err != nil {
		return nil, fmt.Errorf("usersync: endpoint %q: %w", c.Name, err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	client := &http.Client{}
	if c.Client != nil {
		*client = *c.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Endpoint{c: c, secrets: keys, client: client}, nil
}

// Name implements Consumer.
func (e *Endpoint) Name() string { return "webhook:" + e.c.Name }

// Deliver implements Consumer.
func (e *Endpoint) Deliver(ctx context.Context, id string, payload []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.c.URL, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "cardea-usersync")
	e.secrets.sign(req.Header, id, e.c.Now(), payload)
	resp, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("usersync: deliver: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection serves again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("usersync: deliver: answered %d", resp.StatusCode)
	}
	return nil
}
