package redirect

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxURL bounds the work, and what a mail or a Location header has to carry.
const maxURL = 4096

// target is a URL taken apart in the way a browser does it.
type target struct {
	text      string // less the fragment; scheme and authority in lower case
	scheme    string
	authority string // host and port; "" if there are no two slashes after the scheme
	host      string // IPv6 addresses with their brackets
	port      string // "" for none and for the scheme's own
	rest      string // path and query
}

// parseTarget refuses what is no absolute URL, or one that a browser might read otherwise
// than we do. It does not judge the host.
func parseTarget(s string) (target, bool) {
	if s == "" || len(s) > maxURL || !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		return target{}, false
	}
	s, _, _ = strings.Cut(s, "#")
	scheme, after, ok := strings.Cut(s, ":")
	if !ok || !isScheme(scheme) {
		return target{}, false
	}
	t := target{scheme: asciiLower(scheme)}
	if isScriptScheme(t.scheme) {
		return target{}, false
	}
	rest, hasAuthority := strings.CutPrefix(after, "//")
	if !hasAuthority {
		t.rest, t.text = after, t.scheme+":"+after
		return t, !t.isWeb() && after != ""
	}
	t.authority = rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		t.authority, t.rest = rest[:i], rest[i:]
	}
	t.authority = asciiLower(t.authority)
	t.text = t.scheme + "://" + t.authority + t.rest
	if strings.ContainsAny(t.authority, "@%") || t.isWeb() && t.authority == "" {
		return target{}, false
	}
	if !t.splitPort() {
		return target{}, false
	}
	if t.isWeb() {
		// A second opinion: what net/url can't read, the code that adds a query can't either.
		if u, err := url.Parse(t.text); err != nil || u.Host != t.authority || u.User != nil {
			return target{}, false
		}
	}
	return t, true
}

// splitPort takes host and port apart.
func (t *target) splitPort() bool {
	t.host = t.authority
	after := 0
	if strings.HasPrefix(t.host, "[") {
		end := strings.IndexByte(t.host, ']')
		if end < 0 {
			return false
		}
		after = end + 1
	}
	if i := strings.IndexByte(t.host[after:], ':'); i >= 0 {
		t.host, t.port = t.authority[:after+i], t.authority[after+i+1:]
	}
	if after > 0 && len(t.host) != after || t.isWeb() && t.host == "" {
		return false
	}
	for i := range len(t.port) {
		if t.port[i] < '0' || t.port[i] > '9' {
			return false
		}
	}
	if len(t.port) > 5 {
		return false
	}
	if t.scheme == "https" && t.port == "443" || t.scheme == "http" && t.port == "80" {
		t.port = ""
	}
	return true
}

func (t *target) isWeb() bool { return t.scheme == "http" || t.scheme == "https" }

func (t *target) sameOrigin(site target) bool {
	return t.scheme == site.scheme && t.host == site.host && t.port == site.port
}

func (t *target) isIP() bool {
	_, err := netip.ParseAddr(unbracket(t.host))
	return err == nil
}

func (t *target) isLoopbackIP() bool { return isLoopbackIP(t.host) }

// plainHost reports whether the host means the same to us as to a browser.
func (t *target) plainHost() bool {
	switch {
	case strings.HasPrefix(t.host, "["):
		addr, err := netip.ParseAddr(unbracket(t.host))
		return err == nil && addr.Is6() && addr.Zone() == ""
	case !t.isWeb():
		// Hosts of other schemes are just names, but whole numbers are refused as in GoTrue.
		return t.host == "" || strings.Trim(t.host, "0123456789") != ""
	}
	labels := strings.Split(t.host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	// A host whose last part is a number is an IPv4 address to browsers (WHATWG URL §3.5),
	// in any of its old spellings; netip takes four decimal parts without leading zeros.
	if isNumber(labels[len(labels)-1]) {
		addr, err := netip.ParseAddr(t.host)
		return err == nil && addr.Is4()
	}
	return true
}

// isNumber is for parts in lower case.
func isNumber(s string) bool {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(s, "0123456789") == ""
}

// hasDotSegment reports whether a path, before the query, holds "." or "..", also in
// percent-encoding: browsers resolve them, so "/public/../admin" is "/admin".
func hasDotSegment(rest string) bool {
	path, _, _ := strings.Cut(rest, "?")
	for segment := range strings.SplitSeq(path, "/") {
		switch strings.ReplaceAll(asciiLower(segment), "%2e", ".") {
		case ".", "..":
			return true
		}
	}
	return false
}

// isScheme is RFC 3986 §3.1 and the underscore, which app schemes made from package names
// have.
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-._", rune(s[i]))) {
			return false
		}
	}
	return s != ""
}

// isScriptScheme names schemes that run code, read local data or carry a second target
// inside; no allow-list can permit them. An "intent" has its target in the fragment, which
// is not compared.
func isScriptScheme(lower string) bool {
	switch lower {
	case "javascript", "data", "vbscript", "file", "filesystem", "blob", "about", "view-source", "jar", "intent", "mhtml":
		return true
	}
	return false
}

// printable refuses blanks, controls, invisible and direction-changing characters, and
// the backslash.
func printable(r rune) bool { return r != ' ' && r != '\\' && unicode.IsPrint(r) }

func unprintable(r rune) bool { return !printable(r) }

func unbracket(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		return strings.TrimSuffix(inner, "]")
	}
	return host
}

// asciiLower leaves other letters alone: strings.ToLower turns the Kelvin sign into "k".
func asciiLower(s string) string { return strings.Map(lowerRune, s) }

func lowerRune(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + ('a' - 'A')
	}
	return r
}
