package role_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/role"
	"github.com/cardea-auth/cardea/presets"
)

func shipped(t *testing.T, name string) *role.Catalogue {
	t.Helper()
	doc, ok := presets.RoleCatalogue(name)
	if !ok {
		t.Fatalf("no catalogue %q", name)
	}
	return load(t, string(doc))
}

// declared leaves out what every catalogue knows.
func declared(c *role.Catalogue, roleName string) []string {
	builtin := role.Builtin()
	return slices.DeleteFunc(c.Expand(roleName), func(name string) bool {
		return slices.ContainsFunc(builtin, func(p role.Permission) bool { return p.Name == name })
	})
}

// registration says who may register as what: "take" it, "ask" for it, or "no".
func registration(c *role.Catalogue) map[string]string {
	answers := map[string]string{}
	for _, r := range c.Roles() {
		switch {
		case r.SelfAssignable:
			answers[r.Name] = "take"
		case r.Approval:
			answers[r.Name] = "ask"
		default:
			answers[r.Name] = "no"
		}
	}
	return answers
}

// TestShippedRegistration: the roles of each system and who may register as what (X29).
func TestShippedRegistration(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		catalogue, owner string
		want             map[string]string
	}{
		{"default", "owner", map[string]string{"user": "take", "member": "no", "admin": "no", "owner": "no"}},
		{"medmitra", "", map[string]string{"doctor": "take"}},                                                                                     // S0.13
		{"dermadetect", "admin", map[string]string{"patient": "take", "physician": "ask", "admin": "no"}},                                         // S1.6, X29
		{"ghar360", "", map[string]string{"user": "take", "agent": "no", "admin": "no"}},                                                          // S2.22
		{"medhastra", "", map[string]string{"user": "take", "admin": "no"}},                                                                       // S3
		{"neonpro", "admin", map[string]string{"patient": "take", "healthcare_professional": "ask", "staff": "no", "nurse": "no", "admin": "no"}}, // S4.17, S4.18
	} {
		t.Run(test.catalogue, func(t *testing.T) {
			t.Parallel()
			c := shipped(t, test.catalogue)
			if diff := cmp.Diff(test.want, registration(c)); diff != "" {
				t.Error(diff)
			}
			if c.Owner() != test.owner {
				t.Errorf("owner %q, want %q", c.Owner(), test.owner)
			}
		})
	}
}

