package rest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

// A13.1: a service that believes our tokens lets a member of two clinics into the one that
// the token is for, and after the switch into the other one only. Both tokens are of one
// session, and no password was asked for.
func TestTokensOpenTheTenantTheySay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var me struct{ ID string }
	decode(t, b.do(t, http.MethodGet, "/api/auth/me", b.token, ""), &me)
	service, err := b.Server.APIKeys().JWT("service_role")
	if err != nil {
		t.Fatal(err)
	}
	clinics := map[string]string{}
	for _, slug := range []string{"north", "south"} {
		var made struct{ ID string }
		w := b.do(t, http.MethodPost, "/admin/v1/tenants", service, `{"slug":"`+slug+`","name":"`+slug+`","owner_id":"`+me.ID+`"}`)
		decode(t, w, &made)
		clinics[slug] = made.ID
	}
	guarded := serviceOf(t, b.Bench)
	for _, at := range []string{"north", "south", "north"} {
		w := b.do(t, http.MethodPost, "/api/tenants/"+clinics[at]+"/switch", b.token, "")
		var switched struct {
			Token  string `json:"access_token"`
			Tenant string `json:"tenant_id"`
		}
		decode(t, w, &switched)
		if w.Code != http.StatusOK || switched.Tenant != clinics[at] {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for slug, id := range clinics {
			want := http.StatusForbidden
			if slug == at {
				want = http.StatusOK
			}
			r := httptest.NewRequest(http.MethodGet, "/clinics/"+id+"/patients", nil)
			r.Header.Set("Authorization", "Bearer "+switched.Token)
			w := httptest.NewRecorder()
			guarded.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("token for %s at %s: %d %s", at, slug, w.Code, w.Body)
			}
		}
	}
}

// serviceOf is somebody's service with one route of a tenant.
func serviceOf(t *testing.T, b *scripttest.Bench) http.Handler {
	t.Helper()
	v, err := cardea.NewVerifier(cardea.Config{
		Issuers: []cardea.Issuer{{
			URL: "http://127.0.0.1:9999/auth/v1", Audiences: []string{"authenticated"}, Keys: b.Server.Keys(), Algorithms: []string{"ES256"},
		}},
		Now: b.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /clinics/{clinic}/patients", v.Require(cardea.Tenant(cardea.InPath("clinic")))(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })))
	return mux
}
