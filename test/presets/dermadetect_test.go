package presets

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

// A25.1, A25.2, S1: an own auth server with its REST API.
func TestDermaDetect(t *testing.T) { dermadetect().test(t) }

func dermadetect() system {
	return system{
		preset: "dermadetect", number: 1, service: physicians,
		missing: []absent{
			{"S1.4", "later", "a table refresh_tokens: sessions hold what it would", "", 0},
			{"S1.22", "later", "second factors, Google and Apple, SAML", "", 0},
			{"S1.26", "later", "quotas for each user and tenant, and partners' API keys with tenants", "", 0},
		},
		proved: map[string]string{
			"S1.18": "internal/server: TestImportedHashIsRenewed",
			"S1.19": "cmd/cardea: testdata/serve_database.txt",
			"S1.20": "cmd/cardea: TestImportPhysicians",
			"S1.21": "internal/moving: TestGroups",
		},
	}
}

// physicians is an application of S1: its two dependencies, and what the tests look at.
func physicians(t *testing.T, b *scripttest.Bench) *http.ServeMux {
	t.Helper()
	v := guards(t, b, cardea.EncodeDetail, func(c *cardea.Config) { c.Issuers[0].HMACSecret = []byte(sharedSecret) })
	mux := http.NewServeMux()
	current := func(w http.ResponseWriter, r *http.Request) {
		p := caller(r)
		answer(w, http.StatusOK, map[string]any{"uuid": p.Subject, "roles": p.Roles, "tenant_id": p.Tenant, "algorithm": algorithm(r)})
	}
	mux.Handle("GET /whoami", v.Require(cardea.Authenticated())(http.HandlerFunc(current)))
	mux.Handle("GET /physician", v.Require(cardea.Role("physician"))(http.HandlerFunc(current)))
	// Parts of a mail, as the golden answers can show them.
	mux.HandleFunc("GET /kind/{kind}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"kind": r.PathValue("kind")})
	})
	mux.HandleFunc("GET /link", func(w http.ResponseWriter, r *http.Request) {
		page, query, _ := strings.Cut(r.URL.RawQuery, "?")
		answer(w, http.StatusOK, map[string]any{"page": page, "has_token": strings.HasPrefix(query, "token="), "type": r.URL.Query().Get("type")})
	})
	return mux
}
