package adminapi_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

// ask sends one request; header lines are "Name: value".
func ask(b *scripttest.Bench, method, path, body string, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.Server.Handler().ServeHTTP(w, request(method, path, body, header...))
	return w
}

func request(method, path, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func codeOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var doc struct {
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || doc.Detail == "" || doc.RequestID == "" {
		t.Errorf("not an error of this surface: %d %s", w.Code, w.Body)
	}
	return doc.Code
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// table gives the routes as the package comment has them: method, path with ids, and whether
// a reason is wanted. A test below keeps the comment true.
func table(t *testing.T) [][3]string {
	t.Helper()
	src := must[[]byte](t)(os.ReadFile("adminapi.go"))
	head, _, _ := strings.Cut(string(src), "package adminapi")
	var out [][3]string
	for _, m := range regexp.MustCompile(`(?m)^//\t(GET|POST|PUT|PATCH|DELETE) +(\S+) +(\* )?`).FindAllStringSubmatch(head, -1) {
		out = append(out, [3]string{m[1], m[2], strings.TrimSpace(m[3])})
	}
	if len(out) < 30 {
		t.Fatalf("only %d routes in the package comment", len(out))
	}
	return out
}

// A20.1, B2.10 and the lesson about tokens of OAuth clients: every route refuses everybody
// but a server with an operator's key, before it looks at anything.
func TestStrangersAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef0123456789abcdef0123456789abcdef"
	b := scripttest.Start(t, "CARDEA_JWT_SECRET="+secret, "CARDEA_JWT_ALGORITHM=ES256")
	service := must[string](t)(b.Server.APIKeys().JWT(auth.RoleServiceRole))
	anon := must[string](t)(b.Server.APIKeys().JWT(auth.RoleAnon))
	publishable, _, err := b.Server.APIKeys().Create(t.Context(), "web", auth.APIKeyPublishable)
	if err != nil {
		t.Fatal(err)
	}
	revoked, k, err := b.Server.APIKeys().Create(t.Context(), "old", auth.APIKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Server.APIKeys().Revoke(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	// A person whose database role is that of operators, signed in.
	u := must[auth.User](t)(b.Server.Admin().Create(t.Context(), flow.NewUser{
		Email: "root@example.test", Password: "correct horse battery", EmailConfirm: true, Role: auth.RoleServiceRole,
	}, auth.Meta{}))
	w := ask(b, "POST", "/auth/v1/token?grant_type=password", `{"email":"root@example.test","password":"correct horse battery"}`)
	var signedIn struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &signedIn); err != nil || signedIn.Token == "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	claims := func(more jwt.MapClaims) string {
		c := jwt.MapClaims{
			"iss": "http://127.0.0.1:9999/auth/v1", "aud": "authenticated", "sub": u.ID.String(), "role": auth.RoleServiceRole,
			"iat": b.Clock.Now().Unix(), "exp": b.Clock.Now().Add(time.Hour).Unix(),
		}
		for name, v := range more {
			c[name] = v
		}
		return must[string](t)(jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret)))
	}
	for _, tc := range []struct {
		name   string
		header []string
		status int
	}{
		{"nobody", nil, 401},
		{"nonsense", []string{"Authorization: Bearer x"}, 401},
		{"another scheme", []string{"Authorization: Basic " + service}, 401},
		{"two credentials", []string{"Authorization: Bearer " + anon, "Authorization: Bearer " + service}, 401},
		{"key in another header", []string{"apikey: " + service}, 401},
		{"anon key", []string{"Authorization: Bearer " + anon}, 403},
		{"publishable key", []string{"Authorization: Bearer " + publishable}, 403},
		{"revoked secret key", []string{"Authorization: Bearer " + revoked}, 401},
		{"mistyped secret key", []string{"Authorization: Bearer " + revoked[:len(revoked)-1] + "-"}, 401},
		{"a person with the role", []string{"Authorization: Bearer " + signedIn.Token}, 403},
		{"an OAuth client's token", []string{"Authorization: Bearer " + claims(jwt.MapClaims{"client_id": "app"})}, 403},
		{"an expired token", []string{"Authorization: Bearer " + claims(jwt.MapClaims{"exp": b.Clock.Now().Add(-time.Hour).Unix()})}, 401},
		{"an operator's key in a page of another site", []string{"Authorization: Bearer " + service, "Origin: https://evil.example"}, 403},
		{"an operator's key in a page of ours", []string{"Authorization: Bearer " + service, "Sec-Fetch-Site: same-origin"}, 403},
		{"a file opened in a browser", []string{"Authorization: Bearer " + service, "Origin: null"}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			routes := append(table(t), [3]string{"GET", "/nothing", ""}, [3]string{"POST", "/users/{id}", ""}, [3]string{"HEAD", "/users", ""}, [3]string{"GET", "/openapi.json", ""})
			for _, r := range routes {
				path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(r[1], u.ID.String())
				w := ask(b, r[0], "/admin/v1"+path, `{}`, append(slices.Clone(tc.header), "X-Reason: because")...)
				if w.Code != tc.status {
					t.Errorf("%s %s: %d %s, want %d", r[0], path, w.Code, w.Body, tc.status)
				}
				codeOf(t, w)
				if got := w.Header().Get("WWW-Authenticate"); (got != "") != (w.Code == 401) {
					t.Errorf("%s %s: WWW-Authenticate %q with %d", r[0], path, got, w.Code)
				}
			}
		})
	}
	t.Cleanup(func() { // whatever they tried, the account is there
		if _, err := b.Server.Admin().Get(context.Background(), u.ID); err != nil {
			t.Error(err)
		}
	})
}

