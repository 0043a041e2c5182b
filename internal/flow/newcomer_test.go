package flow_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// X29: everybody who gets an account gets the role of the configuration, whichever way the
// account comes, as app_metadata and, where there is one tenant for all, as a membership. The
// database role stays.
func TestNewcomers(t *testing.T) {
	t.Parallel()
	ways := map[string]func(w *town) error{
		"sign-up": func(w *town) error {
			_, err := flow.NewAccounts(w.config).SignUp(t.Context(), flow.SignUp{
				Meta: caller().Meta, Email: "new@example.org", Password: "long enough", Data: members("roles", `["admin"]`, "role", `"admin"`),
			})
			return err
		},
		"code": func(w *town) error {
			_, err := flow.NewAccounts(w.config).SendOTP(t.Context(), flow.OTP{
				Meta: caller().Meta, Email: "new@example.org", CreateUser: true, Data: members("roles", `["admin"]`),
			})
			return err
		},
		"operator": func(w *town) error {
			_, err := flow.NewAdmin(w.config, validHash).Create(t.Context(), flow.NewUser{
				Email: "new@example.org", UserMetadata: members("roles", `["admin"]`),
			}, auth.Meta{})
			return err
		},
		"link of an operator": func(w *town) error {
			_, err := flow.NewAdmin(w.config, validHash).Invite(t.Context(), flow.Invitation{Email: "new@example.org", Data: members("roles", `["admin"]`)})
			return err
		},
	}
	type got struct {
		Roles, Pending []string
		Role           string
		Tenant         auth.ID
		State          string
	}
	for _, c := range []struct {
		name, role string
		single     auth.ID
		want       got
	}{
		{name: "none"},
		{name: "of the application", role: "user", want: got{Roles: []string{"user"}}},
		{name: "of the application, in the only tenant", role: "user", single: id(tenantB), want: got{Roles: []string{"user"}}},
		{name: "of both", role: "patient", single: id(tenantB), want: got{Roles: []string{"patient"}, Tenant: id(tenantB), State: auth.MemberActive}},
		{name: "to approve", role: "physician", single: id(tenantB), want: got{Pending: []string{"physician"}, Tenant: id(tenantB), State: auth.MemberPending}},
		{name: "of tenants", role: "viewer", single: id(tenantB), want: got{Tenant: id(tenantB), State: auth.MemberActive}},
		{name: "of tenants, and there are many", role: "viewer"},
		{name: "that the catalogue has lost", role: "lost"},
	} {
		for way, do := range ways {
			t.Run(c.name+"/"+way, func(t *testing.T) {
				t.Parallel()
				w := inTown(t)
				w.config.DefaultRole, w.config.SingleTenant = c.role, c.single
				if err := do(w); err != nil {
					t.Fatal(err)
				}
				a := w.store.created[0]
				u := a.User
				var meta struct {
					Roles   []string `json:"roles"`
					Pending []string `json:"pending_roles"`
				}
				if err := json.Unmarshal(u.AppMetadata, &meta); err != nil {
					t.Fatal(err)
				}
				c.want.Role = auth.RoleAuthenticated
				is := got{Roles: meta.Roles, Pending: meta.Pending, Role: u.Role}
				for _, m := range a.Memberships {
					if m.UserID == u.ID {
						is.Tenant, is.State = m.TenantID, m.State
					}
				}
				if d := cmp.Diff(c.want, is); d != "" {
					t.Error(d)
				}
			})
		}
	}
}
