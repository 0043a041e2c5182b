package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	goodKey    = "CzBVep/E6Q4zWH2ix+wRNluApcrvFDleg6jN8hc8YYY="
	goodSecret = "Zk3v9QpW7xTr5LmN8bCd2FgHjK4sYuE1aBcD"
	database   = "postgres://app:s3cr3t-word@db.example/auth?sslmode=verify-full"
)

// key32 is a random-looking key in hexadecimal.
var key32 = "00112233445566778899aabbccddeeff" + "0123456789abcdef0123456789abcdef"

// serveEnv is a configuration of `serve` that is right, changed by pairs; a value of ""
// removes the variable.
func serveEnv(pairs ...string) []string {
	m := map[string]string{"DATABASE_URL": database, "CARDEA_ENCRYPTION_KEY": key32}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		m[name] = value
	}
	var env []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		env = append(env, k+"="+m[k])
	}
	return env
}

func noFiles(string) ([]byte, error) { return nil, fs.ErrNotExist }

func mustLoad(t *testing.T, s Sources) (Config, Report) {
	t.Helper()
	if s.ReadFile == nil {
		s.ReadFile = noFiles
	}
	c, r, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func TestServeDefaults(t *testing.T) {
	t.Parallel()
	c, _ := mustLoad(t, Sources{Env: serveEnv()})
	key, err := parseKey(key32)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen: "127.0.0.1:8080", DataDir: "./.cardea", DatabaseURL: database,
		PublicURL: "http://127.0.0.1:8080", SiteURL: "http://127.0.0.1:8080", EmailEnabled: true,
		JWT: JWT{Algorithm: "ES256", Issuer: "http://127.0.0.1:8080/auth/v1", Audience: "authenticated", TTL: time.Hour,
			AdminRoles: []string{"service_role", "supabase_admin"}},
		Password: Password{Algorithm: "argon2id", BcryptCost: 10, MinLength: 8, Common: true},
		Session:  Session{Inactivity: 30 * day, Absolute: 90 * day, RefreshGrace: 10 * time.Second},

		Surfaces: []string{"supabase", "rest", "mirror", "admin"},
		People:   People{Roles: "default", TenantClaim: "tenant_id", TokenTTL: 30 * time.Minute, MinAge: 18},
		Relay: Relay{Mode: ModeAuthority, Provisioning: "required",
			One: TrustedIssuer{Name: "supabase", Kind: KindSupabase, Audiences: []string{"authenticated"}}},
		Proof: Proof{MagicLinks: true, BothAddresses: true, CodeLength: 6, Disclosure: "neutral", Discovery: "off"},
		Mail: Mail{Port: 587, TLS: "starttls", SenderName: "127.0.0.1", AppName: "127.0.0.1", Locale: "en", Interval: time.Minute,
			LinkURL: "http://127.0.0.1:8080/auth/v1/verify", CodeLife: time.Hour, Notices: notices()},
		SMS:      SMS{Interval: time.Minute, CodeLife: 5 * time.Minute},
		Captcha:  Captcha{Provider: "hcaptcha", Timeout: 10 * time.Second},
		Webhooks: Webhooks{Encoding: "hex"},
		Privacy: Privacy{ErasurePlan: auth.ErasurePlan{
			{Table: "known_devices", Action: "delete"}, {Table: "profiles", Action: "delete"}, {Table: "memberships", Action: "delete"},
			{Table: "relations", Action: "end"}, {Table: "audit_log_entries", Action: "anonymise"}, {Table: "users", Action: "anonymise"},
		}},

		EncryptionKey: key, CORSOrigins: []string{"http://127.0.0.1:8080"},
		HTTP: HTTP{ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: 2 * time.Minute, RequestTimeout: 10 * time.Second, ShutdownTimeout: 25 * time.Second, MaxBody: 1 << 20},
		DB: DB{SQLiteSync: "FULL"},
		RateLimit: RateLimit{Enabled: true, TokenPerIP: 1800, FailuresPerAccount: 10, SignupPerIP: 30, AnonymousPerIP: 30,
			VerifyPerIP: 30, MessagesPerIP: 30, Mails: 1000, Texts: 300},
		Log: Log{Level: slog.LevelInfo, Format: "json"},
	}
	if d := cmp.Diff(want, c, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestDevDefaults(t *testing.T) {
	t.Parallel()
	c, _ := mustLoad(t, Sources{Dev: true, Flags: map[string]string{"data": "/tmp/x", "listen": "127.0.0.1:9"}})
	got := []any{c.DatabaseURL, c.PublicURL, c.EmailAutoconfirm, c.PhoneEnabled, c.PhoneAutoconfirm, c.AnonymousEnabled,
		c.CORSOrigins, c.DB.MigrateOnStart, c.Log.Format, c.JWT.Algorithm, c.RootMount, c.EncryptionKey.Set()}
	want := []any{"sqlite:///tmp/x/cardea.db", "http://127.0.0.1:9", true, true, true, true,
		[]string{"*"}, true, "text", "ES256", false, false}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestGoTrueImageSwap (C24): what Supabase's compose file sets is enough.
func TestGoTrueImageSwap(t *testing.T) {
	t.Parallel()
	c, r := mustLoad(t, Sources{Env: []string{
		"GOTRUE_API_HOST=0.0.0.0", "GOTRUE_API_PORT=9999", "API_EXTERNAL_URL=http://localhost:8000/auth/v1/",
		"GOTRUE_DB_DRIVER=postgres", "GOTRUE_DB_DATABASE_URL=postgres://supabase_auth_admin:pw@db:5432/postgres",
		"GOTRUE_SITE_URL=http://localhost:3000", "GOTRUE_URI_ALLOW_LIST=", "GOTRUE_DISABLE_SIGNUP=false",
		"GOTRUE_JWT_ADMIN_ROLES=service_role", "GOTRUE_JWT_AUD=authenticated", "GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated",
		"GOTRUE_JWT_EXP=1800", "GOTRUE_JWT_SECRET=" + goodSecret, "GOTRUE_EXTERNAL_EMAIL_ENABLED=true",
		"GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true", "GOTRUE_MAILER_AUTOCONFIRM=false", "GOTRUE_TRACING_HOST=mail",
		"GOTRUE_EXTERNAL_PHONE_ENABLED=true", "GOTRUE_SMS_AUTOCONFIRM=true", "GOTRUE_NONSENSE=1",
		"GOTRUE_SESSIONS_TIMEBOX=24h", "GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL=5", "GOTRUE_DB_MAX_POOL_SIZE=7",
		"GOTRUE_PASSWORD_REQUIRED_CHARACTERS=abc:0123:\\:\\\\",
	}})
	got := []any{c.Listen, c.PublicURL, c.SiteURL, c.JWT.Issuer, c.JWT.Algorithm, c.JWT.TTL, string(c.JWT.Secret), c.RootMount,
		c.AnonymousEnabled, c.PhoneEnabled, c.PhoneAutoconfirm, c.Session.MaxAge(), c.Session.RefreshGrace, c.DB.MaxConns,
		c.Password.RequiredCharacters, c.JWT.AdminRoles, len(c.EncryptionKey), c.CORSOrigins}
	want := []any{"0.0.0.0:9999", "http://localhost:8000", "http://localhost:3000", "http://localhost:8000/auth/v1", "HS256",
		30 * time.Minute, goodSecret, true, true, true, true, day, 5 * time.Second, int32(7),
		[]string{"abc", "0123", `:\`}, []string{"service_role"}, 32, []string{"http://localhost:3000"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	unused := []Note{
		{"GOTRUE_DB_DRIVER", "not used by this version"},
		{"GOTRUE_JWT_DEFAULT_GROUP_NAME", "not used by this version"},
		{"GOTRUE_NONSENSE", "not a variable of GoTrue that we know of"},
		{"GOTRUE_TRACING_HOST", "not used by this version"},
	}
	if d := cmp.Diff(unused, r.Unused); d != "" {
		t.Error(d)
	}
	if e, _ := r.Entry(nameListen); e.Source != "environment GOTRUE_API_HOST and GOTRUE_API_PORT" {
		t.Errorf("source of the listen address: %q", e.Source)
	}
}

// TestAliases gives every alias of every setting a value of its kind and looks whether it
// arrives.
func TestAliases(t *testing.T) {
	t.Parallel()
	for _, s := range Settings() {
		value := sample(s)
		for _, name := range s.names() {
			env := serveEnv()
			if s.Name == nameDatabaseURL || s.Name == nameEncryptionKey {
				env = serveEnv("DATABASE_URL=", "CARDEA_ENCRYPTION_KEY=")
			}
			if s.Name != nameDatabaseURL {
				env = append(env, "DATABASE_URL="+database)
			}
			if s.Name != nameEncryptionKey {
				env = append(env, "CARDEA_ENCRYPTION_KEY="+key32)
			}
			c, r, _ := Load(Sources{Env: append(env, name+"="+value), ReadFile: sampleFile}) // other settings may be missing
			e, _ := r.Entry(s.Name)
			if want := "environment " + name; e.Source != want || s.field.show(&c) == "" {
				t.Errorf("%s: source %q, want %q", name, e.Source, want)
			}
			for _, p := range r.Problems {
				if p.Setting == name {
					t.Errorf("%s=%s: %s", name, value, p.What)
				}
			}
		}
	}
}

// sampleFile is what the names of files in samples lead to.
func sampleFile(name string) ([]byte, error) {
	if name == "text" {
		return []byte("collectors:\n  - name: cases\n    url: https://cases.example\n    phases: [erase]\n"), nil
	}
	return noFiles(name)
}

func sample(s Setting) string {
	switch s.Kind {
	case "e-mail address":
		return "no-reply@a.example"
	case "host:port":
		return "127.0.0.1:99"
	case "32-byte key":
		return goodKey
	case "secret":
		return goodSecret
	case "JSON":
		return `[{"kty":"EC","crv":"P-256","d":"x","x":"x","y":"y","key_ops":["sign"]}]`
	case "list of networks":
		return "10.0.0.0/8,::1"
	case "list of origins":
		return "https://a.example"
	case "list of URL globs":
		return "https://a.example/**"
	case "character sets":
		return "a:b"
	}
	switch {
	case s.Name == nameDatabaseURL:
		return database
	case s.Kind == "URL":
		return "https://a.example"
	case s.Name == namePreset:
		return "medmitra"
	case strings.HasPrefix(s.Name, "CARDEA_WEBHOOK_") && strings.HasSuffix(s.Name, "_SECRET"):
		return goodSecret
	case s.Name == "CARDEA_VERIFICATION":
		return "none"
	case s.Name == "CARDEA_PHONE_REGION":
		return "IN"
	case s.Default != "":
		return s.Default
	}
	return "text"
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{"/run/key": key32 + "\n", "/run/db": database, "/run/empty": " \n"}
	read := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: os.ErrPermission}
	}
	c, r, err := Load(Sources{Env: []string{"CARDEA_ENCRYPTION_KEY_FILE=/run/key", "DATABASE_URL_FILE=/run/db"}, ReadFile: read})
	if err != nil || len(c.EncryptionKey) != 32 || c.DatabaseURL != database {
		t.Errorf("files weren't read: %v", err)
	}
	if e, _ := r.Entry(nameEncryptionKey); e.Source != "file CARDEA_ENCRYPTION_KEY_FILE" {
		t.Errorf("source %q", e.Source)
	}
	_, r, _ = Load(Sources{Env: serveEnv("CARDEA_ENCRYPTION_KEY=", "CARDEA_ENCRYPTION_KEY_FILE=/run/other"), ReadFile: read})
	wantProblems(t, r, "CARDEA_ENCRYPTION_KEY_FILE", "can't be read: permission denied")
	_, r, _ = Load(Sources{Env: serveEnv("CARDEA_ENCRYPTION_KEY=", "CARDEA_ENCRYPTION_KEY_FILE=/run/empty"), ReadFile: read})
	wantProblems(t, r, "CARDEA_ENCRYPTION_KEY_FILE", "is empty")
	_, r, _ = Load(Sources{Env: serveEnv("CARDEA_ENCRYPTION_KEY_FILE=/run/key"), ReadFile: read})
	if len(r.Problems) != 0 {
		t.Errorf("equal values from two places: %v", r.Problems)
	}
}

// wantProblems checks that there is exactly one problem: pairs of setting and a part of
// its text.
func wantProblems(t *testing.T, r Report, pairs ...string) {
	t.Helper()
	var got []string
	for _, p := range r.Problems {
		got = append(got, p.String())
		if p.Fix == "" {
			t.Errorf("%s: no remedy", p)
		}
	}
	if len(got) != len(pairs)/2 {
		t.Fatalf("%d problems, want %d:\n%s", len(got), len(pairs)/2, strings.Join(got, "\n"))
	}
	for i := 0; i < len(pairs); i += 2 {
		p := r.Problems[i/2]
		if p.Setting != pairs[i] || !strings.Contains(p.String(), pairs[i+1]) {
			t.Errorf("got %q, want %s: … %s", p, pairs[i], pairs[i+1])
		}
	}
}

func TestFlagsBeatTheEnvironment(t *testing.T) {
	t.Parallel()
	c, r := mustLoad(t, Sources{Env: serveEnv("CARDEA_LISTEN=127.0.0.1:1", "PORT=5"), Flags: map[string]string{"listen": "127.0.0.1:2"}})
	if e, _ := r.Entry(nameListen); c.Listen != "127.0.0.1:2" || e.Source != "flag --listen" {
		t.Errorf("%s from %s", c.Listen, e.Source)
	}
}

func TestPortAlone(t *testing.T) {
	t.Parallel()
	c, _ := mustLoad(t, Sources{Dev: true, Env: []string{"PORT=5000"}})
	if c.Listen != "127.0.0.1:5000" {
		t.Errorf("dev listens on %s", c.Listen)
	}
	c, _ = mustLoad(t, Sources{Env: serveEnv("PORT=5000", "CARDEA_PUBLIC_URL=https://auth.example")})
	if c.Listen != "0.0.0.0:5000" {
		t.Errorf("serve listens on %s", c.Listen)
	}
}

func TestDevKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/data"
	src := Sources{Dev: true, Flags: map[string]string{"data": dir}}
	c, _, err := Load(src)
	if err != nil || c.EncryptionKey.Set() {
		t.Fatalf("before: %v", err)
	}
	if err := c.EnsureDevFolder(nil); err != nil {
		t.Fatal(err)
	}
	again, r, err := Load(src)
	if err != nil || string(again.EncryptionKey) != string(c.EncryptionKey) || len(c.EncryptionKey) != 32 {
		t.Errorf("the key that was made isn't loaded: %v", err)
	}
	if e, _ := r.Entry(nameEncryptionKey); e.Value != redacted || !strings.HasPrefix(e.Source, "file "+dir) {
		t.Errorf("%+v", e)
	}
	for name, want := range map[string]fs.FileMode{dir: 0o700, DevKeyPath(dir): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
	if err := os.WriteFile(DevKeyPath(dir), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, r, err = Load(src)
	var ce *Error
	if !errors.As(err, &ce) || strings.Contains(err.Error(), "rubbish") {
		t.Errorf("broken key file: %v", err)
	}
	wantProblems(t, r, DevKeyPath(dir), "can't be used")
	serve, _ := mustLoad(t, Sources{Env: serveEnv()})
	if serve.EnsureDevFolder(nil) == nil {
		t.Error("serve made a key of its own")
	}
}
