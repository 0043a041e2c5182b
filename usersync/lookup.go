package usersync

import (
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

	"github.com/cardea-auth/cardea"
)

// The figures of a look-up.
const (
	lookupTries   = 2
	lookupTimeout = 5 * time.Second // of one try, body included
	lookupMaxBody = 1 << 20
)

// SupabaseUser is the Source for a Supabase project and for Cardea: the user endpoint of the
// issuer, asked with the caller's own token. What it says of email_confirmed_at and
// phone_confirmed_at is the only evidence that such an issuer gives.
type SupabaseUser struct {
	// URL is the issuer, such as https://<project>.supabase.co/auth/v1.
	URL string
	// APIKey is the publishable or anon key, which Supabase's gateway wants.
	APIKey string
	// ServiceKey, if set, asks the endpoint of operators about users whose token is not at
	// hand any more: who waited for an issuer that was down, after a restart. It opens
	// everything at the issuer; leave it empty if nobody needs that.
	ServiceKey string
	// Client is nil for one of its own. Redirects are not followed and cookies not kept:
	// the request carries somebody's token.
	Client *http.Client
	// Now is the clock, by which a ban is over; nil means time.Now.
	Now func() time.Time
}

// Ask implements Source.
func (s SupabaseUser) Ask(ctx context.Context, p *cardea.Principal, token string) (Identity, error) {
	address, key := strings.TrimRight(s.URL, "/")+"/user", s.APIKey
	if token == "" {
		if s.ServiceKey == "" {
			return Identity{}, ErrNoEvidence
		}
		address = strings.TrimRight(s.URL, "/") + "/admin/users/" + url.PathEscape(p.Subject)
		token, key = s.ServiceKey, s.ServiceKey
	}
	body, err := lookup(ctx, s.Client, address, token, key)
	if err != nil {
		return Identity{}, err
	}
	var u userRecord
	if err := json.Unmarshal(body, &u); err != nil {
		return Identity{}, fmt.Errorf("usersync: the issuer's answer: %w", err)
	}
	if u.ID != p.Subject {
		return Identity{}, refusedBy(errors.New("the answer is about another user"))
	}
	now := s.Now
	if now == nil {
		now = time.Now
	}
	id := u.standing(u.identity(p.Issuer), now())
	if id.Standing == StandingGood && id.SourceAt.IsZero() {
		id.Standing = StandingUnknown // good, but nobody says since when
	}
	return id, nil
}

// UserInfo is the Source for an OpenID issuer whose access tokens have no addresses: its
// userinfo endpoint (OpenID Connect Core §5.3). The token needs the scopes email and phone.
type UserInfo struct {
	URL    string       // of the endpoint
	Client *http.Client // as in SupabaseUser
}

// Ask implements Source. The subject of the answer must be that of the token (§5.3.2).
func (s UserInfo) Ask(ctx context.Context, p *cardea.Principal, token string) (Identity, error) {
	if token == "" {
		return Identity{}, ErrNoEvidence
	}
	body, err := lookup(ctx, s.Client, s.URL, token, "")
	if err != nil {
		return Identity{}, err
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(body, &claims); err != nil {
		return Identity{}, fmt.Errorf("usersync: the issuer's answer: %w", err)
	}
	if str(claims["sub"]) != p.Subject {
		return Identity{}, refusedBy(errors.New("the answer is about another user"))
	}
	id := tokenIdentity(p)
	id.Email, id.EmailVerified = str(claims["email"]), isTrue(claims["email_verified"])
	id.Phone, id.PhoneVerified = str(claims["phone_number"]), isTrue(claims["phone_number_verified"])
	id.Profile = id.Profile.with(profileOf(claims))
	return id, nil
}

func refusedBy(cause error) error { return cardea.NewError(cardea.CodeProviderError, cause) }

// lookup gets a JSON document with somebody's token. What says something about the user is
// a refusal; everything else is no answer.
func lookup(ctx context.Context, base *http.Client, address, token, apiKey string) (body []byte, err error) {
	if err := checkURL(address); err != nil {
		return nil, err
	}
	client := &http.Client{}
	if base != nil {
		*client = *base
	}
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var status int
	for range lookupTries {
		if body, status, err = lookupOnce(ctx, client, address, token, apiKey); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("usersync: ask the issuer: %w", err)
	}
	switch status {
	case http.StatusOK:
		return body, nil
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return nil, refusedBy(fmt.Errorf("look-up: answered %d", status))
	}
	return nil, fmt.Errorf("usersync: ask the issuer: answered %d", status)
}

func lookupOnce(ctx context.Context, client *http.Client, address, token, apiKey string) ([]byte, int, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil) //nolint:gosec // G704: the operator's own address
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	if apiKey != "" {
		req.Header.Set("apikey", apiKey)
	}
	resp, err := client.Do(req) //nolint:gosec // G704: as above
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests {
		return nil, 0, fmt.Errorf("answered %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, lookupMaxBody+1))
	if err == nil && len(body) > lookupMaxBody {
		err = errors.New("the answer is too long")
	}
	return body, resp.StatusCode, err
}

// checkURL: tokens and personal data go there, hence https, but on the machine itself.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("usersync: not an absolute URL without user and fragment")
	}
	if u.Scheme == "https" {
		return nil
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && (u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())) {
		return nil
	}
	return errors.New("usersync: https is needed, or http to a loopback address")
}
