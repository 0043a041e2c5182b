package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func keyCases() []testCase {
	return []testCase{
		{"install", keyInstall},
		{"rotate", keyRotate},
		{"rotate refuses", keyRotateRefused},
		{"revoke", keyRevoke},
		{"replace what is sealed", keyReplaceSealed},
	}
}

// key is the n-th key, created n seconds after t0.
func key(n int, use auth.KeyUse, status auth.KeyStatus) auth.SigningKey {
	k := auth.SigningKey{
		ID: fmt.Sprintf("kid-%d", n), Use: use, Algorithm: "ES256", Status: status,
		Sealed: []byte{0, 1, 0xff, byte(n), 0}, PublicJWK: []byte(fmt.Sprintf(`{"kty":"EC","n":%d}`, n)),
		CreatedAt: after(time.Duration(n) * time.Second),
	}
	if status == auth.KeyCurrent {
		k.ActivatedAt = k.CreatedAt
	}
	return k
}

func (e *env) wantKeys(what string, want ...auth.SigningKey) {
	e.tb.Helper()
	got, err := e.SigningKeys(e.ctx)
	e.ok("SigningKeys", err)
	e.same(what, want, got)
}

func keyInstall(_ *testing.T, e *env) {
	e.wantKeys("empty ring")
	current, standby := key(2, auth.KeyUseAccess, auth.KeyCurrent), key(1, auth.KeyUseAccess, auth.KeyStandby)
	revoked := key(4, auth.KeyUseAccess, auth.KeyRevoked)
	revoked.ActivatedAt, revoked.RetiredAt, revoked.RevokedAt = t0, after(time.Microsecond), after(2*time.Microsecond)
	e.ok("InstallKeys", e.InstallKeys(e.ctx, auth.KeyUseAccess, []auth.SigningKey{current, standby, revoked}))
	e.wantKeys("oldest first", standby, current, revoked)

	late := key(5, auth.KeyUseAccess, auth.KeyCurrent)
	err := e.InstallKeys(e.ctx, auth.KeyUseAccess, []auth.SigningKey{late, key(6, auth.KeyUseAccess, auth.KeyStandby)})
	e.is("somebody was first", err, auth.ErrConflict)
	e.wantKeys("nothing was inserted", standby, current, revoked)

	secret := key(3, auth.KeyUseRefresh, auth.KeyCurrent)
	secret.Algorithm, secret.PublicJWK = "HS256", nil
	e.ok("another use", e.InstallKeys(e.ctx, auth.KeyUseRefresh, []auth.SigningKey{secret}))
	e.wantKeys("both uses", standby, current, secret, revoked)
}

func keyRotate(_ *testing.T, e *env) {
	other := key(3, auth.KeyUseAPIKey, auth.KeyCurrent)
	e.ok("InstallKeys", e.InstallKeys(e.ctx, auth.KeyUseAPIKey, []auth.SigningKey{other}))
	first, second := key(1, auth.KeyUseAccess, auth.KeyCurrent), key(2, auth.KeyUseAccess, auth.KeyStandby)
	e.ok("InstallKeys", e.InstallKeys(e.ctx, auth.KeyUseAccess, []auth.SigningKey{first, second}))

	third := key(4, auth.KeyUseAccess, auth.KeyStandby)
	at := after(time.Hour)
	e.ok("RotateKeys", e.RotateKeys(e.ctx, "kid-1", third, at))
	first.Status, first.RetiredAt = auth.KeyPrevious, at
	second.Status, second.ActivatedAt = auth.KeyCurrent, at
	e.wantKeys("once", first, second, other, third)

	fourth := key(5, auth.KeyUseAccess, auth.KeyStandby)
	at = at.Add(time.Hour)
	e.ok("RotateKeys", e.RotateKeys(e.ctx, "kid-2", fourth, at))
	second.Status, second.RetiredAt = auth.KeyPrevious, at
	third.Status, third.ActivatedAt = auth.KeyCurrent, at
	e.wantKeys("twice", first, second, other, third, fourth)
}

