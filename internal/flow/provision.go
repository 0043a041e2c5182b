package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/usersync"
)

// ExternalStore keeps for whom other issuers vouch.
type ExternalStore interface {
	ExternalUser(ctx context.Context, issuer, subject string) (auth.ExternalUser, error)
	Provision(ctx context.Context, p auth.Provisioning) (auth.ExternalUser, error)
	PersonByID(ctx context.Context, id auth.ID) (auth.Person, error)
	UpdateProfile(ctx context.Context, user auth.ID, p auth.ProfilePatch) (auth.Person, error)
}

// Provisioner keeps the accounts of people for whom trusted issuers vouch, by the rules of
// package usersync (S2.28 to S2.32): it is the usersync.Store over Cardea's own tables. The
// account of such a person is one like every other, with a profile, the role and the place
// that everybody gets, and an identity that is called as the issuer.
//
// An account that an operator has banned is closed to every issuer, and one that was deleted
// stays deleted. Consumers of changes are not served here: people who wait
// for an issuer that is down are remembered by usersync in memory, and after a restart by
// their next request.
type Provisioner struct {
	c     Config
	store ExternalStore
	names map[string]string
}

var _ usersync.Store = (*Provisioner)(nil)

// NewProvisioner makes a Provisioner. names are the issuers (claim iss) with what their
// identities are called.
func NewProvisioner(c Config, store ExternalStore, names map[string]string) *Provisioner {
	return &Provisioner{c, store, names}
}

// provisionTries is how often somebody else may get in between before it is an error.
const provisionTries = 5

// Find implements usersync.Users.
func (p *Provisioner) Find(ctx context.Context, issuer, subject string) (usersync.User, error) {
	e, err := p.store.ExternalUser(ctx, issuer, subject)
	if errors.Is(err, auth.ErrNotFound) {
		return usersync.User{}, usersync.ErrNoUser
	}
	if err != nil {
		return usersync.User{}, fmt.Errorf("flow: find external user: %w", err)
	}
	return p.user(&e), nil
}

// Get implements usersync.Users.
func (p *Provisioner) Get(ctx context.Context, id string) (usersync.User, error) {
	user, err := auth.ParseID(id)
	if err != nil {
		return usersync.User{}, usersync.ErrNoUser
	}
	person, err := p.store.PersonByID(ctx, user)
	if errors.Is(err, auth.ErrNotFound) {
		return usersync.User{}, usersync.ErrNoUser
	}
	if err != nil {
		return usersync.User{}, fmt.Errorf("flow: read account: %w", err)
	}
	e := auth.ExternalUser{Person: person}
	for issuer, name := range p.names { // whose account it is says the identity
		for i := range person.User.Identities {
			if person.User.Identities[i].Provider == name {
				e.Issuer, e.Subject = issuer, person.User.Identities[i].ProviderID
			}
		}
	}
	return p.user(&e), nil
}

// Sync implements usersync.Users.
func (p *Provisioner) Sync(ctx context.Context, r usersync.Request) (usersync.Result, error) {
	id := r.Identity.Proved()
	var err error
	for range provisionTries {
		free := !errors.Is(err, auth.ErrIDTaken) // the subject, as an id of ours
		var result usersync.Result
		in := auth.Provisioning{Issuer: id.Issuer, Subject: id.Subject, Email: id.Email, Phone: id.Phone, At: r.At,
			Tombstones: []string{auth.TombstoneOf(p.names[id.Issuer], id.Subject), strings.ToLower(id.Subject)}}
		in.Decide = func(c auth.ExternalCandidates) (auth.ExternalPlan, error) {
			result.Plan = usersync.Decide(r.Rules, r.Identity, p.candidates(&c, &id))
			if result.Plan.Action == usersync.ActionRefuse {
				result.User = p.refusing(&c, result.Plan.UserID)
			}
			return p.plan(&r, &id, &c, &result.Plan, free)
		}
		var after auth.ExternalUser
		after, err = p.store.Provision(ctx, in)
		switch {
		case err == nil && result.Plan.Action == usersync.ActionRefuse:
			return result, nil
		case err == nil:
			result.User = p.user(&after)
			return result, nil
		case !errors.Is(err, auth.ErrEmailTaken) && !errors.Is(err, auth.ErrPhoneTaken) && !errors.Is(err, auth.ErrIDTaken):
			return usersync.Result{}, fmt.Errorf("flow: provision: %w", err)
		}
	}
	return usersync.Result{}, fmt.Errorf("flow: provision: %w", err)
}

