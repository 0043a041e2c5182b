package flow_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSignUpFailures(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		bend func(*bench)
		code auth.Code
	}{
		{"hasher is busy", func(b *bench) { b.hasher.err = auth.Wrap(auth.CodeOverloaded, boom) }, auth.CodeOverloaded},
		{"database", func(b *bench) { b.store.create = func(auth.NewAccount) error { return boom } }, auth.CodeInternal},
		{"id exists", func(b *bench) { b.store.create = func(auth.NewAccount) error { return auth.ErrIDTaken } }, auth.CodeInternal},
		{"signing", func(b *bench) {
			b.config.Issuer = issuer(func(*auth.User, *auth.Session) (auth.Tokens, error) { return auth.Tokens{}, boom })
		}, auth.CodeInternal},
		{"randomness", func(b *bench) { b.config.Rand = strings.NewReader("short") }, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.store.create = func(auth.NewAccount) error { return nil }
			c.bend(b)
			got, err := b.accounts().SignUp(t.Context(), signUp())
			wantCode(t, err, c.code)
			if diff := cmp.Diff(flow.SignUpResult{}, got); diff != "" {
				t.Errorf("something came out:\n%s", diff)
			}
		})
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	banned := account()
	banned.BannedUntil = at().Add(time.Second)
	for _, c := range []struct {
		name    string
		session auth.ID
		answer  auth.UserSession
		err     error
		want    auth.Code
	}{
		{"alive", auth.ID{2}, auth.UserSession{User: account(), Session: true}, nil, ""},
		{"token without a session", auth.ID{}, auth.UserSession{User: account()}, nil, ""},
		{"account gone", auth.ID{2}, auth.UserSession{}, auth.ErrNotFound, auth.CodeTokenUserNotFound},
		{"session gone", auth.ID{2}, auth.UserSession{User: account()}, nil, auth.CodeSessionNotFound},
		{"banned", auth.ID{2}, auth.UserSession{User: banned, Session: true}, nil, auth.CodeTokenUserBanned},
		{"banned, and the session gone", auth.ID{2}, auth.UserSession{User: banned}, nil, auth.CodeTokenUserBanned},
		{"database", auth.ID{2}, auth.UserSession{}, boom, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.store.withSession = func(id, session auth.ID) (auth.UserSession, error) {
				if id != (auth.ID{1}) || session != c.session {
					t.Errorf("asked for %s and %s", id, session)
				}
				return c.answer, c.err
			}
			who := caller()
			who.SessionID = c.session
			got, err := b.accounts().User(t.Context(), who)
			b.steps(t, "UserWithSession")
			if c.want != "" {
				wantCode(t, err, c.want)
				if diff := cmp.Diff(auth.User{}, got); diff != "" {
					t.Errorf("something of the account shows:\n%s", diff)
				}
				return
			}
			if diff := cmp.Diff(account(), got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	for _, which := range []auth.Revocation{auth.RevokeOne, auth.RevokeOthers, auth.RevokeAll} {
		b := setup(t)
		var got auth.EndSessions
		b.store.end = func(e auth.EndSessions) (int64, error) { got = e; return 1, nil }
		if err := b.accounts().SignOut(t.Context(), caller(), which); err != nil {
			t.Fatal(err)
		}
		want := auth.EndSessions{
			UserID: auth.ID{1}, SessionID: auth.ID{2}, Which: which,
			Audit: auth.AuditEntry{At: at(), Action: "logout", LogType: "account", ActorID: auth.ID{1}, IP: "192.0.2.1"},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(auth.AuditEntry{}, "ID")); diff != "" || got.Audit.ID.IsZero() {
			t.Errorf("%d: %s", which, diff)
		}
	}
	t.Run("token of an OAuth client", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		who := caller()
		who.FirstParty = false
		wantCode(t, b.accounts().SignOut(t.Context(), who, auth.RevokeAll), auth.CodeNotFirstParty)
		b.steps(t)
	})
	t.Run("session has ended already", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.store.end = func(auth.EndSessions) (int64, error) { return 0, auth.ErrNotFound }
		wantCode(t, b.accounts().SignOut(t.Context(), caller(), auth.RevokeAll), auth.CodeSessionNotFound)
	})
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		boom := errors.New("boom")
		b.store.end = func(auth.EndSessions) (int64, error) { return 0, boom }
		if err := b.accounts().SignOut(t.Context(), caller(), auth.RevokeAll); !errors.Is(err, boom) {
			t.Errorf("%v", err)
		}
	})
}
