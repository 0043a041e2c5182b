package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// C16: the history of consents is added to and not changed; only what tells of the person may
// be emptied.
func TestConsentHistoryStays(t *testing.T) {
	t.Parallel()
	s, db := open(t, postgres.Config{})
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	if err := s.CreateAccount(t.Context(), auth.NewAccount{User: auth.User{
		ID: auth.ID{15: 1}, Aud: "authenticated", Role: "authenticated", Email: "a@example.org", CreatedAt: now, UpdatedAt: now,
	}}); err != nil {
		t.Fatal(err)
	}
	if err := s.ChangeConsents(t.Context(), auth.ID{15: 1}, []auth.ConsentChange{{
		Event: auth.ConsentEvent{ID: auth.ID{15: 2}, Purpose: "a", Action: auth.ConsentGrant, Version: "1", At: now, IP: "192.0.2.1", UserAgent: "x"},
		Audit: auth.AuditEntry{ID: auth.ID{15: 3}, At: now, Action: "consent_granted"},
	}}); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{
		"action = 'withdrawn'", "version = '2'", "created_at = now()", "expires_at = now()", "purpose = 'b'", "tenant_id = id",
		"ip_address = '192.0.2.2'", "user_agent = 'y'",
	} {
		if _, err := db.Exec(t.Context(), "UPDATE auth.consent_events SET "+set); err == nil || !strings.Contains(err.Error(), "is not changed") {
			t.Errorf("%s: %v", set, err)
		}
	}
	if err := s.SoftDeleteUser(t.Context(), auth.ID{15: 1}, auth.SoftDelete{At: now, Audit: auth.AuditEntry{ID: auth.ID{15: 4}, At: now}}); err != nil {
		t.Fatal(err)
	}
	var left string
	if err := db.QueryRow(t.Context(), "SELECT concat_ws(' ', purpose, action, ip_address, user_agent) FROM auth.consent_events").Scan(&left); err != nil || left != "a granted  " {
		t.Errorf("after a soft deletion %q (%v)", left, err)
	}
}
