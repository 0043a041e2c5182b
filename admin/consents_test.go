package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/admin"
)

// C16: what somebody has agreed to, read by an operator.
func TestConsents(t *testing.T) {
	t.Parallel()
	c, b, _ := connect(t, "CARDEA_CONSENTS=neonpro", "CARDEA_VERIFICATION=none")
	ctx := t.Context()
	do := func(method, path, token, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		b.Server.Handler().ServeHTTP(w, r)
		return w
	}
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(do(http.MethodPost, "/api/auth/register", "", `{"email":"ada@example.org","password":"correct horse battery"}`).Body.Bytes(), &tokens); err != nil || tokens.Access == "" {
		t.Fatal(err)
	}
	for _, r := range [][3]string{
		{http.MethodPut, "ai_processing", `{"version":"1.0"}`}, {http.MethodDelete, "ai_processing", ``}, {http.MethodPut, "analytics", `{"version":"1.0"}`},
	} {
		b.Clock.Add(time.Second)
		if w := do(r[0], "/api/users/me/consents/"+r[1], tokens.Access, r[2]); w.Code != http.StatusOK {
			t.Fatalf("%v: %d %s", r, w.Code, w.Body)
		}
	}
	page := must[admin.UserPage](t)(c.Users.List(ctx, admin.UserQuery{}))
	id := page.Users[0].ID
	got := map[string]string{}
	for _, one := range must[[]admin.Consent](t)(c.Users.Consents(ctx, id, "")) {
		got[one.Purpose] = one.Status
		if one.Purpose == "analytics" && (one.Version != "1.0" || one.CurrentVersion != "1.0" || one.ExpiresAt.Sub(one.GrantedAt).Hours() != 365*24 || one.TenantID != "") {
			t.Errorf("%+v", one)
		}
	}
	if len(got) != 5 || got["analytics"] != "granted" || got["ai_processing"] != "withdrawn" || got["data_processing"] != "none" {
		t.Errorf("%v", got)
	}
	const tenant = "019ca869-0000-7000-8000-000000000001"
	if list := must[[]admin.Consent](t)(c.Users.Consents(ctx, id, tenant)); len(list) != 6 || list[4].Purpose != "record_sharing" || list[4].TenantID != tenant || list[4].Status != "none" {
		t.Errorf("%+v", list)
	}
	first := must[admin.ConsentPage](t)(c.Users.ConsentHistory(ctx, id, "", 2))
	rest := must[admin.ConsentPage](t)(c.Users.ConsentHistory(ctx, id, first.Next, 0))
	if len(first.Events) != 2 || first.Next == "" || len(rest.Events) != 1 || rest.Next != "" ||
		first.Events[0].Purpose != "analytics" || first.Events[1].Action != "withdrawn" || rest.Events[0].Action != "granted" {
		t.Errorf("%+v %+v", first, rest)
	}
	_, err := c.Users.Consents(ctx, "00000000-0000-7000-8000-000000000009", "")
	wants(t, "nobody's", err, admin.CodeUserNotFound)
	_, err = c.Users.Consents(ctx, id, "x")
	wants(t, "no tenant", err, admin.CodeValidation)
	_, err = c.Users.ConsentHistory(ctx, id, "", 101)
	wants(t, "too long a page", err, admin.CodeValidation)
}
