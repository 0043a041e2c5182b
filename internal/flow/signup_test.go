package flow_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/ratelimit"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func signUp() flow.SignUp {
	return flow.SignUp{
		Meta: auth.Meta{IP: "192.0.2.1", UserAgent: "test"}, Email: " A@X.org", Password: "long enough",
		Data: members("name", `"Ann"`, "email_verified", `true`, "sub", `"somebody else"`),
	}
}

func TestSignUpConfirmedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.create = func(auth.NewAccount) error { return nil }
	got, err := b.accounts().SignUp(t.Context(), signUp())
	if err != nil {
		t.Fatal(err)
	}
	b.steps(t, "hash", "CreateAccount") // two round trips with the answer, at most
	a := b.store.created[0]
	id := a.User.ID
	want := auth.NewAccount{
		User: auth.User{
			ID: id, Aud: "authenticated", Role: "authenticated", Email: "a@x.org", PasswordHash: "hash:long enough",
			EmailConfirmedAt: at(), LastSignInAt: at(), CreatedAt: at(), UpdatedAt: at(),
			AppMetadata: json.RawMessage(`{"provider":"email","providers":["email"]}`),
			// What the person claims about proofs does not count.
			UserMetadata: json.RawMessage(`{"email":"a@x.org","email_verified":true,"name":"Ann","phone_verified":false,"sub":"` + id.String() + `"}`),
			Identities: []auth.Identity{{
				UserID: id, Provider: "email", ProviderID: id.String(), Email: "a@x.org",
				Data:         json.RawMessage(`{"email":"a@x.org","email_verified":false,"phone_verified":false,"sub":"` + id.String() + `"}`),
				LastSignInAt: at(), CreatedAt: at(), UpdatedAt: at(),
			}},
		},
		Session: &auth.Session{
			UserID: id, AAL: "aal1", AMR: []auth.AMR{{Method: "password", At: at()}}, UserAgent: "test", IP: "192.0.2.1",
			CreatedAt: at(), UpdatedAt: at(), Parent: -1,
		},
		Audit: []auth.AuditEntry{{
			At: at(), Action: "user_signedup", LogType: "team", ActorID: id, ActorUsername: "a@x.org",
			Traits: map[string]any{"provider": "email"}, IP: "192.0.2.1",
		}},
	}
	if diff := cmp.Diff(want, a, ignoreIDs()); diff != "" {
		t.Errorf("stored:\n%s", diff)
	}
	if id.IsZero() || a.Session.ID.IsZero() || a.Audit[0].ID.IsZero() || a.User.Identities[0].ID.IsZero() {
		t.Errorf("an id is missing: %+v", a)
	}
	if got.Session == nil || got.Session.Tokens.AccessToken != id.String()+" "+a.Session.ID.String() {
		t.Errorf("answer %+v", got)
	}
	if diff := cmp.Diff(a.User, got.User); diff != "" {
		t.Errorf("answer is not what was stored:\n%s", diff)
	}
}

// ignoreIDs leaves out the ids that are not links.
func ignoreIDs() cmp.Options {
	return cmp.Options{
		cmpopts.IgnoreFields(auth.Session{}, "ID"), cmpopts.IgnoreFields(auth.AuditEntry{}, "ID"), cmpopts.IgnoreFields(auth.Identity{}, "ID"),
	}
}

func TestSignUpWaitsForProof(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, email, phone string }{{"e-mail", "a@x.org", ""}, {"phone", "", "+49 301"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.config.EmailAutoconfirm, b.config.PhoneAutoconfirm = false, false
			b.store.create = func(auth.NewAccount) error { return nil }
			got, err := b.accounts().SignUp(t.Context(), flow.SignUp{Email: c.email, Phone: c.phone, Password: "long enough", Audience: "other"})
			if err != nil {
				t.Fatal(err)
			}
			a := b.store.created[0]
			if got.Session != nil || a.Session != nil || !a.User.ConfirmedAt().IsZero() || !a.User.LastSignInAt.IsZero() {
				t.Errorf("signed in without a proof: %+v", a)
			}
			if len(a.User.Identities) != 1 || len(a.Audit) != 1 || a.User.Aud != "other" {
				t.Errorf("stored %+v", a)
			}
			for _, k := range []string{"email_verified", "phone_verified"} {
				if object(t, a.User.UserMetadata)[k] != false {
					t.Errorf("%s in %s", k, a.User.UserMetadata)
				}
			}
		})
	}
}

