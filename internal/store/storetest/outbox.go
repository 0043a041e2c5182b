package storetest

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func outboxCases() []testCase {
	return []testCase{
		{"claimed, hidden, and back when the claimer has died", outboxLease},
		{"in order, and no more than asked", outboxOrder},
		{"failures wait, dead letters are kept and retried", outboxFailures},
		{"a claimer that was too slow changes nothing", outboxSlow},
		{"all messages of a call or none", outboxWhole},
		{"old dead letters are removed", outboxClean},
	}
}

const lease = time.Minute

func (e *env) claim(what string, at time.Time, limit int, want ...auth.Message) {
	e.tb.Helper()
	got, err := e.ClaimMessages(e.ctx, at, lease, limit)
	e.ok(what, err)
	e.same(what, want, got)
}

// claimed is what a message looks like after its n-th claim, at the given time.
func claimed(m auth.Message, n int, at time.Time) auth.Message {
	m.Attempts, m.NotBefore = n, at.Add(lease)
	return m
}

func (e *env) dead(what string, limit int, want ...auth.Message) {
	e.tb.Helper()
	got, err := e.DeadMessages(e.ctx, limit)
	e.ok(what, err)
	e.same(what, want, got)
}

// outboxLease is a kill -9 in the middle, by the clock: nothing is lost, and the message
// that comes again has the id it had.
func outboxLease(_ *testing.T, e *env) {
	m := message(1)
	m.LastError = "from before"
	e.ok("Enqueue", e.Enqueue(e.ctx, []auth.Message{m}))
	at := m.NotBefore
	e.claim("before its time", at.Add(-time.Microsecond), 10)
	e.claim("in time", at, 10, claimed(m, 1, at))
	e.claim("while somebody has it", at, 10)
	e.claim("until the lease ends", at.Add(lease-time.Microsecond), 10)
	at = at.Add(lease)
	e.claim("when it has ended", at, 10, claimed(m, 2, at))
	e.ok("MessageSent", e.MessageSent(e.ctx, m.ID))
	e.claim("sent", after(24*time.Hour), 10)
	e.ok("MessageSent again", e.MessageSent(e.ctx, m.ID))
	e.dead("sent", 10)
	e.ok("MessageFailed of a sent one", e.MessageFailed(e.ctx, auth.MessageFailure{ID: m.ID, Error: "x", NotBefore: t0, At: t0}))
	e.claim("stays sent", after(24*time.Hour), 10)
}

func outboxOrder(_ *testing.T, e *env) {
	var messages []auth.Message
	for _, n := range []int{3, 1, 5, 2, 4} {
		messages = append(messages, message(n))
	}
	e.ok("Enqueue", e.Enqueue(e.ctx, messages))
	e.ok("Enqueue nothing", e.Enqueue(e.ctx, nil))
	at := after(time.Hour)
	e.claim("nothing asked for", at, 0)
	e.claim("the oldest two", at, 2, claimed(message(1), 1, at), claimed(message(2), 1, at))
	e.claim("the rest", at, 10, claimed(message(3), 1, at), claimed(message(4), 1, at), claimed(message(5), 1, at))
}

func outboxFailures(_ *testing.T, e *env) {
	e.ok("Enqueue", e.Enqueue(e.ctx, []auth.Message{message(1), message(2), message(3)}))
	at := after(time.Hour)
	e.same("all", 3, len(e.queuedAt(at)))
	fail := func(n int, notBefore time.Time, dead bool, when time.Time) {
		e.tb.Helper()
		e.ok("MessageFailed", e.MessageFailed(e.ctx, auth.MessageFailure{
			ID: message(n).ID, Error: "550 no such mailbox", NotBefore: notBefore, Dead: dead, At: when, Attempts: 1,
		}))
	}
	fail(1, at.Add(2*time.Hour), false, at)
	fail(2, time.Time{}, true, at.Add(time.Second))
	fail(3, at, true, at.Add(2*time.Second))
	e.ok("of nobody", e.MessageFailed(e.ctx, auth.MessageFailure{ID: message(9).ID, Error: "x", NotBefore: at, At: at}))

	e.claim("they wait", at.Add(2*time.Hour-time.Microsecond), 10)
	again := message(1)
	again.LastError = "550 no such mailbox"
	at = at.Add(2 * time.Hour)
	e.claim("and come back", at, 10, claimed(again, 2, at))

	third := message(3)
	third.Attempts, third.LastError, third.NotBefore, third.DeadAt = 1, again.LastError, after(time.Hour), after(time.Hour+2*time.Second)
	e.dead("newest first", 1, third)
	e.dead("none asked for", 0)
	e.ok("MessageFailed of a dead one", e.MessageFailed(e.ctx, auth.MessageFailure{ID: third.ID, Error: "later", NotBefore: at, At: at}))
	e.dead("stays as it was", 1, third)

	e.is("RetryMessage of a live one", e.RetryMessage(e.ctx, message(1).ID, at), auth.ErrNotFound)
	e.is("RetryMessage of nobody", e.RetryMessage(e.ctx, message(9).ID, at), auth.ErrNotFound)
	at = at.Add(time.Hour)
	e.ok("RetryMessage", e.RetryMessage(e.ctx, third.ID, at))
	e.is("RetryMessage twice", e.RetryMessage(e.ctx, third.ID, at), auth.ErrNotFound)
	e.ok("MessageSent", e.MessageSent(e.ctx, message(1).ID))
	e.claim("not before", at.Add(-time.Microsecond), 10)
	third.DeadAt = time.Time{}
	e.claim("from the beginning", at, 10, claimed(third, 1, at))
	dead, err := e.DeadMessages(e.ctx, 10)
	e.ok("DeadMessages", err)
	e.same("one is left", 1, len(dead))
}