// The package comment, the guide and the mux say the same: every documented route answers
// an operator, and wants a reason exactly where it is marked.
func TestRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	b := scripttest.Start(t)
	key := "Authorization: Bearer " + must[string](t)(b.Server.APIKeys().JWT(auth.RoleServiceRole))
	guide := string(must[[]byte](t)(os.ReadFile(filepath.Join("..", "..", "..", "docs", "guides", "admin.md"))))
	rows := 0
	for _, r := range table(t) {
		path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(r[1], "00000000-0000-7000-8000-000000000001")
		w := ask(b, r[0], "/admin/v1"+path, `{"use":"x"}`, key)
		if w.Code == http.StatusMethodNotAllowed || strings.Contains(w.Body.String(), "There is no such route") {
			t.Errorf("%s %s is not served: %d %s", r[0], r[1], w.Code, w.Body)
		}
		if wants := strings.Contains(w.Body.String(), "needs a reason"); wants != (r[2] == "*") {
			t.Errorf("%s %s: reason wanted %t, documented %q", r[0], r[1], wants, r[2])
		}
		mark := ""
		if r[2] != "" {
			mark = " reason |"
		}
		if !strings.Contains(guide, "| `"+r[0]+" "+r[1]+"` |"+mark) {
			t.Errorf("docs/guides/admin.md has no row for %s %s%s", r[0], r[1], mark)
		}
		rows++
	}
	if n := len(regexp.MustCompile("(?m)^\\| `(GET|POST|PUT|PATCH|DELETE) ").FindAllString(guide, -1)); n != rows {
		t.Errorf("docs/guides/admin.md has %d rows, the API %d routes", n, rows)
	}
}

