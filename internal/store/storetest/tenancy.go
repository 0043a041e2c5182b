package storetest

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Which tenant a session is in, and whether that still means anything.
func sessionTenantCases() []testCase {
	return []testCase{
		{"a new session: the last one's tenant, else the only one", tenancyStart},
		{"a new session by a one-time token", tenancyRedeem},
		{"what ended gives nothing, at once (A13.1)", tenancyEnds},
		{"switched", tenancySwitch},
		{"not switched", tenancySwitchRefused},
	}
}

// wantTenant checks what both ways of asking for a session say of its tenant; 0 for none.
func (e *env) wantTenant(what string, n, owner int, at time.Time, in int, role string) {
	e.tb.Helper()
	want := struct {
		TenantID auth.ID
		Role     string
	}{Role: role}
	if in != 0 {
		want.TenantID = tenantID(in)
	}
	got := want
	r, err := e.UserWithSession(e.ctx, userID(owner), sessionID(n), at)
	e.ok(what, err)
	got.TenantID, got.Role = r.TenantID, r.TenantRole
	e.same(what+": UserWithSession", want, got)
	refresh := rotation(n, 0, at)
	refresh.Grace = 1000 * time.Hour
	rotated, err := e.RotateRefresh(e.ctx, refresh)
	e.ok(what, err)
	got.TenantID, got.Role = rotated.Session.TenantID, rotated.Session.TenantRole
	e.same(what+": RotateRefresh", want, got)
}

func tenancyStart(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	for n := 1; n <= 3; n++ {
		e.tenant(n)
	}
	number := 0
	at := t0
	begin := func(what string, in int, role string) int {
		e.tb.Helper()
		number++
		at = at.Add(time.Minute)
		s := session(number, 1)
		s.CreatedAt, s.UpdatedAt = at, at
		s.TenantID, s.TenantRole = tenantID(77), "admin" // nobody chooses it by this
		want := s
		want.TenantID, want.TenantRole = auth.ID{}, role
		if in != 0 {
			want.TenantID = tenantID(in)
		}
		got, err := e.StartSession(e.ctx, auth.SessionStart{Session: s, Audit: audit(800+number, "login", "account")})
		e.ok(what, err)
		e.same(what, want, got)
		e.wantTenant(what, number, 1, at, in, role)
		return number
	}
	closed := func(m auth.Membership, state string, ends time.Time) auth.Membership {
		m.State, m.EndsAt = state, ends
		return m
	}
	e.join(membership(3, 2, "owner")) // somebody else's
	begin("no membership", 0, "")
	e.join(closed(membership(1, 1, "nurse"), auth.MemberInvited, time.Time{}))
	begin("an invitation opens nothing", 0, "")
	e.join(membership(1, 1, "nurse"))
	begin("the only one", 1, "nurse")
	e.join(closed(membership(2, 1, "doctor"), auth.MemberSuspended, time.Time{}))
	begin("the only open one", 1, "nurse")
	e.join(membership(2, 1, "doctor"))
	last := begin("of two the last one's", 1, "nurse")
	e.switchTo(last, 1, 2, at)
	begin("after a switch", 2, "doctor")
	e.switchTo(number, 1, 0, at)
	begin("of two, and the last one was in none", 0, "")
	e.switchTo(number, 1, 2, at)
	e.join(closed(membership(2, 1, "doctor"), auth.MemberActive, at.Add(time.Minute)))
	begin("the last one's has just ended", 1, "nurse")
	_, err := e.UpdateTenant(e.ctx, tenantID(1), auth.TenantPatch{At: at, Active: ptr(false), Audit: audit(60, "x", "team")})
	e.ok("UpdateTenant", err)
	begin("the only one's tenant is not active", 0, "")
}

func (e *env) switchTo(n, owner, in int, at time.Time) auth.SwitchResult {
	e.tb.Helper()
	w := auth.SwitchTenant{SessionID: sessionID(n), UserID: userID(owner), At: at, Audit: audit(0, "tenant_switched", "account")}
	w.Audit.ID = e.freshID()
	if in != 0 {
		w.TenantID = tenantID(in)
	}
	r, err := e.SwitchTenant(e.ctx, w)
	e.ok("SwitchTenant", err)
	return r
}

