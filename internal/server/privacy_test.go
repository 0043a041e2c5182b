package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/job"
	"github.com/cardea-auth/cardea/internal/notify"
)

// stillRig is a server whose jobs run only when a test runs them.
func stillRig(tb testing.TB, kind string, settings ...string) *rig {
	tb.Helper()
	r := &rig{read: map[auth.ID]bool{}}
	var err error
	if r.Server, err = Open(context.Background(), load(tb, databaseURL(tb, kind), settings...), Options{Now: r.now, Inbox: &notify.Inbox{}}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	if r.service, err = r.APIKeys().JWT("service_role"); err != nil {
		tb.Fatal(err)
	}
	return r
}

// leaver is somebody who has left traces everywhere.
type leaver struct {
	id, email, access, refresh, other string
}

const (
	leaversIP    = "203.0.113.77"
	leaversAgent = "LeaversBrowser/9.1"
)

// call makes a request as the leaver's browser does.
func (r *rig) call(tb testing.TB, want int, method, path, token, body string, headers ...string) reply {
	tb.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.RemoteAddr = leaversIP + ":4711"
	req.Header.Set("User-Agent", leaversAgent)
	if token == r.service { // an operator's, whose address is his own
		req.RemoteAddr = "198.51.100.5:80"
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	a := reply{w, w.Body.String()}
	if want != 0 && a.Code != want {
		tb.Fatalf("%s %s: %d %s, want %d", method, path, a.Code, a.body, want)
	}
	return a
}

func (r *rig) leaver(tb testing.TB, n int) leaver {
	tb.Helper()
	l := leaver{email: fmt.Sprintf("leaver%d@gone.example", n)}
	a := r.call(tb, 201, "POST", "/api/auth/register", "", `{"email":"`+l.email+`","password":"correct horse battery","full_name":"Lea Leaverson","data":{"nick":"Leafy"}}`)
	l.access, l.refresh = a.text(tb, "access_token"), a.text(tb, "refresh_token")
	l.other = r.call(tb, 200, "POST", "/api/auth/login", "", `{"email":"`+l.email+`","password":"correct horse battery"}`).text(tb, "refresh_token")
	l.id = r.call(tb, 200, "PATCH", "/api/users/me", l.access, `{"full_name":"Lea Leaverson","image_url":"https://cdn.example/leaverson.png"}`).text(tb, "id")
	r.call(tb, 200, "PATCH", "/admin/v1/users/"+l.id, r.service, fmt.Sprintf(`{"phone":"+4915177%05d"}`, n), "X-Reason", "she wrote from "+l.email)
	r.call(tb, 202, "POST", "/api/auth/request-reset", "", `{"email":"`+l.email+`"}`)
	tenant := r.call(tb, 201, "POST", "/admin/v1/tenants", r.service, fmt.Sprintf(`{"slug":"clinic-%d","name":"Clinic","owner_id":%q}`, n, l.id)).text(tb, "id")
	r.call(tb, 201, "POST", "/admin/v1/relations", r.service, `{"kind":"patient","subject_id":"`+l.id+`","tenant_id":"`+tenant+`"}`)
	return l
}

// traces looks for words in every column of every table.
func (r *rig) traces(tb testing.TB, words ...string) []string {
	tb.Helper()
	db, tables := r.tables(tb)
	defer db.Close()
	var found []string
	for _, table := range tables {
		rows, err := db.QueryContext(context.Background(), `SELECT * FROM `+table)
		if err != nil {
			tb.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			tb.Fatal(err)
		}
		for rows.Next() {
			values, targets := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				targets[i] = &values[i]
			}
			if err := rows.Scan(targets...); err != nil {
				tb.Fatal(err)
			}
			for i, v := range values {
				text := fmt.Sprint(v)
				if b, ok := v.([]byte); ok {
					text = string(b)
				}
				for _, word := range words {
					if strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
						found = append(found, fmt.Sprintf("%s.%s: %s", table, columns[i], text))
					}
				}
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			tb.Fatal(err)
		}
	}
	return found
}

func (r *rig) tables(tb testing.TB) (*sql.DB, []string) {
	tb.Helper()
	path, isFile := r.cfg.SQLitePath()
	driver, source := "pgx", r.cfg.DatabaseURL
	query := `SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('auth', 'public')`
	if isFile {
		driver, source, query = "sqlite", path, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		tb.Fatal(err)
	}
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			tb.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil || len(tables) < 15 {
		tb.Fatalf("%d tables: %v", len(tables), err)
	}
	return db, tables
}

func (l *leaver) words() []string {
	return []string{l.email, "4915177", "leaverson", "leafy", leaversIP, leaversAgent}
}

func (r *rig) erasure(tb testing.TB, id string) auth.Erasure {
	tb.Helper()
	user, err := auth.ParseID(id)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := r.store.ErasureOf(context.Background(), user)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// gone checks that nothing opens and nothing tells.
func (r *rig) gone(tb testing.TB, l *leaver) {
	tb.Helper()
	if e := r.erasure(tb, l.id); e.FinishedAt.IsZero() {
		tb.Errorf("the deletion is not done: %+v", e.Steps)
	}
	if found := r.traces(tb, l.words()...); len(found) > 0 {
		tb.Fatalf("A16.5: what is left tells who it was:\n%s", strings.Join(found, "\n"))
	}
	if found := r.traces(tb, l.id); len(found) < 3 {
		tb.Errorf("references are not intact: only %v name the id", found)
	}
}

// A16.2, B2.14, S2.38, S4.47: with fresh authentication everything that opens something is
// dead at once, on every surface, and in the end nothing tells who it was; references are whole.
func TestErasure(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := stillRig(t, kind, "CARDEA_VERIFICATION=none")
			l := r.leaver(t, 1)
			r.appTable(t, l.id)
			if found := r.traces(t, l.words()...); len(found) < 10 {
				t.Fatalf("hardly any traces: the test proves nothing: %v", found)
			}
			r.call(t, 204, "DELETE", "/api/users/me", l.access, "")
			r.call(t, 204, "DELETE", "/api/users/me", l.access, "") // again: the same answer
			for _, refresh := range []string{l.refresh, l.other} {
				r.call(t, 401, "POST", "/api/auth/refresh", "", `{"refresh_token":"`+refresh+`"}`)
				r.call(t, 400, "POST", "/auth/v1/token?grant_type=refresh_token", "", `{"refresh_token":"`+refresh+`"}`)
			}
			r.call(t, 401, "POST", "/api/auth/login", "", `{"email":"`+l.email+`","password":"correct horse battery"}`)
			r.call(t, 404, "GET", "/admin/v1/users/"+l.id, r.service, "")
			if n, err := r.EraseDue(t.Context()); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			r.gone(t, &l)
			if n, err := r.EraseDue(t.Context()); n != 0 || err != nil {
				t.Errorf("a second time: %d, %v", n, err)
			}
		})
	}
}

