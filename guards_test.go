package cardea

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// localUser is a row of a service's own table of users.
type localUser struct {
	ID     int
	Role   string
	Active bool
}

// loadUser knows three users; the database is down for a fourth.
func loadUser(_ context.Context, p *Principal) (*localUser, bool, error) {
	switch p.Subject {
	case "u-agent":
		return &localUser{1, "agent", true}, true, nil
	case "u-user":
		return &localUser{2, "user", true}, true, nil
	case "u-left":
		return &localUser{3, "admin", false}, false, nil
	case "u-broken":
		return nil, false, errors.New("statement timeout on 10.0.0.7")
	case "u-gone":
		return nil, false, &Error{Status: http.StatusGone, Message: "Account was deleted"}
	}
	return nil, false, nil
}

func isRole(role string) func(*localUser) bool {
	return func(u *localUser) bool { return u.Role == role }
}

// ruleCase is one line of the truth tables of requirements.
type ruleCase struct {
	name     string
	p        *Principal
	rule     Requirement
	want     Code
	required string
	actual   string
}

// TestRequirements is the truth table of the requirements that judge the caller alone:
// A12.1, X31, S2.13, S2.17, S4.10, S4.11.
func TestRequirements(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	v := mustVerifier(t, c)
	user := &Principal{Subject: "u", Permissions: []string{"patient:read", "image:read"}, Scopes: []string{"cases.read", "cases.write"},
		AuthTime: testNow().Add(-4 * time.Minute)}
	nothing := &Principal{Subject: "n"}
	clinician := &Principal{Subject: "d", Roles: []string{"healthcare_professional"}, Permissions: []string{"ai_access"}}
	subject := func(sub string) *Principal { return &Principal{Subject: sub} }
	active := Active(loadUser)
	agent := AllOf("agent", active, WithCode("AGENT_REQUIRED", "Agents only", UserRule("role agent", isRole("agent"))))
	consent := UserRule("consent", func(bool) bool { return true })
	const rw = "permission patient:read or patient:write"
	const both = "permission patient:read and patient:write"
	cases := []ruleCase{
		{"any: one of two", user, AnyPermission("patient:read", "patient:write"), "", "", ""},
		{"any: none", nothing, AnyPermission("patient:read", "patient:write"), CodePermission, rw, ""},
		{"any: others", user, AnyPermission("billing:read"), CodePermission, "permission billing:read", "patient:read image:read"},
		{"any: another family's wildcard", &Principal{Subject: "u", Permissions: []string{"patients:*", "patient", ":*"}}, AnyPermission("patient:read"), CodePermission, "permission patient:read", "patients:* patient :*"},
		{"all: both", user, AllPermissions("patient:read", "image:read"), "", "", ""},
		{"all: one of two", user, AllPermissions("patient:read", "patient:write"), CodePermission, both, "patient:read image:read"},
		{"all: none", nothing, AllPermissions("patient:read", "patient:write"), CodePermission, both, ""},
		{"scope: both", user, Scope("cases.write", "cases.read"), "", "", ""},
		{"scope: one of two", user, Scope("cases.read", "admin"), CodeScope, "scope cases.read and admin", "cases.read cases.write"},
		{"scope: first-party token", nothing, Scope("cases.read"), CodeScope, "scope cases.read", ""},
		{"scope: in capitals", user, Scope("Cases.Read"), CodeScope, "scope Cases.Read", "cases.read cases.write"},
		{"fresh", user, v.Fresh(5 * time.Minute), "", "", ""},
		{"fresh: to the second", user, v.Fresh(4 * time.Minute), "", "", ""},
		{"not fresh", user, v.Fresh(3 * time.Minute), CodeFresh, "authentication at most 3m0s ago", "4m0s ago"},
		{"fresh: nobody knows when", nothing, v.Fresh(time.Hour), CodeFresh, "authentication at most 1h0m0s ago", "unknown"},
		{"active", subject("u-user"), active, "", "", ""},
		{"inactive", subject("u-left"), active, CodeUserInactive, "active user", "inactive user"},
		{"no such user", subject("u-new"), active, CodeUserInactive, "active user", "inactive user"},
		{"database down", subject("u-broken"), active, CodeUserUnavailable, "active user", ""},
		{"answer of the loader", subject("u-gone"), active, "REQUEST_FAILED", "active user", ""},
		{"user rule without user", subject("u-agent"), UserRule("role agent", isRole("agent")), CodeForbidden, "role agent", ""},
		{"AI: permission", clinician, AIAccess(), "", "", ""},
		{"AI: admin", &Principal{Subject: "a", Permissions: []string{"admin"}}, AIAccess(), "", "", ""},
		{"AI: permission and role", clinician, AIAccess(Role("healthcare_professional")), "", "", ""},
		{"AI: permission without role", &Principal{Subject: "a", Permissions: []string{"ai_access"}}, AIAccess(Role("healthcare_professional")),
			CodeRole, "AI access: role healthcare_professional", ""},
		{"AI: no consent on record", clinician, AIAccess(consent), CodeForbidden, "AI access: consent", ""},
		{"AI: role without permission", &Principal{Subject: "a", Roles: []string{"healthcare_professional"}}, AIAccess(Role("healthcare_professional")),
			CodePermission, "AI access: permission ai_access or admin", ""},
		{"all of: the first that fails", user, AllOf("both", AnyPermission("patient:read"), AAL("aal2"), Role("x")), CodeAAL, "both: aal2", ""},
		{"any of: the second", user, AnyOf("either", Role("x"), AnyPermission("patient:read")), "", "", ""},
		{"any of: none", nothing, AnyOf("either", Role("x"), AAL("aal1")), CodeRole, "either: role x", ""},
		{"any of: one is not known", subject("u-broken"), AnyOf("either", Role("x"), active, AAL("aal1")), CodeUserUnavailable, "either: active user", ""},
		{"any of: one is not known, another holds", &Principal{Subject: "u-broken", AAL: "aal1"}, AnyOf("either", active, AAL("aal1")), "", "", ""},
		{"own code", nothing, WithCode("ADMIN_REQUIRED", "Admins only", Role("admin")), "ADMIN_REQUIRED", "role admin", ""},
		{"own code: not for an outage", subject("u-broken"), WithCode("ADMIN_REQUIRED", "", active), CodeUserUnavailable, "active user", ""},
		{"own code: passes", user, WithCode("X", "", AnyPermission("patient:read")), "", "", ""},
		{"agent: outside of a request nothing is kept", subject("u-agent"), agent, "AGENT_REQUIRED", "agent: role agent", ""},
		{"tenant without a request", &Principal{Subject: "u", Tenant: "c-1"}, Tenant(InPath("clinic")), CodeTenantAbsent, "tenant in path clinic", ""},
		{"owner without a request", user, Owner(InQuery("user_id")), CodeOwner, "own id in query user_id", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var e *Error
			err := Check(t.Context(), tc.p, tc.rule)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			got := []any{e.Code, e.Required, e.Actual}
			if diff := cmp.Diff([]any{tc.want, tc.required, tc.actual}, got); diff != "" || e.Message == "" {
				t.Errorf("%s %v", diff, e)
			}
			if err := Check(t.Context(), nil, tc.rule); CodeOf(err) != CodeHeaderMissing {
				t.Errorf("nobody: %v", err)
			}
		})
	}
}

