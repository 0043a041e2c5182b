package cardea

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// IssuerKind says where an issuer keeps its keys and how it spells its URL.
type IssuerKind int

// The kinds.
const (
	// KindCardea: URL is the iss, the keys are at URL + "/.well-known/jwks.json". Fits
	// every issuer whose key set has that address.
	KindCardea IssuerKind = iota
	// KindSupabase: as KindCardea, but URL may also be the project's URL, such as
	// https://<project>.supabase.co: then "/auth/v1" is added. Audiences may be left
	// out and are "authenticated" then.
	KindSupabase
	// KindOIDC: the address of the keys is read from URL +
	// "/.well-known/openid-configuration", whose issuer must be exactly URL (OpenID
	// Connect Discovery §4.3).
	KindOIDC
)

// Issuer is somebody whose tokens are trusted: Cardea itself, a Supabase project, any
// OpenID provider.
type Issuer struct {
	Kind IssuerKind
	// URL is the expected iss, compared exactly. For Supabase and Cardea it is
	// https://<host>/auth/v1; see also [KindSupabase].
	URL string
	// Audiences are the accepted values of aud; a token needs one of them. With
	// Supabase and Cardea it is "authenticated".
	Audiences []string

	// APIKey is sent in the header apikey when keys are fetched and when the issuer is
	// asked about a token. Supabase's gateway wants it: the publishable or anon key.
	// Not for KindOIDC, whose keys may lie with somebody else.
	APIKey string
	// JWKSURL is where the public keys are, in place of what Kind says. https, or http
	// to a loopback address.
	JWKSURL string
	// InsecureHTTP allows http to any host. Acceptable only inside a network where
	// nobody can answer in the issuer's place, because who gives the keys makes the
	// tokens.
	InsecureHTTP bool
	// Keys is a source of keys in place of JWKSURL: in-process, or [StaticKeys].
	Keys KeySource

	// HMACSecret is a shared secret, for issuers that have no public keys yet ("legacy
	// JWT secret" of Supabase). Declaring it allows HS256 for this issuer, for tokens
	// without kid or with the kid HMACKeyID; it needs 32 bytes. If Algorithms names
	// HS512 it is a secret for that (64 bytes), and for HS256 only if that is named too.
	// Everybody who can verify with it can also mint tokens.
	HMACSecret []byte
	// HMACKeyID is the kid of HMACSecret, if its tokens have one.
	HMACKeyID string

	// Algorithms are the allowed ones; default ES256, RS256 and EdDSA. HS256 and HS512
	// may stand here only together with HMACSecret, Keys or Introspection; alone they
	// mean that the issuer has no public keys, and no JWKS is fetched. Which of them a
	// single key is for, the key says.
	Algorithms []string

	// Leeway and MaxLifetime are as in [Config], for this issuer; 0 means the value
	// there, a negative Leeway none.
	Leeway, MaxLifetime time.Duration
	// RequiredClaims are claims that must be there, besides iss, sub, aud, exp and iat,
	// which always must. Names of the top level; a null counts as absent.
	RequiredClaims []string
	// RequireATJWT accepts only tokens with the type at+jwt (RFC 9068 §2.1). Set it for
	// an issuer that writes it: it is the one sure way to tell an access token from an
	// ID token.
	RequireATJWT bool
	// UserRoles, when set, are the allowed values of the claim "role"; a token without
	// the claim passes. For issuers that keep the application's role there.
	UserRoles []string
	// Claims says where roles, tenant and so on stand in this issuer's tokens.
	Claims ClaimPaths

	// Introspection asks the issuer about a token that can't be decided about here.
	Introspection Introspection
}

// issuer is a checked Issuer.
type issuer struct {
	name         string
	audiences    []string
	algorithms   []string
	keys         KeySource // nil: only the secret
	secrets      []Key     // the declared secret, once for each of its algorithms
	leeway       time.Duration
	maxLifetime  time.Duration
	required     []string
	requireATJWT bool
	userRoles    []string
	paths        claimPaths
	introspect   *introspector // nil: switched off
}

// name gives the iss of the issuer's tokens.
func (i Issuer) name() string {
	if i.Kind != KindSupabase {
		return i.URL
	}
	name := strings.TrimRight(i.URL, "/")
	if u, err := url.Parse(name); err == nil && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.Fragment == "" {
		return name + "/auth/v1"
	}
	return name
}

// problems collects what is wrong with an issuer.
type problems struct {
	url  string
	list []error
}

func (p *problems) add(wrong bool, format string, args ...any) {
	if wrong {
		p.list = append(p.list, fmt.Errorf("issuer %q: "+format, append([]any{p.url}, args...)...))
	}
}

