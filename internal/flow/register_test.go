package flow_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/google/go-cmp/cmp"
)

func registration() flow.Registration {
	return flow.Registration{Meta: caller().Meta, Email: "New@x.org", Password: "long enough"}
}

// TestRegisterRoles is A3.1 and X29: which roles somebody can give himself.
func TestRegisterRoles(t *testing.T) {
	t.Parallel()
	member := func(tenant byte, r, state string) []auth.Membership {
		return []auth.Membership{{TenantID: id(tenant), Role: r, State: state, CreatedAt: at(), UpdatedAt: at()}}
	}
	for _, c := range []struct {
		name    string
		bend    func(*town, *flow.Registration)
		want    auth.Code
		roles   []string
		waits   string
		members []auth.Membership
	}{
		{"none", func(*town, *flow.Registration) {}, "", nil, "", nil},
		{"the default", func(w *town, _ *flow.Registration) { w.config.DefaultRole = "user" }, "", []string{"user"}, "", nil},
		{"a default that nobody may choose", func(w *town, _ *flow.Registration) { w.config.DefaultRole = "agent" }, "", []string{"agent"}, "", nil},
		{"a default that the catalogue has lost", func(w *town, _ *flow.Registration) { w.config.DefaultRole = "lost" }, "", nil, "", nil},
		{"patient", func(_ *town, r *flow.Registration) { r.Role = "patient" }, "", []string{"patient"}, "", nil},
		{"physician waits", func(_ *town, r *flow.Registration) { r.Role = "physician" }, "", nil, "physician", nil},
		{"patient of a clinic", func(_ *town, r *flow.Registration) { r.Role, r.TenantSlug = "patient", "clinic-a" }, "", []string{"patient"}, "", member(tenantA, "patient", auth.MemberActive)},
		{"physician of a clinic waits there too", func(_ *town, r *flow.Registration) { r.Role, r.TenantSlug = "physician", "clinic-a" }, "", nil, "physician", member(tenantA, "physician", auth.MemberPending)},
		{"in the only tenant", func(w *town, r *flow.Registration) { w.config.SingleTenant, r.Role = id(tenantB), "patient" }, "", []string{"patient"}, "", member(tenantB, "patient", auth.MemberActive)},
		{"a role of no tenant, in the only one", func(w *town, r *flow.Registration) { w.config.SingleTenant, r.Role = id(tenantB), "user" }, "", []string{"user"}, "", nil},

		{"admin", func(_ *town, r *flow.Registration) { r.Role = "admin" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"owner of a clinic", func(_ *town, r *flow.Registration) { r.Role, r.TenantSlug = "owner", "clinic-a" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"agent", func(_ *town, r *flow.Registration) { r.Role = "agent" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"unknown", func(_ *town, r *flow.Registration) { r.Role = "emperor" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"database role", func(_ *town, r *flow.Registration) { r.Role = "service_role" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"another spelling", func(_ *town, r *flow.Registration) { r.Role = "Patient" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"NUL", func(_ *town, r *flow.Registration) { r.Role = "patient\x00" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"two at once", func(_ *town, r *flow.Registration) { r.Role = "patient,admin" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"role of no tenant in a tenant", func(_ *town, r *flow.Registration) { r.Role, r.TenantSlug = "user", "clinic-a" }, auth.CodeRoleNotAllowed, nil, "", nil},
		{"unknown tenant", func(_ *town, r *flow.Registration) { r.Role, r.TenantSlug = "patient", "clinic-z" }, auth.CodeTenantNotFound, nil, "", nil},
		{"tenant is off", func(w *town, r *flow.Registration) {
			w.d.tenants[id(tenantA)].Active, r.Role, r.TenantSlug = false, "patient", "clinic-a"
		}, auth.CodeTenantNotFound, nil, "", nil},
		{"another tenant than the only one", func(w *town, r *flow.Registration) {
			w.config.SingleTenant, r.Role, r.TenantSlug = id(tenantB), "patient", "clinic-a"
		}, auth.CodeTenantNotFound, nil, "", nil},
		{"look-up of the tenant fails", func(w *town, r *flow.Registration) {
			w.d.broken["TenantBySlug"], r.Role, r.TenantSlug = errors.New("boom"), "patient", "clinic-a"
		}, auth.CodeInternal, nil, "", nil},

		{"bad name", func(_ *town, r *flow.Registration) { r.FullName = "<b>" }, auth.CodeValidation, nil, "", nil},
		{"bad language", func(_ *town, r *flow.Registration) { r.Language = "klingon!" }, auth.CodeValidation, nil, "", nil},
		{"no address", func(_ *town, r *flow.Registration) { r.Email = "" }, auth.CodeValidation, nil, "", nil}, // an anonymous account is another route's
		{"NUL in the data", func(_ *town, r *flow.Registration) { r.Data = members("a", `"\u0000"`) }, auth.CodeValidation, nil, "", nil},
		{"weak password", func(_ *town, r *flow.Registration) { r.Password = "short" }, auth.CodeWeakPassword, nil, "", nil},
		{"sign-ups are off", func(w *town, _ *flow.Registration) { w.config.SignupDisabled = true }, auth.CodeSignupDisabled, nil, "", nil},
		// Escalation by metadata: it is the user's own, and nobody reads roles there.
		{"roles in the data", func(_ *town, r *flow.Registration) {
			r.Data = members("roles", `["admin"]`, "role", `"admin"`, "app_metadata", `{"roles":["admin"]}`)
		}, "", nil, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.config.Verification = "none"
			in := registration()
			c.bend(w, &in)
			got, err := w.people().Register(t.Context(), in)
			if c.want != "" {
				wantCode(t, err, c.want)
				w.steps(t) // A3.1: no row, and no work for it
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			a := w.store.created[0]
			for i := range a.Memberships {
				if a.Memberships[i].UserID != a.User.ID {
					t.Errorf("membership of somebody else: %+v", a.Memberships[i])
				}
				a.Memberships[i].UserID = auth.ID{}
			}
			if diff := cmp.Diff(c.members, a.Memberships); diff != "" {
				t.Errorf("memberships:\n%s", diff)
			}
			var app struct {
				Provider string   `json:"provider"`
				Roles    []string `json:"roles"`
				Pending  []string `json:"pending_roles"`
			}
			if err := json.Unmarshal(a.User.AppMetadata, &app); err != nil || app.Provider != "email" {
				t.Errorf("%s, %v", a.User.AppMetadata, err)
			}
			if diff := cmp.Diff(c.roles, app.Roles); diff != "" || strings.Join(app.Pending, ",") != c.waits || got.PendingRole != c.waits {
				t.Errorf("%s, waits %q", a.User.AppMetadata, got.PendingRole)
			}
			if got.Session == nil || got.Neutral || got.Session.User.ID != a.User.ID {
				t.Fatalf("%+v", got)
			}
			s := got.Session.Session
			if open := len(c.members) == 1 && c.members[0].State == auth.MemberActive; open != (s.TenantRole != "") || open && (s.TenantID != c.members[0].TenantID || s.TenantRole != c.members[0].Role) {
				t.Errorf("session in %s as %q", s.TenantID, s.TenantRole)
			}
		})
	}
}

// TestRegisterProfile: name and language are in the step that makes the account.
func TestRegisterProfile(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.config.Verification = "none"
	in := registration()
	in.FullName, in.Language = " <b>New</b>  Person ", "pt-br"
	if _, err := w.people().Register(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	p := w.store.created[0].Profile
	if p == nil || *p.FullName != "New Person" || *p.Language != "pt-BR" || p.BirthDate != nil {
		t.Errorf("%+v", p)
	}
}

// TestRegisterAnswers is X27 and X28: tokens or not, and what a taken address tells.
func TestRegisterAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		verification string
		explicit     bool
		email        string
		want         auth.Code
		tokens       bool
		neutral      bool
		message      string
	}{
		{"none, new", "none", false, "new@x.org", "", true, false, ""},
		{"none, taken", "none", false, "B@x.org", auth.CodeUserAlreadyExists, false, false, ""},
		{"before_login, new", "before_login", false, "new@x.org", "", false, true, "confirmation"},
		{"before_login, taken", "before_login", false, " b@X.ORG", "", false, true, "account_exists"},
		{"before_login, explicit, new", "before_login", true, "new@x.org", "", false, false, "confirmation"},
		{"before_login, explicit, taken", "before_login", true, "b@x.org", auth.CodeUserAlreadyExists, false, false, ""},
		{"as the server says, new", "", false, "new@x.org", "", false, true, "confirmation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.config.Verification, w.config.ExplicitAnswers = c.verification, c.explicit
			in := registration()
			in.Email, in.Role = c.email, "physician"
			got, err := w.people().Register(t.Context(), in)
			if codeOf(err) != c.want {
				t.Fatalf("%v", err)
			}
			if (got.Session != nil) != c.tokens || got.Neutral != c.neutral {
				t.Errorf("%+v", got)
			}
			if c.neutral {
				// The same for both, to the last field.
				if diff := cmp.Diff(flow.Registered{PendingRole: "physician", Neutral: true}, got); diff != "" {
					t.Error(diff)
				}
			}
			kinds := []string{}
			for _, n := range w.post.notices {
				kinds = append(kinds, n.Kind)
			}
			if strings.Join(kinds, ",") != c.message {
				t.Errorf("messages %q", kinds)
			}
		})
	}
}

// canonical reads numbers of one region, as internal/phone does.
type canonical struct{}

func (canonical) Canonical(s string) (string, error) {
	s = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", "+", "").Replace(s)
	if len(s) == 10 {
		s = "91" + s
	}
	return auth.NormalizePhone(s)
}

// TestRegisterByPhone: a number of the region is the same however it is written.
func TestRegisterByPhone(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{"98765 43210", "+91-98765-43210", "(91) 9876543210"} {
		w := inTown(t)
		w.config.Verification, w.config.Phones = "none", canonical{}
		in := registration()
		in.Email, in.Phone = "", spelling
		if _, err := w.people().Register(t.Context(), in); err != nil || w.store.created[0].User.Phone != "919876543210" {
			t.Errorf("%q: %v", spelling, err)
		}
	}
}
