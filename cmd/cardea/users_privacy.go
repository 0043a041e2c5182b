package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/auth"
)

type usersEraseCmd struct {
	commonFlags
	User   string `arg:"" help:"Id or e-mail address; of an account that was deleted softly, the id."`
	Reason string `help:"Why, for the audit log: needed." placeholder:"TEXT"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run begins the deletion, and shows how far it got.
func (c *usersEraseCmd) Run(a *app) error {
	if strings.TrimSpace(c.Reason) == "" {
		return usageError{"--reason is needed: the audit log keeps why somebody was deleted"}
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		id, err := userID(ctx, api, c.User)
		if err != nil {
			return err
		}
		e, err := api.Users.Erase(ctx, id, c.Reason)
		if err != nil {
			return err
		}
		if a.eraseDue != nil { // nobody else may be there to do it
			if err := a.eraseDue(ctx); err != nil {
				return err
			}
			if e, err = api.Users.Erasure(ctx, id); err != nil {
				return err
			}
		}
		return a.showErasures(c.Output, e)
	})
}

// userID gives the id of an account, which need not be there if it is named by it.
func userID(ctx context.Context, api *admin.Client, name string) (string, error) {
	if id, err := auth.ParseID(name); err == nil {
		return id.String(), nil
	}
	u, err := findUser(ctx, api, name)
	return u.ID, err
}

type usersErasuresCmd struct {
	commonFlags
	All    bool   `help:"Those that are done too."`
	User   string `help:"That of one account." placeholder:"ID" xor:"one"`
	Retry  string `help:"Try again now what has failed of a deletion." placeholder:"ID" xor:"one"`
	Limit  int    `help:"At most so many." default:"50"`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists deletions.
func (c *usersErasuresCmd) Run(a *app) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		var (
			list []admin.Erasure
			one  admin.Erasure
			err  error
		)
		switch {
		case c.User != "":
			one, err = api.Users.Erasure(ctx, c.User)
			list = []admin.Erasure{one}
		case c.Retry != "":
			one, err = api.Erasures.Retry(ctx, c.Retry, reasonOr(c.Reason, "users erasures"))
			list = []admin.Erasure{one}
		default:
			list, err = api.Erasures.List(ctx, !c.All, c.Limit)
		}
		if err != nil {
			return err
		}
		return a.showErasures(c.Output, list...)
	})
}

func (a *app) showErasures(form string, list ...admin.Erasure) error {
	if form == "json" {
		return writeJSON(a.stdout, list)
	}
	if len(list) == 0 {
		a.say("No deletion is open.")
		return nil
	}
	rows := [][]string{{"ID", "ACCOUNT", "STATE", "BEGUN", "LEFT TO DO"}}
	for i := range list {
		e := &list[i]
		var left []string
		for _, s := range e.Steps {
			if !s.DoneAt.IsZero() {
				continue
			}
			what := s.Name
			switch {
			case s.Error != "":
				what += fmt.Sprintf(" (tried %d times: %s)", s.Attempts, s.Error)
			case s.NotBefore.After(e.BegunAt):
				what += " (kept until " + moment(s.NotBefore) + ")"
			}
			left = append(left, printable(what))
		}
		rows = append(rows, []string{e.ID, e.UserID, e.State, moment(e.BegunAt), strings.Join(left, ", ")})
	}
	return table(a.stdout, rows)
}

type usersHoldCmd struct {
	oneUser
	Place  bool   `help:"Forbid to delete the account." xor:"change"`
	Lift   string `help:"Take a hold away." placeholder:"ID" xor:"change"`
	Reason string `help:"Why: needed for every change. The person is told why the account can't be deleted." placeholder:"TEXT"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run shows the holds, after the change if there is one.
func (c *usersHoldCmd) Run(a *app) error {
	if (c.Place || c.Lift != "") && strings.TrimSpace(c.Reason) == "" {
		return usageError{"--reason is needed to place a hold and to lift one"}
	}
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		var err error
		switch {
		case c.Place:
			_, err = api.Users.PlaceHold(ctx, u.ID, c.Reason)
		case c.Lift != "":
			err = api.Users.LiftHold(ctx, u.ID, c.Lift, c.Reason)
		}
		if err != nil {
			return err
		}
		list, err := api.Users.Holds(ctx, u.ID)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, list)
		}
		if len(list) == 0 {
			a.say("Nothing forbids to delete %s.", u.ID)
			return nil
		}
		rows := [][]string{{"ID", "SINCE", "BY", "REASON"}}
		for i := range list {
			rows = append(rows, []string{list[i].ID, moment(list[i].PlacedAt), list[i].PlacedBy, printable(list[i].Reason)})
		}
		return table(a.stdout, rows)
	})
}
