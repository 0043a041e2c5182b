package cardea

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ConsentClientConfig says which Cardea server keeps the consents, and who asks it.
type ConsentClientConfig struct {
	// URL is the address of the server without a path of the API, such as
	// https://auth.example.com. Plain http is taken for loopback addresses only, or with
	// InsecureHTTP, which is acceptable where nobody else can read along: tokens go over it.
	URL          string
	InsecureHTTP bool
	// Issuer is whose users the server knows: the iss of their tokens. "" is that of the
	// server itself, URL + "/auth/v1". Nobody else's users are asked about: the same subject
	// at another issuer is another person.
	Issuer string
	// Key is a service_role token or sb_secret_ key. Without one the caller's own token is
	// sent on, which needs no secret in the service, works for tokens of sessions, and does
	// not behind tickets.
	Key string
	// HTTPClient sends the requests; nil means one with Go's default transport. Redirects
	// are not followed.
	HTTPClient *http.Client
	// Timeout ends a request; 0 means 3 s, at most 10 s. There is no second try: the caller
	// waits, and is told to come back.
	Timeout time.Duration
}

// ConsentClient is the [ConsentSource] of a Cardea server. It remembers nothing.
type ConsentClient struct {
	url, issuer, key string
	remote           remote
	timeout          time.Duration
}

const (
	defaultConsentTimeout = 3 * time.Second
	maxSegment            = 128
)

// NewConsentClient checks the configuration. It does not connect.
func NewConsentClient(c ConsentClientConfig) (*ConsentClient, error) {
	if err := checkRemoteURL(c.URL, c.InsecureHTTP); err != nil {
		return nil, fmt.Errorf("cardea: ConsentClientConfig.URL: %w", err)
	}
	if strings.ContainsAny(c.URL, "?#") {
		return nil, errors.New("cardea: ConsentClientConfig.URL: must have no query")
	}
	if strings.ContainsFunc(c.Key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("cardea: ConsentClientConfig.Key: has characters that no key has")
	}
	if c.Timeout == 0 {
		c.Timeout = defaultConsentTimeout
	}
	if c.Timeout < 0 || c.Timeout > remoteTimeout {
		return nil, fmt.Errorf("cardea: ConsentClientConfig.Timeout: %s is not between 0 and %s", c.Timeout, remoteTimeout)
	}
	base := strings.TrimSuffix(c.URL, "/")
	if c.Issuer == "" {
		c.Issuer = base + "/auth/v1"
	}
	return &ConsentClient{base, c.Issuer, c.Key, remote{noRedirectClient(c.HTTPClient), pause}, c.Timeout}, nil
}

// GrantedConsents implements [ConsentSource].
//
// An answer 404 (with a key), or 403 (with the caller's token: an account that is banned, or a
// token that is not of a session), is no consent. 401 to the caller's token is answered 401
// TOKEN_REVOKED: the server knows that the session has ended. Everything else but 200 is an
// error.
func (c *ConsentClient) GrantedConsents(ctx context.Context, q ConsentQuery) ([]string, error) {
	if q.Principal.Issuer != c.issuer {
		return nil, nil // somebody whom the server can't know
	}
	address, credential := c.url+"/api/users/me/consents", q.Token
	if c.key != "" {
		if !plainSegment(q.Principal.Subject) {
			return nil, nil // no id of an account
		}
		address, credential = c.url+"/admin/v1/users/"+q.Principal.Subject+"/consents", c.key
	}
	if credential == "" {
		return nil, errors.New("cardea: consents: neither a key nor the caller's token to ask with")
	}
	if q.Principal.Tenant != "" {
		address += "?tenant_id=" + url.QueryEscape(q.Principal.Tenant)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, err := c.remote.once(ctx, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Authorization", "Bearer "+credential)
		return req, nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("cardea: consents: %w", err)
	case answer.status == http.StatusOK:
		return readConsents(answer.body, q)
	case c.key != "" && answer.status == http.StatusNotFound, c.key == "" && answer.status == http.StatusForbidden:
		return nil, nil
	case c.key == "" && answer.status == http.StatusUnauthorized:
		return nil, NewError(CodeTokenRevoked, nil)
	}
	return nil, fmt.Errorf("cardea: consents: the server answered %d", answer.status)
}

// plainSegment reports whether an id can stand in a path as it is.
func plainSegment(s string) bool {
	return s != "" && len(s) <= maxSegment && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// readConsents takes what holds, for the application as a whole or for the caller's tenant.
func readConsents(body []byte, q ConsentQuery) ([]string, error) {
	var list struct {
		Consents []struct {
			Purpose  string `json:"purpose"`
			TenantID string `json:"tenant_id"`
			Status   string `json:"status"`
		} `json:"consents"`
	}
	if err := json.Unmarshal(body, &list); err != nil || list.Consents == nil {
		return nil, errors.New("cardea: consents: the answer is none")
	}
	var granted []string
	for _, c := range list.Consents {
		if c.Status == "granted" && (c.TenantID == "" || c.TenantID == q.Principal.Tenant) {
			granted = append(granted, c.Purpose)
		}
	}
	return granted, nil
}
