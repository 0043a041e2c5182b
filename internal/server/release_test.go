package server

import (
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/gotruetest"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/store/postgres"
	"github.com/cardea-auth/cardea/internal/token"
)

// readable lists what GoTrue relies on in each row that it reads, beyond what the database
// itself enforces: each is a count of rows that it could not read, or would misread. NULL in
// a text column is its issue 1940.
func readable() map[string]string {
	// What is left of a deleted account says nothing any more, with GoTrue as with us.
	const living = `EXISTS (SELECT FROM auth.users u WHERE u.id = i.user_id AND u.deleted_at IS NULL)`
	return map[string]string{
		"users, texts": `auth.users WHERE confirmation_token IS NULL OR recovery_token IS NULL OR email_change_token_new IS NULL OR email_change IS NULL
			OR phone_change IS NULL OR phone_change_token IS NULL OR email_change_token_current IS NULL OR reauthentication_token IS NULL
			OR email_change_confirm_status IS NULL OR encrypted_password IS NULL`,
		"users, identity of the instance": `auth.users WHERE instance_id IS DISTINCT FROM '00000000-0000-0000-0000-000000000000'`,
		"users, audience and role":        `auth.users WHERE coalesce(aud, '') = '' OR coalesce(role, '') = ''`,
		"users, times":                    `auth.users WHERE created_at IS NULL OR updated_at IS NULL`,
		"users, addresses":                `auth.users WHERE deleted_at IS NULL AND (email <> lower(email) OR email = '' OR phone = '' OR phone LIKE '+%')`,
		"users, documents":                `auth.users WHERE jsonb_typeof(raw_app_meta_data) IS DISTINCT FROM 'object' OR jsonb_typeof(raw_user_meta_data) IS DISTINCT FROM 'object'`,
		"users, providers": `auth.users u WHERE NOT is_anonymous AND deleted_at IS NULL AND (raw_app_meta_data ->> 'provider' IS NULL
			OR NOT EXISTS (SELECT FROM auth.identities i WHERE i.user_id = u.id AND u.raw_app_meta_data -> 'providers' ? i.provider)
				AND EXISTS (SELECT FROM auth.identities i WHERE i.user_id = u.id))`,
		"users, passwords":    `auth.users WHERE encrypted_password <> '' AND encrypted_password !~ '^\$(2[aby]|argon2id?|fbscrypt)\$'`,
		"identities, subject": `auth.identities i WHERE ` + living + ` AND (identity_data ->> 'sub' IS DISTINCT FROM provider_id OR created_at IS NULL OR updated_at IS NULL)`,
		"identities, address": `auth.identities i WHERE ` + living + ` AND (provider IN ('email', 'phone') AND provider_id <> user_id::text
			OR provider = 'email' AND (identity_data ->> 'email' IS NULL OR identity_data -> 'email_verified' IS NULL))`,
		"sessions":  `auth.sessions WHERE created_at IS NULL OR updated_at IS NULL OR aal IS NULL OR refresh_token_hmac_key LIKE 'gotrue:%'`,
		"methods":   `auth.sessions s WHERE NOT EXISTS (SELECT FROM auth.mfa_amr_claims c WHERE c.session_id = s.id)`,
		"one-times": `auth.one_time_tokens WHERE token_hash = '' OR relates_to IS NULL`,
		"audit log": `auth.audit_log_entries WHERE instance_id IS DISTINCT FROM '00000000-0000-0000-0000-000000000000' OR created_at IS NULL
			OR payload ->> 'action' IS NULL OR payload ->> 'log_type' IS NULL OR payload -> 'actor_id' IS NULL`,
		"tokens of sessions": `auth.sessions s WHERE refresh_token_counter IS NOT NULL AND (refresh_token_hmac_key IS NULL
			OR EXISTS (SELECT FROM auth.refresh_tokens r WHERE r.session_id = s.id AND r.revoked IS NOT TRUE))`,
	}
}

