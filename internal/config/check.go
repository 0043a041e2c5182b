package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// check judges what settings mean together. A setting whose value was refused already is
// left alone: one mistake, one problem.
func (l *loader) check() {
	l.checkAddresses()
	l.checkRedirects()
	l.checkKeys()
	l.checkSession()
	l.checkProxies()
	l.checkMessages()
	l.checkRelay()
	l.readCollectors()
	if l.src.Dev {
		return
	}
	l.checkDatabase()
	if l.cfg.EmailAutoconfirm && l.cfg.EmailEnabled && !l.cfg.DisableSignup {
		l.warn(l.sourceName("CARDEA_EMAIL_AUTOCONFIRM"), "anyone can sign up with anyone's e-mail address",
			"remove it unless addresses are proved elsewhere")
	}
	if l.cfg.People.Verification == "none" && l.registers() {
		l.warn(l.sourceName(nameVerification), "anyone can register with anyone's e-mail address or phone number", "use before_login unless clients expect tokens at once")
	}
	if l.cfg.Password.Algorithm == "bcrypt" && l.cfg.Password.BcryptCost < 10 {
		l.warn(l.sourceName("CARDEA_PASSWORD_BCRYPT_COST"), "hashes below cost 10 are guessed quickly when the database is stolen", "use 10 or more")
	}
	if !l.cfg.RateLimit.Enabled {
		l.warn(l.sourceName("CARDEA_RATE_LIMIT_ENABLED"), "passwords can be guessed without limit", "remove it")
	}
}

// ok reports whether the values of all these settings were accepted.
func (l *loader) ok(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return l.failed[n] })
}

func (l *loader) checkAddresses() {
	c := &l.cfg
	host, _, _ := net.SplitHostPort(c.Listen)
	if l.src.Dev && l.ok(nameListen) && !isLoopbackHost(host) {
		l.problem(l.sourceName(nameListen), quote(c.Listen),
			"`cardea dev` listens on loopback only: it confirms every address and shows its keys",
			"listen on 127.0.0.1, or use `cardea serve`")
	}
	if l.given(namePublicURL) {
		l.checkTransport(namePublicURL, c.PublicURL, "passwords and tokens would cross the network readable")
	} else if l.ok(nameListen) && !l.src.Dev && !isLoopbackHost(host) {
		l.problem(namePublicURL, "", "is needed when the server listens on other addresses than loopback: links and the issuer are built from it",
			"set "+namePublicURL+" to the address that clients use, such as https://auth.example.com")
	}
	if l.given(nameSiteURL) {
		l.checkTransport(nameSiteURL, c.SiteURL, "tokens are sent to it with redirects")
	}
	if l.given(nameLinkURL) {
		l.checkTransport(nameLinkURL, c.Mail.LinkURL, "the tokens of links are sent to it")
	}
}

// checkTransport wants https wherever the way isn't inside this machine.
func (l *loader) checkTransport(name, address, why string) {
	u, err := url.Parse(address)
	if err != nil || !l.ok(name) || u.Scheme != "http" || isLoopbackHost(u.Hostname()) {
		return
	}
	if l.cfg.InsecureHTTP {
		l.warn(l.sourceName(nameInsecureHTTP), "allows the plain http of "+name+": "+why, "use https")
		return
	}
	l.problem(l.sourceName(name), quote(address), "must be https outside loopback: "+why,
		"write https://, or set "+nameInsecureHTTP+"=true if the network between is encrypted and yours")
}

func (l *loader) checkRedirects() {
	c := &l.cfg
	if l.src.Dev {
		return
	}
	if l.ok(nameRedirectURLs) {
		for _, glob := range c.RedirectURLs {
			if matchesAnyHost(glob) {
				l.problem(l.sourceName(nameRedirectURLs), quote(glob),
					"matches every host: anyone could have tokens sent to a page of theirs",
					"name the host, such as https://app.example/** or https://*.app.example/**")
			}
		}
	}
	if l.ok(nameCORSOrigins) && slices.Contains(c.CORSOrigins, "*") {
		l.problem(l.sourceName(nameCORSOrigins), `"*"`, "every web page could call the server in its visitor's name; only `cardea dev` allows that",
			"list the origins of your applications, such as https://app.example")
	}
}

