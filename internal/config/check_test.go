package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestProblems(t *testing.T) {
	t.Parallel()
	const ecKey = `[{"kty":"EC","crv":"P-256","d":"privat-part","x":"x","y":"y","key_ops":["sign"]}]`
	tests := []struct {
		name string
		dev  bool
		env  []string // changes to serveEnv, or the whole environment of dev
		want []string // pairs: setting, part of the text
	}{
		{"A24.1 nothing set", false, []string{"DATABASE_URL=", "CARDEA_ENCRYPTION_KEY="},
			[]string{"CARDEA_ENCRYPTION_KEY", "is needed", "DATABASE_URL", "is needed"}},
		{"A6.3 short secret", false, []string{"SECRET_KEY=12345678901234567890"}, []string{"SECRET_KEY", "is 20 bytes long; HS256 needs at least 32"}},
		{"A6.3 short secret in dev", true, []string{"GOTRUE_JWT_SECRET=short"}, []string{"GOTRUE_JWT_SECRET", "is 5 bytes long"}},
		{"A6.3 secret unset", false, []string{"CARDEA_JWT_ALGORITHM=HS256"}, []string{"CARDEA_JWT_SECRET", "is needed for HS256"}},
		{"A24.1 secret of Supabase's compose file", false, []string{"GOTRUE_JWT_SECRET=your-super-secret-jwt-token-with-at-least-32-characters-long"},
			[]string{"GOTRUE_JWT_SECRET", "from documentation"}},
		{"A24.1 secret of one letter", false, []string{"CARDEA_JWT_SECRET=" + strings.Repeat("ab", 20)}, []string{"CARDEA_JWT_SECRET", "only 2 different"}},
		{"A24.1 key of one byte", false, []string{"CARDEA_ENCRYPTION_KEY=" + strings.Repeat("00", 32)}, []string{"CARDEA_ENCRYPTION_KEY", "one byte repeated"}},
		{"A6.4 X2 token of a week", false, []string{"CARDEA_JWT_TTL=168h"}, []string{"CARDEA_JWT_TTL", "7d is longer than 24 hours: a stolen token works until it expires"}},
		{"A6.4 X2 the same in seconds", false, []string{"GOTRUE_JWT_EXP=604800"}, []string{"GOTRUE_JWT_EXP", "longer than 24 hours"}},
		{"token of no time", false, []string{"CARDEA_JWT_TTL=0"}, []string{"CARDEA_JWT_TTL", "at least 1s"}},
		{"misspelt", false, []string{"CARDEA_LISTN=:1"}, []string{"CARDEA_LISTN", "no such setting"}},
		{"dev beyond loopback", true, []string{"CARDEA_LISTEN=0.0.0.0:8080"}, []string{"CARDEA_LISTEN", "loopback only"}},
		{"dev on every address", true, []string{"CARDEA_LISTEN=:8080"}, []string{"CARDEA_LISTEN", "loopback only"}},
		{"dev on a name", true, []string{"CARDEA_LISTEN=localhost.evil.example:80"}, []string{"CARDEA_LISTEN", "loopback only"}},
		{"listen nonsense", false, []string{"CARDEA_LISTEN=8080"}, []string{"CARDEA_LISTEN", "must be host:port"}},
		{"listen port", false, []string{"CARDEA_LISTEN=127.0.0.1:99999"}, []string{"CARDEA_LISTEN", "port must be"}},
		{"serve to the world without a name", false, []string{"CARDEA_LISTEN=0.0.0.0:80"}, []string{"CARDEA_PUBLIC_URL", "is needed when"}},
		{"public http", false, []string{"CARDEA_PUBLIC_URL=http://auth.example"}, []string{"CARDEA_PUBLIC_URL", "must be https"}},
		{"public URL with password", false, []string{"CARDEA_PUBLIC_URL=https://me:hunter2@auth.example"}, []string{"CARDEA_PUBLIC_URL", "user name or password"}},
		{"public URL with query", false, []string{"CARDEA_PUBLIC_URL=https://auth.example/?a=b"}, []string{"CARDEA_PUBLIC_URL", "neither query"}},
		{"public URL relative", false, []string{"CARDEA_PUBLIC_URL=auth.example"}, []string{"CARDEA_PUBLIC_URL", "absolute URL"}},
		{"public URL ftp", false, []string{"API_EXTERNAL_URL=ftp://auth.example"}, []string{"API_EXTERNAL_URL", "absolute URL"}},
		{"site http", false, []string{"GOTRUE_SITE_URL=http://app.example"}, []string{"GOTRUE_SITE_URL", "must be https"}},
		{"site script", true, []string{"SITE_URL=javascript:alert(1)//x"}, []string{"SITE_URL", "runs code"}},
		{"site relative", true, []string{"SITE_URL=app.example"}, []string{"SITE_URL", "absolute URL"}},
		{"redirects everywhere", false, []string{"GOTRUE_URI_ALLOW_LIST=https://a.example/**,**"}, []string{"GOTRUE_URI_ALLOW_LIST", "matches every host"}},
		{"redirects to any host", false, []string{"CARDEA_REDIRECT_URLS=https://*.*:3000/x"}, []string{"CARDEA_REDIRECT_URLS", "matches every host"}},
		{"redirect script", true, []string{"CARDEA_REDIRECT_URLS=data:text/html*"}, []string{"CARDEA_REDIRECT_URLS", "runs code"}},
		{"redirect without scheme", true, []string{"CARDEA_REDIRECT_URLS=app.example"}, []string{"CARDEA_REDIRECT_URLS", "begin with a scheme"}},
		{"redirect bracket", true, []string{"CARDEA_REDIRECT_URLS=https://{a,b}.example"}, []string{"CARDEA_REDIRECT_URLS", "bracket"}},
		{"S0.20 every origin in serve", false, []string{"CARDEA_CORS_ORIGINS=https://a.example,*"}, []string{"CARDEA_CORS_ORIGINS", "only `cardea dev`"}},
		{"origin with path", false, []string{"CARDEA_CORS_ORIGINS=https://a.example/x"}, []string{"CARDEA_CORS_ORIGINS", "without a path"}},
		{"proxy nonsense", false, []string{"CARDEA_TRUSTED_PROXIES=10.0.0.0/99"}, []string{"CARDEA_TRUSTED_PROXIES", "neither an address"}},
		{"proxy everyone", false, []string{"CARDEA_TRUSTED_PROXIES=0.0.0.0/0"}, []string{"CARDEA_TRUSTED_PROXIES", "trusts every address"}},
		{"duration", false, []string{"CARDEA_SESSION_INACTIVITY=soon"}, []string{"CARDEA_SESSION_INACTIVITY", "not a duration"}},
		{"duration negative", false, []string{"CARDEA_SESSION_INACTIVITY=-5m"}, []string{"CARDEA_SESSION_INACTIVITY", "negative"}},
		{"duration endless", false, []string{"CARDEA_SESSION_INACTIVITY=99999999999999999999"}, []string{"CARDEA_SESSION_INACTIVITY", "century"}},
		{"grace too long", false, []string{"CARDEA_SESSION_REFRESH_GRACE=1h"}, []string{"CARDEA_SESSION_REFRESH_GRACE", "from 0s to 1m"}},
		{"time box over the limit", false, []string{"GOTRUE_SESSIONS_TIMEBOX=2400h"}, []string{"GOTRUE_SESSIONS_TIMEBOX", "longer than CARDEA_SESSION_ABSOLUTE"}},
		{"bool", false, []string{"GOTRUE_DISABLE_SIGNUP=maybe"}, []string{"GOTRUE_DISABLE_SIGNUP", "neither true nor false"}},
		{"number", false, []string{"CARDEA_DB_MAX_CONNS=many"}, []string{"CARDEA_DB_MAX_CONNS", "not a whole number"}},
		{"number out of range", false, []string{"GOTRUE_PASSWORD_MIN_LENGTH=3"}, []string{"GOTRUE_PASSWORD_MIN_LENGTH", "from 6 to 64"}},
		{"choice", false, []string{"CARDEA_JWT_ALGORITHM=none"}, []string{"CARDEA_JWT_ALGORITHM", "must be ES256, RS256, EdDSA or HS256"}},
		{"users as operators", false, []string{"CARDEA_JWT_ADMIN_ROLES=authenticated"}, []string{"CARDEA_JWT_ADMIN_ROLES", "ordinary users"}},
		{"two names", false, []string{"API_EXTERNAL_URL=https://b.example", "CARDEA_PUBLIC_URL=https://a.example"},
			[]string{"CARDEA_PUBLIC_URL and API_EXTERNAL_URL", "different values"}},
		{"two secrets", false, []string{"SECRET_KEY=" + goodSecret, "GOTRUE_JWT_SECRET=" + goodSecret + "x"}, []string{"GOTRUE_JWT_SECRET and SECRET_KEY", "different values"}},
		{"host and port against listen", false, []string{"CARDEA_LISTEN=127.0.0.1:1", "PORT=2", "GOTRUE_API_HOST=127.0.0.1"},
			[]string{"CARDEA_LISTEN and GOTRUE_API_HOST and PORT", "different values"}},
		{"database kind", false, []string{"DATABASE_URL=mysql://root:hunter2@db/x"}, []string{"DATABASE_URL", "must begin with postgres://"}},
		{"database URL broken", false, []string{"DATABASE_URL=postgres://app:hun%ter2@db/x"}, []string{"DATABASE_URL", "%-form"}},
		{"database of no host", false, []string{"DATABASE_URL=postgres:///x"}, []string{"DATABASE_URL", "names no host"}},
		{"sqlite three slashes", false, []string{"DATABASE_URL=sqlite:///./x.db"}, []string{"DATABASE_URL", "three slashes"}},
		{"sqlite in memory", false, []string{"DATABASE_URL=sqlite://:memory:"}, []string{"DATABASE_URL", "lost when the server stops"}},
		{"encryption key length", false, []string{"CARDEA_ENCRYPTION_KEY=c2hvcnQ="}, []string{"CARDEA_ENCRYPTION_KEY", "bytes"}},
		{"keys not JSON", false, []string{"GOTRUE_JWT_KEYS=secret-rubbish"}, []string{"GOTRUE_JWT_KEYS", "not a JSON array"}},
		{"keys that don't sign", false, []string{`GOTRUE_JWT_KEYS=[{"kty":"EC","key_ops":["verify"]}]`}, []string{"GOTRUE_JWT_KEYS", "exactly one must"}},
		{"keys without private part", false, []string{`GOTRUE_JWT_KEYS=[{"kty":"EC","key_ops":["sign"]}]`}, []string{"GOTRUE_JWT_KEYS", "private part is missing"}},
		{"keys against algorithm", false, []string{"GOTRUE_JWT_KEYS=" + ecKey, "CARDEA_JWT_ALGORITHM=RS256"}, []string{"CARDEA_JWT_ALGORITHM", "is for ES256"}},
		{"keys of another algorithm", false, []string{`GOTRUE_JWT_KEYS=[{"kty":"RSA","alg":"RS512","d":"x","key_ops":["sign"]}]`}, []string{"GOTRUE_JWT_KEYS", "RS512, which isn't supported"}},
		{"A6.3 short oct key", false, []string{`GOTRUE_JWT_KEYS=[{"kty":"oct","k":"c2hvcnQ","key_ops":["sign"]}]`}, []string{"GOTRUE_JWT_KEYS", "less than 32 bytes"}},
		{"NUL", false, []string{"CARDEA_JWT_ISSUER=a\x00b"}, []string{"CARDEA_JWT_ISSUER", "control character"}},
		{"bad UTF-8", false, []string{"CARDEA_JWT_ISSUER=a\xffb"}, []string{"CARDEA_JWT_ISSUER", "UTF-8"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := tt.env
			if !tt.dev {
				env = serveEnv(tt.env...)
			}
			_, r, err := Load(Sources{Env: env, Dev: tt.dev, ReadFile: noFiles})
			if err == nil {
				t.Fatal("accepted")
			}
			wantProblems(t, r, tt.want...)
			for _, secret := range []string{"hunter2", "hun%ter2", "s3cr3t-word", key32, goodSecret, "privat-part", "secret-rubbish", "12345678901234567890"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells the secret %s: %v", secret, err)
				}
			}
		})
	}
}

