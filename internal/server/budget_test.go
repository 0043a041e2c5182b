package server

import (
	"net/url"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// counted gives a server on PostgreSQL whose round trips are counted and whose jobs do not
// run beside the requests.
func counted(tb testing.TB, settings ...string) (*rig, *counter) {
	tb.Helper()
	count := &counter{}
	cfg := load(tb, databaseURL(tb, "postgres"), settings...)
	st, err := postgres.Open(tb.Context(), postgres.Config{URL: cfg.DatabaseURL, Tracer: count})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(st.Close)
	r := &rig{read: map[auth.ID]bool{}}
	if r.Server, err = assemble(tb.Context(), cfg, Options{Inbox: &notify.Inbox{}, Now: r.now}, st); err != nil {
		tb.Fatal(err)
	}
	if r.service, err = r.APIKeys().JWT("service_role"); err != nil {
		tb.Fatal(err)
	}
	return r, count
}

// deliver empties the outbox.
func (r *rig) deliver(tb testing.TB) {
	tb.Helper()
	for {
		rows, err := r.store.ClaimMessages(tb.Context(), r.now(), time.Minute, 100)
		if err != nil {
			tb.Fatal(err)
		}
		for _, row := range rows {
			if row.Channel != "decoy" {
				if err := r.messages.Deliver(tb.Context(), row); err != nil {
					tb.Fatal(err)
				}
			}
			if err := r.store.MessageSent(tb.Context(), row.ID); err != nil {
				tb.Fatal(err)
			}
		}
		if len(rows) == 0 {
			return
		}
	}
}

// The statement budget of proof and recovery, from the HTTP request to the database. The
// exchange of an authorization code has two round trips; what has to look up an account
// first and then write has two; a proof by code or link has two.
func TestStatementBudgetOfMessages(t *testing.T) {
	t.Parallel()
	r, count := counted(t, proof()...)
	const address = "a@example.org"
	r.made(t, address)
	verifier, challenge := pkcePair()
	otp := func(email string) object { return object{"email": email} }
	var last notify.Rendered
	var code string
	read := func() { r.deliver(t); last = r.mail(t, address) }
	for _, step := range []struct {
		name         string
		before       func()
		method, path string
		body         func() any
		most         int64
		want         int
	}{
		{"otp by mail", nil, "POST", "/otp", func() any { return otp(address) }, 2, 200},
		{"verify, by code", read, "POST", "/verify", func() any { return object{"type": "email", "email": address, "token": last.Code} }, 2, 200},
		{"verify, a wrong code", nil, "POST", "/verify", func() any { return object{"type": "email", "email": address, "token": "123456"} }, 2, 403},
		{"verify, a malformed code", nil, "POST", "/verify", func() any { return object{"type": "email", "email": address, "token": "12345x"} }, 0, 403},
		{"otp for a stranger, makes an account", nil, "POST", "/otp", func() any { return otp("b@example.org") }, 2, 200},
		{"otp for a stranger, without", nil, "POST", "/otp", func() any { return object{"email": "c@example.org", "create_user": false} }, 2, 200},
		{"recover", nil, "POST", "/recover", func() any { return otp(address) }, 2, 200},
		{"recover, nobody", nil, "POST", "/recover", func() any { return otp("d@example.org") }, 2, 200},
		{"verify, by link", read, "POST", "/verify", func() any { return object{"type": "recovery", "token_hash": linkToken(t, last)} }, 2, 200},
		{"sign-up with proof", nil, "POST", "/signup", func() any { return object{"email": "e@example.org", "password": "correct horse"} }, 2, 200},
		{"magic link with PKCE", nil, "POST", "/magiclink", func() any {
			return object{"email": address, "code_challenge": challenge, "code_challenge_method": "s256"}
		}, 2, 200},
		{"the link with PKCE", read, "GET", "/verify?type=magiclink&token=", nil, 2, 303},
		{"exchange of the code", nil, "POST", "/token?grant_type=pkce", func() any {
			return object{"auth_code": code, "code_verifier": verifier}
		}, 2, 200},
		{"exchange of a used code", nil, "POST", "/token?grant_type=pkce", func() any {
			return object{"auth_code": code, "code_verifier": verifier}
		}, 1, 404},
	} {
		if step.before != nil {
			step.before()
		}
		var body any
		path := step.path
		if step.body != nil {
			body = step.body()
		} else {
			path += linkToken(t, last)
		}
		before := count.n.Load()
		a := r.ask(step.method, path, "", body)
		n := count.n.Load() - before
		t.Logf("%-38s %d round trips", step.name, n)
		if a.Code != step.want || n > step.most {
			t.Errorf("%s: %d with %d round trips, want %d with at most %d: %s", step.name, a.Code, n, step.want, step.most, a.body)
		}
		if to, err := url.Parse(a.Header().Get("Location")); err == nil && to.Query().Get("code") != "" {
			code = to.Query().Get("code")
		}
	}
}
