package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func raceOneTimeCases() []testCase {
	return []testCase{
		{"one code is redeemed once", func(_ *testing.T, e *env) { raceRedeem(e, false) }},
		{"one link is redeemed once", func(_ *testing.T, e *env) { raceRedeem(e, true) }},
		{"one authorization code is exchanged once", raceTakeFlow},
		{"one nonce is good once", raceNonce},
		{"wrong tries never exceed six", raceTries},
		{"wrong nonces never exceed six", raceNonceTries},
		{"both halves of a change at once", raceHalves},
		{"two messages at once are one", raceIssue},
		{"an address that many wait for", raceWait},
		{"nobody gets a message that somebody has", raceClaim},
		{"redeeming beside everything", raceRedeemBeside},
	}
}

func raceRedeem(e *env, link bool) {
	for round := range 3 {
		n := round + 1
		e.create(unproved(n))
		e.issue(n, token(n, n, auth.PurposeMagicLink, emailOf(n)))
		results := make([]auth.RedeemResult, racers)
		for _, err := range together(racers, func(i int) (err error) {
			r := byCode(n, emailOf(n), auth.PurposeMagicLink)
			if link {
				r = byLink(n, auth.PurposeMagicLink)
			}
			s := session(1000*n+i, 0)
			r.Session, r.Audit.ID = &s, fixedID(kindAudit, 300000+1000*n+i)
			results[i], err = e.RedeemOneTime(e.ctx, r)
			return err
		}) {
			e.ok("RedeemOneTime", err)
		}
		won, alive := 0, map[int]bool{}
		for i, res := range results {
			alive[1000*n+i] = res.Outcome == auth.RedeemDone
			if res.Outcome == auth.RedeemDone {
				won++
			} else {
				e.same("the others", auth.RedeemResult{}, res)
			}
		}
		e.same("winners", 1, won)
		e.wantAlive("one session", n, alive)
	}
}

func raceTakeFlow(_ *testing.T, e *env) {
	e.create(account(1))
	f, tok := flowState(1), token(1, 1, auth.PurposeMagicLink, emailOf(1))
	tok.FlowState = f.ID
	e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(1), At: t0, Tokens: []auth.OneTime{tok}, FlowState: &f}))
	r := byLink(1, auth.PurposeMagicLink)
	r.AuthCodeHash = "auth-code"
	e.redeem("link", r, auth.RedeemDone)
	e.oneWins("TakeFlowState", together(racers, func(int) error {
		got, _, err := e.TakeFlowState(e.ctx, "auth-code")
		if err == nil && got.UserID != userID(1) {
			return fmt.Errorf("flow of %s", got.UserID)
		}
		return err
	}), auth.ErrNotFound)
}

var errNo = errors.New("no")

func raceNonce(_ *testing.T, e *env) {
	e.create(account(1))
	for n := range 20 {
		e.issue(1, token(n, 1, auth.PurposeReauthenticate, emailOf(1)))
		e.oneWins("CheckNonce", together(racers, func(int) error {
			ok, err := e.CheckNonce(e.ctx, userID(1), []string{fmt.Sprintf("code-%d", n)}, t0, 6)
			if err == nil && !ok {
				return errNo
			}
			return err
		}), errNo)
	}
}

// raceTries: if each of 16 guessers saw the tries of none of the others, a code could be
// tried 96 times.
func raceTries(_ *testing.T, e *env) {
	e.create(account(1))
	for round := range 3 {
		right := token(round+1, 1, auth.PurposeMagicLink, emailOf(1))
		e.issue(1, right)
		for _, err := range together(5, func(i int) error {
			res, err := e.RedeemOneTime(e.ctx, byCode(100+i, emailOf(1), auth.PurposeMagicLink))
			if err == nil && res.Outcome != auth.RedeemRefused {
				return errNo
			}
			return err
		}) {
			e.ok("wrong", err)
		}
		// Five are counted, all of them: one more is the last.
		if round == 0 {
			e.redeem("after five", byCode(1, emailOf(1), auth.PurposeMagicLink), auth.RedeemDone)
			continue
		}
		e.redeem("the sixth", byCode(100, emailOf(1), auth.PurposeMagicLink), auth.RedeemRefused)
		e.redeem("burnt", byLink(round+1, auth.PurposeMagicLink), auth.RedeemRefused)
	}
	e.issue(1, token(9, 1, auth.PurposeMagicLink, emailOf(1)))
	for _, err := range together(racers, func(i int) error {
		_, err := e.RedeemOneTime(e.ctx, byCode(100+i, emailOf(1), auth.PurposeMagicLink))
		return err
	}) {
		e.ok("wrong", err)
	}
	e.redeem("burnt", byLink(9, auth.PurposeMagicLink), auth.RedeemRefused)
}