// TestEveryProblemAtOnce (A24.1): one message lists all of them.
func TestEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := Load(Sources{ReadFile: noFiles, Env: []string{
		"CARDEA_LISTN=x", "CARDEA_JWT_TTL=168h", "SECRET_KEY=short", "CARDEA_CORS_ORIGINS=*", "CARDEA_DB_MAX_CONNS=-1",
	}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"7 problems", "did you mean CARDEA_LISTEN?", "SECRET_KEY", "24 hours", "DATABASE_URL",
		"openssl rand -base64 32", "CARDEA_CORS_ORIGINS", "from 0 to 10000"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q isn't in:\n%v", part, err)
		}
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, pairs := range [][]string{
		{"CARDEA_PUBLIC_URL=http://auth.internal:8080", "CARDEA_INSECURE_HTTP=true"},
		{"CARDEA_PUBLIC_URL=HTTPS://Auth.Example:8443/base/auth/v1/"},
		{"CARDEA_PUBLIC_URL=http://[::1]:8000"},
		{"GOTRUE_JWT_EXP=3600", "CARDEA_JWT_TTL=1h"}, // the same thing, said twice
		{"CARDEA_JWT_TTL=24h"},
		{"CARDEA_JWT_TTL=1s"},
		{"DATABASE_URL=sqlite:///var/lib/cardea.db"},
		{"DATABASE_URL=sqlite://data/cardea.db"},
		{"DATABASE_URL=postgres:///auth?host=/run/postgresql"},
		{"SITE_URL=myapp://home", "CARDEA_REDIRECT_URLS=myapp://**,com.example.app:/back,https://*-team.vercel.app/**"},
		{"CARDEA_TRUSTED_PROXIES=10.0.0.1, fd00::/8"},
		{"CARDEA_TEST_DATABASE_URL=postgres://x/y"},
		{"CARDEA_JWT_SECRET=" + goodSecret, "CARDEA_JWT_ALGORITHM=ES256"},
		{"CARDEA_JWT_ALGORITHM=eddsa", "CARDEA_SQLITE_SYNC=full"},
	} {
		if _, _, err := Load(Sources{Env: serveEnv(pairs...), ReadFile: noFiles}); err != nil {
			t.Errorf("%v: %v", pairs, err)
		}
	}
	c, _ := mustLoad(t, Sources{Env: serveEnv("CARDEA_PUBLIC_URL=HTTPS://Auth.Example:8443/base/auth/v1/")})
	if c.PublicURL != "https://auth.example:8443/base" || c.JWKSURL() != "https://auth.example:8443/base/auth/v1/.well-known/jwks.json" {
		t.Errorf("public URL %s, key set %s", c.PublicURL, c.JWKSURL())
	}
}

