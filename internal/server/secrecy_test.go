package server

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// held is a code with its link, as a person has it.
type held struct{ to, kind, code, link string }

// by is the POST /verify with the code.
func (h held) by(code string) object {
	if strings.Contains(h.to, "@") {
		return object{"type": h.kind, "email": h.to, "token": code}
	}
	return object{"type": h.kind, "phone": h.to, "token": code}
}

// secrets are what people and programs hold while the database is copied. Every one of
// them is alive at that moment.
type secrets struct {
	held                []held
	refresh             []string
	access              string
	apiKeys             []string
	authCode            string
	verifier, challenge string
	nonce               string
	stale               string // an access token of a session that needs the nonce
	waiting             string // in a message that has not been sent yet
}

// A4.3: whoever copies the database can't sign in with it. Every flow runs and leaves a
// live token behind; then each value that is stored anywhere, as it is and in the usual
// encodings, is presented to every endpoint that takes a secret. None works, and afterwards
// each of the real secrets still does.
func TestStoredValuesAreNoTokens(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t, kind, "CARDEA_PASSWORD_REQUIRE_REAUTHENTICATION=true")
			s := r.everyFlow(t)
			stored := dump(t, kind, r.cfg.DatabaseURL)
			s.absent(t, stored)
			r.present(t, &s, stored)
			r.control(t, &s)
		})
	}
}

