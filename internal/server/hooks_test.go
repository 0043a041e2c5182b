package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/notify"
)

// hookSecret is what the hooks of these tests are signed with.
const hookSecret = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// called is one request that a hook got.
type called struct {
	id   string
	body string
}

func (c called) json(tb testing.TB) object {
	tb.Helper()
	var v object
	if err := json.Unmarshal([]byte(c.body), &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

// application is the other side of hooks. It checks every signature.
type application struct {
	url    string
	answer func(w http.ResponseWriter, r *http.Request, body string)

	mu    sync.Mutex
	calls []called
	more  chan struct{} // gets a value with each call
}

// newApplication answers with {} unless answer is given.
func newApplication(tb testing.TB, answer func(w http.ResponseWriter, r *http.Request, body string)) *application {
	tb.Helper()
	secrets, err := hook.ParseSecrets(hookSecret)
	if err != nil {
		tb.Fatal(err)
	}
	a := &application{answer: answer, more: make(chan struct{}, 1000)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		stamp, _ := time.ParseDuration(r.Header.Get(hook.HeaderTimestamp) + "s")
		if err := secrets.Verify(r.Header, body, time.Unix(int64(stamp.Seconds()), 0)); err != nil {
			tb.Errorf("a hook's signature: %v", err)
		}
		a.mu.Lock()
		a.calls = append(a.calls, called{r.Header.Get(hook.HeaderID), string(body)})
		a.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if a.answer != nil {
			a.answer(w, r, string(body))
		} else {
			_, _ = io.WriteString(w, "{}")
		}
		a.more <- struct{}{}
	}))
	tb.Cleanup(s.Close)
	a.url = s.URL
	return a
}

// settings are the configuration of one hook, or more, at this application.
func (a *application) settings(names ...string) []string {
	var list []string
	for _, name := range names {
		list = append(list, hookAt(name, a.url+"/"+strings.ToLower(name)+"?key=secret")...)
	}
	return list
}

func hookAt(name, uri string) []string {
	base := "CARDEA_HOOK_" + name
	return []string{base + "_ENABLED=true", base + "_URI=" + uri, base + "_SECRETS=" + hookSecret}
}

// wait gives the n-th call, from 0.
func (a *application) wait(tb testing.TB, n int) called {
	tb.Helper()
	for deadline := time.After(20 * time.Second); ; {
		if a.count() > n {
			a.mu.Lock()
			defer a.mu.Unlock() //nolint:revive // the loop ends here
			return a.calls[n]
		}
		select {
		case <-a.more:
		case <-deadline:
			tb.Fatalf("only %d calls", n)
		}
	}
}

func (a *application) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

func say(text string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) { _, _ = io.WriteString(w, text) }
}

// newcomers are the ways to a new account.
func newcomers(r *rig) map[string]func(email string) reply {
	post := func(path, token string, more object) func(string) reply {
		return func(email string) reply {
			body := object{"email": email}
			for name, v := range more {
				body[name] = v
			}
			return r.ask("POST", path, token, body)
		}
	}
	return map[string]func(string) reply{
		"signup":        post("/signup", "", object{"password": "correct horse"}),
		"otp":           post("/otp", "", nil),
		"magiclink":     post("/magiclink", "", nil),
		"invite":        post("/invite", r.service, nil),
		"generate_link": post("/admin/generate_link", r.service, object{"type": "invite"}),
		"admin":         post("/admin/users", r.service, nil),
		"anonymous":     func(string) reply { return r.ask("POST", "/signup", "", object{}) },
	}
}

func (r *rig) users(tb testing.TB) int {
	tb.Helper()
	n := -1
	r.rows(tb, "SELECT count(*) FROM %susers", func(scan func(...any) error) error { return scan(&n) })
	return n
}

// before-user-created: the status and the sentence of the hook reach the caller, and there
// is no row and no message, whichever way the account would have come about.
func TestBeforeUserCreatedRefuses(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			app := newApplication(t, say(`{"error":{"http_code":418,"message":"Only members of the clinic"}}`))
			r := newMailRig(t, kind, append(app.settings("BEFORE_USER_CREATED"), "CARDEA_ANONYMOUS_ENABLED=true")...)
			ways := newcomers(r)
			for name, make := range ways {
				if a := make(name + "@example.org"); a.Code != 418 || a.text(t, "msg") != "Only members of the clinic" {
					t.Errorf("%s: %d %s", name, a.Code, a.body)
				}
			}
			if n := r.users(t); n != 0 || app.count() != len(ways) {
				t.Errorf("%d accounts, %d calls", n, app.count())
			}
			if rows, err := r.store.ClaimMessages(t.Context(), r.now(), time.Minute, 10); err != nil || len(rows) != 0 || len(r.Inbox().Messages("")) != 0 {
				t.Errorf("%d messages, %v", len(rows), err)
			}
		})
	}
}

