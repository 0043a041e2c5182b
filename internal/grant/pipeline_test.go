package grant_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/ratelimit"
	"github.com/google/go-cmp/cmp"
)

func TestUnknownGrant(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "PASSWORD", "implicit", "password "} {
		b := setup(t)
		r := request("a@x.org", "right")
		r.Grant = name
		if _, err := b.exchange(t, r); auth.CodeOf(err) != auth.CodeUnsupportedGrant || len(b.all()) != 0 {
			t.Errorf("%q: %v after %q", name, err, b.all())
		}
	}
}

type fakeGrant struct {
	subject string
	prove   func() (grant.Proof, error)
}

func (g fakeGrant) Subject(*grant.Request) string { return g.subject }

func (g fakeGrant) Prove(context.Context, *grant.Request) (grant.Proof, error) { return g.prove() }

// TestNothingProved: a grant that answers neither a proof nor an error signs nobody in.
func TestNothingProved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.Grants["broken"] = fakeGrant{prove: func() (grant.Proof, error) { return grant.Proof{}, nil }}
	_, err := b.exchange(t, grant.Request{Grant: "broken"})
	if auth.CodeOf(err) != auth.CodeInternal || err == nil || len(b.all()) != 0 {
		t.Errorf("%v after %q", err, b.all())
	}
}

// TestLimitComesFirst: over the limit, nothing is looked up and no password is checked.
func TestLimitComesFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.limits()
	for i := range 3 {
		if _, err := b.exchange(t, request("a@x.org", "wrong")); auth.CodeOf(err) != auth.CodeInvalidCredentials {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	before := len(b.all())
	// Other spellings of the address, and the right password, are the same account.
	for _, email := range []string{"a@x.org", "A@X.org", " a@x.org "} {
		_, err := b.exchange(t, request(email, "right"))
		var e *auth.Error
		if !errors.As(err, &e) || e.Code != auth.CodeRateLimited || e.RetryAfter != 20*time.Minute {
			t.Errorf("%q: %#v, want a refusal for 20 minutes", email, err)
		}
	}
	if len(b.all()) != before {
		t.Errorf("work was done over the limit: %q", b.all()[before:])
	}
	// Another account of the same address (a clinic's 200 people) is not concerned.
	if _, err := b.exchange(t, request("none@x.org", "x")); auth.CodeOf(err) != auth.CodeInvalidCredentials {
		t.Errorf("another account: %v", err)
	}
}

// TestLimitKnowsNoStrangers: unknown addresses run into the same limit as known ones, or
// the limit itself would tell them apart.
func TestLimitKnowsNoStrangers(t *testing.T) {
	t.Parallel()
	codes := map[string][]auth.Code{}
	b := setup(t)
	b.limits()
	for _, email := range []string{"a@x.org", "stranger@x.org"} {
		for range 5 {
			_, err := b.exchange(t, request(email, "wrong"))
			codes[email] = append(codes[email], auth.CodeOf(err))
		}
	}
	if diff := cmp.Diff(codes["a@x.org"], codes["stranger@x.org"]); diff != "" {
		t.Error(diff)
	}
}

// TestRightProofGivesTheBudgetBack, and only that one: earlier failures stay counted.
func TestRightProofGivesTheBudgetBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.limits()
	for i := range 20 {
		if _, err := b.exchange(t, request("a@x.org", "right")); err != nil {
			t.Fatalf("sign-in %d: %v", i, err)
		}
	}
	for range 2 {
		if _, err := b.exchange(t, request("a@x.org", "wrong")); auth.CodeOf(err) != auth.CodeInvalidCredentials {
			t.Fatal(err)
		}
	}
	if _, err := b.exchange(t, request("a@x.org", "right")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.exchange(t, request("a@x.org", "wrong")); auth.CodeOf(err) != auth.CodeInvalidCredentials {
		t.Fatal(err)
	}
	if _, err := b.exchange(t, request("a@x.org", "right")); auth.CodeOf(err) != auth.CodeRateLimited {
		t.Errorf("three failures, and still: %v", err)
	}
}

// TestRefusedAccountIsAProofToo: who knows the password of a banned account does not use
// up the account's budget.
func TestRefusedAccountIsAProofToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.limits()
	b.users["email/u@x.org"] = auth.User{PasswordHash: "hash:right"}
	for range 5 {
		if _, err := b.exchange(t, request("u@x.org", "right")); auth.CodeOf(err) != auth.CodeEmailNotConfirmed {
			t.Fatal(err)
		}
	}
}

