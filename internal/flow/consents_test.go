package flow_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/consent"
	"github.com/cardea-auth/cardea/internal/flow"
)

const purposesDoc = `
version: "2"
purposes:
  ai_processing: {title: AI, expires: 30d}
  data_processing: {title: Data, required: true, accepts: ["1"]}
  record_sharing: {title: Records, scope: tenant}
`

// registry keeps consents in memory, with the store's rules.
type registry struct {
	now    map[string]auth.Consent
	events []auth.ConsentEvent
	audit  []auth.AuditEntry
	err    error
}

func key(user, tenant auth.ID, purpose string) string {
	return user.String() + tenant.String() + purpose
}

func (r *registry) ChangeConsents(_ context.Context, user auth.ID, changes []auth.ConsentChange) error {
	if r.err != nil {
		return r.err
	}
	for _, c := range changes {
		e := c.Event
		k := key(user, e.TenantID, e.Purpose)
		old, ok := r.now[k]
		if e.Action == auth.ConsentWithdraw {
			if !ok || !old.WithdrawnAt.IsZero() {
				continue
			}
			old.WithdrawnAt, e.Version = e.At, old.Version
		} else {
			old = auth.Consent{UserID: user, TenantID: e.TenantID, Purpose: e.Purpose, Version: e.Version, GrantedAt: e.At, ExpiresAt: e.ExpiresAt}
		}
		r.now[k], r.events, r.audit = old, append([]auth.ConsentEvent{e}, r.events...), append(r.audit, c.Audit)
	}
	return nil
}

func (r *registry) ConsentsOf(_ context.Context, user, tenant auth.ID) ([]auth.Consent, error) {
	var list []auth.Consent
	for _, c := range r.now {
		if c.UserID == user && (c.TenantID.IsZero() || c.TenantID == tenant) {
			list = append(list, c)
		}
	}
	return list, r.err
}

func (r *registry) ConsentHistory(_ context.Context, user, _ auth.ID, limit int) ([]auth.ConsentEvent, error) {
	list := slices.DeleteFunc(slices.Clone(r.events), func(e auth.ConsentEvent) bool { return e.UserID != user })
	return list[:min(limit, len(list))], r.err
}

// consenting is the town with consents.
func consenting(t *testing.T) (*town, *registry, *flow.Consents) {
	t.Helper()
	w, r := inTown(t), &registry{now: map[string]auth.Consent{}}
	catalogue, err := consent.Load("x", []byte(purposesDoc))
	if err != nil {
		t.Fatal(err)
	}
	return w, r, flow.NewConsents(w.config, r, catalogue)
}

func statuses(list []flow.ConsentState) map[string]consent.Status {
	out := map[string]consent.Status{}
	for i := range list {
		out[list[i].Purpose.Name] = list[i].Status
	}
	return out
}

