package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/server"
	"github.com/cardea-auth/cardea/internal/store"
	"github.com/cardea-auth/cardea/internal/store/postgres"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
)

// place is a database with the environment of a server on it.
type place struct {
	t   *testing.T
	env []string
	url string
	dir string
}

// onBoth runs a test on both databases. A PostgreSQL database is migrated by the command.
func onBoth(t *testing.T, test func(t *testing.T, p *place), settings ...string) {
	t.Helper()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := &place{t: t, dir: dir, url: "sqlite://" + filepath.Join(dir, "cardea.db")}
			if kind == "postgres" {
				p.url = pgtest.New(t)
			}
			p.env = append([]string{
				"DATABASE_URL=" + p.url, "CARDEA_ENCRYPTION_KEY=" + strings.Repeat("0123456789abcdef", 4), "CARDEA_DATA=" + dir,
				"CARDEA_LISTEN=127.0.0.1:8000", "CARDEA_PUBLIC_URL=http://127.0.0.1:8000",
			}, settings...)
			p.must("migrate")
			test(t, p)
		})
	}
}

// run runs the command and gives its exit code and what it wrote.
func (p *place) run(args ...string) (code int, out, errors string) {
	var o, e bytes.Buffer
	code = run(p.t.Context(), args, p.env, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func (p *place) must(args ...string) (out string) {
	p.t.Helper()
	code, out, errs := p.run(args...)
	if code != 0 {
		p.t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
	}
	return out + errs
}

func (p *place) file(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// store opens the database beside the commands.
func (p *place) store() store.Store {
	p.t.Helper()
	var s store.Store
	var err error
	if path, ok := strings.CutPrefix(p.url, "sqlite://"); ok {
		s, err = sqlite.Open(p.t.Context(), sqlite.Config{Path: path})
	} else {
		s, err = postgres.Open(p.t.Context(), postgres.Config{URL: p.url, MaxConns: 2})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *place) everybody() []auth.AccountCopy {
	p.t.Helper()
	s := p.store()
	defer s.Close()
	var all []auth.AccountCopy
	for after := (auth.ID{}); ; {
		page, err := s.CopyAccounts(p.t.Context(), after, 1000)
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < 1000 {
			return all
		}
		after = page[len(page)-1].User.ID
	}
}

// serve starts the server on the database.
func (p *place) serve() http.Handler {
	p.t.Helper()
	cfg, _, err := config.Load(config.Sources{Env: p.env})
	if err != nil {
		p.t.Fatal(err)
	}
	srv, err := server.Open(p.t.Context(), cfg, server.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = srv.Close() })
	return srv.Handler()
}

func post(t *testing.T, h http.Handler, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = "192.0.2.1:1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const (
	// An OpenPGP message with a symmetric key, as the legacy table has it.
	legacyCipher = "c30d04090302deadbeefcafe0123456789"
	physicians   = 44
	vendors      = 19
)

// legacyTable is the legacy table: 44 physicians of 19 vendors, and patients.
func legacyTable() string {
	var b strings.Builder
	b.WriteString("COPY dd_api.groups (id, doctor_email, vendor_id, password, roles, permission, is_active, employee_id, settings, admin_settings) FROM stdin;\n")
	for i := range physicians {
		permission := "user"
		if i%10 == 0 {
			permission = "superuser"
		}
		fmt.Fprintf(&b, "%d\tDoctor%d@Example.org\t%d\t\\\\x%s%02d\t{physician}\t%s\tt\t%d\t{\"language\": \"he\"}\t{\"quota\": %d}\n",
			i, i, 100+i%vendors, legacyCipher, i, permission, 9000+i, i)
	}
	for i := range 5 {
		fmt.Fprintf(&b, "%d\t\\N\t100\t\\N\t{}\tuser\tt\t\\N\t\\N\t\\N\n", 1000+i)
	}
	return b.String() + "\\.\n"
}

// A4.4, A4.5, S1.20, S1.21: 44 physicians into 19 tenants; again changes nothing; counts only
// are printed; nobody has a password until he sets one; the ciphertext is nowhere.
func TestImportPhysicians(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		file := p.file("groups.sql", legacyTable())
		args := []string{"import", "groups", "--file", file, "--superuser", "admin"}
		said := ""
		for round, want := range []string{
			"49 read: 44 imported, 0 imported before, 0 in the way of others, 0 refused\ntenants: 19 new, 0 were there\ndeleted there, anonymous, or no person: 5\nlinks to set a password: 44\n",
			"49 read: 0 imported, 44 imported before, 0 in the way of others, 0 refused\ntenants: 0 new, 19 were there\ndeleted there, anonymous, or no person: 5\n",
		} {
			code, out, errs := p.run(args...)
			if code != 0 || out != want {
				t.Errorf("round %d: exit code %d\n%s%s", round, code, out, errs)
			}
			said += out + errs
		}
		for _, secret := range []string{"@", "http", "token", "c30d04", legacyCipher} {
			if strings.Contains(strings.ToLower(said), secret) {
				t.Errorf("the output contains %q:\n%s", secret, said)
			}
		}
		checkPhysicians(t, p)
		checkNoCipher(t, p)

		h := p.serve()
		for _, password := range []string{"", legacyCipher, "\\x" + legacyCipher + "00"} {
			body, err := json.Marshal(map[string]string{"email": "doctor0@example.org", "password": password})
			if err != nil {
				t.Fatal(err)
			}
			if code, answer := post(t, h, "/api/auth/login", string(body)); code == http.StatusOK {
				t.Errorf("signed in with %q: %s", password, answer)
			}
		}
	}, "CARDEA_PRESET=dermadetect", "CARDEA_SMTP_HOST=mail.example.org", "CARDEA_SMTP_PORT=587", "CARDEA_SMTP_FROM=clinic@example.org", "SECRET_KEY=0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f")
}

func checkPhysicians(t *testing.T, p *place) {
	t.Helper()
	tenants := map[string]int{}
	admins := 0
	all := p.everybody()
	for i := range all {
		a := &all[i]
		if a.User.PasswordHash != "" || a.User.EmailConfirmedAt.IsZero() || len(a.Memberships) != 1 || a.Memberships[0].Role != "physician" ||
			!strings.Contains(string(a.Profile.Extensions["physician"]), `"quota"`) {
			t.Errorf("%+v", a)
		}
		if strings.Contains(string(a.User.AppMetadata), `"admin"`) {
			admins++
		}
		for _, m := range a.Memberships {
			tenants[m.Tenant.Slug]++
		}
	}
	if len(all) != physicians || len(tenants) != vendors || admins != 5 {
		t.Errorf("%d accounts, %d tenants, %d administrators", len(all), len(tenants), admins)
	}
	s := p.store()
	defer s.Close()
	messages, err := s.ClaimMessages(t.Context(), time.Now(), time.Minute, 1000)
	if err != nil || len(messages) != physicians {
		t.Errorf("%d messages, %v", len(messages), err)
	}
}

// checkNoCipher looks through every byte that was stored.
func checkNoCipher(t *testing.T, p *place) {
	t.Helper()
	if !strings.HasPrefix(p.url, "sqlite://") {
		for _, table := range p.dump() {
			if strings.Contains(table, legacyCipher) {
				t.Error("the ciphertext is in the database")
			}
		}
		return
	}
	for _, suffix := range []string{"", "-wal"} {
		doc, err := os.ReadFile(strings.TrimPrefix(p.url, "sqlite://") + suffix)
		if err == nil && bytes.Contains(doc, []byte(legacyCipher)) {
			t.Error("the ciphertext is in the database")
		}
	}
}

// dump gives every row of every table of schema auth as text.
func (p *place) dump() []string {
	p.t.Helper()
	f, err := postgres.OpenForeign(p.t.Context(), p.url, "pg_catalog.pg_tables", "")
	if err != nil {
		p.t.Fatal(err)
	}
	var names, rows []string
	for doc, err := f.Next(); err == nil; doc, err = f.Next() {
		var table struct{ Schemaname, Tablename string }
		if json.Unmarshal(doc, &table) == nil && table.Schemaname == "auth" {
			names = append(names, "auth."+table.Tablename)
		}
	}
	_ = f.Close()
	for _, name := range names {
		f, err := postgres.OpenForeign(p.t.Context(), p.url, name, "")
		if err != nil {
			p.t.Fatal(err)
		}
		for doc, err := f.Next(); err == nil; doc, err = f.Next() {
			rows = append(rows, string(doc))
		}
		_ = f.Close()
	}
	if len(rows) < physicians {
		p.t.Fatalf("%d rows in %d tables", len(rows), len(names))
	}
	return rows
}

// B1.9: links go into an encrypted file that only its key opens; each sets a password once.
func TestImportLinks(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		file := p.file("groups.sql", legacyTable())
		links, key, opened := filepath.Join(p.dir, "links"), filepath.Join(p.dir, "key"), filepath.Join(p.dir, "links.csv")
		code, out, errs := p.run("import", "groups", "--file", file, "--links", links, "--links-key", key)
		if code != 0 || !strings.Contains(out, "links to set a password: 44") || strings.Contains(out+errs, "http") {
			t.Fatalf("exit code %d\n%s%s", code, out, errs)
		}
		for _, name := range []string{links, key} {
			info, err := os.Stat(name)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		if doc, err := os.ReadFile(links); err != nil || bytes.Contains(doc, []byte("http")) || bytes.Contains(doc, []byte("@")) {
			t.Errorf("the file is not encrypted: %v", err)
		}
		other := p.file("otherkey", strings.Repeat("ab", 32))
		if code, out, _ := p.run("import", "links", "--file", links, "--key", other, "--out", opened); code == 0 || out != "" {
			t.Errorf("another key: %d %s", code, out)
		}
		_ = os.Remove(opened)
		if said := p.must("import", "links", "--file", links, "--key", key, "--out", opened); strings.Contains(said, "http:") {
			t.Errorf("links are printed: %s", said)
		}
		f, err := os.Open(opened)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil || len(rows) != physicians+1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		link, err := url.Parse(rows[1][1])
		if err != nil {
			t.Fatal(err)
		}
		h := p.serve()
		reset := fmt.Sprintf(`{"token":%q,"password":"a new horse battery"}`, link.Query().Get("token"))
		login := fmt.Sprintf(`{"email":%q,"password":"a new horse battery"}`, rows[1][0])
		for _, step := range []struct {
			path, body string
			want       int
		}{
			{"/api/auth/login", login, http.StatusUnauthorized},
			{"/api/auth/reset-password", reset, http.StatusNoContent},
			{"/api/auth/reset-password", reset, http.StatusUnauthorized},
			{"/api/auth/login", login, http.StatusOK},
		} {
			if code, answer := post(t, h, step.path, step.body); code != step.want && (step.want != http.StatusUnauthorized || code < 400 || code > 499) {
				t.Errorf("%s: %d %s, want %d", step.path, code, answer, step.want)
			}
		}
		s := p.store()
		defer s.Close()
		if messages, err := s.ClaimMessages(t.Context(), time.Now(), time.Minute, 10); err != nil || len(messages) > 1 { // that the password was changed
			t.Errorf("%d messages, %v", len(messages), err)
		}
		person, err := s.UserByEmail(t.Context(), rows[1][0], "authenticated")
		if err != nil {
			t.Fatal(err)
		}
		who, err := s.PersonByID(t.Context(), person.ID)
		if err != nil || who.Profile.Extensions["physician"] == nil {
			t.Errorf("the profile has gone with the first password: %+v, %v", who.Profile, err)
		}
	}, "CARDEA_PRESET=dermadetect", "SECRET_KEY=0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f")
}

