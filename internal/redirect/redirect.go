// Package redirect decides where a browser may be sent with a token in the address. A
// wrong answer here hands accounts to strangers, so everything that is not plainly allowed
// is refused, and a refused target becomes the site URL without a word.
//
// The rules are GoTrue's (scheme, host and port of the site; loopback addresses; globs of
// the allow-list), read more strictly where a browser and a string comparison see two
// different hosts. [Rules.Allowed] lists them all; glob.go describes the globs.
package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Rules knows one site and its allow-list. It is safe for concurrent use.
type Rules struct {
	siteURL string
	site    target
	// siteLoopback: the site itself runs on this machine, so every loopback name and
	// every port of it is the developer's own.
	siteLoopback bool
	allow        []entry
}

// New makes the rules. siteURL is absolute; each element of allow is one glob. The errors
// name the value that is wrong: an entry that could never match, or that means something
// else than its author thinks, must not pass silently.
func New(siteURL string, allow []string) (*Rules, error) {
	site, ok := parseTarget(siteURL)
	if !ok {
		return nil, fmt.Errorf("redirect: site URL %q is not an absolute URL that a browser can be sent to", siteURL)
	}
	r := &Rules{siteURL: siteURL, site: site, siteLoopback: site.isWeb() && isLoopbackName(site.host)}
	for _, glob := range allow {
		glob = strings.TrimSpace(glob)
		if glob == "" {
			continue
		}
		entries, err := compile(glob)
		if err != nil {
			return nil, fmt.Errorf("redirect: allow-list entry %q: %w", glob, err)
		}
		r.allow = append(r.allow, entries...)
	}
	return r, nil
}

// Choose gives the first candidate that is not empty if it is allowed, else the site URL.
// Candidates are, in this order: the redirect_to header, the redirect_to parameter, the
// Referer. The answer is the candidate as it was sent, with its fragment.
func (r *Rules) Choose(candidates ...string) string {
	for _, c := range candidates {
		if c == "" {
			continue
		}
		if r.Allowed(c) {
			return c
		}
		break
	}
	return r.siteURL
}

// Allowed reports whether a browser may be sent to the URL. What it verifies:
//
//   - it has at most 4,096 bytes of printable UTF-8, without blanks (browsers drop tabs and
//     line ends, so that "java\tscript:" is a script), and without backslashes (which
//     browsers read as slashes);
//   - it is absolute, with a scheme that neither runs code nor reads local data, and, for
//     http and https, with exactly two slashes and a plain host name: no "//evil", no
//     "https:evil", no percent signs, no letters beyond ASCII but in the site's own host;
//   - it has no userinfo: "https://app.example@evil.example" belongs to evil.example;
//   - its host is not an IP address in a spelling that only browsers understand (decimal,
//     hexadecimal, octal, fewer than four parts);
//   - and one of these holds: scheme, host and port are those of the site; it is http or
//     https on a loopback IP literal (RFC 8252 §7.3: native apps listen on a port of the
//     moment); the site itself is on loopback, and so is this host, any port; an entry of
//     the allow-list matches it, less its fragment.
//
// An entry never matches a path with dot segments, which browsers resolve before they ask,
// and matches an IP address only if it spells that address out.
//
// It does not look at what the page there does: a page of the site that redirects onwards
// on its own is not found out.
func (r *Rules) Allowed(url string) bool {
	t, ok := parseTarget(url)
	if !ok {
		return false
	}
	if t.sameOrigin(r.site) {
		return true
	}
	if !t.plainHost() {
		return false
	}
	if t.isWeb() && (t.isLoopbackIP() || r.siteLoopback && isLoopbackName(t.host)) {
		return true
	}
	if t.isWeb() && hasDotSegment(t.rest) {
		return false
	}
	for i := range r.allow {
		if r.allow[i].matches(&t) {
			return true
		}
	}
	return false
}

// entry is one alternative of one glob.
type entry struct {
	whole []token
	// authority is the part between "://" and the next slash; nil if the glob has none. It
	// is compared on its own as well, or "https://**.app.example/" would take
	// "https://evil.example/?.app.example/".
	authority []token
	// open: the glob goes on with "**" right after the host. That means ports, paths and
	// queries, and not ".evil.example".
	open bool
}

var (
	errNoScheme = errors.New("must begin with a scheme, such as https://app.example/**")
	errScheme   = errors.New("has a scheme that runs code or reads local data in a browser")
	errSlashes  = errors.New("must have :// and a host after http or https")
	errUserinfo = errors.New("has userinfo (@) before the host, which no target may have")
	errFragment = errors.New("holds a fragment (#), which is dropped before matching")
	errText     = errors.New("holds blanks, backslash pairs or characters that no target may have")
)

// compile reads a glob.
func compile(glob string) ([]entry, error) {
	alternatives, err := parseGlob(glob)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(alternatives))
	for _, whole := range alternatives {
		e, err := newEntry(whole)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func newEntry(whole []token) (entry, error) {
	for _, t := range whole {
		switch {
		case t.kind == literal && t.r == '#':
			return entry{}, errFragment
		case t.kind == literal && !printable(t.r):
			return entry{}, errText
		}
	}
	if onlyStars(whole) {
		return entry{whole: whole}, nil
	}
	scheme, ok := leadingScheme(whole)
	if !ok {
		return entry{}, errNoScheme
	}
	lower(whole[:len(scheme)])
	scheme = strings.ToLower(scheme)
	if isScriptScheme(scheme) {
		return entry{}, errScheme
	}
	web := scheme == "http" || scheme == "https"
	after := whole[len(scheme)+1:]
	if len(after) < 2 || !after[0].is('/') || !after[1].is('/') {
		if web {
			return entry{}, errSlashes
		}
		return entry{whole: whole}, nil
	}
	authority := after[2:]
	for i, t := range authority {
		if t.is('/') || t.is('?') {
			authority = authority[:i]
			break
		}
		if t.is('@') {
			return entry{}, errUserinfo
		}
	}
	if web && len(authority) == 0 {
		return entry{}, errSlashes
	}
	lower(authority)
	e := entry{whole: whole, authority: authority}
	last := len(authority) - 1
	if last > 0 && authority[last].kind == doubleStar && !authority[last-1].is('.') && !onlyStars(authority) {
		e.authority, e.open = authority[:last], true
	}
	return e, nil
}

// matches reports whether the glob covers the target.
func (e *entry) matches(t *target) bool {
	if t.isIP() && !e.spells(t.host) {
		return false
	}
	return e.matchesHost(t) && match(e.whole, t.text)
}

func (e *entry) matchesHost(t *target) bool {
	return e.authority == nil || match(e.authority, t.authority) || e.open && match(e.authority, t.host)
}

// spells reports whether the entry has exactly this host, without a wildcard.
func (e *entry) spells(host string) bool {
	var b strings.Builder
	for _, t := range e.authority {
		if t.kind != literal {
			break
		}
		b.WriteRune(t.r)
	}
	rest, ok := strings.CutPrefix(b.String(), host)
	return ok && (rest == "" || rest[0] == ':')
}

// isLoopbackName reports whether a host is this machine. "localhost" never leaves it
// (RFC 6761 §6.3; browsers don't ask the name server).
func isLoopbackName(host string) bool {
	return host == "localhost" || isLoopbackIP(host)
}

// isLoopbackIP takes a host as it stands in a URL. IPv4 addresses inside IPv6 ones are
// left out: what they reach is up to the system.
func isLoopbackIP(host string) bool {
	addr, err := netip.ParseAddr(unbracket(host))
	return err == nil && !addr.Is4In6() && addr.Zone() == "" && addr.IsLoopback()
}
