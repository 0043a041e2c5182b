package cardea

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Verifier checks access tokens. Make one with [NewVerifier] and share it: it is safe
// for use by many goroutines, and holds the keys and the cache.
type Verifier struct {
	issuers      map[string]*issuer // by iss
	maxTokenSize int
	cache        *tokenCache // nil: switched off
	revoked      func(context.Context, *Principal) error
	allow        func(*http.Request) error // Config.Admit
	consents     ConsentSource             // Config.Consents, nil for none

	requireHTTPS, trustForwardedProto bool

	now             func() time.Time
	encode          ErrorEncoder
	onAuthenticated func(context.Context, *Principal)
	onDenied        func(context.Context, Denial)
}

// NewVerifier checks the configuration and lists every problem in one error. It makes
// no network call: keys are fetched when the first token needs them.
func NewVerifier(c Config) (*Verifier, error) {
	problems := c.problems()
	c = c.withDefaults()
	v := &Verifier{
		issuers: make(map[string]*issuer, len(c.Issuers)), maxTokenSize: c.MaxTokenSize, now: c.Now,
		revoked: c.Revoked, allow: c.Admit, consents: c.Consents, requireHTTPS: c.RequireHTTPS, trustForwardedProto: c.TrustForwardedProto,
		encode:          c.ErrorEncoder,
		onAuthenticated: c.OnAuthenticated, onDenied: c.OnDenied,
	}
	for _, i := range c.Issuers {
		built, wrong := i.build(c)
		if _, twice := v.issuers[built.name]; twice {
			wrong = append(wrong, fmt.Errorf("issuer %q: configured twice", i.URL))
		}
		problems = append(problems, wrong...)
		v.issuers[built.name] = built
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("cardea: invalid configuration: %w", errors.Join(problems...))
	}
	if c.CacheTTL > 0 {
		v.cache = newTokenCache(c.CacheSize, c.CacheTTL)
	}
	return v, nil
}

// Verify says who a token speaks for. Every error is an *[Error].
//
// It checks, in this order, and stops at the first failure:
//
//  1. size: TOKEN_TOO_LARGE
//  2. three non-empty parts: INVALID_TOKEN_STRUCTURE; strict base64url: INVALID_BASE64_ENCODING
//  3. header: a JSON object with unique names: INVALID_TOKEN_HEADER; no crit, b64, jku,
//     x5u, jwk, x5c, cty: UNSUPPORTED_TOKEN_HEADER; typ absent, JWT or at+jwt: INVALID_TOKEN_TYPE
//  4. alg: one that this package knows: UNSUPPORTED_ALGORITHM; never none: ALGORITHM_NOT_ALLOWED
//  5. kid: short and plain: INVALID_KEY_ID
//  6. payload: a JSON object with unique names: INVALID_TOKEN_PAYLOAD
//  7. iss: MISSING_ISSUER, INVALID_ISSUER; alg allowed for this issuer:
//     ALGORITHM_NOT_ALLOWED; with Issuer.RequireATJWT typ: INVALID_TOKEN_TYPE
//  8. key: MISSING_KEY_ID, SIGNING_KEY_NOT_FOUND, AUTH_PROVIDER_UNREACHABLE; of the
//     header's algorithm: KEY_ALGORITHM_MISMATCH
//  9. signature: INVALID_SIGNATURE
//  10. aud: MISSING_AUDIENCE, INVALID_AUDIENCE; exp: MISSING_EXPIRATION, TOKEN_EXPIRED;
//     nbf, iat: TOKEN_NOT_YET_VALID, MISSING_ISSUED_AT; lifetime: EXPIRATION_TOO_LONG;
//     sub: INVALID_SUBJECT; Issuer.RequiredClaims: MISSING_CLAIM
//  11. not an ID token or logout token: INVALID_TOKEN_TYPE; types of the other claims:
//     INVALID_CLAIM; Issuer.UserRoles: INVALID_USER_ROLE
//  12. if steps 8 and 9 could not decide, and [Introspection] is on, the issuer:
//     TOKEN_INVALID, AUTH_PROVIDER_ERROR, AUTH_PROVIDER_UNREACHABLE
//  13. Config.Revoked: TOKEN_REVOKED, USER_TOKENS_REVOKED, or a code of its own
//
// When the keys can't be had (8), steps 10 and 11 are done first: a token that would be
// refused in any case is refused as such, and only a token that only its key or its
// issuer could decide about gives AUTH_PROVIDER_UNREACHABLE.
//
// A token that passed steps 1 to 12 is remembered for Config.CacheTTL, and only step 13
// is done again in that time.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	p, failure := v.verify(ctx, token)
	if failure != nil {
		return nil, failure
	}
	return p, nil
}

