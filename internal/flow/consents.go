package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/consent"
	"github.com/cardea-auth/cardea/internal/role"
)

// ConsentStore is what Consents needs of a database.
type ConsentStore interface {
	ChangeConsents(ctx context.Context, user auth.ID, changes []auth.ConsentChange) error
	ConsentsOf(ctx context.Context, user, tenant auth.ID) ([]auth.Consent, error)
	ConsentHistory(ctx context.Context, user, before auth.ID, limit int) ([]auth.ConsentEvent, error)
}

// Consents are what people agree to, and take back.
//
// Only the person speaks for himself, with a session of his own: neither an operator nor an
// application's token can agree in his place. Taking back is always possible, also for
// somebody who is switched off, or has left the tenant.
type Consents struct {
	c         Config
	store     ConsentStore
	catalogue *consent.Catalogue
}

// NewConsents makes Consents. Of Config it needs what People needs.
func NewConsents(c Config, store ConsentStore, catalogue *consent.Catalogue) *Consents {
	return &Consents{c, store, catalogue}
}

// ConsentState is a purpose with what has become of somebody's consent to it.
type ConsentState struct {
	Purpose  consent.Purpose
	TenantID auth.ID // of purposes of tenants
	Status   consent.Status
	Consent  auth.Consent // the newest word; zero for none
}

// Mine lists every purpose of the application, and those of tenants where one is named.
func (s *Consents) Mine(ctx context.Context, c auth.Caller, tenant auth.ID) ([]ConsentState, error) {
	if _, err := s.c.caller(ctx, c); err != nil {
		return nil, err
	}
	return s.states(ctx, c.UserID, tenant)
}

// Of is Mine for operators and for those who may read everybody.
func (s *Consents) Of(ctx context.Context, a Actor, user, tenant auth.ID) ([]ConsentState, error) {
	if err := s.mayRead(ctx, a, user); err != nil {
		return nil, err
	}
	return s.states(ctx, user, tenant)
}

// HistoryOf lists what somebody has agreed to and taken back, newest first; before is the last
// one of the page before.
func (s *Consents) HistoryOf(ctx context.Context, a Actor, user, before auth.ID, limit int) ([]auth.ConsentEvent, error) {
	if err := s.mayRead(ctx, a, user); err != nil {
		return nil, err
	}
	return s.history(ctx, user, before, limit)
}

// MyHistory is HistoryOf oneself.
func (s *Consents) MyHistory(ctx context.Context, c auth.Caller, before auth.ID, limit int) ([]auth.ConsentEvent, error) {
	if _, err := s.c.caller(ctx, c); err != nil {
		return nil, err
	}
	return s.history(ctx, c.UserID, before, limit)
}

func (s *Consents) history(ctx context.Context, user, before auth.ID, limit int) ([]auth.ConsentEvent, error) {
	list, err := s.store.ConsentHistory(ctx, user, before, pageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("flow: history of consents: %w", err)
	}
	return list, nil
}

func (s *Consents) mayRead(ctx context.Context, a Actor, user auth.ID) error {
	who, err := s.c.standing(ctx, a)
	if err != nil {
		return err
	}
	if user != who.user.ID && !who.may(role.UserRead) {
		return forbidden(role.UserRead)
	}
	_, err = s.c.person(ctx, user, auth.CodeUserNotFound)
	return err
}

func (s *Consents) states(ctx context.Context, user, tenant auth.ID) ([]ConsentState, error) {
	list, err := s.store.ConsentsOf(ctx, user, tenant)
	if err != nil {
		return nil, fmt.Errorf("flow: read consents: %w", err)
	}
	states, now := []ConsentState{}, s.c.now()
	for _, p := range s.catalogue.Purposes() {
		if p.Scope == consent.ScopeApp || !tenant.IsZero() {
			states = append(states, stateOfConsent(&p, list, tenant, now))
		}
	}
	return states, nil
}

// stateOfConsent finds the word on the purpose where it has to be said: what was said to
// another tenant, or to the application as a whole, is no word to this tenant.
func stateOfConsent(p *consent.Purpose, list []auth.Consent, tenant auth.ID, now time.Time) ConsentState {
	if p.Scope == consent.ScopeApp {
		tenant = auth.ID{}
	}
	out := ConsentState{Purpose: *p, TenantID: tenant, Status: consent.StatusNone}
	for i := range list {
		if c := &list[i]; c.Purpose == p.Name && c.TenantID == tenant {
			out.Consent, out.Status = *c, p.Status(c, now)
		}
	}
	return out
}

// One gives the state of one purpose of the caller.
func (s *Consents) One(ctx context.Context, c auth.Caller, purpose string, tenant auth.ID) (ConsentState, error) {
	if _, err := s.c.caller(ctx, c); err != nil {
		return ConsentState{}, err
	}
	p, _, err := s.find(purpose, tenant)
	if err != nil {
		return ConsentState{}, err
	}
	return s.one(ctx, c.UserID, p, tenant)
}

func (s *Consents) one(ctx context.Context, user auth.ID, p *consent.Purpose, tenant auth.ID) (ConsentState, error) {
	list, err := s.store.ConsentsOf(ctx, user, tenant)
	if err != nil {
		return ConsentState{}, fmt.Errorf("flow: read consents: %w", err)
	}
	return stateOfConsent(p, list, tenant, s.c.now()), nil
}