func raceNonceTries(_ *testing.T, e *env) {
	e.create(account(1))
	for n := 1; n <= 10; n++ {
		e.issue(1, token(n, 1, auth.PurposeReauthenticate, emailOf(1)))
		for _, err := range together(5, func(int) error {
			_, err := e.CheckNonce(e.ctx, userID(1), []string{"wrong"}, t0, 6)
			return err
		}) {
			e.ok("wrong", err)
		}
		if n%2 == 0 {
			e.nonce("after five", 1, t0, true, fmt.Sprintf("code-%d", n))
			continue
		}
		e.nonce("the sixth", 1, t0, false, "wrong")
		e.nonce("burnt", 1, t0, false, fmt.Sprintf("code-%d", n))
	}
}

// raceHalves: each of the two proofs could see the other one still there, and neither would
// be the second.
func raceHalves(_ *testing.T, e *env) {
	e.create(account(1))
	for round := range 5 {
		next := fmt.Sprintf("next%d@example.com", round)
		e.change(100*round, next)
		outcomes := make([]auth.RedeemOutcome, racers)
		for _, err := range together(racers, func(i int) error {
			r := byLink(100*round+i%2, bothHalves...)
			r.Session, r.Audit.ID = nil, fixedID(kindAudit, 300000+100*round+i)
			res, err := e.RedeemOneTime(e.ctx, r)
			outcomes[i] = res.Outcome
			return err
		}) {
			e.ok("RedeemOneTime", err)
		}
		count := map[auth.RedeemOutcome]int{}
		for _, o := range outcomes {
			count[o]++
		}
		e.same("outcomes", map[auth.RedeemOutcome]int{auth.RedeemHalf: 1, auth.RedeemDone: 1, auth.RedeemRefused: racers - 2}, count)
		e.same("address", next, e.user(1).Email)
	}
}

func raceIssue(_ *testing.T, e *env) {
	e.create(account(1))
	var sent []auth.Message
	for round := 1; round <= 8; round++ {
		at, base := after(time.Duration(round)*time.Minute), 100*round
		winner := base + e.oneWins("IssueOneTime", together(racers, func(i int) error {
			return e.IssueOneTime(e.ctx, auth.IssueOneTime{
				UserID: userID(1), At: at, NotSince: at.Add(-time.Minute), Messages: []auth.Message{message(base + i)},
				Tokens: []auth.OneTime{token(base+i, 1, auth.PurposeRecovery, emailOf(1))},
			})
		}), auth.ErrTooSoon)
		for n := base; n < base+racers; n++ {
			if n != winner {
				e.redeem("not sent", byLink(n, auth.PurposeRecovery), auth.RedeemRefused)
			}
		}
		e.redeem("the one that was sent", byLink(winner, auth.PurposeRecovery), auth.RedeemDone)
		sent = append(sent, message(winner))
	}
	e.wantQueued("one message each", sent...)
}

func raceWait(_ *testing.T, e *env) {
	for n := range racers {
		e.create(account(n))
		e.ok("IssueOneTime", e.IssueOneTime(e.ctx, auth.IssueOneTime{
			UserID: userID(n), At: t0, EmailChange: ptr(nextEmail), Tokens: []auth.OneTime{token(n, n, auth.PurposeEmailNew, nextEmail)},
		}))
	}
	winner := e.oneWins("RedeemOneTime", together(racers, func(i int) error {
		r := byCode(i, nextEmail, bothHalves...)
		res, err := e.RedeemOneTime(e.ctx, r)
		if err == nil && res.Outcome != auth.RedeemDone {
			return errNo
		}
		return err
	}), auth.ErrEmailTaken)
	u, err := e.UserByEmail(e.ctx, nextEmail, "authenticated")
	e.ok("UserByEmail", err)
	e.same("the winner", userID(winner), u.ID)
}