// TestRequirementsWithoutPrincipal: who calls a requirement by hand and has no Principal
// gets 401, not a crash.
func TestRequirementsWithoutPrincipal(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?user_id=x", nil)
	for _, q := range []Requirement{
		Authenticated(), Role("x"), AnyPermission("x"), AllPermissions("x"), Scope("x"), v.Fresh(time.Hour), Active(loadUser),
		AIAccess(), AnyOf("x", Role("x"), Role("y")), WithCode("X", "", Role("x")), Tenant(InQuery("user_id")), Owner(InQuery("user_id")),
	} {
		if q.String() == "" {
			t.Errorf("%T has no name", q)
		}
		if err := q.Check(t.Context(), nil); CodeOf(err) != CodeHeaderMissing {
			t.Errorf("%s: %v", q, err)
		}
		if byRequest, ok := q.(RequestRequirement); ok {
			if err := byRequest.CheckRequest(r, nil); CodeOf(err) != CodeHeaderMissing {
				t.Errorf("%s with a request: %v", q, err)
			}
		}
	}
}

// TestGuardPanics: A12.3, B4.7. What would guard nothing, or nobody can meet, does not
// start. What has no requirement at all does not compile: TestGuardsDoNotCompile.
func TestGuardPanics(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	h := http.HandlerFunc(whoami)
	var none *Verifier
	for name, f := range map[string]func(){
		"nil verifier":               func() { none.Require(Authenticated()) },
		"nil verifier, optional":     func() { none.Optional() },
		"fresh without age":          func() { v.RequireFresh(0) },
		"fresh with a negative age":  func() { v.Fresh(-time.Second) },
		"fresh nil requirement":      func() { v.RequireFresh(time.Hour, nil) },
		"fresh nil handler":          func() { v.RequireFresh(time.Hour)(nil) },
		"empty permission":           func() { AnyPermission("") },
		"second empty permission":    func() { AnyPermission("a", "") },
		"all: empty permission":      func() { AllPermissions("a", "") },
		"empty scope":                func() { Scope("") },
		"scope with a blank":         func() { Scope("a b") },
		"scope with a quote":         func() { Scope(`a"b`) },
		"nil loader":                 func() { Active[int](nil) },
		"user rule without name":     func() { UserRule("", isRole("x")) },
		"user rule without function": func() { UserRule[int]("x", nil) },
		"all of without name":        func() { AllOf("", Role("x")) },
		"all of nil":                 func() { AllOf("x", nil) },
		"any of nil":                 func() { AnyOf("x", Role("x"), nil) },
		"any of without name":        func() { AnyOf("", Role("x"), Role("y")) },
		"AI access nil":              func() { AIAccess(nil) },
		"code without code":          func() { WithCode("", "", Role("x")) },
		"code of another status":     func() { WithCode(CodeExpired, "", Role("x")) },
		"code nil":                   func() { WithCode("X", "", nil) },
		"place without name":         func() { InPath("") },
		"header without name":        func() { InHeader("") },
		"body without limit":         func() { InBodyUpTo("x", 0) },
		"tenant in no place":         func() { Tenant(Place{}) },
		"tenant in a second none":    func() { TenantMember(InPath("x"), Place{}) },
		"owner in no place":          func() { Owner(Place{}) },
		"stream nil requirement":     func() { mustTickets(t, TicketConfig{Verifier: v}).Require(nil) },
		"stream nil handler":         func() { mustTickets(t, TicketConfig{Verifier: v}).Require(Authenticated())(nil) },
		"ticket nil requirement":     func() { mustTickets(t, TicketConfig{Verifier: v}).Handler(Authenticated(), nil) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "cardea: ") {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
	v.RequireFresh(time.Hour)(h) // and the right ones do
}

// TestPresets: A12.1, S1.10, S2.19, S4.10, S4.17. Every role of three systems against
// every guard of theirs, over HTTP; one added role needs no code.
func TestPresets(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	coded := func(code Code, role string) Requirement { return WithCode(code, "", Role(role)) }
	systems := []struct {
		name   string
		guards map[string]Requirement
		// allowed lists guards by role; every other one is refused with the code.
		allowed map[string]string
		codes   map[string]Code
	}{
		{
			"S1",
			map[string]Requirement{"user": Authenticated(), "physician": Role("physician"), "admin": Role("admin")},
			map[string]string{"patient": "user", "physician": "user physician", "admin": "user admin", "nurse": "user"},
			map[string]Code{"physician": CodeRole, "admin": CodeRole},
		},
		{
			"S2",
			map[string]Requirement{"user": NotAnonymous(), "agent": coded("AGENT_REQUIRED", "agent"), "admin": coded("ADMIN_REQUIRED", "admin")},
			map[string]string{"user": "user", "agent": "user agent", "admin": "user admin", "auditor": "user"},
			map[string]Code{"agent": "AGENT_REQUIRED", "admin": "ADMIN_REQUIRED"},
		},
		{
			"S4",
			map[string]Requirement{
				"role": Role("staff", "admin"), "read": AnyPermission("read_patient_data"),
				"both": AllPermissions("read_patient_data", "manage_users"), "ai": AIAccess(),
			},
			map[string]string{
				"patient": "", "staff": "role", "admin": "role read both", "healthcare_professional": "read",
				"ai_assistant": "ai", "authenticated": "", // A6.6: a role of the database gives nothing
			},
			map[string]Code{"role": CodeRole, "read": CodePermission, "both": CodePermission, "ai": CodePermission},
		},
	}
	permissions := map[string][]any{
		"admin": {"read_patient_data", "manage_users"}, "healthcare_professional": {"read_patient_data", "view_medical_records"},
		"ai_assistant": {"ai_access"},
	}
	for _, s := range systems {
		for role, allowed := range s.allowed {
			token := "Bearer " + hsToken(map[string]any{"app_metadata": map[string]any{"roles": []any{role}, "permissions": permissions[role]}})
			for guard, rule := range s.guards {
				t.Run(s.name+" "+role+" at "+guard, func(t *testing.T) {
					t.Parallel()
					h := v.Require(rule)(http.HandlerFunc(whoami))
					status, _, body := call(t, h, token)
					if strings.Contains(" "+allowed+" ", " "+guard+" ") {
						if status != 200 {
							t.Errorf("refused: %d %s", status, body)
						}
					} else if status != 403 || !strings.Contains(body, `"code":"`+string(s.codes[guard])+`"`) {
						t.Errorf("not refused: %d %s", status, body)
					}
					if status, _, _ := call(t, h); status != 401 {
						t.Errorf("nobody: %d", status)
					}
				})
			}
		}
	}
}

// TestActiveUser: S2.16, S2.17, S4.9. The handler gets the user that the guard loaded, and
// later requirements do.
func TestActiveUser(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	agents := v.Require(Active(loadUser), WithCode("AGENT_REQUIRED", "Agents only", UserRule("role agent", isRole("agent"))))
	h := agents(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, ok := UserFrom[*localUser](r.Context())
		if _, other := UserFrom[localUser](r.Context()); !ok || other || u.Role != "agent" {
			t.Error("wrong user", u, ok, other)
		}
		whoami(w, r)
	}))
	for sub, want := range map[string]string{
		"u-agent":  "200 user u-agent",
		"u-user":   `403 {"detail":"Agents only","code":"AGENT_REQUIRED"}`,
		"u-left":   `403 {"detail":"User account is inactive","code":"USER_INACTIVE"}`,
		"u-new":    `403 {"detail":"User account is inactive","code":"USER_INACTIVE"}`,
		"u-broken": `503 {"detail":"User data can't be read at the moment, try again","code":"AUTH_DB_UNAVAILABLE"}`,
		"u-gone":   `410 {"detail":"Account was deleted","code":"REQUEST_FAILED"}`,
	} {
		status, header, body := call(t, h, "Bearer "+hsToken(map[string]any{"sub": sub}))
		if got := strings.TrimSpace(itoa(status) + " " + body); got != want {
			t.Errorf("%s: %s", sub, got)
		}
		if (status == 503) != (header.Get("Retry-After") == "5") { // S2.14
			t.Errorf("%s: Retry-After %q", sub, header.Get("Retry-After"))
		}
	}
}

