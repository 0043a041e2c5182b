package moving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Rules say what may come in. All functions are needed.
type Rules struct {
	Audience  string                       // of accounts that have none
	ValidHash func(hash string) error      // see password.ValidHash
	Phone     func(string) (string, error) // gives a number its one spelling
	Role      func(name string) bool       // reports whether an account may have a role
	// TenantRole reports whether a membership may have a role.
	TenantRole func(name string) bool
	// Tenant finds the tenant of a membership, or makes the one that stands for an external one:
	// auth.ErrNotFound when there is none, auth.ErrSlugTaken when another has its name. A zero id
	// leaves the membership out, for a dry run that makes nothing.
	Tenant func(ctx context.Context, m Member) (auth.ID, error)
	// Invite makes the token and the message of an account that has no password.
	Invite func(u *auth.User) ([]auth.OneTime, []auth.Message, error)

	ConfirmAll     bool // every address counts as proved: the other system has seen to it
	DropBadHashes  bool // an account whose hash can't be read comes in without a password
	DropUnknown    bool // roles and memberships that do not exist here are left out
	InviteAll      bool // owners of accounts without a password get a link
	DropIdentities bool // accounts at providers are left out

	Now  func() time.Time
	Rand io.Reader
}

// Bounds of what is stored. The column of the hash has 255 characters, and an index entry of
// PostgreSQL some 2,700 bytes.
const (
	maxHash       = 255
	maxExternal   = 500
	maxProvider   = 64
	maxProviderID = 1000
	maxName       = 100 // code points
	maxURL        = 2048
	maxMembers    = 100
)

// Dropped says what an account has lost on the way, for the totals.
type Dropped struct{ Hash, Factors, Roles, Members, Profile int }

// account checks a record and makes an account of it. A *[Problem] says what is wrong.
func (c *Rules) account(ctx context.Context, r *Record) (auth.MovedAccount, Dropped, error) {
	var d Dropped
	fail := func(code Code, reason string) (auth.MovedAccount, Dropped, error) {
		return auth.MovedAccount{}, d, failed(r.Line, r.ExternalID, code, reason)
	}
	if r.ExternalID == "" || len(r.ExternalID) > maxExternal || !auth.CleanText(r.ExternalID) {
		r.ExternalID = ""
		return fail(CodeID, "no id in the other system, or one that can't be stored")
	}
	u, err := c.user(r)
	if err != nil {
		return auth.MovedAccount{}, d, err
	}
	if code, reason := c.addresses(r, &u); code != "" {
		return fail(code, reason)
	}
	if code, reason := c.password(r, &u, &d); code != "" {
		return fail(code, reason)
	}
	if code, reason := c.identities(r, &u); code != "" {
		return fail(code, reason)
	}
	if code, reason := c.metadata(r, &u, &d); code != "" {
		return fail(code, reason)
	}
	a := auth.MovedAccount{ExternalID: r.ExternalID}
	if a.Memberships, err = c.members(ctx, r, u.ID, &d); err != nil {
		return a, d, err
	}
	if a.Profile, err = profileOf(r, &u, &d); err != nil {
		return a, d, err
	}
	d.Factors = r.Factors
	if u.PasswordHash == "" && u.Email != "" && (r.Invite || c.InviteAll) && !r.Inactive && !u.IsSSO {
		u.RecoverySentAt = auth.Truncate(c.Now())
		if a.Tokens, a.Messages, err = c.Invite(&u); err != nil {
			return a, d, fmt.Errorf("moving: invitation: %w", err)
		}
	}
	a.User = u
	return a, d, nil
}

// user begins an account with its id and its times.
func (c *Rules) user(r *Record) (auth.User, error) {
	now := auth.Truncate(c.Now())
	u := auth.User{
		Aud: r.Aud, Role: r.Role, IsSSO: r.SSO, IsAnonymous: r.Anonymous, CreatedAt: auth.Truncate(r.CreatedAt),
		UpdatedAt: auth.Truncate(r.UpdatedAt), LastSignInAt: zeroOr(r.LastSignInAt), InvitedAt: zeroOr(r.InvitedAt), BannedUntil: zeroOr(r.BannedUntil),
	}
	for _, t := range []time.Time{r.CreatedAt, r.UpdatedAt, r.LastSignInAt, r.InvitedAt, r.BannedUntil, r.EmailProved, r.PhoneProved, r.LastMethodAt} {
		if !plausible(t) {
			return u, failed(r.Line, r.ExternalID, CodeTime, "a moment that can't be stored")
		}
	}
	var err error
	if r.ID != "" {
		if u.ID, err = auth.ParseID(r.ID); err != nil || u.ID.IsZero() {
			return u, failed(r.Line, r.ExternalID, CodeID, "the id is no UUID")
		}
	} else if u.ID, err = auth.NewID(now, c.Rand); err != nil {
		return u, fmt.Errorf("moving: %w", err)
	}
	if r.CreatedAt.IsZero() {
		u.CreatedAt = now
	}
	if u.UpdatedAt = auth.Truncate(r.UpdatedAt); r.UpdatedAt.IsZero() {
		u.UpdatedAt = now
	}
	if u.Aud == "" {
		u.Aud = c.Audience
	}
	// Its tokens would carry the role into databases: nobody becomes service_role by a file.
	if u.Role == "" {
		u.Role = auth.RoleAuthenticated
	}
	if u.Role != auth.RoleAuthenticated {
		return u, failed(r.Line, r.ExternalID, CodeDatabaseRole, "a role of the database other than authenticated")
	}
	if len(u.Aud) > 63 || !auth.CleanText(u.Aud) || strings.ContainsFunc(u.Aud, func(c rune) bool { return c < ' ' }) {
		return u, failed(r.Line, r.ExternalID, CodeForm, "an audience that can't be one")
	}
	return u, nil
}

