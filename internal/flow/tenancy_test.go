package flow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/google/go-cmp/cmp"
)

// TestReadSlug has the tricks.
func TestReadSlug(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"abc", "clinic-a", "a1b", "1st-clinic", "apis", "admin-1", strings.Repeat("a", 63)} {
		if got, err := flow.ReadSlug(good); err != nil || got != good {
			t.Errorf("%q: %q, %v", good, got, err)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "two": "ab", "64": strings.Repeat("a", 64), "capitals": "Clinic", "leading hyphen": "-clinic", "trailing hyphen": "clinic-",
		"only hyphens": "---", "two hyphens": "a--b", "punycode": "xn--80ak6aa92e", "punycode, capitals": "XN--80AK6AA92E", "dot": "a.b", "slash": "a/b",
		"backslash": `a\b`, "space": "a b", "padding": " abc", "new line": "abc\n", "NUL": "abc\x00", "percent": "abc%2f", "cyrillic а": "clinic-\u0430",
		"full width": "ａｂｃ", "dotless i": "clınıc", "kelvin sign": "\u212aelvin", "soft hyphen": "cli\u00adnic", "zero width": "cli\u200bnic",
		"bytes that are no text": "abc\xff", "underscore": "a_b", "at": "a@b", "query": "abc?x", "dots": "...", "minus": "a\u2212b",
		"api": "api", "auth": "auth", "admin": "admin", "www": "www", "well-known": "well-known", "version": "v12", "me": "me", "null": "null",
		"number": "12345", "numbers": "1-2-3", "an id": "0190a000-0000-7000-8000-000000000001",
	} {
		if got, err := flow.ReadSlug(bad); auth.CodeOf(err) != auth.CodeValidation || got != "" {
			t.Errorf("%s: %q passes as %q, %v", name, bad, got, err)
		}
	}
}

// FuzzReadSlug: whatever passes is a host name's label, its own only spelling, and no path
// of ours.
func FuzzReadSlug(f *testing.F) {
	for _, s := range []string{"clinic-a", "xn--a", "api", "-a-", "a--b", "v1", "İstanbul", "a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := flow.ReadSlug(s)
		if err != nil {
			if got != "" {
				t.Errorf("%q: %q beside an error", s, got)
			}
			return
		}
		if got != s || len(s) < 3 || len(s) > 63 || s != strings.ToLower(s) || strings.Contains(s, "--") || s[0] == '-' || s[len(s)-1] == '-' {
			t.Errorf("%q passes", s)
		}
		for _, r := range s {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
				t.Errorf("%q passes", s)
			}
		}
	})
}

func TestCreateTenant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		in    flow.NewTenant
		want  auth.Code
		owner auth.ID
	}{
		{"by an operator, without an owner", anOperator(), flow.NewTenant{}, "", auth.ID{}},
		{"by an operator, for somebody", anOperator(), flow.NewTenant{Owner: id(bob)}, "", id(bob)},
		{"by an operator, for nobody who exists", anOperator(), flow.NewTenant{Owner: id(99)}, auth.CodeUserNotFound, auth.ID{}},
		{"by an administrator, for himself", by(boss), flow.NewTenant{}, "", id(boss)},
		{"by an administrator, for another", by(boss), flow.NewTenant{Owner: id(bob)}, auth.CodeForbidden, auth.ID{}},
		{"by anybody", by(ann), flow.NewTenant{}, auth.CodeForbidden, auth.ID{}},
		// A tenant's owner has "*" in his tenant and nothing outside of it.
		{"by the owner of another tenant", by(owner), flow.NewTenant{}, auth.CodeForbidden, auth.ID{}},
		{"slug is taken", anOperator(), flow.NewTenant{Slug: "clinic-b"}, auth.CodeSlugExists, auth.ID{}},
		{"reserved slug", anOperator(), flow.NewTenant{Slug: "admin"}, auth.CodeValidation, auth.ID{}},
		{"no name", anOperator(), flow.NewTenant{Name: "<b></b>"}, auth.CodeValidation, auth.ID{}},
		{"NUL in the settings", anOperator(), flow.NewTenant{Settings: members("a", `"\u0000"`)}, auth.CodeValidation, auth.ID{}},
		{"settings without end", anOperator(), flow.NewTenant{Settings: members("a", `"`+strings.Repeat("x", 17<<10)+`"`)}, auth.CodeValidation, auth.ID{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if c.in.Slug == "" {
				c.in.Slug = "new-clinic"
			}
			if c.in.Name == "" {
				c.in.Name = " A  <i>New</i> Clinic "
			}
			got, err := w.tenancy().Create(t.Context(), c.actor, c.in)
			if c.want != "" {
				wantCode(t, err, c.want)
				w.untouched(t)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Slug != "new-clinic" || got.Name != "A New Clinic" || !got.Active || string(got.Settings) != `{}` {
				t.Errorf("%+v", got)
			}
			w.audited(t, "tenant_created", c.actor.Caller.UserID, got.ID.String())
			var members []auth.Membership
			for _, m := range w.d.members {
				if m.TenantID == got.ID {
					members = append(members, m)
				}
			}
			switch {
			case c.owner.IsZero() && len(members) > 0:
				t.Errorf("members %+v", members)
			case !c.owner.IsZero() && (len(members) != 1 || members[0].UserID != c.owner || members[0].Role != "owner" || members[0].State != auth.MemberActive):
				t.Errorf("members %+v", members)
			}
		})
	}
}

