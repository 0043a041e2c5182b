package config

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// Names that other code speaks of.
const (
	nameListen        = "CARDEA_LISTEN"
	nameDatabaseURL   = "CARDEA_DATABASE_URL"
	namePublicURL     = "CARDEA_PUBLIC_URL"
	nameSiteURL       = "CARDEA_SITE_URL"
	nameRedirectURLs  = "CARDEA_REDIRECT_URLS"
	nameRootMount     = "CARDEA_ROOT_MOUNT"
	nameInsecureHTTP  = "CARDEA_INSECURE_HTTP"
	nameAlgorithm     = "CARDEA_JWT_ALGORITHM"
	nameIssuer        = "CARDEA_JWT_ISSUER"
	nameTokenTTL      = "CARDEA_JWT_TTL"
	nameSecret        = "CARDEA_JWT_SECRET"
	nameKeys          = "CARDEA_JWT_KEYS"
	nameEncryptionKey = "CARDEA_ENCRYPTION_KEY"
	namePreviousKey   = "CARDEA_PREVIOUS_ENCRYPTION_KEY"
	nameProxies       = "CARDEA_TRUSTED_PROXIES"
	nameCORSOrigins   = "CARDEA_CORS_ORIGINS"
	nameTimebox       = "CARDEA_SESSION_TIMEBOX"
	nameAbsolute      = "CARDEA_SESSION_ABSOLUTE"
)

func serverSettings() []Setting {
	const group = "Server"
	return []Setting{
		{Name: nameListen, Flag: "listen", Group: group, Default: "127.0.0.1:8080",
			Help:  "Address and port to listen on; port 0 takes a free one. GOTRUE_API_HOST with GOTRUE_API_PORT (or PORT) means the same. `cardea dev` listens on loopback only.",
			field: makeField("host:port", func(c *Config) *string { return &c.Listen }, parseListen, same)},
		{Name: "CARDEA_DATA", Flag: "data", Group: group, Default: "./.cardea",
			Help:  "Folder of `cardea dev`: database, encryption key, demo accounts. Made with mode 0700.",
			field: textField(func(c *Config) *string { return &c.DataDir })},
		{Name: nameDatabaseURL, Aliases: []string{"DATABASE_URL", "GOTRUE_DB_DATABASE_URL"}, Group: group, Secret: true,
			Computed: "none: `serve` needs it; `dev` uses cardea.db in its folder",
			Help:     "Database: `postgres://user:password@host/name`, `sqlite:///absolute/path` or `sqlite://relative/path`.",
			field:    urlField(func(c *Config) *string { return &c.DatabaseURL }, parseDatabaseURL)},
		{Name: namePublicURL, Aliases: []string{"API_EXTERNAL_URL", "GOTRUE_API_EXTERNAL_URL"}, Flag: "public-url", Group: group,
			Computed: "`http://` and the listen address",
			Help:     "Address of the server as clients see it, without `/auth/v1`. Links, issuer and metadata are built from it, never from a request header. Must be https unless it is loopback.",
			field:    urlField(func(c *Config) *string { return &c.PublicURL }, parsePublicURL)},
		{Name: nameRootMount, Group: group, Default: "false", Computed: "true when variables of GoTrue (GOTRUE_...) are in use",
			Help:  "Serve the routes of `/auth/v1` at `/` too, for a gateway that strips the prefix, as Supabase's does.",
			field: boolField(func(c *Config) *bool { return &c.RootMount })},
		{Name: nameInsecureHTTP, Group: group, Default: "false",
			Help:  "Accept plain http in public addresses outside loopback. Passwords and tokens then cross the network readable: only behind an encrypted network of your own.",
			field: boolField(func(c *Config) *bool { return &c.InsecureHTTP })},
		{Name: nameEncryptionKey, Group: group, Secret: true,
			Computed: "none: `serve` needs it; `dev` makes one in its folder; with GOTRUE_JWT_SECRET one is derived from that",
			Help:     "Key that seals the private keys in the database: 32 bytes in base64 or hexadecimal (`openssl rand -base64 32`).",
			field:    keyField(func(c *Config) *Secret { return &c.EncryptionKey })},
		{Name: namePreviousKey, Group: group, Secret: true,
			Help:  "The encryption key before the present one, until `cardea keys rewrap` has run.",
			field: keyField(func(c *Config) *Secret { return &c.PreviousEncryptionKey })},
		{Name: nameProxies, Group: group,
			Help: "Addresses or networks of your proxies, comma-separated. Only they may tell the client's address (X-Forwarded-For) and scheme.",
			field: makeField("list of networks", func(c *Config) *[]netip.Prefix { return &c.TrustedProxies }, parsePrefixes,
				func(list []netip.Prefix) string {
					texts := make([]string, len(list))
					for i, p := range list {
						texts[i] = p.String()
					}
					return strings.Join(texts, ",")
				})},
		{Name: nameCORSOrigins, Group: group, DevDefault: "*",
			Computed: "the origins of the site URL and of the redirect URLs without wildcards in the host",
			Help:     "Origins whose pages may call the server, comma-separated. `*` in `cardea dev` only.",
			field:    listField("list of origins", func(c *Config) *[]string { return &c.CORSOrigins }, checkOrigin)},
	}
}