// The payload is GoTrue's, without anything secret, and taken addresses are asked about like
// others: an answer that came without the hook would tell that they are taken.
func TestBeforeUserCreatedIsAsked(t *testing.T) {
	t.Parallel()
	app := newApplication(t, nil)
	r := newMailRig(t, "sqlite", app.settings("BEFORE_USER_CREATED")...)
	for i := range 2 {
		r.must(t, "POST", "/signup", "", object{"email": "a@example.org", "password": "correct horse", "data": object{"name": "A"}})
		c := app.wait(t, i)
		v := c.json(t)
		meta, _ := v["metadata"].(object)
		user, _ := v["user"].(object)
		data, _ := user["user_metadata"].(object)
		if meta["name"] != "before-user-created" || meta["uuid"] != c.id || meta["ip_address"] != "192.0.2.1" ||
			user["email"] != "a@example.org" || data["name"] != "A" || strings.Contains(c.body, "$2") {
			t.Errorf("call %d: %s", i, c.body)
		}
	}
	if n := r.users(t); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

// after-user-created arrives through the outbox: the account is there whatever the hook
// says, and the news comes again, under the same id, until it is taken.
func TestAfterUserCreatedArrives(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			failures := []int{http.StatusBadGateway, http.StatusInternalServerError}
			app := newApplication(t, nil)
			app.answer = func(w http.ResponseWriter, _ *http.Request, _ string) {
				if n := app.count(); n <= len(failures) {
					w.WriteHeader(failures[n-1])
				}
				_, _ = io.WriteString(w, "{}")
			}
			r := newMailRig(t, kind, app.settings("AFTER_USER_CREATED")...)
			id := r.must(t, "POST", "/signup", "", object{"email": "a@example.org", "password": "correct horse"}).text(t, "id")
			first := app.wait(t, 0)
			for i, status := range failures {
				i++
				r.failed(t, strconv.Itoa(status))
				r.forward(time.Minute)
				if again := app.wait(t, i); again.id != first.id || again.body != first.body {
					t.Errorf("call %d differs: %+v, first %+v", i, again, first)
				}
			}
			user, _ := first.json(t)["user"].(object)
			if user["id"] != id || strings.Contains(first.body, "$2") {
				t.Errorf("the news is of %v: %s", user["id"], first.body)
			}
			r.empty(t)
			r.forward(time.Hour)
			r.must(t, "POST", "/signup", "", object{"email": "b@example.org", "password": "correct horse"})
			if next := app.wait(t, 3); next.id == first.id {
				t.Error("two accounts, one id")
			}
			r.empty(t)
			if app.count() != 4 {
				t.Errorf("%d calls, want 3 for the first account and 1 for the second", app.count())
			}
		})
	}
}

// queue reads the outbox without touching it.
func (r *rig) queue(tb testing.TB) []auth.Message {
	tb.Helper()
	var rows []auth.Message
	each := func(channel string, attempts int, failure string, dead bool) {
		m := auth.Message{Channel: channel, Attempts: attempts, LastError: failure}
		if dead {
			m.DeadAt = r.now()
		}
		rows = append(rows, m)
	}
	r.rows(tb, "SELECT channel, attempts, last_error, dead_at IS NOT NULL FROM %soutbox ORDER BY id", func(scan func(...any) error) error {
		var channel, failure string
		var attempts int
		var dead bool
		err := scan(&channel, &attempts, &failure, &dead)
		each(channel, attempts, failure, dead)
		return err
	})
	return rows
}

// until waits for a state of the outbox.
func (r *rig) until(tb testing.TB, what string, ok func([]auth.Message) bool) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		rows := r.queue(tb)
		if ok(rows) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("%s: %+v", what, rows)
		}
	}
}

// empty waits until everything has been sent.
func (r *rig) empty(tb testing.TB) {
	tb.Helper()
	r.until(tb, "the outbox is not empty", func(rows []auth.Message) bool { return len(rows) == 0 })
}

// failed waits until a failure with such an error has been written down.
func (r *rig) failed(tb testing.TB, reason string) {
	tb.Helper()
	r.until(tb, "no failure with "+reason, func(rows []auth.Message) bool {
		return slices.ContainsFunc(rows, func(m auth.Message) bool { return strings.Contains(m.LastError, reason) })
	})
}

