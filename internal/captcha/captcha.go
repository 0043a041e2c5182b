// Package captcha asks hCaptcha or Cloudflare Turnstile whether the token that a page's
// widget gave stands for a person. Only the provider's yes lets a request through: no
// token, a no, no answer, and an answer that can't be understood all refuse.
package captcha

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// The providers.
const (
	HCaptcha  = "hcaptcha"
	Turnstile = "turnstile"
)

const (
	defaultTimeout = 10 * time.Second // GoTrue's
	maxToken       = 8 << 10          // bytes; Turnstile's have at most 2 kB, hCaptcha's some more
	maxAnswer      = 64 << 10         // bytes
	maxCodes       = 8                // error codes that are repeated to the caller
	retryAfter     = 5 * time.Second
)

// Config says whom to ask.
type Config struct {
	Provider  string            // HCaptcha or Turnstile
	Secret    string            // of the site, from the provider
	Timeout   time.Duration     // of one question; 0: 10 s
	URL       string            // "": the provider's own; another one only for a test, or a proxy of the operator
	Transport http.RoundTripper // nil: an own one, without a proxy
}

// String hides the secret.
func (c Config) String() string { return "{" + c.Provider + "}" }

// Format hides the secret from every verb.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

// LogValue hides the secret.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Verifier checks tokens. A nil *Verifier lets everything through: it stands for "not
// configured". It is safe for concurrent use.
type Verifier struct {
	c      Config
	client *http.Client
}

// New makes a Verifier. The error joins everything that is wrong with the configuration.
func New(c Config) (*Verifier, error) {
	var errs []error
	own, known := map[string]string{
		HCaptcha: "https://api.hcaptcha.com/siteverify", Turnstile: "https://challenges.cloudflare.com/turnstile/v0/siteverify",
	}[c.Provider]
	if !known {
		errs = append(errs, fmt.Errorf("captcha: the provider is %q, not %s or %s", c.Provider, HCaptcha, Turnstile))
	}
	c.Secret = strings.TrimSpace(c.Secret)
	if c.Secret == "" {
		errs = append(errs, errors.New("captcha: the secret is missing"))
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("captcha: the time limit is negative"))
	}
	if c.URL == "" {
		c.URL = own
	} else if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		errs = append(errs, errors.New("captcha: the address is none of a web service"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: c.Timeout,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, DisableCompression: true,
		}
	}
	return &Verifier{c: c, client: &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret goes nowhere else
	}}, nil
}

// Check asks about a token; nil means that it stands for a person. ip is the client's, ""
// if unknown. Errors: CodeCaptchaFailed with GoTrue's sentence when there is no token or the
// provider says no; CodeUnavailable when the provider can't be asked; the context's own.
//
// That a token is good for one request only is the provider's to watch over. For which
// site's widget it was made is not checked beyond the secret.
func (v *Verifier) Check(ctx context.Context, token, ip string) error {
	if v == nil {
		return nil
	}
	token = strings.TrimSpace(token)
	switch {
	case token == "":
		return disallowed("no captcha_token found in request")
	case len(token) > maxToken:
		return disallowed("invalid-input-response")
	}
	answer, err := v.ask(ctx, token, ip)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("captcha: %w", ctx.Err())
	case err != nil:
		return &auth.Error{
			Code: auth.CodeUnavailable, Message: "captcha verification process failed", RetryAfter: retryAfter,
			Cause: fmt.Errorf("captcha: %s: %w", v.c.Provider, err),
		}
	case !answer.Success:
		return disallowed(codes(answer.Codes))
	}
	return nil
}

func disallowed(why string) error {
	return auth.E(auth.CodeCaptchaFailed, "captcha protection: request disallowed ("+why+")")
}

// answer is what both providers say.
type answer struct {
	Success bool     `json:"success"`
	Codes   []string `json:"error-codes"`
}

// ask makes one request. It is not repeated: a token is good for one question.
func (v *Verifier) ask(ctx context.Context, token, ip string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, v.c.Timeout)
	defer cancel()
	form := url.Values{"secret": {v.c.Secret}, "response": {token}}
	if ip != "" {
		form.Set("remoteip", ip)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.c.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, errors.New("the request can't be made")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "cardea")
	res, err := v.client.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("asking: %w", err)
	}
	defer res.Body.Close()
	// Turnstile says no with other statuses too; hCaptcha always says 200.
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusBadRequest {
		return answer{}, fmt.Errorf("status %d", res.StatusCode)
	}
	a, err := parseAnswer(res.Body)
	if err == nil && a.Success && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("success with status %d", res.StatusCode)
	}
	return a, err
}

func parseAnswer(body io.Reader) (answer, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return answer{}, fmt.Errorf("reading: %w", err)
	}
	if len(raw) > maxAnswer {
		return answer{}, errors.New("the answer is too long")
	}
	// success has to be there: an answer of another kind is no no, and even less a yes.
	var a struct {
		Success *bool    `json:"success"`
		Codes   []string `json:"error-codes"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return answer{}, fmt.Errorf("the answer is no JSON of the right form: %w", err)
	}
	if a.Success == nil {
		return answer{}, errors.New("the answer does not say whether it is a success")
	}
	return answer{*a.Success, a.Codes}, nil
}

// codes joins the provider's codes as GoTrue does. Whatever does not look like a code is
// left out, as the text goes to the caller.
func codes(all []string) string {
	var good []string
	for _, c := range all {
		if len(good) < maxCodes && c != "" && len(c) <= 64 && strings.Trim(c, "abcdefghijklmnopqrstuvwxyz0123456789-_") == "" {
			good = append(good, c)
		}
	}
	return strings.Join(good, ", ")
}
