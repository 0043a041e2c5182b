package cardea

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// issuerVerifier trusts the test keys under the changed issuer.
func issuerVerifier(t testing.TB, change func(*Issuer)) *Verifier {
	t.Helper()
	c := testConfig(t)
	change(&c.Issuers[0])
	return mustVerifier(t, c)
}

// policyCase is a token that one rule of the issuer refuses.
type policyCase struct {
	failureCase
	change func(*Issuer)
}

func policyCases() []policyCase {
	required := func(i *Issuer) { i.RequiredClaims = []string{"email", "clinic_id"} }
	roles := func(i *Issuer) { i.UserRoles = []string{"patient", "healthcare_professional", "admin", "staff"} } // S4.5
	atJWT := func(i *Issuer) { i.RequireATJWT = true }
	lifetime := func(i *Issuer) { i.MaxLifetime = time.Hour }
	leeway := func(i *Issuer) { i.Leeway = -1 }
	onlyES := func(i *Issuer) { i.HMACSecret, i.Algorithms = nil, []string{"ES256"} }
	p := func(name, token string, want Code, change func(*Issuer)) policyCase {
		return policyCase{failureCase{name, token, want}, change}
	}
	now := testNow().Unix()
	return []policyCase{
		p("required claim missing", esToken(), CodeClaimMissing, required),
		p("required claim null", esToken(map[string]any{"clinic_id": nil}), CodeClaimMissing, required),
		p("required claims there", esToken(map[string]any{"clinic_id": "c"}), "", required),
		p("unknown user role", esToken(), CodeUserRole, roles), // B4.6: the database role
		p("user role", esToken(map[string]any{"role": "staff"}), "", roles),
		p("no user role", esToken(map[string]any{"role": absent}), "", roles),
		p("typ JWT where at+jwt is asked for", esToken(), CodeTokenType, atJWT),
		p("no typ where at+jwt is asked for", withHeader(map[string]any{"typ": absent}), CodeTokenType, atJWT),
		p("typ at+jwt", withHeader(map[string]any{"typ": "at+jwt"}), "", atJWT),
		p("own lifetime", esToken(map[string]any{"exp": now + 3600}), CodeLifetime, lifetime),
		p("within the own lifetime", esToken(map[string]any{"exp": now + 3540}), "", lifetime),
		p("own leeway", esToken(map[string]any{"iat": now + 1}), CodeNotYetValid, leeway),
		p("algorithm of the issuer's list", mint(map[string]any{"alg": "EdDSA", "kid": "ed"}, testClaims(), testKeys().ed), CodeAlgorithmNotAllowed, onlyES),
		p("HS256 not declared", hsToken(), CodeAlgorithmNotAllowed, onlyES),
	}
}

func TestIssuerPolicy(t *testing.T) {
	t.Parallel()
	for _, tc := range policyCases() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			wantCode(t, issuerVerifier(t, tc.change), tc.token, tc.want)
		})
	}
}

// TestMissingClaimIsNamed: for the operator, not for the caller.
func TestMissingClaimIsNamed(t *testing.T) {
	t.Parallel()
	v := issuerVerifier(t, func(i *Issuer) { i.RequiredClaims = []string{"clinic_id"} })
	_, err := v.Verify(t.Context(), esToken())
	if err == nil || !strings.Contains(err.Error(), "clinic_id") || strings.Contains(NewError(CodeOf(err), nil).Message, "clinic") {
		t.Errorf("got %v", err)
	}
}

// TestPerIssuerRules: two issuers in one Verifier keep their own lifetime and leeway.
func TestPerIssuerRules(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	strict := c.Issuers[0]
	strict.URL, strict.MaxLifetime, strict.Leeway = "https://strict.test", time.Minute, -1
	c.Issuers = append(c.Issuers, strict)
	c.MaxLifetime = 48 * time.Hour
	v := mustVerifier(t, c)
	now := testNow().Unix()
	long := map[string]any{"exp": now + 47*3600}
	wantCode(t, v, esToken(long), "")
	wantCode(t, v, esToken(long, map[string]any{"iss": "https://strict.test"}), CodeLifetime)
	ahead := map[string]any{"iat": now + 10, "exp": now + 60}
	wantCode(t, v, esToken(ahead), "")
	wantCode(t, v, esToken(ahead, map[string]any{"iss": "https://strict.test"}), CodeNotYetValid)
}