// A12.6, B2.37: who did what to whom, and why, is in the audit log. The key that did it is
// recognisable, and no secret is in the log.
func TestAuditNamesActorAndReason(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.db")
	b := scripttest.Start(t, "DATABASE_URL=sqlite://"+file, "CARDEA_ROLES=dermadetect")
	plain, _, err := b.Server.APIKeys().Create(t.Context(), "console", auth.APIKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	u := must[auth.User](t)(b.Server.Admin().Create(t.Context(), flow.NewUser{Email: "a@example.test"}, auth.Meta{}))
	id := u.ID.String()
	kid := ""
	for _, k := range b.Server.Keys().List() {
		if k.Use == auth.KeyUseAccess && k.Status == auth.KeyCurrent {
			kid = k.ID
		}
	}
	for _, r := range [][3]string{
		{"PUT", "/users/" + id + "/roles", `{"roles":["physician"]}`},
		{"PUT", "/users/" + id + "/active", `{"is_active":false}`},
		{"PUT", "/users/" + id + "/ban", `{}`},
		{"DELETE", "/users/" + id + "/ban", ``},
		{"PATCH", "/users/" + id, `{"password":"correct horse battery staple"}`},
		{"PATCH", "/users/" + id + "/profile", `{"full_name":"Ada L"}`},
		{"DELETE", "/users/" + id + "/sessions", ``},
		{"POST", "/tenants", `{"slug":"north","name":"North"}`},
		{"POST", "/keys/rotate", ``},
		{"DELETE", "/keys/" + kid, ``},
		{"POST", "/api-keys", `{"name":"n","kind":"publishable"}`},
		{"POST", "/roles/reload", ``},
		{"DELETE", "/users/" + id, ``},
	} {
		w := ask(b, r[0], "/admin/v1"+r[1], r[2], "Authorization: Bearer "+plain, "X-Reason: because "+r[1])
		if w.Code >= 300 {
			t.Errorf("%s %s: %d %s", r[0], r[1], w.Code, w.Body)
		}
	}
	db := must[*sql.DB](t)(sql.Open("sqlite", file))
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT payload, ip_address FROM audit_log_entries ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]map[string]any{}
	for rows.Next() {
		var payload, ip string
		if err := rows.Scan(&payload, &ip); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(payload, plain) || strings.Contains(payload, "correct horse") {
			t.Errorf("a secret is in the log: %s", payload)
		}
		var e struct {
			Action string         `json:"action"`
			Actor  string         `json:"actor_username"`
			Traits map[string]any `json:"traits"`
		}
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			t.Fatal(err)
		}
		reason, _ := e.Traits["reason"].(string)
		if reason == "" { // made without the API, above
			continue
		}
		if e.Actor != auth.RoleServiceRole || e.Traits["api_key"] != plain[:16] || ip != "192.0.2.1" {
			t.Errorf("%s: actor %q, key %v, address %q", e.Action, e.Actor, e.Traits["api_key"], ip)
		}
		got[e.Action+" "+strings.TrimPrefix(reason, "because ")] = e.Traits
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	var actions []string
	for a := range got {
		actions = append(actions, strings.ReplaceAll(strings.ReplaceAll(a, id, "ID"), kid, "KID"))
	}
	slices.Sort(actions)
	want := []string{
		"api_key_create /api-keys", "key_revoke /keys/KID", "key_rotate /keys/rotate", "logout /users/ID/sessions",
		"profile_modified /users/ID/profile", "profile_modified /users/ID/roles", "roles_reload /roles/reload",
		"tenant_created /tenants", "user_deactivated /users/ID/active", "user_deleted /users/ID", "user_modified /users/ID",
		"user_modified /users/ID/ban", "user_roles_changed /users/ID/roles",
	}
	if d := cmp.Diff(want, actions); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(any([]any{"physician"}), got["user_roles_changed /users/"+id+"/roles"]["roles"]); d != "" {
		t.Error(d)
	}
}

// A surface that is not mounted is not there.
func TestNotMounted(t *testing.T) {
	t.Parallel()
	b := scripttest.Start(t, "CARDEA_SURFACES=supabase")
	key := must[string](t)(b.Server.APIKeys().JWT(auth.RoleServiceRole))
	if w := ask(b, "GET", "/admin/v1/users", "", "Authorization: Bearer "+key); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