func keyField(at func(*Config) *Secret) field {
	return secretField("32-byte key", at, parseKey, func(s Secret) string { return base64.StdEncoding.EncodeToString(s) })
}

func signUpSettings() []Setting {
	const group = "Sign-up and sign-in"
	return []Setting{
		{Name: nameSiteURL, Aliases: []string{"GOTRUE_SITE_URL", "SITE_URL"}, Group: group, Computed: "the public URL",
			Help:  "Address of your application. A redirect that is not allowed goes here.",
			field: urlField(func(c *Config) *string { return &c.SiteURL }, parseSiteURL)},
		{Name: nameRedirectURLs, Aliases: []string{"GOTRUE_URI_ALLOW_LIST", "ADDITIONAL_REDIRECT_URLS"}, Group: group,
			Help:  "Further redirect targets, comma-separated globs: `*` within a part between `.` and `/`, `**` across.",
			field: listField("list of URL globs", func(c *Config) *[]string { return &c.RedirectURLs }, checkRedirectGlob)},
		{Name: "CARDEA_DISABLE_SIGNUP", Aliases: []string{"GOTRUE_DISABLE_SIGNUP", "DISABLE_SIGNUP"}, Group: group, Default: "false",
			Help:  "Accounts are made by operators only.",
			field: boolField(func(c *Config) *bool { return &c.DisableSignup })},
		{Name: "CARDEA_EMAIL_ENABLED", Aliases: []string{"GOTRUE_EXTERNAL_EMAIL_ENABLED", "ENABLE_EMAIL_SIGNUP"}, Group: group, Default: "true",
			Help:  "Sign-up and sign-in with e-mail address and password.",
			field: boolField(func(c *Config) *bool { return &c.EmailEnabled })},
		{Name: "CARDEA_PHONE_ENABLED", Aliases: []string{"GOTRUE_EXTERNAL_PHONE_ENABLED", "ENABLE_PHONE_SIGNUP"}, Group: group, Default: "false", DevDefault: "true",
			Help:  "Sign-up and sign-in with phone number and password.",
			field: boolField(func(c *Config) *bool { return &c.PhoneEnabled })},
		{Name: "CARDEA_ANONYMOUS_ENABLED", Aliases: []string{"GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED", "ENABLE_ANONYMOUS_USERS"}, Group: group, Default: "false", DevDefault: "true",
			Help:  "Anonymous accounts.",
			field: boolField(func(c *Config) *bool { return &c.AnonymousEnabled })},
		{Name: "CARDEA_EMAIL_AUTOCONFIRM", Aliases: []string{"GOTRUE_MAILER_AUTOCONFIRM", "ENABLE_EMAIL_AUTOCONFIRM"}, Group: group, Default: "false", DevDefault: "true",
			Help:  "Take e-mail addresses as proved without a message. Anyone can then sign up with anyone's address.",
			field: boolField(func(c *Config) *bool { return &c.EmailAutoconfirm })},
		{Name: "CARDEA_PHONE_AUTOCONFIRM", Aliases: []string{"GOTRUE_SMS_AUTOCONFIRM", "ENABLE_PHONE_AUTOCONFIRM"}, Group: group, Default: "false", DevDefault: "true",
			Help:  "Take phone numbers as proved without a message.",
			field: boolField(func(c *Config) *bool { return &c.PhoneAutoconfirm })},
	}
}

