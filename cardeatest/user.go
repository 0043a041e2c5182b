package cardeatest

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/cardea-auth/cardea"
)

// User is whom a token speaks for. The zero value is a signed-in user without anything;
// every field that is left out has a sensible claim or none.
type User struct {
	// ID is the subject; empty: a UUID made of Email and Phone, the same one for the
	// same Issuer, another one for every other.
	ID           string
	Email, Phone string

	// Role is the claim "role"; default "authenticated", "-" leaves it out. Roles are
	// the application's, in app_metadata.roles.
	Role  string
	Roles []string

	Permissions, Scopes []string
	Tenant, TenantRole  string
	Memberships         []cardea.Membership

	SessionID string   // default: a UUID made of the subject, "-" leaves it out
	ClientID  string   // an OAuth client's id
	AAL       string   // default "aal1"
	Methods   []string // how the user signed in; default password, with aal2 totp too
	Anonymous bool

	// SignedInAgo is how long ago the sign-in was, by the Clock: auth_time and amr.
	SignedInAgo time.Duration
	// Lifetime of the token from now; default 1 h, negative: expired that long ago.
	Lifetime time.Duration

	// AppMetadata and UserMetadata are added to what the other fields put there.
	AppMetadata, UserMetadata map[string]any
	// Claims are further claims, or others in place of those above; nil removes one.
	Claims map[string]any
}

const defaultLifetime = time.Hour

// claims gives the payload of the user's token. Its JSON is the same for the same user
// at the same time, because names of a map are sorted.
func (i *Issuer) claims(u User) map[string]any {
	now := i.clock.Now()
	subject := u.ID
	if subject == "" {
		subject = i.uuid("user", u.Email, u.Phone)
	}
	issued, expires := now, now.Add(defaultLifetime)
	switch {
	case u.Lifetime > 0:
		expires = now.Add(u.Lifetime)
	case u.Lifetime < 0:
		expires = now.Add(u.Lifetime)
		issued = expires.Add(-defaultLifetime)
	}
	signedIn := issued.Add(-u.SignedInAgo).Unix()
	c := map[string]any{
		"iss": i.url, "aud": i.config.Audiences[0], "sub": subject,
		"iat": issued.Unix(), "exp": expires.Unix(), "auth_time": signedIn,
		"email": u.Email, "phone": u.Phone, "is_anonymous": u.Anonymous,
		"aal":        or(u.AAL, "aal1"),
		"amr":        methods(u, signedIn),
		"role":       or(u.Role, "authenticated"),
		"session_id": or(u.SessionID, i.uuid("session", subject)),
	}
	set(c, "client_id", u.ClientID)
	set(c, "scope", strings.Join(u.Scopes, " "))
	set(c, "tenant_id", u.Tenant)
	set(c, "tenant_role", u.TenantRole)
	if len(u.Permissions) > 0 {
		c["permissions"] = u.Permissions
	}
	if len(u.Memberships) > 0 {
		c["memberships"] = memberships(u.Memberships)
	}
	c["app_metadata"], c["user_metadata"] = metadata(u)
	for name, value := range u.Claims {
		if value == nil {
			delete(c, name)
			continue
		}
		c[name] = value
	}
	return c
}

// or gives the default for an empty value, and "" for "-".
func or(value, otherwise string) string {
	switch value {
	case "":
		return otherwise
	case "-":
		return ""
	}
	return value
}

func set(c map[string]any, name, value string) {
	if value != "" {
		c[name] = value
	}
}

func methods(u User, at int64) []any {
	names := u.Methods
	switch {
	case len(names) > 0 || u.Anonymous:
	case u.AAL == "aal2":
		names = []string{"password", "totp"}
	default:
		names = []string{"password"}
	}
	list := make([]any, 0, len(names))
	for _, name := range names {
		list = append(list, map[string]any{"method": name, "timestamp": at})
	}
	return list
}

func memberships(list []cardea.Membership) []any {
	out := make([]any, 0, len(list))
	for _, m := range list {
		out = append(out, map[string]any{"tenant_id": m.Tenant, "role": m.Role})
	}
	return out
}

func metadata(u User) (app, user map[string]any) {
	app, user = map[string]any{"provider": "email", "providers": []string{"email"}}, map[string]any{}
	if u.Phone != "" && u.Email == "" {
		app["provider"], app["providers"] = "phone", []string{"phone"}
	}
	if len(u.Roles) > 0 {
		app["roles"] = u.Roles
	}
	maps.Copy(app, u.AppMetadata)
	maps.Copy(user, u.UserMetadata)
	return app, user
}

// uuid makes an id out of parts that nobody else's Issuer makes: there is no constant
// user id that a service could learn to let pass. The form is RFC 9562 §5.8.
func (i *Issuer) uuid(parts ...string) string {
	mac := hmac.New(sha256.New, i.seed)
	fmt.Fprintf(mac, "%q", parts)
	id := mac.Sum(nil)[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
