package cardeatest_test

import (
	"testing"

	"github.com/cardea-auth/cardea/cardeatest"
)

// What a test pays for an issuer, a token and a Principal.

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		cardeatest.New(b)
	}
}

func BenchmarkToken(b *testing.B) {
	u := ada()
	b.Run("again", func(b *testing.B) {
		iss := cardeatest.New(b)
		b.ReportAllocs()
		for b.Loop() {
			iss.Token(u)
		}
	})
	b.Run("new", func(b *testing.B) {
		iss := cardeatest.New(b)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			u.Claims = map[string]any{"n": n}
			iss.Token(u)
		}
	})
}

func BenchmarkPrincipal(b *testing.B) {
	iss, u := cardeatest.New(b), ada()
	b.ReportAllocs()
	for b.Loop() {
		iss.Principal(u)
	}
}