// appTable is a table of an application with a foreign key.
func (r *rig) appTable(tb testing.TB, id string) {
	tb.Helper()
	db, tables := r.tables(tb)
	defer db.Close()
	users := "users"
	if strings.Contains(tables[0], ".") {
		users = "auth.users"
	}
	kind := map[string]string{"users": "text", "auth.users": "uuid"}[users]
	for _, text := range []string{
		`CREATE TABLE cases (author ` + kind + ` NOT NULL REFERENCES ` + users + ` (id))`, `INSERT INTO cases VALUES ('` + id + `')`,
	} {
		if _, err := db.ExecContext(context.Background(), text); err != nil {
			tb.Fatal(err)
		}
	}
}

// A15.5, B2.13, B2.16: a token that is still valid neither opens anything nor brings anybody
// back, of somebody deleted and of somebody banned.
func TestNobodyComesBack(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := stillRig(t, kind, "CARDEA_VERIFICATION=none")
			gone, banned := r.leaver(t, 1), r.leaver(t, 2)
			r.call(t, 204, "DELETE", "/api/users/me", gone.access, "")
			r.call(t, 200, "PUT", "/admin/v1/users/"+banned.id+"/ban", r.service, "", "X-Reason", "abuse")
			before := r.count(t)
			for _, l := range []leaver{gone, banned} {
				for _, x := range [][2]string{
					{"GET", "/api/users/me"}, {"PATCH", "/api/users/me"}, {"GET", "/api/auth/sessions"}, {"GET", "/auth/v1/user"}, {"PUT", "/auth/v1/user"},
					{"GET", "/api/v1/users/me"}, {"PUT", "/api/v1/users/me"}, {"POST", "/api/tenants"}, {"POST", "/api/v1/auth/last-method"},
				} {
					if a := r.call(t, 0, x[0], x[1], l.access, `{"slug":"new","name":"New","method":"google","data":{"a":1}}`); a.Code != 401 && a.Code != 403 {
						t.Errorf("%s %s: %d %s", x[0], x[1], a.Code, a.body)
					}
				}
			}
			if after := r.count(t); after != before {
				t.Errorf("rows before and after: %s and %s", before, after)
			}
		})
	}
}

// count counts the rows of the tables that a sign-in or a provision would fill.
func (r *rig) count(tb testing.TB) string {
	tb.Helper()
	var out []string
	for _, table := range []string{"users", "identities", "profiles", "sessions", "memberships", "tenants"} {
		r.rows(tb, `SELECT count(*) FROM %s`+table, func(scan func(...any) error) error {
			var n int
			err := scan(&n)
			out = append(out, fmt.Sprintf("%s %d", table, n))
			return err
		})
	}
	return strings.Join(out, ", ")
}

// killed is a store that dies at a call: nothing is answered any more. Whether the call itself
// has been done is told by after.
type killed struct {
	job.Erasures

	at    int
	after bool
	calls int
	dead  bool
}

