package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// AuthPath is where the Supabase-compatible routes are mounted under PublicURL.
const AuthPath = "/auth/v1"

// MaxTokenTTL is the longest life of an access token that anyone may configure.
// Between two token checks nothing but the expiry ends a stolen token on a service that
// doesn't subscribe to revocations, and the verifier refuses longer ones anyway.
const MaxTokenTTL = 24 * time.Hour

// Config is the whole configuration, checked. Only [Load] makes one.
//
// It holds secrets. Printing a Config, logging it or encoding it as JSON shows only that
// it is one: the redacted form of every setting is in [Report].
type Config struct {
	Dev         bool
	Listen      string // host:port; port 0 lets the system choose
	DataDir     string // folder of `cardea dev`
	DatabaseURL string // postgres://…, sqlite:///absolute or sqlite://relative; may hold a password
	PublicURL   string // as clients see the server: http(s), no trailing slash

	SiteURL      string   // where people are sent when a redirect is refused
	RedirectURLs []string // globs of further redirect targets
	RootMount    bool     // GoTrue's routes at / too, behind a gateway that strips /auth/v1
	InsecureHTTP bool     // plain http outside loopback is meant

	DisableSignup    bool
	EmailEnabled     bool
	PhoneEnabled     bool
	AnonymousEnabled bool
	EmailAutoconfirm bool
	PhoneAutoconfirm bool

	JWT      JWT
	Password Password
	Session  Session

	Preset   string   // name or path, "" for none
	Surfaces []string // what is mounted
	People   People
	Relay    Relay

	Proof   Proof
	Mail    Mail
	SMS     SMS
	Captcha Captcha
	Hooks   Hooks
	Privacy Privacy

	Webhooks Webhooks

	EncryptionKey         Secret // 32 bytes: seals the private keys in the database
	PreviousEncryptionKey Secret // 32 bytes or none: still opens what it sealed

	TrustedProxies []netip.Prefix // only these may say who the client is
	CORSOrigins    []string       // scheme://host[:port]; "*" in dev only

	HTTP      HTTP
	DB        DB
	RateLimit RateLimit
	Log       Log
}

// JWT says what access tokens look like and what signs them.
type JWT struct {
	Algorithm  string        // ES256, RS256, EdDSA or HS256
	Issuer     string        // iss
	Audience   string        // aud
	TTL        time.Duration // at most MaxTokenTTL
	Secret     Secret        // HS256 secret, at least 32 bytes, or none
	SecretID   string        // kid of tokens that a replaced GoTrue has signed with Secret
	Keys       Secret        // private JWKs as JSON, or none: the key ring then makes its own
	AdminRoles []string      // role claims that may use the admin routes
}

// Password says how passwords are hashed and which are accepted.
type Password struct {
	Algorithm          string // argon2id or bcrypt
	BcryptCost         int
	MinLength          int      // code points
	RequiredCharacters []string // at least one character of each set
	Concurrency        int      // hashes at a time; 0: one for each core
	Common             bool     // refuse passwords of the embedded list, and those made of the account's own words
	HIBP               bool     // ask haveibeenpwned.com whether it has leaked
	HIBPFailClosed     bool     // and refuse when that can't be asked
}

// Session says when sessions end. A limit of 0 is no limit.
type Session struct {
	Timebox      time.Duration // since sign-in, as GoTrue's setting; Absolute holds as well
	Inactivity   time.Duration // since the last refresh
	Absolute     time.Duration // since sign-in
	RefreshGrace time.Duration // how long the parent of a refresh token gets its child again
}

// MaxAge is the limit since sign-in that holds: the shorter one of Timebox and
// Absolute, 0 if there is none.
func (s Session) MaxAge() time.Duration {
	if s.Timebox > 0 && (s.Absolute == 0 || s.Timebox < s.Absolute) {
		return s.Timebox
	}
	return s.Absolute
}

// HTTP bounds what one connection or request may cost.
type HTTP struct {
	ReadHeaderTimeout time.Duration
	ReadTimeout       time.Duration
	WriteTimeout      time.Duration
	IdleTimeout       time.Duration
	RequestTimeout    time.Duration // one request's work; then 504
	ShutdownTimeout   time.Duration // for requests in flight when the server stops
	MaxBody           int64         // bytes; then 413
	MetricsListen     string        // host:port of GET /metrics, "" for none
}

// DB says how the database is used.
type DB struct {
	MaxConns       int32  // 0: four for each core
	SQLiteSync     string // PRAGMA synchronous: NORMAL, FULL or EXTRA
	MigrateOnStart bool
}

// RateLimit bounds what one address, or one account, may try.
type RateLimit struct {
	Enabled            bool
	TokenPerIP         int // token requests in 5 minutes
	FailuresPerAccount int // wrong passwords in 5 minutes
	SignupPerIP        int // sign-ups in 5 minutes
	AnonymousPerIP     int // anonymous sign-ups in 1 hour
	VerifyPerIP        int // one-time codes and links in 5 minutes
	MirrorPerIP        int // requests to /api/v1 in 1 minute; 0: any number
	MessagesPerIP      int // requests for messages in 5 minutes
	Mails              int // of the server in 1 hour
	Texts              int // of the server in 1 hour
}

// Log says what is logged, and how.
type Log struct {
	Level  slog.Level
	Format string // json or text
}

// AuthURL is the address that supabase-js talks to: PublicURL with [AuthPath].
func (c *Config) AuthURL() string { return c.PublicURL + AuthPath }

// JWKSURL is where the public keys are.
func (c *Config) JWKSURL() string { return c.AuthURL() + "/.well-known/jwks.json" }

// SQLitePath gives the path of the database file, and false when the database is not
// SQLite. The path is ":memory:" for a database that lives in the process only.
func (c *Config) SQLitePath() (string, bool) {
	return strings.CutPrefix(c.DatabaseURL, "sqlite://")
}

const redactedConfig = "config.Config{…}"

// String hides everything: a Config holds secrets.
func (c Config) String() string { return redactedConfig }

// Format hides everything for every verb, so that %+v of a struct that holds a Config
// doesn't print its secrets either.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, redactedConfig) }

// LogValue hides everything.
func (c Config) LogValue() slog.Value { return slog.StringValue(redactedConfig) }

// MarshalJSON hides everything.
func (c Config) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedConfig + `"`), nil }
