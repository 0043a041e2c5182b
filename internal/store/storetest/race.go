package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const racers = 16

func raceCases() []testCase {
	return []testCase{
		{"one sign-up of one address wins", raceSignUp},
		{"50 refreshes of one token (A7.1)", raceRefresh},
		{"the parent after its grace", raceParent},
		{"reuse beside refresh leaves the session dead (A7.2)", raceReuse},
		{"first keys", raceInstall},
		{"rotation of keys", raceRotateKeys},
		{"metadata keys are all kept", raceMetadata},
		{"sign-out beside refresh", raceSignOut},
		{"one address for two accounts", raceEmail},
		{"ban beside sign-in", raceBan},
		{"deletion beside everything", raceDelete},
	}
}

// together calls f from n goroutines at once, as near as they come, and gives the errors in order.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneWins fails the test unless exactly one error is nil and all others are lost. It
// gives the number of the winner.
func (e *env) oneWins(what string, errs []error, lost error) int {
	e.tb.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			e.tb.Fatalf("%s: both %d and %d won", what, winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, lost):
			e.tb.Errorf("%s: %d: %v, want %v", what, i, err, lost)
		}
	}
	if winner < 0 {
		e.tb.Fatalf("%s: nobody won", what)
	}
	return winner
}

func raceSignUp(_ *testing.T, e *env) {
	errs := together(racers, func(i int) error {
		a := account(i + 1)
		a.User.Email = "wanted@example.com"
		s := session(i+1, i+1)
		a.Session = &s
		return e.CreateAccount(e.ctx, a)
	})
	winner := e.oneWins("CreateAccount", errs, auth.ErrEmailTaken)
	u, err := e.UserByEmail(e.ctx, "wanted@example.com", "authenticated")
	e.ok("UserByEmail", err)
	e.same("the winner", userID(winner+1), u.ID)
	page, err := e.ListUsers(e.ctx, auth.UserQuery{Aud: "authenticated", SortBy: "created_at", Page: 1, PerPage: 100})
	e.ok("ListUsers", err)
	e.same("accounts", int64(1), page.Total)
	e.wantAlive("the winner", winner+1, map[int]bool{winner + 1: true})
	e.wantAudit("one sign-up", account(winner + 1).Audit[0])
}

// rotateTogether presents one counter n times at one moment and counts the outcomes.
// Every usable answer must carry the same current token.
func (e *env) rotateTogether(n int, counter int64, at time.Time) map[auth.RotationOutcome]int {
	e.tb.Helper()
	results := make([]auth.RotationResult, n)
	for i, err := range together(n, func(i int) (err error) {
		results[i], err = e.RotateRefresh(e.ctx, rotation(1, counter, at))
		return err
	}) {
		e.ok(fmt.Sprintf("RotateRefresh %d", i), err)
	}
	outcomes := map[auth.RotationOutcome]int{}
	tokens := map[int64]bool{}
	for i := range results {
		outcomes[results[i].Outcome]++
		tokens[results[i].Session.Counter] = true
	}
	if len(tokens) != 1 {
		e.tb.Errorf("%d different tokens were given: %v", len(tokens), tokens)
	}
	return outcomes
}

func raceRefresh(_ *testing.T, e *env) {
	e.create(account(1))
	e.sign(1, 1)
	const n = 50
	at := after(time.Hour)
	for round := range int64(3) {
		got := e.rotateTogether(n, round, at)
		e.same("outcomes", map[auth.RotationOutcome]int{auth.Rotated: 1, auth.Replayed: n - 1}, got)
		at = at.Add(time.Hour)
	}
	r, err := e.RotateRefresh(e.ctx, rotation(1, 3, at))
	e.ok("RotateRefresh", err)
	e.same("one live token", [3]int64{int64(auth.Rotated), 4, 3}, [3]int64{int64(r.Outcome), r.Session.Counter, r.Session.Parent})
}

func raceParent(_ *testing.T, e *env) {
	e.create(account(1))
	s := session(1, 1)
	s.Counter, s.Parent = 5, 4
	e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(500, "login", "account")}))
	got := e.rotateTogether(racers, 4, after(time.Hour))
	e.same("outcomes", map[auth.RotationOutcome]int{auth.Rotated: 1, auth.Replayed: racers - 1}, got)
	r, err := e.RotateRefresh(e.ctx, rotation(1, 5, after(time.Hour+time.Second)))
	e.ok("RotateRefresh", err)
	e.same("the token that was lost on the way is an orphan", auth.Reused, r.Outcome)
}