var errKilled = errors.New("the process is gone")

func (k *killed) AdvanceErasure(ctx context.Context, a auth.ErasureAdvance) (auth.Erasure, error) {
	if k.calls++; k.calls == k.at || k.dead {
		if !k.dead && k.after {
			if _, err := k.Erasures.AdvanceErasure(ctx, a); err != nil {
				return auth.Erasure{}, err
			}
		}
		k.dead = true
		return auth.Erasure{}, errKilled
	}
	return k.Erasures.AdvanceErasure(ctx, a)
}

func (k *killed) ReleaseErasure(ctx context.Context, id auth.ID) error {
	if k.dead {
		return errKilled
	}
	return k.Erasures.ReleaseErasure(ctx, id)
}

// A16.3, B2.15: the process dies before and after each step, and another one completes the
// job when the lease has run out, without doing anything twice.
func TestErasureSurvivesDeath(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := stillRig(t, kind, "CARDEA_VERIFICATION=none")
			n, complete := 0, false
			for at := 1; !complete; at++ {
				for _, after := range []bool{false, true} {
					n++
					l := r.leaver(t, n)
					r.call(t, 204, "DELETE", "/api/users/me", l.access, "")
					k := &killed{Erasures: r.store, at: at, after: after}
					eraser := r.eraser()
					eraser.Store, eraser.Batch = k, 20
					_, err := eraser.Once(t.Context())
					if complete = !k.dead; complete {
						if err != nil || at < 5 {
							t.Fatalf("only %d calls: %v", k.calls, err)
						}
						break
					}
					if !errors.Is(err, errKilled) {
						t.Fatalf("killed at %d: %v", at, err)
					}
					if worked, err := r.EraseDue(t.Context()); worked != 0 || err != nil {
						t.Fatalf("the lease is not kept: %d, %v", worked, err)
					}
					r.forward(6 * time.Minute)
					if _, err := r.EraseDue(t.Context()); err != nil {
						t.Fatal(err)
					}
					r.gone(t, &l)
				}
			}
			r.rows(t, `SELECT count(*) FROM %saudit_log_entries WHERE CAST(payload AS text) LIKE '%%user_erased%%'`, func(scan func(...any) error) error {
				var entries int
				err := scan(&entries)
				if entries != n {
					t.Errorf("%d deletions, %d entries that say so", n, entries)
				}
				return err
			})
		})
	}
}

// X17, B2.15, design section 6b: who may delete and export. A session of yesterday needs the
// code of a message, which works once; an account with a second factor needs that; nothing is
// changed by a refusal.
func TestFreshness(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t, kind)
			r.made(t, "nora@gone.example")
			s := r.must(t, "POST", "/token?grant_type=password", "", object{"email": "nora@gone.example", "password": "correct horse"})
			r.forward(25 * time.Hour)
			s = r.must(t, "POST", "/token?grant_type=refresh_token", "", object{"refresh_token": s.text(t, "refresh_token")})
			access := s.text(t, "access_token")
			for _, x := range [][2]string{{"DELETE", "/api/users/me"}, {"GET", "/api/users/me/export"}, {"DELETE", "/api/v1/users/me"}} {
				if a := r.call(t, 403, x[0], x[1], access, ""); !strings.Contains(a.body, "REAUTHENTICATION_REQUIRED") {
					t.Errorf("%s %s: %s", x[0], x[1], a.body)
				}
			}
			r.must(t, "GET", "/reauthenticate", access, nil)
			code := r.mail(t, "nora@gone.example").Code
			r.call(t, 400, "DELETE", "/api/users/me?nonce=000000", access, "")
			r.call(t, 200, "GET", "/api/users/me/export?nonce="+code, access, "")
			r.call(t, 400, "DELETE", "/api/users/me?nonce="+code, access, "")

			// With a second factor the password is not enough.
			s = r.must(t, "POST", "/token?grant_type=password", "", object{"email": "nora@gone.example", "password": "correct horse"})
			access = s.text(t, "access_token")
			db, tables := r.tables(t)
			defer db.Close()
			schema, _, found := strings.Cut(tables[0], ".")
			if schema += "."; !found {
				schema = ""
			}
			if _, err := db.ExecContext(t.Context(), `INSERT INTO `+schema+`mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
				SELECT id, id, 'totp', 'verified', created_at, created_at FROM `+schema+`users WHERE email = 'nora@gone.example'`); err != nil {
				t.Fatal(err)
			}
			for _, x := range [][2]string{{"DELETE", "/api/users/me"}, {"GET", "/api/users/me/export"}} {
				if a := r.call(t, 403, x[0], x[1], access, ""); !strings.Contains(a.body, "MFA_REQUIRED") && !strings.Contains(a.body, "factor") {
					t.Errorf("%s %s: %s", x[0], x[1], a.body)
				}
			}
			r.call(t, 200, "GET", "/api/users/me", access, "")
		})
	}
}