// TestParallelGuesses: fifty guesses at once are fifty guesses. All that got past the limit
// wait in the hasher until every one of them has had its turn there.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.limits()
	const guesses = 50
	refused := make(chan struct{}, guesses)
	release := make(chan struct{})
	b.hasher.onCheck = func() { <-release }
	p := grant.New(b.config)
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[auth.Code]int{}
	for i := range guesses {
		wg.Go(func() {
			_, err := p.Exchange(t.Context(), request("a@x.org", fmt.Sprint("guess ", i)))
			mu.Lock()
			defer mu.Unlock()
			codes[auth.CodeOf(err)]++
			if auth.CodeOf(err) == auth.CodeRateLimited {
				refused <- struct{}{}
			}
		})
	}
	for range guesses - 3 {
		<-refused
	}
	close(release)
	wg.Wait()
	if diff := cmp.Diff(map[auth.Code]int{auth.CodeRateLimited: guesses - 3, auth.CodeInvalidCredentials: 3}, codes); diff != "" {
		t.Error(diff)
	}
	if n := b.count("verify"); n != 3 {
		t.Errorf("%d passwords were checked, want 3", n)
	}
}

func TestLimitPerAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.limits()
	b.config.PerIP = ratelimit.Limit{Count: 2, Period: time.Minute}
	call := func(ip, token string) auth.Code {
		_, err := b.exchange(t, grant.Request{Meta: auth.Meta{IP: ip}, Grant: "refresh_token", RefreshToken: token})
		return auth.CodeOf(err)
	}
	got := []auth.Code{
		call("192.0.2.1", "bad"), call("192.0.2.1", "good"), call("192.0.2.1", "good"),
		call("192.0.2.2", "good"), call("", "good"), call("", "good"), call("", "good"),
	}
	want := []auth.Code{
		auth.CodeRefreshMalformed, auth.CodeRefreshNotFound, auth.CodeRateLimited,
		// An unknown address has no budget to share: one client would lock out all others.
		auth.CodeRefreshNotFound, auth.CodeRefreshNotFound, auth.CodeRefreshNotFound, auth.CodeRefreshNotFound,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	user, session := auth.User{ID: auth.ID{1}, Email: "a@x.org"}, auth.Session{ID: auth.ID{7}, UserID: auth.ID{1}, Counter: 42}
	boom := errors.New("boom")
	for _, c := range []struct {
		name    string
		outcome auth.RotationOutcome
		err     error
		want    auth.Code // "" for tokens
		replay  bool
	}{
		{"rotated", auth.Rotated, nil, "", false},
		{"replayed", auth.Replayed, nil, "", true},
		{"reused", auth.Reused, nil, auth.CodeRefreshReused, false},
		{"expired", auth.Expired, nil, auth.CodeRefreshExpired, false},
		{"banned", auth.Banned, nil, auth.CodeUserBanned, false},
		{"zero outcome", auth.RotationUnknown, nil, auth.CodeInternal, false},
		{"outcome of tomorrow", 99, nil, auth.CodeInternal, false},
		{"no such session", auth.Rotated, auth.ErrNotFound, auth.CodeRefreshNotFound, false},
		{"database", auth.Rotated, boom, auth.CodeInternal, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.store.rotate = func(auth.Rotation) (auth.RotationResult, error) {
				return auth.RotationResult{Outcome: c.outcome, Session: session, User: user}, c.err
			}
			got, err := b.exchange(t, grant.Request{Grant: "refresh_token", RefreshToken: "good"})
			if c.want != "" {
				if err == nil || auth.CodeOf(err) != c.want || b.count("issue") != 0 {
					t.Errorf("%v after %q, want %s", err, b.all(), c.want)
				}
				if diff := cmp.Diff(auth.SignedIn{}, got); diff != "" {
					t.Errorf("something came out:\n%s", diff)
				}
				return
			}
			want := auth.SignedIn{User: user, Session: session, Tokens: auth.Tokens{AccessToken: "signed"}, Refreshed: true, Replayed: c.replay}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
			if diff := cmp.Diff([]string{"rotate", "issue"}, b.all()); diff != "" {
				t.Errorf("steps:\n%s", diff)
			}
		})
	}
}

