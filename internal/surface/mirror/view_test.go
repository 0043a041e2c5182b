package mirror

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
)

// S2.22: one role of three, and nothing that is written elsewhere makes one.
func TestRoleOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, app, user, want string }{
		{"none", `{}`, `{}`, "user"},
		{"no document", ``, ``, "user"},
		{"the one that may most", `{"roles":["user","agent","admin"]}`, `{}`, "admin"},
		{"agent", `{"roles":["agent"]}`, `{}`, "agent"},
		{"another catalogue's", `{"roles":["superuser"]}`, `{}`, "user"},
		{"no list", `{"roles":"admin"}`, `{}`, "user"},
		{"asked for only", `{"pending_roles":["agent"]}`, `{}`, "user"},
		{"written by the user", `{}`, `{"roles":["admin"],"role":"admin"}`, "user"},
	} {
		u := &auth.User{AppMetadata: json.RawMessage(tt.app), UserMetadata: json.RawMessage(tt.user)}
		if got := roleOf(u); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Flags that are no truth are not completed.
func TestFlags(t *testing.T) {
	t.Parallel()
	p := &auth.Person{Profile: auth.Profile{Flags: json.RawMessage(`{"stays_onboarding_completed":true,"estate_onboarding_completed":"true","ghar360_onboarding_completed":1}`)}}
	v := view(p, auth.ID{})
	if diff := cmp.Diff([]bool{false, true, false, false}, []bool{v.Flatmates, v.Stays, v.Estate, v.Ghar360}); diff != "" {
		t.Error(diff)
	}
	if v.AgentID != nil || v.Phone != nil || v.PhoneVerified || string(v.Preferences) != `{}` {
		t.Errorf("%+v", v)
	}
}