// writeEveryKindOfRow makes a server write all that it writes.
func writeEveryKindOfRow(t *testing.T, r *rig) {
	t.Helper()
	r.must(t, "POST", "/signup", "", object{"email": "Waits@Clinic.Example", "password": "correct horse", "data": object{"first_name": "W"}})
	r.must(t, "POST", "/signup", "", object{"email": "proves@clinic.example", "password": "correct horse"})
	proved := r.must(t, "POST", "/verify", "", object{"type": "signup", "token_hash": linkToken(t, r.mail(t, "proves@clinic.example"))})
	r.must(t, "PUT", "/user", proved.text(t, "access_token"), object{"email": "elsewhere@clinic.example", "data": object{"x": 1}})
	r.must(t, "POST", "/signup", "", object{"phone": "+491700000001", "password": "correct horse"})
	anonymous := r.must(t, "POST", "/signup", "", object{"data": object{}})
	r.must(t, "PUT", "/user", anonymous.text(t, "access_token"), object{"email": "named@clinic.example"})
	r.must(t, "POST", "/invite", r.service, object{"email": "invited@clinic.example"})
	_, challenge := pkcePair()
	r.must(t, "POST", "/otp", "", object{"email": "code@clinic.example", "create_user": true, "code_challenge": challenge, "code_challenge_method": "s256"})
	r.must(t, "POST", "/recover", "", object{"email": gotruetest.Email(6)})
	r.must(t, "POST", "/admin/users", r.service, object{"email": "made@clinic.example", "phone": "491700000002", "password": "correct horse", "email_confirm": true})
	id := r.made(t, "banned@clinic.example")
	r.must(t, "PUT", "/admin/users/"+id, r.service, object{"ban_duration": "24h", "app_metadata": object{"roles": []string{"nurse"}}, "password": "another horse"})
	gone := r.made(t, "gone@clinic.example")
	r.must(t, "DELETE", "/admin/users/"+gone, r.service, object{"should_soft_delete": true})
	r.must(t, "POST", "/admin/generate_link", r.service, object{"type": "signup", "email": "linked@clinic.example", "password": "correct horse"})
	w := httptest.NewRecorder()
	req := httptest.NewRequest("POST", "/api/auth/register", strings.NewReader(`{"email":"rest@clinic.example","password":"correct horse"}`))
	req.Header.Set("Content-Type", "application/json")
	r.Handler().ServeHTTP(w, req)
	if w.Code >= 300 {
		t.Fatalf("register: %d %s", w.Code, w.Body)
	}
}

