package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/ratelimit"
)

// clinics is the program with an issuer of the test.
type clinics struct {
	*cardeatest.Issuer
	*service
	handler http.Handler
	log     strings.Builder
}

func newClinics(t *testing.T) *clinics {
	t.Helper()
	c := &clinics{}
	clock := cardeatest.NewClock(t, time.Time{})
	c.service = &service{
		denied: cardea.NewDenylist(cardea.DenylistConfig{Now: clock.Now}), limits: ratelimit.NewMemory(0, clock.Now),
		log: slog.New(slog.NewTextHandler(&c.log, nil)), proxy: netip.MustParsePrefix("192.0.2.0/24"), // httptest's peer
	}
	for _, id := range []string{"doctor", "patient", "staff", "admin", "nurse", "unknown"} {
		c.people = append(c.people, person{ID: id, Email: id + "@clinic.test", Name: id, Active: true})
	}
	c.people[0].Licensed = clock.Now().Add(48 * time.Hour)
	c.people[0].Consents = []consent{{Purpose: "ai_processing"}, {Purpose: "data_processing"}, {Purpose: "analytics", ExpiresAt: clock.Now().Add(24 * time.Hour)}}
	c.people[4].Licensed = clock.Now().Add(48 * time.Hour)
	c.now, c.consents = clock.Now, c.service
	c.people = append(c.people, person{ID: "gone", Email: "gone@clinic.test"})
	env := map[string]string{"SUPABASE_URL": "https://clinics.supabase.co"}
	config := c.config(func(name string) string { return env[name] })
	c.Issuer = cardeatest.New(t, cardeatest.Config{Clock: clock, Verifier: config})
	c.verifier = c.Verifier()
	c.handler = c.routes()
	return c
}

func (c *clinics) send(r *http.Request) *httptest.ResponseRecorder {
	if r.Header.Get("X-Forwarded-Proto") == "" {
		r.Header.Set("X-Forwarded-Proto", "https")
	}
	rec := httptest.NewRecorder()
	c.handler.ServeHTTP(rec, r)
	return rec
}

// as is a user of clinic-1 whose application role is in app_metadata; the claim role is
// the provider's (A6.6, B4.6).
func as(id string, roles ...string) cardeatest.User {
	return cardeatest.User{ID: id, Email: id + "@clinic.test", Roles: roles, AppMetadata: map[string]any{"clinic_id": "clinic-1"}}
}

func doctor() cardeatest.User { return as("doctor", "healthcare_professional") }

func with(u cardeatest.User, change func(*cardeatest.User)) cardeatest.User {
	change(&u)
	return u
}