// rights is what fillRights reads.
type rights struct {
	Roles, Permissions, Scopes []string
	Tenant, TenantRole         string
	Memberships                []Membership
}

func rightsOf(p *Principal) rights {
	return rights{p.Roles, p.Permissions, p.Scopes, p.Tenant, p.TenantRole, p.Memberships}
}

// TestRights: what the defaults find, and that odd shapes give fewer rights, never more.
// X6: application roles and the database role are apart.
func TestRights(t *testing.T) {
	t.Parallel()
	meta := func(m map[string]any) map[string]any { return map[string]any{"app_metadata": m} }
	cases := []struct {
		name   string
		claims map[string]any
		want   rights
	}{
		{"nothing", meta(nil), rights{}},
		{"roles", meta(map[string]any{"roles": []any{"a", "b"}}), rights{Roles: []string{"a", "b"}}},
		{"database roles are dropped", meta(map[string]any{"roles": []any{"anon", "authenticated", "authenticator", "service_role", "postgres", "dashboard_user", "supabase_x", "", "a"}}), rights{Roles: []string{"a"}}},
		{"one role as a string", meta(map[string]any{"roles": "admin"}), rights{}},
		{"role a number", meta(map[string]any{"roles": []any{1}}), rights{}},
		{"roles an object", meta(map[string]any{"roles": map[string]any{"admin": true}}), rights{}},
		{"Roles in capitals", meta(map[string]any{"Roles": []any{"admin"}}), rights{}},
		{"roles deeper", meta(map[string]any{"x": map[string]any{"roles": []any{"admin"}}}), rights{}},
		{"roles of user_metadata", map[string]any{"app_metadata": absent, "user_metadata": map[string]any{"roles": []any{"admin"}}}, rights{}},
		{"app_metadata no object", map[string]any{"app_metadata": []any{"roles"}}, rights{}},
		{"permissions", map[string]any{"app_metadata": absent, "permissions": []any{"patient:read", ""}}, rights{Permissions: []string{"patient:read"}}},
		{"permissions in app_metadata", meta(map[string]any{"permissions": []any{"p"}}), rights{Permissions: []string{"p"}}},
		{"the first place counts", map[string]any{"permissions": []any{}, "app_metadata": map[string]any{"permissions": []any{"p"}}}, rights{Permissions: []string{}}},
		{"tenant", meta(map[string]any{"tenant_id": "t", "tenant_role": "owner"}), rights{Tenant: "t", TenantRole: "owner"}},
		{"clinic", map[string]any{"app_metadata": absent, "clinic_id": 17, "clinic_role": "nurse"}, rights{Tenant: "17", TenantRole: "nurse"}},
		{"memberships", map[string]any{"app_metadata": absent, "memberships": []any{
			"t1", 2, map[string]any{"tenant_id": "t3", "role": "owner"}, map[string]any{"clinic_id": "t4"}, map[string]any{"tenant": "t5"}, map[string]any{"id": 6, "role": "x"},
			map[string]any{"role": "nobody"}, map[string]any{"id": -1}, map[string]any{"id": "t7", "role": 1}, []any{}, nil, true, "",
		}}, rights{Memberships: []Membership{{Tenant: "t1"}, {Tenant: "2"}, {"t3", "owner"}, {Tenant: "t4"}, {Tenant: "t5"}, {"6", "x"}}}},
		{"memberships no list", map[string]any{"app_metadata": absent, "memberships": map[string]any{"t": "owner"}}, rights{}},
		{"scope", map[string]any{"app_metadata": absent, "scope": " read  write "}, rights{Scopes: []string{"read", "write"}}},
		{"scp", map[string]any{"app_metadata": absent, "scp": []any{"read", "write"}}, rights{Scopes: []string{"read", "write"}}},
	}
	v := mustVerifier(t, testConfig(t))
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := v.Verify(t.Context(), esToken(tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, rightsOf(p), emptyIsNil()); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, meta := range []string{`{"roles":["a"],"roles":["admin"]}`, `{"roles":["\ud800"]}`} {
		p, err := v.Verify(t.Context(), rawES(`{"alg":"ES256","kid":"ec"}`, strings.Replace(string(toJSON(testClaims())), `{"provider":"email","roles":["doctor"]}`, meta, 1)))
		if err != nil || len(p.Roles) != 0 {
			t.Errorf("%s: %v %v", meta, p, err)
		}
	}
}

func emptyIsNil() cmp.Option {
	return cmp.Transformer("empty", func(s []string) string { return strings.Join(s, "\x00") })
}

// TestBadRights: what could mean more when it is left out is refused instead.
func TestBadRights(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	for name, claims := range map[string]map[string]any{
		"tenant an object":        {"tenant_id": map[string]any{}},
		"tenant negative":         {"tenant_id": -1},
		"tenant a fraction":       {"tenant_id": 1.5},
		"tenant a boolean":        {"tenant_id": true},
		"tenant with NUL":         {"tenant_id": "a\x00"},
		"tenant role a number":    {"tenant_role": 1},
		"scope a number":          {"scope": 1},
		"scp of numbers":          {"scp": []any{1}},
		"auth_time a string":      {"auth_time": "1"},
		"client_id a list":        {"client_id": []any{}},
		"clinic in app_metadata":  {"app_metadata": map[string]any{"clinic_id": []any{"a", "b"}}},
		"tenant in two languages": {"tenant_id": []any{"a"}, "clinic_id": "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCode(t, v, esToken(claims), CodeClaim)
		})
	}
	h, p := `{"alg":"ES256","kid":"ec"}`, string(toJSON(testClaims()))
	for _, claim := range []string{`"scope":"\ud800"`, `"tenant_id":"\ud800"`} {
		wantCode(t, v, rawES(h, `{`+claim+`,`+p[1:]), CodeClaim)
	}
}