// send-email and send-sms take the place of the senders; what they are given works. A secure
// e-mail change is one call with the tokens of both addresses, crossed as GoTrue's are.
func TestSendHooksReplaceSenders(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			app := newApplication(t, nil)
			r := newRig(t, kind, Options{}, proof(app.settings("SEND_EMAIL", "SEND_SMS")...)...)
			part := func(c called, name string) object { v, _ := c.json(t)[name].(object); return v }

			r.must(t, "POST", "/signup", "", object{"email": "a@example.org", "password": "correct horse"})
			d := part(app.wait(t, 0), "email_data")
			if d["email_action_type"] != "signup" || d["site_url"] != "http://127.0.0.1:9999/auth/v1" {
				t.Errorf("%v", d)
			}
			session := r.must(t, "POST", "/verify", "", object{"type": "signup", "token_hash": d["token_hash"]})

			r.must(t, "PUT", "/user", session.text(t, "access_token"), object{"email": "b@example.org"})
			c := app.wait(t, 1)
			d = part(c, "email_data")
			if u := part(c, "user"); d["email_action_type"] != "email_change" || u["email"] != "a@example.org" || u["new_email"] != "b@example.org" {
				t.Errorf("%v %v", d, u)
			}
			half := r.must(t, "POST", "/verify", "", object{"type": "email_change", "email": "a@example.org", "token": d["token"]})
			if half.text(t, "access_token") != "" {
				t.Error("one proof changed the address")
			}
			done := r.must(t, "POST", "/verify", "", object{"type": "email_change", "email": "b@example.org", "token": d["token_new"]})
			if done.text(t, "user", "email") != "b@example.org" {
				t.Errorf("%s", done.body)
			}
			r.until(t, "the notice of the change", func(rows []auth.Message) bool { return len(rows) == 0 })
			notice := app.wait(t, 2)
			if d := part(notice, "email_data"); d["email_action_type"] != "email_changed_notification" || d["old_email"] != "a@example.org" {
				t.Errorf("%s", notice.body)
			}

			r.must(t, "POST", "/otp", "", object{"phone": "+49 170 1234567"})
			c = app.wait(t, 3)
			sms := part(c, "sms")
			if sms["phone"] != "491701234567" {
				t.Errorf("%v", sms)
			}
			r.must(t, "POST", "/verify", "", object{"type": "sms", "phone": "491701234567", "token": sms["otp"]})
			if r.empty(t); app.count() != 4 {
				t.Errorf("%d calls, want 4", app.count())
			}
		})
	}
}

// customize-access-token: its claims are in the tokens of sign-in and refresh; when it
// fails, or would make the token another person's, there is no token.
func TestTokenHook(t *testing.T) {
	t.Parallel()
	var how string
	app := newApplication(t, nil)
	app.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		var v object
		_ = json.Unmarshal([]byte(body), &v)
		claims, _ := v["claims"].(object)
		switch claims["clinic"] = "north"; how {
		case "steal":
			claims["sub"] = "01890000-0000-7000-8000-000000000000"
		case "promote":
			claims["role"] = "service_role"
		case "no":
			_, _ = io.WriteString(w, `{"error":{"http_code":403,"message":"No contract"}}`)
			return
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
		_ = json.NewEncoder(w).Encode(object{"claims": claims})
	}
	r := newMailRig(t, "sqlite", app.settings("CUSTOM_ACCESS_TOKEN")...)
	r.made(t, "a@example.org")
	signIn := func() reply {
		return r.ask("POST", "/token?grant_type=password", "", object{"email": "a@example.org", "password": "correct horse"})
	}
	good := signIn()
	again := r.must(t, "POST", "/token?grant_type=refresh_token", "", object{"refresh_token": good.text(t, "refresh_token")})
	for i, a := range []reply{good, again} {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(a.text(t, "access_token"), ".")[1])
		if err != nil || !strings.Contains(string(payload), `"clinic":"north"`) {
			t.Fatalf("%s %v", payload, err)
		}
		if want := []string{"password", "token_refresh"}[i]; app.wait(t, i).json(t)["authentication_method"] != want {
			t.Errorf("method of %s", app.wait(t, i).body)
		}
		r.must(t, "GET", "/user", a.text(t, "access_token"), nil)
	}
	for mode, want := range map[string]int{"steal": 500, "promote": 500, "no": 403, "broken": 500} {
		how = mode
		for name, a := range map[string]reply{
			"sign-in": signIn(),
			"refresh": r.ask("POST", "/token?grant_type=refresh_token", "", object{"refresh_token": again.text(t, "refresh_token")}),
		} {
			if a.Code != want || strings.Contains(a.body, "token\"") {
				t.Errorf("%s, %s: %d %s", mode, name, a.Code, a.body)
			}
		}
	}
	how = "" // the answers that did not come cost nobody the session
	r.must(t, "POST", "/token?grant_type=refresh_token", "", object{"refresh_token": again.text(t, "refresh_token")})
}

