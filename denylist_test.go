package cardea

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func denying(t testing.TB) (*Verifier, *Denylist, *fakeClock) {
	t.Helper()
	clock := newFakeClock()
	list := NewDenylist(DenylistConfig{Now: clock.Now})
	c := testConfig(t)
	c.Now, c.Revoked = clock.Now, list.Check
	return mustVerifier(t, c), list, clock
}

// TestDenylist: S4.6, B4.11 and B4.12. Each kind stops what it names and nothing else, in
// the cache too.
func TestDenylist(t *testing.T) {
	t.Parallel()
	token := func(sub, session, jti string) string {
		return esToken(map[string]any{"sub": sub, "session_id": session, "jti": jti})
	}
	a1, a2, b := token("a", "s1", "j1"), token("a", "s2", "j2"), token("b", "s3", "a")
	bare := esToken(map[string]any{"sub": "c", "session_id": absent})
	cases := []struct {
		name           string
		revoke         func(*Denylist)
		a1, a2, b, not Code
	}{
		{"nothing", func(*Denylist) {}, "", "", "", ""},
		{"token", func(d *Denylist) { d.RevokeToken(testIssuer, "j1", "r") }, CodeTokenRevoked, "", "", ""},
		{"session", func(d *Denylist) { d.RevokeSession(testIssuer, "s2", "r") }, "", CodeTokenRevoked, "", ""},
		{"user", func(d *Denylist) { d.RevokeUser(testIssuer, "a", time.Time{}, "r") }, CodeUserTokensRevoked, CodeUserTokensRevoked, "", ""},
		{"token of a user's name", func(d *Denylist) { d.RevokeToken(testIssuer, "a", "r") }, "", "", CodeTokenRevoked, ""},
		{"token and user of one sign-out", func(d *Denylist) {
			d.RevokeToken(testIssuer, "j1", "r")
			d.RevokeUser(testIssuer, "a", testNow().Add(-time.Hour), "r")
		}, CodeTokenRevoked, "", "", ""},
		{"another issuer", func(d *Denylist) {
			d.RevokeUser("https://other.test", "a", time.Time{}, "r")
			d.RevokeSession("https://other.test", "s1", "r")
			d.RevokeToken("https://other.test", "j1", "r")
		}, "", "", "", ""},
		{"empty ids", func(d *Denylist) {
			d.RevokeUser(testIssuer, "", time.Time{}, "r")
			d.RevokeSession(testIssuer, "", "r")
			d.RevokeToken(testIssuer, "", "r")
		}, "", "", "", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v, list, _ := denying(t)
			for _, token := range []string{a1, a2, b, bare} {
				wantCode(t, v, token, "") // now all are in the cache
			}
			tc.revoke(list)
			for range 2 {
				wantCode(t, v, a1, tc.a1)
				wantCode(t, v, a2, tc.a2)
				wantCode(t, v, b, tc.b)
				wantCode(t, v, bare, tc.not)
			}
		})
	}
}

// TestDenylistUserTime: tokens up to the second of the revocation are refused, those of a
// new sign-in pass, and a message that comes late takes nothing back.
func TestDenylistUserTime(t *testing.T) {
	t.Parallel()
	v, list, _ := denying(t)
	at := testNow().Add(-30 * time.Second)
	list.RevokeUser(testIssuer, "a", at, "password changed")
	issued := func(d time.Duration) string {
		return esToken(map[string]any{"sub": "a", "iat": at.Add(d).Unix()})
	}
	wantCode(t, v, issued(-time.Second), CodeUserTokensRevoked)
	wantCode(t, v, issued(0), CodeUserTokensRevoked)
	wantCode(t, v, issued(time.Second), "")
	list.RevokeUser(testIssuer, "a", at.Add(-time.Hour), "late")
	wantCode(t, v, issued(0), CodeUserTokensRevoked)
	_, err := v.Verify(t.Context(), issued(0))
	if !strings.Contains(err.Error(), "late") || strings.Contains(NewError(CodeOf(err), nil).Message, "late") {
		t.Errorf("the reason: %v", err)
	}
	list.RevokeUser(testIssuer, "a", at.Add(time.Second), "again")
	wantCode(t, v, issued(time.Second), CodeUserTokensRevoked)
}

// TestDenylistKeep: B4.12, an entry outlives every token that it is meant for; and the
// list does not grow for ever.
func TestDenylistKeep(t *testing.T) {
	t.Parallel()
	v, list, clock := denying(t)
	token := esToken(map[string]any{"session_id": "s", "exp": testNow().Add(24*time.Hour - time.Minute).Unix()})
	list.RevokeSession(testIssuer, "s", "")
	list.RevokeUser(testIssuer, "later", testNow().Add(time.Hour), "")
	clock.Advance(24*time.Hour - 2*time.Minute)
	for i := range 3 * denySweepMin {
		list.RevokeToken(testIssuer, strconv.Itoa(i), "")
	}
	wantCode(t, v, token, CodeTokenRevoked)
	if got := list.Len(); got != 3*denySweepMin+2 {
		t.Errorf("%d entries", got)
	}
	clock.Advance(25 * time.Hour)
	for i := range 4 * denySweepMin {
		list.RevokeToken(testIssuer, "new-"+strconv.Itoa(i), "")
	}
	if got := list.Len(); got > 4*denySweepMin+1 {
		t.Errorf("%d entries are left", got)
	}
	if list.sweepAt > 3*4*denySweepMin {
		t.Errorf("next sweep at %d", list.sweepAt)
	}
}

func TestDenylistDefaults(t *testing.T) {
	t.Parallel()
	list := NewDenylist(DenylistConfig{})
	if list.keep != 24*time.Hour || list.now == nil || list.Len() != 0 {
		t.Errorf("%+v", list.keep)
	}
	defer func() {
		if recover() == nil {
			t.Error("a negative Keep is taken")
		}
	}()
	NewDenylist(DenylistConfig{Keep: -1})
}

// TestDenylistParallel is for the race detector.
func TestDenylistParallel(t *testing.T) {
	t.Parallel()
	v, list, _ := denying(t)
	token := esToken()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				list.RevokeUser(testIssuer, strconv.Itoa(g*1000+i), time.Time{}, "")
				wantNoError(t, v, token)
			}
		})
	}
	wg.Wait()
	if list.Len() != 800 {
		t.Error(list.Len())
	}
}

func wantNoError(t *testing.T, v *Verifier, token string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}

// TestRevokedHook: what the hook says is answered, and what it can't say is no yes.
func TestRevokedHook(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		err  error
		want Code
	}{
		{"nil", nil, ""},
		{"an error of ours", NewError(CodeTokenRevoked, nil), CodeTokenRevoked},
		{"a code of the service", &Error{Code: "LICENCE_EXPIRED"}, "LICENCE_EXPIRED"},
		{"database down", errors.New("down"), CodeProviderUnreachable},
		{"nil *Error", (*Error)(nil), CodeProviderUnreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			v, source, _ := cached(t, func(c *Config) {
				c.Revoked = func(_ context.Context, p *Principal) error {
					calls++
					if p == nil || p.Subject == "" {
						t.Error("no Principal")
					}
					return tc.err
				}
			})
			token := esToken()
			wantCode(t, v, token, tc.want)
			wantCode(t, v, token, tc.want)
			wantCode(t, v, token+"x", CodeBase64) // not asked about a bad one
			if calls != 2 || source.count() != 1 {
				t.Errorf("%d calls, %d verifications", calls, source.count())
			}
		})
	}
}