// A12.1: every role and guard of S4, through real HTTP messages.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	admin := as("admin", "admin")
	second := with(admin, func(u *cardeatest.User) { u.AAL = "aal2" })
	old := with(doctor(), func(u *cardeatest.User) { u.Roles, u.Role = nil, "healthcare_professional" }) // role in the claim
	mayChat := with(doctor(), func(u *cardeatest.User) { u.Permissions = []string{"ai_access"} })
	const clinicText, roleText = "Access denied to clinic data", "Insufficient permissions"
	for name, c := range map[string]struct {
		route   string
		user    cardeatest.User
		status  int
		message string
	}{
		"me":                  {"GET /api/v1/me", doctor(), 200, ""},
		"me, inactive":        {"GET /api/v1/me", as("gone"), 403, "User account is inactive"},
		"me, no row":          {"GET /api/v1/me", as("stranger"), 403, "User account is inactive"},
		"me, another e-mail":  {"GET /api/v1/me", with(doctor(), func(u *cardeatest.User) { u.Email = "x@evil.test" }), 403, "User account is inactive"},
		"patients, doctor":    {"GET /api/v1/clinics/clinic-1/patients", doctor(), 204, ""},
		"patients, old token": {"GET /api/v1/clinics/clinic-1/patients", old, 204, ""},
		"patients, nurse":     {"GET /api/v1/clinics/clinic-1/patients", as("nurse", "nurse"), 204, ""},
		"patients, patient":   {"GET /api/v1/clinics/clinic-1/patients", as("patient", "patient"), 403, roleText},
		"patients, staff":     {"GET /api/v1/clinics/clinic-1/patients", as("staff", "staff"), 403, roleText},
		"patients, unknown":   {"GET /api/v1/clinics/clinic-1/patients", as("unknown", "wizard"), 403, roleText},
		"patients, own word":  {"GET /api/v1/clinics/clinic-1/patients", with(as("patient"), func(u *cardeatest.User) { u.UserMetadata = map[string]any{"roles": []string{"admin"}} }), 403, roleText},
		"other clinic":        {"GET /api/v1/clinics/clinic-2/patients", doctor(), 403, clinicText},
		"other clinic, admin": {"GET /api/v1/clinics/clinic-2/patients", admin, 403, clinicText},
		"clinics disagree":    {"GET /api/v1/clinics/clinic-1/patients?clinicId=clinic-2", doctor(), 400, "The request names different ids in different places"},
		"appointments":        {"GET /api/v1/appointments?clinicId=clinic-1", as("staff", "staff"), 204, ""},
		"appointments, none":  {"GET /api/v1/appointments", as("staff", "staff"), 403, clinicText}, // B4.10, A13.2
		"ai":                  {"POST /api/v1/ai/chat", mayChat, 200, ""},
		"ai, no permission":   {"POST /api/v1/ai/chat", doctor(), 403, roleText},
		"ai, no consent":      {"POST /api/v1/ai/chat", with(as("nurse", "healthcare_professional"), func(u *cardeatest.User) { u.Permissions = []string{"ai_access"} }), 403, "Consent is needed for this"},
		"ai, no licence":      {"POST /api/v1/ai/chat", with(as("staff", "healthcare_professional"), func(u *cardeatest.User) { u.Permissions = []string{"ai_access"} }), 403, "Active licence required"},
		"prescriptions":       {"GET /api/v1/prescriptions?clinicId=clinic-1", doctor(), 204, ""},
		"prescriptions, none": {"GET /api/v1/prescriptions?clinicId=clinic-1", as("staff", "healthcare_professional"), 403, "Active licence required"},
		"prescriptions, role": {"GET /api/v1/prescriptions?clinicId=clinic-1", as("doctor", "patient"), 403, roleText},
		"statistics":          {"GET /api/v1/statistics", doctor(), 204, ""},
		"statistics, no word": {"GET /api/v1/statistics", as("patient", "patient"), 403, "Consent is needed for this"},
		"ai, no professional": {"POST /api/v1/ai/chat", with(as("doctor", "patient"), func(u *cardeatest.User) { u.Permissions = []string{"ai_access"} }), 403, roleText},
		"audit":               {"GET /api/v1/audit", second, 204, ""},
		"audit, one factor":   {"GET /api/v1/audit", admin, 403, "A further authentication factor is required"},
		"revoke":              {"DELETE /api/v1/users/doctor/sessions", admin, 204, ""},
		"revoke, doctor":      {"DELETE /api/v1/users/doctor/sessions", doctor(), 403, roleText},
		"revoke, stale":       {"DELETE /api/v1/users/doctor/sessions", with(admin, func(u *cardeatest.User) { u.SignedInAgo = time.Hour }), 403, "More recent authentication is required"},
		"unknown role claim":  {"GET /api/v1/me", with(doctor(), func(u *cardeatest.User) { u.Role = "wizard" }), 401, "Invalid or expired token"},
		"expired":             {"GET /api/v1/me", with(doctor(), func(u *cardeatest.User) { u.Lifetime = -time.Second }), 401, "Token has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newClinics(t)
			method, path, _ := strings.Cut(c.route, " ")
			rec := s.send(s.Request(method, path, c.user))
			if rec.Code != c.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, c.status, rec.Body)
			}
			if c.status >= 400 {
				cardeatest.AssertDenied(t, rec, c.status, "")
				want := `{"error":{"message":"` + c.message + `","status":` + itoa(c.status) + "}}\n"
				if diff := cmp.Diff(want, rec.Body.String()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func itoa(n int) string { return slog.IntValue(n).String() }

// B4.10, A13.2: the clinic in the body is looked at too.
func TestClinicInBody(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	for name, c := range map[string]struct {
		target, body string
		status       int
	}{
		"own":             {"/api/v1/patients", `{"clinicId":"clinic-1","name":"x"}`, 204},
		"another":         {"/api/v1/patients", `{"clinicId":"clinic-2"}`, 403},
		"none":            {"/api/v1/patients", `{"name":"x"}`, 403},
		"twice":           {"/api/v1/patients", `{"clinicId":"clinic-1","clinicId":"clinic-2"}`, 400},
		"query disagrees": {"/api/v1/patients?clinicId=clinic-2", `{"clinicId":"clinic-1"}`, 400},
	} {
		r := s.WithUser(httptest.NewRequestWithContext(t.Context(), "POST", c.target, strings.NewReader(c.body)), doctor())
		r.Header.Set("Content-Type", "application/json")
		if rec := s.send(r); rec.Code != c.status {
			t.Errorf("%s: status %d, want %d: %s", name, rec.Code, c.status, rec.Body)
		}
	}
}

// S4.9: the sentences that the clients know.
func TestHeader(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	for header, want := range map[string]string{
		"": "Authorization header required", "Basic x": "Bearer token required", "Bearer": "Bearer token required",
		"Bearer test-token": "Invalid or expired token", // B4.4
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/me", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		rec := s.send(r)
		cardeatest.AssertDenied(t, rec, http.StatusUnauthorized, "")
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%q: %s, want %s", header, rec.Body, want)
		}
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	for _, bad := range s.BadTokens(as("admin", "admin")) {
		for _, path := range []string{"/api/v1/me", "/api/v1/clinics/clinic-1/patients", "/api/v1/audit"} {
			r := cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), "GET", path, nil), bad.Token)
			cardeatest.AssertDenied(t, s.send(r), http.StatusUnauthorized, "")
		}
		// Optional: anonymous, never somebody (A8.1).
		r := cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/clinics", nil), bad.Token)
		if body := s.send(r).Body.String(); !strings.Contains(body, `"signedIn":false`) {
			t.Errorf("%s: %s", bad.Name, body)
		}
		if t.Failed() {
			t.Fatal(bad.Name)
		}
	}
}

