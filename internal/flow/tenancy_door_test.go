package flow_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
)

// TestDoor is A13.3: an unknown slug and a tenant that is switched off are two answers, and
// what can't be a slug is not looked for.
func TestDoor(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.d.tenants[id(tenantB)].Active = false
	if got, err := w.tenancy().Door(t.Context(), "clinic-a"); err != nil || got.ID != id(tenantA) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err := w.tenancy().Door(t.Context(), "clinic-b")
	wantCode(t, err, auth.CodeTenantDenied)
	for _, slug := range []string{"unknown", "Clinic-A", "clinic-a\x00", "../clinic-a", "' OR 1=1", "", "admin"} {
		_, err := w.tenancy().Door(t.Context(), slug)
		wantCode(t, err, auth.CodeTenantNotFound)
	}
	if diff := cmp.Diff([]string{"TenantBySlug", "TenantBySlug", "TenantBySlug"}, w.d.calls); diff != "" {
		t.Error(diff)
	}
	w.config.SingleTenant = id(tenantB)
	_, err = w.tenancy().Door(t.Context(), "clinic-a")
	wantCode(t, err, auth.CodeTenantNotFound)
	w.d.broken["TenantBySlug"] = errors.New("boom")
	_, err = w.tenancy().Door(t.Context(), "clinic-a")
	wantCode(t, err, auth.CodeInternal)
}

// TestStaff: who works for the tenant that his session is in, by what the database says now.
func TestStaff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		us     auth.UserSession
		err    error
		tenant auth.ID
		want   auth.Code
	}{
		{"manager", auth.UserSession{Session: true, TenantID: id(tenantA), TenantRole: "manager"}, nil, id(tenantA), ""},
		{"a role that had to be approved", auth.UserSession{Session: true, TenantID: id(tenantA), TenantRole: "physician"}, nil, id(tenantA), ""},
		{"a role that anybody may take", auth.UserSession{Session: true, TenantID: id(tenantA), TenantRole: "patient"}, nil, id(tenantA), auth.CodeForbidden},
		{"a role that the catalogue has lost", auth.UserSession{Session: true, TenantID: id(tenantA), TenantRole: "gone"}, nil, id(tenantA), auth.CodeForbidden},
		{"a role of the application", auth.UserSession{Session: true, TenantID: id(tenantA), TenantRole: "admin"}, nil, id(tenantA), auth.CodeForbidden},
		{"A13.1 another tenant", auth.UserSession{Session: true, TenantID: id(tenantA), TenantRole: "manager"}, nil, id(tenantB), auth.CodeTenantDenied},
		{"no tenant", auth.UserSession{Session: true}, nil, auth.ID{}, auth.CodeTenantDenied},
		{"a membership that has ended", auth.UserSession{Session: true}, nil, id(tenantA), auth.CodeTenantDenied},
		{"switched off", auth.UserSession{Session: true, Inactive: true, TenantID: id(tenantA), TenantRole: "manager"}, nil, id(tenantA), auth.CodeUserInactive},
		{"signed out", auth.UserSession{TenantID: id(tenantA), TenantRole: "manager"}, nil, id(tenantA), auth.CodeSessionNotFound},
		{"deleted", auth.UserSession{}, auth.ErrNotFound, id(tenantA), auth.CodeTokenUserNotFound},
		{"the database is down", auth.UserSession{}, errors.New("boom"), id(tenantA), auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.store.withSession = func(auth.ID, auth.ID) (auth.UserSession, error) { return c.us, c.err }
			got, err := w.tenancy().Staff(t.Context(), me(manager), c.tenant)
			if c.want == "" {
				if err != nil || got != c.us.TenantRole {
					t.Errorf("%q, %v", got, err)
				}
				return
			}
			if wantCode(t, err, c.want); got != "" {
				t.Errorf("role %q", got)
			}
		})
	}
	other := me(manager)
	other.FirstParty = false
	_, err := inTown(t).tenancy().Staff(t.Context(), other, id(tenantA))
	wantCode(t, err, auth.CodeNotFirstParty)
}

// TestAgentsOf is S2.26: the agent of this moment, and nothing in place of what can't be
// looked up.
func TestAgentsOf(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	got, err := w.people().AgentsOf(t.Context(), id(ann), id(bob))
	if diff := cmp.Diff(map[auth.ID]auth.ID{id(ann): id(agent)}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	w.d.relations[0].EndsAt = at()
	if got, err := w.people().AgentsOf(t.Context(), id(ann)); len(got) != 0 || err != nil {
		t.Errorf("after its end: %v, %v", got, err)
	}
	w.d.broken["Relations"] = errors.New("boom")
	_, err = w.people().AgentsOf(t.Context(), id(ann))
	wantCode(t, err, auth.CodeInternal)
}