// everyFlow leaves one live token of every kind.
func (r *rig) everyFlow(t *testing.T) secrets {
	s := secrets{}
	s.verifier, s.challenge = pkcePair()
	challenge := func(body object) object {
		body["code_challenge"], body["code_challenge_method"] = s.challenge, "s256"
		return body
	}
	const password = "correct horse"
	for _, name := range []string{"magic", "magic2", "recovery", "change", "phone", "nonce", "link", "pkce"} {
		r.made(t, name+"@example.org")
	}
	signIn := func(name string) string {
		a := r.must(t, "POST", "/token?grant_type=password", "", object{"email": name + "@example.org", "password": password})
		s.refresh = append(s.refresh, a.text(t, "refresh_token"))
		return a.text(t, "access_token")
	}
	signIn("nonce")
	r.forward(25 * time.Hour) // the session of "nonce" is too old for a new password without a nonce
	again := r.must(t, "POST", "/token?grant_type=refresh_token", "", object{"refresh_token": s.refresh[0]})
	s.refresh[0], s.stale = again.text(t, "refresh_token"), again.text(t, "access_token")

	keep := func(to, kind string) {
		m := r.mail(t, to)
		h := held{to: to, kind: kind, code: m.Code}
		if m.Link != "" {
			h.link = linkToken(t, m)
		}
		s.held = append(s.held, h)
	}
	for _, c := range []struct {
		method, path, token string
		body                object
		to, kind            string
	}{
		{"POST", "/signup", "", object{"email": "new@example.org", "password": password}, "new@example.org", "signup"},
		{"POST", "/signup", "", challenge(object{"email": "new2@example.org", "password": password}), "new2@example.org", "signup"},
		{"POST", "/otp", "", object{"email": "magic@example.org"}, "magic@example.org", "magiclink"},
		{"POST", "/magiclink", "", challenge(object{"email": "magic2@example.org"}), "magic2@example.org", "magiclink"},
		{"POST", "/recover", "", object{"email": "recovery@example.org"}, "recovery@example.org", "recovery"},
		{"POST", "/otp", "", object{"phone": "491701111111"}, "491701111111", "sms"},
		{"PUT", "/user", signIn("phone"), object{"phone": "491702222222"}, "491702222222", "phone_change"},
		{"POST", "/invite", r.service, object{"email": "guest@example.org"}, "guest@example.org", "invite"},
		{"PUT", "/user", signIn("change"), object{"email": "changed@example.org"}, "changed@example.org", "email_change"},
	} {
		r.must(t, c.method, c.path, c.token, c.body)
		keep(c.to, c.kind)
		if c.kind == "email_change" {
			s.access = c.token
			keep("change@example.org", c.kind)
		}
	}
	l := r.must(t, "POST", "/admin/generate_link", r.service, object{"type": "recovery", "email": "link@example.org"})
	s.held = append(s.held, held{"link@example.org", "recovery", l.text(t, "email_otp"), l.text(t, "hashed_token")})

	r.must(t, "GET", "/reauthenticate", s.stale, nil)
	s.nonce = r.mail(t, "nonce@example.org").Code
	r.must(t, "POST", "/otp", "", challenge(object{"email": "pkce@example.org"}))
	landed := r.ask("GET", "/verify?type=magiclink&token="+linkToken(t, r.mail(t, "pkce@example.org")), "", nil)
	to, err := url.Parse(landed.Header().Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("no code in %q: %v", to, err)
	}
	s.authCode = to.Query().Get("code")
	for _, kind := range []string{"secret", "publishable"} {
		key, _, err := r.APIKeys().Create(t.Context(), "of the test", kind)
		if err != nil {
			t.Fatal(err)
		}
		s.apiKeys = append(s.apiKeys, key)
	}
	// What waits in the outbox holds secrets too: a message that is sent tomorrow.
	now := auth.Truncate(r.now())
	s.waiting = strings.Repeat("5ecre7", 9)
	m, err := r.messages.Put(now, flow.Notice{
		Channel: "email", Kind: "recovery", To: "recovery@example.org", User: &auth.User{Email: "recovery@example.org"},
		Purpose: auth.PurposeRecovery, Code: "918273", Link: s.waiting,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.NotBefore = now.Add(24 * time.Hour)
	if err := r.store.Enqueue(t.Context(), []auth.Message{m}); err != nil {
		t.Fatal(err)
	}
	return s
}

// dump gives every value of every column of every table, as text, and in the encodings in
// which somebody would try it.
func dump(t *testing.T, kind, databaseURL string) []string {
	t.Helper()
	seen := map[string]bool{}
	add := func(v string) {
		if v = strings.TrimSpace(v); v != "" && len(v) < 4096 {
			seen[v] = true
		}
	}
	var grow func(v any)
	grow = func(v any) {
		switch v := v.(type) {
		case nil:
		case []byte:
			add(hex.EncodeToString(v))
			add(base64.StdEncoding.EncodeToString(v))
			add(base64.RawURLEncoding.EncodeToString(v))
			if isText(v) {
				grow(string(v))
			}
		case string:
			add(v)
			if raw, err := hex.DecodeString(v); err == nil && len(raw) > 8 {
				add(base64.RawURLEncoding.EncodeToString(raw))
				add("pkce_" + v)
			}
			var inside any
			if json.Unmarshal([]byte(v), &inside) == nil {
				grow(inside)
			}
		case map[string]any:
			for name, member := range v {
				add(name)
				grow(member)
			}
		case []any:
			for _, member := range v {
				grow(member)
			}
		default:
			add(fmt.Sprint(v))
		}
	}
	var tables int
	if kind == "postgres" {
		tables = dumpPostgres(t, databaseURL, grow)
	} else {
		tables = dumpSQLite(t, strings.TrimPrefix(databaseURL, "sqlite://"), grow)
	}
	if tables < 8 || len(seen) < 200 {
		t.Fatalf("%d values in %d tables: too few to prove anything", len(seen), tables)
	}
	t.Logf("%d values in %d tables", len(seen), tables)
	values := make([]string, 0, len(seen))
	for v := range seen {
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}

func isText(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c > '~' })
}

// dumpPostgres reads whatever is not the server's own, in its text form; bytea as bytes.
func dumpPostgres(t *testing.T, databaseURL string, each func(any)) (filled int) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name),
		string_agg(quote_ident(column_name) || CASE data_type WHEN 'bytea' THEN '' ELSE '::text' END, ', ' ORDER BY ordinal_position)
		FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
		WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') GROUP BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Name, Columns string }])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		rows, err := conn.Query(ctx, "SELECT "+table.Columns+" FROM "+table.Name)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				each(v)
			}
			found = true
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
		if found {
			filled++
		}
	}
	return filled
}

// dumpSQLite does the same for a file.
func dumpSQLite(t *testing.T, path string, each func(any)) (filled int) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables []string
	query := func(text string, row func(*sql.Rows)) {
		rows, err := db.QueryContext(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			row(rows)
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
	}
	query(`SELECT name FROM sqlite_master WHERE type = 'table'`, func(rows *sql.Rows) {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	})
	for _, name := range tables {
		found := false
		query(`SELECT * FROM "`+name+`"`, func(rows *sql.Rows) {
			columns, err := rows.Columns()
			if err != nil {
				t.Fatal(err)
			}
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				each(v)
			}
			found = true
		})
		if found {
			filled++
		}
	}
	return filled
}

