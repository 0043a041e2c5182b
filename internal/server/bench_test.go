package server

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
)

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return ln
}

// BenchmarkHTTP measures whole requests through the handler, without the network. The
// password hash is bcrypt 4, so that what is measured is everything but the hash.
func BenchmarkHTTP(b *testing.B) {
	for _, kind := range kinds() {
		s := open(b, load(b, databaseURL(b, kind)))
		a := call(s, "POST", "/auth/v1/signup", "", credentials("bench@example.org"))
		if a.Status != 200 {
			b.Fatalf("%+v", a)
		}
		run := func(name string, request func() answer) {
			b.Run(kind+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if a := request(); a.Status != 200 {
						b.Fatalf("%+v", a)
					}
				}
			})
		}
		var n atomic.Int64
		refresh := a.Refresh
		run("signin", func() answer { return call(s, "POST", passwordPath, "", credentials("bench@example.org")) })
		run("refresh", func() answer {
			a := call(s, "POST", refreshPath, "", refreshBody(refresh))
			refresh = a.Refresh
			return a
		})
		run("user", func() answer { return call(s, "GET", "/auth/v1/user", a.Access, "") })
		run("signup", func() answer {
			return call(s, "POST", "/auth/v1/signup", "", credentials(fmt.Sprintf("u%d@example.org", n.Add(1))))
		})
		run("jwks", func() answer { return call(s, "GET", "/auth/v1/.well-known/jwks.json", "", "") })
		run("health", func() answer { return call(s, "GET", "/auth/v1/health", "", "") })
	}
}
