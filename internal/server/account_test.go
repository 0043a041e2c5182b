package server

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// A2.1, S1.18: an imported bcrypt user signs in once, and the stored hash is argon2id
// afterwards; a second sign-in works.
func TestImportedHashIsRenewed(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := open(t, load(t, databaseURL(t, kind), "CARDEA_PASSWORD_ALGORITHM=argon2id"))
			service, err := s.APIKeys().JWT("service_role")
			if err != nil {
				t.Fatal(err)
			}
			hash, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
			if err != nil {
				t.Fatal(err)
			}
			body := fmt.Sprintf(`{"email":"a@example.org","email_confirm":true,"password_hash":%q}`, hash)
			if a := call(s, "POST", "/auth/v1/admin/users", service, body); a.Status != 200 {
				t.Fatalf("%+v", a)
			}
			for range 2 {
				if a := call(s, "POST", passwordPath, "", credentials("a@example.org")); a.Status != 200 {
					t.Fatalf("%+v", a)
				}
				u, err := s.store.UserByEmail(t.Context(), "a@example.org", "authenticated")
				if err != nil || !strings.HasPrefix(u.PasswordHash, "$argon2id$") {
					t.Fatalf("stored %.12s (%v)", u.PasswordHash, err)
				}
			}
			if a := call(s, "POST", passwordPath, "", strings.Replace(credentials("a@example.org"), "correct", "wrong", 1)); a.Error != "invalid_credentials" {
				t.Fatalf("%+v", a)
			}
		})
	}
}

// A2.3: after a password change all other sessions are dead and the present one lives; the
// old password is wrong at once.
func TestPasswordChangeEndsOtherSessions(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := open(t, load(t, databaseURL(t, kind)))
			other := call(s, "POST", "/auth/v1/signup", "", credentials("a@example.org"))
			mine := call(s, "POST", passwordPath, "", credentials("a@example.org"))
			if a := call(s, "PUT", "/auth/v1/user", mine.Access, `{"password":"better horse"}`); a.Status != 200 {
				t.Fatalf("%+v", a)
			}
			if a := call(s, "GET", "/auth/v1/user", other.Access, ""); a.Error != "session_not_found" {
				t.Errorf("another session: %+v", a)
			}
			if a := call(s, "POST", refreshPath, "", refreshBody(other.Refresh)); a.Error != "refresh_token_not_found" {
				t.Errorf("refresh of another session: %+v", a)
			}
			if a := call(s, "POST", refreshPath, "", refreshBody(mine.Refresh)); a.Status != 200 {
				t.Errorf("refresh of the present session: %+v", a)
			}
			if a := call(s, "POST", passwordPath, "", credentials("a@example.org")); a.Error != "invalid_credentials" {
				t.Errorf("the old password: %+v", a)
			}
		})
	}
}

// A24.3: liveness does not ask the database, readiness does.
func TestHealth(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := open(t, load(t, databaseURL(t, kind)))
			for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/auth/v1/health": 200} {
				if a := call(s, "GET", path, "", ""); a.Status != want {
					t.Errorf("%s with the database: %d", path, a.Status)
				}
			}
			s.store.Close()
			for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/auth/v1/health": 200} {
				if a := call(s, "GET", path, "", ""); a.Status != want {
					t.Errorf("%s without the database: %d", path, a.Status)
				}
			}
		})
	}
}