func TestSignUpByPhone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.EmailEnabled = false
	b.store.create = func(auth.NewAccount) error { return nil }
	got, err := b.accounts().SignUp(t.Context(), flow.SignUp{Phone: "+49 301", Password: "long enough"})
	if err != nil || got.Session == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	a := b.store.created[0]
	if a.User.Phone != "49301" || !a.User.PhoneConfirmedAt.Equal(at()) || !a.User.EmailConfirmedAt.IsZero() || a.User.Email != "" {
		t.Errorf("stored %+v", a.User)
	}
	if id := a.User.Identities[0]; id.Provider != "phone" || id.Email != "" || a.Audit[0].ActorUsername != "49301" {
		t.Errorf("identity %+v, audit %+v", id, a.Audit)
	}
	if meta := object(t, a.User.UserMetadata); meta["phone"] != "49301" || meta["phone_verified"] != true || meta["email_verified"] != false {
		t.Errorf("metadata %v", meta)
	}
}

// TestSignUpGates has every refusal, in the order of precedence: nothing is hashed and no
// database is asked.
func TestSignUpGates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		bend func(*flow.Config, *flow.SignUp)
		want auth.Code
	}{
		{"sign-ups are off, before anything else", func(c *flow.Config, s *flow.SignUp) {
			c.SignupDisabled, s.Password, s.Phone = true, "", "49301"
		}, auth.CodeSignupDisabled},
		{"no password", func(_ *flow.Config, s *flow.SignUp) { s.Password, s.Phone = "", "49301" }, auth.CodeValidation},
		{"both identifiers", func(c *flow.Config, s *flow.SignUp) { c.EmailEnabled, s.Phone = false, "49301" }, auth.CodeValidation},
		{"e-mail is off", func(c *flow.Config, s *flow.SignUp) { c.EmailEnabled, s.Email = false, "bad" }, auth.CodeEmailSignupDisabled},
		{"phone is off", func(c *flow.Config, s *flow.SignUp) { c.PhoneEnabled, s.Email, s.Phone = false, "", "bad" }, auth.CodePhoneSignupDisabled},
		{"bad address", func(_ *flow.Config, s *flow.SignUp) { s.Email, s.Password = "a b@x.org", "short" }, auth.CodeValidation},
		{"header injection", func(_ *flow.Config, s *flow.SignUp) { s.Email = "a@x.org\r\nBcc: b@x.org" }, auth.CodeValidation},
		{"bad number", func(_ *flow.Config, s *flow.SignUp) { s.Email, s.Phone = "", "0301" }, auth.CodeValidation},
		{"weak password", func(_ *flow.Config, s *flow.SignUp) { s.Password = "short" }, auth.CodeWeakPassword},
		{"NUL in the metadata", func(_ *flow.Config, s *flow.SignUp) { s.Data = members("a", `"\u0000"`) }, auth.CodeValidation},
		{"NUL in a key", func(_ *flow.Config, s *flow.SignUp) { s.Data = members("a\x00", `1`) }, auth.CodeValidation},
		{"lone surrogate", func(_ *flow.Config, s *flow.SignUp) { s.Data = members("a", `"\ud800"`) }, auth.CodeValidation},
		{"number that jsonb blows up", func(_ *flow.Config, s *flow.SignUp) { s.Data = members("a", `1e131000`) }, auth.CodeValidation},
		{"anonymous is off", func(c *flow.Config, s *flow.SignUp) {
			c.AnonymousEnabled, c.SignupDisabled, s.Email = false, true, ""
		}, auth.CodeAnonymousDisabled},
		{"anonymous, sign-ups are off", func(c *flow.Config, s *flow.SignUp) { c.SignupDisabled, s.Email = true, "" }, auth.CodeSignupDisabled},
		{"anonymous, NUL", func(_ *flow.Config, s *flow.SignUp) { s.Email, s.Data = "", members("a", `"\u0000"`) }, auth.CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			in := signUp()
			c.bend(&b.config, &in)
			_, err := b.accounts().SignUp(t.Context(), in)
			wantCode(t, err, c.want)
			b.steps(t)
		})
	}
}

func TestSignUpTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		taken error
		in    flow.SignUp
	}{
		{"e-mail", auth.ErrEmailTaken, signUp()},
		{"phone", auth.ErrPhoneTaken, flow.SignUp{Phone: "49301", Password: "long enough"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.store.create = func(auth.NewAccount) error { return c.taken }
			got, err := b.accounts().SignUp(t.Context(), c.in)
			wantCode(t, err, auth.CodeUserAlreadyExists)
			// The work for the password is done before the duplicate is known.
			b.steps(t, "hash", "CreateAccount")
			if diff := cmp.Diff(flow.SignUpResult{}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// stored is an account that a stranger must learn nothing of.
func stored(confirmed bool) auth.User {
	u := auth.User{
		ID: auth.ID{9}, Aud: "secret-aud", Role: "secret-role", Email: "a@x.org", Phone: "49999", PasswordHash: "secret-hash",
		AppMetadata: json.RawMessage(`{"secret":1}`), UserMetadata: json.RawMessage(`{"secret":2}`), CreatedAt: at().Add(-time.Hour),
		Identities: []auth.Identity{{ID: auth.ID{8}, Provider: "secret"}}, Factors: []auth.Factor{{ID: auth.ID{7}}},
		BannedUntil: at().Add(time.Hour), LastSignInAt: at().Add(-time.Minute),
	}
	if confirmed {
		u.EmailConfirmedAt = at().Add(-time.Hour)
	}
	return u
}

// TestSignUpPretends: with proof wanted, a taken address answers like a free one (X28): the
// answer is deep-equal to a fresh sign-up's but for its random ids. Only with explicit
// answers a confirmed one gives GoTrue's fake user. Nothing stored shows in either.
func TestSignUpPretends(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, explicit bool, answer error, find func(email, aud string) (auth.User, error)) (flow.SignUpResult, *bench) {
		t.Helper()
		b := setup(t)
		b.config.EmailAutoconfirm, b.config.ExplicitAnswers = false, explicit
		b.store.create = func(auth.NewAccount) error { return answer }
		b.store.byEmail = find
		got, err := b.accounts().SignUp(t.Context(), signUp())
		if err != nil {
			t.Fatal(err)
		}
		return got, b
	}
	finds := func(confirmed bool) func(string, string) (auth.User, error) {
		return func(email, aud string) (auth.User, error) {
			if email != "a@x.org" || aud != "authenticated" {
				return auth.User{}, errUnexpected
			}
			return stored(confirmed), nil
		}
	}
	fresh, _ := run(t, false, nil, nil)
	for _, c := range []struct {
		name     string
		find     func(string, string) (auth.User, error)
		explicit bool
		fake     bool
	}{
		{"unconfirmed", finds(false), false, false},
		{"confirmed", finds(true), false, false},
		{"gone meanwhile", func(string, string) (auth.User, error) { return auth.User{}, auth.ErrNotFound }, false, false},
		{"unconfirmed, explicit", finds(false), true, false},
		{"confirmed, explicit", finds(true), true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, b := run(t, c.explicit, auth.ErrEmailTaken, c.find)
			b.steps(t, "hash", "CreateAccount", "UserByEmail")
			want := fresh
			if c.fake {
				want.User.Role, want.User.Identities = "", nil
			}
			if diff := cmp.Diff(anonymise(t, want), anonymise(t, got)); diff != "" {
				t.Errorf("differs from a fresh sign-up:\n%s", diff)
			}
			doc, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"secret", "49999", stored(true).ID.String()} {
				if strings.Contains(string(doc), secret) {
					t.Errorf("%q of the stored account shows: %s", secret, doc)
				}
			}
		})
	}
	t.Run("look-up fails", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		boom := errors.New("boom")
		b.config.EmailAutoconfirm = false
		b.store.create = func(auth.NewAccount) error { return auth.ErrEmailTaken }
		b.store.byEmail = func(string, string) (auth.User, error) { return auth.User{}, boom }
		if _, err := b.accounts().SignUp(t.Context(), signUp()); !errors.Is(err, boom) {
			t.Errorf("%v", err)
		}
	})
	t.Run("phone", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.PhoneAutoconfirm, b.config.ExplicitAnswers = false, true
		b.store.create = func(auth.NewAccount) error { return auth.ErrPhoneTaken }
		b.store.byPhone = func(string, string) (auth.User, error) { return stored(true), nil }
		got, err := b.accounts().SignUp(t.Context(), flow.SignUp{Phone: "49301", Password: "long enough"})
		if err != nil || len(got.User.Identities) != 0 || got.User.Phone != "49301" || got.Session != nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// anonymise replaces the random ids of an answer, also inside of its documents.
func anonymise(t *testing.T, r flow.SignUpResult) flow.SignUpResult {
	t.Helper()
	id := r.User.ID.String()
	if r.User.ID.IsZero() {
		t.Error("the answer has no id")
	}
	clean := func(doc json.RawMessage) json.RawMessage {
		return json.RawMessage(strings.ReplaceAll(string(doc), id, "ID"))
	}
	r.User.ID, r.User.PasswordHash = auth.ID{}, "" // no surface shows a hash
	r.User.UserMetadata = clean(r.User.UserMetadata)
	identities := append([]auth.Identity(nil), r.User.Identities...)
	for i := range identities {
		identities[i].ID, identities[i].UserID = auth.ID{}, auth.ID{}
		identities[i].ProviderID = strings.ReplaceAll(identities[i].ProviderID, id, "ID")
		identities[i].Data = clean(identities[i].Data)
	}
	r.User.Identities = identities
	return r
}

func TestSignUpAnonymous(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.create = func(auth.NewAccount) error { return nil }
	got, err := b.accounts().SignUp(t.Context(), flow.SignUp{Meta: auth.Meta{IP: "192.0.2.1"}, Data: members("a", `1`, "b", `null`)})
	if err != nil || got.Session == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	a := b.store.created[0]
	u := a.User
	if !u.IsAnonymous || len(u.Identities) != 0 || u.PasswordHash != "" || string(u.AppMetadata) != `{}` || string(u.UserMetadata) != `{"a":1}` {
		t.Errorf("stored %+v", u)
	}
	if a.Session.AMR[0].Method != auth.MethodAnonymous || !u.ConfirmedAt().IsZero() || a.Audit[0].ActorID != u.ID {
		t.Errorf("session %+v, audit %+v", a.Session, a.Audit)
	}
	b.steps(t, "CreateAccount") // no hash for nobody's password
}

func TestSignUpLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		email  string
		others flow.SignUp
	}{
		{"by address", "a@x.org", flow.SignUp{}},
		{"anonymous", "", flow.SignUp{Email: "b@x.org", Password: "long enough"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.config.Limiter = ratelimit.NewMemory(0, now)
			one := ratelimit.Limit{Count: 1, Period: time.Hour}
			b.config.SignupPerIP, b.config.AnonymousPerIP = one, one
			b.store.create = func(auth.NewAccount) error { return nil }
			in := flow.SignUp{Meta: auth.Meta{IP: "192.0.2.1"}, Email: c.email, Password: "long enough"}
			a := b.accounts()
			if _, err := a.SignUp(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			n := len(b.store.steps)
			_, err := a.SignUp(t.Context(), in)
			var e *auth.Error
			if !errors.As(err, &e) || e.Code != auth.CodeRateLimited || e.RetryAfter != time.Hour {
				t.Errorf("%#v, want a refusal for an hour", err)
			}
			if len(b.store.steps) != n {
				t.Errorf("work was done over the limit: %q", b.store.steps[n:])
			}
			c.others.IP = in.IP
			if _, err := a.SignUp(t.Context(), c.others); err != nil {
				t.Errorf("the other kind has a budget of its own: %v", err)
			}
			in.IP = "192.0.2.2"
			if _, err := a.SignUp(t.Context(), in); err != nil {
				t.Errorf("another address: %v", err)
			}
		})
	}
}
