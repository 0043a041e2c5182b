package server

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
)

// BenchmarkMessages measures the requests of proof and recovery through the handler, without
// the network, without deliveries beside them, and without the 20 ms that neutral answers
// take at least.
func BenchmarkMessages(b *testing.B) {
	for _, kind := range kinds() {
		cfg := load(b, databaseURL(b, kind), proof("CARDEA_DISCLOSURE=explicit")...)
		s, err := Open(b.Context(), cfg, Options{Inbox: &notify.Inbox{}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		r := &rig{Server: s, read: map[auth.ID]bool{}}
		if r.service, err = r.APIKeys().JWT("service_role"); err != nil {
			b.Fatal(err)
		}
		const address = "bench@example.org"
		r.made(b, address)
		verifier, challenge := pkcePair()
		n := 0
		run := func(name string, want int, prepare func(b *testing.B) func() reply) {
			b.Run(kind+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					request := prepare(b)
					b.StartTimer()
					if a := request(); a.Code != want {
						b.Fatalf("%d %s", a.Code, a.body)
					}
				}
			})
		}
		ask := func(path string, body object) func(*testing.B) func() reply {
			return func(*testing.B) func() reply { return func() reply { return r.ask("POST", path, "", body) } }
		}
		run("otp", 200, ask("/otp", object{"email": address}))
		run("otp, stranger", 200, func(*testing.B) func() reply {
			n++
			email := fmt.Sprintf("bench%d@example.org", n)
			return func() reply { return r.ask("POST", "/otp", "", object{"email": email}) }
		})
		run("recover", 200, ask("/recover", object{"email": address}))
		run("recover, nobody", 200, ask("/recover", object{"email": "nobody@example.org"}))
		link := func(b *testing.B) reply {
			b.Helper()
			return r.must(b, "POST", "/admin/generate_link", r.service, object{"type": "magiclink", "email": address})
		}
		run("verify, link", 200, func(b *testing.B) func() reply {
			token := link(b).text(b, "hashed_token")
			return func() reply { return r.verify(token, "magiclink") }
		})
		run("verify, code", 200, func(b *testing.B) func() reply {
			code := link(b).text(b, "email_otp")
			return func() reply {
				return r.ask("POST", "/verify", "", object{"type": "magiclink", "email": address, "token": code})
			}
		})
		run("verify, wrong code", 403, ask("/verify", object{"type": "magiclink", "email": address, "token": "123456"}))
		run("exchange", 200, func(b *testing.B) func() reply {
			r.must(b, "POST", "/otp", "", object{"email": address, "code_challenge": challenge, "code_challenge_method": "s256"})
			r.deliver(b)
			landed := r.ask("GET", "/verify?type=magiclink&token="+linkToken(b, r.Inbox().Messages(address)[0]), "", nil)
			to, err := url.Parse(landed.Header().Get("Location"))
			if err != nil || to.Query().Get("code") == "" {
				b.Fatalf("no code in %s", to)
			}
			return func() reply {
				return r.ask("POST", "/token?grant_type=pkce", "", object{"auth_code": to.Query().Get("code"), "code_verifier": verifier})
			}
		})
	}
}