func (v *Verifier) verify(ctx context.Context, token string) (*Principal, *Error) {
	if len(token) > v.maxTokenSize {
		return nil, NewError(CodeTokenTooLarge, nil)
	}
	p, failure := v.verifyCached(ctx, token)
	if failure != nil {
		return nil, failure
	}
	if v.revoked != nil {
		if err := v.revoked(ctx, p); err != nil {
			return nil, asError(err, CodeProviderUnreachable, func(Code) bool { return true })
		}
	}
	return p, nil
}

func (v *Verifier) verifyCached(ctx context.Context, token string) (*Principal, *Error) {
	if v.cache == nil {
		return v.verifyFully(ctx, token)
	}
	key := hashToken(token)
	if p := v.cache.get(&key, v.now()); p != nil {
		return p, nil
	}
	generation := v.cache.generation.Load()
	p, failure := v.verifyFully(ctx, token)
	if failure != nil {
		return nil, failure
	}
	v.cache.put(generation, &key, p, v.now())
	return p, nil
}

// hashToken copies the token to the stack, because a conversion would allocate for each
// request. Longer tokens than usual may.
func hashToken(token string) cacheKey {
	var buf [2048]byte
	if len(token) > len(buf) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(buf[:copy(buf[:], token)])
}

func (v *Verifier) verifyFully(ctx context.Context, token string) (*Principal, *Error) {
	t, failure := parseJWS(token)
	if failure != nil {
		return nil, failure
	}
	p := &Principal{claims: t.payload}
	iss, failure := v.findIssuer(t, p)
	if failure != nil {
		return nil, failure
	}
	failure = iss.checkSignature(ctx, t)
	if failure != nil && !undecided(failure) {
		return nil, failure
	}
	// The clock is read after the keys were fetched, which may have taken a while.
	if sure := iss.checkClaims(t.claims, v.now(), p); sure != nil {
		return nil, sure
	}
	if failure == nil || iss.introspect == nil {
		return p.orNot(failure)
	}
	if failure := iss.introspect.ask(ctx, token, p); failure != nil {
		return nil, failure
	}
	if !v.now().Before(p.ExpiresAt) { // the answer may have taken a while too
		return nil, NewError(CodeExpired, nil)
	}
	return p, nil
}

// orNot gives p only when nothing failed.
func (p *Principal) orNot(failure *Error) (*Principal, *Error) {
	if failure != nil {
		return nil, failure
	}
	return p, nil
}

// errNoSecret: a token signed with a secret that is not configured here. Only its issuer
// can decide about it.
var errNoSecret = errors.New("signed with a secret that is not configured")

// undecided says whether a failed check of the signature says nothing about the token.
func undecided(failure *Error) bool {
	return failure.Code == CodeProviderUnreachable || failure.Code == CodeProviderError || errors.Is(failure.Cause, errNoSecret)
}

// findIssuer: the issuer decides which keys and algorithms count, so that no issuer can
// speak for another (RFC 8725 §3.8). iss is not proven yet; it only chooses whose key
// has to prove it.
func (v *Verifier) findIssuer(t *compactJWS, p *Principal) (*issuer, *Error) {
	if !t.claims.has("iss") {
		return nil, NewError(CodeIssuerMissing, nil)
	}
	name, err := t.claims.str("iss")
	if err != nil {
		return nil, NewError(CodeIssuerInvalid, err)
	}
	iss, ok := v.issuers[name]
	if !ok {
		return nil, NewError(CodeIssuerInvalid, nil)
	}
	if !slices.Contains(iss.algorithms, t.algorithm) {
		return nil, NewError(CodeAlgorithmNotAllowed, nil)
	}
	if iss.requireATJWT && !t.atJWT {
		return nil, NewError(CodeTokenType, nil)
	}
	p.Issuer = name
	return iss, nil
}

// maxCandidates bounds the signatures that one token can make us check, should an
// issuer give several keys the same kid.
const maxCandidates = 4

func (iss *issuer) checkSignature(ctx context.Context, t *compactJWS) *Error {
	keys, failure := iss.candidates(ctx, t)
	if failure != nil {
		return failure
	}
	var last error
	for n, k := range keys {
		if n == maxCandidates {
			break
		}
		if last = k.verify(t.signed, t.signature); last == nil {
			return nil
		}
	}
	return NewError(CodeSignature, last)
}