// S4.50, C16: given, expired, outdated, withdrawn, and given again.
func TestConsentLife(t *testing.T) {
	t.Parallel()
	_, r, s := consenting(t)
	ctx := t.Context()
	got, err := s.Mine(ctx, me(ann), auth.ID{})
	if d := cmp.Diff(map[string]consent.Status{"ai_processing": "none", "data_processing": "none"}, statuses(got)); d != "" || err != nil {
		t.Fatalf("%v %s", err, d)
	}
	state, err := s.Grant(ctx, me(ann), "ai_processing", "2", auth.ID{})
	want := auth.Consent{UserID: id(ann), Purpose: "ai_processing", Version: "2", GrantedAt: at(), ExpiresAt: at().Add(30 * 24 * time.Hour)}
	if d := cmp.Diff(want, state.Consent); d != "" || err != nil || state.Status != consent.StatusGranted {
		t.Fatalf("%v %s %s", err, state.Status, d)
	}
	e := r.events[0]
	if e.IP != "192.0.2.1" || e.Action != auth.ConsentGrant || e.ID.IsZero() || e.At != at() {
		t.Errorf("%+v", e)
	}
	if a := r.audit[0]; a.Action != "consent_granted" || a.ActorID != id(ann) || a.Traits["purpose"] != "ai_processing" || a.Traits["version"] != "2" {
		t.Errorf("%+v", a)
	}
	late := r.now[key(id(ann), auth.ID{}, "ai_processing")]
	late.ExpiresAt = at()
	r.now[key(id(ann), auth.ID{}, "ai_processing")] = late
	if state, err = s.One(ctx, me(ann), "ai_processing", auth.ID{}); err != nil || state.Status != consent.StatusExpired {
		t.Errorf("%v %s", err, state.Status)
	}
	late.ExpiresAt, late.Version = time.Time{}, "1"
	r.now[key(id(ann), auth.ID{}, "ai_processing")] = late
	if state, err = s.One(ctx, me(ann), "ai_processing", auth.ID{}); err != nil || state.Status != consent.StatusOutdated {
		t.Errorf("%v %s", err, state.Status)
	}
	for range 2 { // the second changes nothing
		if state, err = s.Withdraw(ctx, me(ann), "ai_processing", auth.ID{}); err != nil || state.Status != consent.StatusWithdrawn {
			t.Errorf("%v %s", err, state.Status)
		}
	}
	if _, err := s.Grant(ctx, me(ann), "ai_processing", "2", auth.ID{}); err != nil {
		t.Error(err)
	}
	history, err := s.MyHistory(ctx, me(ann), auth.ID{}, 0)
	if err != nil || len(history) != 3 || len(r.audit) != 3 {
		t.Errorf("%v %+v", err, history)
	}
	if others, err := s.MyHistory(ctx, me(bob), auth.ID{}, 0); err != nil || len(others) != 0 {
		t.Errorf("%v %+v", err, others)
	}
}