// The way back: whatever we have written, GoTrue can read; sessions go on with it; nobody
// of us starts on its schema; and a second adoption takes everything up again.
func TestReleaseToGoTrue(t *testing.T) {
	t.Parallel()
	r, conn := adoptedRig(t, Options{Inbox: &notify.Inbox{}}, proof("GOTRUE_MAILER_AUTOCONFIRM=false", "CARDEA_PASSWORD_ALGORITHM=bcrypt")[1:]...)
	writeEveryKindOfRow(t, r)
	fresh := r.must(t, "POST", "/token?grant_type=password", "", object{"email": gotruetest.Email(2), "password": gotruetest.Password(2)}).text(t, "refresh_token")
	moved := r.refresh(gotruetest.Token(5, 3)).text(t, "refresh_token")
	counted := r.refresh(gotruetest.CountedToken(27, 6)).text(t, "refresh_token")

	// A server that still runs is in the way.
	if rep, err := Release(t.Context(), r.cfg, ReleaseOptions{}); !errors.Is(err, postgres.ErrNotAdoptable) || len(rep.Problems) == 0 ||
		!strings.Contains(rep.Problems[0].What, "server of Cardea") {
		t.Fatalf("%v %+v", err, rep)
	}
	if err := r.Close(); err != nil { // the jobs find a closed database, and end with the test
		t.Fatal(err)
	}
	rep, err := Release(t.Context(), r.cfg, ReleaseOptions{})
	if err != nil || rep.Sessions < 5 {
		t.Fatalf("%v %+v", err, rep)
	}
	for what, rows := range readable() {
		if n := count(t, conn, "SELECT count(*) FROM "+rows); n != 0 {
			t.Errorf("%s: GoTrue can't read %d rows", what, n)
		}
	}
	for sql, want := range map[string]int{
		"SELECT count(*) FROM auth.one_time_tokens": 0,
		"SELECT count(*) FROM auth.flow_state":      0,
		"SELECT count(*) FROM auth.refresh_tokens WHERE session_id = '" + gotruetest.SessionID(5) + "' AND NOT revoked":  0,
		"SELECT count(*) FROM auth.refresh_tokens WHERE session_id = '" + gotruetest.SessionID(13) + "' AND NOT revoked": 1,
		"SELECT count(*) FROM auth.cardea_adoption WHERE released_at IS NOT NULL":                                        1,
	} {
		if n := count(t, conn, sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	for name, text := range map[string]string{"begun with us": fresh, "rows": moved, "numbers": counted, "never came": gotruetest.CountedToken(31, 3)} {
		if !goTrueAccepts(t, conn, text) {
			t.Errorf("GoTrue refuses the refresh token: %s", name)
		}
	}

	// Twice, and while it is GoTrue's.
	if _, err := Release(t.Context(), r.cfg, ReleaseOptions{EndSessions: true}); !errors.Is(err, postgres.ErrNotAdopted) {
		t.Errorf("released twice: %v", err)
	}
	if _, err := Open(t.Context(), r.cfg, Options{}); !errors.Is(err, postgres.ErrSchemaOlder) {
		t.Errorf("a server started on GoTrue's schema: %v", err)
	}
	if err := Migrate(t.Context(), r.cfg); !errors.Is(err, postgres.ErrForeignSchema) {
		t.Errorf("migrated: %v", err)
	}
	// GoTrue works for a while: it goes on with a session, and somebody signs up.
	if _, err := conn.Exec(t.Context(), `UPDATE auth.sessions SET refresh_token_counter = refresh_token_counter + 1 WHERE id = $1`, gotruetest.SessionID(31)); err != nil {
		t.Fatal(err)
	}
	again, err := Adopt(t.Context(), r.cfg, AdoptOptions{})
	if err != nil || again.Already || !again.Again {
		t.Fatalf("%v %+v", err, again)
	}
	back := openRig(t, r.cfg, Options{Inbox: &notify.Inbox{}})
	for name, text := range map[string]string{"begun with us": fresh, "rows": moved, "numbers": counted, "of GoTrue since": gotruetest.CountedToken(31, 4)} {
		if a := back.refresh(text); a.Code != 200 {
			t.Errorf("%s: %d %s", name, a.Code, a.body)
		}
	}
	if a := back.refresh(gotruetest.Token(5, 3)); a.Code != 400 {
		t.Errorf("a token from before everything: %d %s", a.Code, a.body)
	}
}

// goTrueAccepts does what GoTrue does with a refresh token: the key in the row proves it,
// the number in the row makes it the current one.
func goTrueAccepts(t *testing.T, conn *pgx.Conn, text string) bool {
	t.Helper()
	u, ok := token.ReadRefresh(text)
	if !ok {
		return false
	}
	var key string
	var counter int64
	err := conn.QueryRow(t.Context(), "SELECT refresh_token_hmac_key, refresh_token_counter FROM auth.sessions WHERE id = $1",
		u.Session.String()).Scan(&key, &counter)
	if err != nil {
		t.Error(err)
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(key)
	return err == nil && u.MadeWith(raw) && counter == u.Counter
}

// Without the keys nobody's session is written into the database.
func TestReleaseEndsSessions(t *testing.T) {
	t.Parallel()
	r, conn := adoptedRig(t, Options{})
	fresh := r.must(t, "POST", "/token?grant_type=password", "", object{"email": gotruetest.Email(2), "password": gotruetest.Password(2)}).text(t, "refresh_token")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := Release(t.Context(), r.cfg, ReleaseOptions{EndSessions: true, LockTimeout: time.Second}); err != nil || rep.Sessions != 0 {
		t.Fatalf("%v %+v", err, rep)
	}
	u, _ := token.ReadRefresh(fresh)
	if n := count(t, conn, "SELECT count(*) FROM auth.sessions WHERE id = $1 AND refresh_token_hmac_key IS NULL", u.Session.String()); n != 1 {
		t.Error("a key was written")
	}
}

// Nothing of this is for SQLite, and nothing for a database that was always ours.
func TestAdoptElsewhere(t *testing.T) {
	t.Parallel()
	lite := load(t, databaseURL(t, "sqlite"))
	if _, err := Adopt(t.Context(), lite, AdoptOptions{}); !errors.Is(err, errNoGoTrue) {
		t.Errorf("%v", err)
	}
	if _, err := Release(t.Context(), lite, ReleaseOptions{}); !errors.Is(err, errNoGoTrue) {
		t.Errorf("%v", err)
	}
	ours := load(t, databaseURL(t, "postgres"))
	if rep, err := Adopt(t.Context(), ours, AdoptOptions{}); !errors.Is(err, postgres.ErrNotAdoptable) || !strings.Contains(rep.Problems[0].What, "made by Cardea itself") {
		t.Errorf("%v %+v", err, rep)
	}
	if _, err := Release(t.Context(), ours, ReleaseOptions{}); !errors.Is(err, postgres.ErrNotAdopted) {
		t.Errorf("%v", err)
	}
	// Tokens of a GoTrue that was never here.
	s := openRig(t, ours, Options{})
	for _, text := range []string{gotruetest.Token(5, 3), gotruetest.CountedToken(27, 6)} {
		if a := s.refresh(text); a.Code != 400 {
			t.Errorf("%d %s", a.Code, a.body)
		}
	}
}

// guideSQL is the block of SQL in the guide that says it is run by a test.
func guideSQL(t *testing.T, test string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/guides/adopt-supabase.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- tested: "+test+" -->\n```sql\n")
	sql, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("the guide has no block for %s", test)
	}
	return sql
}

// A15.6: with the trigger of the guide nobody is turned away, and what failed is kept.
func TestGuideTrigger(t *testing.T) {
	t.Parallel()
	r, conn := adoptedRig(t, Options{})
	if _, err := conn.Exec(t.Context(), guideSQL(t, "TestGuideTrigger")+"; ALTER TABLE public.profiles ADD CHECK (first_name IS NOT NULL) NOT VALID"); err != nil {
		t.Fatal(err)
	}
	good := r.must(t, "POST", "/signup", "", object{"email": "good@clinic.example", "password": "a good password", "data": object{"first_name": "G"}})
	bad := r.must(t, "POST", "/signup", "", object{"email": "bad@clinic.example", "password": "a good password"})
	for id, want := range map[string][2]int{good.text(t, "user", "id"): {1, 0}, bad.text(t, "user", "id"): {0, 1}} {
		if got := [2]int{
			count(t, conn, "SELECT count(*) FROM public.profiles WHERE id = $1", id), count(t, conn, "SELECT count(*) FROM public.failed_profiles WHERE user_id = $1", id),
		}; got != want {
			t.Errorf("profiles and failures: %v, want %v", got, want)
		}
	}
}