func raceReuse(_ *testing.T, e *env) {
	e.create(account(1))
	for round := range 5 {
		n := 10 + round
		s := session(n, 1)
		s.Counter, s.Parent = 5, 4
		e.ok("StartSession", e.start(auth.SessionStart{Session: s, Audit: audit(500+n, "login", "account")}))
		reused := make([]bool, racers)
		for i, err := range together(racers, func(i int) error {
			counter := int64(5)
			if i%2 == 1 {
				counter = 2 // a copy from long ago
			}
			r := rotation(n, counter, after(time.Hour))
			r.ReuseAudit.ID = fixedID(kindAudit, 10000+n*100+i)
			got, err := e.RotateRefresh(e.ctx, r)
			reused[i] = got.Outcome == auth.Reused
			return err
		}) {
			if err != nil && !errors.Is(err, auth.ErrNotFound) {
				e.tb.Errorf("RotateRefresh %d: %v", i, err)
			}
		}
		found := 0
		for _, r := range reused {
			if r {
				found++
			}
		}
		e.same("reuse is found once", 1, found)
		e.wantAlive("after reuse", 1, map[int]bool{n: false})
	}
}

func raceInstall(_ *testing.T, e *env) {
	errs := together(racers, func(i int) error {
		return e.InstallKeys(e.ctx, auth.KeyUseAccess, []auth.SigningKey{
			key(2*i, auth.KeyUseAccess, auth.KeyCurrent), key(2*i+1, auth.KeyUseAccess, auth.KeyStandby),
		})
	})
	i := e.oneWins("InstallKeys", errs, auth.ErrConflict)
	e.wantKeys("the winner's", key(2*i, auth.KeyUseAccess, auth.KeyCurrent), key(2*i+1, auth.KeyUseAccess, auth.KeyStandby))
}

func raceRotateKeys(_ *testing.T, e *env) {
	first, second := key(1, auth.KeyUseAccess, auth.KeyCurrent), key(2, auth.KeyUseAccess, auth.KeyStandby)
	e.ok("InstallKeys", e.InstallKeys(e.ctx, auth.KeyUseAccess, []auth.SigningKey{first, second}))
	at := after(time.Hour)
	errs := together(racers, func(i int) error {
		return e.RotateKeys(e.ctx, "kid-1", key(10+i, auth.KeyUseAccess, auth.KeyStandby), at)
	})
	i := e.oneWins("RotateKeys", errs, auth.ErrConflict)
	first.Status, first.RetiredAt = auth.KeyPrevious, at
	second.Status, second.ActivatedAt = auth.KeyCurrent, at
	e.wantKeys("rotated once", first, second, key(10+i, auth.KeyUseAccess, auth.KeyStandby))
}

func raceMetadata(_ *testing.T, e *env) {
	e.create(account(1))
	want := map[string]any{}
	for i, err := range together(racers*2, func(i int) error {
		set := map[string]json.RawMessage{fmt.Sprintf("k%d", i): json.RawMessage(fmt.Sprint(i))}
		p := auth.UserPatch{At: t0, UserMetadata: auth.MetadataPatch{Set: set}}
		if i%2 == 1 {
			p.Identities = []auth.Identity{{
				ID: identityID(100 + i), UserID: userID(1), Provider: auth.ProviderEmail, ProviderID: userID(1).String(),
				Data: json.RawMessage(fmt.Sprintf(`{"k%d":%d}`, i, i)), CreatedAt: t0, UpdatedAt: t0,
			}}
		}
		_, err := e.UpdateUser(e.ctx, userID(1), p)
		return err
	}) {
		e.ok(fmt.Sprintf("UpdateUser %d", i), err)
		want[fmt.Sprintf("k%d", i)] = i
	}
	u := e.user(1)
	doc, err := json.Marshal(want)
	e.ok("Marshal", err)
	e.same("metadata", json.RawMessage(doc), u.UserMetadata)
	e.same("identities", 1, len(u.Identities))
	for i := 0; i < racers*2; i += 2 {
		delete(want, fmt.Sprintf("k%d", i))
	}
	want["sub"], want["email"] = userID(1).String(), emailOf(1)
	doc, err = json.Marshal(want)
	e.ok("Marshal", err)
	e.same("identity data", json.RawMessage(doc), u.Identities[0].Data)
}

