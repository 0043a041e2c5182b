package presets

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

// A25.1, S4: clinics.
func TestNeonPro(t *testing.T) { neonpro().test(t) }

func neonpro() system {
	return system{
		preset: "neonpro", number: 4, service: clinics,
		missing: []absent{
			{"S4.23", "later", "scoped queries", "", 0},
			{"S4.24", "later", "policies with settings of the transaction", "", 0},
			{"S4.25", "later", "the client for servers, with cookies", "", 0},
			{"S4.26", "later", "binding to addresses", "", 0},
			{"S4.27", "later", "session ids in cookies, made anew at the sign-in", "", 0},
			{"S4.28", "later", "three sessions at once", "", 0},
			{"S4.29", "later", "30 minutes idle and 8 hours in all, with warnings, for cookie sessions", "", 0},
			{"S4.30", "later", "anomaly detection", "", 0},
			{"S4.31", "later", "a session's security level and risk score", "", 0},
			{"S4.32", "later", "the API of sessions with actions", "", 0},
			{"S4.33", "later", "extension with re-authentication", "", 0},
			{"S4.34", "later", "limits by kind of session", "", 0},
			{"S4.35", "later", "cookies", "", 0},
			{"S4.36", "later", "signatures and CSRF tokens", "", 0},
			{"S4.37", "later", "signing out clears cookies", "", 0},
			{"S4.38", "later", "the audit log's levels", "", 0},
			{"S4.39", "later", "the audit log's entries", "", 0},
			{"S4.40", "later", "redaction", "", 0},
			{"S4.41", "later", "retention", "", 0},
			{"S4.42", "later", "limits with two windows and headers", "", 0},
			{"S4.43", "later", "limits of chat", "", 0},
			{"S4.44", "later", "limits by kind of route", "", 0},
			{"S4.48", "later", "second factors", "POST /auth/v1/factors\n\n" + `{"factor_type":"totp"}`, 401},
			{"S4.49", "later", "emergency tokens", "", 0},
			{"S4.52", "later", "rotation and audit of secrets", "", 0},
		},
		proved: map[string]string{
			"S4.1 S4.2 S4.4-S4.8": "the verifier's own tests; examples/guards/clinics",
			"S4.13 S4.16":         "middleware_test.go and cardeatest",
			"S4.19-S4.21":         "internal/role: TestShippedClinic, TestShippedHospital, TestThirdCatalogue",
			"S4.45":               "internal/web: TestSecurityHeaders",
			"S4.53":               "the clients' business: Retry-After is in the scripts of medmitra",
		},
	}
}

// clinics is the backend of S4 behind its guards. Roles and permissions are those of the
// active clinic.
func clinics(t *testing.T, b *scripttest.Bench) *http.ServeMux {
	t.Helper()
	v := guards(t, b, clinicErrors, func(c *cardea.Config) {
		c.Issuers[0].Claims = cardea.ClaimPaths{Roles: "tenant_role", Tenant: "clinic_id"}
		c.Consents = consents(t, b)
	})
	clinic := cardea.Tenant(cardea.InPath("clinicId"), cardea.InQuery("clinicId"))
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := caller(r)
		answer(w, http.StatusOK, map[string]any{
			"userId": p.Subject, "email": p.Email, "clinicId": p.Tenant, "role": p.TenantRole, "permissions": p.Permissions, "database_role": p.Role,
		})
	})
	public := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, known := cardea.PrincipalFrom(r.Context())
		answer(w, http.StatusOK, map[string]any{"signedIn": known})
	})
	mux := http.NewServeMux()
	mux.Handle("GET /api/v1/clinics", v.Optional()(public))
	mux.Handle("GET /api/v1/me", v.Require(cardea.Authenticated())(who))
	mux.Handle("GET /api/v1/clinics/{clinicId}/patients", v.Require(cardea.AnyPermission("read_patient_data"), clinic)(who))
	mux.Handle("POST /api/v1/clinics/{clinicId}/patients", v.Require(cardea.AnyPermission("write_patient_data"), clinic)(who))
	mux.Handle("GET /api/v1/clinics/{clinicId}/plans", v.Require(cardea.Role("healthcare_professional", "admin"), clinic)(who))
	mux.Handle("POST /api/v1/ai/chat", v.Require(cardea.AIAccess())(who))
	// S4.51: requireHealthcareProfessional, requireLGPDConsent, requireAIAccess.
	active := cardea.Active(licences(t, b))
	professional := cardea.AllOf("healthcare professional", cardea.Role("healthcare_professional", "admin"),
		cardea.WithCode("LICENCE_REQUIRED", "Active licence required",
			cardea.UserRule("active licence", func(until time.Time) bool { return b.Clock.Now().Before(until) })))
	mux.Handle("GET /api/v1/professional", v.Require(active, professional)(who))
	mux.Handle("GET /api/v1/research", v.Require(v.Consent("data_processing", "analytics"))(who))
	mux.Handle("GET /api/v1/clinics/{clinicId}/shared", v.Require(clinic, v.Consent("record_sharing"))(who))
	mux.Handle("POST /api/v1/ai/assist", v.Require(active, cardea.AIAccess(professional, v.Consent("ai_processing")))(who))
	return mux
}

// consents asks the server under test, with the caller's own token.
func consents(t *testing.T, b *scripttest.Bench) *cardea.ConsentClient {
	t.Helper()
	c, err := cardea.NewConsentClient(cardea.ConsentClientConfig{URL: publicURL, HTTPClient: &http.Client{Transport: inProcess{b.Server.Handler()}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// licences reads until when somebody is licensed, from the profile that operators keep.
func licences(t *testing.T, b *scripttest.Bench) func(context.Context, *cardea.Principal) (time.Time, bool, error) {
	t.Helper()
	key, err := b.Server.APIKeys().JWT("service_role")
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, p *cardea.Principal) (time.Time, bool, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, publicURL+"/admin/v1/users/"+p.Subject, nil)
		if err != nil {
			return time.Time{}, false, err
		}
		r.Header.Set("Authorization", "Bearer "+key)
		answer, err := inProcess{b.Server.Handler()}.RoundTrip(r)
		if err != nil {
			return time.Time{}, false, err
		}
		var user struct {
			Active  bool `json:"is_active"`
			Profile struct {
				Extensions struct {
					Physician struct {
						Until time.Time `json:"licensed_until"`
					} `json:"physician"`
				} `json:"extensions"`
			} `json:"profile"`
		}
		err = json.NewDecoder(answer.Body).Decode(&user)
		return user.Profile.Extensions.Physician.Until, user.Active, err
	}
}

// clinicErrors keeps the sentences that the clients know.
func clinicErrors(w http.ResponseWriter, r *http.Request, e *cardea.Error) {
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
