package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func updateCases() []testCase {
	return []testCase{
		{"every field, and back to nothing", updateFields},
		{"an empty patch sets updated_at only", updateNothing},
		{"a taken address is refused and changes nothing", updateTaken},
		{"metadata key by key", updateMetadata},
		{"identities are added, merged and removed", updateIdentities},
		{"RequireSession", updateRequireSession},
		{"sessions end with the change", updateRevoke},
		{"of an account that does not exist", updateMissing},
	}
}

func (e *env) update(n int, p auth.UserPatch) auth.User {
	e.tb.Helper()
	u, err := e.UpdateUser(e.ctx, userID(n), p)
	e.ok("UpdateUser", err)
	e.same("UpdateUser gives what is stored", e.user(n), u)
	return u
}

func updateFields(_ *testing.T, e *env) {
	other := e.create(account(2))
	want := e.create(account(1))
	at := after(time.Hour)
	change := audit(7, "user_modified", "user")
	change.At = at
	got := e.update(1, auth.UserPatch{
		At: at, Aud: ptr("clinic"), Role: ptr("nurse"), Email: ptr("new@example.com"), Phone: ptr("49170"),
		PasswordHash: ptr("$new$"), EmailConfirmedAt: ptr(after(time.Second)), PhoneConfirmedAt: ptr(after(2 * time.Second)),
		BannedUntil: ptr(after(3 * time.Second)), IsAnonymous: ptr(true),
		Audit: []auth.AuditEntry{change},
	})
	want.Aud, want.Role, want.Email, want.Phone = "clinic", "nurse", "new@example.com", "49170"
	want.PasswordHash = "$new$"
	want.EmailConfirmedAt, want.PhoneConfirmedAt = after(time.Second), after(2*time.Second)
	want.BannedUntil, want.IsAnonymous, want.UpdatedAt = after(3*time.Second), true, at
	e.same("all fields", want, got)

	at = at.Add(time.Microsecond)
	got = e.update(1, auth.UserPatch{
		At: at, Email: ptr(""), Phone: ptr(""), PasswordHash: ptr(""), EmailConfirmedAt: &time.Time{},
		PhoneConfirmedAt: &time.Time{}, BannedUntil: &time.Time{}, IsAnonymous: ptr(false),
	})
	want.Email, want.Phone, want.PasswordHash = "", "", ""
	want.EmailConfirmedAt, want.PhoneConfirmedAt, want.BannedUntil = time.Time{}, time.Time{}, time.Time{}
	want.IsAnonymous, want.UpdatedAt = false, at
	e.same("back to nothing", want, got)
	_, err := e.UserByEmail(e.ctx, "new@example.com", "clinic")
	e.is("the old address", err, auth.ErrNotFound)

	e.same("somebody else", other, e.user(2))
	e.wantAudit("UpdateUser", account(1).Audit[0], account(2).Audit[0], change)
}

func updateNothing(_ *testing.T, e *env) {
	want := e.create(fullAccount(1))
	want.UpdatedAt = after(time.Hour)
	e.same("unchanged", want, e.update(1, auth.UserPatch{At: after(time.Hour)}))
	// Its own address is not taken by somebody else.
	e.same("own address", want, e.update(1, auth.UserPatch{At: want.UpdatedAt, Email: &want.Email, Phone: &want.Phone}))
}

func updateTaken(_ *testing.T, e *env) {
	a := account(1)
	a.User.Phone = "4911111"
	e.create(a)
	want := e.create(account(2))
	e.sign(2, 2)
	google := auth.Identity{
		ID: identityID(50), UserID: userID(1), Provider: "google", ProviderID: "77",
		Data: json.RawMessage(`{}`), CreatedAt: t0, UpdatedAt: t0,
	}
	e.update(1, auth.UserPatch{At: t0, Identities: []auth.Identity{google}})
	google.ID, google.UserID = identityID(51), userID(2)

	for name, c := range map[string]struct {
		patch auth.UserPatch
		err   error
	}{
		"e-mail":   {auth.UserPatch{Email: ptr(emailOf(1))}, auth.ErrEmailTaken},
		"phone":    {auth.UserPatch{Phone: ptr("4911111")}, auth.ErrPhoneTaken},
		"identity": {auth.UserPatch{Identities: []auth.Identity{google}}, auth.ErrIDTaken},
	} {
		p := c.patch
		p.At, p.Role, p.PasswordHash = after(time.Hour), ptr("other"), ptr("other")
		p.UserMetadata = auth.MetadataPatch{Set: map[string]json.RawMessage{"x": json.RawMessage(`1`)}}
		p.RemoveIdentities = []string{auth.ProviderEmail}
		p.Revoke = auth.RevokeAll
		p.Audit = []auth.AuditEntry{audit(900, "user_modified", "user")}
		_, err := e.UpdateUser(e.ctx, userID(2), p)
		e.is(name, err, c.err)
		e.same(name+": unchanged", want, e.user(2))
		e.wantAlive(name, 2, map[int]bool{2: true})
	}
	e.wantAudit("refused changes", account(1).Audit[0], account(2).Audit[0], audit(100002, "login", "account"))
}

