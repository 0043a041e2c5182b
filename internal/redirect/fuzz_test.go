package redirect

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// FuzzAllowed: whatever is allowed is an absolute URL without userinfo whose host, read by
// net/url, is the site's, a loopback address, or one that the list names.
func FuzzAllowed(f *testing.F) {
	for _, s := range []string{
		"https://app.example/x", "https://a.preview.example/y?z#f", "myapp://callback", "http://127.0.0.1:1/", "http://[::1]/",
		"https://app.example@evil.example/", "//evil.example", `https:\\evil.example`, "https://evil.example?.preview.example/",
		"http://0x7f.1/", "https://app.example:443", "https://app.example.evil.example**", "https://a。preview.example/",
		"https://cb.example:8443/x", "https://cb.example.evil.example/x",
	} {
		f.Add(s)
	}
	r := rules(f, "https://app.example", "https://**.preview.example/**", "https://cb.example**", "myapp://callback")
	host := regexp.MustCompile(`^(app\.example(:0*443)?|[a-z0-9.-]+\.preview\.example|cb\.example(:[0-9]*)?)$`)
	loopback := regexp.MustCompile(`^(127\.[0-9]+\.[0-9]+\.[0-9]+|\[[0:]+1\])(:[0-9]*)?$`)
	f.Fuzz(func(t *testing.T, s string) {
		if !r.Allowed(s) {
			return
		}
		u, err := url.Parse(s)
		if err != nil || !u.IsAbs() || u.User != nil || u.Opaque != "" {
			t.Fatalf("%q is allowed, but net/url gives %#v, %v", s, u, err)
		}
		h := strings.ToLower(u.Host)
		switch u.Scheme {
		case "https":
			if !host.MatchString(h) && !loopback.MatchString(h) {
				t.Errorf("%q is allowed: host %q", s, h)
			}
		case "http":
			if !loopback.MatchString(h) {
				t.Errorf("%q is allowed: host %q", s, h)
			}
		case "myapp":
			if h != "callback" || u.Path != "" {
				t.Errorf("%q is allowed", s)
			}
		default:
			t.Errorf("%q is allowed: scheme %q", s, u.Scheme)
		}
		if strings.ContainsAny(s, "\\\t\r\n\x00 ") {
			t.Errorf("%q is allowed", s)
		}
		if got := r.Choose(s); got != s {
			t.Errorf("Choose(%q) = %q", s, got)
		}
	})
}

func BenchmarkAllowed(b *testing.B) {
	r := rules(b, "https://app.example", "https://*.preview.example/**", "myapp://callback", "https://b.example/**/done")
	for _, c := range []struct{ name, url string }{
		{"site", "https://app.example/auth/callback?next=/cases"},
		{"glob", "https://pr-17.preview.example/auth/callback?next=/cases"},
		{"refused", "https://evil.example/auth/callback?next=/cases"},
		{"hostile", "https://b.example/" + strings.Repeat("a/", 2000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Allowed(c.url)
			}
		})
	}
}