func TestMe(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	got := s.send(s.Request("GET", "/api/v1/me", doctor())).Body.String()
	want := `{"clinicId":"clinic-1","permissions":["read_patient_data","write_patient_data"],"user":{"id":"doctor",` +
		`"email":"doctor@clinic.test","name":"doctor","active":true,"licensed_until":"` + s.people[0].Licensed.Format(time.RFC3339Nano) + `",` +
		`"consents":[{"purpose":"ai_processing"},{"purpose":"data_processing"},{"purpose":"analytics","expires_at":"` +
		s.people[0].Consents[2].ExpiresAt.Format(time.RFC3339Nano) + `"}]},"userId":"doctor"}` + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// S4.51, A16.6: a consent that is withdrawn or expires, and a licence that ends, close the
// route at the next request with the same token.
func TestConsentCloses(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	u := with(doctor(), func(u *cardeatest.User) { u.Permissions, u.Lifetime = []string{"ai_access"}, 23*time.Hour })
	token := s.Token(u)
	ask := func(method, path string) *httptest.ResponseRecorder {
		return s.send(cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), method, path, nil), token))
	}
	cardeatest.AssertAllowed(t, ask("POST", "/api/v1/ai/chat"))
	s.people[0].Consents[0].WithdrawnAt = s.now()
	cardeatest.AssertDenied(t, ask("POST", "/api/v1/ai/chat"), http.StatusForbidden, "")
	cardeatest.AssertAllowed(t, ask("GET", "/api/v1/statistics"))
	s.people[0].Consents[2].ExpiresAt = s.now()
	cardeatest.AssertDenied(t, ask("GET", "/api/v1/statistics"), http.StatusForbidden, "")
	cardeatest.AssertAllowed(t, ask("GET", "/api/v1/prescriptions?clinicId=clinic-1"))
	s.people[0].Licensed = s.now()
	cardeatest.AssertDenied(t, ask("GET", "/api/v1/prescriptions?clinicId=clinic-1"), http.StatusForbidden, "")
	s.people[0].Consents[0].WithdrawnAt, s.people[0].Licensed = time.Time{}, s.now().Add(time.Hour)
	cardeatest.AssertAllowed(t, ask("POST", "/api/v1/ai/chat"))
}

