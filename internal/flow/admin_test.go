package flow_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func operator() auth.Meta { return auth.Meta{IP: "192.0.2.9"} }

// byOperator is an audit entry for what an operator did to an account.
func byOperator(action, logType string, id auth.ID) auth.AuditEntry {
	return auth.AuditEntry{
		At: at(), Action: action, LogType: logType, ActorUsername: "service_role", IP: "192.0.2.9",
		Traits: map[string]any{"user_id": id.String()},
	}
}

func TestAdminCreate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.create = func(auth.NewAccount) error { return nil }
	id := auth.ID{5}
	got, err := b.admin().Create(t.Context(), flow.NewUser{
		ID: id, Email: "A@X.org", Phone: "+49 301", Password: "long enough", EmailConfirm: true, BanFor: time.Hour,
		UserMetadata: members("name", `"Ann"`, "gone", `null`),
		AppMetadata:  members("plan", `1`, "provider", `"forged"`, "providers", `["forged"]`),
	}, operator())
	if err != nil {
		t.Fatal(err)
	}
	b.steps(t, "hash", "CreateAccount")
	text := id.String()
	identity := func(provider, email, data string) auth.Identity {
		return auth.Identity{
			UserID: id, Provider: provider, ProviderID: text, Email: email, LastSignInAt: at(), CreatedAt: at(), UpdatedAt: at(),
			Data: json.RawMessage(strings.ReplaceAll(data, "ID", text)),
		}
	}
	identities := []auth.Identity{
		identity("email", "a@x.org", `{"email":"a@x.org","email_verified":false,"phone_verified":false,"sub":"ID"}`),
		identity("phone", "", `{"email_verified":false,"phone":"49301","phone_verified":false,"sub":"ID"}`),
	}
	want := auth.NewAccount{
		User: auth.User{
			ID: id, Aud: "authenticated", Role: "authenticated", Email: "a@x.org", Phone: "49301", PasswordHash: "hash:long enough",
			EmailConfirmedAt: at(), BannedUntil: at().Add(time.Hour), CreatedAt: at(), UpdatedAt: at(),
			UserMetadata: json.RawMessage(`{"name":"Ann"}`),
			AppMetadata:  json.RawMessage(`{"plan":1,"provider":"email","providers":["email","phone"]}`),
			Identities:   identities,
		},
		Audit: []auth.AuditEntry{byOperator("user_signedup", "team", id)},
	}
	if diff := cmp.Diff(want, b.store.created[0], ignoreIDs()); diff != "" {
		t.Errorf("stored:\n%s", diff)
	}
	if diff := cmp.Diff(b.store.created[0].User, got); diff != "" {
		t.Errorf("answer is not what was stored:\n%s", diff)
	}
}

// TestAdminCreateIdentityEmail: the e-mail column of an identity is the "email" member of
// its own data, which the phone identity doesn't have.
func TestAdminCreateIdentityEmail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.create = func(auth.NewAccount) error { return nil }
	got, err := b.admin().Create(t.Context(), flow.NewUser{Email: "a@x.org", Phone: "49301"}, operator())
	if err != nil {
		t.Fatal(err)
	}
	if e, p := got.Identities[0].Email, got.Identities[1].Email; e != "a@x.org" || p != "" {
		t.Errorf("e-mail columns %q and %q", e, p)
	}
	if got.PasswordHash != "" || !got.ConfirmedAt().IsZero() || !got.BannedUntil.IsZero() || got.ID.IsZero() {
		t.Errorf("account %+v", got)
	}
}

