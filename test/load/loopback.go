package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// errNotLoopback is the answer to every address that is not of this machine alone.
var errNotLoopback = errors.New("only addresses of the loopback interface are measured")

// loopbackHost reports whether host is a literal loopback address or localhost. What
// localhost really is, is checked again when the connection is made.
func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// checkLoopbackURL refuses everything but plain http to the loopback interface.
func checkLoopbackURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return err
	case u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q is not a plain http address", raw)
	case !loopbackHost(u.Hostname()):
		return fmt.Errorf("%s: %w", u.Host, errNotLoopback)
	}
	return nil
}

// checkLoopbackDatabase refuses a PostgreSQL that is not on this machine. All hosts of
// the URL count, and those of PGHOST, which pgx fills in.
func checkLoopbackDatabase(raw string) error {
	cfg, err := pgx.ParseConfig(raw)
	if err != nil {
		return err
	}
	hosts := []string{cfg.Host}
	for _, f := range cfg.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		if !strings.HasPrefix(host, "/") && !loopbackHost(host) {
			return fmt.Errorf("%s: %w", host, errNotLoopback)
		}
	}
	return nil
}

// newClient makes an HTTP client with conns connections that never leaves the loopback
// interface: the address is checked after it has been resolved, proxies are not asked and
// redirects not followed.
func newClient(conns int) *http.Client {
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			host, _, err := net.SplitHostPort(address)
			if err != nil || !loopbackHost(host) {
				return fmt.Errorf("%s: %w", address, errNotLoopback)
			}
			return nil
		},
	}
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			MaxIdleConns:        conns,
			MaxIdleConnsPerHost: conns,
			MaxConnsPerHost:     conns,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		},
	}
}