// TestInTenant is A13.1 and S4.22: every door of a tenant, and what closes it. The token
// says the same in all cases; what counts is the row.
func TestInTenant(t *testing.T) {
	t.Parallel()
	doors := map[string]func(context.Context, *town, flow.Actor) error{
		"read": func(ctx context.Context, w *town, a flow.Actor) error {
			_, err := w.tenancy().Get(ctx, a, id(tenantA))
			return err
		},
		"change": func(ctx context.Context, w *town, a flow.Actor) error {
			_, err := w.tenancy().Update(ctx, a, id(tenantA), flow.TenantChange{Name: ptr("Another")})
			return err
		},
		"members": func(ctx context.Context, w *town, a flow.Actor) error {
			_, err := w.tenancy().Members(ctx, a, id(tenantA), auth.ID{}, 0)
			return err
		},
		"invite": func(ctx context.Context, w *town, a flow.Actor) error {
			_, err := w.tenancy().Invite(ctx, a, id(tenantA), flow.Invitee{Email: "new@x.org", Role: "viewer"})
			return err
		},
		"change a member": func(ctx context.Context, w *town, a flow.Actor) error {
			_, err := w.tenancy().ChangeMember(ctx, a, id(tenantA), id(helper), flow.MemberChange{Role: ptr("viewer")})
			return err
		},
		"remove a member": func(ctx context.Context, w *town, a flow.Actor) error {
			return w.tenancy().Remove(ctx, a, id(tenantA), id(helper))
		},
		"relate": func(ctx context.Context, w *town, a flow.Actor) error {
			_, err := w.tenancy().Relate(ctx, a, flow.NewRelation{Kind: "care", SubjectID: id(manager), ObjectID: id(helper), TenantID: id(tenantA)})
			return err
		},
		"relations": func(ctx context.Context, w *town, a flow.Actor) error {
			_, err := w.tenancy().Relations(ctx, a, auth.RelationQuery{Tenant: id(tenantA)})
			return err
		},
		"explain": func(ctx context.Context, w *town, a flow.Actor) error {
			_, err := w.tenancy().Explain(ctx, a, id(helper), id(tenantA), "record:read")
			return err
		},
	}
	boom := errors.New("boom")
	mine := func(w *town) *auth.Membership { return &w.d.members[w.d.member(id(tenantA), id(owner))] }
	closed := []struct {
		name string
		bend func(*town)
		as   byte
		want auth.Code
	}{
		{"open", func(*town) {}, owner, ""},
		{"ends later", func(w *town) { mine(w).EndsAt = at().Add(time.Second) }, owner, ""},
		{"owner of another tenant", func(*town) {}, other, auth.CodeTenantDenied},
		{"no member", func(*town) {}, ann, auth.CodeTenantDenied},
		{"suspended", func(w *town) { mine(w).State = auth.MemberSuspended }, owner, auth.CodeTenantDenied},
		{"invited", func(w *town) { mine(w).State = auth.MemberInvited }, owner, auth.CodeTenantDenied},
		{"pending", func(w *town) { mine(w).State = auth.MemberPending }, owner, auth.CodeTenantDenied},
		{"ends now", func(w *town) { mine(w).EndsAt = at() }, owner, auth.CodeTenantDenied},
		{"inactive tenant", func(w *town) { w.d.tenants[id(tenantA)].Active = false }, owner, auth.CodeTenantDenied},
		{"no such tenant", func(w *town) { delete(w.d.tenants, id(tenantA)); w.d.members = nil }, owner, auth.CodeTenantDenied},
		{"role without the permission", func(w *town) { mine(w).Role = "patient" }, owner, auth.CodeForbidden},
		{"role that the catalogue has lost", func(w *town) { mine(w).Role = "emperor" }, owner, auth.CodeForbidden},
		{"role of the application in the membership", func(w *town) { mine(w).Role = "clerk" }, owner, auth.CodeForbidden},
		{"inactive account", func(w *town) { w.d.people[id(owner)].Profile.Active = false }, owner, auth.CodeUserInactive},
		{"banned account", func(w *town) { w.d.people[id(owner)].User.BannedUntil = at().Add(time.Hour) }, owner, auth.CodeTokenUserBanned},
		{"session has ended", func(w *town) { w.d.sessions = nil }, owner, auth.CodeSessionNotFound},
		{"account is gone", func(w *town) { delete(w.d.people, id(owner)) }, owner, auth.CodeTokenUserNotFound},
		{"look-up fails", func(w *town) { w.d.broken["MembershipIn"] = boom }, owner, auth.CodeInternal},
	}
	for door, knock := range doors {
		for _, c := range closed {
			t.Run(door+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				w := inTown(t)
				c.bend(w)
				err := knock(t.Context(), w, by(c.as))
				if got := codeOf(err); got != c.want {
					t.Errorf("%v, want %q", err, c.want)
				}
				if c.want != "" {
					w.untouched(t)
				}
			})
		}
		t.Run(door+"/token of an OAuth client", func(t *testing.T) {
			t.Parallel()
			w, a := inTown(t), by(owner)
			a.Caller.FirstParty = false
			wantCode(t, knock(t.Context(), w, a), auth.CodeNotFirstParty)
			w.untouched(t)
		})
		t.Run(door+"/an administrator of the application", func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if door == "explain" { // he may read everybody
				return
			}
			wantCode(t, knock(t.Context(), w, by(boss)), auth.CodeTenantDenied)
			w.untouched(t)
		})
		t.Run(door+"/operator", func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			if err := knock(t.Context(), w, anOperator()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUpdateTenant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		in    flow.TenantChange
		want  auth.Code
	}{
		{"everything that a manager may", by(manager), flow.TenantChange{Slug: ptr("clinic-c"), Name: ptr("<b>New</b> name"), Settings: members("a", `1`, "b", `null`)}, ""},
		{"nothing", by(manager), flow.TenantChange{}, ""},
		{"its own slug again", by(manager), flow.TenantChange{Slug: ptr("clinic-a")}, ""},
		{"slug of another", by(manager), flow.TenantChange{Slug: ptr("clinic-b")}, auth.CodeSlugExists},
		{"reserved slug", by(owner), flow.TenantChange{Slug: ptr("www")}, auth.CodeValidation},
		{"empty name", by(owner), flow.TenantChange{Name: ptr("")}, auth.CodeValidation},
		{"lone surrogate", by(owner), flow.TenantChange{Settings: members("a", `"\ud800"`)}, auth.CodeValidation},
		{"switched off by the owner", by(owner), flow.TenantChange{Active: ptr(false)}, auth.CodeForbidden},
		{"switched off by an operator", anOperator(), flow.TenantChange{Active: ptr(false)}, ""},
		{"by one who may only look", by(helper), flow.TenantChange{Name: ptr("Mine")}, auth.CodeForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			w.d.tenants[id(tenantA)].Settings = []byte(`{"b":2,"c":3}`)
			got, err := w.tenancy().Update(t.Context(), c.actor, id(tenantA), c.in)
			if c.want != "" {
				wantCode(t, err, c.want)
				w.untouched(t)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.name == "nothing" {
				w.untouched(t)
				return
			}
			if c.in.Settings != nil && string(got.Settings) != `{"a":1,"c":3}` || c.in.Name != nil && got.Name != "New name" {
				t.Errorf("%+v", got)
			}
			w.audited(t, "tenant_modified", c.actor.Caller.UserID, id(tenantA).String())
		})
	}
}

