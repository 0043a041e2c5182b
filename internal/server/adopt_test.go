package server

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/gotruetest"
	"github.com/cardea-auth/cardea/internal/pgtest"
)

// syncBuffer is a log that is read while the server writes it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// gotrueSecret is what the GoTrue that is replaced has signed with.
const gotrueSecret = "the-secret-of-the-old-gotrue-0123456789"

func gotrueDatabase(url string) error {
	return gotruetest.Make(context.Background(), url, 100, time.Now().Add(-time.Hour))
}

// adoptedRig is a server on the database of a GoTrue, with GoTrue's own variables.
func adoptedRig(t *testing.T, opt Options, settings ...string) (*rig, *pgx.Conn) {
	t.Helper()
	url := pgtest.NewMigrated(t, gotrueDatabase)
	cfg := gotrueConfig(t, url, settings...)
	if r, err := Adopt(t.Context(), cfg, AdoptOptions{}); err != nil {
		t.Fatalf("%v %+v", err, r.Problems)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return openRig(t, cfg, opt), conn
}

// gotrueConfig is what a compose file says to GoTrue: nothing in it is Cardea's.
func gotrueConfig(t *testing.T, url string, settings ...string) config.Config {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{Env: append([]string{
		"GOTRUE_DB_DATABASE_URL=" + url, "GOTRUE_JWT_SECRET=" + gotrueSecret, "API_EXTERNAL_URL=http://127.0.0.1:9999",
		"GOTRUE_SITE_URL=http://127.0.0.1:3000", "GOTRUE_JWT_AUD=authenticated", "GOTRUE_JWT_ISSUER=http://127.0.0.1:9999/auth/v1",
		"GOTRUE_JWT_EXP=3600", "GOTRUE_MAILER_AUTOCONFIRM=true", "GOTRUE_EXTERNAL_EMAIL_ENABLED=true", "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true",
	}, settings...)})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// signedByGoTrue is a token as GoTrue made it: HS256, no key id.
func signedByGoTrue(t *testing.T, claims object) string {
	t.Helper()
	return signedWithHeader(t, claims, `{"alg":"HS256","typ":"JWT"}`)
}

// signedWithKeyID is one of a GoTrue with GOTRUE_JWT_KEY_ID.
func signedWithKeyID(t *testing.T, claims object, kid string) string {
	t.Helper()
	return signedWithHeader(t, claims, `{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`)
}

func signedWithHeader(t *testing.T, claims object, header string) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(sha256.New, []byte(gotrueSecret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (r *rig) refresh(token string) reply {
	return r.ask("POST", "/token?grant_type=refresh_token", "", object{"refresh_token": token})
}

// asPerson runs statements as PostgREST does for the bearer of a token.
func asPerson(t *testing.T, conn *pgx.Conn, claims string, work func(pgx.Tx)) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), "SELECT set_config('request.jwt.claims', $1, true)", claims); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE authenticated"); err != nil {
		t.Fatal(err)
	}
	work(tx)
}

