package presets

import (
	"net/http"
	"testing"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

// A25.1, A25.2, S2: a marketplace, phone first.
func TestGhar360(t *testing.T) { ghar360().test(t) }

func ghar360() system {
	return system{
		preset: "ghar360", number: 2, service: marketplace,
		missing: []absent{
			{"S2.43", "later", "OAuth 2.1 for /mcp", "", 0},
			{"S2.44", "later", "whose tokens /mcp takes", "", 0},
			{"S2.45", "later", "GET /mcp/oauth/authorize", "GET /mcp/oauth/authorize?response_type=token", 400},
			{"S2.46", "later", "consent", "GET /mcp/oauth/consent?session=x", 400},
			{"S2.47", "later", "the token endpoint", "POST /mcp/oauth/token\nContent-Type: application/x-www-form-urlencoded\n\ngrant_type=x", 400},
			{"S2.48", "later", "lifetimes of codes and clients", "", 0},
			{"S2.49", "later", "revocation", "POST /mcp/oauth/revoke\nContent-Type: application/x-www-form-urlencoded\n\ntoken=x&client_id=x", 200},
			{"S2.50", "later", "registration of clients", "POST /mcp/oauth/register\n\n" + `{"client_name":"x","redirect_uris":["https://app.example/cb"]}`, 201},
			{"S2.51", "later", "client ID metadata documents", "", 0},
			{"S2.52", "later", "metadata", "GET /.well-known/oauth-authorization-server", 200},
			{"S2.52", "later", "metadata of resources", "GET /.well-known/oauth-protected-resource", 200},
			{"S2.53", "later", "the resource's side", "POST /mcp\n\n{}", 401},
			{"S2.54", "later", "where MCP tokens live", "", 0},
			{"S2.58", "later", "x-api-key and signed requests", "", 0},
		},
		proved: map[string]string{
			"S2.2-S2.11 S2.14 S2.16-S2.18 S2.20 S2.21": "the verifier's own tests; examples/guards/marketplace",
			"S2.28-S2.32": "internal/flow: TestProvisionTable; internal/server: TestRelayFirstRequests; usersync: TestLinking, TestKnownUser, TestInactiveRows, TestProcesses",
			"S2.55":       "internal/server: TestMirrorLimit",
			"S2.56 S2.57": "internal/web: TestSecurityHeaders, TestCORS",
			"S2.59":       "internal/config",
		},
	}
}

// marketplace is what the application itself guards: exactly one role each.
func marketplace(t *testing.T, b *scripttest.Bench) *http.ServeMux {
	t.Helper()
	v := guards(t, b, cardea.EncodeEnvelope)
	role := func(name string, code cardea.Code, message string) cardea.Requirement {
		return cardea.WithCode(code, message, cardea.Role(name))
	}
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := caller(r)
		answer(w, http.StatusOK, map[string]any{"supabase_user_id": p.Subject, "phone": p.Phone, "roles": p.Roles, "database_role": p.Role})
	})
	mux := http.NewServeMux()
	mux.Handle("GET /api/v1/visits", v.Require(cardea.Authenticated())(who))
	mux.Handle("GET /api/v1/agents/customers", v.Require(role("agent", "AGENT_REQUIRED", "Agent role required"))(who))
	mux.Handle("GET /api/v1/dashboard", v.Require(role("admin", "ADMIN_REQUIRED", "Admin role required"))(who))
	return mux
}
