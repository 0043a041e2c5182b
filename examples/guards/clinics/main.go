// Command clinics is a service for clinics: roles, permissions, clinics that must not see
// each other, licences, consents, and an AI route. It replaces the token validator and the middleware of a
// system such as NeonPro.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/ratelimit"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(os.Getenv, log); err != nil {
		log.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(getenv func(string) string, log *slog.Logger) error {
	s := &service{denied: cardea.NewDenylist(cardea.DenylistConfig{}), limits: ratelimit.NewMemory(0, nil), log: log, now: time.Now}
	if text := getenv("TRUSTED_PROXY"); text != "" { // such as 10.0.0.0/8; nobody by default
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		s.proxy = prefix
	}
	rows, err := os.ReadFile(getenv("USERS_FILE"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(rows, &s.people); err != nil {
		return err
	}
	s.consents = s
	if address := getenv("CARDEA_URL"); address != "" { // a Cardea server keeps the consents
		client, err := cardea.NewConsentClient(cardea.ConsentClientConfig{URL: address, Issuer: getenv("SUPABASE_URL") + "/auth/v1"})
		if err != nil {
			return err
		}
		s.consents = client
	}
	if s.verifier, err = cardea.NewVerifier(s.config(getenv)); err != nil {
		return err
	}
	server := &http.Server{Addr: "127.0.0.1:9000", Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

type service struct {
	verifier *cardea.Verifier
	denied   *cardea.Denylist
	limits   *ratelimit.Memory
	people   people
	consents cardea.ConsentSource
	now      func() time.Time
	proxy    netip.Prefix // whose X-Forwarded headers are believed
	log      *slog.Logger
}

// config trusts one issuer. There is no secret in the source, no test issuer, and no
// switch that makes a check go away.
func (s *service) config(getenv func(string) string) cardea.Config {
	issuer := cardea.Issuer{
		Kind: cardea.KindSupabase, URL: getenv("SUPABASE_URL"), APIKey: getenv("SUPABASE_ANON_KEY"),
		// The claim role: "authenticated" is the provider's, the others are ours. Roles of
		// the application in app_metadata.roles count beside it.
		UserRoles: []string{"authenticated", "patient", "healthcare_professional", "staff", "admin"},
	}
	if secret := getenv("JWT_SECRET"); secret != "" {
		issuer.HMACSecret = []byte(secret) // HS256, 32 bytes or more; without it only public keys count
	}
	return cardea.Config{
		Issuers:      []cardea.Issuer{issuer},
		MaxLifetime:  24 * time.Hour,
		Revoked:      s.denied.Check,
		Consents:     s.consents,
		Admit:        s.attempt,
		ErrorEncoder: encode,
		OnDenied:     s.logDenial,
		// In production nothing comes past the proxy, which ends TLS and always says so.
		RequireHTTPS: s.proxy.IsValid(), TrustForwardedProto: s.proxy.IsValid(),
	}
}

// routes is the whole API: what a route asks of its caller stands beside its path.
func (s *service) routes() http.Handler {
	active := cardea.Active(s.people.find)
	professional := cardea.AllOf("healthcare professional",
		cardea.Role("healthcare_professional"), cardea.WithCode("LICENCE_REQUIRED", "Active licence required", cardea.UserRule("active licence", s.licensed)))
	// Every place that a handler might read. They have to agree.
	clinic := cardea.Tenant(cardea.InPath("clinicId"), cardea.InQuery("clinicId"), cardea.InHeader("X-Clinic-Id"))
	clinicInBody := cardea.Tenant(cardea.InBody("clinicId"), cardea.InQuery("clinicId"), cardea.InHeader("X-Clinic-Id"))

	mux := http.NewServeMux()
	handle := func(pattern string, guard func(http.Handler) http.Handler, h http.HandlerFunc) {
		mux.Handle(pattern, guard(h))
	}
	v := s.verifier
	handle("GET /api/v1/clinics", v.Optional(), listClinics)
	handle("GET /api/v1/me", v.Require(active), me)
	handle("GET /api/v1/clinics/{clinicId}/patients", v.Require(active, may("read_patient_data"), clinic), done)
	handle("POST /api/v1/patients", v.Require(active, may("write_patient_data"), clinicInBody), done)
	handle("GET /api/v1/appointments", v.Require(active, cardea.Role("staff", "healthcare_professional", "admin"), clinic), done)
	handle("GET /api/v1/prescriptions", v.Require(active, professional, clinic), done)
	handle("GET /api/v1/statistics", v.Require(active, v.Consent("data_processing", "analytics")), done)
	handle("POST /api/v1/ai/chat", v.Require(active, cardea.AIAccess(professional, v.Consent("ai_processing"))), s.chat)
	handle("GET /api/v1/audit", v.Require(active, may("view_audit_logs"), cardea.AAL("aal2")), done)
	handle("DELETE /api/v1/users/{id}/sessions", v.RequireFresh(15*time.Minute, active, may("manage_users")), s.revoke)
	return mux
}

// catalogue says which roles have a permission. It is data: a new role needs no code.
func catalogue() map[string][]string {
	return map[string][]string{
		"read_patient_data":  {"healthcare_professional", "nurse", "admin"},
		"write_patient_data": {"healthcare_professional", "admin"},
		"update_vitals":      {"nurse"},
		"manage_users":       {"admin"},
		"view_audit_logs":    {"admin"},
	}
}

// may asks for a permission: of the token, or by a role. A permission that nobody has is
// a mistake of the program, found when it starts.
func may(permission string) cardea.Requirement {
	roles := catalogue()[permission]
	return cardea.AnyOf("permission "+permission, cardea.AnyPermission(permission), cardea.Role(roles[0], roles[1:]...))
}

// person is a row of users.
type person struct {
	ID       string    `json:"id"`
	Email    string    `json:"email"`
	Name     string    `json:"name"`
	Active   bool      `json:"active"`
	Licensed time.Time `json:"licensed_until,omitzero"` // of professionals
	Consents []consent `json:"consents,omitempty"`
}

// consent is a row of consent_records.
type consent struct {
	Purpose     string    `json:"purpose"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"` // zero: never
	WithdrawnAt time.Time `json:"withdrawn_at,omitzero"`
}

// licensed looks at the clock at every request: a licence ends without anybody doing anything.
func (s *service) licensed(p person) bool { return s.now().Before(p.Licensed) }

// people stands for the table of users.
type people []person

// find wants id and e-mail to belong together, as the table has them.
func (list people) find(_ context.Context, p *cardea.Principal) (person, bool, error) {
	n := slices.IndexFunc(list, func(row person) bool { return row.ID == p.Subject && row.Email == p.Email })
	if n < 0 {
		return person{}, false, nil
	}
	return list[n], list[n].Active, nil
}

// GrantedConsents implements [cardea.ConsentSource] for consents that the service keeps
// itself: those of the purposes that are active at this moment.
func (s *service) GrantedConsents(ctx context.Context, q cardea.ConsentQuery) ([]string, error) {
	row, _, err := s.people.find(ctx, q.Principal)
	if err != nil {
		return nil, err
	}
	var granted []string
	for _, c := range row.Consents {
		if c.WithdrawnAt.IsZero() && (c.ExpiresAt.IsZero() || s.now().Before(c.ExpiresAt)) {
			granted = append(granted, c.Purpose)
		}
	}
	return granted, nil
}

// me answers with what the middleware used to set: user, userId, clinicId, permissions.
func me(w http.ResponseWriter, r *http.Request) {
	p, _ := cardea.PrincipalFrom(r.Context())
	row, _ := cardea.UserFrom[person](r.Context())
	permissions := slices.Clone(p.Permissions)
	for permission, roles := range catalogue() {
		if slices.ContainsFunc(roles, p.HasRole) && !p.HasPermission(permission) {
			permissions = append(permissions, permission)
		}
	}
	slices.Sort(permissions)
	answer(w, map[string]any{"user": row, "userId": p.Subject, "clinicId": p.Tenant, "permissions": permissions})
}

func listClinics(w http.ResponseWriter, r *http.Request) {
	_, known := cardea.PrincipalFrom(r.Context())
	answer(w, map[string]any{"clinics": []string{}, "signedIn": known})
}

// chat has a budget of its own for each user: 20 in five minutes and 100 in an hour.
func (s *service) chat(w http.ResponseWriter, r *http.Request) {
	p, _ := cardea.PrincipalFrom(r.Context())
	for name, limit := range map[string]ratelimit.Limit{
		"short": {Count: 20, Period: 5 * time.Minute}, "long": {Count: 100, Period: time.Hour},
	} {
		if d := s.limits.Take("chat "+name+" "+p.Subject, limit); !d.Allowed {
			s.verifier.WriteError(w, r, tooMany(d))
			return
		}
	}
	answer(w, map[string]any{"reply": "How can I help?"})
}

// revoke ends every session of a user: each token of now is refused until it expires,
// and those of a later sign-in pass.
func (s *service) revoke(w http.ResponseWriter, r *http.Request) {
	p, _ := cardea.PrincipalFrom(r.Context())
	s.denied.RevokeUser(p.Issuer, r.PathValue("id"), time.Time{}, "ended by "+p.Subject)
	done(w, r)
}

func done(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func answer(w http.ResponseWriter, view any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(view) // the client may be gone
}

// attempt bounds how often one address may try, before any token is looked at. The address
// is that of the connection, or what a proxy of ours says; no header that a client makes
// up opens another budget.
func (s *service) attempt(r *http.Request) error {
	d := s.limits.Take("address "+s.address(r), ratelimit.Limit{Count: 100, Period: time.Minute})
	if d.Allowed {
		return nil
	}
	return tooMany(d)
}

func (s *service) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if peer, err := netip.ParseAddr(host); err != nil || !s.proxy.Contains(peer.Unmap()) {
		return host
	}
	// The last hop is what our proxy saw; those before it are what somebody said.
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	return strings.TrimSpace(hops[len(hops)-1])
}

func tooMany(d ratelimit.Decision) *cardea.Error {
	failure := cardea.NewError(cardea.CodeRateLimited, nil)
	failure.RetryAfter = d.RetryAfter
	return failure
}

// encode keeps the sentences that the clients know, in the shape that they know.
func encode(w http.ResponseWriter, r *http.Request, e *cardea.Error) {
	shown := *e
	switch e.Code {
	case cardea.CodeHeaderMissing:
		shown.Message = "Authorization header required"
	case cardea.CodeHeaderInvalid, cardea.CodeSchemeInvalid:
		shown.Message = "Bearer token required"
	case cardea.CodeTenant, cardea.CodeTenantAbsent:
		shown.Message = "Access denied to clinic data"
	case cardea.CodeExpired: // "Token has expired"
	default:
		if e.HTTPStatus() == http.StatusUnauthorized {
			shown.Message = "Invalid or expired token"
		}
	}
	cardea.EncodeMessageStatus(w, r, &shown)
}

// logDenial names who was refused what, and never a token.
func (s *service) logDenial(ctx context.Context, d cardea.Denial) {
	level := slog.LevelWarn
	if d.Err.Severity() == cardea.SeverityCritical {
		level = slog.LevelError
	}
	user, clinic := "", ""
	if d.Principal != nil {
		user, clinic = d.Principal.Subject, d.Principal.Tenant
	}
	s.log.LogAttrs(ctx, level, "denied", slog.Any("code", d.Err.Code), slog.Any("severity", d.Err.Severity()),
		slog.String("user", user), slog.String("clinic", clinic), slog.String("required", d.Err.Required),
		slog.String("actual", d.Err.Actual), slog.String("method", d.Method), slog.String("path", d.Path),
		slog.String("from", d.RemoteAddr), slog.Any("cause", errors.Unwrap(d.Err)))
}