// find gives a purpose, and the tenant that a word on it is said to.
func (s *Consents) find(name string, tenant auth.ID) (*consent.Purpose, auth.ID, error) {
	p, ok := s.catalogue.Purpose(name)
	switch {
	case !ok:
		return nil, auth.ID{}, auth.E(auth.CodeConsentUnknown, "")
	case p.Scope == consent.ScopeApp && !tenant.IsZero():
		// Recorded as it is meant nowhere: more would be agreed to than the person has said.
		return nil, auth.ID{}, auth.E(auth.CodeValidation, "Consent to "+p.Name+" is given to the application as a whole: leave the tenant out")
	case p.Scope == consent.ScopeTenant && tenant.IsZero():
		return nil, auth.ID{}, auth.E(auth.CodeValidation, "Consent to "+p.Name+" is given to one tenant: name it")
	}
	return &p, tenant, nil
}

// Change says yes or no to several purposes in one step: all or none. version is that of the
// text that the person has read; it is asked for where there is a yes.
func (s *Consents) Change(ctx context.Context, c auth.Caller, words map[string]bool, version string, tenant auth.ID) error {
	us, err := s.c.caller(ctx, c)
	if err != nil {
		return err
	}
	var changes []auth.ConsentChange
	yes := false
	for _, p := range s.catalogue.Purposes() {
		word, given := words[p.Name]
		if !given {
			continue
		}
		change, err := s.change(c, &us, p.Name, word, version, tenant)
		if err != nil {
			return err
		}
		changes, yes = append(changes, change), yes || word
	}
	if len(changes) != len(words) {
		return auth.E(auth.CodeConsentUnknown, "")
	}
	if yes && us.Inactive {
		return auth.E(auth.CodeUserInactive, "")
	}
	if yes && !tenant.IsZero() {
		if err := s.belongs(ctx, c.UserID, tenant); err != nil {
			return err
		}
	}
	err = s.store.ChangeConsents(ctx, c.UserID, changes)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeTenantNotFound, "") // the caller was there a moment ago
	}
	if err != nil {
		return fmt.Errorf("flow: change consents: %w", err)
	}
	return nil
}

// change makes the event of one word.
func (s *Consents) change(c auth.Caller, us *auth.UserSession, purpose string, yes bool, version string, tenant auth.ID) (auth.ConsentChange, error) {
	p, tenant, err := s.find(purpose, tenant)
	if err != nil {
		return auth.ConsentChange{}, err
	}
	if yes && version != p.Version {
		return auth.ConsentChange{}, auth.E(auth.CodeConsentVersion, "")
	}
	traits := map[string]any{"user_id": c.UserID.String(), "purpose": p.Name}
	if !tenant.IsZero() {
		traits["tenant_id"] = tenant.String()
	}
	action := auth.ConsentWithdraw
	if yes {
		action, traits["version"] = auth.ConsentGrant, p.Version
	}
	who := standing{user: us.User, meta: c.Meta}
	entry, err := s.c.auditBy(&who, "consent_"+string(action), "user", traits)
	if err != nil {
		return auth.ConsentChange{}, err
	}
	id, err := auth.NewID(entry.At, s.c.Rand)
	if err != nil {
		return auth.ConsentChange{}, err
	}
	event := auth.ConsentEvent{
		ID: id, UserID: c.UserID, TenantID: tenant, Purpose: p.Name, Action: action, Version: p.Version, At: entry.At,
		IP: c.IP, UserAgent: c.UserAgent,
	}
	if yes {
		event.ExpiresAt = p.ExpiresAt(entry.At)
	}
	return auth.ConsentChange{Event: event, Audit: entry}, nil
}

// belongs lets somebody speak to a tenant that he has to do with: as a member, or as a patient.
func (s *Consents) belongs(ctx context.Context, user, tenant auth.ID) error {
	m, err := s.c.TenantStore.MembershipIn(ctx, tenant, user)
	switch {
	case err == nil && m.Tenant.Active && m.OpenAt(s.c.now()):
		return nil
	case err != nil && !errors.Is(err, auth.ErrNotFound):
		return fmt.Errorf("flow: look for membership: %w", err)
	}
	list, err := s.c.TenantStore.Relations(ctx, auth.RelationQuery{
		Kind: auth.RelationPatient, Subject: user, Tenant: tenant, At: s.c.now(), Limit: 1,
	})
	if err != nil {
		return fmt.Errorf("flow: look for relation: %w", err)
	}
	if len(list) == 0 {
		return auth.E(auth.CodeTenantDenied, "")
	}
	return nil
}

// Grant says yes to one purpose and gives the state after it.
func (s *Consents) Grant(ctx context.Context, c auth.Caller, purpose, version string, tenant auth.ID) (ConsentState, error) {
	return s.say(ctx, c, purpose, true, version, tenant)
}

// Withdraw takes the yes to a purpose back. Without one it changes nothing.
func (s *Consents) Withdraw(ctx context.Context, c auth.Caller, purpose string, tenant auth.ID) (ConsentState, error) {
	return s.say(ctx, c, purpose, false, "", tenant)
}

func (s *Consents) say(ctx context.Context, c auth.Caller, purpose string, yes bool, version string, tenant auth.ID) (ConsentState, error) {
	if err := s.Change(ctx, c, map[string]bool{purpose: yes}, version, tenant); err != nil {
		return ConsentState{}, err
	}
	p, tenant, err := s.find(purpose, tenant)
	if err != nil {
		return ConsentState{}, err
	}
	return s.one(ctx, c.UserID, p, tenant)
}
