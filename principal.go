package cardea

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Principal is who the caller is, as a verified token says. One Principal serves all
// requests with the same token: treat it and everything it points to as read-only.
type Principal struct {
	Issuer   string // the trusted issuer that vouches for all the rest
	Subject  string // the user's id at that issuer, never empty; unique only together with Issuer
	Audience []string

	Email string // "" when the token has none. Not proof that the address is verified
	Phone string

	// Role is the claim "role": with Supabase and Cardea the database role, mostly
	// "authenticated". Roles are the application's own, from app_metadata.roles.
	Role  string
	Roles []string

	SessionID string // "" when the token belongs to no session
	ClientID  string // the OAuth client that the token was given to; "" for a first-party token
	AAL       string // assurance level: "aal1", "aal2"; "" when the token does not say
	AMR       []AMR  // how the user proved who they are, as the token lists it
	Anonymous bool   // an anonymous sign-in: a user without any credential

	// AppMetadata is set by the issuer, UserMetadata by the user: never decide about
	// access by the second. Both are JSON, nil when absent.
	AppMetadata, UserMetadata json.RawMessage

	IssuedAt, ExpiresAt time.Time // UTC, whole seconds

	claims json.RawMessage // the payload, for RawClaims and Claim
}

// AMR is one authentication that the session rests on (RFC 8176).
type AMR struct {
	Method string    // such as "password", "totp", "oauth"
	At     time.Time // UTC; zero when the token does not say
}

// RawClaims gives the whole payload as JSON, for instance for the database setting
// request.jwt.claims. It must not be modified. Nil for a Principal that was not made by
// a Verifier.
func (p *Principal) RawClaims() json.RawMessage { return p.claims }

// Claim decodes the claim of exactly that name into a pointer, as [json.Unmarshal]
// does, and says whether the claim is there. A null counts as absent.
func (p *Principal) Claim(name string, into any) (found bool, err error) {
	if p.claims == nil {
		return false, nil
	}
	claims, err := parseObject(p.claims, 20)
	if err != nil {
		return false, err
	}
	raw := claims.get(name)
	if raw == nil {
		return false, nil
	}
	return true, json.Unmarshal(raw, into)
}

// HasRole says whether role is the claim "role" or one of the application roles. See
// [Role] for why the two can't be confused.
func (p *Principal) HasRole(role string) bool {
	return role != "" && (p.Role == role || slices.Contains(p.Roles, role))
}

type (
	principalKey struct{}
	failureKey   struct{}
)

// WithPrincipal gives a context that carries p. The middleware does this; call it in
// tests, and in transports that this package has no middleware for, after Verify.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom gives the caller. Behind [Verifier.Require] there always is one; behind
// [Verifier.Optional] false means an anonymous caller.
func PrincipalFrom(ctx context.Context) (*Principal, bool) {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p, p != nil
}

// FailureFrom says why the caller is anonymous behind [Verifier.Optional] although an
// Authorization header was sent: the token was bad, or the issuer was unreachable.
// False when there was no header, or when there is a Principal.
func FailureFrom(ctx context.Context) (*Error, bool) {
	if _, ok := PrincipalFrom(ctx); ok {
		return nil, false
	}
	e, _ := ctx.Value(failureKey{}).(*Error)
	return e, e != nil
}
