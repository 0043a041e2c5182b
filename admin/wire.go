package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const extPrefix = "UTF-8''"

// extValue writes text for a header field: as it is when that is plain ASCII, else in the
// form of RFC 8187 §3.2.1, since header fields carry no other letters.
func extValue(s string) string {
	if !strings.HasPrefix(s, extPrefix) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s
	}
	return extPrefix + strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// retryAfter reads the header (RFC 9110 §10.2.3): seconds or a date. Zero for none.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(min(max(n, 0), 1<<30)) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// sleep waits; the error is the context's.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// route builds a path. Segments are escaped, and those that an address would lose or climb
// by are refused, so that a missing id never addresses something else.
func route(segments []string) (string, error) {
	var b strings.Builder
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", fmt.Errorf("admin: an id is missing or none, after %q", b.String())
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String(), nil
}

// params collects the members of a query that are set.
type params url.Values

func (p params) text(name, v string) params {
	if v != "" {
		p[name] = []string{v}
	}
	return p
}

func (p params) flag(name string, v *bool) params {
	if v != nil {
		p[name] = []string{strconv.FormatBool(*v)}
	}
	return p
}

func (p params) limit(n int) params {
	if n != 0 {
		p["limit"] = []string{strconv.Itoa(n)}
	}
	return p
}