func TestAdminCreateRefused(t *testing.T) {
	t.Parallel()
	ok := flow.NewUser{Email: "a@x.org"}
	for _, c := range []struct {
		name string
		bend func(*flow.NewUser)
		want auth.Code
	}{
		{"no address", func(u *flow.NewUser) { u.Email = "" }, auth.CodeValidation},
		{"bad e-mail", func(u *flow.NewUser) { u.Email = "a" }, auth.CodeValidation},
		{"bad phone", func(u *flow.NewUser) { u.Phone = "0301" }, auth.CodeValidation},
		{"password and hash", func(u *flow.NewUser) { u.Password, u.PasswordHash = "long enough", "$2a$10$x" }, auth.CodeValidation},
		{"hash of an unknown form", func(u *flow.NewUser) { u.PasswordHash = "plain text" }, auth.CodeValidation},
		{"weak password", func(u *flow.NewUser) { u.Password = "short" }, auth.CodeWeakPassword},
		{"role with a control character", func(u *flow.NewUser) { u.Role = "a\nb" }, auth.CodeValidation},
		{"role with a NUL", func(u *flow.NewUser) { u.Role = "a\x00" }, auth.CodeValidation},
		{"role of 64 bytes", func(u *flow.NewUser) { u.Role = strings.Repeat("r", 64) }, auth.CodeValidation},
		{"audience with a delete character", func(u *flow.NewUser) { u.Audience = "a\x7f" }, auth.CodeValidation},
		{"audience that is no UTF-8", func(u *flow.NewUser) { u.Audience = "\xff" }, auth.CodeValidation},
		{"NUL in user_metadata", func(u *flow.NewUser) { u.UserMetadata = members("a", `"\u0000"`) }, auth.CodeValidation},
		{"NUL in app_metadata", func(u *flow.NewUser) { u.AppMetadata = members("a\x00", `1`) }, auth.CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			in := ok
			c.bend(&in)
			_, err := b.admin().Create(t.Context(), in, operator())
			wantCode(t, err, c.want)
			b.steps(t)
		})
	}
	for _, c := range []struct {
		name string
		err  error
		want auth.Code
	}{
		{"e-mail taken", auth.ErrEmailTaken, auth.CodeEmailExists},
		{"phone taken", auth.ErrPhoneTaken, auth.CodePhoneExists},
		{"id taken", auth.ErrIDTaken, auth.CodeConflict},
		{"database", errors.New("boom"), auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.store.create = func(auth.NewAccount) error { return c.err }
			_, err := b.admin().Create(t.Context(), ok, operator())
			wantCode(t, err, c.want)
		})
	}
}

func TestAdminImportsAHash(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.create = func(auth.NewAccount) error { return nil }
	got, err := b.admin().Create(t.Context(), flow.NewUser{Phone: "49301", PasswordHash: "$2a$10$x", PhoneConfirm: true, EmailConfirm: true}, operator())
	if err != nil || got.PasswordHash != "$2a$10$x" || !got.PhoneConfirmedAt.Equal(at()) || !got.EmailConfirmedAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	b.steps(t, "CreateAccount")
}

