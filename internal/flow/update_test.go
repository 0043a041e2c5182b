package flow_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/ratelimit"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// change runs one update and gives the patch that was stored.
func change(t *testing.T, b *bench, in flow.Update) auth.UserPatch {
	t.Helper()
	if _, err := b.accounts().Update(t.Context(), caller(), in); err != nil {
		t.Fatal(err)
	}
	if len(b.store.patches) != 1 {
		t.Fatalf("%d changes stored", len(b.store.patches))
	}
	return b.store.patches[0]
}

func TestUpdatePassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.has(account())
	got := change(t, b, flow.Update{Password: ptr("new password")})
	b.steps(t, "UserWithSession", "verify", "hash", "UpdateUser")
	want := auth.UserPatch{
		At: at(), PasswordHash: ptr("hash:new password"),
		// Whoever else is signed in has to prove the new password; the caller stays.
		Revoke: auth.RevokeOthers, RevokeWith: auth.ID{2}, RequireSession: auth.ID{2},
		Audit: []auth.AuditEntry{{
			At: at(), Action: "user_updated_password", LogType: "user", ActorID: auth.ID{1}, ActorUsername: "a@x.org", IP: "192.0.2.1",
		}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(auth.AuditEntry{}, "ID")); diff != "" || got.Audit[0].ID.IsZero() {
		t.Error(diff)
	}
}

func TestUpdateData(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.has(account())
	got := change(t, b, flow.Update{Data: members("b", `{"c":1}`, "z", ` null `, "a", `null`)})
	b.steps(t, "UserWithSession", "UpdateUser")
	want := auth.UserPatch{
		At: at(), UserMetadata: auth.MetadataPatch{Set: members("b", `{"c":1}`), Delete: []string{"a", "z"}}, RequireSession: auth.ID{2},
		Audit: []auth.AuditEntry{{
			At: at(), Action: "user_modified", LogType: "user", ActorID: auth.ID{1}, ActorUsername: "a@x.org", IP: "192.0.2.1",
		}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(auth.AuditEntry{}, "ID")); diff != "" {
		t.Error(diff)
	}
}

// TestUpdateRefused: nothing is stored and, but where a password has to be compared,
// nothing is hashed.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	password := flow.Update{Password: ptr("new password")}
	email, phone := flow.Update{Email: ptr("b@x.org")}, flow.Update{Phone: ptr("49302")}
	second := func(u *auth.User) { u.Factors = []auth.Factor{{Status: auth.FactorVerified}} }
	sso := func(u *auth.User) { u.IsSSO = true }
	anonymous := func(u *auth.User) { *u = auth.User{ID: u.ID, IsAnonymous: true} }
	for _, c := range []struct {
		name   string
		user   func(*auth.User)
		caller func(*auth.Caller)
		config func(*flow.Config)
		in     flow.Update
		want   auth.Code
		steps  []string
	}{
		{"OAuth client's token, password", nil, func(c *auth.Caller) { c.FirstParty = false }, nil, password, auth.CodeNotFirstParty, nil},
		{"OAuth client's token, data", nil, func(c *auth.Caller) { c.FirstParty = false }, nil, flow.Update{Data: members("a", `1`)}, auth.CodeNotFirstParty, nil},
		{"session has ended", nil, func(c *auth.Caller) { c.SessionID = auth.ID{9} }, nil, password, auth.CodeSessionNotFound, []string{"UserWithSession"}},
		{"account is gone", nil, func(c *auth.Caller) { c.UserID = auth.ID{9} }, nil, password, auth.CodeTokenUserNotFound, []string{"UserWithSession"}},
		{"banned", func(u *auth.User) { u.BannedUntil = at().Add(1) }, nil, nil, password, auth.CodeTokenUserBanned, []string{"UserWithSession"}},
		{"app_metadata", nil, nil, nil, flow.Update{AppMetadata: true, Data: members("a", `1`)}, auth.CodeNotAdmin, []string{"UserWithSession"}},
		{"second factor, password", second, nil, nil, password, auth.CodeInsufficientAAL, []string{"UserWithSession"}},
		{"second factor, e-mail", second, nil, nil, email, auth.CodeInsufficientAAL, []string{"UserWithSession"}},
		{"second factor, phone", second, nil, nil, phone, auth.CodeInsufficientAAL, []string{"UserWithSession"}},
		{"second factor, level unknown", second, func(c *auth.Caller) { c.AAL = "" }, nil, password, auth.CodeInsufficientAAL, []string{"UserWithSession"}},
		{"SSO, password", sso, nil, nil, password, auth.CodeSSOManaged, []string{"UserWithSession"}},
		{"SSO, e-mail", sso, nil, nil, email, auth.CodeSSOManaged, []string{"UserWithSession"}},
		{"SSO, phone", sso, nil, nil, phone, auth.CodeSSOManaged, []string{"UserWithSession"}},
		{"anonymous without an address", anonymous, nil, nil, password, auth.CodeNeedsAddress, []string{"UserWithSession"}},
		{"weak", nil, nil, nil, flow.Update{Password: ptr("short")}, auth.CodeWeakPassword, []string{"UserWithSession"}},
		{"empty password", nil, nil, nil, flow.Update{Password: ptr("")}, auth.CodeWeakPassword, []string{"UserWithSession"}},
		{"same password", nil, nil, nil, flow.Update{Password: ptr("old password")}, auth.CodeSamePassword, []string{"UserWithSession", "verify"}},
		{"bad address", nil, nil, nil, flow.Update{Email: ptr("b@x.org\r\nBcc: c@x.org")}, auth.CodeValidation, []string{"UserWithSession"}},
		{"empty address", nil, nil, nil, flow.Update{Email: ptr("")}, auth.CodeValidation, []string{"UserWithSession"}},
		{"bad number", nil, nil, nil, flow.Update{Phone: ptr("0301")}, auth.CodeValidation, []string{"UserWithSession"}},
		{"NUL in the data", nil, nil, nil, flow.Update{Data: members("a", `"\u0000"`)}, auth.CodeValidation, []string{"UserWithSession"}},
		{"e-mail has to be proved", nil, nil, func(c *flow.Config) { c.EmailAutoconfirm = false }, email, auth.CodeNoMailer, []string{"UserWithSession"}},
		{"phone has to be proved", nil, nil, func(c *flow.Config) { c.PhoneAutoconfirm = false }, phone, auth.CodeNoMailer, []string{"UserWithSession"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			u, who := account(), caller()
			if c.user != nil {
				c.user(&u)
			}
			if c.caller != nil {
				c.caller(&who)
			}
			if c.config != nil {
				c.config(&b.config)
			}
			b.has(u)
			b.store.update = nil // must not be called
			got, err := b.accounts().Update(t.Context(), who, c.in)
			wantCode(t, err, c.want)
			b.steps(t, c.steps...)
			if diff := cmp.Diff(auth.User{}, got); diff != "" {
				t.Errorf("something came out:\n%s", diff)
			}
		})
	}
}

