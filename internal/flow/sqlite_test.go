package flow_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
	"github.com/google/go-cmp/cmp"
)

// signIn adds to fakeHasher what grant needs.
type signIn struct{ *fakeHasher }

func (h signIn) VerifyNone(context.Context, string) error { return h.err }

// tokens makes and reads refresh tokens that are nothing but session and number.
type tokens struct{}

func (tokens) Issue(_ context.Context, _ *auth.User, s *auth.Session) (auth.Tokens, error) {
	return auth.Tokens{AccessToken: "signed", RefreshToken: s.ID.String() + strings.Repeat("+", int(s.Counter))}, nil
}

func (tokens) ParseRefresh(token string) (auth.ID, int64, error) {
	id, err := auth.ParseID(token[:36])
	return id, int64(len(token) - 36), err
}

// whole is the use cases and the pipeline on one real database.
type whole struct {
	accounts *flow.Accounts
	admin    *flow.Admin
	pipeline *grant.Pipeline
}

func onSQLite(t *testing.T) whole {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := setup(t)
	b.config.Store, b.config.Issuer = db, tokens{}
	p := &grant.Password{Store: db, Hasher: signIn{b.hasher}, EmailEnabled: true, PhoneEnabled: true}
	return whole{b.accounts(), b.admin(), grant.New(grant.Config{
		Store: db, Issuer: tokens{}, Audience: "authenticated", Grace: 10 * time.Second,
		Grants: map[string]grant.Grant{"password": p, "refresh_token": grant.Refresh{Tokens: tokens{}}},
		Now:    now, Rand: b.config.Rand,
	})}
}

func (w whole) password(t *testing.T, email, password string) (auth.SignedIn, error) {
	t.Helper()
	return w.pipeline.Exchange(t.Context(), grant.Request{Grant: "password", Email: email, Password: password})
}

func (w whole) refresh(t *testing.T, token string) (auth.SignedIn, error) {
	t.Helper()
	return w.pipeline.Exchange(t.Context(), grant.Request{Grant: "refresh_token", RefreshToken: token})
}

func of(s auth.SignedIn) auth.Caller {
	return auth.Caller{UserID: s.User.ID, SessionID: s.Session.ID, AAL: s.Session.AAL, FirstParty: true}
}

// TestOneAccountOfAllSpellings is A1.1, with every spelling at once.
func TestOneAccountOfAllSpellings(t *testing.T) {
	t.Parallel()
	w := onSQLite(t)
	spellings := []string{"A@x.org", "a@X.org", " a@x.org ", "A@X.ORG"}
	var wg sync.WaitGroup
	codes := make([]auth.Code, 16)
	for i := range codes {
		wg.Go(func() {
			_, err := w.accounts.SignUp(t.Context(), flow.SignUp{Email: spellings[i%4], Password: "long enough"})
			if err != nil {
				codes[i] = auth.CodeOf(err)
			}
		})
	}
	wg.Wait()
	count := map[auth.Code]int{}
	for _, c := range codes {
		count[c]++
	}
	if diff := cmp.Diff(map[auth.Code]int{"": 1, auth.CodeUserAlreadyExists: 15}, count); diff != "" {
		t.Error(diff)
	}
	for _, s := range spellings {
		if _, err := w.password(t, s, "long enough"); err != nil {
			t.Errorf("sign-in as %q: %v", s, err)
		}
	}
	if page, err := w.admin.List(t.Context(), auth.UserQuery{SortBy: "created_at", Page: 1, PerPage: 10}); err != nil || page.Total != 1 {
		t.Errorf("%d accounts, %v", page.Total, err)
	}
}

// TestLifeOfAnAccount goes through sign-up, refresh, change, ban and soft deletion.
func TestLifeOfAnAccount(t *testing.T) {
	t.Parallel()
	w := onSQLite(t)
	up, err := w.accounts.SignUp(t.Context(), flow.SignUp{Email: "a@x.org", Password: "old password", Data: members("n", `1`)})
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.password(t, "a@x.org", "old password")
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.refresh(t, up.Session.Tokens.RefreshToken)
	if err != nil || !first.Refreshed || first.Session.Counter != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	changed, err := w.accounts.Update(t.Context(), of(first), flow.Update{
		Password: ptr("new password"), Email: ptr("b@x.org"), Phone: ptr("49301"), Data: members("n", `null`, "m", `2`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if meta := object(t, changed.UserMetadata); meta["n"] != nil || meta["m"] != 2.0 || meta["email"] != "b@x.org" || meta["phone_verified"] != true {
		t.Errorf("user_metadata %v", meta)
	}
	if diff := cmp.Diff(map[string]any{"provider": "email", "providers": []any{"email", "phone"}}, object(t, changed.AppMetadata)); diff != "" {
		t.Errorf("app_metadata:\n%s", diff)
	}
	// The new password has ended the other session, which now can't take the account back.
	_, err = w.refresh(t, second.Tokens.RefreshToken)
	wantCode(t, err, auth.CodeRefreshNotFound)
	_, err = w.accounts.Update(t.Context(), of(second), flow.Update{Password: ptr("stolen password")})
	wantCode(t, err, auth.CodeSessionNotFound)
	_, err = w.password(t, "b@x.org", "old password")
	wantCode(t, err, auth.CodeInvalidCredentials)
	if first, err = w.refresh(t, first.Tokens.RefreshToken); err != nil {
		t.Fatal(err)
	}

	if _, err := w.admin.Update(t.Context(), changed.ID, flow.UserChange{BanFor: ptr(time.Hour)}, operator()); err != nil {
		t.Fatal(err)
	}
	_, err = w.password(t, "b@x.org", "new password")
	wantCode(t, err, auth.CodeUserBanned)
	_, err = w.password(t, "b@x.org", "wrong")
	wantCode(t, err, auth.CodeInvalidCredentials)
	_, err = w.refresh(t, first.Tokens.RefreshToken)
	wantCode(t, err, auth.CodeUserBanned)
	_, err = w.accounts.User(t.Context(), of(first))
	wantCode(t, err, auth.CodeTokenUserBanned)

	if err := w.admin.Delete(t.Context(), changed.ID, true, operator()); err != nil {
		t.Fatal(err)
	}
	_, err = w.password(t, "b@x.org", "new password")
	wantCode(t, err, auth.CodeInvalidCredentials)
	_, err = w.accounts.User(t.Context(), of(first))
	wantCode(t, err, auth.CodeTokenUserNotFound)
	again, err := w.accounts.SignUp(t.Context(), flow.SignUp{Email: "b@x.org", Password: "long enough"})
	if err != nil || again.User.ID == changed.ID {
		t.Errorf("the address is not free again: %v", err)
	}
}

// TestParallelRefreshes is A7.1: one token, sixteen clients, one live session.
func TestParallelRefreshes(t *testing.T) {
	t.Parallel()
	w := onSQLite(t)
	up, err := w.accounts.SignUp(t.Context(), flow.SignUp{Email: "a@x.org", Password: "long enough"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	got := make([]auth.SignedIn, 16)
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = w.refresh(t, up.Session.Tokens.RefreshToken); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	live, replayed := map[string]bool{}, 0
	for _, g := range got {
		live[g.Tokens.RefreshToken] = true
		if g.Replayed {
			replayed++
		}
	}
	if len(live) != 1 || replayed != 15 {
		t.Errorf("%d tokens, %d replays, want 1 and 15", len(live), replayed)
	}
}