// C2, S1.18: whoever moves in signs in with the old password, whatever it was hashed with,
// and the hash is a new one afterwards.
func TestImportedPasswordsWork(t *testing.T) {
	t.Parallel()
	const signer = "ou9tdYTGyYm8kuR6Dt0Bp0kDuAYoXrK16mbZO4yGwAn3oLspjnN0/c41v8xZnO1n14J3MjKj1b2g6AUCAlFwMw=="
	const bcryptHash = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
	onBoth(t, func(t *testing.T, p *place) {
		p.must("import", "firebase", "--file", p.file("fb.json", `{"users":[{"localId":"1","email":"firebase@example.org","emailVerified":true,`+
			`"passwordHash":"zKVTMvnWVw5BBOZNUdnsalx4c4c7y/w7IS5p6Ut2+CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84+hfTw==","salt":"C0sHCg9ek77hsg=="}]}`),
			"--hash-key-file", p.file("fb.key", signer+"\n"))
		p.must("import", "auth0", "--file", p.file("users.ndjson", `{"user_id":"auth0|5dea","email":"auth0@example.org","email_verified":true}`+"\n"),
			"--passwords", p.file("hashes.ndjson", `{"_id":{"$oid":"5dea"},"passwordHash":"`+bcryptHash+`"}`+"\n"))
		credential := func(algorithm, iterations, value, salt, more string) string {
			secret, err := json.Marshal(fmt.Sprintf(`{"value":%q,"salt":%q}`, value, salt))
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(fmt.Sprintf(`{"hashIterations":%s,"algorithm":%q,"additionalParameters":{%s}}`, iterations, algorithm, more))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf(`[{"type":"password","secretData":%s,"credentialData":%s}]`, secret, data)
		}
		user := func(n int, name, credentials string) string {
			return fmt.Sprintf(`{"id":"01020304-0506-4075-8000-00000000000%d","username":%q,"email":"%s@example.org","emailVerified":true,"enabled":true,"credentials":%s}`, n, name, name, credentials)
		}
		p.must("import", "keycloak", "--file", p.file("realm.json", `{"realm":"r","users":[`+strings.Join([]string{
			user(1, "keycloak256", credential("pbkdf2-sha256", "1000", "BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM=", "c2FsdHNhbHRzYWx0c2FsdA==", "")),
			user(2, "keycloak512", credential("pbkdf2-sha512", "1000", "EHLBej+uEvxlmr0QnHnceg1vM6h1wbwSP5XErh3SmizNDWZsIi28RPGARe0EssjGRoiACzxgHjNvqwJY1zxKig==", "c2FsdHNhbHRzYWx0c2FsdA==", "")),
			user(3, "keycloak1", credential("pbkdf2", "1000", "EUcKisx+yviAqdTmlEPmy+5ykUU=", "c2FsdHNhbHRzYWx0c2FsdA==", "")),
			user(4, "keycloakargon", credential("argon2", "2", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4=", "c29tZXNhbHQ=",
				`"hashLength":["32"],"memory":["256"],"type":["id"],"version":["1.3"],"parallelism":["1"]`)),
		}, ",")+`]}`))
		p.must("import", "supabase", "--file", p.file("gotrue.ndjson", `{"id":"01020304-0506-4075-8000-0000000000a1","email":"supabase@example.org","encrypted_password":"`+bcryptHash+
			`","email_confirmed_at":"2021-02-03T04:05:06+00:00","role":"authenticated","aud":"authenticated"}`+"\n"))
		p.must("import", "csv", "--file", p.file("more.csv", "email,password_hash,email_verified\n"+
			"scrypt@example.org,\"$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$A9lBa6RTbfBovWqamVIqXKovIl4Vk6OZyVojLJmYmSI\",true\n"+
			"passlib@example.org,$pbkdf2-sha256$1000$c2FsdHNhbHRzYWx0c2FsdA$BBs.1.PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM,true\n"))
		h := p.serve()
		passwords := map[string]string{"firebase": "mytestpassword", "keycloakargon": "password"}
		names := []string{"firebase", "auth0", "keycloak256", "keycloak512", "keycloak1", "keycloakargon", "supabase", "scrypt", "passlib"}
		for _, name := range names {
			password := passwords[name]
			if password == "" {
				password = "correct horse"
			}
			for _, try := range []struct {
				password string
				want     int
			}{{password + "x", http.StatusBadRequest}, {password, http.StatusOK}, {password, http.StatusOK}} {
				code, answer := post(t, h, "/auth/v1/token?grant_type=password", fmt.Sprintf(`{"email":"%s@example.org","password":%q}`, name, try.password))
				if code != try.want {
					t.Errorf("%s, %q: %d %s", name, try.password, code, answer)
				}
			}
		}
		all := p.everybody()
		for i := range all {
			if !strings.HasPrefix(all[i].User.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
				t.Errorf("%s: the hash is still %.20s", all[i].User.Email, all[i].User.PasswordHash)
			}
		}
		if len(all) != len(names) {
			t.Errorf("%d accounts", len(all))
		}
	})
}