func tokenSettings() []Setting {
	const group = "Access tokens"
	return []Setting{
		{Name: nameAlgorithm, Group: group, Default: "ES256",
			Computed: "the algorithm of the signing key in CARDEA_JWT_KEYS; else HS256 when a JWT secret is set",
			Help:     "What signs access tokens. The Supabase client verifies ES256 and RS256 by itself and asks the server about the others.",
			field:    choiceField(func(c *Config) *string { return &c.JWT.Algorithm }, "ES256", "RS256", "EdDSA", "HS256")},
		{Name: nameIssuer, Aliases: []string{"GOTRUE_JWT_ISSUER"}, Group: group, Computed: "the public URL and `/auth/v1`",
			Help:  "Issuer (claim iss).",
			field: textField(func(c *Config) *string { return &c.JWT.Issuer })},
		{Name: "CARDEA_JWT_AUDIENCE", Aliases: []string{"GOTRUE_JWT_AUD"}, Group: group, Default: "authenticated",
			Help:  "Audience (claim aud).",
			field: textField(func(c *Config) *string { return &c.JWT.Audience })},
		{Name: nameTokenTTL, Aliases: []string{"GOTRUE_JWT_EXP", "JWT_EXPIRY"}, Group: group, Default: "1h",
			Help:  "Life of an access token, 24 hours at most: a stolen one works that long wherever revocations are not followed.",
			field: makeField("duration", func(c *Config) *time.Duration { return &c.JWT.TTL }, parseTokenTTL, formatDuration)},
		{Name: nameSecret, Aliases: []string{"GOTRUE_JWT_SECRET", "JWT_SECRET", "SECRET_KEY"}, Group: group, Secret: true,
			Help:  "Secret for HS256, 32 bytes at least. Tokens without a key id are verified with it whatever signs new ones.",
			field: secretField("secret", func(c *Config) *Secret { return &c.JWT.Secret }, parseJWTSecret, func(s Secret) string { return string(s) })},
		{Name: "CARDEA_JWT_SECRET_ID", Aliases: []string{"GOTRUE_JWT_KEY_ID"}, Group: group,
			Help:  "Key id of tokens that were signed with the secret by a replaced GoTrue with GOTRUE_JWT_KEY_ID: they stay valid.",
			field: textField(func(c *Config) *string { return &c.JWT.SecretID })},
		{Name: nameKeys, Aliases: []string{"GOTRUE_JWT_KEYS", "JWT_KEYS"}, Group: group, Secret: true,
			Help:  "Private JWKs, a JSON array, to keep the keys of an existing deployment. The one with `\"sign\"` in key_ops signs; the others verify.",
			field: secretField("JSON", func(c *Config) *Secret { return &c.JWT.Keys }, parseJWTKeys, func(s Secret) string { return string(s) })},
		{Name: "CARDEA_JWT_ADMIN_ROLES", Aliases: []string{"GOTRUE_JWT_ADMIN_ROLES"}, Group: group, Default: "service_role,supabase_admin",
			Help: "Role claims that may use the admin routes, comma-separated.",
			field: listField("list", func(c *Config) *[]string { return &c.JWT.AdminRoles }, func(role string) error {
				if role == "anon" || role == "authenticated" {
					return errors.New("is the role of ordinary users: everybody would be an operator")
				}
				return nil
			})},
	}
}