// candidates shows the rules what the database has. An account is found by an address that
// is a further one of it as well: the rules see that address then.
func (p *Provisioner) candidates(c *auth.ExternalCandidates, id *usersync.Identity) usersync.Candidates {
	show := func(e *auth.ExternalUser) *usersync.User {
		if e == nil {
			return nil
		}
		u := p.user(e)
		return &u
	}
	out := usersync.Candidates{Subject: show(c.Subject), Email: show(c.Email), Phone: show(c.Phone)}
	if u := out.Email; u != nil && u.Email != id.Email {
		u.Email, u.EmailVerified = id.Email, true
	}
	if u := out.Phone; u != nil && u.Phone != id.Phone {
		u.Phone, u.PhoneVerified = id.Phone, true
	}
	return out
}

// refusing is the account that keeps somebody out.
func (p *Provisioner) refusing(c *auth.ExternalCandidates, id string) usersync.User {
	for _, e := range []*auth.ExternalUser{c.Subject, c.Email, c.Phone} {
		if e != nil {
			if u := p.user(e); u.ID == id {
				return u
			}
		}
	}
	return usersync.User{ID: id, Status: usersync.StatusDeleted}
}

// user shows an account as the rules see it.
func (p *Provisioner) user(e *auth.ExternalUser) usersync.User {
	if e.Gone {
		return usersync.User{Issuer: e.Issuer, Subject: e.Subject, Status: usersync.StatusDeleted, SourceAt: e.SourceAt, EvidenceAt: e.EvidenceAt}
	}
	u, f := &e.Person.User, &e.Person.Profile
	out := usersync.User{
		ID: u.ID.String(), Issuer: e.Issuer, Subject: e.Subject, Status: usersync.StatusActive,
		Email: u.Email, Phone: u.Phone, EmailVerified: !u.EmailConfirmedAt.IsZero(), PhoneVerified: !u.PhoneConfirmedAt.IsZero(),
		SourceAt: e.SourceAt, EvidenceAt: e.EvidenceAt, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
		Profile: usersync.Profile{FullName: f.FullName, AvatarURL: f.ImageURL, Locale: f.Language},
	}
	// Who is switched off may look at his own account and nothing else, by whichever way he
	// comes: the flows see to that.
	if u.BannedAt(p.c.now()) {
		out.Status = usersync.StatusDeactivated
	}
	// Every change is later than the one before.
	out.Version = u.UpdatedAt.UnixMicro()
	var own struct {
		First string `json:"first_name"`
		Last  string `json:"last_name"`
	}
	if json.Unmarshal(u.UserMetadata, &own) == nil {
		out.Profile.FirstName, out.Profile.LastName = own.First, own.Last
	}
	for i := range u.Identities {
		var said vouched
		if json.Unmarshal(u.Identities[i].Data, &said) == nil && said.Issuer != "" && said.Issuer == e.Issuer {
			out.AuthProvider, out.Providers, out.EmailStale, out.PhoneStale = said.Provider, said.Identities, said.EmailStale, said.PhoneStale
		}
	}
	return out
}

// vouched is what the identity of an issuer keeps of its word.
type vouched struct {
	Issuer     string              `json:"iss"`
	Provider   string              `json:"provider"`   // how the account was made there
	Identities []usersync.Provider `json:"identities"` // the ways to sign in there
	// The person has another address there by now than here: who proves this one there may be
	// somebody else, and is not linked by it.
	EmailStale bool `json:"email_stale"`
	PhoneStale bool `json:"phone_stale"`
}