// B4.11, B4.12, A7.5: a user-wide revocation ends the tokens of now for their whole life,
// and none of a later sign-in; another user's go on.
func TestRevocation(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	admin := as("admin", "admin")
	long := with(doctor(), func(u *cardeatest.User) { u.Lifetime = 23 * time.Hour })
	before := s.Token(long)
	ask := func(token string) *httptest.ResponseRecorder {
		return s.send(cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/me", nil), token))
	}
	cardeatest.AssertAllowed(t, ask(before))
	cardeatest.AssertAllowed(t, s.send(s.Request("DELETE", "/api/v1/users/doctor/sessions", admin)))
	cardeatest.AssertDenied(t, ask(before), http.StatusUnauthorized, "")
	cardeatest.AssertAllowed(t, ask(s.Token(admin)))
	s.Clock().Advance(time.Second)
	cardeatest.AssertAllowed(t, ask(s.Token(doctor())))
	s.Clock().Advance(23*time.Hour - 2*time.Second)
	cardeatest.AssertDenied(t, ask(before), http.StatusUnauthorized, "")
}

// S4.7, B4.14: a made-up header opens no new budget.
func TestAttempts(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	send := func(n int, forwarded string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/me", nil)
		r.Header.Set("x-session-id", itoa(n))
		r.Header.Set("X-Forwarded-For", itoa(n)+".1.1.1, "+forwarded)
		return s.send(r)
	}
	for n := range 100 {
		cardeatest.AssertDenied(t, send(n, "203.0.113.7"), http.StatusUnauthorized, "")
	}
	rec := send(100, "203.0.113.7")
	if rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") == "" {
		t.Errorf("attempt 101: %d %v", rec.Code, rec.Header())
	}
	cardeatest.AssertDenied(t, send(101, "203.0.113.8"), http.StatusUnauthorized, "")
	s.Clock().Advance(time.Minute)
	cardeatest.AssertDenied(t, send(102, "203.0.113.7"), http.StatusUnauthorized, "")
}

// S4.43: twenty questions in five minutes.
func TestChatBudget(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	u := with(doctor(), func(u *cardeatest.User) { u.Permissions = []string{"ai_access"} })
	for range 20 {
		cardeatest.AssertAllowed(t, s.send(s.Request("POST", "/api/v1/ai/chat", u)))
	}
	if rec := s.send(s.Request("POST", "/api/v1/ai/chat", u)); rec.Code != http.StatusTooManyRequests {
		t.Errorf("question 21: %d", rec.Code)
	}
}

// S4.8, S4.45: https only, by the word of the proxy.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	r := s.Request("GET", "/api/v1/me", doctor())
	cardeatest.AssertAllowed(t, s.send(r))
	r.Header.Set("X-Forwarded-Proto", "http")
	cardeatest.AssertDenied(t, s.send(r), http.StatusForbidden, "")
	r.Header["X-Forwarded-Proto"] = []string{"https", "http"}
	cardeatest.AssertDenied(t, s.send(r), http.StatusForbidden, "")
}

// S4.13, A12.4: a denial is logged with who, what was asked for and what was there.
func TestDenialIsLogged(t *testing.T) {
	t.Parallel()
	s := newClinics(t)
	s.send(s.Request("GET", "/api/v1/clinics/clinic-2/patients", doctor()))
	s.send(cardeatest.WithToken(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/me", nil), s.AlgNone(doctor())))
	got := s.log.String()
	for _, part := range []string{
		"level=WARN", "code=TENANT_ACCESS_DENIED", "user=doctor", "clinic=clinic-1", "clinic-2", "path=/api/v1/clinics/clinic-2/patients",
		"level=ERROR", "code=ALGORITHM_NOT_ALLOWED", "severity=critical",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in: %s", part, got)
		}
	}
	if strings.Contains(got, "eyJ") {
		t.Error("the log holds a token")
	}
}

// B4.5: what is wrong stops the start, and a missing secret is not replaced by another.
func TestStart(t *testing.T) {
	t.Parallel()
	rows := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(rows, []byte(`[{"id":"u","email":"u@clinic.test","active":true}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"no users":     {map[string]string{}, "no such file"},
		"no issuer":    {map[string]string{"USERS_FILE": rows}, "URL"},
		"short secret": {map[string]string{"USERS_FILE": rows, "SUPABASE_URL": "https://a.supabase.co", "JWT_SECRET": "secret"}, "HMACSecret"},
		"consents":     {map[string]string{"USERS_FILE": rows, "SUPABASE_URL": "https://a.supabase.co", "CARDEA_URL": "http://far.example"}, "ConsentClientConfig.URL"},
		"proxy":        {map[string]string{"TRUSTED_PROXY": "everybody"}, "everybody"},
	} {
		err := run(func(name string) string { return c.env[name] }, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
