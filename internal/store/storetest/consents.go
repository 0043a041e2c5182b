package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func consentCases() []testCase {
	return []testCase{
		{"S4.50 granted, again, withdrawn", consentLife},
		{"a withdrawal of nothing leaves no trace", consentNothing},
		{"in a tenant and outside of one", consentTenants},
		{"all or none", consentTogether},
		{"of somebody who does not exist", consentNobody},
		{"the history in pages", consentPages},
		{"go with the account and the tenant", consentDeleted},
	}
}

const (
	kindConsent   = 40
	dataUse       = "data_processing"
	communication = "communication"
)

// consent is the n-th event, of the user with number of.
func consent(n, of int, purpose string, action auth.ConsentAction, at time.Time) auth.ConsentChange {
	return auth.ConsentChange{
		Event: auth.ConsentEvent{
			ID: fixedID(kindConsent, n), UserID: userID(of), Purpose: purpose, Action: action, Version: "v1", At: at, IP: "192.0.2.7", UserAgent: "storetest/1 (é)",
		},
		Audit: audit(2000000+n, "consent_"+string(action), "user"),
	}
}

func (e *env) consents(of int, tenant auth.ID) []auth.Consent {
	e.tb.Helper()
	list, err := e.ConsentsOf(e.ctx, userID(of), tenant)
	e.ok("ConsentsOf", err)
	return list
}

func (e *env) events(of int) []auth.ConsentEvent {
	e.tb.Helper()
	list, err := e.ConsentHistory(e.ctx, userID(of), auth.ID{}, 100)
	e.ok("ConsentHistory", err)
	return list
}

func consentLife(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	first := consent(1, 1, dataUse, auth.ConsentGrant, t0)
	first.Event.ExpiresAt = after(time.Hour)
	e.ok("grant", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{first}))
	want := auth.Consent{UserID: userID(1), Purpose: dataUse, Version: "v1", GrantedAt: t0, ExpiresAt: after(time.Hour)}
	e.same("granted", []auth.Consent{want}, e.consents(1, auth.ID{}))
	e.same("somebody else", []auth.Consent(nil), e.consents(2, auth.ID{}))

	again := consent(2, 1, dataUse, auth.ConsentGrant, after(time.Minute))
	again.Event.Version = "v2"
	e.ok("grant again", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{again}))
	want.Version, want.GrantedAt, want.ExpiresAt = "v2", after(time.Minute), time.Time{}
	e.same("granted again", []auth.Consent{want}, e.consents(1, auth.ID{}))

	gone := consent(3, 1, dataUse, auth.ConsentWithdraw, after(2*time.Minute))
	e.ok("withdraw", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{gone}))
	want.WithdrawnAt = after(2 * time.Minute)
	e.same("withdrawn", []auth.Consent{want}, e.consents(1, auth.ID{}))
	e.ok("withdraw again", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{consent(4, 1, dataUse, auth.ConsentWithdraw, after(time.Hour))}))
	e.same("the first time stays", []auth.Consent{want}, e.consents(1, auth.ID{}))

	back := consent(5, 1, dataUse, auth.ConsentGrant, after(3*time.Minute))
	e.ok("grant after all", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{back}))
	want.Version, want.GrantedAt, want.WithdrawnAt = "v1", after(3*time.Minute), time.Time{}
	e.same("granted after all", []auth.Consent{want}, e.consents(1, auth.ID{}))

	gone.Event.Version = "v2" // of the text that no longer holds
	e.same("history", []auth.ConsentEvent{back.Event, gone.Event, again.Event, first.Event}, e.events(1))
	e.wantAudit("consents", account(1).Audit[0], account(2).Audit[0], first.Audit, again.Audit, gone.Audit, back.Audit)
}

func consentNothing(_ *testing.T, e *env) {
	e.create(account(1))
	e.ok("withdraw", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{consent(1, 1, dataUse, auth.ConsentWithdraw, t0)}))
	e.ok("nothing", e.ChangeConsents(e.ctx, userID(1), nil))
	e.same("consents", []auth.Consent(nil), e.consents(1, auth.ID{}))
	e.same("history", []auth.ConsentEvent(nil), e.events(1))
	e.wantAudit("nothing", account(1).Audit[0])
}