// Edit implements usersync.Users for profiles. How an account stands is changed where its
// operators change it.
func (p *Provisioner) Edit(ctx context.Context, e usersync.Edit) (usersync.User, error) {
	u, err := p.Get(ctx, e.ID)
	if err != nil {
		return u, err
	}
	plan, err := e.Plan(u)
	if err != nil || plan.Set.Status != "" {
		return u, usersync.ErrFinal
	}
	user, err := auth.ParseID(e.ID)
	if err != nil || plan.Action == usersync.ActionNone {
		return u, err
	}
	patch := p.profilePatch(plan.Set.Profile)
	patch.At = e.At
	person, err := p.store.UpdateProfile(ctx, user, patch)
	if err == nil {
		person.User, err = p.nameAccount(ctx, &person.User, plan.Set.Profile, e)
	}
	if errors.Is(err, auth.ErrNotFound) {
		return u, usersync.ErrNoUser
	}
	if err != nil {
		return u, fmt.Errorf("flow: change profile: %w", err)
	}
	return p.user(&auth.ExternalUser{Issuer: u.Issuer, Subject: u.Subject, Person: person}), nil
}

// nameAccount keeps first and last name where clients of Supabase look for them.
func (p *Provisioner) nameAccount(ctx context.Context, u *auth.User, set usersync.Profile, e usersync.Edit) (auth.User, error) {
	names := namesOf(set)
	if len(names) == 0 {
		return *u, nil
	}
	patch := auth.UserPatch{At: e.At}
	if err := setMetadata(&patch.UserMetadata, names); err != nil {
		return *u, err
	}
	changed, err := p.c.Store.UpdateUser(ctx, u.ID, patch)
	if err != nil {
		return *u, fmt.Errorf("flow: name account: %w", err)
	}
	return changed, nil
}

func namesOf(set usersync.Profile) map[string]any {
	names := map[string]any{}
	for name, value := range map[string]string{"first_name": set.FirstName, "last_name": set.LastName} {
		if value != "" {
			names[name] = value
		}
	}
	return names
}

// profilePatch takes what keeps to the rules of profiles; the rest is left out, since nobody
// is there to be told.
func (p *Provisioner) profilePatch(set usersync.Profile) auth.ProfilePatch {
	patch := auth.ProfilePatch{}
	for _, f := range []struct {
		value string
		to    **string
		read  func(string) (string, error)
	}{{set.FullName, &patch.FullName, readName}, {set.AvatarURL, &patch.ImageURL, readImageURL}, {set.Locale, &patch.Language, readLanguage}} {
		if f.value == "" {
			continue
		}
		if value, err := f.read(f.value); err == nil {
			*f.to = &value
		}
	}
	return patch
}

// The queue: nothing is kept in the database, see [Provisioner].

// Enqueue implements usersync.Queue.
func (*Provisioner) Enqueue(context.Context, usersync.Task) error { return nil }

// Lease implements usersync.Queue.
func (*Provisioner) Lease(context.Context, string, time.Time, time.Time, int) ([]usersync.Task, error) {
	return nil, nil
}

// Settle implements usersync.Queue.
func (*Provisioner) Settle(context.Context, usersync.Task, usersync.Outcome) error { return nil }

// Backlog implements usersync.Queue.
func (*Provisioner) Backlog(context.Context) ([]usersync.Backlog, error) { return nil, nil }

// providersOf lists the identities of an account with one more.
func providersOf(u *auth.User, more string) []string {
	var names []string
	for i := range u.Identities {
		if !slices.Contains(names, u.Identities[i].Provider) {
			names = append(names, u.Identities[i].Provider)
		}
	}
	if !slices.Contains(names, more) {
		names = append(names, more)
	}
	return names
}