// candidates gives the keys that may have signed the token; at least one.
func (iss *issuer) candidates(ctx context.Context, t *compactJWS) ([]Key, *Error) {
	if symmetric(t.algorithm) {
		for n, k := range iss.secrets {
			if k.Algorithm == t.algorithm && (t.keyID == "" || t.keyID == k.ID) {
				return iss.secrets[n : n+1], nil
			}
		}
	}
	if _, public := iss.keys.(*jwks); iss.keys == nil || (public && symmetric(t.algorithm)) {
		if len(iss.secrets) == 0 {
			return nil, NewError(CodeKeyNotFound, errNoSecret)
		}
		return nil, NewError(CodeKeyNotFound, nil) // a public key set has no secrets: don't fetch
	}
	keys, err := iss.keys.Keys(ctx, t.keyID)
	if err != nil {
		return nil, asError(err, CodeProviderUnreachable, func(c Code) bool {
			return c == CodeProviderUnreachable || c == CodeProviderError
		})
	}
	switch {
	case len(keys) == 0:
		return nil, NewError(CodeKeyNotFound, nil)
	case t.keyID == "" && len(keys) > 1:
		return nil, NewError(CodeKeyIDMissing, nil)
	}
	// The algorithm is a property of the key. Looking at the Go type too means that a
	// KeySource with a bug can't turn a public key into an HMAC secret.
	if len(keys) == 1 && keys[0].Algorithm == t.algorithm && keys[0].check() == nil {
		return keys, nil
	}
	var fitting []Key
	for _, k := range keys {
		if k.Algorithm == t.algorithm && k.check() == nil {
			fitting = append(fitting, k)
		}
	}
	if len(fitting) == 0 {
		return nil, NewError(CodeKeyMismatch, nil)
	}
	return fitting, nil
}

// VerifyRequest takes the token from the Authorization header and verifies it: the
// middleware without its answers, for handlers that write their own.
func (v *Verifier) VerifyRequest(r *http.Request) (*Principal, error) {
	p, failure := v.verifyRequest(r)
	if failure != nil {
		return nil, failure
	}
	return p, nil
}

func (v *Verifier) verifyRequest(r *http.Request) (*Principal, *Error) {
	if failure := v.mayTry(r); failure != nil {
		return nil, failure
	}
	token, failure := bearer(r.Header)
	if failure != nil {
		return nil, failure
	}
	return v.verify(r.Context(), token)
}

// mayTry is what comes before any look at a token.
func (v *Verifier) mayTry(r *http.Request) *Error {
	if v.allow != nil {
		if err := v.allow(r); err != nil {
			return asError(err, CodeRateLimited, func(Code) bool { return true })
		}
	}
	if v.requireHTTPS && !v.encrypted(r) {
		return NewError(CodeHTTPSRequired, nil)
	}
	return nil
}

// encrypted says whether the caller's connection was. Of two headers, or of a list, the
// proxy that is trusted may not have written the first.
func (v *Verifier) encrypted(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	proto := r.Header["X-Forwarded-Proto"]
	return v.trustForwardedProto && len(proto) == 1 && proto[0] == "https"
}

// Preload fetches the keys of all issuers, so that no request has to wait for them. The
// Verifier is usable without it, and after an error too; the error names the issuers
// whose keys could not be had.
func (v *Verifier) Preload(ctx context.Context) error {
	var wg sync.WaitGroup
	failures := make(chan error, len(v.issuers))
	for name, i := range v.issuers {
		if keys, remote := i.keys.(*jwks); remote {
			wg.Go(func() {
				if _, err := keys.Keys(ctx, ""); err != nil {
					failures <- fmt.Errorf("issuer %q: %w", name, err)
				}
			})
		}
	}
	wg.Wait()
	close(failures)
	var list []error
	for err := range failures {
		list = append(list, err)
	}
	return errors.Join(list...)
}

// EvictSession drops the cached tokens of a session and says how many there were. The
// tokens themselves stay valid until they expire: the next request with one is verified
// anew. To refuse them, see [Config].Revoked. issuerURL is what [Principal].Issuer says,
// here and below.
func (v *Verifier) EvictSession(issuerURL, sessionID string) int {
	return v.Evict(func(p *Principal) bool { return p.Issuer == issuerURL && p.SessionID == sessionID && sessionID != "" })
}

// EvictUser drops the cached tokens of a user, as EvictSession does those of a session.
func (v *Verifier) EvictUser(issuerURL, subject string) int {
	return v.Evict(func(p *Principal) bool { return p.Issuer == issuerURL && p.Subject == subject })
}

// EvictTenant drops the cached tokens of all members of a tenant: whose active tenant it
// is, or who list it among their memberships.
func (v *Verifier) EvictTenant(issuerURL, tenant string) int {
	return v.Evict(func(p *Principal) bool { return p.Issuer == issuerURL && p.IsMember(tenant) })
}

// EvictIssuer drops all cached tokens of an issuer and makes its keys overdue, so that the
// next token waits for newer ones: for when a key of it must not count any more. If the
// issuer does not answer within 2 s, the old keys serve on.
func (v *Verifier) EvictIssuer(issuerURL string) int {
	if i := v.issuers[issuerURL]; i != nil {
		if keys, remote := i.keys.(*jwks); remote {
			keys.expire()
		}
	}
	return v.Evict(func(p *Principal) bool { return p.Issuer == issuerURL })
}

// Evict drops the cached tokens whose Principal matches and says how many there were.
// match must not call the Verifier.
func (v *Verifier) Evict(match func(*Principal) bool) int {
	for _, i := range v.issuers {
		if i.introspect != nil {
			i.introspect.detach()
		}
	}
	if v.cache == nil {
		return 0
	}
	return v.cache.evict(match)
}
