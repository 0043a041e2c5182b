package flow

import (
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/usersync"
)

// errUnmade: an issuer's word about an account that was never here is for services that get
// it by webhooks; here nobody gives it.
var errUnmade = errors.New("flow: no account is made for somebody who must not come") //nolint:gochecknoglobals // a constant

// plan turns the decision into what the store writes.
func (p *Provisioner) plan(r *usersync.Request, id *usersync.Identity, c *auth.ExternalCandidates, plan *usersync.Plan, free bool) (auth.ExternalPlan, error) {
	out := auth.ExternalPlan{SourceAt: plan.Set.SourceAt}
	if r.Asked {
		out.EvidenceAt = r.At
	}
	switch plan.Action {
	case usersync.ActionRefuse:
		return auth.ExternalPlan{}, nil
	case usersync.ActionNone:
		return out, nil
	case usersync.ActionCreate:
		if plan.Set.Status != usersync.StatusActive {
			return out, errUnmade
		}
		account, err := p.account(r, id, plan, free)
		out.Create = account
		return out, err
	}
	e := found(c, plan.UserID)
	if e == nil || plan.Set.Status != "" {
		return out, fmt.Errorf("flow: a plan about no candidate: %s", plan.Action)
	}
	out.UserID = e.Person.User.ID
	out.Link = plan.Action == usersync.ActionRepoint || plan.Action == usersync.ActionMove
	return out, p.change(r, id, e, plan, &out)
}

func found(c *auth.ExternalCandidates, id string) *auth.ExternalUser {
	for _, e := range []*auth.ExternalUser{c.Subject, c.Email, c.Phone} {
		if e != nil && !e.Gone && e.Person.User.ID.String() == id {
			return e
		}
	}
	return nil
}

// account is a new one. It has the subject as its id where that is a UUID and nobody has it,
// so that rows of an application that came from the issuer go on to mean the same person.
func (p *Provisioner) account(r *usersync.Request, id *usersync.Identity, plan *usersync.Plan, free bool) (*auth.NewAccount, error) {
	u, err := p.c.newUser(p.c.Audience)
	if err != nil {
		return nil, err
	}
	u.CreatedAt, u.UpdatedAt = r.At, r.At
	if own, err := auth.ParseID(id.Subject); err == nil && !own.IsZero() && free {
		u.ID = own
	}
	set := &plan.Set
	if u.Email = set.Email; set.EmailVerified {
		u.EmailConfirmedAt = r.At
	}
	if u.Phone = set.Phone; set.PhoneVerified {
		u.PhoneConfirmedAt = r.At
	}
	name := p.names[id.Issuer]
	if u.AppMetadata, err = p.c.appMetadata(name); err != nil {
		return nil, err
	}
	if u.UserMetadata, err = marshalAny(namesOf(set.Profile)); err != nil {
		return nil, err
	}
	identity, err := p.identity(r, id, name, set)
	if err != nil {
		return nil, err
	}
	identity.UserID = u.ID
	u.Identities = []auth.Identity{identity}
	profile := p.profilePatch(set.Profile)
	profile.At = r.At
	account := &auth.NewAccount{User: u, Profile: &profile}
	entry, err := p.c.auditUser("user_provisioned", "team", "", &u)
	if err != nil {
		return nil, err
	}
	entry.Traits = map[string]any{"provider": name, "provider_id": id.Subject}
	account.Audit = []auth.AuditEntry{entry}
	return account, p.c.welcome(account, "")
}

// identity is the way in by the issuer.
func (p *Provisioner) identity(r *usersync.Request, id *usersync.Identity, name string, set *usersync.Changes) (auth.Identity, error) {
	row, err := auth.NewID(r.At, p.c.Rand)
	if err != nil {
		return auth.Identity{}, err
	}
	data := map[string]any{"iss": id.Issuer, "sub": id.Subject}
	if id.AuthProvider != "" {
		data["provider"] = id.AuthProvider
	}
	if set.Providers != nil {
		data["identities"] = set.Providers
	}
	for member, age := range map[string]usersync.Age{"email_stale": set.EmailAge, "phone_stale": set.PhoneAge} {
		if age != "" {
			data[member] = age == usersync.AgeStale
		}
	}
	if id.Email != "" {
		data["email"], data["email_verified"] = id.Email, true
	}
	if id.Phone != "" {
		data["phone"], data["phone_verified"] = id.Phone, true
	}
	doc, err := marshalAny(data)
	return auth.Identity{
		ID: row, Provider: name, ProviderID: id.Subject, Data: doc, LastSignInAt: r.At, CreatedAt: r.At, UpdatedAt: r.At,
	}, err
}

// change is what an account that is there gets: what it lacks, and the subject.
func (p *Provisioner) change(r *usersync.Request, id *usersync.Identity, e *auth.ExternalUser, plan *usersync.Plan, out *auth.ExternalPlan) error {
	u, set, name := &e.Person.User, &plan.Set, p.names[id.Issuer]
	patch := auth.UserPatch{At: r.At}
	if set.Email != "" {
		patch.Email = &set.Email
	}
	if set.EmailVerified && u.EmailConfirmedAt.IsZero() {
		patch.EmailConfirmedAt = &r.At
	}
	if set.Phone != "" {
		patch.Phone = &set.Phone
	}
	if set.PhoneVerified && u.PhoneConfirmedAt.IsZero() {
		patch.PhoneConfirmedAt = &r.At
	}
	if names := namesOf(set.Profile); len(names) > 0 {
		if err := setMetadata(&patch.UserMetadata, names); err != nil {
			return err
		}
	}
	if out.Link || set.Providers != nil || set.AuthProvider != "" || set.EmailAge != "" || set.PhoneAge != "" {
		identity, err := p.identity(r, id, name, set)
		if err != nil {
			return err
		}
		identity.UserID = u.ID
		patch.Identities = []auth.Identity{identity}
	}
	if out.Link {
		providers := providersOf(u, name)
		if err := setMetadata(&patch.AppMetadata, map[string]any{"provider": providers[0], "providers": providers}); err != nil {
			return err
		}
		entry, err := p.c.auditUser("identity_linked", "team", "", u)
		if err != nil {
			return err
		}
		entry.Traits = map[string]any{"provider": name, "provider_id": id.Subject}
		out.Audit = append(out.Audit, entry)
	}
	out.Patch = &patch
	profile := p.profilePatch(set.Profile)
	profile.At = r.At
	if !patchesNothing(&profile) || e.Person.Profile.UserID.IsZero() {
		out.Profile = &profile
	}
	return nil
}
