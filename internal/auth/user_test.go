package auth_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/google/go-cmp/cmp"
)

func TestConfirmedAt(t *testing.T) {
	t.Parallel()
	early := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	late := early.Add(time.Hour)
	for _, c := range []struct {
		name               string
		email, phone, want time.Time
	}{
		{"neither", time.Time{}, time.Time{}, time.Time{}},
		{"e-mail", late, time.Time{}, late},
		{"phone", time.Time{}, late, late},
		{"e-mail first", early, late, early},
		{"phone first", late, early, early},
		{"together", early, early, early},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := auth.User{EmailConfirmedAt: c.email, PhoneConfirmedAt: c.phone}
			if got := u.ConfirmedAt(); !got.Equal(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestBannedAt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		until time.Time
		want  bool
	}{
		"never": {time.Time{}, false}, "past": {now.Add(-1), false}, "ends now": {now, false}, "future": {now.Add(1), true},
	} {
		if got := (&auth.User{BannedUntil: c.until}).BannedAt(now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUserHelpers(t *testing.T) {
	t.Parallel()
	unverified, verified := auth.Factor{Status: auth.FactorUnverified}, auth.Factor{Status: auth.FactorVerified}
	for name, c := range map[string]struct {
		factors []auth.Factor
		want    bool
	}{
		"none": {nil, false}, "unverified": {[]auth.Factor{unverified}, false}, "second is verified": {[]auth.Factor{unverified, verified}, true},
	} {
		if got := (&auth.User{Factors: c.factors}).HasVerifiedFactor(); got != c.want {
			t.Errorf("HasVerifiedFactor with %s: %v", name, got)
		}
	}
	for want, u := range map[string]auth.User{"": {}, "a@x.org": {Email: "a@x.org"}, "49": {Email: "a@x.org", Phone: "49"}} {
		if got := u.Username(); got != want {
			t.Errorf("Username %q, want %q", got, want)
		}
	}
}

func TestNewSession(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	got := auth.NewSession(auth.ID{1}, auth.ID{2}, auth.MethodPassword, now, auth.Meta{IP: "192.0.2.1", UserAgent: "x"})
	want := auth.Session{
		ID: auth.ID{1}, UserID: auth.ID{2}, AAL: auth.AAL1, AMR: []auth.AMR{{Method: "password", At: now}},
		UserAgent: "x", IP: "192.0.2.1", CreatedAt: now, UpdatedAt: now, Counter: 0, Parent: -1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMetadataPatchIsZero(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p    auth.MetadataPatch
		want bool
	}{
		"zero":   {auth.MetadataPatch{}, true},
		"empty":  {auth.MetadataPatch{Set: map[string]json.RawMessage{}, Delete: []string{}}, true},
		"sets":   {auth.MetadataPatch{Set: map[string]json.RawMessage{"a": nil}}, false},
		"delete": {auth.MetadataPatch{Delete: []string{"a"}}, false},
	} {
		if got := c.p.IsZero(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAuditPayload(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		entry auth.AuditEntry
		want  string
	}{
		{
			"person",
			auth.AuditEntry{
				ID: auth.ID{9}, Action: "login", LogType: "account", ActorID: auth.ID{1}, ActorUsername: "a@x.org", ActorViaSSO: true,
				Traits: map[string]any{"provider": "email"}, IP: "192.0.2.1",
			},
			`{"action":"login","actor_id":"01000000-0000-0000-0000-000000000000","actor_username":"a@x.org","actor_via_sso":true,` +
				`"log_type":"account","traits":{"provider":"email"}}`,
		},
		{
			"operator",
			auth.AuditEntry{Action: "user_deleted", LogType: "team", ActorUsername: "service_role"},
			`{"action":"user_deleted","actor_id":"00000000-0000-0000-0000-000000000000","actor_username":"service_role",` +
				`"actor_via_sso":false,"log_type":"team"}`,
		},
		{
			"traits that are no JSON keep the entry",
			auth.AuditEntry{Action: "x", LogType: "user", Traits: map[string]any{"f": func() {}}},
			`{"action":"x","actor_id":"00000000-0000-0000-0000-000000000000","actor_username":"","actor_via_sso":false,` +
				`"log_type":"user","traits":{"traits_error":"json: unsupported type: func()"}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, string(c.entry.Payload())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestZeroOutcomeRefuses: an outcome that a store forgot to set must not be a usable one.
func TestZeroOutcomeRefuses(t *testing.T) {
	t.Parallel()
	var r auth.RotationResult
	if r.Outcome == auth.Rotated || r.Outcome == auth.Replayed {
		t.Error("the zero outcome issues tokens")
	}
	var which auth.Revocation
	if which != auth.RevokeNone {
		t.Error("the zero revocation ends sessions")
	}
}
