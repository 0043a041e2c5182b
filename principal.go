package cardea

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
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
	// EmailVerified and PhoneVerified say that the issuer vouches for them: by the claims
	// email_verified and phone_number_verified (OpenID Connect Core §5.1), or because it
	// was asked and said so ([Introspection]). False may mean that nobody said. What
	// user_metadata says does not count: the user writes it.
	EmailVerified, PhoneVerified bool

	// Role is the claim "role": with Supabase and Cardea the database role, mostly
	// "authenticated". Roles are the application's own, from app_metadata.roles.
	Role  string
	Roles []string

	// Permissions are those of the active tenant, such as "patient:read"; Scopes what an
	// OAuth client may do, from the claim scope or scp.
	Permissions, Scopes []string

	// Tenant is the active tenant (clinic), "" when the token has none, and TenantRole the
	// user's role in it. Memberships are all tenants of the user, when the token lists them.
	Tenant, TenantRole string
	Memberships        []Membership

	TokenID   string // the claim jti; "" when the token has none
	SessionID string // "" when the token belongs to no session
	ClientID  string // the OAuth client that the token was given to; "" for a first-party token
	AAL       string // assurance level: "aal1", "aal2"; "" when the token does not say
	AMR       []AMR  // how the user proved who they are, as the token lists it
	Anonymous bool   // an anonymous sign-in: a user without any credential

	// AppMetadata is set by the issuer, UserMetadata by the user: never decide about
	// access by the second. Both are JSON, nil when absent.
	AppMetadata, UserMetadata json.RawMessage

	// AuthTime is when the user last proved who they are: the claim auth_time, else the
	// newest time in AMR, else zero. UTC.
	AuthTime time.Time

	IssuedAt, ExpiresAt time.Time // UTC, whole seconds

	// Provisioned says that the service's own row of the user is there, and LocalID is its
	// id. No Verifier sets them: package usersync does, in a copy for one request. Where a
	// service goes on although its database or the issuer is down, Provisioned is false, and
	// so it is in services that keep no users.
	Provisioned bool
	LocalID     string

	claims json.RawMessage // the payload, for RawClaims and Claim
}

// AMR is one authentication that the session rests on (RFC 8176).
type AMR struct {
	Method string    // such as "password", "totp", "oauth"
	At     time.Time // UTC; zero when the token does not say
}

// Membership is one tenant that a user belongs to.
type Membership struct {
	Tenant string // the tenant's id, never empty
	Role   string // the user's role there; "" when the token does not say
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

// HasPermission says whether the token lists that permission, or a wildcard above it: "*"
// covers every permission, "patient:*" covers "patient:read" and "patient:read:own", and
// neither "patient" nor "patients:read". Wildcards keep the tokens of powerful roles small.
// Asking for a wildcard is asking for exactly that.
func (p *Principal) HasPermission(permission string) bool {
	return permission != "" && slices.ContainsFunc(p.Permissions, func(have string) bool { return covers(have, permission) })
}

func covers(have, want string) bool {
	if have == want || have == "*" {
		return true
	}
	family, ok := strings.CutSuffix(have, ":*")
	return ok && family != "" && strings.HasPrefix(want, family+":") && len(want) > len(family)+1
}

// HasScope says whether the token lists exactly that scope (RFC 6749 §3.3: scopes are
// compared with regard to case).
func (p *Principal) HasScope(scope string) bool {
	return scope != "" && slices.Contains(p.Scopes, scope)
}

// IsMember says whether tenant is the active tenant or one of the memberships.
func (p *Principal) IsMember(tenant string) bool {
	return tenant != "" && (p.Tenant == tenant ||
		slices.ContainsFunc(p.Memberships, func(m Membership) bool { return m.Tenant == tenant }))
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
