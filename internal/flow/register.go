package flow

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Registration is a request for an account of the application, with a role and a place in a
// tenant.
type Registration struct {
	auth.Meta

	Email      string // or
	Phone      string // as the region writes it
	Password   string
	Role       string // "": the configured one
	FullName   string
	Language   string
	TenantSlug string                     // tenant to join, "" for none
	Data       map[string]json.RawMessage // user metadata: roles in it mean nothing
	Audience   string
	RedirectTo string // checked
}

// Registered is what came of it.
type Registered struct {
	User        auth.User      // zero when the answer is neutral
	Session     *auth.SignedIn // nil when the address has to be proved first: there are no tokens then
	PendingRole string         // waits for approval; "" for none
	// Neutral is true when the answer is the same for addresses that have an account: it must
	// not tell more than that a message is on its way.
	Neutral bool
}

// Register makes an account.
//
//   - With Verification none the person is signed in at once, and a taken address is
//     CodeUserAlreadyExists: tokens for one address and none for another tell it anyhow.
//     With before_login there are no tokens (X27), and a taken address is told where answers
//     are explicit only; else its owner gets a message (X28).
//   - A role is taken when the catalogue lets everybody have it, and waits when it wants an
//     approval; any other, known or not, is CodeRoleNotAllowed before anything is done (X29).
//   - A tenant's role becomes a membership there. The tenant is the one of the installation,
//     or that of TenantSlug.
func (p *People) Register(ctx context.Context, in Registration) (Registered, error) {
	place, err := p.placeOf(ctx, &in)
	if err != nil {
		return Registered{}, err
	}
	if in.Email == "" && in.Phone == "" {
		return Registered{}, auth.E(auth.CodeValidation, "email or phone is required")
	}
	profile, err := p.c.profilePatch(&ProfileChange{FullName: nonEmpty(in.FullName), Language: nonEmpty(in.Language)})
	if err != nil {
		return Registered{}, err
	}
	up := SignUp{
		Meta: in.Meta, Email: in.Email, Phone: in.Phone, Password: in.Password, Data: in.Data, Audience: in.Audience,
		RedirectTo: in.RedirectTo, explicit: p.c.ExplicitAnswers,
	}
	if in.Phone != "" {
		if up.Phone, err = p.c.phone(in.Phone); err != nil {
			return Registered{}, err
		}
	}
	up.more = func(account *auth.NewAccount) error {
		if !patchesNothing(&profile) {
			account.Profile = &profile
		}
		return p.settle(account, place, in.IP)
	}
	res, err := p.registrar().SignUp(ctx, up)
	if err != nil {
		return Registered{}, err
	}
	out := Registered{User: res.User, Session: res.Session, PendingRole: place.pending()}
	if out.Neutral = res.Session == nil && !p.c.ExplicitAnswers; out.Neutral {
		out.User = auth.User{}
	}
	return out, nil
}

// registrar is Accounts with the proof that registrations want.
func (p *People) registrar() *Accounts {
	c := p.c
	switch c.Verification {
	case "none":
		c.EmailAutoconfirm, c.PhoneAutoconfirm = true, true
	case "before_login":
		c.EmailAutoconfirm, c.PhoneAutoconfirm = false, false
	}
	return NewAccounts(c)
}

// place is where a registration puts somebody.
type place struct {
	role   string // "" for none
	app    bool   // the role is one of the application
	waits  bool   // it has to be approved
	tenant auth.ID
}

func (p place) pending() string {
	if p.waits {
		return p.role
	}
	return ""
}

// placeOf finds the role and the tenant that a registration asks for. It looks at no
// account, so its refusals tell nothing.
func (p *People) placeOf(ctx context.Context, in *Registration) (place, error) {
	c := p.c.Roles.Get()
	at := place{role: in.Role, tenant: p.c.SingleTenant}
	if in.Role == "" {
		at.role = p.c.DefaultRole // the operator's choice: nobody has to be able to take it
	}
	if in.TenantSlug != "" {
		row, err := p.c.tenantBySlug(ctx, in.TenantSlug)
		if err != nil {
			return place{}, err
		}
		if at.tenant = row.ID; !p.c.SingleTenant.IsZero() && row.ID != p.c.SingleTenant {
			return place{}, auth.E(auth.CodeTenantNotFound, "")
		}
	}
	r, known := c.Role(at.role)
	switch {
	case in.Role == "" && !known:
		at.role = "" // there is no default, or the catalogue has lost it
	case !known || in.Role != "" && !r.SelfAssignable && !r.Approval:
		return place{}, auth.E(auth.CodeRoleNotAllowed, "")
	default:
		at.app, at.waits = r.InApp(), r.Approval
	}
	switch inTenant := known && at.role != "" && r.InTenant(); {
	case inTenant && at.tenant.IsZero() && !at.app:
		return place{}, auth.E(auth.CodeValidation, "This role is one within a tenant: say which")
	case !inTenant && in.TenantSlug != "":
		return place{}, auth.E(auth.CodeRoleNotAllowed, "This role is not one within a tenant")
	case !inTenant:
		at.tenant = auth.ID{}
	}
	return at, nil
}

// settle puts role and membership on a new account. What the registration asked for takes the
// place of what everybody gets.
func (p *People) settle(account *auth.NewAccount, at place, ip string) error {
	u := &account.User
	var object map[string]json.RawMessage
	if err := json.Unmarshal(u.AppMetadata, &object); err != nil {
		return err //nolint:wrapcheck // a document of our own making
	}
	delete(object, rolesMember)
	delete(object, pendingMember)
	patch := auth.MetadataPatch{Set: object}
	if at.app {
		if err := setMetadata(&patch, map[string]any{at.member(): []string{at.role}}); err != nil {
			return err
		}
	}
	var err error
	if u.AppMetadata, err = marshalAny(patch.Set); err != nil {
		return err
	}
	return p.c.place(account, at, ip)
}

// firstTenant is the tenant of the first session of a new account: that of its only open
// membership.
func firstTenant(memberships []auth.Membership, at time.Time) (auth.ID, string) {
	if len(memberships) != 1 || !memberships[0].OpenAt(at) {
		return auth.ID{}, ""
	}
	return memberships[0].TenantID, memberships[0].Role
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