// TestClaimPaths: X6, the paths of S4 and of other issuers.
func TestClaimPaths(t *testing.T) {
	t.Parallel()
	claims := map[string]any{
		"role": "healthcare_professional", "clinic_id": "c-1", "permissions": []any{"ignored"}, "app_metadata": absent,
		"https://example.com/roles": []any{"by-url"},
		"realm_access":              map[string]any{"roles": []any{"kc"}, "deep": map[string]any{"er": "t-2", "a.b": "t-3"}},
		"groups":                    []any{"g"}, "tenants": []any{"m"}, "grants": "s1 s2", "level": "boss",
	}
	cases := []struct {
		name  string
		paths ClaimPaths
		want  rights
	}{
		{"the claim role", ClaimPaths{Roles: "role", Permissions: "groups"}, rights{Roles: []string{"healthcare_professional"}, Permissions: []string{"g"}, Tenant: "c-1"}},
		{"a name with dots", ClaimPaths{Roles: "https://example.com/roles", Permissions: "none"}, rights{Roles: []string{"by-url"}, Tenant: "c-1"}},
		{"a path", ClaimPaths{Roles: "realm_access.roles", Permissions: "realm_access.roles", Tenant: "realm_access.deep.er"}, rights{Roles: []string{"kc"}, Permissions: []string{"kc"}, Tenant: "t-2"}},
		{"a name with dots within", ClaimPaths{Permissions: "x.y", Tenant: "realm_access.deep.a.b"}, rights{Tenant: "t-3"}},
		{"through what is no object", ClaimPaths{Permissions: "groups.x", Tenant: "clinic_id.x.y", Roles: "realm_access.roles.0"}, rights{}},
		{"the rest", ClaimPaths{Permissions: "x", Memberships: "tenants", Scopes: "grants", TenantRole: "level"}, rights{Memberships: []Membership{{Tenant: "m"}}, Scopes: []string{"s1", "s2"}, TenantRole: "boss", Tenant: "c-1"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := issuerVerifier(t, func(i *Issuer) { i.Claims = tc.paths }).Verify(t.Context(), esToken(maps.Clone(claims)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, rightsOf(p), emptyIsNil()); diff != "" {
				t.Error(diff)
			}
		})
	}
	// The claim role of a genuine provider token is a database role, never an application role.
	p, err := issuerVerifier(t, func(i *Issuer) { i.Claims.Roles = "role" }).Verify(t.Context(), esToken())
	if err != nil || len(p.Roles) != 0 || p.Role != "authenticated" {
		t.Errorf("%v %v", p, err)
	}
	for _, raw := range []string{`"role":"\ud800"`, `"role":""`} {
		token := rawES(`{"alg":"ES256","kid":"ec"}`, `{"own":{`+raw+`},`+string(toJSON(testClaims()))[1:])
		p, err := issuerVerifier(t, func(i *Issuer) { i.Claims.Roles = "own.role" }).Verify(t.Context(), token)
		if err != nil || len(p.Roles) != 0 {
			t.Errorf("%s: %v %v", raw, p, err)
		}
	}
}

// TestPrincipalQuestions: HasRole and its kin take "" for nothing.
func TestPrincipalQuestions(t *testing.T) {
	t.Parallel()
	p := &Principal{Role: "authenticated", Roles: []string{"admin", ""}, Permissions: []string{"a:read", ""}, Scopes: []string{"s", ""},
		Tenant: "t1", Memberships: []Membership{{Tenant: "t2"}, {}}}
	for what, got := range map[string][2]bool{
		"database role":  {p.HasRole("authenticated"), true},
		"role":           {p.HasRole("admin"), true},
		"other role":     {p.HasRole("Admin"), false},
		"no role":        {p.HasRole(""), false},
		"permission":     {p.HasPermission("a:read"), true},
		"no wildcard":    {p.HasPermission("a:*"), false},
		"no permission":  {p.HasPermission(""), false},
		"scope":          {p.HasScope("s"), true},
		"scope in caps":  {p.HasScope("S"), false},
		"no scope":       {p.HasScope(""), false},
		"active tenant":  {p.IsMember("t1"), true},
		"membership":     {p.IsMember("t2"), true},
		"another tenant": {p.IsMember("t3"), false},
		"no tenant":      {p.IsMember(""), false},
		"empty role":     {(&Principal{}).HasRole(""), false},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %v", what, got[0])
		}
	}
}