// TestRequireFresh: A16.2. A renewed token is not a fresh sign-in.
func TestRequireFresh(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	h := v.RequireFresh(10*time.Minute, NotAnonymous())(http.HandlerFunc(whoami))
	now := testNow().Unix()
	cases := []struct {
		name   string
		claims map[string]any
		status int
	}{
		{"a minute ago", map[string]any{"auth_time": now - 60}, 200},
		{"to the second", map[string]any{"auth_time": now - 600}, 200},
		{"a second too late", map[string]any{"auth_time": now - 601}, 403},
		{"renewed token, old password", map[string]any{"iat": now, "amr": []any{map[string]any{"method": "password", "timestamp": now - 7200}}}, 403},
		{"renewed token, new second factor", map[string]any{"iat": now, "amr": []any{
			map[string]any{"method": "password", "timestamp": now - 7200}, map[string]any{"method": "totp", "timestamp": now - 5},
		}}, 200},
		{"unknown", map[string]any{"amr": absent}, 403},
		{"in the future", map[string]any{"iat": now - 3000, "auth_time": now + 20}, 403}, // counts as of iat
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			status, header, body := call(t, h, "Bearer "+hsToken(tc.claims))
			if status != tc.status {
				t.Errorf("%d %s", status, body)
			}
			want := ""
			if status == 403 {
				want = `Bearer error="insufficient_user_authentication", max_age="600"`
			}
			if got := header.Get("WWW-Authenticate"); got != want {
				t.Errorf("challenge %q", got)
			}
		})
	}
}

func itoa(n int) string { return string(toJSON(n)) }