func raceSignOut(_ *testing.T, e *env) {
	e.create(account(1))
	for round := range 5 {
		n := 10 + round
		e.sign(n, 1)
		ended := make([]int64, racers)
		for i, err := range together(racers, func(i int) (err error) {
			if i%2 == 0 {
				_, err = e.RotateRefresh(e.ctx, rotation(n, 0, after(time.Hour)))
				return err
			}
			ended[i], err = e.EndSessions(e.ctx, auth.EndSessions{
				UserID: userID(1), SessionID: sessionID(n), Which: auth.RevokeAll, Audit: audit(20000+n*100+i, "logout", "account"),
			})
			return err
		}) {
			if err != nil && !errors.Is(err, auth.ErrNotFound) {
				e.tb.Errorf("%d: %v", i, err)
			}
		}
		var sum int64
		for _, k := range ended {
			sum += k
		}
		e.same("ended once", int64(1), sum)
		e.wantAlive("after the sign-out", 1, map[int]bool{n: false})
	}
}

func raceEmail(_ *testing.T, e *env) {
	for n := 1; n <= racers; n++ {
		e.create(account(n))
	}
	errs := together(racers, func(i int) error {
		_, err := e.UpdateUser(e.ctx, userID(i+1), auth.UserPatch{At: after(time.Hour), Email: ptr("wanted@example.com")})
		return err
	})
	winner := e.oneWins("UpdateUser", errs, auth.ErrEmailTaken) + 1
	for n := 1; n <= racers; n++ {
		want := account(n).User
		if n == winner {
			want.Email, want.UpdatedAt = "wanted@example.com", after(time.Hour)
		}
		e.same("account", want, e.user(n))
	}
}

// raceBan: an operator bans and ends all sessions while the person signs in. Whatever
// comes first, no session is left.
func raceBan(_ *testing.T, e *env) {
	for n := 1; n <= 5; n++ {
		e.create(account(n))
		alive := map[int]bool{}
		for i := range racers {
			alive[n*100+i] = false
		}
		for i, err := range together(racers, func(i int) error {
			if i == racers/2 {
				_, err := e.UpdateUser(e.ctx, userID(n), auth.UserPatch{At: t0, BannedUntil: ptr(after(time.Hour)), Revoke: auth.RevokeAll})
				return err
			}
			return e.start(auth.SessionStart{Session: session(n*100+i, n), Audit: audit(1000*n+i, "login", "account")})
		}) {
			if err != nil && (i == racers/2 || !errors.Is(err, auth.ErrNotFound)) {
				e.tb.Errorf("%d: %v", i, err)
			}
		}
		e.wantAlive("banned", n, alive)
	}
}

func raceDelete(_ *testing.T, e *env) {
	for n := 1; n <= 5; n++ {
		e.create(account(n))
		e.sign(n, n)
		errs := together(racers, func(i int) (err error) {
			switch i % 4 {
			case 0:
				return e.DeleteUser(e.ctx, userID(n), audit(1000*n+i, "user_deleted", "team"))
			case 1:
				_, err = e.UpdateUser(e.ctx, userID(n), auth.UserPatch{At: t0, Role: ptr("x")})
			case 2:
				return e.start(auth.SessionStart{Session: session(n*100+i, n), Audit: audit(1000*n+i, "login", "account")})
			default:
				_, err = e.RotateRefresh(e.ctx, rotation(n, 0, after(time.Hour)))
			}
			return err
		})
		deleted := 0
		for i, err := range errs {
			if err != nil && !errors.Is(err, auth.ErrNotFound) {
				e.tb.Errorf("%d: %v", i, err)
			}
			if err == nil && i%4 == 0 {
				deleted++
			}
		}
		e.same("deleted once", 1, deleted)
		_, err := e.UserByID(e.ctx, userID(n))
		e.is("UserByID", err, auth.ErrNotFound)
	}
}
