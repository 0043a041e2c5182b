package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func raceMovingCases() []testCase {
	return []testCase{
		{"one file imported many times at once", raceMoving},
		{"an import beside sign-ups", raceMovingSignUp},
		{"one tenant moved many times at once", raceMoveTenant},
	}
}

// raceMoving: however many read the file, each account is there once, with one message.
func raceMoving(_ *testing.T, e *env) {
	const accounts, size = 40, 8
	var counts [racers]map[auth.MoveOutcome]int
	for i, err := range together(racers, func(i int) error {
		counts[i] = map[auth.MoveOutcome]int{}
		for from := 0; from < accounts; from += size {
			var b auth.MoveBatch
			for n := from + 1; n <= from+size; n++ {
				a := moved(n)
				a.User.ID, a.User.Identities[0].ID = userID(1000*i+n), identityID(1000*i+n)
				a.User.Identities[0].ProviderID = a.User.ID.String()
				a.Messages = []auth.Message{message(1000*i + n)}
				b.Accounts = append(b.Accounts, a)
			}
			b.Progress = progress("import", int64(from+size))
			got, err := e.MoveAccounts(e.ctx, b)
			if err != nil {
				return err
			}
			for _, o := range got {
				counts[i][o]++
			}
		}
		return nil
	}) {
		e.ok(fmt.Sprint("import ", i), err)
	}
	sum := map[auth.MoveOutcome]int{}
	for i := range counts {
		for o, n := range counts[i] {
			sum[o] += n
		}
	}
	e.same("outcomes", map[auth.MoveOutcome]int{auth.Moved: accounts, auth.MovePresent: (racers - 1) * accounts}, sum)
	e.same("accounts", accounts, len(e.people(auth.PersonQuery{})))
	e.same("messages", accounts, e.claimed(after(100*time.Hour)))
}

func raceMovingSignUp(_ *testing.T, e *env) {
	const accounts = 20
	outcomes := make([][]auth.MoveOutcome, 2)
	signedUp := 0
	for i, err := range together(racers, func(i int) error {
		if i < 2 {
			var b auth.MoveBatch
			for n := 1; n <= accounts; n++ {
				b.Accounts = append(b.Accounts, moved(n))
			}
			b.Progress = progress("import", accounts)
			var err error
			outcomes[i], err = e.MoveAccounts(e.ctx, b)
			return err
		}
		a := account(100 + i)
		a.User.Email = emailOf(i)
		return e.CreateAccount(e.ctx, a)
	}) {
		switch {
		case i >= 2 && err == nil:
			signedUp++
		case i < 2 || !errors.Is(err, auth.ErrEmailTaken):
			e.ok(fmt.Sprint(i), err)
		}
	}
	moved := 0
	for i := range outcomes {
		for _, o := range outcomes[i] {
			if o == auth.Moved {
				moved++
			}
		}
	}
	e.same("each address once", accounts, moved+signedUp)
	e.same("accounts", accounts, len(e.people(auth.PersonQuery{})))
}

func raceMoveTenant(_ *testing.T, e *env) {
	made := make([]bool, racers)
	ids := make([]auth.ID, racers)
	for i, err := range together(racers, func(i int) error {
		t := tenant(i + 1)
		t.Slug = "wanted"
		got, first, err := e.MoveTenant(e.ctx, auth.TenantMove{Source: "elsewhere", ExternalID: "7", Tenant: t, Audit: tenantAudit(i + 1)})
		made[i], ids[i] = first, got.ID
		return err
	}) {
		e.ok(fmt.Sprint(i), err)
	}
	count := 0
	for i := range made {
		if made[i] {
			count++
		}
		e.same("one tenant", ids[0], ids[i])
	}
	e.same("made once", 1, count)
}
