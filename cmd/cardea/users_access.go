package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/cardea-auth/cardea/admin"
)

type usersActivateCmd struct {
	oneUser
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run switches the account on.
func (c *usersActivateCmd) Run(a *app) error {
	return setActive(a, &c.oneUser, true, reasonOr(c.Reason, "users activate"))
}

type usersDeactivateCmd struct {
	oneUser
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run switches the account off.
func (c *usersDeactivateCmd) Run(a *app) error {
	return setActive(a, &c.oneUser, false, reasonOr(c.Reason, "users deactivate"))
}

func setActive(a *app, c *oneUser, active bool, reason string) error {
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		if _, err := api.Users.SetActive(ctx, u.ID, active, reason); err != nil {
			return err
		}
		a.say("%s is switched %s.", u.ID, map[bool]string{true: "on", false: "off"}[active])
		return nil
	})
}

type usersRolesCmd struct {
	oneUser
	Set     []string `help:"Roles instead of the present ones." placeholder:"ROLE,..." xor:"change"`
	None    bool     `help:"Take every role away." xor:"change"`
	Approve string   `help:"Give a role that the person has asked for." placeholder:"ROLE" xor:"change"`
	Refuse  string   `help:"Refuse it." placeholder:"ROLE" xor:"change"`
	Reason  string   `help:"Why, for the audit log: needed for every change." placeholder:"TEXT"`
	Output  string   `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// rolesView is what the command prints as JSON.
type rolesView struct {
	Roles        []string `json:"roles"`
	PendingRoles []string `json:"pending_roles"`
}

// Run shows the roles, after the change if there is one.
func (c *usersRolesCmd) Run(a *app) error {
	change := c.None || len(c.Set) > 0 || c.Approve != "" || c.Refuse != ""
	if change && strings.TrimSpace(c.Reason) == "" {
		return usageError{"--reason is needed: the audit log keeps why somebody got or lost a role"}
	}
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		var err error
		switch {
		case c.Approve != "":
			u, err = api.Users.DecideRole(ctx, u.ID, c.Approve, true, c.Reason)
		case c.Refuse != "":
			u, err = api.Users.DecideRole(ctx, u.ID, c.Refuse, false, c.Reason)
		case change:
			u, err = api.Users.SetRoles(ctx, u.ID, c.Set, c.Reason)
		}
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, rolesView{u.Roles, u.PendingRoles})
		}
		for _, list := range []struct {
			names []string
			note  string
		}{{u.Roles, ""}, {u.PendingRoles, " (asked for)"}} {
			for _, name := range list.names {
				if _, err := fmt.Fprintln(a.stdout, printable(name)+list.note); err != nil {
					return err
				}
			}
		}
		if len(u.Roles)+len(u.PendingRoles) == 0 {
			a.say("%s has no roles.", u.ID)
		}
		return nil
	})
}

type usersSessionsCmd struct {
	oneUser
	End    string `help:"Sign out in one place." placeholder:"ID" xor:"end"`
	EndAll bool   `help:"Sign out everywhere." xor:"end"`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists the sign-ins, or ends them.
func (c *usersSessionsCmd) Run(a *app) error {
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		switch {
		case c.EndAll:
			if err := api.Users.EndSessions(ctx, u.ID, reasonOr(c.Reason, "users sessions")); err != nil {
				return err
			}
			a.say("%s is signed out everywhere. Access tokens that were issued before work until they expire, except here.", u.ID)
			return nil
		case c.End != "":
			if err := api.Users.EndSession(ctx, u.ID, c.End, reasonOr(c.Reason, "users sessions")); err != nil {
				return err
			}
			a.say("Session %s is ended.", printable(c.End))
			return nil
		}
		list, err := api.Users.Sessions(ctx, u.ID)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, list)
		}
		rows := [][]string{{"ID", "NAME", "SIGNED IN", "LAST REFRESH", "ADDRESS", "TENANT ROLE", "PROGRAM"}}
		for i := range list {
			s := &list[i]
			rows = append(rows, []string{s.ID, s.Name, moment(s.CreatedAt), moment(s.RefreshedAt), s.IP, s.TenantRole, short(s.UserAgent)})
		}
		return table(a.stdout, rows)
	})
}

// short cuts what programs say of themselves to a column's width.
func short(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
