package config

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// minSecret is the least length of an HS256 secret in bytes: the output length of the
// hash (RFC 7518 §3.2). A shorter one can be guessed offline from a single token.
const minSecret = 32

// parseListen reads host:port. The host may be empty (every address) or a name.
func parseListen(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", errors.New("must be host:port, such as 127.0.0.1:8080 or [::1]:8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", errors.New("the port must be a number from 0 to 65535")
	}
	return net.JoinHostPort(host, port), cleanText(host)
}

// isLoopbackHost reports whether a host can only be this machine. Names are not looked
// up: only localhost and its subdomains (RFC 6761 §6.3) count.
func isLoopbackHost(host string) bool {
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// parseHTTPURL reads an absolute http(s) URL. Its errors never repeat the text, which may
// hold a password.
func parseHTTPURL(s string) (*url.URL, error) {
	if err := cleanText(s); err != nil {
		return nil, err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("must be an absolute URL that begins with https:// or http://")
	case u.User != nil:
		return nil, errors.New("must not hold a user name or password")
	case strings.ContainsAny(u.Host, "*\\ "):
		return nil, errors.New("must name one host, without wildcards")
	}
	return u, nil
}

// parsePublicURL reads the server's own address. GoTrue's API_EXTERNAL_URL may end in
// /auth/v1 already; that part is ours to add.
func parsePublicURL(s string) (string, error) {
	u, err := parseHTTPURL(s)
	if err != nil {
		return "", err
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#") {
		return "", errors.New("must have neither query nor fragment")
	}
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), AuthPath)
	return u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(path, "/"), nil
}

// scriptScheme matches schemes that run code or read files when a browser is sent to them.
var scriptScheme = regexp.MustCompile(`^(?i)(javascript|data|vbscript|file|blob|about|filesystem|view-source):`)

// parseSiteURL reads the application's address: http(s), or the scheme of a mobile app.
func parseSiteURL(s string) (string, error) {
	if err := cleanText(s); err != nil {
		return "", err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("is not a URL")
	case scriptScheme.MatchString(s):
		return "", errors.New("has a scheme that runs code or reads files in a browser")
	case u.Scheme == "http" || u.Scheme == "https":
		_, err := parseHTTPURL(s)
		return s, err
	case u.Scheme == "" || u.Host == "" && u.Path == "" && u.Opaque == "":
		return "", errors.New("must be an absolute URL, such as https://app.example or myapp://home")
	}
	return s, nil
}

var globScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:/`)

// checkRedirectGlob refuses patterns that are mistakes. Whether one is too wide is
// judged by the caller, who knows the mode.
func checkRedirectGlob(s string) error {
	switch {
	case scriptScheme.MatchString(s):
		return errors.New("has a scheme that runs code or reads files in a browser")
	case strings.ContainsAny(s, " #"):
		return errors.New("holds a blank or a fragment, which no redirect target can have")
	case strings.HasSuffix(s, `\`):
		return errors.New("ends with a backslash")
	case strings.Count(s, "[") != strings.Count(s, "]"), strings.Count(s, "{") != strings.Count(s, "}"):
		return errors.New("has a bracket without its partner (commas separate patterns, so {a,b} can't be used)")
	case !globScheme.MatchString(s) && strings.Trim(s, "*") != "":
		return errors.New("must begin with a scheme, such as https://app.example/**")
	}
	return nil
}

// matchesAnyHost reports whether a glob leaves the whole host open: then anyone can have
// tokens sent to a page of theirs. The scheme of a mobile app has no hosts.
func matchesAnyHost(glob string) bool {
	scheme, rest, ok := strings.Cut(glob, "://")
	if !ok {
		return strings.Trim(glob, "*") == ""
	}
	if scheme = strings.ToLower(scheme); scheme != "http" && scheme != "https" {
		return false
	}
	host := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host = rest[:i]
	}
	host, _, _ = strings.Cut(host, ":")
	return host != "" && strings.Trim(host, "*?.") == ""
}

// checkOrigin accepts "*" or scheme://host[:port], as browsers send it.
func checkOrigin(s string) error {
	if s == "*" {
		return nil
	}
	u, err := parseHTTPURL(s)
	if err != nil {
		return err
	}
	if s != u.Scheme+"://"+u.Host || u.Host != strings.ToLower(u.Host) {
		return errors.New("must be scheme://host or scheme://host:port in lower case, without a path")
	}
	return nil
}

// parseDatabaseURL checks the form only. Its errors never repeat the text.
func parseDatabaseURL(s string) (string, error) {
	if err := cleanText(s); err != nil {
		return "", err
	}
	const form = "must begin with postgres:// or sqlite://"
	switch scheme, rest, _ := strings.Cut(s, "://"); scheme {
	case "postgres", "postgresql":
		u, err := url.Parse(s)
		if err != nil {
			return "", errors.New("is not a URL (write special characters of the password in %-form, such as %40 for @)")
		}
		if u.Host == "" && u.Query().Get("host") == "" {
			return "", errors.New("names no host")
		}
		return s, nil
	case "sqlite":
		switch {
		case rest == "" || strings.HasSuffix(rest, "/"):
			return "", errors.New("names no file: write sqlite:///absolute/path or sqlite://relative/path")
		case strings.HasPrefix(rest, "/./"), strings.HasPrefix(rest, "/../"):
			return "", errors.New("has three slashes before a relative path: write sqlite://relative/path")
		case strings.ContainsAny(rest, "?#"):
			return "", errors.New("must be a path without ? and #")
		}
		return s, nil
	}
	return "", errors.New(form)
}

// redactDatabaseURL keeps what an operator recognises the database by.
func redactDatabaseURL(s string) string {
	if s == "" || strings.HasPrefix(s, "sqlite://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" && u.User == nil {
		return redacted
	}
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		clean.User = url.User(u.User.Username())
	}
	if mode := u.Query().Get("sslmode"); mode != "" {
		clean.RawQuery = "sslmode=" + url.QueryEscape(mode)
	}
	return clean.String()
}

// parseTokenTTL enforces MaxTokenTTL with the reason.
func parseTokenTTL(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	switch {
	case err != nil:
		return 0, err
	case d < time.Second:
		return 0, errors.New("must be at least 1s")
	case d > MaxTokenTTL:
		return 0, fmt.Errorf("%s is longer than 24 hours: a stolen token works until it expires, "+
			"and verifiers refuse tokens that live longer; for long sign-ins raise CARDEA_SESSION_INACTIVITY instead", formatDuration(d))
	}
	return d, nil
}

func parseJWTSecret(s string) (Secret, error) {
	if len(s) < minSecret {
		return nil, fmt.Errorf("is %d bytes long; HS256 needs at least %d", len(s), minSecret)
	}
	return Secret(s), nil
}

// jwk is what is looked at before the key ring imports the keys.
type jwk struct {
	Kty    string   `json:"kty"`
	Alg    string   `json:"alg"`
	Crv    string   `json:"crv"`
	K      string   `json:"k"`
	D      string   `json:"d"`
	KeyOps []string `json:"key_ops"`
}

// parseJWTKeys checks the outline: a JSON array (or a JWK set) with exactly one key that
// signs. The key ring checks the keys themselves.
func parseJWTKeys(s string) (Secret, error) {
	keys, err := readJWKs([]byte(s))
	if err != nil {
		return nil, err
	}
	signing := 0
	for i, k := range keys {
		if k.signs() {
			signing++
			if k.K == "" && k.D == "" {
				return nil, fmt.Errorf("key %d should sign, but its private part is missing", i+1)
			}
		}
		if k.Kty == "oct" {
			if raw, err := base64.RawURLEncoding.DecodeString(k.K); err != nil || len(raw) < minSecret {
				return nil, fmt.Errorf("key %d is a secret of less than %d bytes", i+1, minSecret)
			}
		}
	}
	if signing != 1 {
		return nil, fmt.Errorf(`%d keys have "sign" in key_ops; exactly one must`, signing)
	}
	return Secret(s), nil
}

func readJWKs(doc []byte) ([]jwk, error) {
	doc = bytes.TrimSpace(doc)
	var keys []jwk
	var err error
	if bytes.HasPrefix(doc, []byte("{")) {
		var set struct {
			Keys []jwk `json:"keys"`
		}
		err = json.Unmarshal(doc, &set)
		keys = set.Keys
	} else {
		err = json.Unmarshal(doc, &keys)
	}
	if err != nil || len(keys) == 0 { // the decoder's text could repeat a part of a key
		return nil, errors.New("is not a JSON array of JWKs")
	}
	return keys, nil
}

func (k *jwk) signs() bool {
	for _, op := range k.KeyOps {
		if op == "sign" {
			return true
		}
	}
	return false
}

// algorithm is the key's alg, or the only one its type allows.
func (k *jwk) algorithm() string {
	switch {
	case k.Alg != "":
		return k.Alg
	case k.Kty == "RSA":
		return "RS256"
	case k.Kty == "oct":
		return "HS256"
	case k.Crv == "Ed25519":
		return "EdDSA"
	case k.Crv == "P-256":
		return "ES256"
	}
	return ""
}

// signingAlgorithm is the algorithm of the key that signs, "" if unknown.
func signingAlgorithm(doc []byte) string {
	keys, err := readJWKs(doc)
	if err != nil {
		return ""
	}
	for i := range keys {
		if keys[i].signs() {
			return keys[i].algorithm()
		}
	}
	return ""
}