func TestTenantsOfOperators(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	_, err := w.tenancy().List(t.Context(), by(boss), auth.ID{}, 10)
	wantCode(t, err, auth.CodeForbidden)
	wantCode(t, w.tenancy().Delete(t.Context(), by(owner), id(tenantA)), auth.CodeForbidden)
	w.untouched(t)
	if _, err := w.tenancy().List(t.Context(), anOperator(), auth.ID{}, 10); err != nil {
		t.Error(err)
	}
	if err := w.tenancy().Delete(t.Context(), anOperator(), id(tenantA)); err != nil {
		t.Error(err)
	}
	w.audited(t, "tenant_deleted", auth.ID{}, id(tenantA).String())
	wantCode(t, w.tenancy().Delete(t.Context(), anOperator(), id(tenantA)), auth.CodeTenantNotFound)
}

// TestBySlug: what can't be a slug is not even looked for.
func TestBySlug(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	if got, err := w.tenancy().BySlug(t.Context(), "clinic-a"); err != nil || got.ID != id(tenantA) {
		t.Errorf("%+v, %v", got, err)
	}
	w.d.tenants[id(tenantB)].Active = false
	for _, slug := range []string{"clinic-b", "unknown", "Clinic-A", "clinic-a\x00", "../clinic-a", "' OR 1=1", ""} {
		_, err := w.tenancy().BySlug(t.Context(), slug)
		wantCode(t, err, auth.CodeTenantNotFound)
	}
	if diff := cmp.Diff([]string{"TenantBySlug", "TenantBySlug", "TenantBySlug"}, w.d.calls); diff != "" {
		t.Error(diff)
	}
}

