package storetest

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func deviceCases() []testCase {
	return []testCase{
		{"the owner hears of a new device, once, and not of the first", devicesNotice},
		{"a refused sign-in leaves no device", devicesRefused},
		{"forgets devices that were not seen for long", devicesForgotten},
	}
}

// signInFrom starts a session from a device and gives the notices that came of it.
func (e *env) signInFrom(n int, device string, at time.Time) int {
	e.tb.Helper()
	s := session(n, 1)
	s.CreatedAt, s.UpdatedAt = at, at
	m := message(500 + n)
	m.CreatedAt, m.NotBefore = at, at
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(800+n, "login", "account"), Device: device, NewDevice: &m}))
	return e.claimed(after(1000 * time.Hour))
}

// claimed takes everything out of the queue and gives the number.
func (e *env) claimed(at time.Time) int {
	e.tb.Helper()
	got, err := e.ClaimMessages(e.ctx, at, time.Minute, 100)
	e.ok("ClaimMessages", err)
	for _, m := range got {
		e.ok("MessageSent", e.MessageSent(e.ctx, m.ID))
	}
	return len(got)
}

func devicesNotice(_ *testing.T, e *env) {
	e.create(account(1))
	e.same("first device", 0, e.signInFrom(1, "laptop", t0))
	e.same("again", 0, e.signInFrom(2, "laptop", after(time.Hour)))
	e.same("second device", 1, e.signInFrom(3, "phone", after(2*time.Hour)))
	e.same("second device again", 0, e.signInFrom(4, "phone", after(48*time.Hour)))
	e.same("not kept", 0, e.signInFrom(5, "", after(49*time.Hour)))
	s := session(6, 1)
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(806, "login", "account"), Device: "tablet"}))
	e.same("nobody to tell", 0, e.claimed(after(1000*time.Hour)))
}

func devicesRefused(_ *testing.T, e *env) {
	a := account(1)
	a.User.BannedUntil = after(time.Hour)
	e.create(a)
	s, m := session(1, 1), message(501)
	e.is("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(801, "login", "account"), Device: "laptop", NewDevice: &m}), auth.ErrNotFound)
	n, err := e.DeleteOldDevices(e.ctx, after(1000*time.Hour), 100)
	e.ok("DeleteOldDevices", err)
	e.same("devices", int64(0), n)
	e.same("messages", 0, e.claimed(after(1000*time.Hour)))
}

func devicesForgotten(_ *testing.T, e *env) {
	e.create(account(1))
	e.signInFrom(1, "laptop", t0)
	e.signInFrom(2, "phone", after(time.Hour))
	e.signInFrom(3, "tablet", after(2*time.Hour))
	e.signInFrom(4, "laptop", after(72*time.Hour))
	for _, want := range []int64{0, 1, 1, 0} {
		before := after(3 * time.Hour)
		if want == 0 {
			before = after(time.Hour)
		}
		n, err := e.DeleteOldDevices(e.ctx, before, 1)
		e.ok("DeleteOldDevices", err)
		e.same("forgotten", want, n)
	}
	e.same("it is new again", 1, e.signInFrom(5, "phone", after(73*time.Hour)))
	e.same("the one that was seen is not", 0, e.signInFrom(6, "laptop", after(74*time.Hour)))
}