func tenancyRedeem(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1, membership(1, 1, "nurse"))
	e.tenant(2, membership(2, 1, "doctor"))
	e.sign(9, 1)
	e.switchTo(9, 1, 2, t0)
	e.issue(1, token(1, 1, auth.PurposeMagicLink, emailOf(1)))
	res := e.redeem("as the last one", byLink(1, auth.PurposeMagicLink), auth.RedeemDone)
	e.same("as the last one", [2]any{tenantID(2), "doctor"}, [2]any{res.Session.TenantID, res.Session.TenantRole})
	e.wantTenant("stored", 1, 1, after(2*time.Minute), 2, "doctor")

	// A new password ends the other sessions in the same step: there is no last one.
	e.issue(1, token(2, 1, auth.PurposeRecovery, emailOf(1)))
	r := byLink(2, auth.PurposeRecovery)
	r.PasswordHash = "$new$"
	res = e.redeem("new password", r, auth.RedeemDone)
	e.same("of two, and no last one", auth.ID{}, res.Session.TenantID)
	e.wantAlive("new password", 1, map[int]bool{9: false, 1: false, 2: true})
	e.same("password", "$new$", e.user(1).PasswordHash)
}

func tenancyEnds(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	m := membership(1, 1, "nurse")
	m.EndsAt = after(time.Hour)
	e.join(m)
	e.tenant(2, membership(2, 1, "doctor"))
	e.sign(1, 1)
	e.switchTo(1, 1, 1, t0)
	active := func(yes bool) {
		e.tb.Helper()
		_, err := e.UpdateTenant(e.ctx, tenantID(1), auth.TenantPatch{At: t0, Active: &yes, Audit: auth.AuditEntry{ID: e.freshID(), At: t0}})
		e.ok("UpdateTenant", err)
	}
	e.wantTenant("open", 1, 1, after(time.Hour-time.Microsecond), 1, "nurse")
	e.wantTenant("has an end", 1, 1, after(time.Hour), 0, "")
	m.EndsAt, m.Role = time.Time{}, "chief"
	e.join(m)
	e.wantTenant("another role", 1, 1, after(2*time.Hour), 1, "chief")
	active(false)
	e.wantTenant("tenant switched off", 1, 1, after(2*time.Hour), 0, "")
	active(true)
	for _, state := range []string{auth.MemberSuspended, auth.MemberPending, auth.MemberInvited} {
		m.State = state
		e.join(m)
		e.wantTenant(state, 1, 1, after(2*time.Hour), 0, "")
	}
	m.State = auth.MemberActive
	e.join(m)
	e.wantTenant("open again", 1, 1, after(2*time.Hour), 1, "chief")
	e.ok("EndMembership", e.EndMembership(e.ctx, tenantID(1), userID(1), "", audit(60, "x", "team")))
	e.wantTenant("removed", 1, 1, after(2*time.Hour), 0, "")
	r, err := e.UserWithSession(e.ctx, userID(1), sessionID(9), t0)
	e.ok("UserWithSession", err)
	e.same("no such session", auth.UserSession{User: e.user(1)}, r)
}