// TestMine: an invitation shows, the settings of a tenant that is closed do not.
func TestMine(t *testing.T) {
	t.Parallel()
	w := inTown(t)
	w.join(tenantB, owner, "viewer", auth.MemberInvited)
	w.d.tenants[id(tenantA)].Settings, w.d.tenants[id(tenantB)].Settings = []byte(`{"open":1}`), []byte(`{"secret":1}`)
	got, err := w.tenancy().Mine(t.Context(), me(owner))
	if err != nil || len(got) != 2 || string(got[0].Tenant.Settings) != `{"open":1}` || string(got[1].Tenant.Settings) != `{}` || got[1].Tenant.Slug != "clinic-b" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSwitch is A13.1: the other tenant, without a password.
func TestSwitch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		bend   func(*town)
		tenant auth.ID
		want   auth.Code
	}{
		{"member", func(w *town) { w.join(tenantB, owner, "viewer", auth.MemberActive) }, id(tenantB), ""},
		{"out of all", func(*town) {}, auth.ID{}, ""},
		{"stranger", func(*town) {}, id(tenantB), auth.CodeTenantDenied},
		{"no such tenant", func(*town) {}, id(99), auth.CodeTenantDenied},
		{"invited", func(w *town) { w.join(tenantB, owner, "viewer", auth.MemberInvited) }, id(tenantB), auth.CodeTenantDenied},
		{"inactive tenant", func(w *town) { w.d.tenants[id(tenantA)].Active = false }, id(tenantA), auth.CodeTenantDenied},
		{"inactive account", func(w *town) { w.d.people[id(owner)].Profile.Active = false }, id(tenantA), auth.CodeUserInactive},
		{"signing fails", func(w *town) {
			w.config.Issuer = issuer(func(*auth.User, *auth.Session) (auth.Tokens, error) { return auth.Tokens{}, errors.New("boom") })
		}, id(tenantA), auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			c.bend(w)
			got, err := w.tenancy().Switch(t.Context(), me(owner), c.tenant)
			if c.want != "" {
				wantCode(t, err, c.want)
				if diff := cmp.Diff(auth.SignedIn{}, got); diff != "" {
					t.Errorf("something comes out:\n%s", diff)
				}
				return
			}
			if err != nil || got.Session.TenantID != c.tenant || got.Session.ID != id(200+owner) || got.Tokens.AccessToken == "" || !got.Refreshed {
				t.Errorf("%+v, %v", got, err)
			}
			if e := w.d.audit[0]; e.Action != "tenant_switched" || e.ActorID != id(owner) || e.Traits["tenant_id"] != c.tenant.String() {
				t.Errorf("%+v", e)
			}
		})
	}
	t.Run("the zero session switches nothing", func(t *testing.T) {
		t.Parallel()
		w, c := inTown(t), me(owner)
		c.SessionID = auth.ID{}
		_, err := w.tenancy().Switch(t.Context(), c, id(tenantA))
		wantCode(t, err, auth.CodeNotFirstParty)
	})
}
