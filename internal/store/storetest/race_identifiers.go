package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func raceIdentifierCases() []testCase {
	return []testCase{
		{"one address, many accounts, every way to it", raceIdentifier},
		{"one code is good once", raceIdentifierCode},
		{"a former address is free at no moment", raceFormer},
	}
}

// raceIdentifier: whoever is first has the address, by whichever way, and nobody else.
func raceIdentifier(_ *testing.T, e *env) {
	for round := range 4 {
		first, address := 100*round, fmt.Sprintf("wanted%d@example.com", round)
		for n := 1; n <= racers; n++ {
			if n%4 != 0 {
				e.create(account(first + n))
			}
			if n%2 == 1 {
				e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(first+n, first+n, address)))
			}
		}
		won := e.oneWins("an address", together(racers, func(i int) error {
			n := first + i + 1
			switch (i + 1) % 4 {
			case 0:
				a := account(n)
				a.User.Email = address
				return e.CreateAccount(e.ctx, a)
			case 2:
				_, err := e.UpdateUser(e.ctx, userID(n), auth.UserPatch{At: after(time.Minute), Email: &address})
				return err
			}
			_, err := e.ProveIdentifier(e.ctx, proofOf(n, n))
			return err
		}), auth.ErrEmailTaken)
		u, err := e.UserByEmail(e.ctx, address, "authenticated")
		e.ok("UserByEmail", err)
		e.same("the winner has it", userID(first+won+1), u.ID)
	}
}

func raceIdentifierCode(_ *testing.T, e *env) {
	e.create(account(1))
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(1, 1, "further@example.com")))
	e.oneWins("ProveIdentifier", together(racers, func(i int) error {
		p := proofOf(1, 1)
		p.Audit.ID = fixedID(kindAudit, 740000+i)
		_, err := e.ProveIdentifier(e.ctx, p)
		return err
	}), auth.ErrNotFound)
	tries := 0
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(2, 1, "second@example.com")))
	for _, err := range together(racers, func(int) error {
		p := proofOf(2, 1)
		p.CodeHashes = []string{"wrong"}
		_, err := e.ProveIdentifier(e.ctx, p)
		return err
	}) {
		if errors.Is(err, auth.ErrNotFound) {
			tries++
		}
	}
	e.same("all refused", racers, tries)
	_, err := e.ProveIdentifier(e.ctx, proofOf(2, 1))
	e.is("and the code is dead", err, auth.ErrNotFound)
}

// raceFormer: while a primary address becomes one of the others, nobody gets hold of it.
func raceFormer(_ *testing.T, e *env) {
	for round := range 4 {
		owner := 100*round + 1
		e.create(account(owner))
		e.further(owner, owner, fmt.Sprintf("further%d@example.com", owner))
		promoted := 0
		for i, err := range together(racers, func(i int) error {
			n := owner + i + 1
			if i%4 == 0 {
				p := promotion(owner, owner, fmt.Sprintf("further%d@example.com", owner))
				p.Former.ID = identifierID(500000 + n)
				p.Patch.Audit[0].ID, p.Patch.Messages[0].ID = fixedID(kindAudit, 750000+n), fixedID(kindMessage, 750000+n)
				_, err := e.PromoteIdentifier(e.ctx, p)
				return err
			}
			a := account(n)
			a.User.Email = emailOf(owner)
			return e.CreateAccount(e.ctx, a)
		}) {
			switch {
			case i%4 == 0 && err == nil:
				promoted++
			case i%4 == 0:
				e.is("PromoteIdentifier", err, auth.ErrNotFound)
			default:
				e.is("CreateAccount", err, auth.ErrEmailTaken)
			}
		}
		e.same("promoted once", 1, promoted)
		e.finds("the former one", emailOf(owner), owner)
	}
}