func keyRotateRefused(_ *testing.T, e *env) {
	other := key(3, auth.KeyUseAPIKey, auth.KeyCurrent)
	e.ok("InstallKeys", e.InstallKeys(e.ctx, auth.KeyUseAPIKey, []auth.SigningKey{other}))
	first, second := key(1, auth.KeyUseAccess, auth.KeyCurrent), key(2, auth.KeyUseAccess, auth.KeyStandby)
	e.ok("InstallKeys", e.InstallKeys(e.ctx, auth.KeyUseAccess, []auth.SigningKey{first, second}))
	next := key(9, auth.KeyUseAccess, auth.KeyStandby)
	for what, current := range map[string]string{
		"the standby key": "kid-2", "unknown": "kid-7", "none": "", "current of another use": "kid-3",
	} {
		e.is(what, e.RotateKeys(e.ctx, current, next, after(time.Hour)), auth.ErrConflict)
	}
	alone := key(9, auth.KeyUseAPIKey, auth.KeyStandby)
	e.is("without a standby key there would be no current one", e.RotateKeys(e.ctx, "kid-3", alone, after(time.Hour)), auth.ErrConflict)
	unknown := key(9, auth.KeyUseRefresh, auth.KeyStandby)
	e.is("a use without keys", e.RotateKeys(e.ctx, "kid-1", unknown, after(time.Hour)), auth.ErrConflict)
	if err := e.RotateKeys(e.ctx, "kid-1", key(2, auth.KeyUseAccess, auth.KeyStandby), after(time.Hour)); err == nil {
		e.tb.Error("a kid was used twice")
	}
	e.wantKeys("nothing was changed", first, second, other)
}

func keyRevoke(_ *testing.T, e *env) {
	first, second := key(1, auth.KeyUseAccess, auth.KeyCurrent), key(2, auth.KeyUseAccess, auth.KeyStandby)
	e.ok("InstallKeys", e.InstallKeys(e.ctx, auth.KeyUseAccess, []auth.SigningKey{first, second}))
	e.is("current", e.RevokeKey(e.ctx, "kid-1", after(time.Hour)), auth.ErrConflict)
	e.is("standby", e.RevokeKey(e.ctx, "kid-2", after(time.Hour)), auth.ErrConflict)
	e.is("unknown", e.RevokeKey(e.ctx, "kid-9", after(time.Hour)), auth.ErrNotFound)
	e.wantKeys("nothing was changed", first, second)

	third := key(3, auth.KeyUseAccess, auth.KeyStandby)
	at := after(time.Hour)
	e.ok("RotateKeys", e.RotateKeys(e.ctx, "kid-1", third, at))
	first.Status, first.RetiredAt = auth.KeyPrevious, at
	second.Status, second.ActivatedAt = auth.KeyCurrent, at
	at = at.Add(time.Hour)
	e.ok("RevokeKey", e.RevokeKey(e.ctx, "kid-1", at))
	first.Status, first.RevokedAt = auth.KeyRevoked, at
	e.wantKeys("revoked", first, second, third)
}

func keyReplaceSealed(_ *testing.T, e *env) {
	first, second := key(1, auth.KeyUseAccess, auth.KeyCurrent), key(2, auth.KeyUseAccess, auth.KeyStandby)
	e.ok("InstallKeys", e.InstallKeys(e.ctx, auth.KeyUseAccess, []auth.SigningKey{first, second}))
	err := e.ReplaceSealed(e.ctx, map[string][]byte{"kid-1": {1}, "kid-2": {2}, "kid-9": {9}})
	e.is("one is unknown", err, auth.ErrNotFound)
	e.wantKeys("none was replaced", first, second)

	e.ok("ReplaceSealed", e.ReplaceSealed(e.ctx, map[string][]byte{"kid-1": {0, 7}, "kid-2": {0, 8}}))
	first.Sealed, second.Sealed = []byte{0, 7}, []byte{0, 8}
	e.wantKeys("replaced", first, second)
	e.ok("one of them", e.ReplaceSealed(e.ctx, map[string][]byte{"kid-2": {9}}))
	second.Sealed = []byte{9}
	e.wantKeys("one of them", first, second)
	e.ok("none", e.ReplaceSealed(e.ctx, nil))
	e.wantKeys("none", first, second)
}
