package usersync_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// BenchmarkEnsure is what a verified request costs more with a mirror: the steady state, a
// row that has to be read again, and the first request of somebody new (without the
// issuer's answer).
func BenchmarkEnsure(b *testing.B) {
	source := map[string]usersync.Source{here: vouch{}}
	b.Run("steady", func(b *testing.B) {
		store, _ := onSQLite(b)
		users, err := usersync.New(usersync.Config{Store: store, Sources: source})
		if err != nil {
			b.Fatal(err)
		}
		p := &cardea.Principal{Issuer: here, Subject: "1"}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := users.Ensure(b.Context(), p, "t"); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, db := range databases(b) {
		store, _ := db.store(b)
		users, err := usersync.New(usersync.Config{Store: store, Sources: source, CacheTTL: -1, OnFailure: report(b)})
		if err != nil {
			b.Fatal(err)
		}
		b.Run("first/"+db.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				if _, err := users.Ensure(b.Context(), &cardea.Principal{Issuer: here, Subject: fmt.Sprint(b.N, "-", n)}, "t"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("known/"+db.name, func(b *testing.B) {
			b.ReportAllocs()
			p := &cardea.Principal{Issuer: here, Subject: "known"}
			for b.Loop() {
				if _, err := users.Ensure(b.Context(), p, "t"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecide is the rule alone.
func BenchmarkDecide(b *testing.B) {
	u := row("a", "old", mail, phone)
	id := who(proved(mail, phone))
	b.ReportAllocs()
	for b.Loop() {
		if p := usersync.Decide(usersync.Rules{}, id, usersync.Candidates{Email: &u, Phone: &u}); p.Action != usersync.ActionRepoint {
			b.Fatal(p.Action)
		}
	}
}

// BenchmarkGuard is a whole guarded request with a cached token, without and with the mirror.
func BenchmarkGuard(b *testing.B) {
	iss := issuer(b)
	store, _ := onSQLite(b)
	users := newSyncer(b, iss, usersync.Config{Store: store})
	v := iss.Verifier()
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	r := iss.Request("GET", "/me", cardeatest.User{Email: mail})
	for name, h := range map[string]http.Handler{
		"without": v.Require(cardea.Authenticated())(nothing),
		"with":    v.Require(cardea.Authenticated(), users.Require())(nothing),
	} {
		b.Run(name, func(b *testing.B) {
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
