package token_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// TestCodeHashes: one hash for one purpose, address and code; none that a reader of the
// database could compute; and a rotation of the master does not end codes that are under way.
func TestCodeHashes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	first := f.ring.CodeHashes(auth.PurposeSignup, "a@x.org", "123456")
	if len(first) != 2 || first[0] == first[1] || len(first[0]) != 64 || !slices.Equal(first, f.ring.CodeHashes(auth.PurposeSignup, "a@x.org", "123456")) {
		t.Fatalf("%v", first)
	}
	for _, other := range [][]string{
		f.ring.CodeHashes(auth.PurposeMagicLink, "a@x.org", "123456"),
		f.ring.CodeHashes(auth.PurposeSignup, "b@x.org", "123456"),
		f.ring.CodeHashes(auth.PurposeSignup, "a@x.org", "123457"),
		f.ring.CodeHashes(auth.PurposeSignup, "a@x.org1", "23456"),
		setup(t).ring.CodeHashes(auth.PurposeSignup, "a@x.org", "123456"),
	} {
		if other[0] == first[0] {
			t.Errorf("the same hash for something else: %v", other)
		}
	}
	if _, err := f.ring.Rotate(t.Context(), auth.KeyUseRefresh); err != nil {
		t.Fatal(err)
	}
	after := f.ring.CodeHashes(auth.PurposeSignup, "a@x.org", "123456")
	if after[0] != first[1] || !slices.Contains(after, first[0]) { // the standby has become current
		t.Errorf("after a rotation %v, before %v", after, first)
	}
}

// TestCustomize: what the hook gives is what is signed, and its error ends the issue.
func TestCustomize(t *testing.T) {
	t.Parallel()
	var asked string
	fail := false
	f := setup(t, func(c *token.Config) {
		c.Customize = func(_ context.Context, user auth.ID, method string, payload []byte) ([]byte, error) {
			if fail {
				return nil, errors.New("no")
			}
			asked = user.String() + " " + method
			var claims map[string]any
			if err := json.Unmarshal(payload, &claims); err != nil {
				return nil, err
			}
			claims["clinic_id"] = "c1"
			return json.Marshal(claims)
		}
	})
	user, session := person()
	tokens, err := f.ring.Issue(t.Context(), user, session)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.AccessToken, ".")[1])
	if err != nil || !strings.Contains(string(payload), `"clinic_id":"c1"`) {
		t.Errorf("%s, %v", payload, err)
	}
	if want := user.ID.String() + " "; !strings.HasPrefix(asked, want) {
		t.Errorf("asked about %q", asked)
	}
	session.Counter = 3
	if _, err := f.ring.Issue(t.Context(), user, session); err != nil || !strings.HasSuffix(asked, " token_refresh") {
		t.Errorf("%q, %v", asked, err)
	}
	fail = true
	if tokens, err := f.ring.Issue(t.Context(), user, session); err == nil || tokens.AccessToken != "" {
		t.Errorf("a hook that fails gave a token: %v", err)
	}
}