func TestUpdateAllowed(t *testing.T) {
	t.Parallel()
	second := func(u *auth.User) { u.Factors = []auth.Factor{{Status: auth.FactorVerified}} }
	for _, c := range []struct {
		name string
		user func(*auth.User)
		aal  string
		in   flow.Update
	}{
		{"second factor was proved", second, auth.AAL2, flow.Update{Password: ptr("new password")}},
		{"data needs no second factor", second, auth.AAL1, flow.Update{Data: members("a", `1`)}},
		{"a factor that was never verified does not count", func(u *auth.User) {
			u.Factors = []auth.Factor{{Status: auth.FactorUnverified}}
		}, auth.AAL1, flow.Update{Password: ptr("new password")}},
		{"SSO may change its data", func(u *auth.User) { u.IsSSO = true }, auth.AAL1, flow.Update{Data: members("a", `1`)}},
		{"first password", func(u *auth.User) { u.PasswordHash = "" }, auth.AAL1, flow.Update{Password: ptr("new password")}},
		{"own address again", nil, auth.AAL1, flow.Update{Email: ptr("A@X.org")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			u, who := account(), caller()
			if c.user != nil {
				c.user(&u)
			}
			who.AAL = c.aal
			b.has(u)
			if _, err := b.accounts().Update(t.Context(), who, c.in); err != nil {
				t.Error(err)
			}
			if p := b.store.patches[0]; p.RequireSession != who.SessionID || p.Email != nil || p.EmailConfirmedAt != nil {
				t.Errorf("stored %+v", p)
			}
		})
	}
}

func TestUpdateAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.has(account())
	got := change(t, b, flow.Update{Email: ptr("B@x.org"), Data: members("email", `"c@x.org"`, "email_verified", `null`)})
	id := auth.ID{1}.String()
	want := auth.UserPatch{
		At: at(), Email: ptr("b@x.org"), EmailConfirmedAt: ptr(at()), RequireSession: auth.ID{2},
		Identities: []auth.Identity{{
			UserID: auth.ID{1}, Provider: "email", ProviderID: id, Email: "b@x.org", CreatedAt: at(), UpdatedAt: at(),
			Data: json.RawMessage(`{"email":"b@x.org","email_verified":false,"phone_verified":false,"sub":"` + id + `"}`),
		}},
		// What the person claims about proofs does not count.
		UserMetadata: auth.MetadataPatch{Set: members("email", `"b@x.org"`, "email_verified", `true`, "sub", `"`+id+`"`)},
	}
	opts := cmp.Options{ignoreIDs(), cmpopts.IgnoreFields(auth.UserPatch{}, "Audit"), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Error(diff)
	}
}

// TestAnonymousBecomesPermanent: an address, and with it a password, in one request.
func TestAnonymousBecomesPermanent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.has(auth.User{ID: auth.ID{1}, IsAnonymous: true})
	got := change(t, b, flow.Update{Email: ptr("a@x.org"), Phone: ptr("+49 301"), Password: ptr("new password")})
	b.steps(t, "UserWithSession", "hash", "UpdateUser")
	if got.IsAnonymous == nil || *got.IsAnonymous || *got.Email != "a@x.org" || *got.Phone != "49301" || *got.PasswordHash != "hash:new password" {
		t.Errorf("stored %+v", got)
	}
	want := members("provider", `"email"`, "providers", `["email","phone"]`)
	if diff := cmp.Diff(want, got.AppMetadata.Set); diff != "" {
		t.Errorf("app_metadata:\n%s", diff)
	}
	if len(got.Identities) != 2 {
		t.Errorf("identities %+v", got.Identities)
	}
}

// TestProvidersHaveNoDoubles: an account with an e-mail identity gets a new address and a
// number at once.
func TestProvidersHaveNoDoubles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u := account()
	u.Identities = append([]auth.Identity{{Provider: "google"}, {Provider: "google"}}, u.Identities...)
	b.has(u)
	got := change(t, b, flow.Update{Email: ptr("b@x.org"), Phone: ptr("49301")})
	want := members("provider", `"google"`, "providers", `["google","email","phone"]`)
	if diff := cmp.Diff(want, got.AppMetadata.Set); diff != "" {
		t.Errorf("app_metadata:\n%s", diff)
	}
}

func TestUpdateStoreAnswers(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		err  error
		want auth.Code
	}{
		{"e-mail taken", auth.ErrEmailTaken, auth.CodeEmailExists},
		{"phone taken", auth.ErrPhoneTaken, auth.CodePhoneExists},
		{"session revoked meanwhile", auth.ErrNotFound, auth.CodeSessionNotFound},
		{"database", boom, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.has(account())
			b.store.update = func(auth.ID, auth.UserPatch) (auth.User, error) { return auth.User{}, c.err }
			_, err := b.accounts().Update(t.Context(), caller(), flow.Update{Email: ptr("b@x.org")})
			wantCode(t, err, c.want)
			if c.want == auth.CodeInternal && !errors.Is(err, boom) {
				t.Errorf("%v has lost its cause", err)
			}
		})
	}
}

// TestUpdatePasswordLimit: each change costs two hashes, so an account has a budget.
func TestUpdatePasswordLimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.has(account())
	b.config.Limiter = ratelimit.NewMemory(0, now)
	b.config.UpdatePerUser = ratelimit.Limit{Count: 2, Period: time.Hour}
	a := b.accounts()
	for range 2 {
		_, err := a.Update(t.Context(), caller(), flow.Update{Password: ptr("old password")})
		wantCode(t, err, auth.CodeSamePassword)
	}
	_, err := a.Update(t.Context(), caller(), flow.Update{Password: ptr("new password")})
	wantCode(t, err, auth.CodeRateLimited)
	b.steps(t, "UserWithSession", "verify", "UserWithSession", "verify", "UserWithSession")
	if _, err := a.Update(t.Context(), caller(), flow.Update{Data: members("a", `1`)}); err != nil {
		t.Errorf("data has no such limit: %v", err)
	}
}