func raceClaim(_ *testing.T, e *env) {
	const queued = 300
	var messages []auth.Message
	for n := range queued {
		messages = append(messages, message(n))
	}
	e.ok("Enqueue", e.Enqueue(e.ctx, messages))
	var (
		mu  sync.Mutex
		got = map[auth.ID]int{}
		at  = after(time.Hour)
	)
	for i, err := range together(racers, func(i int) error {
		for {
			batch, err := e.ClaimMessages(e.ctx, at, lease, 7)
			if err != nil {
				return err
			}
			mu.Lock()
			for _, m := range batch {
				got[m.ID]++
			}
			done := len(got) == queued
			mu.Unlock()
			if done || len(batch) == 0 && i > 0 { // the first keeps at it: rows that others lock are skipped
				return nil
			}
			for _, m := range batch {
				if err := e.MessageSent(e.ctx, m.ID); err != nil {
					return err
				}
			}
		}
	}) {
		e.ok(fmt.Sprintf("claimer %d", i), err)
	}
	e.same("claimed", queued, len(got))
	for id, n := range got {
		if n != 1 {
			e.tb.Errorf("message %s was claimed %d times within one lease", id, n)
		}
	}
}

// raceRedeemBeside looks for deadlocks and for sessions that outlive their account.
func raceRedeemBeside(_ *testing.T, e *env) {
	for n := 1; n <= 5; n++ {
		e.create(prepared(n))
		e.sign(n, n)
		e.issue(n, token(10*n, n, auth.PurposeMagicLink, emailOf(n)), token(10*n+1, n, auth.PurposeInvite, emailOf(n)),
			token(10*n+2, n, auth.PurposeReauthenticate, emailOf(n)))
		for i, err := range together(racers, func(i int) (err error) {
			purposes := []auth.Purpose{auth.PurposeMagicLink, auth.PurposeInvite}
			switch i % 8 {
			case 0:
				_, err = e.RedeemOneTime(e.ctx, byLink(10*n, purposes...))
			case 1:
				_, err = e.RedeemOneTime(e.ctx, byCode(10*n+1, emailOf(n), purposes...))
			case 2, 3:
				_, err = e.RedeemOneTime(e.ctx, byCode(99, emailOf(n), purposes...))
			case 4:
				_, err = e.CheckNonce(e.ctx, userID(n), []string{"wrong"}, t0, 6)
			case 5:
				_, err = e.UpdateUser(e.ctx, userID(n), auth.UserPatch{At: t0, PasswordHash: ptr("x"), Revoke: auth.RevokeAll})
			case 6:
				err = e.IssueOneTime(e.ctx, auth.IssueOneTime{UserID: userID(n), At: t0, Tokens: []auth.OneTime{
					token(1000*n+i, n, auth.PurposeMagicLink, emailOf(n)), token(1000*n+500+i, n, auth.PurposeInvite, emailOf(n)),
				}})
			case 7:
				if i < 8 {
					_, err = e.DeleteExpiredOneTimes(e.ctx, after(2*time.Hour), 100)
				} else {
					err = e.DeleteUser(e.ctx, userID(n), audit(1000*n+i, "user_deleted", "team"))
				}
			}
			return err
		}) {
			if err != nil && !errors.Is(err, auth.ErrNotFound) {
				e.tb.Errorf("%d: %v", i, err)
			}
		}
		_, err := e.UserByID(e.ctx, userID(n))
		e.is("deleted", err, auth.ErrNotFound)
		e.redeem("its tokens", byCode(10*n, emailOf(n), auth.PurposeMagicLink), auth.RedeemRefused)
	}
}
