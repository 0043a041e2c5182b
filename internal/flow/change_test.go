package flow_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// TestAddressWaits: a new address is not the account's until it is proved; with both proofs
// wanted, the present address is asked too.
func TestAddressWaits(t *testing.T) {
	t.Parallel()
	unproved := account()
	unproved.EmailConfirmedAt = time.Time{}
	for _, c := range []struct {
		name string
		user auth.User
		both bool
		in   flow.Update
		want map[auth.Purpose]string // purpose → where its message goes
	}{
		{"both", account(), true, flow.Update{Email: ptr(" New@x.org")}, map[auth.Purpose]string{auth.PurposeEmailNew: "new@x.org", auth.PurposeEmailCurrent: "a@x.org"}},
		{"new alone", account(), false, flow.Update{Email: ptr("new@x.org")}, map[auth.Purpose]string{auth.PurposeEmailNew: "new@x.org"}},
		{"present one not proved", unproved, true, flow.Update{Email: ptr("new@x.org")}, map[auth.Purpose]string{auth.PurposeEmailNew: "new@x.org"}},
		{"number", account(), true, flow.Update{Phone: ptr("+49 12345")}, map[auth.Purpose]string{auth.PurposePhoneChange: "4912345"}},
		{"the same address", account(), true, flow.Update{Email: ptr("A@x.org")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, post := messages(t)
			b.config.BothAddresses = c.both
			b.has(c.user)
			b.knows(c.user)
			got := b.issues()
			u, err := b.accounts().Update(t.Context(), caller(), c.in)
			if err != nil {
				t.Fatal(err)
			}
			if u.Email != c.user.Email || b.store.patches[0].Email != nil || b.store.patches[0].Phone != nil {
				t.Errorf("the address changed at once: %+v", b.store.patches[0])
			}
			if len(post.notices) != len(c.want) {
				t.Fatalf("%d notices, want %d", len(post.notices), len(c.want))
			}
			for _, n := range post.notices {
				if c.want[n.Purpose] != n.To {
					t.Errorf("%s to %q, want %q", n.Purpose, n.To, c.want[n.Purpose])
				}
			}
			if c.want != nil && (*got)[0].RequireSession != caller().SessionID {
				t.Error("a session that has just ended could still start the change")
			}
		})
	}
}

func TestAddressRefused(t *testing.T) {
	t.Parallel()
	other := account()
	other.ID, other.Email, other.Phone = auth.ID{8}, "taken@x.org", "4999999"
	explicit := func(c *flow.Config) { c.ExplicitAnswers = true }
	for _, c := range []struct {
		name string
		set  func(*flow.Config)
		in   flow.Update
		race error
		want auth.Code
	}{
		{"taken", explicit, flow.Update{Email: ptr("taken@x.org")}, nil, auth.CodeEmailExists},
		{"taken number", explicit, flow.Update{Phone: ptr("4999999")}, nil, auth.CodePhoneExists},
		{"taken meanwhile", nil, flow.Update{Email: ptr("new@x.org")}, auth.ErrEmailTaken, auth.CodeEmailExists},
		{"number taken meanwhile", nil, flow.Update{Phone: ptr("4912345")}, auth.ErrPhoneTaken, auth.CodePhoneExists},
		{"session over meanwhile", nil, flow.Update{Email: ptr("new@x.org")}, auth.ErrNotFound, auth.CodeSessionNotFound},
		{"both at once", nil, flow.Update{Email: ptr("new@x.org"), Phone: ptr("4912345")}, nil, auth.CodeValidation},
		{"no mail", func(c *flow.Config) { c.Mail = false }, flow.Update{Email: ptr("new@x.org")}, nil, auth.CodeNoMailer},
		{"header injection", nil, flow.Update{Email: ptr("new@x.org\nBcc: all@x.org")}, nil, auth.CodeValidation},
		{"odd challenge", nil, flow.Update{Email: ptr("new@x.org"), PKCE: flow.PKCE{Challenge: "x"}}, nil, auth.CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := messages(t)
			if c.set != nil {
				c.set(&b.config)
			}
			b.has(account())
			b.knows(other)
			b.store.issue = func(auth.IssueOneTime) error { return c.race }
			_, err := b.accounts().Update(t.Context(), caller(), c.in)
			wantCode(t, err, c.want)
		})
	}
}

// TestTakenAddressWaits: where answers are neutral, an address that somebody else has waits
// like any other, its owner hears of it, and nobody gets its code (X28).
func TestTakenAddressWaits(t *testing.T) {
	t.Parallel()
	other := account()
	other.ID, other.Email, other.Phone = auth.ID{8}, "taken@x.org", "4999999"
	for _, c := range []struct {
		name  string
		in    flow.Update
		kinds []string // of the notices
	}{
		{"e-mail", flow.Update{Email: ptr("Taken@x.org")}, []string{"email_change", "account_exists"}}, // the first goes to the present mailbox, as always
		{"number", flow.Update{Phone: ptr("+49 99999")}, []string{"account_exists"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, post := messages(t)
			b.has(account())
			b.knows(other)
			got := b.issues()
			u, err := b.accounts().Update(t.Context(), caller(), c.in)
			if err != nil || u.EmailChange+u.PhoneChange == "" || len(*got) != 1 || !(*got)[0].AllowTaken {
				t.Fatalf("%+v, %v, %+v", u, err, *got)
			}
			var kinds []string
			for _, n := range post.notices {
				kinds = append(kinds, n.Kind)
				if (n.Kind == "account_exists") != (n.To == other.Email) || n.To == other.Email && n.Code+n.Link != "" {
					t.Errorf("%s to %s with %q", n.Kind, n.To, n.Code+n.Link)
				}
			}
			if !slices.Equal(kinds, c.kinds) {
				t.Errorf("notices %v, want %v", kinds, c.kinds)
			}
		})
	}
}

