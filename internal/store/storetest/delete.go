package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func deleteCases() []testCase {
	return []testCase{
		{"for good", deleteHard},
		{"softly: the account does not exist for any method", deleteSoft},
		{"softly, without addresses", deleteSoftBare},
	}
}

func deleteHard(_ *testing.T, e *env) {
	e.create(account(2))
	a := account(1)
	a.User.Phone = "4911111"
	e.create(a)
	e.sign(1, 1)
	e.sign(2, 2)
	entry := audit(50, "user_deleted", "team")
	entry.At = after(time.Hour)
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(1), entry))
	_, err := e.UserByID(e.ctx, userID(1))
	e.is("UserByID", err, auth.ErrNotFound)
	_, err = e.RotateRefresh(e.ctx, auth.Rotation{SessionID: sessionID(1), At: t0})
	e.is("RotateRefresh", err, auth.ErrNotFound)
	again := audit(51, "user_deleted", "team")
	e.is("again", e.DeleteUser(e.ctx, userID(1), again), auth.ErrNotFound)

	e.same("somebody else", account(2).User, e.user(2))
	e.wantAlive("somebody else", 2, map[int]bool{2: true})
	e.wantAudit("DeleteUser", account(1).Audit[0], account(2).Audit[0],
		audit(100001, "login", "account"), audit(100002, "login", "account"), entry)

	a.Audit = nil // everything is free again
	e.create(a)
}

func deleteSoft(_ *testing.T, e *env) {
	a := fullAccount(1)
	a.User.Aud, a.User.BannedUntil = "authenticated", time.Time{}
	e.create(a)
	e.create(account(2))
	e.sign(1, 1)
	e.sign(3, 1)
	e.sign(2, 2)
	at := after(time.Hour)
	entry := audit(50, "user_deleted", "team")
	entry.At = at
	d := auth.SoftDelete{
		At: at, Email: "hash-of-email", Phone: "hash-of-phone",
		ProviderIDs: map[auth.ID]string{identityID(1): "hash-1", identityID(501): "hash-2"}, Audit: entry,
	}
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(1), d))
	e.wantAudit("SoftDeleteUser", account(1).Audit[0], account(2).Audit[0], audit(100001, "login", "account"),
		audit(100002, "login", "account"), audit(100003, "login", "account"), entry)

	refused := audit(60, "refused", "user")
	_, err := e.UserByID(e.ctx, userID(1))
	e.is("UserByID", err, auth.ErrNotFound)
	for _, email := range []string{a.User.Email, "hash-of-email"} {
		_, err = e.UserByEmail(e.ctx, email, "authenticated")
		e.is("UserByEmail", err, auth.ErrNotFound)
	}
	for _, phone := range []string{a.User.Phone, "hash-of-phone"} {
		_, err = e.UserByPhone(e.ctx, phone, "authenticated")
		e.is("UserByPhone", err, auth.ErrNotFound)
	}
	_, err = e.UserWithSession(e.ctx, userID(1), sessionID(1), t0)
	e.is("UserWithSession", err, auth.ErrNotFound)
	_, err = e.UpdateUser(e.ctx, userID(1), auth.UserPatch{At: at, Role: ptr("x"), Audit: []auth.AuditEntry{refused}})
	e.is("UpdateUser", err, auth.ErrNotFound)
	e.is("StartSession", e.start(auth.SessionStart{Session: session(4, 1), Audit: refused}), auth.ErrNotFound)
	_, err = e.RotateRefresh(e.ctx, auth.Rotation{SessionID: sessionID(1), At: at, ReuseAudit: refused})
	e.is("RotateRefresh", err, auth.ErrNotFound)
	_, err = e.EndSessions(e.ctx, auth.EndSessions{UserID: userID(1), SessionID: sessionID(1), Which: auth.RevokeAll, Audit: refused})
	e.is("EndSessions", err, auth.ErrNotFound)
	e.is("DeleteUser", e.DeleteUser(e.ctx, userID(1), refused), auth.ErrNotFound)
	e.is("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(1), auth.SoftDelete{At: at, Audit: refused}), auth.ErrNotFound)
	numbers, total := e.listed(auth.UserQuery{Aud: "authenticated", SortBy: "created_at", Page: 1, PerPage: 10})
	e.same("ListUsers", []int{2}, numbers)
	e.same("ListUsers total", int64(1), total)
	e.wantAlive("somebody else", 2, map[int]bool{2: true})
	e.same("somebody else", account(2).User, e.user(2))

	// The person may come back: neither address nor provider id is held, only the id is.
	again := fullAccount(3)
	again.User.Email, again.User.Phone, again.User.Aud = a.User.Email, a.User.Phone, "authenticated"
	e.same("same Google account", "108", again.User.Identities[1].ProviderID)
	e.create(again)
	e.same("the new account", again.User, e.user(3))
	taken := account(4)
	taken.User.ID, taken.User.Identities = userID(1), nil
	e.is("the id stays taken", e.CreateAccount(e.ctx, taken), auth.ErrIDTaken)
}

func deleteSoftBare(_ *testing.T, e *env) {
	for n := 1; n <= 2; n++ { // twice: what is left of them must not collide
		u := auth.User{
			ID: userID(n), Aud: "authenticated", Role: auth.RoleAuthenticated, IsAnonymous: true,
			UserMetadata: json.RawMessage(`{"a":1}`), CreatedAt: t0, UpdatedAt: t0,
		}
		e.create(auth.NewAccount{User: u})
		e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, u.ID, auth.SoftDelete{At: t0, Audit: audit(n, "user_deleted", "team")}))
		_, err := e.UserByID(e.ctx, u.ID)
		e.is("UserByID", err, auth.ErrNotFound)
	}
	e.is("of nobody", e.SoftDeleteUser(e.ctx, userID(9), auth.SoftDelete{At: t0, Audit: audit(9, "user_deleted", "team")}), auth.ErrNotFound)
	e.is("hard, of nobody", e.DeleteUser(e.ctx, userID(9), audit(9, "user_deleted", "team")), auth.ErrNotFound)
	e.wantAudit("soft deletion", audit(1, "user_deleted", "team"), audit(2, "user_deleted", "team"))
}