func (e *env) queuedAt(at time.Time) []auth.Message {
	e.tb.Helper()
	messages, err := e.ClaimMessages(e.ctx, at, lease, 1000)
	e.ok("ClaimMessages", err)
	return messages
}

// The first claimer hangs beyond its lease; the second has the message. Whatever the first
// says then, the second's claim stays, or a third would send it a second time.
func outboxSlow(_ *testing.T, e *env) {
	e.ok("Enqueue", e.Enqueue(e.ctx, []auth.Message{message(1)}))
	first := after(time.Hour)
	e.claim("the first", first, 1, claimed(message(1), 1, first))
	second := first.Add(lease)
	e.claim("the second", second, 1, claimed(message(1), 2, second))
	for _, dead := range []bool{true, false} {
		e.ok("MessageFailed", e.MessageFailed(e.ctx, auth.MessageFailure{
			ID: message(1).ID, Error: "slow", NotBefore: second, Dead: dead, At: second, Attempts: 1,
		}))
		e.claim("the claim of the second stays", second.Add(lease-time.Microsecond), 1)
	}
	e.dead("it is not dead", 10)
	e.ok("MessageFailed", e.MessageFailed(e.ctx, auth.MessageFailure{
		ID: message(1).ID, Error: "down", NotBefore: second, At: second, Attempts: 2,
	}))
	want := claimed(message(1), 3, second)
	want.LastError = "down"
	e.claim("the second itself gives it back", second, 1, want)
}

func outboxWhole(_ *testing.T, e *env) {
	e.ok("Enqueue", e.Enqueue(e.ctx, []auth.Message{message(1)}))
	e.is("an id twice", e.Enqueue(e.ctx, []auth.Message{message(2), message(1), message(3)}), auth.ErrIDTaken)
	a := unproved(1)
	a.Messages = []auth.Message{message(1)}
	e.is("an id twice, of a sign-up", e.CreateAccount(e.ctx, a), auth.ErrIDTaken)
	_, err := e.UserByID(e.ctx, userID(1))
	e.is("no account without its message", err, auth.ErrNotFound)
	empty := message(4)
	empty.Sealed, empty.NotBefore = nil, time.Time{}
	e.ok("Enqueue", e.Enqueue(e.ctx, []auth.Message{empty}))
	e.wantQueued("whole calls", message(1), empty)
}

func outboxClean(_ *testing.T, e *env) {
	for n := 1; n <= 5; n++ {
		m := message(n)
		if n > 1 {
			m.DeadAt = after(time.Duration(n) * time.Hour)
		}
		e.ok("Enqueue", e.Enqueue(e.ctx, []auth.Message{m}))
	}
	for i, want := range []int64{2, 1, 0} {
		n, err := e.DeleteDeadMessages(e.ctx, after(5*time.Hour), 2)
		e.ok("DeleteDeadMessages", err)
		e.same("removed", want, n)
		if i == 0 { // the oldest first
			dead, err := e.DeadMessages(e.ctx, 10)
			e.ok("DeadMessages", err)
			e.same("left", []auth.ID{message(5).ID, message(4).ID}, []auth.ID{dead[0].ID, dead[1].ID})
		}
	}
	n, err := e.DeleteDeadMessages(e.ctx, after(500*time.Hour), 0)
	e.ok("DeleteDeadMessages", err)
	e.same("nothing asked for", int64(0), n)
	e.same("what is not dead stays", 1, len(e.queued()))
}
