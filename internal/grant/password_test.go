package grant_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestPasswordSignIn is S0.2: what one statement writes and what the caller gets.
func TestPasswordSignIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.Rand = strings.NewReader(strings.Repeat("\x11", 32))
	got, err := b.exchange(t, request(" A@X.org", "right"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"find", "verify", "start", "issue"}, b.all()); diff != "" {
		t.Errorf("order of the steps:\n%s", diff)
	}
	at := auth.Truncate(now())
	want := auth.SessionStart{
		Session: auth.Session{
			UserID: auth.ID{1}, AAL: "aal1", AMR: []auth.AMR{{Method: "password", At: at}}, UserAgent: "test", IP: "192.0.2.1",
			CreatedAt: at, UpdatedAt: at, Parent: -1,
		},
		Audit: auth.AuditEntry{
			At: at, Action: "login", LogType: "account", ActorID: auth.ID{1}, ActorUsername: "a@x.org",
			Traits: map[string]any{"provider": "email"}, IP: "192.0.2.1",
		},
		RehashFrom: "hash:right", Identity: "email",
	}
	ids := cmp.Options{cmpopts.IgnoreFields(auth.Session{}, "ID"), cmpopts.IgnoreFields(auth.AuditEntry{}, "ID")}
	if diff := cmp.Diff([]auth.SessionStart{want}, b.started, ids); diff != "" {
		t.Errorf("stored:\n%s", diff)
	}
	if got.Session.ID.IsZero() || got.Session.ID != b.started[0].Session.ID || b.started[0].Audit.ID.IsZero() {
		t.Errorf("session %s, stored %s, audit %s", got.Session.ID, b.started[0].Session.ID, b.started[0].Audit.ID)
	}
	if got.Tokens.AccessToken != "signed" || got.Refreshed || got.Replayed || got.WeakPassword != nil {
		t.Errorf("answer %+v", got)
	}
	if !got.User.LastSignInAt.Equal(at) || !got.User.Identities[1].LastSignInAt.Equal(at) || !got.User.Identities[0].LastSignInAt.IsZero() {
		t.Errorf("times of the sign-in: %+v", got.User)
	}
}

// TestNobodyLearnsWhoHasAnAccount is A3.2: unknown, passwordless and wrong give the same
// error after exactly one verification, and nothing is issued.
func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	soon := now().Add(time.Hour)
	for _, c := range []struct {
		name string
		req  grant.Request
	}{
		{"unknown account", request("stranger@x.org", "right")},
		{"account without a password", request("none@x.org", "right")},
		{"account without a password, empty password", request("none@x.org", "")},
		{"wrong password", request("a@x.org", "wrong")},
		{"empty password", request("a@x.org", "")},
		{"not an address", request("a@x.org\r\nBcc: b@x.org", "right")},
		{"banned, wrong password", request("banned@x.org", "wrong")},
		{"unconfirmed, wrong password", request("new@x.org", "wrong")},
		{"unknown number", grant.Request{Grant: "password", Phone: "+49302", Password: "right"}},
		{"number, wrong password", grant.Request{Grant: "password", Phone: "+49301", Password: "wrong"}},
	} {
		t.Run("A3.2 "+c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.users["email/banned@x.org"] = auth.User{PasswordHash: "hash:right", BannedUntil: soon, EmailConfirmedAt: now()}
			b.users["email/new@x.org"] = auth.User{PasswordHash: "hash:right"}
			_, err := b.exchange(t, c.req)
			if diff := cmp.Diff(auth.E(auth.CodeInvalidCredentials, ""), err); diff != "" {
				t.Errorf("not the same error:\n%s", diff)
			}
			if b.count("verify") != 1 || b.count("hash") != 0 || b.count("start")+b.count("issue") != 0 {
				t.Errorf("steps %q: want one verification and nothing issued", b.all())
			}
		})
	}
}

// TestPolicyAfterProof: a ban or a missing confirmation shows only to who knows the
// password (design 6b), and then nothing is issued.
func TestPolicyAfterProof(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		user auth.User
		want auth.Code
	}{
		{"banned", auth.User{EmailConfirmedAt: now(), BannedUntil: now().Add(time.Second)}, auth.CodeUserBanned},
		{"banned and unconfirmed", auth.User{BannedUntil: now().Add(time.Second)}, auth.CodeUserBanned},
		{"ban has run out", auth.User{EmailConfirmedAt: now(), BannedUntil: auth.Truncate(now())}, ""},
		{"unconfirmed", auth.User{}, auth.CodeEmailNotConfirmed},
		{"only the number is confirmed", auth.User{PhoneConfirmedAt: now()}, auth.CodeEmailNotConfirmed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.user.PasswordHash = "hash:right"
			b.users["email/u@x.org"] = c.user
			_, err := b.exchange(t, request("u@x.org", "right"))
			if c.want == "" {
				if err != nil || b.count("issue") != 1 {
					t.Fatalf("%v after %q", err, b.all())
				}
				return
			}
			if auth.CodeOf(err) != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			if diff := cmp.Diff([]string{"find", "verify"}, b.all()); diff != "" {
				t.Errorf("steps:\n%s", diff)
			}
		})
	}
	t.Run("unconfirmed number", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.users["phone/49301"] = auth.User{PasswordHash: "hash:right", EmailConfirmedAt: now()}
		_, err := b.exchange(t, grant.Request{Grant: "password", Phone: "49301", Password: "right"})
		if auth.CodeOf(err) != auth.CodePhoneNotConfirmed || b.count("start") != 0 {
			t.Errorf("%v after %q", err, b.all())
		}
	})
}

