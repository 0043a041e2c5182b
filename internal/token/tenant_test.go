package token_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// TestTenantClaims: the active tenant and what its role may do, and nothing of the others.
func TestTenantClaims(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *token.Config) {
		c.TenantClaim = "clinic_id"
		c.Permissions = func(role string) []string {
			if role == "doctor" {
				return []string{"patient:read", "patient:write"}
			}
			return nil
		}
	})
	user, session := person()
	claims := func() map[string]json.RawMessage {
		t.Helper()
		got, err := f.ring.Issue(t.Context(), user, session)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(got.AccessToken, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]json.RawMessage{}
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		return m
	}
	if m := claims(); m["clinic_id"] != nil || m["tenant_role"] != nil || m["permissions"] != nil {
		t.Errorf("without a tenant: %s", m)
	}
	session.TenantID, session.TenantRole = auth.ID{1}, "doctor"
	m := claims()
	if string(m["clinic_id"]) != `"`+session.TenantID.String()+`"` || string(m["tenant_role"]) != `"doctor"` || string(m["permissions"]) != `["patient:read","patient:write"]` {
		t.Errorf("%s", m)
	}
	session.TenantRole = "unknown" // X5: an unknown role is no permission, and no failure
	if m := claims(); string(m["permissions"]) != `[]` {
		t.Errorf("%s", m)
	}
}

// TestTokenStaysSmall: a role with many permissions in a token of 1.5 KB at most. Those that
// have all of a family have a wildcard.
func TestTokenStaysSmall(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *token.Config) {
		c.Permissions = func(string) (all []string) {
			for i := range 16 {
				all = append(all, fmt.Sprintf("appointment:write%d", i))
			}
			return all
		}
	})
	user, session := person()
	session.TenantID, session.TenantRole = auth.ID{1}, "clinic_owner"
	got, err := f.ring.Issue(t.Context(), user, session)
	if err != nil || len(got.AccessToken) > 1536 {
		t.Errorf("%d bytes, %v", len(got.AccessToken), err)
	}
}

// TestShorter: another surface's tokens live shorter, and never longer than the ring's keys.
func TestShorter(t *testing.T) {
	t.Parallel()
	f := setup(t)
	user, session := person()
	for _, c := range []struct{ ttl, want time.Duration }{{30 * time.Minute, 30 * time.Minute}, {48 * time.Hour, time.Hour}, {0, time.Second}} {
		got, err := token.Shorter{Ring: f.ring, TTL: c.ttl}.Issue(t.Context(), user, session)
		if err != nil || got.ExpiresIn != c.want {
			t.Errorf("%s: %s, %v", c.ttl, got.ExpiresIn, err)
		}
	}
}