// TestShippedDefault: members see, administrators run, owners may everything; a user has an
// account and nothing else.
func TestShippedDefault(t *testing.T) {
	t.Parallel()
	c := shipped(t, presets.DefaultRoles)
	want := map[string][]string{
		"user": {}, "member": {"tenant:read"}, "admin": {"member:*", "relation:*", "tenant:*"}, "owner": {"*"},
	}
	got := map[string][]string{}
	for _, r := range c.Roles() {
		got[r.Name] = c.Permissions(r.Name)
		if r.InTenant() == r.InApp() || r.InApp() != (r.Name == "user") {
			t.Errorf("role %s has scope %s", r.Name, r.Scope)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestShippedNeonpro is S4.17 with the default permissions of S4.18.
func TestShippedNeonpro(t *testing.T) {
	t.Parallel()
	c := shipped(t, "neonpro")
	for name, want := range map[string][]string{
		"healthcare_professional": {"read_patient_data", "write_patient_data", "view_medical_records", "create_appointments"},
		"admin":                   {"read_patient_data", "write_patient_data", "manage_users", "view_audit_logs", "read", "write", "admin", "ai_access"},
		"nurse":                   {"read_patient_data", "update_vitals", "view_medical_records"},
	} {
		for _, p := range want {
			if !c.Has([]string{name}, p) {
				t.Errorf("%s does not have %s", name, p)
			}
		}
	}
	for name, not := range map[string][]string{
		"patient":                 {"read_patient_data", "view_medical_records", "manage_billing", "manage_users", role.UserRead},
		"staff":                   {"read_patient_data", "view_medical_records", "manage_treatment_plans", "manage_users"},
		"nurse":                   {"write_patient_data", "manage_users", "view_audit_logs", "ai_access"},
		"healthcare_professional": {"manage_users", "view_audit_logs", "ai_access", role.MemberInvite},
	} {
		for _, p := range not {
			if c.Has([]string{name}, p) {
				t.Errorf("%s has %s", name, p)
			}
		}
	}
	if got := c.Expand("nurse"); !slices.Equal(got, []string{"read_patient_data", "update_vitals", "view_medical_records"}) {
		t.Errorf("nurse has %q", got)
	}
}

// TestShippedClinic is S4.19: nine roles, 28 permissions in fifteen families, and how many
// of them each role has.
func TestShippedClinic(t *testing.T) {
	t.Parallel()
	c := shipped(t, "clinic")
	families := map[string]bool{}
	for _, p := range c.Declared() {
		family, _, _ := strings.Cut(p.Name, ":")
		families[family] = true
	}
	if len(c.Declared()) != 28 || len(families) != 15 {
		t.Errorf("%d permissions in %d families, want 28 in 15", len(c.Declared()), len(families))
	}
	counts := map[string]int{}
	for _, r := range c.Roles() {
		counts[r.Name] = len(declared(c, r.Name))
		if r.Scope != role.ScopeTenant || r.SelfAssignable || r.Approval {
			t.Errorf("%+v: not only given with a membership", r)
		}
	}
	want := map[string]int{
		"clinic_owner": 28, "medical_director": 27, "aesthetic_doctor": 11, "nurse_practitioner": 6, "medical_assistant": 4,
		"receptionist": 3, "billing_specialist": 5, "marketing_coordinator": 2, "compliance_officer": 3,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
	if c.Has([]string{"medical_director"}, "security:settings") || c.Owner() != "clinic_owner" {
		t.Error("the director has security settings, or the owner is not the owner")
	}
	doctor := []string{
		"ai:analysis", "ai:recommendations", "image:download", "image:upload", "image:view", "patient:medical_records", "patient:read",
		"patient:write", "procedure:perform", "procedure:read", "procedure:schedule",
	}
	if diff := cmp.Diff(doctor, c.Permissions("aesthetic_doctor")); diff != "" {
		t.Error(diff)
	}
}

// TestShippedHospital is S4.20: sixteen roles on their levels, 34 permissions, checks by
// permission, by level, and by resource with operation. B4.31: an emergency responder passes
// no check that is not written down.
func TestShippedHospital(t *testing.T) {
	t.Parallel()
	c := shipped(t, "hospital")
	levels, counts := map[string]int{}, map[string]int{}
	for _, r := range c.Roles() {
		levels[r.Name] = c.Level(r.Name)
		counts[r.Name] = len(declared(c, r.Name))
	}
	want := map[string]int{
		"guest": 0, "patient": 1, "caregiver": 1, "receptionist": 2, "nurse": 3, "technician": 3, "pharmacist": 4, "lab_technician": 4,
		"radiologist": 4, "doctor": 5, "specialist": 6, "department_head": 7, "system_admin": 8, "compliance_officer": 8,
		"emergency_responder": 9, "super_admin": 10,
	}
	if diff := cmp.Diff(want, levels); diff != "" {
		t.Error(diff)
	}
	wantCounts := map[string]int{
		"guest": 0, "patient": 1, "caregiver": 1, "receptionist": 3, "nurse": 9, "technician": 6, "pharmacist": 4, "lab_technician": 5,
		"radiologist": 5, "doctor": 15, "specialist": 17, "department_head": 21, "system_admin": 8, "compliance_officer": 8,
		"emergency_responder": 15, "super_admin": 34,
	}
	if diff := cmp.Diff(wantCounts, counts); diff != "" {
		t.Error(diff)
	}
	if len(c.Declared()) != 34 {
		t.Errorf("%d permissions, want 34", len(c.Declared()))
	}
	if !c.HasBelow([]string{"nurse"}, "patient:read") || c.HasBelow([]string{"nurse"}, "patient:delete") {
		t.Error("resource and operation: a nurse reads patients and deletes none")
	}
	for _, not := range []string{"patient:delete", "lab:write", "system:read", "compliance:export"} {
		if c.HasBelow([]string{"emergency_responder"}, not) {
			t.Errorf("an emergency responder has %s", not)
		}
	}
}

// TestMarketplace is S2.22: agents get at their customers and at nobody else, users at
// themselves.
func TestMarketplace(t *testing.T) {
	t.Parallel()
	c := shipped(t, "ghar360")
	if !c.Has([]string{"agent"}, role.CustomerRead) || !c.Has([]string{"agent"}, role.CustomerUpdate) {
		t.Error("an agent can't do his work")
	}
	for _, name := range []string{"user", "agent"} {
		for _, p := range []string{role.UserRead, role.UserUpdate, role.RoleAssign, role.RelationWrite} {
			if c.Has([]string{name}, p) {
				t.Errorf("%s has %s", name, p)
			}
		}
	}
	if c.Has([]string{"user"}, role.CustomerRead) || !c.Has([]string{"admin"}, role.RoleAssign) {
		t.Error("user or admin")
	}
}

// TestGuide: the catalogue in the guide is one, and the guide names every permission of
// ours and every catalogue that ships.
func TestGuide(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/guides/roles.md")
	if err != nil {
		t.Fatal(err)
	}
	guide, blocks := string(raw), 0
	for rest := guide; ; blocks++ {
		_, after, ok := strings.Cut(rest, "```yaml\n")
		if !ok {
			break
		}
		block, _, _ := strings.Cut(after, "```")
		if c := load(t, block); c.Owner() == "" {
			t.Error("the guide shows no owner")
		}
		rest = after
	}
	if blocks == 0 {
		t.Error("the guide shows no catalogue")
	}
	for _, p := range role.Builtin() {
		if !strings.Contains(guide, "`"+p.Name+"`") {
			t.Errorf("the guide does not name %s", p.Name)
		}
	}
	for _, name := range presets.RoleCatalogues() {
		if !strings.Contains(guide, "| `"+name+"` |") {
			t.Errorf("the guide does not name the catalogue %s", name)
		}
	}
}

// TestThirdCatalogue is S4.21: three catalogues of one system, and none of them is code.
func TestThirdCatalogue(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("testdata/levels.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, string(doc))
	if c.Level("doctor", "patient") != 80 || c.Level("anonymous") != 0 || c.Level("stranger") != -1 || len(c.Roles()) != 8 {
		t.Error("levels")
	}
}