func TestPasswordIdentifiers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		req            grant.Request
		noEmail, noTel bool
		want           auth.Code
	}{
		{"both", grant.Request{Email: "a@x.org", Phone: "49301"}, false, false, auth.CodeValidation},
		{"neither", grant.Request{}, false, false, auth.CodeValidation},
		{"e-mail is off", grant.Request{Email: "a@x.org"}, true, false, auth.CodeEmailLoginDisabled},
		{"phone is off", grant.Request{Phone: "49301"}, false, true, auth.CodePhoneLoginDisabled},
		{"not a number", grant.Request{Phone: "call me"}, false, false, auth.CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.grant.EmailEnabled, b.grant.PhoneEnabled = !c.noEmail, !c.noTel
			c.req.Grant, c.req.Password = "password", "right"
			_, err := b.exchange(t, c.req)
			if auth.CodeOf(err) != c.want || len(b.all()) != 0 {
				t.Errorf("%v after %q, want %s before any work", err, b.all(), c.want)
			}
		})
	}
	t.Run("phone", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		got, err := b.exchange(t, grant.Request{Grant: "password", Phone: "+49 301", Password: "right"})
		if err != nil || got.User.ID != (auth.ID{2}) || b.started[0].Identity != "phone" || b.started[0].Audit.ActorUsername != "49301" {
			t.Errorf("%+v, %v", got, err)
		}
	})
	for _, c := range []struct{ name, asked, want string }{{"configured audience", "", "authenticated"}, {"asked-for audience", "other", "other"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var aud string
			b.finder.find = func(_, _, a string) (auth.User, error) { aud = a; return auth.User{}, auth.ErrNotFound }
			r := request("a@x.org", "right")
			r.Audience = c.asked
			if _, err := b.exchange(t, r); auth.CodeOf(err) != auth.CodeInvalidCredentials || aud != c.want {
				t.Errorf("looked for in %q, want %q; %v", aud, c.want, err)
			}
		})
	}
}

func TestRehash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		rehash bool
		hash   func(string) (string, error)
		want   string
	}{
		{"not needed", false, nil, ""},
		{"needed", true, func(string) (string, error) { return "new", nil }, "new"},
		{"needed but impossible", true, func(string) (string, error) { return "", errors.New("73 bytes") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.hasher.rehash, b.hasher.hash = c.rehash, c.hash
			if _, err := b.exchange(t, request("a@x.org", "right")); err != nil {
				t.Fatal(err)
			}
			if s := b.started[0]; s.Rehash != c.want || s.RehashFrom != "hash:right" {
				t.Errorf("rehash %q from %q, want %q", s.Rehash, s.RehashFrom, c.want)
			}
		})
	}
	t.Run("never after a wrong password", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.hasher.rehash = true
		if _, err := b.exchange(t, request("a@x.org", "wrong")); err == nil || b.count("hash") != 0 {
			t.Errorf("%v after %q", err, b.all())
		}
	})
}

func TestWeakPasswordIsOnlyReported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	weak := &auth.Error{Code: auth.CodeWeakPassword, Reasons: []string{"length"}}
	b.grant.Weak = func(p string) *auth.Error {
		if p != "right" {
			t.Errorf("judges %q", p)
		}
		return weak
	}
	got, err := b.exchange(t, request("a@x.org", "right"))
	if err != nil || got.WeakPassword != weak || got.Tokens.AccessToken == "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestForeignErrorsStay: a database or hasher that fails is neither a wrong password nor
// a right one.
func TestForeignErrorsStay(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	busy := &auth.Error{Code: auth.CodeOverloaded, RetryAfter: time.Second}
	for _, c := range []struct {
		name  string
		email string
		bend  func(*bench)
		is    error
		code  auth.Code
	}{
		{"look-up", "a@x.org", func(b *bench) {
			b.finder.find = func(string, string, string) (auth.User, error) { return auth.User{}, boom }
		}, boom, auth.CodeInternal},
		{"hasher is busy", "a@x.org", func(b *bench) { b.hasher.err = busy }, busy, auth.CodeOverloaded},
		{"hasher is busy, unknown account", "stranger@x.org", func(b *bench) { b.hasher.err = busy }, busy, auth.CodeOverloaded},
		{"statement", "a@x.org", func(b *bench) { b.store.start = func(auth.SessionStart) error { return boom } }, boom, auth.CodeInternal},
		{"account gone or banned meanwhile", "a@x.org", func(b *bench) {
			b.store.start = func(auth.SessionStart) error { return auth.ErrNotFound }
		}, nil, auth.CodeInvalidCredentials},
		{"signing", "a@x.org", func(b *bench) {
			b.issuer.issue = func(*auth.User, *auth.Session) (auth.Tokens, error) { return auth.Tokens{}, boom }
		}, boom, auth.CodeInternal},
		{"randomness", "a@x.org", func(b *bench) { b.config.Rand = strings.NewReader("short") }, nil, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.bend(b)
			got, err := b.exchange(t, request(c.email, "right"))
			if auth.CodeOf(err) != c.code || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v, want %s", err, c.code)
			}
			if diff := cmp.Diff(auth.SignedIn{}, got); diff != "" {
				t.Errorf("something came out:\n%s", diff)
			}
		})
	}
}