// C16: a refused word changes nothing.
func TestConsentRefuses(t *testing.T) {
	t.Parallel()
	oauth := me(ann)
	oauth.FirstParty = false
	for _, c := range []struct {
		name    string
		caller  auth.Caller
		words   map[string]bool
		version string
		tenant  byte
		change  func(w *town, r *registry)
		want    auth.Code
	}{
		{"an unknown purpose", me(ann), map[string]bool{"casino": true}, "2", 0, nil, auth.CodeConsentUnknown},
		{"one of two is unknown", me(ann), map[string]bool{"ai_processing": true, "casino": false}, "2", 0, nil, auth.CodeConsentUnknown},
		{"an old text", me(ann), map[string]bool{"ai_processing": true}, "1", 0, nil, auth.CodeConsentVersion},
		{"an old text that is accepted, to begin anew", me(ann), map[string]bool{"data_processing": true}, "1", 0, nil, auth.CodeConsentVersion},
		{"no text", me(ann), map[string]bool{"ai_processing": true}, "", 0, nil, auth.CodeConsentVersion},
		{"a tenant where none is meant", me(ann), map[string]bool{"ai_processing": true}, "2", tenantA, nil, auth.CodeValidation},
		{"no tenant where one is meant", me(owner), map[string]bool{"record_sharing": true}, "2", 0, nil, auth.CodeValidation},
		{"a tenant of others", me(ann), map[string]bool{"record_sharing": true}, "2", tenantA, nil, auth.CodeTenantDenied},
		{"a tenant that is nobody's", me(ann), map[string]bool{"record_sharing": true}, "2", 99, nil, auth.CodeTenantDenied},
		{"a tenant that is off", me(owner), map[string]bool{"record_sharing": true}, "2", tenantA, func(w *town, _ *registry) { w.d.tenants[id(tenantA)].Active = false }, auth.CodeTenantDenied},
		{"somebody switched off", me(ann), map[string]bool{"ai_processing": true}, "2", 0, func(w *town, _ *registry) { w.d.people[id(ann)].Profile.Active = false }, auth.CodeUserInactive},
		{"an application's token", oauth, map[string]bool{"ai_processing": true}, "2", 0, nil, auth.CodeNotFirstParty},
		{"nobody", me(99), map[string]bool{"ai_processing": false}, "2", 0, nil, auth.CodeTokenUserNotFound},
		{"the tenant goes meanwhile", me(owner), map[string]bool{"record_sharing": true}, "2", tenantA, func(_ *town, r *registry) { r.err = auth.ErrNotFound }, auth.CodeTenantNotFound},
		{"the database is down", me(ann), map[string]bool{"ai_processing": true}, "2", 0, func(_ *town, r *registry) { r.err = errors.New("down") }, auth.CodeInternal},
		{"memberships can't be read", me(owner), map[string]bool{"record_sharing": true}, "2", tenantA, func(w *town, _ *registry) { w.d.broken["MembershipIn"] = errors.New("down") }, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, r, s := consenting(t)
			if c.change != nil {
				c.change(w, r)
			}
			var tenant auth.ID
			if c.tenant != 0 {
				tenant = id(c.tenant)
			}
			wantCode(t, s.Change(t.Context(), c.caller, c.words, c.version, tenant), c.want)
			if len(r.now)+len(r.events)+len(r.audit) > 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// C16: what is said to one tenant is said to no other, members and patients may say it, and
// whoever has left or is switched off may still take it back.
func TestConsentInTenants(t *testing.T) {
	t.Parallel()
	w, r, s := consenting(t)
	ctx := t.Context()
	if _, err := s.Grant(ctx, me(owner), "record_sharing", "2", id(tenantA)); err != nil {
		t.Fatal(err)
	}
	w.d.relations = append(w.d.relations, auth.Relation{ID: id(251), Kind: auth.RelationPatient, SubjectID: id(ann), TenantID: id(tenantA), StartsAt: at()})
	if _, err := s.Grant(ctx, me(ann), "record_sharing", "2", id(tenantA)); err != nil {
		t.Errorf("a patient: %v", err)
	}
	for tenant, want := range map[byte]consent.Status{tenantA: "granted", tenantB: "none"} {
		got, err := s.Mine(ctx, me(owner), id(tenant))
		if err != nil || statuses(got)["record_sharing"] != want {
			t.Errorf("%v %+v", err, got)
		}
	}
	w.d.members, w.d.people[id(owner)].Profile.Active = nil, false
	state, err := s.Withdraw(ctx, me(owner), "record_sharing", id(tenantA))
	if err != nil || state.Status != consent.StatusWithdrawn || r.audit[2].Traits["tenant_id"] != id(tenantA).String() {
		t.Errorf("%v %+v", err, state)
	}
	if got, err := s.Mine(ctx, me(ann), id(tenantA)); err != nil || statuses(got)["record_sharing"] != consent.StatusGranted {
		t.Errorf("another one's: %v %+v", err, got)
	}
}

// Several words are one step.
func TestConsentChange(t *testing.T) {
	t.Parallel()
	_, r, s := consenting(t)
	if err := s.Change(t.Context(), me(ann), map[string]bool{"ai_processing": false, "data_processing": true}, "2", auth.ID{}); err != nil {
		t.Fatal(err)
	}
	if len(r.events) != 1 || r.events[0].Purpose != "data_processing" {
		t.Errorf("%+v", r.events)
	}
	if err := s.Change(t.Context(), me(ann), nil, "", auth.ID{}); err != nil || len(r.events) != 1 {
		t.Errorf("no words: %v", err)
	}
}

// C16: who may read what somebody has agreed to.
func TestConsentsOfOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		of    byte
		want  auth.Code
	}{
		{"an operator", anOperator(), ann, ""}, {"an administrator", by(boss), ann, ""}, {"oneself", by(ann), ann, ""},
		{"another", by(bob), ann, auth.CodeForbidden}, {"her agent", by(agent), ann, auth.CodeForbidden},
		{"nobody's, by an operator", anOperator(), 99, auth.CodeUserNotFound}, {"nobody's", by(bob), 99, auth.CodeForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, s := consenting(t)
			if _, err := s.Grant(t.Context(), me(ann), "ai_processing", "2", auth.ID{}); err != nil {
				t.Fatal(err)
			}
			list, err := s.Of(t.Context(), c.actor, id(c.of), auth.ID{})
			if codeOf(err) != c.want || (c.want == "") != (statuses(list)["ai_processing"] == consent.StatusGranted) {
				t.Errorf("%v %+v", err, list)
			}
			history, err := s.HistoryOf(t.Context(), c.actor, id(c.of), auth.ID{}, 10)
			if codeOf(err) != c.want || (c.want == "") != (len(history) == 1) {
				t.Errorf("%v %+v", err, history)
			}
		})
	}
}
