package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
)

// C16: the history of consents is added to and not changed; only what tells of the person may
// be emptied.
func TestConsentHistoryStays(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "cardea.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAccount(t.Context(), newAccount(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.ChangeConsents(t.Context(), auth.ID{15: 1}, []auth.ConsentChange{{
		Event: auth.ConsentEvent{ID: auth.ID{15: 2}, Purpose: "a", Action: auth.ConsentGrant, Version: "1", At: now, IP: "192.0.2.1", UserAgent: "x"},
		Audit: auth.AuditEntry{ID: auth.ID{15: 3}, At: now, Action: "consent_granted"},
	}}); err != nil {
		t.Fatal(err)
	}
	change := func(set string) error {
		return s.write(t.Context(), "test", func(r runner) error {
			_, err := exec(t.Context(), r, "UPDATE consent_events SET "+set)
			return err
		})
	}
	for _, set := range []string{
		"action = 'withdrawn'", "version = '2'", "created_at = 0", "expires_at = 7", "purpose = 'b'", "tenant_id = 'x'", "ip_address = '192.0.2.2'", "user_agent = 'y'",
	} {
		if err := change(set); err == nil || !strings.Contains(err.Error(), "is not changed") {
			t.Errorf("%s: %v", set, err)
		}
	}
	if err := s.SoftDeleteUser(t.Context(), auth.ID{15: 1}, auth.SoftDelete{At: now, Audit: auth.AuditEntry{ID: auth.ID{15: 4}, At: now}}); err != nil {
		t.Fatal(err)
	}
	var left string
	if err := s.read("test", func(r runner) error {
		return one(t.Context(), r, "SELECT json_array(purpose, action, ip_address, user_agent) FROM consent_events", nil, &left)
	}); err != nil || left != `["a","granted","",""]` {
		t.Errorf("after a soft deletion %s (%v)", left, err)
	}
}