func zeroOr(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return auth.Truncate(t)
}

func (c *Rules) addresses(r *Record, u *auth.User) (Code, string) {
	var err error
	if r.Email != "" {
		if u.Email, err = auth.NormalizeEmail(r.Email); err != nil {
			return CodeEmail, "no e-mail address"
		}
		u.EmailConfirmedAt = provedAt(r.EmailProved, u, c.ConfirmAll)
	}
	if r.Phone != "" {
		if u.Phone, err = c.Phone(r.Phone); err != nil {
			return CodePhone, "no telephone number"
		}
		u.PhoneConfirmedAt = provedAt(r.PhoneProved, u, c.ConfirmAll)
	}
	if u.Email == "" && u.Phone == "" && len(r.Identities) == 0 && !u.IsAnonymous {
		return CodeNoID, "neither address nor identity: nobody could sign in"
	}
	return "", ""
}

func provedAt(t time.Time, u *auth.User, all bool) time.Time {
	switch {
	case t.Equal(ProvedSometime()), t.IsZero() && all:
		return u.CreatedAt
	case t.IsZero():
		return t
	}
	return auth.Truncate(t)
}

func (c *Rules) password(r *Record, u *auth.User, d *Dropped) (Code, string) {
	why := r.HashProblem
	switch {
	case why != "":
	case r.Hash == "":
		return "", ""
	case len(r.Hash) > maxHash:
		why = fmt.Sprintf("a hash of more than %d characters", maxHash)
	case c.ValidHash(r.Hash) != nil:
		why = "a hash that can't be verified or costs too much"
	default:
		u.PasswordHash = r.Hash
		return "", ""
	}
	if c.DropBadHashes {
		d.Hash++
		return "", ""
	}
	return CodeHash, why
}

func (c *Rules) identities(r *Record, u *auth.User) (Code, string) {
	own := false
	for i := range r.Identities {
		x := &r.Identities[i]
		id := auth.Identity{UserID: u.ID, Provider: x.Provider, ProviderID: x.ProviderID, Data: x.Data,
			LastSignInAt: zeroOr(x.LastSignInAt), CreatedAt: zeroOr(x.CreatedAt), UpdatedAt: zeroOr(x.UpdatedAt)}
		own = own || id.Provider == auth.ProviderEmail || id.Provider == auth.ProviderPhone
		if c.DropIdentities && id.Provider != auth.ProviderEmail && id.Provider != auth.ProviderPhone {
			continue
		}
		if id.Provider == "" || len(id.Provider) > maxProvider || id.ProviderID == "" || len(id.ProviderID) > maxProviderID ||
			!auth.CleanText(id.Provider) || !auth.CleanText(id.ProviderID) {
			return CodeForm, "an identity without provider or subject, or with too long ones"
		}
		if !plausible(id.CreatedAt) || !plausible(id.UpdatedAt) || !plausible(id.LastSignInAt) {
			return CodeTime, "a moment of an identity that can't be stored"
		}
		if !isObject(&id.Data) {
			return CodeMetadata, "an identity whose data can't be stored"
		}
		if slices.ContainsFunc(u.Identities, func(o auth.Identity) bool { return o.Provider == id.Provider && o.ProviderID == id.ProviderID }) {
			return CodeForm, "the same identity twice"
		}
		if id.CreatedAt.IsZero() {
			id.CreatedAt = u.CreatedAt
		}
		if id.UpdatedAt.IsZero() {
			id.UpdatedAt = u.UpdatedAt
		}
		u.Identities = append(u.Identities, id)
	}
	// As at a sign-up: an address that one signs in with is an identity.
	for _, p := range []struct{ provider, address string }{{auth.ProviderEmail, u.Email}, {auth.ProviderPhone, u.Phone}} {
		if p.address == "" || u.IsSSO || own || p.provider == auth.ProviderEmail && u.PasswordHash == "" && len(u.Identities) > 0 {
			continue
		}
		data, err := json.Marshal(map[string]any{
			"sub": u.ID.String(), p.provider: p.address, "email_verified": p.provider == auth.ProviderEmail && !u.EmailConfirmedAt.IsZero(),
			"phone_verified": p.provider == auth.ProviderPhone && !u.PhoneConfirmedAt.IsZero(),
		})
		if err != nil {
			return CodeMetadata, "an identity whose data can't be stored"
		}
		u.Identities = append(u.Identities, auth.Identity{
			UserID: u.ID, Provider: p.provider, ProviderID: u.ID.String(), Data: data, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
		})
	}
	ids := make([]auth.ID, len(u.Identities))
	for i := range ids {
		var err error
		if ids[i], err = auth.NewID(auth.Truncate(c.Now()), c.Rand); err != nil {
			return CodeForm, "no random bytes for an id"
		}
	}
	// Of one age, they stay in their order: the first is the one that the account began with.
	slices.SortFunc(ids, func(a, b auth.ID) int { return slices.Compare(a[:], b[:]) })
	for i := range ids {
		u.Identities[i].ID = ids[i]
	}
	return "", ""
}

