package cardea

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Config is what a Verifier needs. Only Issuers has no default.
type Config struct {
	Issuers []Issuer

	// Leeway is how far an issuer's clock may be ahead of ours: nbf and iat may lie
	// that much in the future. 0 means 30 s, a negative value none; at most 5 min.
	// There is no leeway for exp. Leeway and MaxLifetime hold for every issuer that
	// does not say otherwise.
	Leeway time.Duration
	// MaxLifetime is the longest lifetime (exp - iat) of a token; 0 means 24 h. Tokens
	// without iat are refused.
	MaxLifetime time.Duration
	// MaxTokenSize is the longest token in bytes; 0 means 8192.
	MaxTokenSize int

	// CacheTTL is how long a verified token is not verified again; 0 means 60 s, a
	// negative value switches the cache off. It never outlives the token's expiry.
	CacheTTL time.Duration
	// CacheSize is the most tokens in the cache; 0 means 5000 (about 1.3 KB each).
	CacheSize int

	// JWKSTTL is the longest time that fetched keys count as fresh; 0 means 1 h. A
	// shorter max-age in Cache-Control wins, down to 30 s.
	JWKSTTL time.Duration
	// HTTPClient fetches keys and asks issuers; nil means a client with Go's default transport. Each
	// try ends after 10 s; redirects to another host are refused.
	HTTPClient *http.Client

	// Revoked is asked about every token that is good otherwise, remembered or not: nil
	// lets it pass, an *[Error] is answered as it is, any other error is answered 503
	// AUTH_PROVIDER_UNREACHABLE, because a list that can't be read revokes nothing.
	// [Denylist.Check] fits here. It runs in the request and must be quick.
	Revoked func(ctx context.Context, p *Principal) error

	// Consents knows what people have agreed to, for [Verifier.Consent], which panics
	// without it. [ConsentClient] fits here.
	Consents ConsentSource

	// Admit is asked about each request of [Verifier.VerifyRequest] and the middleware
	// before anything else is looked at, for instance by a limiter of attempts: nil lets
	// the request go on, an *[Error] is answered as it is, any other error is answered
	// 429 RATE_LIMIT_EXCEEDED. Key a limiter by what the caller can't choose: the address
	// of the connection, or the one that a proxy of yours vouches for.
	Admit func(r *http.Request) error
	// RequireHTTPS refuses requests that did not come encrypted: 403 HTTPS_REQUIRED.
	// Behind a proxy that ends TLS, TrustForwardedProto takes its word for it, the header
	// X-Forwarded-Proto. Set that only if every request passes the proxy and the proxy
	// always replaces the header.
	RequireHTTPS, TrustForwardedProto bool

	// Now is the clock, nil means time.Now. Sleep waits between two tries to reach an
	// issuer, nil means a timer.
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error

	// ErrorEncoder writes the answer of a refused request; nil means [EncodeDetail].
	ErrorEncoder ErrorEncoder

	// OnAuthenticated is called for each request whose token is good, cached or not,
	// with the context that the handler will get. OnDenied is called for each request
	// that is refused, and for each that goes on anonymously because its token is bad.
	// Both run in the request and must be quick.
	OnAuthenticated func(ctx context.Context, p *Principal)
	OnDenied        func(ctx context.Context, d Denial)
}

// The defaults and limits of Config.
const (
	defaultLeeway      = 30 * time.Second
	maxLeeway          = 5 * time.Minute
	defaultMaxLifetime = 24 * time.Hour
	defaultTokenSize   = 8 << 10
	maxTokenSize       = 64 << 10
	defaultCacheTTL    = time.Minute
	defaultCacheSize   = 5000
	defaultJWKSTTL     = time.Hour
)

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.Leeway == 0 {
		c.Leeway = defaultLeeway
	}
	c.Leeway = max(c.Leeway, 0)
	if c.MaxLifetime == 0 {
		c.MaxLifetime = defaultMaxLifetime
	}
	if c.MaxTokenSize == 0 {
		c.MaxTokenSize = defaultTokenSize
	}
	if c.CacheTTL == 0 {
		c.CacheTTL = defaultCacheTTL
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	if c.JWKSTTL == 0 {
		c.JWKSTTL = defaultJWKSTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = pause
	}
	if c.ErrorEncoder == nil {
		c.ErrorEncoder = EncodeDetail
	}
	return c
}

// problems lists what is wrong, apart from the issuers.
func (c Config) problems() []error {
	var list []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Errorf(format, args...))
		}
	}
	add(len(c.Issuers) == 0, "Issuers: at least one is needed")
	add(c.Leeway > maxLeeway, "Leeway: %s is more than %s", c.Leeway, maxLeeway)
	add(c.MaxLifetime < 0, "MaxLifetime: %s is negative", c.MaxLifetime)
	add(c.MaxTokenSize < 0 || c.MaxTokenSize > maxTokenSize, "MaxTokenSize: %d is not between 1 and %d", c.MaxTokenSize, maxTokenSize)
	add(c.CacheSize < 0, "CacheSize: %d is negative (a negative CacheTTL switches the cache off)", c.CacheSize)
	add(c.TrustForwardedProto && !c.RequireHTTPS, "TrustForwardedProto: not used without RequireHTTPS")
	add(c.JWKSTTL < 0, "JWKSTTL: %s is negative", c.JWKSTTL)
	return list
}