func consentTenants(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	e.tenant(2)
	in := func(n, tenant int, action auth.ConsentAction) auth.ConsentChange {
		c := consent(n, 1, dataUse, action, after(time.Duration(n)*time.Minute))
		c.Event.TenantID = tenantID(tenant)
		return c
	}
	e.ok("grant", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{
		in(1, 1, auth.ConsentGrant), in(2, 2, auth.ConsentGrant), consent(3, 1, dataUse, auth.ConsentGrant, t0),
	}))
	e.ok("withdraw in one", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{in(4, 1, auth.ConsentWithdraw)}))
	whole := auth.Consent{UserID: userID(1), Purpose: dataUse, Version: "v1", GrantedAt: t0}
	one := auth.Consent{UserID: userID(1), TenantID: tenantID(1), Purpose: dataUse, Version: "v1", GrantedAt: after(time.Minute), WithdrawnAt: after(4 * time.Minute)}
	two := auth.Consent{UserID: userID(1), TenantID: tenantID(2), Purpose: dataUse, Version: "v1", GrantedAt: after(2 * time.Minute)}
	e.same("as a whole", []auth.Consent{whole}, e.consents(1, auth.ID{}))
	e.same("with one", []auth.Consent{whole, one}, e.consents(1, tenantID(1)))
	e.same("with the other", []auth.Consent{whole, two}, e.consents(1, tenantID(2)))
	e.same("history", 4, len(e.events(1)))
	e.same("where it was withdrawn", tenantID(1), e.events(1)[0].TenantID)
}

func consentTogether(_ *testing.T, e *env) {
	e.create(account(1))
	bad := consent(3, 1, "analytics", auth.ConsentGrant, t0)
	bad.Event.TenantID = tenantID(99)
	e.is("a tenant that does not exist", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{
		consent(1, 1, dataUse, auth.ConsentGrant, t0), consent(2, 1, communication, auth.ConsentGrant, t0), bad,
	}), auth.ErrNotFound)
	e.same("none", []auth.Consent(nil), e.consents(1, auth.ID{}))
	e.same("no history", []auth.ConsentEvent(nil), e.events(1))
	e.wantAudit("none", account(1).Audit[0])
	e.ok("both", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{
		consent(1, 1, dataUse, auth.ConsentGrant, t0), consent(2, 1, communication, auth.ConsentGrant, t0),
	}))
	e.same("by purpose", []auth.Consent{
		{UserID: userID(1), Purpose: communication, Version: "v1", GrantedAt: t0}, {UserID: userID(1), Purpose: dataUse, Version: "v1", GrantedAt: t0},
	}, e.consents(1, auth.ID{}))
}

func consentNobody(_ *testing.T, e *env) {
	e.is("grant", e.ChangeConsents(e.ctx, userID(9), []auth.ConsentChange{consent(1, 9, dataUse, auth.ConsentGrant, t0)}), auth.ErrNotFound)
	e.is("withdraw", e.ChangeConsents(e.ctx, userID(9), []auth.ConsentChange{consent(1, 9, dataUse, auth.ConsentWithdraw, t0)}), auth.ErrNotFound)
	e.same("consents", []auth.Consent(nil), e.consents(9, auth.ID{}))
	e.same("history", []auth.ConsentEvent(nil), e.events(9))
	e.wantAudit("nothing")
}

func consentPages(_ *testing.T, e *env) {
	e.create(account(1))
	for n := 1; n <= 5; n++ {
		e.ok("grant", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{consent(n, 1, dataUse, auth.ConsentGrant, after(time.Duration(n)*time.Minute))}))
	}
	var before auth.ID
	for _, want := range [][]int{{5, 4}, {3, 2}, {1}, {}} {
		page, err := e.ConsentHistory(e.ctx, userID(1), before, 2)
		e.ok("ConsentHistory", err)
		var got []int
		for i := range page {
			got = append(got, int(page[i].ID[15]))
			before = page[i].ID
		}
		e.same("page", want, got)
	}
}