func tenancySwitch(_ *testing.T, e *env) {
	e.create(fullAccount(1))
	_, err := e.UpdateUser(e.ctx, userID(1), auth.UserPatch{At: t0, BannedUntil: &time.Time{}})
	e.ok("UpdateUser", err)
	e.tenant(1, membership(1, 1, "nurse"))
	e.tenant(2, membership(2, 1, "doctor"))
	want := e.sign(1, 1)
	e.sign(2, 1)
	want.AMR = []auth.AMR{{Method: auth.MethodPassword, At: t0}}
	e.ok("NameSession", e.NameSession(e.ctx, userID(1), sessionID(1), "Laptop"))
	want.Name = "Laptop"
	user := e.user(1)
	step := func(what string, in int, role string, at time.Time) {
		e.tb.Helper()
		want.TenantID, want.TenantRole, want.UpdatedAt = auth.ID{}, role, at
		if in != 0 {
			want.TenantID = tenantID(in)
		}
		e.same(what, auth.SwitchResult{User: user, Session: want}, e.switchTo(1, 1, in, at))
		e.same(what+": the account", user, e.user(1))
	}
	step("to one", 1, "nurse", after(time.Minute))
	step("to the other", 2, "doctor", after(2*time.Minute))
	step("to the same", 2, "doctor", after(3*time.Minute))
	step("to none", 0, "", after(4*time.Minute))
	step("back", 1, "nurse", after(5*time.Minute))
	r, err := e.RotateRefresh(e.ctx, rotation(1, 0, after(time.Hour)))
	e.ok("RotateRefresh", err)
	want.Counter, want.Parent, want.RefreshedAt, want.UpdatedAt = 1, 0, after(time.Hour), after(time.Hour)
	want.IP, want.UserAgent = "198.51.100.9", "rotator/2"
	e.same("a refresh keeps it", want, r.Session)
	step("after a refresh", 2, "doctor", after(2*time.Hour))
	e.wantTenant("the other session", 2, 1, t0, 0, "")
}

func tenancySwitchRefused(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.tenant(1, membership(1, 1, "nurse"), membership(1, 2, "nurse"))
	e.tenant(2, membership(2, 2, "nurse"))
	e.tenant(3)
	m := membership(3, 1, "nurse")
	m.EndsAt = after(time.Hour)
	e.join(m)
	e.tenant(4, membership(4, 1, "nurse"))
	_, err := e.UpdateTenant(e.ctx, tenantID(4), auth.TenantPatch{At: t0, Active: ptr(false), Audit: audit(60, "x", "team")})
	e.ok("UpdateTenant", err)
	s := session(1, 1)
	s.NotAfter = after(2 * time.Hour)
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(801, "login", "account")}))
	e.sign(2, 2)
	e.switchTo(1, 1, 1, t0)
	ok := auth.SwitchTenant{SessionID: sessionID(1), UserID: userID(1), TenantID: tenantID(1), At: t0, Audit: audit(70, "refused", "account")}
	for what, edit := range map[string]func(w *auth.SwitchTenant){
		"not a member":             func(w *auth.SwitchTenant) { w.TenantID = tenantID(2) },
		"no such tenant":           func(w *auth.SwitchTenant) { w.TenantID = tenantID(9) },
		"the membership has ended": func(w *auth.SwitchTenant) { w.TenantID, w.At = tenantID(3), after(time.Hour) },
		"the tenant is off":        func(w *auth.SwitchTenant) { w.TenantID = tenantID(4) },
		"no such session":          func(w *auth.SwitchTenant) { w.SessionID = sessionID(9) },
		"no session":               func(w *auth.SwitchTenant) { w.SessionID = auth.ID{} },
		"somebody else's session":  func(w *auth.SwitchTenant) { w.SessionID = sessionID(2) },
		"nobody":                   func(w *auth.SwitchTenant) { w.UserID = userID(9) },
		"the session has ended":    func(w *auth.SwitchTenant) { w.At = after(2 * time.Hour) },
		"to none, without session": func(w *auth.SwitchTenant) { w.SessionID, w.TenantID = sessionID(9), auth.ID{} },
	} {
		w := ok
		edit(&w)
		r, err := e.SwitchTenant(e.ctx, w)
		e.is(what, err, auth.ErrNotFound)
		e.same(what, auth.SwitchResult{}, r)
	}
	_, err = e.UpdateUser(e.ctx, userID(1), auth.UserPatch{At: t0, BannedUntil: ptr(after(time.Hour))})
	e.ok("UpdateUser", err)
	_, err = e.SwitchTenant(e.ctx, ok)
	e.is("banned", err, auth.ErrNotFound)
	_, err = e.UpdateUser(e.ctx, userID(1), auth.UserPatch{At: t0, BannedUntil: &time.Time{}})
	e.ok("UpdateUser", err)
	sessions, err := e.SessionsOf(e.ctx, userID(1))
	e.ok("SessionsOf", err)
	e.same("where it was", tenantID(1), sessions[0].TenantID)
	e.wantTenant("somebody else", 2, 2, t0, 0, "")
}
