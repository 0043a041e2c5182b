package flow

import (
	"slices"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// reservedSlugs are words that are paths or hosts of ours or of the application, or that
// would let a tenant pass for whoever runs the place. Slugs end up as both:
// /en/<slug>/api/… and <slug>.example.org.
func reservedSlugs() []string {
	return []string{
		"about", "account", "accounts", "admin", "administrator", "api", "app", "apps", "assets", "auth", "authorize", "autoconfig",
		"autodiscover", "backoffice", "billing", "blog", "callback", "cardea", "cdn", "config", "console", "dashboard", "default", "dev",
		"docs", "download", "email", "error", "favicon", "files", "ftp", "graphql", "health", "healthy", "healthz", "help", "hostmaster",
		"imap", "images", "inbox", "info", "internal", "invite", "jwks", "legal", "localhost", "login", "logout", "mail", "mcp", "me",
		"members", "metrics", "mirror", "mx", "new", "none", "noreply", "ns1", "ns2", "null", "oauth", "oauth2", "official", "openapi",
		"operator", "pop", "postmaster", "privacy", "public", "readyz", "realtime", "recover", "refresh", "register", "rest", "root",
		"security", "self", "service", "settings", "signin", "signout", "signup", "smtp", "sso", "staging", "static", "status", "storage",
		"support", "system", "team", "tenant", "tenants", "terms", "test", "token", "tokens", "true", "false", "undefined", "user", "users",
		"verify", "webhook", "webhooks", "webmaster", "well-known", "wpad", "www",
	}
}

// ReadSlug checks a tenant's name for URLs: 3 to 63 characters of a-z, 0-9 and hyphens, as
// the label of a host name (RFC 1123 §2.1). What it refuses besides:
//
//   - anything else, in place of changing it: two spellings of a slug would be two tenants
//     to one reader and one to the next, and look-alikes of other scripts are what phishing
//     is made of;
//   - hyphens at the ends and two in a row, which cover "xn--" (RFC 5890 §2.3.1);
//   - words of ours (api, auth, admin, www, …), a version such as v1, and what looks like
//     an id or a number.
func ReadSlug(s string) (string, error) {
	if len(s) < 3 || len(s) > 63 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
		s[0] == '-' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return "", auth.E(auth.CodeValidation, "slug must have 3 to 63 characters: a-z, 0-9 and single hyphens between them")
	}
	if _, err := auth.ParseID(s); err == nil || strings.Trim(s, "0123456789-") == "" || slices.Contains(reservedSlugs(), s) ||
		s[0] == 'v' && strings.Trim(s[1:], "0123456789") == "" {
		return "", auth.E(auth.CodeValidation, "This slug is reserved, please choose another one")
	}
	return s, nil
}