func updateMetadata(t *testing.T, e *env) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for i, c := range []struct {
		name, before string
		patch        auth.MetadataPatch
		want         string
	}{
		{"set in an empty object", `{}`, auth.MetadataPatch{Set: map[string]json.RawMessage{"a": raw(`1`)}}, `{"a":1}`},
		{"other keys stay", `{"a":1,"b":{"c":2}}`,
			auth.MetadataPatch{Set: map[string]json.RawMessage{"d": raw(`"x"`)}}, `{"a":1,"b":{"c":2},"d":"x"}`},
		{"an object replaces an object", `{"a":{"x":1,"y":2}}`,
			auth.MetadataPatch{Set: map[string]json.RawMessage{"a": raw(`{"z":3}`)}}, `{"a":{"z":3}}`},
		{"null is a value", `{"a":1}`, auth.MetadataPatch{Set: map[string]json.RawMessage{"a": raw(`null`)}}, `{"a":null}`},
		{"null inside stays", `{}`, auth.MetadataPatch{Set: map[string]json.RawMessage{"a": raw(`{"b":null,"c":[null]}`)}}, `{"a":{"b":null,"c":[null]}}`},
		{"delete", `{"a":1,"b":2}`, auth.MetadataPatch{Delete: []string{"a", "missing"}}, `{"b":2}`},
		{"delete the last", `{"a":1}`, auth.MetadataPatch{Delete: []string{"a"}}, `{}`},
		{"delete and set", `{"a":1,"b":2}`,
			auth.MetadataPatch{Set: map[string]json.RawMessage{"c": raw(`3`)}, Delete: []string{"a"}}, `{"b":2,"c":3}`},
		{"keys are text, not paths", `{"a":{"b":1},"a.b":2,"$.a":3,"":4,"0":5}`,
			auth.MetadataPatch{
				Set:    map[string]json.RawMessage{"a.b": raw(`9`), "": raw(`8`), `q"'\`: raw(`7`), "{a,b}": raw(`6`)},
				Delete: []string{"$.a", "0"},
			}, `{"a":{"b":1},"a.b":9,"":8,"q\"'\\":7,"{a,b}":6}`},
		{"numbers keep their digits", `{"a":12345678901234567890}`,
			auth.MetadataPatch{Set: map[string]json.RawMessage{"b": raw(`98765432109876543210`)}},
			`{"a":12345678901234567890,"b":98765432109876543210}`},
	} {
		n := i + 1
		a := account(n)
		a.User.AppMetadata, a.User.UserMetadata = raw(c.before), raw(c.before)
		want := e.create(a)
		want.UserMetadata = raw(c.want)
		e.same(c.name+": user metadata", want, e.update(n, auth.UserPatch{At: t0, UserMetadata: c.patch}))
		want.AppMetadata = raw(c.want)
		e.same(c.name+": app metadata", want, e.update(n, auth.UserPatch{At: t0, AppMetadata: c.patch}))
	}
	if t.Failed() {
		return
	}
	// Both in one change, and an account that was made without any.
	a := account(90)
	a.User.AppMetadata, a.User.UserMetadata = nil, nil
	want := e.create(a)
	want.AppMetadata, want.UserMetadata = raw(`{"a":1}`), raw(`{"b":2}`)
	e.same("both", want, e.update(90, auth.UserPatch{
		At:           t0,
		AppMetadata:  auth.MetadataPatch{Set: map[string]json.RawMessage{"a": raw(`1`)}},
		UserMetadata: auth.MetadataPatch{Set: map[string]json.RawMessage{"b": raw(`2`)}},
	}))
}

func updateIdentities(_ *testing.T, e *env) {
	e.create(account(2))
	want := e.create(account(1))
	at := after(time.Hour)
	phone := auth.Identity{
		ID: identityID(60), UserID: userID(1), Provider: auth.ProviderPhone, ProviderID: userID(1).String(),
		Data: json.RawMessage(`{"sub":"x","phone":"49170"}`), CreatedAt: at, UpdatedAt: at,
	}
	got := e.update(1, auth.UserPatch{At: at, Identities: []auth.Identity{phone}})
	want.UpdatedAt = at
	want.Identities = append(want.Identities, phone)
	e.same("added", want, got)

	// The row of the provider stays; only provider id, data and updated_at are new.
	at = at.Add(time.Hour)
	merge := auth.Identity{
		ID: identityID(61), UserID: userID(1), Provider: auth.ProviderEmail, ProviderID: "another",
		Data: json.RawMessage(`{"email":"New@Example.com","email_verified":true,"o":{"k":1}}`), CreatedAt: at, UpdatedAt: at,
	}
	got = e.update(1, auth.UserPatch{At: at, Identities: []auth.Identity{merge}})
	id := &want.Identities[0]
	id.ProviderID, id.Email, id.UpdatedAt, want.UpdatedAt = "another", "new@example.com", at, at
	id.Data = json.RawMessage(`{"sub":"` + userID(1).String() + `","email":"New@Example.com","email_verified":true,"o":{"k":1}}`)
	e.same("merged", want, got)

	// Removal comes first, so removing and giving the same provider makes a new row.
	at = at.Add(time.Hour)
	merge.UpdatedAt, merge.CreatedAt, merge.Email = at, at, "new@example.com"
	got = e.update(1, auth.UserPatch{
		At: at, RemoveIdentities: []string{auth.ProviderEmail, "none"}, Identities: []auth.Identity{merge},
	})
	want.UpdatedAt = at
	want.Identities = []auth.Identity{phone, merge}
	e.same("replaced", want, got)

	got = e.update(1, auth.UserPatch{At: at, RemoveIdentities: []string{auth.ProviderEmail, auth.ProviderPhone}})
	want.Identities = nil
	e.same("removed", want, got)
	e.same("somebody else", account(2).User, e.user(2))
}

func updateRequireSession(_ *testing.T, e *env) {
	want := e.create(account(1))
	e.create(account(2))
	e.sign(1, 1)
	e.sign(2, 2)
	want.UpdatedAt, want.Role = after(time.Hour), "nurse"
	got := e.update(1, auth.UserPatch{At: after(time.Hour), Role: ptr("nurse"), RequireSession: sessionID(1)})
	e.same("own session", want, got)

	for what, id := range map[string]auth.ID{"unknown session": sessionID(9), "somebody else's session": sessionID(2)} {
		_, err := e.UpdateUser(e.ctx, userID(1), auth.UserPatch{
			At: after(2 * time.Hour), Role: ptr("x"), PasswordHash: ptr("stolen"), RequireSession: id, Revoke: auth.RevokeAll,
			RemoveIdentities: []string{auth.ProviderEmail}, Audit: []auth.AuditEntry{audit(901, "user_modified", "user")},
			UserMetadata: auth.MetadataPatch{Set: map[string]json.RawMessage{"x": json.RawMessage(`1`)}},
		})
		e.is(what, err, auth.ErrNotFound)
		e.same(what+": unchanged", want, e.user(1))
		e.wantAlive(what, 1, map[int]bool{1: true})
	}
}

func updateRevoke(_ *testing.T, e *env) {
	e.create(account(99))
	e.sign(99, 99)
	for i, c := range []struct {
		name string
		kind auth.Revocation
		with auth.ID
		want [3]bool
	}{
		{"none", auth.RevokeNone, auth.ID{}, [3]bool{true, true, true}},
		{"one", auth.RevokeOne, sessionID(21), [3]bool{true, false, true}},
		{"others", auth.RevokeOthers, sessionID(31), [3]bool{false, true, false}},
		{"others than none", auth.RevokeOthers, auth.ID{}, [3]bool{}},
		{"all", auth.RevokeAll, auth.ID{}, [3]bool{}},
		{"one of somebody else", auth.RevokeOne, sessionID(99), [3]bool{true, true, true}},
		{"all, by the required session itself", auth.RevokeAll, auth.ID{}, [3]bool{}},
	} {
		n := i + 1
		e.create(account(n))
		want := map[int]bool{}
		for k := range 3 {
			e.sign(n*10+k, n)
			want[n*10+k] = c.want[k]
		}
		p := auth.UserPatch{At: t0, PasswordHash: ptr("new"), Revoke: c.kind, RevokeWith: c.with}
		if i == 6 {
			p.RequireSession = sessionID(n * 10)
		}
		e.update(n, p)
		e.wantAlive(c.name, n, want)
	}
	e.wantAlive("somebody else", 99, map[int]bool{99: true})
}

func updateMissing(_ *testing.T, e *env) {
	_, err := e.UpdateUser(e.ctx, userID(1), auth.UserPatch{
		At: t0, Email: ptr("x@example.com"), Audit: []auth.AuditEntry{audit(1, "user_modified", "user")},
	})
	e.is("UpdateUser", err, auth.ErrNotFound)
	e.wantAudit("nothing happened")
}
