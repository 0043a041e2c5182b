package admin_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

// connect runs a server behind HTTP and gives a client with an operator's key.
func connect(t *testing.T, settings ...string) (*admin.Client, *scripttest.Bench, string) {
	t.Helper()
	b := scripttest.Start(t, settings...)
	front := httptest.NewServer(checked(t, b.Server.Handler()))
	t.Cleanup(front.Close)
	key, err := b.Server.APIKeys().JWT(auth.RoleServiceRole)
	if err != nil {
		t.Fatal(err)
	}
	c, err := admin.New(admin.Config{URL: front.URL, Key: key, HTTP: front.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c, b, front.URL
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wants(t *testing.T, what string, err error, code string) {
	t.Helper()
	if admin.CodeOf(err) != code || code == "" && err != nil {
		t.Errorf("%s: %v, want %q", what, err, code)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	c, b, _ := connect(t, "CARDEA_ROLES=dermadetect")
	ctx := t.Context()
	user := must[admin.User](t)
	ada := user(c.Users.Create(ctx, admin.NewUser{
		Email: "Ada@Example.test", Password: "correct horse battery", EmailConfirm: true,
		UserMetadata: map[string]any{"big": json.Number("12345678901234567890")},
	}))
	if ada.Email != "ada@example.test" || !ada.EmailConfirmedAt.Equal(b.Clock.Now()) || !ada.Active || ada.Roles == nil ||
		string(ada.UserMetadata) != `{"big":12345678901234567890}` || len(ada.Identities) != 1 {
		t.Errorf("%+v", ada)
	}
	_, err := c.Users.Create(ctx, admin.NewUser{Email: "ada@example.test"})
	wants(t, "taken", err, admin.CodeEmailExists)
	_, err = c.Users.Create(ctx, admin.NewUser{Email: "b@example.test", Password: "short"})
	var refused *admin.Error
	if !errors.As(err, &refused) || refused.Code != admin.CodeWeakPassword || !slices.Equal(refused.Reasons, []string{"length"}) || refused.RequestID == "" {
		t.Errorf("weak: %+v", refused)
	}
	for _, name := range []string{"b", "c", "d"} {
		b.Clock.Add(time.Second)
		user(c.Users.Create(ctx, admin.NewUser{Email: name + "@example.test"}))
	}
	var seen []string
	for u, err := range c.Users.All(ctx, admin.UserQuery{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, u.Email[:1])
	}
	if d := cmp.Diff([]string{"a", "b", "c", "d"}, seen); d != "" {
		t.Error(d)
	}

	changed := user(c.Users.Change(ctx, ada.ID, admin.UserChange{Phone: new("+447900000099"), PhoneConfirm: new(true), AppMetadata: map[string]any{"ward": "3"}}))
	if changed.Phone != "447900000099" || changed.PhoneConfirmedAt.IsZero() || !strings.Contains(string(changed.AppMetadata), `"ward":"3"`) {
		t.Errorf("%+v", changed)
	}
	changed = user(c.Users.ChangeProfile(ctx, ada.ID, admin.ProfileChange{FullName: new("Ada L"), Flags: map[string]any{"seen": true}}))
	if changed.Profile.FullName != "Ada L" || string(changed.Profile.Flags) != `{"seen":true}` {
		t.Errorf("%+v", changed.Profile)
	}
	if got := user(c.Users.SetRoles(ctx, ada.ID, []string{"physician"}, "diploma seen")); !slices.Equal(got.Roles, []string{"physician"}) {
		t.Errorf("%v", got.Roles)
	}
	_, err = c.Users.SetRoles(ctx, ada.ID, []string{"king"}, "says so")
	wants(t, "no such role", err, admin.CodeValidation)
	_, err = c.Users.SetRoles(ctx, ada.ID, nil, " ")
	wants(t, "no reason", err, admin.CodeValidation)
	_, err = c.Users.DecideRole(ctx, ada.ID, "admin", true, "asked")
	wants(t, "nobody asked", err, admin.CodeConflict)
	if got := must[admin.UserPage](t)(c.Users.List(ctx, admin.UserQuery{Role: "physician"})); len(got.Users) != 1 || got.Next != "" {
		t.Errorf("%+v", got)
	}
	if got := user(c.Users.Ban(ctx, ada.ID, time.Hour, "abuse")); !got.BannedUntil.Equal(b.Clock.Now().Add(time.Hour)) {
		t.Errorf("%v", got.BannedUntil)
	}
	if got := user(c.Users.Unban(ctx, ada.ID, "a mistake")); !got.BannedUntil.IsZero() {
		t.Errorf("%v", got.BannedUntil)
	}
	if got := user(c.Users.SetActive(ctx, ada.ID, false, "leave")); got.Active {
		t.Error("still active")
	}
	wants(t, "no session", c.Users.EndSession(ctx, ada.ID, ada.ID, ""), admin.CodeSessionNotFound)
	wants(t, "end all", c.Users.EndSessions(ctx, ada.ID, ""), "")
	wants(t, "delete", c.Users.Delete(ctx, ada.ID, false, "asked for it"), "")
	_, err = c.Users.Get(ctx, ada.ID)
	wants(t, "gone", err, admin.CodeUserNotFound)
	_, err = c.Users.Memberships(ctx, ada.ID)
	wants(t, "gone", err, admin.CodeUserNotFound)
	_, err = c.Users.Get(ctx, "7")
	wants(t, "no id", err, admin.CodeNotFound)
}

func TestTenants(t *testing.T) {
	t.Parallel()
	c, b, _ := connect(t, "CARDEA_ROLES=clinic")
	c = c.Because("test")
	ctx := t.Context()
	user := must[admin.User](t)
	owner := user(c.Users.Create(ctx, admin.NewUser{Email: "owner@example.test"}))
	nurse := user(c.Users.Create(ctx, admin.NewUser{Email: "nurse@example.test"}))
	north := must[admin.Tenant](t)(c.Tenants.Create(ctx, admin.NewTenant{Slug: "north", Name: "North", OwnerID: owner.ID, Settings: map[string]any{"beds": 3}}))
	_, err := c.Tenants.Create(ctx, admin.NewTenant{Slug: "north", Name: "North"})
	wants(t, "slug", err, admin.CodeSlugExists)
	b.Clock.Add(time.Second)
	south := must[admin.Tenant](t)(c.Tenants.Create(ctx, admin.NewTenant{Slug: "south", Name: "South"}))
	var all []string
	for x, err := range c.Tenants.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x.Slug)
	}
	if d := cmp.Diff([]string{"north", "south"}, all); d != "" {
		t.Error(d)
	}
	got := must[admin.Tenant](t)(c.Tenants.Change(ctx, north.ID, admin.TenantChange{Name: new("North 2"), Settings: map[string]any{"beds": nil}}))
	if got.Name != "North 2" || string(got.Settings) != `{}` || !got.Active {
		t.Errorf("%+v", got)
	}
	if bySlug := must[admin.Tenant](t)(c.Tenants.Get(ctx, "north")); !cmp.Equal(bySlug, got) {
		t.Error(cmp.Diff(got, bySlug))
	}

	end := b.Clock.Now().Add(48 * time.Hour).Truncate(time.Second)
	m := must[admin.Membership](t)(c.Tenants.AddMember(ctx, north.ID, admin.NewMember{UserID: nurse.ID, Role: "nurse_practitioner"}))
	if m.State != admin.MemberInvited {
		t.Errorf("%+v", m)
	}
	m = must[admin.Membership](t)(c.Tenants.ChangeMember(ctx, north.ID, nurse.ID, admin.MemberChange{State: new(admin.MemberActive), EndsAt: &end}))
	if m.State != admin.MemberActive || !m.EndsAt.Equal(end) {
		t.Errorf("%+v", m)
	}
	m = must[admin.Membership](t)(c.Tenants.ChangeMember(ctx, north.ID, nurse.ID, admin.MemberChange{EndsAt: &time.Time{}}))
	if !m.EndsAt.IsZero() {
		t.Errorf("it still ends: %+v", m)
	}
	_, err = c.Tenants.AddMember(ctx, north.ID, admin.NewMember{UserID: nurse.ID, Role: "receptionist"})
	wants(t, "twice", err, admin.CodeMemberExists)
	n := 0
	for m, err := range c.Tenants.AllMembers(ctx, north.ID) {
		if err != nil || m.Email == "" {
			t.Errorf("%+v %v", m, err)
		}
		n++
	}
	if of := must[[]admin.Membership](t)(c.Users.Memberships(ctx, nurse.ID)); n != 2 || len(of) != 1 || of[0].Tenant == nil || of[0].Tenant.Slug != "north" {
		t.Errorf("%d members, %+v", n, of)
	}
	e := must[admin.Explanation](t)(c.Roles.Explain(ctx, nurse.ID, north.ID, "patient:read"))
	if !e.Allowed || len(e.Because) == 0 {
		t.Errorf("%+v", e)
	}
	if e = must[admin.Explanation](t)(c.Roles.Explain(ctx, nurse.ID, south.ID, "patient:read")); e.Allowed {
		t.Errorf("%+v", e)
	}

	care := must[admin.Relation](t)(c.Relations.Add(ctx, admin.NewRelation{Kind: admin.RelationCare, SubjectID: nurse.ID, ObjectID: owner.ID, TenantID: north.ID}))
	_, err = c.Relations.Add(ctx, admin.NewRelation{Kind: admin.RelationCare, SubjectID: nurse.ID, ObjectID: owner.ID, TenantID: north.ID})
	wants(t, "twice", err, admin.CodeRelationExists)
	if list := must[[]admin.Relation](t)(c.Relations.List(ctx, admin.RelationQuery{SubjectID: nurse.ID})); len(list) != 1 || list[0].ID != care.ID {
		t.Errorf("%+v", list)
	}
	b.Clock.Add(time.Second)
	wants(t, "end", c.Relations.End(ctx, care.ID), "")
	wants(t, "ended", c.Relations.End(ctx, care.ID), admin.CodeRelationNotFound)

	wants(t, "last owner", c.Tenants.RemoveMember(ctx, north.ID, owner.ID), admin.CodeLastOwner)
	wants(t, "remove", c.Tenants.RemoveMember(ctx, north.ID, nurse.ID), "")
	wants(t, "removed", c.Tenants.RemoveMember(ctx, north.ID, nurse.ID), admin.CodeMemberNotFound)
	wants(t, "delete", c.Tenants.Delete(ctx, north.ID, "closed"), "")
	_, err = c.Tenants.Get(ctx, "north")
	wants(t, "gone", err, admin.CodeTenantNotFound)
}

// A key ends while somebody uses it, and one that signs can't be taken away.
func TestKeys(t *testing.T) {
	t.Parallel()
	c, _, url := connect(t)
	ctx := t.Context()
	keys := must[[]admin.Key](t)(c.Keys.List(ctx))
	current := ""
	for _, k := range keys {
		if k.Use == "access" && k.Status == "current" {
			current = k.KID
		}
	}
	wants(t, "in use", c.Keys.Revoke(ctx, current, "leaked"), admin.CodeConflict)
	next := must[admin.Key](t)(c.Keys.Rotate(ctx, "access"))
	if len(keys) != 6 || next.KID == current || next.Status != "current" || next.ActivatedAt.IsZero() {
		t.Errorf("%d keys, %+v", len(keys), next)
	}
	wants(t, "previous", c.Keys.Revoke(ctx, current, "leaked"), "")
	wants(t, "unknown", c.Keys.Revoke(ctx, "unknown", "leaked"), admin.CodeNotFound)
	_, err := c.Keys.Rotate(ctx, "everything")
	wants(t, "use", err, admin.CodeValidation)

	made := must[admin.APIKey](t)(c.APIKeys.Create(ctx, "console", admin.KeySecret))
	if !strings.HasPrefix(made.Key, made.Prefix) || made.Prefix == "" {
		t.Errorf("%+v", made)
	}
	other := must[*admin.Client](t)(admin.New(admin.Config{URL: url, Key: made.Key, Attempts: 1}))
	list := must[[]admin.APIKey](t)(other.APIKeys.List(ctx))
	if len(list) != 1 || list[0].Key != "" || list[0].ID != made.ID {
		t.Errorf("%+v", list)
	}
	wants(t, "revoke", other.APIKeys.Revoke(ctx, made.ID, "leaked"), "")
	_, err = other.APIKeys.List(ctx)
	wants(t, "revoked", err, admin.CodeTokenInvalid)
	wants(t, "unknown", c.APIKeys.Revoke(ctx, "00000000-0000-7000-8000-000000000001", "x"), admin.CodeNotFound)
	_, err = c.APIKeys.Create(ctx, "x", "royal")
	wants(t, "kind", err, admin.CodeValidation)

	web := must[admin.APIKey](t)(c.APIKeys.Create(ctx, "web", admin.KeyPublishable))
	browser := must[*admin.Client](t)(admin.New(admin.Config{URL: url, Key: web.Key}))
	_, err = browser.Users.List(ctx, admin.UserQuery{})
	wants(t, "publishable key", err, admin.CodeNotAdmin)
}

// A catalogue with mistakes is refused with its lines, and the one in force stays.
func TestReload(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "roles.yaml")
	write := func(doc string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("permissions: {a:read: x}\nroles:\n  reader: {permissions: [a:read]}\n")
	c, _, _ := connect(t, "CARDEA_ROLES="+file)
	before := must[admin.Catalogue](t)(c.Roles.Catalogue(t.Context()))
	write("permissions: {a:read: x}\nroles:\n  reader: {permissions: [a:reed]}\n  reader: {}\n")
	_, err := c.Roles.Reload(t.Context())
	var refused *admin.Error
	if !errors.As(err, &refused) || refused.Code != admin.CodeValidation || len(refused.Reasons) < 2 || !strings.Contains(refused.Reasons[0], "roles.yaml:3: ") {
		t.Errorf("%+v", refused)
	}
	if now := must[admin.Catalogue](t)(c.Roles.Catalogue(t.Context())); !cmp.Equal(before, now) {
		t.Error(cmp.Diff(before, now))
	}
	write("permissions: {a:read: x}\nroles:\n  reader: {permissions: [a:read]}\n  writer: {}\n")
	if now := must[admin.Catalogue](t)(c.Roles.Reload(t.Context())); len(now.Roles) != len(before.Roles)+1 {
		t.Errorf("%+v", now)
	}
}

func TestDeadMessages(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dead.db")
	c, _, _ := connect(t, "DATABASE_URL=sqlite://"+file)
	db := must[*sql.DB](t)(sql.Open("sqlite", file))
	defer db.Close()
	const id = "01a1feca-0000-7000-8000-000000000001"
	if _, err := db.ExecContext(t.Context(), `INSERT INTO outbox (id, channel, kind, sealed, created_at, not_before, attempts, last_error, dead_at)
		VALUES (?, 'email', 'recovery', x'736563726574', 1, 1, 7, 'mailbox is full', 2)`, id); err != nil {
		t.Fatal(err)
	}
	list := must[[]admin.DeadMessage](t)(c.Messages.Dead(t.Context(), 0))
	if len(list) != 1 || list[0].ID != id || list[0].Attempts != 7 || list[0].LastError != "mailbox is full" || list[0].DeadAt.IsZero() {
		t.Errorf("%+v", list)
	}
	wants(t, "retry", c.Messages.Retry(t.Context(), id), "")
	wants(t, "again", c.Messages.Retry(t.Context(), id), admin.CodeNotFound)
	if list := must[[]admin.DeadMessage](t)(c.Messages.Dead(t.Context(), 10)); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// A server whose database has gone is an error that says so, and no wait without an end.
func TestOutage(t *testing.T) {
	t.Parallel()
	c, b, _ := connect(t)
	if err := b.Server.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := c.Users.List(ctx, admin.UserQuery{})
	var refused *admin.Error
	if !errors.As(err, &refused) || refused.Status < 500 || strings.Contains(err.Error(), "sql") {
		t.Errorf("%v", err)
	}
}