func consentDeleted(_ *testing.T, e *env) {
	for n := 1; n <= 3; n++ {
		e.create(account(n))
	}
	e.tenant(1)
	for n := 1; n <= 3; n++ {
		in := consent(10+n, n, communication, auth.ConsentGrant, t0)
		in.Event.TenantID = tenantID(1)
		e.ok("grant", e.ChangeConsents(e.ctx, userID(n), []auth.ConsentChange{consent(n, n, dataUse, auth.ConsentGrant, t0), in}))
	}
	e.ok("DeleteTenant", e.DeleteTenant(e.ctx, tenantID(1), audit(310001, "x", "team")))
	e.same("what was said to the tenant", 1, len(e.consents(1, tenantID(1))))
	e.same("that it was said stays", 2, len(e.events(1)))
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(1), audit(310002, "x", "team")))
	e.same("deleted", []auth.ConsentEvent(nil), e.events(1))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(2), auth.SoftDelete{At: t0, Audit: audit(310003, "x", "team")}))
	e.same("hidden", []auth.Consent(nil), e.consents(2, auth.ID{}))
	e.same("hidden", []auth.ConsentEvent(nil), e.events(2))
	e.is("of somebody deleted", e.ChangeConsents(e.ctx, userID(2), []auth.ConsentChange{consent(30, 2, dataUse, auth.ConsentGrant, t0)}), auth.ErrNotFound)
	e.same("somebody else's", 1, len(e.consents(3, auth.ID{})))
}

// raceWithdraw: of many withdrawals one counts.
func raceWithdraw(_ *testing.T, e *env) {
	e.create(account(1))
	e.ok("grant", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{consent(1, 1, dataUse, auth.ConsentGrant, t0)}))
	for i, err := range together(racers, func(i int) error {
		return e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{consent(10+i, 1, dataUse, auth.ConsentWithdraw, after(time.Duration(i)*time.Second))})
	}) {
		if err != nil {
			e.tb.Errorf("%d: %v", i, err)
		}
	}
	events := e.events(1)
	e.same("lines", 2, len(events))
	e.same("the one that counts", events[0].At, e.consents(1, auth.ID{})[0].WithdrawnAt)
}

// raceConsents: the history is what happened, and the newest word is its last line, whatever
// order people speak in.
func raceConsents(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	for i, err := range together(racers, func(i int) error {
		action := auth.ConsentGrant
		if i%3 == 0 {
			action = auth.ConsentWithdraw
		}
		a, b := consent(10+i, 1, dataUse, action, after(time.Duration(i)*time.Second)), consent(100+i, 1, communication, auth.ConsentGrant, t0)
		a.Event.TenantID = tenantID(1)
		if i%2 == 0 {
			a, b = b, a
		}
		return e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{a, b})
	}) {
		if err != nil {
			e.tb.Errorf("%d: %v", i, err)
		}
	}
	grants, list := map[auth.ID]bool{}, e.consents(1, tenantID(1))
	for _, ev := range e.events(1) {
		if ev.Purpose == communication {
			grants[ev.ID] = true
		}
	}
	e.same("every grant is a line", racers, len(grants))
	e.same("one word on each", 2, len(list))
}

// raceConsentDelete: nothing is said for somebody who is gone.
func raceConsentDelete(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	for i, err := range together(racers, func(i int) error {
		switch i {
		case 5:
			return e.DeleteUser(e.ctx, userID(1), audit(310001, "x", "team"))
		case 3:
			return e.DeleteTenant(e.ctx, tenantID(1), audit(310002, "x", "team"))
		}
		c := consent(10+i, 1, dataUse, auth.ConsentGrant, t0)
		if i%2 == 0 {
			c.Event.TenantID = tenantID(1)
		}
		if err := e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{c}); err != nil && !errors.Is(err, auth.ErrNotFound) {
			return err
		}
		return nil
	}) {
		if err != nil {
			e.tb.Errorf("%d: %v", i, err)
		}
	}
	e.same("consents", 0, len(e.consents(1, tenantID(1))))
	e.same("events", 0, len(e.events(1)))
}
