package redirect

import (
	"fmt"
	"strings"
	"testing"
)

func rules(t testing.TB, site string, allow ...string) *Rules {
	t.Helper()
	r, err := New(site, allow)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type verdict struct {
	name string
	url  string
	want bool
}

func check(t *testing.T, r *Rules, cases []verdict) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := r.Allowed(c.url); got != c.want {
				t.Errorf("Allowed(%q) = %v, want %v", c.url, got, c.want)
			}
		})
	}
}

func TestSite(t *testing.T) {
	t.Parallel()
	check(t, rules(t, "https://app.example/start"), []verdict{
		{"itself", "https://app.example/start", true},
		{"another path", "https://app.example/a/b?c=d#e", true},
		{"no path", "https://app.example", true},
		{"only a query", "https://app.example?next=//evil.example", true},
		{"only a fragment", "https://app.example#x@y", true},
		{"capitals", "HTTPS://APP.example/x", true},
		{"its own port written out", "https://app.example:443/", true},
		{"letters beyond ASCII in the path", "https://app.example/данные", true},
		{"at sign in the path", "https://app.example/@me", true},
		{"dot segments stay on the site", "https://app.example/a/../b", true},
		{"other port", "https://app.example:8443/", false},
		{"other scheme", "http://app.example/", false},
		{"subdomain", "https://x.app.example/", false},
		{"parent domain", "https://example/", false},
		{"trailing dot", "https://app.example./", false},
		{"localhost by name", "http://localhost:3000/", false},
		{"empty", "", false},
	})
}