// password-verification: told of right and wrong tries; a rejection looks like a wrong
// password in the hook's words, and may end every session.
func TestPasswordHook(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			decision := `{"decision":"continue"}`
			app := newApplication(t, nil)
			app.answer = func(w http.ResponseWriter, _ *http.Request, _ string) { _, _ = io.WriteString(w, decision) }
			r := newMailRig(t, kind, app.settings("PASSWORD_VERIFICATION_ATTEMPT")...)
			id := r.made(t, "a@example.org")
			signIn := func(password string) reply {
				return r.ask("POST", "/token?grant_type=password", "", object{"email": "a@example.org", "password": password})
			}
			mine := signIn("correct horse")
			wrong := signIn("wrong horse")
			if mine.Code != 200 || wrong.Code != 400 {
				t.Fatalf("%d, %d", mine.Code, wrong.Code)
			}
			for i, valid := range []bool{true, false} {
				if v := app.wait(t, i).json(t); v["user_id"] != id || v["valid"] != valid {
					t.Errorf("%v", v)
				}
			}
			decision = `{"decision":"reject","message":"Too many tries, call us"}`
			if a := signIn("correct horse"); a.Code != 400 || a.text(t, "error_code") != "invalid_credentials" || a.text(t, "msg") != "Too many tries, call us" {
				t.Errorf("%d %s", a.Code, a.body)
			}
			r.must(t, "GET", "/user", mine.text(t, "access_token"), nil) // a rejection alone signs nobody out
			decision = `{"decision":"reject","should_logout_user":true}`
			if a := signIn("wrong horse"); a.Code != 400 {
				t.Errorf("%d %s", a.Code, a.body)
			}
			if a := r.ask("GET", "/user", mine.text(t, "access_token"), nil); a.text(t, "error_code") != "session_not_found" {
				t.Errorf("the session lives: %d %s", a.Code, a.body)
			}
			for _, bad := range []string{`{}`, `{"decision":"yes"}`, `null`, `[]`, `{"decision":"continue"}{}`, ``} {
				decision = bad
				if a := signIn("correct horse"); a.Code != 500 || strings.Contains(a.body, "token\"") {
					t.Errorf("%q: %d %s", bad, a.Code, a.body)
				}
			}
		})
	}
}

// Functions in the database do what web services do.
func TestFunctionHooks(t *testing.T) {
	t.Parallel()
	url := databaseURL(t, "postgres")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `
		CREATE FUNCTION public.before(event jsonb) RETURNS jsonb LANGUAGE sql AS $$
			SELECT CASE WHEN event->'user'->>'email' LIKE '%@example.org' THEN '{}'::jsonb
			ELSE '{"error": {"http_code": 403, "message": "Members only"}}'::jsonb END $$;
		CREATE TABLE public.news (email text);
		CREATE FUNCTION public.after(event jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.news VALUES (event->'user'->>'email') $$;
		CREATE FUNCTION public.token(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_set(event, '{claims,clinic}', '"south"') $$;
		CREATE FUNCTION public.attempt(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
			IF NOT (event->>'valid')::boolean THEN PERFORM pg_sleep(5); END IF; RETURN '{"decision": "continue"}'; END $$`); err != nil {
		t.Fatal(err)
	}
	settings := proof("CARDEA_EMAIL_AUTOCONFIRM=true")
	for name, function := range map[string]string{
		"BEFORE_USER_CREATED": "before", "AFTER_USER_CREATED": "after", "CUSTOM_ACCESS_TOKEN": "token", "PASSWORD_VERIFICATION_ATTEMPT": "attempt",
	} {
		settings = append(settings, hookAt(name, "pg-functions://postgres/public/"+function)[:2]...)
	}
	r := openRig(t, load(t, url, settings...), Options{Inbox: &notify.Inbox{}})
	if a := r.ask("POST", "/signup", "", object{"email": "a@elsewhere.org", "password": "correct horse"}); a.Code != 403 || a.text(t, "msg") != "Members only" {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a := r.must(t, "POST", "/signup", "", object{"email": "a@example.org", "password": "correct horse"})
	if payload, err := base64.RawURLEncoding.DecodeString(strings.Split(a.text(t, "access_token"), ".")[1]); err != nil || !strings.Contains(string(payload), `"clinic":"south"`) {
		t.Errorf("%s %v", payload, err)
	}
	r.empty(t)
	var email string
	if err := conn.QueryRow(t.Context(), `SELECT email FROM public.news`).Scan(&email); err != nil || email != "a@example.org" {
		t.Errorf("the news: %q, %v", email, err)
	}
	if a := r.ask("POST", "/token?grant_type=password", "", object{"email": "a@example.org", "password": "wrong horse"}); a.Code != 422 || a.text(t, "error_code") != "hook_timeout" {
		t.Errorf("a function that sleeps: %d %s", a.Code, a.body)
	}
	if n := r.users(t); n != 1 {
		t.Errorf("%d accounts", n)
	}
}
