package cardea

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Issuer is somebody whose tokens are trusted: Cardea itself, a Supabase project, any
// OpenID provider.
type Issuer struct {
	// URL is the expected iss, compared exactly. For Supabase and Cardea it is
	// https://<host>/auth/v1.
	URL string
	// Audiences are the accepted values of aud; a token needs one of them. With
	// Supabase and Cardea it is "authenticated".
	Audiences []string

	// JWKSURL is where the public keys are; default URL + "/.well-known/jwks.json".
	// https, or http to a loopback address.
	JWKSURL string
	// InsecureHTTP allows http to any host. Acceptable only inside a network where
	// nobody can answer in the issuer's place, because who gives the keys makes the
	// tokens.
	InsecureHTTP bool
	// Keys is a source of keys in place of JWKSURL: in-process, or [StaticKeys].
	Keys KeySource

	// HMACSecret is a shared HS256 secret of 32 bytes or more, for issuers that have
	// no public keys yet ("legacy JWT secret" of Supabase). Declaring it allows HS256
	// for this issuer, for tokens without kid or with the kid HMACKeyID. Everybody who
	// can verify with it can also mint tokens.
	HMACSecret []byte
	// HMACKeyID is the kid of HMACSecret, if its tokens have one.
	HMACKeyID string

	// Algorithms are the allowed ones; default ES256, RS256 and EdDSA. HS256 may stand
	// here only together with HMACSecret or Keys; alone it means that the issuer has
	// no public keys, and no JWKS is fetched.
	Algorithms []string
}

// Config is what a Verifier needs. Only Issuers has no default.
type Config struct {
	Issuers []Issuer

	// Leeway is how far an issuer's clock may be ahead of ours: nbf and iat may lie
	// that much in the future. 0 means 30 s, a negative value none; at most 5 min.
	// There is no leeway for exp.
	Leeway time.Duration
	// MaxLifetime is the longest lifetime (exp - iat) of a token; 0 means 24 h. Tokens
	// without iat are refused.
	MaxLifetime time.Duration
	// MaxTokenSize is the longest token in bytes; 0 means 8192.
	MaxTokenSize int

	// CacheTTL is how long a verified token is not verified again; 0 means 60 s, a
	// negative value switches the cache off. It never outlives the token's expiry.
	CacheTTL time.Duration
	// CacheSize is the most tokens in the cache; 0 means 5000 (some 2 KB each).
	CacheSize int

	// JWKSTTL is the longest time that fetched keys count as fresh; 0 means 1 h. A
	// shorter max-age in Cache-Control wins, down to 30 s.
	JWKSTTL time.Duration
	// HTTPClient fetches keys; nil means a client with Go's default transport. Each
	// try ends after 10 s; redirects to another host are refused.
	HTTPClient *http.Client

	// Now is the clock, nil means time.Now. Sleep waits between two tries to fetch
	// keys, nil means a timer.
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

// issuer is a checked Issuer.
type issuer struct {
	audiences  []string
	algorithms []string
	keys       KeySource // nil: only the secret
	secret     *Key      // nil: none declared
}

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
	add(c.JWKSTTL < 0, "JWKSTTL: %s is negative", c.JWKSTTL)
	return list
}

// build checks an issuer and makes what the Verifier uses. The slices are copied: a
// caller who changes his afterwards does not change what is trusted.
func (i Issuer) build(c Config) (*issuer, []error) {
	var list []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Errorf("issuer %q: "+format, append([]any{i.URL}, args...)...))
		}
	}
	add(i.URL == "", "URL is empty")
	add(i.URL != strings.TrimSpace(i.URL), "URL has blanks around it")
	add(len(i.Audiences) == 0, "Audiences: at least one is needed, or tokens for other services would pass")
	add(slices.Contains(i.Audiences, ""), "Audiences: one is empty")
	add(i.HMACSecret != nil && len(i.HMACSecret) < minHMACSecret, "HMACSecret: %d bytes are too few, %d or more are needed", len(i.HMACSecret), minHMACSecret)
	add(i.HMACKeyID != "" && (len(i.HMACSecret) == 0 || !validKeyID(i.HMACKeyID)), "HMACKeyID: not a valid kid, or without HMACSecret")
	add(i.Keys != nil && i.JWKSURL != "", "Keys and JWKSURL exclude each other")

	built := &issuer{audiences: slices.Clone(i.Audiences), algorithms: slices.Clone(i.Algorithms), keys: i.Keys}
	if len(built.algorithms) == 0 {
		built.algorithms = []string{algES256, algRS256, algEdDSA}
	}
	asymmetric := false
	for _, alg := range built.algorithms {
		switch alg {
		case algES256, algRS256, algEdDSA:
			asymmetric = true
		case algHS256:
			add(len(i.HMACSecret) == 0 && i.Keys == nil, "Algorithms: HS256 needs HMACSecret or Keys")
		default:
			add(true, "Algorithms: %q is not one of ES256, RS256, EdDSA, HS256", alg)
		}
	}
	if len(i.HMACSecret) > 0 {
		built.secret = &Key{ID: i.HMACKeyID, Algorithm: algHS256, Public: slices.Clone(i.HMACSecret)}
		if !slices.Contains(built.algorithms, algHS256) {
			built.algorithms = append(built.algorithms, algHS256)
		}
	}
	if i.Keys == nil && asymmetric {
		address := i.JWKSURL
		if address == "" {
			address = strings.TrimSuffix(i.URL, "/") + "/.well-known/jwks.json"
		}
		if err := checkKeyURL(address, i.InsecureHTTP); err != nil {
			add(true, "JWKSURL %q: %w", address, err)
		}
		built.keys = &jwks{url: address, client: keyClient(c.HTTPClient), ttl: c.JWKSTTL, now: c.Now, sleep: c.Sleep}
	} else {
		add(i.JWKSURL != "" && i.Keys == nil, "JWKSURL: not used when HS256 is the only algorithm")
	}
	return built, list
}

// checkKeyURL: who can change the answer on its way can make any token, hence https.
func checkKeyURL(address string, insecure bool) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("not a URL")
	}
	switch {
	case u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return errors.New("not an absolute https URL")
	case u.User != nil || u.Fragment != "":
		return errors.New("must have no user and no fragment")
	case u.Scheme == "https" || insecure:
		return nil
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("http is allowed to loopback addresses only, or with InsecureHTTP")
	}
	return nil
}