// TestSignUpToProve: an account that waits, its message, and what a second sign-up does.
func TestSignUpToProve(t *testing.T) {
	t.Parallel()
	t.Run("new", func(t *testing.T) {
		t.Parallel()
		b, post := messages(t)
		b.knows(account())
		b.store.create = func(auth.NewAccount) error { return nil }
		res, err := b.accounts().SignUp(t.Context(), flow.SignUp{Email: "new@x.org", Password: "long enough", RedirectTo: "https://app.example/in"})
		if err != nil || res.Session != nil || res.User.ConfirmationSentAt.IsZero() {
			t.Fatalf("%+v, %v", res, err)
		}
		if a := b.store.created[0]; a.Tokens[0].Purpose != auth.PurposeSignup || a.Session != nil || post.notices[0].RedirectTo != "https://app.example/in" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("number", func(t *testing.T) {
		t.Parallel()
		b, post := messages(t)
		b.knows(account())
		b.store.create = func(auth.NewAccount) error { return nil }
		if _, err := b.accounts().SignUp(t.Context(), flow.SignUp{Phone: "+4912345", Password: "long enough", Channel: "whatsapp"}); err != nil {
			t.Fatal(err)
		}
		if n := post.notices[0]; n.Channel != "whatsapp" || n.To != "4912345" || n.Link != "" {
			t.Errorf("%+v", n)
		}
	})
	unproved := account()
	unproved.EmailConfirmedAt = time.Time{}
	for _, c := range []struct {
		name     string
		stored   auth.User
		password string
		purpose  auth.Purpose // of what is issued; "" for nothing
		kind     string
	}{
		{"the same person again", unproved, "old password", auth.PurposeSignup, "confirmation"},
		// Whoever proves the address must not find somebody else's password on the account.
		{"somebody else, before the proof", unproved, "other password", auth.PurposeClaim, "confirmation"},
		{"somebody else's account", account(), "other password", "", "account_exists"}, // X28: the owner hears of it
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, post := messages(t)
			b.knows(c.stored)
			got := b.issues()
			res, err := b.accounts().SignUp(t.Context(), flow.SignUp{Email: "a@x.org", Password: c.password})
			if err != nil || res.Session != nil || res.User.ID == c.stored.ID || len(post.notices) != 1 || post.notices[0].Kind != c.kind {
				t.Fatalf("%+v, %v, %+v", res, err, post.notices)
			}
			var purpose auth.Purpose
			write := "Enqueue"
			if len(*got) > 0 {
				purpose, write = (*got)[0].Tokens[0].Purpose, "IssueOneTime"
			}
			if purpose != c.purpose {
				t.Errorf("issued %q, want %q", purpose, c.purpose)
			}
			b.steps(t, "UserByEmail", "verify", write) // as much as a new account: a look, a hash, a write
		})
	}
	t.Run("lost race", func(t *testing.T) {
		t.Parallel()
		b, _ := messages(t)
		b.knows(account())
		b.store.create = func(auth.NewAccount) error { return auth.ErrEmailTaken }
		if res, err := b.accounts().SignUp(t.Context(), flow.SignUp{Email: "new@x.org", Password: "long enough"}); err != nil || res.Session != nil {
			t.Errorf("%+v, %v", res, err)
		}
		b.steps(t, "UserByEmail", "hash", "CreateAccount")
	})
}

// TestHooksOfNewAccounts: a hook may refuse, and hears of what was made; taken addresses
// don't show in whether it is asked.
func TestHooksOfNewAccounts(t *testing.T) {
	t.Parallel()
	b, _ := messages(t)
	h := &hooks{}
	b.config.Hooks = h
	b.knows(account())
	b.store.create = func(auth.NewAccount) error { return nil }
	a := b.accounts()
	if _, err := a.SignUp(t.Context(), flow.SignUp{Email: "new@x.org", Password: "long enough"}); err != nil {
		t.Fatal(err)
	}
	if got := b.store.created[0].Messages; len(got) != 2 || got[1].Channel != "hook" {
		t.Errorf("messages %+v", got)
	}
	h.refuse = auth.E(auth.CodeHookRefused, "not you")
	for _, try := range []func() error{
		func() error {
			_, err := a.SignUp(t.Context(), flow.SignUp{Email: "b@x.org", Password: "long enough"})
			return err
		},
		func() error { _, err := a.SignUp(t.Context(), flow.SignUp{}); return err },
		func() error {
			_, err := b.admin().Create(t.Context(), flow.NewUser{Email: "b@x.org"}, auth.Meta{})
			return err
		},
	} {
		wantCode(t, try(), auth.CodeHookRefused)
	}
	if len(b.store.created) != 1 || len(h.asked) != 4 {
		t.Errorf("%d accounts, asked %v", len(b.store.created), h.asked)
	}
}