// C24: kill -9 in the middle of an import; the same command goes on, with nobody lost and
// nobody doubled.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals")
	}
	const n = 3000
	onBoth(t, func(t *testing.T, p *place) {
		var b strings.Builder
		b.WriteString("external_id,email,name\n")
		for i := range n {
			fmt.Fprintf(&b, "x%d,user%d@example.org,User %d\n", i, i, i)
		}
		file := p.file("users.csv", b.String())
		binary := filepath.Join(p.dir, "cardea") // by which name the test program is the command
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(self, binary); err != nil {
			t.Fatal(err)
		}
		s := p.store()
		defer s.Close()
		kills := 0
		for _, atLeast := range []int{1, n / 3, n / 2} {
			cmd := exec.CommandContext(t.Context(), binary, "import", "csv", "--file", file, "--batch", "20", "--resume")
			cmd.Env = p.env
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for count(t, s) < atLeast && cmd.Process.Signal(syscall.Signal(0)) == nil {
				runtime.Gosched()
			}
			if cmd.Process.Kill() == nil {
				kills++
			}
			_ = cmd.Wait()
		}
		before := count(t, s)
		code, out, errs := p.run("import", "csv", "--file", file, "--batch", "500", "--resume")
		moved := regexp.MustCompile(`(\d+) imported, (\d+) imported before`).FindStringSubmatch(out)
		if code != 0 || moved == nil || moved[1] != fmt.Sprint(n-before) || moved[2] != "0" {
			t.Errorf("exit code %d, %d before\n%s%s", code, before, out, errs)
		}
		if got := count(t, s); got != n || kills == 0 || before == 0 {
			t.Errorf("%d accounts after %d kills", got, kills)
		}
		if out := p.must("import", "csv", "--file", file); !strings.Contains(out, fmt.Sprintf("0 imported, %d imported before", n)) {
			t.Error(out)
		}
	})
}

func count(t *testing.T, s store.Store) int {
	t.Helper()
	n := 0
	for after := (auth.ID{}); ; {
		page, err := s.CopyAccounts(context.Background(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		n += len(page)
		if len(page) < 1000 {
			return n
		}
		after = page[len(page)-1].User.ID
	}
}
