package storetest

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// benchUsersEnv names the variable that says how many accounts exist before the
// benchmarks start; 1,000 when it is not set. Goal: the cost at a million is within 1.2
// times the cost at a thousand.
const benchUsersEnv = "CARDEA_BENCH_USERS"

// Bench measures the hot paths, with allocations, one call at a time and from several
// goroutines. All of them share one store.
func Bench(b *testing.B, f Factory) {
	users := benchUsers(b)
	e := newEnv(b, f)
	for n := 1; n <= users; n++ {
		a := account(n)
		s := session(n, n)
		a.Session, a.Audit = &s, nil
		e.create(a)
	}
	// Users are visited in steps that are coprime to most counts, so that neither the
	// database's cache nor an index page is always the one just used.
	pick := func(i int64) int { return int(i*7919%int64(users)) + 1 }
	next := int64(users)

	e.measure(b, "UserByEmail", func(i int64) error {
		_, err := e.UserByEmail(e.ctx, emailOf(pick(i)), "authenticated")
		return err
	})
	e.measure(b, "UserWithSession", func(i int64) error {
		r, err := e.UserWithSession(e.ctx, userID(pick(i)), sessionID(pick(i)), t0)
		if err == nil && !r.Session {
			return fmt.Errorf("session %d is not alive", pick(i))
		}
		return err
	})
	e.measure(b, "StartSession", func(i int64) error {
		n := int(atomic.AddInt64(&next, 1))
		return e.start(auth.SessionStart{
			Session: session(n, pick(i)), Audit: audit(n, "login", "account"), Identity: auth.ProviderEmail,
		})
	})
	e.measure(b, "CreateAccount", func(int64) error {
		n := int(atomic.AddInt64(&next, 1))
		a := account(n)
		s := session(n, n)
		a.Session = &s
		return e.CreateAccount(e.ctx, a)
	})
	e.benchOneTimes(b, pick, &next)
	counters := make([]atomic.Int64, users+1)
	e.measure(b, "RotateRefresh", func(i int64) error {
		// Two goroutines may meet at one session: the loser then presents the parent, within
		// its grace time, which is an answer too. All other outcomes are mistakes.
		n := pick(i)
		c := counters[n].Load()
		r, err := e.RotateRefresh(e.ctx, rotation(n, c, after(time.Second)))
		if err != nil {
			return err
		}
		counters[n].CompareAndSwap(c, r.Session.Counter)
		if r.Outcome != auth.Rotated && r.Outcome != auth.Replayed {
			return fmt.Errorf("session %d, counter %d: outcome %d", n, c, r.Outcome)
		}
		return nil
	})
}

func benchUsers(b *testing.B) int {
	users := 1000
	if v := os.Getenv(benchUsersEnv); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			b.Fatalf("%s=%q is not a number of users", benchUsersEnv, v)
		}
		users = n
	}
	return users
}

// benchOneTimes measures messages and codes. Each round trip of a code is an issue and a
// redemption; redeeming alone can't be repeated.
func (e *env) benchOneTimes(b *testing.B, pick func(int64) int, next *int64) {
	issue := func(i int64, messages int) (owner, n int, err error) {
		n, owner = int(atomic.AddInt64(next, 1)), pick(i)
		issue := auth.IssueOneTime{
			UserID: userID(owner), At: t0, Tokens: []auth.OneTime{token(n, owner, auth.PurposeMagicLink, emailOf(owner))},
			Audit: []auth.AuditEntry{audit(n, "user_recovery_requested", "user")},
		}
		for range messages {
			issue.Messages = append(issue.Messages, message(n))
		}
		return owner, n, e.IssueOneTime(e.ctx, issue)
	}
	e.measure(b, "IssueOneTime", func(i int64) error {
		_, _, err := issue(i, 1)
		return err
	})
	e.measure(b, "IssueAndRedeemOneTime", func(i int64) error {
		owner, n, err := issue(i, 0)
		if err != nil {
			return err
		}
		r := byCode(n, emailOf(owner), auth.PurposeMagicLink)
		s := session(n, owner)
		r.Session, r.Audit.ID = &s, fixedID(kindAudit, n+1<<30)
		// Somebody may have replaced the token meanwhile: then it is refused.
		_, err = e.RedeemOneTime(e.ctx, r)
		return err
	})
	e.measure(b, "RedeemWrongCode", func(i int64) error {
		_, err := e.RedeemOneTime(e.ctx, byCode(0, emailOf(pick(i)), auth.PurposeMagicLink))
		return err
	})
	e.measure(b, "Enqueue", func(int64) error {
		return e.Enqueue(e.ctx, []auth.Message{message(int(atomic.AddInt64(next, 1)))})
	})
	// One call sends what another has enqueued, in batches as the job takes them. Batches are
	// empty when the queue is: an idle job asks all the time.
	e.measure(b, "ClaimAndSend", func(i int64) error {
		messages, err := e.ClaimMessages(e.ctx, after(time.Duration(i)*time.Hour+1<<50), lease, 10)
		for _, m := range messages {
			if err == nil {
				err = e.MessageSent(e.ctx, m.ID)
			}
		}
		return err
	})
}

// measure runs call b.N times in a row, then in parallel. call gets a number that is
// new each time.
func (e *env) measure(b *testing.B, name string, call func(i int64) error) {
	b.Helper()
	var i atomic.Int64
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := call(i.Add(1)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"Parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := call(i.Add(1)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