// build checks an issuer and makes what the Verifier uses. The slices are copied: a
// caller who changes his afterwards does not change what is trusted.
func (i Issuer) build(c Config) (*issuer, []error) {
	p := &problems{url: i.URL}
	built := &issuer{
		name: i.name(), audiences: slices.Clone(i.Audiences), algorithms: slices.Clone(i.Algorithms), keys: i.Keys,
		leeway: c.Leeway, maxLifetime: c.MaxLifetime,
		required: slices.Clone(i.RequiredClaims), requireATJWT: i.RequireATJWT, userRoles: slices.Clone(i.UserRoles),
	}
	if i.Kind == KindSupabase && len(built.audiences) == 0 {
		built.audiences = []string{"authenticated"}
	}
	if i.Leeway != 0 {
		built.leeway = max(i.Leeway, 0)
	}
	if i.MaxLifetime != 0 {
		built.maxLifetime = i.MaxLifetime
	}
	i.check(p, built)
	built.paths = i.Claims.build(p)
	i.buildSecret(p, built)
	i.buildKeys(c, p, built)
	built.introspect = i.buildIntrospection(c, p, built.name)
	return built, p.list
}

func (i Issuer) check(p *problems, built *issuer) {
	p.add(i.Kind < KindCardea || i.Kind > KindOIDC, "Kind: %d is unknown", i.Kind)
	p.add(i.URL == "", "URL is empty")
	p.add(i.URL != strings.TrimSpace(i.URL), "URL has blanks around it")
	p.add(len(built.audiences) == 0, "Audiences: at least one is needed, or tokens for other services would pass")
	p.add(slices.Contains(i.Audiences, ""), "Audiences: one is empty")
	p.add(i.APIKey != "" && i.Kind == KindOIDC, "APIKey: not for KindOIDC, whose keys may lie with somebody else")
	p.add(!validHeaderValue(i.APIKey), "APIKey: has characters that a header can't have")
	p.add(i.Keys != nil && i.JWKSURL != "", "Keys and JWKSURL exclude each other")
	p.add(i.Leeway > maxLeeway, "Leeway: %s is more than %s", i.Leeway, maxLeeway)
	p.add(i.MaxLifetime < 0, "MaxLifetime: %s is negative", i.MaxLifetime)
	p.add(slices.Contains(i.RequiredClaims, ""), "RequiredClaims: one is empty")
	p.add(slices.Contains(i.UserRoles, ""), "UserRoles: one is empty")
}

func (i Issuer) buildSecret(p *problems, built *issuer) {
	p.add(i.HMACSecret != nil && len(i.HMACSecret) < minHMACSecret, "HMACSecret: %d bytes are too few, %d or more are needed", len(i.HMACSecret), minHMACSecret)
	p.add(i.HMACKeyID != "" && (len(i.HMACSecret) == 0 || !validKeyID(i.HMACKeyID)), "HMACKeyID: not a valid kid, or without HMACSecret")
	if len(built.algorithms) == 0 {
		built.algorithms = []string{algES256, algRS256, algEdDSA}
	}
	if len(i.HMACSecret) > 0 && !slices.ContainsFunc(built.algorithms, symmetric) {
		built.algorithms = append(built.algorithms, algHS256)
	}
	secret := slices.Clone(i.HMACSecret)
	for _, alg := range built.algorithms {
		switch alg {
		case algES256, algRS256, algEdDSA:
		case algHS256, algHS512:
			p.add(len(secret) == 0 && i.Keys == nil && i.Introspection.Kind == IntrospectionOff,
				"Algorithms: %s needs HMACSecret or Keys, or Introspection", alg)
			p.add(alg == algHS512 && len(secret) >= minHMACSecret && len(secret) < minHMACSecret512,
				"HMACSecret: %d bytes are too few for HS512, %d or more are needed", len(secret), minHMACSecret512)
			if len(secret) > 0 {
				built.secrets = append(built.secrets, Key{ID: i.HMACKeyID, Algorithm: alg, Public: secret})
			}
		default:
			p.add(true, "Algorithms: %q is not one of ES256, RS256, EdDSA, HS256, HS512", alg)
		}
	}
}

// buildKeys sets up the fetching of public keys, if the issuer has any.
func (i Issuer) buildKeys(c Config, p *problems, built *issuer) {
	public := slices.ContainsFunc(built.algorithms, func(alg string) bool { return !symmetric(alg) })
	if i.Keys != nil || !public {
		p.add(i.JWKSURL != "" && i.Keys == nil, "JWKSURL: not used when there are only shared secrets")
		return
	}
	s := &jwks{
		url: i.JWKSURL, apiKey: i.APIKey, insecure: i.InsecureHTTP,
		remote: remote{sameHostClient(c.HTTPClient), c.Sleep}, ttl: c.JWKSTTL, now: c.Now,
	}
	what := "JWKSURL"
	switch base := strings.TrimSuffix(built.name, "/"); {
	case s.url != "":
	case i.Kind == KindOIDC:
		s.url, s.issuer = base+"/.well-known/openid-configuration", i.URL
		what = "URL"
	default:
		s.url = base + "/.well-known/jwks.json"
	}
	if err := checkRemoteURL(s.url, i.InsecureHTTP); err != nil {
		p.add(true, "%s %q: %w", what, redacted(s.url), err)
	}
	built.keys = s
}

// checkRemoteURL: who can change the answer on its way can make any token, hence https.
func checkRemoteURL(address string, insecure bool) error {
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

// redacted is address without a password, for errors.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(no URL)"
	}
	return u.Redacted()
}

// validHeaderValue: visible ASCII, so that a key with a line break at its end is noticed
// at the start and not with the first request.
func validHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