// TestNothingTellsSecrets prints a configuration in every way there is.
func TestNothingTellsSecrets(t *testing.T) {
	t.Parallel()
	c, r := mustLoad(t, Sources{Env: serveEnv("SECRET_KEY="+goodSecret, "CARDEA_PREVIOUS_ENCRYPTION_KEY="+goodKey)})
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c, "p", &c, "s", c.JWT.Secret, "jwt", c.JWT, "r", r)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "p", &c, "s", c.JWT.Secret, "jwt", c.JWT, "r", r)
	for _, v := range []any{c, &c, c.JWT, c.JWT.Secret, struct{ C Config }{c}, r} {
		doc, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(doc)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&log, verb, v)
		}
	}
	for _, secret := range []string{"s3cr3t-word", goodSecret, key32, goodKey, fmt.Sprintf("%x", goodSecret),
		strings.Trim(fmt.Sprint([]byte(goodSecret)), "[]"), fmt.Sprintf("%x", []byte(c.EncryptionKey))} {
		if i := strings.Index(log.String(), secret); i >= 0 {
			t.Errorf("%q appears: …%s", secret, log.String()[max(0, i-80):i+20])
		}
	}
	if e, _ := r.Entry(nameDatabaseURL); e.Value != "postgres://app@db.example/auth?sslmode=verify-full" {
		t.Errorf("database shown as %q", e.Value)
	}
}