// TestTricks is A5.2 and design 6b: every way to make a string comparison and a browser see
// two different hosts.
func TestTricks(t *testing.T) {
	t.Parallel()
	cases := []verdict{
		{"A5.2 only userinfo", "@evil.example", false},
		{"A5.2 only a suffix", ".evil.example", false},
		{"A5.2 scheme-relative", "//evil.example", false},
		{"A5.2 slash and backslash", `/\evil.example`, false},
		{"A5.2 other scheme", "ftp://app.example/", false},
		{"A5.2 host of the site as userinfo", "https://app.example@evil.example/", false},
		{"A5.2 host of the site as a prefix", "https://app.example.evil.example/", false},
		{"relative path", "/welcome", false},
		{"two backslashes", `\\evil.example`, false},
		{"three slashes", "///evil.example", false},
		{"three slashes after the scheme", "https:///evil.example/", false},
		{"one slash after the scheme", "https:/evil.example", false},
		{"one slash and the site", "https:/app.example", false},
		{"no slash after the scheme", "https:evil.example", false},
		{"slash and backslash after the scheme", `https:/\evil.example`, false},
		{"backslash ends the host", `https://evil.example\.app.example/`, false},
		{"backslash before the at sign", `https://app.example\@evil.example/`, false},
		{"userinfo with password", "https://app.example:443@evil.example/", false},
		{"userinfo of the site itself", "https://me@app.example/", false},
		{"empty userinfo", "https://@app.example/", false},
		{"percent-encoded at sign", "https://app.example%40evil.example/", false},
		{"percent-encoded slash", "https://evil.example%2f.app.example/", false},
		{"percent-encoded NUL", "https://app.example%00.evil.example/", false},
		{"query right after the host", "https://evil.example?.app.example/", false},
		{"fragment right after the host", "https://evil.example#.app.example/", false},
		{"fragment then userinfo", "https://evil.example#@app.example/", false},
		{"full-width full stop", "https://app。example/", false},
		{"full-width solidus", "https://evil.example／.app.example/", false},
		{"Kelvin sign", "https://app.eKample/", false},
		{"long s", "https://app.example.ſite/", false},
		{"soft hyphen", "https://app.exa\u00admple/", false},
		{"direction override", "https://app.example/\u202egpj", false},
		{"line separator", "https://app.example/\u2028", false},
		{"no-break space", "https://app.example/\u00a0", false},
		{"NUL", "https://app.example/\x00", false},
		{"tab in the scheme", "java\tscript:alert(1)", false},
		{"tab in front", "\thttps://app.example/", false},
		{"blank in front", " https://app.example/", false},
		{"blank behind", "https://app.example/ ", false},
		{"header injection", "https://app.example/\r\nSet-Cookie: a=b", false},
		{"delete character", "https://app.example/\x7f", false},
		{"C1 control", "https://app.example/\u0085", false},
		{"invalid UTF-8", "https://app.example/\xff", false},
		{"script", "javascript:alert(1)", false},
		{"script in capitals", "JaVaScRiPt:alert(1)", false},
		{"script with an authority", "javascript://app.example/%0aalert(1)", false},
		{"script on a loopback address", "javascript://127.0.0.1/%0aalert(1)", false},
		{"data", "data:text/html,<script>alert(1)</script>", false},
		{"vbscript", "vbscript:x", false},
		{"file", "file:///etc/passwd", false},
		{"blob", "blob:https://app.example/1", false},
		{"intent", "intent://app.example/#Intent;scheme=https;end", false},
		{"app scheme that is not listed", "evilapp://callback", false},
		{"broken percent-encoding", "https://app.example/%zz", false},
		{"port that is none", "https://app.example:evil/", false},
		{"port too long", "https://app.example:0000443/", false},
		{"two ports", "https://app.example:443:443/", false},
		{"brackets around a name", "https://[app.example]/", false},
		{"bracket that never ends", "https://[app.example/", false},
		{"only a scheme", "https:", false},
		{"only slashes", "https://", false},
		{"only a port", "https://:443/", false},
		{"scheme that starts with a digit", "1https://app.example/", false},
		{"over the length limit", "https://app.example/" + strings.Repeat("a", maxURL), false},
	}
	check(t, rules(t, "https://app.example", "https://ok.example/**", "https://**.app.example/**", "myapp://callback"), cases)

	// Not even an allow-list that takes everything lets these through.
	open := rules(t, "https://app.example", "**")
	for _, c := range cases {
		if strings.HasPrefix(c.url, "http") || strings.Contains(c.name, "A5.2") || strings.HasPrefix(c.url, "evilapp") {
			continue
		}
		t.Run("open list/"+c.name, func(t *testing.T) {
			t.Parallel()
			if open.Allowed(c.url) {
				t.Errorf("Allowed(%q) with ** = true", c.url)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	check(t, rules(t, "https://app.example", "http://10.1.2.3:8080/**", "http://*.*.*.*/**", "**"), []verdict{
		{"loopback, RFC 8252 §7.3", "http://127.0.0.1:51004/callback", true},
		{"loopback, whole network", "http://127.9.9.9/", true},
		{"loopback, version 6", "http://[::1]:1234/x", true},
		{"loopback over https", "https://127.0.0.1/", true},
		{"loopback with userinfo", "http://127.0.0.1@evil.example/", false},
		{"loopback as a prefix of a name", "http://127.0.0.1evil.0x1/", false},
		{"listed", "http://10.1.2.3:8080/x", true},
		{"listed, other port", "http://10.1.2.3:8081/x", false},
		{"private, only by wildcard", "http://10.1.2.4/x", false},
		{"metadata service", "http://169.254.169.254/latest", false},
		{"public", "https://93.184.216.34/", false},
		{"unspecified", "http://0.0.0.0/", false},
		{"decimal", "http://2130706433/", false},
		{"hexadecimal", "http://0x7f000001/", false},
		{"hexadecimal in parts", "http://0x7f.0.0.0x1/", false},
		{"hexadecimal, empty", "http://127.0.0.0x/", false},
		{"octal", "http://0177.0.0.1/", false},
		{"leading zeros", "http://127.000.000.001/", false},
		{"two parts", "http://127.1/", false},
		{"one part", "http://127/", false},
		{"five parts", "http://127.0.0.0.1/", false},
		{"out of range", "http://127.0.0.256/", false},
		{"trailing dot", "http://127.0.0.1./", false},
		{"name that ends in a number", "http://evil.example.1/", false},
		{"full-width digits", "http://１27.0.0.1/", false},
		{"version 4 in 6", "http://[::ffff:127.0.0.1]/", false},
		{"version 6 with zone", "http://[::1%25lo]/", false},
		{"version 6, public", "http://[2001:db8::1]/", false},
		{"version 6, broken", "http://[::1/", false},
		{"version 6, text behind", "http://[::1]evil.example/", false},
		{"app scheme on loopback only by list", "myapp://127.0.0.1/", false},
		{"number as the host of an app", "myapp://2130706433/", false},
		{"underscore in a name", "https://my_app.example/", false},
		{"label of 64 bytes", "https://" + strings.Repeat("a", 64) + ".example/", false},
	})
	t.Run("listed version 6", func(t *testing.T) {
		t.Parallel()
		r := rules(t, "https://app.example", `http://\[fd00::1\]:*/**`)
		if !r.Allowed("http://[fd00::1]:8080/x") || r.Allowed("http://[fd00::2]:8080/x") {
			t.Error("an address of version 6 can't be listed by itself")
		}
	})
	t.Run("listed for an app in development", func(t *testing.T) {
		t.Parallel()
		r := rules(t, "https://app.example", "exp://192.168.1.5:8081/--/*")
		if !r.Allowed("exp://192.168.1.5:8081/--/auth") || r.Allowed("exp://192.168.1.6:8081/--/auth") {
			t.Error("the address of a development machine can't be listed by itself")
		}
	})
}

// TestLoopbackSite: in development the port does not count, and all loopback names are one.
func TestLoopbackSite(t *testing.T) {
	t.Parallel()
	for _, site := range []string{"http://localhost:3000", "http://127.0.0.1:8080/x", "http://[::1]:3000"} {
		t.Run(site, func(t *testing.T) {
			t.Parallel()
			check(t, rules(t, site), []verdict{
				{"localhost", "http://localhost:5173/cb", true},
				{"localhost over https", "https://localhost/", true},
				{"version 4", "http://127.0.0.1:1/", true},
				{"version 6", "http://[::1]/", true},
				{"below localhost", "http://localhost.evil.example/", false},
				{"name below localhost", "http://evil.localhost/", false},
				{"other host", "http://app.example/", false},
				{"app scheme", "myapp://localhost/", false},
				{"userinfo", "http://localhost:3000@evil.example/", false},
			})
		})
	}
}

func TestAllowList(t *testing.T) {
	t.Parallel()
	const site = "https://app.example"
	cases := []struct {
		name  string
		globs []string
		url   string
		want  bool
	}{
		{"exact", []string{"https://b.example/cb"}, "https://b.example/cb", true},
		{"exact, fragment dropped", []string{"https://b.example/cb"}, "https://b.example/cb#x=/../y", true},
		{"exact, query counts", []string{"https://b.example/cb"}, "https://b.example/cb?sb_flow_id=1", false},
		{"exact, path counts", []string{"https://b.example/cb"}, "https://b.example/cb/", false},
		{"path counts by case", []string{"https://b.example/CB"}, "https://b.example/cb", false},
		{"host does not count by case", []string{"HTTPS://B.Example/cb"}, "https://b.eXample/cb", true},
		{"no path is not a slash", []string{"https://b.example/*"}, "https://b.example", false},
		{"star inside a segment", []string{"http://localhost:8000/*"}, "http://localhost:8000/path", true},
		{"star stops at a slash", []string{"http://localhost:8000/*"}, "http://localhost:8000/path/to/page", false},
		{"star stops at a dot", []string{"http://localhost:8000/*"}, "http://localhost:8000/a.b", false},
		{"star as a port", []string{"http://localhost:*/cb"}, "http://localhost:5173/cb", true},
		{"two stars across", []string{"https://b.example/**"}, "https://b.example/a/b.c?d=e", true},
		{"star as a subdomain", []string{"https://*.b.example/**"}, "https://x.b.example/y", true},
		{"star is one subdomain", []string{"https://*.b.example/**"}, "https://x.y.b.example/", false},
		{"star and nothing else", []string{"https://*.b.example/**"}, "https://b.example/", false},
		{"two stars as subdomains", []string{"https://**.b.example/**"}, "https://x.y.b.example/", true},
		{"two stars reach into the query", []string{"https://**.b.example/**"}, "https://evil.example?.b.example/", false},
		{"two stars reach into the path", []string{"https://**.b.example/**"}, "https://evil.example/.b.example/", false},
		{"star before a query", []string{"https://*.b.example/**"}, "https://evil?.b.example/", false},
		{"two stars after the host: path", []string{"https://b.example**"}, "https://b.example/x/y", true},
		{"two stars after the host: query", []string{"https://b.example**"}, "https://b.example?x", true},
		{"two stars after the host: port", []string{"http://localhost**"}, "http://localhost:3000/x", true},
		{"two stars after the port", []string{"http://localhost:3000**"}, "http://localhost:3000/x", true},
		{"two stars after the host are no suffix", []string{"https://b.example**"}, "https://b.example.evil.example/", false},
		{"two stars after a dot are one", []string{"https://b.**"}, "https://b.example.org/", true},
		{"any host", []string{"https://**"}, "https://anything.example/x", true},
		{"any host, other scheme", []string{"https://**"}, "http://anything.example/x", false},
		{"everything", []string{"**"}, "myapp://x", true},
		{"one star takes no URL", []string{"*"}, "https://b.example", false},
		{"question mark", []string{"https://app?.example/"}, "https://app1.example/", true},
		{"question mark takes no dot", []string{"https://b?example/"}, "https://b.example/", false},
		{"question mark takes no slash", []string{"https://b.example/a?c"}, "https://b.example/a/c", false},
		{"question mark in a query", []string{"https://b.example/cb?x=1"}, "https://b.example/cb?x=1", true},
		{"escaped question mark", []string{`https://b.example/cb\?x=*`}, "https://b.example/cb?x=1", true},
		{"class", []string{"https://b[12].example/"}, "https://b2.example/", true},
		{"class, other", []string{"https://b[12].example/"}, "https://b3.example/", false},
		{"range in capitals", []string{"https://b[A-C].example/"}, "https://bb.example/", true},
		{"class takes no slash", []string{"https://b.example[!x]evil/"}, "https://b.example/evil/", false},
		{"alternatives", []string{"https://{a,b}.example/{x,y/**}"}, "https://b.example/y/z", true},
		{"alternatives, none", []string{"https://{a,b}.example/{x,y/**}"}, "https://c.example/x", false},
		{"alternative schemes", []string{"{http,https}://b.example/"}, "http://b.example/", true},
		{"second entry", []string{"https://a.example/", " https://b.example/ ", ""}, "https://b.example/", true},
		{"app scheme", []string{"myapp://callback"}, "myapp://callback", true},
		{"app scheme, other host", []string{"myapp://callback"}, "myapp://callback.evil", false},
		{"app scheme, any", []string{"myapp://**"}, "myapp://auth/cb?code=1", true},
		{"app scheme with dots and underscore", []string{"com.my_app.example://cb"}, "com.my_app.example://cb", true},
		{"app scheme without authority", []string{"com.app:/oauth2"}, "com.app:/oauth2", true},
		{"app scheme, three slashes", []string{"myapp:///cb"}, "myapp:///cb", true},
		{"app scheme with userinfo", []string{"myapp://**"}, "myapp://a@b/", false},
		{"dot segments", []string{"https://b.example/public/**"}, "https://b.example/public/../admin", false},
		{"encoded dot segments", []string{"https://b.example/public/**"}, "https://b.example/public/%2E%2e/admin", false},
		{"dots in the query", []string{"https://b.example/public/**"}, "https://b.example/public/?p=/../x", true},
		{"file name with dots", []string{"https://b.example/public/**"}, "https://b.example/public/a..b/...", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := rules(t, site, c.globs...).Allowed(c.url); got != c.want {
				t.Errorf("%q: Allowed(%q) = %v, want %v", c.globs, c.url, got, c.want)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	r := rules(t, "https://app.example/home", "https://b.example/**")
	for _, c := range []struct {
		name       string
		candidates []string
		want       string
	}{
		{"nothing", nil, "https://app.example/home"},
		{"only empty ones", []string{"", "", ""}, "https://app.example/home"},
		{"first", []string{"https://b.example/x", "https://app.example/y"}, "https://b.example/x"},
		{"first that is not empty", []string{"", "", "https://app.example/y"}, "https://app.example/y"},
		{"refused does not look further", []string{"https://evil.example/", "https://app.example/y"}, "https://app.example/home"},
		{"as it was sent", []string{"HTTPS://app.example:443/y#frag"}, "HTTPS://app.example:443/y#frag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := r.Choose(c.candidates...); got != c.want {
				t.Errorf("Choose(%q) = %q, want %q", c.candidates, got, c.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, site := range []string{"", "app.example", "/x", "//app.example", "javascript:alert(1)", "https://a@b.example", "https://", "https:/x"} {
		t.Run("site "+site, func(t *testing.T) {
			t.Parallel()
			if _, err := New(site, nil); err == nil {
				t.Error("no error")
			}
		})
	}
	globs := []string{
		"app.example/**", "/x", "//b.example", "h*://b.example", "*://b.example/", "https:/b.example", "https:b.example",
		"https://", "https:///x", "http://**@b.example/", "https://b.example/#x", "https://b.example/a b",
		"javascript:*", "JavaScript://b.example/**", "{https,data}:**", "https://b[.example", "https://b[].example",
		"https://b[z-a].example", "https://{a,b.example", "https://a}.example", `https://b.example\`, `https://b\\c/`,
		"https://b.example/[a\\", "https://b.example/" + strings.Repeat("a", maxGlob),
		"https://" + strings.Repeat("{a,b}", 8) + ".example", "https://{" + strings.Repeat(",", 200) + "}.example",
		strings.Repeat("{", 500), "https://b.example/\x00",
	}
	for _, glob := range globs {
		t.Run("glob "+glob, func(t *testing.T) {
			t.Parallel()
			_, err := New("https://app.example", []string{"https://good.example/**", glob})
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", glob)) {
				t.Errorf("error %v does not name %q", err, glob)
			}
		})
	}
}