// TestAuthTime: never later than the token, and auth_time wins over amr.
func TestAuthTime(t *testing.T) {
	t.Parallel()
	now := testNow()
	issued := now.Add(-time.Minute)
	amr := func(times ...int64) []any {
		var list []any
		for _, at := range times {
			list = append(list, map[string]any{"method": "x", "timestamp": at})
		}
		return list
	}
	cases := []struct {
		name   string
		claims map[string]any
		want   time.Time
	}{
		{"nothing", map[string]any{"amr": absent}, time.Time{}},
		{"amr without times", map[string]any{"amr": []any{"password"}}, time.Time{}},
		{"the newest of amr", map[string]any{"amr": amr(issued.Unix()-100, issued.Unix()-50, issued.Unix()-70)}, issued.Add(-50 * time.Second)},
		{"auth_time", map[string]any{"auth_time": issued.Unix() - 10, "amr": amr(issued.Unix())}, issued.Add(-10 * time.Second)},
		{"after the token was made", map[string]any{"auth_time": now.Unix() + 5000}, issued},
	}
	v := mustVerifier(t, testConfig(t))
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := v.Verify(t.Context(), esToken(tc.claims))
			if err != nil || !p.AuthTime.Equal(tc.want) {
				t.Errorf("got %v, %v; want %s", p, err, tc.want)
			}
		})
	}
}

// TestAnonymous: the claim makes it, in either spelling of no.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	for value, want := range map[any]bool{true: true, false: false, absent: false, nil: false} {
		if p, err := v.Verify(t.Context(), esToken(map[string]any{"is_anonymous": value})); err != nil || p.Anonymous != want {
			t.Errorf("%v: %+v %v", value, p, err)
		}
	}
}

// TestVerifiedContacts: only the issuer's own claims count, and only a true.
func TestVerifiedContacts(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, testConfig(t))
	for name, tc := range map[string]struct {
		claims       map[string]any
		email, phone bool
	}{
		"nothing":       {nil, false, false},
		"both":          {map[string]any{"email_verified": true, "phone_number_verified": true}, true, true},
		"a string":      {map[string]any{"email_verified": "true"}, false, false},
		"user_metadata": {map[string]any{"user_metadata": map[string]any{"email_verified": true, "phone_verified": true}}, false, false},
	} {
		p, err := v.Verify(t.Context(), esToken(tc.claims))
		if err != nil || p.EmailVerified != tc.email || p.PhoneVerified != tc.phone {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
}