// TestRotationRequest: what the store is asked, with and without limits of the session.
func TestRotationRequest(t *testing.T) {
	t.Parallel()
	at := auth.Truncate(now())
	for _, c := range []struct {
		name                   string
		timebox, inactive      time.Duration
		createdAfter, activeAt time.Time
	}{
		{"no limits", 0, 0, time.Time{}, time.Time{}},
		{"both limits", 24 * time.Hour, time.Hour, at.Add(-24 * time.Hour), at.Add(-time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.config.Grace, b.config.Timebox, b.config.Inactive = 10*time.Second, c.timebox, c.inactive
			r := grant.Request{Meta: auth.Meta{IP: "192.0.2.1", UserAgent: "test"}, Grant: "refresh_token", RefreshToken: "good"}
			if _, err := b.exchange(t, r); auth.CodeOf(err) != auth.CodeRefreshNotFound {
				t.Fatal(err)
			}
			got := b.rotated[0]
			if got.ReuseAudit.ID.IsZero() {
				t.Error("the audit entry has no id")
			}
			got.ReuseAudit.ID = auth.ID{}
			want := auth.Rotation{
				SessionID: auth.ID{7}, Counter: 41, At: at, IP: "192.0.2.1", UserAgent: "test", Grace: 10 * time.Second,
				CreatedAfter: c.createdAfter, ActiveAfter: c.activeAt,
				ReuseAudit: auth.AuditEntry{
					At: at, Action: "token_revoked", LogType: "token", IP: "192.0.2.1",
					Traits: map[string]any{"reason": "refresh_token_reuse", "session_id": auth.ID{7}.String(), "severity": "high"},
				},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRefreshRefusedWithoutTheDatabase: what is no token of ours costs no statement.
func TestRefreshRefusedWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]auth.Code{"": auth.CodeValidation, "forged": auth.CodeRefreshMalformed} {
		b := setup(t)
		_, err := b.exchange(t, grant.Request{Grant: "refresh_token", RefreshToken: token})
		if auth.CodeOf(err) != want || len(b.all()) != 0 {
			t.Errorf("%q: %v after %q, want %s", token, err, b.all(), want)
		}
	}
}

// TestSubject: the budget of an account must be the same under every spelling.
func TestSubject(t *testing.T) {
	t.Parallel()
	g := &grant.Password{}
	for _, c := range []struct{ name, email, phone, want string }{
		{"e-mail", "A@X.org ", "", "email/a@x.org"},
		{"phone", "", "+49 301", "phone/49301"},
		{"not an address", "a b@x.org", "", ""},
		{"not a number", "", "call me", ""},
		{"nothing", "", "", ""},
	} {
		if got := g.Subject(&grant.Request{Email: c.email, Phone: c.phone}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := (grant.Refresh{}).Subject(&grant.Request{Email: "a@x.org", RefreshToken: "good"}); got != "" {
		t.Errorf("a refresh takes from the budget of %q", got)
	}
}