func TestAdminUpdate(t *testing.T) {
	t.Parallel()
	id := auth.ID{1}
	old := account().EmailConfirmedAt
	emailIdentity := func(address string) []auth.Identity {
		return []auth.Identity{{
			UserID: id, Provider: "email", ProviderID: id.String(), Email: address, CreatedAt: at(), UpdatedAt: at(),
			Data: json.RawMessage(`{"email":"` + address + `","email_verified":false,"phone_verified":false,"sub":"` + id.String() + `"}`),
		}}
	}
	meta := func(verified string) auth.MetadataPatch {
		return auth.MetadataPatch{Set: members("email", `"b@x.org"`, "email_verified", verified, "sub", `"`+id.String()+`"`)}
	}
	unconfirmed := account()
	unconfirmed.EmailConfirmedAt = time.Time{}
	onlyPhone := auth.User{ID: id, Phone: "49301"}
	for _, c := range []struct {
		name string
		user auth.User
		in   flow.UserChange
		want auth.UserPatch
	}{
		{"nothing", account(), flow.UserChange{}, auth.UserPatch{}},
		{"role and audience", account(), flow.UserChange{Role: ptr("r"), Audience: ptr("a")}, auth.UserPatch{Role: ptr("r"), Aud: ptr("a")}},
		{"metadata", account(), flow.UserChange{UserMetadata: members("a", `1`), AppMetadata: members("b", `null`)}, auth.UserPatch{
			UserMetadata: auth.MetadataPatch{Set: members("a", `1`)}, AppMetadata: auth.MetadataPatch{Delete: []string{"b"}},
		}},
		{"password ends every session", account(), flow.UserChange{Password: ptr("new password")}, auth.UserPatch{
			PasswordHash: ptr("hash:new password"), Revoke: auth.RevokeAll,
		}},
		{"imported hash ends every session", account(), flow.UserChange{PasswordHash: ptr("$2b$x")}, auth.UserPatch{
			PasswordHash: ptr("$2b$x"), Revoke: auth.RevokeAll,
		}},
		{"empty password changes nothing", account(), flow.UserChange{Password: ptr("")}, auth.UserPatch{}},
		{"ban", account(), flow.UserChange{BanFor: ptr(time.Hour)}, auth.UserPatch{BannedUntil: ptr(at().Add(time.Hour))}},
		{"ban lifted", account(), flow.UserChange{BanFor: ptr(time.Duration(0))}, auth.UserPatch{BannedUntil: &time.Time{}}},
		{"negative ban is none", account(), flow.UserChange{BanFor: ptr(-time.Hour)}, auth.UserPatch{BannedUntil: &time.Time{}}},
		{"confirm", unconfirmed, flow.UserChange{EmailConfirm: ptr(true)}, auth.UserPatch{EmailConfirmedAt: ptr(at())}},
		{"confirm again keeps the time", account(), flow.UserChange{EmailConfirm: ptr(true)}, auth.UserPatch{EmailConfirmedAt: &old}},
		{"take the confirmation back", account(), flow.UserChange{EmailConfirm: ptr(false)}, auth.UserPatch{EmailConfirmedAt: &time.Time{}}},
		{"nothing there to confirm", onlyPhone, flow.UserChange{EmailConfirm: ptr(true)}, auth.UserPatch{}},
		{"no number there to confirm", account(), flow.UserChange{PhoneConfirm: ptr(true)}, auth.UserPatch{}},
		{"confirm the number", onlyPhone, flow.UserChange{PhoneConfirm: ptr(true)}, auth.UserPatch{PhoneConfirmedAt: ptr(at())}},
		{"same address in capitals", account(), flow.UserChange{Email: ptr("A@X.org")}, auth.UserPatch{}},
		{"empty address changes nothing", account(), flow.UserChange{Email: ptr(""), Phone: ptr("")}, auth.UserPatch{}},
		{"new address of a confirmed account", account(), flow.UserChange{Email: ptr("b@x.org")}, auth.UserPatch{
			Email: ptr("b@x.org"), EmailConfirmedAt: &old, Identities: emailIdentity("b@x.org"), UserMetadata: meta("true"),
		}},
		{"new address of an unconfirmed account", unconfirmed, flow.UserChange{Email: ptr("b@x.org")}, auth.UserPatch{
			Email: ptr("b@x.org"), EmailConfirmedAt: &time.Time{}, Identities: emailIdentity("b@x.org"), UserMetadata: meta("false"),
		}},
		{"new address, confirmed", unconfirmed, flow.UserChange{Email: ptr("b@x.org"), EmailConfirm: ptr(true)}, auth.UserPatch{
			Email: ptr("b@x.org"), EmailConfirmedAt: ptr(at()), Identities: emailIdentity("b@x.org"), UserMetadata: meta("true"),
		}},
		{"new address, to be proved", account(), flow.UserChange{Email: ptr("b@x.org"), EmailConfirm: ptr(false)}, auth.UserPatch{
			Email: ptr("b@x.org"), EmailConfirmedAt: &time.Time{}, Identities: emailIdentity("b@x.org"), UserMetadata: meta("false"),
		}},
		{"first address of an account with a number", onlyPhone, flow.UserChange{Email: ptr("b@x.org")}, auth.UserPatch{
			Email: ptr("b@x.org"), EmailConfirmedAt: &time.Time{}, Identities: emailIdentity("b@x.org"), UserMetadata: meta("false"),
			AppMetadata: auth.MetadataPatch{Set: members("provider", `"email"`, "providers", `["email"]`)},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.has(c.user)
			if _, err := b.admin().Update(t.Context(), id, c.in, operator()); err != nil {
				t.Fatal(err)
			}
			c.want.At = at()
			c.want.Audit = []auth.AuditEntry{byOperator("user_modified", "user", id)}
			if diff := cmp.Diff([]auth.UserPatch{c.want}, b.store.patches, ignoreIDs(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("stored:\n%s", diff)
			}
		})
	}
}

func TestAdminUpdateRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   flow.UserChange
		want auth.Code
	}{
		{"password and hash", flow.UserChange{Password: ptr("long enough"), PasswordHash: ptr("$2b$x")}, auth.CodeValidation},
		{"weak password", flow.UserChange{Password: ptr("short")}, auth.CodeWeakPassword},
		{"hash of an unknown form", flow.UserChange{PasswordHash: ptr("x")}, auth.CodeValidation},
		{"bad e-mail", flow.UserChange{Email: ptr("a")}, auth.CodeValidation},
		{"bad phone", flow.UserChange{Phone: ptr("+")}, auth.CodeValidation},
		{"empty role", flow.UserChange{Role: ptr("")}, auth.CodeValidation},
		{"empty audience", flow.UserChange{Audience: ptr("")}, auth.CodeValidation},
		{"NUL in user_metadata", flow.UserChange{UserMetadata: members("a", `"\u0000"`)}, auth.CodeValidation},
		{"NUL in app_metadata", flow.UserChange{AppMetadata: members("a", `"\u0000"`)}, auth.CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.has(account())
			b.store.update = nil // must not be called
			_, err := b.admin().Update(t.Context(), auth.ID{1}, c.in, operator())
			wantCode(t, err, c.want)
			b.steps(t, "UserByID")
		})
	}
	t.Run("gone meanwhile", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.has(account())
		b.store.update = func(auth.ID, auth.UserPatch) (auth.User, error) { return auth.User{}, auth.ErrNotFound }
		_, err := b.admin().Update(t.Context(), auth.ID{1}, flow.UserChange{}, operator())
		wantCode(t, err, auth.CodeUserNotFound)
	})
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.has(account())
		_, err := b.admin().Update(t.Context(), auth.ID{9}, flow.UserChange{}, operator())
		wantCode(t, err, auth.CodeUserNotFound)
	})
}
