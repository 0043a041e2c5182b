package server

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
)

// twoHundredRoles is a catalogue with 200 roles of a clinic.
func twoHundredRoles(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	b.WriteString("description: many\npermissions:\n")
	for i := range 40 {
		fmt.Fprintf(&b, "  area%d:read: x\n  area%d:write: x\n", i, i)
	}
	b.WriteString("roles:\n  owner:\n    description: x\n    scope: tenant\n    owner: true\n    level: 100\n    permissions: [\"*\"]\n")
	for i := range 199 {
		fmt.Fprintf(&b, "  role%d:\n    description: x\n    scope: tenant\n    level: 1\n    permissions: [%s]\n", i,
			fmt.Sprintf("area%d:read, \"area%d:*\", area%d:write", i%40, (i+1)%40, (i+2)%40))
	}
	name := filepath.Join(tb.TempDir(), "roles.yaml")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

// TestManyTenants: a person in 500 tenants, with a catalogue of 200 roles, gets a token of at
// most 1.5 KB, and signs in and switches within the statement budget and one more.
func TestManyTenants(t *testing.T) {
	t.Parallel()
	r, count := counted(t, "CARDEA_EMAIL_AUTOCONFIRM=true", "CARDEA_ROLES="+twoHundredRoles(t))
	me := r.must(t, "POST", "/signup", "", object{"email": "doctor@example.org", "password": "correct horse battery"})
	user, err := auth.ParseID(me.text(t, "user", "id"))
	if err != nil {
		t.Fatal(err)
	}
	var last auth.ID
	for i := range 500 {
		now := auth.Truncate(r.now())
		id, err := auth.NewID(now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		auditID, err := auth.NewID(now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		last = id
		err = r.store.CreateTenant(t.Context(), auth.Tenant{ID: id, Slug: fmt.Sprintf("clinic-%d", i), Name: "Clinic", Active: true, Settings: []byte(`{}`), CreatedAt: now, UpdatedAt: now},
			&auth.Membership{TenantID: id, UserID: user, Role: fmt.Sprintf("role%d", i%199), State: auth.MemberActive, CreatedAt: now, UpdatedAt: now},
			auth.AuditEntry{ID: auditID, At: now, Action: "tenant_created", LogType: "tenant"})
		if err != nil {
			t.Fatal(err)
		}
	}
	rest := func(method, path, token, body string, status int, most int64) reply {
		t.Helper()
		q := httptest.NewRequest(method, path, strings.NewReader(body))
		q.Header.Set("Content-Type", "application/json")
		if token != "" {
			q.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		before := count.n.Load()
		r.Handler().ServeHTTP(w, q)
		n := count.n.Load() - before
		t.Logf("%s %s: %d round trips", method, path, n)
		if w.Code != status || n > most {
			t.Errorf("%s %s: %d with %d round trips, want %d with at most %d: %s", method, path, w.Code, n, status, most, w.Body)
		}
		return reply{ResponseRecorder: w, body: w.Body.String()}
	}
	login := `{"email":"doctor@example.org","password":"correct horse battery"}`
	rest("POST", "/api/auth/login", "", login, 200, 3) // prepares the statements
	in := rest("POST", "/api/auth/login", "", login, 200, 3)
	access := in.text(t, "access_token")
	switched := rest("POST", "/api/tenants/"+last.String()+"/switch", access, "{}", 200, 3)
	access = switched.text(t, "access_token")
	if len(access) > 1536 {
		t.Errorf("a token of %d bytes", len(access))
	}
	t.Logf("the token has %d bytes", len(access))
	if got := switched.text(t, "tenant_id"); got != last.String() {
		t.Errorf("in tenant %s, want %s", got, last)
	}
	again := rest("POST", "/api/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, switched.text(t, "refresh_token")), 200, 1)
	if got := again.text(t, "tenant_id"); got != last.String() {
		t.Errorf("after a refresh in tenant %s, want %s", got, last)
	}
}
