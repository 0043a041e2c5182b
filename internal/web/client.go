package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ClientIP finds the address of the client. X-Forwarded-For counts only as far as it was
// written by proxies in Trusted: anybody can send the header, and an address that the
// client chooses would void every limit per address.
type ClientIP struct{ Trusted []netip.Prefix }

// From gives the canonical text of the client's address, "" if it can't be told (a unix
// socket). It walks X-Forwarded-For from the right, the end that the nearest proxy wrote,
// and stops at the first address that is not a trusted proxy.
func (c ClientIP) From(r *http.Request) string {
	addr, ok := peer(r)
	if !ok {
		return ""
	}
	if len(c.Trusted) == 0 || !c.trusted(addr) {
		return addr.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // junk: whatever stands further left is not to be believed
		}
		addr = hop.Unmap().WithZone("")
		if !c.trusted(addr) {
			break
		}
	}
	return addr.String()
}

// PlainHTTP reports whether a trusted proxy says that the client spoke plain HTTP to it.
func (c ClientIP) PlainHTTP(r *http.Request) bool {
	addr, ok := peer(r)
	return ok && c.trusted(addr) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "http")
}

func (c ClientIP) trusted(a netip.Addr) bool {
	for _, p := range c.Trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func peer(r *http.Request) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}