// isObject reports whether a document is a JSON object that can be stored; nothing is the
// empty one.
func isObject(raw *json.RawMessage) bool {
	if len(*raw) == 0 {
		*raw = json.RawMessage(`{}`)
		return true
	}
	var m map[string]json.RawMessage
	return auth.CleanJSON(*raw) && json.Unmarshal(*raw, &m) == nil && m != nil
}

func (c *Rules) metadata(r *Record, u *auth.User, d *Dropped) (Code, string) {
	app, user := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for name, value := range r.App {
		app[name] = value
	}
	for name, value := range r.User {
		user[name] = value
	}
	roles := r.Roles
	if raw, ok := app["roles"]; ok && r.KeepMetadata { // of a system like this one
		delete(app, "roles")
		var list []string
		if json.Unmarshal(raw, &list) != nil {
			return CodeRole, "roles are no list of names"
		}
		roles = list
	}
	known := slices.DeleteFunc(slices.Clone(roles), func(name string) bool { return !c.Role(name) })
	if len(known) < len(roles) && !c.DropUnknown {
		return CodeRole, "a role that the catalogue does not have, or that may do everything and is not allowed by name"
	}
	d.Roles += len(roles) - len(known)
	if len(known) > 0 {
		set(app, "roles", known)
	}
	if !r.KeepMetadata || app["provider"] == nil && len(u.Identities) > 0 {
		providers := []string{}
		for i := range u.Identities {
			if name := u.Identities[i].Provider; !slices.Contains(providers, name) {
				providers = append(providers, name)
			}
		}
		if len(providers) > 0 {
			set(app, "provider", providers[0])
			set(app, "providers", providers)
		}
	}
	if r.FullName != "" && user["full_name"] == nil && !r.KeepMetadata {
		set(user, "full_name", r.FullName)
	}
	var err, err2 error
	u.AppMetadata, err = json.Marshal(app)
	u.UserMetadata, err2 = json.Marshal(user)
	if err != nil || err2 != nil || !auth.CleanJSON(u.AppMetadata) || !auth.CleanJSON(u.UserMetadata) {
		return CodeMetadata, "metadata that can't be stored"
	}
	return "", ""
}

func set(m map[string]json.RawMessage, name string, value any) {
	if raw, err := json.Marshal(value); err == nil { // texts and lists of texts
		m[name] = raw
	}
}

func (c *Rules) members(ctx context.Context, r *Record, user auth.ID, d *Dropped) ([]auth.Membership, error) {
	if len(r.Members) > maxMembers {
		return nil, failed(r.Line, r.ExternalID, CodeTenant, fmt.Sprintf("more than %d memberships", maxMembers))
	}
	var list []auth.Membership
	now := auth.Truncate(c.Now())
	for _, m := range r.Members {
		tenant, err := c.Tenant(ctx, m)
		code, reason := Code(""), ""
		switch {
		case errors.Is(err, auth.ErrNotFound):
			code, reason = CodeTenant, "a tenant that does not exist"
		case errors.Is(err, auth.ErrSlugTaken):
			code, reason = CodeTenant, "another tenant has the name that this one would get"
		case err != nil:
			return nil, fmt.Errorf("moving: find tenant: %w", err)
		case !c.TenantRole(m.Role):
			code, reason = CodeRole, "a role in a tenant that the catalogue does not have, or that may do everything and is not allowed by name"
		case !slices.Contains([]string{"", auth.MemberActive, auth.MemberInvited, auth.MemberPending, auth.MemberSuspended}, m.State), !plausible(m.EndsAt):
			code, reason = CodeForm, "a membership in no known state"
		}
		if code != "" {
			if !c.DropUnknown {
				return nil, failed(r.Line, r.ExternalID, code, reason)
			}
			d.Members++
			continue
		}
		if tenant.IsZero() {
			continue
		}
		if m.State == "" {
			m.State = auth.MemberActive
		}
		if slices.ContainsFunc(list, func(other auth.Membership) bool { return other.TenantID == tenant }) {
			return nil, failed(r.Line, r.ExternalID, CodeTenant, "two memberships in one tenant")
		}
		list = append(list, auth.Membership{
			TenantID: tenant, UserID: user, Role: m.Role, State: m.State, CreatedAt: now, UpdatedAt: now, EndsAt: zeroOr(m.EndsAt),
		})
	}
	return list, nil
}