func (l *loader) checkKeys() {
	c := &l.cfg
	if c.JWT.Algorithm == "HS256" && !c.JWT.Secret.Set() && !c.JWT.Keys.Set() && l.ok(nameAlgorithm, nameSecret, nameKeys) {
		l.problem(nameSecret, "", "is needed for HS256", "set "+nameSecret+" to the secret that the verifying systems share (32 bytes at least), or choose ES256")
	}
	if alg := signingAlgorithm(c.JWT.Keys); alg != "" && alg != c.JWT.Algorithm && l.ok(nameAlgorithm, nameKeys) {
		l.problem(l.sourceName(nameAlgorithm), quote(c.JWT.Algorithm), "but the signing key in "+l.sourceName(nameKeys)+" is for "+alg,
			"remove "+nameAlgorithm+", or give a key for it")
	}
	if alg := c.JWT.Algorithm; l.ok(nameAlgorithm, nameKeys) && !slices.Contains([]string{"ES256", "RS256", "EdDSA", "HS256"}, alg) {
		l.problem(l.sourceName(nameKeys), "", "the signing key is for "+alg+", which isn't supported", "use a key for ES256, RS256, EdDSA or HS256")
	}
	if len(c.JWT.AdminRoles) == 0 && l.ok("CARDEA_JWT_ADMIN_ROLES") {
		l.problem(l.sourceName("CARDEA_JWT_ADMIN_ROLES"), "", "no role is left", "name at least one role, such as service_role")
	}
	if l.src.Dev {
		return
	}
	if l.ok(nameSecret) && c.JWT.Secret.Set() {
		if why := guessable(string(c.JWT.Secret)); why != "" {
			l.problem(l.sourceName(nameSecret), "", why+": anyone could make tokens for any user",
				"make one: openssl rand -base64 48")
		}
	}
	if l.ok(nameEncryptionKey) && !c.EncryptionKey.Set() {
		l.problem(nameEncryptionKey, "", "is needed: private keys are stored sealed",
			"make one with `openssl rand -base64 32`, keep it outside the database and its backups, and set "+nameEncryptionKey+" or "+nameEncryptionKey+fileSuffix)
	}
	if c.PreviousEncryptionKey.Set() && string(c.PreviousEncryptionKey) == string(c.EncryptionKey) {
		l.warn(l.sourceName(namePreviousKey), "is the present key", "remove it")
	}
}

// knownSecrets begin the secrets that documentation prints: Supabase's compose file and
// CLI, and the usual placeholders.
func knownSecrets() []string {
	return []string{
		"your-super-secret-jwt-token", "super-secret-jwt-token", "your-secret-key", "your_secret_key", "your_jwt_secret",
		"your-256-bit-secret", "your-jwt-secret", "change-me", "changeme", "change_me", "changethis", "secretsecret",
		"super-secret", "supersecret", "my-secret", "mysecret", "insecure", "example", "password", "dev-secret",
		"test-secret", "placeholder", "please-change", "replace-me", "django-insecure",
	}
}

// guessable says why a secret is as good as none, "" if nothing speaks against it.
func guessable(secret string) string {
	lower := strings.ToLower(secret)
	for _, known := range knownSecrets() {
		if strings.HasPrefix(lower, known) {
			return "is a secret from documentation or a placeholder"
		}
	}
	different := map[rune]bool{}
	for _, r := range secret {
		different[r] = true
	}
	if len(different) < 8 {
		return fmt.Sprintf("has only %d different characters", len(different))
	}
	return ""
}

func (l *loader) checkSession() {
	s := &l.cfg.Session
	if l.ok(nameTimebox, nameAbsolute) && s.Absolute > 0 && s.Timebox > s.Absolute {
		l.problem(l.sourceName(nameTimebox), quote(formatDuration(s.Timebox)),
			"is longer than "+nameAbsolute+" ("+formatDuration(s.Absolute)+"), which ends sessions before",
			"shorten it, or raise "+nameAbsolute)
	}
}

// checkProxies refuses "every address is my proxy": then any client chooses the address
// that limits and audit records see.
func (l *loader) checkProxies() {
	for _, p := range l.cfg.TrustedProxies {
		if p.Bits() == 0 && !l.src.Dev {
			l.problem(l.sourceName(nameProxies), quote(p.String()), "trusts every address: any client could claim any address",
				"list the addresses of your proxies only")
		}
	}
}

func (l *loader) checkDatabase() {
	c := &l.cfg
	if !l.ok(nameDatabaseURL) {
		return
	}
	if c.DatabaseURL == "" {
		l.problem("DATABASE_URL", "", "is needed by `serve`: there is no default database",
			"set DATABASE_URL to postgres://user:password@host/name or sqlite:///absolute/path; or try `cardea dev`")
		return
	}
	path, sqlite := c.SQLitePath()
	if sqlite && strings.HasPrefix(path, ":memory:") {
		l.problem(l.sourceName(nameDatabaseURL), c.DatabaseURL, "would be lost when the server stops", "name a file")
	}
	if sqlite {
		return
	}
	u, err := url.Parse(c.DatabaseURL)
	if err == nil && u.Query().Get("sslmode") == "disable" && u.Hostname() != "" && !isLoopbackHost(u.Hostname()) {
		l.warn(l.sourceName(nameDatabaseURL), "sslmode=disable: the way to the database isn't encrypted",
			"use sslmode=verify-full unless both run on one private network")
	}
}

// corsOrigins is the default allow-list: the application's own origin and those of the
// redirect targets that name their host outright.
func corsOrigins(site string, globs []string) []string {
	var list []string
	for _, address := range append([]string{site}, globs...) {
		scheme, rest, ok := strings.Cut(address, "://")
		if !ok || scheme != "http" && scheme != "https" {
			continue
		}
		host := strings.ToLower(rest)
		if i := strings.IndexAny(host, "/?"); i >= 0 {
			host = host[:i]
		}
		origin := scheme + "://" + host
		if strings.ContainsAny(host, `*[{\@`) && !strings.HasPrefix(host, "[") || checkOrigin(origin) != nil || slices.Contains(list, origin) {
			continue
		}
		list = append(list, origin)
	}
	return list
}