// absent finds a secret that is stored as it is, or inside of something.
func (s *secrets) absent(t *testing.T, stored []string) {
	t.Helper()
	codes := []string{s.nonce, "918273"}
	long := slices.Concat(s.refresh, s.apiKeys, []string{s.authCode, s.access, s.verifier, s.waiting})
	for _, h := range s.held {
		if codes = append(codes, h.code); h.link != "" {
			long = append(long, strings.TrimPrefix(h.link, "pkce_"))
		}
	}
	for _, v := range stored {
		if slices.ContainsFunc(long, func(secret string) bool { return strings.Contains(v, secret) }) || slices.Contains(codes, v) {
			t.Errorf("a secret is stored in %.80q", v)
		}
	}
}

// request is one way to present a value.
type request func(v string) (method, path, token string, body any)

// endpoints are all that take a secret.
func (s *secrets) endpoints() []request {
	var all []request
	post := func(path string, body func(v string) object) {
		all = append(all, func(v string) (string, string, string, any) { return "POST", path, "", body(v) })
	}
	for _, kind := range []string{"email", "email_change", "sms", "phone_change"} {
		post("/verify", func(v string) object { return object{"type": kind, "token_hash": v} })
	}
	all = append(all, func(v string) (string, string, string, any) {
		return "GET", "/verify?" + url.Values{"type": {"email"}, "token": {v}}.Encode(), "", nil
	})
	for _, verifier := range []string{s.verifier, s.challenge} {
		post("/token?grant_type=pkce", func(v string) object { return object{"auth_code": v, "code_verifier": verifier} })
	}
	post("/token?grant_type=refresh_token", func(v string) object { return object{"refresh_token": v} })
	post("/token?grant_type=password", func(v string) object { return object{"email": "magic@example.org", "password": v} })
	for _, path := range []string{"/user", "/admin/users", "/reauthenticate"} {
		all = append(all, func(v string) (string, string, string, any) { return "GET", path, v, nil })
	}
	for _, h := range s.held {
		post("/verify", func(v string) object { return h.by(v) })
	}
	return append(all, func(v string) (string, string, string, any) {
		return "PUT", "/user", s.stale, object{"password": "better horse", "nonce": v}
	})
}

// present tries every value at every endpoint.
func (r *rig) present(t *testing.T, s *secrets, stored []string) {
	likeCodes := 0
	for _, v := range stored {
		if n := strings.NewReplacer(" ", "", "-", "").Replace(v); len(n) >= 6 && len(n) <= 10 && strings.Trim(n, "0123456789") == "" {
			likeCodes++
		}
	}
	if likeCodes > 5 {
		t.Fatalf("%d stored values look like codes: to try them would burn the real ones, and prove nothing", likeCodes)
	}
	endpoints := s.endpoints()
	var next, tried atomic.Int64
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(stored); i = next.Add(1) - 1 {
				for _, at := range endpoints {
					method, path, token, body := at(stored[i])
					tried.Add(1)
					if a := r.ask(method, path, token, body); !refusal(a) {
						t.Errorf("%s %s with %.80q: %d %s %.200s", method, path, stored[i], a.Code, a.Header().Get("Location"), a.body)
					}
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d tries at %d endpoints; %d stored values look like codes", tried.Load(), len(endpoints), likeCodes)
}

// refusal reports whether an answer gives nothing away.
func refusal(a reply) bool {
	switch a.Code {
	case 303:
		to := a.Header().Get("Location")
		return strings.Contains(to, "error_code=otp_expired") && !strings.Contains(to, "access_token")
	case 400, 401, 403, 404, 422:
		return !strings.Contains(a.body, "access_token") && !strings.Contains(a.body, "auth_code\"")
	}
	return false
}

// control uses the real secrets: that nothing worked before is no proof if nothing works at
// all.
func (r *rig) control(t *testing.T, s *secrets) {
	r.must(t, "PUT", "/user", s.stale, object{"password": "better horse", "nonce": s.nonce})
	r.must(t, "POST", "/token?grant_type=pkce", "", object{"auth_code": s.authCode, "code_verifier": s.verifier})
	r.must(t, "GET", "/user", s.access, nil)
	for _, token := range s.refresh {
		r.must(t, "POST", "/token?grant_type=refresh_token", "", object{"refresh_token": token})
	}
	r.must(t, "GET", "/admin/users", s.apiKeys[0], nil)
	for i, h := range s.held {
		if h.link != "" && i%2 == 0 {
			if a := r.verify(h.link, h.kind); a.Code != 200 {
				t.Errorf("the link of %s: %d %s", h.to, a.Code, a.body)
			}
		} else {
			r.must(t, "POST", "/verify", "", h.by(h.code))
		}
	}
}
