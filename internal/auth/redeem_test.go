package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// TestPlanPassword is S1.16: a recovery that brings the new password sets it and ends every
// session, also where everything else on the account falls because nobody had proved it.
func TestPlanPassword(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for _, c := range []struct {
		name     string
		confirm  time.Time
		banned   time.Time
		address  string
		hash     string
		outcome  auth.RedeemOutcome
		password string // "-": left as it is
	}{
		{"proved account", at.Add(-time.Hour), time.Time{}, "a@x.org", "new", auth.RedeemDone, "new"},
		{"unproved account", time.Time{}, time.Time{}, "a@x.org", "new", auth.RedeemDone, "new"},
		{"no password", at.Add(-time.Hour), time.Time{}, "a@x.org", "", auth.RedeemDone, "-"},
		{"banned", at.Add(-time.Hour), at.Add(time.Hour), "a@x.org", "new", auth.RedeemBanned, "-"},
		{"address has changed since", at.Add(-time.Hour), time.Time{}, "old@x.org", "new", auth.RedeemRefused, "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			told := 0
			r := auth.Redeem{At: at, PasswordHash: c.hash, TellPassword: func(*auth.User) ([]auth.Message, error) {
				told++
				return []auth.Message{{Kind: "password_changed"}}, nil
			}}
			f := auth.FoundToken{
				Token: auth.OneTime{ID: auth.ID{1}, Purpose: auth.PurposeRecovery, Address: c.address},
				User: auth.User{
					ID: auth.ID{2}, Email: "a@x.org", PasswordHash: "old", EmailConfirmedAt: c.confirm, BannedUntil: c.banned,
					Identities: []auth.Identity{{Provider: auth.ProviderEmail}},
				},
			}
			p, err := r.Plan(&f)
			if err != nil || p.Outcome != c.outcome || p.Session != nil {
				t.Fatalf("%+v, %v", p, err)
			}
			if c.password == "-" {
				if p.Patch.PasswordHash != nil || p.Patch.Revoke != auth.RevokeNone || told > 0 {
					t.Errorf("%+v", p.Patch)
				}
				return
			}
			if p.Patch.PasswordHash == nil || *p.Patch.PasswordHash != c.password || p.Patch.Revoke != auth.RevokeAll || told != 1 || len(p.Patch.Messages) != 1 {
				t.Errorf("%+v", p.Patch)
			}
		})
	}
	t.Run("notice fails", func(t *testing.T) {
		t.Parallel()
		boom := errors.New("boom")
		r := auth.Redeem{At: at, PasswordHash: "new", TellPassword: func(*auth.User) ([]auth.Message, error) { return nil, boom }}
		f := auth.FoundToken{Token: auth.OneTime{Purpose: auth.PurposeRecovery, Address: "a@x.org"}, User: auth.User{Email: "a@x.org", EmailConfirmedAt: at}}
		if _, err := r.Plan(&f); !errors.Is(err, boom) {
			t.Errorf("%v", err)
		}
	})
}