func passwordSettings() []Setting {
	const group = "Passwords"
	return []Setting{
		{Name: "CARDEA_PASSWORD_ALGORITHM", Group: group, Default: "argon2id",
			Help:  "Hash of new passwords. The others are verified too and replaced at sign-in.",
			field: choiceField(func(c *Config) *string { return &c.Password.Algorithm }, "argon2id", "bcrypt")},
		{Name: "CARDEA_PASSWORD_BCRYPT_COST", Group: group, Default: "10",
			Help:  "Cost of bcrypt; each step doubles the work. Below 10 is for tests only.",
			field: intField(func(c *Config) *int { return &c.Password.BcryptCost }, 4, 16)},
		{Name: "CARDEA_PASSWORD_MIN_LENGTH", Aliases: []string{"GOTRUE_PASSWORD_MIN_LENGTH"}, Group: group, Default: "8",
			Help:  "Fewest characters, from 6 to 64.",
			field: intField(func(c *Config) *int { return &c.Password.MinLength }, 6, 64)},
		{Name: "CARDEA_PASSWORD_REQUIRED_CHARACTERS", Aliases: []string{"GOTRUE_PASSWORD_REQUIRED_CHARACTERS"}, Group: group,
			Help: "Sets of characters, separated by `:` (`\\:` is a colon); a password needs one of each.",
			field: makeField("character sets", func(c *Config) *[]string { return &c.Password.RequiredCharacters },
				func(s string) ([]string, error) { return parseCharacterSets(s), cleanText(s) }, formatCharacterSets)},
		{Name: "CARDEA_PASSWORD_COMMON", Group: group, Default: "true",
			Help:  "Refuse the passwords that everybody guesses first, and those made of the account's address or the application's name.",
			field: boolField(func(c *Config) *bool { return &c.Password.Common })},
		{Name: "CARDEA_PASSWORD_HIBP", Aliases: []string{"GOTRUE_PASSWORD_HIBP_ENABLED"}, Group: group, Default: "false",
			Help:  "Ask haveibeenpwned.com whether a new password has leaked. It learns five characters of a hash, never the password.",
			field: boolField(func(c *Config) *bool { return &c.Password.HIBP })},
		{Name: "CARDEA_PASSWORD_HIBP_FAIL_CLOSED", Aliases: []string{"GOTRUE_PASSWORD_HIBP_FAIL_CLOSED"}, Group: group, Default: "false",
			Help:  "Refuse new passwords while it can't be asked.",
			field: boolField(func(c *Config) *bool { return &c.Password.HIBPFailClosed })},
		{Name: "CARDEA_PASSWORD_CONCURRENCY", Group: group, Default: "0",
			Help:  "Passwords hashed at a time; the next ones wait or get 429. 0: one for each core.",
			field: intField(func(c *Config) *int { return &c.Password.Concurrency }, 0, 1024)},
	}
}

func sessionSettings() []Setting {
	const group = "Sessions"
	return []Setting{
		{Name: "CARDEA_SESSION_INACTIVITY", Aliases: []string{"GOTRUE_SESSIONS_INACTIVITY_TIMEOUT"}, Group: group, Default: "30d",
			Help:  "A session that isn't refreshed for so long ends. 0: never.",
			field: durationField(func(c *Config) *time.Duration { return &c.Session.Inactivity }, 0, maxDuration)},
		{Name: nameAbsolute, Group: group, Default: "90d",
			Help:  "A session ends so long after its sign-in, whatever happens. 0: never.",
			field: durationField(func(c *Config) *time.Duration { return &c.Session.Absolute }, 0, maxDuration)},
		{Name: nameTimebox, Aliases: []string{"GOTRUE_SESSIONS_TIMEBOX"}, Group: group, Default: "0s",
			Help:  "GoTrue's name for a limit since the sign-in; the shorter one holds. 0: none.",
			field: durationField(func(c *Config) *time.Duration { return &c.Session.Timebox }, 0, maxDuration)},
		{Name: "CARDEA_SESSION_REFRESH_GRACE", Aliases: []string{"GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL"}, Group: group, Default: "10s",
			Help:  "How long a refresh token that was just exchanged still gets its successor, for clients that lost the answer. A thief has that long too.",
			field: durationField(func(c *Config) *time.Duration { return &c.Session.RefreshGrace }, 0, time.Minute)},
	}
}