func count(t *testing.T, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, sql string, args ...any,
) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func claimsOf(t *testing.T, token string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// C24, S3.15, S3.16, B3.6: people sign in with their old passwords, and the application's
// keys, triggers and policies go on.
//
//nolint:tparallel // the parts go on from one another
func TestAdoptedDatabase(t *testing.T) {
	t.Parallel()
	r, conn := adoptedRig(t, Options{}, "GOTRUE_JWT_KEY_ID=old-key")
	t.Run("old passwords", func(t *testing.T) {
		for i := 1; i <= 5; i++ {
			in := r.must(t, "POST", "/token?grant_type=password", "", object{"email": gotruetest.Email(i), "password": gotruetest.Password(i)})
			u := r.must(t, "GET", "/user", in.text(t, "access_token"), nil)
			if u.text(t, "id") != gotruetest.UserID(i) || u.text(t, "user_metadata", "first_name") != fmt.Sprintf("First%d", i) ||
				u.text(t, "app_metadata", "provider") != "email" || u.text(t, "role") != "authenticated" || !strings.Contains(u.body, `"identity_id"`) {
				t.Errorf("user %d: %s", i, u.body)
			}
		}
		if a := r.ask("POST", "/token?grant_type=password", "", object{"email": gotruetest.Email(1), "password": "wrong-password"}); a.Code != 400 {
			t.Errorf("a wrong password: %d", a.Code)
		}
	})
	t.Run("by phone, banned, anonymous", func(t *testing.T) {
		cfg := r.cfg
		cfg.PhoneEnabled = true
		other := openRig(t, cfg, Options{})
		other.must(t, "POST", "/token?grant_type=password", "", object{"phone": "+491500000010", "password": gotruetest.Password(10)})
	})
	t.Run("rows with NULL", func(t *testing.T) { // GoTrue's issue 1940
		_, err := conn.Exec(t.Context(), `INSERT INTO auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, created_at)
			SELECT gen_random_uuid(), 'authenticated', 'authenticated', 'hand@clinic.example', encrypted_password, now(), '{}', now() FROM auth.users WHERE email = $1`, gotruetest.Email(1))
		if err != nil {
			t.Fatal(err)
		}
		in := r.must(t, "POST", "/token?grant_type=password", "", object{"email": "hand@clinic.example", "password": gotruetest.Password(1)})
		r.must(t, "GET", "/user", in.text(t, "access_token"), nil)
	})
	t.Run("admin", func(t *testing.T) {
		list := r.must(t, "GET", "/admin/users?per_page=1000", r.service, nil)
		if n := list.Header().Get("X-Total-Count"); n != "101" {
			t.Errorf("%s accounts", n)
		}
		legacy := signedByGoTrue(t, object{"role": "service_role", "iss": "supabase", "iat": 1700000000, "exp": 2100000000})
		r.must(t, "GET", "/admin/users/"+gotruetest.UserID(25), legacy, nil)
		anon := signedByGoTrue(t, object{"role": "anon", "iss": "supabase", "iat": 1700000000, "exp": 2100000000})
		if a := r.ask("GET", "/admin/users", anon, nil); a.Code != 403 {
			t.Errorf("the anon key administers: %d", a.Code)
		}
		r.must(t, "GET", "/settings", anon, nil)
	})
	t.Run("access token of the old server", func(t *testing.T) {
		claims := object{
			"iss": "http://127.0.0.1:9999/auth/v1", "sub": gotruetest.UserID(13), "aud": "authenticated", "exp": time.Now().Add(time.Hour).Unix(),
			"iat": time.Now().Unix(), "role": "authenticated", "session_id": gotruetest.SessionID(13), "aal": "aal1", "is_anonymous": false,
		}
		r.must(t, "GET", "/user", signedByGoTrue(t, claims), nil)
		if a := r.ask("GET", "/user", signedByGoTrue(t, claims)+"x", nil); a.Code != 403 {
			t.Errorf("a broken signature: %d", a.Code)
		}
		if a := r.ask("GET", "/user", signedWithKeyID(t, claims, "old-key"), nil); a.Code != 200 {
			t.Errorf("with GOTRUE_JWT_KEY_ID: %d %s", a.Code, a.body)
		}
		if a := r.ask("GET", "/user", signedWithKeyID(t, claims, "other-key"), nil); a.Code != 403 {
			t.Errorf("with an unknown key id: %d %s", a.Code, a.body)
		}
		claims["session_id"] = gotruetest.SessionID(11) // of somebody else
		if a := r.ask("GET", "/user", signedByGoTrue(t, claims), nil); a.Code != 403 {
			t.Errorf("a session of somebody else: %d", a.Code)
		}
	})
	t.Run("trigger, policies, keys", func(t *testing.T) { testAdoptedApplication(t, r, conn) })
}

func testAdoptedApplication(t *testing.T, r *rig, conn *pgx.Conn) {
	in := r.must(t, "POST", "/signup", "", object{
		"email": "new@clinic.example", "password": "a good password",
		"data": object{"first_name": "Nora", "last_name": "New", "clinic": "north"},
	})
	id := in.text(t, "user", "id")
	if count(t, conn, "SELECT count(*) FROM public.profiles WHERE id = $1 AND first_name = 'Nora' AND clinic = 'north'", id) != 1 ||
		count(t, conn, "SELECT count(*) FROM public.subscriptions WHERE user_id = $1 AND plan = 'free'", id) != 1 {
		t.Error("the trigger did not make profile and subscription")
	}
	asPerson(t, conn, claimsOf(t, in.text(t, "access_token")), func(tx pgx.Tx) {
		if n := count(t, tx, "SELECT count(*) FROM public.profiles"); n != 1 {
			t.Errorf("sees %d profiles", n)
		}
		if n := count(t, tx, "WITH c AS (INSERT INTO public.cases (user_id, title) VALUES (auth.uid(), 'mine') RETURNING 1) SELECT count(*) FROM c"); n != 1 {
			t.Error("can't open a case")
		}
		if _, err := tx.Exec(t.Context(), "INSERT INTO public.cases (user_id, title) VALUES ($1, 'theirs')", gotruetest.UserID(1)); err == nil {
			t.Error("opened a case for somebody else")
		}
	})
	asPerson(t, conn, `{"role": "authenticated"}`, func(tx pgx.Tx) {
		if n := count(t, tx, "SELECT count(*) FROM public.profiles"); n != 0 {
			t.Errorf("nobody sees %d profiles", n)
		}
	})
	if _, err := conn.Exec(t.Context(), "INSERT INTO public.cases (user_id, title) VALUES ($1, 'kept')", gotruetest.UserID(2)); err != nil {
		t.Fatal(err)
	}
	refused := r.ask("DELETE", "/admin/users/"+gotruetest.UserID(2), r.service, nil)
	if refused.Code != 409 || refused.text(t, "error_code") != "account_in_use" || count(t, conn, "SELECT count(*) FROM auth.users WHERE id = $1", gotruetest.UserID(2)) != 1 {
		t.Errorf("somebody with cases: %d %s", refused.Code, refused.body)
	}
	r.must(t, "DELETE", "/admin/users/"+id, r.service, nil)
	if n := count(t, conn, "SELECT count(*) FROM public.profiles WHERE id = $1", id); n != 0 {
		t.Error("the profile outlives its account")
	}
}

// What clients of the replaced GoTrue hold goes on: each token of a session stands for one
// number of ours, and all rules of refresh tokens hold for it.
//
//nolint:tparallel // the parts go on from one another
func TestAdoptedSessions(t *testing.T) {
	t.Parallel()
	r, conn := adoptedRig(t, Options{})
	for _, c := range []struct {
		name                  string
		i                     int
		current, parent, past string
	}{
		{"tokens in rows", 5, gotruetest.Token(5, 3), gotruetest.Token(5, 2), gotruetest.Token(5, 1)},
		{"tokens with numbers", 13 + 14, gotruetest.CountedToken(27, 6), gotruetest.CountedToken(27, 5), gotruetest.CountedToken(27, 2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := r.refresh(c.current)
			if first.Code != 200 || first.text(t, "user", "id") != gotruetest.UserID(c.i) {
				t.Fatalf("%d %s", first.Code, first.body)
			}
			if !strings.Contains(claimsOf(t, first.text(t, "access_token")), gotruetest.SessionID(c.i)) {
				t.Error("another session")
			}
			ours := first.text(t, "refresh_token")
			if again := r.refresh(c.current); again.Code != 200 || again.text(t, "refresh_token") != ours {
				t.Errorf("the answer was lost: %d %s", again.Code, again.body)
			}
			next := r.refresh(ours)
			if next.Code != 200 {
				t.Fatalf("our token: %d %s", next.Code, next.body)
			}
			ours = r.refresh(next.text(t, "refresh_token")).text(t, "refresh_token")
			// Weeks later somebody finds the old token: the session ends.
			if stolen := r.refresh(c.current); stolen.Code != 400 || stolen.text(t, "error_code") != "refresh_token_already_used" {
				t.Errorf("an old copy: %d %s", stolen.Code, stolen.body)
			}
			if dead := r.refresh(ours); dead.Code != 400 {
				t.Errorf("the session lives: %d", dead.Code)
			}
		})
	}
	t.Run("the parent, for who lost the last answer of GoTrue", func(t *testing.T) {
		for _, token := range []string{gotruetest.Token(9+4, 2), gotruetest.CountedToken(31, gotruetest.Counter(31)-1)} {
			if a := r.refresh(token); a.Code != 200 {
				t.Errorf("%d %s", a.Code, a.body)
			}
		}
	})
	t.Run("a copy from before ends the session", func(t *testing.T) {
		for _, c := range [][2]string{
			{gotruetest.Token(17, 1), gotruetest.Token(17, 3)},
			{gotruetest.CountedToken(39, 1), gotruetest.CountedToken(39, gotruetest.Counter(39))},
		} {
			if a := r.refresh(c[0]); a.Code != 400 || a.text(t, "error_code") != "refresh_token_already_used" {
				t.Errorf("%d %s", a.Code, a.body)
			}
			if a := r.refresh(c[1]); a.Code != 400 {
				t.Errorf("the session lives: %d", a.Code)
			}
		}
	})
	t.Run("forged", func(t *testing.T) {
		forged := gotruetest.CountedToken(47, gotruetest.Counter(47)+1) // with the key of a stolen backup
		for token, code := range map[string]string{
			forged:                              "validation_failed",
			gotruetest.CountedToken(45, 0):      "validation_failed", // that session's tokens are rows
			"abcdefghijkl":                      "refresh_token_not_found",
			gotruetest.CountedToken(47, 5)[:30]: "validation_failed",
		} {
			if a := r.refresh(token); a.Code != 400 || a.text(t, "error_code") != code {
				t.Errorf("%s: %d %s", token, a.Code, a.body)
			}
		}
		if a := r.refresh(gotruetest.CountedToken(47, gotruetest.Counter(47))); a.Code != 200 {
			t.Errorf("a forgery has ended the session: %d %s", a.Code, a.body)
		}
		if a := r.refresh(forged); a.Code != 400 { // now there is a token with that number, and it is ours
			t.Errorf("a forgery: %d", a.Code)
		}
	})
	t.Run("banned", func(t *testing.T) {
		if _, err := conn.Exec(t.Context(), "UPDATE auth.users SET banned_until = 'infinity' WHERE id = $1", gotruetest.UserID(21)); err != nil {
			t.Fatal(err)
		}
		if a := r.refresh(gotruetest.Token(21, 3)); a.Code != 400 || a.text(t, "error_code") != "user_banned" {
			t.Errorf("%d %s", a.Code, a.body)
		}
	})
	t.Run("fifty at once", func(t *testing.T) {
		for _, text := range []string{gotruetest.Token(25+4, 3), gotruetest.CountedToken(43, gotruetest.Counter(43))} {
			got := make(chan string, 50)
			for range cap(got) {
				go func() {
					a := r.refresh(text)
					var v struct {
						Token string `json:"refresh_token"`
					}
					_ = json.Unmarshal([]byte(a.body), &v)
					got <- v.Token
				}()
			}
			tokens := map[string]bool{}
			for range cap(got) {
				tokens[<-got] = true
			}
			if len(tokens) != 1 || tokens[""] {
				t.Errorf("%d different answers", len(tokens))
			}
		}
	})
}

// A15.6, B3.6: an application's trigger that raises: a stable code, nothing changed, and the
// operator sees the trigger's name and words, without whom it happened to.
func TestRaisingTrigger(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	r, conn := adoptedRig(t, Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	before := count(t, conn, "SELECT count(*) FROM auth.users")
	signUp := func(clinic string) reply {
		return r.ask("POST", "/signup", "", object{"email": "someone@clinic.example", "password": "a good password", "data": object{"clinic": clinic}})
	}
	failed := signUp("closed")
	if failed.Code != 500 || failed.text(t, "error_code") != "unexpected_failure" || failed.text(t, "msg") != "Database error saving new user" {
		t.Errorf("%d %s", failed.Code, failed.body)
	}
	for _, want := range []string{"public.handle_new_user", "P0001", "no profile for [address] the clinic is closed", "trigger_failed"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "someone@") {
		t.Error("the log has the address")
	}
	refused := signUp("private")
	if refused.Code != 422 || refused.text(t, "msg") != "This clinic takes people by invitation only" {
		t.Errorf("%d %s", refused.Code, refused.body)
	}
	api := httptest.NewRequest("POST", "/api/auth/register", strings.NewReader(`{"email":"someone@clinic.example","password":"a good password"}`))
	w := httptest.NewRecorder()
	if _, err := conn.Exec(t.Context(), "ALTER TABLE public.profiles ADD COLUMN licence text NOT NULL DEFAULT 'x'; ALTER TABLE public.profiles ALTER licence DROP DEFAULT"); err != nil {
		t.Fatal(err)
	}
	api.Header.Set("Content-Type", "application/json")
	r.Handler().ServeHTTP(w, api)
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"TRIGGER_FAILED"`) || !strings.Contains(log.String(), "SQLSTATE 23502") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if n := count(t, conn, "SELECT count(*) FROM auth.users"); n != before {
		t.Errorf("%d accounts, were %d", n, before)
	}
	if n := count(t, conn, "SELECT count(*) FROM auth.identities WHERE email = 'someone@clinic.example'"); n != 0 {
		t.Error("an identity without an account")
	}
	m := httptest.NewRecorder()
	r.metrics.ServeHTTP(m, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(m.Body.String(), `cardea_trigger_failures_total{outcome="failed"} 2`) || !strings.Contains(m.Body.String(), `{outcome="refused"} 1`) {
		t.Errorf("metrics: %s", m.Body)
	}
}
