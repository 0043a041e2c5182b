package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cardea-auth/cardea/admin"
)

type rolesCmd struct {
	List    rolesListCmd    `cmd:"" help:"Show the role catalogue in force."`
	Explain rolesExplainCmd `cmd:"" help:"Say whether somebody may do something, and why. Exit code 1: no."`
	Check   rolesCheckCmd   `cmd:"" help:"Check catalogue files. Exit code 1: one of them has mistakes."`
	Show    rolesShowCmd    `cmd:"" help:"Show a catalogue: one that ships with Cardea, or a file."`
	Try     rolesTryCmd     `cmd:"" help:"Say what roles of a catalogue may do, without anybody having them. Exit code 1: no."`
	Reload  rolesReloadCmd  `cmd:"" help:"Make a running server read its catalogue file again."`
}

type rolesListCmd struct {
	commonFlags
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run shows the catalogue.
func (c *rolesListCmd) Run(a *app) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		list, err := api.Roles.Catalogue(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, list)
		}
		rows := [][]string{{"ROLE", "LEVEL", "SCOPE", "HOW", "INHERITS", "PERMISSIONS"}}
		for _, r := range list.Roles {
			how := "given"
			switch {
			case r.SelfAssignable:
				how = "chosen"
			case r.Approval:
				how = "asked for"
			}
			rows = append(rows, []string{r.Name, fmt.Sprint(r.Level), r.Scope, how, strings.Join(r.Inherits, " "), strings.Join(r.Permissions, " ")})
		}
		return table(a.stdout, rows)
	})
}

type rolesExplainCmd struct {
	oneUser
	Permission string `arg:"" help:"Such as patient:read."`
	Tenant     string `help:"In this tenant: id or slug. Without it: in the whole application."`
	Output     string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// errDenied is the answer no; the reasons were printed already.
var errDenied = errors.New("denied")

// Run explains. The answer is the exit code too, so that scripts can ask.
func (c *rolesExplainCmd) Run(a *app) error {
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		tenant := ""
		if c.Tenant != "" {
			t, err := api.Tenants.Get(ctx, c.Tenant)
			if err != nil {
				return err
			}
			tenant = t.ID
		}
		e, err := api.Roles.Explain(ctx, u.ID, tenant, c.Permission)
		if err != nil {
			return err
		}
		return a.showAnswer(e, e.Allowed, e.Because, c.Output)
	})
}

// showAnswer prints the answer to "may this be done, and why", e as JSON. A no is errDenied.
func (a *app) showAnswer(e any, allowed bool, because []string, output string) error {
	if output == "json" {
		if err := writeJSON(a.stdout, e); err != nil {
			return err
		}
	} else {
		answer := map[bool]string{true: "allowed", false: "denied"}[allowed]
		for _, line := range append([]string{answer}, because...) {
			if _, err := fmt.Fprintln(a.stdout, printable(line)); err != nil {
				return err
			}
		}
	}
	if !allowed {
		return errDenied
	}
	return nil
}

type rolesReloadCmd struct {
	commonFlags
}

// Run asks the running server. Without one there is nobody whose catalogue could change.
func (c *rolesReloadCmd) Run(a *app) error {
	r, err := a.remote()
	if err != nil {
		return err
	}
	if r.url == "" {
		return usageError{"set " + adminURL + " and " + adminKey + ": a running server is asked (see `cardea roles check` for a file)"}
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		list, err := api.Roles.Reload(ctx)
		if err != nil {
			return err
		}
		a.say("%d roles are in force on the server that answered; each server of a cluster is asked by itself.", len(list.Roles))
		return nil
	})
}
